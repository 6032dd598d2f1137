/*
 * Switching, sleeping and waking.
 *
 * The queue's lock is held across the switch and released by the thread that
 * runs next.  So whoever holds the lock of a sleeping thread's queue knows that
 * the thread has left its stack: a waker needs no other handshake, whatever CPU
 * it puts the thread on.
 *
 * thread->state is written by the thread itself without a lock (before it
 * checks its condition) and by wakers under its queue's lock, by compare-and-
 * exchange to RUNNABLE only.  Wakers change the condition first, and both sides
 * have a full fence in between, so a wake is never lost.
 */
#include <arch/smp.h>
#include <arch/upcall.h>
#include <base/errno.h>
#include <core/clock.h>
#include <core/rcu.h>
#include <core/trace.h>
#include <sched/wait.h>
#include "sched_internal.h"

DEFINE_PER_CPU(struct runq, sched_runq);
DEFINE_PER_CPU(struct thread *, cpu_current);
void (*sched_aspace_switch)(void *prev_aspace, void *next_aspace);

/* ---- switching ---- */

struct runq *thread_rq_lock(struct thread *t, u64 *irq) NO_LOCK_ANALYSIS	/* which lock, only the loop knows */
{
	for (;;) {
		struct runq *rq = cpu_rq(READ_ONCE(t->cpu));

		*irq = spin_lock_irq(&rq->lock);
		if (likely(t->cpu == rq->cpu))
			return rq;
		spin_unlock_irq(&rq->lock, *irq);
	}
}

/*
 * First thing after a switch, on the new stack: the lock is still held.
 * Returns the thread that died in the switch, if any; its reference is dropped
 * with interrupts on.
 */
static struct thread *finish_switch(void) RELEASES(&this_rq()->lock)
{
	struct runq *rq = this_rq();
	struct thread *prev = rq->prev;
	bool dead = prev->state == THREAD_DEAD;
	bool push = rq->push;

	rq->prev = NULL;
	rq->push = false;
	prev->on_cpu = false;
	if (unlikely(push)) {
		prev->cpu = sched_pick_cpu(prev, rq->cpu);
		runq_rebase(rq, cpu_rq(prev->cpu), prev);
	}
	spin_unlock(&rq->lock);
	if (unlikely(push))
		sched_place(prev, prev->cpu, RUNQ_PLACE_WOKEN, WAKE_FAIR);
	if (rq->current != &rq->idle)
		sched_arm_slice(rq);
	return dead ? prev : NULL;
}

void sched_switch(struct runq *rq, u64 now) NO_LOCK_ANALYSIS	/* the lock goes to the next thread with the CPU */
{
	struct thread *prev = rq->current;
	struct thread *next = runq_pick(rq) ?: &rq->idle;

	if (prev->flags & TF_RESCHED)
		bits_clear(&prev->flags, TF_RESCHED);
	next->pick_ns = now;
	if (next == prev) {
		spin_unlock(&rq->lock);
		return;
	}
	next->exec_start_ns = now;
	if (next != &rq->idle) {
		u64 delay = now > next->wake_ns ? now - next->wake_ns : 0;

		next->delay_ns += delay;
		rq->delay_ns += delay;
		rq->delay_max_ns = MAX(rq->delay_max_ns, delay);
	}
	next->on_cpu = true;
	rq->current = next;
	rq->prev = prev;
	rq->switches++;
	if (unlikely(trace_mask))
		trace_switch(prev->trace_id, next->trace_id, prev->state);
	this_cpu_write(cpu_current, next);
	if (next->aspace && sched_aspace_switch)
		sched_aspace_switch(prev->aspace, next->aspace);
	rcu_quiescent();
	arch_switch(&prev->arch, &next->arch);

	struct thread *dead = finish_switch();

	if (unlikely(dead)) {
		irq_enable();
		thread_put(dead);
		irq_disable();
	}
}

void sched_thread_started(void) RELEASES(&this_rq()->lock)
{
	struct thread *dead = finish_switch();

	if (unlikely(dead)) {
		irq_enable();
		thread_put(dead);
	}
}

static inline bool state_is_uninterruptible(u32 s)
{
	return s == THREAD_SLEEP || s == THREAD_SLEEP_KILL;
}

void sched_set_state(enum thread_state s)
{
	__atomic_exchange_n(&thread_current()->state, s, __ATOMIC_SEQ_CST);
}

void sched_block(void)
{
	struct thread *t = thread_current();
	struct runq *rq;
	u32 state;
	u64 irq, now;

	assert_may_sleep();
	irq = irq_save();
	rq = this_rq();
	spin_lock(&rq->lock);
	state = t->state;
	if (state == THREAD_RUNNABLE) {
		spin_unlock(&rq->lock);
		irq_restore(irq);
		return;
	}
	ASSERT(t != &rq->idle);
	now = clock_mono_ns();
	runq_account(rq, now);
	if (state_is_uninterruptible(state))
		rq->nr_uninterruptible++;
	t->nvcsw++;
	sched_switch(rq, now);
	irq_restore(irq);
}

/* Gives the CPU to whoever should have it; the running thread stays runnable. */
static void sched_preempt(enum runq_place how)
{
	u64 irq = irq_save();
	struct runq *rq = this_rq();
	struct thread *t = rq->current;
	u64 now = clock_mono_ns();

	spin_lock(&rq->lock);
	runq_account(rq, now);
	if (t != &rq->idle) {
		bool turn_over = t->policy == SCHED_RR && now - t->pick_ns >= RUNQ_RR_SLICE_NS;

		if (how == RUNQ_PLACE_TAIL)
			runq_yield(rq, t);
		t->wake_ns = now;
		t->nivcsw++;
		if (likely(thread_allowed_on(t, rq->cpu))) {
			runq_enqueue(rq, t, turn_over ? RUNQ_PLACE_TAIL : how);
		} else {
			/* Not a sleeper while it is on no queue: a waker would queue it too. */
			t->state = THREAD_RUNNABLE;
			rq->push = true;
		}
	}
	sched_switch(rq, now);
	irq_restore(irq);
}

void sched_resched_if_needed(void)
{
	if (likely(!(READ_ONCE(thread_current()->flags) & TF_RESCHED)))
		return;
	assert_may_sleep();
	sched_preempt(RUNQ_PLACE_KEEP);
}

void sched_yield_cpu(void)
{
	if (!READ_ONCE(this_rq()->nr))
		return;
	sched_preempt(RUNQ_PLACE_TAIL);
}

void sched_exit(void)
{
	struct runq *rq;
	u64 now;

	arch_thread_destroy(&thread_current()->arch);	/* registers that nobody asks for are not saved */
	irq_disable();
	rq = this_rq();
	now = clock_mono_ns();
	spin_lock(&rq->lock);
	runq_account(rq, now);
	thread_current()->state = THREAD_DEAD;
	sched_switch(rq, now);
	UNREACHABLE();
}

/* ---- waking ---- */

bool sched_poke_locked(struct runq *rq)
{
	struct thread *cur = rq->current;

	if (cur->flags & TF_RESCHED)
		return false;
	bits_set(&cur->flags, TF_RESCHED);
	if (rq->cpu == cpu_id())
		return false;
	if (cur == &rq->idle && !READ_ONCE(rq->halted))
		return false;
	rq->ipis++;
	return true;
}

/* After t was queued on rq (locked): does its CPU have to be told? */
static bool check_preempt(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock)
{
	struct thread *cur = rq->current;

	if (cur == &rq->idle || runq_preempts(t, cur))
		return sched_poke_locked(rq);
	/* It must at least start a slice; an IPI does that, once per slice. */
	if (rq->cpu != cpu_id() && rq->nr == 1 && !thread_is_rt(cur)) {
		rq->ipis++;
		return true;
	}
	return false;
}

/* Does the waker's wish count?  Only on its own CPU, and among threads whose order is a matter of fairness. */
static bool wish_counts(const struct runq *rq, const struct thread *t)
{
	return rq->cpu == cpu_id() && rq->current != &rq->idle && rq->current->policy != SCHED_IDLE && !thread_is_rt(t);
}

/* Queues t on rq, which is locked, and unlocks it. */
static void place_locked(struct runq *rq, struct thread *t, enum runq_place how, enum wake_wish wish) RELEASES(&rq->lock)
{
	bool ipi = false;

	runq_account(rq, clock_mono_ns());
	runq_enqueue(rq, t, how);
	if (wish == WAKE_FAIR || !wish_counts(rq, t))
		ipi = check_preempt(rq, t);
	else if (wish == WAKE_HANDOFF)
		rq->next_hint = t;
	spin_unlock(&rq->lock);
	if (ipi)
		arch_ipi_reschedule(rq->cpu);
	else if (rq->cpu == cpu_id() && rq->current != &rq->idle)
		sched_arm_slice(rq);
}

void sched_place(struct thread *t, u32 cpu, enum runq_place how, enum wake_wish wish)
{
	for (;;) {
		struct runq *rq = cpu_rq(cpu);

		spin_lock(&rq->lock);
		/* The affinity may have changed since cpu was chosen; under this lock it cannot. */
		if (likely(thread_allowed_on(t, cpu))) {
			place_locked(rq, t, how, wish);
			return;
		}
		t->cpu = sched_pick_cpu(t, cpu);
		runq_rebase(rq, cpu_rq(t->cpu), t);
		cpu = t->cpu;
		spin_unlock(&rq->lock);
	}
}

/* Takes t from sleep to RUNNABLE.  False: it was in no state of mask. */
static bool wake_claim(struct thread *t, u32 mask)
{
	u32 s = READ_ONCE(t->state);

	while (mask >> s & 1)
		if (__atomic_compare_exchange_n(&t->state, &s, THREAD_RUNNABLE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
	return false;
}

static bool wake(struct thread *t, u32 mask, enum wake_wish wish)
{
	struct runq *rq;
	u64 irq;
	u32 cpu, old_state;

	memory_fence();
	if (!(mask >> READ_ONCE(t->state) & 1))
		return false;
	rq = thread_rq_lock(t, &irq);
	old_state = t->state;
	if (!wake_claim(t, mask)) {
		spin_unlock_irq(&rq->lock, irq);
		return false;
	}
	/* Still running on its way to sleep, or preempted before it got there: it will look. */
	if (rq->current == t || t->on_queue) {
		spin_unlock_irq(&rq->lock, irq);
		return true;
	}
	if (state_is_uninterruptible(old_state))
		rq->nr_uninterruptible--;
	rq->wakeups++;
	trace_sched_wake(t->trace_id, t->cpu);
	t->wake_ns = clock_mono_ns();
	cpu = wish == WAKE_HANDOFF && thread_allowed_on(t, cpu_id()) ? cpu_id() : sched_pick_cpu(t, t->cpu);
	if (cpu == rq->cpu) {
		place_locked(rq, t, RUNQ_PLACE_WOKEN, wish);
	} else {
		runq_rebase(rq, cpu_rq(cpu), t);
		t->cpu = cpu;
		spin_unlock(&rq->lock);
		sched_place(t, cpu, RUNQ_PLACE_WOKEN, wish);
	}
	irq_restore(irq);
	return true;
}

bool sched_wake_state(struct thread *t, u32 mask)
{
	return wake(t, mask, WAKE_FAIR);
}

bool sched_wake_handoff(struct thread *t)
{
	return wake(t, SCHED_WAKE_NORMAL, WAKE_HANDOFF);
}

bool sched_wake_later(struct thread *t)
{
	return wake(t, SCHED_WAKE_NORMAL, WAKE_LATER);
}

void sched_start(struct thread *t)
{
	u64 irq = irq_save();
	u32 self = cpu_id();

	VERIFY_CMP(t->state, ==, THREAD_NEW);	/* queued twice, it would run on after its death */
	t->wake_ns = clock_mono_ns();
	t->vruntime = 0;
	t->cpu = sched_pick_cpu(t, self);
	store_release(&t->state, THREAD_RUNNABLE);
	this_rq()->forks++;
	sched_place(t, t->cpu, RUNQ_PLACE_NEW, WAKE_FAIR);
	irq_restore(irq);
}

void sched_wait_off_cpu(struct thread *t)
{
	while (READ_ONCE(t->on_cpu))
		cpu_relax();
}

void sched_kick(struct thread *t)
{
	u32 mask = 0;
	u32 flags;
	u32 cpu;

	memory_fence();
	flags = READ_ONCE(t->flags);
	if (flags & (TF_SIGNAL | TF_FATAL))
		mask |= 1u << THREAD_SLEEP_INTR;
	if (flags & TF_FATAL)
		mask |= 1u << THREAD_SLEEP_KILL | 1u << THREAD_STOPPED | 1u << THREAD_TRACED;
	if (mask && wake(t, mask, WAKE_FAIR))
		return;
	cpu = READ_ONCE(t->cpu);
	if (cpu != cpu_id() && READ_ONCE(t->on_cpu))
		arch_ipi_reschedule(cpu);
}

/* ---- sleeping with a deadline ---- */

struct sleep_timer {
	struct timer timer;
	struct thread *thread;
	bool fired;
};

static void sleep_timer_fired(struct timer *timer)
{
	struct sleep_timer *st = container_of(timer, struct sleep_timer, timer);

	WRITE_ONCE(st->fired, true);
	sched_wake_state(st->thread, SCHED_WAKE_NORMAL);
}

bool sched_block_until(u64 deadline_ns)
{
	struct sleep_timer st = { .thread = thread_current() };

	assert_may_sleep();
	if (deadline_ns == ~0ull) {
		sched_block();
		return true;
	}
	if (clock_mono_ns() >= deadline_ns) {
		bool woken = READ_ONCE(st.thread->state) == THREAD_RUNNABLE;

		sched_set_state(THREAD_RUNNABLE);
		return woken;
	}
	timer_init(&st.timer, sleep_timer_fired);
	timer_arm(&st.timer, deadline_ns);
	sched_block();
	timer_cancel(&st.timer);
	return !st.fired;
}

int sched_sleep_until(u64 deadline_ns, bool interruptible)
{
	enum thread_state st = interruptible ? THREAD_SLEEP_INTR : THREAD_SLEEP;
	int err = 0;

	for (;;) {
		sched_set_state(st);
		if (clock_mono_ns() >= deadline_ns)
			break;
		if (interruptible && thread_signal_pending()) {
			err = -ERESTARTSYS;
			break;
		}
		(void)sched_block_until(deadline_ns);
	}
	sched_set_state(THREAD_RUNNABLE);
	return err;
}
