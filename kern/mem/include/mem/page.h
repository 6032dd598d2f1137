/*
 * Who owns a physical page frame.
 *
 * One struct page (32 bytes) per frame, in a virtually contiguous array that is
 * backed only where RAM exists.  A frame is FREE (refs == 0, on a buddy list or
 * in a per-CPU cache) or LIVE (refs >= 1).  Only the allocator moves a count
 * between 0 and 1; everyone else changes a LIVE count.  An owner is a leaf
 * entry that maps the frame, a page-cache slot, or a kernel pin.  A reference
 * keeps the bytes and the struct in place; it does not grant write access.
 * Context: any, interrupts included, unless noted.
 */
#pragma once

#include <base/atomic.h>
#include <base/bug.h>
#include <arch/mmu.h>

enum page_use {
	PAGE_FREE,	/* on a buddy list; order valid on the head */
	PAGE_CACHED,	/* free, in a per-CPU cache */
	PAGE_RESERVED,	/* firmware, kernel image, hole: never allocated */
	PAGE_KERNEL,	/* kernel data of any kind */
	PAGE_SLAB,
	PAGE_TABLE,	/* page table; refs counts its users, used counts live entries */
	PAGE_ANON,	/* private memory of user programs */
	PAGE_FILE,	/* page cache (owner: vm_object, index) */
	PAGE_IMAGE,	/* immutable file data: of the initramfs, mapped from the archive, or an exec image's copy */
	PAGE_KSTACK,
	PAGE_USES,
};

#define PAGE_F_DIRTY	 (1u << 0)
#define PAGE_F_UPTODATE	 (1u << 1)
#define PAGE_F_ACTIVE	 (1u << 2)	/* on the active reclaim list */
#define PAGE_F_LRU	 (1u << 3)	/* on a reclaim list */
#define PAGE_F_HEAD	 (1u << 4)	/* first frame of a free block, or of a multi-frame block still owned whole */
#define PAGE_F_ZEROED	 (1u << 5)	/* FREE/CACHED and known to be zero */
#define PAGE_F_POISONED	 (1u << 6)	/* debug: FREE/CACHED and filled with the poison byte */
#define PAGE_F_READY	 (1u << 7)	/* PAGE_TABLE: a leaf that an exec image made ready (vm/image.c) */

struct page {
	atomic_t refs;
	u8 use;			/* enum page_use: changed by the owner of the last reference */
	u8 order;		/* block order on a head (free or allocated), else 0 */
	u16 flags;		/* atomic 16-bit: PAGE_F_* */
	union {
		struct { u32 next, prev; } link;	/* frame numbers; the list's lock */
		struct { u32 used, touched; };		/* PAGE_TABLE: live entries; what changed in a READY leaf (table lock) */
	};
	union {
		void *owner;	/* PAGE_FILE: struct vm_object; PAGE_SLAB: cache; PAGE_TABLE: see vm */
		u64 private;
	};
	u64 index;		/* PAGE_FILE: page index in the object */
};
_Static_assert(sizeof(struct page) == 32, "struct page is one half of a cache line");

#ifndef SAKER_HOST
#define page_array ((struct page *)VMEMMAP_BASE)
#else
extern struct page *page_array;
#endif

static inline struct page *pfn_to_page(pfn_t f) { return &page_array[f.v]; }
static inline pfn_t page_to_pfn(const struct page *pg) { return PFN((u64)(pg - page_array)); }
static inline paddr_t page_to_paddr(const struct page *pg) { return pfn_to_paddr(page_to_pfn(pg)); }
static inline void *page_addr(const struct page *pg) { return mmu_phys_to_virt(page_to_paddr(pg)); }
static inline struct page *page_of_addr(const void *direct) { return pfn_to_page(paddr_to_pfn(mmu_virt_to_phys(direct))); }
u64 page_frames_end(void);			/* past the last frame number of RAM */
bool page_chunk_online(pfn_t f);		/* its struct page is initialised, RAM or not */
bool pfn_valid(pfn_t f);			/* RAM whose struct page is initialised (any frame ever allocated is) */

#define PAGE_MAX_ORDER 10u			/* 4 MiB blocks */

enum page_flags {
	ALLOC_NORMAL = 0,
	ALLOC_ZERO   = 1u << 0,			/* contents zero */
	ALLOC_ATOMIC = 1u << 1,			/* may not sleep or reclaim; may dip into the reserve */
	ALLOC_NORECLAIM = 1u << 2,		/* fail rather than reclaim (huge pages, caches) */
	ALLOC_USER   = 1u << 3,			/* for a user program: leaves the kernel's reserve alone */
	ALLOC_SPARE  = 1u << 4,			/* with NORECLAIM: single frames would do as well; only while plenty is free */
};

void page_put_last(struct page *pg) NONNULL;	/* refs reached 0: frees the block (order from the head) */
/* 2^order frames, refs == 1 on the head (order 0: on the frame).  NULL means no memory.  Sleeps unless ATOMIC. */
MUST_USE struct page *page_alloc(u32 order, enum page_use use, u32 flags);
/* As page_alloc(0, ...) without ZERO, up to max at once: how many; 0 means no memory.  Often they lie one after the other. */
MUST_USE u32 page_alloc_run(enum page_use use, u32 flags, struct page **out, u32 max);
void page_put_run(struct page **pages, u32 n);	/* page_put() for each; interrupts are off meanwhile */
static inline void page_put(struct page *pg)
{
	if (unlikely(atomic_dec_is_zero(&pg->refs)))
		page_put_last(pg);
}
static inline struct page *page_get(struct page *pg)	/* extra = page_get(pg): one name per reference */
{
	ASSERT(atomic_read(&pg->refs) > 0);
	atomic_inc(&pg->refs);
	return pg;
}
static inline MUST_USE bool page_try_get(struct page *pg) { return atomic_inc_unless_zero(&pg->refs); }
static inline u32 page_refs(const struct page *pg) { return (u32)atomic_read(&pg->refs); }
/* Changes the use of a live frame or block and the statistics with it.  A RESERVED frame (refs 1, boot's pin) becomes ordinary. */
void page_set_use(struct page *pg, enum page_use use);
/* Turns one live block into 2^order single frames, each with the head's count (the rule of design section 3). */
void page_split(struct page *head);
DEFINE_AUTO(page, struct page *, page_put)
