/* Clocks and sleeping. */
#include "abi.h"

#define COARSE_NS	4000000ull	/* what Linux with HZ=250 reports for the coarse clocks */
#define CPU_CLOCK_STEP	1000000ull	/* shortest wait between looks at a CPU-time clock */

static struct timezone_k zone;	/* what settimeofday said last; nothing here uses it */

i64 sys_clock_gettime(struct task *self, int clock, uptr_t ts)
{
	struct timespec_k t;
	u64 ns;

	if (clock == CLOCK_MONOTONIC) {
		ns = clock_mono_ns();
	} else if (clock == CLOCK_REALTIME) {
		ns = clock_real_ns();
	} else {
		i64 err = clock_gettime_ns((u32)clock, &ns);

		if (err)
			return err;
	}
	t = ns_to_timespec(ns);
	return user_put(ts, &t);
}

i64 sys_clock_getres(struct task *self, int clock, uptr_t ts)
{
	struct timespec_k t = { 0, 1 };
	u64 ns;
	i64 err = clock_gettime_ns((u32)clock, &ns);

	if (err)
		return err;
	if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		t.nsec = (i64)COARSE_NS;
	return uptr_is_null(ts) ? 0 : user_put(ts, &t);
}

static i64 set_real(struct task *self, const struct timespec_k *ts)
{
	u64 ns;
	int err = timespec_to_ns(ts, &ns);

	if (err)
		return err;
	if (!is_cap(self, CAP_SYS_TIME))
		return -EPERM;
	/* The wall clock may not be set to before the monotonic one's zero. */
	if (ns < clock_mono_ns())
		return -EINVAL;
	clock_set_real(ns);
	return 0;
}

i64 sys_clock_settime(struct task *self, int clock, uptr_t ts)
{
	struct timespec_k t;
	u64 ns;

	if (clock != CLOCK_REALTIME) {
		/* Clocks that exist but cannot be set, and those that do not exist, look alike. */
		if (clock < 0 && !clock_gettime_ns((u32)clock, &ns))
			return -EPERM;
		return -EINVAL;
	}
	return user_get(&t, ts) ? -EFAULT : set_real(self, &t);
}

i64 sys_gettimeofday(struct task *self, uptr_t tv, uptr_t tz)
{
	struct timeval_k t;

	if (!uptr_is_null(tv)) {
		t = ns_to_timeval(clock_real_ns());
		if (user_put(tv, &t))
			return -EFAULT;
	}
	return !uptr_is_null(tz) && user_put(tz, &zone) ? -EFAULT : 0;
}

i64 sys_settimeofday(struct task *self, uptr_t tv, uptr_t tz)
{
	struct timeval_k t;
	struct timezone_k z;

	if (!uptr_is_null(tv)) {
		if (user_get(&t, tv))
			return -EFAULT;
		if ((u64)t.usec > 1000000)
			return -EINVAL;
	}
	if (!uptr_is_null(tz)) {
		if (user_get(&z, tz))
			return -EFAULT;
		if (!is_cap(self, CAP_SYS_TIME))
			return -EPERM;
		if (z.minuteswest > 15 * 60 || z.minuteswest < -15 * 60)
			return -EINVAL;
		zone = z;
	}
	if (uptr_is_null(tv))
		return 0;
	return set_real(self, &(struct timespec_k){ t.sec, t.usec * 1000 });
}

i64 sys_time(struct task *self, uptr_t tloc)
{
	i64 now = (i64)(clock_real_ns() / NSEC_PER_SEC);

	return !uptr_is_null(tloc) && user_put(tloc, &now) ? -EFAULT : now;
}

static i64 adjust(struct task *self, uptr_t tx)
{
	struct timex_k t;

	if (user_get(&t, tx))
		return -EFAULT;
	if (t.modes)
		return -EPERM;		/* the clock runs as it is: nothing can be adjusted */
	t = (struct timex_k){
		.maxerror = 16000000, .esterror = 16000000, .status = STA_UNSYNC, .constant = 2, .precision = 1,
		.tolerance = 32768000, .time = ns_to_timeval(clock_real_ns()), .tick = 10000,
	};
	return user_put(tx, &t) ? -EFAULT : TIME_ERROR;
}

i64 sys_adjtimex(struct task *self, uptr_t tx)
{
	return adjust(self, tx);
}

i64 sys_clock_adjtime(struct task *self, int clock, uptr_t tx)
{
	if (clock != CLOCK_REALTIME)
		return clock >= 0 && clock <= CLOCK_TAI && clock != 10 ? -EOPNOTSUPP : -EINVAL;
	return adjust(self, tx);
}

/* Tells how much is left and says how to go on: the deadline stands, however often a signal interrupts. */
static i64 sleep_interrupted(struct task *self, u64 deadline, uptr_t rmtp, i64 (*again)(struct task *self))
{
	struct timespec_k left = ns_to_timespec(deadline_left(deadline));

	if (!uptr_is_null(rmtp) && user_put(rmtp, &left))
		return -EFAULT;
	self->restart.fn = again;
	self->restart.arg[0] = deadline;
	self->restart.arg[1] = rmtp.v;
	return -ERESTART_RESTARTBLOCK;
}

static i64 sleep_again(struct task *self)
{
	u64 deadline = self->restart.arg[0];

	if (!sched_sleep_until(deadline, true))
		return 0;
	return sleep_interrupted(self, deadline, UPTR(self->restart.arg[1]), sleep_again);
}

i64 sys_restart_syscall(struct task *self)
{
	i64 (*fn)(struct task *self) = self->restart.fn;

	self->restart.fn = NULL;
	return fn ? fn(self) : -EINTR;
}

static i64 sleep_for(struct task *self, u64 ns, uptr_t rmtp)
{
	u64 deadline = deadline_after(ns);

	if (!ns)
		return 0;
	if (!sched_sleep_until(deadline, true))
		return 0;
	return deadline_left(deadline) ? sleep_interrupted(self, deadline, rmtp, sleep_again) : 0;
}

i64 sys_nanosleep(struct task *self, uptr_t rqtp, uptr_t rmtp)
{
	u64 ns;
	int err = user_timespec(rqtp, &ns);

	return err ? err : sleep_for(self, ns, rmtp);
}

/*
 * A clock that counts CPU time cannot run faster than the process' threads run
 * at once, so waiting that long on the wall clock never overshoots.
 */
static i64 sleep_cpu_clock(struct task *self, int clock, bool abs, u64 ns)
{
	u64 now, until;
	i64 err = clock_gettime_ns((u32)clock, &now);

	if (err)
		return err;
	until = abs ? ns : now + ns;
	while (!clock_gettime_ns((u32)clock, &now) && now < until) {
		u64 wait = MAX((until - now) / cpu_count(), CPU_CLOCK_STEP);

		if (sched_sleep_until(deadline_after(wait), true))
			return abs ? -ERESTARTNOHAND : -EINTR;
	}
	return 0;
}

i64 sys_clock_nanosleep(struct task *self, int clock, int flags, uptr_t rqtp, uptr_t rmtp)
{
	u64 ns;
	int err;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
		break;
	case CLOCK_THREAD_CPUTIME_ID:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return -EOPNOTSUPP;
	default:
		if (clock >= 0)
			return -EINVAL;
	}
	err = user_timespec(rqtp, &ns);
	if (err)
		return err;
	if (clock == CLOCK_PROCESS_CPUTIME_ID || clock < 0)
		return sleep_cpu_clock(self, clock, flags & TIMER_ABSTIME, ns);
	if (!(flags & TIMER_ABSTIME))
		return sleep_for(self, ns, rmtp);
	return sched_sleep_until(deadline_at(clock, ns), true) ? -ERESTARTNOHAND : 0;
}

i64 sys_times(struct task *self, uptr_t buf)
{
	const u64 tick = NSEC_PER_SEC / USER_HZ;
	struct process *p = self->proc;
	u64 user, sys;

	if (!uptr_is_null(buf)) {
		process_times(p, &user, &sys);
		struct tms_k t = {
			(i64)(user / tick), (i64)(sys / tick),
			(i64)(READ_ONCE(p->child_user_ns) / tick), (i64)(READ_ONCE(p->child_sys_ns) / tick),
		};
		if (user_put(buf, &t))
			return -EFAULT;
	}
	return (i64)(clock_mono_ns() / tick);
}
