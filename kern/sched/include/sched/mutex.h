/*
 * Sleeping locks: mutex and reader/writer lock.  Ranks as spinlocks, class of
 * kind sleep.  Readers and writers take what is free at once; who has waited for
 * 2 ms goes first, so neither starves.  Not recursive.
 * Uncontended paths are one atomic operation.  Context: threads only.
 */
#pragma once

#include <base/atomic.h>
#include <sched/thread.h>
#include <sched/wait.h>

typedef struct CAPABILITY("mutex") mutex {
	u64 owner;		/* thread pointer | 1 when there are waiters; 0: free */
	struct waitq wait;
	u16 rank;
} mutex_t;

typedef struct CAPABILITY("rwlock") rwlock {
	atomic64_t state;	/* see rwlock.c */
	u64 writer;		/* thread that holds it for writing; its own */
	u32 readers_waiting, writers_waiting;	/* wait.lock */
	struct waitq wait;
	u16 rank;
} rwlock_t;

/* rwlock_t.state: rwlock.c says what the bits mean. */
#define RWLOCK_READER  1ll
#define RWLOCK_READERS 0xffffffll
#define RWLOCK_WRITER  (1ll << 24)
#define RWLOCK_RWAIT   (1ll << 25)
#define RWLOCK_WWAIT   (1ll << 26)
#define RWLOCK_RTURN   (1ll << 27)
#define RWLOCK_WTURN   (1ll << 28)

void mutex_init(mutex_t *m, enum lock_rank rank);
MUST_USE bool mutex_try_lock(mutex_t *m) TRY_ACQUIRES(true, *m);
bool mutex_is_held(const mutex_t *m);
static inline void mutex_unshared(const mutex_t *m) ASSERTS_HELD(*m) {}		/* see spin_unshared() */

void rwlock_init(rwlock_t *l, enum lock_rank rank);
MUST_USE bool rwlock_try_read(rwlock_t *l) TRY_ACQUIRES_SHARED(true, *l);
MUST_USE bool rwlock_try_write(rwlock_t *l) TRY_ACQUIRES(true, *l);
bool rwlock_is_held(const rwlock_t *l);			/* either way */
bool rwlock_is_held_write(const rwlock_t *l);
/* A lock that the caller holds by a name that the lock analysis does not know: debug builds check it. */
static inline void rwlock_assert_write(const rwlock_t *l) ASSERTS_HELD(*l) { ASSERT(rwlock_is_held_write(l)); }
static inline void rwlock_unshared(const rwlock_t *l) ASSERTS_HELD(*l) {}	/* see spin_unshared() */

/*
 * *_nested: two of one rank, ordered by the caller.
 * Release builds have one atomic operation where the caller stands, and check nothing.
 * mutex_lock_intr: 0 or -ERESTARTSYS.
 */
#ifdef SAKER_DEBUG
void mutex_lock(mutex_t *m) ACQUIRES(*m);
void mutex_lock_nested(mutex_t *m) ACQUIRES(*m);
MUST_USE int mutex_lock_intr(mutex_t *m) TRY_ACQUIRES(0, *m);
void mutex_unlock(mutex_t *m) RELEASES(*m);
void rwlock_read(rwlock_t *l) ACQUIRES_SHARED(*l);
void rwlock_read_end(rwlock_t *l) RELEASES_SHARED(*l);
void rwlock_write(rwlock_t *l) ACQUIRES(*l);
void rwlock_write_nested(rwlock_t *l) ACQUIRES(*l);
void rwlock_write_end(rwlock_t *l) RELEASES(*l);
#else
MUST_USE int mutex_lock_slow(mutex_t *m, enum thread_state st);	/* 0 or -ERESTARTSYS */
void rwlock_slow(rwlock_t *l, bool write);
void rwlock_wake(rwlock_t *l);

FAST_PATH bool mutex_take_free(mutex_t *m)
{
	u64 free = 0;

	return likely(__atomic_compare_exchange_n(&m->owner, &free, (u64)thread_current(), false, __ATOMIC_SEQ_CST,
						  __ATOMIC_RELAXED));
}
FAST_PATH void mutex_lock(mutex_t *m) ACQUIRES(*m)
{
	if (!mutex_take_free(m))
		(void)!mutex_lock_slow(m, THREAD_SLEEP);
}
FAST_PATH void mutex_lock_nested(mutex_t *m) ACQUIRES(*m) { mutex_lock(m); }
FAST_PATH int mutex_lock_intr(mutex_t *m) TRY_ACQUIRES(0, *m) { return mutex_take_free(m) ? 0 : mutex_lock_slow(m, THREAD_SLEEP_INTR); }
FAST_PATH void mutex_unlock(mutex_t *m) RELEASES(*m)
{
	if (unlikely(__atomic_exchange_n(&m->owner, 0, __ATOMIC_SEQ_CST) & 1))
		waitq_wake_one(&m->wait);
}

/* One try: when it fails for a reader that came or went at this moment, the slow way tries again first. */
FAST_PATH void rwlock_read(rwlock_t *l) ACQUIRES_SHARED(*l)
{
	i64 s = atomic64_read(&l->state);

	if (unlikely(s & (RWLOCK_WRITER | RWLOCK_WTURN)) ||
	    unlikely(!__atomic_compare_exchange_n(&l->state.v, &s, s + RWLOCK_READER, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
		rwlock_slow(l, false);
}
FAST_PATH void rwlock_read_end(rwlock_t *l) RELEASES_SHARED(*l)
{
	i64 s = atomic64_add(&l->state, -RWLOCK_READER);

	if (unlikely(s & (RWLOCK_RWAIT | RWLOCK_WWAIT)) && !(s & RWLOCK_READERS))
		rwlock_wake(l);
}
FAST_PATH void rwlock_write(rwlock_t *l) ACQUIRES(*l)
{
	i64 s = atomic64_read(&l->state);

	if (unlikely(s & (RWLOCK_READERS | RWLOCK_WRITER | RWLOCK_RTURN)) ||
	    unlikely(!__atomic_compare_exchange_n(&l->state.v, &s, s | RWLOCK_WRITER, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
		rwlock_slow(l, true);
	l->writer = (u64)thread_current();
}
FAST_PATH void rwlock_write_nested(rwlock_t *l) ACQUIRES(*l) { rwlock_write(l); }
FAST_PATH void rwlock_write_end(rwlock_t *l) RELEASES(*l)
{
	l->writer = 0;
	if (unlikely(__atomic_fetch_and(&l->state.v, ~RWLOCK_WRITER, __ATOMIC_SEQ_CST) & (RWLOCK_RWAIT | RWLOCK_WWAIT)))
		rwlock_wake(l);
}
#endif

struct guard_mutex { mutex_t *l; };
struct guard_shared { rwlock_t *l; };
struct guard_excl { rwlock_t *l; };
static inline void guard_mutex_drop(struct guard_mutex *g) NO_LOCK_ANALYSIS { mutex_unlock(g->l); }
static inline void guard_shared_drop(struct guard_shared *g) NO_LOCK_ANALYSIS { rwlock_read_end(g->l); }
static inline void guard_excl_drop(struct guard_excl *g) NO_LOCK_ANALYSIS { rwlock_write_end(g->l); }
static inline struct guard_mutex guard_mutex_take(mutex_t *l) ACQUIRES(*l) NO_LOCK_ANALYSIS
{
	mutex_lock(l);
	return (struct guard_mutex){ l };
}
static inline struct guard_shared guard_shared_take(rwlock_t *l) ACQUIRES_SHARED(*l) NO_LOCK_ANALYSIS
{
	rwlock_read(l);
	return (struct guard_shared){ l };
}
static inline struct guard_excl guard_excl_take(rwlock_t *l) ACQUIRES(*l) NO_LOCK_ANALYSIS
{
	rwlock_write(l);
	return (struct guard_excl){ l };
}
/* The second variable is for the lock analysis: see core/lock.h. */
static inline void guard_mutex_note(mutex_t *const *l) RELEASES(**l) NO_LOCK_ANALYSIS {}
static inline void guard_shared_note(rwlock_t *const *l) RELEASES_SHARED(**l) NO_LOCK_ANALYSIS {}
static inline void guard_excl_note(rwlock_t *const *l) RELEASES(**l) NO_LOCK_ANALYSIS {}
#define GUARD_MUTEX(lp)										\
	struct guard_mutex UNIQUE(guard_) __attribute__((cleanup(guard_mutex_drop), unused)) = guard_mutex_take(lp); \
	mutex_t *const UNIQUE(noted_) __attribute__((cleanup(guard_mutex_note), unused)) = (lp)
#define GUARD_SHARED(lp)									\
	struct guard_shared UNIQUE(guard_) __attribute__((cleanup(guard_shared_drop), unused)) = guard_shared_take(lp); \
	rwlock_t *const UNIQUE(noted_) __attribute__((cleanup(guard_shared_note), unused)) = (lp)
#define GUARD_EXCL(lp)										\
	struct guard_excl UNIQUE(guard_) __attribute__((cleanup(guard_excl_drop), unused)) = guard_excl_take(lp); \
	rwlock_t *const UNIQUE(noted_) __attribute__((cleanup(guard_excl_note), unused)) = (lp)
