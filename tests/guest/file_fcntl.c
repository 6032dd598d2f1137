/* dup, dup2, dup3, fcntl, close_range, ioctl basics: the descriptor table. */
#include "tap.h"

#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void dup_takes_the_lowest(void)
{
	int a = tap_file("f", "abc"), b = tap_must(dup(a));

	tap_eq(b, a + 1);
	tap_eq(fcntl(b, F_GETFD), 0);
	close(a);
	tap_eq(dup(b), a);
	tap_err(dup(777), EBADF);
	tap_err(dup(-1), EBADF);
}

static void dup2_replaces(void)
{
	char c;
	int a = tap_file("f", "a"), b = tap_file("g", "b");

	tap_must(fcntl(b, F_SETFD, FD_CLOEXEC));
	tap_eq(dup2(a, b), b);
	tap_eq(read(b, &c, 1), 1);
	tap_eq(c, 'a');
	tap_eq(fcntl(b, F_GETFD), 0);
	tap_eq(dup2(a, 200), 200);
	tap_eq(dup2(a, a), a);
	tap_err(dup2(777, b), EBADF);
	tap_ok(is_open(b));				/* a failed dup2 closes nothing */
	tap_err(dup2(777, 777), EBADF);
	tap_err(dup2(a, -1), EBADF);
	tap_err(dup2(a, 10000000), EBADF);
}

static void dup3_flags(void)
{
	int a = tap_file("f", "a");

	tap_eq(dup3(a, 100, O_CLOEXEC), 100);
	tap_eq(fcntl(100, F_GETFD), FD_CLOEXEC);
	tap_err(dup3(a, a, 0), EINVAL);
	tap_err(syscall(SYS_dup3, a, 101, O_NONBLOCK), EINVAL);
	tap_err(dup3(777, 101, 0), EBADF);
	tap_ok(!is_open(101));
}

static void f_dupfd_starts_at(void)
{
	int a = tap_file("f", "a");

	tap_eq(fcntl(a, F_DUPFD, 50), 50);
	tap_eq(fcntl(a, F_DUPFD, 50), 51);
	tap_eq(fcntl(a, F_DUPFD_CLOEXEC, 50), 52);
	tap_eq(fcntl(52, F_GETFD), FD_CLOEXEC);
	tap_eq(fcntl(51, F_GETFD), 0);
	tap_err(fcntl(a, F_DUPFD, -1), EINVAL);
	tap_err(fcntl(777, F_DUPFD, 0), EBADF);
}

static void cloexec_closes_on_exec_only(void)
{
	char arg[16];
	int a = tap_file("f", "a"), b = tap_must(dup(a));

	tap_must(fcntl(b, F_SETFD, FD_CLOEXEC));
	tap_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
		snprintf(arg, sizeof(arg), "%d", a);
		execl("/bin/sh", "sh", "-c",
				"test -e /proc/self/fd/$0 && ! test -e /proc/self/fd/$1",
		      arg, (snprintf(arg + 8, 8, "%d", b), arg + 8), NULL);
		_exit(9);
	}
	tap_join(kid);
}

static void status_flags_are_shared_by_duplicates(void)
{
	int a = tap_file("f", "a"), b = tap_must(dup(a)), c = tap_must(open("f", O_RDWR));

	tap_eq(fcntl(a, F_SETFL, O_APPEND | O_NONBLOCK), 0);
	tap_eq(fcntl(b, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
	tap_eq(fcntl(c, F_GETFL) & (O_APPEND | O_NONBLOCK), 0);
	tap_eq(fcntl(a, F_SETFL, O_WRONLY | O_CREAT | O_EXCL), 0);	/* those cannot change */
	tap_eq(fcntl(a, F_GETFL) & (O_ACCMODE | O_APPEND), O_RDWR);
}

static void fcntl_errors(void)
{
	int a = tap_file("f", "");

	tap_err(fcntl(a, 9999, 0), EINVAL);
	tap_err(fcntl(777, F_GETFL), EBADF);
	tap_err(fcntl(777, F_SETFD, 1), EBADF);
	int p = tap_must(open("f", O_PATH));
	tap_err(fcntl(p, F_SETFL, O_APPEND), EBADF);
	tap_eq(fcntl(p, F_GETFD), 0);
	tap_must(close(tap_must(fcntl(p, F_DUPFD, 0))));
	tap_err(fcntl(a, F_GETPIPE_SZ), EBADF);
}

static void owner_and_signal(void)
{
	int p[2];

	tap_must(pipe(p));
	tap_eq(fcntl(p[0], F_GETOWN), 0);
	tap_eq(fcntl(p[0], F_SETOWN, getpid()), 0);
	tap_eq(fcntl(p[0], F_GETOWN), getpid());
	tap_eq(fcntl(p[0], F_SETSIG, SIGUSR1), 0);
	tap_eq(fcntl(p[0], F_GETSIG), SIGUSR1);
	tap_err(fcntl(p[0], F_SETSIG, 100), EINVAL);
}

static void close_range_closes(void)
{
	int a = tap_file("f", "");

	for (int i = 100; i < 110; i++)
		tap_must(dup2(a, i));
	tap_eq(syscall(SYS_close_range, 102, 104, 0), 0);
	for (int i = 100; i < 110; i++)
		tap_eq(is_open(i), i < 102 || i > 104);
	tap_eq(syscall(SYS_close_range, 105, 106, CLOSE_RANGE_CLOEXEC), 0);
	tap_eq(fcntl(105, F_GETFD), FD_CLOEXEC);
	tap_eq(fcntl(107, F_GETFD), 0);
	tap_eq(syscall(SYS_close_range, 107, ~0u, 0), 0);
	tap_ok(!is_open(109));
	tap_err(syscall(SYS_close_range, 5, 4, 0), EINVAL);
	tap_err(syscall(SYS_close_range, 500, 501, 8), EINVAL);
}

static void the_table_is_copied_by_fork(void)
{
	int a = tap_file("f", "");

	pid_t kid = tap_fork();
	if (kid == 0) {
		close(a);
		tap_leave();
	}
	tap_join(kid);
	tap_ok(is_open(a));
}

static void the_limit_is_enforced_and_can_move(void)
{
	struct rlimit rl = { 64, 64 };
	int a = tap_file("f", "");

	tap_must(dup2(a, 300));
	tap_must(setrlimit(RLIMIT_NOFILE, &rl));
	tap_ok(is_open(300));				/* what is open stays */
	tap_err(dup2(a, 64), EBADF);
	tap_eq(dup2(a, 63), 63);
	tap_err(fcntl(a, F_DUPFD, 64), EINVAL);
	tap_err(fcntl(a, F_DUPFD, 63), EMFILE);
}

static void ioctl_basics(void)
{
	int a = tap_file("f", "12345"), p[2], n = -1, on = 1;

	tap_err(ioctl(777, FIONREAD, &n), EBADF);
	tap_err(ioctl(a, 0x12345678, &n), ENOTTY);
	tap_err(ioctl(a, TIOCGWINSZ, &n), ENOTTY);
	tap_eq(ioctl(a, FIONREAD, &n), 0);
	tap_eq(n, 5);
	tap_must(pipe(p));
	tap_eq(write(p[1], "xyz", 3), 3);
	tap_eq(ioctl(p[0], FIONREAD, &n), 0);
	tap_eq(n, 3);
	tap_eq(ioctl(p[0], FIONBIO, &on), 0);
	tap_eq(fcntl(p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	tap_eq(ioctl(p[0], FIOCLEX), 0);
	tap_eq(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	tap_eq(ioctl(p[0], FIONCLEX), 0);
	tap_eq(fcntl(p[0], F_GETFD), 0);
	tap_efault_each(q, ioctl(p[0], FIONREAD, q));
	tap_efault_each(q, ioctl(p[0], FIONBIO, q));
}

static void sync_calls(void)
{
	int a = tap_file("f", "1"), p[2];

	tap_eq(fsync(a), 0);
	tap_eq(fdatasync(a), 0);
	tap_eq(syscall(SYS_syncfs, a), 0);
	tap_eq(syscall(SYS_sync_file_range, a, 0l, 0l, 7), 0);
	sync();
	tap_err(fsync(777), EBADF);
	tap_err(fdatasync(777), EBADF);
	tap_err(syscall(SYS_syncfs, 777), EBADF);
	tap_must(pipe(p));
	tap_err(fsync(p[0]), EINVAL);
	tap_err(syscall(SYS_sync_file_range, a, -1l, 0l, 0), EINVAL);
	tap_err(syscall(SYS_sync_file_range, a, 0l, 0l, 64), EINVAL);
}

static void fadvise_and_readahead(void)
{
	int a = tap_file("f", "1"), p[2];

	for (int adv = 0; adv <= 5; adv++)
		tap_eq(syscall(SYS_fadvise64, a, 0l, 0l, adv), 0);
	tap_err(syscall(SYS_fadvise64, a, 0l, 0l, 99), EINVAL);
	tap_err(syscall(SYS_fadvise64, 777, 0l, 0l, 0), EBADF);
	tap_must(pipe(p));
	tap_err(syscall(SYS_fadvise64, p[0], 0l, 0l, 0), ESPIPE);
	tap_err(syscall(SYS_readahead, 777, 0l, 10l), EBADF);
}

TAP_MAIN(
	CASE(dup_takes_the_lowest),
	CASE(dup2_replaces),
	CASE(dup3_flags),
	CASE(f_dupfd_starts_at),
	CASE(cloexec_closes_on_exec_only),
	CASE(status_flags_are_shared_by_duplicates),
	CASE(fcntl_errors),
	CASE(owner_and_signal),
	CASE(close_range_closes),
	CASE(the_table_is_copied_by_fork),
	CASE(the_limit_is_enforced_and_can_move),
	CASE(ioctl_basics),
	CASE(sync_calls),
	CASE(fadvise_and_readahead),
)
