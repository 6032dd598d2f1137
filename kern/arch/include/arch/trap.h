/*
 * The register frame that every entry from user mode leaves at the top of the
 * kernel stack, in the order of Linux's struct user_regs_struct (first 21
 * words), so that ptrace and core files copy it as it is.
 */
#pragma once

#include <base/attrs.h>

struct trapframe {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	u64 rax, rcx, rdx, rsi, rdi;
	u64 orig_rax;		/* system call number, or (u64)-1 for other entries; error code during a trap */
	u64 rip, cs, rflags, rsp, ss;
};

/* Bits of the running thread's flags word that send it to proc_return_to_user() (entry.S): the word lies right behind
 * its struct arch_thread. */
#define THREAD_WORK_MASK 0x0fu

static inline bool trapframe_is_user(const struct trapframe *tf) { return tf->cs & 3; }

/* In an interrupt handler: the interrupt came from user mode. */
bool arch_irq_from_user(void);
/* In an interrupt handler: what was interrupted. */
const struct trapframe *arch_irq_frame(void);
