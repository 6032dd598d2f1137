/*
 * Threads as the machine sees them: stack, FPU area, TLS bases.
 */
#include <arch/cpu.h>
#include <arch/upcall.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/percpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

_Static_assert(offsetof(struct arch_thread, call_at) == AT_CALL_AT && offsetof(struct arch_thread, call_nr) == AT_CALL_NR &&
	       offsetof(struct arch_thread, call_result) == AT_CALL_RESULT && sizeof(struct arch_thread) == AT_FLAGS &&
	       ARCH_CALLS * 8 == 1 << 8 * sizeof(((struct arch_thread *)0)->call_at), "what entry.S knows");

/* What arch_switch_stack() pops: r15 r14 r13 r12 rbx rbp rip. */
static u64 push_first_frame(u64 sp, void (*start)(void), u64 rbx, u64 r12)
{
	u64 *p = (u64 *)sp;

	*--p = (u64)start;
	*--p = 0;			/* rbp: end of the backtrace */
	*--p = rbx;
	*--p = r12;
	*--p = 0;
	*--p = 0;
	*--p = 0;
	return (u64)p;
}

void arch_thread_init_kernel(struct arch_thread *at, void *stack_base, void (*entry)(void *), void *arg)
{
	at->fpu_cpu = ~0u;
	at->kstack_top = (u64)stack_base + KSTACK_SIZE;
	/* The first frame's ret leaves rsp 16-byte aligned, as code that calls expects it. */
	at->ksp = push_first_frame(at->kstack_top - 16, thread_start_kernel, (u64)entry, (u64)arg);
}

int arch_thread_init_user(struct arch_thread *at, void *stack_base, const struct trapframe *tf)
{
	struct trapframe *own;

	at->kstack_top = (u64)stack_base + KSTACK_SIZE;
	if (fpu_area_alloc(at))
		return -ENOMEM;
	own = arch_thread_frame(at);
	*own = *tf;
	at->ksp = push_first_frame((u64)own, thread_start_user, 0, 0);
	return 0;
}

void arch_thread_inherit(struct arch_thread *to, const struct arch_thread *self)
{
	to->fs_base = arch_get_fs_base();
	to->gs_base = arch_get_gs_base();
	if (unlikely(self->step_forced))
		arch_thread_frame(to)->rflags &= ~(u64)RFLAGS_TF;
}

void arch_thread_destroy(struct arch_thread *at) { fpu_area_free(at); }

/* User's GS base while the kernel runs; interrupts off. */
static u64 user_gs_read(void)
{
	u64 v;

	__asm__ volatile("swapgs\n\trdgsbase %0\n\tswapgs" : "=r"(v) :: "memory");
	return v;
}

static void user_gs_write(u64 v)
{
	if (cpu_has.fsgsbase)
		__asm__ volatile("swapgs\n\twrgsbase %0\n\tswapgs" :: "r"(v) : "memory");
	else
		msr_write(MSR_KERNEL_GS_BASE, v);
}

static void user_fs_write(u64 v)
{
	if (cpu_has.fsgsbase)
		fs_base_write(v);
	else
		msr_write(MSR_FS_BASE, v);
}

/* With FSGSBASE programs change the bases without telling us; without it the stored values are the truth. */
static void bases_switch(struct arch_thread *prev, struct arch_thread *next)
{
	if (prev && prev->fpu && cpu_has.fsgsbase) {
		prev->fs_base = fs_base_read();
		prev->gs_base = user_gs_read();
	}
	if (!next->fpu)
		return;
	user_fs_write(next->fs_base);
	user_gs_write(next->gs_base);
}

void arch_switch(struct arch_thread *prev, struct arch_thread *next)
{
	fpu_switch_out(prev);
	bases_switch(prev, next);
	fpu_switch_in(next);
	if (unlikely(prev->debug_regs[7] | next->debug_regs[7]))
		debug_switch(next);
	if (next->fpu)
		desc_set_rsp0(next->kstack_top);
	arch_this_cpu_write(arch_current, next);
	arch_switch_stack(&prev->ksp, next->ksp);
}

const u32 *arch_current_flags(void)
{
	struct arch_thread *at = this_cpu_read(arch_current);

	return at ? (const u32 *)(at + 1) : NULL;
}

void arch_exec_reset(struct arch_thread *at, u64 ip, u64 sp)
{
	struct trapframe *tf = arch_thread_frame(at);
	u64 irq, nr = tf->orig_rax;

	memset(tf, 0, sizeof(*tf));
	tf->orig_rax = nr;		/* a debugger sees the way out of execve */
	tf->rip = ip;
	tf->rsp = sp;
	tf->cs = SEL_USER_CS;
	tf->ss = SEL_USER_DS;
	tf->rflags = RFLAGS_IF | RFLAGS_FIXED;
	fpu_reset_current(at);
	irq = irq_save();
	if (unlikely(at->debug_regs[7]))
		debug_forget(at);
	at->step_forced = false;
	at->fs_base = at->gs_base = 0;
	user_fs_write(0);
	user_gs_write(0);
	irq_restore(irq);
}

int arch_set_fs_base(u64 base)
{
	u64 irq;

	if (base >= USER_TOP)
		return -EPERM;
	irq = irq_save();
	this_cpu_read(arch_current)->fs_base = base;
	user_fs_write(base);
	irq_restore(irq);
	return 0;
}

int arch_set_gs_base(u64 base)
{
	u64 irq;

	if (base >= USER_TOP)
		return -EPERM;
	irq = irq_save();
	this_cpu_read(arch_current)->gs_base = base;
	user_gs_write(base);
	irq_restore(irq);
	return 0;
}

u64 arch_get_fs_base(void)
{
	return cpu_has.fsgsbase ? fs_base_read() : this_cpu_read(arch_current)->fs_base;
}

u64 arch_get_gs_base(void)
{
	u64 irq, v;

	if (!cpu_has.fsgsbase)
		return this_cpu_read(arch_current)->gs_base;
	irq = irq_save();
	v = user_gs_read();
	irq_restore(irq);
	return v;
}
