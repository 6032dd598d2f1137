/*
 * mremap: shrinking, growing in place, moving.
 *
 * A move links the new area first, then carries the entries over with obj->lock
 * shared, so that rmap finds each entry in the one place or the other.  Tables
 * for the new place are built before: the move itself cannot fail.
 */
#include "vm.h"

#define MREMAP_MAYMOVE	 1u
#define MREMAP_FIXED	 2u
#define MREMAP_DONTUNMAP 4u

struct remap {
	struct aspace *as;
	u64 old, old_len, new, new_len;
	u32 flags;
	struct list dead;
	u64 fill_start, fill_len;	/* to populate afterwards: locked areas */
};

static int prepare_leaf(struct aspace *as, u64 va)
{
	struct page *leaf;
	int err = pgtable_leaf_for_write(as, va, &leaf);

	if (!err)
		spin_unlock(&as->pgt_lock);
	return err;
}

/* The 2 MiB entry at va goes to `at` in one piece if that place fits and is empty; else it is split here. */
static int prepare_huge(struct aspace *as, u64 va, u64 at, bool *moves)
{
	struct page *pd;
	pte_t *slot;

	*moves = at == huge_base(at);
	if (!*moves)
		return prepare_leaf(as, va);
	int err = pgtable_dir_for_write(as, at, &pd, &slot);

	if (err)
		return err;
	*moves = !pte_live(*slot);
	spin_unlock(&as->pgt_lock);
	return *moves ? 0 : prepare_leaf(as, va);
}

/* Tables at the new place for each leaf that has something to move. */
static int prepare_tables(struct remap *r, u64 to) MUST_HOLD(&r->as->lock)
{
	struct aspace *as = r->as;
	u64 end = r->old + r->old_len;
	int err = map_own_tables(as, r->old, end, false);
	pte_t *dir;

	for (u64 va = r->old; !err && (dir = pgtable_next_dir(as, &va, end)) != NULL;) {
		u64 stop = MIN(end, huge_base(va) + HUGE_SIZE);
		u64 first = to + (va - r->old), last = to + (stop - r->old) - 1;
		bool moves = false;

		if (pte_huge(*dir))
			err = prepare_huge(as, va, first, &moves);
		if (!err && !moves)
			err = prepare_leaf(as, first);
		if (!err && !moves && huge_base(first) != huge_base(last))
			err = prepare_leaf(as, last);
		va = stop;
	}
	return err;
}

static void carry_huge(struct aspace *as, u64 va, u64 at)
{
	struct page *from_pd, *to_pd;
	pte_t *from = pgtable_dir_slot(as, va, &from_pd), *to = pgtable_dir_slot(as, at, &to_pd);

	huge_set(as, to_pd, to, huge_clear(as, from_pd, from));
}

static void carry_entries(struct remap *r, u64 to)
{
	struct aspace *as = r->as;
	u64 end = r->old + r->old_len;
	pte_t *dir;

	GUARD_SPIN(&as->pgt_lock);
	for (u64 va = r->old; (dir = pgtable_next_dir(as, &va, end)) != NULL;) {
		u64 stop = MIN(end, huge_base(va) + HUGE_SIZE);
		struct page *leaf = pte_huge(*dir) ? NULL : pte_page(*dir);

		if (!leaf)
			carry_huge(as, va, to + (va - r->old));
		for (; leaf && va < stop && leaf->used; va += PAGE_SIZE) {
			u64 at = to + (va - r->old);

			if (pte_live(*leaf_slot(leaf, va)))
				leaf_set(as, pgtable_leaf(as, at), at, leaf_clear(as, leaf, va));
		}
		va = stop;
	}
}

/* The isolated area a goes to `to`: b, its image there, is linked; a stays empty (DONTUNMAP) or leaves. */
static void move_commit(struct remap *r, struct area *a, struct area *b, u64 to) MUST_HOLD(&r->as->lock)
{
	struct aspace *as = r->as;
	u64 end = r->old + r->old_len;

	area_insert(as, b);
	area_hole_made(as, b);
	if (r->old_len) {
		if (b->obj) {
			GUARD_SHARED(&b->obj->lock);
			carry_entries(r, to);
		} else {
			carry_entries(r, to);
		}
		tlb_flush(as, r->old, end);
		map_clear_range(as, r->old, end);		/* empty tables */
		if (r->flags & MREMAP_DONTUNMAP) {
			area_set_flags(a, a->flags & ~(VM_LOCKED | VM_LOCKONFAULT));
		} else {
			area_unlink(a, &r->dead);
			area_hole_made(as, area_find(as, r->old));
		}
	}
	area_merge_range(as, r->old, end, &r->dead);
	area_merge_range(as, to, to + r->new_len, &r->dead);
}

static int move_area(struct remap *r, u64 to) MUST_HOLD(&r->as->lock)
{
	struct aspace *as = r->as;
	struct area *a, *b;
	int err = 0;

	if (as->nareas + 3 > VM_MAX_AREAS)
		return -ENOMEM;
	if (r->old_len)
		err = area_isolate(as, r->old, r->old + r->old_len);
	if (!err)
		err = prepare_tables(r, to);
	a = area_find(as, r->old);
	b = err ? NULL : area_dup(a);
	if (!b) {
		area_merge_range(as, r->old, r->old + r->old_len, &r->dead);
		return -ENOMEM;
	}
	b->off = a->off + (r->old - a->start);
	if (b->file_end)
		b->file_end += to - r->old;
	b->start = to;
	b->end = to + r->new_len;
	move_commit(r, a, b, to);
	return 0;
}

/* Is [old, old + old_len) inside one area that may grow by `pages`?  *out: the area. */
static int check_source(struct remap *r, struct area **out) MUST_HOLD_SHARED(&r->as->lock)
{
	struct area *a = area_find(r->as, r->old);
	u64 grow = r->new_len;

	if (!a || a->start > r->old)
		return -EFAULT;
	if (!r->old_len && !(a->flags & VM_SHARED))
		return -EINVAL;
	if (r->old_len > a->end - r->old)
		return -EFAULT;
	if (!(r->flags & MREMAP_DONTUNMAP))
		grow = r->new_len > r->old_len ? r->new_len - r->old_len : 0;
	if (a->flags & VM_VDSO && (grow || r->flags & MREMAP_DONTUNMAP))
		return -EFAULT;		/* as Linux: what lies there has one size */
	*out = a;
	return grow ? map_check_limits(r->as, grow >> PAGE_SHIFT, a->flags) : 0;
}

static i64 move_somewhere(struct remap *r, struct area *a) MUST_HOLD(&r->as->lock)
{
	struct aspace *as = r->as;
	/* Room for the same place within 2 MiB: then whole entries stay whole. */
	u64 room = as->nhuge && r->old_len >= HUGE_SIZE ? HUGE_SIZE : 0;
	u64 to = area_find_gap(as, r->new_len + room, VM_MIN_ADDR, as->mmap_base, false);
	int err;

	if (to && room)
		to += (r->old - to) & (HUGE_SIZE - 1);
	if (!to)
		to = area_find_gap(as, r->new_len, VM_MIN_ADDR, as->mmap_base, false);
	if (!to)
		to = area_find_gap(as, r->new_len, as->mmap_base, USER_TOP, true);
	if (!to)
		return -ENOMEM;
	if ((a->flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED) {
		r->fill_start = to;
		r->fill_len = r->new_len;
	}
	err = move_area(r, to);
	return err ? err : (i64)to;
}

static i64 move_fixed(struct remap *r) MUST_HOLD(&r->as->lock)
{
	struct aspace *as = r->as;
	struct area *a;
	int err;

	if (r->new & ~PAGE_MASK || r->new_len > USER_TOP || r->new > USER_TOP - r->new_len)
		return -EINVAL;
	if (r->old + r->old_len > r->new && r->new + r->new_len > r->old)
		return -EINVAL;
	err = map_remove(as, r->new, r->new + r->new_len, &r->dead);
	if (!err && r->old_len > r->new_len) {
		err = map_remove(as, r->old + r->new_len, r->old + r->old_len, &r->dead);
		r->old_len = r->new_len;
	}
	if (!err)
		err = check_source(r, &a);
	if (err)
		return err;
	if ((a->flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED) {
		r->fill_start = r->new;
		r->fill_len = r->new_len;
	}
	err = move_area(r, r->new);
	return err ? err : (i64)r->new;
}

static bool grow_in_place(struct remap *r, struct area *a) MUST_HOLD(&r->as->lock)
{
	u64 end = r->old + r->new_len;
	struct area *next = area_next(a);

	if (r->old + r->old_len != a->end || end < r->old || end > USER_TOP)
		return false;
	if (next && area_low_guard(next) < end)
		return false;
	if ((a->flags & (VM_LOCKED | VM_LOCKONFAULT)) == VM_LOCKED) {
		r->fill_start = a->end;
		r->fill_len = end - a->end;
	}
	area_set_range(a, a->start, end);
	area_merge_range(r->as, r->old, end, &r->dead);
	return true;
}

static i64 remap_locked(struct remap *r) MUST_HOLD(&r->as->lock)
{
	struct area *a = area_find(r->as, r->old);
	int err;

	if (!a || a->start > r->old)
		return -EFAULT;
	if (r->flags & MREMAP_FIXED)
		return move_fixed(r);
	if (!(r->flags & MREMAP_DONTUNMAP) && r->old_len >= r->new_len) {
		err = r->old_len == r->new_len ? 0 :
		      map_remove(r->as, r->old + r->new_len, r->old + r->old_len, &r->dead);
		return err ? err : (i64)r->old;
	}
	err = check_source(r, &a);
	if (err)
		return err;
	if (!(r->flags & MREMAP_DONTUNMAP) && r->old_len && grow_in_place(r, a))
		return (i64)r->old;
	return r->flags & MREMAP_MAYMOVE ? move_somewhere(r, a) : -ENOMEM;
}

i64 aspace_remap(struct aspace *as, u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr)
{
	struct remap r = { .as = as, .old = old, .old_len = ALIGN_UP(old_len, PAGE_SIZE), .new = new_addr,
			   .new_len = ALIGN_UP(new_len, PAGE_SIZE), .flags = flags };
	i64 ret;

	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || old & ~PAGE_MASK || !r.new_len)
		return -EINVAL;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (flags & MREMAP_DONTUNMAP && r.old_len != r.new_len)
		return -EINVAL;
	if (old > USER_TOP || r.old_len > USER_TOP - old)
		return old > USER_TOP ? -EFAULT : -EINVAL;
	if (r.new_len > USER_TOP)
		return -ENOMEM;
	list_init(&r.dead);
	rwlock_write(&r.as->lock);
	ret = areas_own(r.as, &r.dead);
	if (!ret)
		ret = remap_locked(&r);
	rwlock_write_end(&r.as->lock);
	area_free_list(&r.dead);
	if (ret >= 0 && r.fill_len)
		aspace_populate(as, r.fill_start, r.fill_len);
	return ret;
}
