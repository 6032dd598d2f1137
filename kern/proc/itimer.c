/*
 * Interval timers of setitimer(2) and RLIMIT_CPU.
 *
 * ITIMER_REAL is a kernel timer; after it fired it is armed again when its
 * SIGALRM is taken, so that a tiny interval cannot flood the CPU.  The CPU-time
 * ones have no tick to be counted by: one kernel timer per process looks again
 * after the least time in which the nearest limit could be reached.
 * All state is under sig_lock; a callback that comes late finds its time changed.
 */
#include "proc.h"

#define ITIMER_REAL    0u
#define ITIMER_VIRTUAL 1u
#define ITIMER_PROF    2u
#define CPU_CHECK_MIN  NSEC_PER_MSEC

static void real_fired(struct timer *t)
{
	struct process *p = container_of(t, struct process, real_timer);
	struct itimer_state *it = &p->itimer[ITIMER_REAL];

	GUARD_IRQ(&p->sig_lock);
	if (!it->next_ns || clock_mono_ns() < it->next_ns)
		return;
	if (!it->interval_ns)
		it->next_ns = 0;
	DISCARD(signal_send_locked(p, NULL, SIGALRM, NULL, true));	/* not a real-time signal: cannot overflow */
}

void itimer_rearm_real(struct process *p)
{
	struct itimer_state *it = &p->itimer[ITIMER_REAL];
	u64 now = clock_mono_ns();

	if (!it->interval_ns || !it->next_ns || it->next_ns > now)
		return;
	it->next_ns += ((now - it->next_ns) / it->interval_ns + 1) * it->interval_ns;
	timer_arm(&p->real_timer, it->next_ns);
}

/* One CPU-time timer: sends when due.  Returns what is left, ~0 when off. */
static u64 check_cpu_itimer(struct process *p, u32 which, u64 spent) MUST_HOLD(&p->sig_lock)
{
	struct itimer_state *it = &p->itimer[which];

	if (!it->next_ns)
		return ~0ull;
	if (spent >= it->next_ns) {
		DISCARD(signal_send_locked(p, NULL, which == ITIMER_PROF ? SIGPROF : SIGVTALRM, NULL, true));	/* cannot overflow */
		if (!it->interval_ns) {
			it->next_ns = 0;
			return ~0ull;
		}
		it->next_ns += ((spent - it->next_ns) / it->interval_ns + 1) * it->interval_ns;
	}
	return it->next_ns - spent;
}

static u64 check_cpu_limit(struct process *p, u64 spent) MUST_HOLD(&p->sig_lock)
{
	struct rlimit64 *rl = &p->rlim[RLIMIT_CPU];
	u64 sec = spent / NSEC_PER_SEC;

	if (rl->cur == RLIM_INFINITY && rl->max == RLIM_INFINITY)
		return ~0ull;
	if (sec >= rl->max) {
		DISCARD(signal_send_locked(p, NULL, SIGKILL, NULL, true));	/* cannot fail */
		return ~0ull;
	}
	if (sec >= rl->cur) {
		DISCARD(signal_send_locked(p, NULL, SIGXCPU, NULL, true));	/* cannot overflow */
		rl->cur = sec + 1;		/* and again each second, as Linux does */
	}
	return MIN(rl->cur, rl->max) * NSEC_PER_SEC - spent;
}

static void cpu_check_locked(struct process *p) MUST_HOLD(&p->sig_lock)
{
	u64 user, total, left;
	u32 n;

	if (p->reaped || p->group_exiting)
		return;
	total = process_cpu_ns(p, &user);
	left = check_cpu_itimer(p, ITIMER_VIRTUAL, user);
	left = MIN(left, check_cpu_itimer(p, ITIMER_PROF, total));
	left = MIN(left, check_cpu_limit(p, total));
	if (left == ~0ull)
		return;
	n = MAX(MIN(p->nthreads, cpu_count()), 1u);
	timer_arm(&p->cpu_timer, clock_mono_ns() + MAX(left / n, CPU_CHECK_MIN));
}

static void cpu_fired(struct timer *t)
{
	struct process *p = container_of(t, struct process, cpu_timer);

	GUARD_IRQ(&p->sig_lock);
	cpu_check_locked(p);
}

void cpu_limit_changed(struct process *p)
{
	GUARD_IRQ(&p->sig_lock);
	cpu_check_locked(p);
}

void itimer_init(struct process *p)
{
	timer_init(&p->real_timer, real_fired);
	timer_init(&p->cpu_timer, cpu_fired);
}

void itimers_exit(struct process *p)
{
	u64 irq = spin_lock_irq(&p->sig_lock);
	bool armed = timer_was_armed(&p->real_timer) || timer_was_armed(&p->cpu_timer);

	memset(p->itimer, 0, sizeof(p->itimer));
	p->rlim[RLIMIT_CPU] = (struct rlimit64){ RLIM_INFINITY, RLIM_INFINITY };
	spin_unlock_irq(&p->sig_lock, irq);
	if (likely(!armed))
		return;
	if (READ_ONCE(p->real_timer.queued))
		timer_cancel(&p->real_timer);
	timer_cancel(&p->cpu_timer);
	timer_cancel(&p->real_timer);
}

static void itimer_read_locked(struct process *p, u32 which, u64 out[2])
{
	struct itimer_state *it = &p->itimer[which];
	u64 now, user;

	out[0] = it->interval_ns;
	out[1] = 0;
	if (!it->next_ns)
		return;
	if (which == ITIMER_REAL) {
		now = clock_mono_ns();
	} else {
		now = process_cpu_ns(p, &user);
		if (which == ITIMER_VIRTUAL)
			now = user;
	}
	if (it->next_ns > now)
		out[1] = it->next_ns - now;
	else if (which != ITIMER_REAL)
		out[1] = NSEC_PER_USEC;		/* due, the check has not come by yet */
}

void itimer_get(struct task *self, u32 which, u64 out[2])
{
	GUARD_IRQ(&self->proc->sig_lock);
	itimer_read_locked(self->proc, which, out);
}

int itimer_set(struct task *self, u32 which, const u64 spec[2], u64 old[2])
{
	struct process *p = self->proc;
	struct itimer_state *it;
	u64 user, total;

	if (which > ITIMER_PROF)
		return -EINVAL;
	it = &p->itimer[which];
	GUARD_IRQ(&p->sig_lock);
	if (old)
		itimer_read_locked(p, which, old);
	it->interval_ns = spec[0];
	it->next_ns = 0;
	if (which == ITIMER_REAL) {
		(void)timer_try_cancel(&p->real_timer);
		if (spec[1]) {
			it->next_ns = clock_mono_ns() + spec[1];
			timer_arm(&p->real_timer, it->next_ns);
		}
		return 0;
	}
	if (!spec[1])
		return 0;
	total = process_cpu_ns(p, &user);
	it->next_ns = (which == ITIMER_VIRTUAL ? user : total) + spec[1];
	cpu_check_locked(p);
	return 0;
}
