/*
 * Compaction: private frames move out of regions of 2 MiB that are nearly empty, so that these become blocks again.
 *
 * The allocator chooses and isolates the regions (mem/compact.h).  Nothing leads from a frame to its entries, and
 * nothing has to: every space's leaf tables are looked through, some instructions for an entry, and whoever has a
 * frame in an isolated region gets another one.  Only frames that the space owns alone are moved, as collapse does
 * (no sharer, no cache, no pin, no image), and only in leaf tables that are its own.
 *
 * K1  A frame is read after its entry is gone and every TLB that may hold it is flushed, and pgt_lock is held until the
 *     new entry is there: a fault, a pin and fork find the one or the other.  Its count was 1 under the lock, so
 *     nobody else knows it.
 * K2  as->lock is held shared: the space is not torn down meanwhile.
 * K3  One run at a time (run_lock).  Nothing is waited for but locks; frames come from what is free, and none: the run
 *     ends.  Who cannot go on without a block waits for the run that is going on, for what that frees is his too.
 */
#include <mem/compact.h>
#include <sched/mutex.h>
#include <sched/pressure.h>
#include <sched/sched.h>
#include <vm/huge.h>

#include "vm.h"

#define BATCH	16u			/* frames moved under one hold of pgt_lock, with one flush */
#define BACKOFF 64			/* requests that follow a run without gain and are not granted */
#define FRUITLESS 4u			/* runs without gain, each over other regions, before somebody hears that there is none */

struct move {
	struct page *stock[BATCH];	/* frames to move to; [0, nstock) */
	u32 nstock;
	u32 n;				/* entries that move now, in stock's place the old frames */
	pte_t *slot[BATCH];
	bool starved;
};

struct compact_stats compact_stats;
static mutex_t run_lock = { .rank = LR_COMPACT, .wait = WAITQ_INIT(run_lock.wait) };
static atomic_t backoff;

/* No lock held. */
static void fill_stock(struct move *m)
{
	while (m->nstock < BATCH && !m->starved) {
		struct page *pg = mem_compact_frame();

		m->starved = !pg;
		if (pg)
			m->stock[m->nstock++] = pg;
	}
}

static bool wants_move(pte_t e)
{
	return pte_live(e) && !pte_is_shared(e) && !pte_huge(e) && pte_sole_owner(e) && mem_compact_leaving(pte_page(e));
}

/* Inv. K1.  The slots are of one leaf, whose range begins at base. */
static void move_entries(struct aspace *as, struct page *leaf, u64 base, struct move *m) MUST_HOLD(&as->pgt_lock)
{
	pte_t old[BATCH];
	u32 first = (u32)(m->slot[0] - table_entries(leaf)), last = (u32)(m->slot[m->n - 1] - table_entries(leaf));

	leaf_touch(leaf, first, last + 1);
	for (u32 i = 0; i < m->n; i++) {
		old[i] = *m->slot[i];
		WRITE_ONCE(m->slot[i]->v, 0);
	}
	tlb_flush(as, base + first * PAGE_SIZE, base + (last + 1) * PAGE_SIZE);
	for (u32 i = 0; i < m->n; i++) {
		struct page *from = pte_page(old[i]), *to = m->stock[i];

		memcpy(page_addr(to), page_addr(from), PAGE_SIZE);
		WRITE_ONCE(m->slot[i]->v, pte_make(page_to_pfn(to), old[i].v & ~PTE_ADDR).v);
		m->stock[i] = from;
	}
}

/* Entries of va's leaf from va on: as many as the stock has frames for.  *va: where to go on; in the next leaf, perhaps. */
static void move_some(struct aspace *as, struct page *leaf, u64 *va, struct move *m) MUST_HOLD(&as->pgt_lock)
{
	u64 base = ALIGN_DOWN(*va, HUGE_SIZE);
	u32 i = mmu_index(*va, 0);

	m->n = 0;
	for (; i < TABLE_ENTRIES && m->n < m->nstock; i++) {
		if (!(table_groups(leaf) >> i / TABLE_GROUP & 1))
			i |= TABLE_GROUP - 1;
		else if (wants_move(table_entries(leaf)[i]))
			m->slot[m->n++] = &table_entries(leaf)[i];
	}
	*va = base + i * PAGE_SIZE;
	if (m->n)
		move_entries(as, leaf, base, m);
}

/* The next leaf of the space's own that has private frames, at or after *va; no lock held.  NULL: none. */
static bool next_own_leaf(struct aspace *as, u64 *va)
{
	struct page *leaf;

	GUARD_SPIN(&as->pgt_lock);
	while ((leaf = pgtable_next_leaf(as, va, USER_TOP)) != NULL) {
		if (page_refs(leaf) == 1 && leaf_count(leaf)->n[KIND_ANON])
			return true;
		*va = ALIGN_DOWN(*va, HUGE_SIZE) + HUGE_SIZE;
	}
	return false;
}

/* The old frames, which are in the stock's first places. */
static void put_moved(struct move *m)
{
	for (u32 i = 0; i < m->n; i++)
		mem_compact_put(m->stock[i]);
	atomic64_add(&compact_stats.moved, m->n);
	m->nstock -= m->n;
	memmove(m->stock, m->stock + m->n, m->nstock * sizeof(m->stock[0]));
	m->n = 0;
}

/* One hold of the locks.  False: the space is done, or no frames are left. */
static bool step_space(struct aspace *as, u64 *va, struct move *m)
{
	struct page *leaf;

	fill_stock(m);
	if (!m->nstock)
		return false;
	{
		GUARD_SHARED(&as->lock);		/* inv. K2 */
		if (!next_own_leaf(as, va) || pgtable_leaf_for_write(as, *va, &leaf))
			return false;
		move_some(as, leaf, va, m);
		spin_unlock(&as->pgt_lock);
	}
	put_moved(m);
	sched_resched_if_needed();
	return *va < USER_TOP;
}

static void move_all(void)
{
	struct move m = { .nstock = 0 };

	for (struct aspace *as = aspace_next(NULL); as; as = aspace_next(as))
		for (u64 va = 0; step_space(as, &va, &m);)
			;
	while (m.nstock)
		page_put(m.stock[--m.nstock]);
}

void compact_drain(void)
{
	mem_drain_cpu(NULL);
	smp_call_others(mem_drain_cpu, NULL);
}

/* Inv. K3.  False: there is nothing that could be gained. */
static bool run(u32 *freed) MUST_HOLD(&run_lock)
{
	u64 before = mem_free_blocks(), after;
	u32 chosen;

	*freed = 0;
	compact_drain();
	chosen = mem_compact_begin();
	if (chosen) {
		move_all();
		compact_drain();
		*freed = mem_compact_end();
	}
	/* Often the last frame of a block was only in a CPU's cache. */
	after = mem_free_blocks();
	if (after > before + *freed)
		*freed = (u32)(after - before);
	atomic64_inc(&compact_stats.runs);
	atomic64_add(&compact_stats.freed, *freed);
	return chosen;
}

u32 vm_compact(void)
{
	i64 before = atomic64_read(&compact_stats.freed);
	u32 freed;

	assert_may_sleep();
	mutex_lock(&run_lock);
	freed = (u32)(atomic64_read(&compact_stats.freed) - before);	/* by others, while this one waited */
	for (u32 n = 0; n < FRUITLESS && !freed && run(&freed); n++)
		;
	mutex_unlock(&run_lock);
	return freed;
}

bool vm_compact_for_fault(void)
{
	u32 freed;

	if (atomic_read(&backoff) > 0) {
		atomic_dec(&backoff);
		return false;
	}
	/* Another's run may take long, and 4 KiB do too; that says nothing about the next fault. */
	if (!mutex_try_lock(&run_lock))
		return false;
	pressure_memory(true);
	(void)run(&freed);
	pressure_memory(false);
	mutex_unlock(&run_lock);
	if (!freed)
		atomic_set(&backoff, BACKOFF);
	return freed;
}
