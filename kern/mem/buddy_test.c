/* The buddy lists against a plain model of which frames are free. */
#include <test/test.h>
#include "buddy.h"

#define FRAMES 4096u

static struct buddy b;
static u8 owner[FRAMES];		/* 0: free */

static void start(void)
{
	buddy_init(&b);
	buddy_free_range(&b, 0, FRAMES);
	memset(owner, 0, sizeof(owner));
}

/* Invariants 1 to 3 of buddy.h. */
static void check_lists(void)
{
	u64 total = 0;

	for (u32 o = 0; o <= PAGE_MAX_ORDER; o++) {
		u64 n = 0;
		u32 prev = BUDDY_NONE;

		for (u32 f = b.head[o]; f != BUDDY_NONE; f = page_array[f].link.next) {
			CHECK_EQ(page_array[f].link.prev, prev);
			CHECK_EQ(page_array[f].order, o);
			CHECK_EQ(page_array[f].use, PAGE_FREE);
			CHECK_EQ(f & ((1u << o) - 1), 0u);
			for (u32 i = 0; i < 1u << o; i++)
				CHECK_EQ(owner[f + i], 0);
			if (o < PAGE_MAX_ORDER) {
				struct page *bud = &page_array[f ^ (1u << o)];

				CHECK(!(bud->use == PAGE_FREE && (bud->flags & PAGE_F_HEAD) && bud->order == o));
			}
			prev = f;
			n++;
		}
		CHECK_EQ(n, b.count[o]);
		CHECK_EQ((b.nonempty >> o) & 1, n > 0 ? 1u : 0u);
		total += n << o;
	}
	CHECK_EQ(total, b.nfree);
}

static struct page *take(u32 order)
{
	struct page *pg = buddy_alloc(&b, order);

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

static void give(struct page *pg, u32 order)
{
	memset(&owner[page_to_pfn(pg).v], 0, 1ul << order);
	buddy_free(&b, pg, order);
}

TEST(buddy, a_range_becomes_the_largest_blocks)
{
	buddy_init(&b);
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

TEST(buddy, random_orders_keep_the_invariants)
{
	static struct { struct page *pg; u32 order; } live[512];
	u32 n = 0;

	start();
	for (u32 step = 0; step < 200000; step++) {
		if (n < ARRAY_LEN(live) && host_random_below(2)) {
			u32 order = (u32)host_random_below(host_random_below(PAGE_MAX_ORDER + 1) + 1);
			struct page *pg = take(order);

			if (pg) {
				live[n].pg = pg;
				live[n++].order = order;
			} else {
				CHECK_EQ(b.nonempty >> order, 0u);
			}
		} else if (n) {
			u32 i = (u32)host_random_below(n);

			give(live[i].pg, live[i].order);
			live[i] = live[--n];
		}
		if (step % 1000 == 0)
			check_lists();
	}
	while (n--)
		give(live[n].pg, live[n].order);
	check_lists();
	CHECK_EQ(b.nfree, (u64)FRAMES);
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
