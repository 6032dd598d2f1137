/* ptrace: children and threads followed, exec, vfork, exit; the stops of many threads. */
#include "ptrace.h"
#include <pthread.h>
#include <sched.h>

static unsigned long message(pid_t kid)
{
	unsigned long m = 0;

	tap_must(pt(PTRACE_GETEVENTMSG, kid, 0, (unsigned long)&m));
	return m;
}

static pid_t child_with(int (*fn)(void), unsigned long options)
{
	pid_t kid = pt_child(fn);

	tap_must(pt(PTRACE_SETOPTIONS, kid, 0, options));
	return kid;
}

static void finish(pid_t kid, int want)
{
	int st;

	pt_go(kid, PTRACE_CONT);
	st = pt_wait(kid);
	tap_ok(WIFEXITED(st));
	tap_eq(WEXITSTATUS(st), want);
}

static int fork_one(void)
{
	pid_t kid = fork();
	int st = -1;

	if (!kid)
		_exit(5);
	while (waitpid(kid, &st, 0) != kid)
		;
	return WEXITSTATUS(st) + 1;
}

static int vfork_one(void)
{
	pid_t kid = vfork();
	int st = -1;

	if (!kid)
		_exit(6);
	while (waitpid(kid, &st, 0) != kid)
		;
	return WEXITSTATUS(st) + 1;
}

static int exec_one(void)
{
	execl("/proc/self/exe", "exec-one", "exit-9", NULL);
	return 98;
}

static void *thread_main(void *arg)
{
	return arg;
}

static int thread_one(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, thread_main, NULL) || pthread_join(t, NULL))
		return 97;
	return 8;
}

static void *thread_exec(void *arg)
{
	exec_one();
	return arg;
}

static int exec_in_a_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_exec, NULL);
	for (;;)
		pause();
	return 96;
}

static volatile int spinning;

static void *thread_spin(void *arg)
{
	spinning = 1;
	for (;;)
		pause();
	return arg;
}

static int two_threads(void)
{
	pthread_t t;

	pthread_create(&t, NULL, thread_spin, NULL);
	while (!spinning)
		sched_yield();
	raise(SIGTRAP);
	return 0;
}

static void a_fork_is_told_and_its_child_stops(void)
{
	pid_t kid = child_with(fork_one, OPT_FORK), grandchild;
	int st;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(1));
	grandchild = (pid_t)message(kid);
	pt_want(grandchild, SIGSTOP);
	pt_go(kid, PTRACE_CONT);
	pt_go(grandchild, PTRACE_CONT);
	st = pt_wait(grandchild);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) == 5);
	pt_want(kid, SIGCHLD);
	finish(kid, 6);
}

static void a_seized_child_stops_with_an_event(void)
{
	pid_t kid, grandchild;
	int go[2];
	char c;

	tap_must(pipe(go));
	kid = tap_must(fork());
	if (!kid) {
		(void)!read(go[0], &c, 1);
		_exit(fork_one());
	}
	tap_must(pt(REQ_SEIZE, kid, 0, OPT_FORK));
	tap_eq(write(go[1], "g", 1), 1);
	pt_want(kid, EVENT(1));
	grandchild = (pid_t)message(kid);
	pt_want(grandchild, EVENT(128));
	tap_must(pt(PTRACE_DETACH, grandchild, 0, 0));
	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGCHLD);
	finish(kid, 6);
}

static void a_vfork_is_told_at_both_ends(void)
{
	pid_t kid = child_with(vfork_one, OPT_VFORK | OPT_VFORKDONE), grandchild;
	int st;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(2));
	grandchild = (pid_t)message(kid);
	pt_want(grandchild, SIGSTOP);
	pt_go(kid, PTRACE_CONT);
	pt_go(grandchild, PTRACE_CONT);
	st = pt_wait(grandchild);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) == 6);
	pt_want(kid, EVENT(5));
	tap_eq(message(kid), grandchild);
	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGCHLD);
	finish(kid, 7);
}

static void untraced_forks_are_not_followed(void)
{
	pid_t kid = child_with(fork_one, 0);

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGCHLD);
	finish(kid, 6);
}

static void a_thread_is_told_and_its_end_is_waited_for(void)
{
	pid_t kid = child_with(thread_one, OPT_CLONE), thread;
	int st;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(3));
	thread = (pid_t)message(kid);
	tap_ok(thread != kid);
	pt_want(thread, SIGSTOP);
	pt_go(kid, PTRACE_CONT);
	pt_go(thread, PTRACE_CONT);
	st = pt_wait(thread);
	tap_ok(WIFEXITED(st));
	tap_eq(waitpid(kid, &st, 0), kid);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) == 8);
}

static void an_exec_is_told(void)
{
	pid_t kid = child_with(exec_one, OPT_EXEC);

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(4));
	tap_eq(message(kid), kid);
	finish(kid, 9);
}

static void without_the_option_an_exec_is_a_SIGTRAP(void)
{
	pid_t kid = pt_child(exec_one);

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGTRAP);
	tap_eq(pt_info(kid).si_code, SI_USER);
	finish(kid, 9);
}

static void the_exit_of_an_exec_shows_its_number(void)
{
	pid_t kid = child_with(exec_one, OPT_EXEC | OPT_SYSGOOD);

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(4));
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SYSGOOD);
	tap_eq(pt_regs(kid).orig_rax, SYS_execve);
	tap_eq(pt_regs(kid).rax, 0);
	finish(kid, 9);
}

static void a_thread_that_execs_becomes_the_leader(void)
{
	pid_t kid = child_with(exec_in_a_thread, OPT_CLONE | OPT_EXEC), thread;
	int st;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(3));
	thread = (pid_t)message(kid);
	pt_want(thread, SIGSTOP);
	pt_go(kid, PTRACE_CONT);
	pt_go(thread, PTRACE_CONT);
	pt_want(kid, EVENT(4));			/* by the leader's number */
	tap_eq(message(kid), thread);
	tap_err(waitpid(thread, &st, __WALL), ECHILD);
	finish(kid, 9);
}

static int exit_seven(void) { return 7; }

static void the_exit_is_told_with_its_code(void)
{
	pid_t kid = child_with(exit_seven, OPT_EXIT);

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(6));
	tap_eq(message(kid), 7 << 8);
	finish(kid, 7);
}

static void a_killed_tracee_tells_its_exit_too(void)
{
	pid_t kid = child_with(exit_seven, OPT_EXIT);

	tap_must(kill(kid, SIGKILL));
	pt_want(kid, EVENT(6));
	tap_eq(message(kid), SIGKILL);
	pt_go(kid, PTRACE_CONT);
	tap_killed(kid, SIGKILL);
}

/* Threads are traced one by one: a stop of one leaves the others running. */
static void threads_stop_one_by_one(void)
{
	pid_t kid = child_with(two_threads, OPT_CLONE), thread;
	int st;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(3));
	thread = (pid_t)message(kid);
	pt_want(thread, SIGSTOP);
	pt_go(kid, PTRACE_CONT);
	pt_go(thread, PTRACE_CONT);
	pt_want(kid, SIGTRAP);
	tap_eq(waitpid(thread, &st, WNOHANG | __WALL), 0);
	tap_must(syscall(SYS_tgkill, kid, thread, SIGUSR1));
	pt_want(thread, SIGUSR1);
	pt_go(thread, PTRACE_CONT);
	tap_must(kill(kid, SIGKILL));
	st = pt_wait(thread);
	tap_ok(WIFSIGNALED(st));
	tap_killed(kid, SIGKILL);
}

static void a_group_stop_is_every_threads(void)
{
	pid_t kid = child_with(two_threads, OPT_CLONE), thread;
	siginfo_t info;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, EVENT(3));
	thread = (pid_t)message(kid);
	pt_want(thread, SIGSTOP);
	pt_go(kid, PTRACE_CONT);
	pt_go(thread, PTRACE_CONT);
	pt_want(kid, SIGTRAP);
	tap_must(pt(PTRACE_CONT, kid, 0, SIGSTOP));
	pt_want(thread, SIGSTOP);
	pt_want(kid, SIGSTOP);
	tap_err(pt(PTRACE_GETSIGINFO, thread, 0, (unsigned long)&info), EINVAL);
	tap_err(pt(PTRACE_GETSIGINFO, kid, 0, (unsigned long)&info), EINVAL);
	tap_must(kill(kid, SIGKILL));
	pt_wait(thread);
	tap_killed(kid, SIGKILL);
}

static void a_debugger_and_many_forks(void)
{
	pid_t kid = child_with(fork_one, OPT_FORK | OPT_SYSGOOD);
	int live = 1, st, calls = 0;

	pt_go(kid, PTRACE_SYSCALL);
	while (live) {
		pid_t who = waitpid(-1, &st, __WALL);

		tap_need(who > 0);
		if (!WIFSTOPPED(st)) {
			live--;
			continue;
		}
		if (st >> 8 == EVENT(1))
			live++;
		calls += st >> 8 == SYSGOOD;
		tap_must(pt(PTRACE_SYSCALL, who, 0, STOP_AT(st, SIGCHLD) ? SIGCHLD : 0));
	}
	tap_ok(calls >= 5);
}

static const struct tap_case cases[] = {
	CASE(a_fork_is_told_and_its_child_stops), CASE(a_seized_child_stops_with_an_event),
	CASE(a_vfork_is_told_at_both_ends), CASE(untraced_forks_are_not_followed),
	CASE(a_thread_is_told_and_its_end_is_waited_for), CASE(an_exec_is_told),
	CASE(without_the_option_an_exec_is_a_SIGTRAP), CASE(the_exit_of_an_exec_shows_its_number),
	CASE(a_thread_that_execs_becomes_the_leader), CASE(the_exit_is_told_with_its_code),
	CASE(a_killed_tracee_tells_its_exit_too), CASE(threads_stop_one_by_one), CASE(a_group_stop_is_every_threads),
	CASE(a_debugger_and_many_forks),
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "exit-9"))
		return 9;
	return tap_main(argc, argv, cases, ARRAY_LEN(cases));
}
