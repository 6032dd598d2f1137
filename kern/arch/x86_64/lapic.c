/*
 * The local APIC: interprocessor interrupts and the timer.  x2APIC (MSRs)
 * where the CPU has it, else memory-mapped.  Source: Intel SDM 3A, chapter 11.
 */
#include <arch/cpu.h>
#include <arch/irqchip.h>
#include <base/atomic.h>
#include <core/panic.h>
#include <core/percpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

enum {
	REG_ID = 0x20, REG_TPR = 0x80, REG_EOI = 0xb0, REG_LDR = 0xd0, REG_SVR = 0xf0, REG_ESR = 0x280,
	REG_ICR = 0x300, REG_ICR2 = 0x310, REG_TIMER = 0x320, REG_THERMAL = 0x330, REG_PERF = 0x340,
	REG_LINT0 = 0x350, REG_LINT1 = 0x360, REG_ERROR = 0x370, REG_INITIAL = 0x380, REG_CURRENT = 0x390,
	REG_DIVIDE = 0x3e0,
};
#define LVT_MASKED   0x10000u
#define LVT_NMI	     0x400u
#define LVT_DEADLINE 0x40000u
#define SVR_ENABLE   0x100u
#define ICR_INIT     0x4500u
#define ICR_STARTUP  0x4600u
#define ICR_NMI	     0x4400u
#define ICR_FIXED    0x4000u
#define ICR_BUSY     0x1000u
#define DIVIDE_BY_1  0xbu
#define BASE_ENABLE  0x800u
#define BASE_X2APIC  0x400u

static volatile u8 *lapic_mmio READ_MOSTLY;
static u64 timer_hz READ_MOSTLY;		/* 0: TSC deadline mode */
static u64 timer_mult READ_MOSTLY;		/* ticks = ns * mult >> 32 */
static bool timer_ready READ_MOSTLY;
static DEFINE_PER_CPU(u64, timer_when) = ~0ull;	/* what the hardware will fire for, ~0: nothing */

static u32 reg_read(u32 reg)
{
	return cpu_has.x2apic ? (u32)msr_read(MSR_X2APIC + (reg >> 4)) : *(volatile u32 *)(lapic_mmio + reg);
}

static void reg_write(u32 reg, u32 v)
{
	if (cpu_has.x2apic)
		msr_write(MSR_X2APIC + (reg >> 4), v);
	else
		*(volatile u32 *)(lapic_mmio + reg) = v;
}

void lapic_eoi(void) { reg_write(REG_EOI, 0); }
u32 lapic_id(void) { return cpu_has.x2apic ? reg_read(REG_ID) : reg_read(REG_ID) >> 24; }

static void timer_lvt(void)
{
	if (!timer_ready)
		return;
	if (timer_hz) {
		reg_write(REG_DIVIDE, DIVIDE_BY_1);
		reg_write(REG_TIMER, VEC_TIMER);
	} else {
		reg_write(REG_TIMER, VEC_TIMER | LVT_DEADLINE);
		memory_fence();		/* SDM 11.5.4.1: the mode must be set before the MSR is written */
	}
}

void lapic_init_cpu(void)
{
	u64 base = msr_read(MSR_APIC_BASE) | BASE_ENABLE;

	msr_write(MSR_APIC_BASE, base);
	if (cpu_has.x2apic)
		msr_write(MSR_APIC_BASE, base | BASE_X2APIC);
	reg_write(REG_TPR, 0);
	reg_write(REG_LINT0, LVT_MASKED);
	reg_write(REG_LINT1, LVT_NMI);
	reg_write(REG_TIMER, LVT_MASKED);
	reg_write(REG_ERROR, VEC_ERROR);
	reg_write(REG_SVR, SVR_ENABLE | VEC_SPURIOUS);
	reg_write(REG_ESR, 0);
	timer_lvt();
}

INIT_TEXT void lapic_init(void)
{
	/* The firmware may have left the CPU in x2APIC mode: there is no way back to MMIO. */
	if (!cpu_has.x2apic) {
		lapic_mmio = mmu_map_device(PADDR(platform.lapic_base), PAGE_SIZE);
		if (!lapic_mmio)
			panic_boot("no memory to map the local APIC");
	}
	lapic_init_cpu();
}

static void icr_write(u32 dest, u32 cmd)
{
	u64 irq;

	if (cpu_has.x2apic) {
		memory_fence();		/* MSR writes to the APIC do not order earlier stores */
		msr_write(MSR_X2APIC + (REG_ICR >> 4), (u64)dest << 32 | cmd);
		return;
	}
	irq = irq_save();
	while (reg_read(REG_ICR) & ICR_BUSY)
		cpu_relax();
	reg_write(REG_ICR2, dest << 24);
	reg_write(REG_ICR, cmd);
	irq_restore(irq);
}

void lapic_send_ipi(u32 apic_id, u32 vector) { icr_write(apic_id, ICR_FIXED | vector); }
void lapic_send_nmi(u32 apic_id) { icr_write(apic_id, ICR_NMI); }
void lapic_send_init(u32 apic_id) { icr_write(apic_id, ICR_INIT); }
void lapic_send_sipi(u32 apic_id, u32 page) { icr_write(apic_id, ICR_STARTUP | page); }

void lapic_timer_free_run(void)
{
	reg_write(REG_TIMER, LVT_MASKED);
	reg_write(REG_DIVIDE, DIVIDE_BY_1);
	reg_write(REG_INITIAL, ~0u);
}

u32 lapic_timer_count(void) { return reg_read(REG_CURRENT); }

INIT_TEXT void lapic_timer_setup(u64 hz)
{
	reg_write(REG_INITIAL, 0);
	timer_hz = hz;
	timer_mult = (hz << 32) / 1000000000u;
	timer_ready = true;
	timer_lvt();
}

void lapic_timer_fired(void) { this_cpu_write(timer_when, ~0ull); }

void arch_timer_program(u64 when_ns)
{
	u64 now, ticks;

	if (!timer_ready)
		return;
	/* Later or never: the earlier interrupt may come, finds nothing due and asks again.  Writes are what costs. */
	if (when_ns >= this_cpu_read(timer_when))
		return;
	this_cpu_write(timer_when, when_ns);
	if (!timer_hz) {
		msr_write(MSR_TSC_DEADLINE, MAX(clock_ns_to_tsc(when_ns), (u64)1));
		return;
	}
	now = arch_clock_ns();
	/* Far ones in steps: an early interrupt finds nothing due and programs the rest. */
	ticks = when_ns <= now ? 1 : (u64)((unsigned __int128)(when_ns - now) * timer_mult >> 32) + 1;
	reg_write(REG_INITIAL, (u32)MIN(ticks, (u64)0xffffffff));
}

void arch_msi_compose(u32 vector, u64 *addr, u32 *data)
{
	*addr = 0xfee00000ull | (u64)(platform.apic_ids[0] & 0xff) << 12;
	*data = vector;
}
