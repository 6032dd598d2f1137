/*
 * Private to abi: registers of a tracee in the layouts of ptrace(2).  The tracee is
 * stopped and off its CPU.  0 or -errno; user memory is the caller's.
 */
#pragma once

#include <base/attrs.h>

struct task;

struct user_regs_k {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	u64 rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};
_Static_assert(sizeof(struct user_regs_k) == 216, "struct user_regs_struct is 216 bytes");

#define USER_AREA_SIZE	  928u		/* the kernel's struct user: two words more than the C library's */
#define USER_DEBUG_OFFSET 848u		/* u_debugreg */
#define USER_DEBUG_END	  912u

MUST_USE int regs_peek_user(struct task *t, u64 offset, u64 *out);
MUST_USE int regs_poke_user(struct task *t, u64 offset, u64 value);
MUST_USE int regs_get_general(struct task *t, uptr_t to, u64 len);	/* the first len bytes */
MUST_USE int regs_set_general(struct task *t, uptr_t from, u64 len);
MUST_USE int regs_get_fpu(struct task *t, uptr_t to, u64 len);
MUST_USE int regs_set_fpu(struct task *t, uptr_t from, u64 len);	/* -EINVAL: not all of the legacy part */
MUST_USE i64 regs_set_io(struct task *t, u64 type, uptr_t iov, bool write);	/* PTRACE_GETREGSET, SETREGSET */
