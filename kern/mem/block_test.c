/*
 * Blocks against the rule they stand for: 512 counts, one per frame.
 */
#include <mem/block.h>
#include <test/test.h>

static u64 random_state;

static u64 below(u64 n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % n;
}

TEST(block, is_aligned_and_has_one_owner)
{
	struct page *b = block_alloc(PAGE_ANON, ALLOC_ZERO);

	NEED(b);
	CHECK_EQ(page_to_pfn(b).v % BLOCK_FRAMES, 0u);
	CHECK(block_is_whole(b));
	CHECK(block_sole(b));
	CHECK_EQ(block_count(), 1u);
	block_put(b);
	CHECK_EQ(block_count(), 0u);
	CHECK_EQ(host_live_pages(), 0u);
}

TEST(block, spread_gives_each_frame_the_heads_count)
{
	struct page *b = block_alloc(PAGE_ANON, 0);

	NEED(b);
	block_get(b);
	block_get(b);
	block_spread(b);
	block_spread(b);
	for (u32 i = 0; i < BLOCK_FRAMES; i++) {
		CHECK_EQ(page_refs(b + i), 3u);
		CHECK_EQ(b[i].use, PAGE_ANON);
	}
	block_put(b);
	page_put(b + 7);
	block_put(b);
	CHECK_EQ(host_live_pages(), BLOCK_FRAMES - 1);
	page_get(b);
	CHECK(!block_sole(b));
	page_put(b);
	for (u32 i = 0; i < BLOCK_FRAMES; i++)
		if (i != 7)
			page_put(b + i);
	CHECK_EQ(host_live_pages(), 0u);
}

TEST(block, a_sole_owner_makes_it_whole_again)
{
	struct page *b = block_alloc(PAGE_ANON, 0);

	NEED(b);
	block_get(b);
	block_spread(b);
	CHECK(!block_sole(b));
	block_put(b);
	CHECK_EQ(block_count(), 0u);
	CHECK(block_sole(b));
	CHECK(block_is_whole(b));
	CHECK_EQ(block_count(), 1u);
	block_put(b);
	CHECK_EQ(host_live_pages(), 0u);
}

/* Owners of the whole and of single frames come and go; counts are compared after each step. */
TEST(block, random_owners_against_512_counts)
{
	u32 frame[BLOCK_FRAMES], whole;

	for (u32 round = 0; round < 60; round++) {
		struct page *b = block_alloc(PAGE_ANON, 0);

		NEED(b);
		random_state = round;
		whole = 1;
		memset(frame, 0, sizeof(frame));
		for (u32 step = 0; step < 300; step++) {
			u32 i = (u32)below(BLOCK_FRAMES);

			switch (below(6)) {
			case 0: block_get(b); whole++; break;
			case 1:
				if (whole > 1) {
					block_put(b);
					whole--;
				}
				break;
			case 2:
				if (below(10))
					break;
				block_spread(b);
				page_get(b + i);
				frame[i]++;
				break;
			case 3:
				if (frame[i]) {
					page_put(b + i);
					frame[i]--;
				}
				break;
			case 4: {
				bool sole = whole == 1;

				for (u32 k = 0; k < BLOCK_FRAMES; k++)
					sole &= !frame[k];
				CHECK_EQ(block_sole(b), sole);
				break;
			}
			case 5: CHECK_EQ(block_frame_refs(b, i), whole + frame[i]); break;
			}
		}
		while (whole--)
			block_put(b);
		for (u32 i = 0; i < BLOCK_FRAMES; i++)
			while (frame[i]--)
				page_put(b + i);
		CHECK_EQ(host_live_pages(), 0u);
		CHECK_EQ(block_count(), 0u);
	}
}
