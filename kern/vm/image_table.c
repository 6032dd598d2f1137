/*
 * Exec images: leaf tables made ready.
 *
 * An image that goes where its headers say has a master for each 2 MiB that it
 * has pages in.  Where no area can be written, the master itself is lent to every
 * space: a directory entry that owns nothing (inv. T5), so that a large program
 * costs a store per 2 MiB.  Elsewhere nearly every program writes at
 * once (.data, .bss), so each space gets a table of its own: one that another
 * space left behind, or a copy of the master.  Such a READY table notes which
 * groups of entries change (leaf_touch); when its space is torn down with no
 * other user of the table, those alone are undone, and it waits for the next
 * exec.  Neither the copy nor the return touches a frame's count (inv. I1).
 *
 * A waiting table may own a few frames: private pages of .data and .bss that the
 * last program wrote, filled anew, which saves the next the fault.  Programs
 * alone: an interpreter's file may be written while it is mapped, and its
 * untouched pages show that (inv. I4).
 */
#include "image.h"

/* --- building -------------------------------------------------------------- */

static bool writable_in(const struct image_body *b, u64 start, u64 end)
{
	for (u32 i = 0; i < b->nareas; i++)
		if (b->areas[i].flags & VM_WRITE && b->areas[i].start < end && b->areas[i].end > start)
			return true;
	return false;
}

static void master_fill(struct page *master, const struct image_area *ia, u64 base)
{
	u64 first = MAX(ia->start, base), end = MIN(ia->start + ia->nentries * PAGE_SIZE, base + HUGE_SIZE);

	for (u64 va = first; va < end; va += PAGE_SIZE) {
		pte_t e = ia->entries[(va - ia->start) >> PAGE_SHIFT];
		u32 i = mmu_index(va, 0);

		if (!pte_live(e))
			continue;
		table_entries(master)[i] = e;
		master->used++;
		master->private |= 1ull << (i / TABLE_GROUP);
		leaf_count(master)->n[pte_kind(e)]++;
	}
}

/* Is there an entry in the 2 MiB at base? */
static bool pages_in(const struct image_body *b, u64 base)
{
	for (u32 i = 0; i < b->nareas; i++)
		if (b->areas[i].nentries && b->areas[i].start < base + HUGE_SIZE &&
		    b->areas[i].start + b->areas[i].nentries * PAGE_SIZE > base)
			return true;
	return false;
}

/* First 2 MiB at or after base with entries; b->end when there is none.  Areas may lie terabytes apart. */
static u64 next_base(const struct image_body *b, u64 base)
{
	while (base < b->end && !pages_in(b, base)) {
		u64 next = b->end;

		for (u32 i = 0; i < b->nareas; i++)
			if (b->areas[i].nentries && b->areas[i].start >= base + HUGE_SIZE)
				next = MIN(next, ALIGN_DOWN(b->areas[i].start, HUGE_SIZE));
		base = next;
	}
	return base;
}

/* Inv. T1, T5. */
static pte_t lend(struct page *master)
{
	page_get(master);
	return pte_make(page_to_pfn(master), PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_BORROWED);
}

static void note_runs(struct image_body *b)
{
	for (u32 i = b->ntables; i--;) {
		struct image_table *t = &b->tables[i], *next = t + 1;

		if (!t->shared)
			continue;
		t->run = 1;
		t->run_rss = leaf_rss(t->master);
		if (i + 1 < b->ntables && next->run && next->base == t->base + HUGE_SIZE && mmu_index(next->base, 1)) {
			t->run += next->run;
			t->run_rss += next->run_rss;
		}
	}
}

bool image_tables_build(struct image_body *b)
{
	u64 first = ALIGN_DOWN(b->start, HUGE_SIZE);
	u32 n = 0;

	for (u64 base = next_base(b, first); base < b->end; base = next_base(b, base + HUGE_SIZE))
		n++;
	if (!n)
		return true;
	b->tables = kzalloc(n * sizeof(*b->tables));
	b->lent = kzalloc(n * sizeof(*b->lent));
	if (!b->tables || !b->lent)
		return false;
	for (u64 base = next_base(b, first); base < b->end; base = next_base(b, base + HUGE_SIZE)) {
		struct image_table *t = &b->tables[b->ntables];

		t->base = base;
		t->huge = image_form == IMAGE_HUGE ? image_huge_build(b, base) : (pte_t){ 0 };
		if (pte_live(t->huge)) {
			b->ntables++;
			continue;
		}
		t->shared = !writable_in(b, base, base + HUGE_SIZE);
		t->master = pgtable_table_alloc();
		if (!t->master)
			return false;
		b->ntables++;
		for (u32 i = 0; i < b->nareas; i++)
			master_fill(t->master, &b->areas[i], base);
		if (t->shared)
			b->lent[t - b->tables] = lend(t->master);
	}
	note_runs(b);
	return true;
}

void image_tables_free(struct image_body *b)
{
	for (u32 i = 0; i < b->ntables; i++) {
		struct image_table *t = &b->tables[i];

		while (t->nready)
			pgtable_leaf_drop(t->ready[--t->nready]);
		if (pte_live(b->lent[i]))
			pgtable_leaf_drop(t->master);
		if (pte_live(t->huge))
			block_put(pte_page(t->huge));
		else
			pgtable_leaf_drop(t->master);
	}
	kfree(b->tables);
	kfree(b->lent);
}

/* --- into a space ---------------------------------------------------------- */

static void note_as_new(struct page *leaf, const struct page *master)
{
	leaf->used = master->used;
	leaf->private = master->private;
	leaf->index = master->index;
	leaf->touched = 0;
}

static struct page *ready_table(struct image_table *t)
{
	struct page *leaf = NULL;

	spin_lock(&image_lock);
	if (t->nready)
		leaf = t->ready[--t->nready];
	spin_unlock(&image_lock);
	if (likely(leaf))
		return leaf;
	leaf = pgtable_table_alloc();
	if (!leaf)
		return NULL;
	memcpy(table_entries(leaf), table_entries(t->master), PAGE_SIZE);
	note_as_new(leaf, t->master);
	bits_set(&leaf->flags, PAGE_F_READY);
	return leaf;
}

static void count_in(struct aspace *as, u64 rss, u32 tables)
{
	tables_add(as, tables);
	as->rss += rss;
	as->peak_rss = MAX(as->peak_rss, as->rss);
}

/* The run that starts with b's table t, its first slot in the directory pd. */
static void plug_run(struct aspace *as, struct page *pd, pte_t *slot, const struct image_body *b, const struct image_table *t)
{
	u32 first = mmu_index(t->base, 1);
	u64 groups = groups_touching(first, first + t->run);

	if (table_groups(pd) & groups)
		return;
	memcpy(slot, &b->lent[t - b->tables], t->run * sizeof(*slot));
	pd->private |= groups;
	pd->used += t->run;
	count_in(as, t->run_rss, t->run);
}

/* Nobody uses as any more: what is left of a run as it was plugged in goes at once. */
static void unplug_run(struct aspace *as, const struct image_body *b, const struct image_table *t)
{
	struct page *pd;
	pte_t *slot = pgtable_dir_slot(as, t->base, &pd);
	u64 bytes = t->run * sizeof(*slot);

	if (!slot || memcmp(slot, &b->lent[t - b->tables], bytes))
		return;
	memset(slot, 0, bytes);
	pd->used -= t->run;
}

static void plug_ready(struct aspace *as, struct image_table *t)
{
	struct page *leaf = ready_table(t), *pd;
	pte_t *slot;

	if (!leaf)
		return;
	if (!pgtable_dir_for_write(as, t->base, &pd, &slot)) {
		if (!pte_live(*slot)) {
			pgtable_link(as, pd, slot, leaf);
			count_in(as, leaf_rss(leaf), 0);
			leaf = NULL;
		}
		spin_unlock(&as->pgt_lock);
	}
	if (leaf)
		pgtable_leaf_drop(leaf);
}

/* What finds no memory, or a table in its place, comes by faults. */
void image_tables_plug(struct image_body *b, struct aspace *as)
{
	struct image_table *t = b->tables, *end = t + b->ntables;
	struct page *pd;
	pte_t *slot;

	while (t < end) {
		if (pte_live(t->huge)) {
			image_huge_plug(t++, as);
		} else if (!t->shared) {
			plug_ready(as, t++);
		} else {
			if (pgtable_dir_for_write(as, t->base, &pd, &slot))
				return;
			plug_run(as, pd, slot, b, t);
			spin_unlock(&as->pgt_lock);
			t += t->run;
		}
	}
}

static void enter_run(struct aspace *as, struct page *leaf, u64 va, const pte_t *e, u32 n, const struct leaf_count *count)
{
	u32 first = mmu_index(va, 0);
	struct leaf_count c = { { 0 } };

	memcpy(leaf_slot(leaf, va), e, n * sizeof(*e));
	if (!count) {
		for (u32 i = 0; i < n; i++)
			c.n[pte_kind(e[i])] += pte_live(e[i]);
		count = &c;
	}
	leaf->private |= groups_touching(first, first + n);
	for (u32 k = 0; k < KINDS; k++) {
		leaf_count(leaf)->n[k] += count->n[k];
		leaf->used += count->n[k];
		as->rss += count->n[k];
	}
	as->peak_rss = MAX(as->peak_rss, as->rss);
}

void image_entries_copy(const struct image_area *ia, struct aspace *as, u64 bias)
{
	u64 start = ia->start + bias, end = start + ia->nentries * PAGE_SIZE;

	for (u64 va = start, stop; va < end; va = stop) {
		const pte_t *e = &ia->entries[(va - start) >> PAGE_SHIFT];
		struct page *leaf;

		stop = MIN(end, ALIGN_DOWN(va, HUGE_SIZE) + HUGE_SIZE);
		if (pgtable_leaf_for_write(as, va, &leaf))
			return;
		enter_run(as, leaf, va, e, (u32)((stop - va) >> PAGE_SHIFT), va == start && stop == end ? &ia->count : NULL);
		spin_unlock(&as->pgt_lock);
	}
}

/* --- and back -------------------------------------------------------------- */

/* Nobody uses as any more: its READY leaf at va, if no other space shares it, leaves the tables. */
static struct page *unplug_ready(struct aspace *as, u64 va)
{
	struct page *pd, *leaf;
	pte_t *dir = pgtable_dir_slot(as, va, &pd);

	if (!dir || !pte_live(*dir))
		return NULL;
	leaf = pte_page(*dir);
	if (!(leaf->flags & PAGE_F_READY) || page_refs(leaf) > 1)
		return NULL;
	dir->v = 0;
	pd->used--;
	return leaf;
}

/* The writable area that va is in, if its page is told by the master: an entry, or zeros for want of one. */
static const struct image_area *area_to_keep(const struct image_body *b, u64 va, pte_t m)
{
	for (u32 i = 0; i < b->nareas; i++) {
		const struct image_area *ia = &b->areas[i];

		if (va < ia->start || va >= ia->end || !(ia->flags & VM_WRITE))
			continue;
		return pte_live(m) || !ia->file || (ia->file_end && va >= ia->file_end) ? ia : NULL;
	}
	return NULL;
}

/*
 * A page that this program wrote will be written by the next: it stays, with its first content again.  If that one does
 * not write it (the processor would have set the dirty bit), it goes.  Whoever else may have written is not asked:
 * a page that stays is made anew in any case.
 */
static bool keep_page(const struct image_body *b, u64 va, pte_t *e, pte_t m)
{
	const struct image_area *ia;
	struct page *pg;

	if (!pte_live(*e) || !pte_dirty(*e) || pte_is_shared(*e) || !pte_sole_owner(*e))
		return false;
	ia = area_to_keep(b, va, m);
	if (!ia)
		return false;
	const struct area like = { .flags = ia->flags };

	pg = pte_page(*e);
	if (pte_live(m))
		memcpy(page_addr(pg), page_addr(pte_page(m)), PAGE_SIZE);
	else
		memset(page_addr(pg), 0, PAGE_SIZE);
	e->v = pgtable_entry_for(&like, pg, true).v & ~PTE_DIRTY;
	return true;
}

/* Entries [i, i + 4) as the master has them, or pages of their own that are as new: how many of these. */
static u32 undo_four(const struct image_body *b, const struct image_table *t, struct page *leaf, u32 i, u32 room)
{
	pte_t *e = table_entries(leaf);
	const pte_t *m = table_entries(t->master);
	u32 kept = 0;

	for (u32 end = i + 4; i < end; i++) {
		if (e[i].v == m[i].v)
			continue;
		if (kept < room && keep_page(b, t->base + i * PAGE_SIZE, &e[i], m[i])) {
			struct leaf_count *count = leaf_count(leaf);

			if (pte_live(m[i]))
				count->n[pte_kind(m[i])]--;
			count->n[KIND_ANON]++;
			leaf->used += !pte_live(m[i]);
			leaf->private |= groups_touching(i, i + 1);
			leaf_touch(leaf, i, i + 1);
			kept++;
			continue;
		}
		if (pte_live(e[i]) && pte_owns(e[i]))
			page_put(pte_page(e[i]));
		e[i].v = m[i].v;
	}
	return kept;
}

static void undo(const struct image_body *b, const struct image_table *t, struct page *leaf, u32 room)
{
	const pte_t *e = table_entries(leaf), *m = table_entries(t->master);
	u32 touched = leaf->touched, kept = 0;

	note_as_new(leaf, t->master);
	for (; touched; touched &= touched - 1)
		for (u32 i = (u32)__builtin_ctz(touched) * TOUCH_GROUP, end = i + TOUCH_GROUP; i < end; i += 4)
			if ((e[i].v ^ m[i].v) | (e[i + 1].v ^ m[i + 1].v) | (e[i + 2].v ^ m[i + 2].v) | (e[i + 3].v ^ m[i + 3].v))
				kept += undo_four(b, t, leaf, i, room - kept);
}

static void take_back(struct vm_image *im, struct image_table *t, struct aspace *as)
{
	u32 waiting = READ_ONCE(t->nready);
	struct page *leaf;

	if (!READ_ONCE(im->obj) || waiting == IMAGE_READY)
		return;
	leaf = unplug_ready(as, t->base);
	if (!leaf)
		return;
	/* Where many wait already (children of a shell that execute other programs), pages are not worth filling. */
	undo(im->body, t, leaf, waiting < IMAGE_WARM ? IMAGE_KEPT : 0);
	spin_lock(&image_lock);
	if (im->obj && t->nready < IMAGE_READY)
		t->ready[t->nready++] = MOVE(leaf);
	spin_unlock(&image_lock);
	if (leaf)
		pgtable_leaf_drop(leaf);
}

void image_tables_take_back(struct vm_image *im, struct aspace *as)
{
	struct image_body *b = im->body;

	for (struct image_table *t = b->tables, *end = t + b->ntables; t < end; t += t->run ?: 1)
		if (t->run)
			unplug_run(as, b, t);
		else if (!pte_live(t->huge))
			take_back(im, t, as);
}

void image_table_owned(const struct image_table *t, void (*fn)(struct page *pg, u32 refs, void *arg), void *arg)
{
	for (u32 k = 0; k < t->nready; k++)
		for (u32 i = 0; i < TABLE_ENTRIES; i++) {
			pte_t e = table_entries(t->ready[k])[i];

			if (pte_live(e) && pte_owns(e))
				fn(pte_page(e), 1, arg);
		}
}
