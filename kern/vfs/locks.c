/*
 * Advisory locks: POSIX records (owner: the descriptor table), OFD records
 * (owner: the open file) and flock (owner: the open file, whole file).
 *
 * locks_lock guards every list here, the global list for /proc/locks and the
 * graph of blocked POSIX owners.  A context hangs off a vnode from its first
 * lock to its end.  Waiters sleep on the context until its generation changes
 * and try again.  Deadlock: before an owner blocks, the chain "who blocks the
 * blocker" is followed; if it comes back to us, -EDEADLK.
 * Records of one owner never overlap and equal neighbours are merged.
 */
#include "vfs_private.h"
#include <base/fmt.h>

enum lock_kind { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };

struct file_lock {
	struct list link;		/* context, sorted by start */
	struct list all;
	struct vnode *vnode;		/* lives as long as its locks */
	const void *owner;
	enum lock_kind kind;
	u32 type, pid;
	u64 start, end;			/* inclusive */
};

struct lock_ctx {
	struct list locks;
	struct waitq wait;
	u32 gen;			/* changes with every release */
};

struct blocked {			/* on the stack of a waiter */
	struct list link;
	const void *owner, *by;
};

static spinlock_t locks_lock = SPINLOCK_INIT(LR_VNODE_STATE);
static struct list all_locks = LIST_INIT(all_locks);
static struct list blocked_list = LIST_INIT(blocked_list);

static struct lock_ctx *context(struct vnode *vn)
{
	struct lock_ctx *n, *c = load_acquire(&vn->locks);

	if (c)
		return c;
	n = kzalloc(sizeof(*n));
	if (!n)
		return NULL;
	list_init(&n->locks);
	waitq_init(&n->wait);
	spin_lock(&locks_lock);
	c = vn->locks;
	if (!c) {
		store_release(&vn->locks, (void *)n);
		c = MOVE(n);
	}
	spin_unlock(&locks_lock);
	kfree(n);
	return c;
}

static void unlink_lock(struct file_lock *l, struct list *dead)
{
	list_remove(&l->link);
	list_remove(&l->all);
	list_push_back(dead, &l->link);
}

static void free_dead(struct list *dead)
{
	struct list *n;

	while ((n = list_pop_front(dead)))
		kfree(list_entry(n, struct file_lock, link));
}

static void insert_sorted(struct lock_ctx *c, struct file_lock *l)
{
	struct file_lock *at;

	list_for_each(at, &c->locks, link)
		if (at->start > l->start)
			break;
	list_insert_before(&at->link, &l->link);
	list_push_back(&all_locks, &l->all);
}

static bool overlap(const struct file_lock *l, u64 start, u64 end)
{
	return l->start <= end && l->end >= start;
}

static bool same_family(enum lock_kind a, enum lock_kind b)
{
	return (a == LOCK_FLOCK) == (b == LOCK_FLOCK);
}

static struct file_lock *conflict(struct lock_ctx *c, const struct file_lock *want)
{
	struct file_lock *l;

	list_for_each(l, &c->locks, link)
		if (same_family(l->kind, want->kind) && (l->owner != want->owner || l->kind != want->kind) &&
		    overlap(l, want->start, want->end) && (l->type == F_WRLCK || want->type == F_WRLCK))
			return l;
	return NULL;
}

static bool deadlock(const void *me, const void *by)
{
	struct blocked *b;

	for (u32 hops = 0; hops < 1000; hops++) {
		const void *next = NULL;

		if (by == me)
			return true;
		list_for_each(b, &blocked_list, link)
			if (b->owner == by)
				next = b->by;
		if (!next)
			return false;
		by = next;
	}
	return false;
}

/* Makes room for [want->start, want->end] among the owner's own records.  spare: for a split, NULL where there can be none.
 * True: spare was used. */
static bool carve(struct lock_ctx *c, struct file_lock *want, struct file_lock *spare, struct list *dead)
{
	struct file_lock *l, *tmp;
	bool used = false;

	list_for_each_safe(l, tmp, &c->locks, link) {
		if (l->kind != want->kind || l->owner != want->owner)
			continue;
		if (l->type == want->type) {
			bool touches = (l->end == ~0ull || l->end + 1 >= want->start) && (want->end == ~0ull || want->end + 1 >= l->start);

			if (!touches)
				continue;
			want->start = MIN(want->start, l->start);
			want->end = MAX(want->end, l->end);
			unlink_lock(l, dead);
			continue;
		}
		if (!overlap(l, want->start, want->end))
			continue;
		if (l->start < want->start && l->end > want->end) {
			*spare = *l;
			spare->start = want->end + 1;
			l->end = want->start - 1;
			insert_sorted(c, spare);
			used = true;
		} else if (l->start < want->start) {
			l->end = want->start - 1;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
			list_remove(&l->link);
			list_remove(&l->all);
			insert_sorted(c, l);
		} else {
			unlink_lock(l, dead);
		}
	}
	return used;
}

/* One attempt; 0 done, -EAGAIN conflict (with *by), -EDEADLK. */
static int try_record(struct lock_ctx *c, struct file_lock **want, struct file_lock **spare, const void **by, struct list *dead)
{
	struct file_lock *w = *want, *l = w->type == F_UNLCK ? NULL : conflict(c, w);

	if (l) {
		*by = l->owner;
		return -EAGAIN;
	}
	if (carve(c, w, *spare, dead))
		*spare = NULL;
	if (w->type != F_UNLCK) {
		insert_sorted(c, w);
		*want = NULL;
	}
	c->gen++;
	return 0;
}

static int record_wait(struct lock_ctx *c, struct file_lock **want, struct file_lock **spare, bool wait, struct list *dead)
{
	const void *by = NULL;

	for (;;) {
		struct blocked b;
		u32 gen;
		int err;

		spin_lock(&locks_lock);
		err = try_record(c, want, spare, &by, dead);
		if (err == -EAGAIN && wait && (*want)->kind == LOCK_POSIX && deadlock((*want)->owner, by))
			err = -EDEADLK;
		if (err != -EAGAIN || !wait) {
			spin_unlock(&locks_lock);
			if (!err)
				waitq_wake_all(&c->wait);
			return err;
		}
		b.owner = (*want)->owner;
		b.by = by;
		if ((*want)->kind == LOCK_POSIX)
			list_push_back(&blocked_list, &b.link);
		else
			list_init(&b.link);
		gen = c->gen;
		spin_unlock(&locks_lock);
		err = waitq_wait_intr(&c->wait, READ_ONCE(c->gen) != gen);
		spin_lock(&locks_lock);
		list_remove(&b.link);
		spin_unlock(&locks_lock);
		if (err)
			return err;
	}
}

static struct file_lock *lock_new(struct file *f, enum lock_kind kind, u32 type, u64 start, u64 end, u32 pid)
{
	struct file_lock *l = kmalloc(sizeof(*l));	/* every field is set here */

	if (!l)
		return NULL;
	list_init(&l->link);
	list_init(&l->all);
	l->vnode = f->vnode;
	l->kind = kind;
	l->type = type;
	l->start = start;
	l->end = end;
	l->pid = pid;
	l->owner = kind == LOCK_POSIX ? (void *)vfs_self()->fds : (void *)f;
	return l;
}

int file_posix_lock(struct file *f, const struct file_lock_req *rq)
{
	enum lock_kind kind = rq->ofd ? LOCK_OFD : LOCK_POSIX;
	bool may_split = rq->start && rq->end != ~0ull;	/* both ends can lie inside a record */
	struct list dead = LIST_INIT(dead);
	struct file_lock *want, *spare = NULL;
	struct lock_ctx *c;
	int err = -ENOMEM;

	if ((rq->type == F_RDLCK && !(f->mode & FILE_READ)) || (rq->type == F_WRLCK && !(f->mode & FILE_WRITE)))
		return -EBADF;
	if (rq->type > F_UNLCK || rq->start > rq->end)
		return -EINVAL;
	if (rq->type == F_UNLCK && !load_acquire(&f->vnode->locks))
		return 0;
	c = context(f->vnode);
	want = lock_new(f, kind, rq->type, rq->start, rq->end, rq->pid);
	if (may_split)
		spare = lock_new(f, kind, rq->type, rq->start, rq->end, rq->pid);
	if (c && want && (spare || !may_split))
		err = record_wait(c, &want, &spare, rq->wait, &dead);
	else
		err = -ENOLCK;
	kfree(want);
	kfree(spare);
	free_dead(&dead);
	return err;
}

int file_posix_test(struct file *f, struct file_lock_req *rq)
{
	struct lock_ctx *c = load_acquire(&f->vnode->locks);
	struct file_lock want = { .kind = rq->ofd ? LOCK_OFD : LOCK_POSIX, .type = rq->type, .start = rq->start, .end = rq->end }, *l;

	if (rq->type > F_WRLCK)
		return -EINVAL;
	want.owner = rq->ofd ? (void *)f : (void *)vfs_self()->fds;
	spin_lock(&locks_lock);
	l = c ? conflict(c, &want) : NULL;
	rq->type = l ? l->type : F_UNLCK;
	if (l) {
		rq->start = l->start;
		rq->end = l->end;
		rq->pid = l->kind == LOCK_OFD ? ~0u : l->pid;
	}
	spin_unlock(&locks_lock);
	return 0;
}

/* Drops every lock of owner with a kind in the mask. */
static void drop_owned(struct vnode *vn, const void *owner, u32 kinds)
{
	struct lock_ctx *c = load_acquire(&vn->locks);
	struct list dead = LIST_INIT(dead);
	struct file_lock *l, *tmp;

	if (!c)
		return;
	spin_lock(&locks_lock);
	list_for_each_safe(l, tmp, &c->locks, link)
		if (l->owner == owner && (kinds >> l->kind & 1))
			unlink_lock(l, &dead);
	if (!list_empty(&dead))
		c->gen++;
	spin_unlock(&locks_lock);
	if (!list_empty(&dead))
		waitq_wake_all(&c->wait);
	free_dead(&dead);
}

int file_flock(struct file *f, u32 op)
{
	struct list dead = LIST_INIT(dead);
	struct file_lock *want, *l, *tmp;
	struct lock_ctx *c;
	u32 type = (op & ~LOCK_NB) == LOCK_EX ? F_WRLCK : F_RDLCK, pid = vfs_self() ? vfs_self()->tgid : 0;
	bool dropped = false;
	int err;

	switch (op & ~LOCK_NB) {
	case LOCK_UN:
		drop_owned(f->vnode, f, 1u << LOCK_FLOCK);
		return 0;
	case LOCK_SH:
	case LOCK_EX:
		break;
	default:
		return -EINVAL;
	}
	c = context(f->vnode);
	want = lock_new(f, LOCK_FLOCK, type, 0, ~0ull, pid);
	if (!c || !want) {
		kfree(want);
		return -ENOLCK;
	}
	/* A conversion gives the old lock up first, as flock(2) says. */
	spin_lock(&locks_lock);
	list_for_each_safe(l, tmp, &c->locks, link)
		if (l->kind == LOCK_FLOCK && l->owner == f) {
			if (l->type == type) {
				spin_unlock(&locks_lock);
				kfree(want);
				return 0;
			}
			unlink_lock(l, &dead);
			c->gen++;
			dropped = true;
		}
	spin_unlock(&locks_lock);
	if (dropped)
		waitq_wake_all(&c->wait);
	free_dead(&dead);
	{
		struct file_lock *spare = NULL;	/* whole-file locks never split */

		err = record_wait(c, &want, &spare, !(op & LOCK_NB), &dead);
	}
	kfree(want);
	free_dead(&dead);
	return err;
}

void file_locks_close(struct file *f, const struct fdtable *owner)
{
	drop_owned(f->vnode, owner, 1u << LOCK_POSIX);
}

void file_locks_release(struct file *f)
{
	drop_owned(f->vnode, f, 1u << LOCK_OFD | 1u << LOCK_FLOCK);
}

void vnode_locks_free(struct vnode *vn)
{
	struct lock_ctx *c = MOVE(vn->locks);
	struct list dead = LIST_INIT(dead);
	struct file_lock *l, *tmp;

	spin_lock(&locks_lock);
	list_for_each_safe(l, tmp, &c->locks, link)
		unlink_lock(l, &dead);
	spin_unlock(&locks_lock);
	free_dead(&dead);
	kfree(c);
}

static void lock_line(const struct file_lock *l, u32 i, char *buf, usize size)
{
	static const char *const kinds[] = { "POSIX ", "OFDLCK", "FLOCK " };
	int n = fmt_scnprintf(buf, size, "%u: %s ADVISORY  %s %d %02x:%02x:%llu ", i, kinds[l->kind],
			      l->type == F_WRLCK ? "WRITE" : "READ ", l->kind == LOCK_OFD ? -1 : (int)l->pid,
			      dev_major(l->vnode->sb->dev), dev_minor(l->vnode->sb->dev), (unsigned long long)l->vnode->ino);

	if (l->end == ~0ull || l->end == INT64_MAX)
		fmt_scnprintf(buf + n, size - (usize)n, "%llu EOF", (unsigned long long)l->start);
	else
		fmt_scnprintf(buf + n, size - (usize)n, "%llu %llu", (unsigned long long)l->start, (unsigned long long)l->end);
}

/* fn is called with the lock held: it only formats into memory. */
void vfs_for_each_lock(bool (*fn)(u32 i, const char *line, void *arg), void *arg)
{
	struct file_lock *l;
	char line[128];
	u32 i = 1;

	GUARD_SPIN(&locks_lock);
	list_for_each(l, &all_locks, all) {
		lock_line(l, i, line, sizeof(line));
		if (!fn(i++, line, arg))
			break;
	}
}
