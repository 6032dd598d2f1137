/*
 * The one list of calls from arch into higher layers.  Each is defined once,
 * in the layer named.  Interrupts are on in those that say "sleeps".
 */
#pragma once

#include <arch/trap.h>

struct bootinfo;

enum trap_kind {
	TRAP_DIVIDE, TRAP_DEBUG, TRAP_BREAKPOINT, TRAP_OVERFLOW, TRAP_BOUND, TRAP_INVALID_OPCODE,
	TRAP_NO_FPU, TRAP_SEGMENT, TRAP_STACK, TRAP_PROTECTION, TRAP_FPU, TRAP_ALIGNMENT, TRAP_SIMD,
};

/* init: start-up on the boot CPU, on its final stack, interrupts off, direct map up. */
NORETURN void kernel_main(struct bootinfo *bi);
/* init: a secondary CPU, interrupts off. */
NORETURN void kernel_main_secondary(u32 cpu);
/* abi: the system calls by number, syscall_count of them; each sleeps.  self: struct task and, at its start, arch_thread.
 * Calls whose row says `frame` are syscall_needs_frame here, which goes to syscall_dispatch(). */
struct task;
extern i64 (*const syscall_fast[])(struct task *self, const struct trapframe *tf);
i64 syscall_needs_frame(struct task *self, const struct trapframe *tf);	/* entry.S's */
/* abi: the same for a call that is a span or counted, of a thread that nobody traces. */
i64 syscall_spanned(struct task *self, const struct trapframe *tf);
/* abi: a system call that needs a whole frame, is watched or does not exist; sleeps.  Its result. */
i64 syscall_dispatch(struct trapframe *tf);
/* vm: page fault on a user address, from user mode or from usercopy.  Sleeps.  0, or -errno
 * (-EFAULT, -EACCES: SIGSEGV MAPERR, ACCERR; -EIO: SIGBUS; -ENOMEM: OOM).  err is the hardware's error code. */
MUST_USE int vm_fault_user(u64 addr, u64 err, bool from_user);
/* proc: a trap from user mode that is not a resolved fault: becomes a signal.  Sleeps.
 * For page faults: fault_err is the result above and addr the address. */
void proc_user_trap(struct trapframe *tf, enum trap_kind kind, u64 addr, u64 hw_err);
void proc_user_fault(struct trapframe *tf, u64 addr, u64 hw_err, int fault_err);
/* proc: last stop before user mode when thread flags ask for work: signals, reschedule, exit.  Sleeps.
 * Called again until no bit of THREAD_WORK_MASK is set in the thread's flags: it must clear what it has done. */
void proc_return_to_user(struct trapframe *tf);
/* core: the local timer fired.  Interrupt context. */
void timer_interrupt(void);
/* sched: the reschedule IPI and the function-call IPI.  Interrupt context. */
void sched_ipi_reschedule(void);
/* sched: first thing a new thread runs: finishes the switch to it. */
void sched_thread_started(void);
/* core: device interrupt with this vector.  Interrupt context. */
void irq_dispatch(u32 vector);
/* mem: small objects (the FPU area of a thread).  kmalloc sleeps; contents undefined. */
void *kmalloc(usize size);
void kfree(void *p);
/* core: values for the entry code. */
extern u64 rcu_epoch;
void smp_ipi_call(void);
