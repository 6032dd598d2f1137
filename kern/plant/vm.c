/*
 * Breaches of the memory manager's invariants, for verify and audit to find: plant=NAME, then run `true`.
 * They are made where the checks begin, in the space that is about to be checked, once its program is /bin/true;
 * a missing count and a stale image are made where the real code would make them.
 */
#include <base/string.h>
#include <sched/sched.h>
#include <vm/audit.h>
#include <vm/verify.h>

#include "../vm/image.h"
#include "plant.h"

void __real_audit_space_now(struct aspace *as, const char *event);
void __wrap_audit_space_now(struct aspace *as, const char *event);
void __real_verify_exec_now(struct aspace *as);
void __wrap_verify_exec_now(struct aspace *as);
void __real_block_spread(struct page *head);
void __wrap_block_spread(struct page *head);
void __real_vm_image_detach(struct vm_object *obj);
void __wrap_vm_image_detach(struct vm_object *obj);

int __real_vm_image_map(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl);
int __wrap_vm_image_map(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl);

static bool victim(const struct aspace *as)
{
	return thread_current()->aspace == as && !strcmp(thread_current()->name, "true");
}

static struct area *first_area(struct aspace *as, bool (*fits)(const struct area *a))
{
	struct area *a = area_find(as, 0);

	while (a && !fits(a))
		a = area_next(a);
	return a;
}

static bool is_private_data(const struct area *a) { return a->obj && a->flags & VM_WRITE && !(a->flags & VM_SHARED); }
static bool is_text(const struct area *a) { return a->obj && a->flags & VM_EXEC; }
static bool is_rodata(const struct area *a) { return a->obj && !(a->flags & (VM_EXEC | VM_WRITE)); }

/* Some entry of a page of the file's cache in the area: its slot, or NULL. */
static pte_t *cached_slot(struct aspace *as, const struct area *a)
{
	for (u64 va = a->start; va < a->end; va += PAGE_SIZE) {
		struct page *leaf = pgtable_leaf(as, va);
		pte_t *slot = leaf ? leaf_slot(leaf, va) : NULL;

		if (slot && pte_live(*slot) && pte_kind(*slot) == KIND_FILE)
			return slot;
	}
	return NULL;
}

/* C1: a page of the cache, writable through a private mapping. */
static void plant_cached_writable(struct aspace *as)
{
	struct area *a = first_area(as, is_private_data);
	AUTO(page) pg = a ? pagecache_lookup(a->obj, a->off >> PAGE_SHIFT) : NULL;
	struct page *leaf;

	if (!pg || pgtable_leaf_for_write(as, a->start, &leaf))
		return;
	pte_t e = pgtable_entry_for(a, pg, false);

	if (pte_live(*leaf_slot(leaf, a->start)))
		DISCARD(leaf_clear(as, leaf, a->start));
	e.v |= PTE_WRITE | PTE_DIRTY;
	leaf_set(as, leaf, a->start, e);
	page_get(pg);
	spin_unlock(&as->pgt_lock);
}

/* An entry that gives more than its area. */
static void plant_entry_wider(struct aspace *as)
{
	struct area *a = first_area(as, is_rodata);
	pte_t *slot = a ? cached_slot(as, a) : NULL;

	if (slot)
		bits_clear(&slot->v, PTE_NX);
}

/* The page in which the file's part of .data ends, straight from the cache. */
static void plant_boundary_cached(struct aspace *as)
{
	struct area *a = first_area(as, is_private_data);
	u64 va = a && a->file_end ? a->file_end & PAGE_MASK : 0;
	AUTO(page) pg = va ? pagecache_lookup(a->obj, (a->off + (va - a->start)) >> PAGE_SHIFT) : NULL;
	struct page *leaf;

	if (!pg || pgtable_leaf_for_write(as, va, &leaf))
		return;
	if (pte_live(*leaf_slot(leaf, va)))
		DISCARD(leaf_clear(as, leaf, va));
	leaf_set(as, leaf, va, pgtable_entry_for(a, pg, false));
	page_get(pg);
	spin_unlock(&as->pgt_lock);
}

/* A leaf table of ours goes to the spare ones, and stays linked. */
static void plant_freed_table(struct aspace *as)
{
	u64 va = 0;
	struct page *leaf = NULL, *t;

	while ((t = pgtable_next_leaf(as, &va, USER_TOP)) != NULL) {
		leaf = page_refs(t) == 1 ? t : leaf;
		va = ALIGN_DOWN(va, HUGE_SIZE) + HUGE_SIZE;
	}
	if (leaf)
		pgtable_leaf_drop(leaf);
}

/* Bytes of a page that came with exec change under it: a wild write, or a bad assembly. */
static void plant_wrong_byte(struct aspace *as)
{
	struct area *a = first_area(as, is_text);
	pte_t *slot = a ? cached_slot(as, a) : NULL;

	if (slot)
		((u8 *)page_addr(pte_page(*slot)))[0x123] ^= 0xff;
}

void __wrap_audit_space_now(struct aspace *as, const char *event)
{
	if (victim(as) && !strcmp(event, "exec")) {
		if (plant_once("cached-writable"))
			plant_cached_writable(as);
		if (plant_once("entry-wider"))
			plant_entry_wider(as);
		if (plant_once("boundary-cached"))
			plant_boundary_cached(as);
		if (plant_once("freed-table"))
			plant_freed_table(as);
	}
	__real_audit_space_now(as, event);
}

void __wrap_verify_exec_now(struct aspace *as)
{
	if (victim(as) && plant_once("wrong-byte"))
		plant_wrong_byte(as);
	__real_verify_exec_now(as);
}

/* The seed's bug: a frame of a 2 MiB block that is split does not get its second owner's count. */
void __wrap_block_spread(struct page *head)
{
	bool miss = block_is_whole(head) && page_refs(head) != (1 | BLOCK_WHOLE) && plant_once("missed-count");

	__real_block_spread(head);
	if (miss)
		atomic_dec(&head[7].refs);
}

/* An image that does not die with its content. */
void __wrap_vm_image_detach(struct vm_object *obj)
{
	if (plant_is("stale-image") && obj->image) {
		obj->image->generation = obj->generation;
		return;
	}
	__real_vm_image_detach(obj);
}

/* The page that programs start in comes with exec as zeros: whoever is mapped ahead so far dies.  For bisect. */
int __wrap_vm_image_map(struct vm_image *im, struct aspace *as, const struct vm_image_place *pl)
{
	int err = __real_vm_image_map(im, as, pl);
	AUTO(page) head = !err && plant_is("bad-page") ? pagecache_lookup(pl->obj, 0) : NULL;
	u64 entry = head ? ((u64 *)page_addr(head))[3] + pl->bias : 0;	/* e_entry */
	struct page *leaf, *zeros;

	if (!entry || pgtable_leaf_for_write(as, entry, &leaf))
		return err;
	pte_t *slot = leaf_slot(leaf, entry);

	if (pte_live(*slot) && slot->v & PTE_BORROWED && (zeros = page_alloc(0, PAGE_IMAGE, ALLOC_ZERO | ALLOC_ATOMIC)))
		slot->v = pte_make(page_to_pfn(zeros), slot->v & ~PTE_ADDR).v;
	spin_unlock(&as->pgt_lock);
	return err;
}
