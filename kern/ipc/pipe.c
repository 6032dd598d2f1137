/*
 * Pipes and FIFOs: pipe(7), fifo(7).
 *
 * A ring of slots, each a piece of one page.  A write of at most PIPE_BUF bytes
 * lands in one step: it is appended to the last slot or takes one fresh slot,
 * so no other write can come between.  Invariants: 1. head - tail <= nslots.
 * 2. every slot in [tail, head) has len > 0 and holds one page reference.
 * Wake-ups happen on the edges only (empty -> data, full -> room); a reader
 * that leaves data behind wakes the next one, as waits are exclusive.
 */
#include <arch/usercopy.h>
#include <base/string.h>
#include <core/uio.h>
#include <mem/page.h>
#include "pipe_priv.h"

#define O_ACCMODE  3u
#define O_NONBLOCK 04000u
#define O_DIRECT   040000u
#define S_IFIFO	   0010000u
#define FIONREAD   0x541bu

u32 sysctl_pipe_max_size = 1u << 20;

static struct slab_cache *pipe_cache;
static struct superblock *pipe_sb;	/* const after boot */
static const struct file_ops pipe_fops;

struct pipe *file_pipe(struct file *f)
{
	return f->ops == &pipe_fops ? f->priv : NULL;
}

bool file_is_pipe(struct file *f)
{
	return file_pipe(f);
}

static struct pipe *pipe_alloc(void)
{
	struct pipe *p = slab_zalloc(pipe_cache);

	if (!p)
		return NULL;
	p->slots = kzalloc(PIPE_DEFAULT_SLOTS * sizeof(*p->slots));
	if (!p->slots) {
		slab_free(pipe_cache, p);
		return NULL;
	}
	p->nslots = PIPE_DEFAULT_SLOTS;
	mutex_init(&p->lock, LR_PIPE);
	waitq_init(&p->rd_wait);
	waitq_init(&p->wr_wait);
	fasync_init(&p->rd_async);
	fasync_init(&p->wr_async);
	return p;
}

static void pipe_free_rcu(struct rcu_head *h)
{
	slab_free(pipe_cache, container_of(h, struct pipe, rcu));
}

/* The struct stays a little: who left just before may still be at the end of its mutex_unlock(). */
static void pipe_free(struct pipe *p)
{
	for (u32 i = p->tail; i != p->head; i++)
		page_put(pipe_slot_at(p, i)->page);
	if (p->spare)
		page_put(p->spare);
	kfree(p->slots);
	rcu_defer(&p->rcu, pipe_free_rcu);
}

void pipe_slot_drop(struct pipe *p, struct pipe_slot *s)
{
	if ((s->flags & SLOT_MERGE) && !p->spare && page_refs(s->page) == 1)
		p->spare = s->page;
	else
		page_put(s->page);
	s->page = NULL;
}

void pipe_wake_readers(struct pipe *p)
{
	if (waitq_active(&p->rd_wait))
		waitq_wake_handoff(&p->rd_wait, POLLIN | POLLRDNORM);
}

void pipe_wake_writers(struct pipe *p)
{
	if (waitq_active(&p->wr_wait))
		waitq_wake(&p->wr_wait, 1, POLLOUT | POLLWRNORM);
}

static struct page *new_page(struct pipe *p) MUST_HOLD(&p->lock)
{
	struct page *pg = MOVE(p->spare);

	return pg ? pg : page_alloc(0, PAGE_KERNEL, ALLOC_USER);
}

/* --- waiting ------------------------------------------------------------ */

int pipe_wait_data(struct pipe *p, bool nonblock)
{
	while (!pipe_has_data(p)) {
		if (pipe_over(p))
			return 1;
		if (nonblock)
			return -EAGAIN;
		mutex_unlock(&p->lock);
		int err = waitq_wait_intr_excl(&p->rd_wait, pipe_has_data(p) || pipe_over(p));

		mutex_lock(&p->lock);
		if (err && !pipe_has_data(p))
			return pipe_over(p) ? 1 : err;
	}
	return 0;
}

int pipe_wait_room(struct pipe *p, bool nonblock)
{
	for (;;) {
		if (!p->readers) {
			if (vfs_sigpipe_hook)
				vfs_sigpipe_hook();
			return -EPIPE;
		}
		if (!pipe_full(p))
			return 0;
		if (nonblock)
			return -EAGAIN;
		mutex_unlock(&p->lock);
		int err = waitq_wait_intr_excl(&p->wr_wait, !pipe_full(p) || !READ_ONCE(p->readers));

		mutex_lock(&p->lock);
		if (err && pipe_full(p) && p->readers)
			return err;
	}
}

/* --- read and write ----------------------------------------------------- */

static i64 read_slots(struct pipe *p, struct uio *dst) MUST_HOLD(&p->lock)
{
	i64 done = 0;

	while (dst->resid && !pipe_empty(p)) {
		struct pipe_slot *s = pipe_slot_at(p, p->tail);
		bool packet = s->flags & SLOT_PACKET;
		u64 want = MIN((u64)s->len, dst->resid);
		u64 k = uio_copy_out(dst, (u8 *)page_addr(s->page) + s->off, want);

		done += (i64)k;
		s->off += (u32)k;
		s->len -= (u32)k;
		if (k < want)
			return done ? done : -EFAULT;
		if (!s->len || packet) {
			pipe_slot_drop(p, s);
			WRITE_ONCE(p->tail, p->tail + 1);
		}
		if (packet)
			break;
	}
	return done;
}

static i64 pipe_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct pipe *p = f->priv;

	if (!dst->resid)
		return 0;
	mutex_lock(&p->lock);
	bool slept = !pipe_has_data(p);
	i64 ret = pipe_wait_data(p, f->flags & O_NONBLOCK);

	if (ret) {
		mutex_unlock(&p->lock);
		return ret == 1 ? 0 : ret;
	}
	bool was_full = pipe_full(p);

	ret = read_slots(p, dst);
	bool pass_on = slept && !pipe_empty(p);	/* only who used up a wake-up passes it on: epoll's edges stay true */

	mutex_unlock(&p->lock);
	if (was_full && ret >= 0)
		pipe_wake_writers(p);
	if (ret > 0)
		fasync_notify(&p->wr_async, POLLOUT | POLLWRNORM);
	if (pass_on)
		pipe_wake_readers(p);
	return ret;
}

/* Appends to the last slot when all of the odd part fits.  Bytes or -EFAULT. */
static i64 merge_tail(struct pipe *p, struct uio *src) MUST_HOLD(&p->lock)
{
	u32 odd = (u32)(src->resid & (PAGE_SIZE - 1));

	if (!odd || pipe_empty(p))
		return 0;
	struct pipe_slot *s = pipe_slot_at(p, p->head - 1);

	if (!(s->flags & SLOT_MERGE) || s->off + s->len + odd > PAGE_SIZE)
		return 0;
	u64 k = uio_copy_in(src, (u8 *)page_addr(s->page) + s->off + s->len, odd);

	if (k < odd) {
		uio_rewind(src, k);
		return -EFAULT;
	}
	s->len += odd;
	return odd;
}

/* One fresh slot with up to a page of data.  Bytes or -errno. */
static i64 add_slot(struct pipe *p, struct uio *src, bool packet) MUST_HOLD(&p->lock)
{
	struct page *pg = new_page(p);
	u64 want = MIN(src->resid, PAGE_SIZE), k;

	if (!pg)
		return -ENOMEM;
	k = uio_copy_in(src, page_addr(pg), want);
	if (k < want) {
		uio_rewind(src, k);
		if (p->spare)
			page_put(pg);
		else
			p->spare = pg;
		return -EFAULT;
	}
	*pipe_slot_at(p, p->head) = (struct pipe_slot){ pg, 0, (u32)k, packet ? SLOT_PACKET : SLOT_MERGE };
	WRITE_ONCE(p->head, p->head + 1);
	return (i64)k;
}

static i64 write_locked(struct pipe *p, struct file *f, struct uio *src) MUST_HOLD(&p->lock)
{
	bool packet = f->flags & O_DIRECT;
	i64 done = 0, k = 0;

	if (!p->readers)
		return pipe_wait_room(p, true);
	if (!packet)
		done = k = merge_tail(p, src);
	while (k >= 0 && src->resid) {
		if (pipe_full(p) || !p->readers) {
			if (done)
				pipe_wake_readers(p);
			k = pipe_wait_room(p, f->flags & O_NONBLOCK);
			if (k)
				break;
		}
		bool was_empty = pipe_empty(p);

		k = add_slot(p, src, packet);
		if (k > 0)
			done += k;
		if (was_empty && src->resid && pipe_full(p))
			pipe_wake_readers(p);
	}
	return done > 0 ? done : k;
}

static i64 pipe_write(struct file *f, struct uio *src, u64 *pos)
{
	struct pipe *p = f->priv;

	if (!src->resid)
		return 0;
	mutex_lock(&p->lock);
	bool slept = pipe_full(p);
	i64 ret = write_locked(p, f, src);
	bool pass_on = slept && !pipe_full(p);

	mutex_unlock(&p->lock);
	if (ret > 0) {
		pipe_wake_readers(p);
		fasync_notify(&p->rd_async, POLLIN | POLLRDNORM);
	}
	if (pass_on)
		pipe_wake_writers(p);
	return ret;
}

static u32 pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->priv;
	u32 ev = 0;

	if (f->mode & FILE_READ) {
		poll_wait(pt, &p->rd_wait);
		if (!pipe_empty(p))
			ev |= POLLIN | POLLRDNORM;
		if (!READ_ONCE(p->writers) && f->f_version != READ_ONCE(p->w_opens))
			ev |= POLLHUP;
	}
	if (f->mode & FILE_WRITE) {
		poll_wait(pt, &p->wr_wait);
		if (!pipe_full(p))
			ev |= POLLOUT | POLLWRNORM;
		if (!READ_ONCE(p->readers))
			ev |= POLLERR;
	}
	return ev;
}

static i64 pipe_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct pipe *p = f->priv;
	i32 n = 0;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->lock);
	for (u32 i = p->tail; i != p->head; i++)
		n += (i32)pipe_slot_at(p, i)->len;
	mutex_unlock(&p->lock);
	return user_put(UPTR(arg), &n);
}

static void pipe_fasync(struct file *f, bool on)
{
	struct pipe *p = f->priv;

	if (f->mode & FILE_READ)
		fasync_set(&p->rd_async, f, on);
	else
		fasync_set(&p->wr_async, f, on);
}

/* True: that was the last user of the struct. */
static bool pipe_leave(struct pipe *p, u32 mode)
{
	GUARD_MUTEX(&p->lock);
	p->readers -= !!(mode & FILE_READ);
	p->writers -= !!(mode & FILE_WRITE);
	if (--p->files == 0)
		return true;
	/* Under the lock: without it the struct may go with the file at the other end. */
	waitq_wake_all(&p->rd_wait);
	waitq_wake_all(&p->wr_wait);
	return false;
}

static bool fifo_leave(struct vnode *vn, struct pipe *p, u32 mode)
{
	GUARD_EXCL(&vn->lock);
	bool last = pipe_leave(p, mode);

	if (last && vn->pipe == p)
		vn->pipe = NULL;
	return last;
}

/* Drops one open file; the struct goes with the last, and a FIFO forgets it. */
static void pipe_release(struct file *f)
{
	struct pipe *p = f->priv;

	if (f->vnode ? fifo_leave(f->vnode, p, f->mode) : pipe_leave(p, f->mode))
		pipe_free(p);
}

static const struct file_ops pipe_fops = {
	.read = pipe_read, .write = pipe_write, .poll = pipe_poll, .ioctl = pipe_ioctl, .fasync = pipe_fasync, .release = pipe_release,
};

/* --- pipe2 -------------------------------------------------------------- */

int pipe_create(u32 flags, struct file **rd, struct file **wr)
{
	struct pipe *p = pipe_alloc();
	struct vnode *vn = p ? vnode_create(pipe_sb, 0, S_IFIFO | 0600, NULL, &fifo_fops) : NULL;
	struct file *r, *w;

	if (!vn) {
		if (p)
			pipe_free(p);
		return -ENOMEM;
	}
	vn->uid = vfs_self() ? vfs_self()->cred->fsuid : 0;
	vn->gid = vfs_self() ? vfs_self()->cred->fsgid : 0;
	vn->pipe = p;			/* /proc/PID/fd opens it like a FIFO */
	p->files = 2;
	p->readers = p->writers = 1;
	r = file_create_vnode(vnode_get(vn), &pipe_fops, "pipe", FILE_READ | FILE_STREAM, flags & (O_NONBLOCK | O_DIRECT), p);
	w = file_create_vnode(vnode_get(vn), &pipe_fops, "pipe", FILE_WRITE | FILE_STREAM, (flags & (O_NONBLOCK | O_DIRECT)) | 1, p);
	vnode_put(vn);
	if (r && w) {
		r->f_version = ~0ull;		/* always hangs up when the last writer goes */
		*rd = r;
		*wr = w;
		return 0;
	}
	if (!r && !w)
		pipe_free(p);
	else
		p->files = 1;			/* the release below frees it */
	if (r)
		file_put(r);
	if (w)
		file_put(w);
	return -ENOMEM;
}

/* --- FIFOs --------------------------------------------------------------- */

/*
 * Finds or makes the FIFO's pipe and counts this file in.  *alone: the other end was not open at that moment; *seen: how
 * often it had been.  Both belong to one look under the lock: an other end that comes and goes right after is not missed.
 */
static int fifo_attach(struct vnode *vn, struct file *f, bool *alone, u32 *seen)
{
	bool rd = f->mode & FILE_READ, wr = f->mode & FILE_WRITE;
	GUARD_EXCL(&vn->lock);
	struct pipe *p = vn->pipe;

	if (wr && !rd && (f->flags & O_NONBLOCK) && vn->sb != pipe_sb && (!p || !READ_ONCE(p->readers)))
		return -ENXIO;
	if (!p)
		p = vn->pipe = pipe_alloc();
	if (!p)
		return -ENOMEM;
	f->priv = p;
	mutex_lock(&p->lock);
	*alone = rd ? !p->writers : !p->readers;
	*seen = rd ? p->w_opens : p->r_opens;
	p->files++;
	if (f->mode & FILE_READ) {
		p->readers++;
		p->r_opens++;
	}
	if (f->mode & FILE_WRITE) {
		p->writers++;
		p->w_opens++;
	}
	f->f_version = p->writers ? ~0ull : p->w_opens;
	mutex_unlock(&p->lock);
	return 0;
}

static int fifo_open(struct vnode *vn, struct file *f)
{
	bool rd = f->mode & FILE_READ, wr = f->mode & FILE_WRITE;
	bool alone;
	u32 seen;
	int err = fifo_attach(vn, f, &alone, &seen);
	struct pipe *p = f->priv;

	if (err)
		return err;
	alone &= vn->sb != pipe_sb;		/* nobody need come to the other end of a pipe that has no name */
	f->mode = (f->mode & ~FILE_PREAD) | FILE_STREAM;
	waitq_wake_all(&p->rd_wait);
	waitq_wake_all(&p->wr_wait);
	if (rd && !wr && !(f->flags & O_NONBLOCK)) {
		if (alone)
			err = waitq_wait_intr(&p->rd_wait, READ_ONCE(p->w_opens) != seen);
		f->f_version = ~0ull;
	} else if (wr && !rd && alone) {
		err = waitq_wait_intr(&p->wr_wait, READ_ONCE(p->r_opens) != seen);
	}
	if (err)
		pipe_release(f);
	else
		f->ops = &pipe_fops;		/* from here on file_put() releases it */
	return err;
}

/* --- sizes ---------------------------------------------------------------- */

i64 pipe_get_size(struct file *f)
{
	struct pipe *p = file_pipe(f);

	return p ? (i64)p->nslots * (i64)PAGE_SIZE : -EBADF;
}

i64 pipe_set_size(struct file *f, u32 bytes)
{
	struct pipe *p = file_pipe(f);
	u32 n = 1;
	i64 ret;

	if (!p)
		return -EBADF;
	if (bytes > 1u << 31)
		return -EINVAL;
	while (n < DIV_ROUND_UP(bytes, PAGE_SIZE))
		n <<= 1;
	if (n * PAGE_SIZE > READ_ONCE(sysctl_pipe_max_size) && !cred_can(vfs_self()->cred, CAP_SYS_RESOURCE))
		return -EPERM;
	struct pipe_slot *slots = kzalloc(n * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	mutex_lock(&p->lock);
	u32 fill = p->head - p->tail;

	if (fill > n) {
		ret = -EBUSY;
	} else {
		for (u32 i = 0; i < fill; i++)
			slots[i] = *pipe_slot_at(p, p->tail + i);
		struct pipe_slot *old = p->slots;

		p->slots = slots;
		p->nslots = n;
		p->tail = 0;
		p->head = fill;
		slots = old;
		ret = (i64)n * (i64)PAGE_SIZE;
	}
	mutex_unlock(&p->lock);
	kfree(slots);
	if (ret > 0) {
		waitq_wake_all(&p->wr_wait);
		waitq_wake_all(&p->rd_wait);	/* who looked while the positions moved may have seen an empty ring */
	}
	return ret;
}

static struct fs_type pipefs_type = { .name = "pipefs", .nodev = true };

void pipe_init(void)
{
	pipe_cache = slab_cache_create("pipe", sizeof(struct pipe), 0);
	pipe_sb = superblock_create(&pipefs_type, 0);
	VERIFY(pipe_sb);
	pipe_sb->magic = 0x50495045;
	fifo_open_hook = fifo_open;
}
