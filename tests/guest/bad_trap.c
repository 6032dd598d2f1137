/*
 * Programs that do what they must not: traps, wild jumps, kernel addresses, misalignment.
 * The right signal, si_code and si_addr each time; and the program may go on if it catches it.
 */
#include "tap.h"

#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static siginfo_t seen;
static volatile unsigned long seen_rip, seen_err, seen_trap;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	seen = *si;
	seen_rip = uc->uc_mcontext.gregs[REG_RIP];
	seen_err = uc->uc_mcontext.gregs[REG_ERR];
	seen_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
	siglongjmp(back, sig);
}

/* The signal that fn raises, or 0. */
static int run(void (*fn)(void))
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	static char alt[32768];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	struct sigaction sa = { .sa_sigaction = on_fault,
				.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
	int sig;

	sigaltstack(&ss, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(sigs); i++)
		sigaction(sigs[i], &sa, NULL);
	memset(&seen, 0, sizeof(seen));
	sig = sigsetjmp(back, 1);
	if (sig == 0)
		fn();
	return sig;
}

/* For what some emulators leave out: whether this machine raises anything. */
static bool raised(void (*fn)(void))
{
	if (run(fn))
		return true;
	tap_note("this machine does not raise it");
	return false;
}

/* fn raises sig with this code; uncaught, it kills with it. */
static void expect(void (*fn)(void), int sig, int code)
{
	tap_eq(run(fn), sig);
	tap_eq(seen.si_signo, sig);
	tap_eq(seen.si_code, code);
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int s = 1; s < 32; s++)
			if (s != SIGKILL && s != SIGSTOP)
				signal(s, SIG_DFL);
		fn();
		_exit(0);
	}
	tap_killed(kid, sig);
}

static void do_int3(void) { asm volatile("int3"); }
static void do_ud2(void) { asm volatile("ud2"); }
static void do_hlt(void) { asm volatile("hlt"); }
static void do_cli(void) { asm volatile("cli"); }
static void do_in(void) { asm volatile("in $0x60, %%al" ::: "rax"); }
static void do_lgdt(void) { char g[10] = ""; asm volatile("lgdt %0" :: "m"(g)); }
static void do_rdmsr(void) { asm volatile("rdmsr" ::: "rax", "rdx"); }
static void do_cr3(void) { asm volatile("mov %%cr3, %%rax" ::: "rax"); }
static void do_int80_vector(void) { asm volatile("int $0x81"); }
static void do_div(void) { asm volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx"
					::: "rax", "rcx", "rdx", "cc"); }
static void do_div_overflow(void) { asm volatile("mov $0x80000000, %%eax; cltd\n"
						 "mov $-1, %%ecx; idiv %%ecx"
						 ::: "rax", "rcx", "rdx", "cc"); }
/* volatile pointers, so that the compiler does not see what they hold */
static volatile int *volatile null;
static void do_null_read(void) { (void)*null; }
static void do_null_write(void) { null[2] = 1; }
static void do_null_call(void) { ((void (*volatile)(void))0)(); }
static void do_kernel_read(void) { (void)*(volatile int *)BAD_KERNEL; }
static void do_kernel_write(void) { *(volatile int *)BAD_KERNEL = 1; }
static void do_kernel_text_write(void) { *(volatile int *)0xffffffff81000000 = 1; }
static void do_kernel_call(void) { ((void (*volatile)(void))0xffffffff81000000)(); }
static void do_hole_read(void) { (void)*(volatile int *)BAD_HOLE; }
static void do_hole_write(void) { *(volatile int *)0xdead000000000000 = 1; }
static void do_hole_call(void) { asm volatile("call *%0" :: "r"(BAD_HOLE)); }
static void do_text_write(void) { *(volatile char *)(uintptr_t)do_int3 = 0; }
static void do_rodata_write(void) { *(volatile char *)(uintptr_t)"constant" = 0; }

static void do_ac(void)
{
	static char buf[16];

	asm volatile("pushfq; orl $0x40000, (%%rsp); popfq\n"
		     "movl 1(%0), %%eax\n"
		     "pushfq; andl $~0x40000, (%%rsp); popfq" :: "r"(buf) : "rax", "memory", "cc");
}

static void do_trap_flag(void)
{
	asm volatile("pushfq; orl $0x100, (%%rsp); popfq; nop" ::: "memory", "cc");
}

static void do_sse_misaligned(void)
{
	static char buf[48] __attribute__((aligned(16)));

	asm volatile("movaps 1(%0), %%xmm0" :: "r"(buf) : "xmm0");
}

static void do_simd_exception(void)
{
	unsigned mx = 0x1f80 & ~0x200;			/* unmask division by zero */
	double one = 1, zero = 0;

	asm volatile("ldmxcsr %0; divsd %2, %1" : : "m"(mx), "x"(one), "x"(zero));
}

static void do_x87_exception(void)
{
	unsigned short cw = 0x37f & ~4;

	asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp %%st, %%st(1); fwait" :: "m"(cw) : "st");
}

static void traps(void)
{
	expect(do_int3, SIGTRAP, SI_KERNEL);
	expect(do_ud2, SIGILL, ILL_ILLOPN);
	tap_ok(seen.si_addr == (void *)seen_rip);
	tap_eq(seen_trap, 6);
	expect(do_trap_flag, SIGTRAP, TRAP_TRACE);
}

static void division(void)
{
	expect(do_div, SIGFPE, FPE_INTDIV);
	tap_ok(seen.si_addr == (void *)seen_rip);
	tap_eq(seen_trap, 0);
	expect(do_div_overflow, SIGFPE, FPE_INTDIV);
}

static void floating_point_exceptions(void)
{
	if (raised(do_simd_exception))
		expect(do_simd_exception, SIGFPE, FPE_FLTDIV);
	expect(do_x87_exception, SIGFPE, FPE_FLTDIV);
}

static void privileged_instructions(void)
{
	expect(do_hlt, SIGSEGV, SI_KERNEL);
	tap_eq(seen_trap, 13);
	tap_ok(seen.si_addr == NULL);
	expect(do_cli, SIGSEGV, SI_KERNEL);
	expect(do_in, SIGSEGV, SI_KERNEL);
	expect(do_lgdt, SIGSEGV, SI_KERNEL);
	expect(do_rdmsr, SIGSEGV, SI_KERNEL);
	expect(do_cr3, SIGSEGV, SI_KERNEL);
	expect(do_int80_vector, SIGSEGV, SI_KERNEL);
}

static void null_pointers(void)
{
	expect(do_null_read, SIGSEGV, SEGV_MAPERR);
	tap_ok(seen.si_addr == NULL);
	tap_eq(seen_trap, 14);
	tap_eq(seen_err & 7, 4);			/* a read, by a user, of nothing */
	expect(do_null_write, SIGSEGV, SEGV_MAPERR);
	tap_ok(seen.si_addr == (void *)8);
	tap_eq(seen_err & 7, 6);
	expect(do_null_call, SIGSEGV, SEGV_MAPERR);
	tap_eq(seen_rip, 0);
}

static void kernel_addresses(void)
{
	expect(do_kernel_read, SIGSEGV, SEGV_MAPERR);
	tap_ok(seen.si_addr == BAD_KERNEL);
	expect(do_kernel_write, SIGSEGV, SEGV_MAPERR);
	expect(do_kernel_text_write, SIGSEGV, SEGV_MAPERR);
	tap_ok(seen.si_addr == (void *)0xffffffff81000000);
	expect(do_kernel_call, SIGSEGV, SEGV_MAPERR);
	tap_eq(seen_rip, 0xffffffff81000000);
}

static void addresses_that_do_not_exist(void)
{
	expect(do_hole_read, SIGSEGV, SI_KERNEL);	/* a general protection fault: no address */
	tap_ok(seen.si_addr == NULL);
	expect(do_hole_write, SIGSEGV, SI_KERNEL);
	expect(do_hole_call, SIGSEGV, SI_KERNEL);
}

static void writes_to_constants(void)
{
	expect(do_text_write, SIGSEGV, SEGV_ACCERR);
	tap_ok(seen.si_addr == (void *)(uintptr_t)do_int3);
	tap_eq(seen_err & 7, 7);
	expect(do_rodata_write, SIGSEGV, SEGV_ACCERR);
}

static void misalignment(void)
{
	if (raised(do_ac))
		expect(do_ac, SIGBUS, BUS_ADRALN);
	asm volatile("pushfq; andl $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
	expect(do_sse_misaligned, SIGSEGV, SI_KERNEL);
}

static void do_jump_to_data(void)
{
	static char data[64];

	((void (*)(void))(uintptr_t)data)();
}

static void do_jump_to_stack(void)
{
	char code[8] = "\xc3";

	((void (*volatile)(void))(uintptr_t)code)();
}

static void do_jump_to_unmapped(void)
{
	char *p = tap_page_edge(0);

	((void (*volatile)(void))(uintptr_t)p)();
}

static void wild_jumps(void)
{
	expect(do_jump_to_data, SIGSEGV, SEGV_ACCERR);
	expect(do_jump_to_stack, SIGSEGV, SEGV_ACCERR);
	expect(do_jump_to_unmapped, SIGSEGV, SEGV_MAPERR);
	tap_eq(seen_rip, (unsigned long)seen.si_addr);
}

static void do_stack_null(void)
{
	asm volatile("mov %%rsp, %%r12; xor %%esp, %%esp; push %%rax; mov %%r12, %%rsp" ::: "r12",
			"memory");
}

static void do_stack_kernel(void)
{
	asm volatile("mov %%rsp, %%r12; mov %0, %%rsp; push %%rax; mov %%r12, %%rsp"
		     :: "r"(BAD_KERNEL) : "r12", "memory");
}

static void do_stack_noncanonical(void)
{
	asm volatile("mov %%rsp, %%r12; mov %0, %%rsp; push %%rax; mov %%r12, %%rsp"
		     :: "r"(BAD_HOLE) : "r12", "memory");
}

static void bad_stack_pointers(void)
{
	int sig;

	tap_eq(run(do_stack_null), SIGSEGV);
	/* a stack-segment fault (SIGBUS) or a protection fault: machines differ */
	sig = run(do_stack_kernel);
	tap_ok(sig == SIGSEGV || sig == SIGBUS);
	sig = run(do_stack_noncanonical);
	tap_ok(sig == SIGSEGV || sig == SIGBUS);
}

static void a_system_call_with_a_bad_stack_pointer_works(void)
{
	long got, want = getpid();

	/* the kernel must not use the user's stack */
	asm volatile("mov %%rsp, %%r12; mov %1, %%rsp; mov $39, %%eax; syscall; mov %%r12, %%rsp"
		     : "=&a"(got) : "r"(BAD_KERNEL) : "rcx", "r11", "r12", "memory");
	tap_eq(got, want);
	asm volatile("mov %%rsp, %%r12; xor %%esp, %%esp; mov $39, %%eax; syscall; mov %%r12, %%rsp"
		     : "=&a"(got) :: "rcx", "r11", "r12", "memory");
	tap_eq(got, want);
	asm volatile("mov %%rsp, %%r12; inc %%rsp; mov $39, %%eax; syscall; mov %%r12, %%rsp"
		     : "=&a"(got) :: "rcx", "r11", "r12", "memory");
	tap_eq(got, want);
}

static void odd_flags_at_a_system_call(void)
{
	long got;
	unsigned long fl;

	/* direction and alignment-check flags set: the kernel clears its own view of them */
	asm volatile("pushfq; orl $0x40400, (%%rsp); popfq; mov $39, %%eax; syscall\n"
		     "pushfq; pop %1; cld; pushfq; andl $~0x40000, (%%rsp); popfq"
		     : "=&a"(got), "=&r"(fl) :: "rcx", "r11", "memory", "cc");
	tap_eq(got, getpid());
	tap_eq(fl & 0x40400, 0x40400);
}

static void registers_over_a_system_call(void)
{
	unsigned long rbx, r8, r9, r10, r15, rdi, rsi, rdx;

	asm volatile("mov $1, %%rdi; mov $2, %%rsi; mov $3, %%rdx; mov $4, %%r10; mov $5, %%r8\n"
		     "mov $6, %%r9; mov $7, %%rbx; mov $8, %%r15; mov $39, %%eax; syscall\n"
		     "mov %%rdi, %0; mov %%rsi, %1; mov %%rdx, %2; mov %%r10, %3; mov %%r8, %4\n"
		     "mov %%r9, %5; mov %%rbx, %6; mov %%r15, %7"
		     : "=m"(rdi), "=m"(rsi), "=m"(rdx), "=m"(r10), "=m"(r8), "=m"(r9), "=m"(rbx),
		       "=m"(r15)
		     :: "rax", "rcx", "r11", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rbx", "r15",
		     "memory");
	tap_eq(rdi, 1);
	tap_eq(rsi, 2);
	tap_eq(rdx, 3);
	tap_eq(r10, 4);
	tap_eq(r8, 5);
	tap_eq(r9, 6);
	tap_eq(rbx, 7);
	tap_eq(r15, 8);
}

static void blocked_or_ignored_faults_kill_anyway(void)
{
	sigset_t set;

	pid_t kid = tap_fork();
	if (kid == 0) {
		signal(SIGSEGV, SIG_IGN);
		do_null_read();
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
	kid = tap_fork();
	if (kid == 0) {
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		do_ud2();
		_exit(0);
	}
	tap_killed(kid, SIGILL);
}

static void selectors_cannot_be_abused(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		asm volatile("mov $0x10, %%eax; mov %%eax, %%ds" ::: "rax");
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
	kid = tap_fork();
	if (kid == 0) {
		asm volatile("push $0x10; push $0; lretq");
		_exit(0);
	}
	/* an emulator may report this one as a fault of the kernel: still only we die */
	tap_ok(WIFSIGNALED(tap_status(kid)));
	kid = tap_fork();
	if (kid == 0) {
		asm volatile("push $0x10; push $0; push $0x3000; push $0x08; push $0; iretq");
		_exit(0);
	}
	tap_ok(WIFSIGNALED(tap_status(kid)));
	/* the null selector is harmless, over switches too */
	asm volatile("xor %%eax, %%eax; mov %%eax, %%ds; mov %%eax, %%es" ::: "rax");
	usleep(1000);
	tap_eq(getppid() > 0, 1);
}

static void thousands_of_faults(void)
{
	for (int i = 0; i < 3000; i++) {
		tap_need(run(do_null_read) == SIGSEGV);
		tap_need(run(do_ud2) == SIGILL);
	}
}

TAP_MAIN(
	CASE(traps),
	CASE(division),
	CASE(floating_point_exceptions),
	CASE(privileged_instructions),
	CASE(null_pointers),
	CASE(kernel_addresses),
	CASE(addresses_that_do_not_exist),
	CASE(writes_to_constants),
	CASE(misalignment),
	CASE(wild_jumps),
	CASE(bad_stack_pointers),
	CASE(a_system_call_with_a_bad_stack_pointer_works),
	CASE(odd_flags_at_a_system_call),
	CASE(registers_over_a_system_call),
	CASE(blocked_or_ignored_faults_kill_anyway),
	CASE(selectors_cannot_be_abused),
	CASE(thousands_of_faults),
)
