/*
 * What a program tells about its memory and asks of it: madvise, msync,
 * mincore, the mlock family, populate.
 *
 * madvise goes on past holes and says -ENOMEM at the end, as Linux does; any
 * other error ends it at once.
 */
#include <arch/usercopy.h>
#include <sched/sched.h>
#include <vm/huge.h>

#include "vm.h"

enum advice {
	MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
	MADV_FREE = 8, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK,
	MADV_HUGEPAGE = 14, MADV_NOHUGEPAGE, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK,
	MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED,
	MADV_COLLAPSE,
};

#define MS_ASYNC      1
#define MS_INVALIDATE 2
#define MS_SYNC	      4
#define MCL_CURRENT   1
#define MCL_FUTURE    2
#define MCL_ONFAULT   4

struct advise {
	struct aspace *as;
	enum advice what;
	struct list dead;
	/* MADV_REMOVE: what to punch once the lock is dropped, and where to go on. */
	struct vm_object *obj;
	u64 off, len, next;
	/* MADV_COLLAPSE: what became 2 MiB entries, and whether a block was missing. */
	u32 collapsed;
	bool no_block;
};

#define COLLAPSE_TRIES 8u		/* passes in a row that may gain nothing: others take what compaction frees */

/* --- populate -------------------------------------------------------------- */

/* What populating a needs: 0 when it cannot be reached at all. */
static u32 populate_want(const struct area *a)
{
	if (!(a->flags & VM_PROT))
		return 0;
	return (a->flags & (VM_WRITE | VM_SHARED)) == VM_WRITE ? VM_WRITE : VM_READ;
}

static int fault_range(struct aspace *as, u64 start, u64 end, u32 want)
{
	int err = 0;

	for (u64 va = start, n = 1; !err && va < end; va += PAGE_SIZE, n++) {
		err = vm_fault(as, va, want, false);
		if (!err && as->nhuge && huge_is_at(as, va))
			va = huge_base(va) + HUGE_SIZE - PAGE_SIZE;
		if (!err && !(n % 64)) {
			sched_resched_if_needed();
			if (thread_fatal_pending())
				err = -EINTR;
		}
	}
	return err;
}

void aspace_populate(struct aspace *as, u64 addr, u64 len)
{
	u64 end = ALIGN_UP(addr + len, PAGE_SIZE);
	struct area a;

	for (u64 va = addr & PAGE_MASK; va < end; va = a.end) {
		if (aspace_area_at(as, va, false, &a) || a.start >= end)
			return;
		u32 want = populate_want(&a);

		if (want && fault_range(as, MAX(va, a.start), MIN(end, a.end), want))
			return;
	}
}

static int advise_populate(struct aspace *as, u64 start, u64 end, u32 want)
{
	int err = fault_range(as, start, end, want);

	switch (err) {
	case -EFAULT: return -ENOMEM;
	case -EACCES: return -EINVAL;
	case -EIO: return -EFAULT;
	default: return err;
	}
}

/* --- madvise --------------------------------------------------------------- */

static bool advice_known(int what)
{
	return (what >= MADV_NORMAL && what <= MADV_DONTNEED) || (what >= MADV_FREE && what <= MADV_DOFORK) ||
	       (what >= MADV_HUGEPAGE && what <= MADV_COLLAPSE);
}

static int advise_drop(struct advise *v, struct area *a, u64 start, u64 end) MUST_HOLD(&v->as->lock)
{
	int err;

	if (a->flags & VM_LOCKED && v->what != MADV_DONTNEED_LOCKED)
		return -EINVAL;
	if (v->what == MADV_FREE && a->obj)
		return -EINVAL;
	/* MADV_FREE may take the pages at any time: at once is one of them. */
	err = map_own_tables(v->as, start, end, true);
	if (!err)
		map_clear_range(v->as, start, end);
	return err;
}

static int advise_remove(struct advise *v, struct area *a, u64 start, u64 end)
{
	if (a->flags & VM_LOCKED || !a->obj)
		return -EINVAL;
	if ((a->flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE))
		return -EACCES;
	vm_object_get(a->obj);
	v->obj = a->obj;
	v->off = a->off + (start - a->start);
	v->len = end - start;
	v->next = end;
	return 0;
}

static int advise_flags(struct advise *v, struct area *a, u64 start, u64 end) MUST_HOLD(&v->as->lock)
{
	u32 set = 0, clear = 0;

	switch (v->what) {
	case MADV_DONTFORK: set = VM_DONTFORK; break;
	case MADV_DOFORK: clear = VM_DONTFORK; break;
	case MADV_HUGEPAGE: set = VM_HUGE; clear = VM_NOHUGE; break;
	case MADV_NOHUGEPAGE: set = VM_NOHUGE; clear = VM_HUGE; break;
	case MADV_DONTDUMP: set = VM_DONTDUMP; break;
	case MADV_DODUMP: clear = VM_DONTDUMP; break;
	case MADV_KEEPONFORK: clear = VM_WIPEFORK; break;
	case MADV_WIPEONFORK:
		if (a->obj || a->flags & VM_SHARED)
			return -EINVAL;
		set = VM_WIPEFORK;
		break;
	default: return 0;
	}
	return area_change_flags(v->as, start, end, set, clear, &v->dead);
}

/* The system's mode and the background's limits do not bind who asks by name. */
static int advise_collapse(struct advise *v, struct area *a, u64 start, u64 end) MUST_HOLD(&v->as->lock)
{
	u64 base = ALIGN_UP(start, HUGE_SIZE), stop = huge_base(end);
	int failed = 0;

	if (!huge_area_capable(v->as, a) || base > stop)
		return -EINVAL;
	for (; base < stop; base += HUGE_SIZE) {
		int err = huge_collapse(v->as, a, base, HUGE_PAGES);

		v->collapsed += !err;
		v->no_block |= err == -ENOMEM;
		if (err && err != -EEXIST)
			failed = err;
	}
	return failed;
}

static int advise_area(struct advise *v, struct area *a, u64 start, u64 end) MUST_HOLD(&v->as->lock)
{
	switch (v->what) {
	case MADV_DONTNEED: case MADV_FREE: case MADV_DONTNEED_LOCKED:
		return advise_drop(v, a, start, end);
	case MADV_REMOVE:
		return advise_remove(v, a, start, end);
	case MADV_COLLAPSE:
		return advise_collapse(v, a, start, end);
	case MADV_COLD: case MADV_PAGEOUT:
		return a->flags & VM_LOCKED ? -EINVAL : 0;	/* no swap: nothing that could be aged */
	default:
		return advise_flags(v, a, start, end);
	}
}

/* Goes through the areas of the range; stops early at a piece to punch. */
static int advise_walk(struct advise *v, u64 start, u64 end) MUST_HOLD(&v->as->lock)
{
	int hole = 0;

	while (start < end && !v->obj) {
		/* Flags may merge areas: found anew each time. */
		struct area *a = area_find(v->as, start);

		if (!a || a->start > start)
			hole = -ENOMEM;
		if (!a || a->start >= end)
			break;
		u64 from = MAX(start, a->start), stop = MIN(end, a->end);
		int err = advise_area(v, a, from, stop);

		if (err)
			return err;
		start = stop;
	}
	return hole;
}

static int advise_range(struct advise *v, u64 start, u64 end)
{
	int hole = 0;

	do {
		v->obj = NULL;
		rwlock_write(&v->as->lock);
		int err = advise_walk(v, start, end);

		rwlock_write_end(&v->as->lock);
		if (err == -ENOMEM)
			hole = err;
		if (v->obj) {
			int punched = vm_object_punch(v->obj, v->off, v->len);

			vm_object_put(v->obj);
			start = v->next;
			err = punched ? punched : err;
		}
		if (err && err != -ENOMEM)
			return err;
	} while (v->obj && start < end);
	return hole;
}

/* Those that are collapsed already are no work the second time. */
static int collapse_range(struct advise *v, u64 start, u64 end)
{
	int err = advise_range(v, start, end);

	for (u32 tries = 0; v->no_block && tries < COLLAPSE_TRIES && vm_compact() && !thread_fatal_pending(); tries++) {
		v->collapsed = v->no_block = 0;
		err = advise_range(v, start, end);
		if (v->collapsed)
			tries = 0;
	}
	return err;
}

int aspace_advise(struct aspace *as, u64 addr, u64 len, int advice)
{
	struct advise v = { .as = as, .what = advice };
	u64 bytes = ALIGN_UP(len, PAGE_SIZE);
	int err;

	if (!advice_known(advice) || addr & ~PAGE_MASK || bytes < len || addr + bytes < addr)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE)
		return advise_populate(as, addr, addr + bytes, advice == MADV_POPULATE_READ ? VM_READ : VM_WRITE);
	list_init(&v.dead);
	err = advice == MADV_COLLAPSE ? collapse_range(&v, addr, addr + bytes) : advise_range(&v, addr, addr + bytes);
	area_free_list(&v.dead);
	return err;
}

/* --- msync, mincore -------------------------------------------------------- */

int aspace_sync(struct aspace *as, u64 addr, u64 len, int flags)
{
	u64 end = addr + ALIGN_UP(len, PAGE_SIZE);
	int err = 0;

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || addr & ~PAGE_MASK ||
	    (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	if (end < addr)
		return -ENOMEM;
	if (end == addr)
		return 0;
	GUARD_SHARED(&as->lock);
	if (!area_covers(as, addr, end))
		err = -ENOMEM;
	for (struct area *a = area_find(as, addr); a && a->start < end; a = area_next(a))
		if (flags & MS_INVALIDATE && a->flags & VM_LOCKED)
			return -EBUSY;
	/* Shared mappings write to the cache itself; every object there is so far lives in memory alone. */
	return err;
}

static bool page_is_in(struct aspace *as, struct area *a, u64 va)
{
	spin_lock(&as->pgt_lock);
	bool in = pte_live(pgtable_entry(as, va));

	spin_unlock(&as->pgt_lock);
	if (in || !a->obj)
		return in;
	struct page *pg = pagecache_lookup(a->obj, (a->off + (va - a->start)) >> PAGE_SHIFT);

	if (pg)
		page_put(pg);
	return pg;
}

/* Up to n pages from va: how many were answered, or -ENOMEM at a hole. */
static i64 mincore_chunk(struct aspace *as, u64 va, u64 n, u8 *vec)
{
	GUARD_SHARED(&as->lock);
	struct area *a = area_find(as, va);

	if (!a || a->start > va)
		return -ENOMEM;
	n = MIN(n, (a->end - va) >> PAGE_SHIFT);
	for (u64 i = 0; i < n; i++)
		vec[i] = page_is_in(as, a, va + i * PAGE_SIZE);
	return (i64)n;
}

int aspace_mincore(struct aspace *as, u64 addr, u64 len, uptr_t vec)
{
	u64 pages = DIV_ROUND_UP(len, PAGE_SIZE);
	u8 buf[256];

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	if (!user_range_ok(vec, pages))
		return -EFAULT;
	while (pages) {
		i64 n = mincore_chunk(as, addr, MIN(pages, sizeof(buf)), buf);

		if (n < 0)
			return (int)n;
		if (user_copy_out(vec, buf, (u64)n))
			return -EFAULT;
		addr += (u64)n * PAGE_SIZE;
		vec = uptr_add(vec, (u64)n);
		pages -= (u64)n;
	}
	return 0;
}

/* --- mlock ----------------------------------------------------------------- */

static u64 locked_in(struct aspace *as, u64 start, u64 end) MUST_HOLD_SHARED(&as->lock)
{
	u64 sum = 0;

	for (struct area *a = area_find(as, start); a && a->start < end; a = area_next(a))
		if (a->flags & VM_LOCKED)
			sum += (MIN(a->end, end) - MAX(a->start, start)) >> PAGE_SHIFT;
	return sum;
}

static int lock_areas(struct aspace *as, u64 start, u64 end, u32 set, struct list *dead) MUST_HOLD(&as->lock)
{
	u64 pages = (end - start) >> PAGE_SHIFT;

	if (set && as->locked_pages + pages - locked_in(as, start, end) > as->memlock_limit >> PAGE_SHIFT)
		return -ENOMEM;
	/* Up to the first hole, as Linux: what lies before it is done. */
	u64 at = start;

	for (struct area *a = area_find(as, start); a && a->start <= at && at < end; a = area_next(a))
		at = a->end;
	at = MIN(at, end);
	if (at > start) {
		int err = area_change_flags(as, start, at, set, VM_LOCKED | VM_LOCKONFAULT, dead);

		if (err)
			return err;
	}
	return at < end ? -ENOMEM : 0;
}

int aspace_lock_range(struct aspace *as, u64 addr, u64 len, bool lock, bool on_fault)
{
	struct list dead = LIST_INIT(dead);
	u64 start = addr & PAGE_MASK, end = ALIGN_UP(addr + len, PAGE_SIZE);
	int err;

	if (end < start || addr + len < addr)
		return -EINVAL;
	if (end == start)
		return 0;
	rwlock_write(&as->lock);
	err = lock_areas(as, start, end, lock ? VM_LOCKED | (on_fault ? VM_LOCKONFAULT : 0) : 0, &dead);
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	if (!err && lock && !on_fault)
		aspace_populate(as, start, end - start);
	return err;
}

int aspace_lock_all(struct aspace *as, int flags)
{
	u32 set = VM_LOCKED | (flags & MCL_ONFAULT ? VM_LOCKONFAULT : 0);
	struct list dead = LIST_INIT(dead);
	struct area *a;
	int err;

	if (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	rwlock_write(&as->lock);
	err = areas_own(as, &dead);
	if (!err && flags & MCL_CURRENT && as->total_pages > as->memlock_limit >> PAGE_SHIFT)
		err = -ENOMEM;
	if (!err)
		as->def_flags = flags & MCL_FUTURE ? set : 0;
	if (!err && (flags & MCL_CURRENT || !flags))
		for (a = area_find(as, 0); a; a = area_next(a))
			area_set_flags(a, (a->flags & ~(VM_LOCKED | VM_LOCKONFAULT)) | (flags ? set : 0));
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	if (!err && flags & MCL_CURRENT && !(flags & MCL_ONFAULT))
		aspace_populate(as, 0, USER_TOP);
	return err;
}
