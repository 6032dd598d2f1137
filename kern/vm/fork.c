/*
 * fork: a space with the areas and the tables of another.
 *
 * Each leaf table gets one more user; the first write below one copies it
 * (pgtable.c, inv. T1 to T3), but for pages that are known to be written at once
 * on both sides: those are copied here.  from->lock is exclusive throughout.
 */
#include <core/stat.h>
#include <vm/audit.h>

#include "vm.h"

#define FORK_ASKS 4u			/* each fourth child is asked what it wrote */

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
		if (a->flags & VM_DONTFORK) {
			to->hint_base = 0;		/* a hole that the hint knows nothing of */
			continue;
		}
		struct area *b = area_dup(a);

		if (!b)
			return -ENOMEM;
		b->flags &= ~(VM_LOCKED | VM_LOCKONFAULT);
		area_insert_after(to, b, a);		/* rmap.c, inv. R2 */
	}
	return 0;
}

/* Does the child get every area as it is? */
static bool areas_inherited_whole(const struct aspace *from) MUST_HOLD(&from->lock)
{
	return likely(!from->nofork && !from->locked_pages);
}

/* --- tables ---------------------------------------------------------------- */

static bool leaf_inherited_whole(struct aspace *from, u64 base) MUST_HOLD(&from->lock)
{
	if (likely(!from->nofork))
		return true;
	for (struct area *a = area_find(from, base); a && a->start < base + HUGE_SIZE; a = area_next(a))
		if (a->flags & (VM_DONTFORK | VM_WIPEFORK))
			return false;
	return true;
}

static ALWAYS_INLINE bool share_block(struct page *head)
{
	block_get(head);
	return true;
}

/* One of a directory's entries gets an owner more.  False: an empty table, which nobody inherits. */
static ALWAYS_INLINE bool share_entry(pte_t e, bool huge_first)
{
	struct page *pg = pte_page(e);

	if (huge_first && likely(pte_huge(e)))
		return share_block(pg);
	if (likely(!(e.v & (PTE_HUGE | PTE_BORROWED)))) {
		if (unlikely(!pg->used))
			return false;
		page_get(pg);
		return true;
	}
	return pte_huge(e) ? share_block(pg) : true;	/* BORROWED: the child holds the image too */
}

/* All entries of a directory: the common case, in one tight loop for entries side by side.  How many. */
static ALWAYS_INLINE u32 share_each(struct page *pd, struct page *kid, bool huge_first)
{
	pte_t *at = table_entries(pd);
	const i64 its = table_entries(kid) - at;
	u32 left = pd->used, empty = 0;

	while (left) {
		at = table_seek(pd, at);
		do {
			pte_t e = { at->v & ~PTE_WRITE };

			if (likely(share_entry(e, huge_first))) {
				WRITE_ONCE(at->v, e.v);
				WRITE_ONCE(at[its].v, e.v);
			} else {
				empty++;
			}
			at++;
		} while (--left && pte_live(*at));
	}
	kid->index = pd->index;
	return pd->used - empty;
}

static NOINLINE u32 share_all(struct page *pd, struct page *kid) { return share_each(pd, kid, false); }
static NOINLINE u32 share_all_huge(struct page *pd, struct page *kid) { return share_each(pd, kid, true); }

/* Those that the child inherits whole. */
static u32 share_some(struct aspace *from, struct page *pd, struct page *kid, u64 base) MUST_HOLD(&from->lock)
{
	pte_t *mine = table_entries(pd), *its = table_entries(kid);
	u32 n = 0;

	for (u32 i = 0; (i = pgtable_next_live(pd, i)) < TABLE_ENTRIES; i++) {
		pte_t e = { mine[i].v & ~PTE_WRITE };

		if (!leaf_inherited_whole(from, base + i * HUGE_SIZE) || !share_entry(e, false))
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
static int share_directory(struct aspace *from, struct page *pd, struct aspace *to, struct page *kid, u64 base) MUST_HOLD(&from->lock)
{
	GUARD_SPIN(&from->pgt_lock);
	spin_lock_nested(&to->pgt_lock);
	u32 n = unlikely(from->nofork) ? share_some(from, pd, kid, base) :
		unlikely(mostly_huge(pd)) ? share_all_huge(pd, kid) : share_all(pd, kid);

	kid->private = pd->private;
	kid->used += n;
	u32 huge = huge_entries(kid);

	to->nhuge += huge;
	tables_add(to, n - huge);
	stat_add(STAT_TABLE_SHARED, n - huge);
	spin_unlock(&to->pgt_lock);
	return 0;
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

/* A table that the child has like its parent.  Only rmap can look at the child: tables are linked under the lock. */
static ALWAYS_INLINE struct page *like_parent(struct aspace *to, struct page *upper, u32 i)
{
	struct page *fresh = pgtable_table_alloc();

	if (!fresh)
		return NULL;
	GUARD_SPIN(&to->pgt_lock);
	pgtable_link(to, upper, &table_entries(upper)[i], fresh);
	return fresh;
}

typedef int fork_table_fn(struct aspace *from, struct page *t, struct aspace *to, struct page *kid, u64 base);

/*
 * What hangs below the table t, whose first address is base, by below.  from->lock is exclusive: no table of the parent
 * comes or goes on the way.
 */
static ALWAYS_INLINE int fork_table(struct aspace *from, struct page *t, struct aspace *to, struct page *kid, u64 base,
				    u32 level, fork_table_fn *below)
{
	pte_t *mine = table_entries(t);

	for (u32 left = t->used, i = 0; left; left--, i++) {
		i = (u32)(table_seek(t, mine + i) - mine);
		struct page *fresh = like_parent(to, kid, i);
		int err = fresh ? below(from, pte_page(mine[i]), to, fresh, base + i * mmu_level_size(level)) : -ENOMEM;

		if (err)
			return err;
	}
	return 0;
}

static int fork_level2(struct aspace *from, struct page *t, struct aspace *to, struct page *kid, u64 base)
{
	return fork_table(from, t, to, kid, base, 2, share_directory);
}

static int fork_tables(struct aspace *from, struct aspace *to) MUST_HOLD(&from->lock)
{
	int err = fork_table(from, pfn_to_page(from->root), to, pfn_to_page(to->root), 0, 3, fork_level2);

	if (err)
		return err;
	if (from->nofork && copy_mixed_leaves(from, to))
		return -ENOMEM;
	to->rss = to->peak_rss = from->rss;
	return 0;
}

/* --- pages that both sides write at once ------------------------------------ */

/*
 * The leaf of va in the child becomes its own, the parent's is OWNED again: what the first write on either side would
 * do.  Both pgt_locks held; *table is taken if it is needed.  False: there is nothing at va, or somebody else has the leaf.
 */
static bool part_leaves(pte_t *mine, pte_t *its, struct page **table)
{
	if (!mine || !its || !pte_live(*mine) || !pte_live(*its) || pte_huge(*mine) || pte_huge(*its))
		return false;
	struct page *leaf = pte_page(*mine);

	if (leaf != pte_page(*its))
		return true;				/* an address before this one parted them */
	if (page_refs(leaf) != 2 || mine->v & PTE_BORROWED || !*table)
		return false;
	leaf_copy(leaf, *table);
	pgtable_link_leaf(its, MOVE(*table));
	pgtable_leaf_drop(leaf);
	pgtable_link_leaf(mine, leaf);
	return true;
}

/*
 * The child gets pg, with the bytes of the page that it has in common with its parent at va alone; both may write.  clean:
 * the processor notes in the child's entry that it was written.
 */
static bool part_pages(pte_t *mine, pte_t *its, const struct area *a, u64 va, struct page *taken, u64 clean)
{
	struct page *leaf = pte_page(*mine), *kid = pte_page(*its), *old;
	pte_t e = *leaf_slot(leaf, va);

	if (!pte_live(e) || pte_kind(e) != KIND_ANON || e.v & PTE_BORROWED || !pte_same(e, *leaf_slot(kid, va)))
		return false;
	old = pte_page(e);
	if (page_refs(old) != 2)			/* inv. F1 */
		return false;
	memcpy(page_addr(taken), page_addr(old), PAGE_SIZE);
	leaf_touch(leaf, mmu_index(va, 0), mmu_index(va, 0) + 1);
	leaf_touch(kid, mmu_index(va, 0), mmu_index(va, 0) + 1);
	WRITE_ONCE(leaf_slot(kid, va)->v, pgtable_entry_for(a, taken, true).v & ~clean);
	WRITE_ONCE(leaf_slot(leaf, va)->v, pgtable_entry_for(a, old, true).v);
	page_put(old);
	return true;
}

/* A page to be copied, and what that takes. */
struct part {
	u64 va;
	const struct area *area;
	struct page *page, *table;	/* table: where the part before is of another leaf */
};
#define PARTS (FORK_WRITES + FORK_LEARNED)

/* Adds va's page to the n parts there are: how many there are then.  Where memory is short there are no more. */
static u32 part_add(struct aspace *from, struct part *parts, u32 n, u64 va) MUST_HOLD(&from->lock)
{
	struct part *p = &parts[n];

	*p = (struct part){ .va = va & PAGE_MASK, .area = area_find(from, va) };
	if (!p->area || p->area->start > va || (p->area->flags & (VM_WRITE | VM_SHARED)) != VM_WRITE)
		return n;
	p->page = page_alloc(0, PAGE_ANON, ALLOC_USER | ALLOC_NORECLAIM);
	if (!p->page)
		return n;
	if (!n || huge_base(p[-1].va) != huge_base(va))
		p->table = pgtable_table_alloc();
	return n + 1;
}

static void parts_copy(struct aspace *from, struct aspace *to, struct part *parts, u32 n)
{
	pte_t *mine = NULL, *its = NULL;
	bool parted = false;

	spin_lock(&from->pgt_lock);
	spin_lock_nested(&to->pgt_lock);
	for (struct part *p = parts; p < parts + n; p++) {
		if (p == parts || huge_base(p[-1].va) != huge_base(p->va)) {
			mine = pgtable_dir_slot(from, p->va, NULL);
			its = pgtable_dir_slot(to, p->va, NULL);
			parted = part_leaves(mine, its, &p->table);
		}
		if (parted && part_pages(mine, its, p->area, p->va, p->page, to->asked ? PTE_DIRTY : 0))
			p->page = NULL;
	}
	spin_unlock(&to->pgt_lock);
	spin_unlock(&from->pgt_lock);
	for (struct part *p = parts; p < parts + n; p++) {
		if (unlikely(p->page))
			page_put(p->page);
		if (unlikely(p->table))
			pgtable_table_free(p->table);
	}
}

/*
 * The first copies of a child teach the next fork what to copy at once: pages that C libraries write in every child.  What
 * the parent writes after a fork is its own business, and another page each time.  What a child that is asked left
 * unwritten is forgotten (fork_unlearn()).
 */
void fork_learn(struct aspace *as, u64 va)
{
	u64 *parted = as->set->parted;
	u32 lessons = READ_ONCE(as->lessons);

	if (!lessons)
		return;
	WRITE_ONCE(as->lessons, lessons - 1);
	for (u32 i = 0; i < FORK_LEARNED; i++) {
		if (READ_ONCE(parted[i]) == va)
			return;
		if (READ_ONCE(parted[i]))
			continue;
		WRITE_ONCE(parted[i], va);
		return;
	}
}

static bool was_written(struct aspace *as, u64 va)
{
	pte_t *dir = pgtable_dir_slot(as, va, NULL);

	return dir && pte_live(*dir) && !pte_huge(*dir) && pte_dirty(*leaf_slot(pte_page(*dir), va));
}

void fork_unlearn(struct aspace *as)
{
	u64 *parted = as->set->parted;

	for (u32 i = 0; i < FORK_LEARNED; i++) {
		u64 va = READ_ONCE(parted[i]);

		if (va && !was_written(as, va))
			WRITE_ONCE(parted[i], 0);
	}
}

static u32 parts_learned(struct aspace *from, struct aspace *to, struct part *parts, u32 n) MUST_HOLD(&from->lock)
{
	struct area_set *set = from->set;
	u32 forks = READ_ONCE(set->forks);

	for (u32 i = 0; i < FORK_LEARNED; i++) {
		u64 va = READ_ONCE(set->parted[i]);

		if (!va)
			continue;
		n = part_add(from, parts, n, va);
		to->asked = forks % FORK_ASKS == 0;
	}
	WRITE_ONCE(set->forks, forks + 1);
	return n;
}

/*
 * Copies now what both sides are about to write: two faults a page, and the copy of a table in one of them, need not
 * happen.  Only for a parent with one thread: another would write between the copy and the flush, and its later write
 * to a page that is not copied might be seen without this one.
 */
static void part_early(struct aspace *from, struct aspace *to, const struct fork_writes *w) MUST_HOLD(&from->lock)
{
	struct part parts[PARTS];
	u32 n = 0;

	if (!w || atomic_read(&from->users) > 1)
		return;
	for (u32 i = 0; i < w->n; i++)
		n = part_add(from, parts, n, w->at[i]);
	n = parts_learned(from, to, parts, n);
	if (n)
		parts_copy(from, to, parts, n);
	WRITE_ONCE(from->lessons, 0);			/* what it writes from now on says nothing of its children */
	WRITE_ONCE(to->lessons, FORK_LEARNED);
}

/* --- all of it --------------------------------------------------------------- */

static int fork_locked(struct aspace *from, const struct fork_writes *w, struct aspace **out) MUST_HOLD(&from->lock)
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
		if (!err)
			part_early(from, to, w);
		/* Before a fault of another thread can act on what is read-only now. */
		tlb_flush(from, 0, USER_TOP);
	}
	return err;
}

int aspace_fork(struct aspace *from, const struct fork_writes *w, struct aspace **out)
{
	struct aspace *to = NULL;
	int err;

	rwlock_write(&from->lock);
	err = fork_locked(from, w, &to);
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
