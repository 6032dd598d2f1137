/*
 * Deferred freeing by epochs.
 *
 * The worker takes everything deferred so far, raises rcu_epoch and waits until
 * each CPU has stored the new value in rcu_cpu_seen, which it does at quiescent
 * points only (rcu_quiescent(), entry from user mode).  A CPU that stays away
 * from them, idle or in user code, is interrupted.
 */
#include <arch/smp.h>
#include <base/atomic.h>
#include <core/clock.h>
#include <core/panic.h>
#include <core/percpu.h>
#include <core/rcu.h>
#include "upcall.h"

#define STEP_NS (500 * NSEC_PER_USEC)

u64 rcu_epoch = 1;				/* atomic; the worker raises it */
DEFINE_PER_CPU(u64, rcu_cpu_seen) = 1;
static struct rcu_head *deferred;		/* atomic push */
static struct thread *worker;			/* const after rcu_start() */
static bool worker_asleep;			/* atomic */

void rcu_quiescent(void) { this_cpu_write(rcu_cpu_seen, load_acquire(&rcu_epoch)); }

void rcu_defer(struct rcu_head *h, void (*fn)(struct rcu_head *h))
{
	h->fn = fn;
	h->next = __atomic_load_n(&deferred, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&deferred, &h->next, h, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
	if (__atomic_load_n(&worker_asleep, __ATOMIC_SEQ_CST) && worker)
		(void)sched_wake_state(worker, 1u << CORE_THREAD_SLEEP);
}

static bool all_passed(u64 epoch, bool poke)
{
	bool all = true;

	for_each_cpu(c) {
		if (load_acquire(per_cpu_ptr(&rcu_cpu_seen, c)) >= epoch)
			continue;
		all = false;
		if (poke && c != cpu_id())
			arch_ipi_reschedule(c);
	}
	return all;
}

static void wait_for_epoch(u64 epoch)
{
	/* Sleeping is this CPU's own quiescent point.  Others get a while before they are disturbed. */
	for (u32 turn = 0; !all_passed(epoch, turn > 3); turn++)
		(void)sched_sleep_until(clock_mono_ns() + STEP_NS, false);
}

static void wait_for_work(void)
{
	for (;;) {
		__atomic_store_n(&worker_asleep, true, __ATOMIC_SEQ_CST);
		sched_set_state(CORE_THREAD_SLEEP);
		if (__atomic_load_n(&deferred, __ATOMIC_SEQ_CST))
			break;
		sched_block();
	}
	sched_set_state(CORE_THREAD_RUNNABLE);
	__atomic_store_n(&worker_asleep, false, __ATOMIC_SEQ_CST);
}

static void run_batch(struct rcu_head *list)
{
	struct rcu_head *forward = NULL;

	while (list) {			/* pushed newest first: oldest runs first */
		struct rcu_head *next = list->next;

		list->next = forward;
		forward = list;
		list = next;
	}
	while (forward) {
		struct rcu_head *h = forward;

		forward = h->next;
		h->fn(h);
	}
}

static void rcu_worker(void *arg)
{
	for (;;) {
		struct rcu_head *batch;

		wait_for_work();
		batch = __atomic_exchange_n(&deferred, NULL, __ATOMIC_SEQ_CST);
		wait_for_epoch(__atomic_add_fetch(&rcu_epoch, 1, __ATOMIC_SEQ_CST));
		run_batch(batch);
	}
}

void rcu_start(void)
{
	worker = thread_spawn_kernel("rcu", rcu_worker, NULL);
	if (!worker)
		panic_boot("no memory for the rcu worker");
}

struct barrier {
	struct rcu_head head;
	bool done;			/* atomic */
};

static void barrier_done(struct rcu_head *h)
{
	store_release(&container_of(h, struct barrier, head)->done, true);
}

void rcu_barrier(void)
{
	struct barrier b = { .done = false };

	rcu_defer(&b.head, barrier_done);
	while (!load_acquire(&b.done))
		(void)sched_sleep_until(clock_mono_ns() + STEP_NS, false);
}
