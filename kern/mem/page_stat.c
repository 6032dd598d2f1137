/* How much memory there is, how much is free, what the rest is used for.  Sums over CPUs that go on counting: a little off. */
#include <mem/mem.h>
#include "mem_internal.h"

static u64 use_total(enum page_use use)
{
	i64 n = 0;

	for_each_cpu(c)
		n += READ_ONCE((*per_cpu_ptr(&page_use_count, c))[use]);
	return n > 0 ? (u64)n : 0;
}

static u64 cached_total(void)
{
	u64 n = 0;

	for_each_cpu(c) {
		struct page_cache *pc = per_cpu_ptr(&page_cache, c);

		n += READ_ONCE(pc->nzero);
		for (u32 g = 0; g < GROUP_ISOLATED; g++)
			n += READ_ONCE(pc->hot[g].n);
	}
	return n;
}

u64 mem_free_pages(void)
{
	return zone_avail() + cached_total();
}

void mem_stats(struct mem_stats *out)
{
	*out = (struct mem_stats){
		.total = mem_total_pages(),
		.free = mem_free_pages(),
		.cached_free = cached_total() + READ_ONCE(mem_zone.zeroed),
		.slab = use_total(PAGE_SLAB),
		.kernel_stack = use_total(PAGE_KSTACK),
		.tables = use_total(PAGE_TABLE),
		.anon = use_total(PAGE_ANON),
		.file = use_total(PAGE_FILE),
		.image = use_total(PAGE_IMAGE),
		.kernel = use_total(PAGE_KERNEL),
		.vmalloc = (u64)atomic64_read(&mem_counters.vmalloc_pages),
		.reclaimed = (u64)atomic64_read(&mem_counters.reclaimed),
		.reclaim_runs = (u64)atomic64_read(&mem_counters.runs),
		.drains = (u64)atomic64_read(&mem_counters.drains),
		.alloc_failures = (u64)atomic64_read(&mem_counters.failures),
		.zeroed_hits = (u64)atomic64_read(&mem_counters.zeroed_hits),
	};
	for (u32 o = 0; o <= PAGE_MAX_ORDER; o++)
		out->free_by_order[o] = READ_ONCE(mem_zone.buddy.count[o]);
}
