/*
 * Descriptor tables.
 *
 * A slot is free (used clear), reserved (used set, no file) or open.  Changes
 * are made under t->lock.  Readers: a table with one user is read plainly by
 * that user; any other reader takes a reference under rcu on the file, which may be
 * another one by then (file.c), and looks again.  Grown arrays are freed past rcu; a
 * table never shrinks.
 * The first 64 slots are part of the table's own allocation.
 */
#include "vfs_private.h"
#include <base/bitmap.h>

#define SMALL 64u

struct big {				/* one grown set of arrays */
	struct rcu_head rcu;
	struct file *files[];
};
struct table {
	struct fdtable t;
	struct big *big;		/* NULL: the arrays below */
	u64 small_cloexec, small_used;
	struct file *small[SMALL];
};

static struct slab_cache *table_cache;

static struct table *table_of(struct fdtable *t) { return container_of(t, struct table, t); }

struct fdtable *fdtable_create(void)
{
	struct table *n = slab_zalloc(table_cache);

	if (!n)
		return NULL;
	ref_init(&n->t.refs);
	spin_init(&n->t.lock, LR_FDTABLE);
	n->t.size = SMALL;
	n->t.files = n->small;
	n->t.cloexec = &n->small_cloexec;
	n->t.used = &n->small_used;
	return &n->t;
}

struct fdtable *fdtable_get(struct fdtable *t)
{
	ref_get(&t->refs);
	return t;
}

static struct big *big_alloc(u32 size)
{
	usize words = size / 64;
	struct big *b = kzalloc(sizeof(*b) + size * sizeof(struct file *) + 2 * words * 8);

	return b;
}

static void big_free(struct rcu_head *h)
{
	kfree(container_of(h, struct big, rcu));
}

/* Room for fd.  Called without the lock. */
static int grow(struct fdtable *t, u32 fd)
{
	struct table *n = table_of(t);
	struct big *b, *old;
	u64 *used, *cloexec;
	u32 size = t->size;

	while (size <= fd)
		size *= 2;
	b = big_alloc(size);
	if (!b)
		return -ENOMEM;
	used = (u64 *)&b->files[size];
	cloexec = used + size / 64;
	spin_lock(&t->lock);
	if (t->size > fd) {
		spin_unlock(&t->lock);
		kfree(b);
		return 0;
	}
	memcpy(b->files, t->files, t->size * sizeof(struct file *));
	memcpy(used, t->used, t->size / 8);
	memcpy(cloexec, t->cloexec, t->size / 8);
	old = n->big;
	n->big = b;
	t->used = used;
	t->cloexec = cloexec;
	store_release(&t->files, b->files);
	store_release(&t->size, size);		/* readers load the size first */
	spin_unlock(&t->lock);
	if (old)
		rcu_defer(&old->rcu, big_free);
	return 0;
}

static u32 highest_used(struct fdtable *t)
{
	for (u32 w = t->size / 64; w--; )
		if (t->used[w])
			return w * 64 + 64 - (u32)__builtin_clzll(t->used[w]);
	return 0;
}

static void copy_slots(struct fdtable *n, struct fdtable *t, u32 top)
{
	for (u32 w = 0; w * 64 < top; w++) {
		u64 bits = t->used[w], keep = 0;

		for (u64 left = bits; left; left &= left - 1) {
			u32 b = (u32)__builtin_ctzll(left), fd = w * 64 + b;
			struct file *f = t->files[fd];

			if (!f)
				continue;	/* reserved by another thread: not ours */
			n->files[fd] = file_get(f);
			keep |= 1ull << b;
		}
		n->used[w] = keep;
		n->cloexec[w] = t->cloexec[w] & keep;
	}
}

struct fdtable *fdtable_dup(struct fdtable *t)
{
	struct fdtable *n = fdtable_create();
	u32 top;

	if (!n)
		return NULL;
	for (;;) {
		spin_lock(&t->lock);
		top = highest_used(t);
		if (top <= n->size)
			break;
		spin_unlock(&t->lock);
		if (grow(n, top - 1)) {
			fdtable_put(n);
			return NULL;
		}
	}
	copy_slots(n, t, top);
	n->next_hint = t->next_hint;
	spin_unlock(&t->lock);
	return n;
}

static int close_file(struct fdtable *t, struct file *f)
{
	int err = 0;

	if (f->ops && f->ops->flush)
		err = f->ops->flush(f);
	if (f->vnode && f->vnode->locks && !(f->mode & FILE_PATH))
		file_locks_close(f, t);
	file_put(f);
	return err;
}

void fdtable_put(struct fdtable *t)
{
	struct table *n = table_of(t);

	if (!ref_put(&t->refs))
		return;
	for (u32 w = 0; w < t->size / 64; w++)
		for (u64 left = t->used[w]; left; left &= left - 1) {
			struct file *f = MOVE(t->files[w * 64 + (u32)__builtin_ctzll(left)]);

			if (f)
				(void)close_file(t, f);
		}
	kfree(n->big);
	slab_free(table_cache, n);
}

/* With a reference; it was in slot fd when it had that: the slot is looked at before the array, which may have been replaced. */
static struct file *file_at(struct fdtable *t, u32 fd)
{
	struct file *f = NULL, **files;

	rcu_read_lock();
	while (fd < load_acquire(&t->size)) {
		files = load_acquire(&t->files);
		f = load_acquire(&files[fd]);
		if (!f)
			break;
		if (!ref_try_get(&f->refs))
			continue;
		if (likely(load_acquire(&files[fd]) == f && READ_ONCE(t->files) == files))
			break;
		rcu_read_unlock();
		file_put(f);
		rcu_read_lock();
	}
	rcu_read_unlock();
	return f;
}

struct file *fdtable_file(struct fdtable *t, int fd, bool path_ok)
{
	struct file *f = file_at(t, (u32)fd);

	if (f && !path_ok && (f->mode & FILE_PATH)) {
		file_put(f);
		return NULL;
	}
	return f;
}

struct fd_ref fd_borrow_shared(struct fdtable *t, int fd, bool path_ok)
{
	struct file *f = fdtable_file(t, fd, path_ok);

	return (struct fd_ref){ f, f != NULL };
}

/* Lowest free slot >= min below limit, marked used; lock held.  -EMFILE, -EAGAIN (table too small). */
static int take_slot(struct fdtable *t, u32 min, bool cloexec, u32 limit)
{
	usize fd = MAX(min, t->next_hint);

	if (fd >= t->size || bitmap_test(t->used, fd))	/* behind a close the hint is free itself */
		fd = bitmap_find_clear(t->used, t->size, fd);
	if (fd >= limit)
		return -EMFILE;
	if (fd >= t->size)
		return -EAGAIN;
	bitmap_set(t->used, fd);
	if (cloexec)
		bitmap_set(t->cloexec, fd);
	else
		bitmap_clear(t->cloexec, fd);
	if (min <= t->next_hint)
		t->next_hint = (u32)fd + 1;
	return (int)fd;
}

static int reserve(struct fdtable *t, u32 min, bool cloexec, u32 limit, struct file *f)
{
	int fd, err;

	limit = MIN(limit, FDTABLE_HARD_MAX);
	if (min >= limit)
		return -EMFILE;
	for (;;) {
		spin_lock(&t->lock);
		fd = take_slot(t, min, cloexec, limit);
		if (fd >= 0 && f)
			store_release(&t->files[fd], f);
		spin_unlock(&t->lock);
		if (fd != -EAGAIN)
			return fd;
		err = grow(t, MAX(min, t->size));
		if (err)
			return err;
	}
}

int fdtable_reserve(struct fdtable *t, u32 min, bool cloexec, u32 limit)
{
	return reserve(t, min, cloexec, limit, NULL);
}

int fdtable_install(struct fdtable *t, struct file *f, bool cloexec, u32 limit)
{
	int fd = reserve(t, 0, cloexec, limit, f);

	if (fd < 0)
		file_put(f);
	return fd;
}

void fdtable_fill(struct fdtable *t, int fd, struct file *f)
{
	GUARD_SPIN(&t->lock);
	ASSERT(bitmap_test(t->used, (u32)fd) && !t->files[fd]);
	store_release(&t->files[fd], f);
}

static void free_slot(struct fdtable *t, u32 fd)
{
	bitmap_clear(t->used, fd);
	bitmap_clear(t->cloexec, fd);
	t->next_hint = MIN(t->next_hint, fd);
}

void fdtable_unreserve(struct fdtable *t, int fd)
{
	GUARD_SPIN(&t->lock);
	free_slot(t, (u32)fd);
}

static struct file *detach(struct fdtable *t, u32 fd)
{
	struct file *f;

	GUARD_SPIN(&t->lock);
	if (fd >= t->size)
		return NULL;
	f = t->files[fd];
	if (!f)
		return NULL;
	store_release(&t->files[fd], NULL);
	free_slot(t, fd);
	return f;
}

int fdtable_close(struct fdtable *t, int fd)
{
	struct file *f = detach(t, (u32)fd);

	return f ? close_file(t, f) : -EBADF;
}

int fdtable_dup_to(struct fdtable *t, int from, int to, bool cloexec, u32 limit)
{
	struct file *f, *old;
	int err;

	if ((u32)to >= MIN(limit, FDTABLE_HARD_MAX))
		return -EBADF;
	if ((u32)to >= t->size) {
		err = grow(t, (u32)to);
		if (err)
			return err == -ENOMEM ? -EMFILE : err;
	}
	f = fdtable_file(t, from, true);
	if (!f)
		return -EBADF;
	spin_lock(&t->lock);
	old = t->files[to];
	if (!old && bitmap_test(t->used, (u32)to)) {
		spin_unlock(&t->lock);
		file_put(f);
		return -EBUSY;		/* another thread is opening it just now */
	}
	store_release(&t->files[to], f);
	bitmap_set(t->used, (u32)to);
	if (cloexec)
		bitmap_set(t->cloexec, (u32)to);
	else
		bitmap_clear(t->cloexec, (u32)to);
	spin_unlock(&t->lock);
	if (old)
		(void)close_file(t, old);
	return to;
}

int fdtable_next(struct fdtable *t, u32 from)
{
	GUARD_SPIN(&t->lock);
	while (from < t->size) {
		from = (u32)bitmap_find_set(t->used, t->size, from);
		if (from < t->size && t->files[from])
			return (int)from;
		from++;
	}
	return -1;
}

int fdtable_close_range(struct fdtable *t, u32 first, u32 last, bool cloexec_only)
{
	if (first > last)
		return -EINVAL;
	for (int fd = fdtable_next(t, first); fd >= 0 && (u32)fd <= last; fd = fdtable_next(t, (u32)fd + 1)) {
		if (cloexec_only)
			DISCARD(fdtable_set_cloexec(t, fd, true));
		else
			DISCARD(fdtable_close(t, fd));
	}
	return 0;
}

void fdtable_close_on_exec(struct fdtable *t)
{
	for (u32 w = 0; w < t->size / 64; w++)
		while (t->cloexec[w]) {
			u32 fd = w * 64 + (u32)__builtin_ctzll(t->cloexec[w]);
			struct file *f = detach(t, fd);

			if (f)
				(void)close_file(t, f);
			else
				bitmap_clear(t->cloexec, fd);
		}
}

int fdtable_get_cloexec(struct fdtable *t, int fd)
{
	GUARD_SPIN(&t->lock);
	if ((u32)fd >= t->size || !t->files[fd])
		return -EBADF;
	return bitmap_test(t->cloexec, (u32)fd);
}

int fdtable_set_cloexec(struct fdtable *t, int fd, bool on)
{
	GUARD_SPIN(&t->lock);
	if ((u32)fd >= t->size || !t->files[fd])
		return -EBADF;
	if (on)
		bitmap_set(t->cloexec, (u32)fd);
	else
		bitmap_clear(t->cloexec, (u32)fd);
	return 0;
}

u32 fdtable_count(struct fdtable *t)
{
	u32 n = 0;

	GUARD_SPIN(&t->lock);
	for (u32 w = 0; w < t->size / 64; w++)
		n += (u32)__builtin_popcountll(t->used[w]);
	return n;
}

void fdtable_init(void)
{
	table_cache = slab_cache_create("fdtable", sizeof(struct table), 64);
}
