/* See sched/stop.h.  One stop at a time (stop_lock); `held` is the number of the stop in force, 0: none. */
#include <arch/cpu.h>
#include <base/bitmap.h>
#include <base/errno.h>
#include <core/clock.h>
#include <mem/slab.h>
#include <sched/mutex.h>
#include <sched/stop.h>

#include "runq.h"
#include "sched_internal.h"

static mutex_t stop_lock;
static struct waitq stop_wait = WAITQ_INIT(stop_wait);
static u64 held;				/* stop_lock to write */
static u64 last_stop;				/* stop_lock */
static DEFINE_PER_CPU(u64, parked_in);		/* the last stop that this CPU was parked for */
static DEFINE_PER_CPU(bool, has_parker);	/* its own; const after sched_stop_init() */

static void park(u64 stop)
{
	this_cpu_write(parked_in, stop);
	memory_fence();
	for (u32 n = 1; READ_ONCE(held) == stop; n++)
		cpu_spin(n);
}

static void parker(void *arg)
{
	u64 seen = 0;

	/* A thread goes where its affinity says when it wakes. */
	while (cpu_id() != (u32)(u64)arg)
		DISCARD(sched_sleep_until(clock_mono_ns() + NSEC_PER_MSEC, false));
	this_cpu_write(has_parker, true);
	for (;;) {
		waitq_wait(&stop_wait, READ_ONCE(held) && READ_ONCE(held) != seen);
		seen = READ_ONCE(held);
		if (seen)
			park(seen);
	}
}

static int parker_start(u32 cpu, u64 *mask)
{
	struct thread *t;
	int err;

	if (!READ_ONCE(cpu_rq(cpu)->online))
		return 0;
	t = thread_spawn_kernel("stop", parker, (void *)(u64)cpu);
	if (!t)
		return -ENOMEM;
	bitmap_set(mask, cpu);
	err = sched_set_affinity(t, mask, cpu_count());
	bitmap_clear(mask, cpu);
	if (!err)
		err = sched_set_policy(t, SCHED_FIFO, 99, 0);
	while (!err && !READ_ONCE(*per_cpu_ptr(&has_parker, cpu)))
		DISCARD(sched_sleep_until(clock_mono_ns() + NSEC_PER_MSEC, false));
	return err;
}

int sched_stop_init(void)
{
	u64 *mask = kzalloc(BITMAP_WORDS(cpu_count()) * sizeof(u64));
	int err = mask ? 0 : -ENOMEM;

	mutex_init(&stop_lock, LR_STOP);
	for_each_cpu(c)
		if (!err)
			err = parker_start(c, mask);
	kfree(mask);
	return err;
}

static bool all_parked(u64 stop)
{
	for_each_cpu(c)
		if (c != cpu_id() && *per_cpu_ptr(&has_parker, c) && READ_ONCE(*per_cpu_ptr(&parked_in, c)) != stop)
			return false;
	return true;
}

void sched_stop_others(void) ACQUIRES(&stop_lock)
{
	mutex_lock(&stop_lock);
	u64 stop = ++last_stop;

	WRITE_ONCE(held, stop);
	memory_fence();
	waitq_wake_all(&stop_wait);
	for (u32 n = 1; !all_parked(stop); n++)
		cpu_spin(n);
}

void sched_resume_others(void) RELEASES(&stop_lock)
{
	WRITE_ONCE(held, 0);
	mutex_unlock(&stop_lock);
}
