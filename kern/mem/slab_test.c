/*
 * Page allocator and slab together, over simulated RAM.
 * host-sources: kern/mem/frames.c kern/mem/page.c kern/mem/page_stat.c kern/mem/reclaim.c
 * host-sources: kern/mem/slab.c kern/mem/kmalloc.c
 */
#include <arch/machine.h>
#include <test/test.h>
#include "mem_internal.h"

/* The parts that need real page tables. */
void kstack_init(void) {}
void vmalloc_init(void) {}
u64 kstack_trim(u64 keep) { return 0; }
void mmu_set_table_source(paddr_t (*source)(void)) {}

/* Hides from the compiler that a pointer is dead. */
static void *stale(void *p)
{
	__asm__ volatile("" : "+r"(p));
	return p;
}

static struct bootinfo bi;

static void start(u64 mib)
{
	bi.ram[0].end = 0x9f000;
	bi.ram[1].start = 1 << 20;
	bi.ram[1].end = mib << 20;
	bi.nram = 2;
	bi.reserved[0].start = 2 << 20;
	bi.reserved[0].end = 5 << 20;
	bi.reserved[1].start = (mib << 20) - 0x5000;
	bi.reserved[1].end = mib << 20;
	bi.nreserved = 2;
	mem_init(&bi);
	mem_init_slab();
	host_allow_leaks();
}

TEST(frames, counts_after_boot)
{
	struct mem_stats s;

	start(200);
	mem_stats(&s);
	/* All RAM but the low MiB, the kernel's 3 MiB, the five frames at the end and the allocator's own. */
	CHECK_LE(s.total, (200ul - 4) * 256 - 5);
	CHECK_LE((200ul - 4) * 256 - 40, s.total);
	CHECK_EQ(s.free + s.slab, s.total);
	CHECK(pfn_valid(PFN(256)));
	CHECK_EQ(page_array[512].use, PAGE_RESERVED);
	CHECK(!pfn_valid(PFN(200 * 256)));
	CHECK(!pfn_valid(PFN(1000000)));
}

TEST(frames, every_frame_can_be_taken_and_given_back)
{
	static struct page *got[60000];
	u64 total, n = 0;
	struct page *pg;

	start(200);
	total = mem_free_pages();
	while ((pg = page_alloc(0, PAGE_ANON, ALLOC_ATOMIC))) {
		NEED(n < ARRAY_LEN(got));
		got[n++] = pg;
		CHECK_EQ(page_refs(pg), 1u);
		memset(page_addr(pg), 0x5a, PAGE_SIZE);
	}
	CHECK_EQ(n, total);
	CHECK_EQ(mem_free_pages(), 0ul);
	while (n)
		page_put(got[--n]);
	CHECK_EQ(mem_free_pages(), total);
}

TEST(frames, too_little_ram_is_one_clear_line)
{
	host_expect_panic("not enough memory");
	start(6);
}

TEST(frames, boot_ranges_come_back)
{
	u64 before;

	start(64);
	before = mem_free_pages();
	mem_free_boot_range((2 << 20) + 1, (3 << 20) + 1);
	CHECK_EQ(mem_free_pages(), before + 255);
	mem_free_boot_range(2 << 20, 3 << 20);
	CHECK_EQ(mem_free_pages(), before + 256);
}

TEST(page, zeroed_means_zero_from_every_source)
{
	start(64);
	for (u32 round = 0; round < 3; round++) {
		struct page *got[200];

		for (u32 i = 0; i < ARRAY_LEN(got); i++) {
			u64 *w;

			got[i] = page_alloc(i % 50 ? 0 : 3, PAGE_ANON, ALLOC_ZERO);
			NEED(got[i]);
			w = page_addr(got[i]);
			for (u32 j = 0; j < (PAGE_SIZE << got[i]->order) / 8; j++)
				NEED(!w[j]);
			memset(w, 0xff, PAGE_SIZE << got[i]->order);
		}
		for (u32 i = 0; i < ARRAY_LEN(got); i++)
			page_put(got[i]);
		while (mem_idle_zero())
			;
	}
	struct mem_stats s;

	mem_stats(&s);
	CHECK_LT(0ul, s.zeroed_hits);
}

TEST(page, a_run_is_single_frames_and_comes_back_in_its_order)
{
	struct page *got[40], *again[8];
	u64 total;
	u32 n = 0, some;

	start(200);
	total = mem_free_pages();
	while (n < ARRAY_LEN(got)) {
		some = page_alloc_run(PAGE_FILE, 0, got + n, (u32)ARRAY_LEN(got) - n);
		NEED(some);
		for (u32 i = n; i < n + some; i++) {
			CHECK_EQ(page_refs(got[i]), 1u);
			CHECK_EQ(got[i]->order, 0);
			memset(page_addr(got[i]), (int)i, PAGE_SIZE);
		}
		n += some;
	}
	for (u32 i = 0; i < n; i++)
		CHECK_EQ(*(u8 *)page_addr(got[i]), (u8)i);
	CHECK_EQ(mem_free_pages(), total - n);
	page_get(got[1]);
	page_put_run(got, 8);
	CHECK_EQ(page_refs(got[1]), 1u);		/* somebody else's still */
	CHECK_EQ(mem_free_pages(), total - n + 7);
	NEED(page_alloc_run(PAGE_FILE, 0, again, 7) == 7);
	CHECK_EQ(again[0], got[0]);
	for (u32 i = 1; i < 7; i++)
		CHECK_EQ(again[i], got[i + 1]);
}

TEST(page, a_run_takes_the_last_frame_and_blocks_go_in_one_piece)
{
	struct page *got[256], *block;
	u32 n = 0, some;
	u64 total;

	start(64);
	total = mem_free_pages();
	block = page_alloc(3, PAGE_KERNEL, 0);
	NEED(block);
	page_put_run(&block, 1);
	CHECK_EQ(mem_free_pages(), total);
	while ((some = page_alloc_run(PAGE_FILE, ALLOC_ATOMIC, got, ARRAY_LEN(got))) != 0)
		n += some;
	CHECK_EQ(n, total);
	CHECK_EQ(mem_free_pages(), 0ul);
}

TEST(page, split_gives_each_frame_the_heads_count)
{
	u64 before;

	start(64);
	before = mem_free_pages();
	struct page *pg = page_alloc(9, PAGE_ANON, 0);

	NEED(pg);
	page_get(pg);
	pg->index = 100;
	page_split(pg);
	for (u32 i = 0; i < 512; i++) {
		CHECK_EQ(page_refs(&pg[i]), 2u);
		CHECK_EQ(pg[i].index, 100u + i);
		CHECK_EQ(pg[i].use, PAGE_ANON);
		page_put(&pg[i]);
	}
	for (u32 i = 512; i-- > 0;)
		page_put(&pg[i]);
	CHECK_EQ(mem_free_pages(), before);
	pg = page_alloc(9, PAGE_ANON, 0);
	CHECK(pg);
}

TEST(page, users_leave_the_kernels_reserve_and_atomic_callers_get_it)
{
	u64 left;

	start(64);
	while (page_alloc(0, PAGE_ANON, ALLOC_USER | ALLOC_NORECLAIM))
		;
	left = mem_free_pages();
	CHECK_LE(mem_zone.min - 16, left);
	CHECK(page_alloc(0, PAGE_KERNEL, ALLOC_NORECLAIM));
	while (page_alloc(0, PAGE_KERNEL, ALLOC_NORECLAIM))
		;
	CHECK(page_alloc(0, PAGE_KERNEL, ALLOC_ATOMIC));
	while (page_alloc(0, PAGE_KERNEL, ALLOC_ATOMIC))
		;
	CHECK_EQ(mem_free_pages(), 0ul);
}

static struct page *hoard[4096];
static u32 nhoard;

static u64 hoard_shrink(struct mem_shrinker *s, u64 want)
{
	u64 n = 0;

	for (; nhoard && n < want; n++)
		page_put(hoard[--nhoard]);
	return n;
}

TEST(page, shrinkers_are_asked_before_an_allocation_fails)
{
	static struct mem_shrinker s = { .name = "hoard", .shrink = hoard_shrink };

	start(64);
	mem_shrinker_add(&s);
	for (; nhoard < ARRAY_LEN(hoard); nhoard++)
		NEED((hoard[nhoard] = page_alloc(0, PAGE_FILE, 0)));
	u64 n = 0;

	while (page_alloc(0, PAGE_ANON, 0))
		n++;
	CHECK_EQ(nhoard, 0u);
	CHECK_LT(4096ul, n);
}

static u32 drains, kills, killed_too_early;

/* What lay in other CPUs' caches. */
static void hoard_drain(void)
{
	drains++;
	hoard_shrink(NULL, ARRAY_LEN(hoard));
}

static bool nobody_left(void)
{
	killed_too_early += nhoard > 0;
	return ++kills < 2;
}

TEST(page, all_cpus_caches_are_emptied_before_anybody_is_killed)
{
	start(64);
	mem_drain_hook = hoard_drain;
	mem_oom_hook = nobody_left;
	for (; nhoard < ARRAY_LEN(hoard); nhoard++)
		NEED((hoard[nhoard] = page_alloc(0, PAGE_ANON, 0)));
	u64 n = 0;

	while (page_alloc(0, PAGE_ANON, ALLOC_USER | ALLOC_NORECLAIM))
		;
	CHECK_EQ(drains, 0u);
	while (page_alloc(0, PAGE_ANON, ALLOC_USER))
		n++;
	CHECK_LE(ARRAY_LEN(hoard), n);
	CHECK_EQ(killed_too_early, 0u);
	CHECK_EQ(kills, 2u);
	CHECK_EQ(drains, 3u);		/* and after each death */
}

/* Three caches of so many frames; which of them was asked while one before it still had some. */
static struct cache {
	struct mem_shrinker s;
	u32 n;
	struct page *frame[64];
} caches[3];
static u32 asked_too_early;

static u64 cache_shrink(struct mem_shrinker *s, u64 want)
{
	struct cache *c = container_of(s, struct cache, s);
	u64 n = 0;

	for (u32 i = 0; i < ARRAY_LEN(caches); i++)
		asked_too_early += caches[i].s.order < s->order && caches[i].n;
	for (; c->n && n < want; n++)
		page_put(c->frame[--c->n]);
	return n;
}

TEST(page, caches_are_asked_in_their_order_and_only_for_what_is_missing)
{
	static const u32 orders[] = { 2, 0, 1 };

	start(64);
	for (u32 i = 0; i < ARRAY_LEN(caches); i++) {
		struct cache *c = &caches[i];

		c->s = (struct mem_shrinker){ .name = "cache", .order = orders[i], .shrink = cache_shrink };
		mem_shrinker_add(&c->s);
		for (; c->n < ARRAY_LEN(c->frame); c->n++)
			NEED((c->frame[c->n] = page_alloc(0, PAGE_FILE, 0)));
	}
	CHECK_EQ(mem_reclaim(10), 10ul);
	CHECK_EQ(caches[1].n, 54u);
	CHECK_EQ(mem_reclaim(100), 100ul);
	CHECK_EQ(caches[1].n, 0u);
	CHECK_EQ(caches[2].n, 18u);
	CHECK_EQ(caches[0].n, 64u);
	CHECK_EQ(asked_too_early, 0u);
	CHECK_LE(82ul, mem_reclaim(1000));
	CHECK_EQ(caches[0].n, 0u);
}

TEST(page, a_write_to_a_free_frame_is_found)
{
	struct page *pg;

	start(64);
	pg = page_alloc(0, PAGE_KERNEL, 0);
	NEED(pg);
	page_put(pg);
	((u8 *)page_addr(pg))[123] = 1;
	host_expect_panic("written at offset 0x78");
	pg = page_alloc(0, PAGE_KERNEL, 0);
}

TEST(page, a_double_free_is_found)
{
	struct page *pg;

	start(64);
	pg = page_alloc(0, PAGE_KERNEL, 0);
	NEED(pg);
	page_put(pg);
	host_expect_panic("freed in state");
	page_put_last(pg);
}

TEST(slab, objects_do_not_overlap_and_empty_slabs_go_back)
{
	static void *got[20000];
	struct slab_cache *c;
	u64 before;

	start(200);
	c = slab_cache_create("test", 104, 0);
	void *first = slab_alloc(c);

	slab_free(c, first);
	before = mem_free_pages();
	for (u32 i = 0; i < ARRAY_LEN(got); i++) {
		NEED((got[i] = slab_alloc(c)));
		CHECK_EQ((u64)got[i] % 8, 0ul);
		memset(got[i], (int)i, 104);
	}
	for (u32 i = 0; i < ARRAY_LEN(got); i++) {
		u8 *p = got[i];

		NEED(p[0] == (u8)i && p[103] == (u8)i);
	}
	for (u32 i = ARRAY_LEN(got) - 1; i > 0; i--) {
		u32 j = (u32)host_random_below(i + 1);
		void *t = got[i];

		got[i] = got[j];
		got[j] = t;
	}
	for (u32 i = 0; i < ARRAY_LEN(got); i++)
		slab_free(c, got[i]);
	/* What magazines and the two kept slabs pin: each magazine object may hold a slab. */
	CHECK_LE(before, mem_free_pages() + 70 * 8);
}

TEST(slab, a_stable_caches_memory_stays_its_objects)
{
	static u64 *got[2000];
	struct slab_cache *c;
	u64 before, freed;
	u32 looked = 0;

	start(200);
	c = slab_cache_create_stable("test", 512, 0);
	for (u32 round = 0; round < 2; round++) {
		before = mem_free_pages();
		for (u32 i = 0; i < ARRAY_LEN(got); i++) {
			NEED((got[i] = slab_alloc(c)));
			got[i][2] = got[i][63] = 0x1234;
		}
		for (u32 i = 0; i < ARRAY_LEN(got); i++)
			slab_free(c, got[i]);
		freed = mem_free_pages();
		for (u32 i = 0; i < ARRAY_LEN(got); i++) {
			if (page_of_addr(got[i])->use != PAGE_SLAB)
				continue;
			CHECK(got[i][2] == 0x1234 && got[i][63] == 0x1234);	/* what a reader may look at */
			looked++;
		}
		rcu_barrier();			/* one deferral is always pending here (fake_rcu.c) */
		CHECK_LT(freed, mem_free_pages());
		CHECK_LE(before, mem_free_pages() + 70 * 8);
	}
	CHECK(looked);
}

TEST(slab, random_kmalloc_sizes)
{
	static struct { u8 *p; usize n; } live[1000];
	u64 before;

	start(200);
	before = mem_free_pages();
	for (u32 step = 0; step < 100000; step++) {
		u32 i = (u32)host_random_below(ARRAY_LEN(live));

		if (live[i].p) {
			NEED(live[i].p[0] == (u8)i && live[i].p[live[i].n - 1] == (u8)i);
			kfree(live[i].p);
			live[i].p = NULL;
			continue;
		}
		live[i].n = 1 + host_random_below(host_random_below(16) ? 600 : 40000);
		live[i].p = host_random_below(2) ? kmalloc(live[i].n) : kzalloc(live[i].n);
		NEED(live[i].p);
		CHECK_LE(live[i].n, kmalloc_size(live[i].p));
		memset(live[i].p, (int)i, live[i].n);
	}
	for (u32 i = 0; i < ARRAY_LEN(live); i++)
		kfree(live[i].p);
	CHECK_LE(before, mem_free_pages() + 700);
}

TEST(slab, alignment_and_limits)
{
	start(64);
	for (u32 i = 0; i < 100; i++) {
		CHECK_EQ((u64)kmalloc(64) % 64, 0ul);
		CHECK_EQ((u64)kmalloc(4096) % 4096, 0ul);
		CHECK_EQ((u64)kmalloc(24) % 16, 0ul);
	}
	CHECK(kmalloc(0));
	CHECK(!kmalloc((4ul << 20) + 1));
	CHECK(!kmalloc(~0ul));
	kfree(NULL);
}

TEST(slab, double_free_is_found)
{
	void *p, *again;

	start(64);
	p = kmalloc(100);
	again = stale(p);
	kfree(p);
	host_expect_panic("freed twice");
	kfree(again);
}

TEST(slab, an_object_may_be_freed_unwritten)
{
	start(64);
	for (u32 i = 0; i < 100; i++)
		kfree(kmalloc(100));
}

TEST(slab, a_write_after_free_is_found)
{
	u8 *p, *again;

	start(64);
	p = kmalloc(100);
	again = stale(p);
	kfree(p);
	again[50] = 1;
	host_expect_panic("was written");
	for (u32 i = 0; i < 1000; i++)
		NEED(kmalloc(100));
}

TEST(slab, krealloc_keeps_bytes)
{
	start(64);
	char *p = kmemdup("0123456789", 11);

	NEED(p);
	p = krealloc(p, 11, 5000);
	CHECK_STR_EQ(p, "0123456789");
	p = krealloc(p, 5000, 6);
	CHECK(!strncmp(p, "012345", 6));
	CHECK(!krealloc(p, 6, 1ul << 40));
	CHECK(!strncmp(p, "012345", 6));
}
