/*
 * The kernel half of the address space and the translation caches.
 *
 * Invariants:
 *  1. Every top-level entry of the kernel half that will ever be used exists
 *     before the first user root is made: roots copy the entries once.
 *  2. Kernel tables are never freed.
 *  3. No page of the image is writable and executable, in its link mapping or
 *     through the direct map.
 */
#include <arch/cpu.h>
#include <arch/smp.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/panic.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define DEVMAP_BASE 0xffffe80000000000ull
#define DEVMAP_SIZE 0x0000008000000000ull
#define PTE_KERNEL  (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL)
#define PTE_TABLE   (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)
#define NTAGS	    6u
#define CR3_NOFLUSH (1ull << 63)

static u64 kernel_pml4[TABLE_ENTRIES] ALIGNED(4096) SECTION(".bss.page_aligned");
u64 kernel_root_phys READ_MOSTLY;
static paddr_t (*table_source)(void) READ_MOSTLY;
static struct bootinfo *boot_source;
static u64 spare_table;		/* atomic: a frame that lost a race, 0: none */
static u64 devmap_next = DEVMAP_BASE;	/* atomic */

/* Address-space tags (PCID) of one CPU; interrupts off. */
struct mmu_cpu {
	u64 id[NTAGS];		/* aspace in PCID i + 1, 0: none */
	u64 current_id, current_root;
	u64 generation;
	u32 victim;
};
static DEFINE_PER_CPU(struct mmu_cpu, mmu_cpu);
static u64 tag_generation;	/* atomic */

void mmu_set_table_source(paddr_t (*source)(void)) { table_source = source; }

static u64 table_new(void)
{
	u64 spare = __atomic_exchange_n(&spare_table, 0, __ATOMIC_ACQ_REL);

	if (spare)
		return spare;
	return table_source ? table_source().v : boot_alloc(boot_source, PAGE_SIZE).v;
}

/* Entry for va at level, making tables on the way.  NULL: no memory, or a larger page is in the way. */
static u64 *walk_make(u64 va, u32 level)
{
	u64 *table = kernel_pml4;

	for (u32 l = MMU_LEVELS - 1; l > level; l--) {
		u64 *slot = &table[mmu_index(va, l)], e = __atomic_load_n(slot, __ATOMIC_ACQUIRE);

		if (!(e & PTE_PRESENT)) {
			u64 frame = table_new();

			if (!frame)
				return NULL;
			if (!__atomic_compare_exchange_n(slot, &e, frame | PTE_TABLE, false,
							 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
				__atomic_store_n(&spare_table, frame, __ATOMIC_RELEASE);
			else
				e = frame | PTE_TABLE;
		}
		if (e & PTE_HUGE)
			return NULL;
		table = mmu_phys_to_virt(PADDR(e & PTE_ADDR));
	}
	return &table[mmu_index(va, level)];
}

/* The leaf entry that maps va, or NULL; *level says how large it is. */
static u64 *walk_find(u64 va, u32 *level)
{
	u64 *table = kernel_pml4;

	for (u32 l = MMU_LEVELS - 1;; l--) {
		u64 *slot = &table[mmu_index(va, l)];

		if (!(*slot & PTE_PRESENT))
			return NULL;
		if (!l || *slot & PTE_HUGE) {
			*level = l;
			return slot;
		}
		table = mmu_phys_to_virt(PADDR(*slot & PTE_ADDR));
	}
}

static void map_range(u64 va, u64 pa, u64 len, u64 bits, u32 max_level)
{
	while (len) {
		u32 l = max_level;
		u64 *slot;

		while (l && ((va | pa) & (mmu_level_size(l) - 1) || len < mmu_level_size(l)))
			l--;
		slot = walk_make(va, l);
		if (!slot)
			panic_boot("too little memory for page tables");
		*slot = pa | bits | (l ? PTE_HUGE : 0);
		va += mmu_level_size(l);
		pa += mmu_level_size(l);
		len -= mmu_level_size(l);
	}
}

static INIT_TEXT void map_direct(u64 start, u64 end)
{
	u64 ro = image_phys(__image_start), ro_end = image_phys(__rodata_end);
	u32 large = cpu_has.page_1g ? 2 : 1;

	if (start < ro_end && end > ro) {
		if (start < ro)
			map_range(DIRECT_BASE + start, start, ro - start, PTE_KERNEL | PTE_WRITE | PTE_NX, large);
		map_range(DIRECT_BASE + ro, ro, ro_end - ro, PTE_KERNEL | PTE_NX, 0);
		start = ro_end;
	}
	if (start < end)
		map_range(DIRECT_BASE + start, start, end - start, PTE_KERNEL | PTE_WRITE | PTE_NX, large);
}

static INIT_TEXT void map_image(const char *start, const char *end, u64 bits)
{
	map_range((u64)start, image_phys(start), (u64)end - (u64)start, PTE_KERNEL | bits, 0);
}

/* Invariant 1. */
static INIT_TEXT void make_top_entries(u64 ram_end)
{
	u64 step = mmu_level_size(3), frames = ram_end >> PAGE_SHIFT;
	const struct { u64 base, size; } spans[] = {
		{ VMEMMAP_BASE, frames * 32 }, { KVMALLOC_BASE, KVMALLOC_SIZE }, { DEVMAP_BASE, DEVMAP_SIZE },
		{ CPU_AREA_BASE, CPU_AREA_SIZE },
	};

	for (u32 i = 0; i < ARRAY_LEN(spans); i++)
		for (u64 off = 0; off < spans[i].size; off += step)
			if (!walk_make(spans[i].base + off, 2))
				panic_boot("too little memory for page tables");
}

INIT_TEXT void mmu_build(struct bootinfo *bi)
{
	if (!cpu_has.nx)
		panic_boot("this CPU cannot protect pages from execution (NX)");
	boot_source = bi;
	kernel_root_phys = image_phys(kernel_pml4);
	map_image(__text_start, __init_text_end, 0);
	map_image(__rodata_start, __rodata_end, PTE_NX);
	map_image(__data_start, __image_end, PTE_NX | PTE_WRITE);
	for (u32 i = 0; i < bi->nram; i++)
		map_direct(bi->ram[i].start, bi->ram[i].end);
	make_top_entries(bi->ram[bi->nram - 1].end);
	cr3_write(kernel_root_phys);
}

void mmu_init_cpu(void)
{
	struct mmu_cpu *m = arch_this_cpu_ptr(&mmu_cpu);

	cr3_write(kernel_root_phys);
	m->current_root = kernel_root_phys;
	if (cpu_has.pcid && cpu_has.pge)
		cr4_write(cr4_read() | CR4_PCIDE);
	else
		cpu_has.pcid = false;
}

int mmu_kernel_map(u64 va, pfn_t frame, u64 bits)
{
	u64 *slot = walk_make(va, 0);

	if (!slot)
		return -ENOMEM;
	*slot = pte_make(frame, bits | PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL).v;
	return 0;
}

int mmu_kernel_map_huge(u64 va, pfn_t frame, u64 bits)
{
	u64 *slot = walk_make(va, 1);

	if (!slot)
		return -ENOMEM;
	*slot = pte_make(frame, bits | PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL | PTE_HUGE).v;
	return 0;
}

void mmu_kernel_unmap(u64 va)
{
	u32 level;
	u64 *slot = walk_find(va, &level);

	if (slot && !level)
		WRITE_ONCE(*slot, 0);
}

volatile void *mmu_map_device(paddr_t p, u64 len)
{
	u64 start = p.v & PAGE_MASK, size = ALIGN_UP(p.v + len, PAGE_SIZE) - start;
	u64 va = __atomic_fetch_add(&devmap_next, size, __ATOMIC_RELAXED);

	if (va + size > DEVMAP_BASE + DEVMAP_SIZE)
		return NULL;
	for (u64 off = 0; off < size; off += PAGE_SIZE)
		if (mmu_kernel_map(va + off, PFN((start + off) >> PAGE_SHIFT),
				   PTE_WRITE | PTE_NX | PTE_PCD | PTE_PWT))
			return NULL;
	return (volatile void *)(va + (p.v - start));
}

const void *mmu_map_firmware(u64 pa, u64 len)
{
	u64 limit = 1ull << MIN(cpu_has.phys_bits, 46u);
	u32 level;

	if (!len || len > 4u << 20 || pa >= limit || len > limit - pa)
		return NULL;
	for (u64 at = pa & PAGE_MASK; at < pa + len; at += PAGE_SIZE)
		if (!walk_find(DIRECT_BASE + at, &level))
			map_range(DIRECT_BASE + at, at, PAGE_SIZE, PTE_KERNEL | PTE_NX, 0);
	return mmu_phys_to_virt(PADDR(pa));
}

bool mmu_has_block(u32 shift) { return shift == HUGE_SHIFT || (shift == 30 && cpu_has.page_1g); }

void mmu_init_root(pfn_t root)
{
	u64 *t = mmu_phys_to_virt(pfn_to_paddr(root));

	memcpy(t + TABLE_ENTRIES / 2, kernel_pml4 + TABLE_ENTRIES / 2, PAGE_SIZE / 2);
}

/* PCID of the aspace, ready to be or'ed into CR3.  A tag found is valid, a new one is flushed by the load. */
static u64 tag_find(struct mmu_cpu *m, u64 id)
{
	u64 gen = __atomic_load_n(&tag_generation, __ATOMIC_SEQ_CST);

	if (m->generation != gen) {
		memset(m->id, 0, sizeof(m->id));
		m->generation = gen;
	}
	for (u32 i = 0; i < NTAGS; i++)
		if (m->id[i] == id)
			return (i + 1) | CR3_NOFLUSH;
	m->victim = (m->victim + 1) % NTAGS;
	m->id[m->victim] = id;
	return m->victim + 1;
}

void mmu_switch(pfn_t root, u64 aspace_id)
{
	u64 irq = irq_save(), cr3 = root.v << PAGE_SHIFT;
	struct mmu_cpu *m = arch_this_cpu_ptr(&mmu_cpu);

	if (m->current_root != cr3 || m->current_id != aspace_id ||
	    m->generation != __atomic_load_n(&tag_generation, __ATOMIC_SEQ_CST)) {
		m->current_root = cr3;
		m->current_id = aspace_id;
		if (cpu_has.pcid)
			cr3 |= tag_find(m, aspace_id);
		else
			m->generation = __atomic_load_n(&tag_generation, __ATOMIC_SEQ_CST);
		cr3_write(cr3);
	}
	irq_restore(irq);
}

void mmu_switch_kernel(void)
{
	u64 irq = irq_save();
	struct mmu_cpu *m = arch_this_cpu_ptr(&mmu_cpu);

	if (m->current_root != kernel_root_phys) {
		m->current_root = kernel_root_phys;
		m->current_id = 0;
		cr3_write(kernel_root_phys | (cpu_has.pcid ? CR3_NOFLUSH : 0));
	}
	irq_restore(irq);
}

void mmu_flush_page(u64 va) { __asm__ volatile("invlpg (%0)" :: "r"(va) : "memory"); }
void mmu_flush_all(void) { cr3_write(cr3_read()); }

void mmu_flush_tag(u64 aspace_id)
{
	u64 irq = irq_save();
	struct mmu_cpu *m = arch_this_cpu_ptr(&mmu_cpu);

	if (m->current_id == aspace_id) {
		mmu_flush_all();
	} else {
		for (u32 i = 0; i < NTAGS; i++)
			if (m->id[i] == aspace_id)
				m->id[i] = 0;
	}
	irq_restore(irq);
}

void mmu_invalidate_tags(void) { __atomic_fetch_add(&tag_generation, 1, __ATOMIC_SEQ_CST); }

/* Everything, global entries and all tags included. */
void mmu_flush_kernel_local(void)
{
	u64 irq = irq_save(), cr4 = cr4_read();

	if (cr4 & CR4_PGE) {
		cr4_write(cr4 & ~(u64)CR4_PGE);
		cr4_write(cr4);
	} else {
		mmu_flush_all();
	}
	irq_restore(irq);
}

static void release_range(char *start, char *end, void (*release)(u64 start, u64 end))
{
	u32 level;

	for (char *p = start; p < end; p += PAGE_SIZE) {
		u64 *alias = walk_find(DIRECT_BASE + image_phys(p), &level);

		mmu_kernel_unmap((u64)p);
		if (alias && !(*alias & PTE_WRITE))
			*alias |= PTE_WRITE;
	}
	smp_flush_kernel((u64)start, (u64)end);
	release(image_phys(start), image_phys(end));
}

void arch_init_memory_release(void (*release)(u64 start, u64 end))
{
	release_range(__init_text_start, __init_text_end, release);
	release_range(__init_data_start, __init_data_end, release);
}
