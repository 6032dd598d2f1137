/*
 * Other CPUs.  They are started one after the other: each takes its number and
 * stack from the trampoline page, announces itself and goes on alone.
 *
 * A flush of kernel translations is a generation: the asker raises it,
 * interrupts the others and waits until each has stored a value at least as
 * high.  The handler takes no lock and the asker waits with interrupts on, so
 * any number of CPUs can ask at once.
 */
#include <arch/cpu.h>
#include <arch/smp.h>
#include <arch/upcall.h>
#include <base/string.h>
#include <core/lock.h>
#include <core/log.h>
#include <core/percpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

extern char trampoline_start[], trampoline_end[], trampoline_cpu[];
u64 ap_stack_top;			/* read by ap_entry64 */
static u64 trampoline_page;		/* const after arch_init_early() */
static u64 flush_generation;		/* atomic */
static DEFINE_PER_CPU(u64, flush_seen);
static u32 panic_stopping;		/* atomic: CPU that stops the others, plus 1 */
NORETURN void arch_ap_start(u32 cpu);
DECLARE_PER_CPU(u64, rcu_cpu_seen);

INIT_TEXT void smp_init_early(struct bootinfo *bi) { trampoline_page = boot_find_low_page(bi); }

/* Second half of ap_entry64: kernel tables, own per-CPU area and stack. */
void arch_ap_start(u32 cpu)
{
	cpu_setup();
	mmu_init_cpu();
	desc_init_cpu(cpu);
	desc_set_rsp0(cpu_area_stack_top(cpu));
	kernel_main_secondary(cpu);
}

void arch_init_secondary(u32 cpu)
{
	lapic_init_cpu();
	kvmclock_init_cpu();
	this_cpu_write(rcu_cpu_seen, load_acquire(&rcu_epoch));
	this_cpu_write(flush_seen, __atomic_load_n(&flush_generation, __ATOMIC_SEQ_CST));
	cpu_set_online(cpu);
	/* Flushes asked for between the two lines above did not reach us. */
	mmu_flush_kernel_local();
}

static INIT_TEXT bool start_one(u32 cpu, u8 *page)
{
	u32 id = platform.apic_ids[cpu], number = cpu;

	memcpy(page + (trampoline_cpu - trampoline_start), &number, 4);
	store_release(&ap_stack_top, cpu_area_stack_top(cpu));
	lapic_send_init(id);
	delay_us(200);
	for (u32 attempt = 0; attempt < 2; attempt++) {
		lapic_send_sipi(id, trampoline_page >> PAGE_SHIFT);
		for (u32 wait = 0; wait < (attempt ? 100000u : 2000u); wait++) {
			if (cpu_is_online(cpu))
				return true;
			delay_us(10);
		}
	}
	log_err("smp: CPU %u (APIC %u) does not start", cpu, id);
	return false;
}

INIT_TEXT u32 arch_smp_start(void)
{
	u32 running = 1;
	u8 *page;

	cpu_set_online(0);
	if (platform.ncpus == 1)
		return 1;
	if (!trampoline_page) {
		log_warn("smp: no memory below 1 MiB to start CPUs from");
		return 1;
	}
	page = mmu_phys_to_virt(PADDR(trampoline_page));
	memcpy(page, trampoline_start, trampoline_end - trampoline_start);
	for (u32 c = 1; c < platform.ncpus; c++) {
		/* A CPU that comes late would run on the next one's stack. */
		if (!start_one(c, page))
			break;
		running++;
	}
	return running;
}

void arch_ipi_reschedule(u32 cpu) { lapic_send_ipi(platform.apic_ids[cpu], VEC_RESCHEDULE); }
void arch_ipi_call(u32 cpu) { lapic_send_ipi(platform.apic_ids[cpu], VEC_CALL); }

static DEFINE_PER_CPU(bool, wait_halted);

void smp_wait_prepare(void)
{
	irq_disable();
	__atomic_store_n(this_cpu_ptr(&wait_halted), true, __ATOMIC_SEQ_CST);
}

void smp_wait_halt(bool done)
{
	if (!done)
		cpu_idle_wait();
	irq_enable();
	this_cpu_write(wait_halted, false);
}

void smp_wait_wake(u32 cpu)
{
	memory_fence();
	if (READ_ONCE(*per_cpu_ptr(&wait_halted, cpu)))
		arch_ipi_reschedule(cpu);
}

/* Who waits is not recorded: every CPU that halts in a wait looks again. */
void smp_flush_ipi(void)
{
	u64 gen = __atomic_load_n(&flush_generation, __ATOMIC_SEQ_CST);

	if (this_cpu_read(flush_seen) >= gen)
		return;
	mmu_flush_kernel_local();
	__atomic_store_n(this_cpu_ptr(&flush_seen), gen, __ATOMIC_SEQ_CST);
	for_each_cpu(c)
		if (c != cpu_id())
			smp_wait_wake(c);
}

#define FLUSH_PAGES_MAX 32

static void flush_own(u64 start, u64 end)
{
	if ((end - start) >> PAGE_SHIFT > FLUSH_PAGES_MAX) {
		mmu_flush_kernel_local();
		return;
	}
	for (u64 va = start; va < end; va += PAGE_SIZE)
		mmu_flush_page(va);
}

static bool has_flushed(u32 cpu, u64 gen)
{
	return __atomic_load_n(per_cpu_ptr(&flush_seen, cpu), __ATOMIC_SEQ_CST) >= gen;
}

static void wait_flushed(u32 cpu, u64 gen)
{
	u64 irq;

	if (irq_enabled()) {
		SMP_WAIT(has_flushed(cpu, gen));
		return;
	}
	/* Boot code only.  Another CPU may be waiting for us in the same way. */
	while (!has_flushed(cpu, gen)) {
		irq = irq_save();
		smp_flush_ipi();
		irq_restore(irq);
		cpu_relax();
	}
}

void smp_flush_kernel(u64 start, u64 end)
{
	u64 gen, irq;

	gen = __atomic_add_fetch(&flush_generation, 1, __ATOMIC_SEQ_CST);
	irq = irq_save();
	flush_own(start, end);
	irq_restore(irq);
	for_each_cpu(c)
		if (c != cpu_id())
			lapic_send_ipi(platform.apic_ids[c], VEC_FLUSH);
	for_each_cpu(c)
		if (c != cpu_id())
			wait_flushed(c, gen);
}

void arch_stop_others(void)
{
	__atomic_store_n(&panic_stopping, cpu_id() + 1, __ATOMIC_SEQ_CST);
	for (u32 c = 0; c < cpu_count(); c++)
		if (c != cpu_id() && cpu_is_online(c))
			lapic_send_nmi(platform.apic_ids[c]);
}

bool panic_stop_this_cpu(bool *panicking)
{
	u32 by = __atomic_load_n(&panic_stopping, __ATOMIC_SEQ_CST);

	*panicking = by;
	return by && by != cpu_id() + 1;
}
