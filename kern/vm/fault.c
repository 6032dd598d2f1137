/*
 * Page faults.
 *
 * One attempt runs under as->lock shared and, for file pages, obj->lock shared:
 * find the area, look into the cache, enter the page.  Whatever has to wait for
 * data is done between attempts with no lock held (FAULT_FILL), and the next
 * attempt starts from nothing, so that no state of an old map survives a sleep.
 * Under the two shared locks only memory is waited for.
 *
 * C1  No page that a cache references is ever writable through a private mapping.
 *     pgtable_entry_for() is the only function that builds a leaf entry, and it
 *     sets W for PAGE_ANON frames, which are in no cache, or in shared mappings.
 * F1  An anonymous frame is written in place only by its sole owner (refs == 1
 *     in an OWNED leaf table); else it is copied.
 * F2  A shared mapping gets W only after the cache page is dirty and the object's
 *     own (pagecache_writable), so the processor's dirty bit is never needed.
 */
#include <arch/upcall.h>
#include <core/log.h>
#include <core/stat.h>
#include <vm/huge.h>

#include "vm.h"

#define HW_PRESENT 1u
#define HW_WRITE   2u
#define HW_RSVD	   8u
#define HW_FETCH   16u

enum { FAULT_DONE = 0, FAULT_FILL = 1, FAULT_GROW = 2, FAULT_AGAIN = 3, FAULT_SMALL = 4, FAULT_COMPACT = 5 };	/* or -errno */

struct fault {
	struct aspace *as;
	u64 va;				/* page-aligned */
	u32 want;			/* VM_READ, VM_WRITE or VM_EXEC */
	bool force;
	bool present;			/* there is believed to be an entry */
	bool compacted;			/* FAULT_COMPACT was asked for once */
	struct area *area;		/* valid while as->lock is held */
	struct vm_object *obj;		/* FAULT_FILL: a reference, and what is missing */
	u64 index;
	bool fill_write;
};

struct page *vm_zero_page;

static ALWAYS_INLINE pte_t entry_for(const struct area *a, struct page *pg, bool write)
{
	u64 bits = PTE_USER | PTE_ACCESSED;
	bool shared = a->flags & VM_SHARED;

	if (a->flags & VM_PROT)
		bits |= PTE_PRESENT;		/* else parked: the entry keeps its frame, nobody reaches it */
	if (!(a->flags & VM_EXEC))
		bits |= PTE_NX;
	if (shared)
		bits |= PTE_SHARED;
	if (pg == vm_zero_page)
		return pte_make(page_to_pfn(pg), bits | PTE_KIND(KIND_ZERO));
	if (pg->use == PAGE_FILE)
		bits |= PTE_KIND(a->obj && a->obj->flags & VM_OBJECT_SWAPLESS ? KIND_SHMEM : KIND_FILE);
	else if (pg->use != PAGE_ANON)
		bits |= PTE_KIND(KIND_FILE);
	if (write && a->flags & VM_WRITE) {
		VERIFY(pg->use == PAGE_ANON || (shared && pg->use == PAGE_FILE));	/* inv. C1 */
		bits |= PTE_WRITE | PTE_DIRTY;
	}
	return pte_make(page_to_pfn(pg), bits);
}

pte_t pgtable_entry_for(const struct area *a, struct page *pg, bool write)
{
	return entry_for(a, pg, write);
}

/* --- anonymous memory ------------------------------------------------------ */

/* The entry is there after all: good enough, or to be made writable by the next attempt. */
static int already_there(struct fault *f, pte_t e)
{
	if (f->want != VM_WRITE || pte_writable(e)) {
		tlb_flush_local(f->as, f->va);
		fault_note(TRACE_KIND_SPURIOUS, f->va);
		return FAULT_DONE;
	}
	f->present = true;
	return FAULT_AGAIN;
}

static int fault_zero(struct fault *f)
{
	struct page *leaf;
	int err = pgtable_leaf_for_write(f->as, f->va, &leaf);

	if (err)
		return err;
	pte_t e = *leaf_slot(leaf, f->va);

	if (pte_live(e)) {
		err = already_there(f, e);
	} else {
		leaf_set(f->as, leaf, f->va, pgtable_entry_for(f->area, vm_zero_page, false));
		fault_note(TRACE_KIND_ZERO_PAGE, f->va);
	}
	spin_unlock(&f->as->pgt_lock);
	return err;
}

/* Enters a private page of our own, consumed in any case. */
static ALWAYS_INLINE int enter_private(struct fault *f, struct page *taken, enum trace_kind kind)
{
	struct page *leaf;
	int err = pgtable_leaf_for_write(f->as, f->va, &leaf);

	if (err) {
		page_put(taken);
		return err;
	}
	pte_t e = *leaf_slot(leaf, f->va);

	if (likely(!pte_live(e))) {
		leaf_set(f->as, leaf, f->va, pgtable_entry_for(f->area, taken, true));
		taken = NULL;
		fault_note(kind, f->va);
	} else {
		err = already_there(f, e);
	}
	spin_unlock(&f->as->pgt_lock);
	if (taken)
		page_put(taken);
	return err;
}

/* A block for all of va's 2 MiB, if nothing is there yet and one is at hand.  FAULT_SMALL: no. */
static int fault_huge(struct fault *f)
{
	struct aspace *as = f->as;
	struct page *pd, *head;
	pte_t *slot;

	{
		GUARD_SPIN(&as->pgt_lock);
		slot = pgtable_dir_slot(as, f->va, NULL);
		if (slot && pte_live(*slot)) {
			huge_space_note(as);
			return FAULT_SMALL;
		}
	}
	head = block_alloc(PAGE_ANON, ALLOC_ZERO);
	if (!head && huge_worth_reclaim(f->area) && mem_reclaim_for(HUGE_PAGES) >= HUGE_PAGES)
		head = block_alloc(PAGE_ANON, ALLOC_ZERO);
	if (!head && huge_worth_reclaim(f->area) && !f->compacted) {
		f->compacted = true;
		return FAULT_COMPACT;
	}
	if (!head) {
		atomic64_inc(&huge_stats.fault_fallback);
		huge_space_note(as);
		return FAULT_SMALL;
	}
	int err = pgtable_dir_for_write(as, huge_base(f->va), &pd, &slot);

	if (err) {
		block_put(head);
		return err;
	}
	if (pte_live(*slot))
		err = FAULT_AGAIN;			/* another thread was first */
	else
		huge_set(as, pd, slot, huge_entry_for(f->area, MOVE(head), true));
	spin_unlock(&as->pgt_lock);
	if (head)
		block_put(head);
	else
		atomic64_inc(&huge_stats.fault_alloc);
	if (!err)
		fault_note(TRACE_KIND_HUGE, f->va);
	return err;
}

/* There may be a 2 MiB entry at va.  FAULT_SMALL: there is none, or it must be split to serve the fault. */
static int fault_huge_there(struct fault *f)
{
	GUARD_SPIN(&f->as->pgt_lock);
	pte_t *slot = pgtable_dir_slot(f->as, f->va, NULL);

	if (!slot || !pte_huge(*slot))
		return FAULT_SMALL;
	if (f->want == VM_WRITE && !pte_writable(*slot)) {
		struct page *head = pte_page(*slot);

		f->present = true;
		if (pte_kind(*slot) != KIND_ANON || !block_sole(head))
			return FAULT_SMALL;
		WRITE_ONCE(slot->v, huge_entry_for(f->area, head, true).v);	/* inv. H2 */
		fault_note(TRACE_KIND_REUSE, f->va);
	} else {
		fault_note(TRACE_KIND_SPURIOUS, f->va);
	}
	tlb_flush_local(f->as, f->va);
	return FAULT_DONE;
}

/*
 * A read of a page that nobody has written: is a write about to follow?  In a large area it may well be a table that
 * is mostly empty.  A small one is an allocator's, which looks at a chunk's head before it fills it in: a page of its
 * own at once saves the second fault.  Not so the program's .bss, below the break, of which much is never set.
 */
static bool read_comes_first(const struct fault *f)
{
	const struct area *a = f->area;

	return a->flags & VM_WRITE && a->end - a->start <= VM_SMALL_AREA && a->start >= f->as->brk_start;
}

static int fault_anon(struct fault *f)
{
	struct page *pg;

	if (f->want != VM_WRITE && !read_comes_first(f))
		return fault_zero(f);
	if (f->area->end - f->area->start >= HUGE_SIZE && huge_wanted(f->as, f->area, f->va)) {
		int err = fault_huge(f);

		if (err != FAULT_SMALL)
			return err;
	}
	pg = page_alloc(0, PAGE_ANON, ALLOC_USER | ALLOC_ZERO);
	return pg ? enter_private(f, pg, TRACE_KIND_ANONYMOUS) : -ENOMEM;
}

/* --- file pages ------------------------------------------------------------ */

static int ask_fill(struct fault *f, struct vm_object *obj, u64 index, bool write)
{
	vm_object_get(obj);
	f->obj = obj;
	f->index = index;
	f->fill_write = write;
	return FAULT_FILL;
}

/* The part of the window around va that the area, the file and its file part cover: pages from *lo on. */
static u32 around_window(const struct fault *f, u64 *lo)
{
	const struct area *a = f->area;
	u64 window = ALIGN_DOWN(f->va, VM_AROUND);
	u64 size_end = a->start + ALIGN_UP(READ_ONCE(a->obj->size), PAGE_SIZE) - a->off;
	u64 hi = MIN(MIN(window + VM_AROUND, a->end), size_end);

	if (a->file_end)
		hi = MIN(hi, a->file_end & PAGE_MASK);
	*lo = MAX(window, a->start);
	return (u32)((hi - *lo) >> PAGE_SHIFT);
}

/* Read-only entries for what the cache has around va.  pgt_lock held too. */
static void map_around(struct fault *f, struct vm_object *obj, struct page *leaf) MUST_HOLD(&obj->tree_lock)
{
	const struct area *a = f->area;
	pte_t e[VM_AROUND / PAGE_SIZE];
	u64 lo;
	u32 n = around_window(f, &lo), run;
	u64 index = (a->off + (lo - a->start)) >> PAGE_SHIFT;
	const pte_t *slot = leaf_slot(leaf, lo);

	for (u32 i = 0; i < n; i += run) {
		struct page **pages = radix_run(&obj->root, index + i, &run);

		run = MIN(run, n - i);
		for (u32 j = 0; j < run; j++) {
			struct page *pg = pages && !pte_live(slot[i + j]) ? pages[j] : NULL;

			e[i + j].v = pg ? entry_for(a, page_get(pg), false).v : 0;
		}
	}
	leaf_set_run(f->as, leaf, lo, e, n);
}

static int fault_cached_read(struct fault *f, struct vm_object *obj, u64 index)
{
	struct page *leaf, *pg;
	int err = pgtable_leaf_for_write(f->as, f->va, &leaf);

	if (err)
		return err;
	pte_t e = *leaf_slot(leaf, f->va);

	if (pte_live(e)) {
		err = already_there(f, e);
	} else {
		GUARD_SPIN(&obj->tree_lock);
		pg = radix_get(obj->root, index);
		if (pg) {
			lru_touch(pg);
			map_around(f, obj, leaf);
			fault_note(TRACE_KIND_FILE_MAP, f->va);
		} else {
			err = FAULT_FILL;
		}
	}
	spin_unlock(&f->as->pgt_lock);
	return err == FAULT_FILL ? ask_fill(f, obj, index, false) : err;
}

/* Inv. F2: W for a shared mapping. */
static int fault_shared_write(struct fault *f, struct vm_object *obj, u64 index)
{
	struct page *leaf;
	int err = pgtable_leaf_for_write(f->as, f->va, &leaf);

	if (err)
		return err;
	spin_lock(&obj->tree_lock);
	struct page *pg = radix_get(obj->root, index);
	bool ready = pg && pagecache_writable(obj, pg);

	if (ready) {
		pte_t old = *leaf_slot(leaf, f->va), e = pgtable_entry_for(f->area, pg, true);

		if (!pte_live(old)) {
			page_get(pg);
			leaf_set(f->as, leaf, f->va, e);
		} else {
			VERIFY(pte_page(old) == pg);	/* rmap cleared any other before the slot changed */
			leaf_change(f->as, leaf, f->va, e);
			tlb_flush_local(f->as, f->va);
		}
	}
	spin_unlock(&obj->tree_lock);
	spin_unlock(&f->as->pgt_lock);
	if (!ready)
		return ask_fill(f, obj, index, true);
	vm_object_content_changed(obj);
	fault_note(TRACE_KIND_SHARED_WRITE, f->va);
	return FAULT_DONE;
}

/* A copy of the file's page; only its first keep bytes when the area's file part ends inside. */
static int fault_private_copy(struct fault *f, struct vm_object *obj, u64 index, u64 keep)
{
	struct page *src = pagecache_lookup(obj, index), *pg;

	if (!src)
		return ask_fill(f, obj, index, false);
	pg = page_alloc(0, PAGE_ANON, ALLOC_USER);
	if (pg) {
		memcpy(page_addr(pg), page_addr(src), keep);
		memset((u8 *)page_addr(pg) + keep, 0, PAGE_SIZE - keep);
	}
	page_put(src);
	return pg ? enter_private(f, pg, TRACE_KIND_FILE_COPY) : -ENOMEM;
}

/* SIGBUS, unless the page is a private copy that truncate leaves alone (past file_end), looked for by populate. */
static int fault_past_end(struct fault *f)
{
	GUARD_SPIN(&f->as->pgt_lock);
	pte_t e = pgtable_entry(f->as, f->va);

	return pte_live(e) ? already_there(f, e) : -EIO;
}

static int fault_file(struct fault *f)
{
	struct area *a = f->area;
	struct vm_object *obj = a->obj;
	u64 off = a->off + (f->va - a->start), index = off >> PAGE_SHIFT;
	bool tail = a->file_end && f->va + PAGE_SIZE > a->file_end;

	if (tail && f->va >= a->file_end)
		return fault_anon(f);

	GUARD_SHARED(&obj->lock);
	if (off >= READ_ONCE(obj->size))
		return fault_past_end(f);
	if (tail)
		return fault_private_copy(f, obj, index, a->file_end - f->va);
	if (f->want != VM_WRITE)
		return fault_cached_read(f, obj, index);
	if (a->flags & VM_SHARED)
		return fault_shared_write(f, obj, index);
	return fault_private_copy(f, obj, index, PAGE_SIZE);
}

/* --- writing where there is an entry --------------------------------------- */

/* old was pinned (unless it is the zero frame) when the entry was e. */
static int fault_copy(struct fault *f, pte_t e)
{
	struct page *old = pte_page(e), *leaf;
	bool zero = pte_kind(e) == KIND_ZERO;
	AUTO(page) pin = zero ? NULL : old;
	AUTO(page) pg = page_alloc(0, PAGE_ANON, ALLOC_USER | (zero ? ALLOC_ZERO : 0));

	if (!pg)
		return -ENOMEM;
	if (!zero)
		memcpy(page_addr(pg), page_addr(old), PAGE_SIZE);
	int err = pgtable_leaf_for_write(f->as, f->va, &leaf);

	if (err)
		return err;
	bool same = pte_same(*leaf_slot(leaf, f->va), e);

	if (same)
		leaf_replace(f->as, leaf, f->va, pgtable_entry_for(f->area, MOVE(pg), true));
	spin_unlock(&f->as->pgt_lock);
	if (!same)
		return FAULT_AGAIN;
	if (pte_owns(e))
		page_put(old);		/* the entry's own reference; pin goes with the scope */
	if (unlikely(READ_ONCE(f->as->lessons)) && !zero)
		fork_learn(f->as, f->va);
	fault_note(TRACE_KIND_COPY, f->va);
	return FAULT_DONE;
}

static int fault_write(struct fault *f)
{
	struct page *leaf, *pg;
	int err = pgtable_leaf_for_write(f->as, f->va, &leaf);

	if (err)
		return err;
	pte_t e = *leaf_slot(leaf, f->va);

	if (!pte_live(e)) {
		f->present = false;
		err = FAULT_AGAIN;
	} else if (pte_writable(e)) {
		tlb_flush_local(f->as, f->va);		/* another thread was first */
		fault_note(TRACE_KIND_SPURIOUS, f->va);
	} else if (f->area->flags & VM_SHARED) {
		err = FAULT_FILL;
	} else if (pte_sole_owner(e)) {				/* inv. F1 */
		leaf_change(f->as, leaf, f->va, pgtable_entry_for(f->area, pte_page(e), true));
		tlb_flush_local(f->as, f->va);
		fault_note(TRACE_KIND_REUSE, f->va);
	} else {
		err = FAULT_GROW;
		pg = pte_page(e);
		if (pte_kind(e) != KIND_ZERO)
			page_get(pg);
	}
	spin_unlock(&f->as->pgt_lock);
	if (err == FAULT_FILL)
		return fault_file(f);
	return err == FAULT_GROW ? fault_copy(f, e) : err;
}

/* --- one attempt, and the loop --------------------------------------------- */

static int fault_rights(const struct fault *f)
{
	u32 flags = f->area->flags;

	if (f->want == VM_WRITE) {
		if (flags & VM_WRITE)
			return 0;
		return f->force && !(flags & VM_SHARED) && flags & VM_MAYWRITE ? 0 : -EACCES;
	}
	if (f->want == VM_EXEC)
		return flags & VM_EXEC ? 0 : -EACCES;
	if (flags & VM_PROT)
		return 0;
	return f->force && flags & VM_MAYREAD ? 0 : -EACCES;
}

static int fault_attempt(struct fault *f)
{
	GUARD_SHARED(&f->as->lock);
	f->area = area_find(f->as, f->va);
	if (!f->area)
		return -EFAULT;
	if (f->area->start > f->va)
		return f->area->flags & VM_GROWSDOWN ? FAULT_GROW : -EFAULT;
	int err = fault_rights(f);

	if (err)
		return err;
	if (unlikely(READ_ONCE(f->as->nhuge))) {
		err = fault_huge_there(f);
		if (err != FAULT_SMALL)
			return err;
	}
	if (f->present && f->want == VM_WRITE)
		return fault_write(f);
	return f->area->obj ? fault_file(f) : fault_anon(f);
}

static int fault_fill(struct fault *f, bool *did_io)
{
	fault_note(TRACE_KIND_FILL, f->va);

	int err = pagecache_for_fault(f->obj, f->index, f->fill_write, did_io);

	vm_object_put(f->obj);
	f->obj = NULL;
	return err == -ENOSPC ? -EIO : err;
}

int vm_fault(struct aspace *as, u64 addr, u32 want, bool present)
{
	struct fault f = { .as = as, .va = addr & PAGE_MASK, .want = want & VM_PROT,
			   .force = want & FAULT_FORCE, .present = present };
	bool did_io = false;
	int err;

	if (addr >= USER_TOP)
		return -EFAULT;
	do {
		err = fault_attempt(&f);
		if (err == FAULT_FILL)
			err = fault_fill(&f, &did_io) ?: FAULT_AGAIN;
		else if (err == FAULT_GROW)
			err = stack_grow(as, f.va) ?: FAULT_AGAIN;
		else if (err == FAULT_COMPACT)
			err = (DISCARD(vm_compact_for_fault()), FAULT_AGAIN);
	} while (err == FAULT_AGAIN);
	if (!err)
		atomic64_inc(did_io ? &as->maj_faults : &as->min_faults);
	if (unlikely(did_io))
		stat_inc(STAT_FAULT_MAJOR);
	return err;
}

static int fault_user(u64 addr, u64 err, bool from_user)
{
	struct aspace *as = aspace_current();
	u32 want = err & HW_FETCH ? VM_EXEC : err & HW_WRITE ? VM_WRITE : VM_READ;

	if (unlikely(!as || addr >= USER_TOP))
		return -EFAULT;
	if (unlikely(err & HW_RSVD)) {
		u32 level;

		log_err("vm: reserved bit in the entry of %#llx: %#llx", (unsigned long long)addr,
			(unsigned long long)pgtable_lookup_entry(as, addr, &level).v);
		return -EFAULT;
	}
	for (;;) {
		int ret = vm_fault(as, addr, want, err & HW_PRESENT);

		if (likely(ret != -ENOMEM) || !mem_oom_hook || !mem_oom_hook())
			return ret;
		/* We are the victim: die at the return to user mode, or fail the copy. */
		if (thread_fatal_pending())
			return from_user ? 0 : -ENOMEM;
	}
}

int vm_fault_user(u64 addr, u64 err, bool from_user)
{
	int ret;

	trace_fault_user_begin(addr, (u32)err);
	ret = fault_user(addr, err, from_user);
	trace_fault_user_end(ret);
	return ret;
}
