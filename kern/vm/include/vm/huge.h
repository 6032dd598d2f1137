/*
 * Transparent huge pages: policy and numbers.  What it does by itself is in
 * vm/huge.c (entries) and vm/collapse.c (background).
 */
#pragma once

#include <base/atomic.h>
#include <vm/aspace.h>

enum huge_mode { HUGE_ALWAYS, HUGE_MADVISE, HUGE_NEVER };
/* Where a fault that finds no block reclaims for one; elsewhere the background collapse comes later. */
enum huge_effort { EFFORT_ALWAYS, EFFORT_DEFER, EFFORT_DEFER_MADVISE, EFFORT_MADVISE, EFFORT_NEVER };

/* Of the whole system, from sysfs; read without a lock. */
struct huge_policy {
	u32 enabled;			/* enum huge_mode */
	u32 effort;			/* enum huge_effort */
	u32 collapse;			/* bool: the background collapse may run */
	u32 scan_ms;			/* pause between its runs */
	u32 alloc_ms;			/* the same after a run that found no block */
	u32 scan_pages;			/* pages that a run looks at */
	u32 max_none;			/* absent pages of 512 that a collapse fills with zeros */
};
extern struct huge_policy huge_policy;
void huge_policy_changed(void);			/* scan_ms or collapse: the background looks again */

struct huge_stats {
	atomic64_t fault_alloc, fault_fallback;	/* write faults that got a block, or wanted one and got a frame */
	atomic64_t split;			/* 2 MiB entries that became a table */
	atomic64_t collapse, collapse_failed;	/* tables that became an entry; for which there was no block */
	atomic64_t runs;			/* of the background collapse */
};
extern struct huge_stats huge_stats;

/*
 * compact.c: frees 2 MiB blocks by moving private frames; sleeps, no lock held.  How many came free, by this run or by
 * another's that was waited for; others may have taken them already.
 */
u32 vm_compact(void);
MUST_USE bool vm_compact_for_fault(void);	/* one run, seldom while it is of no use; waits for nobody's */
struct compact_stats {
	atomic64_t runs, moved, freed;		/* runs; frames that moved; blocks that came free */
};
extern struct compact_stats compact_stats;

/* Blocks that private memory maps by 2 MiB entries, however many do; looks through the spaces that have some.  Sleeps. */
u64 huge_anon_blocks(void);
void huge_start(void);				/* boot: the background collapse */
/* May this area of as have 2 MiB entries, by its kind, its advice, its space and the system? */
bool huge_area_eligible(const struct aspace *as, const struct area *a);
bool huge_area_capable(const struct aspace *as, const struct area *a);	/* whatever the system's mode is */
/* PR_SET_THP_DISABLE: none for this space and what it forks and executes. */
void huge_space_disable(struct aspace *as, bool disable);
static inline bool huge_space_disabled(const struct aspace *as) { return READ_ONCE(as->no_huge); }
