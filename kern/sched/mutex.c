/*
 * Mutex: owner is the holder's thread pointer, bit 0 says that threads wait.
 * Invariant: if the wait queue is not empty, bit 0 is set or a waiter is awake
 * and about to look again.  A waiter that finds the lock taken sets the bit
 * before it sleeps; unlock clears owner and bit and wakes one.
 */
#include <arch/cpu.h>
#include <base/errno.h>
#include <core/trace.h>
#include <sched/mutex.h>

#define SPINS 200u

static inline u64 self(void)
{
	return (u64)thread_current();
}

void mutex_init(mutex_t *m, enum lock_rank rank)
{
	m->owner = 0;
	m->rank = (u16)rank;
	waitq_init(&m->wait);
}

static inline bool owner_cas(mutex_t *m, u64 old, u64 new)
{
	return __atomic_compare_exchange_n(&m->owner, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* The holder mostly runs on another CPU and is soon done. */
static bool mutex_spin(mutex_t *m)
{
	if (cpu_count() == 1)
		return false;
	for (u32 i = 0; i < SPINS; i++) {
		u64 o = READ_ONCE(m->owner);

		if (!o && owner_cas(m, 0, self()))
			return true;
		if (o & 1)
			return false;
		cpu_relax();
	}
	return false;
}

/* Takes the lock or makes sure that its holder will wake us.  True: taken. */
static bool mutex_take_or_mark(mutex_t *m)
{
	for (;;) {
		u64 o = READ_ONCE(m->owner);

		if (!o) {
			/* Others may wait behind us: keep the bit, an unneeded wake is cheap. */
			if (owner_cas(m, 0, self() | 1))
				return true;
		} else if (o & 1 || owner_cas(m, o, o | 1)) {
			return false;
		}
	}
}

int mutex_lock_slow(mutex_t *m, enum thread_state st);		/* for the inline form, which debug builds do not see */

NOINLINE int mutex_lock_slow(mutex_t *m, enum thread_state st)
{
	struct waiter w;
	int err = 0;

	trace_lock_sleep_begin(m->rank);
	if (mutex_spin(m)) {
		trace_lock_sleep_end();
		return 0;
	}
	waiter_init(&w);
	w.exclusive = true;
	for (;;) {
		waitq_add(&m->wait, &w);
		sched_set_state(st);
		if (mutex_take_or_mark(m))
			break;
		if (st == THREAD_SLEEP_INTR && thread_signal_pending()) {
			err = -ERESTARTSYS;
			break;
		}
		sched_block();
	}
	sched_set_state(THREAD_RUNNABLE);
	waitq_remove(&m->wait, &w);
	trace_lock_sleep_end();
	/* The wake that was ours goes on to the next. */
	if (err)
		waitq_wake_one(&m->wait);
	return err;
}

#ifdef SAKER_DEBUG
static inline int mutex_lock_common(mutex_t *m, bool nested, enum thread_state st)
{
	int err = 0;

	assert_may_sleep();
	ASSERT((READ_ONCE(m->owner) & ~1ull) != self());
	lockrank_acquire(m, m->rank, nested);
	if (unlikely(!owner_cas(m, 0, self())))
		err = mutex_lock_slow(m, st);
	if (err)
		lockrank_release(m, m->rank);
	return err;
}

void mutex_lock(mutex_t *m) NO_LOCK_ANALYSIS
{
	(void)!mutex_lock_common(m, false, THREAD_SLEEP);
}

void mutex_lock_nested(mutex_t *m) NO_LOCK_ANALYSIS
{
	(void)!mutex_lock_common(m, true, THREAD_SLEEP);
}

int mutex_lock_intr(mutex_t *m)
{
	return mutex_lock_common(m, false, THREAD_SLEEP_INTR);
}

void mutex_unlock(mutex_t *m) NO_LOCK_ANALYSIS
{
	u64 old;

	ASSERT(mutex_is_held(m));
	lockrank_release(m, m->rank);
	old = __atomic_exchange_n(&m->owner, 0, __ATOMIC_SEQ_CST);
	if (unlikely(old & 1))
		waitq_wake_one(&m->wait);
}
#endif

bool mutex_try_lock(mutex_t *m)
{
	if (!owner_cas(m, 0, self()))
		return false;
	lockrank_acquire(m, m->rank, true);
	return true;
}

bool mutex_is_held(const mutex_t *m)
{
	return (READ_ONCE(m->owner) & ~1ull) == self();
}
