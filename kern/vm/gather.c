/*
 * Translation caches: who may hold what, how it is flushed, and the gather
 * object that frees only what has been flushed.
 *
 * G1  as->cpus has the bit of every CPU whose TLB may hold a translation of as,
 *     under any tag.  aspace_switch() sets it before it loads the root; only
 *     that CPU clears it, after it forgot the tag.
 * G2  A CPU that runs a kernel thread keeps the last root loaded (lazy).  It
 *     leaves it at the first flush that reaches it, and always in tlb_leave().
 * G3  Nothing that was mapped is freed before tlb_flush() of its range.
 *
 * Flushing waits for the other CPUs with interrupts on, so that two CPUs that
 * flush each other both make progress; it is allowed under as->pgt_lock, which
 * is never taken with interrupts off.
 */
#include <arch/cpu.h>
#include <base/bitmap.h>
#include <core/stat.h>
#include <sched/sched.h>

#include "vm.h"

#define GATHER_BLOCK 1ul		/* in a pointer to a struct page */
#define FLUSH_SINGLE 32		/* more pages than this: drop the whole tag */

static DEFINE_PER_CPU(struct aspace *, loaded_aspace);

struct shot {
	struct aspace *as;
	u64 start, end;
	bool leave;
};

static void flush_loaded(u64 start, u64 end)
{
	if (end - start > FLUSH_SINGLE * PAGE_SIZE) {
		mmu_flush_all();
		return;
	}
	for (u64 va = start; va < end; va += PAGE_SIZE)
		mmu_flush_page(va);
}

/* Interrupts off. */
static void leave_here(struct aspace *as)
{
	if (this_cpu_read(loaded_aspace) == as) {
		mmu_switch_kernel();
		this_cpu_write(loaded_aspace, NULL);
	}
	mmu_flush_tag(as->id);
	bitmap_clear_atomic(as->cpus, cpu_id());
}

static void shot_arrives(void *arg)
{
	struct shot *s = arg;
	bool here = this_cpu_read(loaded_aspace) == s->as;

	if (s->leave || !here || thread_current()->aspace != s->as)
		leave_here(s->as);			/* inv. G2 */
	else
		flush_loaded(s->start, s->end);
}

void aspace_switch(void *prev, void *next)
{
	struct aspace *to = next;

	if (!to || to == this_cpu_read(loaded_aspace))
		return;
	if (!bitmap_test(to->cpus, cpu_id())) {
		bitmap_set_atomic(to->cpus, cpu_id());	/* inv. G1: before the root */
		store_release(&to->ran, true);
	}
	this_cpu_write(loaded_aspace, to);
	mmu_switch(to->root, to->id);
}

bool tlb_elsewhere(struct aspace *as)
{
	u32 words = BITMAP_WORDS(cpu_count()), self = cpu_id();

	memory_fence();
	if (likely(words == 1))
		return READ_ONCE(as->cpus_inline) & ~(1ull << self);
	for (u32 i = 0; i < words; i++) {
		u64 w = READ_ONCE(as->cpus[i]);

		if (self / 64 == i)
			w &= ~(1ull << (self % 64));
		if (w)
			return true;
	}
	return false;
}

void tlb_flush_local(struct aspace *as, u64 va)
{
	if (this_cpu_read(loaded_aspace) == as)
		mmu_flush_page(va);
}

static void flush_here(struct aspace *as, u64 start, u64 end)
{
	if (this_cpu_read(loaded_aspace) == as) {
		flush_loaded(start, end);
	} else if (bitmap_test(as->cpus, cpu_id())) {
		u64 irq = irq_save();

		leave_here(as);
		irq_restore(irq);
	}
}

void tlb_flush(struct aspace *as, u64 start, u64 end)
{
	struct shot s = { .as = as, .start = start, .end = end };

	stat_inc(STAT_TLB_FLUSH);
	trace_tlb_flush(start, end);
	flush_here(as, start, end);
	if (unlikely(tlb_elsewhere(as))) {
		stat_inc(STAT_TLB_REMOTE);
		smp_call_mask(as->cpus, shot_arrives, &s);
	}
}

void tlb_leave(struct aspace *as)
{
	struct shot s = { .as = as, .leave = true };
	u64 irq = irq_save();

	leave_here(as);
	irq_restore(irq);
	if (unlikely(tlb_elsewhere(as)))
		smp_call_mask(as->cpus, shot_arrives, &s);
}

/* --- gather --------------------------------------------------------------- */

void gather_begin(struct gather *g, struct aspace *as)
{
	g->as = as;
	g->start = ~0ull;
	g->end = 0;
	g->npages = g->ntables = 0;
	g->need_flush = false;
}

void gather_range(struct gather *g, u64 start, u64 end)
{
	g->start = MIN(g->start, start);
	g->end = MAX(g->end, end);
	g->need_flush = true;
}

bool gather_page(struct gather *g, u64 va, struct page *pg)
{
	gather_range(g, va, va + PAGE_SIZE);
	if (pg)
		g->pages[g->npages++] = pg;
	return g->npages == GATHER_BATCH;
}

bool gather_block(struct gather *g, u64 va, struct page *head)
{
	gather_range(g, va, va + HUGE_SIZE);
	g->pages[g->npages++] = (struct page *)((u64)head | GATHER_BLOCK);
	return g->npages == GATHER_BATCH;
}

/* Room for the three tables of one detach is left when this says "not full". */
bool gather_table(struct gather *g, u64 va, struct page *table)
{
	va = ALIGN_DOWN(va, HUGE_SIZE);
	gather_range(g, va, va + HUGE_SIZE);
	g->tables[g->ntables++] = table;
	return g->ntables > GATHER_TABLES - 3;
}

void gather_flush(struct gather *g)
{
	if (g->need_flush)
		tlb_flush(g->as, g->start, g->end);	/* inv. G3 */
	for (u32 i = 0; i < g->npages; i++)
		if ((u64)g->pages[i] & GATHER_BLOCK)
			block_put((struct page *)((u64)g->pages[i] & ~GATHER_BLOCK));
		else
			page_put(g->pages[i]);
	for (u32 i = 0; i < g->ntables; i++)
		pgtable_leaf_drop(g->tables[i]);
	gather_begin(g, g->as);
}

void gather_end(struct gather *g)
{
	gather_flush(g);
}
