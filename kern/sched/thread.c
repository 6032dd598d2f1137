/* Life of threads, and the start of the scheduler. */
#include <arch/cpu.h>
#include <base/bitmap.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/trace.h>
#include <mem/slab.h>
#include "sched_internal.h"

static int affinity_inherit(struct thread *t, struct thread *from)
{
	usize bytes = BITMAP_WORDS(cpu_count()) * sizeof(u64);
	struct runq *rq;
	u64 irq;

	if (!from->affinity)
		return 0;
	t->affinity = kmalloc(bytes);
	if (!t->affinity)
		return -ENOMEM;
	rq = thread_rq_lock(from, &irq);
	memcpy(t->affinity, from->affinity, bytes);
	spin_unlock_irq(&rq->lock, irq);
	return 0;
}

static void thread_defaults(struct thread *t, const char *name)
{
	ref_init(&t->refs);
	if (name)
		str_copy(t->name, name, sizeof(t->name));
	t->policy = SCHED_OTHER;
	t->weight = RUNQ_WEIGHT_NICE0;
	t->state = THREAD_NEW;
	list_init(&t->run_link);
}

int thread_init(struct thread *t, const char *name)
{
	struct thread *cur = thread_current();

	thread_defaults(t, name);
	if (!name)
		memcpy(t->name, cur->name, sizeof(t->name));
	t->cpu = cur->cpu;
	t->policy = cur->policy;
	t->rt_prio = cur->rt_prio;
	t->nice = cur->nice;
	t->weight = cur->weight;
	if (affinity_inherit(t, cur))
		return -ENOMEM;
	t->stack = kstack_alloc();
	if (!t->stack) {
		kfree(t->affinity);
		t->affinity = NULL;
		return -ENOMEM;
	}
	return 0;
}

void thread_put(struct thread *t)
{
	if (likely(!ref_put(&t->refs)))
		return;
	ASSERT(!t->on_cpu && !t->on_queue);
	arch_thread_destroy(&t->arch);
	if (t->stack)
		kstack_free(t->stack);
	kfree(t->affinity);
	if (t->release)
		t->release(t);
}

/* ---- kernel workers ---- */

struct worker {
	struct thread thread;
	void (*fn)(void *arg);
	void *arg;
};

static void worker_main(void *arg)
{
	struct worker *w = arg;

	w->fn(w->arg);
	sched_exit();
}

static void worker_release(struct thread *t)
{
	kfree(container_of(t, struct worker, thread));
}

struct thread *thread_spawn_kernel(const char *name, void (*fn)(void *arg), void *arg)
{
	struct worker *w = kzalloc(sizeof(*w));
	struct thread *t = &w->thread;

	if (!w)
		return NULL;
	w->fn = fn;
	w->arg = arg;
	thread_defaults(t, name);
	t->trace_id = trace_worker_id(name);
	t->cpu = cpu_id();
	t->release = worker_release;
	t->stack = kstack_alloc();
	if (!t->stack) {
		kfree(w);
		return NULL;
	}
	arch_thread_init_kernel(&t->arch, t->stack, worker_main, w);
	sched_start(t);
	return t;
}

/* ---- start ---- */

static struct lockrank_held *held_locks(u32 **count)
{
	struct thread *t = thread_current();

	if (!t)
		return NULL;
	*count = &t->held_locks;
	return t->held;
}

static void idle_thread_init(struct runq *rq, u32 cpu)
{
	struct thread *t = &rq->idle;

	thread_defaults(t, "idle");
	t->policy = SCHED_IDLE;
	t->state = THREAD_RUNNABLE;
	t->cpu = cpu;
	t->arch.fpu_cpu = ~0u;
	rq->current = t;
	*per_cpu_ptr(&cpu_current, cpu) = t;
}

void sched_init(void)
{
	VERIFY_CMP(cpu_count(), <=, SCHED_MAX_CPUS);
	for (u32 c = 0; c < cpu_count(); c++) {
		runq_init(cpu_rq(c), c);
		idle_thread_init(cpu_rq(c), c);
	}
	this_rq()->idle.exec_start_ns = clock_mono_ns();
	this_rq()->online = true;
	timer_init(&this_rq()->slice_timer, sched_slice_fired);
	lockrank_thread_held = held_locks;
}
