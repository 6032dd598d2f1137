/*
 * The buddy lists: free blocks of 2^order frames, order 0 to PAGE_MAX_ORDER.
 * Pure: no lock (the zone's), no statistics but its own counts.
 *
 * Invariants
 *  1. The head of a free block, and no other free frame, has use PAGE_FREE and
 *     PAGE_F_HEAD, and its order field is the block's order.
 *  2. Two buddies of one order are never both free: they are one block.
 *  3. nfree is the sum of count[o] << o; nonempty has bit o iff count[o] > 0.
 */
#pragma once

#include <mem/page.h>

#define BUDDY_NONE (~0u)

struct buddy {
	u32 head[PAGE_MAX_ORDER + 1];	/* frame numbers, BUDDY_NONE: empty */
	u32 nonempty;
	u64 count[PAGE_MAX_ORDER + 1];
	u64 nfree;			/* frames */
};

void buddy_init(struct buddy *b);
/* A block whose head has refs 0, flags 0 (POISONED kept per frame); NULL: none of that order or above. */
MUST_USE struct page *buddy_alloc(struct buddy *b, u32 order);
/* The block's frames have refs 0 and no PAGE_F_HEAD inside. */
void buddy_free(struct buddy *b, struct page *pg, u32 order);
/* Frees [start, end), split into the largest aligned blocks. */
void buddy_free_range(struct buddy *b, u64 start, u64 end);
