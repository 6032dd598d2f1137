/*
 * POSIX timers and the clocks they count.
 *
 * A timer sends one preallocated signal; while that is queued nothing more is
 * sent.  When it is taken the missed intervals become the overrun count and the
 * timer is armed for the next one.  A CPU-time timer looks again after the least
 * time in which its clock could get there.
 * Locks: the list and a timer's life: process.lock, held over every call on it;
 * its state: sig_lock (the callback runs in interrupt context).
 */
#include "proc.h"

#define SIGEV_SIGNAL	0
#define SIGEV_NONE	1
#define SIGEV_THREAD	2
#define SIGEV_THREAD_ID 4
#define TIMER_ABSTIME	1
#define CPU_CHECK_MIN	NSEC_PER_MSEC
#define OVERRUN_MAX	0x7fffffffull

#define CLOCK_REALTIME		0u
#define CLOCK_MONOTONIC		1u
#define CLOCK_PROCESS_CPUTIME	2u
#define CLOCK_THREAD_CPUTIME	3u
#define CLOCK_MONOTONIC_RAW	4u
#define CLOCK_REALTIME_COARSE	5u
#define CLOCK_MONOTONIC_COARSE	6u
#define CLOCK_BOOTTIME		7u
#define CLOCK_REALTIME_ALARM	8u
#define CLOCK_BOOTTIME_ALARM	9u
#define CLOCK_TAI		11u

struct posix_timer {
	struct list link;
	struct process *proc;		/* the owner: outlives the timer */
	struct task *target;		/* SIGEV_THREAD_ID: reference; NULL: the process */
	struct task *cpu_task;		/* thread whose time is counted: reference; NULL */
	struct sigitem *item;		/* NULL: SIGEV_NONE */
	struct timer timer;
	u32 id, clock;
	bool cpu, dead;
	u64 next_ns;			/* on the clock (wall clocks: monotonic); 0: not armed */
	u64 interval_ns;
	u64 overrun;			/* expirations merged into the queued signal */
	u64 last_overrun;		/* of the last one taken */
};

/* --- clocks ------------------------------------------------------------------------ */

/* pid-encoded CPU clocks: (~pid << 3) | per thread (4) | kind (0 prof, 1 virt, 2 sched). */
static i64 cpu_clock_by_pid(u32 clock, u64 *ns)
{
	i32 pid = ~((i32)clock >> 3);
	u32 kind = clock & 3;
	struct task *t;
	u64 user, sys;

	if (kind == 3 || pid < 0)
		return -EINVAL;
	t = pid ? task_find((u32)pid) : task_get(task_current());
	if (!t)
		return -EINVAL;
	if (clock & 4) {
		bool mine = t->proc == task_current()->proc;

		sched_thread_times(&t->thread, &user, &sys);
		task_put(t);
		if (!mine)
			return -EINVAL;
	} else {
		process_times(t->proc, &user, &sys);
		task_put(t);
	}
	*ns = kind == 1 ? user : user + sys;
	return 0;
}

i64 clock_gettime_ns(u32 clock, u64 *ns)
{
	u64 user, sys;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI:
		*ns = clock_real_ns();
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		*ns = clock_mono_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME:
		process_times(task_current()->proc, &user, &sys);
		*ns = user + sys;
		return 0;
	case CLOCK_THREAD_CPUTIME:
		sched_thread_times(thread_current(), &user, &sys);
		*ns = user + sys;
		return 0;
	}
	return (i32)clock < 0 ? cpu_clock_by_pid(clock, ns) : -EINVAL;
}

/* sig_lock held. */
static u64 timer_now(struct posix_timer *pt)
{
	u64 user, sys;

	if (!pt->cpu)
		return clock_mono_ns();
	if (!pt->cpu_task)
		return process_cpu_ns(pt->proc, &user);
	sched_thread_times(&pt->cpu_task->thread, &user, &sys);
	return user + sys;
}

static void arm(struct posix_timer *pt, u64 now)
{
	u64 left = pt->next_ns > now ? pt->next_ns - now : 0;

	if (!pt->item)
		return;				/* SIGEV_NONE is only ever asked */
	if (pt->cpu)
		timer_arm(&pt->timer, clock_mono_ns() + MAX(left / MAX(pt->proc->nthreads, 1u), CPU_CHECK_MIN));
	else
		timer_arm(&pt->timer, pt->next_ns);
}

/* Moves next past now; returns how many intervals beyond the first were missed. */
static u64 forward(struct posix_timer *pt, u64 now)
{
	u64 missed = (now - pt->next_ns) / pt->interval_ns;

	pt->next_ns += (missed + 1) * pt->interval_ns;
	return missed;
}

static void timer_fired(struct timer *t)
{
	struct posix_timer *pt = container_of(t, struct posix_timer, timer);
	struct process *p = pt->proc;
	u64 now;

	GUARD_IRQ(&p->sig_lock);
	if (pt->dead || !pt->next_ns)
		return;
	now = timer_now(pt);
	if (now < pt->next_ns) {
		arm(pt, now);
		return;
	}
	if (list_linked(&pt->item->link)) {
		pt->overrun++;			/* set again while its signal waited */
	} else {
		pt->overrun = 0;
		pt->item->info.timer.overrun = 0;
		if (signal_send_item_locked(p, pt->target, pt->item)) {
			if (!pt->interval_ns)
				pt->next_ns = 0;
			return;			/* armed again when it is taken */
		}
	}
	if (!pt->interval_ns) {
		pt->next_ns = 0;
		return;
	}
	(void)forward(pt, now);			/* ignored: goes on, at a bounded rate */
	pt->next_ns = MAX(pt->next_ns, now + CPU_CHECK_MIN);
	arm(pt, now);
}

void posix_timer_taken(struct posix_timer *pt, struct siginfo_k *info)
{
	u64 now, count = pt->overrun;

	if (pt->interval_ns && pt->next_ns) {
		now = timer_now(pt);
		if (now >= pt->next_ns)
			count += forward(pt, now);
		arm(pt, now);
	}
	pt->overrun = 0;
	pt->last_overrun = MIN(count, OVERRUN_MAX);
	info->timer.overrun = (i32)pt->last_overrun;
}

/* --- the calls ------------------------------------------------------------------------ */

/* process.lock held. */
static struct posix_timer *find_timer(struct process *p, i32 id)
{
	struct posix_timer *pt;

	list_for_each(pt, &p->posix_timers, link)
		if (pt->id == (u32)id)
			return pt;
	return NULL;
}

/* Which clocks can drive a timer, and what they count. */
static int set_clock(struct posix_timer *pt, struct task *self, u32 clock)
{
	pt->clock = clock;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI: return 0;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM: return cred_can(self->vfs.cred, CAP_WAKE_ALARM) ? -EOPNOTSUPP : -EPERM;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE: return -EOPNOTSUPP;
	}
	pt->cpu = true;
	if (clock == CLOCK_THREAD_CPUTIME) {
		pt->cpu_task = task_get(self);
		return 0;
	}
	if (clock == CLOCK_PROCESS_CPUTIME)
		return 0;
	if ((i32)clock >= 0 || (clock & 3) == 3)
		return -EINVAL;
	i32 pid = ~((i32)clock >> 3);
	struct task *t = pid > 0 ? task_find((u32)pid) : pid ? NULL : task_get(self);

	if (!t || t->proc != self->proc) {	/* another process' clock drives no timer here */
		if (t)
			task_put(t);
		return -EINVAL;
	}
	if (clock & 4)
		pt->cpu_task = t;
	else
		task_put(t);
	return 0;
}

static int set_event(struct posix_timer *pt, struct task *self, const struct sigevent_k *ev)
{
	struct sigevent_k deflt = { .value = pt->id, .signo = SIGALRM, .notify = SIGEV_SIGNAL };
	u64 limit = READ_ONCE(self->proc->rlim[RLIMIT_SIGPENDING].cur);

	if (!ev)
		ev = &deflt;
	if (ev->notify == SIGEV_NONE)
		return 0;
	if (ev->notify != SIGEV_SIGNAL && ev->notify != SIGEV_THREAD && ev->notify != (SIGEV_SIGNAL | SIGEV_THREAD_ID))
		return -EINVAL;
	if (ev->signo < 1 || ev->signo > SIGMAX)
		return -EINVAL;
	if (ev->notify & SIGEV_THREAD_ID) {
		pt->target = task_find((u32)ev->tid);
		if (!pt->target || pt->target->proc != self->proc)
			return -EINVAL;
	}
	pt->item = sigitem_alloc(self->user, limit, false);
	if (!pt->item)
		return -EAGAIN;
	memset(&pt->item->info, 0, sizeof(pt->item->info));
	pt->item->timer = pt;
	pt->item->info.signo = ev->signo;
	pt->item->info.code = SI_TIMER;
	pt->item->info.timer.tid = (i32)pt->id;
	pt->item->info.timer.value = ev->value;
	return 0;
}

/* Off the list already. */
static void timer_destroy(struct posix_timer *pt)
{
	u64 irq = spin_lock_irq(&pt->proc->sig_lock);

	pt->dead = true;
	pt->next_ns = 0;
	if (pt->item && list_linked(&pt->item->link))
		pt->item->timer = NULL;		/* goes on as an ordinary signal */
	else if (pt->item)
		sigitem_free(pt->item);
	pt->item = NULL;
	spin_unlock_irq(&pt->proc->sig_lock, irq);
	timer_cancel(&pt->timer);
	if (pt->target)
		task_put(pt->target);
	if (pt->cpu_task)
		task_put(pt->cpu_task);
	kfree(pt);
}

i64 posix_timer_create(struct task *self, u32 clock, const struct sigevent_k *ev, i32 *id)
{
	struct process *p = self->proc;
	struct posix_timer *pt = kzalloc(sizeof(*pt));
	int err;

	if (!pt)
		return -EAGAIN;
	pt->proc = p;
	timer_init(&pt->timer, timer_fired);
	spin_lock(&p->lock);
	do
		pt->id = p->next_timer_id++ & 0x7fffffff;
	while (find_timer(p, (i32)pt->id));
	spin_unlock(&p->lock);
	err = set_clock(pt, self, clock);
	if (!err)
		err = set_event(pt, self, ev);
	if (err) {
		timer_destroy(pt);
		return err;
	}
	spin_lock(&p->lock);
	list_push_back(&p->posix_timers, &pt->link);
	spin_unlock(&p->lock);
	*id = (i32)pt->id;
	return 0;
}

/* sig_lock held. */
static void read_timer(struct posix_timer *pt, u64 out[2])
{
	u64 now;

	out[0] = pt->interval_ns;
	out[1] = 0;
	if (!pt->next_ns)
		return;
	now = timer_now(pt);
	if (now >= pt->next_ns && pt->interval_ns && (!pt->item || list_linked(&pt->item->link)))
		out[1] = pt->interval_ns - (now - pt->next_ns) % pt->interval_ns;
	else if (pt->next_ns > now)
		out[1] = pt->next_ns - now;
	else if (pt->item)
		out[1] = 1;			/* due this moment */
}

int posix_timer_settime(struct task *self, i32 id, int flags, const u64 spec[2], u64 old[2])
{
	struct process *p = self->proc;
	struct posix_timer *pt;
	u64 now, wall;

	GUARD_SPIN(&p->lock);
	pt = find_timer(p, id);
	if (!pt)
		return -EINVAL;
	GUARD_IRQ(&p->sig_lock);
	if (old)
		read_timer(pt, old);
	(void)timer_try_cancel(&pt->timer);
	pt->interval_ns = spec[0];
	pt->next_ns = 0;
	pt->overrun = 0;
	if (!spec[1])
		return 0;
	now = timer_now(pt);
	if (!(flags & TIMER_ABSTIME)) {
		pt->next_ns = now + spec[1];
	} else if (!pt->cpu && (pt->clock == CLOCK_REALTIME || pt->clock == CLOCK_TAI)) {
		wall = clock_real_ns();
		pt->next_ns = spec[1] > wall ? now + (spec[1] - wall) : now;
	} else {
		pt->next_ns = spec[1];
	}
	if (!pt->next_ns)
		pt->next_ns = 1;
	arm(pt, now);
	return 0;
}

int posix_timer_gettime(struct task *self, i32 id, u64 out[2])
{
	struct process *p = self->proc;
	struct posix_timer *pt;

	GUARD_SPIN(&p->lock);
	pt = find_timer(p, id);
	if (!pt)
		return -EINVAL;
	GUARD_IRQ(&p->sig_lock);
	read_timer(pt, out);
	return 0;
}

i64 posix_timer_getoverrun(struct task *self, i32 id)
{
	struct posix_timer *pt;

	GUARD_SPIN(&self->proc->lock);
	pt = find_timer(self->proc, id);
	return pt ? (i64)READ_ONCE(pt->last_overrun) : -EINVAL;
}

int posix_timer_delete(struct task *self, i32 id)
{
	struct process *p = self->proc;
	struct posix_timer *pt;

	spin_lock(&p->lock);
	pt = find_timer(p, id);
	if (pt)
		list_remove(&pt->link);
	spin_unlock(&p->lock);
	if (!pt)
		return -EINVAL;
	timer_destroy(pt);
	return 0;
}

void posix_timers_exit(struct process *p)
{
	struct list *n;

	while (!list_empty(&p->posix_timers)) {
		spin_lock(&p->lock);
		n = list_pop_front(&p->posix_timers);
		spin_unlock(&p->lock);
		if (n)
			timer_destroy(list_entry(n, struct posix_timer, link));
	}
}
