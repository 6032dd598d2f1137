/*
 * Page-table entries and translation caches: the portable face of 4-level
 * paging.  Level 0 is the leaf table (4 KiB entries), 1 may hold 2 MiB leaves,
 * 2 and 3 point to tables.  Intermediate entries stay permissive; only leaves
 * restrict.  Entry helpers are pure and compile on the host.
 */
#pragma once

#include <base/attrs.h>

typedef struct { u64 v; } pte_t;

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_PWT	     (1ull << 3)
#define PTE_PCD	     (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_HUGE     (1ull << 7)
#define PTE_GLOBAL   (1ull << 8)
#define PTE_SOFT0    (1ull << 9)
#define PTE_SOFT1    (1ull << 10)
#define PTE_SOFT2    (1ull << 11)
#define PTE_SOFT3    (1ull << 58)
#define PTE_NX	     (1ull << 63)
#define PTE_ADDR     0x000ffffffffff000ull

#define TABLE_ENTRIES 512u
#define MMU_LEVELS    4u

bool mmu_has_block(u32 shift);		/* can one entry of a directory map 2^shift bytes? */

static inline u32 mmu_index(u64 va, u32 level) { return (va >> (PAGE_SHIFT + 9 * level)) & 511; }
static inline u64 mmu_level_size(u32 level) { return 1ull << (PAGE_SHIFT + 9 * level); }
static inline bool pte_present(pte_t e) { return e.v & PTE_PRESENT; }
static inline bool pte_huge(pte_t e) { return e.v & PTE_HUGE; }
static inline bool pte_writable(pte_t e) { return e.v & PTE_WRITE; }
static inline bool pte_dirty(pte_t e) { return e.v & PTE_DIRTY; }
static inline pfn_t pte_pfn(pte_t e) { return PFN((e.v & PTE_ADDR) >> PAGE_SHIFT); }
static inline pte_t pte_make(pfn_t f, u64 bits) { return (pte_t){ f.v << PAGE_SHIFT | bits }; }

#define USER_TOP 0x00007ffffffff000ull	/* first address past the last user page */

/* Physical memory is mapped at a fixed offset (direct map), writable, not executable. */
#ifndef SAKER_HOST
static inline void *mmu_phys_to_virt(paddr_t p) { return (void *)(0xffff888000000000ull + p.v); }
static inline paddr_t mmu_virt_to_phys(const void *v) { return PADDR((u64)v - 0xffff888000000000ull); }	/* direct map only */
#else
void *mmu_phys_to_virt(paddr_t p);
paddr_t mmu_virt_to_phys(const void *v);
#endif

/* Switches this CPU's user half to the table root; flushes unless tagged (PCID, where the CPU has it). */
void mmu_switch(pfn_t root, u64 aspace_id);
void mmu_switch_kernel(void);			/* to the kernel's own root: no user half */
void mmu_init_root(pfn_t root);			/* copies the kernel half's top entries into a new root table */
/* Local flushes of the current user half. */
void mmu_flush_page(u64 va);
void mmu_flush_all(void);			/* user translations of the current tag */
void mmu_flush_tag(u64 aspace_id);		/* forget a tag on this CPU, loaded or not */
void mmu_invalidate_tags(void);			/* every CPU forgets its tags at its next mmu_switch() */
/* Kernel half mappings: kstack and vmalloc space.  Each is one 4 KiB page; the kernel half's tables are never freed. */
MUST_USE int mmu_kernel_map(u64 va, pfn_t frame, u64 bits);	/* -ENOMEM */
/* Where tables of the kernel half come from once mem is up (zeroed frame, PADDR(0): none); boot_alloc() before. */
void mmu_set_table_source(paddr_t (*source)(void));
/* One 2 MiB page; va and frame are 2 MiB-aligned.  The frame array is mapped with it. */
MUST_USE int mmu_kernel_map_huge(u64 va, pfn_t frame, u64 bits);	/* -ENOMEM */
void mmu_kernel_unmap(u64 va);			/* clears the entry; the caller flushes with smp_flush_kernel() */
#define KVMALLOC_BASE 0xffffc90000000000ull
#define KVMALLOC_SIZE 0x0000010000000000ull
#define DIRECT_BASE   0xffff888000000000ull
#define VMEMMAP_BASE  0xffffea0000000000ull
/* Cached-disabled mapping of device registers; stays for ever.  NULL: no memory. */
volatile void *mmu_map_device(paddr_t p, u64 len);
