/*
 * Who maps an object: taking its pages out of every address space at once, for
 * truncate, punch and the first write to a borrowed page.
 *
 * R1  The caller holds obj->lock exclusive.  No area can then join, leave or move
 *     (area.c, inv. A3) and no fault of this object can be between its look at
 *     the cache and its entry.  No as->lock is needed: as->pgt_lock guards the
 *     entries.  The spaces that have an area are those of its set, under the set's lock:
 *     the tables of a space in a set are not freed.
 * R2  obj->areas, and the list of a set, hold a forked space behind its parent, and fork
 *     links it before it shares or copies entries: a copy made behind our back is
 *     made from a parent already cleared, or is found when we come to the child.
 * R3  An entry of a leaf table that is SHARED is cleared in place, for all its
 *     sharers: their areas are the same there, since a space unshares a table
 *     before it changes what lies under it.  The share lock keeps unsharing out.
 * R4  Frames found in a shared table may be in the TLB of spaces that we have not
 *     visited yet, or whose entry we found gone: a frame is dropped only after
 *     all mappers of the object have been flushed.  A space that left its set in the
 *     meantime is in no TLB (areaset.c, inv. A8).
 */
#include <base/bitmap.h>

#include "vm.h"

#define RMAP_BATCH 64u

struct rmap {
	struct vm_object *obj;
	u64 first, last;
	const struct page *only;	/* NULL: any frame */
	bool cows;
	u32 npages;
	bool cleared;
	struct page *block;		/* of a 2 MiB entry: ends the batch */
	struct page *pages[RMAP_BATCH];
};

/* The part of [first, last] that a maps, as addresses; false: none. */
static bool area_window(const struct area *a, u64 first, u64 last, u64 *start, u64 *end)
{
	u64 a_first = a->off >> PAGE_SHIFT, a_pages = (a->end - a->start) >> PAGE_SHIFT;

	if (last < a_first || first >= a_first + a_pages)
		return false;
	*start = first > a_first ? a->start + ((first - a_first) << PAGE_SHIFT) : a->start;
	*end = last - a_first < a_pages ? a->start + ((last - a_first + 1) << PAGE_SHIFT) : a->end;
	*end = MIN(*end, a->end);
	return true;
}

/* With obj->lock exclusive the list stands still (area.c, inv. A3). */
static struct list *mappers(struct vm_object *obj) NO_LOCK_ANALYSIS
{
	ASSERT(rwlock_is_held_write(&obj->lock));
	return &obj->areas;
}

static void flush_set(struct area_set *set, u64 start, u64 end)
{
	struct aspace *as;

	GUARD_SPIN(&set->lock);
	list_for_each(as, &set->spaces, set_link)
		tlb_flush(as, start, end);
}

static void flush_mappers(struct rmap *r)
{
	struct area *a;
	u64 start, end;

	list_for_each(a, mappers(r->obj), object_link)
		if (area_window(a, r->first, r->last, &start, &end))
			flush_set(a->set, start, end);
	for (u32 i = 0; i < r->npages; i++)			/* inv. R4 */
		page_put(r->pages[i]);
	if (r->block)
		block_put(r->block);
	r->block = NULL;
	r->npages = 0;
	r->cleared = false;
}

static bool rmap_wants(const struct rmap *r, pte_t e)
{
	if (!pte_live(e))
		return false;
	if (r->only)
		return pte_page(e) == r->only;
	return r->cows || pte_kind(e) == KIND_FILE || pte_kind(e) == KIND_SHMEM;
}

/* Entries of one leaf in [va, stop): where to go on when the batch is full, else stop. */
static u64 rmap_leaf(struct rmap *r, struct aspace *as, struct page *leaf, u64 va, u64 stop)
{
	for (; va < stop; va += PAGE_SIZE) {
		if (!rmap_wants(r, *leaf_slot(leaf, va)))
			continue;
		pte_t e = leaf_clear(as, leaf, va);

		r->cleared = true;
		if (pte_owns(e))
			r->pages[r->npages++] = pte_page(e);
		if (r->npages == RMAP_BATCH)
			return va + PAGE_SIZE;
	}
	return stop;
}

/* A 2 MiB entry goes as a whole, whatever the range and the frame wanted: its pages are copies of the file's (image_huge.c). */
static void rmap_huge(struct rmap *r, struct aspace *as, u64 va)
{
	struct page *pd;
	pte_t *dir = pgtable_dir_slot(as, va, &pd);

	r->block = pte_page(huge_clear(as, pd, dir));
	r->cleared = true;
}

static bool rmap_full(const struct rmap *r) { return r->npages == RMAP_BATCH || r->block; }

static u64 rmap_some(struct rmap *r, struct aspace *as, u64 va, u64 end)
{
	pte_t *dir;

	GUARD_SPIN(&as->pgt_lock);
	while ((dir = pgtable_next_dir(as, &va, end)) != NULL) {
		u64 stop = MIN(end, ALIGN_DOWN(va, HUGE_SIZE) + HUGE_SIZE);
		struct page *leaf = pte_page(*dir);

		if (pte_huge(*dir)) {
			rmap_huge(r, as, va);
			va = stop;
		} else if (page_refs(leaf) > 1) {
			GUARD_SPIN(pgtable_share_lock(leaf));	/* inv. R3 */
			va = rmap_leaf(r, as, leaf, va, stop);
		} else {
			va = rmap_leaf(r, as, leaf, va, stop);
		}
		if (rmap_full(r))
			return va;
	}
	return end;
}

/* Where a full batch interrupted the walk of a set. */
struct rmap_place {
	u64 id;			/* of the space; 0: begin with the first */
	u64 va;
};

/* True: the batch is full; p says where to go on. */
static bool rmap_set(struct rmap *r, struct area_set *set, struct rmap_place *p, u64 start, u64 end)
{
	bool found = !p->id;
	struct aspace *as;

	GUARD_SPIN(&set->lock);
	list_for_each(as, &set->spaces, set_link) {
		if (!found && as->id != p->id)
			continue;
		p->va = rmap_some(r, as, found ? start : p->va, end);
		p->id = as->id;
		if (rmap_full(r))
			return true;
		found = true;
	}
	p->id = 0;
	return !found;		/* it left: once more from the beginning, where nothing is to be found a second time */
}

void rmap_unmap(struct vm_object *obj, u64 first, u64 last, bool cows, const struct page *only)
{
	struct rmap r = { .obj = obj, .first = first, .last = last, .cows = cows, .only = only };
	struct area *a;
	u64 va, end;

	list_for_each(a, mappers(obj), object_link) {
		if (!area_window(a, first, last, &va, &end))
			continue;
		/* Pages past file_end are the mapper's own: no truncate reaches them. */
		if (a->file_end)
			end = MIN(end, a->file_end & PAGE_MASK);
		struct rmap_place p = { .id = 0 };

		while (va < end && rmap_set(&r, a->set, &p, va, end))
			if (rmap_full(&r))
				flush_mappers(&r);
	}
	if (r.cleared)
		flush_mappers(&r);
}
