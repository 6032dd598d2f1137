/*
 * Per-CPU areas.  The boot CPU uses the template in the image itself; every
 * other CPU has a copy, made before any subsystem changed the template.
 */
#include <base/string.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

static u64 boot_offset;
u64 *percpu_offsets READ_MOSTLY = &boot_offset;
DEFINE_PER_CPU(u64, percpu_self_offset);
DEFINE_PER_CPU(u32, cpu_number);
DEFINE_PER_CPU(u32, irq_depth);
DEFINE_PER_CPU(struct arch_thread *, arch_current);
u32 percpu_ncpus READ_MOSTLY = 1;

INIT_TEXT void percpu_init_areas(struct bootinfo *bi, u32 ncpus)
{
	u64 size = ALIGN_UP((u64)__percpu_size, PAGE_SIZE);
	paddr_t table = boot_alloc(bi, ncpus * sizeof(u64)), areas = PADDR(0);
	u64 *offsets = mmu_phys_to_virt(table);

	if (ncpus > 1)
		areas = boot_alloc(bi, (ncpus - 1) * size);
	offsets[0] = (u64)__percpu_load;
	for (u32 c = 1; c < ncpus; c++) {
		offsets[c] = (u64)mmu_phys_to_virt(PADDR(areas.v + (c - 1) * size));
		memcpy((void *)offsets[c], __percpu_load, (u64)__percpu_size);
	}
	percpu_offsets = offsets;
	percpu_ncpus = ncpus;
	for (u32 c = 0; c < ncpus; c++) {
		*arch_per_cpu_ptr(&percpu_self_offset, c) = offsets[c];
		arch_per_cpu_ptr(&percpu_head, c)->self = offsets[c];
		*arch_per_cpu_ptr(&cpu_number, c) = c;
	}
}
