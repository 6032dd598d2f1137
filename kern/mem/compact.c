/* See compact.h and mem/compact.h. */
#include <base/bitmap.h>
#include <base/string.h>
#include "compact.h"

#define REGION_FRAMES (1u << BUDDY_REGION)
#define LOOKS	      8192u		/* regions in one run */

/*
 * Frames to move out of the region; 0: it is free, or something in it has to stay.  Others may change what is read
 * here, and then it is a little wrong.
 */
static u32 region_load(u64 region, u32 *holes)
{
	const struct page *first = pfn_to_page(PFN(region << BUDDY_REGION));
	u32 load = 0, size;

	*holes = 0;
	for (u32 i = 0; i < REGION_FRAMES; i += size) {
		const struct page *pg = &first[i];
		u8 use = READ_ONCE(pg->use);

		size = 1;
		if (use == PAGE_ANON && page_refs(pg) == 1)
			load++;
		else if (use == PAGE_FREE && READ_ONCE(pg->flags) & PAGE_F_HEAD)
			*holes += size = 1u << (READ_ONCE(pg->order) & 15);
		else if (use > PAGE_CACHED)
			return 0;			/* with other owners too, or a block in use whole, or fixed */
	}
	return load;
}

/* Into its place among those with the fewest frames to move. */
static void consider(struct compact *c, u64 region, u32 load)
{
	u32 at = c->n;

	while (at && c->pick[at - 1].load > load)
		at--;
	if (at == COMPACT_REGIONS)
		return;
	c->n = MIN(c->n + 1, COMPACT_REGIONS);
	memmove(&c->pick[at + 1], &c->pick[at], (c->n - 1 - at) * sizeof(c->pick[0]));
	c->pick[at].region = region;
	c->pick[at].load = load;
}

/*
 * A region that is chosen takes its own holes away from those that the frames may go to: load + holes, all of it, has to
 * be there in holes.  Else the frames would go into free blocks, and nothing would be gained, for ever.
 */
void compact_choose(struct compact *c, const struct buddy *b)
{
	u64 room = 0;

	c->n = 0;
	for (u64 looks = MIN(c->regions, LOOKS); looks; looks--) {
		u64 region = c->next, frame = region << BUDDY_REGION;
		u32 load, holes;

		c->next = region + 1 < c->regions ? region + 1 : 0;
		if (!page_chunk_online(PFN(frame)) || !(load = region_load(region, &holes)))
			continue;
		if (buddy_group_of(b, frame) == GROUP_MOVABLE)
			room += holes;
		if (!bitmap_test(c->stuck, region))
			consider(c, region, load);
	}
	c->n = (u32)MIN(c->n, room >> BUDDY_REGION);
	/* Who shared or held something there may be gone by the next run. */
	if (!c->n)
		memset(c->stuck, 0, BITMAP_WORDS(c->regions) * sizeof(u64));
}

u32 compact_isolate(struct compact *c, struct buddy *b)
{
	u32 n = 0, holes;

	for (u32 i = 0; i < c->n; i++) {
		if (!region_load(c->pick[i].region, &holes))
			continue;
		c->pick[n++] = c->pick[i];
		buddy_set_group(b, c->pick[i].region << BUDDY_REGION, GROUP_ISOLATED);
	}
	return c->n = n;
}

u32 compact_release(struct compact *c, struct buddy *b)
{
	u32 freed = 0;

	for (u32 i = 0; i < c->n; i++) {
		u64 frame = c->pick[i].region << BUDDY_REGION;
		const struct page *pg = pfn_to_page(PFN(frame));
		bool whole = pg->use == PAGE_FREE && pg->flags & PAGE_F_HEAD && pg->order == BUDDY_REGION;

		buddy_set_group(b, frame, GROUP_MOVABLE);
		freed += whole;
		if (!whole)
			bitmap_set(c->stuck, c->pick[i].region);
	}
	c->n = 0;
	return freed;
}
