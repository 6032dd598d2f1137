/* ptrace: registers, memory, single steps, breakpoints of software and hardware. */
#include "ptrace.h"

#define DEBUG(n)	(offsetof(struct user, u_debugreg) + 8 * (n))

static volatile long watched[4] __attribute__((aligned(64)));
static volatile int handled;

/* Places to stop at: the compiler must keep them whole and apart. */
static __attribute__((noinline, noclone)) int marked(int x)
{
	__asm__ volatile("nop");
	return x + 1;
}

static int call_marked(void) { return marked(marked(40)); }

static int write_watched(void)
{
	watched[0] = 1;
	watched[1] = watched[0] + 1;
	return (int)watched[1];
}

static int three_nops(void)
{
	__asm__ volatile("int3; nop; nop; nop");
	return 3;
}

static int call_in_the_middle(void)
{
	long n = SYS_getppid;

	__asm__ volatile("int3; syscall; nop" : "+a"(n) :: "rcx", "r11", "memory");
	return n == getppid();
}

static int fork_in_the_middle(void)
{
	long n = SYS_fork;
	int st = -1;

	__asm__ volatile("int3; syscall; nop" : "+a"(n) :: "rcx", "r11", "memory");
	if (n == 0)
		_exit(7);
	return waitpid((pid_t)n, &st, 0) == n && WIFEXITED(st) ? WEXITSTATUS(st) : 100 + WTERMSIG(st);
}

static int ask_flags(void)
{
	unsigned long flags;

	__asm__ volatile("int3; pushf; pop %0; nop" : "=r"(flags));
	return flags >> 8 & 1;
}

static void on_usr1(int sig) { handled = sig; }

static int handle_usr1(void)
{
	signal(SIGUSR1, on_usr1);
	__asm__ volatile("int3; nop");
	return handled;
}

static int sum_registers(void)
{
	unsigned long r12 = 1, r13 = 2;
	double d = 1.5;

	__asm__ volatile("mov %0, %%r12; mov %1, %%r13; movq %2, %%xmm5; int3; mov %%r12, %0; mov %%r13, %1; movq %%xmm5, %2"
			 : "+r"(r12), "+r"(r13), "+r"(*(unsigned long *)&d) :: "r12", "r13", "xmm5");
	return (int)r12 + (int)r13 + (int)d;
}

static void finish(pid_t kid, int want)
{
	int st;

	pt_go(kid, PTRACE_CONT);
	st = pt_wait(kid);
	tap_ok(WIFEXITED(st));
	tap_eq(WEXITSTATUS(st), want);
}

static pid_t at_int3(int (*fn)(void))
{
	pid_t kid = pt_child(fn);
	siginfo_t info;

	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGTRAP);
	info = pt_info(kid);
	tap_eq(info.si_code, 0x80);		/* SI_KERNEL */
	return kid;
}

static void step(pid_t kid, int code)
{
	pt_go(kid, PTRACE_SINGLESTEP);
	pt_want(kid, SIGTRAP);
	tap_eq(pt_info(kid).si_code, code);
}

static void a_step_is_one_instruction(void)
{
	pid_t kid = at_int3(three_nops);
	unsigned long ip = pt_regs(kid).rip;

	for (unsigned long i = 1; i <= 3; i++) {
		step(kid, 2);			/* TRAP_TRACE */
		tap_eq(pt_regs(kid).rip, ip + i);
		tap_eq((long)pt_info(kid).si_addr, ip + i);
	}
	finish(kid, 3);
}

static void a_step_over_a_call_of_the_kernel_stops_after_it(void)
{
	pid_t kid = at_int3(call_in_the_middle);
	unsigned long ip = pt_regs(kid).rip;

	step(kid, 1);				/* TRAP_BRKPT: reported at the call's exit */
	tap_eq(pt_regs(kid).rip, ip + 2);
	tap_eq(pt_regs(kid).rax, getpid());
	step(kid, 2);
	tap_eq(pt_regs(kid).rip, ip + 3);
	finish(kid, 1);
}

static void a_child_of_a_stepped_fork_is_not_stepped(void)
{
	pid_t kid = at_int3(fork_in_the_middle);

	step(kid, 1);
	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGCHLD);
	finish(kid, 7);
}

static void the_trap_flag_of_a_step_does_not_show(void)
{
	pid_t kid = at_int3(ask_flags);

	tap_eq(pt_regs(kid).eflags >> 8 & 1, 0);
	finish(kid, 0);
}

static void a_step_into_a_handler_stops_at_its_start(void)
{
	pid_t kid = at_int3(handle_usr1);

	tap_must(pt(PTRACE_SINGLESTEP, kid, 0, SIGUSR1));
	pt_want(kid, SIGTRAP);
	tap_eq(pt_regs(kid).rip, (long)on_usr1);
	tap_eq(pt_regs(kid).rdi, SIGUSR1);
	finish(kid, SIGUSR1);
}

static void many_steps_end_where_the_program_does(void)
{
	pid_t kid = pt_child(call_marked);
	int st, n = 0;

	do {
		pt_go(kid, PTRACE_SINGLESTEP);
		st = pt_wait(kid);
		n++;
	} while (STOP_AT(st, SIGTRAP) && n < 100000);
	tap_ok(WIFEXITED(st));
	tap_eq(WEXITSTATUS(st), 42);
	tap_ok(n > 20);
}

/* --- registers ------------------------------------------------------------------------ */

static void registers_are_read_and_written(void)
{
	pid_t kid = at_int3(sum_registers);
	struct user_regs_struct r = pt_regs(kid);
	struct user_fpregs_struct f;
	long word;
	double d = 7.25;

	tap_eq(r.r12, 1);
	tap_eq(r.r13, 2);
	tap_eq(r.cs, 0x33);
	tap_eq(r.ss, 0x2b);
	tap_eq((long)r.orig_rax, -1);
	tap_ok(r.fs_base != 0);
	r.r12 = 10;
	tap_must(pt(PTRACE_SETREGS, kid, 0, (unsigned long)&r));
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, r13), 20));
	tap_must(pt(PTRACE_PEEKUSER, kid, offsetof(struct user_regs_struct, r12), (unsigned long)&word));
	tap_eq(word, 10);
	tap_must(pt(PTRACE_GETFPREGS, kid, 0, (unsigned long)&f));
	memcpy(&word, (char *)f.xmm_space + 5 * 16, 8);
	tap_eq(word, 0x3ff8000000000000);	/* 1.5 */
	memcpy((char *)f.xmm_space + 5 * 16, &d, 8);
	tap_must(pt(PTRACE_SETFPREGS, kid, 0, (unsigned long)&f));
	finish(kid, 37);
}

static void nonsense_in_registers_is_refused(void)
{
	pid_t kid = at_int3(three_nops);
	struct user_fpregs_struct f;
	long word;

	tap_err(pt(PTRACE_PEEKUSER, kid, 1, (unsigned long)&word), EIO);
	tap_err(pt(PTRACE_PEEKUSER, kid, 928, (unsigned long)&word), EIO);
	tap_err(pt(PTRACE_POKEUSER, kid, offsetof(struct user, i387), 0), EIO);
	tap_err(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, cs), 0), EIO);
	tap_err(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, ss), 8), EIO);
	tap_err(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, fs_base), 1ul << 63), EIO);
	tap_err(pt(PTRACE_GETREGS, kid, 0, 8), EFAULT);
	tap_must(pt(PTRACE_GETFPREGS, kid, 0, (unsigned long)&f));
	f.mxcsr = ~0u;
	tap_err(pt(PTRACE_SETFPREGS, kid, 0, (unsigned long)&f), EINVAL);
	/* IOPL and IF are not the program's. */
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, eflags), ~0ul & ~0x100ul));
	tap_must(pt(PTRACE_PEEKUSER, kid, offsetof(struct user_regs_struct, eflags), (unsigned long)&word));
	tap_eq(word & 0x3200, 0x200);
	tap_must(pt(PTRACE_POKEUSER, kid, offsetof(struct user_regs_struct, eflags), 0x202));
	finish(kid, 3);
}

static void regsets_hold_the_same(void)
{
	pid_t kid = at_int3(sum_registers);
	struct user_regs_struct r, other = pt_regs(kid);
	static unsigned char state[16384];
	struct iovec io = { &r, 10000 };

	tap_must(pt(REQ_GETREGSET, kid, 1, (unsigned long)&io));
	tap_eq(io.iov_len, sizeof(r));
	tap_ok(!memcmp(&r, &other, sizeof(r)));
	io.iov_len = 9;
	tap_err(pt(REQ_GETREGSET, kid, 1, (unsigned long)&io), EINVAL);
	io.iov_len = 8;				/* r15 alone */
	tap_must(pt(REQ_SETREGSET, kid, 1, (unsigned long)&io));
	tap_eq(io.iov_len, 8);
	tap_err(pt(REQ_GETREGSET, kid, 77, (unsigned long)&io), EINVAL);
	io = (struct iovec){ state, sizeof(state) };
	tap_must(pt(REQ_GETREGSET, kid, 2, (unsigned long)&io));
	tap_eq(io.iov_len, 512);
	io = (struct iovec){ state, sizeof(state) };
	tap_must(pt(REQ_GETREGSET, kid, 0x202, (unsigned long)&io));
	tap_ok(io.iov_len >= 576);
	tap_eq(state[464] & 3, 3);		/* x87 and SSE are there */
	tap_eq(state[512] & 2, 2);		/* and SSE is in use */
	state[160 + 5 * 16 + 6] = 0x04;		/* xmm5: 2.5 */
	state[160 + 5 * 16 + 7] = 0x40;
	tap_must(pt(REQ_SETREGSET, kid, 0x202, (unsigned long)&io));
	state[520] = 1;				/* a reserved byte of the header */
	tap_err(pt(REQ_SETREGSET, kid, 0x202, (unsigned long)&io), EINVAL);
	finish(kid, 1 + 2 + 2);
}

/* --- memory and breakpoints -------------------------------------------------------------- */

static void memory_is_read_and_written(void)
{
	static volatile long value = 0x1122334455667788;
	pid_t kid = at_int3(three_nops);
	char path[64];
	long word;
	int fd;

	tap_eq(pt_word(kid, (unsigned long)&value), 0x1122334455667788);
	tap_must(pt(PTRACE_POKEDATA, kid, (unsigned long)&value, 5));
	tap_eq(pt_word(kid, (unsigned long)&value), 5);
	tap_eq(value, 0x1122334455667788);
	tap_err(pt(PTRACE_PEEKDATA, kid, 0, (unsigned long)&word), EIO);
	tap_err(pt(PTRACE_POKEDATA, kid, 0, 0), EIO);
	tap_err(pt(PTRACE_PEEKDATA, kid, (unsigned long)BAD_KERNEL, (unsigned long)&word), EIO);
	tap_err(pt(PTRACE_PEEKDATA, kid, (unsigned long)&value, 8), EFAULT);
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)kid);
	fd = tap_must(open(path, O_RDWR));
	tap_eq(pread(fd, &word, 8, (off_t)&value), 8);
	tap_eq(word, 5);
	word = 6;
	tap_eq(pwrite(fd, &word, 8, (off_t)&value), 8);
	tap_eq(pt_word(kid, (unsigned long)&value), 6);
	finish(kid, 3);
}

static void a_breakpoint_in_text_is_private_to_the_tracee(void)
{
	unsigned long at = (unsigned long)marked;
	pid_t kid = pt_child(call_marked);
	struct user_regs_struct r;
	long code = pt_word(kid, at);
	int hits = 0, st;

	tap_must(pt(PTRACE_POKETEXT, kid, at, ((unsigned long)code & ~0xfful) | 0xcc));
	tap_ok(*(volatile unsigned char *)at != 0xcc);
	pt_go(kid, PTRACE_CONT);
	while (st = pt_wait(kid), STOP_AT(st, SIGTRAP) && hits < 10) {
		r = pt_regs(kid);
		tap_eq(r.rip, at + 1);
		hits++;
		r.rip = at;
		tap_must(pt(PTRACE_SETREGS, kid, 0, (unsigned long)&r));
		tap_must(pt(PTRACE_POKETEXT, kid, at, (unsigned long)code));
		step(kid, 2);
		tap_must(pt(PTRACE_POKETEXT, kid, at, ((unsigned long)code & ~0xfful) | 0xcc));
		pt_go(kid, PTRACE_CONT);
	}
	tap_eq(hits, 2);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) == 42);
	tap_eq(marked(1), 2);			/* the file's page is what it was */
}

static void a_hardware_breakpoint_stops_before_its_instruction(void)
{
	pid_t kid = pt_child(call_marked);
	int hits = 0, st;
	long dr6;

	tap_must(pt(PTRACE_POKEUSER, kid, DEBUG(0), (unsigned long)marked));
	tap_must(pt(PTRACE_POKEUSER, kid, DEBUG(7), 1));
	pt_go(kid, PTRACE_CONT);
	while (st = pt_wait(kid), STOP_AT(st, SIGTRAP) && hits < 10) {
		tap_eq(pt_regs(kid).rip, (long)marked);
		tap_eq(pt_info(kid).si_code, 4);	/* TRAP_HWBKPT */
		tap_must(pt(PTRACE_PEEKUSER, kid, DEBUG(6), (unsigned long)&dr6));
		tap_eq(dr6 & 0xf, 1);
		hits++;
		pt_go(kid, PTRACE_CONT);
	}
	tap_eq(hits, 2);
	tap_ok(WIFEXITED(st) && WEXITSTATUS(st) == 42);
}

static void a_watchpoint_stops_after_the_write(void)
{
	pid_t kid = pt_child(write_watched);
	long word;

	tap_must(pt(PTRACE_POKEUSER, kid, DEBUG(1), (unsigned long)&watched[1]));
	tap_must(pt(PTRACE_POKEUSER, kid, DEBUG(7), 1ul << 2 | 1ul << 20 | 2ul << 22));	/* write, 8 bytes */
	pt_go(kid, PTRACE_CONT);
	pt_want(kid, SIGTRAP);
	tap_eq(pt_word(kid, (unsigned long)&watched[1]), 2);
	tap_must(pt(PTRACE_PEEKUSER, kid, DEBUG(6), (unsigned long)&word));
	tap_eq(word & 0xf, 2);
	tap_must(pt(PTRACE_PEEKUSER, kid, DEBUG(7), (unsigned long)&word));
	tap_eq(word, 1ul << 2 | 1ul << 20 | 2ul << 22);
	finish(kid, 2);
}

static void debug_registers_refuse_nonsense(void)
{
	pid_t kid = pt_child(write_watched);

	tap_must(pt(PTRACE_POKEUSER, kid, DEBUG(0), (unsigned long)watched + 1));
	tap_err(pt(PTRACE_POKEUSER, kid, DEBUG(7), 1 | 1ul << 16 | 3ul << 18), EINVAL);	/* 4 bytes at an odd address */
	tap_err(pt(PTRACE_POKEUSER, kid, DEBUG(7), 1 | 2ul << 16), EINVAL);		/* I/O */
	tap_err(pt(PTRACE_POKEUSER, kid, DEBUG(7), 1 | 3ul << 18), EINVAL);		/* 4 bytes of code */
	tap_err(pt(PTRACE_POKEUSER, kid, DEBUG(4), 0), EIO);
	finish(kid, 2);
}

TAP_MAIN(CASE(a_step_is_one_instruction), CASE(a_step_over_a_call_of_the_kernel_stops_after_it),
	 CASE(a_child_of_a_stepped_fork_is_not_stepped),
	 CASE(the_trap_flag_of_a_step_does_not_show), CASE(a_step_into_a_handler_stops_at_its_start),
	 CASE(many_steps_end_where_the_program_does), CASE(registers_are_read_and_written),
	 CASE(nonsense_in_registers_is_refused), CASE(regsets_hold_the_same), CASE(memory_is_read_and_written),
	 CASE(a_breakpoint_in_text_is_private_to_the_tracee), CASE(a_hardware_breakpoint_stops_before_its_instruction),
	 CASE(a_watchpoint_stops_after_the_write), CASE(debug_registers_refuse_nonsense))
