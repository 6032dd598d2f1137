/* What programs set and ask: policies, affinity, times, load. */
#include <arch/smp.h>
#include <base/bitmap.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/clock.h>
#include <mem/slab.h>
#include "sched_internal.h"

/* Runs body with t off its queue and back on it after; t's queue is rq, locked. */
static void policy_apply(struct runq *rq, struct thread *t, u8 policy, u8 rt_prio, i8 nice) MUST_HOLD(&rq->lock)
{
	bool queued = t->on_queue;

	runq_account(rq, clock_mono_ns());
	if (queued)
		runq_dequeue(rq, t);
	/* A thread that becomes fair starts level with the others. */
	if (thread_is_rt(t))
		t->vruntime = rq->min_vruntime;
	t->policy = policy;
	t->rt_prio = rt_prio;
	t->nice = nice;
	t->weight = runq_weight(policy, nice);
	if (queued)
		runq_enqueue(rq, t, RUNQ_PLACE_TAIL);
}

int sched_set_policy(struct thread *t, u8 policy, u8 rt_prio, i8 nice)
{
	bool rt = policy == SCHED_FIFO || policy == SCHED_RR;
	struct runq *rq;
	bool ipi = false;
	u64 irq;

	if (policy > SCHED_IDLE || policy == 4 || nice < -20 || nice > 19)
		return -EINVAL;
	if (rt ? rt_prio < 1 || rt_prio > 99 : rt_prio != 0)
		return -EINVAL;
	rq = thread_rq_lock(t, &irq);
	policy_apply(rq, t, policy, rt_prio, nice);
	if (rq->current == t || (t->on_queue && runq_preempts(t, rq->current)))
		ipi = sched_poke_locked(rq);
	spin_unlock_irq(&rq->lock, irq);
	if (ipi)
		arch_ipi_reschedule(rq->cpu);
	return 0;
}

/* Moves a queued thread away from a CPU it may not run on any more. */
static void affinity_enforce(struct thread *t)
{
	struct runq *rq;
	bool ipi = false;
	u64 irq;

	rq = thread_rq_lock(t, &irq);
	if (thread_allowed_on(t, rq->cpu) || !(t->on_queue || rq->current == t)) {
		spin_unlock_irq(&rq->lock, irq);
		return;
	}
	if (t->on_queue) {
		/* Not a sleeper while it is on no queue: a waker would queue it too. */
		WRITE_ONCE(t->state, THREAD_RUNNABLE);
		runq_account(rq, clock_mono_ns());
		runq_dequeue(rq, t);
		t->cpu = sched_pick_cpu(t, rq->cpu);
		runq_rebase(rq, cpu_rq(t->cpu), t);
		spin_unlock(&rq->lock);
		sched_place(t, t->cpu, RUNQ_PLACE_WOKEN, WAKE_FAIR);
		irq_restore(irq);
		return;
	}
	/* Running: it leaves at its next preemption point. */
	ipi = sched_poke_locked(rq);
	spin_unlock_irq(&rq->lock, irq);
	if (ipi)
		arch_ipi_reschedule(rq->cpu);
	if (t == thread_current())
		sched_resched_if_needed();
}

int sched_set_affinity(struct thread *t, const u64 *mask, u32 nbits)
{
	u32 words = BITMAP_WORDS(cpu_count());
	u64 *fresh = kzalloc(words * sizeof(u64));
	struct runq *rq;
	bool any = false;
	u64 irq;
	u64 *old;

	if (!fresh)
		return -ENOMEM;
	for_each_cpu(c)
		if (c < nbits && bitmap_test(mask, c)) {
			bitmap_set(fresh, c);
			any |= cpu_rq(c)->online;
		}
	if (!any) {
		kfree(fresh);
		return -EINVAL;
	}
	rq = thread_rq_lock(t, &irq);
	old = t->affinity;
	t->affinity = fresh;
	spin_unlock_irq(&rq->lock, irq);
	kfree(old);
	affinity_enforce(t);
	return 0;
}

void sched_get_affinity(struct thread *t, u64 *mask, u32 nbits)
{
	struct runq *rq;
	u64 irq;

	memset(mask, 0, BITMAP_WORDS(nbits) * sizeof(u64));
	rq = thread_rq_lock(t, &irq);
	for_each_cpu(c)
		if (c < nbits && thread_allowed_on(t, c))
			bitmap_set(mask, c);
	spin_unlock_irq(&rq->lock, irq);
}

/* user/(user + sys) of total without overflow: both are below 2^63, the ratio needs no more than 32 bits. */
static u64 share(u64 total, u64 part, u64 whole)
{
	while (whole >> 32) {
		whole >>= 1;
		part >>= 1;
	}
	if (!whole)
		return total;
	return total / whole * part + total % whole * part / whole;
}

void sched_thread_times(struct thread *t, u64 *user_ns, u64 *sys_ns)
{
	struct runq *rq;
	u64 irq, sys;

	rq = thread_rq_lock(t, &irq);
	if (rq->current == t)
		runq_account(rq, clock_mono_ns());
	/* No sample says "system": it is all user time, as Linux has it. */
	sys = t->run_ns - share(t->run_ns, t->user_ns, t->user_ns + t->sys_ns);
	sys = MAX(sys, t->sys_told);
	if (t->run_ns - sys < t->user_told)
		sys = t->run_ns - t->user_told;
	t->sys_told = sys;
	t->user_told = t->run_ns - sys;
	*user_ns = t->user_told;
	*sys_ns = t->sys_told;
	spin_unlock_irq(&rq->lock, irq);
}

/* ---- load ---- */

#define LOAD_PERIOD_NS (5 * NSEC_PER_SEC)
#define LOAD_ONE       2048u		/* fixed point, 11 bits as in Linux */

static const u32 load_decay[3] = { 1884, 2014, 2037 };	/* 2048 / exp(5 s / 1, 5, 15 min) */
static spinlock_t load_lock = SPINLOCK_INIT(LR_RUNQ);
static u64 load_when;					/* load_lock; also read without as a hint */
static u64 load_avg[3];					/* load_lock */

static u64 count_active(void)
{
	i64 n = 0;

	for_each_cpu(c) {
		struct runq *rq = cpu_rq(c);

		n += READ_ONCE(rq->nr) + (READ_ONCE(rq->current) != &rq->idle) + READ_ONCE(rq->nr_uninterruptible);
	}
	return n > 0 ? (u64)n : 0;
}

/* Catches up with the periods that have passed: there is no tick that would do each on time. */
void sched_load_update(u64 now)
{
	u64 active;
	u64 periods;

	if (now - READ_ONCE(load_when) < LOAD_PERIOD_NS)
		return;
	active = count_active() * LOAD_ONE;
	GUARD_IRQ(&load_lock);
	if ((i64)(now - load_when) < (i64)LOAD_PERIOD_NS)
		return;
	periods = (now - load_when) / LOAD_PERIOD_NS;
	load_when += periods * LOAD_PERIOD_NS;
	periods = MIN(periods, 1000ull);
	for (u32 i = 0; i < 3; i++)
		for (u64 p = 0; p < periods; p++)
			load_avg[i] = (load_avg[i] * load_decay[i] + active * (LOAD_ONE - load_decay[i]) +
				       (active > load_avg[i] ? LOAD_ONE - 1 : 0)) / LOAD_ONE;
}

static void stats_add(struct sched_stats *out, struct runq *rq, u64 now)
{
	GUARD_IRQ(&rq->lock);
	if (rq->online)
		runq_account(rq, now);
	out->switches += rq->switches;
	out->wakeups += rq->wakeups;
	out->steals += rq->steals;
	out->ipis += rq->ipis;
	out->forks += rq->forks;
	out->running += rq->online && rq->current != &rq->idle;
	out->runnable += rq->nr;
	out->delay_ns += rq->delay_ns;
	out->delay_max_ns = MAX(out->delay_max_ns, rq->delay_max_ns);
	out->idle_ns += rq->idle.run_ns;
	u64 user = share(rq->busy_ns, rq->user_sample_ns, rq->user_sample_ns + rq->sys_sample_ns);

	out->user_ns += user;
	out->sys_ns += rq->busy_ns - user;
}

void sched_stats(u32 cpu, struct sched_stats *out)
{
	u64 now = clock_mono_ns();

	*out = (struct sched_stats){ .switches = 0 };
	sched_load_update(now);
	{
		GUARD_IRQ(&load_lock);
		out->load_1 = load_avg[0] << 5;
		out->load_5 = load_avg[1] << 5;
		out->load_15 = load_avg[2] << 5;
	}
	for_each_cpu(c)
		if (cpu == ~0u || cpu == c)
			stats_add(out, cpu_rq(c), now);
	out->runnable += out->running;
}
