/*
 * What the entry code calls for exceptions and interrupts.
 * tf->orig_rax holds the hardware's error code on entry; from user mode it
 * becomes -1 ("not a system call") before anything else looks at the frame.
 */
#include <arch/cpu.h>
#include <arch/debug.h>
#include <arch/upcall.h>
#include <base/errno.h>
#include <core/panic.h>
#include <core/percpu.h>
#include <core/watchdog.h>
#include <core/stat.h>
#include <core/trace.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

DECLARE_PER_CPU(u32, usercopy_nofault_depth);

void trap_from_user(struct trapframe *tf, u32 vec);
void trap_from_kernel(struct trapframe *tf, u32 vec);
void trap_paranoid(struct trapframe *tf, u32 vec);
void trap_bad_return(struct trapframe *tf);

#define VEC_DEBUG	1
#define VEC_NMI		2
#define VEC_BREAKPOINT	3
#define VEC_DOUBLE	8
#define VEC_PROTECTION	13
#define VEC_PAGE	14
#define VEC_FPU		16
#define VEC_SIMD	19
#define VEC_MACHINE	18
#define PF_PRESENT	1
#define PF_WRITE	2
#define PF_USER		4
#define PF_RESERVED	8
#define PF_FETCH	16

static const u8 trap_kinds[32] = {
	[0] = TRAP_DIVIDE, [1] = TRAP_DEBUG, [3] = TRAP_BREAKPOINT, [4] = TRAP_OVERFLOW, [5] = TRAP_BOUND,
	[6] = TRAP_INVALID_OPCODE, [7] = TRAP_NO_FPU, [9] = TRAP_FPU, [10] = TRAP_SEGMENT, [11] = TRAP_SEGMENT,
	[12] = TRAP_STACK, [13 ... 15] = TRAP_PROTECTION, [16] = TRAP_FPU, [17] = TRAP_ALIGNMENT, [18] = TRAP_PROTECTION,
	[19] = TRAP_SIMD, [20 ... 31] = TRAP_PROTECTION,
};

static const char *const trap_names[32] = {
	"divide error", "debug", "NMI", "breakpoint", "overflow", "bound", "invalid opcode", "no FPU", "double fault",
	"coprocessor overrun", "invalid TSS", "segment not present", "stack segment", "general protection fault",
	"page fault", "reserved", "FPU error", "alignment check", "machine check", "SIMD error", "virtualization",
	"control protection",
};

static DEFINE_PER_CPU(bool, irq_from_user);

bool arch_irq_from_user(void) { return this_cpu_read(irq_from_user); }

static DEFINE_PER_CPU(const struct trapframe *, irq_frame);

const struct trapframe *arch_irq_frame(void) { return this_cpu_read(irq_frame); }

static void interrupt(const struct trapframe *tf, u32 vec)
{
	this_cpu_write(irq_frame, tf);
	arch_this_cpu_add(irq_depth, 1);
	trace_irq_handler_begin(vec);
	switch (vec) {
	case VEC_TIMER:
		lapic_eoi();
		stat_inc(STAT_IRQ_TIMER);
		lapic_timer_fired();
		timer_interrupt();
		break;
	case VEC_RESCHEDULE:
		lapic_eoi();
		stat_inc(STAT_IRQ_RESCHEDULE);
		sched_ipi_reschedule();
		break;
	case VEC_CALL:
		lapic_eoi();
		stat_inc(STAT_IRQ_CALL);
		smp_ipi_call();
		break;
	case VEC_FLUSH:
		lapic_eoi();
		stat_inc(STAT_IRQ_FLUSH);
		smp_flush_ipi();
		break;
	case VEC_ERROR:
		lapic_eoi();
		break;
	case VEC_SPURIOUS:
		break;
	default:
		irq_dispatch(vec);
		lapic_eoi();
	}
	trace_irq_handler_end();
	arch_this_cpu_add(irq_depth, -1);
}

static void user_page_fault(struct trapframe *tf, u64 hw)
{
	u64 addr = cr2_read();
	int err;

	if (unlikely(hw & PF_RESERVED))
		panic_trap(tf, "page table is corrupt at user address %#llx", (unsigned long long)addr);
	irq_enable();
	/* Without PF_USER the processor itself made the access (a descriptor table): nothing that could be resolved. */
	err = addr < USER_TOP && (hw & PF_USER) ? vm_fault_user(addr, hw, true) : -EFAULT;
	/* -EINTR: a fatal signal is waiting; the way back to user mode takes it. */
	if (err && err != -EINTR)
		proc_user_fault(tf, addr, hw, err);
}

/* Which unmasked floating-point exceptions are up (x87 and SSE order their bits alike).  Interrupts off. */
static u64 fpu_exceptions(u32 vec)
{
	u32 mxcsr;
	u16 status, control;

	if (vec == VEC_SIMD) {
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
		return mxcsr & ~(mxcsr >> 7) & 0x3f;
	}
	__asm__ volatile("fnstsw %0\n\tfnstcw %1" : "=m"(status), "=m"(control));
	return status & ~(u32)control & 0x3f;
}

void trap_from_user(struct trapframe *tf, u32 vec)
{
	u64 hw = tf->orig_rax, addr = 0;

	if (vec >= 32) {
		tf->orig_rax = ~0ull;
		this_cpu_write(irq_from_user, true);
		interrupt(tf, vec);
		this_cpu_write(irq_from_user, false);
		return;
	}
	tf->orig_rax = ~0ull;
	if (vec == VEC_PAGE) {
		user_page_fault(tf, hw);
		return;
	}
	if (vec == VEC_DEBUG) {
		hw = debug_user_trap(this_cpu_read(arch_current), tf);
		addr = tf->rip;
	}
	if (vec == VEC_FPU || vec == VEC_SIMD)
		hw = fpu_exceptions(vec);
	irq_enable();
	proc_user_trap(tf, trap_kinds[vec], addr, hw);
}

/* User mode cannot be entered at this address: IRET itself would fault. */
void trap_bad_return(struct trapframe *tf)
{
	proc_user_trap(tf, TRAP_PROTECTION, tf->rip, 0);
}

static NORETURN void kernel_fault_report(struct trapframe *tf, u64 addr, u64 hw)
{
	const char *what = hw & PF_FETCH ? "execute" : hw & PF_WRITE ? "write" : "read";
	char at[PLACE_LEN];

	panic_fault_addr = addr;
	if (addr < PAGE_SIZE)
		panic_trap(tf, "kernel NULL pointer dereference: %s of %#llx", what, (unsigned long long)addr);
	if (addr < USER_TOP)
		panic_trap(tf, "kernel touched user memory outside usercopy: %s of %#llx", what,
			   (unsigned long long)addr);
	panic_note("address: %s", place_name(at, addr));
	panic_trap(tf, "unable to handle kernel page fault: %s of %#llx (%s)", what, (unsigned long long)addr,
		   hw & PF_PRESENT ? "protection" : "not mapped");
}

static void kernel_page_fault(struct trapframe *tf, u64 hw)
{
	u64 addr = cr2_read();

	if (!extable_covers(tf->rip) || hw & PF_RESERVED)
		kernel_fault_report(tf, addr, hw);
	if (addr < USER_TOP && tf->rflags & RFLAGS_IF && !this_cpu_read(usercopy_nofault_depth) &&
	    !this_cpu_read(irq_depth)) {
		int err;

		irq_enable();
		err = vm_fault_user(addr, hw, false);
		irq_disable();
		if (!err)
			return;
	}
	(void)extable_fixup(tf);
}

void trap_from_kernel(struct trapframe *tf, u32 vec)
{
	if (vec >= 32)
		interrupt(tf, vec);
	else if (vec == VEC_PAGE)
		kernel_page_fault(tf, tf->orig_rax);
	else if (vec != VEC_PROTECTION || !extable_fixup(tf))
		panic_trap(tf, "%s in the kernel, error code %#llx", trap_names[vec] ? trap_names[vec] : "exception",
			   (unsigned long long)tf->orig_rax);
}

static NORETURN void double_fault(struct trapframe *tf)
{
	u64 addr = cr2_read();
	const char *guard = cpu_area_guard_name(addr);

	panic_fault_addr = addr;
	if (guard)
		panic_trap(tf, "kernel stack overflow: %s stack of CPU %u", guard, cpu_id());
	if (addr + 2 * PAGE_SIZE > tf->rsp && addr < tf->rsp + 2 * PAGE_SIZE)
		panic_trap(tf, "kernel stack overflow: guard page at %#llx", (unsigned long long)addr);
	panic_trap(tf, "double fault (last page fault at %#llx)", (unsigned long long)addr);
}

/* On a stack of its own, maybe in the middle of any code: takes no lock, leaves everything as it was. */
void trap_paranoid(struct trapframe *tf, u32 vec)
{
	if (vec == VEC_NMI) {
		bool panicking;

		if (panic_stop_this_cpu(&panicking))
			cpu_halt_forever();
		if (!panicking)
			watchdog_nmi(tf);
	} else if (vec == VEC_DOUBLE) {
		double_fault(tf);
	} else if (vec == VEC_MACHINE) {
		panic_trap(tf, "machine check");
	} else {
		debug_take_status();
		tf->rflags &= ~(u64)RFLAGS_TF;
	}
}
