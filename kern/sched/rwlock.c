/*
 * Reader/writer lock, phase-fair: writers go before new readers, but a writer
 * that leaves lets those readers in that wait already.  So neither starves.
 *
 * state:  READERS   how many hold it for reading
 *         WRITER    held for writing
 *         RWAIT     readers sleep (readers_waiting > 0)
 *         RTURN     it is the waiting readers' turn: they pass waiting writers
 *         WWAIT     how many writers wait
 * readers_waiting, RWAIT and RTURN change together under wait.lock; the last
 * waiting reader that gets in ends the turn.
 */
#include <base/errno.h>
#include <sched/mutex.h>

#define READER	  1ll
#define READERS	  0xffffffll
#define WRITER	  (1ll << 24)
#define RWAIT	  (1ll << 25)
#define RTURN	  (1ll << 26)
#define WWAIT_ONE (1ll << 32)
#define WWAIT	  (~0ll << 32)

void rwlock_init(rwlock_t *l, enum lock_rank rank)
{
	atomic64_set(&l->state, 0);
	l->writer = 0;
	l->readers_waiting = 0;
	l->rank = (u16)rank;
	waitq_init(&l->wait);
}

static inline bool state_cas(rwlock_t *l, i64 old, i64 new)
{
	return __atomic_compare_exchange_n(&l->state.v, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static inline void state_or(rwlock_t *l, i64 bits)
{
	(void)__atomic_fetch_or(&l->state.v, bits, __ATOMIC_SEQ_CST);
}

static inline void state_clear(rwlock_t *l, i64 bits)
{
	(void)__atomic_fetch_and(&l->state.v, ~bits, __ATOMIC_SEQ_CST);
}

/* waited: this reader is one of readers_waiting and may use their turn. */
static bool read_take(rwlock_t *l, bool waited)
{
	i64 s = atomic64_read(&l->state);

	for (;;) {
		if (s & WRITER || ((s & WWAIT) && !(waited && s & RTURN)))
			return false;
		if (__atomic_compare_exchange_n(&l->state.v, &s, s + READER, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return true;
	}
}

static void reader_waits(rwlock_t *l, bool begin)
{
	GUARD_IRQ(&l->wait.lock);
	if (begin) {
		if (l->readers_waiting++ == 0)
			state_or(l, RWAIT);
	} else if (--l->readers_waiting == 0) {
		state_clear(l, RWAIT | RTURN);
	}
}

static void rwlock_wake(rwlock_t *l)
{
	waitq_wake_one(&l->wait);	/* all readers (not exclusive) and one writer */
}

static NOINLINE void read_slow(rwlock_t *l)
{
	struct waiter w;

	waiter_init(&w);
	reader_waits(l, true);
	waitq_add(&l->wait, &w);
	for (;;) {
		sched_set_state(THREAD_SLEEP);
		if (read_take(l, true))
			break;
		sched_block();
	}
	sched_set_state(THREAD_RUNNABLE);
	waitq_remove(&l->wait, &w);
	reader_waits(l, false);
}

static bool write_take(rwlock_t *l, i64 waiting)
{
	i64 s = atomic64_read(&l->state);

	for (;;) {
		if (s & (READERS | WRITER | RTURN))
			return false;
		if (__atomic_compare_exchange_n(&l->state.v, &s, (s | WRITER) - waiting, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED))
			return true;
	}
}

static NOINLINE void write_slow(rwlock_t *l)
{
	struct waiter w;

	waiter_init(&w);
	w.exclusive = true;
	(void)__atomic_fetch_add(&l->state.v, WWAIT_ONE, __ATOMIC_SEQ_CST);
	waitq_add(&l->wait, &w);
	for (;;) {
		sched_set_state(THREAD_SLEEP);
		if (write_take(l, WWAIT_ONE))
			break;
		sched_block();
	}
	sched_set_state(THREAD_RUNNABLE);
	waitq_remove(&l->wait, &w);
}

void rwlock_read(rwlock_t *l)
{
	assert_may_sleep();
	lockrank_acquire(l, l->rank, false);
	if (unlikely(!read_take(l, false)))
		read_slow(l);
}

bool rwlock_try_read(rwlock_t *l)
{
	if (!read_take(l, false))
		return false;
	lockrank_acquire(l, l->rank, true);
	return true;
}

void rwlock_read_end(rwlock_t *l)
{
	i64 s;

	lockrank_release(l, l->rank);
	s = atomic64_add(&l->state, -READER);
	ASSERT((s & READERS) != READERS);
	if (unlikely(!(s & READERS) && s & WWAIT))
		rwlock_wake(l);
}

static void write_common(rwlock_t *l, bool nested)
{
	assert_may_sleep();
	ASSERT(!rwlock_is_held_write(l));
	lockrank_acquire(l, l->rank, nested);
	if (unlikely(!state_cas(l, 0, WRITER)))
		write_slow(l);
	l->writer = (u64)thread_current();
}

void rwlock_write(rwlock_t *l)
{
	write_common(l, false);
}

void rwlock_write_nested(rwlock_t *l)
{
	write_common(l, true);
}

bool rwlock_try_write(rwlock_t *l)
{
	if (!write_take(l, 0))
		return false;
	lockrank_acquire(l, l->rank, true);
	l->writer = (u64)thread_current();
	return true;
}

void rwlock_write_end(rwlock_t *l)
{
	ASSERT(rwlock_is_held_write(l));
	l->writer = 0;
	lockrank_release(l, l->rank);
	if (likely(state_cas(l, WRITER, 0)))
		return;
	{
		GUARD_IRQ(&l->wait.lock);
		if (l->readers_waiting)
			state_or(l, RTURN);
		state_clear(l, WRITER);
	}
	rwlock_wake(l);
}

bool rwlock_is_held(const rwlock_t *l)
{
	return atomic64_read(&l->state) & (READERS | WRITER);
}

bool rwlock_is_held_write(const rwlock_t *l)
{
	return (atomic64_read(&l->state) & WRITER) && READ_ONCE(l->writer) == (u64)thread_current();
}
