/* Shared inside mem: the zone, the frame array's chunks, statistics. */
#pragma once

#include <core/lock.h>
#include <core/percpu.h>
#include <mem/mem.h>
#include <mem/slab.h>
#include "compact.h"

/*
 * All RAM is one zone.  avail() counts what the lists hold and what chunks not
 * yet brought online will hold.
 */
struct zone {
	spinlock_t lock;
	struct buddy buddy GUARDED_BY(&lock);
	u32 zero_head GUARDED_BY(&lock);	/* pool of zeroed frames, linked by link.next */
	u64 zeroed GUARDED_BY(&lock);		/* read without the lock as a hint */
	u64 deferred GUARDED_BY(&lock);		/* free frames in chunks that are not online */
	u64 total;				/* managed frames; lock */
	u64 min;				/* reserve, const after mem_init */
	u64 low;				/* start to reclaim; const after mem_init */
	u64 zero_target;			/* const after mem_init */
	u32 cache_high;				/* frames a CPU may cache; const after mem_init */
	struct compact compact;			/* whoever compacts (mem/compact.h) */
};
extern struct zone mem_zone;

/* Frames the zone can still give, its zeroed pool included. */
static inline u64 zone_avail(void)
{
	return READ_ONCE(mem_zone.buddy.nfree) + READ_ONCE(mem_zone.deferred) + READ_ONCE(mem_zone.zeroed);
}

#define CACHE_MAX   255u			/* a struct hot is 2 KiB */
#define CACHE_ZERO  16u

/* Free frames of one group (buddy.h), or that were used for it last. */
struct hot {
	u64 n;
	struct page *page[CACHE_MAX];
};

/* A CPU's free frames; its own, with interrupts off. */
struct page_cache {
	struct hot hot[GROUP_ISOLATED];
	u32 nzero;
	struct page *zero[CACHE_ZERO];		/* for the MOVABLE group */
};
DECLARE_PER_CPU(struct page_cache, page_cache);

#define FRAMES_CHUNK_SHIFT 13u			/* 32 MiB: the unit in which struct pages are initialised */
#define FRAMES_CHUNK	   (1ul << FRAMES_CHUNK_SHIFT)

/* Initialises the next deferred chunk and frees its frames into the zone.  False: none left.  Zone lock held. */
bool frames_online_next(void) MUST_HOLD(&mem_zone.lock);
void page_zone_init(void) MUST_HOLD(&mem_zone.lock);	/* watermarks, from mem_zone.total */
/* Frees one frame range that boot had reserved.  Frame numbers. */
void page_release_reserved(u64 start, u64 end);

DECLARE_PER_CPU(i64, page_use_count[PAGE_USES]);

struct reclaim_stats {
	atomic64_t reclaimed, runs, drains, failures, zeroed_hits, vmalloc_pages;
};
extern struct reclaim_stats mem_counters;

/* Below the low watermark: reclaims a little unless that was fruitless lately.  Sleeps. */
void mem_reclaim_background(void);
/* mem_oom_hook, if there is one, told to mem_stall_hook.  True: try again. */
MUST_USE bool mem_oom(void);
/* What lies free in the CPUs' caches is for everybody: reclaim's last step.  Sleeps.  False: nobody can call the CPUs yet. */
MUST_USE bool mem_drain_all(void);

/* Slab with explicit flags (ALLOC_ATOMIC or 0). */
MUST_USE void *slab_alloc_flags(struct slab_cache *c, u32 flags);
u32 slab_object_size(const struct slab_cache *c);
void kstack_init(void);
void kmalloc_init(void);
void vmalloc_init(void);
/* Unmaps free kernel stacks beyond keep; sleeps.  Frames freed. */
u64 kstack_trim(u64 keep);

#define KERNEL_PAGE_BITS (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL | PTE_NX)
/* The kernel's mapping space: stacks first, then vmalloc, in one top-level entry (512 GiB). */
#define KSTACK_BASE  KVMALLOC_BASE
#define KSTACK_SPACE (1ull << 37)
#define VMALLOC_BASE (KVMALLOC_BASE + KSTACK_SPACE)
#define VMALLOC_END  (KVMALLOC_BASE + (1ull << 39))

#define POISON_PAGE 0xaa
#define POISON_SLAB 0xf6b9a5d3c2917e8bull	/* no text looks like it */
#define POISON_FRESH 0xcd		/* allocated, not written yet */
