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
 *  5. The frame of a system call lacks rbx, rbp, r12 to r15, rcx, r11 and rax until
 *     the long way back, unless the call is watched or its row in
 *     spec/syscalls.tbl says `frame`: those where C code or a tracer looks at them.
 *  6. Who changes the frame of a running system call does it in such a call (exec,
 *     sigreturn) or where the thread's flags send it the long way (signals,
 *     tracers): the short way back restores only what C code may have overwritten.
 */
#include "x86.h"

/* Bits of the thread's flags word that ask for work: see arch/trap.h. */
#define WORK_MASK 0x0f
#define TRACE_MASK 0x10
#define WATCH_MASK 0x30		/* and those that send a system call through syscall_dispatch() */

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
	movq %gs:PCPU_KSTACK, %rsp	/* at ss, which no program can change */
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
	movq %gs:PCPU_KSTACK, %rsp	/* at ss, which no program can change */
	pushq %gs:PCPU_SCRATCH
	pushq %r11
	pushq $SEL_USER_CS
	pushq %rcx
	pushq %rax			/* orig_rax */
	pushq %rdi
	pushq %rsi
	pushq %rdx
	subq $TF_RDX, %rsp
	movq %r8, TF_R8(%rsp)
	movq %r9, TF_R9(%rsp)
	movq %r10, TF_R10(%rsp)
	movq %gs:arch_current, %rdi
	movq rcu_epoch(%rip), %rcx	/* this CPU came from user mode: it holds no rcu reference */
	movq %rcx, %gs:rcu_cpu_seen
	sti
	movl %eax, %eax			/* Linux looks at the low half of the number only */
	movzbl AT_CALL_AT(%rdi), %ecx
	movq %rax, AT_CALL_NR(%rdi, %rcx)
	testl $WATCH_MASK, AT_FLAGS(%rdi)
	jnz syscall_watched
	cmpl $syscall_count, %eax
	jae syscall_whole
	movq %rsp, %rsi
	call *syscall_fast(, %rax, 8)
.Lsyscall_done:
	movq %gs:arch_current, %rdi
	movzbl AT_CALL_AT(%rdi), %ecx
	movq %rax, AT_CALL_RESULT(%rdi, %rcx)
	addb $8, AT_CALL_AT(%rdi)
	cli
	testl $(WORK_MASK | TRACE_MASK), AT_FLAGS(%rdi)
	jnz syscall_return_slow
	movq TF_RFLAGS(%rsp), %r11
	testl $RFLAGS_TF, %r11d		/* SYSRET would trap before the program's next instruction */
	jnz syscall_return_slow
	/*
	 * The frame is as SYSCALL made it.  C code kept rbx, rbp and r12 to r15; rip is where a SYSCALL
	 * instruction ended, which is canonical: nothing can be mapped in the last page below the hole.
	 */
syscall_restore:
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

/* What inv. 5 left out. */
.macro COMPLETE_FRAME
	movq %rbx, TF_RBX(%rsp)
	movq %rbp, TF_RBP(%rsp)
	movq %r12, TF_R12(%rsp)
	movq %r13, TF_R13(%rsp)
	movq %r14, TF_R14(%rsp)
	movq %r15, TF_R15(%rsp)
	movq TF_RIP(%rsp), %rcx
	movq %rcx, TF_RCX(%rsp)
	movq TF_RFLAGS(%rsp), %rcx
	movq %rcx, TF_R11(%rsp)
.endm

syscall_return_slow:
	movq %rax, TF_RAX(%rsp)
	COMPLETE_FRAME
	jmp return_to_user

/* Spans and counts look at arguments only. */
syscall_watched:
	testl $TRACE_MASK, AT_FLAGS(%rdi)
	jnz syscall_whole
	cmpl $syscall_count, %eax
	jae syscall_whole
	cmpq $syscall_needs_frame, syscall_fast(, %rax, 8)
	je syscall_whole
	movq %rsp, %rsi
	call syscall_spanned
	jmp .Lsyscall_done

/* In syscall_fast for calls that need a whole frame. */
	.globl syscall_needs_frame
syscall_needs_frame:
	addq $8, %rsp
syscall_whole:
	movq $-38, TF_RAX(%rsp)		/* -ENOSYS: what a tracer sees on the way in */
	COMPLETE_FRAME
	movq %rsp, %rdi
	call syscall_dispatch
	movq %rax, TF_RAX(%rsp)
	movq %gs:arch_current, %rdi
	movzbl AT_CALL_AT(%rdi), %ecx
	movq %rax, AT_CALL_RESULT(%rdi, %rcx)
	addb $8, AT_CALL_AT(%rdi)
	cli
	testl $(WORK_MASK | TRACE_MASK), AT_FLAGS(%rdi)
	jnz return_to_user
	/* SYSRET gives what SYSCALL took: IRET if exec or sigreturn made the frame another. */
	movq TF_RIP(%rsp), %rcx
	cmpq %rcx, TF_RCX(%rsp)
	jne return_to_user
	shrq $47, %rcx
	jnz return_to_user
	movq TF_RFLAGS(%rsp), %r11
	cmpq %r11, TF_R11(%rsp)
	jne return_to_user
	testl $(RFLAGS_TF | RFLAGS_RF), %r11d
	jnz return_to_user
	movq TF_RBX(%rsp), %rbx
	movq TF_RBP(%rsp), %rbp
	movq TF_R12(%rsp), %r12
	movq TF_R13(%rsp), %r13
	movq TF_R14(%rsp), %r14
	movq TF_R15(%rsp), %r15
	jmp syscall_restore

/* rsp: struct trapframe of the running thread, at the top of its stack. */
	.globl return_to_user
return_to_user:
	cli
	movq %gs:arch_current, %rax
	testl $WORK_MASK, AT_FLAGS(%rax)
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
