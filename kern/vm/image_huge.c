/*
 * Exec images: 2 MiB entries for text and constants.
 *
 * A 2 MiB stretch that lies in one area without write permission, with every
 * page at hand, is copied into a block.  The image has one share of it, each
 * space's entry another: what takes such entries apart (huge.c) owns what it
 * takes, as for anonymous memory, and finds no BORROWED one among them.
 */
#include "image.h"

/* The area that all of [base, base + 2 MiB) is pages of. */
static struct image_area *area_over(struct image_body *b, u64 base)
{
	for (u32 i = 0; i < b->nareas; i++) {
		struct image_area *ia = &b->areas[i];

		if (ia->start > base || ia->start + ia->nentries * PAGE_SIZE < base + HUGE_SIZE || ia->flags & VM_WRITE)
			continue;
		for (u64 va = base; va < base + HUGE_SIZE; va += PAGE_SIZE) {
			pte_t e = ia->entries[(va - ia->start) >> PAGE_SHIFT];

			if (!pte_live(e) || pte_kind(e) == KIND_ANON)
				return NULL;
		}
		return ia;
	}
	return NULL;
}

pte_t image_huge_build(struct image_body *b, u64 base)
{
	struct image_area *ia = area_over(b, base);
	struct page *head = ia ? block_alloc(PAGE_IMAGE, 0) : NULL;

	if (!head)
		return (pte_t){ 0 };
	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		pte_t *e = &ia->entries[((base - ia->start) >> PAGE_SHIFT) + i];
		struct page *was = pte_page(*e);

		memcpy(page_addr(head + i), page_addr(was), PAGE_SIZE);
		*e = pte_make(page_to_pfn(head + i), PTE_PRESENT | PTE_USER | PTE_HUGE | PTE_KIND(KIND_FILE));
		page_put(was);
	}
	b->copied = true;
	const struct area like = { .flags = ia->flags };

	return huge_entry_for(&like, head, false);
}

void image_huge_plug(const struct image_table *t, struct aspace *as)
{
	struct page *pd, *head = pte_page(t->huge);
	pte_t *slot;

	if (pgtable_dir_for_write(as, t->base, &pd, &slot))
		return;
	if (!pte_live(*slot)) {
		block_get(head);
		huge_set(as, pd, slot, t->huge);
	}
	spin_unlock(&as->pgt_lock);
}

static bool body_has(const struct image_body *b, const struct page *frame)
{
	for (u32 i = 0; i < b->ntables; i++) {
		const struct page *head = pte_page(b->tables[i].huge);

		if (pte_live(b->tables[i].huge) && frame >= head && frame < head + BLOCK_FRAMES)
			return true;
	}
	return false;
}

bool image_huge_has(const struct aspace *as, const struct page *frame)
{
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++)
		if (as->images[i].image && body_has(as->images[i].image->body, frame))
			return true;
	return false;
}
