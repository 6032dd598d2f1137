/*
 * Reader/writer lock.  Whoever finds it free takes it, even past waiters: a
 * lock that is always handed to a sleeper is idle for a wake-up's time at every
 * change of hands.  A waiter that has waited for STARVE_NS says so, and then
 * goes first.
 *
 * state (RWLOCK_*):
 *         READERS   how many hold it for reading
 *         WRITER    held for writing
 *         RWAIT     readers sleep	(with readers_waiting, under wait.lock)
 *         WWAIT     writers sleep	(with writers_waiting, under wait.lock)
 *         RTURN     a reader starves: writers keep out
 *         WTURN     a writer starves: new readers keep out
 * A starving reader passes WTURN, so both bits together are no deadlock.  Who
 * starved clears its bit as it gets in; others set it again when they look next.
 * Every release that leaves the lock free wakes all readers and one writer.
 */
#include <arch/cpu.h>
#include <base/errno.h>
#include <core/clock.h>
#include <core/trace.h>
#include <sched/mutex.h>


#define STARVE_NS 2000000ull
#define SPINS	  200u

void rwlock_init(rwlock_t *l, enum lock_rank rank)
{
	atomic64_set(&l->state, 0);
	l->writer = 0;
	l->readers_waiting = 0;
	l->writers_waiting = 0;
	l->rank = (u16)rank;
	waitq_init(&l->wait);
}

static inline bool state_cas(rwlock_t *l, i64 *old, i64 new)
{
	return __atomic_compare_exchange_n(&l->state.v, old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline void state_or(rwlock_t *l, i64 bits)
{
	(void)__atomic_fetch_or(&l->state.v, bits, __ATOMIC_SEQ_CST);
}

static inline void state_clear(rwlock_t *l, i64 bits)
{
	(void)__atomic_fetch_and(&l->state.v, ~bits, __ATOMIC_SEQ_CST);
}

static inline bool take(rwlock_t *l, bool write, bool starving)
{
	i64 keep_out = write ? RWLOCK_READERS | RWLOCK_WRITER | RWLOCK_RTURN : starving ? RWLOCK_WRITER : RWLOCK_WRITER | RWLOCK_WTURN;
	i64 s = atomic64_read(&l->state);

	do {
		if (s & keep_out)
			return false;
	} while (!state_cas(l, &s, (write ? s | RWLOCK_WRITER : s + RWLOCK_READER) & ~(starving ? (write ? RWLOCK_WTURN : RWLOCK_RTURN) : 0)));
	return true;
}

static void waiting(rwlock_t *l, bool write, i32 by)
{
	GUARD_IRQ(&l->wait.lock);
	u32 *n = write ? &l->writers_waiting : &l->readers_waiting;
	i64 bit = write ? RWLOCK_WWAIT : RWLOCK_RWAIT;

	*n += (u32)by;
	if (*n)
		state_or(l, bit);
	else
		state_clear(l, bit);
}

/* The holder mostly runs on another CPU and is soon done. */
static bool spin(rwlock_t *l, bool write)
{
	for (u32 i = 0; i < SPINS && cpu_count() > 1; i++) {
		if (take(l, write, false))
			return true;
		cpu_relax();
	}
	return false;
}

/* For the inline forms, which debug builds do not see. */
void rwlock_slow(rwlock_t *l, bool write);
void rwlock_wake(rwlock_t *l);

NOINLINE void rwlock_slow(rwlock_t *l, bool write)
{
	bool starving = false;
	struct waiter w;
	u64 since;

	if (take(l, write, false))
		return;
	trace_lock_sleep_begin(l->rank);
	if (spin(l, write)) {
		trace_lock_sleep_end();
		return;
	}
	since = clock_mono_ns();
	waiter_init(&w);
	w.exclusive = write;
	waiting(l, write, 1);
	waitq_add(&l->wait, &w);
	for (;;) {
		sched_set_state(THREAD_SLEEP);
		if (take(l, write, starving))
			break;
		if (!starving && clock_mono_ns() - since > STARVE_NS)
			starving = true;
		if (starving) {
			state_or(l, write ? RWLOCK_WTURN : RWLOCK_RTURN);
			if (take(l, write, true))
				break;
		}
		sched_block();
	}
	sched_set_state(THREAD_RUNNABLE);
	waitq_remove(&l->wait, &w);
	waiting(l, write, -1);
	trace_lock_sleep_end();
}

void rwlock_wake(rwlock_t *l)
{
	waitq_wake_one(&l->wait);	/* all readers (not exclusive) and one writer */
}

#ifdef SAKER_DEBUG
void rwlock_read(rwlock_t *l) NO_LOCK_ANALYSIS
{
	assert_may_sleep();
	lockrank_acquire(l, l->rank, false);
	if (unlikely(!take(l, false, false)))
		rwlock_slow(l, false);
}

void rwlock_read_end(rwlock_t *l) NO_LOCK_ANALYSIS
{
	i64 s;

	lockrank_release(l, l->rank);
	s = atomic64_add(&l->state, -RWLOCK_READER);
	ASSERT((s & RWLOCK_READERS) != RWLOCK_READERS);
	if (unlikely(!(s & RWLOCK_READERS) && s & (RWLOCK_RWAIT | RWLOCK_WWAIT)))
		rwlock_wake(l);
}

static void write_common(rwlock_t *l, bool nested)
{
	assert_may_sleep();
	ASSERT(!rwlock_is_held_write(l));
	lockrank_acquire(l, l->rank, nested);
	if (unlikely(!take(l, true, false)))
		rwlock_slow(l, true);
	l->writer = (u64)thread_current();
}

void rwlock_write(rwlock_t *l) NO_LOCK_ANALYSIS
{
	write_common(l, false);
}

void rwlock_write_nested(rwlock_t *l) NO_LOCK_ANALYSIS
{
	write_common(l, true);
}

void rwlock_write_end(rwlock_t *l) NO_LOCK_ANALYSIS
{
	i64 s;

	ASSERT(rwlock_is_held_write(l));
	l->writer = 0;
	lockrank_release(l, l->rank);
	s = __atomic_fetch_and(&l->state.v, ~RWLOCK_WRITER, __ATOMIC_SEQ_CST);
	if (unlikely(s & (RWLOCK_RWAIT | RWLOCK_WWAIT)))
		rwlock_wake(l);
}
#endif

bool rwlock_try_read(rwlock_t *l)
{
	if (!take(l, false, false))
		return false;
	lockrank_acquire(l, l->rank, true);
	return true;
}

bool rwlock_try_write(rwlock_t *l)
{
	if (!take(l, true, false))
		return false;
	lockrank_acquire(l, l->rank, true);
	l->writer = (u64)thread_current();
	return true;
}

bool rwlock_is_held(const rwlock_t *l)
{
	return atomic64_read(&l->state) & (RWLOCK_READERS | RWLOCK_WRITER);
}

bool rwlock_is_held_write(const rwlock_t *l)
{
	return (atomic64_read(&l->state) & RWLOCK_WRITER) && READ_ONCE(l->writer) == (u64)thread_current();
}
