/* The first things a kernel needs: if one of these fails, look here before anywhere else. */
#include "tap.h"

#include <sched.h>
#include <sys/utsname.h>
#include <time.h>

static void write_reaches_stdout(void)
{
	tap_eq(write(1, "# hello\n", 8), 8);
}

static void ids_are_sane(void)
{
	tap_ok(getpid() > 0);
	tap_ok(getppid() > 0);
	tap_eq(getuid(), 0);
	tap_eq(geteuid(), 0);
	tap_eq(getgid(), 0);
	tap_eq(syscall(SYS_gettid), getpid());
}

static void anonymous_memory_is_zero_and_keeps_writes(void)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tap_need(p != MAP_FAILED);
	for (unsigned i = 0; i < 8 * PAGE; i++)
		tap_need(p[i] == 0);
	for (unsigned i = 0; i < 8; i++)
		p[i * PAGE + i] = 'a' + i;
	for (unsigned i = 0; i < 8; i++)
		tap_eq(p[i * PAGE + i], 'a' + (int)i);
	tap_eq(munmap(p, 8 * PAGE), 0);
}

static void brk_grows_and_shrinks(void)
{
	long cur = syscall(SYS_brk, 0);
	long more = syscall(SYS_brk, cur + 3 * PAGE);

	tap_eq(more, cur + 3 * PAGE);
	*(volatile char *)(cur + 2 * PAGE) = 'x';
	tap_eq(*(volatile char *)(cur + 2 * PAGE), 'x');
	tap_eq(syscall(SYS_brk, cur), cur);
}

static void fork_and_wait_carry_the_status(void)
{
	int st = 0;
	pid_t kid = fork();

	if (kid == 0)
		_exit(42);
	tap_need(kid > 0);
	tap_eq(wait4(kid, &st, 0, NULL), kid);
	tap_eq(st, 42 << 8);
	tap_err(wait4(kid, &st, 0, NULL), ECHILD);
}

static void many_forks(void)
{
	for (int i = 0; i < 50; i++) {
		pid_t kid = fork();

		if (kid == 0)
			_exit(i);
		int st = tap_status(kid);
		tap_eq(WEXITSTATUS(st), i);
	}
}

static void execve_runs_a_program(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		char *argv[] = { "true", NULL }, *envp[] = { NULL };

		execve("/bin/true", argv, envp);
		_exit(99);
	}
	tap_join(kid);
}

static void execve_of_nothing_is_enoent(void)
{
	char *argv[] = { "x", NULL };

	tap_err(execve("/no/such/file", argv, NULL), ENOENT);
}

static void pipe_carries_bytes(void)
{
	char buf[16] = "";
	int fd[2];

	tap_must(pipe(fd));
	tap_eq(write(fd[1], "abc", 3), 3);
	tap_eq(read(fd[0], buf, sizeof(buf)), 3);
	tap_str(buf, "abc");
	close(fd[1]);
	tap_eq(read(fd[0], buf, sizeof(buf)), 0);
}

static void pipe_between_processes(void)
{
	int fd[2], got = 0;

	tap_must(pipe(fd));
	pid_t kid = tap_fork();
	if (kid == 0) {
		int v = 0x12345678;

		_exit(write(fd[1], &v, sizeof(v)) == sizeof(v) ? 0 : 1);
	}
	tap_eq(read(fd[0], &got, sizeof(got)), 4);
	tap_eq(got, 0x12345678);
	tap_join(kid);
}

static void a_file_can_be_written_and_read(void)
{
	char buf[32] = "";
	int fd = tap_must(open("f", O_CREAT | O_RDWR | O_EXCL, 0600));

	tap_eq(write(fd, "hello world", 11), 11);
	tap_eq(lseek(fd, 6, SEEK_SET), 6);
	tap_eq(read(fd, buf, sizeof(buf)), 5);
	tap_str(buf, "world");
	tap_eq(read(fd, buf, sizeof(buf)), 0);
	tap_eq(close(fd), 0);
	tap_err(close(fd), EBADF);
	tap_err(open("f", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	tap_err(open("absent", O_RDONLY), ENOENT);
}

static void stat_knows_size_and_mode(void)
{
	struct stat st;

	close(tap_file("f", "12345"));
	tap_must(stat("f", &st));
	tap_eq(st.st_size, 5);
	tap_eq(st.st_mode, S_IFREG | 0644);
	tap_eq(st.st_nlink, 1);
	tap_must(stat(".", &st));
	tap_ok(S_ISDIR(st.st_mode));
	tap_err(stat("absent", &st), ENOENT);
}

static void directories_can_be_made_and_removed(void)
{
	tap_eq(mkdir("d", 0755), 0);
	tap_err(mkdir("d", 0755), EEXIST);
	close(tap_file("d/f", "x"));
	tap_err(rmdir("d"), ENOTEMPTY);
	tap_eq(unlink("d/f"), 0);
	tap_eq(rmdir("d"), 0);
	tap_ok(!tap_exists("d"));
}

static volatile sig_atomic_t seen;

static void on_signal(int sig)
{
	seen = sig;
}

static void a_signal_handler_runs_and_returns(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	tap_must(sigaction(SIGUSR1, &sa, NULL));
	tap_eq(kill(getpid(), SIGUSR1), 0);
	tap_eq(seen, SIGUSR1);
	tap_eq(raise(SIGUSR1), 0);
}

static void a_signal_kills_by_default(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		for (;;)
			pause();
	}
	tap_eq(kill(kid, SIGTERM), 0);
	tap_killed(kid, SIGTERM);
}

static void a_wild_read_is_sigsegv(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		(void)*(volatile char *)16;
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

static void clocks_go_forward(void)
{
	struct timespec a, b;

	tap_must(clock_gettime(CLOCK_MONOTONIC, &a));
	tap_must(nanosleep(&(struct timespec){ 0, 5000000 }, NULL));
	tap_must(clock_gettime(CLOCK_MONOTONIC, &b));
	tap_ok((b.tv_sec - a.tv_sec) * 1000000000l + b.tv_nsec - a.tv_nsec >= 5000000);
}

static void uname_says_linux(void)
{
	struct utsname u;

	tap_must(uname(&u));
	tap_str(u.sysname, "Linux");
	tap_str(u.machine, "x86_64");
}

static void floating_point_survives_switches(void)
{
	pid_t kid = tap_fork();
	double x = 1.0;

	for (int i = 0; i < 200; i++) {
		x = x * 1.01 + (kid ? 1 : 2);
		sched_yield();
	}
	double y = 1.0;
	for (int i = 0; i < 200; i++)
		y = y * 1.01 + (kid ? 1 : 2);
	tap_ok(x == y);
	if (kid == 0)
		tap_leave();
	tap_join(kid);
}

static void an_unknown_call_is_enosys(void)
{
	tap_err(syscall(1000000), ENOSYS);
	tap_err(syscall(-1), ENOSYS);
}

TAP_MAIN(
	{ "write reaches stdout", write_reaches_stdout },
	{ "ids are sane", ids_are_sane },
	{ "mmap: anonymous memory is zero and keeps writes",
	  anonymous_memory_is_zero_and_keeps_writes },
	{ "brk grows and shrinks", brk_grows_and_shrinks },
	{ "fork and wait carry the status", fork_and_wait_carry_the_status },
	{ "fifty forks", many_forks },
	{ "execve runs a program", execve_runs_a_program },
	{ "execve of nothing is ENOENT", execve_of_nothing_is_enoent },
	{ "pipe carries bytes", pipe_carries_bytes },
	{ "pipe between processes", pipe_between_processes },
	{ "a file can be written and read", a_file_can_be_written_and_read },
	{ "stat knows size and mode", stat_knows_size_and_mode },
	{ "directories can be made and removed", directories_can_be_made_and_removed },
	{ "a signal handler runs and returns", a_signal_handler_runs_and_returns },
	{ "a signal kills by default", a_signal_kills_by_default },
	{ "a wild read is SIGSEGV", a_wild_read_is_sigsegv },
	{ "clocks go forward", clocks_go_forward },
	{ "uname says Linux", uname_says_linux },
	{ "floating point survives switches", floating_point_survives_switches },
	{ "an unknown call is ENOSYS", an_unknown_call_is_enosys },
)
