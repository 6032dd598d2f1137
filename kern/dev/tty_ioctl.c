/* Terminal controls: tty_ioctl(4), termios(3).  Signals and waits happen with no lock held. */
#include <arch/usercopy.h>
#include <base/string.h>
#include <core/lock.h>
#include "tty_priv.h"

enum {
	TCGETS = 0x5401, TCSETS, TCSETSW, TCSETSF, TCGETA, TCSETA, TCSETAW, TCSETAF, TCSBRK, TCXONC, TCFLSH, TIOCEXCL, TIOCNXCL, TIOCSCTTY,
	TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ, TIOCMGET,
	FIONREAD_TTY = 0x541b, TIOCNOTTY = 0x5422, TIOCSETD, TIOCGETD, TCSBRKP, TIOCGSID = 0x5429,
};
#define TCGETS2	   0x802c542au
#define TCSETS2	   0x402c542bu
#define TCSETSW2   0x402c542cu
#define TCSETSF2   0x402c542du
#define TIOCGDEV   0x80045432u
#define TIOCGEXCL  0x80045440u
enum { SIG_TTOU = 22, SIG_WINCH = 28 };

/* struct termios of the ABI: 36 bytes; termios2 has the two speeds behind it. */
struct user_termios { u32 iflag, oflag, cflag, lflag; u8 line; u8 cc[19]; u32 ispeed, ospeed; };
struct user_termio { u16 iflag, oflag, cflag, lflag; u8 line; u8 cc[8]; };
#define TERMIOS_SIZE 36u

static const u32 baud_rates[] = { 0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400 };
static const u32 baud_rates_ext[] = { 0, 57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000,
				      2500000, 3000000, 3500000, 4000000 };

static u32 speed_of(u32 cflag, u32 other)
{
	u32 code = cflag & 0x100f;

	if (code == 0x1000)		/* BOTHER */
		return other;
	return code & 0x1000 ? baud_rates_ext[code & 15] : baud_rates[code & 15];
}

static i64 get_termios(struct tty *t, uptr_t dst, bool two)
{
	struct user_termios u;
	u64 irq = spin_lock_irq(&t->lock);

	_Static_assert(sizeof(u) == sizeof(struct ktermios), "same layout");
	memcpy(&u, &t->termios, sizeof(u));
	spin_unlock_irq(&t->lock, irq);
	return user_copy_out(dst, &u, two ? sizeof(u) : TERMIOS_SIZE) ? -EFAULT : 0;
}

/* Bytes between a program's write and the wire. */
u32 tty_unsent(struct tty *t)
{
	return READ_ONCE(t->echo_head) - READ_ONCE(t->echo_tail) + (t->ops->pending ? t->ops->pending(t) : 0);
}

int tty_wait_drained(struct tty *t)
{
	return waitq_wait_intr(&t->write_wait, t->hung_up || !tty_unsent(t));
}

static void apply_termios(struct tty *t, const struct ktermios *nt, bool flush)
{
	u64 irq = spin_lock_irq(&t->lock);
	struct ktermios old = t->termios;

	if (flush)
		ldisc_flush_input(t);
	t->termios = *nt;
	t->termios.ispeed = t->termios.ospeed = speed_of(nt->cflag, nt->ospeed);
	ldisc_termios_changed(t, &old);
	spin_unlock_irq(&t->lock, irq);
	if (t->ops->set_termios)
		t->ops->set_termios(t, &old);
	waitq_wake_all(&t->read_wait);
	waitq_wake_all(&t->write_wait);
}

/* how: 0 now, 1 after output drained, 2 drained and input dropped. */
static i64 set_termios(struct tty *t, uptr_t src, bool two, u32 how, bool master)
{
	struct ktermios nt;
	int err = master ? 0 : tty_proc->check_background(t, SIG_TTOU);

	if (err)
		return err;
	nt = t->termios;
	if (user_copy_in(&nt, src, two ? sizeof(nt) : TERMIOS_SIZE))
		return -EFAULT;
	err = how ? tty_wait_drained(t) : 0;
	if (err)
		return err;
	apply_termios(t, &nt, how == 2);
	return 0;
}

static i64 old_termio(struct tty *t, uptr_t p, bool set, u32 how)
{
	struct user_termio u;
	struct ktermios nt = t->termios;

	if (!set) {
		memset(&u, 0, sizeof(u));		/* its last byte is padding */
		u.iflag = (u16)nt.iflag;
		u.oflag = (u16)nt.oflag;
		u.cflag = (u16)nt.cflag;
		u.lflag = (u16)nt.lflag;
		u.line = nt.line;
		memcpy(u.cc, nt.cc, sizeof(u.cc));
		return user_put(p, &u);
	}
	int err = tty_proc->check_background(t, SIG_TTOU);

	if (err)
		return err;
	if (user_get(&u, p))
		return -EFAULT;
	nt.iflag = (nt.iflag & 0xffff0000u) | u.iflag;
	nt.oflag = (nt.oflag & 0xffff0000u) | u.oflag;
	nt.cflag = (nt.cflag & 0xffff0000u) | u.cflag;
	nt.lflag = (nt.lflag & 0xffff0000u) | u.lflag;
	memcpy(nt.cc, u.cc, sizeof(u.cc));
	err = how ? tty_wait_drained(t) : 0;
	if (err)
		return err;
	apply_termios(t, &nt, how == 2);
	return 0;
}

static i64 set_winsize(struct tty *t, uptr_t src)
{
	struct winsize_k ws;

	if (user_get(&ws, src))
		return -EFAULT;
	u64 irq = spin_lock_irq(&t->lock);
	bool changed = memcmp(&ws, &t->winsize, sizeof(ws));
	u32 pgrp = t->pgrp;

	t->winsize = ws;
	spin_unlock_irq(&t->lock, irq);
	if (changed && pgrp)
		tty_proc->signal_pgrp(pgrp, SIG_WINCH);
	return 0;
}

static bool is_my_terminal(struct tty *t)
{
	struct tty *mine = tty_proc->current_tty();

	if (mine)
		tty_put(mine);
	return mine == t;
}

static i64 get_pgrp(struct tty *t, uptr_t dst, bool master)
{
	i32 pgrp = (i32)tty_foreground(t);

	if (!master && !is_my_terminal(t))
		return -ENOTTY;
	return user_put(dst, &pgrp);
}

static i64 set_pgrp(struct tty *t, uptr_t src)
{
	i32 pgrp;
	int err = tty_proc->check_background(t, SIG_TTOU);

	if (err == -EIO)
		return -ENOTTY;
	if (err)
		return err;
	if (!is_my_terminal(t) || t->session != tty_proc->current_sid())
		return -ENOTTY;
	if (user_get(&pgrp, src))
		return -EFAULT;
	if (pgrp < 0)
		return -EINVAL;
	if (!tty_proc->pgid_in_session((u32)pgrp, t->session))
		return tty_proc->pgid_exists((u32)pgrp) ? -EPERM : -ESRCH;
	WRITE_ONCE(t->pgrp, (u32)pgrp);
	return 0;
}

static i64 flush_queues(struct tty *t, u64 which, bool master)
{
	int err = master ? 0 : tty_proc->check_background(t, SIG_TTOU);

	if (err)
		return err;
	if (which > 2)
		return -EINVAL;
	u64 irq = spin_lock_irq(&t->lock);
	bool resume = false;

	if (which != 1) {
		ldisc_flush_input(t);
		resume = t->input_refused;
		t->input_refused = false;
	}
	if (which != 0)
		t->echo_tail = t->echo_head;
	tty_packet_tell(t, (which != 1 ? PKT_FLUSHREAD : 0) | (which != 0 ? PKT_FLUSHWRITE : 0), 0);
	spin_unlock_irq(&t->lock, irq);
	if (resume && t->ops->resume_input)
		t->ops->resume_input(t);
	return 0;
}

static i64 flow_control(struct tty *t, u64 action)
{
	u8 c;

	switch (action) {
	case 0:		/* TCOOFF */
		WRITE_ONCE(t->stopped, true);
		return 0;
	case 1:		/* TCOON */
		WRITE_ONCE(t->stopped, false);
		tty_output_ready(t);
		return 0;
	case 2: case 3:	/* TCIOFF, TCION: send the stop or start character */
		c = t->termios.cc[action == 2 ? VSTOP : VSTART];
		if (c) {
			GUARD_IRQ(&t->lock);
			t->ops->write(t, &c, 1);
		}
		return 0;
	default:
		return -EINVAL;
	}
}

static i64 simulate_input(struct tty *t, uptr_t src)
{
	u8 c;

	if (!is_my_terminal(t) && !cred_can(vfs_self()->cred, CAP_SYS_ADMIN))
		return -EPERM;
	if (user_get(&c, src))
		return -EFAULT;
	DISCARD(tty_input(t, &c, 1));		/* a full buffer drops it, as on Linux */
	return 0;
}

static i64 put_int(u64 arg, i32 v)
{
	return user_put(UPTR(arg), &v);
}

static i64 tty_state_ioctl(struct tty *t, u32 cmd, u64 arg, bool master)
{
	i32 v;

	switch (cmd) {
	case TIOCEXCL: WRITE_ONCE(t->exclusive, true); return 0;
	case TIOCNXCL: WRITE_ONCE(t->exclusive, false); return 0;
	case TIOCGEXCL: return put_int(arg, t->exclusive);
	case TIOCSCTTY: return tty_proc->set_session_tty(t, arg == 1);
	case TIOCNOTTY: return is_my_terminal(t) ? tty_proc->clear_session_tty(t) : -ENOTTY;
	case TIOCGPGRP: return get_pgrp(t, UPTR(arg), master);
	case TIOCSPGRP: return set_pgrp(t, UPTR(arg));
	case TIOCGSID:
		if ((!master && !is_my_terminal(t)) || !t->session)
			return -ENOTTY;
		return put_int(arg, (i32)t->session);
	case TIOCGETD: return put_int(arg, 0);
	case TIOCSETD:
		if (user_get(&v, UPTR(arg)))
			return -EFAULT;
		return v ? -EINVAL : 0;
	case TIOCGDEV: return put_int(arg, (i32)t->rdev);
	default: return -ENOTTY;
	}
}

i64 tty_ioctl_common(struct tty *t, struct file *f, u32 cmd, u64 arg, bool master)
{
	uptr_t p = UPTR(arg);
	i32 n;

	switch (cmd) {
	case TCGETS: return get_termios(t, p, false);
	case TCGETS2: return get_termios(t, p, true);
	case TCSETS: case TCSETSW: case TCSETSF: return set_termios(t, p, false, cmd - TCSETS, master);
	case TCSETS2: case TCSETSW2: case TCSETSF2: return set_termios(t, p, true, cmd - TCSETS2, master);
	case TCGETA: return old_termio(t, p, false, 0);
	case TCSETA: case TCSETAW: case TCSETAF: return old_termio(t, p, true, cmd - TCSETA);
	case TIOCGWINSZ: return user_put(p, &t->winsize);
	case TIOCSWINSZ: return set_winsize(t, p);
	case TCFLSH: return flush_queues(t, arg, master);
	case TCXONC: return flow_control(t, arg);
	case TCSBRK: case TCSBRKP:
		return tty_wait_drained(t);
	case TIOCSTI: return simulate_input(t, p);
	case FIONREAD_TTY: {
		u64 irq = spin_lock_irq(&t->lock);

		n = (i32)ldisc_count(t);
		spin_unlock_irq(&t->lock, irq);
		return put_int(arg, n);
	}
	case TIOCOUTQ: return put_int(arg, (i32)tty_unsent(t));
	default: return tty_state_ioctl(t, cmd, arg, master);
	}
}

i64 tty_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct tty *t = f->priv;

	if (t->hung_up)
		return cmd == TIOCNOTTY ? tty_state_ioctl(t, cmd, arg, false) : -EIO;
	if (t->ops->ioctl) {
		i64 ret = t->ops->ioctl(t, cmd, arg);

		if (ret != -ENOTTY)
			return ret;
	}
	return tty_ioctl_common(t, f, cmd, arg, false);
}
