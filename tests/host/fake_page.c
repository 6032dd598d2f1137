/*
 * mem/page.h over simulated RAM: the kernel's own buddy lists, failure
 * injection, and free frames poisoned for AddressSanitizer.  Frame 0 is never
 * given out.
 */
#include <core/lock.h>
#include <base/bitmap.h>
#include <mem/compact.h>
#include <mem/mem.h>
#include <mem/page.h>
#include <test/test.h>
#include "../../kern/mem/compact.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#else
#define __asan_poison_memory_region(a, n)   ((void)(a))
#define __asan_unpoison_memory_region(a, n) ((void)(a))
#endif

static struct buddy buddy;
static u8 groups[HOST_RAM_FRAMES >> BUDDY_REGION];
static u64 ram_frames;
static u64 use_count[PAGE_USES];
static u64 stuck[BITMAP_WORDS(HOST_RAM_FRAMES >> BUDDY_REGION)];
static struct compact compact = { .regions = HOST_RAM_FRAMES >> BUDDY_REGION, .stuck = stuck };
bool (*mem_oom_hook)(void);
void (*mem_drain_hook)(void);
void (*mem_stall_hook)(bool begins);

void host_ram_limit(u64 frames)
{
	VERIFY(!ram_frames && frames <= HOST_RAM_FRAMES);
	ram_frames = frames;
	buddy_init(&buddy, groups);
	buddy_free_range(&buddy, 1, frames);
	__asan_poison_memory_region(host_ram, frames << PAGE_SHIFT);
}

struct page *page_alloc(u32 order, enum page_use use, u32 flags)
{
	struct page *pg;

	if (!(flags & ALLOC_ATOMIC))
		assert_may_sleep();
	if (!ram_frames)
		host_ram_limit(HOST_RAM_FRAMES);
	if (host_alloc_should_fail())
		return NULL;
	pg = buddy_alloc(&buddy, order, buddy_group_for(use)) ?: buddy_steal(&buddy, order, buddy_group_for(use));
	if (!pg)
		return NULL;
	__asan_unpoison_memory_region(page_addr(pg), PAGE_SIZE << order);
	memset(page_addr(pg), flags & ALLOC_ZERO ? 0 : 0xcd, PAGE_SIZE << order);
	*pg = (struct page){ .use = (u8)use, .order = (u8)order, .flags = order ? PAGE_F_HEAD : 0 };
	atomic_set(&pg->refs, 1);
	host_count_alloc(0, 1l << order);
	use_count[use] += 1u << order;
	return pg;
}

void page_put_last(struct page *pg)
{
	u32 order = pg->order;

	VERIFY_CMP(pg->use, >, PAGE_RESERVED);
	VERIFY((pg->flags & PAGE_F_LRU) == 0);
	use_count[pg->use] -= 1u << order;
	__asan_poison_memory_region(page_addr(pg), PAGE_SIZE << order);
	pg->flags = 0;
	pg->order = 0;
	pg->use = PAGE_FREE;
	host_count_alloc(0, -(1l << order));
	buddy_free(&buddy, pg, order);
}

u32 page_alloc_run(enum page_use use, u32 flags, struct page **out, u32 max)
{
	u32 n = 0;

	while (n < max && (out[n] = page_alloc(0, use, flags)) != NULL)
		n++;
	return n;
}

void page_put_run(struct page **pages, u32 n)
{
	while (n--)
		page_put(pages[n]);
}

/* Where no region is worth it, one in turn that holds movable frames, so that some are moved in any case. */
u32 mem_compact_begin(void)
{
	static u64 turn;

	compact_choose(&compact, &buddy);
	for (u64 looks = compact.regions; !compact.n && looks; looks--) {
		u64 region = turn++ % compact.regions;

		if (buddy_group_of(&buddy, region << BUDDY_REGION) != GROUP_MOVABLE)
			continue;
		for (u64 i = 0; i < 1u << BUDDY_REGION && !compact.n; i++) {
			const struct page *pg = pfn_to_page(PFN((region << BUDDY_REGION) + i));

			compact.n = pg->use == PAGE_ANON && page_refs(pg) == 1;
		}
		compact.pick[0].region = region;
	}
	for (u32 i = 0; i < compact.n; i++)
		buddy_set_group(&buddy, compact.pick[i].region << BUDDY_REGION, GROUP_ISOLATED);
	return compact.n;
}

u32 mem_compact_end(void) { return compact_release(&compact, &buddy); }
u64 mem_free_blocks(void) { return buddy_blocks(&buddy); }
void (*host_on_drain)(void);
void mem_drain_cpu(void *unused)
{
	if (host_on_drain)
		host_on_drain();
}
void mem_compact_put(struct page *pg) { page_put(pg); }
bool mem_compact_leaving(const struct page *pg)
{
	return buddy_group_of(&buddy, page_to_pfn(pg).v) == GROUP_ISOLATED;
}

struct page *mem_compact_frame(void)
{
	struct page *pg = page_alloc(0, PAGE_ANON, 0);

	if (pg && mem_compact_leaving(pg)) {
		page_put(pg);
		return NULL;
	}
	return pg;
}

void page_split(struct page *head)
{
	u32 n = 1u << head->order;

	head->order = 0;
	head->flags &= (u16)~PAGE_F_HEAD;
	for (u32 i = 1; i < n; i++) {
		head[i] = *head;
		head[i].used = 0;
		head[i].index = head->index + i;
	}
}

void page_set_use(struct page *pg, enum page_use use)
{
	use_count[pg->use] -= 1u << pg->order;
	use_count[use] += 1u << pg->order;
	pg->use = (u8)use;
}

bool page_chunk_online(pfn_t f) { return f.v < HOST_RAM_FRAMES; }
bool pfn_valid(pfn_t f) { return f.v < ram_frames; }
u64 mem_free_pages(void) { return buddy.nfree; }
u64 mem_total_pages(void) { return ram_frames; }
bool mem_idle_zero(void) { return false; }

static struct list shrinkers = LIST_INIT(shrinkers);
void mem_shrinker_add(struct mem_shrinker *s) { list_push_back(&shrinkers, &s->link); }

/* Each shrinker once, in the order of their start: page_alloc() here never asks, tests do. */
u64 mem_reclaim(u64 want)
{
	struct mem_shrinker *s;
	u64 freed = 0;

	list_for_each(s, &shrinkers, link)
		if (freed < want)
			freed += s->shrink(s, want - freed);
	return freed;
}

u64 mem_reclaim_for(u64 want) { return mem_reclaim(want); }

void mem_stats(struct mem_stats *out)
{
	*out = (struct mem_stats){ .total = ram_frames, .free = buddy.nfree, .slab = use_count[PAGE_SLAB],
		.kernel_stack = use_count[PAGE_KSTACK], .tables = use_count[PAGE_TABLE], .anon = use_count[PAGE_ANON],
		.file = use_count[PAGE_FILE], .image = use_count[PAGE_IMAGE], .kernel = use_count[PAGE_KERNEL] };
}
