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
		struct page *leaf = t->shared ? page_get(t->master) : ready_table(t);

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

static void undo_four(pte_t *e, const pte_t *m)
{
	for (u32 i = 0; i < 4; i++) {
		if (e[i].v == m[i].v)
			continue;
		if (pte_live(e[i]) && pte_owns(e[i]))
			page_put(pte_page(e[i]));
		e[i].v = m[i].v;
	}
}

static void undo(struct page *leaf, const struct page *master)
{
	pte_t *e = table_entries(leaf);
	const pte_t *m = page_addr(master);

	for (u32 touched = leaf->touched; touched; touched &= touched - 1)
		for (u32 i = (u32)__builtin_ctz(touched) * TOUCH_GROUP, end = i + TOUCH_GROUP; i < end; i += 4)
			if ((e[i].v ^ m[i].v) | (e[i + 1].v ^ m[i + 1].v) | (e[i + 2].v ^ m[i + 2].v) | (e[i + 3].v ^ m[i + 3].v))
				undo_four(e + i, m + i);
	note_as_new(leaf, master);
}

void image_tables_take_back(struct vm_image *im, struct aspace *as)
{
	struct image_body *b = im->body;

	for (u32 i = 0; i < b->ntables; i++) {
		struct image_table *t = &b->tables[i];
		struct page *leaf = t->shared || !READ_ONCE(im->obj) ? NULL : unplug_ready(as, t->base);

		if (!leaf)
			continue;
		undo(leaf, t->master);
		spin_lock(&image_lock);
		if (im->obj && t->nready < IMAGE_READY)
			t->ready[t->nready++] = MOVE(leaf);
		spin_unlock(&image_lock);
		if (leaf)
			pgtable_leaf_drop(leaf);
	}
}
