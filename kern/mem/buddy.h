/*
 * The buddy lists: free blocks of 2^order frames, order 0 to PAGE_MAX_ORDER.
 * Pure: no lock (the zone's), no statistics but its own counts.
 *
 * RAM is divided into regions of 2 MiB, and each region has a group: what its frames are used for.  What can be
 * moved and what cannot is kept apart that way, so that one frame that stays does not spoil 2 MiB.  A free piece
 * is on a list of its region's group; a region that is free as a whole has no history and is MOVABLE.
 *
 * Invariants
 *  1. The head of a free block, and no other free frame, has use PAGE_FREE and
 *     PAGE_F_HEAD, and its order field is the block's order.
 *  2. Two buddies of one order are never both free: they are one block.  ISOLATED regions do not grow together
 *     with their neighbours.
 *  3. nfree is the sum of count[o] << o; nonempty[g] has bit o iff head[g][o] is no BUDDY_NONE.
 *  4. A block of a region or more is MOVABLE or ISOLATED, all of its regions alike.
 */
#pragma once

#include <mem/page.h>

#define BUDDY_NONE   (~0u)
#define BUDDY_REGION 9u			/* order of a region */

enum buddy_group {
	GROUP_MOVABLE,			/* private memory of programs: vm/compact.c can move it */
	GROUP_CACHE,			/* the page cache: goes file by file */
	GROUP_FIXED,			/* everything else: stays where it is for as long as it likes */
	GROUP_ISOLATED,			/* being emptied: given out when nothing else is left */
	BUDDY_GROUPS,
};

/* Without a branch or a table: it is on the path of every allocation. */
static inline enum buddy_group buddy_group_for(enum page_use use)
{
	const u32 fixed = 0x55555555u * GROUP_FIXED;
	const u32 groups = (fixed & ~(3u << 2 * PAGE_ANON | 3u << 2 * PAGE_FILE)) | GROUP_MOVABLE << 2 * PAGE_ANON |
			   GROUP_CACHE << 2 * PAGE_FILE;

	return groups >> 2 * use & 3;
}

struct buddy {
	u32 head[BUDDY_GROUPS][PAGE_MAX_ORDER + 1];	/* frame numbers, BUDDY_NONE: empty */
	u32 nonempty[BUDDY_GROUPS];
	u64 count[PAGE_MAX_ORDER + 1];
	u64 nfree;			/* frames */
	u8 *group;			/* of each region: enum buddy_group */
};

/* group: zeroes, one for each region of RAM that there may be. */
void buddy_init(struct buddy *b, u8 *group);
/*
 * A block whose head has refs 0, flags 0 (POISONED kept per frame), from the group's own regions or a free one that
 * becomes the group's.  NULL: there is none of that order or above.
 */
MUST_USE struct page *buddy_alloc(struct buddy *b, u32 order, enum buddy_group group);
/* A block of 2^max frames, or a smaller one if such a piece is there: *order says.  Else as buddy_alloc(). */
MUST_USE struct page *buddy_alloc_some(struct buddy *b, u32 max, enum buddy_group group, u32 *order);
/* After that: from a region of another group, which joins this one unless this is MOVABLE.  NULL: none at all. */
MUST_USE struct page *buddy_steal(struct buddy *b, u32 order, enum buddy_group group);
/* The block's frames have refs 0 and no PAGE_F_HEAD inside. */
void buddy_free(struct buddy *b, struct page *pg, u32 order);
/* Frees [start, end), split into the largest aligned blocks. */
void buddy_free_range(struct buddy *b, u64 start, u64 end);
static inline enum buddy_group buddy_group_of(const struct buddy *b, u64 frame)
{
	return b->group[frame >> BUDDY_REGION];
}
/* Regions that are free as a whole, each alone or with its neighbours. */
static inline u64 buddy_blocks(const struct buddy *b)
{
	u64 n = 0;

	for (u32 o = BUDDY_REGION; o <= PAGE_MAX_ORDER; o++)
		n += READ_ONCE(b->count[o]) << (o - BUDDY_REGION);
	return n;
}
/* The region of this frame changes hands, with its free pieces.  It is no part of a larger free block. */
void buddy_set_group(struct buddy *b, u64 frame, enum buddy_group group);
