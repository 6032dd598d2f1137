/*
 * Looking into address spaces from outside: other processes' memory, pins,
 * resident sizes, futex keys.  A space may be EMPTY: then there is no area.
 */
#include <sched/sched.h>

#include "vm.h"

int aspace_area_at(struct aspace *as, u64 addr, bool exact, struct area *out)
{
	GUARD_SHARED(&as->lock);
	struct area *a = area_find(as, addr);

	if (!a || (exact && a->start > addr))
		return -ENOENT;
	*out = *a;
	return 0;
}

int aspace_area_peek(struct aspace *as, u64 addr, struct area *out)
{
	rwlock_unshared(&as->lock);
	struct area *a = area_find(as, addr);

	if (!a)
		return -ENOENT;
	*out = *a;
	return 0;
}

int aspace_area_hold(struct aspace *as, u64 addr, struct area *out)
{
	GUARD_SHARED(&as->lock);
	struct area *a = area_find(as, addr);

	if (!a)
		return -ENOENT;
	*out = *a;
	if (out->file)
		vm_file_hooks.get(out->file);
	return 0;
}

/* --- pins ------------------------------------------------------------------ */

/* May the kernel write through e's frame?  The leaf has one user and nobody else sees what is written. */
static bool entry_gives_write(struct page *leaf, pte_t e, bool force)
{
	if (page_refs(leaf) > 1)
		return false;
	if (pte_writable(e))
		return true;
	return force && !pte_is_shared(e) && pte_sole_owner(e);
}

/* The same for a 2 MiB entry. */
static bool huge_gives_write(pte_t e, bool force)
{
	return pte_writable(e) || (force && pte_kind(e) == KIND_ANON && block_sole(pte_page(e)));
}

static struct page *grab_page(struct aspace *as, u64 va, bool write, bool force)
{
	GUARD_SHARED(&as->lock);
	GUARD_SPIN(&as->pgt_lock);
	pte_t *dir = va < USER_TOP ? pgtable_dir_slot(as, va, NULL) : NULL;

	if (!dir || !pte_live(*dir))
		return NULL;
	pte_t e = pte_huge(*dir) ? *dir : *leaf_slot(pte_page(*dir), va);

	if (!pte_live(e) || (!force && !pte_present(e)))
		return NULL;
	if (!pte_huge(*dir))
		return write && !entry_gives_write(pte_page(*dir), e, force) ? NULL : page_get(pte_page(e));
	if (write && !huge_gives_write(e, force))
		return NULL;
	block_spread(pte_page(e));			/* inv. H3: a pin owns one frame */
	return page_get(pte_page(e) + mmu_index(va, 0));
}

static int pin_page(struct aspace *as, u64 addr, bool write, bool force, struct page **out)
{
	u32 want = (write ? VM_WRITE : VM_READ) | (force ? FAULT_FORCE : 0);
	struct page *pg = force ? NULL : grab_page(as, addr, write, false);

	while (!pg) {
		int err = vm_fault(as, addr, want, true);

		if (err)
			return err == -ENOMEM ? err : -EFAULT;
		pg = grab_page(as, addr, write, force);
	}
	*out = pg;
	return 0;
}

int aspace_pin_page(struct aspace *as, u64 addr, bool write, struct page **out)
{
	return pin_page(as, addr, write, false, out);
}

i64 aspace_access(struct aspace *as, u64 addr, void *kbuf, u64 len, bool write, bool force)
{
	u64 done = 0;

	while (done < len) {
		u64 va = addr + done, in = va & ~PAGE_MASK, n = MIN(PAGE_SIZE - in, len - done);
		AUTO(page) pg = NULL;

		if (pin_page(as, va, write, force, &pg))
			break;
		u8 *p = (u8 *)page_addr(pg) + in;

		if (write)
			memcpy(p, (u8 *)kbuf + done, n);
		else
			memcpy((u8 *)kbuf + done, p, n);
		done += n;
	}
	return done || !len ? (i64)done : -EIO;
}

/* --- sizes ----------------------------------------------------------------- */

u64 aspace_rss_pages(struct aspace *as)
{
	u64 n[KINDS] = { 0 };
	pte_t *dir;

	GUARD_SHARED(&as->lock);
	GUARD_SPIN(&as->pgt_lock);
	for (u64 va = 0; (dir = pgtable_next_dir(as, &va, USER_TOP)) != NULL; va = huge_base(va) + HUGE_SIZE) {
		if (pte_huge(*dir))
			n[pte_kind(*dir)] += HUGE_PAGES;
		for (u32 k = 0; !pte_huge(*dir) && k < KINDS; k++)
			n[k] += leaf_count(pte_page(*dir))->n[k];
	}
	atomic64_set(&as->anon_pages, (i64)n[KIND_ANON]);
	atomic64_set(&as->file_pages, (i64)n[KIND_FILE]);
	atomic64_set(&as->shmem_pages, (i64)n[KIND_SHMEM]);
	as->rss = n[KIND_ANON] + n[KIND_FILE] + n[KIND_SHMEM];
	return as->rss;
}

/* size bytes that e maps, of pg on, each frame with so many owners. */
static void usage_add(struct area_usage *u, pte_t e, struct page *pg, u32 owners, u64 size)
{
	bool cached = pte_kind(e) != KIND_ANON;
	bool dirty = !cached || pg->flags & PAGE_F_DIRTY;
	u64 *bucket, *kind;

	kind = pte_kind(e) == KIND_ANON ? &u->pss_anon : pte_kind(e) == KIND_FILE ? &u->pss_file : &u->pss_shmem;
	*kind += size / owners;
	if (dirty)
		u->pss_dirty += size / owners;
	if (owners > 1)
		bucket = dirty ? &u->shared_dirty : &u->shared_clean;
	else
		bucket = dirty ? &u->private_dirty : &u->private_clean;
	*bucket += size;
	u->rss += size;
	u->pss += size / owners;
	if (!cached)
		u->anon += size;
	if (e.v & PTE_ACCESSED)
		u->referenced += size;
}

static void usage_add_huge(struct area_usage *u, pte_t e)
{
	struct page *head = pte_page(e);

	if (pte_kind(e) == KIND_ANON)
		u->huge += HUGE_SIZE;
	else
		u->file_huge += HUGE_SIZE;			/* an exec image's */
	if (block_is_whole(head)) {
		usage_add(u, e, head, block_frame_refs(head, 0), HUGE_SIZE);
		return;
	}
	for (u32 i = 0; i < HUGE_PAGES; i++)
		usage_add(u, e, head, block_frame_refs(head, i), PAGE_SIZE);
}

/* Spaces that map e's frame: owners but for the cache, and whoever shares the table. */
static u32 entry_mappers(struct aspace *as, struct page *leaf, u64 va, pte_t e)
{
	u32 refs = page_refs(pte_page(e));
	bool cached = pte_kind(e) != KIND_ANON;

	if (e.v & PTE_BORROWED)
		return vm_image_mappers(as, va);
	return MAX(refs - (cached && refs > 1), 1u) + page_refs(leaf) - 1;
}

static void usage_add_leaf(struct aspace *as, struct area_usage *u, struct page *leaf, u64 va, u64 stop)
{
	for (; va < stop; va += PAGE_SIZE) {
		pte_t e = *leaf_slot(leaf, va);

		if (pte_live(e) && pte_counted(e))
			usage_add(u, e, pte_page(e), entry_mappers(as, leaf, va, e), PAGE_SIZE);
	}
}

void aspace_area_usage(struct aspace *as, u64 start, u64 end, struct area_usage *out)
{
	struct area_usage u = { 0 };
	pte_t *dir;

	rwlock_read(&as->lock);
	struct area *a = area_find(as, start);

	spin_lock(&as->pgt_lock);
	for (u64 va = start; (dir = pgtable_next_dir(as, &va, end)) != NULL;) {
		u64 stop = MIN(end, huge_base(va) + HUGE_SIZE);

		if (pte_huge(*dir))
			usage_add_huge(&u, *dir);
		else
			usage_add_leaf(as, &u, pte_page(*dir), va, stop);
		va = stop;
	}
	spin_unlock(&as->pgt_lock);
	if (a && a->start <= start && a->flags & VM_LOCKED)
		u.locked = u.pss;
	rwlock_read_end(&as->lock);
	*out = u;
}

/* --- futex keys ------------------------------------------------------------ */

int vm_futex_key(uptr_t uaddr, bool shared, struct futex_key *out)
{
	struct aspace *as = aspace_current();

	if (uaddr.v & 3)
		return -EINVAL;
	if (uaddr.v > USER_TOP - 4 || !as)
		return -EFAULT;
	*out = (struct futex_key){ .object = as->id, .offset = uaddr.v, .shared = shared };
	if (!shared)
		return 0;

	GUARD_SHARED(&as->lock);
	struct area *a = area_find(as, uaddr.v);

	if (!a || a->start > uaddr.v || !(a->flags & VM_PROT))
		return -EFAULT;
	if (a->flags & VM_SHARED) {
		out->object = a->obj->id;
		out->offset = a->off + (uaddr.v - a->start);
	}
	return 0;
}
