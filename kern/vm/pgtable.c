/*
 * Page tables: the walk over four levels, tables with users, leaf tables that
 * several spaces share after fork.
 *
 * A table is BUILDING (in no entry yet), OWNED (one user) or, leaves only,
 * SHARED (refs > 1), and is dropped by each user; the last user's drop frees
 * the frames that its entries own.
 *
 * T1  A directory entry (level 1) with W points to an OWNED leaf, or is itself a
 *     2 MiB entry (huge.c): those are never in a table that is shared.  A SHARED
 *     leaf hangs on entries without W only: the one exception to "intermediate
 *     entries stay permissive".  The processor then refuses every write below
 *     it, whatever the leaf says.
 * T2  A SHARED leaf changes in one way only: rmap clears entries for every
 *     sharer at once (their areas are the same there, see rmap.c), under the
 *     table's share lock.  Everyone else goes through pgtable_leaf_for_write().
 * T3  Private entries of a leaf lose their W before its frames get a second
 *     owner: pgtable_unshare() clears it in the old table too, since the last
 *     sharer takes that table over as it is.
 * T4  A table is dropped only after every CPU of its space has flushed: a stale
 *     directory entry in a paging-structure cache would show another space's
 *     later entries.
 * T5  A directory entry with PTE_BORROWED is no user of its leaf, an exec image's
 *     master (image.c, inv. I1).  The image alone has two references on it, so
 *     that it is SHARED for whoever asks, and outlives the entry.
 *
 * Locks: as->pgt_lock, then the share lock.  A leaf's count goes from 1 to 2
 * under the pgt_lock of its only user, so refs == 1 is stable under it.
 */
#include <core/stat.h>

#include "vm.h"

#define SHARE_LOCKS 64u
#define DIR_BITS (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED)

static spinlock_t share_locks[SHARE_LOCKS];

void pgtable_init(void)
{
	for (u32 i = 0; i < SHARE_LOCKS; i++)
		spin_init(&share_locks[i], LR_PGTABLE_SHARE);
}

spinlock_t *pgtable_share_lock(struct page *leaf)
{
	return &share_locks[page_to_pfn(leaf).v % SHARE_LOCKS];
}

pte_t *pgtable_dir_slot(struct aspace *as, u64 va, struct page **pd)
{
	struct page *t = pfn_to_page(as->root);

	for (u32 level = 3; level > 1; level--) {
		pte_t e = table_entries(t)[mmu_index(va, level)];

		if (!pte_live(e))
			return NULL;
		t = pte_page(e);
	}
	if (pd)
		*pd = t;
	return &table_entries(t)[mmu_index(va, 1)];
}

struct page *pgtable_leaf(struct aspace *as, u64 va)
{
	pte_t *dir = pgtable_dir_slot(as, va, NULL);

	return dir && pte_live(*dir) && !pte_huge(*dir) ? pte_page(*dir) : NULL;
}

pte_t pgtable_entry(struct aspace *as, u64 va)
{
	pte_t *dir = pgtable_dir_slot(as, va, NULL);

	if (!dir || !pte_live(*dir))
		return (pte_t){ 0 };
	return pte_huge(*dir) ? pte_of_huge(*dir, va) : *leaf_slot(pte_page(*dir), va);
}

pte_t pgtable_lookup_entry(struct aspace *as, u64 va, u32 *level)
{
	GUARD_SPIN(&as->pgt_lock);
	pte_t *dir = va < USER_TOP ? pgtable_dir_slot(as, va, NULL) : NULL;

	*level = dir && pte_huge(*dir);
	if (!dir || !pte_live(*dir))
		return (pte_t){ 0 };
	return *level ? *dir : *leaf_slot(pte_page(*dir), va);
}

u32 pgtable_next_live(struct page *t, u32 i)
{
	const pte_t *e = table_entries(t);

	while (i < TABLE_ENTRIES) {
		u64 groups = table_groups(t) >> (i / TABLE_GROUP);

		if (!groups)
			break;
		if (!(groups & 1))
			i = ALIGN_DOWN(i, TABLE_GROUP) + group_first(groups);
		do {
			if (pte_live(e[i]))
				return i;
		} while (++i % TABLE_GROUP);
	}
	return TABLE_ENTRIES;
}

pte_t *pgtable_next_entry(struct aspace *as, u64 *va, u64 end, u32 stop_level)
{
	u64 at = *va;

	while (at < end) {
		struct page *t = pfn_to_page(as->root);

		for (u32 level = 3;; level--) {
			u64 size = mmu_level_size(level);
			u32 i = mmu_index(at, level);
			pte_t *e = &table_entries(t)[i];

			if (!pte_live(*e)) {
				u32 next = pgtable_next_live(t, i);

				at = ALIGN_DOWN(at, size) + (u64)(next - i) * size;
				if (next == TABLE_ENTRIES || at >= end)
					break;
				e = &table_entries(t)[next];
			}
			if (level == stop_level) {
				*va = at;
				return e;
			}
			t = pte_page(*e);
		}
	}
	return NULL;
}

struct page *pgtable_next_leaf(struct aspace *as, u64 *va, u64 end)
{
	pte_t *dir;

	while ((dir = pgtable_next_entry(as, va, end, 1)) != NULL) {
		if (!pte_huge(*dir))
			return pte_page(*dir);
		*va = huge_base(*va) + HUGE_SIZE;
	}
	return NULL;
}

/* --- entries ------------------------------------------------------------- */

void leaf_set(struct aspace *as, struct page *leaf, u64 va, pte_t e)
{
	u32 i = mmu_index(va, 0);
	pte_t *slot = &table_entries(leaf)[i];

	ASSERT(!pte_live(*slot) && pte_live(e));
	leaf->used++;
	leaf->private |= 1ull << (i / TABLE_GROUP);
	leaf_touch(leaf, i, i + 1);
	leaf_count(leaf)->n[pte_kind(e)]++;
	as->rss += pte_counted(e);
	if (as->rss > as->peak_rss)
		as->peak_rss = as->rss;
	WRITE_ONCE(slot->v, e.v);
}

void leaf_set_run(struct aspace *as, struct page *leaf, u64 va, const pte_t *e, u32 n)
{
	struct leaf_count *count = leaf_count(leaf);
	u32 first = mmu_index(va, 0), set = 0;
	pte_t *slot = &table_entries(leaf)[first];

	for (u32 i = 0; i < n; i++) {
		if (!pte_live(e[i]))
			continue;
		ASSERT(!pte_live(slot[i]) && pte_owns(e[i]));
		count->n[pte_kind(e[i])]++;
		set++;
		WRITE_ONCE(slot[i].v, e[i].v);
	}
	if (!set)
		return;
	leaf->private |= groups_touching(first, first + n);
	leaf_touch(leaf, first, first + n);
	leaf->used += set;
	as->rss += set;
	if (as->rss > as->peak_rss)
		as->peak_rss = as->rss;
}

pte_t leaf_clear(struct aspace *as, struct page *leaf, u64 va)
{
	u32 i = mmu_index(va, 0);
	pte_t *slot = &table_entries(leaf)[i];
	pte_t e = *slot;

	ASSERT(pte_live(e));
	leaf_touch(leaf, i, i + 1);
	WRITE_ONCE(slot->v, 0);
	if (!--leaf->used)
		leaf->private = 0;
	leaf_count(leaf)->n[pte_kind(e)]--;
	as->rss -= pte_counted(e) && as->rss;
	return e;
}

static void leaf_recount(struct aspace *as, struct page *leaf, u32 i, pte_t e)
{
	pte_t old = table_entries(leaf)[i];
	enum pte_kind was = pte_kind(old), is = pte_kind(e);

	ASSERT(pte_live(old) && pte_live(e));
	leaf_touch(leaf, i, i + 1);
	if (likely(was == is))
		return;
	leaf_count(leaf)->n[was]--;
	leaf_count(leaf)->n[is]++;
	if (was == KIND_ZERO && ++as->rss > as->peak_rss)
		as->peak_rss = as->rss;
}

void leaf_change(struct aspace *as, struct page *leaf, u64 va, pte_t e)
{
	leaf_recount(as, leaf, mmu_index(va, 0), e);
	WRITE_ONCE(leaf_slot(leaf, va)->v, e.v);
}

/*
 * Other threads of the space may run on other CPUs with the old translation;
 * none may still read the old frame while another already writes the new one.
 */
void leaf_replace(struct aspace *as, struct page *leaf, u64 va, pte_t e)
{
	pte_t *slot = leaf_slot(leaf, va);

	leaf_recount(as, leaf, mmu_index(va, 0), e);
	if (unlikely(tlb_elsewhere(as))) {
		WRITE_ONCE(slot->v, 0);
		tlb_flush(as, va, va + PAGE_SIZE);
	}
	WRITE_ONCE(slot->v, e.v);
	tlb_flush_local(as, va);
}

/* --- building and unsharing ---------------------------------------------- */

/* Tables allocated before the lock was taken. */
struct stock {
	struct page *t[3];
	u32 n;
};

void pgtable_link_leaf(pte_t *slot, struct page *t)
{
	WRITE_ONCE(slot->v, pte_make(page_to_pfn(t), DIR_BITS).v);
}

void pgtable_link(struct aspace *as, struct page *upper, pte_t *slot, struct page *t)
{
	upper->used++;
	upper->private |= 1ull << (((u64)slot & ~PAGE_MASK) / sizeof(pte_t) / TABLE_GROUP);
	tables_add(as, 1);
	pgtable_link_leaf(slot, t);
}

/* Inv. T3: after this neither table gives a write to a private frame away. */
void leaf_copy(struct page *old, struct page *t)
{
	pte_t *from = table_entries(old), *to = table_entries(t);

	stat_inc(STAT_TABLE_COPIED);
	GUARD_SPIN(pgtable_share_lock(old));
	for (u64 groups = table_groups(old); groups; groups &= groups - 1) {
		u32 i = group_first(groups), end = i + TABLE_GROUP;

		if (leaf_pristine(old, i)) {
			memcpy(to + i, from + i, TABLE_GROUP * sizeof(*to));
			continue;
		}
		for (; i < end; i++) {
			pte_t e = { READ_ONCE(from[i].v) };

			if (!pte_live(e))
				continue;
			if (pte_writable(e) && !pte_is_shared(e)) {
				bits_clear(&from[i].v, PTE_WRITE);
				e.v &= ~PTE_WRITE;
			}
			if (pte_owns(e))
				page_get(pte_page(e));
			to[i] = e;
		}
	}
	t->private = old->private;
	t->index = old->index;
	t->used = old->used;
	t->touched = old->touched;
	if (old->flags & PAGE_F_READY)
		bits_set(&t->flags, PAGE_F_READY);
}

static void pgtable_unshare(struct aspace *as, u64 va, pte_t *dir, struct page *t)
{
	pte_t was = *dir;

	leaf_copy(pte_page(was), t);
	pgtable_link_leaf(dir, t);
	tlb_flush(as, va, va + PAGE_SIZE);	/* inv. T4: one invlpg empties the paging-structure caches */
	if (!(was.v & PTE_BORROWED))
		pgtable_leaf_drop(pte_page(was));
}

/* va's directory, or NULL when the stock ran out. */
static ALWAYS_INLINE struct page *dir_build(struct aspace *as, u64 va, struct stock *st)
{
	struct page *t = pfn_to_page(as->root);

	for (u32 level = 3; level > 1; level--) {
		pte_t *slot = &table_entries(t)[mmu_index(va, level)];

		if (!pte_live(*slot)) {
			if (!st->n)
				return NULL;
			pgtable_link(as, t, slot, st->t[--st->n]);
		}
		t = pte_page(*slot);
	}
	return t;
}

/* The OWNED leaf of va, or NULL when the stock ran out. */
static struct page *leaf_build(struct aspace *as, u64 va, struct stock *st)
{
	struct page *pd = dir_build(as, va, st), *t;

	if (!pd)
		return NULL;
	pte_t *slot = &table_entries(pd)[mmu_index(va, 1)];

	if (likely((slot->v & (PTE_WRITE | PTE_HUGE)) == PTE_WRITE))
		return pte_page(*slot);
	if (!pte_live(*slot)) {
		if (!st->n)
			return NULL;
		pgtable_link(as, pd, slot, st->t[--st->n]);
		return pte_page(*slot);
	}
	if (pte_huge(*slot)) {
		if (!st->n)
			return NULL;
		huge_split(as, pd, slot, va, st->t[--st->n]);
		tables_add(as, 1);
		return pte_page(*slot);
	}
	t = pte_page(*slot);
	if (page_refs(t) == 1) {
		stat_inc(STAT_TABLE_TAKEN);
		WRITE_ONCE(slot->v, slot->v | PTE_WRITE);
		return t;
	}
	if (!st->n)
		return NULL;
	pgtable_unshare(as, va & PAGE_MASK, slot, st->t[--st->n]);
	return pte_page(*slot);
}

/* Takes pgt_lock; what build made, with the tables that it needs. */
static ALWAYS_INLINE int build_locked(struct aspace *as, u64 va, struct page **out,
				      struct page *(*build)(struct aspace *, u64, struct stock *))
	TRY_ACQUIRES(0, &as->pgt_lock) NO_LOCK_ANALYSIS
{
	struct stock st = { .n = 0 };

	for (;;) {
		spin_lock(&as->pgt_lock);
		struct page *t = build(as, va, &st);

		if (likely(t)) {
			while (unlikely(st.n))
				pgtable_table_free(st.t[--st.n]);
			*out = t;
			return 0;
		}
		spin_unlock(&as->pgt_lock);
		t = pgtable_table_alloc();
		if (!t)
			return -ENOMEM;
		st.t[st.n++] = t;
	}
}

int pgtable_leaf_for_write(struct aspace *as, u64 va, struct page **leaf)
{
	return build_locked(as, va, leaf, leaf_build);
}

int pgtable_dir_for_write(struct aspace *as, u64 base, struct page **pd, pte_t **slot) NO_LOCK_ANALYSIS	/* locked if 0 */
{
	int err = build_locked(as, base, pd, dir_build);

	if (!err)
		*slot = &table_entries(*pd)[mmu_index(base, 1)];
	return err;
}

/* --- taking away --------------------------------------------------------- */

void pgtable_unlink_leaf(struct aspace *as, struct page *pd, pte_t *slot)
{
	as->rss -= MIN(leaf_rss(pte_page(*slot)), as->rss);
	WRITE_ONCE(slot->v, 0);
	pd->used--;
	tables_add(as, -1);
}

bool pgtable_detach_leaf(struct gather *g, u64 va)
{
	struct aspace *as = g->as;
	struct page *path[4];
	bool full = false, borrowed = false;
	u32 level;

	path[3] = pfn_to_page(as->root);
	for (level = 3; level > 1; level--)
		path[level - 1] = pte_page(table_entries(path[level])[mmu_index(va, level)]);
	pte_t *dir = &table_entries(path[1])[mmu_index(va, 1)];

	if (pte_huge(*dir)) {
		full = gather_block(g, huge_base(va), pte_page(huge_clear(as, path[1], dir)));
		table_group_drop(path[1], dir);
		if (path[1]->used)
			return full;
		level = 2;
	} else {
		path[0] = pte_page(*dir);
		as->rss -= MIN(leaf_rss(path[0]), as->rss);
		borrowed = dir->v & PTE_BORROWED;
	}
	for (; level <= 3; level++) {
		pte_t *at = &table_entries(path[level])[mmu_index(va, level)];

		WRITE_ONCE(at->v, 0);
		table_group_drop(path[level], at);
		tables_add(as, -1);
		if (level > 1 || !borrowed)
			full |= gather_table(g, va, path[level - 1]);
		else
			gather_range(g, huge_base(va), huge_base(va) + HUGE_SIZE);
		if (--path[level]->used)
			break;
	}
	return full;
}

void pgtable_leaf_drop(struct page *leaf)
{
	for (;;) {
		i32 refs = atomic_read(&leaf->refs);

		if (refs == 1)
			break;
		if (atomic_cas(&leaf->refs, refs, refs - 1))
			return;
	}
	pte_t *e = table_entries(leaf);

	for (u64 groups = table_groups(leaf); groups; groups &= groups - 1) {
		u32 i = group_first(groups), end = i + TABLE_GROUP;

		if (leaf_pristine(leaf, i)) {			/* nothing owned: BORROWED ones only */
			memset(e + i, 0, TABLE_GROUP * sizeof(*e));
			continue;
		}
		for (; i < end; i++) {
			if (!pte_live(e[i]))
				continue;
			if (pte_owns(e[i]))
				page_put(pte_page(e[i]));
			e[i].v = 0;
		}
	}
	pgtable_table_free(leaf);
}

/* huge_first: that is what most of them are. */
static ALWAYS_INLINE void entries_drop(struct page *pd, bool huge_first)
{
	pte_t *at = table_entries(pd);

	for (u32 left = pd->used; left;) {
		at = table_seek(pd, at);
		do {					/* those side by side */
			struct page *pg = pte_page(*at);

			if (huge_first && likely(pte_huge(*at)))
				block_put(pg);
			else if (likely(!(at->v & (PTE_HUGE | PTE_BORROWED))))
				pgtable_leaf_drop(pg);
			else if (pte_huge(*at))
				block_put(pg);
			at->v = 0;
			at++;
		} while (--left && pte_live(*at));
	}
}

static NOINLINE void directory_empty_huge(struct page *pd) { entries_drop(pd, true); }

static void directory_empty(struct page *pd)
{
	if (unlikely(mostly_huge(pd)))
		directory_empty_huge(pd);
	else
		entries_drop(pd, false);
}

/* All that hangs below t, of a level above the directories, goes. */
static ALWAYS_INLINE void table_empty(struct page *t, void (*empty)(struct page *t))
{
	pte_t *at = table_entries(t);

	for (u32 left = t->used; left; left--, at++) {
		at = table_seek(t, at);
		struct page *below = pte_page(*at);

		at->v = 0;
		empty(below);
		pgtable_table_free(below);
	}
	t->used = 0;
}

static void level2_empty(struct page *t) { table_empty(t, directory_empty); }

void pgtable_destroy(struct aspace *as)
{
	table_empty(pfn_to_page(as->root), level2_empty);
	as->rss = as->nhuge = 0;
	atomic64_set(&as->table_pages, 1);
}
