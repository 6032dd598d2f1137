/* Areas, faults, fork and copy-on-write, tables, remap, advice.
 * host-sources: @vm
 */
#include <mem/compact.h>
#include <vm/huge.h>

#include "vm_testlib.h"

#define BASE 0x10000000ul
#define P    PAGE_SIZE

static u64 live_objects, live_pages;

static struct aspace *start(void)
{
	struct aspace *as;

	host_allow_leaks();
	vm_init();
	live_objects = host_live_allocs();
	live_pages = host_live_pages();
	as = aspace_create();
	VERIFY(as);
	return as;
}

static void nothing_left(void)
{
	CHECK_EQ(host_live_allocs(), live_objects);
	pgtable_cache_drain();
	CHECK_EQ(host_live_pages(), live_pages);
}

static void check_areas(struct aspace *as, const char *want)
{
	char buf[512];

	describe_areas(as, BASE, buf, sizeof(buf));
	CHECK_STR_EQ(buf, want);
}

static struct page *cached_frame;

static void drain_cached(void)
{
	if (cached_frame)
		page_put(cached_frame);
	cached_frame = NULL;
}

TEST(compact, a_block_whose_last_frame_a_cpu_had_cached_is_one_more)
{
	struct aspace *as = start();
	struct page *taken[BLOCK_FRAMES + 1];
	u64 blocks = mem_free_blocks();
	u32 n = 0;

	while (n < ARRAY_LEN(taken) && mem_free_blocks() == blocks)
		NEED((taken[n++] = page_alloc(0, PAGE_FILE, 0)));
	cached_frame = taken[--n];		/* alone in its region */
	CHECK_EQ(mem_free_blocks(), blocks - 1);
	host_on_drain = drain_cached;
	CHECK_EQ(vm_compact(), 1u);
	CHECK_EQ(mem_free_blocks(), blocks);
	while (n)
		page_put(taken[--n]);
	aspace_unuse(as);
	nothing_left();
}

TEST(area, maps_merge_and_split)
{
	struct aspace *as = start();

	CHECK_EQ(map_at(as, BASE, 2 * P, RW), (i64)BASE);
	CHECK_EQ(map_at(as, BASE + 2 * P, 2 * P, RW), (i64)(BASE + 2 * P));
	check_areas(as, "0-4rw ");
	CHECK_EQ(aspace_protect(as, BASE + P, P, VM_READ, false), 0);
	check_areas(as, "0-1rw 1-2r 2-4rw ");
	CHECK_EQ(aspace_protect(as, BASE + P, P, RW, false), 0);
	check_areas(as, "0-4rw ");
	CHECK_EQ(aspace_unmap(as, BASE + P, P), 0);
	check_areas(as, "0-1rw 2-4rw ");
	CHECK_EQ(map_at(as, BASE, 4 * P, VM_READ), (i64)BASE);
	check_areas(as, "0-4r ");
	CHECK_EQ(aspace_unmap(as, BASE, P), 0);
	CHECK_EQ(aspace_unmap(as, BASE + 3 * P, P), 0);
	check_areas(as, "1-3r ");
	CHECK_EQ(as->total_pages, 2ul);
	CHECK_EQ(as->nareas, 1ul);
	aspace_unuse(as);
	nothing_left();
}

TEST(area, bad_requests)
{
	struct aspace *as = start();
	struct map_request rq = { .addr = BASE, .len = P, .flags = RW, .fixed = true };

	CHECK_EQ(map_at(as, BASE + 1, P, RW), -EINVAL);
	CHECK_EQ(map_at(as, BASE, 0, RW), -EINVAL);
	CHECK_EQ(map_at(as, BASE, ~0ul, RW), -ENOMEM);
	CHECK_EQ(map_at(as, USER_TOP - P, 2 * P, RW), -ENOMEM);
	CHECK_EQ(map_at(as, P, P, RW), -EPERM);
	CHECK_EQ(aspace_map(as, &rq), (i64)BASE);
	rq.noreplace = true;
	CHECK_EQ(aspace_map(as, &rq), -EEXIST);
	CHECK_EQ(aspace_unmap(as, BASE, 0), -EINVAL);
	CHECK_EQ(aspace_unmap(as, BASE + 1, P), -EINVAL);
	CHECK_EQ(aspace_unmap(as, USER_TOP, P), -EINVAL);
	CHECK_EQ(aspace_protect(as, BASE, 2 * P, VM_READ, false), -ENOMEM);
	check_areas(as, "0-1r ");
	CHECK_EQ(aspace_advise(as, BASE, P, 7), -EINVAL);
	CHECK_EQ(aspace_advise(as, BASE, 2 * P, 4), -ENOMEM);
	as->as_limit = 2 * P;
	CHECK_EQ(map_at(as, 0, 2 * P, RW), -ENOMEM);
	aspace_unuse(as);
	nothing_left();
}

TEST(area, places_are_found_top_down)
{
	struct aspace *as = start();
	u64 top = as->mmap_base;

	CHECK_EQ(map_at(as, 0, P, RW), (i64)(top - P));
	CHECK_EQ(map_at(as, 0, 2 * P, VM_READ), (i64)(top - 3 * P));
	CHECK_EQ(map_at(as, 0, P, RW), (i64)(top - 4 * P));
	CHECK_EQ(aspace_unmap(as, top - 3 * P, 2 * P), 0);
	CHECK_EQ(map_at(as, 0, 3 * P, RW), (i64)(top - 7 * P));
	CHECK_EQ(map_at(as, 0, P, RW), (i64)(top - 2 * P));
	CHECK_EQ(map_at(as, 0, P, RW), (i64)(top - 3 * P));
	i64 low = aspace_map(as, &(struct map_request){ .len = P, .flags = RW, .below_4g = true });

	CHECK(low >= 0x40000000 && low < 0x80000000);
	CHECK_EQ(aspace_map(as, &(struct map_request){ .addr = BASE + 5, .len = P, .flags = RW }), (i64)BASE);
	aspace_unuse(as);
	nothing_left();
}

TEST(fault, anonymous_memory)
{
	struct aspace *as = start();
	int err = 0;

	CHECK_EQ(map_at(as, BASE, 4 * P, RW), (i64)BASE);
	CHECK_EQ(map_at(as, 2 * BASE, VM_SMALL_AREA + P, RW), (i64)(2 * BASE));
	CHECK_EQ(map_at(as, 3 * BASE, P, VM_READ), (i64)(3 * BASE));
	CHECK_EQ(user_peek(as, 2 * BASE), 0);
	CHECK_EQ(user_peek(as, 3 * BASE), 0);
	CHECK_EQ(aspace_rss_pages(as), 0ul);		/* the zero page */
	CHECK_EQ(user_peek(as, BASE), 0);
	CHECK_EQ(aspace_rss_pages(as), 1ul);		/* small and writable: a page of its own */
	as->brk_start = BASE + P;
	CHECK_EQ(user_peek(as, BASE + P), 0);
	CHECK_EQ(aspace_rss_pages(as), 1ul);		/* .bss */
	CHECK_EQ(user_poke(as, BASE, 7), 0);
	CHECK_EQ(user_peek(as, BASE), 7);
	CHECK_EQ(user_poke(as, BASE + P, 8), 0);
	CHECK_EQ(aspace_rss_pages(as), 2ul);
	CHECK_EQ(user_peek(as, BASE + 4 * P), -EFAULT);
	CHECK_EQ(user_peek(as, BASE - 1), -EFAULT);
	CHECK_EQ(user_peek(as, USER_TOP), -EFAULT);
	CHECK(!user_access(as, BASE, VM_EXEC, &err));
	CHECK_EQ(err, -EACCES);
	CHECK_EQ(aspace_protect(as, BASE, P, VM_READ, false), 0);
	CHECK_EQ(user_poke(as, BASE, 1), -EACCES);
	CHECK_EQ(user_peek(as, BASE), 7);
	CHECK_EQ(aspace_protect(as, BASE, P, 0, false), 0);
	CHECK_EQ(user_peek(as, BASE), -EACCES);
	CHECK_EQ(aspace_protect(as, BASE, P, RW, false), 0);
	CHECK_EQ(user_peek(as, BASE), 7);
	CHECK_EQ(user_poke(as, BASE, 9), 0);
	CHECK_EQ(aspace_advise(as, BASE, P, 4), 0);
	CHECK_EQ(user_peek(as, BASE), 0);
	CHECK_EQ(user_peek(as, BASE + P), 8);
	aspace_unuse(as);
	nothing_left();
}

TEST(fault, stack_grows_to_its_limit)
{
	struct aspace *as = start();
	u64 top = BASE + 0x1000 * P;

	as->stack_limit = 64 * P;
	CHECK_EQ(map_at(as, top - P, P, RW | VM_GROWSDOWN | VM_STACK), (i64)(top - P));
	CHECK_EQ(user_poke(as, top - 64 * P, 1), 0);
	CHECK_EQ(user_poke(as, top - 65 * P, 1), -EFAULT);
	as->stack_limit = ~0ul;
	CHECK_EQ(map_at(as, BASE, P, RW), (i64)BASE);
	CHECK_EQ(user_poke(as, BASE + 300 * P, 1), 0);
	CHECK_EQ(user_poke(as, BASE + 257 * P, 1), 0);
	CHECK_EQ(user_poke(as, BASE + 256 * P, 1), -EFAULT);
	CHECK_EQ(aspace_map(as, &(struct map_request){ .addr = BASE + 200 * P, .len = 2 * P, .flags = RW }) ==
		 (i64)(BASE + 200 * P), false);
	aspace_unuse(as);
	nothing_left();
}

TEST(fork, private_pages_part_ways)
{
	struct aspace *as = start(), *kid;

	CHECK_EQ(map_at(as, BASE, 700 * P, RW), (i64)BASE);
	for (u64 i = 0; i < 700; i += 3) {
		CHECK_EQ(user_poke(as, BASE + i * P, (u8)i), 0);
	}
	NEED(!aspace_fork(as, NULL, &kid));
	CHECK_EQ(aspace_rss_pages(kid), aspace_rss_pages(as));
	CHECK_EQ(user_poke(kid, BASE + 3 * P, 100), 0);
	CHECK_EQ(user_poke(as, BASE + 6 * P, 101), 0);
	CHECK_EQ(user_peek(as, BASE + 3 * P), 3);
	CHECK_EQ(user_peek(kid, BASE + 3 * P), 100);
	CHECK_EQ(user_peek(as, BASE + 6 * P), 101);
	CHECK_EQ(user_peek(kid, BASE + 6 * P), 6);
	CHECK_EQ(user_peek(kid, BASE + 9 * P), 9);
	aspace_unuse(as);
	CHECK_EQ(user_poke(kid, BASE + 9 * P, 50), 0);
	CHECK_EQ(user_peek(kid, BASE + 600 * P), (u8)600);
	aspace_unuse(kid);
	nothing_left();
}

TEST(fork, pages_that_both_will_write)
{
	struct aspace *as = start(), *kid;
	struct fork_writes w = { .at = { BASE + 3 * P, BASE + 4 * P + 8 }, .n = 2 };

	CHECK_EQ(map_at(as, BASE, 700 * P, RW), (i64)BASE);
	for (u64 i = 0; i < 700; i++) {
		CHECK_EQ(user_poke(as, BASE + i * P, (u8)i), 0);
	}
	NEED(!aspace_fork(as, &w, &kid));
	CHECK_EQ(aspace_rss_pages(kid), aspace_rss_pages(as));
	for (u64 i = 3; i < 5; i++) {			/* no fault on either side */
		u8 *mine = walk_access(as, BASE + i * P, VM_WRITE), *its = walk_access(kid, BASE + i * P, VM_WRITE);

		NEED(mine && its);
		CHECK_EQ(*mine, i);
		CHECK_EQ(*its, i);
		*mine = 50;
		*its = 60;
	}
	CHECK_EQ(user_peek(as, BASE + 3 * P), 50);
	CHECK_EQ(user_peek(kid, BASE + 3 * P), 60);
	CHECK(!walk_access(as, BASE + 5 * P, VM_WRITE));	/* its neighbours are shared as ever */
	CHECK(!walk_access(kid, BASE + 5 * P, VM_WRITE));
	CHECK(pgtable_leaf(as, BASE + 600 * P) == pgtable_leaf(kid, BASE + 600 * P));
	aspace_unuse(as);
	CHECK_EQ(user_peek(kid, BASE + 5 * P), 5);
	aspace_unuse(kid);
	nothing_left();
}

/* A child that writes page `writes` of BASE, or none: may it write page `looked` at once? */
static bool forked_early(struct aspace *as, i64 writes, u64 looked)
{
	struct aspace *kid;
	struct fork_writes w = { .n = 0 };
	bool early;

	if (!CHECK(!aspace_fork(as, &w, &kid)))
		return false;
	early = pgtable_leaf(kid, BASE) != pgtable_leaf(as, BASE) &&
		pte_writable(*leaf_slot(pgtable_leaf(kid, BASE), BASE + looked * P));
	if (writes >= 0)
		CHECK_EQ(user_poke(kid, BASE + (u64)writes * P, 7), 0);
	aspace_unuse(kid);
	CHECK_EQ(user_peek(as, BASE + looked * P), 1);
	return early;
}

TEST(fork, pages_that_children_write_are_copied_early_until_they_do_not)
{
	struct aspace *as = start();
	u32 n;

	CHECK_EQ(map_at(as, BASE, 4 * P, RW), (i64)BASE);
	for (u64 i = 0; i < 4; i++)
		CHECK_EQ(user_poke(as, BASE + i * P, 1), 0);
	CHECK(!forked_early(as, 2, 2));
	for (n = 0; n < 40; n++)
		CHECK(forked_early(as, 2, 2));		/* for as long as they write */
	CHECK(!forked_early(as, 2, 1));
	for (n = 0; n < 10 && forked_early(as, -1, 2); n++)
		;
	CHECK(n >= 1 && n <= 4);			/* one of four is asked */
	CHECK(!forked_early(as, -1, 2));
	for (n = 0; n < 10; n++)
		(void)forked_early(as, 3, 3);
	CHECK(forked_early(as, 3, 3));			/* another page now */
	aspace_unuse(as);
	nothing_left();
}

TEST(fork, pages_of_threads_are_not_copied_early)
{
	struct aspace *as = start(), *kid;
	struct fork_writes w = { .at = { BASE }, .n = 1 };

	CHECK_EQ(map_at(as, BASE, P, RW), (i64)BASE);
	CHECK_EQ(user_poke(as, BASE, 1), 0);
	aspace_use(as);
	NEED(!aspace_fork(as, &w, &kid));
	CHECK(!walk_access(as, BASE, VM_WRITE));
	aspace_unuse(as);
	aspace_unuse(kid);
	aspace_unuse(as);
	nothing_left();
}

TEST(fork, what_is_not_inherited)
{
	struct aspace *as = start(), *kid;

	CHECK_EQ(map_at(as, BASE, 8 * P, RW), (i64)BASE);
	for (u64 i = 0; i < 8; i++) {
		CHECK_EQ(user_poke(as, BASE + i * P, (u8)(i + 1)), 0);
	}
	CHECK_EQ(aspace_advise(as, BASE + P, P, 10), 0);
	CHECK_EQ(aspace_advise(as, BASE + 3 * P, P, 18), 0);
	NEED(!aspace_fork(as, NULL, &kid));
	CHECK_EQ(user_peek(kid, BASE), 1);
	CHECK_EQ(user_peek(kid, BASE + P), -EFAULT);
	CHECK_EQ(user_peek(kid, BASE + 3 * P), 0);
	CHECK_EQ(user_poke(kid, BASE + 2 * P, 77), 0);
	CHECK_EQ(user_peek(as, BASE + 2 * P), 3);
	CHECK_EQ(user_poke(as, BASE + 4 * P, 78), 0);
	CHECK_EQ(user_peek(kid, BASE + 4 * P), 5);
	aspace_unuse(kid);
	aspace_unuse(as);
	nothing_left();
}

TEST(remap, moves_and_grows)
{
	struct aspace *as = start();

	CHECK_EQ(map_at(as, BASE, 4 * P, RW), (i64)BASE);
	for (u64 i = 0; i < 4; i++) {
		CHECK_EQ(user_poke(as, BASE + i * P, (u8)(i + 1)), 0);
	}
	CHECK_EQ(aspace_remap(as, BASE, 4 * P, 6 * P, 0, 0), (i64)BASE);
	check_areas(as, "0-6rw ");
	CHECK_EQ(map_at(as, BASE + 6 * P, P, VM_READ), (i64)(BASE + 6 * P));
	CHECK_EQ(aspace_remap(as, BASE, 6 * P, 8 * P, 0, 0), -ENOMEM);
	i64 to = aspace_remap(as, BASE, 6 * P, 8 * P, 1, 0);

	CHECK(to > 0);
	CHECK_EQ(user_peek(as, (u64)to + 3 * P), 4);
	CHECK_EQ(user_peek(as, BASE), -EFAULT);
	CHECK_EQ(aspace_remap(as, (u64)to, 8 * P, 2 * P, 0, 0), to);
	CHECK_EQ(aspace_remap(as, (u64)to, 2 * P, 2 * P, 3, BASE + HUGE_SIZE - P), (i64)(BASE + HUGE_SIZE - P));
	CHECK_EQ(user_peek(as, BASE + HUGE_SIZE), 2);
	CHECK_EQ(aspace_remap(as, BASE + HUGE_SIZE - P, 2 * P, 2 * P, 7, BASE), (i64)BASE);
	CHECK_EQ(user_peek(as, BASE), 1);
	CHECK_EQ(user_peek(as, BASE + HUGE_SIZE - P), 0);
	CHECK_EQ(aspace_remap(as, BASE + 100 * P, P, P, 0, 0), -EFAULT);
	CHECK_EQ(aspace_remap(as, BASE, P, 0, 0, 0), -EINVAL);
	CHECK_EQ(aspace_remap(as, BASE, P, P, 2, 0), -EINVAL);
	aspace_unuse(as);
	nothing_left();
}

TEST(brk, grows_and_shrinks)
{
	struct aspace *as = start();

	as->brk_start = as->brk = BASE + 100;
	CHECK_EQ(aspace_brk(as, 0), BASE + 100);
	CHECK_EQ(aspace_brk(as, BASE + 3 * P), BASE + 3 * P);
	CHECK_EQ(user_poke(as, BASE + 2 * P, 1), 0);
	CHECK_EQ(aspace_brk(as, BASE + 5 * P + 1), BASE + 5 * P + 1);
	check_areas(as, "1-6rw ");
	CHECK_EQ(map_at(as, BASE + 8 * P, P, RW), (i64)(BASE + 8 * P));
	CHECK_EQ(aspace_brk(as, BASE + 9 * P), BASE + 5 * P + 1);
	CHECK_EQ(aspace_brk(as, BASE + 2 * P), BASE + 2 * P);
	CHECK_EQ(user_peek(as, BASE + 2 * P), -EFAULT);
	aspace_unuse(as);
	nothing_left();
}

/* Round n: allocation n fails.  Whatever succeeded before is as it was, and everything is freed. */
TEST(memory, every_allocation_fails_once)
{
	struct aspace *first = start();

	aspace_unuse(first);
	pgtable_cache_drain();
	EVERY_ALLOC_FAILS_ONCE(n) {
		struct aspace *as = aspace_create(), *kid = NULL;

		if (!as) {
			pgtable_cache_drain();
			continue;
		}
		struct vm_object *obj = vm_object_create_anon(4 * P);

		(void)!map_at(as, BASE, 4 * P, RW);
		(void)!user_poke(as, BASE, 1);
		(void)!user_poke(as, BASE + 3 * P, 3);
		if (obj) {
			(void)!map_object(as, BASE + 8 * P, 4 * P, RW | VM_SHARED, obj, 0);
			(void)!user_poke(as, BASE + 9 * P, 9);
			vm_object_put(obj);
		}
		int before = user_peek(as, BASE);

		if (!aspace_fork(as, NULL, &kid))
			(void)!user_poke(kid, BASE, 5);
		CHECK(before < 0 || user_peek(as, BASE) == before || host_fail_hit());
		u64 areas = as->nareas;

		if (aspace_unmap(as, BASE + P, P) == -ENOMEM) {
			CHECK_EQ(as->nareas, areas);
		}
		(void)!aspace_protect(as, BASE, P, VM_READ, false);
		(void)!aspace_remap(as, BASE + 2 * P, 2 * P, 4 * P, 1, 0);
		if (kid)
			aspace_unuse(kid);
		aspace_unuse(as);
		pgtable_cache_drain();
	}
}
