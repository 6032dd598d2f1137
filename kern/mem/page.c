/*
 * page_alloc and page_put: per-CPU caches in front of the zone.
 *
 * States of a frame and who guards it:
 *   on a buddy list    PAGE_FREE,   zone lock
 *   zeroed pool        PAGE_CACHED, F_ZEROED, zone lock
 *   per-CPU cache      PAGE_CACHED, owner CPU with interrupts off
 *   live               any other use, refs >= 1
 * A single frame goes hot cache <-> buddy in batches, so that most calls take
 * no lock.  Each group of uses (buddy.h) has its own, or frames would change
 * sides there.  Zeroed frames never mix with the others: they are only handed out
 * to MOVABLE callers that ask for zeroes, or when nothing else is left.
 *
 * Watermarks (zone_avail() before the allocation must exceed): atomic callers 0,
 * the kernel min / 2, user pages min, blocks that single frames can stand in
 * for (ALLOC_SPARE) twice low.  Below low, callers that may sleep reclaim before
 * they take.
 */
#include <arch/cpu.h>
#include <base/errno.h>
#include <base/string.h>
#include <mem/compact.h>
#include "mem_internal.h"

#define CACHE_BATCH 16u
#define CACHE_DRAIN 64u			/* at most, with the zone's lock held */

DEFINE_PER_CPU(struct page_cache, page_cache);
DEFINE_PER_CPU(i64, page_use_count[PAGE_USES]);
struct zone mem_zone;

static inline void page_count(enum page_use use, i64 n)
{
	this_cpu_add(page_use_count[use], n);
}

void page_zone_init(void)
{
	u64 total = mem_zone.total;

	mem_zone.zero_head = BUDDY_NONE;
	mem_zone.min = MIN(MAX(total / 128, 64ul), 2048ul);
	mem_zone.low = mem_zone.min * 2 + CACHE_BATCH;
	mem_zone.zero_target = MIN(total / 64, 2048ul);
	mem_zone.cache_high = (u32)MIN(MAX(total / 512, 2 * CACHE_BATCH), CACHE_MAX);
}

static u64 zone_floor(u32 flags)
{
	if (flags & ALLOC_ATOMIC)
		return 0;
	if (flags & ALLOC_SPARE)
		return mem_zone.low * 2;
	return flags & ALLOC_USER ? mem_zone.min : mem_zone.min / 2;
}

/* ---- poison (debug) ---- */

#ifdef SAKER_DEBUG
static void page_poison(struct page *pg, u32 order)
{
	memset(page_addr(pg), POISON_PAGE, PAGE_SIZE << order);
	for (u32 i = 0; i < 1u << order; i++)
		pg[i].flags |= PAGE_F_POISONED;
}

static void page_poison_check(struct page *pg, u32 order)
{
	for (u32 i = 0; i < 1u << order; i++) {
		bool zeroed = pg[i].flags & PAGE_F_ZEROED;
		u64 want = zeroed ? 0 : POISON_PAGE * 0x0101010101010101ull;
		const u64 *w = page_addr(&pg[i]);

		if (!zeroed && !(pg[i].flags & PAGE_F_POISONED))
			continue;
		for (u32 j = 0; j < PAGE_SIZE / 8; j++)
			if (unlikely(w[j] != want))
				panic("free frame %#llx written at offset %#x: %#llx", (unsigned long long)
				      page_to_pfn(&pg[i]).v, j * 8, (unsigned long long)w[j]);
		pg[i].flags &= ~PAGE_F_POISONED;
	}
}
#else
static inline void page_poison(struct page *pg, u32 order) {}
static inline void page_poison_check(struct page *pg, u32 order) {}
#endif

/* ---- zone ---- */

static struct page *zone_take_zeroed(void) MUST_HOLD(&mem_zone.lock)
{
	struct page *pg;

	if (mem_zone.zero_head == BUDDY_NONE)
		return NULL;
	pg = pfn_to_page(PFN(mem_zone.zero_head));
	mem_zone.zero_head = pg->link.next;
	mem_zone.zeroed--;
	return pg;
}

static struct page *zone_take(u32 order, enum buddy_group group) MUST_HOLD(&mem_zone.lock)
{
	struct page *pg;

	do {
		pg = buddy_alloc(&mem_zone.buddy, order, group);
	} while (!pg && frames_online_next());
	return pg ? pg : buddy_steal(&mem_zone.buddy, order, group);
}

/* Up to 2^max frames in one piece, for single use. */
static struct page *zone_take_some(u32 max, enum buddy_group group, u32 *order) MUST_HOLD(&mem_zone.lock)
{
	struct page *pg = buddy_alloc_some(&mem_zone.buddy, max, group, order);

	if (likely(pg))
		return pg;
	*order = 0;
	return zone_take(0, group);
}

/* Gives the zeroed pool back to the lists so that its frames may coalesce. */
static void zone_drop_zeroed(void) MUST_HOLD(&mem_zone.lock)
{
	struct page *pg;

	while ((pg = zone_take_zeroed())) {
		pg->flags = 0;
		buddy_free(&mem_zone.buddy, pg, 0);
	}
}

static struct page *zone_alloc_block(u32 order, enum buddy_group group, u32 flags)
{
	GUARD_IRQ(&mem_zone.lock);
	struct page *pg;

	if (zone_avail() < zone_floor(flags) + (1ul << order))
		return NULL;
	pg = zone_take(order, group);
	if (!pg && mem_zone.zeroed && !(flags & ALLOC_SPARE)) {
		zone_drop_zeroed();
		pg = zone_take(order, group);
	}
	return pg;
}

static void zone_free_block(struct page *pg, u32 order)
{
	GUARD_IRQ(&mem_zone.lock);
	buddy_free(&mem_zone.buddy, pg, order);
}

/* ---- per-CPU caches: interrupts are off in all of these ---- */

static void cache_push(struct hot *hot, struct page *pg)
{
	pg->use = PAGE_CACHED;
	hot->page[hot->n++] = pg;
}

/* Moves up to a batch of frames from the zone, in one piece if it can; false: the floor is reached. */
static NOINLINE bool cache_refill(struct hot *hot, enum buddy_group group, u32 flags)
{
	GUARD_SPIN(&mem_zone.lock);
	u64 floor = zone_floor(flags), avail = zone_avail();
	u32 room = avail > floor ? (u32)MIN(CACHE_BATCH, avail - floor) : 0;
	struct page *pg;
	u32 order;

	while (room && (pg = zone_take_some(31 - (u32)__builtin_clz(room), group, &order)) != NULL) {
		for (u32 i = 1u << order; i--;)		/* what is taken together lies together */
			cache_push(hot, pg + i);
		room -= 1u << order;
	}
	if (!hot->n && zone_avail() > floor) {
		pg = zone_take_zeroed();
		if (pg) {
			pg->flags = 0;
			cache_push(hot, pg);
		}
	}
	return hot->n > 0;
}

static NOINLINE void cache_refill_zeroed(struct page_cache *pc, u32 flags)
{
	GUARD_SPIN(&mem_zone.lock);
	struct page *pg;

	while (pc->nzero < CACHE_ZERO && zone_avail() > zone_floor(flags)) {
		pg = zone_take_zeroed();
		if (!pg)
			return;
		pc->zero[pc->nzero++] = pg;
	}
}

/* Returns n frames, the oldest ones. */
static NOINLINE void cache_drain(struct hot *hot, u64 n)
{
	{
		GUARD_SPIN(&mem_zone.lock);
		for (u32 i = 0; i < n; i++)
			buddy_free(&mem_zone.buddy, hot->page[i], 0);
	}
	memmove(hot->page, hot->page + n, (hot->n - n) * sizeof(hot->page[0]));
	hot->n -= n;
}

/* The zone has nothing: what this CPU holds for others. */
static NOINLINE struct page *cache_take_last(struct page_cache *pc)
{
	for (u32 g = 0; g < GROUP_ISOLATED; g++)
		if (pc->hot[g].n)
			return pc->hot[g].page[--pc->hot[g].n];
	return pc->nzero ? pc->zero[--pc->nzero] : NULL;
}

static struct page *cache_take(enum buddy_group group, u32 flags, bool refill)
{
	u64 irq = irq_save();
	struct page_cache *pc = this_cpu_ptr(&page_cache);
	struct hot *hot = &pc->hot[group];
	struct page *pg = NULL;

	if (flags & ALLOC_ZERO && group == GROUP_MOVABLE) {
		if (!pc->nzero && READ_ONCE(mem_zone.zeroed))
			cache_refill_zeroed(pc, flags);
		if (pc->nzero)
			pg = pc->zero[--pc->nzero];
	}
	if (!pg && (hot->n || (refill && cache_refill(hot, group, flags))))
		pg = hot->page[--hot->n];
	if (!pg && refill)
		pg = cache_take_last(pc);
	irq_restore(irq);
	return pg;
}

/* ---- the public functions ---- */

static struct page *page_take(u32 order, enum buddy_group group, u32 flags)
{
	return order ? zone_alloc_block(order, group, flags) : cache_take(group, flags, true);
}

/* Everything that is not a hit in a per-CPU cache. */
static NOINLINE struct page *page_alloc_slow(u32 order, enum buddy_group group, u32 flags)
{
	bool may_reclaim = !(flags & (ALLOC_ATOMIC | ALLOC_NORECLAIM)), drained = false;
	struct page *pg;

	if (may_reclaim && zone_avail() < mem_zone.low)
		mem_reclaim_background();
	for (u32 tries = 0;; tries++) {
		pg = page_take(order, group, flags);
		if (pg)
			return pg;
		if (!may_reclaim)
			break;
		if (tries < 8 && mem_reclaim_for(MAX(1u << order, 2 * CACHE_BATCH)))
			continue;
		if (!drained && mem_drain_all()) {
			drained = true;
			continue;
		}
		if (order == 0 && (flags & ALLOC_USER) && mem_oom()) {
			tries = 0;
			drained = false;		/* the dead one's frames are in its CPU's cache */
			continue;
		}
		break;
	}
	if (!(flags & ALLOC_SPARE))
		atomic64_inc(&mem_counters.failures);
	return NULL;
}

static void page_zero(struct page *pg, u32 order)
{
	memset(page_addr(pg), 0, PAGE_SIZE << order);
}

/* One owner, whose use it is. */
static ALWAYS_INLINE struct page *page_ready(struct page *pg, u32 order, enum page_use use)
{
	pg->use = (u8)use;
	pg->order = (u8)order;
	pg->flags = order ? PAGE_F_HEAD : 0;
	pg->used = 0;
	pg->owner = NULL;
	pg->index = 0;
	page_count(use, 1 << order);
	store_release(&pg->refs.v, 1);
	return pg;
}

static NOINLINE struct page *page_alloc_any(u32 order, enum page_use use, u32 flags)
{
	enum buddy_group group = buddy_group_for(use);
	struct page *pg = NULL;

	if (NEVER(order > PAGE_MAX_ORDER))
		return NULL;
	if (likely(order == 0))
		pg = cache_take(group, flags, false);
	if (unlikely(!pg)) {
		pg = page_alloc_slow(order, group, flags);
		if (!pg)
			return NULL;
	}
	page_poison_check(pg, order);
	if (flags & ALLOC_ZERO) {
		if (pg->flags & PAGE_F_ZEROED)
			atomic64_inc(&mem_counters.zeroed_hits);
		else
			page_zero(pg, order);
	}
	return page_ready(pg, order, use);
}

static NOINLINE struct page *page_alloc_zero(enum page_use use, u32 flags)
{
	bool pool = READ_ONCE(mem_zone.zeroed) || READ_ONCE(this_cpu_ptr(&page_cache)->nzero);	/* a hint */
	struct page *pg;

	if (pool && buddy_group_for(use) == GROUP_MOVABLE)
		return page_alloc_any(0, use, flags);
	pg = page_alloc(0, use, flags & ~ALLOC_ZERO);
	if (likely(pg))
		page_zero(pg, 0);
	return pg;
}

/* A hit in the per-CPU cache calls nothing, so that it saves no registers. */
struct page *page_alloc(u32 order, enum page_use use, u32 flags)
{
	if (order)
		return page_alloc_any(order, use, flags);
	if (flags & ALLOC_ZERO)
		return page_alloc_zero(use, flags);
	u64 irq = irq_save();
	struct hot *hot = &this_cpu_ptr(&page_cache)->hot[buddy_group_for(use)];
	struct page *pg = likely(hot->n) ? hot->page[--hot->n] : NULL;

	irq_restore(irq);
	if (unlikely(!pg))
		return page_alloc_any(order, use, flags);
	page_poison_check(pg, 0);
	return page_ready(pg, 0, use);
}

u32 page_alloc_run(enum page_use use, u32 flags, struct page **out, u32 max)
{
	u64 irq = irq_save();
	struct hot *hot = &this_cpu_ptr(&page_cache)->hot[buddy_group_for(use)];
	u32 n = (u32)MIN(hot->n, max);

	hot->n -= n;
	for (u32 i = 0; i < n; i++)
		out[i] = hot->page[hot->n + n - 1 - i];
	irq_restore(irq);
	for (u32 i = 0; i < n; i++) {
		page_poison_check(out[i], 0);
		page_ready(out[i], 0, use);
	}
	if (!n && max) {
		out[0] = page_alloc(0, use, flags);
		n = out[0] != NULL;
	}
	return n;
}

static NOINLINE void hot_drain_push(struct hot *hot, struct page *pg, u64 irq)
{
	cache_drain(hot, MIN(hot->n / 2, CACHE_DRAIN));	/* what was freed last is warm in this CPU's caches */
	cache_push(hot, pg);
	irq_restore(irq);
}

/* The frame or block is nobody's any more. */
static ALWAYS_INLINE void page_retire(struct page *pg, u32 order)
{
	if (unlikely(pg->use <= PAGE_RESERVED || (pg->flags & (PAGE_F_LRU))))
		panic("frame %#llx freed in state use %u flags %#x", (unsigned long long)page_to_pfn(pg).v,
		      pg->use, pg->flags);
	page_count(pg->use, -(1 << order));
	pg->flags = 0;
	page_poison(pg, order);
}

void page_put_last(struct page *pg)
{
	enum buddy_group group = buddy_group_for(pg->use);
	u32 order = pg->order;
	struct hot *hot;
	u64 irq;

	page_retire(pg, order);
	if (order) {
		zone_free_block(pg, order);
		return;
	}
	irq = irq_save();
	hot = &this_cpu_ptr(&page_cache)->hot[group];
	if (unlikely(hot->n >= mem_zone.cache_high)) {
		hot_drain_push(hot, pg, irq);
		return;
	}
	cache_push(hot, pg);
	irq_restore(irq);
}

/* From the last to the first, so that they are given out in this order again. */
void page_put_run(struct page **pages, u32 n)
{
	u64 irq = irq_save();
	struct page_cache *pc = this_cpu_ptr(&page_cache);

	while (n--) {
		struct page *pg = pages[n];
		struct hot *hot = &pc->hot[buddy_group_for(pg->use)];

		if (!atomic_dec_is_zero(&pg->refs))
			continue;
		if (unlikely(pg->order || hot->n >= mem_zone.cache_high)) {
			page_put_last(pg);
			continue;
		}
		page_retire(pg, 0);
		cache_push(hot, pg);
	}
	irq_restore(irq);
}

/* The caller excludes other users of the block (nobody can look up its inner frames yet). */
void page_split(struct page *head)
{
	i32 refs = atomic_read(&head->refs);
	u32 n = 1u << head->order;

	ASSERT(refs > 0);
	for (u32 i = 1; i < n; i++) {
		head[i].use = head->use;
		head[i].order = 0;
		head[i].flags = head->flags & ~(PAGE_F_HEAD | PAGE_F_LRU | PAGE_F_ACTIVE);
		head[i].used = 0;
		head[i].owner = head->owner;
		head[i].index = head->index + i;
		store_release(&head[i].refs.v, refs);
	}
	head->order = 0;
	bits_clear(&head->flags, (u16)PAGE_F_HEAD);
}

void page_set_use(struct page *pg, enum page_use use)
{
	i64 n = 1l << pg->order;

	ASSERT(atomic_read(&pg->refs) > 0);
	if (pg->use == PAGE_RESERVED) {
		GUARD_IRQ(&mem_zone.lock);
		mem_zone.total += n;
	} else {
		page_count(pg->use, -n);
	}
	pg->use = (u8)use;
	page_count(use, n);
}

void page_release_reserved(u64 start, u64 end)
{
	GUARD_IRQ(&mem_zone.lock);
	for (u64 f = start; f < end; f++) {
		struct page *pg = pfn_to_page(PFN(f));

		if (!pfn_valid(PFN(f)) || pg->use != PAGE_RESERVED)
			continue;
		atomic_set(&pg->refs, 0);
		buddy_free(&mem_zone.buddy, pg, 0);
		mem_zone.total++;
	}
}

bool mem_idle_zero(void)
{
	struct page *pg = NULL;

	if (READ_ONCE(mem_zone.zeroed) >= mem_zone.zero_target || zone_avail() < mem_zone.low * 2)
		return false;
	{
		GUARD_IRQ(&mem_zone.lock);
		pg = zone_take(0, GROUP_MOVABLE);
	}
	if (!pg)
		return false;
	page_poison_check(pg, 0);
	page_zero(pg, 0);
	pg->use = PAGE_CACHED;
	pg->flags = PAGE_F_ZEROED;
	GUARD_IRQ(&mem_zone.lock);
	pg->link.next = mem_zone.zero_head;
	mem_zone.zero_head = (u32)page_to_pfn(pg).v;
	mem_zone.zeroed++;
	return mem_zone.zeroed < mem_zone.zero_target;
}

/* ---- reclaim and compaction ---- */

void mem_drain_cpu(void *unused)
{
	u64 irq = irq_save();
	struct page_cache *pc = this_cpu_ptr(&page_cache);

	for (u32 g = 0; g < GROUP_ISOLATED; g++)
		while (pc->hot[g].n)
			cache_drain(&pc->hot[g], MIN(pc->hot[g].n, CACHE_DRAIN));
	while (pc->nzero) {
		struct page *pg = pc->zero[--pc->nzero];

		pg->flags = 0;
		zone_free_block(pg, 0);
	}
	irq_restore(irq);
}

static void choose(void) NO_LOCK_ANALYSIS	/* a look that may be a little wrong */
{
	compact_choose(&mem_zone.compact, &mem_zone.buddy);
}

u32 mem_compact_begin(void)
{
	if (zone_avail() < zone_floor(ALLOC_SPARE) + (1ul << BUDDY_REGION))
		return 0;
	{
		GUARD_IRQ(&mem_zone.lock);
		zone_drop_zeroed();
	}
	choose();
	GUARD_IRQ(&mem_zone.lock);
	return compact_isolate(&mem_zone.compact, &mem_zone.buddy);
}

bool mem_compact_leaving(const struct page *pg) NO_LOCK_ANALYSIS	/* a hint */
{
	return READ_ONCE(mem_zone.buddy.group[page_to_pfn(pg).v >> BUDDY_REGION]) == GROUP_ISOLATED;
}

void mem_compact_put(struct page *pg)
{
	if (!atomic_dec_is_zero(&pg->refs))
		return;
	page_retire(pg, 0);
	zone_free_block(pg, 0);
}

/* What others freed in isolated regions may lie in this CPU's cache: back with it. */
struct page *mem_compact_frame(void)
{
	for (u32 tries = 0; tries <= 2 * CACHE_MAX; tries++) {
		struct page *pg = page_alloc(0, PAGE_ANON, ALLOC_USER | ALLOC_NORECLAIM | ALLOC_SPARE);

		if (!pg || !mem_compact_leaving(pg))
			return pg;
		mem_compact_put(pg);
	}
	return NULL;
}

u64 mem_free_blocks(void) NO_LOCK_ANALYSIS
{
	return buddy_blocks(&mem_zone.buddy);
}

u32 mem_compact_end(void)
{
	GUARD_IRQ(&mem_zone.lock);
	return compact_release(&mem_zone.compact, &mem_zone.buddy);
}
