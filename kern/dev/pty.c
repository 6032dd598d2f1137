/*
 * Pseudo-terminals: pty(7).  The slave is a struct tty whose driver writes into
 * the pair's ring; the master reads that ring, and what it writes is the
 * slave's input.
 * Life: open(/dev/ptmx) makes the pair and /dev/pts/N; closing the master hangs
 * the slave up and removes the node; the pair is freed with its last user.
 * Lock: pty.lock (rank DEV) guards the ring; taken inside the slave's lock.
 */
#include <arch/usercopy.h>
#include <base/bitmap.h>
#include <base/fmt.h>
#include <base/string.h>
#include <core/uio.h>
#include <mem/slab.h>
#include "tty_priv.h"

#define PTY_MAX	  4096u
#define PTY_RING  16384u
#define PTS_MAJOR 136u
#define O_NONBLOCK 04000u
#define O_CLOEXEC_FLAG 02000000u

enum { TIOCPKT = 0x5420, TIOCGPTPEER = 0x5441 };
#define TIOCGPTN   0x80045430u
#define TIOCSPTLCK 0x40045431u
#define TIOCGPTLCK 0x80045439u
#define TIOCGPKT   0x80045438u
#define TIOCSIG	   0x40045436u

struct pty {
	refcount_t refs;		/* master file, slave tty */
	struct tty *slave;		/* const while the master is open; the master's reference */
	u32 index;			/* const */
	spinlock_t lock;
	u8 ring[PTY_RING] GUARDED_BY(&lock);
	u32 tail GUARDED_BY(&lock), head GUARDED_BY(&lock);
	bool locked;
	bool master_open, slave_opened;
	struct waitq master_wait;	/* master's reader: data in the ring, slave closed */
	struct waitq input_wait;	/* master's writer: room in the slave's buffer */
};

static spinlock_t table_lock = SPINLOCK_INIT(LR_DEV);
static struct pty *table[PTY_MAX] GUARDED_BY(&table_lock);
static u64 used[BITMAP_WORDS(PTY_MAX)] GUARDED_BY(&table_lock);

static void pty_put(struct pty *p)
{
	if (!ref_put(&p->refs))
		return;
	u64 irq = spin_lock_irq(&table_lock);

	bitmap_clear(used, p->index);
	spin_unlock_irq(&table_lock, irq);
	kfree(p);
}

/* --- the slave's driver ------------------------------------------------- */

static u32 slave_room(struct tty *t)
{
	struct pty *p = t->priv;

	/* Writers hold t->lock, as the caller does: head stands still, a reader can only make more room. */
	return READ_ONCE(p->master_open) ? PTY_RING - (READ_ONCE(p->head) - READ_ONCE(p->tail)) : PTY_RING;
}

static u32 slave_write(struct tty *t, const u8 *buf, u32 n)
{
	struct pty *p = t->priv;
	u64 irq = spin_lock_irq(&p->lock);
	u32 done = 0;

	if (!p->master_open)
		done = n;		/* nobody reads: dropped */
	while (done < n && p->head - p->tail < PTY_RING)
		p->ring[p->head++ % PTY_RING] = buf[done++];
	spin_unlock_irq(&p->lock, irq);
	waitq_wake(&p->master_wait, ~0u, POLLIN | POLLRDNORM);
	return done;
}

static void slave_resume_input(struct tty *t)
{
	struct pty *p = t->priv;

	waitq_wake(&p->input_wait, ~0u, POLLOUT | POLLWRNORM);
}

static void slave_open(struct tty *t)
{
	struct pty *p = t->priv;

	WRITE_ONCE(p->slave_opened, true);
}

static void slave_close(struct tty *t)
{
	struct pty *p = t->priv;

	waitq_wake(&p->master_wait, ~0u, POLLHUP);
}

static void slave_packet_event(struct tty *t)
{
	struct pty *p = t->priv;

	waitq_wake(&p->master_wait, ~0u, POLLIN | POLLPRI);
}

static void slave_destroy(struct tty *t)
{
	pty_put(t->priv);
}

static const struct tty_driver_ops slave_ops = {
	.write = slave_write, .room = slave_room, .resume_input = slave_resume_input, .open = slave_open, .close = slave_close,
	.packet_event = slave_packet_event, .destroy = slave_destroy,
};

/* --- the master --------------------------------------------------------- */

static bool slave_gone(struct pty *p)
{
	return READ_ONCE(p->slave_opened) && READ_ONCE(p->slave->opens) == 0;
}

static bool master_readable(struct pty *p)
{
	return READ_ONCE(p->head) != READ_ONCE(p->tail) || READ_ONCE(p->slave->packet_flags) || slave_gone(p);
}

/* Packet mode: the control byte, taken; 0 when there is none to tell. */
static u8 take_packet_flags(struct pty *p)
{
	struct tty *t = p->slave;
	GUARD_IRQ(&t->lock);
	u8 flags = t->packet_flags;

	t->packet_flags = 0;
	return flags;
}

static u32 ring_used(struct pty *p)
{
	GUARD_IRQ(&p->lock);
	return p->head - p->tail;
}

static u32 ring_peek(struct pty *p, u8 *out, u32 n)
{
	GUARD_IRQ(&p->lock);
	u32 k = 0;

	while (k < n && p->tail + k != p->head) {
		out[k] = p->ring[(p->tail + k) % PTY_RING];
		k++;
	}
	return k;
}

static void ring_consume(struct pty *p, u32 n)
{
	u64 irq = spin_lock_irq(&p->lock);

	p->tail += n;
	spin_unlock_irq(&p->lock, irq);
}

/* What is there now: bytes, 0 for nothing, -EFAULT.  One reader at a time, by f->pos_lock. */
static i64 master_take(struct pty *p, struct uio *dst)
{
	u8 chunk[512];
	i64 done = 0;

	if (READ_ONCE(p->slave->packet)) {
		u8 control = take_packet_flags(p);

		if ((control || ring_used(p)) && uio_copy_out(dst, &control, 1) == 1)
			done = 1;
		if (control)
			return done ? done : -EFAULT;
	}
	while (dst->resid) {
		u32 k = ring_peek(p, chunk, (u32)MIN(dst->resid, (u64)sizeof(chunk)));

		if (!k)
			break;
		if (uio_copy_out(dst, chunk, k) != k) {
			done = done ? done : -EFAULT;
			break;
		}
		ring_consume(p, k);
		done += k;
	}
	return done;
}

static i64 master_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct pty *p = f->priv;
	i64 done = 0;

	if (!dst->resid)
		return 0;
	for (;;) {
		int err = master_readable(p) ? 0 : f->flags & O_NONBLOCK ? -EAGAIN : waitq_wait_intr(&p->master_wait, master_readable(p));

		if (err)
			return err;
		err = mutex_lock_intr(&f->pos_lock);
		if (err)
			return err;
		done = master_take(p, dst);
		mutex_unlock(&f->pos_lock);
		if (done)
			break;			/* else another reader was faster, or the slave is gone */
		if (slave_gone(p))
			return -EIO;
	}
	if (done > 0)
		tty_output_ready(p->slave);
	return done;
}

static bool slave_takes_input(struct pty *p)
{
	GUARD_IRQ(&p->slave->lock);
	return ldisc_has_room(p->slave);
}

static i64 master_write(struct file *f, struct uio *src, u64 *pos)
{
	struct pty *p = f->priv;
	u8 chunk[256];
	i64 done = 0;

	while (src->resid) {
		u32 n = (u32)uio_copy_in(src, chunk, MIN(src->resid, (u64)sizeof(chunk)));
		u32 k = n ? tty_input(p->slave, chunk, n) : 0;

		if (!n)
			return done ? done : -EFAULT;
		done += k;
		if (k == n)
			continue;
		uio_rewind(src, n - k);
		if (k)
			continue;
		if (f->flags & O_NONBLOCK)
			return done ? done : -EAGAIN;
		int err = waitq_wait_intr(&p->input_wait, slave_takes_input(p));

		if (err)
			return done ? done : err;
	}
	return done;
}

static u32 master_poll(struct file *f, struct poll_table *pt)
{
	struct pty *p = f->priv;
	u32 ev = 0;

	poll_wait(pt, &p->master_wait);
	poll_wait(pt, &p->input_wait);
	if (ring_used(p))
		ev |= POLLIN | POLLRDNORM;
	if (READ_ONCE(p->slave->packet_flags))
		ev |= POLLPRI | POLLIN | POLLRDNORM;
	if (slave_gone(p))
		ev |= POLLHUP;
	if (slave_takes_input(p))
		ev |= POLLOUT | POLLWRNORM;
	return ev;
}

static i64 open_peer(struct pty *p, u64 flags)
{
	char name[32];
	struct file *peer;
	int err;

	fmt_snprintf(name, sizeof(name), "/dev/pts/%u", p->index);
	err = vfs_open(vfs_self(), AT_FDCWD, name, &(struct open_how_k){ .flags = (u32)flags }, &peer);
	if (err)
		return err;
	return fdtable_install(vfs_self()->fds, peer, flags & O_CLOEXEC_FLAG, (u32)vfs_self()->nofile_limit);
}

static i64 set_packet_mode(struct pty *p, bool on)
{
	struct tty *t = p->slave;
	GUARD_IRQ(&t->lock);

	t->packet = on;
	t->packet_flags = 0;
	return 0;
}

static i64 master_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct pty *p = f->priv;
	i32 v;

	switch (cmd) {
	case TIOCGPTN:
		v = (i32)p->index;
		return user_put(UPTR(arg), &v);
	case TIOCSPTLCK:
		if (user_get(&v, UPTR(arg)))
			return -EFAULT;
		WRITE_ONCE(p->locked, v != 0);
		return 0;
	case TIOCGPTLCK:
		v = p->locked;
		return user_put(UPTR(arg), &v);
	case TIOCPKT:
		if (user_get(&v, UPTR(arg)))
			return -EFAULT;
		return set_packet_mode(p, v != 0);
	case TIOCGPKT:
		v = p->slave->packet;
		return user_put(UPTR(arg), &v);
	case TIOCSIG:
		if (arg < 1 || arg > 64)
			return -EINVAL;
		if (tty_foreground(p->slave))
			tty_proc->signal_pgrp(tty_foreground(p->slave), (u32)arg);
		return 0;
	case TIOCGPTPEER:
		return open_peer(p, arg);
	case 0x541b: {		/* FIONREAD: what the master may read */
		v = (i32)ring_used(p);
		return user_put(UPTR(arg), &v);
	}
	default:
		return tty_ioctl_common(p->slave, f, cmd, arg, true);
	}
}

static void master_release(struct file *f)
{
	struct pty *p = f->priv;
	u64 irq = spin_lock_irq(&table_lock);

	table[p->index] = NULL;
	spin_unlock_irq(&table_lock, irq);
	WRITE_ONCE(p->master_open, false);
	devpts_remove(p->index);
	tty_hangup(p->slave);
	tty_put(p->slave);
	pty_put(p);
}

static const struct file_ops master_fops = {
	.read = master_read, .write = master_write, .poll = master_poll, .ioctl = master_ioctl, .release = master_release,
};

static struct pty *pty_create(void)
{
	struct pty *p = kzalloc(sizeof(*p));
	char name[16];

	if (!p)
		return NULL;
	ref_init(&p->refs);
	spin_init(&p->lock, LR_DEV);
	waitq_init(&p->master_wait);
	waitq_init(&p->input_wait);
	p->locked = p->master_open = true;
	u64 irq = spin_lock_irq(&table_lock);

	p->index = (u32)bitmap_find_clear(used, PTY_MAX, 0);
	if (p->index < PTY_MAX)
		bitmap_set(used, p->index);
	spin_unlock_irq(&table_lock, irq);
	fmt_snprintf(name, sizeof(name), "pts/%u", p->index);
	p->slave = p->index < PTY_MAX ? tty_create(&slave_ops, name, dev_make(PTS_MAJOR + p->index / 256, p->index % 256), p) : NULL;
	if (!p->slave) {
		if (p->index < PTY_MAX)
			pty_put(p);
		else
			kfree(p);
		return NULL;
	}
	ref_get(&p->refs);		/* the slave's: given back by slave_destroy */
	p->slave->is_pty = true;
	p->slave->pty_index = p->index;
	return p;
}

static int ptmx_open(struct vnode *vn, struct file *f)
{
	struct pty *p = pty_create();
	int err;

	if (!p)
		return -ENOSPC;
	err = devpts_add(p->index, p->slave->rdev);
	if (err) {
		tty_put(p->slave);
		pty_put(p);
		return err;
	}
	u64 irq = spin_lock_irq(&table_lock);

	table[p->index] = p;
	spin_unlock_irq(&table_lock, irq);
	f->priv = p;
	f->ops = &master_fops;
	f->mode |= FILE_STREAM;
	return 0;
}

/* Opening /dev/pts/N. */
static int pts_open(struct vnode *vn, struct file *f)
{
	u32 index = (dev_major(vn->rdev) - PTS_MAJOR) * 256 + dev_minor(vn->rdev);
	struct tty *t = NULL;
	int err = -EIO;
	u64 irq = spin_lock_irq(&table_lock);

	if (index < PTY_MAX && table[index]) {
		if (!table[index]->locked)
			t = tty_get(table[index]->slave);
	} else {
		err = -ENXIO;
	}
	spin_unlock_irq(&table_lock, irq);
	if (!t)
		return err;
	err = tty_open_tty(t, f);
	tty_put(t);
	return err;
}

static const struct file_ops ptmx_fops = { .open = ptmx_open };
static const struct file_ops pts_fops = { .open = pts_open };
static struct chardev ptmx_dev = { .major = 5, .minor = 2, .count = 1, .name = "ptmx", .ops = &ptmx_fops, .mode = 0666 };
static struct chardev pts_dev = { .major = PTS_MAJOR, .minor = 0, .count = PTY_MAX, .name = NULL, .ops = &pts_fops, .mode = 0620 };

void pty_init(void)
{
	chardev_register(&ptmx_dev);
	chardev_register(&pts_dev);
}
