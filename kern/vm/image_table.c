/*
 * Exec images: leaf tables made ready.
 *
 * An image that goes where its headers say has a master for each 2 MiB that it
 * has pages in.  Where no area can be written, the master itself is plugged into
 * every space, SHARED as after fork.  Elsewhere nearly every program writes at
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

bool image_tables_build(struct image_body *b)
{
	u64 first = ALIGN_DOWN(b->start, HUGE_SIZE);
	u32 n = 0;

	for (u64 base = next_base(b, first); base < b->end; base = next_base(b, base + HUGE_SIZE))
		n++;
	b->tables = n ? kzalloc(n * sizeof(*b->tables)) : NULL;
	if (n && !b->tables)
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
	}
	return true;
}

void image_tables_free(struct image_body *b)
{
	for (u32 i = 0; i < b->ntables; i++) {
		struct image_table *t = &b->tables[i];

		while (t->nready)
			pgtable_leaf_drop(t->ready[--t->nready]);
		if (pte_live(t->huge))
			block_put(pte_page(t->huge));
		else
			pgtable_leaf_drop(t->master);
	}
	kfree(b->tables);
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

/* Where no leaf is; upper tables are made.  -ENOMEM, -EEXIST: leaf is still the caller's. */
static int plug(struct aspace *as, u64 va, struct page *leaf, bool shared)
{
	struct page *t = pfn_to_page(as->root), *spare[2];
	pte_t *slot = NULL;
	u32 n = 0;

	while (n < ARRAY_LEN(spare) && (spare[n] = pgtable_table_alloc()))
		n++;
	spin_lock(&as->pgt_lock);
	for (u32 level = 3; t; level--) {
		slot = &table_entries(t)[mmu_index(va, level)];
		if (level == 1)
			break;
		if (!pte_live(*slot) && n)
			pgtable_link(as, t, slot, spare[--n]);
		t = pte_live(*slot) ? pte_page(*slot) : NULL;
	}
	bool room = t && !pte_live(*slot);

	if (room) {
		pgtable_link(as, t, slot, leaf);
		if (shared)
			WRITE_ONCE(slot->v, slot->v & ~PTE_WRITE);	/* inv. T1 */
		as->rss += leaf_rss(leaf);
		as->peak_rss = MAX(as->peak_rss, as->rss);
	}
	spin_unlock(&as->pgt_lock);
	while (n)
		pgtable_table_free(spare[--n]);
	return room ? 0 : t ? -EEXIST : -ENOMEM;
}

void image_tables_plug(struct image_body *b, struct aspace *as)
{
	for (u32 i = 0; i < b->ntables; i++) {
		struct image_table *t = &b->tables[i];
		struct page *leaf;

		if (pte_live(t->huge)) {
			image_huge_plug(t, as);
			continue;
		}
		leaf = t->shared ? page_get(t->master) : ready_table(t);
		if (leaf && plug(as, t->base, leaf, t->shared))
			pgtable_leaf_drop(leaf);
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

void image_tables_take_back(struct vm_image *im, struct aspace *as)
{
	struct image_body *b = im->body;

	for (u32 i = 0; i < b->ntables; i++) {
		struct image_table *t = &b->tables[i];
		u32 waiting = READ_ONCE(t->nready);
		struct page *leaf;

		if (t->shared || pte_live(t->huge) || !READ_ONCE(im->obj) || waiting == IMAGE_READY)
			continue;
		leaf = unplug_ready(as, t->base);
		if (!leaf)
			continue;
		/* Where many wait already (children of a shell that execute other programs), pages are not worth filling. */
		undo(b, t, leaf, waiting < IMAGE_WARM ? IMAGE_KEPT : 0);
		spin_lock(&image_lock);
		if (im->obj && t->nready < IMAGE_READY)
			t->ready[t->nready++] = MOVE(leaf);
		spin_unlock(&image_lock);
		if (leaf)
			pgtable_leaf_drop(leaf);
	}
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
