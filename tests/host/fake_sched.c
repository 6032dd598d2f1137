/*
 * One thread that never sleeps: wait queues call their waiters, a sleep with a
 * deadline moves the clock, a sleep without one is a panic.
 */
#include <base/errno.h>
#include <core/clock.h>
#include <sched/mutex.h>
#include <sched/pressure.h>
#include <test/test.h>

static struct thread host_thread = { .state = THREAD_RUNNABLE, .weight = 1024, .name = "host" };
DEFINE_PER_CPU(struct thread *, cpu_current) = &host_thread;
void (*sched_aspace_switch)(void *prev_aspace, void *next_aspace);

void sched_set_state(enum thread_state s) { host_thread.state = s; }

bool sched_block_until(u64 deadline_ns)
{
	assert_may_sleep();
	if (host_thread.state == THREAD_RUNNABLE)
		return true;
	if (deadline_ns == ~0ull)
		panic("host test would sleep for ever");
	if (deadline_ns > host_clock_ns)
		host_clock_advance(deadline_ns - host_clock_ns);
	if (host_thread.state == THREAD_RUNNABLE)
		return true;
	host_thread.state = THREAD_RUNNABLE;
	return false;
}

void sched_block(void) { (void)sched_block_until(~0ull); }

bool sched_wake_state(struct thread *t, u32 mask)
{
	if (!(mask & 1u << t->state))
		return false;
	t->state = THREAD_RUNNABLE;
	return true;
}

bool sched_wake_handoff(struct thread *t) { return sched_wake(t); }
void sched_yield_cpu(void) {}
void sched_resched_if_needed(void) { assert_may_sleep(); }
void sched_kick(struct thread *t) {}
void thread_put(struct thread *t)
{
	if (ref_put(&t->refs) && t->release)
		t->release(t);
}

void smp_call_others(void (*fn)(void *arg), void *arg) {}
void pressure_memory(bool begins) {}
void smp_call_mask(const u64 *mask, void (*fn)(void *arg), void *arg) {}

int sched_sleep_until(u64 deadline_ns, bool interruptible)
{
	sched_set_state(THREAD_SLEEP_INTR);
	(void)sched_block_until(deadline_ns);
	return 0;
}
