/* The buddy lists against a plain model of which frames are free. */
#include <test/test.h>
#include "buddy.h"

#define FRAMES 4096u

static struct buddy b;
static u8 owner[FRAMES];		/* 0: free */
static u8 groups[FRAMES >> BUDDY_REGION];

static void start(void)
{
	memset(groups, 0, sizeof(groups));
	buddy_init(&b, groups);
	buddy_free_range(&b, 0, FRAMES);
	memset(owner, 0, sizeof(owner));
}

/* One list: inv. 1, 2 and 4 of buddy.h.  Its length. */
static u64 check_list(u32 g, u32 o)
{
	u32 prev = BUDDY_NONE;
	u64 n = 0;

	for (u32 f = b.head[g][o]; f != BUDDY_NONE; f = page_array[f].link.next, n++) {
		CHECK_EQ(page_array[f].link.prev, prev);
		CHECK_EQ(page_array[f].order, o);
		CHECK_EQ(page_array[f].use, PAGE_FREE);
		CHECK_EQ(f & ((1u << o) - 1), 0u);
		for (u32 i = 0; i < 1u << o; i++) {
			CHECK_EQ(owner[f + i], 0);
			CHECK_EQ(buddy_group_of(&b, f + i), g);
		}
		CHECK(o < BUDDY_REGION || g == GROUP_MOVABLE || (g == GROUP_ISOLATED && o == BUDDY_REGION));
		if (o < PAGE_MAX_ORDER && g != GROUP_ISOLATED && buddy_group_of(&b, f ^ (1u << o)) != GROUP_ISOLATED) {
			struct page *bud = &page_array[f ^ (1u << o)];

			CHECK(!(bud->use == PAGE_FREE && (bud->flags & PAGE_F_HEAD) && bud->order == o));
		}
		prev = f;
	}
	return n;
}

/* Invariants 1 to 4 of buddy.h. */
static void check_lists(void)
{
	u64 total = 0;

	for (u32 o = 0; o <= PAGE_MAX_ORDER; o++) {
		u64 n = 0;

		for (u32 g = 0; g < BUDDY_GROUPS; g++) {
			u64 in_group = check_list(g, o);

			CHECK_EQ((b.nonempty[g] >> o) & 1, in_group > 0 ? 1u : 0u);
			n += in_group;
		}
		CHECK_EQ(n, b.count[o]);
		total += n << o;
	}
	CHECK_EQ(total, b.nfree);
}

static struct page *take_for(u32 order, enum buddy_group group)
{
	struct page *pg = buddy_alloc(&b, order, group);

	if (!pg)
		pg = buddy_steal(&b, order, group);
	if (!pg)
		return NULL;
	u64 f = page_to_pfn(pg).v;

	CHECK_EQ(f & ((1ul << order) - 1), 0ul);
	for (u32 i = 0; i < 1u << order; i++) {
		CHECK_EQ(owner[f + i], 0);
		owner[f + i] = 1;
	}
	pg->use = PAGE_KERNEL;
	return pg;
}

static struct page *take(u32 order)
{
	return take_for(order, GROUP_MOVABLE);
}

static void give(struct page *pg, u32 order)
{
	memset(&owner[page_to_pfn(pg).v], 0, 1ul << order);
	buddy_free(&b, pg, order);
}

TEST(buddy, a_range_becomes_the_largest_blocks)
{
	memset(groups, 0, sizeof(groups));
	buddy_init(&b, groups);
	buddy_free_range(&b, 1, 3000);
	CHECK_EQ(b.nfree, 2999ul);
	CHECK_EQ(b.count[0], 1ul);
	CHECK_EQ(b.count[PAGE_MAX_ORDER], 1ul);
	memset(owner, 0, sizeof(owner));
	check_lists();
}

TEST(buddy, every_frame_once_and_all_coalesce)
{
	static struct page *got[FRAMES];

	start();
	for (u32 i = 0; i < FRAMES; i++)
		NEED((got[i] = take(0)));
	CHECK(!take(0));
	CHECK_EQ(b.nfree, 0ul);
	for (u32 i = FRAMES; i-- > 1;) {
		u32 j = (u32)host_random_below(i + 1);
		struct page *t = got[i];

		got[i] = got[j];
		got[j] = t;
	}
	for (u32 i = 0; i < FRAMES; i++)
		give(got[i], 0);
	CHECK_EQ(b.count[PAGE_MAX_ORDER], (u64)FRAMES >> PAGE_MAX_ORDER);
	check_lists();
}

/* To and from every group, as compaction and boot do; a larger free block has no group of its own. */
static void change_group(u32 f)
{
	struct page *pair = &page_array[f & ~((1u << PAGE_MAX_ORDER) - 1)];

	if (pair->use != PAGE_FREE || !(pair->flags & PAGE_F_HEAD) || pair->order != PAGE_MAX_ORDER)
		buddy_set_group(&b, f, (enum buddy_group)host_random_below(BUDDY_GROUPS));
}

TEST(buddy, random_orders_keep_the_invariants)
{
	static struct { struct page *pg; u32 order; } live[512];
	u32 n = 0;

	start();
	for (u32 step = 0; step < 200000; step++) {
		if (n < ARRAY_LEN(live) && host_random_below(2)) {
			u32 order = (u32)host_random_below(host_random_below(PAGE_MAX_ORDER + 1) + 1);
			struct page *pg = take_for(order, (enum buddy_group)host_random_below(GROUP_ISOLATED));

			if (pg) {
				live[n].pg = pg;
				live[n++].order = order;
			} else {
				for (u32 g = 0; g < BUDDY_GROUPS; g++)
					CHECK_EQ(b.nonempty[g] >> order, 0u);
			}
		} else if (n) {
			u32 i = (u32)host_random_below(n);

			give(live[i].pg, live[i].order);
			live[i] = live[--n];
		}
		if (step % 100 == 0)
			change_group((u32)host_random_below(FRAMES));
		if (step % 1000 == 0)
			check_lists();
	}
	while (n--)
		give(live[n].pg, live[n].order);
	for (u32 f = 0; f < FRAMES; f += 1u << BUDDY_REGION)
		if (buddy_group_of(&b, f) == GROUP_ISOLATED)
			buddy_set_group(&b, f, GROUP_MOVABLE);
	check_lists();
	CHECK_EQ(b.nfree, (u64)FRAMES);
	CHECK_EQ(b.count[PAGE_MAX_ORDER], (u64)FRAMES >> PAGE_MAX_ORDER);
}

TEST(buddy, what_stays_and_what_moves_share_no_region)
{
	static struct page *moves[FRAMES], *stays[FRAMES];
	u32 n = 0, shared = 0;

	start();
	/* In turn until nothing is left, a quarter of it fixed. */
	for (;; n++) {
		stays[n] = take_for(0, GROUP_FIXED);
		for (u32 i = 0; i < 3; i++)
			moves[3 * n + i] = take_for(0, GROUP_MOVABLE);
		if (!stays[n] || !moves[3 * n + 2])
			break;
	}
	for (u32 i = 0; i < 3 * n; i++)
		give(moves[i], 0);
	for (u32 f = 0; f < FRAMES; f += 1u << BUDDY_REGION) {
		u32 used = 0;

		for (u32 i = 0; i < 1u << BUDDY_REGION; i++)
			used += owner[f + i];
		shared += used && used < 1u << BUDDY_REGION;
	}
	check_lists();
	/* All but the last region of either, and the ends of what was given out when one side had run dry. */
	CHECK_LE(shared, 2u);
	CHECK_LE((u64)FRAMES * 3 / 4 - 1024, (b.count[9] << 9) + (b.count[10] << 10));
}

TEST(buddy, an_isolated_region_is_the_last_to_be_used)
{
	start();
	u64 region = page_to_pfn(take(0)).v >> BUDDY_REGION;

	buddy_set_group(&b, region << BUDDY_REGION, GROUP_ISOLATED);
	for (u32 i = 0; i < FRAMES - 1; i++) {
		struct page *pg = take_for(0, i % 2 ? GROUP_FIXED : GROUP_MOVABLE);

		NEED(pg);
		CHECK_EQ(page_to_pfn(pg).v >> BUDDY_REGION == region, i >= FRAMES - 512);
		if (i % 100 == 0)
			check_lists();
	}
	CHECK(!take(0));
	CHECK_EQ(b.nfree, 0ul);
}

TEST(buddy, a_block_freed_in_pieces_is_one_block_again)
{
	start();
	struct page *pg = take(9);

	NEED(pg);
	for (u32 i = 0; i < 512; i += 2)
		give(pg + i, 0);
	check_lists();
	for (u32 i = 1; i < 512; i += 2)
		give(pg + i, 0);
	check_lists();
	CHECK_EQ(b.count[PAGE_MAX_ORDER], (u64)FRAMES >> PAGE_MAX_ORDER);
}
