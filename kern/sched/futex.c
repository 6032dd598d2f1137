/*
 * The futex core: see futex.h.
 *
 * A waiter lives on its thread's stack and is on one bucket's list until a
 * waker unlinks it (woken = true) or it unlinks itself.  waiter->bucket changes
 * only under both buckets' locks (requeue).  A waker takes a reference on the
 * thread before it sets woken and wakes after unlocking: once woken is set the
 * waiter may return, and its thread may even end.
 */
#include <arch/upcall.h>
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/string.h>
#include <mem/slab.h>
#include <sched/futex.h>

#define WAKE_BATCH	 16u
#define FUTEX_BUCKETS	 256u
#define FUTEX_WAITV_MAX	 128u
#define FAULT_WRITE	 2u		/* hardware's error code of a kernel write */

struct bucket {
	spinlock_t lock;		/* rank FUTEX_BUCKET */
	struct list waiters GUARDED_BY(&lock);
} ALIGNED(64);

struct futex_waiter {
	struct list link;		/* bucket's lock */
	struct bucket *bucket;
	struct futex_key key;		/* bucket's lock */
	u32 bitset;
	bool woken;			/* release/acquire */
	struct thread *thread;
};

struct wake_batch {
	u32 n;
	struct thread *thread[WAKE_BATCH];
};

static struct bucket *buckets;

void futex_init(void)
{
	buckets = kzalloc(FUTEX_BUCKETS * sizeof(struct bucket));
	VERIFY(buckets);
	for (u32 i = 0; i < FUTEX_BUCKETS; i++) {
		spin_init(&buckets[i].lock, LR_FUTEX_BUCKET);
		spin_unshared(&buckets[i].lock);
		list_init(&buckets[i].waiters);
	}
}

static struct bucket *bucket_of(const struct futex_key *k)
{
	return &buckets[hash_u64(k->object + hash_u64(k->offset)) % FUTEX_BUCKETS];
}

static bool key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->offset == b->offset && a->shared == b->shared;
}

static void lock_pair(struct bucket *a, struct bucket *b) ACQUIRES(&a->lock, &b->lock) NO_LOCK_ANALYSIS	/* may be one */
{
	spin_lock(a <= b ? &a->lock : &b->lock);
	if (a != b)
		spin_lock_nested(a <= b ? &b->lock : &a->lock);
}

static void unlock_pair(struct bucket *a, struct bucket *b) RELEASES(&a->lock, &b->lock) NO_LOCK_ANALYSIS
{
	if (a != b)
		spin_unlock(a <= b ? &b->lock : &a->lock);
	spin_unlock(a <= b ? &a->lock : &b->lock);
}

static void batch_wake(struct wake_batch *b)
{
	for (u32 i = 0; i < b->n; i++) {
		sched_wake(b->thread[i]);
		thread_put(b->thread[i]);
	}
	b->n = 0;
}

/* Bucket locked. */
static void waiter_release(struct futex_waiter *w, struct wake_batch *b)
{
	b->thread[b->n++] = thread_get(w->thread);
	list_remove(&w->link);
	store_release(&w->woken, true);
}

/* Releases up to n waiters of key, or a batch full. */
static u32 release_some(struct bucket *bk, const struct futex_key *key, u32 n, u32 bitset, struct wake_batch *b)
	MUST_HOLD(&bk->lock)
{
	struct futex_waiter *w, *tmp;
	u32 done = 0;

	list_for_each_safe(w, tmp, &bk->waiters, link) {
		if (done == n || b->n == WAKE_BATCH)
			break;
		if (!(w->bitset & bitset) || !key_equal(&w->key, key))
			continue;
		waiter_release(w, b);
		done++;
	}
	return done;
}

u32 futex_wake(const struct futex_key *key, u32 n, u32 bitset)
{
	struct bucket *bk = bucket_of(key);
	struct wake_batch batch = { .n = 0 };
	u32 total = 0;
	u32 done;

	/* The caller changed the word before; a waiter checks it after it is on the list. */
	memory_fence();
	if (list_empty_hint(&bk->waiters))
		return 0;
	do {
		spin_lock(&bk->lock);
		done = release_some(bk, key, n - total, bitset, &batch);
		spin_unlock(&bk->lock);
		total += done;
		batch_wake(&batch);
	} while (done == WAKE_BATCH && total < n);
	return total;
}

static void waiter_init_futex(struct futex_waiter *w, const struct futex_key *key, u32 bitset)
{
	*w = (struct futex_waiter){ .key = *key, .bitset = bitset, .thread = thread_current() };
	list_init(&w->link);
}

/*
 * Puts w on its bucket if *uaddr == val.  0, -EAGAIN, or -EFAULT.  It is on the
 * list before the word is read: the reader of futex_wake()'s unlocked look
 * relies on that.
 */
static int waiter_queue(struct futex_waiter *w, uptr_t uaddr, u32 val)
{
	u32 cur;
	int err;

	for (;;) {
		struct bucket *bk = bucket_of(&w->key);

		spin_lock(&bk->lock);
		w->bucket = bk;
		list_push_back(&bk->waiters, &w->link);
		memory_fence();
		err = user_load_u32_nofault(uaddr, &cur);
		if (!err && cur == val) {
			spin_unlock(&bk->lock);
			return 0;
		}
		list_remove(&w->link);
		spin_unlock(&bk->lock);
		if (!err)
			return -EAGAIN;
		err = user_get(&cur, uaddr);
		if (err)
			return err;
	}
}

/* True: it was still queued, nobody woke it. */
static bool waiter_unqueue(struct futex_waiter *w)
{
	for (;;) {
		struct bucket *bk = READ_ONCE(w->bucket);
		bool queued;

		if (load_acquire(&w->woken))
			return false;
		spin_lock(&bk->lock);
		if (bk != w->bucket) {
			spin_unlock(&bk->lock);
			continue;
		}
		queued = list_linked(&w->link);
		list_remove(&w->link);
		spin_unlock(&bk->lock);
		return queued;
	}
}

/* Sleeps until any() or a signal or the deadline.  0, -ERESTARTSYS, -ETIMEDOUT; the caller asks again who woke it. */
static int futex_sleep(const struct futex_waiter *w, u32 n, u64 deadline_ns)
{
	int err = 0;
	bool woken = false;

	while (!woken && !err) {
		sched_set_state(THREAD_SLEEP_INTR);
		for (u32 i = 0; i < n; i++)
			woken |= load_acquire(&w[i].woken);
		if (woken)
			break;
		if (thread_signal_pending())
			err = -ERESTARTSYS;
		else if (!sched_block_until(deadline_ns))
			err = -ETIMEDOUT;
	}
	sched_set_state(THREAD_RUNNABLE);
	return err;
}

int futex_wait(const struct futex_key *key, uptr_t uaddr, u32 val, u32 bitset, u64 deadline_ns)
{
	struct futex_waiter w;
	int err;

	waiter_init_futex(&w, key, bitset);
	err = waiter_queue(&w, uaddr, val);
	if (err)
		return err;
	err = futex_sleep(&w, 1, deadline_ns);
	/* A wake that came with the signal or the deadline wins: its sender counted it. */
	return waiter_unqueue(&w) ? err : 0;
}

/* Moves up to n waiters of from to to's bucket. */
static u32 requeue_some(struct bucket *bf, struct bucket *bt, const struct futex_key *from, const struct futex_key *to, u32 n)
	MUST_HOLD(&bf->lock, &bt->lock)
{
	struct futex_waiter *w, *tmp;
	struct list moved;
	u32 done = 0;

	list_init(&moved);
	list_for_each_safe(w, tmp, &bf->waiters, link) {
		if (done == n)
			break;
		if (!key_equal(&w->key, from))
			continue;
		list_remove(&w->link);
		list_push_back(&moved, &w->link);
		w->key = *to;
		w->bucket = bt;
		done++;
	}
	list_splice_back(&bt->waiters, &moved);
	return done;
}

i64 futex_requeue(const struct futex_key *from, uptr_t uaddr, const struct futex_key *to, u32 nwake, u32 nmove, bool cmp, u32 val)
{
	struct bucket *bf = bucket_of(from);
	struct bucket *bt = bucket_of(to);
	struct wake_batch batch = { .n = 0 };
	i64 total = 0;

	for (;;) {
		u32 cur = val;
		u32 woken;

		lock_pair(bf, bt);
		if (cmp && user_load_u32_nofault(uaddr, &cur)) {
			unlock_pair(bf, bt);
			if (user_get(&cur, uaddr))	/* makes it present */
				return -EFAULT;
			continue;
		}
		if (cur != val) {
			unlock_pair(bf, bt);
			return total ? total : -EAGAIN;
		}
		woken = release_some(bf, from, nwake, ~0u, &batch);
		nwake -= woken;
		total += woken;
		if (batch.n < WAKE_BATCH || !nwake) {
			total += requeue_some(bf, bt, from, to, nmove);
			unlock_pair(bf, bt);
			batch_wake(&batch);
			return total;
		}
		unlock_pair(bf, bt);
		batch_wake(&batch);
	}
}

static bool wake_op_compare(u32 how, u32 old, i32 arg)
{
	switch (how) {
	case 0: return (i32)old == arg;
	case 1: return (i32)old != arg;
	case 2: return (i32)old < arg;
	case 3: return (i32)old <= arg;
	case 4: return (i32)old > arg;
	default: return (i32)old >= arg;
	}
}

i64 futex_wake_op(const struct futex_key *k1, const struct futex_key *k2, uptr_t uaddr2, u32 nwake, u32 nwake2, u32 op)
{
	u32 code = op >> 28 & 7, how = op >> 24 & 15;
	i32 arg = (i32)(op << 8) >> 20, cmp_arg = (i32)(op << 20) >> 20;
	u32 operand = op >> 31 ? 1u << (arg & 31) : (u32)arg;
	struct bucket *b1 = bucket_of(k1), *b2 = bucket_of(k2);
	u32 old;
	i64 total;
	int err;

	if (how > 5)
		return -ENOSYS;
	for (;;) {
		lock_pair(b1, b2);
		err = user_futex_op_nofault(uaddr2, code, operand, &old);
		unlock_pair(b1, b2);
		if (!err)
			break;
		if (err != -EFAULT)
			return err;
		/* Make it present and writable, then again. */
		if (!user_range_ok(uaddr2, sizeof(old)) || vm_fault_user(uaddr2.v, FAULT_WRITE, false))
			return -EFAULT;
	}
	total = futex_wake(k1, nwake, ~0u);
	if (wake_op_compare(how, old, cmp_arg))
		total += futex_wake(k2, nwake2, ~0u);
	return total;
}

/* Takes the first n waiters off their buckets; index of the first that had been woken, or -1. */
static i64 waitv_unqueue(struct futex_waiter *w, u32 n)
{
	i64 woken = -1;

	for (u32 i = 0; i < n; i++)
		if (!waiter_unqueue(&w[i]) && woken < 0)
			woken = i;
	return woken;
}

i64 futex_waitv(const struct futex_key *keys, const uptr_t *uaddrs, const u32 *vals, u32 n, u64 deadline_ns)
{
	struct futex_waiter *w;
	u32 queued = 0;
	i64 woken;
	int err = 0;

	if (!n || n > FUTEX_WAITV_MAX)
		return -EINVAL;
	w = kmalloc(n * sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (; queued < n && !err; queued += !err) {
		waiter_init_futex(&w[queued], &keys[queued], ~0u);
		err = waiter_queue(&w[queued], uaddrs[queued], vals[queued]);
	}
	if (!err)
		err = futex_sleep(w, n, deadline_ns);
	woken = waitv_unqueue(w, queued);
	kfree(w);
	return woken >= 0 ? woken : err;
}
