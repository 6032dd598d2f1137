/* Timers: setitimer, alarm, timer_create and relatives, timerfd. */
#include "tap.h"

#include <poll.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t hits, last_value, last_code, last_overrun;

static void on_info(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	hits++;
	last_value = si->si_value.sival_int;
	last_code = si->si_code;
	last_overrun = si->si_overrun;
}

static void catch(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };

	tap_must(sigaction(sig, &sa, NULL));
}

static void itimer_real_once_and_again(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 30000 } }, old;
	long a = tap_msec();

	catch(SIGALRM);
	tap_must(setitimer(ITIMER_REAL, &it, NULL));
	while (hits == 0)
		usleep(1000);
	tap_ok(tap_msec() - a >= 29);
	tap_must(getitimer(ITIMER_REAL, &old));
	tap_eq(old.it_value.tv_sec + old.it_value.tv_usec, 0);
	it.it_interval.tv_usec = 5000;
	tap_must(setitimer(ITIMER_REAL, &it, NULL));
	hits = 0;
	while (hits < 4)
		usleep(1000);
	tap_must(getitimer(ITIMER_REAL, &old));
	tap_eq(old.it_interval.tv_usec, 5000);
	it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
	tap_must(setitimer(ITIMER_REAL, &it, &old));
	tap_ok(old.it_interval.tv_usec == 5000);
}

static void itimer_virtual_and_prof_count_cpu_time(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 20000 } };

	catch(SIGVTALRM);
	catch(SIGPROF);
	tap_must(setitimer(ITIMER_VIRTUAL, &it, NULL));
	usleep(100000);
	tap_eq(hits, 0);				/* asleep, no time passes */
	while (hits == 0)
		;
	hits = 0;
	tap_must(setitimer(ITIMER_PROF, &it, NULL));
	while (hits == 0)
		;
	tap_eq(hits, 1);
}

static void itimer_errors(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 1000000 } };

	tap_err(syscall(SYS_setitimer, 9, &it, NULL), EINVAL);
	tap_err(syscall(SYS_getitimer, 9, &it), EINVAL);
	tap_err(syscall(SYS_setitimer, ITIMER_REAL, &it, NULL), EINVAL);
	it.it_value.tv_usec = -1;
	tap_err(syscall(SYS_setitimer, ITIMER_REAL, &it, NULL), EINVAL);
	tap_efault_each(p, syscall(SYS_setitimer, ITIMER_REAL, p, NULL));
	tap_efault_each(p, syscall(SYS_getitimer, ITIMER_REAL, p));
}

static void alarm_returns_what_was_left(void)
{
	tap_eq(alarm(100), 0);
	unsigned left = alarm(50);
	tap_ok(left == 100 || left == 99);
	tap_ok(alarm(0) >= 49);
	tap_eq(alarm(0), 0);
	catch(SIGALRM);
	alarm(1);
	long a = tap_msec();
	pause();
	tap_eq(hits, 1);
	tap_ok(tap_msec() - a >= 900);
}

static timer_t make(clockid_t clock, int sig, int value)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig,
			       .sigev_value.sival_int = value };
	timer_t t;

	tap_must(timer_create(clock, &ev, &t));
	return t;
}

static void posix_timer_fires_with_its_value(void)
{
	struct itimerspec it = { { 0, 0 }, { 0, 20000000 } }, now;
	timer_t t = make(CLOCK_MONOTONIC, SIGRTMIN + 3, 99);

	catch(SIGRTMIN + 3);
	tap_must(timer_gettime(t, &now));
	tap_eq(now.it_value.tv_nsec, 0);
	tap_must(timer_settime(t, 0, &it, NULL));
	tap_must(timer_gettime(t, &now));
	tap_ok(now.it_value.tv_nsec <= 20000000);
	while (hits == 0)
		usleep(1000);
	tap_eq(last_value, 99);
	tap_eq(last_code, SI_TIMER);
	tap_eq(hits, 1);
	tap_must(timer_delete(t));
	tap_ok(timer_delete(t) != 0);
}

static void posix_timer_interval_and_overrun(void)
{
	struct itimerspec it = { { 0, 1000000 }, { 0, 1000000 } };
	timer_t t = make(CLOCK_REALTIME, SIGUSR1, 1);
	sigset_t set;

	catch(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	tap_must(timer_settime(t, 0, &it, NULL));
	usleep(50000);
	it = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
	tap_must(sigprocmask(SIG_UNBLOCK, &set, NULL));
	tap_ok(hits >= 1);
	tap_ok(timer_getoverrun(t) >= 0);
	tap_must(timer_settime(t, 0, &it, NULL));
	tap_must(timer_delete(t));
}

static void overruns_are_counted_while_blocked(void)
{
	struct itimerspec it = { { 0, 2000000 }, { 0, 2000000 } };
	timer_t t = make(CLOCK_MONOTONIC, SIGUSR1, 1);
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	tap_must(timer_settime(t, 0, &it, NULL));
	usleep(60000);
	tap_eq(sigwaitinfo(&set, &si), SIGUSR1);
	tap_ok(si.si_overrun >= 10);
	tap_eq(timer_getoverrun(t), si.si_overrun);
	tap_must(timer_delete(t));
}

static void absolute_and_cpu_time_timers(void)
{
	struct itimerspec it = { 0 };
	timer_t t = make(CLOCK_MONOTONIC, SIGUSR1, 1);

	catch(SIGUSR1);
	clock_gettime(CLOCK_MONOTONIC, &it.it_value);	/* due already */
	tap_must(timer_settime(t, TIMER_ABSTIME, &it, NULL));
	while (hits == 0)
		usleep(1000);
	timer_t c = make(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1, 2);
	it = (struct itimerspec){ { 0, 0 }, { 0, 20000000 } };
	hits = 0;
	tap_must(timer_settime(c, 0, &it, NULL));
	while (hits == 0)
		;
	tap_eq(last_value, 2);
}

static void notify_none_and_thread_id(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_NONE };
	struct itimerspec it = { { 0, 0 }, { 0, 1000000 } }, now;
	timer_t t;

	tap_must(timer_create(CLOCK_MONOTONIC, &ev, &t));
	tap_must(timer_settime(t, 0, &it, NULL));
	do
		tap_must(timer_gettime(t, &now));
	while (now.it_value.tv_nsec > 0);
	struct { void *v; int sig, notify, tid; char pad[44]; } raw =
		{ NULL, SIGUSR2, 4 /* SIGEV_THREAD_ID */, (int)syscall(SYS_gettid), { 0 } };
	int id;
	catch(SIGUSR2);
	tap_must(syscall(SYS_timer_create, CLOCK_MONOTONIC, &raw, &id));
	tap_must(syscall(SYS_timer_settime, id, 0, &it, NULL));
	while (hits == 0)
		usleep(1000);
	tap_eq(hits, 1);
	raw.tid = 1;
	tap_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &raw, &id), EINVAL);
}

static void timer_errors(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65 };
	struct itimerspec it = { { 0, 0 }, { 0, 1000000000 } };
	int id;

	tap_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.sigev_signo = SIGUSR1;
	ev.sigev_notify = 77;
	tap_err(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	tap_err(syscall(SYS_timer_create, 99, NULL, &id), EINVAL);
	tap_efault_each(p, syscall(SYS_timer_create, CLOCK_MONOTONIC, p, &id));
	tap_efault_each(p, syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, p));
	tap_must(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id));
	tap_err(syscall(SYS_timer_settime, id, 0, &it, NULL), EINVAL);
	tap_err(syscall(SYS_timer_settime, id, 0, NULL, NULL), EINVAL);
	tap_err(syscall(SYS_timer_settime, 12345, 0, &it, NULL), EINVAL);
	tap_err(syscall(SYS_timer_gettime, 12345, &it), EINVAL);
	tap_err(syscall(SYS_timer_getoverrun, 12345), EINVAL);
	tap_err(syscall(SYS_timer_delete, 12345), EINVAL);
	tap_efault_each(p, syscall(SYS_timer_settime, id, 0, p, NULL));
	tap_efault_each(p, syscall(SYS_timer_gettime, id, p));
}

static void timers_are_gone_after_fork_and_exec(void)
{
	timer_t t = make(CLOCK_MONOTONIC, SIGUSR1, 1);
	struct itimerspec it;

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_err(timer_gettime(t, &it), EINVAL);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(timer_gettime(t, &it), 0);
}

/* -- timerfd -- */

static void timerfd_counts_expirations(void)
{
	struct itimerspec it = { { 0, 5000000 }, { 0, 5000000 } }, old;
	int fd = tap_must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	uint64_t n = 0;

	tap_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	tap_must(timerfd_settime(fd, 0, &it, NULL));
	usleep(30000);
	tap_eq(read(fd, &n, 8), 8);
	tap_ok(n >= 5);
	tap_eq(read(fd, &n, 8), 8);			/* waits for the next */
	tap_ok(n >= 1);
	tap_must(timerfd_gettime(fd, &old));
	tap_eq(old.it_interval.tv_nsec, 5000000);
	it = (struct itimerspec){ 0 };
	tap_must(timerfd_settime(fd, 0, &it, &old));
	tap_eq(old.it_interval.tv_nsec, 5000000);
	tap_must(timerfd_gettime(fd, &old));
	tap_eq(old.it_value.tv_nsec + old.it_value.tv_sec, 0);
}

static void timerfd_nonblocking_and_poll(void)
{
	struct itimerspec it = { { 0, 0 }, { 0, 10000000 } };
	int fd = tap_must(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	struct pollfd p = { fd, POLLIN, 0 };
	uint64_t n;

	tap_err(read(fd, &n, 8), EAGAIN);
	tap_eq(poll(&p, 1, 0), 0);
	tap_must(timerfd_settime(fd, 0, &it, NULL));
	tap_eq(poll(&p, 1, -1), 1);
	tap_err(read(fd, &n, 7), EINVAL);
	tap_eq(read(fd, &n, 8), 8);
	tap_eq(n, 1);
	tap_err(read(fd, &n, 8), EAGAIN);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	it.it_value = now;
	tap_must(timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL));
	tap_eq(poll(&p, 1, -1), 1);
	tap_must(timerfd_settime(fd, 0, &it, NULL));	/* setting again forgets */
	tap_err(read(fd, &n, 8), EAGAIN);
}

static void timerfd_errors(void)
{
	struct itimerspec it = { { 0, 0 }, { 0, 1000000000 } };
	int fd = tap_must(timerfd_create(CLOCK_MONOTONIC, 0)), f = tap_file("f", "");

	tap_err(timerfd_create(99, 0), EINVAL);
	tap_err(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	tap_err(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	tap_err(timerfd_settime(fd, 0, &it, NULL), EINVAL);
	tap_err(timerfd_settime(fd, 8, &it, NULL), EINVAL);
	tap_err(timerfd_gettime(f, &it), EINVAL);
	it.it_value.tv_nsec = 1;
	tap_err(timerfd_settime(777, 0, &it, NULL), EBADF);
	tap_err(timerfd_settime(f, 0, &it, NULL), EINVAL);
	tap_efault_each(p, timerfd_settime(fd, 0, p, NULL));
	tap_efault_each(p, timerfd_gettime(fd, p));
	tap_err(write(fd, "12345678", 8), EINVAL);
	tap_ticker(tap_tick, 0);
	uint64_t n;
	tap_err(read(fd, &n, 8), EINTR);
	tap_ticker_stop();
}

TAP_MAIN(
	CASE(itimer_real_once_and_again),
	CASE(itimer_virtual_and_prof_count_cpu_time),
	CASE(itimer_errors),
	CASE(alarm_returns_what_was_left),
	CASE(posix_timer_fires_with_its_value),
	CASE(posix_timer_interval_and_overrun),
	CASE(overruns_are_counted_while_blocked),
	CASE(absolute_and_cpu_time_timers),
	CASE(notify_none_and_thread_id),
	CASE(timer_errors),
	CASE(timers_are_gone_after_fork_and_exec),
	CASE(timerfd_counts_expirations),
	CASE(timerfd_nonblocking_and_poll),
	CASE(timerfd_errors),
)
