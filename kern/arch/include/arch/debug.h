/*
 * What a debugger needs of the machine: single stepping, hardware breakpoints,
 * and the registers of a thread that is not running.
 *
 * Contract: at belongs to a thread that is off its CPU (sched_wait_off_cpu) or to
 * the running one, where the function says so.
 */
#pragma once

#include <arch/context.h>

/* A trap after one instruction of user mode.  TF is the debugger's then: the program's own TF is kept apart.
 * Stopped or running thread. */
void arch_step_enable(struct arch_thread *at);
void arch_step_disable(struct arch_thread *at);
static inline bool arch_step_active(const struct arch_thread *at) { return at->stepping; }
/* rflags as the program has them, without the debugger's TF. */
u64 arch_flags_get(const struct arch_thread *at);
void arch_flags_set(struct arch_thread *at, u64 flags);	/* only the bits that user mode may choose */

/* Debug registers 0 to 7 as ptrace's u_debugreg.  set: -EINVAL (address or control make no sense), -EIO (4, 5). */
u64 arch_debug_get(const struct arch_thread *at, u32 n);
MUST_USE int arch_debug_set(struct arch_thread *at, u32 n, u64 value);
/* Why the debug trap of the running thread came: what proc_user_trap() gets as hw_err. */
enum debug_cause { DEBUG_CAUSE_OTHER, DEBUG_CAUSE_STEP, DEBUG_CAUSE_WATCH };

/* FPU state.  The legacy part is 512 bytes (FXSAVE); the whole, as XSAVE, arch_fpu_state_size() (0: there is no XSAVE). */
#define FPU_LEGACY_SIZE 512u
u32 arch_fpu_state_size(void);
void arch_fpu_get(const struct arch_thread *at, void *buf, u32 size);		/* the first size bytes */
MUST_USE int arch_fpu_set(struct arch_thread *at, const void *buf, u32 size);	/* FPU_LEGACY_SIZE or the whole.  -EINVAL */
