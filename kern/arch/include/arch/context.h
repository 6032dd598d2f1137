/*
 * Thread contexts: kernel stack switch, FPU state, TLS bases.
 * Contract: arch_thread_* of one thread are called by one CPU at a time.
 */
#pragma once

#include <arch/trap.h>
#include <base/string.h>

#define KSTACK_ORDER 2
#define KSTACK_SIZE  (PAGE_SIZE << KSTACK_ORDER)	/* plus an unmapped guard page below */

#define ARCH_CALLS 32		/* 8 * ARCH_CALLS is 256: call_at wraps around by itself */

struct arch_thread {
	u64 ksp;		/* saved kernel stack pointer while not running */
	u64 kstack_top;		/* const after init; the user trapframe sits just below */
	u64 fs_base, gs_base;	/* user's; gs_base is the inactive one while in the kernel */
	void *fpu;		/* XSAVE area, 64-byte aligned, NULL for kernel threads */
	u32 fpu_cpu;		/* whose registers hold it, ~0: memory only */
	u8 call_at;		/* byte offset in the ring below: the running system call, or the next; wraps around */
	bool stepping;		/* a debugger single-steps it; step_forced: rflags.TF is the debugger's */
	bool step_forced;
	u64 debug_regs[8];	/* debug.c; [7] non-zero: loaded while the thread runs */
	u64 call_nr[ARCH_CALLS];	/* the last system calls: number, result (entry.S) */
	i64 call_result[ARCH_CALLS];
};

/* In the ring's last place until it was full once: only what lies before call_at was written then. */
#define ARCH_CALL_NONE ~0ull

/* Every field zero but the ring, which is not worth it. */
static inline void arch_thread_clear(struct arch_thread *at)
{
	memset(at, 0, offsetof(struct arch_thread, call_nr));
	at->call_nr[ARCH_CALLS - 1] = ARCH_CALL_NONE;
}

/* The user register frame of a thread whose stack top is kstack_top. */
static inline struct trapframe *arch_thread_frame(const struct arch_thread *at)
{
	return (struct trapframe *)at->kstack_top - 1;
}

/* Both: *at is as arch_thread_clear() leaves it.
 * Prepares a thread that will start in entry(arg) in kernel mode, interrupts on, after sched_thread_started(). */
void arch_thread_init_kernel(struct arch_thread *at, void *stack_base, void (*entry)(void *), void *arg);
/* Prepares a user thread that will return to user mode through *tf (copied to its own stack).  Its FPU state is the
 * running thread's, or initial where that has none.  -ENOMEM for the area. */
MUST_USE int arch_thread_init_user(struct arch_thread *at, void *stack_base, const struct trapframe *tf);
/* fork: TLS bases of the running thread self; a single step of its debugger is not inherited. */
void arch_thread_inherit(struct arch_thread *to, const struct arch_thread *self);
void arch_thread_destroy(struct arch_thread *at);	/* frees the FPU area */
/* Leaves the current stack for good. */
static inline NORETURN void arch_call_on_stack(void *top, void (*fn)(void))
{
	__asm__ volatile("xorl %%ebp, %%ebp; movq %0, %%rsp; call *%1" :: "r"(top), "r"(fn) : "memory");
	__builtin_unreachable();
}
/* The flags word of the thread that runs here; NULL before the CPU's first switch. */
const u32 *arch_current_flags(void);
/* Saves prev, loads next; returns in next's context.  Interrupts off, run queue lock held over it. */
void arch_switch(struct arch_thread *prev, struct arch_thread *next);
/* exec: clean registers, FPU defaults, TLS bases zero; user mode starts at ip with sp. */
void arch_exec_reset(struct arch_thread *at, u64 ip, u64 sp);
/* TLS base of the running thread.  -EPERM for a non-canonical or kernel address. */
MUST_USE int arch_set_fs_base(u64 base);
MUST_USE int arch_set_gs_base(u64 base);
u64 arch_get_fs_base(void);
u64 arch_get_gs_base(void);

/* Signal frames need the FPU state in memory: size in bytes as XSAVE standard format (with Linux's sw_reserved), copy both ways.
 * The running thread only; 64-byte aligned.  load: -EFAULT also for what the processor refuses, never a trap. */
u32 arch_fpu_frame_size(void);
MUST_USE int arch_fpu_save_user(uptr_t dst);
MUST_USE int arch_fpu_load_user(uptr_t src);
