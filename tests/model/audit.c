/*
 * Counts every owner anew and compares: frames, tables, what a leaf table says
 * about itself, entries against areas, C1, T1, F1; what exec images own: audit_image.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <test/test.h>
#include "../../kern/vm/image.h"
#include "audit.h"
#include "machine.h"

static u32 owners[HOST_RAM_FRAMES];
static u32 touched[HOST_RAM_FRAMES], ntouched;
char audit_text[256];
static u64 nhuge;
static bool thorough;		/* look where nothing should be, too */

bool own(struct page *pg)
{
	u64 f = page_to_pfn(pg).v;

	if (!owners[f])
		touched[ntouched++] = (u32)f;
	return !owners[f]++;
}

const char *audit_leaf_itself(struct page *leaf, u64 base)
{
	struct leaf_count n = { 0 };
	const pte_t *entries = table_entries(leaf);
	u32 used = 0;

	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		pte_t e = entries[i];

		if (!thorough && !(table_groups(leaf) >> i / TABLE_GROUP & 1)) {
			i |= TABLE_GROUP - 1;
			continue;
		}
		if (!pte_live(e))
			continue;
		used++;
		n.n[pte_kind(e)]++;
		if (!(table_groups(leaf) >> i / TABLE_GROUP & 1))
			FAIL("leaf %#lx: entry %u outside its summary", base, i);
		if (pte_owns(e))
			(void)own(pte_page(e));
		else if (!(e.v & PTE_BORROWED) && pte_page(e) != vm_zero_page)
			FAIL("leaf %#lx: entry %u of kind zero maps another frame", base, i);
	}
	if (used != leaf->used || memcmp(&n, leaf_count(leaf), sizeof(n)))
		FAIL("leaf %#lx: %u entries, says %u (kinds %u %u %u %u)", base, used, leaf->used,
		     leaf_count(leaf)->n[0], leaf_count(leaf)->n[1], leaf_count(leaf)->n[2], leaf_count(leaf)->n[3]);
	return NULL;
}

static const char *audit_rights(struct aspace *as, struct area *a, u64 va, pte_t e, bool write)
{
	if (!a || a->start > va)
		FAIL("%#lx: entry outside any area", va);
	if (pte_present(e) && !(a->flags & VM_PROT))
		FAIL("%#lx: present without rights", va);
	if (write && !(a->flags & VM_WRITE))
		FAIL("%#lx: writable beyond its area", va);
	if (pte_present(e) && !(e.v & PTE_NX) && !(a->flags & VM_EXEC))
		FAIL("%#lx: executable beyond its area", va);
	if (pte_is_shared(e) != !!(a->flags & VM_SHARED))
		FAIL("%#lx: sharing of entry and area differ", va);
	return NULL;
}

static const char *audit_entry(struct aspace *as, struct area *a, u64 va, pte_t e, bool dir_write, struct page *leaf)
{
	struct page *pg = pte_page(e);
	bool write = pte_writable(e) && dir_write, copied = false;
	const char *err = audit_rights(as, a, va, e, write);

	if (pg->use == PAGE_IMAGE && image_huge_has(as, pg))
		copied = true;				/* part of a 2 MiB entry of an image, taken apart */
	if (!err && e.v & PTE_BORROWED)
		err = audit_borrowed(as, va, e, &copied);
	if (err)
		return err;
	if (write && !(a->flags & VM_SHARED) && (pg->use != PAGE_ANON || page_refs(pg) != 1))
		FAIL("%#lx: private writable frame of use %u with %u owners", va, pg->use, page_refs(pg));
	if (a->flags & VM_SHARED && pg->use != PAGE_FILE && pg->use != PAGE_IMAGE)
		FAIL("%#lx: shared mapping of a frame of use %u", va, pg->use);
	if (write && a->flags & VM_SHARED && !(pg->flags & PAGE_F_DIRTY))
		FAIL("%#lx: shared writable clean page", va);
	if ((pg->use == PAGE_FILE || pg->use == PAGE_IMAGE) && !copied &&
	    radix_get(a->obj->root, (a->off + (va - a->start)) >> PAGE_SHIFT) != pg)
		FAIL("%#lx: maps a page that the cache does not hold", va);
	if (va >= a->start && a->obj && a->file_end && va + PAGE_SIZE > a->file_end && pg->use != PAGE_ANON && pg != vm_zero_page)
		FAIL("%#lx: cached page past the end of the file part", va);
	return NULL;
}

static const char *audit_leaf(struct aspace *as, u64 base, pte_t dir, u64 *rss)
{
	struct page *leaf = pte_page(dir);
	struct area *a = NULL;
	const char *err = NULL;

	if (dir.v & PTE_BORROWED)
		err = audit_borrowed_table(as, base, dir);
	else if (own(leaf))
		err = audit_leaf_itself(leaf, base);

	if (err)
		return err;
	if (pte_writable(dir) && page_refs(leaf) != 1)
		FAIL("%#lx: writable directory entry of a table with %u users", base, page_refs(leaf));
	const pte_t *entries = table_entries(leaf);

	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		u64 va = base + i * PAGE_SIZE;
		pte_t e = entries[i];

		if (!(table_groups(leaf) >> i / TABLE_GROUP & 1)) {
			i |= TABLE_GROUP - 1;
			continue;
		}
		if (!pte_live(e))
			continue;
		*rss += pte_owns(e);
		if (!a || a->end <= va)
			a = area_find(as, va);
		err = audit_entry(as, a, va, e, pte_writable(dir), leaf);
		if (err)
			return err;
	}
	return NULL;
}

/* A 2 MiB entry: H1, H2 of kern/vm/huge.c. */
static const char *audit_huge(struct aspace *as, u64 base, pte_t e, u64 *rss)
{
	struct page *head = pte_page(e);
	struct area *a = area_find(as, base);
	bool whole = block_is_whole(head);
	const char *err;

	if (page_to_pfn(head).v % HUGE_PAGES)
		FAIL("%#lx: block is not aligned", base);
	if (!a || a->start > base || a->end < base + HUGE_SIZE)
		FAIL("%#lx: 2 MiB entry crosses an area's border", base);
	if (pte_kind(e) == KIND_FILE && (pte_writable(e) || !image_huge_has(as, head)))
		FAIL("%#lx: 2 MiB entry of a file, writable or no exec image's", base);
	if (pte_kind(e) != KIND_FILE && (a->obj || a->flags & VM_SHARED || pte_kind(e) != KIND_ANON))
		FAIL("%#lx: 2 MiB entry in an area that is not anonymous", base);
	*rss += HUGE_PAGES;
	for (u32 i = 0; i < HUGE_PAGES; i++) {
		if (pte_writable(e) && block_frame_refs(head, i) != 1)
			FAIL("%#lx: writable 2 MiB entry, frame %u has %u owners", base, i, block_frame_refs(head, i));
		if (!whole || !i)
			(void)own(head + i);
	}
	err = audit_rights(as, a, base, e, pte_writable(e));
	return err;
}

static const char *audit_table(struct aspace *as, struct page *t, u32 level, u64 base, u64 *rss)
{
	const pte_t *entries = table_entries(t);
	u32 used = 0, huge = 0;

	(void)own(t);
	for (u32 i = 0; i < (level == 3 ? 256 : 512) && (thorough || used < t->used); i++) {
		pte_t e = entries[i];
		u64 va = base + i * mmu_level_size(level);
		const char *err;

		if (!pte_live(e))
			continue;
		used++;
		if (!(table_groups(t) >> i / TABLE_GROUP & 1))
			FAIL("table of level %u at %#lx: entry %u outside its summary", level, base, i);
		if (level == 1 && pte_huge(e)) {
			huge++;
			err = audit_huge(as, va, e, rss);
		} else {
			err = level == 1 ? audit_leaf(as, va, e, rss) : audit_table(as, pte_page(e), level - 1, va, rss);
		}
		if (err)
			return err;
	}
	if (used != t->used)
		FAIL("table of level %u at %#lx: %u entries, says %u", level, base, used, t->used);
	if (huge != huge_entries(t))
		FAIL("table of level %u at %#lx: %u 2 MiB entries, says %u", level, base, huge, huge_entries(t));
	nhuge += huge;
	return NULL;
}

static const char *audit_areas(struct aspace *as)
{
	u64 n = 0, pages = 0, data = 0, locked = 0, nofork = 0, end = 0;

	for (struct area *a = rb_entry(rb_first(&as->areas), struct area, node); a; a = area_next(a)) {
		u64 p = (a->end - a->start) >> PAGE_SHIFT;

		if (a->start < end || a->start >= a->end || a->set != as->set)
			FAIL("area %#lx-%#lx is out of order", a->start, a->end);
		if (a->obj && list_empty(&a->object_link))
			FAIL("area %#lx-%#lx is not on its object's list", a->start, a->end);
		end = a->end;
		n++;
		pages += p;
		data += flags_count_data(a->flags) ? p : 0;
		locked += a->flags & VM_LOCKED ? p : 0;
		nofork += !!(a->flags & (VM_DONTFORK | VM_WIPEFORK));
	}
	if (n != as->nareas || pages != as->total_pages || data != as->data_pages || locked != as->locked_pages ||
	    nofork != as->nofork)
		FAIL("area sums differ: %lu/%lu areas, %lu/%lu pages", n, as->nareas, pages, as->total_pages);
	return NULL;
}

/* Inv. A6 of kern/vm/areaset.c: the members are those that say so, and have one tree. */
static const char *audit_set(struct aspace *as, struct aspace **all, u32 n)
{
	u32 members = 0, listed = 0;
	struct aspace *other;

	for (u32 i = 0; i < n; i++)
		members += all[i] && all[i]->set == as->set;
	list_for_each(other, &as->set->spaces, set_link) {
		listed++;
		if (other->set != as->set || other->areas.root != as->areas.root || other->nareas != as->nareas)
			FAIL("space %lu shares a set with %lu, but not its areas", as->id, other->id);
	}
	if (members != as->set->nspaces || listed != members)
		FAIL("set of space %lu: %u members, %u listed, says %u", as->id, members, listed, as->set->nspaces);
	return NULL;
}

static const char *audit_space(struct aspace *as)
{
	u64 rss = 0;
	const char *err = audit_areas(as);

	nhuge = 0;

	if (!err)
		err = audit_table(as, pfn_to_page(as->root), 3, 0, &rss);
	if (!err && nhuge != as->nhuge)
		FAIL("space has %lu 2 MiB entries, says %lu", nhuge, as->nhuge);
	if (!err)
		err = machine_audit(as);
	return err;
}

static const char *audit_object(struct vm_object *obj)
{
	u64 n = 0;

	for (u64 i = 0;; i++) {
		struct page *pg = radix_next(obj->root, &i, ~0ul >> PAGE_SHIFT);

		if (!pg)
			break;
		n++;
		(void)own(pg);
		if (pg->use == PAGE_FILE && (pg->owner != obj || pg->index != i))
			FAIL("cache slot %lu holds the page of another", i);
	}
	if (n != obj->npages)
		FAIL("object has %lu pages, says %lu", n, obj->npages);
	return NULL;
}

static const char *compare_counts(void)
{
	u64 frames = ntouched;

	while (ntouched) {
		u32 f = touched[--ntouched];
		struct page *pg = pfn_to_page(PFN(f));
		bool whole = block_is_whole(pg);

		frames += whole ? HUGE_PAGES - 1 : 0;
		if ((whole ? block_frame_refs(pg, 0) : page_refs(pg)) != owners[f])
			FAIL("frame %#x of use %u: %u owners, count %u", f, pg->use, owners[f], page_refs(pg));
		owners[f] = 0;
	}
	if (frames + pgtable_cached() != host_live_pages())
		FAIL("%lu frames have an owner, %lu are allocated", frames, host_live_pages() - pgtable_cached());
	return NULL;
}

const char *audit_all(struct aspace **as, u32 nas, struct vm_object **obj, u32 nobj, struct page **image, u32 nimage)
{
	static u32 round;
	const char *err = NULL;

	thorough = !(round++ % 64);
	while (ntouched)
		owners[touched[--ntouched]] = 0;
	(void)own(vm_zero_page);
	for (u32 i = 0; i < nimage; i++)
		if (image[i])
			(void)own(image[i]);
	for (u32 i = 0; i < nas && !err; i++)
		if (as[i])
			err = audit_set(as[i], as, nas) ?: audit_space(as[i]);
	for (u32 i = 0; i < nobj && !err; i++)
		err = audit_object(obj[i]);
	if (!err)
		err = audit_images(as, nas, obj, nobj);
	return err ? err : compare_counts();
}
