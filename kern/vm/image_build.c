/*
 * Exec images: what the first exec's new space looks like, as a body.
 *
 * The areas are taken as the long way of mapping left them, so segments that
 * overlap and whatever MAP_FIXED did to them need no second implementation.
 * Pages are taken where they are in memory already: cached, or lent by the
 * archive.  Nothing is read for it; an image with pages missing is built anew
 * when the cache has more (vm_image_find).
 */
#include "image.h"

/* An assembled 2 MiB copy: which of its pages are there. */
struct block {
	struct page *head;
	u64 bits[TABLE_ENTRIES / 64];
};

void image_body_free(struct image_body *b)
{
	if (!b)
		return;
	image_tables_free(b);
	for (u32 i = 0; i < b->nareas; i++) {
		struct image_area *ia = &b->areas[i];

		for (u32 k = 0; k < ia->nentries; k++)
			for (u32 n = image_refs(ia->entries[k]); n; n--)
				page_put(pte_page(ia->entries[k]));
		kfree(ia->entries);
	}
	kfree(b);
}

/* --- areas ----------------------------------------------------------------- */

static bool area_can_be(const struct area *a, const struct vm_image_place *pl)
{
	if (a->flags & (VM_SHARED | VM_GROWSDOWN | VM_STACK | VM_VDSO))
		return false;
	return !a->obj || (a->obj == pl->obj && a->file == pl->file);
}

/* Number of areas in [start, end); 0: some of them cannot be the image's. */
static u32 count_areas(struct aspace *as, u64 start, u64 end, const struct vm_image_place *pl) MUST_HOLD_SHARED(&as->lock)
{
	u32 n = 0;

	for (struct area *a = area_find(as, start); a && a->start < end; a = area_next(a), n++)
		if (a->start < start || a->end > end || !area_can_be(a, pl))
			return 0;
	return n;
}

static void note_area(struct image_body *b, const struct area *a, u64 bias)
{
	u64 pages = (a->end - a->start) >> PAGE_SHIFT;

	b->areas[b->nareas++] = (struct image_area){
		.start = a->start - bias, .end = a->end - bias, .off = a->off, .flags = a->flags,
		.file_end = a->file_end ? a->file_end - bias : 0, .file = a->obj != NULL,
	};
	b->pages += pages;
	if (flags_count_data(a->flags))
		b->data_pages += pages;
}

/* --- pages ----------------------------------------------------------------- */

/* The cache's page, if it is in memory or in the archive. */
static struct page *page_at_hand(struct vm_object *obj, u64 index)
{
	struct page *pg = pagecache_lookup(obj, index);

	if (pg || !obj->ops->borrow_page || !pagecache_is_backed(obj, index))
		return pg;
	pg = obj->ops->borrow_page(obj, index);
	if (!pg)
		return NULL;
	page_put(pg);
	return pagecache_get(obj, index, &pg) ? NULL : pg;
}

/* The page in which the file's part ends: the file's bytes, then zeros.  Inv. I1: two references. */
static struct page *make_template(const struct page *src, u32 keep)
{
	struct page *pg = page_alloc(0, PAGE_ANON, ALLOC_USER);

	if (!pg)
		return NULL;
	memcpy(page_addr(pg), page_addr(src), keep);
	memset((u8 *)page_addr(pg) + keep, 0, PAGE_SIZE - keep);
	return page_get(pg);
}

static pte_t make_entry(const struct area *a, struct page *pg)
{
	pte_t e = pgtable_entry_for(a, pg, false);		/* inv. I2 */

	e.v |= PTE_BORROWED;
	return e;
}

static bool collect_page(struct image_body *b, struct image_area *ia, const struct area *a, u32 k)
{
	struct page *pg = page_at_hand(a->obj, (ia->off >> PAGE_SHIFT) + k), *src = pg;

	if (pg && ia->tail && k + 1 == ia->nentries) {
		pg = make_template(src, (u32)(ia->file_end & ~PAGE_MASK));
		page_put(src);
	}
	if (!pg)
		return false;
	ia->entries[k] = make_entry(a, pg);
	ia->count.n[pte_kind(ia->entries[k])]++;
	b->npages++;
	return true;
}

/* The area's pages that the file has. */
static bool collect_area(struct image_body *b, struct image_area *ia, const struct area *a)
{
	u64 size = ALIGN_UP(READ_ONCE(a->obj->size), PAGE_SIZE), n = (ia->end - ia->start) >> PAGE_SHIFT;

	if (!(ia->flags & VM_PROT) || size <= ia->off)
		return true;
	n = MIN(n, (size - ia->off) >> PAGE_SHIFT);
	if (ia->file_end)
		n = MIN(n, (ALIGN_UP(ia->file_end, PAGE_SIZE) - ia->start) >> PAGE_SHIFT);
	n = MIN(n, image_limit - MIN(image_limit, b->wanted));
	if (!n)
		return true;
	ia->tail = ia->file_end && ia->start + n * PAGE_SIZE > ia->file_end;
	ia->entries = kzalloc(n * sizeof(pte_t));
	if (!ia->entries)
		return false;
	ia->nentries = (u32)n;
	b->wanted += n;
	for (u32 k = 0; k < n; k++)
		(void)collect_page(b, ia, a, k);
	return true;
}

/* --- blocks ---------------------------------------------------------------- */

/* Puts a copy of an entry's frame into the block that stands for its 2 MiB, and the entry on the copy. */
static void block_take(struct block *bl, struct image_body *b, u64 base)
{
	for (u32 i = 0; i < b->nareas; i++) {
		struct image_area *ia = &b->areas[i];
		u64 first = MAX(ia->start, base), end = MIN(ia->start + ia->nentries * PAGE_SIZE, base + HUGE_SIZE);

		for (u64 va = first; va < end; va += PAGE_SIZE) {
			pte_t *e = &ia->entries[(va - ia->start) >> PAGE_SHIFT];
			u32 at = mmu_index(va, 0);

			if (!pte_live(*e) || pte_kind(*e) == KIND_ANON)
				continue;
			struct page *copy = bl->head + at, *was = pte_page(*e);

			memcpy(page_addr(copy), page_addr(was), PAGE_SIZE);
			*e = pte_make(page_to_pfn(copy), (e->v & ~PTE_ADDR & ~PTE_KIND(3)) | PTE_KIND(KIND_FILE));
			bl->bits[at / 64] |= 1ull << at % 64;
			page_put(was);
		}
	}
}

/* No block to be had: the entries stay on the cache's frames. */
static void assemble(struct image_body *b)
{
	for (u64 base = ALIGN_DOWN(b->start, HUGE_SIZE); base < b->end; base += HUGE_SIZE) {
		struct block bl = { .head = page_alloc(9, PAGE_IMAGE, ALLOC_NORECLAIM | ALLOC_USER) };

		if (!bl.head)
			break;
		page_split(bl.head);
		block_take(&bl, b, base);
		b->copied = true;
		for (u32 i = 0; i < TABLE_ENTRIES; i++)
			if (!(bl.bits[i / 64] & 1ull << i % 64))
				page_put(bl.head + i);
	}
	/* Copies of a tmpfs file's pages count as file pages. */
	for (u32 i = 0; i < b->nareas; i++) {
		struct image_area *ia = &b->areas[i];

		memset(&ia->count, 0, sizeof(ia->count));
		for (u32 k = 0; k < ia->nentries; k++)
			if (pte_live(ia->entries[k]))
				ia->count.n[pte_kind(ia->entries[k])]++;
	}
}

/* --- all of it ------------------------------------------------------------- */

static bool fill(struct image_body *b, struct aspace *as, const struct vm_image_place *pl) MUST_HOLD_SHARED(&as->lock)
{
	struct area *a = area_find(as, pl->min + pl->bias);

	b->start = a->start - pl->bias;
	for (; a && a->start < pl->max + pl->bias; a = area_next(a)) {
		note_area(b, a, pl->bias);
		b->end = a->end - pl->bias;
		if (a->obj && !collect_area(b, &b->areas[b->nareas - 1], a))
			return false;
	}
	b->cached = READ_ONCE(pl->obj->npages);
	if (image_form == IMAGE_BLOCK) {
		if (!pl->interp)
			assemble(b);				/* inv. I4 */
		return true;
	}
	return pl->movable || image_tables_build(b);
}

struct image_body *image_build(struct aspace *as, const struct vm_image_place *pl)
{
	struct image_body *b;
	u32 n;

	GUARD_SHARED(&as->lock);
	n = count_areas(as, pl->min + pl->bias, pl->max + pl->bias, pl);
	b = n ? kzalloc(sizeof(*b) + n * sizeof(struct image_area)) : NULL;
	if (b && !fill(b, as, pl)) {
		image_body_free(b);
		b = NULL;
	}
	return b;
}
