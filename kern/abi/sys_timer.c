/* Interval timers, POSIX timers, alarm; timerfd is in sys_event.c. */
#include "abi.h"

/* spec[0]: interval, spec[1]: value. */
static int timeval_pair_in(uptr_t p, u64 spec[2])
{
	struct itimerval_k it;

	if (user_get(&it, p))
		return -EFAULT;
	const struct timeval_k *tv[2] = { &it.interval, &it.value };
	for (u32 i = 0; i < 2; i++) {
		struct timespec_k ts = { tv[i]->sec, tv[i]->usec * 1000 };

		if ((u64)tv[i]->usec >= 1000000 || timespec_to_ns(&ts, &spec[i]))
			return -EINVAL;
	}
	return 0;
}

static i64 timeval_pair_out(uptr_t p, const u64 spec[2])
{
	struct itimerval_k it = { ns_to_timeval(spec[0]), ns_to_timeval(spec[1]) };

	return user_put(p, &it);
}

i64 sys_getitimer(struct task *self, int which, uptr_t value)
{
	u64 spec[2];

	if (which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	itimer_get(self, (u32)which, spec);
	return timeval_pair_out(value, spec);
}

/* A NULL value counts as zeros: it disarms. */
i64 sys_setitimer(struct task *self, int which, uptr_t value, uptr_t old)
{
	u64 spec[2] = { 0 }, was[2];
	int err = uptr_is_null(value) ? 0 : timeval_pair_in(value, spec);

	if (err)
		return err;
	if (which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	err = itimer_set(self, (u32)which, spec, was);
	if (err)
		return err;
	return uptr_is_null(old) ? 0 : timeval_pair_out(old, was);
}

i64 sys_alarm(struct task *self, u32 seconds)
{
	u64 spec[2] = { 0, seconds * NSEC_PER_SEC }, was[2] = { 0 };
	u64 left;

	DISCARD(itimer_set(self, ITIMER_REAL, spec, was));	/* cannot fail for this clock */
	left = was[1] / NSEC_PER_SEC;
	/* Never 0 while an alarm was set; else rounded to the nearest second. */
	if ((!left && was[1]) || was[1] % NSEC_PER_SEC >= NSEC_PER_SEC / 2)
		left++;
	return (i64)left;
}

static int timespec_pair_in(uptr_t p, u64 spec[2])
{
	struct itimerspec_k it;
	int err;

	if (user_get(&it, p))
		return -EFAULT;
	err = timespec_to_ns(&it.interval, &spec[0]);
	return err ? err : timespec_to_ns(&it.value, &spec[1]);
}

static i64 timespec_pair_out(uptr_t p, const u64 spec[2])
{
	struct itimerspec_k it = { ns_to_timespec(spec[0]), ns_to_timespec(spec[1]) };

	return user_put(p, &it);
}

i64 sys_timer_create(struct task *self, int clock, uptr_t ev, uptr_t id)
{
	struct sigevent_user_k u;
	struct sigevent_k e;
	i32 new_id = 0;
	i64 err;

	if (!uptr_is_null(ev)) {
		if (user_get(&u, ev))
			return -EFAULT;
		e = (struct sigevent_k){ .value = u.value, .signo = u.signo, .notify = u.notify, .tid = u.tid };
	}
	err = posix_timer_create(self, (u32)clock, uptr_is_null(ev) ? NULL : &e, &new_id);
	if (err < 0)
		return err;
	if (user_put(id, &new_id)) {
		DISCARD(posix_timer_delete(self, new_id));	/* it was just made */
		return -EFAULT;
	}
	return 0;
}

i64 sys_timer_settime(struct task *self, int id, int flags, uptr_t value, uptr_t old)
{
	u64 spec[2], was[2];
	int err;

	if (uptr_is_null(value))
		return -EINVAL;
	err = timespec_pair_in(value, spec);
	if (!err)
		err = posix_timer_settime(self, id, flags, spec, was);
	if (err)
		return err;
	return uptr_is_null(old) ? 0 : timespec_pair_out(old, was);
}

i64 sys_timer_gettime(struct task *self, int id, uptr_t value)
{
	u64 spec[2];
	int err = posix_timer_gettime(self, id, spec);

	return err ? err : timespec_pair_out(value, spec);
}

i64 sys_timer_getoverrun(struct task *self, int id)
{
	return posix_timer_getoverrun(self, id);
}

i64 sys_timer_delete(struct task *self, int id)
{
	return posix_timer_delete(self, id);
}
