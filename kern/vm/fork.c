/*
 * fork: a space with the areas and the tables of another.
 *
 * Each leaf table gets one more user; the first write below one copies it
 * (pgtable.c, inv. T1 to T3).  from->lock is exclusive throughout.
 */
#include <core/stat.h>
#include <vm/audit.h>

#include "vm.h"

/* --- areas ----------------------------------------------------------------- */

static void copy_layout(struct aspace *to, const struct aspace *from)
{
	to->brk_start = from->brk_start;
	to->brk = from->brk;
	to->stack_top = from->stack_top;
	to->mmap_base = from->mmap_base;
	to->stack_limit = from->stack_limit;
	to->arg_start = from->arg_start;
	to->arg_end = from->arg_end;
	to->env_start = from->env_start;
	to->env_end = from->env_end;
	to->code_start = from->code_start;
	to->code_end = from->code_end;
	to->data_start = from->data_start;
	to->data_end = from->data_end;
	memcpy(to->auxv, from->auxv, sizeof(to->auxv));
	to->data_limit = from->data_limit;
	to->as_limit = from->as_limit;
	to->memlock_limit = from->memlock_limit;
	to->dumpable = from->dumpable;
	to->no_huge = from->no_huge;
	to->hint_base = from->hint_base;
	to->hint_top = from->hint_top;
	to->hint_hole = from->hint_hole;
	to->exe_file = from->exe_file;
	if (to->exe_file)
		vm_file_hooks.get(to->exe_file);
	image_space_fork(to, from);
}

static int copy_areas(struct aspace *from, struct aspace *to) MUST_HOLD(&from->lock, &to->lock)
{
	struct area *a = rb_entry(rb_first(&from->areas), struct area, node);

	for (; a; a = area_next(a)) {
		if (a->flags & VM_DONTFORK)
			continue;
		struct area *b = area_dup(a);

		if (!b)
			return -ENOMEM;
		b->flags &= ~(VM_LOCKED | VM_LOCKONFAULT);
		area_insert_after(to, b, a);		/* rmap.c, R2 */
	}
	return 0;
}

/* Does the child get every area as it is? */
static bool areas_inherited_whole(const struct aspace *from) MUST_HOLD(&from->lock)
{
	return likely(!from->nofork && !from->locked_pages);
}

/* --- tables ---------------------------------------------------------------- */

/* The directory (level 1 table) of va in a space that only rmap can look at: tables are linked under the lock. */
static struct page *directory_for_fork(struct aspace *to, u64 va)
{
	struct page *t = pfn_to_page(to->root);

	for (u32 level = 3; level > 1; level--) {
		pte_t *slot = &table_entries(t)[mmu_index(va, level)];

		if (!pte_live(*slot)) {
			struct page *fresh = pgtable_table_alloc();

			if (!fresh)
				return NULL;
			GUARD_SPIN(&to->pgt_lock);
			pgtable_link(to, t, slot, fresh);
		}
		t = pte_page(*slot);
	}
	return t;
}

static bool leaf_inherited_whole(struct aspace *from, u64 base) MUST_HOLD(&from->lock)
{
	if (likely(!from->nofork))
		return true;
	for (struct area *a = area_find(from, base); a && a->start < base + HUGE_SIZE; a = area_next(a))
		if (a->flags & (VM_DONTFORK | VM_WIPEFORK))
			return false;
	return true;
}

/* One of a directory's entries gets an owner more.  False: an empty table, which nobody inherits. */
static ALWAYS_INLINE bool share_entry(pte_t e)
{
	struct page *pg = pte_page(e);

	if (pte_huge(e)) {
		if (unlikely(!block_try_get(pg)))
			block_get(pg);
		return true;
	}
	if (!pg->used)
		return false;
	page_get(pg);
	return true;
}

/* All entries of a directory: the common case, in one tight loop.  How many. */
static NOINLINE u32 share_all(struct page *pd, struct page *kid)
{
	pte_t *mine = table_entries(pd), *its = table_entries(kid);
	u32 n = 0;

	for (u64 groups = table_groups(pd); groups; groups &= groups - 1) {
		u32 first = group_first(groups);

		for (u32 i = first; i < first + TABLE_GROUP; i++) {
			pte_t e = { mine[i].v & ~PTE_WRITE };

			if (!pte_live(e) || !share_entry(e))
				continue;
			WRITE_ONCE(mine[i].v, e.v);
			WRITE_ONCE(its[i].v, e.v);
			n++;
		}
	}
	kid->index = pd->index;
	return n;
}

/* Those that the child inherits whole. */
static u32 share_some(struct aspace *from, struct page *pd, struct page *kid, u64 base) MUST_HOLD(&from->lock)
{
	pte_t *mine = table_entries(pd), *its = table_entries(kid);
	u32 n = 0;

	for (u32 i = 0; (i = pgtable_next_live(pd, i)) < TABLE_ENTRIES; i++) {
		pte_t e = { mine[i].v & ~PTE_WRITE };

		if (!leaf_inherited_whole(from, base + i * HUGE_SIZE) || !share_entry(e))
			continue;
		if (pte_huge(e))
			leaf_count(kid)->n[pte_kind(e)]++;
		WRITE_ONCE(mine[i].v, e.v);
		WRITE_ONCE(its[i].v, e.v);
		n++;
	}
	return n;
}

/*
 * Each entry of a directory gets one more user; inv. T1, H2: both entries without W from here on.  Both locks at once,
 * so that rmap, which visits the parent first, finds a leaf in the child if it was shared before.  Only fork nests them.
 */
static void share_directory(struct aspace *from, struct page *pd, struct aspace *to, struct page *kid, u64 base) MUST_HOLD(&from->lock)
{
	GUARD_SPIN(&from->pgt_lock);
	spin_lock_nested(&to->pgt_lock);
	u32 n = likely(!from->nofork) ? share_all(pd, kid) : share_some(from, pd, kid, base);

	kid->private = pd->private;
	kid->used += n;
	u32 huge = huge_entries(kid);

	to->nhuge += huge;
	tables_add(to, n - huge);
	stat_add(STAT_TABLE_SHARED, n - huge);
	spin_unlock(&to->pgt_lock);
}

static void fork_copy_area(struct aspace *from, struct page *old, struct aspace *to, struct page *leaf, u64 start, u64 end)
{
	for (u64 va = start; va < end; va += PAGE_SIZE) {
		pte_t *slot = leaf_slot(old, va), e = *slot;

		if (!pte_live(e))
			continue;
		if (pte_writable(e) && !pte_is_shared(e)) {
			bits_clear(&slot->v, PTE_WRITE);
			e.v &= ~PTE_WRITE;
		}
		if (pte_owns(e))
			page_get(pte_page(e));
		leaf_set(to, leaf, va, e);
	}
}

/* A leaf with areas that the child does not inherit: entry by entry. */
static int fork_copy(struct aspace *from, struct aspace *to, u64 base) MUST_HOLD(&from->lock)
{
	struct page *old, *leaf;
	int err = pgtable_leaf_for_write(to, base, &leaf);

	if (err)
		return err;
	spin_unlock(&to->pgt_lock);
	err = pgtable_leaf_for_write(from, base, &old);
	if (err)
		return err;
	/* Both at once, so that rmap, which visits the parent first, misses no copy.  Only fork nests these. */
	spin_lock_nested(&to->pgt_lock);
	for (struct area *a = area_find(from, base); a && a->start < base + HUGE_SIZE; a = area_next(a))
		if (!(a->flags & (VM_DONTFORK | VM_WIPEFORK)))
			fork_copy_area(from, old, to, leaf, MAX(a->start, base), MIN(a->end, base + HUGE_SIZE));
	spin_unlock(&to->pgt_lock);
	spin_unlock(&from->pgt_lock);
	return 0;
}

/* The leaves that share_directory() left out. */
static int copy_mixed_leaves(struct aspace *from, struct aspace *to) MUST_HOLD(&from->lock)
{
	struct page *leaf;
	int err = 0;

	for (u64 va = 0; !err && (leaf = pgtable_next_leaf(from, &va, USER_TOP)) != NULL;) {
		u64 base = ALIGN_DOWN(va, HUGE_SIZE);

		if (leaf->used && !leaf_inherited_whole(from, base))
			err = fork_copy(from, to, base);
		va = base + HUGE_SIZE;
	}
	return err;
}

static int fork_tables(struct aspace *from, struct aspace *to) MUST_HOLD(&from->lock)
{
	u64 size = mmu_level_size(2);
	pte_t *pd;

	/* from->lock is exclusive: no table of the parent comes or goes while we walk it without pgt_lock. */
	for (u64 va = 0; (pd = pgtable_next_entry(from, &va, USER_TOP, 2)) != NULL; va = ALIGN_DOWN(va, size) + size) {
		struct page *kid = directory_for_fork(to, va);

		if (!kid)
			return -ENOMEM;
		share_directory(from, pte_page(*pd), to, kid, ALIGN_DOWN(va, size));
	}
	if (from->nofork && copy_mixed_leaves(from, to))
		return -ENOMEM;
	to->rss = to->peak_rss = from->rss;
	return 0;
}

/* --- all of it --------------------------------------------------------------- */

static int fork_locked(struct aspace *from, struct aspace **out) MUST_HOLD(&from->lock)
{
	bool whole = areas_inherited_whole(from);
	struct aspace *to = space_create(whole ? from->set : NULL);
	int err = 0;

	if (!to)
		return -ENOMEM;
	*out = to;
	rwlock_unshared(&to->lock);
	copy_layout(to, from);
	if (whole)
		area_set_inherit(to, from);
	else
		err = copy_areas(from, to);
	if (!err) {
		err = fork_tables(from, to);
		/* Before a fault of another thread can act on what is read-only now. */
		tlb_flush(from, 0, USER_TOP);
	}
	return err;
}

int aspace_fork(struct aspace *from, struct aspace **out)
{
	struct aspace *to = NULL;
	int err;

	rwlock_write(&from->lock);
	err = fork_locked(from, &to);
	rwlock_write_end(&from->lock);
	if (err) {
		if (to)
			aspace_unuse(to);
		return err;
	}
	audit_space(from, "fork");
	audit_space(to, "fork");
	*out = to;
	return 0;
}
