/*
 * The signal frame: every register, flag and vector survives a handler; the red zone
 * too; a handler may change where the program goes on.  A static-PIE.
 */
#include "tap.h"

#include <sched.h>
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t runs;

static void clobber(int sig)
{
	double x = sig;

	runs++;
	/* leave nothing as it was */
	asm volatile("xor %%eax, %%eax; mov $-1, %%rcx; mov $-1, %%rdx; mov $-1, %%rsi\n"
		     "mov $-1, %%rdi; mov $-1, %%r8; mov $-1, %%r9; mov $-1, %%r10\n"
		     "mov $-1, %%r11; pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7\n"
		     "pxor %%xmm15, %%xmm15; std; cld; stc\n"
		     ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0",
		     "xmm7", "xmm15", "cc");
	x = x / 3;
	asm volatile("" :: "x"(x));
}

/* Spin with known registers until a signal handler has run; then tell whether they changed. */
static long registers_survive(volatile sig_atomic_t *counter)
{
	long bad = 0;

	asm volatile(
		"mov $0x1111111111111111, %%rbx\n"
		"mov $0x2222222222222222, %%rcx\n"
		"mov $0x3333333333333333, %%rdx\n"
		"mov $0x4444444444444444, %%rsi\n"
		"mov $0x8888888888888888, %%r8\n"
		"mov $0x9999999999999999, %%r9\n"
		"mov $0xaaaaaaaaaaaaaaaa, %%r10\n"
		"mov $0xbbbbbbbbbbbbbbbb, %%r11\n"
		"mov $0xcccccccccccccccc, %%r12\n"
		"mov $0xdddddddddddddddd, %%r13\n"
		"mov $0xeeeeeeeeeeeeeeee, %%r14\n"
		"mov $0xffffffffffffff0f, %%r15\n"
		"movq %%rbx, %%xmm0\n"
		"movq %%rcx, %%xmm7\n"
		"movq %%r15, %%xmm15\n"
		"1: mov %1, %%eax\n"
		"test %%eax, %%eax\n"
		"jz 1b\n"
		"movabs $0x1111111111111111, %%rax; cmp %%rax, %%rbx; jne 2f\n"
		"movabs $0x2222222222222222, %%rax; cmp %%rax, %%rcx; jne 2f\n"
		"movabs $0x3333333333333333, %%rax; cmp %%rax, %%rdx; jne 2f\n"
		"movabs $0x4444444444444444, %%rax; cmp %%rax, %%rsi; jne 2f\n"
		"movabs $0x8888888888888888, %%rax; cmp %%rax, %%r8; jne 2f\n"
		"movabs $0x9999999999999999, %%rax; cmp %%rax, %%r9; jne 2f\n"
		"movabs $0xaaaaaaaaaaaaaaaa, %%rax; cmp %%rax, %%r10; jne 2f\n"
		"movabs $0xbbbbbbbbbbbbbbbb, %%rax; cmp %%rax, %%r11; jne 2f\n"
		"movabs $0xcccccccccccccccc, %%rax; cmp %%rax, %%r12; jne 2f\n"
		"movabs $0xdddddddddddddddd, %%rax; cmp %%rax, %%r13; jne 2f\n"
		"movabs $0xeeeeeeeeeeeeeeee, %%rax; cmp %%rax, %%r14; jne 2f\n"
		"movabs $0xffffffffffffff0f, %%rax; cmp %%rax, %%r15; jne 2f\n"
		"movq %%xmm0, %%rax; cmp %%rax, %%rbx; jne 2f\n"
		"movq %%xmm7, %%rax; cmp %%rax, %%rcx; jne 2f\n"
		"movq %%xmm15, %%rax; cmp %%rax, %%r15; jne 2f\n"
		"jmp 3f\n"
		"2: movl $1, %0\n"
		"3:\n"
		: "+m"(bad)
		: "m"(*counter)
		: "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		  "r15", "xmm0", "xmm7", "xmm15", "cc", "memory");
	return bad;
}

static void registers_survive_an_asynchronous_handler(void)
{
	tap_ticker(clobber, 0);
	for (int i = 0; i < 20; i++) {
		runs = 0;
		tap_eq(registers_survive(&runs), 0);
	}
	tap_ticker_stop();
}

static void registers_survive_preemption(void)
{
	enum { KIDS = 6 };
	pid_t kid[KIDS];

	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			tap_ticker(clobber, 0);
			for (int i = 0; i < 10; i++) {
				runs = 0;
				tap_eq(registers_survive(&runs), 0);
			}
			tap_leave();
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
}

static void the_red_zone_survives(void)
{
	long bad = 0;

	tap_ticker(clobber, 0);
	for (int i = 0; i < 20; i++) {
		runs = 0;
		asm volatile(
			"lea -128(%%rsp), %%rdi\n"	/* 16 words below the stack pointer */
			"mov $16, %%ecx\n"
			"1: mov %%rcx, -8(%%rdi,%%rcx,8)\n"
			"dec %%rcx; jnz 1b\n"
			"2: mov (%1), %%eax; test %%eax, %%eax; jz 2b\n"
			"mov $16, %%ecx\n"
			"3: cmp %%rcx, -8(%%rdi,%%rcx,8); jne 4f\n"
			"dec %%rcx; jnz 3b\n"
			"jmp 5f\n"
			"4: incq %0\n"
			"5:\n"
			: "+r"(bad) : "r"(&runs)
			: "rax", "rcx", "rdi", "cc", "memory");
	}
	tap_ticker_stop();
	tap_eq(bad, 0);
}

static volatile uint64_t flags_seen;

static void handler_flags(int sig)
{
	uint64_t f;

	(void)sig;
	asm volatile("pushfq; pop %0" : "=r"(f));
	flags_seen = f;
	runs++;
}

static void the_direction_flag_is_clear_in_a_handler(void)
{
	uint64_t after;

	tap_ticker(handler_flags, 0);
	runs = 0;
	asm volatile("std\n1: mov %1, %%eax; test %%eax, %%eax; jz 1b\n"
		     "pushfq; pop %0; cld"
		     : "=r"(after) : "m"(runs) : "rax", "cc", "memory");
	tap_ticker_stop();
	tap_eq(flags_seen & 0x400, 0);
	tap_eq(after & 0x400, 0x400);			/* and set again behind it */
}

static volatile unsigned long frame_sp;

static void aligned(int sig)
{
	(void)sig;
	frame_sp = (unsigned long)__builtin_frame_address(0);
}

static void the_stack_is_aligned_for_the_handler(void)
{
	signal(SIGUSR1, aligned);
	for (int i = 0; i < 8; i++) {
		volatile char *room = __builtin_alloca(1 + i * 8);

		room[0] = 0;
		raise(SIGUSR1);
		tap_eq(frame_sp % 16, 0);		/* rbp after the push */
	}
}

static void skip_two(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)si;
	uc->uc_mcontext.gregs[REG_RIP] += 2;		/* over the ud2 */
	uc->uc_mcontext.gregs[REG_RAX] = 0x1234;
	runs++;
}

static void a_handler_can_change_the_context(void)
{
	struct sigaction sa = { .sa_sigaction = skip_two, .sa_flags = SA_SIGINFO };
	long got;

	tap_must(sigaction(SIGILL, &sa, NULL));
	asm volatile("xor %%eax, %%eax; ud2" : "=a"(got) :: "cc");
	tap_eq(got, 0x1234);
	tap_eq(runs, 1);
}

static void change_mask(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)si;
	sigaddset(&uc->uc_sigmask, SIGUSR2);
}

static void the_mask_in_the_context_is_restored(void)
{
	struct sigaction sa = { .sa_sigaction = change_mask, .sa_flags = SA_SIGINFO };
	sigset_t now;

	tap_must(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &now);
	tap_eq(sigismember(&now, SIGUSR2), 1);
	tap_eq(sigismember(&now, SIGUSR1), 0);
}

static void context_tells_registers(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)si;
	flags_seen = uc->uc_mcontext.gregs[REG_R12];
	frame_sp = uc->uc_mcontext.gregs[REG_RSP];
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	runs = uc->uc_mcontext.gregs[REG_CSGSFS] & 0xffff;
}

static void the_context_shows_the_interrupted_registers(void)
{
	struct sigaction sa = { .sa_sigaction = context_tells_registers, .sa_flags = SA_SIGINFO };
	unsigned long sp;

	tap_must(sigaction(SIGILL, &sa, NULL));
	asm volatile("movabs $0x0123456789abcdef, %%r12; mov %%rsp, %0; ud2"
		     : "=&r"(sp) :: "r12", "memory");
	tap_eq(flags_seen, 0x0123456789abcdef);
	tap_eq(frame_sp, sp);
	tap_eq(runs, 0x33);				/* the user code segment */
}

static void mxcsr_and_x87_control_survive(void)
{
	uint32_t mx = 0x7f80, mx2 = 0;			/* round toward zero */
	uint16_t cw = 0x0f7f, cw2 = 0;

	asm volatile("ldmxcsr %0; fldcw %1" :: "m"(mx), "m"(cw));
	signal(SIGUSR1, clobber);
	raise(SIGUSR1);
	sched_yield();
	asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mx2), "=m"(cw2));
	tap_eq(mx2, mx);
	tap_eq(cw2, cw);
	pid_t kid = tap_fork();
	if (kid == 0) {
		asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mx2), "=m"(cw2));
		_exit(mx2 == mx && cw2 == cw ? 0 : 1);	/* inherited by fork */
	}
	tap_join(kid);
}

static void avx_state_survives_if_there_is_any(void)
{
	unsigned char in[32], out[32];

	if (!__builtin_cpu_supports("avx"))
		tap_skip("no AVX");
	for (int i = 0; i < 32; i++)
		in[i] = i * 5;
	tap_ticker(clobber, 0);
	for (int i = 0; i < 5; i++) {
		runs = 0;
		asm volatile("vmovdqu %1, %%ymm3\n1: mov %2, %%eax; test %%eax, %%eax; jz 1b\n"
			     "vmovdqu %%ymm3, %0; vzeroupper"
			     : "=m"(out) : "m"(in), "m"(runs) : "rax", "xmm3", "cc", "memory");
		tap_eq(memcmp(in, out, 32), 0);
	}
	tap_ticker_stop();
}

/* What a handler does to the FPU state of its frame, by the number in `spoil`. */
enum { SPOIL_XMM, SPOIL_LEGACY, SPOIL_HEADER, SPOIL_GONE, SPOIL_ODD };
static volatile int spoil;

static void spoils_fpu_state(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	unsigned char *fp = (void *)uc->uc_mcontext.fpregs;
	bool extended = *(uint32_t *)(fp + 464) == 0x46505853;	/* the mark of an extended state */

	(void)sig;
	(void)si;
	memset(fp + 160 + 16 * 3, 0x5a, 16);			/* xmm3 */
	if (spoil == SPOIL_LEGACY)
		*(uint32_t *)(fp + 464) = 0;
	if (spoil == SPOIL_HEADER && extended)
		*(uint64_t *)(fp + 512 + 16) = 1;
	if (spoil == SPOIL_HEADER && !extended)
		raise(SIGSEGV);
	if (spoil == SPOIL_GONE)
		uc->uc_mcontext.fpregs = (void *)(tap_pages(2) + PAGE - 256);
	if (spoil == SPOIL_GONE)
		munmap((char *)uc->uc_mcontext.fpregs + 256, PAGE);
	if (spoil == SPOIL_ODD)
		uc->uc_mcontext.fpregs = (void *)(fp + 8);
}

static int xmm3_after(int what)
{
	struct sigaction sa = { .sa_sigaction = spoils_fpu_state, .sa_flags = SA_SIGINFO };
	unsigned char out[16];
	long ret = SYS_getpid;

	spoil = what;
	sigaction(SIGUSR1, &sa, NULL);
	asm volatile("pxor %%xmm3, %%xmm3\nmov $39, %%eax; syscall; mov %%eax, %%edi; mov $10, %%esi; mov $62, %%eax; syscall\n"
		     "movdqu %%xmm3, %1" : "+&a"(ret), "=m"(out) :: "rdi", "rsi", "rcx", "r11", "xmm3", "memory");
	for (int i = 0; i < 16; i++)
		if (out[i] != 0x5a)
			return 1;
	return 0;
}

static void the_fpu_state_of_the_frame_is_taken_back(void)
{
	tap_eq(xmm3_after(SPOIL_XMM), 0);
	tap_eq(xmm3_after(SPOIL_LEGACY), 0);
}

static void a_frame_that_lost_its_mark_takes_back_no_avx_state(void)
{
	unsigned char ones[32], out[32];

	if (!__builtin_cpu_supports("avx"))
		tap_skip("no AVX");
	memset(ones, 0xff, 32);
	for (spoil = SPOIL_XMM; spoil <= SPOIL_LEGACY; spoil++) {
		struct sigaction sa = { .sa_sigaction = spoils_fpu_state, .sa_flags = SA_SIGINFO };

		tap_must(sigaction(SIGUSR1, &sa, NULL));
		asm volatile("vmovdqu %1, %%ymm3\nmov $39, %%eax; syscall; mov %%eax, %%edi; mov $10, %%esi; mov $62, %%eax; syscall\n"
			     "vmovdqu %%ymm3, %0; vzeroupper"
			     : "=m"(out) : "m"(ones) : "rax", "rdi", "rsi", "rcx", "r11", "xmm3", "memory");
		tap_eq(out[0], 0x5a);
		tap_eq(out[16], spoil == SPOIL_XMM ? 0xff : 0);
	}
}

/* Reserved bits of MXCSR are left out: QEMU's emulation takes them. */
static void an_fpu_state_that_cannot_be_loaded_kills(void)
{
	for (int what = SPOIL_HEADER; what <= SPOIL_ODD; what++) {
		pid_t kid = tap_fork();

		if (kid == 0)
			_exit(xmm3_after(what));
		tap_killed(kid, SIGSEGV);
	}
}

static sigjmp_buf env;

static void jump_out(int sig)
{
	siglongjmp(env, sig);
}

static void leaving_by_longjmp(void)
{
	sigset_t now;

	signal(SIGUSR1, jump_out);
	for (volatile int i = 0; i < 100; i++)
		if (sigsetjmp(env, 1) == 0)
			raise(SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &now);
	tap_eq(sigismember(&now, SIGUSR1), 0);
}

static void a_forged_frame_cannot_harm(void)
{
	/* rt_sigreturn with a stack full of ones: the process dies, nothing else */
	pid_t kid = tap_fork();
	if (kid == 0) {
		char *p = tap_pages(4);

		memset(p, 0xff, 4 * PAGE);
		asm volatile("mov %0, %%rsp; mov $15, %%eax; syscall" :: "r"(p + PAGE) : "memory");
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
	kid = tap_fork();
	if (kid == 0) {
		asm volatile("mov %0, %%rsp; mov $15, %%eax; syscall"
			     :: "r"(BAD_KERNEL) : "memory");
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

static void set_kernel_cs(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)si;
	uc->uc_mcontext.gregs[REG_CSGSFS] = 0x0010 | 0xffff0000ul << 16;
	uc->uc_mcontext.gregs[REG_EFL] = 0x3000;	/* I/O privilege */
}

static void privilege_cannot_be_asked_for(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct sigaction sa = { .sa_sigaction = set_kernel_cs, .sa_flags = SA_SIGINFO };
		uint64_t fl;

		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
		asm volatile("pushfq; pop %0" : "=r"(fl));
		uint16_t cs;
		asm volatile("mov %%cs, %0" : "=r"(cs));
		_exit((fl & 0x3000) == 0 && (cs & 3) == 3 ? 0 : 1);
	}
	int st = tap_status(kid);
	tap_ok(st == 0 || WIFSIGNALED(st));
}

TAP_MAIN(
	CASE(registers_survive_an_asynchronous_handler),
	CASE(registers_survive_preemption),
	CASE(the_red_zone_survives),
	CASE(the_direction_flag_is_clear_in_a_handler),
	CASE(the_stack_is_aligned_for_the_handler),
	CASE(a_handler_can_change_the_context),
	CASE(the_mask_in_the_context_is_restored),
	CASE(the_context_shows_the_interrupted_registers),
	CASE(mxcsr_and_x87_control_survive),
	CASE(avx_state_survives_if_there_is_any),
	CASE(the_fpu_state_of_the_frame_is_taken_back),
	CASE(a_frame_that_lost_its_mark_takes_back_no_avx_state),
	CASE(an_fpu_state_that_cannot_be_loaded_kills),
	CASE(leaving_by_longjmp),
	CASE(a_forged_frame_cannot_harm),
	CASE(privilege_cannot_be_asked_for),
)
