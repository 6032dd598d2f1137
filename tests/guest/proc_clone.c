/* clone and clone3: what each flag shares, where identifiers are stored, refused combinations. */
#include "tap.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>

static long raw_clone(unsigned long flags, void *stack, int *ptid, int *ctid, void *tls)
{
	return syscall(SYS_clone, flags, stack, ptid, ctid, tls);
}

static long clone3(struct clone_args *a, size_t size)
{
	return syscall(SYS_clone3, a, size);
}

static char *new_stack(void)
{
	return (char *)tap_pages(16) + 16 * PAGE;
}

static volatile int shared;
static int an_fd;

static int bump(void *arg)
{
	shared += (long)arg;
	return 9;
}

static void without_flags_it_is_fork(void)
{
	shared = 1;
	long kid = raw_clone(SIGCHLD, NULL, NULL, NULL, NULL);

	if (kid == 0) {
		shared = 2;
		_exit(5);
	}
	tap_eq(WEXITSTATUS(tap_status(kid)), 5);
	tap_eq(shared, 1);
}

static void clone_vm_shares_memory(void)
{
	shared = 1;
	pid_t kid = tap_must(clone(bump, new_stack(), CLONE_VM | SIGCHLD, (void *)4));

	tap_eq(WEXITSTATUS(tap_status(kid)), 9);
	tap_eq(shared, 5);
}

static int close_it(void *arg)
{
	(void)arg;
	return close(an_fd);
}

static void clone_files_shares_descriptors(void)
{
	an_fd = tap_file("f", "");
	pid_t kid = tap_must(clone(close_it, new_stack(), SIGCHLD, NULL));
	tap_eq(tap_status(kid), 0);
	tap_eq(fcntl(an_fd, F_GETFD), 0);
	kid = tap_must(clone(close_it, new_stack(), CLONE_FILES | SIGCHLD, NULL));
	tap_eq(tap_status(kid), 0);
	tap_err(fcntl(an_fd, F_GETFD), EBADF);
}

static int go_to_d(void *arg)
{
	(void)arg;
	umask(0123);
	return chdir("d");
}

static void clone_fs_shares_directory_and_umask(void)
{
	char a[256], b[256];

	tap_must(mkdir("d", 0755));
	tap_need(getcwd(a, sizeof(a)) != NULL);
	pid_t kid = tap_must(clone(go_to_d, new_stack(), SIGCHLD, NULL));
	tap_eq(tap_status(kid), 0);
	tap_str(getcwd(b, sizeof(b)), a);
	kid = tap_must(clone(go_to_d, new_stack(), CLONE_FS | SIGCHLD, NULL));
	tap_eq(tap_status(kid), 0);
	strcat(a, "/d");
	tap_str(getcwd(b, sizeof(b)), a);
	tap_eq(umask(022), 0123);
	tap_must(chdir(".."));
}

static int install_ignore(void *arg)
{
	(void)arg;
	signal(SIGUSR1, SIG_IGN);
	return 0;
}

static void clone_sighand_shares_handlers(void)
{
	struct sigaction sa;

	pid_t kid = tap_must(clone(install_ignore, new_stack(), CLONE_VM | SIGCHLD, NULL));
	tap_eq(tap_status(kid), 0);
	tap_must(sigaction(SIGUSR1, NULL, &sa));
	tap_ok(sa.sa_handler == SIG_DFL);
	kid = tap_must(clone(install_ignore, new_stack(), CLONE_VM | CLONE_SIGHAND | SIGCHLD,
			NULL));
	tap_eq(tap_status(kid), 0);
	tap_must(sigaction(SIGUSR1, NULL, &sa));
	tap_ok(sa.sa_handler == SIG_IGN);
}

static void another_exit_signal(void)
{
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	long kid = raw_clone(SIGUSR2, NULL, NULL, NULL, NULL);
	if (kid == 0)
		_exit(3);
	tap_eq(sigwaitinfo(&set, &si), SIGUSR2);
	tap_eq(si.si_pid, kid);
	int st;
	tap_err(waitpid(kid, &st, 0), ECHILD);		/* not a SIGCHLD child */
	tap_eq(waitpid(kid, &st, __WCLONE), kid);
	tap_eq(WEXITSTATUS(st), 3);
}

static void without_exit_signal_no_news(void)
{
	sigset_t set;
	int st;

	long kid = raw_clone(0, NULL, NULL, NULL, NULL);
	if (kid == 0)
		_exit(4);
	tap_eq(waitpid(kid, &st, __WALL), kid);
	tap_eq(WEXITSTATUS(st), 4);
	tap_must(sigpending(&set));
	tap_eq(sigismember(&set, SIGCHLD), 0);
}

static void parent_settid_and_child_settid(void)
{
	int *ptid = tap_shared(1), *ctid = ptid + 1;

	long kid = raw_clone(SIGCHLD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID, NULL, ptid, ctid,
			NULL);
	if (kid == 0)
		_exit(*ctid == getpid() && *ptid == getpid() ? 0 : 1);
	tap_eq(*ptid, kid);
	tap_join(kid);
	tap_eq(*ctid, kid);
}

static void child_cleartid_clears_and_wakes(void)
{
	int *ctid = tap_shared(1);

	*ctid = 1;
	pid_t kid = tap_must(clone(bump, new_stack(), CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD,
				   (void *)1, NULL, NULL, ctid));
	while (*(volatile int *)ctid)
		syscall(SYS_futex, ctid, FUTEX_WAIT, 1, NULL, NULL, 0);
	tap_eq(*ctid, 0);
	tap_status(kid);
}

static void clone_parent_makes_a_sibling(void)
{
	int p[2];
	pid_t got = 0;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		long k = raw_clone(CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);

		if (k == 0)
			_exit(6);
		pid_t v = k;
		write(p[1], &v, sizeof(v));
		tap_err(waitpid(k, NULL, 0), ECHILD);
		tap_leave();
	}
	tap_eq(read(p[0], &got, sizeof(got)), 4);
	tap_join(kid);
	tap_eq(WEXITSTATUS(tap_status(got)), 6);
}

static void clone_vfork_waits(void)
{
	shared = 0;
	pid_t kid = tap_must(clone(bump, new_stack(), CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)3));

	tap_eq(shared, 3);
	tap_status(kid);
}

static void refused_combinations(void)
{
	tap_err(raw_clone(CLONE_SIGHAND | SIGCHLD, NULL, NULL, NULL, NULL), EINVAL);
	tap_err(raw_clone(CLONE_THREAD | SIGCHLD, NULL, NULL, NULL, NULL), EINVAL);
	tap_err(raw_clone(CLONE_THREAD | CLONE_SIGHAND, NULL, NULL, NULL, NULL), EINVAL);
	tap_err(raw_clone(CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL), EINVAL);
	tap_err(raw_clone(SIGCHLD | CLONE_PIDFD | CLONE_PARENT_SETTID, NULL, NULL, NULL, NULL),
			EINVAL);
}

static void clone3_makes_a_child(void)
{
	struct clone_args a = { .exit_signal = SIGCHLD };

	long kid = clone3(&a, sizeof(a));
	if (kid == 0)
		_exit(8);
	tap_need(kid > 0);
	tap_eq(WEXITSTATUS(tap_status(kid)), 8);
}

static void clone3_gives_a_pidfd(void)
{
	int pidfd = -1, ptid = 0;
	struct clone_args a = {
		.flags = CLONE_PIDFD | CLONE_PARENT_SETTID, .exit_signal = SIGCHLD,
		.pidfd = (uintptr_t)&pidfd, .parent_tid = (uintptr_t)&ptid,
	};
	siginfo_t si;

	long kid = clone3(&a, sizeof(a));
	if (kid == 0)
		_exit(8);
	tap_need(kid > 0);
	tap_eq(ptid, kid);
	tap_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	tap_eq(waitid(3 /* P_PIDFD */, pidfd, &si, WEXITED), 0);
	tap_eq(si.si_pid, kid);
	tap_eq(si.si_status, 8);
}

static void clone3_argument_checks(void)
{
	struct { struct clone_args a; uint64_t extra; } big = { .a = { .exit_signal = SIGCHLD } };
	struct clone_args a = { .exit_signal = SIGCHLD };

	tap_err(clone3(&a, 8), EINVAL);
	tap_err(clone3(&a, 8192), E2BIG);
	tap_efault_each(p, syscall(SYS_clone3, p, sizeof(a)));
	big.extra = 1;
	tap_err(clone3(&big.a, sizeof(big)), E2BIG);
	big.extra = 0;
	long kid = clone3(&big.a, sizeof(big));
	if (kid == 0)
		_exit(0);
	tap_join(kid);
	a.exit_signal = 65;
	tap_err(clone3(&a, sizeof(a)), EINVAL);
	a = (struct clone_args){ .flags = 1ull << 62, .exit_signal = SIGCHLD };
	tap_err(clone3(&a, sizeof(a)), EINVAL);
	a = (struct clone_args){ .flags = CLONE_THREAD, .exit_signal = SIGCHLD };
	tap_err(clone3(&a, sizeof(a)), EINVAL);
	a = (struct clone_args){ .exit_signal = SIGCHLD, .stack = 0x1000 };
	tap_err(clone3(&a, sizeof(a)), EINVAL);		/* a stack needs its size */
	a = (struct clone_args){ .exit_signal = SIGCHLD, .stack_size = 0x1000 };
	tap_err(clone3(&a, sizeof(a)), EINVAL);
}

static void clone3_chosen_pid(void)
{
	pid_t want = 30123;
	struct clone_args a = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want,
			.set_tid_size = 1 };

	long kid = clone3(&a, sizeof(a));
	if (kid == 0)
		_exit(getpid() == want ? 0 : 1);
	tap_eq(kid, want);
	tap_join(kid);
	want = getpid();
	tap_err(clone3(&a, sizeof(a)), EEXIST);
}

static void clear_sighand_resets_handlers(void)
{
	struct clone_args a = { .flags = 0x100000000ull, .exit_signal = SIGCHLD };
	struct sigaction sa;

	signal(SIGUSR1, tap_tick);
	signal(SIGUSR2, SIG_IGN);
	long kid = clone3(&a, sizeof(a));
	if (kid == 0) {
		tap_must(sigaction(SIGUSR1, NULL, &sa));
		tap_ok(sa.sa_handler == SIG_DFL);
		tap_must(sigaction(SIGUSR2, NULL, &sa));
		tap_ok(sa.sa_handler == SIG_IGN);
		tap_leave();
	}
	tap_join(kid);
}

static void unshare_files_and_fs(void)
{
	an_fd = tap_file("f", "");
	tap_eq(unshare(CLONE_FILES), 0);
	tap_eq(unshare(CLONE_FS), 0);
	tap_eq(fcntl(an_fd, F_GETFD), 0);
	tap_err(unshare(0x1), EINVAL);
	tap_eq(unshare(0), 0);
}

TAP_MAIN(
	CASE(without_flags_it_is_fork),
	CASE(clone_vm_shares_memory),
	CASE(clone_files_shares_descriptors),
	CASE(clone_fs_shares_directory_and_umask),
	CASE(clone_sighand_shares_handlers),
	CASE(another_exit_signal),
	CASE(without_exit_signal_no_news),
	CASE(parent_settid_and_child_settid),
	CASE(child_cleartid_clears_and_wakes),
	CASE(clone_parent_makes_a_sibling),
	CASE(clone_vfork_waits),
	CASE(refused_combinations),
	CASE(clone3_makes_a_child),
	CASE(clone3_gives_a_pidfd),
	CASE(clone3_argument_checks),
	CASE(clone3_chosen_pid),
	CASE(clear_sighand_resets_handlers),
	CASE(unshare_files_and_fs),
)
