/* ptrace: becoming a tracer and ceasing to be one; stops of jobs; what /proc says. */
#include "ptrace.h"
#include <sys/prctl.h>

static volatile int *shared;

static int wait_for_go(void)
{
	while (!*shared)
		pause();
	return *shared;
}

static pid_t sleeper(void)
{
	pid_t kid;

	shared = tap_shared(1);
	kid = tap_must(fork());
	if (!kid) {
		for (;;)
			pause();
	}
	tap_await_state(kid, 'S');
	return kid;
}

static void end(pid_t kid)
{
	tap_must(kill(kid, SIGKILL));
	tap_killed(kid, SIGKILL);
}

static int status_number(pid_t pid, const char *key)
{
	char path[64], buf[4096], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	tap_need(tap_slurp(path, buf, sizeof(buf)) > 0);
	at = strstr(buf, key);
	tap_need(at);
	return atoi(at + strlen(key));
}

static int do_nothing(void) { return 7; }

static void traceme_stops_at_signals_and_exits_as_told(void)
{
	pid_t kid = pt_child(do_nothing);
	int st;

	tap_eq(status_number(kid, "TracerPid:"), getpid());
	tap_await_state(kid, 't');
	pt_go(kid, PTRACE_CONT);
	st = pt_wait(kid);
	tap_ok(WIFEXITED(st));
	tap_eq(WEXITSTATUS(st), 7);
}

static void traceme_twice_is_refused(void)
{
	pid_t kid = tap_fork();

	if (!kid) {
		tap_must(pt(PTRACE_TRACEME, 0, 0, 0));
		tap_err(pt(PTRACE_TRACEME, 0, 0, 0), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void attach_stops_with_SIGSTOP(void)
{
	pid_t kid = sleeper();

	tap_must(pt(PTRACE_ATTACH, kid, 0, 0));
	pt_want(kid, SIGSTOP);
	tap_eq(pt_info(kid).si_signo, SIGSTOP);
	tap_err(pt(PTRACE_ATTACH, kid, 0, 0), EPERM);
	tap_must(pt(PTRACE_DETACH, kid, 0, 0));
	tap_await_state(kid, 'S');
	tap_eq(status_number(kid, "TracerPid:"), 0);
	tap_err(pt(PTRACE_CONT, kid, 0, 0), ESRCH);
	end(kid);
}

static void seize_does_not_stop_and_interrupt_does(void)
{
	pid_t kid = sleeper();
	int st;

	tap_err(pt(REQ_SEIZE, kid, 1, 0), EIO);
	tap_err(pt(REQ_SEIZE, kid, 0, 1ul << 30), EIO);
	tap_must(pt(REQ_SEIZE, kid, 0, OPT_SYSGOOD));
	tap_eq(waitpid(kid, &st, WNOHANG | __WALL), 0);
	tap_err(pt(PTRACE_CONT, kid, 0, 0), ESRCH);
	tap_must(pt(REQ_INTERRUPT, kid, 0, 0));
	pt_want(kid, EVENT(128));
	tap_eq(pt_info(kid).si_code, EVENT(128));
	pt_go(kid, PTRACE_CONT);
	tap_await_state(kid, 'S');
	end(kid);
}

static void requests_without_a_tracee_are_ESRCH(void)
{
	pid_t kid = sleeper();

	tap_err(pt(PTRACE_CONT, kid, 0, 0), ESRCH);
	tap_err(pt(REQ_INTERRUPT, kid, 0, 0), ESRCH);
	tap_err(pt(PTRACE_KILL, kid, 0, 0), ESRCH);
	tap_err(pt(PTRACE_ATTACH, 999999, 0, 0), ESRCH);
	tap_err(pt(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	tap_err(pt(12345, kid, 0, 0), ESRCH);
	tap_must(pt(PTRACE_ATTACH, kid, 0, 0));
	pt_want(kid, SIGSTOP);
	tap_err(pt(12345, kid, 0, 0), EIO);
	tap_err(pt(PTRACE_CONT, kid, 0, 65), EIO);
	tap_err(pt(PTRACE_SETOPTIONS, kid, 0, 1ul << 30), EINVAL);
	tap_err(pt(REQ_INTERRUPT, kid, 0, 0), EIO);
	tap_err(pt(REQ_LISTEN, kid, 0, 0), EIO);
	end(kid);
}

static void kill_request_ends_the_tracee(void)
{
	pid_t kid = pt_child(do_nothing);

	tap_must(pt(PTRACE_KILL, kid, 0, 0));
	tap_killed(kid, SIGKILL);
}

static void others_of_another_user_are_refused(void)
{
	pid_t kid = sleeper(), user;

	user = tap_fork();
	if (!user) {
		tap_become(1000, 1000);
		tap_err(pt(PTRACE_ATTACH, kid, 0, 0), EPERM);
		tap_err(pt(REQ_SEIZE, kid, 0, 0), EPERM);
		tap_leave();
	}
	tap_join(user);
	end(kid);
}

static void the_undumpable_are_refused_to_users(void)
{
	pid_t user = tap_fork();

	if (!user) {
		pid_t kid;
		int go[2];
		char c;

		tap_become(1000, 1000);
		tap_must(prctl(PR_SET_DUMPABLE, 1));
		tap_must(pipe(go));
		kid = tap_must(fork());
		if (!kid) {
			prctl(PR_SET_DUMPABLE, 0);
			(void)!write(go[1], "x", 1);
			for (;;)
				pause();
		}
		tap_eq(read(go[0], &c, 1), 1);
		tap_err(pt(PTRACE_ATTACH, kid, 0, 0), EPERM);
		kill(kid, SIGKILL);
		tap_leave();
	}
	tap_join(user);
}

static void a_signal_is_passed_changed_or_swallowed(void)
{
	pid_t kid = pt_child(wait_for_go);

	shared = NULL;
	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGSEGV);			/* shared is NULL in the child too */
	tap_must(pt(PTRACE_CONT, kid, 0, SIGTERM));
	tap_killed(kid, SIGTERM);
}

static void ignored_signals_are_reported_too(void)
{
	pid_t kid = sleeper();

	tap_must(pt(REQ_SEIZE, kid, 0, 0));
	tap_must(kill(kid, SIGCHLD));
	pt_want(kid, SIGCHLD);
	tap_eq(pt_info(kid).si_pid, getpid());
	tap_must(pt(PTRACE_CONT, kid, 0, SIGCHLD));
	tap_await_state(kid, 'S');
	end(kid);
}

static void siginfo_can_be_changed(void)
{
	pid_t kid = sleeper();
	siginfo_t info;

	tap_must(pt(REQ_SEIZE, kid, 0, 0));
	tap_must(kill(kid, SIGUSR1));
	pt_want(kid, SIGUSR1);
	info = pt_info(kid);
	tap_eq(info.si_code, SI_USER);
	info.si_code = SI_QUEUE;
	tap_must(pt(PTRACE_SETSIGINFO, kid, 0, (unsigned long)&info));
	tap_eq(pt_info(kid).si_code, SI_QUEUE);
	end(kid);
}

/* Waiting signals are seen, and stay. */
static void peeksiginfo_lists_what_waits(void)
{
	struct { uint64_t off; uint32_t flags; int32_t nr; } a = { 0, 1, 10 };
	siginfo_t got[10];
	pid_t kid = sleeper();
	union sigval v;

	tap_must(pt(PTRACE_ATTACH, kid, 0, 0));
	pt_want(kid, SIGSTOP);
	for (int i = 1; i <= 3; i++) {
		v.sival_int = i;
		tap_must(sigqueue(kid, SIGRTMIN, v));
	}
	tap_eq(pt(REQ_PEEKSIGINFO, kid, (unsigned long)&a, (unsigned long)got), 3);
	for (int i = 0; i < 3; i++)
		tap_eq(got[i].si_value.sival_int, i + 1);
	a.off = 2;
	tap_eq(pt(REQ_PEEKSIGINFO, kid, (unsigned long)&a, (unsigned long)got), 1);
	tap_eq(got[0].si_value.sival_int, 3);
	a.flags = 0;
	a.off = 0;
	tap_eq(pt(REQ_PEEKSIGINFO, kid, (unsigned long)&a, (unsigned long)got), 0);
	a.flags = 2;
	tap_err(pt(REQ_PEEKSIGINFO, kid, (unsigned long)&a, (unsigned long)got), EINVAL);
	end(kid);
}

static void sigmask_is_read_and_written(void)
{
	unsigned long mask = ~0ul;
	pid_t kid = sleeper();

	tap_must(pt(PTRACE_ATTACH, kid, 0, 0));
	pt_want(kid, SIGSTOP);
	tap_err(pt(REQ_GETSIGMASK, kid, 4, (unsigned long)&mask), EINVAL);
	tap_must(pt(REQ_GETSIGMASK, kid, 8, (unsigned long)&mask));
	tap_eq(mask, 0);
	mask = ~0ul;
	tap_must(pt(REQ_SETSIGMASK, kid, 8, (unsigned long)&mask));
	tap_must(pt(REQ_GETSIGMASK, kid, 8, (unsigned long)&mask));
	tap_eq(mask, ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
	end(kid);
}

/* --- stops of jobs ---------------------------------------------------------------- */

static void group_stop_of_an_attached_has_no_siginfo(void)
{
	siginfo_t info;
	pid_t kid = sleeper();

	tap_must(pt(PTRACE_ATTACH, kid, 0, 0));
	pt_want(kid, SIGSTOP);
	tap_must(pt(PTRACE_CONT, kid, 0, SIGSTOP));	/* now it really stops */
	pt_want(kid, SIGSTOP);
	tap_err(pt(PTRACE_GETSIGINFO, kid, 0, (unsigned long)&info), EINVAL);
	tap_must(pt(PTRACE_DETACH, kid, 0, 0));
	tap_await_state(kid, 'T');
	tap_must(kill(kid, SIGCONT));
	tap_await_state(kid, 'S');
	end(kid);
}

static void seized_group_stop_listens_for_SIGCONT(void)
{
	pid_t kid = sleeper();

	tap_must(pt(REQ_SEIZE, kid, 0, 0));
	tap_must(kill(kid, SIGTSTP));
	pt_want(kid, SIGTSTP);
	tap_must(pt(PTRACE_CONT, kid, 0, SIGTSTP));
	pt_want(kid, SIGTSTP | 128 << 8);
	tap_must(pt(REQ_LISTEN, kid, 0, 0));
	tap_err(pt(PTRACE_CONT, kid, 0, 0), ESRCH);	/* it only listens */
	tap_must(kill(kid, SIGCONT));
	pt_want(kid, EVENT(128));
	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGCONT);
	tap_must(pt(PTRACE_CONT, kid, 0, SIGCONT));
	tap_await_state(kid, 'S');
	end(kid);
}

static void attach_to_the_stopped_is_a_stop_at_once(void)
{
	pid_t kid = sleeper();
	int st;

	tap_must(kill(kid, SIGSTOP));
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	tap_must(pt(REQ_SEIZE, kid, 0, 0));
	tap_eq(waitpid(kid, &st, WNOHANG | __WALL), kid);
	tap_ok(STOP_AT(st, SIGSTOP | 128 << 8));
	tap_must(pt(PTRACE_DETACH, kid, 0, 0));
	tap_await_state(kid, 'T');
	end(kid);
}

static void waitid_says_trapped(void)
{
	pid_t kid = pt_child(do_nothing);
	siginfo_t info = { 0 };

	tap_must(pt(PTRACE_SETOPTIONS, kid, 0, OPT_EXIT));
	pt_go(kid, PTRACE_CONT);
	tap_must(waitid(P_PID, (id_t)kid, &info, WSTOPPED | WNOWAIT));
	tap_eq(info.si_code, CLD_TRAPPED);
	tap_eq(info.si_status, EVENT(6));
	tap_must(waitid(P_PID, (id_t)kid, &info, WSTOPPED));
	pt_go(kid, PTRACE_CONT);
	tap_must(waitid(P_PID, (id_t)kid, &info, WEXITED));
	tap_eq(info.si_code, CLD_EXITED);
	tap_eq(info.si_status, 7);
}

/* --- ends ----------------------------------------------------------------------------- */

/* The middle process traces a child of ours: its end lets it go, or kills it. */
static void tracer_ends(unsigned long options, bool killed)
{
	pid_t kid = sleeper(), middle;
	int st;

	middle = tap_fork();
	if (!middle) {
		tap_must(pt(REQ_SEIZE, kid, 0, options));
		tap_must(pt(REQ_INTERRUPT, kid, 0, 0));
		pt_want(kid, EVENT(128));
		tap_leave();
	}
	tap_join(middle);
	if (killed) {
		tap_killed(kid, SIGKILL);
		return;
	}
	tap_await_state(kid, 'S');
	tap_eq(waitpid(kid, &st, WNOHANG), 0);
	end(kid);
}

static void tracees_go_on_without_their_tracer(void) { tracer_ends(0, false); }
static void exitkill_kills_them(void) { tracer_ends(OPT_EXITKILL, true); }

static void the_parent_gets_the_zombie_after_the_tracer(void)
{
	pid_t kid = sleeper(), middle;
	int ready[2], go[2], st;
	char c;

	tap_must(pipe(ready));
	tap_must(pipe(go));
	middle = tap_fork();
	if (!middle) {
		tap_must(pt(REQ_SEIZE, kid, 0, 0));
		tap_must(kill(kid, SIGKILL));
		tap_await_state(kid, 'Z');
		tap_eq(write(ready[1], "r", 1), 1);
		tap_eq(read(go[0], &c, 1), 1);
		st = pt_wait(kid);
		tap_ok(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
		tap_leave();
	}
	tap_eq(read(ready[0], &c, 1), 1);
	tap_eq(waitpid(kid, &st, WNOHANG), 0);	/* a child, but its tracer's for now */
	tap_eq(write(go[1], "g", 1), 1);
	tap_join(middle);
	tap_killed(kid, SIGKILL);
}

static void prctl_ptracer_wants_a_process(void)
{
	tap_eq(prctl(0x59616d61, 0, 0, 0, 0), 0);
	tap_eq(prctl(0x59616d61, -1ul, 0, 0, 0), 0);
	tap_eq(prctl(0x59616d61, getppid(), 0, 0, 0), 0);
	tap_err(prctl(0x59616d61, 999999, 0, 0, 0), EINVAL);
}

TAP_MAIN(CASE(traceme_stops_at_signals_and_exits_as_told), CASE(traceme_twice_is_refused),
	 CASE(attach_stops_with_SIGSTOP), CASE(seize_does_not_stop_and_interrupt_does),
	 CASE(requests_without_a_tracee_are_ESRCH), CASE(kill_request_ends_the_tracee),
	 CASE(others_of_another_user_are_refused), CASE(the_undumpable_are_refused_to_users),
	 CASE(a_signal_is_passed_changed_or_swallowed), CASE(ignored_signals_are_reported_too),
	 CASE(siginfo_can_be_changed), CASE(peeksiginfo_lists_what_waits), CASE(sigmask_is_read_and_written),
	 CASE(group_stop_of_an_attached_has_no_siginfo), CASE(seized_group_stop_listens_for_SIGCONT),
	 CASE(attach_to_the_stopped_is_a_stop_at_once), CASE(waitid_says_trapped),
	 CASE(tracees_go_on_without_their_tracer), CASE(exitkill_kills_them),
	 CASE(the_parent_gets_the_zombie_after_the_tracer), CASE(prctl_ptracer_wants_a_process))
