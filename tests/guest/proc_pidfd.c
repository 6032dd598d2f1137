/* pidfd_open, pidfd_send_signal, pidfd_getfd, waitid(P_PIDFD), poll on a pidfd. */
#include "tap.h"

#include <poll.h>

static int pidfd_open(pid_t pid, unsigned flags)
{
	return syscall(SYS_pidfd_open, pid, flags);
}

static int pidfd_signal(int fd, int sig, siginfo_t *si, unsigned flags)
{
	return syscall(SYS_pidfd_send_signal, fd, sig, si, flags);
}

static pid_t sleeper(void)
{
	pid_t kid = tap_fork();

	while (kid == 0)
		pause();
	return kid;
}

static void open_and_signal(void)
{
	pid_t kid = sleeper();
	int fd = tap_must(pidfd_open(kid, 0));

	tap_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	tap_eq(pidfd_signal(fd, 0, NULL, 0), 0);
	tap_eq(pidfd_signal(fd, SIGUSR1, NULL, 0), 0);
	tap_killed(kid, SIGUSR1);
	tap_err(pidfd_signal(fd, 0, NULL, 0), ESRCH);
}

static void poll_says_when_it_ends(void)
{
	pid_t kid = sleeper();
	struct pollfd p = { tap_must(pidfd_open(kid, 0)), POLLIN, 0 };

	tap_eq(poll(&p, 1, 0), 0);
	kill(kid, SIGKILL);
	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(p.revents & POLLIN, POLLIN);
	tap_killed(kid, SIGKILL);
}

static void wait_by_pidfd(void)
{
	siginfo_t si;
	pid_t kid = sleeper();
	int fd = tap_must(pidfd_open(kid, 0));

	tap_eq(waitid(3, fd, &si, WEXITED | WNOHANG), 0);
	kill(kid, SIGTERM);
	tap_eq(waitid(3, fd, &si, WEXITED), 0);
	tap_eq(si.si_pid, kid);
	tap_eq(si.si_status, SIGTERM);
	tap_err(waitid(3, fd, &si, WEXITED), ECHILD);
	tap_err(waitid(3, 777, &si, WEXITED), EBADF);
	int f = tap_file("f", "");
	tap_err(waitid(3, f, &si, WEXITED), EBADF);
	int self = tap_must(pidfd_open(getpid(), 0));
	tap_err(waitid(3, self, &si, WEXITED), ECHILD);
}

static void a_nonblocking_pidfd_does_not_wait(void)
{
	siginfo_t si;
	pid_t kid = sleeper();
	int fd = tap_must(pidfd_open(kid, O_NONBLOCK));

	tap_err(waitid(3, fd, &si, WEXITED), EAGAIN);
	kill(kid, SIGKILL);
	struct pollfd p = { fd, POLLIN, 0 };
	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(waitid(3, fd, &si, WEXITED), 0);
}

static void open_errors(void)
{
	tap_err(pidfd_open(0, 0), EINVAL);
	tap_err(pidfd_open(-1, 0), EINVAL);
	tap_err(pidfd_open(getpid(), 1), EINVAL);
	tap_err(pidfd_open(4000000, 0), ESRCH);
	pid_t kid = tap_fork();
	if (kid == 0)
		_exit(0);
	tap_join(kid);
	tap_err(pidfd_open(kid, 0), ESRCH);
}

static void signal_errors(void)
{
	int fd = tap_must(pidfd_open(getpid(), 0)), f = tap_file("f", "");
	siginfo_t si = { .si_signo = SIGUSR2, .si_code = SI_QUEUE };

	tap_err(pidfd_signal(fd, 65, NULL, 0), EINVAL);
	tap_err(pidfd_signal(fd, 0, NULL, 0x8000), EINVAL);
	tap_err(pidfd_signal(777, 0, NULL, 0), EBADF);
	tap_err(pidfd_signal(f, 0, NULL, 0), EBADF);
	tap_err(pidfd_signal(fd, SIGUSR1, &si, 0), EINVAL);	/* numbers differ */
	tap_efault_each(p, pidfd_signal(fd, SIGUSR1, p, 0));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		int parent = tap_must(pidfd_open(getppid(), 0));
		tap_err(pidfd_signal(parent, SIGTERM, NULL, 0), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void getfd_takes_a_descriptor(void)
{
	char buf[8] = "";
	int p[2], q[2];
	char c;

	tap_must(pipe(p));
	tap_must(pipe(q));
	pid_t kid = tap_fork();
	if (kid == 0) {
		int f = tap_file("f", "inside");

		dup2(f, 50);
		write(p[1], "r", 1);
		read(q[0], &c, 1);
		tap_leave();
	}
	tap_eq(read(p[0], &c, 1), 1);
	int fd = tap_must(pidfd_open(kid, 0));
	int got = tap_must((int)syscall(SYS_pidfd_getfd, fd, 50, 0));
	tap_eq(fcntl(got, F_GETFD), FD_CLOEXEC);
	tap_eq(read(got, buf, 8), 6);
	tap_str(buf, "inside");
	tap_err(syscall(SYS_pidfd_getfd, fd, 51, 0), EBADF);
	tap_err(syscall(SYS_pidfd_getfd, fd, 50, 1), EINVAL);
	tap_err(syscall(SYS_pidfd_getfd, 777, 50, 0), EBADF);
	write(q[1], "g", 1);
	tap_join(kid);
}

static void other_calls_on_a_pidfd(void)
{
	char c;
	int fd = tap_must(pidfd_open(getpid(), 0));

	tap_err(read(fd, &c, 1), EINVAL);
	tap_err(write(fd, &c, 1), EINVAL);
	tap_err(lseek(fd, 0, SEEK_SET), ESPIPE);
}

TAP_MAIN(
	CASE(open_and_signal),
	CASE(poll_says_when_it_ends),
	CASE(wait_by_pidfd),
	CASE(a_nonblocking_pidfd_does_not_wait),
	CASE(open_errors),
	CASE(signal_errors),
	CASE(getfd_takes_a_descriptor),
	CASE(other_calls_on_a_pidfd),
)
