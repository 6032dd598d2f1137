/* fork, vfork, exit and exit_group: what a child has of its own and what it shares. */
#include "tap.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t got;

static void on_signal(int sig)
{
	got = sig;
}

static void ids_of_parent_and_child(void)
{
	pid_t me = getpid(), group = getpgrp(), session = getsid(0);

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_ok(getpid() != me);
		tap_eq(getppid(), me);
		tap_eq(syscall(SYS_gettid), getpid());
		tap_eq(getpgrp(), group);
		tap_eq(getsid(0), session);
		tap_leave();
	}
	tap_ok(kid != me);
	tap_join(kid);
}

static void signal_state_is_inherited_pending_is_not(void)
{
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	signal(SIGUSR2, on_signal);
	raise(SIGUSR1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(sigpending(&now));
		tap_eq(sigismember(&now, SIGUSR1), 0);
		tap_must(sigprocmask(SIG_BLOCK, NULL, &now));
		tap_eq(sigismember(&now, SIGUSR1), 1);
		raise(SIGUSR2);
		tap_must(sigprocmask(SIG_UNBLOCK, &set, NULL));
		tap_eq(got, SIGUSR2);
		tap_leave();
	}
	tap_join(kid);
	tap_must(sigpending(&now));
	tap_eq(sigismember(&now, SIGUSR1), 1);
}

static void timers_and_alarms_are_not_inherited(void)
{
	struct itimerval it = { { 0, 0 }, { 100, 0 } };

	tap_must(setitimer(ITIMER_REAL, &it, NULL));
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct itimerval now;

		tap_must(getitimer(ITIMER_REAL, &now));
		tap_eq(now.it_value.tv_sec, 0);
		tap_eq(alarm(0), 0);
		tap_leave();
	}
	tap_join(kid);
	tap_ok(alarm(0) > 50);
}

static void limits_nice_and_umask_are_inherited(void)
{
	struct rlimit rl = { 123, 456 };

	tap_must(setrlimit(RLIMIT_CORE, &rl));
	tap_must(setpriority(PRIO_PROCESS, 0, 5));
	umask(031);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(getrlimit(RLIMIT_CORE, &rl));
		tap_eq(rl.rlim_cur, 123);
		tap_eq(rl.rlim_max, 456);
		tap_eq(getpriority(PRIO_PROCESS, 0), 5);
		tap_eq(umask(0), 031);
		tap_leave();
	}
	tap_join(kid);
}

static void cpu_times_start_at_zero(void)
{
	struct rusage ru;

	for (volatile long i = 0; i < 20000000; i++)
		;
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(getrusage(RUSAGE_CHILDREN, &ru));
		tap_eq(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec, 0);
		struct timespec ts;
		tap_must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
		tap_ok(ts.tv_sec == 0);
		tap_leave();
	}
	tap_join(kid);
}

static void vfork_runs_the_child_first_in_our_memory(void)
{
	static volatile int shared = 1;
	pid_t kid = vfork();

	if (kid == 0) {
		shared = 2;
		_exit(3);
	}
	tap_need(kid > 0);
	tap_eq(shared, 2);
	tap_eq(WEXITSTATUS(tap_status(kid)), 3);
}

static void vfork_waits_for_exec(void)
{
	pid_t kid = vfork();

	if (kid == 0) {
		execl("/bin/sh", "sh", "-c", "exit 7", NULL);
		_exit(99);
	}
	tap_need(kid > 0);
	tap_eq(WEXITSTATUS(tap_status(kid)), 7);
}

static void vfork_parent_survives_a_failed_exec(void)
{
	static volatile int err;
	pid_t kid = vfork();

	if (kid == 0) {
		execl("/no/such", "x", NULL);
		err = errno;
		_exit(1);
	}
	tap_eq(err, ENOENT);
	tap_eq(WEXITSTATUS(tap_status(kid)), 1);
}

static void vfork_child_killed(void)
{
	pid_t kid = vfork();

	if (kid == 0) {
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
		_exit(0);
	}
	tap_killed(kid, SIGKILL);
}

/* On one CPU, with a program that never sleeps and is due as much as we are. */
static void vfork_parent_gets_its_turn_beside_a_busy_program(void)
{
	static char *const spin[] = { "sh", "-c", "while :; do :; done", NULL };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	tap_must(sched_setaffinity(0, sizeof(one), &one));
	for (int i = 0; i < 3; i++) {
		pid_t kid = vfork();

		if (kid == 0) {
			execv("/bin/sh", spin);
			_exit(99);
		}
		tap_need(kid > 0);
		tap_eq(waitpid(kid, NULL, WNOHANG), 0);
		tap_must(kill(kid, SIGKILL));
		tap_killed(kid, SIGKILL);
	}
}

/* A dying child's CPU may go to its parent's memory, which may be dying too. */
static void parents_and_children_die_together(void)
{
	tap_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int i = 0; i < 200; i++) {
		pid_t kid = tap_fork();

		if (kid == 0) {
			for (int n = 0; n < 3; n++)
				if (fork() == 0)
					_exit(0);
			_exit(0);
		}
		while (wait(NULL) > 0)
			;
	}
	tap_eq(errno, ECHILD);
}

static void exit_codes_are_eight_bits(void)
{
	static const int code[] = { 0, 1, 127, 128, 255, 256, 257, -1, 0x12345 };

	for (unsigned i = 0; i < ARRAY_LEN(code); i++) {
		pid_t kid = tap_fork();
		if (kid == 0)
			syscall(i % 2 ? SYS_exit : SYS_exit_group, code[i]);
		int st = tap_status(kid);
		tap_ok(WIFEXITED(st));
		tap_eq(WEXITSTATUS(st), code[i] & 255);
	}
}

static void descriptors_are_closed_by_exit(void)
{
	int p[2];
	char c;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0)
		_exit(0);
	close(p[1]);
	tap_eq(read(p[0], &c, 1), 0);			/* end of file, once the child is gone */
	tap_join(kid);
}

static void orphans_get_a_new_parent(void)
{
	int p[2];
	pid_t seen[2] = { 0, 0 };

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		pid_t middle = getpid();

		if (fork() == 0) {
			while (getppid() == middle)
				usleep(1000);
			seen[0] = middle;
			seen[1] = getppid();
			write(p[1], seen, sizeof(seen));
			_exit(0);
		}
		_exit(0);
	}
	tap_join(kid);
	tap_eq(read(p[0], seen, sizeof(seen)), (long)sizeof(seen));
	tap_eq(seen[0], kid);
	tap_ok(seen[1] > 0 && seen[1] != kid);
}

static void a_subreaper_adopts(void)
{
	int st;

	tap_must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid_t kid = tap_fork();
	if (kid == 0) {
		if (fork() == 0) {
			usleep(1000);
			_exit(5);
		}
		_exit(0);
	}
	tap_join(kid);
	tap_ok(wait(&st) > 0);				/* the grandchild */
	tap_eq(WEXITSTATUS(st), 5);
	tap_err(wait(&st), ECHILD);
}

static void process_numbers_are_not_reused_at_once(void)
{
	pid_t last = 0;

	for (int i = 0; i < 20; i++) {
		pid_t kid = tap_fork();
		if (kid == 0)
			_exit(0);
		tap_ok(kid != last);
		last = kid;
		tap_join(kid);
	}
}

static void the_process_limit_is_enforced(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct rlimit rl = { 5, 5 };
		int made = 0;

		tap_must(setrlimit(RLIMIT_NPROC, &rl));
		tap_become(54321, 54321);
		for (; made < 20; made++) {
			pid_t k = fork();
			if (k == 0) {
				for (;;)
					pause();
			}
			if (k < 0)
				break;
		}
		tap_eq(errno, EAGAIN);
		tap_eq(made, 4);			/* this one counts too */
		signal(SIGTERM, SIG_IGN);
		kill(-1, SIGTERM);			/* everything of this user */
		for (int i = 0; i < made; i++)
			tap_ok(wait(NULL) > 0);
		tap_eq(fork() == 0 ? (_exit(0), 0) : 0, 0);	/* there is room again */
		tap_ok(wait(NULL) > 0);
		tap_leave();
	}
	tap_join(kid);
}

static void a_hundred_children_at_once(void)
{
	pid_t kid[100];
	int p[2], sum = 0, st;

	tap_must(pipe(p));
	for (int i = 0; i < 100; i++) {
		kid[i] = tap_fork();
		if (kid[i] == 0) {
			char c;

			close(p[1]);
			read(p[0], &c, 1);		/* until the parent closes */
			_exit(i);
		}
	}
	close(p[1]);
	for (int i = 0; i < 100; i++) {
		tap_ok(wait(&st) > 0);
		sum += WEXITSTATUS(st);
	}
	tap_eq(sum, 4950);
}

static void fork_in_a_deep_chain(void)
{
	pid_t kid = 0;
	int depth = 0;

	while (depth < 30 && (kid = tap_fork()) == 0)
		depth++;
	if (kid)
		tap_eq(WEXITSTATUS(tap_status(kid)), depth == 29 ? 77 + 30 : 77 + depth + 1);
	if (depth)
		_exit(77 + depth);
}

/* Signals that are blocked do not make fork fail, nor start it again for ever; and who is made meanwhile hears them too. */
static void blocked_signals_to_the_group(void)
{
	sigset_t set, pending;
	int failed = 0, heard = 0;
	pid_t kid, sender;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	kid = tap_fork();
	if (kid) {
		tap_join(kid);
		return;
	}
	setpgid(0, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sender = tap_fork();
	if (sender == 0) {
		signal(SIGUSR1, SIG_IGN);
		for (;;)
			kill(0, SIGUSR1);
	}
	for (int i = 0; i < 500; i++) {
		int status = 0;
		pid_t one = (pid_t)syscall(SYS_fork);

		if (one == 0) {
			for (int tries = 0; tries < 1000; tries++) {
				sigpending(&pending);
				if (sigismember(&pending, SIGUSR1))
					_exit(1);
				sched_yield();
			}
			_exit(0);
		}
		failed += one < 0;
		if (one > 0 && waitpid(one, &status, 0) == one)
			heard += WEXITSTATUS(status);
	}
	kill(sender, SIGKILL);
	waitpid(sender, NULL, 0);
	tap_eq(failed, 0);
	tap_ok(heard > 0);
	tap_leave();
}

TAP_MAIN(
	CASE(blocked_signals_to_the_group),
	CASE(ids_of_parent_and_child),
	CASE(signal_state_is_inherited_pending_is_not),
	CASE(timers_and_alarms_are_not_inherited),
	CASE(limits_nice_and_umask_are_inherited),
	CASE(cpu_times_start_at_zero),
	CASE(vfork_runs_the_child_first_in_our_memory),
	CASE(vfork_waits_for_exec),
	CASE(vfork_parent_survives_a_failed_exec),
	CASE(vfork_child_killed),
	CASE(vfork_parent_gets_its_turn_beside_a_busy_program),
	CASE(parents_and_children_die_together),
	CASE(exit_codes_are_eight_bits),
	CASE(descriptors_are_closed_by_exit),
	CASE(orphans_get_a_new_parent),
	CASE(a_subreaper_adopts),
	CASE(process_numbers_are_not_reused_at_once),
	CASE(the_process_limit_is_enforced),
	CASE(a_hundred_children_at_once),
	CASE(fork_in_a_deep_chain),
)
