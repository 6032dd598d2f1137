/* ptrace: stops at system calls, what they show, what a tracer may change there. */
#include "ptrace.h"
#include <sys/prctl.h>

struct call_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp;
	union {
		struct { uint64_t nr, args[6]; } entry;
		struct { int64_t rval; uint8_t is_error; } exit;
	};
};

static pid_t good_child(int (*fn)(void), unsigned long options)
{
	pid_t kid = pt_child(fn);

	tap_must(pt(PTRACE_SETOPTIONS, kid, 0, OPT_SYSGOOD | options));
	return kid;
}

static struct call_info info_of(pid_t kid, long size)
{
	struct call_info c = { 0 };

	tap_eq(pt(REQ_GET_SYSCALL_INFO, kid, sizeof(c), (unsigned long)&c), size);
	tap_eq(c.arch, 0xc000003e);
	return c;
}

/* Runs to the entry of call nr. */
static void to_entry(pid_t kid, long nr)
{
	for (int n = 0; n < 1000; n++) {
		pt_go(kid, PTRACE_SYSCALL);
		pt_want(kid, SYSGOOD);
		if ((long)pt_regs(kid).orig_rax == nr && info_of(kid, 80).op == 1)
			return;
		pt_go(kid, PTRACE_SYSCALL);
		pt_want(kid, SYSGOOD);
	}
	tap_fail("call %ld never came", nr);
	tap_leave();
}

static void finish(pid_t kid, int want)
{
	int st;

	pt_go(kid, PTRACE_CONT);
	st = pt_wait(kid);
	tap_ok(WIFEXITED(st));
	tap_eq(WEXITSTATUS(st), want);
}

static int call_getppid(void) { return syscall(SYS_getppid, 1, 2, 3, 4, 5, 6) == 77 ? 1 : 2; }
static int close_bad(void) { return close(-1) == -1 && errno == EBADF; }
static int call_unknown(void) { return syscall(5000) == -1 ? errno : 0; }

static int sleep_long(void)
{
	struct timespec ts = { 100, 0 };

	return nanosleep(&ts, NULL) == -1 ? errno : 0;
}

static void entry_and_exit_are_told_apart(void)
{
	pid_t kid = good_child(call_getppid, 0);
	struct call_info c;

	to_entry(kid, SYS_getppid);
	tap_eq((long)pt_regs(kid).rax, -ENOSYS);
	c = info_of(kid, 80);
	tap_eq(c.op, 1);
	tap_eq(c.entry.nr, SYS_getppid);
	for (unsigned i = 0; i < 6; i++)
		tap_eq(c.entry.args[i], i + 1);
	tap_eq(c.ip, pt_regs(kid).rip);
	tap_eq(c.sp, pt_regs(kid).rsp);
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SYSGOOD);
	c = info_of(kid, 33);
	tap_eq(c.op, 2);
	tap_eq(c.exit.rval, getpid());
	tap_eq(c.exit.is_error, 0);
	tap_eq(pt(REQ_GET_SYSCALL_INFO, kid, 4, (unsigned long)&c), 33);
	finish(kid, 2);
}

static void an_error_is_marked(void)
{
	pid_t kid = good_child(close_bad, 0);
	struct call_info c;

	to_entry(kid, SYS_close);
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SYSGOOD);
	c = info_of(kid, 33);
	tap_eq(c.exit.rval, -EBADF);
	tap_eq(c.exit.is_error, 1);
	finish(kid, 1);
}

static void other_stops_have_no_call(void)
{
	pid_t kid = good_child(call_getppid, 0);

	tap_eq(info_of(kid, 24).op, 0);
	finish(kid, 2);
}

static void without_sysgood_it_is_a_plain_trap(void)
{
	pid_t kid = pt_child(call_getppid);

	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SIGTRAP);
	tap_eq(pt_info(kid).si_code, SIGTRAP);
	finish(kid, 2);
}

static void a_result_can_be_changed(void)
{
	pid_t kid = good_child(call_getppid, 0);

	to_entry(kid, SYS_getppid);
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SYSGOOD);
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, rax), 77));
	finish(kid, 1);
}

static void a_call_can_be_made_another(void)
{
	pid_t kid = good_child(close_bad, 0);

	to_entry(kid, SYS_close);
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, orig_rax), SYS_getppid));
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SYSGOOD);
	tap_eq(pt_regs(kid).rax, getpid());
	tap_eq(pt_regs(kid).orig_rax, SYS_getppid);
	finish(kid, 0);
}

static void a_call_can_be_skipped_with_a_result(void)
{
	pid_t kid = good_child(call_getppid, 0);

	to_entry(kid, SYS_getppid);
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, orig_rax), -1ul));
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, rax), 77));
	finish(kid, 1);
}

static void an_argument_can_be_changed(void)
{
	pid_t kid = good_child(close_bad, 0);
	int st;

	to_entry(kid, SYS_close);
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, orig_rax), SYS_exit_group));
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, rdi), 55));
	pt_go(kid, PTRACE_CONT);
	st = pt_wait(kid);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) == 55);
}

static void sysemu_makes_no_calls(void)
{
	pid_t kid = good_child(call_getppid, 0);

	pt_go(kid, PTRACE_SYSEMU);
	pt_want(kid, SYSGOOD);
	while (pt_regs(kid).orig_rax != SYS_getppid) {
		pt_go(kid, PTRACE_SYSCALL);	/* its exit is told, the call was made */
		pt_want(kid, SYSGOOD);
		pt_go(kid, PTRACE_SYSEMU);
		pt_want(kid, SYSGOOD);
	}
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, rax), 77));
	finish(kid, 1);
}

static void an_unknown_call_stops_too(void)
{
	pid_t kid = good_child(call_unknown, 0);

	to_entry(kid, 5000);
	finish(kid, ENOSYS);
}

/* A trap in a sleep does not cut it short; a handler does. */
static void an_interrupted_sleep_goes_on(void)
{
	pid_t kid = good_child(sleep_long, 0);
	struct call_info c;

	to_entry(kid, SYS_nanosleep);
	pt_go(kid, PTRACE_SYSCALL);
	tap_await_state(kid, 'S');
	tap_must(kill(kid, SIGWINCH));		/* no handler: looked at and dropped */
	pt_want(kid, SYSGOOD);
	c = info_of(kid, 33);
	tap_eq(c.exit.rval, -516);		/* ERESTART_RESTARTBLOCK, which only tracers see */
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SIGWINCH);
	pt_go(kid, PTRACE_SYSCALL);
	pt_want(kid, SYSGOOD);
	tap_eq(pt_regs(kid).orig_rax, SYS_restart_syscall);
	pt_go(kid, PTRACE_CONT);
	tap_await_state(kid, 'S');
	tap_must(kill(kid, SIGKILL));
	tap_killed(kid, SIGKILL);
}

static void a_kill_at_entry_keeps_the_call_from_being_made(void)
{
	pid_t kid = good_child(close_bad, 0);

	to_entry(kid, SYS_close);
	tap_must(kill(kid, SIGKILL));
	tap_killed(kid, SIGKILL);
}

TAP_MAIN(CASE(entry_and_exit_are_told_apart), CASE(an_error_is_marked), CASE(other_stops_have_no_call),
	 CASE(without_sysgood_it_is_a_plain_trap), CASE(a_result_can_be_changed), CASE(a_call_can_be_made_another),
	 CASE(a_call_can_be_skipped_with_a_result), CASE(an_argument_can_be_changed), CASE(sysemu_makes_no_calls),
	 CASE(an_unknown_call_stops_too), CASE(an_interrupted_sleep_goes_on),
	 CASE(a_kill_at_entry_keeps_the_call_from_being_made))
