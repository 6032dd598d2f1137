/*
 * Which CPU runs what: the choice at wake-up, idle CPUs, stealing, slices.
 *
 * An idle CPU shows itself in sched_idle_mask; a waker that picks it clears the
 * bit, so that two wakers pick two CPUs.  rq->halted says that it waits for an
 * interrupt: set before the last look at TF_RESCHED, so that either the waker
 * sees halted and sends an IPI, or the idle loop sees the flag.
 */
#include <arch/smp.h>
#include <arch/trap.h>
#include <arch/upcall.h>
#include <base/bitmap.h>
#include <core/clock.h>
#include <core/irq.h>
#include <core/rcu.h>
#include <mem/mem.h>
#include "sched_internal.h"

#define STEAL_AGE_NS	100000ull	/* a hand-off that nobody took up within this may be stolen */
#define LONE_MIN_NS	4000000ull	/* sampling while one thread runs alone: from here, doubling, to ... */
#define LONE_MAX_NS	128000000ull
#define BALANCE_SLICES	16u

u64 sched_idle_mask[SCHED_MAX_CPUS / 64];

static bool idle_claim(u32 cpu)
{
	u64 bit = 1ull << (cpu % 64);

	if (!(READ_ONCE(sched_idle_mask[cpu / 64]) & bit))
		return false;
	return __atomic_fetch_and(&sched_idle_mask[cpu / 64], ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* Claims an idle CPU that t may run on; ~0: none.  Starts behind `after` to spread the load. */
static u32 idle_find(const struct thread *t, u32 after)
{
	u32 n = cpu_count();

	for (u32 w = 0; w <= n / 64 && w < ARRAY_LEN(sched_idle_mask); w++)
		if (READ_ONCE(sched_idle_mask[w]))
			goto some;
	return ~0u;
some:
	for (u32 i = 1; i <= n; i++) {
		u32 c = (after + i) % n;

		if ((!t || thread_allowed_on(t, c)) && idle_claim(c))
			return c;
	}
	return ~0u;
}

static u32 busy_count(const struct runq *rq)
{
	return READ_ONCE(rq->nr) + (READ_ONCE(rq->current) != &rq->idle);
}

static u32 least_busy(const struct thread *t, u32 prefer)
{
	u32 best = ~0u, best_n = ~0u;

	for_each_cpu(c) {
		u32 n;

		if (!cpu_rq(c)->online || !thread_allowed_on(t, c))
			continue;
		n = busy_count(cpu_rq(c)) * 2 + (c != prefer);
		if (n < best_n) {
			best = c;
			best_n = n;
		}
	}
	/* sched_set_affinity() refuses masks without an online CPU, and CPUs never leave. */
	return best == ~0u ? prefer : best;
}

u32 sched_pick_cpu(struct thread *t, u32 prefer)
{
	u32 c;

	if (cpu_count() == 1)
		return 0;
	if (thread_allowed_on(t, prefer) && idle_claim(prefer))
		return prefer;
	c = idle_find(t, prefer);
	if (c != ~0u)
		return c;
	if (thread_allowed_on(t, prefer) && cpu_rq(prefer)->online && READ_ONCE(cpu_rq(prefer)->nr) < 2)
		return prefer;
	return least_busy(t, prefer);
}

/* ---- stealing and balancing ---- */

static void lock_two(struct runq *a, struct runq *b) ACQUIRES(&a->lock, &b->lock) NO_LOCK_ANALYSIS	/* in the order of addresses */
{
	spin_lock(a < b ? &a->lock : &b->lock);
	spin_lock_nested(a < b ? &b->lock : &a->lock);
}

/* Moves one queued thread; both locked. */
static bool move_one(struct runq *from, struct runq *to, u64 queued_before) MUST_HOLD(&from->lock, &to->lock)
{
	struct thread *t = runq_movable(from, to->cpu, queued_before);
	u64 now;

	if (!t)
		return false;
	now = clock_mono_ns();
	runq_account(from, now);		/* before the queues' lengths change */
	runq_account(to, now);
	runq_detach(from, t);
	t->cpu = to->cpu;
	runq_enqueue(to, t, RUNQ_PLACE_MOVED);
	return true;
}

bool sched_steal(struct runq *rq)
{
	struct runq *victim = NULL;
	u64 irq, now = clock_mono_ns();
	u32 most = 0;
	bool got;

	for_each_cpu(c) {
		u32 n = READ_ONCE(cpu_rq(c)->nr);

		if (c != rq->cpu && n > most) {
			most = n;
			victim = cpu_rq(c);
		}
	}
	if (!victim)
		return false;
	irq = irq_save();
	lock_two(rq, victim);
	got = move_one(victim, rq, victim->next_hint ? now - STEAL_AGE_NS : now);
	rq->steals += got;
	spin_unlock(&victim->lock);
	spin_unlock(&rq->lock);
	irq_restore(irq);
	return got;
}

void sched_kick_idle(struct runq *busy)
{
	u32 c = idle_find(NULL, busy->cpu);
	struct runq *rq;
	bool ipi;

	if (c == ~0u)
		return;
	rq = cpu_rq(c);
	spin_lock(&rq->lock);
	ipi = sched_poke_locked(rq);
	spin_unlock(&rq->lock);
	if (ipi)
		arch_ipi_reschedule(c);
}

/*
 * With no idle CPU, three equal threads on two CPUs would share 1/2, 1/2, 1.
 * Now and then a queued thread goes to a CPU with fewer, even by one, so
 * that everyone is in the crowded place in turn.  Interrupts off.
 */
void sched_balance(struct runq *rq)
{
	struct runq *other = NULL;
	u32 least = busy_count(rq);
	bool poke = false;

	for_each_cpu(c) {
		struct runq *o = cpu_rq(c);

		if (o != rq && o->online && busy_count(o) < least) {
			least = busy_count(o);
			other = o;
		}
	}
	if (!other)
		return;
	lock_two(rq, other);
	if (busy_count(other) < busy_count(rq) && move_one(rq, other, ~0ull)) {
		poke = other->current == &other->idle || other->nr == 1;
		if (other->current == &other->idle)
			poke = sched_poke_locked(other);
	}
	spin_unlock(&rq->lock);
	spin_unlock(&other->lock);
	if (poke)
		arch_ipi_reschedule(other->cpu);
}

/* ---- slices ---- */

/* Something may be idle while a hand-off waits here: look again soon. */
static u64 slice_interval(const struct runq *rq, bool waited_for)
{
	if (waited_for) {
		bool idle_cpu = false;

		for (u32 w = 0; w < ARRAY_LEN(sched_idle_mask); w++)
			idle_cpu |= READ_ONCE(sched_idle_mask[w]) != 0;
		return idle_cpu ? 2 * STEAL_AGE_NS : RUNQ_SLICE_NS;
	}
	return rq->lone_ns ?: LONE_MIN_NS;
}

/*
 * The timer is never cancelled: left over, it fires once and finds nothing to
 * do.  That is cheaper than programming the hardware at every switch.
 */
void sched_arm_slice(struct runq *rq)
{
	bool waited_for = READ_ONCE(rq->nr);	/* a hint: who queues a thread here has the slice armed again */
	u64 when;

	if (rq->slice_armed && (!waited_for || rq->slice_when <= rq->current->pick_ns + RUNQ_SLICE_NS))
		return;
	if (!waited_for && !rq->current->aspace)
		return;
	when = clock_mono_ns() + slice_interval(rq, waited_for);
	if (rq->slice_armed && rq->slice_when <= when)
		return;
	rq->slice_armed = true;
	rq->slice_when = when;
	timer_arm(&rq->slice_timer, when);
}

static void sample(struct runq *rq, struct thread *t, bool user) MUST_HOLD(&rq->lock)
{
	u64 ns = t->run_ns - t->sample_ns;

	t->sample_ns = t->run_ns;
	if (user) {
		t->user_ns += ns;
		rq->user_sample_ns += ns;
	} else {
		t->sys_ns += ns;
		rq->sys_sample_ns += ns;
	}
}

void sched_account_enter(void)
{
	u64 irq = irq_save();
	struct runq *rq = this_rq();

	spin_lock(&rq->lock);
	runq_account(rq, clock_mono_ns());
	sample(rq, rq->current, true);
	spin_unlock(&rq->lock);
	irq_restore(irq);
}

void sched_slice_fired(struct timer *timer)
{
	struct runq *rq = this_rq();
	u64 now = clock_mono_ns();
	struct thread *cur;
	bool busy;

	spin_lock(&rq->lock);
	rq->slice_armed = false;
	runq_account(rq, now);
	cur = rq->current;
	busy = cur != &rq->idle;
	if (busy) {
		sample(rq, cur, arch_irq_from_user());
		rq->lone_ns = rq->nr ? 0 : MIN(MAX(rq->lone_ns * 2, LONE_MIN_NS), LONE_MAX_NS);
		if (runq_slice_over(rq, now) && !(cur->flags & TF_RESCHED))
			bits_set(&cur->flags, TF_RESCHED);
	} else {
		rq->lone_ns = 0;
	}
	spin_unlock(&rq->lock);
	sched_load_update(now);
	pressure_update(now);
	if (!busy)
		return;
	if (READ_ONCE(rq->nr)) {
		sched_kick_idle(rq);
		if (++rq->slices % BALANCE_SLICES == 0)
			sched_balance(rq);
	}
	sched_arm_slice(rq);
}

void sched_ipi_reschedule(void)
{
	struct runq *rq = this_rq();

	/* The flag that it came for is looked at on the way out, or by the idle loop. */
	if (rq->current != &rq->idle)
		sched_arm_slice(rq);
}

/* ---- the idle loop ---- */

static void idle_mask_set(struct runq *rq, bool idle)
{
	if (bitmap_test(sched_idle_mask, rq->cpu) == idle)
		return;
	if (idle)
		bitmap_set_atomic(sched_idle_mask, rq->cpu);
	else
		bitmap_clear_atomic(sched_idle_mask, rq->cpu);
}

static bool idle_has_work(struct runq *rq)
{
	return READ_ONCE(rq->idle.flags) & TF_RESCHED || READ_ONCE(rq->nr);
}

static void idle_run(struct runq *rq)
{
	u64 irq;

	idle_mask_set(rq, false);
	irq = irq_save();
	spin_lock(&rq->lock);
	runq_account(rq, clock_mono_ns());
	sched_switch(rq, rq->idle.exec_start_ns);
	irq_restore(irq);
}

static void idle_halt(struct runq *rq)
{
	irq_disable();
	WRITE_ONCE(rq->halted, true);
	memory_fence();
	if (idle_has_work(rq))
		irq_enable();
	else
		cpu_idle_wait();
	WRITE_ONCE(rq->halted, false);
}

void sched_start_cpu(void)
{
	struct runq *rq = this_rq();

	timer_init(&rq->slice_timer, sched_slice_fired);
	rq->idle.exec_start_ns = clock_mono_ns();
	rq->idle.on_cpu = true;
	store_release(&rq->online, true);
	irq_enable();
	for (;;) {
		rcu_quiescent();
		if (idle_has_work(rq) || sched_steal(rq)) {
			idle_run(rq);
			continue;
		}
		idle_mask_set(rq, true);
		if (mem_idle_zero())
			continue;
		idle_halt(rq);
	}
}
