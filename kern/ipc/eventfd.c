/*
 * eventfd(2): a 64-bit counter to wait on.
 * Lock: e->wait.lock is not used for the counter; e->lock (rank FS_PRIV) is.
 */
#include <base/errno.h>
#include <base/string.h>
#include <core/uio.h>
#include <ipc/eventfd.h>
#include <mem/slab.h>
#include "ipc_priv.h"

#define EFD_SEMAPHORE 1u
#define O_NONBLOCK    04000u

struct eventfd {
	spinlock_t lock;
	u64 count GUARDED_BY(&lock);	/* at most 2^64 - 2 */
	bool semaphore;			/* const */
	struct waitq wait;		/* readers and writers */
};

/* Takes what one read gives; 0: nothing there. */
static u64 eventfd_take(struct eventfd *e)
{
	GUARD_SPIN(&e->lock);
	u64 v = e->semaphore && e->count ? 1 : e->count;

	e->count -= v;
	return v;
}

static i64 eventfd_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct eventfd *e = f->priv;
	u64 v;

	if (dst->resid < sizeof(v))
		return -EINVAL;
	while (!(v = eventfd_take(e))) {
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		int err = waitq_wait_intr(&e->wait, READ_ONCE(e->count));

		if (err)
			return err;
	}
	if (waitq_active(&e->wait))
		waitq_wake(&e->wait, ~0u, POLLOUT | POLLWRNORM);
	return uio_put(dst, &v) ? (i64)sizeof(v) : -EFAULT;
}

static bool eventfd_add(struct eventfd *e, u64 v)
{
	GUARD_SPIN(&e->lock);
	if (~0ull - 1 - e->count < v)
		return false;
	e->count += v;
	return true;
}

static i64 eventfd_write(struct file *f, struct uio *src, u64 *pos)
{
	struct eventfd *e = f->priv;
	u64 v;

	if (src->resid < sizeof(v))
		return -EINVAL;
	if (!uio_get(src, &v))
		return -EFAULT;
	if (v == ~0ull)
		return -EINVAL;
	while (!eventfd_add(e, v)) {
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		int err = waitq_wait_intr(&e->wait, ~0ull - 1 - READ_ONCE(e->count) >= v);

		if (err)
			return err;
	}
	if (waitq_active(&e->wait))
		waitq_wake(&e->wait, ~0u, POLLIN | POLLRDNORM);
	return sizeof(v);
}

static u32 eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->priv;
	u64 count;

	poll_wait(pt, &e->wait);
	count = READ_ONCE(e->count);
	return (count ? POLLIN | POLLRDNORM : 0) | (count < ~0ull - 1 ? POLLOUT | POLLWRNORM : 0);
}

static void eventfd_fdinfo(struct file *f, struct seq *s)
{
	struct eventfd *e = f->priv;

	seq_printf(s, "eventfd-count: %16llx\n", (unsigned long long)READ_ONCE(e->count));
}

static void eventfd_release(struct file *f)
{
	kfree(f->priv);
}

static const struct file_ops eventfd_fops = {
	.read = eventfd_read, .write = eventfd_write, .poll = eventfd_poll, .show_fdinfo = eventfd_fdinfo, .release = eventfd_release,
};

int eventfd_create(u32 initial, u32 flags, struct file **out)
{
	if (flags & ~(EFD_SEMAPHORE | O_NONBLOCK | 02000000u))
		return -EINVAL;
	struct eventfd *e = kzalloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	spin_init(&e->lock, LR_FS_PRIV);
	spin_unshared(&e->lock);
	waitq_init(&e->wait);
	e->count = initial;
	e->semaphore = flags & EFD_SEMAPHORE;
	*out = file_create_anon(&eventfd_fops, "anon_inode:[eventfd]", FILE_READ | FILE_WRITE | FILE_STREAM, 2 | (flags & O_NONBLOCK), e);
	if (!*out) {
		kfree(e);
		return -ENOMEM;
	}
	return 0;
}
