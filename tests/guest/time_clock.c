/* Clocks and sleeps: clock_gettime family, nanosleep family, time, gettimeofday, times. */
#include "tap.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>

#define NSEC(ts)	((ts).tv_sec * 1000000000l + (ts).tv_nsec)

static long now(clockid_t c)
{
	struct timespec ts;

	tap_must(clock_gettime(c, &ts));
	tap_ok(ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
	return NSEC(ts);
}

static void every_clock_works(void)
{
	static const clockid_t c[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
				       CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
				       CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE,
				       CLOCK_BOOTTIME, CLOCK_TAI };
	struct timespec res;

	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		tap_ok(now(c[i]) >= 0);
		tap_eq(clock_getres(c[i], &res), 0);
		tap_ok(NSEC(res) > 0 && NSEC(res) <= 10000000);
	}
}

static void clock_errors(void)
{
	struct timespec ts;

	tap_err(syscall(SYS_clock_gettime, 99, &ts), EINVAL);
	tap_err(syscall(SYS_clock_getres, 99, &ts), EINVAL);
	tap_eq(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL), 0);
	tap_efault_each(p, syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p));
	tap_efault_each(p, syscall(SYS_clock_getres, CLOCK_MONOTONIC, p));
	tap_err(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &ts), EINVAL);
	ts = (struct timespec){ 0, 1000000000 };
	tap_err(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts), EINVAL);
	tap_efault_each(p, syscall(SYS_clock_settime, CLOCK_REALTIME, p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		ts = (struct timespec){ 1700000000, 0 };
		tap_err(syscall(SYS_clock_settime, CLOCK_REALTIME, &ts), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void monotonic_never_goes_back(void)
{
	long a = now(CLOCK_MONOTONIC), b;

	for (int i = 0; i < 50000; i++) {
		b = now(CLOCK_MONOTONIC);
		tap_need(b >= a);
		a = b;
	}
}

static void monotonic_agrees_between_processes(void)
{
	long *t = tap_shared(1);

	for (int i = 0; i < 20; i++) {
		t[0] = now(CLOCK_MONOTONIC);
		pid_t kid = tap_fork();
		if (kid == 0) {
			t[1] = now(CLOCK_MONOTONIC);
			tap_leave();
		}
		tap_join(kid);
		t[2] = now(CLOCK_MONOTONIC);
		tap_ok(t[0] <= t[1] && t[1] <= t[2]);
	}
}

static void calls_agree_on_the_time_of_day(void)
{
	struct timeval tv;
	time_t t = 0;
	long a = now(CLOCK_REALTIME);

	tap_eq(syscall(SYS_gettimeofday, &tv, NULL), 0);
	long b = now(CLOCK_REALTIME);
	tap_ok(tv.tv_sec * 1000000l + tv.tv_usec >= a / 1000 - 1);
	tap_ok(tv.tv_sec * 1000000l + tv.tv_usec <= b / 1000 + 1);
	tap_ok(syscall(SYS_time, &t) >= a / 1000000000 - 1);
	tap_ok(t > 1500000000);				/* a clock that was never set */
	tap_efault_each(p, syscall(SYS_gettimeofday, p, NULL));
	tap_efault_each(p, syscall(SYS_time, p));
}

static void cpu_time_counts_work_not_sleep(void)
{
	long a = now(CLOCK_PROCESS_CPUTIME_ID);

	usleep(100000);
	long slept = now(CLOCK_PROCESS_CPUTIME_ID) - a;
	tap_ok(slept < 80000000);
	a = now(CLOCK_PROCESS_CPUTIME_ID);
	long t = now(CLOCK_THREAD_CPUTIME_ID);
	while (now(CLOCK_PROCESS_CPUTIME_ID) - a < 50000000)
		;
	tap_ok(now(CLOCK_THREAD_CPUTIME_ID) - t >= 45000000);
}

static void times_and_getrusage_agree(void)
{
	struct tms t;
	struct rusage ru;
	long a = now(CLOCK_PROCESS_CPUTIME_ID);

	while (now(CLOCK_PROCESS_CPUTIME_ID) - a < 300000000)
		;
	tap_ok(times(&t) > 0);
	tap_must(getrusage(RUSAGE_SELF, &ru));
	long us = ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec +
		  ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec;
	tap_ok(us >= 250000);
	tap_ok(t.tms_utime + t.tms_stime >= 20);
	tap_efault_each(p, syscall(SYS_times, p));
	tap_efault_each(p, syscall(SYS_getrusage, RUSAGE_SELF, p));
	tap_err(syscall(SYS_getrusage, 5, &ru), EINVAL);
	tap_eq(getrusage(RUSAGE_THREAD, &ru), 0);
}

static void nanosleep_sleeps_long_enough(void)
{
	static const long ns[] = { 1, 1000, 999999, 1000000, 7000000, 60000000 };

	for (unsigned i = 0; i < ARRAY_LEN(ns); i++) {
		struct timespec ts = { 0, ns[i] };
		long a = now(CLOCK_MONOTONIC);

		tap_eq(nanosleep(&ts, NULL), 0);
		tap_ok(now(CLOCK_MONOTONIC) - a >= ns[i]);
	}
	tap_eq(nanosleep(&((struct timespec){ 0, 0 }), NULL), 0);
}

static void nanosleep_errors(void)
{
	struct timespec ts = { 0, 1000000000 };

	tap_err(syscall(SYS_nanosleep, &ts, NULL), EINVAL);
	ts.tv_nsec = -1;
	tap_err(syscall(SYS_nanosleep, &ts, NULL), EINVAL);
	ts = (struct timespec){ -1, 0 };
	tap_err(syscall(SYS_nanosleep, &ts, NULL), EINVAL);
	tap_efault_each(p, syscall(SYS_nanosleep, p, NULL));
	ts = (struct timespec){ 0, 1 };
	/* not touched when not interrupted */
	tap_eq(syscall(SYS_nanosleep, &ts, BAD_KERNEL), 0);
}

static void clock_nanosleep_absolute(void)
{
	struct timespec ts;
	long a = now(CLOCK_MONOTONIC), until = a + 80000000;

	ts = (struct timespec){ until / 1000000000, until % 1000000000 };
	tap_eq(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);
	tap_ok(now(CLOCK_MONOTONIC) >= until);
	tap_eq(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL), 0);	/* past */
	long r = now(CLOCK_REALTIME) + 30000000;
	ts = (struct timespec){ r / 1000000000, r % 1000000000 };
	tap_eq(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, NULL), 0);
	tap_ok(now(CLOCK_REALTIME) >= r);
	ts = (struct timespec){ 0, 5000000 };
	tap_eq(clock_nanosleep(CLOCK_BOOTTIME, 0, &ts, NULL), 0);
	tap_err(syscall(SYS_clock_nanosleep, 99, 0, &ts, NULL), EINVAL);
	tap_err(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL), EOPNOTSUPP);
	tap_efault_each(p, syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL));
}

static void many_sleepers_wake_in_time(void)
{
	enum { N = 20 };
	pid_t kid[N];

	for (int i = 0; i < N; i++) {
		kid[i] = tap_fork();
		if (kid[i] == 0) {
			long a = now(CLOCK_MONOTONIC);

			usleep(1000 * (N - i));
			tap_ok(now(CLOCK_MONOTONIC) - a >= 1000000l * (N - i));
			tap_leave();
		}
	}
	for (int i = 0; i < N; i++)
		tap_join(kid[i]);
}

static void uptime_and_boottime(void)
{
	char buf[64];
	long a = now(CLOCK_BOOTTIME);

	tap_need(tap_slurp("/proc/uptime", buf, sizeof(buf)) > 0);
	double up = strtod(buf, NULL);
	tap_ok(up >= a / 1e9 - 0.1 && up < a / 1e9 + 10);
}

static void adjtimex_reads(void)
{
	struct timex tx = { .modes = 0 };

	tap_ok(syscall(SYS_adjtimex, &tx) >= 0);
	tap_ok(tx.time.tv_sec > 1500000000);
	tap_efault_each(p, syscall(SYS_adjtimex, p));
}

static void realtime_can_be_set(void)
{
	struct timespec ts;
	long wall = now(CLOCK_REALTIME), mono = now(CLOCK_MONOTONIC);

	ts = (struct timespec){ wall / 1000000000 + 1000, 0 };
	tap_eq(clock_settime(CLOCK_REALTIME, &ts), 0);
	long later = now(CLOCK_REALTIME);
	tap_ok(later >= wall + 999l * 1000000000);
	tap_ok(now(CLOCK_MONOTONIC) - mono < 100l * 1000000000);
	long passed = now(CLOCK_MONOTONIC) - mono;
	wall += passed;
	ts = (struct timespec){ wall / 1000000000, wall % 1000000000 };
	tap_eq(clock_settime(CLOCK_REALTIME, &ts), 0);
}

TAP_MAIN(
	CASE(every_clock_works),
	CASE(clock_errors),
	CASE(monotonic_never_goes_back),
	CASE(monotonic_agrees_between_processes),
	CASE(calls_agree_on_the_time_of_day),
	CASE(cpu_time_counts_work_not_sleep),
	CASE(times_and_getrusage_agree),
	CASE(nanosleep_sleeps_long_enough),
	CASE(nanosleep_errors),
	CASE(clock_nanosleep_absolute),
	CASE(many_sleepers_wake_in_time),
	CASE(uptime_and_boottime),
	CASE(adjtimex_reads),
	CASE(realtime_can_be_set),
)
