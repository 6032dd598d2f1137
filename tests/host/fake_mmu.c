/* Simulated RAM, its direct map, its frame array; translation caches that cannot be stale. */
#include <stdlib.h>
#include <sys/mman.h>
#include <arch/mmu.h>
#include <arch/smp.h>
#include <mem/page.h>
#include <test/test.h>

u8 *host_ram;
struct page *page_array;

__attribute__((constructor(101))) static void ram_create(void)
{
	usize size = (usize)HOST_RAM_FRAMES << PAGE_SHIFT;
	/* Aligned to 4 MiB as the direct map is to the largest block. */
	u8 *p = mmap(NULL, size + (4 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		abort();
	host_ram = (u8 *)ALIGN_UP((u64)p, 4 << 20);
	page_array = mmap(NULL, HOST_RAM_FRAMES * sizeof(struct page), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (page_array == MAP_FAILED)
		abort();
}

bool mmu_has_block(u32 shift) { return shift == HUGE_SHIFT; }
void *mmu_phys_to_virt(paddr_t p) { return host_ram + p.v; }
paddr_t mmu_virt_to_phys(const void *v)
{
	u64 off = (u64)v - (u64)host_ram;

	VERIFY(off < (u64)HOST_RAM_FRAMES << PAGE_SHIFT);
	return PADDR(off);
}

void mmu_switch(pfn_t root, u64 aspace_id) {}
void mmu_switch_kernel(void) {}
void mmu_init_root(pfn_t root) { memset(mmu_phys_to_virt(pfn_to_paddr(root)), 0, PAGE_SIZE); }
void mmu_flush_page(u64 va) {}
void mmu_flush_all(void) {}
void mmu_flush_tag(u64 aspace_id) {}
void smp_flush_kernel(u64 start, u64 end) {}
