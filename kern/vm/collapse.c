/*
 * Collapse: a leaf table becomes a 2 MiB entry again.
 *
 * Only frames that the space owns alone are touched (no sharer, no cache, no
 * pin, no image), and as->lock is held exclusive, so that no fault, fork or pin
 * can come between.  Other CPUs may still write through their TLBs: the table
 * leaves the directory and they are flushed before anything is read.  In
 * between the range has no entry; whoever touches it waits for the lock in
 * his fault.
 *
 * Frames that are a block already, in their order, are not copied.
 */
#include <vm/huge.h>

#include "vm.h"

struct tally {
	u32 none;		/* absent, or the zero frame */
	bool in_place;		/* they are one block */
};

static bool count_entries(struct page *leaf, struct tally *t)
{
	const pte_t *e = table_entries(leaf);
	u64 first = pte_pfn(e[0]).v;

	*t = (struct tally){ .in_place = pte_live(e[0]) && first % HUGE_PAGES == 0 };
	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		if (!pte_live(e[i]) || pte_kind(e[i]) == KIND_ZERO) {
			t->none++;
			t->in_place = false;
			continue;
		}
		if (!pte_sole_owner(e[i]) || pte_is_shared(e[i]))
			return false;
		t->in_place &= pte_pfn(e[i]).v == first + i;
	}
	return true;
}

/* The leaf at base out of its directory, if it may become an entry of 2 MiB.  0 or as huge_collapse(). */
static int take_leaf(struct aspace *as, u64 base, u32 max_none, bool have_block, struct tally *t, struct page **out)
{
	struct page *pd;

	GUARD_SPIN(&as->pgt_lock);
	pte_t *slot = pgtable_dir_slot(as, base, &pd);

	if (!slot || !pte_live(*slot))
		return -EINVAL;
	if (pte_huge(*slot))
		return -EEXIST;
	struct page *leaf = pte_page(*slot);

	if (page_refs(leaf) > 1 || leaf->flags & PAGE_F_READY || !count_entries(leaf, t))
		return -EAGAIN;
	if (t->none > max_none)
		return -EINVAL;
	if (!t->in_place && !have_block)
		return -ENOMEM;
	pgtable_unlink_leaf(as, pd, slot);
	*out = leaf;
	return 0;
}

static void fill_block(struct page *head, struct page *leaf)
{
	const pte_t *e = table_entries(leaf);

	for (u32 i = 0; i < TABLE_ENTRIES; i++) {
		if (pte_live(e[i]) && pte_owns(e[i]))
			memcpy(page_addr(head + i), page_addr(pte_page(e[i])), PAGE_SIZE);
		else
			memset(page_addr(head + i), 0, PAGE_SIZE);
	}
}

/* The leaf's frames themselves: their references go over to the block. */
static struct page *adopt_block(struct page *leaf)
{
	struct page *head = pte_page(table_entries(leaf)[0]);

	memset(table_entries(leaf), 0, PAGE_SIZE);
	leaf->private = 0;
	VERIFY(block_sole(head));
	return head;
}

static void enter_block(struct aspace *as, const struct area *a, u64 base, struct page *head)
{
	struct page *pd;

	GUARD_SPIN(&as->pgt_lock);
	pte_t *slot = pgtable_dir_slot(as, base, &pd);		/* still there: the structure is ours alone */

	huge_set(as, pd, slot, huge_entry_for(a, head, true));
}

int huge_collapse(struct aspace *as, const struct area *a, u64 base, u32 max_none)
{
	struct page *leaf, *head;
	struct tally t;
	int err;

	ASSERT(rwlock_is_held_write(&as->lock) && a->start <= base && base + HUGE_SIZE <= a->end);
	head = block_alloc(PAGE_ANON, 0);
	err = a->flags & VM_PROT ? take_leaf(as, base, max_none, head, &t, &leaf) : -EINVAL;
	if (err || t.in_place) {
		if (head)
			block_put(head);
		if (err)
			return err;
	}
	tlb_flush(as, base, base + HUGE_SIZE);
	if (t.in_place)
		head = adopt_block(leaf);
	else
		fill_block(head, leaf);
	enter_block(as, a, base, head);
	pgtable_leaf_drop(leaf);
	atomic64_inc(&huge_stats.collapse);
	return 0;
}
