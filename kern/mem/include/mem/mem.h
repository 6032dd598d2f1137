/*
 * Start-up of memory, statistics, reclaim.
 */
#pragma once

#include <base/attrs.h>
#include <base/list.h>

struct bootinfo;

/* Builds the frame array and the free lists from bi; after this page_alloc works.  panic_boot() when RAM is too small. */
void mem_init(struct bootinfo *bi);
void mem_init_slab(void);
/* Returns the frames of [start, end) physical to the allocator (init text, boot data, initrd pieces that are not file pages). */
void mem_free_boot_range(u64 start, u64 end);

struct mem_stats {		/* in frames; cached_free is part of free */
	u64 total, free, cached_free, slab, kernel_stack, tables, anon, file, image, kernel, vmalloc;
	u64 free_by_order[11];
	u64 reclaimed, reclaim_runs, drains, alloc_failures, zeroed_hits;
};
void mem_stats(struct mem_stats *out);		/* a snapshot, not exact while others allocate */
u64 mem_free_pages(void);
u64 mem_total_pages(void);

/* Caches that can give memory back.  shrink frees about want frames, returns how many; may sleep; must not allocate. */
struct mem_shrinker {
	struct list link;
	const char *name;
	u32 order;		/* called in ascending order: 0 page cache, 1 images, 2 dentries */
	u64 (*shrink)(struct mem_shrinker *s, u64 want);
};
void mem_shrinker_add(struct mem_shrinker *s);
/* Runs the shrinkers until want frames came free or nothing more does.  Sleeps.  Returns frames freed. */
u64 mem_reclaim(u64 want);
/* For user pages: after reclaim failed, kills a process and waits a little.  Set once by proc.  True: try again. */
extern bool (*mem_oom_hook)(void);
/* Told when a thread begins to wait for memory (true) and when it need not any more.  Sleeps.  Set once by vm; may be NULL. */
extern void (*mem_stall_hook)(bool begins);
/* mem_reclaim() by somebody who cannot go on without: told to mem_stall_hook. */
u64 mem_reclaim_for(u64 want);
/* This CPU's cached free frames go back to the lists, where others and compaction find them.  For smp_call_others(), too. */
void mem_drain_cpu(void *unused);
/* The same on all CPUs, after reclaim failed and before mem_oom_hook is asked.  Sleeps.  Set once by vm, which can call them. */
extern void (*mem_drain_hook)(void);
u64 mem_reserve_pages(void);	/* frames that user pages leave to the kernel */
/* Idle work: refills the pool of zeroed frames; returns false when there is nothing to do.  Interrupts on. */
bool mem_idle_zero(void);
