/* Waiting for signals: sigsuspend, pause, sigtimedwait, sigwaitinfo, signalfd. */
#include "tap.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <time.h>

static void block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	tap_must(sigprocmask(how, &set, NULL));
}

static sigset_t set_of(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	if (a)
		sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	return set;
}

static bool blocked(int sig)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, sig);
}

static volatile sig_atomic_t blocked_inside;

static void look(int sig)
{
	tap_ticks++;
	blocked_inside = blocked(sig == SIGUSR1 ? SIGUSR2 : SIGUSR1);
}

static void pause_ends_with_a_handler(void)
{
	tap_ticker(tap_tick, SA_RESTART);
	tap_err(pause(), EINTR);			/* even with SA_RESTART */
	tap_ticker_stop();
	tap_ok(tap_ticks >= 1);
}

static void sigsuspend_swaps_the_mask(void)
{
	sigset_t open = set_of(SIGUSR2, 0);

	signal(SIGUSR1, look);
	block(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	tap_eq(tap_ticks, 0);
	tap_err(sigsuspend(&open), EINTR);		/* delivered at once: it was pending */
	tap_eq(tap_ticks, 1);
	tap_eq(blocked_inside, 1);			/* the temporary mask, in the handler */
	tap_ok(blocked(SIGUSR1));			/* the old one is back */
	tap_ok(!blocked(SIGUSR2));
}

static void sigsuspend_waits(void)
{
	sigset_t none = set_of(0, 0);

	block(SIG_BLOCK, SIGALRM);
	tap_ticker(tap_tick, 0);
	for (int i = 1; i <= 3; i++) {
		tap_err(sigsuspend(&none), EINTR);
		tap_eq(tap_ticks, i);			/* exactly one each time */
	}
	tap_ticker_stop();
	tap_err(syscall(SYS_rt_sigsuspend, &none, 4), EINVAL);
	tap_efault_each(p, syscall(SYS_rt_sigsuspend, p, 8));
}

static void sigwaitinfo_takes_a_pending_signal(void)
{
	sigset_t set = set_of(SIGUSR1, SIGRTMIN + 1);
	siginfo_t si;

	block(SIG_BLOCK, SIGUSR1);
	block(SIG_BLOCK, SIGRTMIN + 1);
	sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 7 });
	sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 8 });
	raise(SIGUSR1);
	tap_eq(sigwaitinfo(&set, &si), SIGUSR1);	/* lowest first */
	tap_eq(sigwaitinfo(&set, &si), SIGRTMIN + 1);
	tap_eq(si.si_value.sival_int, 7);
	tap_eq(si.si_code, SI_QUEUE);
	tap_eq(sigwaitinfo(&set, NULL), SIGRTMIN + 1);
	struct timespec now = { 0, 0 };
	tap_err(sigtimedwait(&set, &si, &now), EAGAIN);
}

static void sigtimedwait_times_out(void)
{
	sigset_t set = set_of(SIGUSR1, 0);
	struct timespec ts = { 0, 50000000 };
	long a = tap_msec();

	block(SIG_BLOCK, SIGUSR1);
	tap_err(sigtimedwait(&set, NULL, &ts), EAGAIN);
	tap_ok(tap_msec() - a >= 49);
	ts.tv_nsec = 1000000000;
	tap_err(sigtimedwait(&set, NULL, &ts), EINVAL);
	ts = (struct timespec){ -1, 0 };
	tap_err(sigtimedwait(&set, NULL, &ts), EINVAL);
	tap_efault_each(p, syscall(SYS_rt_sigtimedwait, p, NULL, NULL, 8));
	tap_efault_each(p, syscall(SYS_rt_sigtimedwait, &set, NULL, p, 8));
	tap_err(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 4), EINVAL);
}

static void sigtimedwait_is_interrupted_by_others(void)
{
	sigset_t set = set_of(SIGUSR1, 0);

	block(SIG_BLOCK, SIGUSR1);
	tap_ticker(tap_tick, 0);
	/* the raw call: musl's wrapper goes on waiting */
	tap_err(syscall(SYS_rt_sigtimedwait, &set, NULL, &((struct timespec){ 30, 0 }), 8), EINTR);
	tap_ticker_stop();
}

static void sigwaitinfo_waits_for_another_process(void)
{
	sigset_t set = set_of(SIGUSR1, 0);
	siginfo_t si;
	pid_t parent = getpid();

	block(SIG_BLOCK, SIGUSR1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_await_state(parent, 'S');
		kill(parent, SIGUSR1);
		tap_leave();
	}
	tap_eq(sigwaitinfo(&set, &si), SIGUSR1);
	tap_eq(si.si_pid, kid);
	tap_join(kid);
}

static void signalfd_reads_signals(void)
{
	struct signalfd_siginfo si[3];
	sigset_t set = set_of(SIGUSR1, SIGRTMIN + 2);

	block(SIG_BLOCK, SIGUSR1);
	block(SIG_BLOCK, SIGRTMIN + 2);
	int fd = tap_must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	tap_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	tap_err(read(fd, si, sizeof(si)), EAGAIN);
	raise(SIGUSR1);
	sigqueue(getpid(), SIGRTMIN + 2, (union sigval){ .sival_int = -3 });
	tap_err(read(fd, si, sizeof(si[0]) - 1), EINVAL);
	tap_eq(read(fd, si, sizeof(si)), 2 * (long)sizeof(si[0]));
	tap_eq(si[0].ssi_signo, SIGUSR1);
	tap_eq(si[0].ssi_pid, getpid());
	tap_eq(si[1].ssi_signo, SIGRTMIN + 2);
	tap_eq(si[1].ssi_int, -3);
	tap_eq(si[1].ssi_code, SI_QUEUE);
	tap_err(write(fd, "x", 1), EINVAL);
}

static void signalfd_polls_and_blocks(void)
{
	struct signalfd_siginfo si;
	sigset_t set = set_of(SIGUSR1, 0);
	pid_t parent = getpid();

	block(SIG_BLOCK, SIGUSR1);
	int fd = tap_must(signalfd(-1, &set, 0));
	struct pollfd p = { fd, POLLIN, 0 };
	tap_eq(poll(&p, 1, 0), 0);
	raise(SIGUSR1);
	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(read(fd, &si, sizeof(si)), (long)sizeof(si));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_await_state(parent, 'S');
		kill(parent, SIGUSR1);
		tap_leave();
	}
	tap_eq(read(fd, &si, sizeof(si)), (long)sizeof(si));
	tap_eq(si.ssi_pid, kid);
	tap_join(kid);
	tap_ticker(tap_tick, 0);
	tap_err(read(fd, &si, sizeof(si)), EINTR);
	tap_ticker_stop();
}

static void signalfd_mask_can_change(void)
{
	struct signalfd_siginfo si;
	sigset_t a = set_of(SIGUSR1, 0), b = set_of(SIGUSR2, 0);

	block(SIG_BLOCK, SIGUSR1);
	block(SIG_BLOCK, SIGUSR2);
	int fd = tap_must(signalfd(-1, &a, SFD_NONBLOCK));
	raise(SIGUSR2);
	tap_err(read(fd, &si, sizeof(si)), EAGAIN);
	tap_eq(signalfd(fd, &b, 0), fd);
	tap_eq(read(fd, &si, sizeof(si)), (long)sizeof(si));
	tap_eq(si.ssi_signo, SIGUSR2);
}

static void signalfd_errors(void)
{
	sigset_t set = set_of(SIGUSR1, 0);
	int f = tap_file("f", "");

	tap_err(signalfd(777, &set, 0), EBADF);
	tap_err(signalfd(f, &set, 0), EINVAL);
	tap_err(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL);
	tap_err(syscall(SYS_signalfd4, -1, &set, 8, 0x1), EINVAL);
	tap_efault_each(p, syscall(SYS_signalfd4, -1, p, 8, 0));
	block(SIG_BLOCK, SIGUSR1);
	int fd = tap_must(signalfd(-1, &set, SFD_NONBLOCK));
	raise(SIGUSR1);
	tap_err(read(fd, tap_page_none(), 128), EFAULT);
}

TAP_MAIN(
	CASE(pause_ends_with_a_handler),
	CASE(sigsuspend_swaps_the_mask),
	CASE(sigsuspend_waits),
	CASE(sigwaitinfo_takes_a_pending_signal),
	CASE(sigtimedwait_times_out),
	CASE(sigtimedwait_is_interrupted_by_others),
	CASE(sigwaitinfo_waits_for_another_process),
	CASE(signalfd_reads_signals),
	CASE(signalfd_polls_and_blocks),
	CASE(signalfd_mask_can_change),
	CASE(signalfd_errors),
)
