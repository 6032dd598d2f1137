/*
 * mmap, munmap and mprotect over areas.
 *
 * Each change is made in two steps under as->lock exclusive: first everything
 * that can fail (limits, areas to allocate, leaf tables to unshare), then a
 * stretch that cannot.  Entries leave the tables and every CPU's TLB before the
 * lock is dropped, so that a new mapping never meets an old translation.
 * What areas hold (files, objects) is put after the lock was dropped.
 */
#include "vm.h"

#define LOW_32BIT_START 0x40000000ul
#define LOW_32BIT_END	0x80000000ul

/* --- limits --------------------------------------------------------------- */

int map_check_limits(struct aspace *as, u64 pages, u32 flags)
{
	if (as->total_pages + pages > as->as_limit >> PAGE_SHIFT)
		return -ENOMEM;
	if (flags_count_data(flags) && as->data_pages + pages > as->data_limit >> PAGE_SHIFT)
		return -ENOMEM;
	if (flags & VM_LOCKED && as->locked_pages + pages > as->memlock_limit >> PAGE_SHIFT)
		return -EAGAIN;
	/* Overcommit mode 0: only what could never fit is refused. */
	if ((flags & (VM_WRITE | VM_SHARED)) == VM_WRITE && !(flags & VM_NORESERVE) && pages > mem_total_pages())
		return -ENOMEM;
	return 0;
}

/* From a on, the first area that ends after start. */
static u64 overlap_from(struct area *a, u64 start, u64 end)
{
	u64 sum = 0;

	for (; a && a->start < end; a = area_next(a))
		sum += MIN(a->end, end) - MAX(a->start, start);
	return sum;
}

u64 map_overlap(struct aspace *as, u64 start, u64 end)
{
	return overlap_from(area_find(as, start), start, end);
}

/* --- entries of a range --------------------------------------------------- */

/* Are all live entries of the leaf at base inside [start, end)?  It may say no when they are. */
static bool leaf_covered(struct page *leaf, u64 base, u64 start, u64 end)
{
	u32 first = start <= base ? 0 : (u32)((start - base) >> PAGE_SHIFT);
	u32 stop = end >= base + HUGE_SIZE ? TABLE_ENTRIES : (u32)((end - base) >> PAGE_SHIFT);

	return !leaf->used || groups_inside(table_groups(leaf), first, stop);
}

/* Can what dir maps of [start, end) be changed as it is?  covered: it is to be cleared, so a shared table may go whole. */
static bool dir_is_own(pte_t dir, u64 base, u64 start, u64 end, bool covered)
{
	if (pte_huge(dir))
		return base >= start && base + HUGE_SIZE <= end;		/* inv. H1 */
	return page_refs(pte_page(dir)) == 1 || (covered && leaf_covered(pte_page(dir), base, start, end));
}

int map_own_tables(struct aspace *as, u64 start, u64 end, bool edges)
{
	struct page *leaf;
	pte_t *dir;

	/* Structure is stable under as->lock exclusive: the walk needs no pgt_lock. */
	for (u64 va = start; (dir = pgtable_next_dir(as, &va, end)) != NULL;) {
		u64 base = huge_base(va);

		if (!dir_is_own(*dir, base, start, end, edges)) {
			int err = pgtable_leaf_for_write(as, va, &leaf);

			if (err)
				return err;
			spin_unlock(&as->pgt_lock);
		}
		va = base + HUGE_SIZE;
		/* Only the first and the last leaf can be covered in part. */
		if (edges && va < ALIGN_DOWN(end, HUGE_SIZE))
			va = ALIGN_DOWN(end, HUGE_SIZE);
	}
	return 0;
}

/* The live entries of an OWNED leaf in [va, stop); where to go on when the gather is full, else stop. */
static u64 clear_entries(struct gather *g, struct page *leaf, u64 va, u64 stop)
{
	u64 base = ALIGN_DOWN(va, HUGE_SIZE);
	u32 first = mmu_index(va, 0), end = (u32)((stop - base) >> PAGE_SHIFT);
	pte_t *e = table_entries(leaf);

	ASSERT(page_refs(leaf) == 1);	/* map_own_tables() came before */
	for (u64 groups = table_groups(leaf) & groups_touching(first, end); groups; groups &= groups - 1)
		for (u32 i = MAX(first, group_first(groups)), n = MIN(end, group_first(groups) + TABLE_GROUP); i < n; i++) {
			u64 at = base + i * PAGE_SIZE;

			if (!pte_live(e[i]))
				continue;
			pte_t old = leaf_clear(g->as, leaf, at);

			if (gather_page(g, at, pte_owns(old) ? pte_page(old) : NULL))
				return at + PAGE_SIZE;
		}
	return stop;
}

/* Clears from va on until done (returns end) or the gather is full (where to go on).  pgt_lock held. */
static u64 clear_some(struct gather *g, u64 va, u64 end)
{
	pte_t *dir;

	while ((dir = pgtable_next_dir(g->as, &va, end)) != NULL) {
		u64 base = huge_base(va), stop = MIN(end, base + HUGE_SIZE);

		if (pte_huge(*dir)) {
			ASSERT(va == base && stop == base + HUGE_SIZE);
		} else if (!leaf_covered(pte_page(*dir), base, va, stop)) {
			struct page *leaf = pte_page(*dir);

			va = clear_entries(g, leaf, va, stop);
			if (g->npages == GATHER_BATCH)
				return va;
			if (leaf->used)
				continue;
		}
		va = stop;
		if (pgtable_detach_leaf(g, base))
			return va;
	}
	return end;
}

void map_clear_range(struct aspace *as, u64 start, u64 end)
{
	struct gather g;

	gather_begin(&g, as);
	for (u64 va = start; va < end;) {
		spin_lock(&as->pgt_lock);
		va = clear_some(&g, va, end);
		spin_unlock(&as->pgt_lock);
		if (va < end)
			gather_flush(&g);
	}
	gather_end(&g);
}

/* --- munmap --------------------------------------------------------------- */

/* The areas of the range from a on, whose entries are gone, leave; spare is the upper half when one is cut in the middle. */
static void take_areas(struct aspace *as, struct area *a, u64 start, u64 end, struct area *spare, struct list *dead)
	MUST_HOLD(&as->lock)
{
	struct area *next;

	if (spare)
		area_split(a, end, spare);
	for (; a && a->start < end; a = next) {
		next = area_next(a);
		if (a->start < start) {
			area_set_range(a, a->start, start);
		} else if (a->end > end) {
			area_set_range(a, end, a->end);
			next = a;
		} else {
			area_unlink(a, dead);
		}
	}
	if (a)
		WRITE_ONCE(as->last_hit, a);
	area_hole_made(as, a);
}

int map_remove(struct aspace *as, u64 start, u64 end, struct list *dead)
{
	struct area *a = area_find(as, start), *spare = NULL;
	int err;

	if (!a || a->start >= end)
		return 0;
	if (a->start < start && a->end > end) {
		if (as->nareas >= VM_MAX_AREAS || !(spare = area_dup(a)))
			return -ENOMEM;
	}
	err = map_own_tables(as, start, end, true);
	if (err) {
		if (spare)
			list_push_back(dead, &spare->object_link);
		return err;
	}
	map_clear_range(as, start, end);
	take_areas(as, a, start, end, spare, dead);
	return 0;
}

int aspace_unmap(struct aspace *as, u64 addr, u64 len)
{
	struct list dead = LIST_INIT(dead);
	int err;

	if (addr & ~PAGE_MASK || !len || len > USER_TOP || addr > USER_TOP - len)
		return -EINVAL;
	len = ALIGN_UP(len, PAGE_SIZE);
	rwlock_write(&as->lock);
	err = areas_own(as, &dead);
	if (!err)
		err = map_remove(as, addr, addr + len, &dead);
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	return err;
}

/* --- mmap ----------------------------------------------------------------- */

static u32 map_flags(const struct map_request *rq)
{
	u32 f = rq->flags;

	if (!(f & VM_MAY))
		f |= VM_MAY;
	if (f & VM_READ)
		f |= VM_MAYREAD;
	if (f & VM_WRITE)
		f |= VM_MAYWRITE;
	if (f & VM_EXEC)
		f |= VM_MAYEXEC;
	if (!(f & (VM_SHARED | VM_VDSO)))
		f |= VM_MAYWRITE;
	return f;
}

static bool place_is_free(struct aspace *as, u64 addr, u64 len) MUST_HOLD_SHARED(&as->lock)
{
	struct area *a = area_find(as, addr);

	return !a || addr + len <= area_low_guard(a);
}

/* Where the mapping goes, or -errno. */
static i64 map_place(struct aspace *as, const struct map_request *rq, u64 len) MUST_HOLD(&as->lock)
{
	u64 addr = rq->addr;

	if (len > USER_TOP)
		return -ENOMEM;
	if (rq->fixed) {
		if (addr & ~PAGE_MASK)
			return -EINVAL;
		if (addr > USER_TOP - len)
			return -ENOMEM;
		if (addr < VM_MIN_ADDR && !rq->allow_low)
			return -EPERM;
		if (rq->noreplace && map_overlap(as, addr, addr + len))
			return -EEXIST;
		return (i64)addr;
	}
	if (addr) {
		addr = MAX(ALIGN_UP(addr & PAGE_MASK, PAGE_SIZE), VM_MIN_ADDR);
		if (addr <= USER_TOP - len && (!rq->below_4g || addr + len <= LOW_32BIT_END) && place_is_free(as, addr, len))
			return (i64)addr;
	}
	if (rq->below_4g)
		addr = area_find_gap(as, len, LOW_32BIT_START, LOW_32BIT_END, true);
	else
		addr = area_find_gap(as, len, VM_MIN_ADDR, as->mmap_base, false);
	if (!addr && !rq->below_4g)
		addr = area_find_gap(as, len, as->mmap_base, USER_TOP, true);
	return addr ? (i64)addr : -ENOMEM;
}

/* next: the area above, if any. */
static int insert_below(struct aspace *as, struct area *next, const struct area *like, struct list *dead) MUST_HOLD(&as->lock)
{
	struct area *prev = next ? area_prev(next) : rb_entry(rb_last(&as->areas), struct area, node);

	if (prev && area_can_merge(prev, like)) {
		area_set_range(prev, prev->start, like->end);
		if (next && area_can_merge(prev, next))
			area_merge(prev, next, dead);
		return 0;
	}
	if (next && area_can_merge(like, next)) {
		area_set_range(next, like->start, next->end);
		return 0;
	}
	struct area *a = area_dup(like);

	if (!a)
		return -ENOMEM;
	area_insert_between(as, a, prev, next);
	if (unlikely(next && next->flags & VM_GROWSDOWN))
		area_hole_made(as, a);
	return 0;
}

int map_insert(struct aspace *as, const struct area *like, struct list *dead)
{
	return insert_below(as, area_find(as, like->start), like, dead);
}

/* Room for one area more: found out before anything is unmapped. */
static int map_commit(struct aspace *as, const struct area *like, struct list *dead) MUST_HOLD(&as->lock)
{
	struct area *next = area_find(as, like->start);
	u64 overlap = overlap_from(next, like->start, like->end);
	u64 pages = (like->end - like->start - overlap) >> PAGE_SHIFT;
	int err = map_check_limits(as, pages, like->flags);
	struct area *own;

	if (err)
		return err;
	if (as->nareas >= VM_MAX_AREAS)
		return -ENOMEM;
	if (!overlap)
		return insert_below(as, next, like, dead);
	own = area_dup(like);
	if (!own)
		return -ENOMEM;
	err = map_remove(as, like->start, like->end, dead);
	if (err) {
		list_push_back(dead, &own->object_link);
		return err;
	}
	area_insert(as, own);
	area_hole_made(as, own);
	area_merge_range(as, like->start, like->end, dead);
	return 0;
}

static void map_populate(struct aspace *as, u64 addr, u64 len, const struct map_request *rq, u32 flags)
{
	if (rq->populate || (flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED)
		aspace_populate(as, addr, len);
}

i64 aspace_map(struct aspace *as, const struct map_request *rq)
{
	struct list dead = LIST_INIT(dead);
	struct area like = { .obj = rq->obj, .off = rq->off, .file_end = rq->file_end, .file = rq->file };
	u64 len = ALIGN_UP(rq->len, PAGE_SIZE);
	i64 addr;

	if (!rq->len || (rq->flags & VM_SHARED && !rq->obj))
		return -EINVAL;
	if (len < rq->len)
		return -ENOMEM;
	if (rq->off & ~PAGE_MASK || (rq->obj && rq->off + len < rq->off))
		return -EINVAL;
	rwlock_write(&as->lock);
	like.flags = map_flags(rq) | as->def_flags;
	addr = areas_own(as, &dead);
	if (!addr)
		addr = map_place(as, rq, len);
	if (addr >= 0) {
		like.start = (u64)addr;
		like.end = like.start + len;
		if (!like.obj)
			like.off = 0;
		int err = map_commit(as, &like, &dead);

		if (err)
			addr = err;
	}
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	if (addr >= 0)
		map_populate(as, (u64)addr, len, rq, like.flags);
	return addr;
}

/* --- mprotect ------------------------------------------------------------- */

static bool entry_restricts(pte_t old, pte_t e)
{
	return (old.v & ~e.v & (PTE_PRESENT | PTE_WRITE)) || (e.v & ~old.v & PTE_NX);
}

/* W again at once for what a private area owns alone; else the write fault decides. */
static bool entry_may_write(pte_t e)
{
	if (pte_is_shared(e))
		return pte_writable(e);
	return pte_sole_owner(e);
}

static void protect_leaf(struct aspace *as, struct area *a, struct page *leaf, u64 va, u64 stop, struct gather *g)
{
	u64 base = ALIGN_DOWN(va, HUGE_SIZE);
	u32 first = mmu_index(va, 0), end = (u32)((stop - base) >> PAGE_SHIFT);
	pte_t *slot = table_entries(leaf);

	for (u64 groups = table_groups(leaf) & groups_touching(first, end); groups; groups &= groups - 1)
		for (u32 i = MAX(first, group_first(groups)), n = MIN(end, group_first(groups) + TABLE_GROUP); i < n; i++) {
			pte_t old = slot[i], e;

			if (!pte_live(old))
				continue;
			e = pgtable_entry_for(a, pte_page(old), entry_may_write(old));
			e.v |= old.v & PTE_BORROWED;
			leaf_change(as, leaf, base + i * PAGE_SIZE, e);
			if (entry_restricts(old, e))
				gather_range(g, base + i * PAGE_SIZE, base + (i + 1) * PAGE_SIZE);
		}
}

static void protect_huge(struct area *a, pte_t *slot, u64 base, struct gather *g)
{
	pte_t old = *slot;
	bool write = pte_kind(old) == KIND_ANON && block_sole(pte_page(old));	/* inv. H2 */
	pte_t e = huge_entry_for(a, pte_page(old), write);

	WRITE_ONCE(slot->v, e.v);
	if (entry_restricts(old, e))
		gather_range(g, base, base + HUGE_SIZE);
}

static void protect_entries(struct aspace *as, struct area *a, u64 start, u64 end, struct gather *g)
{
	pte_t *dir;

	GUARD_SPIN(&as->pgt_lock);
	for (u64 va = start; (dir = pgtable_next_dir(as, &va, end)) != NULL;) {
		u64 stop = MIN(end, huge_base(va) + HUGE_SIZE);

		if (pte_huge(*dir))
			protect_huge(a, dir, va, g);
		else
			protect_leaf(as, a, pte_page(*dir), va, stop, g);
		va = stop;
	}
}

/* How far mprotect gets, as Linux: up to the first hole or refused area.  *err says why it stops early. */
static u64 protect_extent(struct aspace *as, u64 start, u64 end, u32 prot, int *err) MUST_HOLD_SHARED(&as->lock)
{
	u64 at = start, grow = 0;

	*err = 0;
	for (struct area *a = area_find(as, start); at < end; a = area_next(a)) {
		if (!a || a->start > at) {
			*err = -ENOMEM;
			return at;
		}
		if (prot & ~(((a->flags & VM_MAYREAD ? VM_READ : 0)) | (a->flags & VM_MAYWRITE ? VM_WRITE : 0) |
			     (a->flags & VM_MAYEXEC ? VM_EXEC : 0))) {
			*err = -EACCES;
			return at;
		}
		u64 stop = MIN(a->end, end);

		if (!flags_count_data(a->flags) && flags_count_data((a->flags & ~VM_PROT) | prot)) {
			grow += (stop - at) >> PAGE_SHIFT;
			if (as->data_pages + grow > as->data_limit >> PAGE_SHIFT) {
				*err = -ENOMEM;
				return at;
			}
		}
		at = stop;
	}
	return end;
}

static int protect_range(struct aspace *as, u64 start, u64 end, u32 prot, struct list *dead) MUST_HOLD(&as->lock)
{
	struct gather g;
	int err = area_isolate(as, start, end);

	if (!err)
		err = map_own_tables(as, start, end, false);
	if (err) {
		area_merge_range(as, start, end, dead);
		return err;
	}
	gather_begin(&g, as);
	for (struct area *a = area_find(as, start); a && a->start < end; a = area_next(a)) {
		if ((a->flags & VM_PROT) == prot)
			continue;
		area_set_flags(a, (a->flags & ~VM_PROT) | prot);
		protect_entries(as, a, a->start, a->end, &g);
	}
	gather_end(&g);
	area_merge_range(as, start, end, dead);
	return 0;
}

static int protect_locked(struct aspace *as, u64 addr, u64 end, u32 prot, bool growsdown, struct list *dead) MUST_HOLD(&as->lock)
{
	int err, stop_err;

	if (growsdown) {
		struct area *a = area_find(as, addr);

		if (!a || a->start >= end)
			return -ENOMEM;
		if (!(a->flags & VM_GROWSDOWN))
			return -EINVAL;
		addr = a->start;
	}
	end = protect_extent(as, addr, end, prot, &stop_err);
	if (end == addr)
		return stop_err;
	err = protect_range(as, addr, end, prot, dead);
	return err ? err : stop_err;
}

int aspace_protect(struct aspace *as, u64 addr, u64 len, u32 prot, bool growsdown)
{
	struct list dead = LIST_INIT(dead);
	int err;

	if (addr & ~PAGE_MASK || prot & ~VM_PROT)
		return -EINVAL;
	if (!len)
		return 0;
	len = ALIGN_UP(len, PAGE_SIZE);
	if (!len || addr + len < addr || addr + len > USER_TOP)
		return -ENOMEM;
	rwlock_write(&as->lock);
	err = areas_own(as, &dead);
	if (!err)
		err = protect_locked(as, addr, addr + len, prot, growsdown, &dead);
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	return err;
}
