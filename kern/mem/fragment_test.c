/*
 * How many 2 MiB blocks are left after a long run.  Programs of random sizes
 * grow side by side and end in random order, at a steady level of use; then
 * memory fills up to the last and empties to that level again.  Of each program's frames one in 50 is a table or
 * another that cannot be moved.  The curve is printed, with groups and without them, before compaction and after
 * it; docs/memory.md says what it means.
 */
#include <stdio.h>
#include <base/bitmap.h>
#include <test/test.h>
#include "compact.h"

#define FRAMES	 65536u			/* 256 MiB */
#define PROGRAMS 400u
#define BIGGEST	 1500u
#define STEPS	 300000u
#define BLOCK	 9u
#define FIXED(i) ((i) % 50 == 1)	/* of a program's frames */

static struct program {
	u32 n, want;
	u32 frame[BIGGEST];
} programs[PROGRAMS];
static struct buddy b;
static u8 groups[FRAMES >> BUDDY_REGION];
static u64 stuck[BITMAP_WORDS(FRAMES >> BUDDY_REGION)];
static struct compact compact = { .regions = FRAMES >> BUDDY_REGION, .stuck = stuck };
static bool grouped;

static struct page *take(enum page_use use)
{
	enum buddy_group group = grouped ? buddy_group_for(use) : GROUP_MOVABLE;
	struct page *pg = buddy_alloc(&b, 0, group) ?: buddy_steal(&b, 0, group);

	if (pg) {
		pg->use = (u8)use;
		atomic_set(&pg->refs, 1);
	}
	return pg;
}

static void give(u32 frame)
{
	atomic_set(&pfn_to_page(PFN(frame))->refs, 0);
	buddy_free(&b, pfn_to_page(PFN(frame)), 0);
}

static void grow(struct program *p)
{
	for (u32 i = 0; i < 16 && p->n < p->want; i++) {
		struct page *pg = take(FIXED(p->n) ? PAGE_TABLE : PAGE_ANON);

		NEED(pg);
		p->frame[p->n++] = (u32)page_to_pfn(pg).v;
	}
}

static void end(struct program *p)
{
	while (p->n)
		give(p->frame[--p->n]);
	p->want = 0;
}

static u64 used(void) { return FRAMES - b.nfree; }

static void live_at(u32 percent, u32 steps)
{
	u64 target = (u64)FRAMES * percent / 100;

	while (steps--) {
		struct program *p = &programs[host_random_below(PROGRAMS)];

		if (used() >= target)
			end(p);
		else if (!p->want)
			p->want = 16 + (u32)host_random_below(host_random_below(8) ? 200 : BIGGEST - 16);
		else
			grow(p);
	}
}

/* As vm/compact.c, with the programs for spaces. */
static void compact_all(void)
{
	u64 moved = 0, freed = 0;
	u32 got;

	do {
		compact_choose(&compact, &b);
		if (!compact_isolate(&compact, &b))
			break;
		for (u32 k = 0; k < PROGRAMS; k++)
			for (u32 i = 0; i < programs[k].n; i++) {
				u32 *frame = &programs[k].frame[i];

				if (FIXED(i) || buddy_group_of(&b, *frame) != GROUP_ISOLATED)
					continue;
				give(*frame);
				*frame = (u32)page_to_pfn(take(PAGE_ANON)).v;
				moved++;
			}
		freed += got = compact_release(&compact, &b);
	} while (got);
	printf("#   compaction: %llu frames moved, %llu blocks freed\n", (unsigned long long)moved, (unsigned long long)freed);
}

/* Free blocks of 2 MiB, in percent of what the free frames could make. */
static u32 share(const char *when, u32 percent)
{
	u64 blocks = b.count[BLOCK] + 2 * b.count[BLOCK + 1], could = b.nfree >> BLOCK;

	printf("# %s, %u %% of 256 MiB in use: %llu blocks of 2 MiB, of %llu that the free frames could make\n", when,
	       percent, (unsigned long long)blocks, (unsigned long long)could);
	return (u32)(blocks * 100 / could);
}

/* The share after compaction. */
static u32 flood_and_ebb(u32 percent)
{
	memset(groups, 0, sizeof(groups));
	memset(stuck, 0, sizeof(stuck));
	buddy_init(&b, groups);
	buddy_free_range(&b, 0, FRAMES);
	memset(programs, 0, sizeof(programs));
	live_at(percent, STEPS);
	CHECK(!grouped || share("steady", percent) >= 80);
	/* The worst: full of everybody, then random ones end. */
	live_at(98, STEPS);
	while (used() * 100 > (u64)FRAMES * percent)
		end(&programs[host_random_below(PROGRAMS)]);
	(void)share("after a flood", percent);
	compact_all();
	u32 after = share("compacted", percent);

	live_at(percent, STEPS);
	(void)share("long after it", percent);
	for (u32 k = 0; k < PROGRAMS; k++)
		end(&programs[k]);
	CHECK_EQ(b.count[PAGE_MAX_ORDER], (u64)FRAMES >> PAGE_MAX_ORDER);
	return after;
}

TEST(fragment, blocks_are_found_after_memory_was_full)
{
	static const u32 levels[] = { 10, 25, 50, 75, 90 };

	for (u32 i = 0; i < ARRAY_LEN(levels); i++) {
		printf("# without groups:\n");
		grouped = false;
		(void)flood_and_ebb(levels[i]);
		printf("# with groups:\n");
		grouped = true;
		CHECK(flood_and_ebb(levels[i]) >= 75);
	}
}
