/*
 * How many 2 MiB blocks are left after a long run.  Programs of random sizes
 * grow side by side and end in random order, at a steady level of use; then
 * memory fills up to the last and empties to that level again.  The curve is
 * printed; docs/memory.md says what it means.
 */
#include <stdio.h>
#include <test/test.h>
#include "buddy.h"

#define FRAMES	 65536u			/* 256 MiB */
#define PROGRAMS 400u
#define BIGGEST	 1500u
#define STEPS	 300000u
#define BLOCK	 9u

static struct program {
	u32 n, want;
	u32 frame[BIGGEST];
} programs[PROGRAMS];
static struct buddy b;
static u8 groups[FRAMES >> BUDDY_REGION];

static void grow(struct program *p)
{
	for (u32 i = 0; i < 16 && p->n < p->want; i++) {
		struct page *pg = buddy_alloc(&b, 0, GROUP_MOVABLE);

		NEED(pg);
		pg->use = PAGE_ANON;
		p->frame[p->n++] = (u32)page_to_pfn(pg).v;
	}
}

static void end(struct program *p)
{
	while (p->n)
		buddy_free(&b, pfn_to_page(PFN(p->frame[--p->n])), 0);
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

/* Free blocks of 2 MiB, in percent of what the free frames could make. */
static u32 share(const char *when, u32 percent)
{
	u64 blocks = b.count[BLOCK] + 2 * b.count[BLOCK + 1], could = b.nfree >> BLOCK;

	printf("# %s, %u %% of 256 MiB in use: %llu blocks of 2 MiB, of %llu that the free frames could make\n", when,
	       percent, (unsigned long long)blocks, (unsigned long long)could);
	return (u32)(blocks * 100 / could);
}

TEST(fragment, blocks_are_left_after_a_long_run)
{
	static const u32 levels[] = { 10, 25, 50, 75, 90 };

	for (u32 i = 0; i < ARRAY_LEN(levels); i++) {
		memset(groups, 0, sizeof(groups));
		buddy_init(&b, groups);
		buddy_free_range(&b, 0, FRAMES);
		memset(programs, 0, sizeof(programs));
		live_at(levels[i], STEPS);
		CHECK(share("steady", levels[i]) >= 80);
		/* The worst: full of everybody, then random ones end. */
		live_at(98, STEPS);
		while (used() * 100 > (u64)FRAMES * levels[i])
			end(&programs[host_random_below(PROGRAMS)]);
		(void)share("after a flood", levels[i]);
		live_at(levels[i], STEPS);
		(void)share("long after it", levels[i]);
		for (u32 k = 0; k < PROGRAMS; k++)
			end(&programs[k]);
		CHECK_EQ(b.count[PAGE_MAX_ORDER], (u64)FRAMES >> PAGE_MAX_ORDER);
	}
}
