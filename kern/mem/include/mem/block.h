/*
 * Blocks of 2 MiB that their owners use whole.
 *
 * The rule is that every frame counts its own owners and that a 2 MiB entry
 * owns all 512 of a block.  While nobody owns less than all of it, the 512
 * counts are equal, and one count on the head, marked BLOCK_WHOLE, stands for
 * them: the block is WHOLE, and to share or to drop it costs one operation.
 * Before anyone may own a single frame of it (a 4 KiB entry, a pin) the block is
 * spread: the count is written out, once, and the block is 512 ordinary frames
 * from then on, whatever maps it.  Nobody can tell the two forms apart by what
 * they own, and everything here accepts both.
 *
 * Whoever calls owns the block whole: by a 2 MiB entry, under its page-table
 * lock, or by a pointer of his own.  Context: threads; no lock is needed, and
 * PAGE_BLOCK is the only one that is taken.
 */
#pragma once

#include <mem/page.h>

#define BLOCK_ORDER 9u
#define BLOCK_FRAMES (1u << BLOCK_ORDER)
#define BLOCK_WHOLE (1 << 30)		/* in refs of the head */

static inline bool block_is_whole(const struct page *head) { return page_refs(head) & BLOCK_WHOLE; }
/*
 * A WHOLE block with one owner, aligned to its size; ALLOC_ZERO as in page_alloc.  Never sleeps or reclaims and
 * leaves more free than single frames must: NULL is an everyday answer.
 */
MUST_USE struct page *block_alloc(enum page_use use, u32 flags);
void block_get_rest(struct page *head) NONNULL;	/* of a block that is spread: the head has its new owner already */
static inline void block_get(struct page *head)	/* one owner of the whole block more */
{
	ASSERT((atomic_read(&head->refs) & ~BLOCK_WHOLE) > 0);
	if (unlikely(!(atomic_add(&head->refs, 1) & BLOCK_WHOLE)))	/* inv. B1 */
		block_get_rest(head);
}
void block_put(struct page *head) NONNULL;	/* one less; the last frees what is not owned otherwise */
void block_spread(struct page *head) NONNULL;	/* 512 counts from here on */
/*
 * Has the block no owner but the caller, who excludes new ones?  Makes it WHOLE again if so and if it was spread.
 */
MUST_USE bool block_sole(struct page *head) NONNULL;
/* Owners of frame i of the block, in either form. */
static inline u32 block_frame_refs(const struct page *head, u32 i)
{
	u32 v = page_refs(head);

	return v & BLOCK_WHOLE ? v & ~(u32)BLOCK_WHOLE : page_refs(head + i);
}
u64 block_count(void);				/* WHOLE blocks of PAGE_ANON */
