/*
 * Per-CPU stacks, each with an unmapped page below it.  Layout of one CPU's
 * 64 KiB slot, in pages:
 *   0 guard  1-4 boot and idle stack  5 guard  6-7 double fault  8 guard
 *   9-10 NMI  11 guard  12-13 machine check  14 guard  15 debug
 * The top 16 bytes of the last four hold the CPU's per-CPU base (entry.S, inv. 4).
 */
#include <core/panic.h>
#include <x86_64/arch.h>

static const struct { u8 first, pages; const char *name; } stacks[] = {
	{ 1, 4, "idle" }, { 6, 2, "double fault" }, { 9, 2, "NMI" }, { 12, 2, "machine check" }, { 15, 1, "debug" },
};

static u64 slot_of(u32 cpu) { return CPU_AREA_BASE + cpu * CPU_AREA_SIZE; }

INIT_TEXT void cpu_area_init(struct bootinfo *bi, u32 cpu)
{
	u64 tops[4], slot = slot_of(cpu);

	for (u32 i = 0; i < ARRAY_LEN(stacks); i++) {
		u64 va = slot + stacks[i].first * PAGE_SIZE;
		paddr_t pa = boot_alloc(bi, stacks[i].pages * PAGE_SIZE);
		u64 *top = mmu_phys_to_virt(PADDR(pa.v + stacks[i].pages * PAGE_SIZE - 16));

		for (u32 p = 0; p < stacks[i].pages; p++)
			if (mmu_kernel_map(va + p * PAGE_SIZE, PFN((pa.v >> PAGE_SHIFT) + p),
					   PTE_PRESENT | PTE_WRITE | PTE_NX | PTE_GLOBAL))
				panic_boot("too little memory for the stacks of %u CPUs", cpu + 1);
		if (i) {
			top[0] = percpu_offsets[cpu];
			tops[i - 1] = va + stacks[i].pages * PAGE_SIZE - 16;
		}
	}
	desc_set_ist(cpu, tops);
}

u64 cpu_area_stack_top(u32 cpu)
{
	return slot_of(cpu) + (stacks[0].first + stacks[0].pages) * PAGE_SIZE;
}

const char *cpu_area_guard_name(u64 va)
{
	u32 page;

	if (va < CPU_AREA_BASE || va >= slot_of(platform.ncpus))
		return NULL;
	page = (va - CPU_AREA_BASE) % CPU_AREA_SIZE / PAGE_SIZE;
	for (u32 i = 0; i < ARRAY_LEN(stacks); i++)
		if (page == stacks[i].first - 1u)
			return stacks[i].name;
	return NULL;
}
