/*
 * Terminals as files: open, read, write, poll, hang-up.
 * Locks: read_lock or write_lock (rank TTY), then t->lock (rank TTY_BUF).
 * Signals are sent with no tty lock held.
 */
#include <base/bitmap.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/uio.h>
#include <mem/slab.h>
#include "tty_priv.h"

#define O_NONBLOCK 04000u
#define O_NOCTTY   0400u
enum { SIG_HUP = 1, SIG_TTIN = 21, SIG_TTOU = 22, SIG_CONT = 18 };
#define IX(p) ((p) % TTY_BUF_SIZE)

const struct tty_proc_ops *tty_proc;
static struct tty *console_tty;		/* const after boot */

struct tty *tty_create(const struct tty_driver_ops *ops, const char *name, u64 rdev, void *priv)
{
	struct tty *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	ref_init(&t->refs);
	t->ops = ops;
	t->priv = priv;
	t->rdev = rdev;
	str_copy(t->name, name, sizeof(t->name));
	mutex_init(&t->read_lock, LR_TTY);
	mutex_init(&t->write_lock, LR_TTY);
	spin_init(&t->lock, LR_TTY_BUF);
	t->termios = tty_default_termios;
	waitq_init(&t->read_wait);
	waitq_init(&t->write_wait);
	fasync_init(&t->async);
	return t;
}

struct tty *tty_get(struct tty *t)
{
	ref_get(&t->refs);
	return t;
}

void tty_put(struct tty *t)
{
	if (!ref_put(&t->refs))
		return;
	if (t->ops->destroy)
		t->ops->destroy(t);
	kfree(t);
}

void tty_set_console(struct tty *t) { console_tty = t; }
struct tty *tty_console(void) { return console_tty; }
u32 tty_foreground(struct tty *t) { return READ_ONCE(t->pgrp); }
u32 tty_session(struct tty *t) { return READ_ONCE(t->session); }
u64 tty_rdev(struct tty *t) { return t->rdev; }
const char *tty_name(struct tty *t) { return t->name; }

void tty_register(struct tty *t)
{
	t->cdev = (struct chardev){ .major = dev_major(t->rdev), .minor = dev_minor(t->rdev), .count = 1, .name = t->name,
				    .ops = &tty_fops, .priv = t, .mode = 0620 };
	chardev_register(&t->cdev);
}

void tty_effects_run(struct tty *t, struct tty_effects *fx)
{
	for (u32 i = 0; i < fx->nsignals; i++)
		if (fx->pgrp && tty_proc)
			tty_proc->signal_pgrp(fx->pgrp, fx->signals[i]);
}

u32 tty_input(struct tty *t, const u8 *buf, u32 n)
{
	struct tty_effects fx = { .nsignals = 0 };
	u32 done = 0;
	u64 irq = spin_lock_irq(&t->lock);
	bool was_stopped = t->stopped;

	while (done < n) {
		if (!ldisc_has_room(t)) {
			t->input_refused = true;
			break;
		}
		ldisc_receive(t, buf[done++], &fx);
		if (t->echo_head - t->echo_tail > TTY_ECHO_SIZE / 2)
			ldisc_echo_flush(t);
	}
	ldisc_echo_flush(t);
	/* Any byte may be the last that a reader waits for: VMIN counts from its first, which may be gone from here. */
	bool wake = ldisc_readable(t, 1) || fx.nsignals;
	bool wake_writers = was_stopped && !t->stopped;

	spin_unlock_irq(&t->lock, irq);
	tty_effects_run(t, &fx);
	if (wake)
		waitq_wake(&t->read_wait, ~0u, POLLIN | POLLRDNORM);
	if (wake)
		fasync_notify(&t->async, POLLIN | POLLRDNORM);
	if (wake_writers)
		tty_output_ready(t);
	return done;
}

void tty_input_break(struct tty *t)
{
	struct tty_effects fx = { .nsignals = 0 };
	u64 irq = spin_lock_irq(&t->lock);

	ldisc_break(t, &fx);
	ldisc_echo_flush(t);
	spin_unlock_irq(&t->lock, irq);
	tty_effects_run(t, &fx);
	waitq_wake(&t->read_wait, ~0u, POLLIN | POLLRDNORM);
}

void tty_output_ready(struct tty *t)
{
	u64 irq = spin_lock_irq(&t->lock);

	ldisc_echo_flush(t);
	spin_unlock_irq(&t->lock, irq);
	waitq_wake(&t->write_wait, ~0u, POLLOUT | POLLWRNORM);
}

/* --- read -------------------------------------------------------------- */

static bool readable_now(struct tty *t, u32 min)
{
	GUARD_IRQ(&t->lock);
	return t->hung_up || ldisc_readable(t, min);
}

/* Copies what one read may take now, at most n bytes, without consuming.  *from: where; *consume: positions to pass.
 * *end: the line is over. */
static u32 peek(struct tty *t, u8 *out, u32 n, u32 *from, u32 *consume, bool *end)
{
	GUARD_IRQ(&t->lock);
	bool canon = TTY_FLAG(t, lflag, ICANON);
	u32 limit = canon ? t->canon_head : t->head, p = t->tail, k = 0;

	*end = false;
	*from = p;
	while (p != limit && !*end) {
		u8 c = t->buf[IX(p)];

		*end = canon && bitmap_test(t->eol, IX(p));
		if (*end && c == 0) {			/* inv. 3 of ldisc.c */
			p++;
			break;
		}
		if (k == n) {
			*end = false;
			break;
		}
		out[k++] = c;
		p++;
	}
	/* A line that just fits: its end of file mark goes with it, so that the next read does not see an empty line. */
	*consume = p - t->tail;
	return k;
}

/* Passes everything before position upto.  A flush may have been there already: then nothing is left to pass. */
static void consume(struct tty *t, u32 upto)
{
	bool resume;
	u64 irq = spin_lock_irq(&t->lock);

	while ((i32)(upto - t->tail) > 0 && t->tail != t->head)
		bitmap_clear(t->eol, IX(t->tail++));
	if ((i32)(t->canon_head - t->tail) < 0)
		t->canon_head = t->tail;
	resume = t->input_refused && ldisc_has_room(t);
	if (resume)
		t->input_refused = false;
	spin_unlock_irq(&t->lock, irq);
	if (resume && t->ops->resume_input)
		t->ops->resume_input(t);
}

/* Moves what is there.  Bytes, or -EFAULT when none could be copied.  *end: canonical line over. */
static i64 take(struct tty *t, struct uio *dst, bool *end)
{
	u8 chunk[256];
	i64 done = 0;

	*end = false;
	while (dst->resid && !*end) {
		u32 from, pass, k = peek(t, chunk, (u32)MIN(dst->resid, (u64)sizeof(chunk)), &from, &pass, end);

		if (!pass)
			break;
		if (uio_copy_out(dst, chunk, k) != k)
			return done ? done : -EFAULT;
		consume(t, from + pass);
		done += k;
	}
	return done;
}

static int wait_readable(struct tty *t, struct file *f, u32 min, u64 deadline)
{
	if (readable_now(t, min))
		return 0;
	if (f->flags & O_NONBLOCK)
		return -EAGAIN;
	return waitq_wait_intr_until(&t->read_wait, readable_now(t, min), deadline);
}

/* Raw mode: VMIN and VTIME as termios(3) tabulates them. */
static i64 read_raw(struct tty *t, struct file *f, struct uio *dst)
{
	u32 min = t->termios.cc[VMIN];
	u64 time = t->termios.cc[VTIME] * 100 * NSEC_PER_MSEC;
	u32 want = (u32)MIN((u64)min, dst->resid);
	i64 done = 0;
	bool end;

	for (;;) {
		i64 k = take(t, dst, &end);

		if (k < 0)
			return done ? done : k;
		done += k;
		if (!dst->resid || (done && done >= want) || t->hung_up)
			return done;
		if (!min && !time)
			return done;		/* 0 even with O_NONBLOCK, as on Linux */
		u64 deadline = time && (!min || done) ? clock_mono_ns() + time : ~0ull;
		u32 left = time || min < 2 ? 1 : want - (u32)done;
		int err = wait_readable(t, f, left, deadline);

		if (err == -ETIMEDOUT)
			return done;
		if (err)
			return done ? done : err;
	}
}

static i64 tty_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct tty *t = f->priv;
	bool end;
	int err;

	if (t->hung_up)
		return 0;
	err = tty_proc->check_background(t, SIG_TTIN);
	if (err)
		return err;
	if (!dst->resid)
		return 0;
	if (f->flags & O_NONBLOCK) {
		if (!mutex_try_lock(&t->read_lock))
			return -EAGAIN;
	} else {
		err = mutex_lock_intr(&t->read_lock);
		if (err)
			return err;
	}
	i64 ret;

	if (TTY_FLAG(t, lflag, ICANON)) {
		do {			/* a line that was flushed between the two steps is no end of file */
			end = false;
			ret = wait_readable(t, f, 1, ~0ull);
			if (!ret)
				ret = take(t, dst, &end);
		} while (!ret && !end && !t->hung_up);
	} else {
		ret = read_raw(t, f, dst);
	}
	mutex_unlock(&t->read_lock);
	return ret;
}

/* --- write ------------------------------------------------------------- */

static bool writable_now(struct tty *t)
{
	GUARD_IRQ(&t->lock);
	return t->hung_up || (!t->stopped && t->ops->room(t) >= 16);
}

static i64 write_chunk(struct tty *t, struct file *f, const u8 *buf, u32 n)
{
	i64 done = 0;		/* signed, as it shares expressions with errors */

	for (;;) {
		u64 irq = spin_lock_irq(&t->lock);

		ldisc_echo_flush(t);
		if (!t->hung_up)
			done += ldisc_output(t, buf + done, n - (u32)done);
		spin_unlock_irq(&t->lock, irq);
		if (done == n)
			return done;
		if (t->hung_up)
			return done ? done : -EIO;
		if (f->flags & O_NONBLOCK)
			return done ? done : -EAGAIN;
		int err = waitq_wait_intr(&t->write_wait, writable_now(t));

		if (err)
			return done ? done : err;
	}
}

static i64 tty_write(struct file *f, struct uio *src, u64 *pos)
{
	struct tty *t = f->priv;
	u8 chunk[512];
	i64 done = 0;
	int err;

	if (t->hung_up)
		return -EIO;
	if (TTY_FLAG(t, lflag, TOSTOP)) {
		err = tty_proc->check_background(t, SIG_TTOU);
		if (err)
			return err;
	}
	err = mutex_lock_intr(&t->write_lock);
	if (err)
		return err;
	while (src->resid) {
		u32 n = (u32)uio_copy_in(src, chunk, MIN(src->resid, (u64)sizeof(chunk)));
		i64 k = n ? write_chunk(t, f, chunk, n) : -EFAULT;

		if (k < (i64)n || k <= 0) {
			done = k > 0 ? done + k : done ? done : k;
			break;
		}
		done += k;
	}
	mutex_unlock(&t->write_lock);
	return done;
}

static u32 tty_poll(struct file *f, struct poll_table *pt)
{
	struct tty *t = f->priv;
	u32 ev = 0;

	poll_wait(pt, &t->read_wait);
	poll_wait(pt, &t->write_wait);
	GUARD_IRQ(&t->lock);
	if (t->hung_up)
		return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
	if (ldisc_readable(t, t->termios.cc[VTIME] ? 1 : t->termios.cc[VMIN]))
		ev |= POLLIN | POLLRDNORM;
	if (!t->stopped && t->ops->room(t) >= 16)
		ev |= POLLOUT | POLLWRNORM;
	return ev;
}

/* --- open, close, hang-up ---------------------------------------------- */

int tty_open_tty(struct tty *t, struct file *f)
{
	u64 irq = spin_lock_irq(&t->lock);

	if (t->exclusive && t->opens && !cred_can(vfs_self()->cred, CAP_SYS_ADMIN)) {
		spin_unlock_irq(&t->lock, irq);
		return -EBUSY;
	}
	if (!t->opens++ && !t->is_pty)
		t->hung_up = false;
	spin_unlock_irq(&t->lock, irq);
	f->priv = tty_get(t);
	f->ops = &tty_fops;
	f->mode |= FILE_STREAM;
	if (t->ops->open)
		t->ops->open(t);
	if (!(f->flags & O_NOCTTY) && tty_proc && (f->mode & FILE_READ))
		DISCARD(tty_proc->set_session_tty(t, false));	/* only a leader without a terminal gets it */
	return 0;
}

static int tty_open(struct vnode *vn, struct file *f)
{
	struct chardev *cd = chardev_find(vn->rdev);

	return cd ? tty_open_tty(cd->priv, f) : -ENXIO;
}

static void tty_fasync(struct file *f, bool on)
{
	struct tty *t = f->priv;

	fasync_set(&t->async, f, on);
}

static void tty_release(struct file *f)
{
	struct tty *t = f->priv;
	bool last;
	u64 irq = spin_lock_irq(&t->lock);

	last = --t->opens == 0;
	spin_unlock_irq(&t->lock, irq);
	if (last && t->ops->close)
		t->ops->close(t);
	tty_put(t);
}

void tty_set_session(struct tty *t, u32 sid, u32 pgid)
{
	GUARD_IRQ(&t->lock);
	t->session = sid;
	t->pgrp = pgid;
}

void tty_hangup(struct tty *t)
{
	u64 irq = spin_lock_irq(&t->lock);
	u32 pgrp = t->pgrp, sid = t->session;

	t->hung_up = true;
	t->session = t->pgrp = 0;
	spin_unlock_irq(&t->lock, irq);
	if (sid && tty_proc)
		tty_proc->session_hangup(t, sid);
	if (pgrp && tty_proc) {
		tty_proc->signal_pgrp(pgrp, SIG_HUP);
		tty_proc->signal_pgrp(pgrp, SIG_CONT);
	}
	waitq_wake_all(&t->read_wait);
	waitq_wake_all(&t->write_wait);
}

void tty_session_exit(struct tty *t, u32 sid)
{
	u64 irq = spin_lock_irq(&t->lock);
	u32 pgrp = t->session == sid ? t->pgrp : 0;

	if (t->session == sid)
		t->session = t->pgrp = 0;
	spin_unlock_irq(&t->lock, irq);
	if (pgrp && tty_proc) {
		tty_proc->signal_pgrp(pgrp, SIG_HUP);
		tty_proc->signal_pgrp(pgrp, SIG_CONT);
	}
}

const struct file_ops tty_fops = {
	.read = tty_read, .write = tty_write, .poll = tty_poll, .ioctl = tty_ioctl, .open = tty_open, .fasync = tty_fasync,
	.release = tty_release,
};

/* --- /dev/tty and /dev/console ------------------------------------------ */

static int ctty_open(struct vnode *vn, struct file *f)
{
	struct tty *t = tty_proc->current_tty();

	if (!t)
		return -ENXIO;
	f->flags |= O_NOCTTY;
	int err = tty_open_tty(t, f);

	tty_put(t);
	return err;
}

static int console_open(struct vnode *vn, struct file *f)
{
	if (!console_tty)
		return -ENODEV;
	f->flags |= O_NOCTTY;
	return tty_open_tty(console_tty, f);
}

static const struct file_ops ctty_fops = { .open = ctty_open };
static const struct file_ops console_fops = { .open = console_open };
static struct chardev ctty_dev = { .major = 5, .minor = 0, .count = 1, .name = "tty", .ops = &ctty_fops, .mode = 0666 };
static struct chardev console_dev = { .major = 5, .minor = 1, .count = 1, .name = "console", .ops = &console_fops, .mode = 0600 };

void tty_init(void)
{
	chardev_register(&ctty_dev);
	chardev_register(&console_dev);
	pty_init();
	devpts_init();
}
