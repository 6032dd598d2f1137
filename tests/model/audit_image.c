/*
 * The owners that exec images are: references on frames by their entries, ready
 * tables and what these keep, blocks.  And who holds the images.  I1, I2.
 */
#include <stdio.h>
#include <test/test.h>
#include "../../kern/vm/image.h"
#include "audit.h"
#include "reference.h"

static struct found { struct vm_image *im; u32 holders, mappers; } found[2 * SPACES + FILES];
static u32 nfound;

static void note(struct vm_image *im, bool maps)
{
	u32 i = 0;

	while (i < nfound && found[i].im != im)
		i++;
	if (i == nfound)
		found[nfound++] = (struct found){ .im = im };
	found[i].holders++;
	found[i].mappers += maps;
}

static const char *find_images(struct aspace **as, u32 nas, struct vm_object **obj, u32 nobj)
{
	nfound = 0;
	for (u32 s = 0; s < nas; s++)
		for (u32 i = 0; as[s] && i < ARRAY_LEN(as[s]->images); i++)
			if (as[s]->images[i].image)
				note(as[s]->images[i].image, true);
	for (u32 i = 0; i < nobj; i++) {
		struct vm_image *im = obj[i]->image;

		if (!im)
			continue;
		note(im, false);
		if (im->obj != obj[i] || im->generation != obj[i]->generation)
			FAIL("object %u has an image that is not of its content", i);
	}
	return NULL;
}

/* A table that waits: as its master, but for pages that it owns alone and whose first write goes unhindered. */
static const char *audit_ready(const struct image_table *t, struct page *leaf)
{
	const pte_t *e = table_entries(leaf), *m = table_entries(t->master);

	(void)own(leaf);
	if (page_refs(leaf) != 1 || !(leaf->flags & PAGE_F_READY))
		FAIL("ready table for %#lx with %u users", t->base, page_refs(leaf));
	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		if (e[i].v == m[i].v)
			continue;
		if (!pte_owns(e[i]) || !pte_sole_owner(e[i]) || pte_dirty(e[i]) || leaf_pristine(leaf, i))
			FAIL("ready table for %#lx: entry %u is neither its master's nor a page of its own", t->base, i);
	}
	return audit_leaf_itself(leaf, t->base);
}

static const char *audit_table(const struct image_table *t, pte_t lent)
{
	const char *err;

	if (pte_live(t->huge)) {
		struct page *head = pte_page(t->huge);

		for (u32 i = 0; i < (block_is_whole(head) ? 1 : HUGE_PAGES); i++)
			(void)own(head + i);
		return NULL;
	}
	(void)own(t->master);
	err = audit_leaf_itself(t->master, t->base);
	if (err)
		return err;
	if (t->shared)
		(void)own(t->master);			/* inv. T5 */
	if (pte_live(lent) != t->shared || (t->shared && (pte_page(lent) != t->master || pte_writable(lent))))
		FAIL("master for %#lx: shared and lent differ", t->base);
	for (u32 i = 0; i < t->nready; i++) {
		err = audit_ready(t, t->ready[i]);
		if (err)
			return err;
	}
	return NULL;
}

static const char *audit_body(const struct image_body *b)
{
	for (u32 i = 0; i < b->nareas; i++)
		for (u32 k = 0; k < b->areas[i].nentries; k++) {
			pte_t e = b->areas[i].entries[k];

			if (pte_live(e) && pte_writable(e))
				FAIL("image: entry %u of area %u is writable", k, i);
			for (u32 n = image_refs(e); n; n--)
				(void)own(pte_page(e));
		}
	for (u32 i = 0; i < b->ntables; i++) {
		const char *err = audit_table(&b->tables[i], b->lent[i]);

		if (err)
			return err;
	}
	return NULL;
}

const char *audit_images(struct aspace **as, u32 nas, struct vm_object **obj, u32 nobj)
{
	const char *err = find_images(as, nas, obj, nobj);

	for (u32 i = 0; i < nfound && !err; i++) {
		struct vm_image *im = found[i].im;

		if (ref_read(&im->refs) != found[i].holders || (u32)atomic_read(&im->mappers) != found[i].mappers)
			FAIL("image: %u holders, %u spaces, says %u and %u", found[i].holders, found[i].mappers,
			     ref_read(&im->refs), (u32)atomic_read(&im->mappers));
		err = im->body ? audit_body(im->body) : NULL;
	}
	return err;
}

static bool area_has_at(const struct image_area *ia, u64 k, const struct page *pg)
{
	return k < ia->nentries && pte_live(ia->entries[k]) && pte_page(ia->entries[k]) == pg;
}

/* Where it is to be, or, as mremap may have taken it elsewhere, anywhere. */
static bool body_has(const struct image_body *b, u64 va, const struct page *pg)
{
	for (u32 i = 0; i < b->nareas; i++)
		if (area_has_at(&b->areas[i], (va - b->areas[i].start) >> PAGE_SHIFT, pg))
			return true;
	for (u32 i = 0; i < b->nareas; i++)
		for (u32 k = 0; k < b->areas[i].nentries; k++)
			if (area_has_at(&b->areas[i], k, pg))
				return true;
	return false;
}

const char *audit_borrowed_table(struct aspace *as, u64 base, pte_t dir)
{
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++) {
		const struct vm_image *im = as->images[i].image;

		for (u32 k = 0; im && k < im->body->ntables; k++)
			if (im->body->tables[k].base == base && im->body->lent[k].v == dir.v)
				return NULL;
	}
	FAIL("%#lx: a table of an exec image that the space does not hold, or elsewhere", base);
}

const char *audit_borrowed(struct aspace *as, u64 va, pte_t e, bool *copied)
{
	if (pte_writable(e))
		FAIL("%#lx: an exec image's page is writable", va);
	for (u32 i = 0; i < ARRAY_LEN(as->images); i++) {
		const struct vm_image *im = as->images[i].image;

		if (!im || !body_has(im->body, va - as->images[i].bias, pte_page(e)))
			continue;
		*copied = im->body->copied;
		return NULL;
	}
	FAIL("%#lx: a page of an exec image that the space does not hold", va);
}
