/*
 * Debug registers and single stepping.
 *
 * debug_regs[0..3] are addresses, [6] what the last traps said (as DR6, with the
 * reserved bits clear), [7] the control word as the debugger wrote it.  The hardware
 * registers hold those of the running thread when it has a control word, and none
 * otherwise: the kernel uses no breakpoints of its own.  See the SDM, vol. 3, ch. 18.
 */
#include <arch/debug.h>
#include <base/errno.h>
#include <base/string.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define DR7_RESERVED 0xffffffff0000fc00ull
#define DR7_FIXED    0x400ull
#define DR6_RESERVED 0xffff0ff0ull
#define DR6_STEP     0x4000ull
#define DR6_HITS     0xfull

#define dr_write(n, v) __asm__ volatile("mov %0, %%db" #n :: "r"((u64)(v)))

static void load(const struct arch_thread *at)
{
	dr_write(0, at->debug_regs[0]);
	dr_write(1, at->debug_regs[1]);
	dr_write(2, at->debug_regs[2]);
	dr_write(3, at->debug_regs[3]);
	dr_write(7, at->debug_regs[7] | DR7_FIXED);
}

void debug_switch(const struct arch_thread *next)
{
	if (next->debug_regs[7])
		load(next);
	else
		dr_write(7, DR7_FIXED);
}

void debug_forget(struct arch_thread *at)
{
	memset(at->debug_regs, 0, sizeof(at->debug_regs));
	dr_write(7, DR7_FIXED);
}

u64 debug_take_status(void)
{
	u64 v;

	__asm__ volatile("mov %%db6, %0" : "=r"(v));
	dr_write(6, DR6_RESERVED);
	return v ^ DR6_RESERVED;
}

static bool is_execute(u64 control, u32 n) { return !(control >> (16 + 4 * n) & 3); }

/* The cause of a debug trap from user mode.  An instruction breakpoint comes before its instruction: RF lets that run. */
u64 debug_user_trap(struct arch_thread *at, struct trapframe *tf)
{
	u64 status = debug_take_status(), control = at->debug_regs[7], hits = 0;

	for (u32 n = 0; n < 4; n++) {
		if (!(status >> n & 1) || !(control >> (2 * n) & 3))
			continue;
		hits |= 1u << n;
		if (is_execute(control, n))
			tf->rflags |= RFLAGS_RF;
	}
	at->debug_regs[6] = (status & DR6_STEP) | hits;
	return status & DR6_STEP ? DEBUG_CAUSE_STEP : hits ? DEBUG_CAUSE_WATCH : DEBUG_CAUSE_OTHER;
}

/* May breakpoint n be as control says, at this address? */
static bool breakpoint_ok(u64 control, u32 n, u64 addr)
{
	static const u8 sizes[] = { 1, 2, 8, 4 };
	u32 type = control >> (16 + 4 * n) & 3, size = sizes[control >> (18 + 4 * n) & 3];

	if (!(control >> (2 * n) & 3))
		return true;
	if (type == 2 || (type == 0 && size != 1))
		return false;
	return !(addr & (size - 1));
}

u64 arch_debug_get(const struct arch_thread *at, u32 n)
{
	if (n == 6)
		return at->debug_regs[6] ^ DR6_RESERVED;
	return n < 4 || n == 7 ? at->debug_regs[n] : 0;
}

int arch_debug_set(struct arch_thread *at, u32 n, u64 value)
{
	if (n < 4) {
		if (value >= USER_TOP || !breakpoint_ok(at->debug_regs[7], n, value))
			return -EINVAL;
	} else if (n == 6) {
		value ^= DR6_RESERVED;
	} else if (n == 7) {
		value &= ~DR7_RESERVED;
		for (u32 i = 0; i < 4; i++)
			if (!breakpoint_ok(value, i, at->debug_regs[i]))
				return -EINVAL;
	} else {
		return -EIO;
	}
	at->debug_regs[n] = value;
	return 0;
}

/* --- single stepping ---------------------------------------------------------- */

void arch_step_enable(struct arch_thread *at)
{
	struct trapframe *tf = arch_thread_frame(at);

	at->stepping = true;
	if (tf->rflags & RFLAGS_TF)
		return;
	tf->rflags |= RFLAGS_TF;
	at->step_forced = true;
}

void arch_step_disable(struct arch_thread *at)
{
	if (at->step_forced)
		arch_thread_frame(at)->rflags &= ~(u64)RFLAGS_TF;
	at->stepping = at->step_forced = false;
}

u64 arch_flags_get(const struct arch_thread *at)
{
	u64 flags = arch_thread_frame(at)->rflags;

	return at->step_forced ? flags & ~(u64)RFLAGS_TF : flags;
}

void arch_flags_set(struct arch_thread *at, u64 flags)
{
	const u64 mask = RFLAGS_PTRACE;
	struct trapframe *tf = arch_thread_frame(at);

	if (flags & RFLAGS_TF)
		at->step_forced = false;	/* the program's own from now on */
	else if (at->step_forced)
		flags |= RFLAGS_TF;
	tf->rflags = (tf->rflags & ~mask) | (flags & mask);
}
