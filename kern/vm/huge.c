/*
 * 2 MiB entries: a directory entry (level 1) with PTE_HUGE maps a block itself.
 *
 *   absent -> huge          write fault, collapse          huge_set()
 *   huge   -> huge          fork, mprotect, write by the sole owner
 *   huge   -> leaf table    anything that changes a part   huge_split()
 *   huge   -> absent        munmap, DONTNEED of all of it  huge_clear(), then the gather
 *
 * H1  A 2 MiB entry lies in one area: who cuts areas splits what crosses the cut
 *     first (area_isolate, map_own_tables).
 * H2  It owns all of its block (mem/block.h).  It has W only while its owner is
 *     the block's only one, apart from pins: the rule F1 for 512 frames at once.
 * H3  Entries of 4 KiB and pins own single frames, so the block is spread before
 *     either is made.  It stays mapped whole wherever it is.
 * H4  Directories are never shared, so a 2 MiB entry is its space's own and is
 *     changed under pgt_lock alone; only the block behind it has other owners.
 */
#include <vm/huge.h>

#include "vm.h"

struct huge_policy huge_policy = {
	.enabled = HUGE_ALWAYS, .effort = EFFORT_MADVISE, .collapse = true, .scan_ms = 10000, .alloc_ms = 60000, .scan_pages = 4096, .max_none = HUGE_PAGES - 1,
};
struct huge_stats huge_stats;

#define SMALL_MACHINE (256ul << (20 - PAGE_SHIFT))	/* frames */

void huge_init(void)
{
	/* Where 2 MiB is a good part of what there is, only who asks gets it. */
	if (mem_total_pages() < SMALL_MACHINE)
		huge_policy.enabled = HUGE_MADVISE;
}

pte_t huge_entry_for(const struct area *a, struct page *head, bool write)
{
	return (pte_t){ pgtable_entry_for(a, head, write).v | PTE_HUGE };
}

void huge_count(struct aspace *as, struct page *pd, enum pte_kind kind, i64 n)
{
	leaf_count(pd)->n[kind] += n;
	as->nhuge += n;
	as->rss += n * HUGE_PAGES;
	if (as->rss > as->peak_rss)
		as->peak_rss = as->rss;
}

void huge_set(struct aspace *as, struct page *pd, pte_t *slot, pte_t e)
{
	ASSERT(!pte_live(*slot) && pte_huge(e) && page_refs(pd) == 1);	/* inv. H4 */
	pd->used++;
	pd->private |= 1ull << (((u64)slot & ~PAGE_MASK) / sizeof(pte_t) / TABLE_GROUP);
	huge_count(as, pd, pte_kind(e), 1);
	WRITE_ONCE(slot->v, e.v);
}

pte_t huge_clear(struct aspace *as, struct page *pd, pte_t *slot)
{
	pte_t e = *slot;

	ASSERT(pte_huge(e));
	WRITE_ONCE(slot->v, 0);
	pd->used--;
	huge_count(as, pd, pte_kind(e), -1);
	return e;
}

/* Between the two forms the entry is absent: no processor ever holds both (erratum-prone on real ones). */
void huge_split(struct aspace *as, struct page *pd, pte_t *slot, u64 va, struct page *t)
{
	pte_t e = *slot, *to = table_entries(t);
	u64 base = huge_base(va);

	block_spread(pte_page(e));				/* inv. H3 */
	for (u32 i = 0; i < TABLE_ENTRIES; i++)
		to[i] = pte_of_huge(e, base + i * PAGE_SIZE);
	t->used = TABLE_ENTRIES;
	t->private = ~0ull;
	leaf_count(t)->n[pte_kind(e)] = TABLE_ENTRIES;
	WRITE_ONCE(slot->v, 0);
	tlb_flush(as, base, base + PAGE_SIZE);		/* one address stands for all of the entry */
	pgtable_link_leaf(slot, t);
	leaf_count(pd)->n[pte_kind(e)]--;
	as->nhuge--;
	atomic64_inc(&huge_stats.split);
}

bool huge_area_capable(const struct aspace *as, const struct area *a)
{
	return !a->obj && !(a->flags & (VM_SHARED | VM_NOHUGE)) && !huge_space_disabled(as);
}

bool huge_area_eligible(const struct aspace *as, const struct area *a)
{
	u32 mode = READ_ONCE(huge_policy.enabled);

	if (!huge_area_capable(as, a))
		return false;
	return mode == HUGE_ALWAYS || (mode == HUGE_MADVISE && a->flags & VM_HUGE);
}

void huge_space_disable(struct aspace *as, bool disable)
{
	WRITE_ONCE(as->no_huge, disable);
}

bool huge_wanted(const struct aspace *as, const struct area *a, u64 va)
{
	u64 base = huge_base(va);

	return base >= a->start && base + HUGE_SIZE <= a->end && huge_area_eligible(as, a);
}

bool huge_worth_reclaim(const struct area *a)
{
	u32 effort = READ_ONCE(huge_policy.effort);

	if (effort == EFFORT_ALWAYS)
		return true;
	return (effort == EFFORT_MADVISE || effort == EFFORT_DEFER_MADVISE) && a->flags & VM_HUGE;
}

bool huge_is_at(struct aspace *as, u64 va)
{
	GUARD_SPIN(&as->pgt_lock);
	pte_t *slot = pgtable_dir_slot(as, va, NULL);

	return slot && pte_huge(*slot);
}

/* --- how many ---------------------------------------------------------------- */

/* Blocks that as maps whole although they are spread, each once a round. */
static u64 spread_in(struct aspace *as, u64 round)
{
	u64 n = 0;
	pte_t *dir;

	GUARD_SHARED(&as->lock);
	GUARD_SPIN(&as->pgt_lock);
	for (u64 va = 0; (dir = pgtable_next_dir(as, &va, USER_TOP)) != NULL; va = huge_base(va) + HUGE_SIZE) {
		struct page *head = pte_page(*dir);

		if (!pte_huge(*dir) || pte_kind(*dir) != KIND_ANON || block_is_whole(head) || READ_ONCE(head->index) == round)
			continue;
		WRITE_ONCE(head->index, round);		/* nobody else uses it in a private frame; the entry keeps it */
		n++;
	}
	return n;
}

u64 huge_anon_blocks(void)
{
	static atomic64_t rounds;
	u64 round = (u64)atomic64_add(&rounds, 1), n = block_count();

	for (struct aspace *as = aspace_next(NULL); as; as = aspace_next(as))
		if (READ_ONCE(as->nhuge))
			n += spread_in(as, round);
	return n;
}
