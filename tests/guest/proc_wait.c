/* wait4, waitid: selection, options, status of every kind, rusage, stops and continues. */
#include "tap.h"

#include <sys/resource.h>
#include <time.h>

static pid_t child_exits(int code)
{
	pid_t kid = tap_fork();

	if (kid == 0)
		_exit(code);
	return kid;
}

static pid_t child_sleeps(void)
{
	pid_t kid = tap_fork();

	while (kid == 0)
		pause();
	return kid;
}

static void wait_without_children(void)
{
	siginfo_t si;
	int st;

	tap_err(wait(&st), ECHILD);
	tap_err(waitpid(-1, &st, WNOHANG), ECHILD);
	tap_err(waitpid(getpid(), &st, 0), ECHILD);
	tap_err(waitpid(1, &st, 0), ECHILD);
	tap_err(waitid(P_ALL, 0, &si, WEXITED), ECHILD);
}

static void each_way_to_select(void)
{
	pid_t a = child_exits(1), b = child_exits(2), c = child_exits(3), d;
	int st;

	tap_eq(waitpid(b, &st, 0), b);
	tap_eq(WEXITSTATUS(st), 2);
	tap_err(waitpid(b, &st, 0), ECHILD);
	d = waitpid(-1, &st, 0);
	tap_ok(d == a || d == c);
	tap_eq(WEXITSTATUS(st), d == a ? 1 : 3);
	tap_eq(waitpid(0, &st, 0), d == a ? c : a);	/* my process group */
	a = tap_fork();
	if (a == 0) {
		setpgid(0, 0);
		_exit(4);
	}
	setpgid(a, a);
	tap_err(waitpid(0, &st, 0), ECHILD);
	tap_eq(waitpid(-a, &st, 0), a);
	tap_err(waitpid(-a, &st, 0), ECHILD);
}

static void wnohang_does_not_wait(void)
{
	pid_t kid = child_sleeps();
	int st = 0x5a5a;

	tap_eq(waitpid(kid, &st, WNOHANG), 0);
	tap_eq(waitpid(-1, &st, WNOHANG), 0);
	tap_eq(st, 0x5a5a);				/* untouched */
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void every_deadly_signal_is_reported(void)
{
	static const int sig[] = {
		SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL,
		SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ,
		SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSYS, 34, 50, 64,
	};

	struct rlimit rl = { 0, 0 };
	setrlimit(RLIMIT_CORE, &rl);
	for (unsigned i = 0; i < ARRAY_LEN(sig); i++) {
		pid_t kid = child_sleeps();
		int st;

		tap_must(kill(kid, sig[i]));
		st = tap_status(kid);
		tap_ok(WIFSIGNALED(st));
		tap_eq(WTERMSIG(st), sig[i]);
	}
}

static void ignored_by_default(void)
{
	static const int sig[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT };
	pid_t kid = child_sleeps();

	for (unsigned i = 0; i < ARRAY_LEN(sig); i++)
		tap_must(kill(kid, sig[i]));
	tap_eq(waitpid(kid, NULL, WNOHANG), 0);
	kill(kid, SIGTERM);
	tap_killed(kid, SIGTERM);
}

static void stops_and_continues(void)
{
	static const int stop[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	pid_t kid = child_sleeps();
	int st;

	for (unsigned i = 0; i < ARRAY_LEN(stop); i++) {
		/* the terminal's three do not stop a process of an orphaned group */
		if (i > 0)
			break;
		tap_must(kill(kid, stop[i]));
		tap_eq(waitpid(kid, &st, WUNTRACED), kid);
		tap_ok(WIFSTOPPED(st));
		tap_eq(WSTOPSIG(st), stop[i]);
		tap_eq(waitpid(kid, &st, WUNTRACED | WNOHANG), 0);	/* told once */
		tap_must(kill(kid, SIGCONT));
		tap_eq(waitpid(kid, &st, WCONTINUED), kid);
		tap_ok(WIFCONTINUED(st));
		tap_eq(waitpid(kid, &st, WCONTINUED | WNOHANG), 0);
	}
	kill(kid, SIGSTOP);
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	kill(kid, SIGTERM);				/* stays pending while stopped */
	tap_eq(waitpid(kid, &st, WNOHANG | WUNTRACED), 0);
	kill(kid, SIGKILL);				/* this one does not wait */
	tap_killed(kid, SIGKILL);
}

static void waitid_tells_how(void)
{
	siginfo_t si;
	pid_t kid = child_exits(42);

	memset(&si, 0xff, sizeof(si));
	tap_eq(waitid(P_PID, kid, &si, WEXITED), 0);
	tap_eq(si.si_signo, SIGCHLD);
	tap_eq(si.si_code, CLD_EXITED);
	tap_eq(si.si_pid, kid);
	tap_eq(si.si_status, 42);
	tap_eq(si.si_uid, 0);
	kid = child_sleeps();
	kill(kid, SIGSTOP);
	tap_eq(waitid(P_PID, kid, &si, WSTOPPED), 0);
	tap_eq(si.si_code, CLD_STOPPED);
	tap_eq(si.si_status, SIGSTOP);
	kill(kid, SIGCONT);
	tap_eq(waitid(P_PID, kid, &si, WCONTINUED), 0);
	tap_eq(si.si_code, CLD_CONTINUED);
	tap_eq(si.si_status, SIGCONT);
	kill(kid, SIGUSR1);
	tap_eq(waitid(P_PID, kid, &si, WEXITED), 0);
	tap_eq(si.si_code, CLD_KILLED);
	tap_eq(si.si_status, SIGUSR1);
}

static void waitid_wnowait_leaves_the_child(void)
{
	siginfo_t si;
	pid_t kid = child_exits(1);

	tap_eq(waitid(P_PID, kid, &si, WEXITED | WNOWAIT), 0);
	tap_eq(si.si_status, 1);
	tap_eq(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), 0);
	tap_eq(WEXITSTATUS(tap_status(kid)), 1);
	kid = child_sleeps();
	memset(&si, 0xff, sizeof(si));
	tap_eq(waitid(P_PID, kid, &si, WEXITED | WNOHANG), 0);
	tap_eq(si.si_pid, 0);
	tap_eq(si.si_signo, 0);
	kill(kid, SIGKILL);
	tap_eq(waitid(P_PGID, getpgrp(), &si, WEXITED), 0);
	tap_eq(si.si_pid, kid);
}

static void argument_errors(void)
{
	siginfo_t si;
	int st;
	pid_t kid = child_exits(0);

	tap_err(waitpid(-1, &st, 0x100), EINVAL);
	tap_err(waitid(P_ALL, 0, &si, 0), EINVAL);
	tap_err(waitid(P_ALL, 0, &si, WEXITED | 0x100), EINVAL);
	tap_err(waitid(9, 0, &si, WEXITED), EINVAL);
	tap_err(waitid(P_PID, 0, &si, WEXITED), EINVAL);
	tap_err(waitid(P_PID, -5, &si, WEXITED), EINVAL);
	tap_err(syscall(SYS_wait4, 0x80000000, &st, 0, NULL), ESRCH);
	tap_join(kid);
}

static void bad_pointers_reap_all_the_same(void)
{
	pid_t kid = child_exits(0);

	/* the child is gone although the status could not be stored */
	tap_err(syscall(SYS_wait4, kid, BAD_KERNEL, 0, NULL), EFAULT);
	tap_err(syscall(SYS_wait4, kid, NULL, 0, NULL), ECHILD);
	kid = child_exits(0);
	tap_err(syscall(SYS_wait4, kid, NULL, 0, tap_page_none()), EFAULT);
	kid = child_exits(0);
	tap_err(syscall(SYS_waitid, P_PID, kid, tap_page_edge(8), WEXITED, NULL), EFAULT);
	kid = child_exits(3);
	tap_eq(syscall(SYS_wait4, kid, NULL, 0, NULL), kid);
	kid = child_exits(3);
	tap_eq(syscall(SYS_waitid, P_PID, kid, NULL, WEXITED, NULL), 0);
}

static void waiting_is_interrupted(void)
{
	int st;
	pid_t kid = child_sleeps();

	tap_ticker(tap_tick, 0);
	tap_err(waitpid(kid, &st, 0), EINTR);
	tap_err(waitid(P_ALL, 0, (siginfo_t *)&(char[128]){ 0 }, WEXITED), EINTR);
	tap_ticker_stop();
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static pid_t victim;

static void kill_after_three(int sig)
{
	(void)sig;
	if (++tap_ticks == 3)
		kill(victim, SIGTERM);
}

static void waiting_is_restarted(void)
{
	int st = 0;

	victim = child_sleeps();
	tap_ticker(kill_after_three, SA_RESTART);
	tap_eq(waitpid(victim, &st, 0), victim);
	tap_ticker_stop();
	tap_ok(tap_ticks >= 3);
	tap_eq(WTERMSIG(st), SIGTERM);
}

static void rusage_of_the_child(void)
{
	struct rusage ru;
	struct timespec a;
	pid_t kid = tap_fork();

	if (kid == 0) {
		do
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		while (a.tv_nsec < 200000000 && a.tv_sec == 0);
		_exit(0);
	}
	tap_eq(wait4(kid, NULL, 0, &ru), kid);
	tap_ok(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec > 0 ||
	       ru.ru_utime.tv_usec + ru.ru_stime.tv_usec >= 100000);
	tap_ok(ru.ru_maxrss > 0);
	struct rusage all;
	tap_must(getrusage(RUSAGE_CHILDREN, &all));
	tap_ok(all.ru_utime.tv_sec + all.ru_stime.tv_sec > 0 ||
	       all.ru_utime.tv_usec + all.ru_stime.tv_usec >= 100000);
}

static void sigchld_ignored_means_no_zombies(void)
{
	int st;

	signal(SIGCHLD, SIG_IGN);
	child_exits(1);
	child_exits(2);
	tap_err(waitpid(-1, &st, 0), ECHILD);		/* waits for all, reports none */
	struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	sigaction(SIGCHLD, &sa, NULL);
	pid_t kid = child_exits(3);
	tap_err(waitpid(kid, &st, 0), ECHILD);
	signal(SIGCHLD, SIG_DFL);
	kid = child_exits(4);
	tap_eq(waitpid(kid, &st, 0), kid);
}

static void sigchld_carries_the_story(void)
{
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t kid = child_exits(13);
	tap_eq(sigwaitinfo(&set, &si), SIGCHLD);
	tap_eq(si.si_code, CLD_EXITED);
	tap_eq(si.si_pid, kid);
	tap_eq(si.si_status, 13);
	tap_status(kid);
	kid = child_sleeps();
	kill(kid, SIGSTOP);
	tap_eq(sigwaitinfo(&set, &si), SIGCHLD);
	tap_eq(si.si_code, CLD_STOPPED);
	kill(kid, SIGCONT);
	tap_eq(sigwaitinfo(&set, &si), SIGCHLD);
	tap_eq(si.si_code, CLD_CONTINUED);
	kill(kid, SIGKILL);
	tap_eq(sigwaitinfo(&set, &si), SIGCHLD);
	tap_eq(si.si_code, CLD_KILLED);
	tap_eq(si.si_status, SIGKILL);
	tap_status(kid);
}

static void nocldstop_hides_stops(void)
{
	struct sigaction sa = { .sa_handler = tap_tick, .sa_flags = SA_NOCLDSTOP };
	int st;

	tap_must(sigaction(SIGCHLD, &sa, NULL));
	pid_t kid = child_sleeps();
	kill(kid, SIGSTOP);
	while (waitpid(kid, &st, WUNTRACED) < 0)
		;
	tap_eq(tap_ticks, 0);
	kill(kid, SIGCONT);
	while (waitpid(kid, &st, WCONTINUED) < 0)
		;
	tap_eq(tap_ticks, 0);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
	tap_eq(tap_ticks, 1);
}

static void a_core_dump_is_flagged_only_when_made(void)
{
	struct rlimit rl = { 0, 0 };
	pid_t kid = tap_fork();

	if (kid == 0) {
		setrlimit(RLIMIT_CORE, &rl);
		abort();
	}
	int st = tap_status(kid);
	tap_eq(WTERMSIG(st), SIGABRT);
	tap_ok(!WCOREDUMP(st));
}

TAP_MAIN(
	CASE(wait_without_children),
	CASE(each_way_to_select),
	CASE(wnohang_does_not_wait),
	CASE(every_deadly_signal_is_reported),
	CASE(ignored_by_default),
	CASE(stops_and_continues),
	CASE(waitid_tells_how),
	CASE(waitid_wnowait_leaves_the_child),
	CASE(argument_errors),
	CASE(bad_pointers_reap_all_the_same),
	CASE(waiting_is_interrupted),
	CASE(waiting_is_restarted),
	CASE(rusage_of_the_child),
	CASE(sigchld_ignored_means_no_zombies),
	CASE(sigchld_carries_the_story),
	CASE(nocldstop_hides_stops),
	CASE(a_core_dump_is_flagged_only_when_made),
)
