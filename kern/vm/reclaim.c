/*
 * Reclaim of clean page cache: one list in order of use with a second chance.
 *
 * L1  A page on the list is in the cache of page->owner; it leaves the list
 *     after it left the cache and before the object may die.  So an owner read
 *     under lru_lock is alive.
 * L2  Only pages of objects that can read them again are on it (not swapless,
 *     not borrowed), and only a page that is clean and has no owner but the
 *     cache is taken.
 *
 * lru_lock (rank PAGE_LRU) comes before obj->tree_lock.
 */
#include <sched/pressure.h>

#include "vm.h"

#define LRU_NONE 0xffffffffu

static spinlock_t lru_lock = SPINLOCK_INIT(LR_PAGE_LRU);
static u32 lru_first = LRU_NONE, lru_last = LRU_NONE;
static u64 lru_pages;

static struct page *lru_page(u32 pfn)
{
	return pfn == LRU_NONE ? NULL : pfn_to_page(PFN(pfn));
}

static void append(struct page *pg)
{
	u32 self = (u32)page_to_pfn(pg).v;

	pg->link.next = LRU_NONE;
	pg->link.prev = lru_last;
	if (lru_last == LRU_NONE)
		lru_first = self;
	else
		lru_page(lru_last)->link.next = self;
	lru_last = self;
	lru_pages++;
	bits_set(&pg->flags, PAGE_F_LRU);
}

static void unlink_page(struct page *pg)
{
	struct page *prev = lru_page(pg->link.prev), *next = lru_page(pg->link.next);

	if (prev)
		prev->link.next = pg->link.next;
	else
		lru_first = pg->link.next;
	if (next)
		next->link.prev = pg->link.prev;
	else
		lru_last = pg->link.prev;
	lru_pages--;
	bits_clear(&pg->flags, PAGE_F_LRU);
}

void lru_add(struct page *pg)
{
	GUARD_SPIN(&lru_lock);
	if (!(pg->flags & PAGE_F_LRU))
		append(pg);
}

void lru_remove_listed(struct page *pg)
{
	GUARD_SPIN(&lru_lock);
	if (pg->flags & PAGE_F_LRU)
		unlink_page(pg);
}

/* One look at the oldest page.  True: it was taken out and is the caller's. */
static bool take_oldest(struct page **out)
{
	GUARD_SPIN(&lru_lock);
	struct page *pg = lru_page(lru_first);

	if (!pg)
		return false;
	unlink_page(pg);
	if (!(pg->flags & PAGE_F_ACTIVE) && pagecache_evict(pg->owner, pg)) {	/* inv. L1: the owner lives */
		*out = pg;
		return true;
	}
	bits_clear(&pg->flags, PAGE_F_ACTIVE);
	append(pg);
	return false;
}

static u64 lru_shrink(struct mem_shrinker *s, u64 want)
{
	u64 freed = 0;

	/* Twice round: the first may find every page marked as used. */
	for (u64 looks = 2 * READ_ONCE(lru_pages); looks && freed < want; looks--) {
		struct page *pg;

		if (take_oldest(&pg)) {
			page_put(pg);
			freed++;
		}
	}
	return freed;
}

static struct mem_shrinker lru_shrinker = { .name = "page cache", .order = 0, .shrink = lru_shrink };

void reclaim_init(void)
{
	mem_shrinker_add(&lru_shrinker);
	mem_drain_hook = compact_drain;
	mem_stall_hook = pressure_memory;
}
