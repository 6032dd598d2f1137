/*
 * Entries from user mode and interrupts, and the way back.
 *
 * Every entry builds struct trapframe on the kernel stack.  Invariants:
 *  1. GS is the kernel's while C code runs.
 *  2. DF and AC are clear while C code runs.
 *  3. Interrupts are off from the last look at the thread's work flags until
 *     user mode runs.
 *  4. NMI, double fault and machine check run on stacks of their own, whose top
 *     word holds the CPU's per-CPU base: they find GS without trusting the
 *     interrupted value, which user mode may have set to anything.
 *  5. Who changes the frame of a running system call, other than its result,
 *     sets orig_rax to -1 (exec, sigreturn) or does it where the thread's flags
 *     send it the long way (signals, tracers): the short way back restores only
 *     what C code may have overwritten.
 */
#include "x86.h"

/* Bits of the thread's flags word that ask for work: see arch/upcall.h. */
#define WORK_MASK 0x0f
#define TRACE_MASK 0x10

	.section .text.entry, "ax"

.macro PUSH_REST		/* rdi is on the stack */
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
.endm

.macro POP_ALL
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
.endm

/* This CPU came from user mode: it holds no rcu reference. */
.macro RCU_QUIESCENT
	movq rcu_epoch(%rip), %rax
	movq %rax, %gs:rcu_cpu_seen
.endm

/* One stub per vector, 16 bytes apart: the IDT is computed from trap_stubs. */
	.balign 16
	.globl trap_stubs
trap_stubs:
	.set vec, 0
	.rept 256
	.balign 16
	.if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30)
	pushq $0
	.endif
	pushq %rdi
	movl $vec, %edi
	.if vec == 1
	jmp debug_entry
	.elseif vec == 2 || vec == 8 || vec == 18
	jmp paranoid_entry
	.else
	jmp trap_common
	.endif
	.set vec, vec + 1
	.endr

	.balign 64
trap_common:
	PUSH_REST
	cld
	CLAC
	movl %edi, %esi
	movq %rsp, %rdi
	testb $3, TF_CS(%rsp)
	jz trap_in_kernel
	swapgs
trap_in_user:
	RCU_QUIESCENT
	xorl %ebp, %ebp
	subq $8, %rsp
	call trap_from_user
	addq $8, %rsp
	jmp return_to_user

trap_in_kernel:
	subq $8, %rsp
	call trap_from_kernel
	addq $8, %rsp
	POP_ALL
	addq $8, %rsp
	iretq

/*
 * #DB has a stack of its own, as it may hit the first instruction of the system
 * call entry.  From user mode the frame moves to the thread's stack.
 */
debug_entry:
	testb $3, 24(%rsp)
	jz paranoid_entry
	swapgs
	movq %rsp, %rdi
	movq %rax, %gs:PCPU_SCRATCH
	movq %gs:PCPU_KSTACK, %rsp
	pushq 48(%rdi)			/* ss */
	pushq 40(%rdi)			/* rsp */
	pushq 32(%rdi)			/* rflags */
	pushq 24(%rdi)			/* cs */
	pushq 16(%rdi)			/* rip */
	pushq 8(%rdi)			/* 0 */
	pushq (%rdi)			/* rdi */
	movq %gs:PCPU_SCRATCH, %rax
	PUSH_REST
	cld
	CLAC
	movl $1, %esi
	movq %rsp, %rdi
	jmp trap_in_user

paranoid_entry:
	PUSH_REST
	cld
	CLAC
	movl %edi, %r12d
	movl $MSR_GS_BASE, %ecx
	rdmsr
	movl %eax, %r13d		/* r14:r13: the interrupted GS base */
	movl %edx, %r14d
	movl TF_SIZE(%rsp), %eax
	movl TF_SIZE+4(%rsp), %edx
	wrmsr
	movl %r12d, %esi
	movq %rsp, %rdi
	subq $8, %rsp
	call trap_paranoid
	addq $8, %rsp
	movl $MSR_GS_BASE, %ecx
	movl %r13d, %eax
	movl %r14d, %edx
	wrmsr
	POP_ALL
	addq $8, %rsp
	iretq

	.balign 64
	.globl syscall_entry
syscall_entry:
	swapgs
	movq %rsp, %gs:PCPU_SCRATCH
	movq %gs:PCPU_KSTACK, %rsp
	pushq $SEL_USER_DS
	pushq %gs:PCPU_SCRATCH
	pushq %r11
	pushq $SEL_USER_CS
	pushq %rcx
	pushq %rax			/* orig_rax */
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq $-38			/* rax: -ENOSYS */
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movl %eax, %esi			/* Linux looks at the low half of the number only */
	RCU_QUIESCENT
	xorl %ebp, %ebp
	sti
	movq %rsp, %rdi
	call syscall_dispatch

	cli
	movq %gs:cpu_thread_flags, %rdx
	testl $(WORK_MASK | TRACE_MASK), (%rdx)
	jnz syscall_return_slow
	cmpl $0, TF_ORIG_RAX(%rsp)
	js syscall_return_slow		/* inv. 5 */
	movq TF_RFLAGS(%rsp), %r11
	testl $RFLAGS_TF, %r11d		/* SYSRET would trap before the program's next instruction */
	jnz syscall_return_slow
	/*
	 * The frame is as SYSCALL made it.  C code kept rbx and r12 to r15; rip is where a SYSCALL
	 * instruction ended, which is canonical: nothing can be mapped in the last page below the hole.
	 */
	movq TF_RBP(%rsp), %rbp
	movq TF_R10(%rsp), %r10
	movq TF_R9(%rsp), %r9
	movq TF_R8(%rsp), %r8
	movq TF_RDX(%rsp), %rdx
	movq TF_RSI(%rsp), %rsi
	movq TF_RDI(%rsp), %rdi
	movq TF_RIP(%rsp), %rcx
	movq TF_RSP(%rsp), %rsp
	swapgs
	sysretq

syscall_return_slow:
	movq %rax, TF_RAX(%rsp)

/* rsp: struct trapframe of the running thread, at the top of its stack. */
	.globl return_to_user
return_to_user:
	cli
	movq %gs:cpu_thread_flags, %rax
	testl $WORK_MASK, (%rax)
	jnz return_work
return_by_iret:
	/* IRET with these selectors, flags and a canonical rip cannot fault. */
	movq TF_RIP(%rsp), %rax
	shrq $47, %rax
	jnz return_bad_rip
	movq $SEL_USER_CS, TF_CS(%rsp)
	movq $SEL_USER_DS, TF_SS(%rsp)
	andq $RFLAGS_USER, TF_RFLAGS(%rsp)
	orq $(RFLAGS_IF | RFLAGS_FIXED), TF_RFLAGS(%rsp)
	POP_ALL
	addq $8, %rsp
	swapgs
	iretq

return_work:
	sti
	movq %rsp, %rdi
	subq $8, %rsp
	call proc_return_to_user
	addq $8, %rsp
	jmp return_to_user

return_bad_rip:
	sti
	movq %rsp, %rdi
	subq $8, %rsp
	call trap_bad_return
	addq $8, %rsp
	jmp return_to_user

/* void arch_switch_stack(u64 *save, u64 next) */
	.globl arch_switch_stack
arch_switch_stack:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret

/* First steps of new threads; arch_thread_init_*() laid out rbx (entry) and r12 (arg). */
	.globl thread_start_kernel
thread_start_kernel:
	xorl %ebp, %ebp
	call sched_thread_started
	sti
	movq %r12, %rdi
	call *%rbx
	ud2

	.globl thread_start_user
thread_start_user:
	/* rsp is the thread's trapframe, 8 past a 16-byte boundary. */
	xorl %ebp, %ebp
	subq $8, %rsp
	call sched_thread_started
	addq $8, %rsp
	jmp return_to_user

/* void stack_switch_call(u64 top, void (*fn)(void *), void *arg) */
	.globl stack_switch_call
stack_switch_call:
	movq %rdi, %rsp
	movq %rdx, %rdi
	xorl %ebp, %ebp
	call *%rsi
	ud2
