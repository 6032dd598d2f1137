/*
 * Moving bytes between files inside the kernel: splice(2), tee(2), vmsplice(2),
 * sendfile(2), copy_file_range(2).  Pipe to pipe moves page references, and so
 * does a file that lends its pages (ops->borrow); what is written to it while they
 * are in a pipe shows there, as on Linux.  Other directions copy once, through a
 * page that becomes (or came from) a slot.
 * At most one pipe mutex is held at a time, except tee and pipe-to-pipe splice,
 * which take both in address order.
 */
#include <base/string.h>
#include <core/uio.h>
#include "pipe_priv.h"

#define SPLICE_NONBLOCK 2u
#define SPLICE_GIFT	8u
#define SPLICE_ALL	15u
#define O_NONBLOCK	04000u
#define O_APPEND	02000u
#define S_IFMT		0170000u
#define S_IFREG		0100000u
#define S_IFDIR		0040000u
#define MAX_RW		0x7ffff000ull
#define LOT		16u		/* pages moved at a time */

/* --- pipe <-> pipe ------------------------------------------------------------ */

static void lock_two(struct pipe *a, struct pipe *b) ACQUIRES(&a->lock, &b->lock) NO_LOCK_ANALYSIS	/* in the order of addresses */
{
	mutex_lock(a < b ? &a->lock : &b->lock);
	mutex_lock_nested(a < b ? &b->lock : &a->lock);
}

static void unlock_two(struct pipe *a, struct pipe *b) RELEASES(&a->lock, &b->lock)
{
	mutex_unlock(&a->lock);
	mutex_unlock(&b->lock);
}

/* Waits (one at a time) until in has data and out has room.  0, 1 end of file, -errno. */
static int wait_both(struct pipe *in, struct pipe *out, bool nonblock)
{
	mutex_lock(&in->lock);
	int err = pipe_wait_data(in, nonblock);

	mutex_unlock(&in->lock);
	if (err)
		return err;
	mutex_lock(&out->lock);
	err = pipe_wait_room(out, nonblock);
	mutex_unlock(&out->lock);
	return err;
}

/* Moves or shares slots; bytes. */
static i64 link_slots(struct pipe *in, struct pipe *out, u64 len, bool move)
{
	i64 done = 0;

	if (in->draining)
		return 0;
	for (u32 i = in->tail; i != in->head && !pipe_full(out) && (u64)done < len && out->readers;) {
		struct pipe_slot *s = pipe_slot_at(in, i);
		u32 n = (u32)MIN((u64)s->len, len - (u64)done);
		bool whole = move && n == s->len;

		if (!whole)
			page_get(s->page);
		*pipe_slot_at(out, out->head) = (struct pipe_slot){ s->page, s->off, n, whole ? s->flags : s->flags & ~SLOT_MERGE };
		WRITE_ONCE(out->head, out->head + 1);
		done += n;
		if (move) {
			s->off += n;
			s->len -= n;
			if (!s->len)
				WRITE_ONCE(in->tail, in->tail + 1);
		}
		i++;
	}
	return done;
}

static i64 pipe_to_pipe(struct pipe *in, struct pipe *out, u64 len, bool nonblock, bool move)
{
	if (in == out)
		return -EINVAL;
	for (;;) {
		int err = wait_both(in, out, nonblock);

		if (err)
			return err == 1 ? 0 : err;
		lock_two(in, out);
		i64 done = link_slots(in, out, len, move);

		unlock_two(in, out);
		if (!done)
			continue;		/* somebody was faster */
		pipe_wake_readers(out);
		if (move)
			pipe_wake_writers(in);
		return done;
	}
}

i64 tee_pipes(struct file *in, struct file *out, u64 len, u32 flags)
{
	struct pipe *a = file_pipe(in), *b = file_pipe(out);

	if (flags & ~SPLICE_ALL)
		return -EINVAL;
	if (!(in->mode & FILE_READ) || !(out->mode & FILE_WRITE))
		return -EBADF;
	if (!a || !b)
		return -EINVAL;
	if (!len)
		return 0;
	return pipe_to_pipe(a, b, len, (flags & SPLICE_NONBLOCK) || ((in->flags | out->flags) & O_NONBLOCK), false);
}

/* --- file -> pipe ---------------------------------------------------------------- */

/* Pages of the file or copied from it, the first byte first in the first page. */
struct lot {
	struct page *page[LOT];
	u32 n, off;			/* pages; where the first one's bytes begin */
};

static void lot_drop(struct lot *l, u32 from)
{
	while (l->n > from)
		page_put(l->page[--l->n]);
}

/* Pages with what lies at *pos: the file's own where it lends them, else one copied page.  Bytes, 0 at end of file, -errno. */
static i64 lot_get(struct lot *l, struct file *in, u64 *pos, u64 len, u32 max)
{
	u64 from = pos ? *pos : in->pos;
	struct uio u;
	i64 n;

	l->n = l->off = 0;
	if (in->ops->borrow) {
		n = file_borrow(in, pos ? pos : &in->pos, len, l->page, max);
		l->off = (u32)(from & (PAGE_SIZE - 1));
		l->n = n > 0 ? (u32)((l->off + (u64)n + PAGE_SIZE - 1) / PAGE_SIZE) : 0;
		return n;
	}
	l->page[0] = page_alloc(0, PAGE_KERNEL, ALLOC_USER);
	if (!l->page[0])
		return -ENOMEM;
	uio_init_kernel(&u, page_addr(l->page[0]), MIN(len, PAGE_SIZE));
	n = file_read(in, &u, pos);
	l->n = 1;
	if (n <= 0)
		lot_drop(l, 0);
	return n;
}

/* A page becomes a slot where there is room.  Bytes (fewer than n: the rest found no room), or why there was none at all. */
static i64 lot_to_pipe(struct lot *l, struct pipe *p, u64 n)
{
	u64 done = 0;
	u32 i = 0;

	mutex_lock(&p->lock);
	/* Room was there before: another writer may have used it up. */
	int err = pipe_wait_room(p, false);

	for (; !err && i < l->n && !pipe_full(p); i++) {
		u32 off = i ? 0 : l->off, len = (u32)MIN(n - done, PAGE_SIZE - off);

		*pipe_slot_at(p, p->head) = (struct pipe_slot){ l->page[i], off, len, 0 };
		WRITE_ONCE(p->head, p->head + 1);
		done += len;
	}
	mutex_unlock(&p->lock);
	lot_drop(l, i);
	if (err)
		return err;
	pipe_wake_readers(p);
	return (i64)done;
}

static i64 file_to_pipe(struct file *in, u64 *pos, struct pipe *p, u64 len, bool nonblock)
{
	u64 *at = pos ? pos : &in->pos;
	i64 done = 0, n = 0;
	struct lot l;

	while ((u64)done < len) {
		mutex_lock(&p->lock);
		n = pipe_wait_room(p, nonblock || done);
		mutex_unlock(&p->lock);
		if (n)
			break;
		i64 got = n = lot_get(&l, in, pos, len - (u64)done, MIN(LOT, READ_ONCE(p->nslots)));

		if (n <= 0)
			break;
		n = lot_to_pipe(&l, p, (u64)got);
		if (n < got)
			*at -= (u64)(got - MAX(n, 0));
		if (n <= 0)
			break;
		done += n;
		if (!in->ops->borrow && (u64)n < PAGE_SIZE)
			break;
	}
	return done ? done : n;
}

/* --- pipe -> file ---------------------------------------------------------------- */

/*
 * Writes the first slot's bytes.  The write may block, so the lock is dropped;
 * p->draining keeps readers away from the slot meanwhile (writers may append to
 * it: off does not move and len only grows).
 */
static i64 drain_slot(struct pipe *p, struct file *out, u64 *pos, u64 len)
{
	struct pipe_slot s;
	struct uio u;

	mutex_lock(&p->lock);
	if (!pipe_has_data(p)) {
		mutex_unlock(&p->lock);
		return 0;
	}
	p->draining = true;
	struct pipe_slot *first = pipe_slot_at(p, p->tail);

	s = *first;
	s.len = (u32)MIN((u64)s.len, len);
	page_get(s.page);
	uio_init_kernel(&u, (u8 *)page_addr(s.page) + s.off, s.len);
	mutex_unlock(&p->lock);
	i64 n = file_write(out, &u, pos);

	mutex_lock(&p->lock);
	page_put(s.page);
	WRITE_ONCE(p->draining, false);
	if (n > 0) {
		first = pipe_slot_at(p, p->tail);
		first->off += (u32)n;
		first->len -= (u32)n;
		if (!first->len) {
			pipe_slot_drop(p, first);
			WRITE_ONCE(p->tail, p->tail + 1);
		}
	}
	mutex_unlock(&p->lock);
	pipe_wake_writers(p);
	waitq_wake(&p->rd_wait, ~0u, 0);	/* readers that were kept away; key 0: no news for epoll */
	return n;
}

static i64 pipe_to_file(struct pipe *p, struct file *out, u64 *pos, u64 len, bool nonblock)
{
	i64 done = 0, n = 0;

	while ((u64)done < len) {
		mutex_lock(&p->lock);
		n = pipe_wait_data(p, nonblock || done);
		mutex_unlock(&p->lock);
		if (n)
			break;
		n = drain_slot(p, out, pos, len - (u64)done);
		if (n < 0)
			break;
		done += n;
	}
	return done ? done : n == 1 ? 0 : n;
}

i64 splice_files(struct file *in, u64 *off_in, struct file *out, u64 *off_out, u64 len, u32 flags)
{
	struct pipe *pin = file_pipe(in), *pout = file_pipe(out);
	bool nonblock = flags & SPLICE_NONBLOCK;

	if (flags & ~SPLICE_ALL)
		return -EINVAL;
	if (!(in->mode & FILE_READ) || !(out->mode & FILE_WRITE))
		return -EBADF;
	if ((pin && off_in) || (pout && off_out))
		return -ESPIPE;
	if (!pin && !pout)
		return -EINVAL;
	if ((off_in && !(in->mode & FILE_PREAD)) || (off_out && !(out->mode & FILE_PREAD)))
		return -EINVAL;
	if (out->flags & O_APPEND && !pout)
		return -EINVAL;
	if (!len)
		return 0;
	len = MIN(len, MAX_RW);
	if (pin && pout)
		return pipe_to_pipe(pin, pout, len, nonblock || ((in->flags | out->flags) & O_NONBLOCK), true);
	if (pout) {
		if (!in->ops->read || in->ops->unspliced || (in->vnode && (in->vnode->mode & S_IFMT) == S_IFDIR))
			return -EINVAL;
		return file_to_pipe(in, off_in, pout, len, nonblock || (out->flags & O_NONBLOCK));
	}
	return out->ops->write ? pipe_to_file(pin, out, off_out, len, nonblock || (in->flags & O_NONBLOCK)) : -EINVAL;
}

i64 vmsplice_user(struct file *pipe, const struct uio_seg *seg, u32 nseg, u32 flags)
{
	struct uio u;

	if (flags & ~SPLICE_ALL)
		return -EINVAL;
	if (!file_pipe(pipe))
		return -EBADF;
	uio_init_user_vec(&u, seg, nseg);
	if (!u.resid)
		return 0;
	/* The pages are copied at once: what the caller does to its memory afterwards is not seen, which vmsplice(2) allows. */
	bool restore = (flags & SPLICE_NONBLOCK) && !(pipe->flags & O_NONBLOCK);

	if (restore)
		bits_set(&pipe->flags, O_NONBLOCK);
	i64 n = pipe->mode & FILE_WRITE ? file_write(pipe, &u, NULL) : file_read(pipe, &u, NULL);

	if (restore)
		bits_clear(&pipe->flags, O_NONBLOCK);
	return n;
}

/* --- file -> file ------------------------------------------------------------------ */

/* Writes n bytes of the lot.  Bytes or -errno. */
static i64 lot_write(const struct lot *l, struct file *out, u64 *opos, u64 n)
{
	struct uio_seg seg[LOT];
	u64 done = 0;
	struct uio u;

	for (u32 i = 0; i < l->n; i++) {
		u64 off = i ? 0 : l->off, len = MIN(n - done, PAGE_SIZE - off);

		seg[i] = (struct uio_seg){ (u64)page_addr(l->page[i]) + off, len };
		done += len;
	}
	uio_init_kernel_vec(&u, seg, l->n);
	return file_write(out, &u, opos);
}

/* Writes what is read, from the pages that the file lends if it does.  Positions advance by what was written.  Bytes or -errno. */
static i64 copy_file(struct file *in, u64 *ipos, struct file *out, u64 *opos, u64 len)
{
	i64 done = 0, n = 0;
	struct lot l;

	while ((u64)done < len) {
		u64 from = *ipos;

		n = lot_get(&l, in, ipos, len - (u64)done, LOT);
		if (n <= 0)
			break;
		i64 want = n;

		n = lot_write(&l, out, opos, (u64)want);
		lot_drop(&l, 0);
		*ipos = from + (u64)(n > 0 ? n : 0);
		if (n <= 0)
			break;
		done += n;
		if (n < want || thread_signal_pending())
			break;
		sched_resched_if_needed();
	}
	return done ? done : n;
}

/* Unlike splice it counts as a write. */
static i64 send_to_pipe(struct file *in, u64 *pos, struct pipe *p, u64 len, bool nonblock)
{
	struct vfs_caller *c = vfs_self();
	i64 n = file_to_pipe(in, pos, p, len, nonblock);

	if (c) {
		c->io.syscw++;
		c->io.wchar += (u64)MAX(n, 0);
	}
	return n;
}

i64 sendfile_files(struct file *out, struct file *in, u64 *off, u64 len)
{
	u64 pos = off ? *off : in->pos;

	if (!(in->mode & FILE_READ) || !(out->mode & FILE_WRITE))
		return -EBADF;
	if (!(in->mode & FILE_PREAD))
		return off ? -ESPIPE : -EINVAL;
	if (out->flags & O_APPEND && !file_pipe(out))
		return -EINVAL;
	if (in->ops->unspliced)
		return -EINVAL;
	/* Never from a terminal or another character device: a short read there is an answer. */
	if (in->vnode && (in->vnode->mode & S_IFMT) != S_IFREG && (in->vnode->mode & S_IFMT) != S_IFBLK)
		return -EINVAL;
	struct pipe *p = file_pipe(out);
	i64 n = p ? send_to_pipe(in, &pos, p, MIN(len, MAX_RW), out->flags & O_NONBLOCK)
		  : copy_file(in, &pos, out, NULL, MIN(len, MAX_RW));

	if (n >= 0) {
		if (off)
			*off = pos;
		else
			in->pos = pos;
	}
	return n;
}

static int check_copy(struct file *in, struct file *out, u64 ipos, u64 opos, u64 len)
{
	u32 it = in->vnode ? in->vnode->mode & S_IFMT : 0, ot = out->vnode ? out->vnode->mode & S_IFMT : 0;

	if (it == S_IFDIR || ot == S_IFDIR)
		return -EISDIR;
	if (it != S_IFREG || ot != S_IFREG)
		return -EINVAL;
	if (!(in->mode & FILE_READ) || !(out->mode & FILE_WRITE) || (out->flags & O_APPEND))
		return -EBADF;
	if (ipos + len < ipos || opos + len < opos)
		return -EOVERFLOW;
	if (in->vnode == out->vnode && ipos < opos + len && opos < ipos + len)
		return -EINVAL;
	return 0;
}

i64 copy_file_range_files(struct file *in, u64 *off_in, struct file *out, u64 *off_out, u64 len, u32 flags)
{
	u64 ipos = off_in ? *off_in : in->pos, opos = off_out ? *off_out : out->pos;

	if (flags)
		return -EINVAL;
	if (in->vnode && ipos < in->vnode->object.size)
		len = MIN(len, in->vnode->object.size - ipos);
	int err = check_copy(in, out, ipos, opos, len);

	if (err)
		return err;
	if (in->vnode->sb != out->vnode->sb && in->vnode->sb->type != out->vnode->sb->type)
		return -EXDEV;
	i64 n = copy_file(in, &ipos, out, &opos, MIN(len, MAX_RW));

	if (n >= 0) {
		*(off_in ? off_in : &in->pos) = ipos;
		*(off_out ? off_out : &out->pos) = opos;
	}
	return n;
}
