/* Sleeping locks of the one thread: a lock that is not free is a deadlock. */
#include <sched/mutex.h>
#include <test/test.h>

void mutex_init(mutex_t *m, enum lock_rank rank) { *m = (mutex_t){ .rank = (u16)rank }; }

bool mutex_try_lock(mutex_t *m)
{
	if (m->owner)
		return false;
	m->owner = 1;
	return true;
}

void mutex_lock(mutex_t *m)
{
	assert_may_sleep();
	if (!mutex_try_lock(m))
		panic("mutex of rank %u: deadlock", m->rank);
}

void mutex_lock_nested(mutex_t *m) { mutex_lock(m); }

int mutex_lock_intr(mutex_t *m)
{
	mutex_lock(m);
	return 0;
}

void mutex_unlock(mutex_t *m)
{
	if (!m->owner)
		panic("mutex of rank %u is not held", m->rank);
	m->owner = 0;
}

bool mutex_is_held(const mutex_t *m) { return m->owner; }

void rwlock_init(rwlock_t *l, enum lock_rank rank) { *l = (rwlock_t){ .rank = (u16)rank }; }

bool rwlock_try_read(rwlock_t *l)
{
	if (l->state.v < 0)
		return false;
	l->state.v++;
	return true;
}

bool rwlock_try_write(rwlock_t *l)
{
	if (l->state.v)
		return false;
	l->state.v = -1;
	return true;
}

void rwlock_read(rwlock_t *l)
{
	assert_may_sleep();
	if (!rwlock_try_read(l))
		panic("rwlock of rank %u: deadlock of a reader", l->rank);
}

void rwlock_write(rwlock_t *l)
{
	assert_may_sleep();
	if (!rwlock_try_write(l))
		panic("rwlock of rank %u: deadlock of a writer", l->rank);
}

void rwlock_write_nested(rwlock_t *l) { rwlock_write(l); }

void rwlock_read_end(rwlock_t *l)
{
	if (--l->state.v < 0)
		panic("rwlock of rank %u is not held for reading", l->rank);
}

void rwlock_write_end(rwlock_t *l)
{
	if (l->state.v++ != -1)
		panic("rwlock of rank %u is not held for writing", l->rank);
}

bool rwlock_is_held(const rwlock_t *l) { return l->state.v != 0; }
bool rwlock_is_held_write(const rwlock_t *l) { return l->state.v < 0; }
