/*
 * Areas: the sorted set, splitting and merging, and the link to the object that
 * an area maps.
 *
 * A1  Areas of a space do not overlap; start < end, both page-aligned.
 * A2  as->nareas, total_pages, data_pages, locked_pages and nofork are the sums
 *     over the tree.
 * A3  An area with an object is on obj->areas exactly while it is in a tree, and
 *     start, end, off, set and the link change only under obj->lock shared (plus
 *     areas_lock for the list): whoever holds obj->lock exclusive sees a list
 *     that stands still, and needs no lock of the spaces but their pgt_lock.
 * A4, A5: gap.c.  A6 to A8: areaset.c.
 *
 * Everything here runs with as->lock exclusive, or only looks with it shared.
 */
#include "vm.h"

static struct slab_cache *area_cache;

void area_init(void)
{
	area_cache = slab_cache_create("area", sizeof(struct area), 0);
	area_set_init();
}

struct area *area_find(struct aspace *as, u64 addr)
{
	struct area *hit = READ_ONCE(as->last_hit), *best = NULL;

	if (hit && hit->start <= addr && addr < hit->end)
		return hit;
	for (struct rb_node *n = as->areas.root; n;) {
		struct area *a = container_of(n, struct area, node);

		if (addr < a->end) {
			best = a;
			if (addr >= a->start)
				break;
			n = n->child[0];
		} else {
			n = n->child[1];
		}
	}
	if (best && best->start <= addr)
		WRITE_ONCE(as->last_hit, best);
	return best;
}

struct area *area_next(struct area *a)
{
	return rb_entry(rb_next(&a->node), struct area, node);
}

struct area *area_prev(struct area *a)
{
	return rb_entry(rb_prev(&a->node), struct area, node);
}

struct area *area_alloc(void)
{
	struct area *a = slab_zalloc(area_cache);

	if (a)
		list_init(&a->object_link);
	return a;
}

static void area_hold(const struct area *a)
{
	if (a->obj)
		vm_object_get(a->obj);
	if (a->file)
		vm_file_hooks.get(a->file);
}

void area_copy(struct area *b, const struct area *a)
{
	*b = *a;
	list_init(&b->object_link);
	area_hold(b);
}

struct area *area_dup(const struct area *a)
{
	struct area *b = slab_alloc(area_cache);

	if (!b)
		return NULL;
	area_copy(b, a);
	return b;
}

void area_free_list(struct list *dead)
{
	struct list *l;

	while ((l = list_pop_front(dead))) {
		struct area *a = container_of(l, struct area, object_link);

		if (a->obj)
			vm_object_put(a->obj);
		if (a->file)
			vm_file_hooks.put(a->file);
		slab_free(area_cache, a);
	}
}

/* --- tree and counts ------------------------------------------------------ */

static void count_pages(struct aspace *as, u32 flags, i64 pages) MUST_HOLD(&as->lock)
{
	as->total_pages += pages;
	if (flags_count_data(flags))
		as->data_pages += pages;
	if (flags & VM_LOCKED)
		as->locked_pages += pages;
	if (as->total_pages > as->peak_total)
		as->peak_total = as->total_pages;
}

static void count_area(struct aspace *as, const struct area *a, i64 sign) MUST_HOLD(&as->lock)
{
	count_pages(as, a->flags, sign * (i64)((a->end - a->start) >> PAGE_SHIFT));
	as->nareas += sign;
	if (a->flags & (VM_DONTFORK | VM_WIPEFORK))
		as->nofork += sign;
	as->gen++;
}

/* Inv. A1, for a in its tree: what debug builds look at after each change. */
static bool in_its_place(struct area *a)
{
	const struct area *prev = area_prev(a), *next = area_next(a);

	return a->start < a->end && !((a->start | a->end) & ~PAGE_MASK) && (!prev || prev->end <= a->start) &&
	       (!next || a->end <= next->start);
}

static void tree_link(struct aspace *as, struct area *a, struct rb_node *parent, struct rb_node **link) MUST_HOLD(&as->lock)
{
	rb_insert(&as->areas, &a->node, parent, link);
	ASSERT(in_its_place(a));			/* inv. A1 */
	a->set = as->set;
	count_area(as, a, 1);				/* inv. A2 */
}

static void tree_add(struct aspace *as, struct area *a) MUST_HOLD(&as->lock)
{
	struct rb_node **link = &as->areas.root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[a->start > container_of(parent, struct area, node)->start];
	}
	tree_link(as, a, parent, link);
}

void area_link_after(struct area *a, struct area *origin)
{
	if (!a->obj)
		return;
	GUARD_SHARED(&a->obj->lock);
	GUARD_SPIN(&a->obj->areas_lock);
	if (unlikely((a->flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE)))
		bits_set(&a->obj->flags, VM_OBJECT_SCRIBBLED);
	if (origin)
		list_insert_after(&origin->object_link, &a->object_link);
	else
		list_push_back(&a->obj->areas, &a->object_link);
}

void area_insert_after(struct aspace *as, struct area *a, struct area *origin)
{
	tree_add(as, a);
	area_link_after(a, origin);
}

void area_insert(struct aspace *as, struct area *a)
{
	area_insert_after(as, a, NULL);
}

/* Of two neighbours one has a free place on the other's side. */
void area_insert_between(struct aspace *as, struct area *a, struct area *prev, struct area *next)
{
	if (next && !next->node.child[0])
		tree_link(as, a, &next->node, &next->node.child[0]);
	else if (prev)
		tree_link(as, a, &prev->node, &prev->node.child[1]);
	else
		tree_link(as, a, NULL, &as->areas.root);
	area_link_after(a, NULL);
	WRITE_ONCE(as->last_hit, a);
}

void area_insert_list(struct aspace *as, struct list *fresh, struct vm_object *obj)
{
	struct list *l;

	GUARD_SHARED(&obj->lock);
	GUARD_SPIN(&obj->areas_lock);
	while ((l = list_pop_front(fresh)) != NULL) {
		struct area *a = container_of(l, struct area, object_link);

		tree_add(as, a);
		if (a->obj)
			list_push_back(&obj->areas, l);
		else
			list_init(l);
	}
}

static void forget_hit(struct aspace *as)
{
	WRITE_ONCE(as->last_hit, NULL);
}

/* The space whose areas change: the only one of its set (areaset.c, inv. A6). */
static struct aspace *space_of(const struct area *a) NO_LOCK_ANALYSIS
{
	VERIFY(a->set->nspaces == 1);
	return list_entry(a->set->spaces.next, struct aspace, set_link);
}

void area_unlink(struct area *a, struct list *dead)
{
	struct aspace *as = space_of(a);

	rwlock_assert_write(&as->lock);
	forget_hit(as);
	rb_remove(&as->areas, &a->node);
	count_area(as, a, -1);				/* inv. A2 */
	if (a->obj) {
		GUARD_SHARED(&a->obj->lock);
		GUARD_SPIN(&a->obj->areas_lock);
		list_remove(&a->object_link);
	}
	list_push_back(dead, &a->object_link);
}

/* The tree goes in one piece: no rebalancing for what dies. */
void area_unlink_tree(const struct rb_tree *areas, struct list *dead)
{
	struct area *a = rb_entry(rb_first(areas), struct area, node), *next;

	for (; a; a = next) {
		next = area_next(a);
		if (a->obj) {
			GUARD_SHARED(&a->obj->lock);
			GUARD_SPIN(&a->obj->areas_lock);
			list_remove(&a->object_link);
		}
		list_push_back(dead, &a->object_link);
	}
}

void area_unlink_all(struct aspace *as, struct list *dead)
{
	forget_hit(as);
	area_set_leave(as, dead);
	as->nareas = as->total_pages = as->data_pages = as->locked_pages = as->nofork = 0;
	as->gen++;
}

static void range_store(struct area *a, u64 start, u64 end)
{
	a->off += start - a->start;
	a->start = start;
	a->end = end;
}

void area_set_range(struct area *a, u64 start, u64 end)
{
	struct aspace *as = space_of(a);

	rwlock_assert_write(&as->lock);
	forget_hit(as);
	count_pages(as, a->flags, (i64)((end - start) >> PAGE_SHIFT) - (i64)((a->end - a->start) >> PAGE_SHIFT));
	as->gen++;
	if (a->obj) {
		GUARD_SHARED(&a->obj->lock);
		range_store(a, start, end);
	} else {
		range_store(a, start, end);
	}
	ASSERT(in_its_place(a));			/* inv. A1 */
	rb_update(&as->areas, &a->node);
}

void area_set_flags(struct area *a, u32 flags)
{
	struct aspace *as = space_of(a);

	rwlock_assert_write(&as->lock);
	count_area(as, a, -1);
	a->flags = flags;
	count_area(as, a, 1);
}

/* --- split and merge ------------------------------------------------------ */

void area_split(struct area *a, u64 at, struct area *upper)
{
	struct aspace *as = space_of(a);
	u64 end = a->end;

	rwlock_assert_write(&as->lock);
	upper->off = a->off + (at - a->start);
	upper->start = at;
	upper->end = end;
	if (a->obj) {
		/* In one stretch: rmap must not see a range that neither half covers. */
		GUARD_SHARED(&a->obj->lock);
		GUARD_SPIN(&a->obj->areas_lock);
		a->end = at;
		list_insert_after(&a->object_link, &upper->object_link);
	} else {
		a->end = at;
	}
	forget_hit(as);
	count_pages(as, a->flags, -(i64)((end - at) >> PAGE_SHIFT));
	rb_update(&as->areas, &a->node);
	tree_add(as, upper);
}

static struct area *crossing(struct aspace *as, u64 at) MUST_HOLD_SHARED(&as->lock)
{
	struct area *a = area_find(as, at);

	return a && a->start < at ? a : NULL;
}

/* Inv. H1: no 2 MiB entry crosses `at` afterwards. */
static int split_at(struct aspace *as, u64 at)
{
	struct page *leaf;

	if (at == huge_base(at) || !as->nhuge || !huge_is_at(as, at))
		return 0;
	if (pgtable_leaf_for_write(as, at, &leaf))
		return -ENOMEM;
	spin_unlock(&as->pgt_lock);
	return 0;
}

int area_isolate(struct aspace *as, u64 start, u64 end)
{
	struct area *lo = crossing(as, start), *hi = crossing(as, end);
	struct area *spare[2] = { NULL, NULL };

	if (likely(!lo && !hi))
		return 0;
	if (as->nareas + !!lo + !!hi > VM_MAX_AREAS || (lo && split_at(as, start)) || (hi && split_at(as, end)))
		return -ENOMEM;
	if (lo && !(spare[0] = area_dup(lo)))
		return -ENOMEM;
	if (hi && !(spare[1] = area_dup(hi))) {
		struct list dead = LIST_INIT(dead);

		if (spare[0])
			list_push_back(&dead, &spare[0]->object_link);
		area_free_list(&dead);
		return -ENOMEM;
	}
	/* The upper edge first: lo and hi may be the same area, which then ends at end. */
	if (hi)
		area_split(hi, end, spare[1]);
	if (lo)
		area_split(lo, start, spare[0]);
	return 0;
}

bool area_can_merge(const struct area *a, const struct area *b)
{
	return a->end == b->start && a->flags == b->flags && a->obj == b->obj && a->file == b->file &&
	       a->file_end == b->file_end && !(a->flags & (VM_GROWSDOWN | VM_VDSO)) &&
	       (!a->obj || a->off + (a->end - a->start) == b->off);
}

void area_merge(struct area *a, struct area *b, struct list *dead)
{
	struct aspace *as = space_of(a);
	u64 end = b->end;

	rwlock_assert_write(&as->lock);
	forget_hit(as);
	rb_remove(&as->areas, &b->node);
	count_area(as, b, -1);
	count_pages(as, a->flags, (i64)((end - a->end) >> PAGE_SHIFT));
	if (a->obj) {
		GUARD_SHARED(&a->obj->lock);
		GUARD_SPIN(&a->obj->areas_lock);
		a->end = end;
		list_remove(&b->object_link);
	} else {
		a->end = end;
	}
	rb_update(&as->areas, &a->node);
	list_push_back(dead, &b->object_link);
}

void area_merge_range(struct aspace *as, u64 start, u64 end, struct list *dead)
{
	struct area *a = area_find(as, start ? start - 1 : 0), *next;

	while (a && a->start <= end && (next = area_next(a)) != NULL) {
		if (area_can_merge(a, next))
			area_merge(a, next, dead);
		else
			a = next;
	}
}

int area_change_flags(struct aspace *as, u64 start, u64 end, u32 set, u32 clear, struct list *dead)
{
	int err = areas_own(as, dead);

	if (!err)
		err = area_isolate(as, start, end);
	if (err)
		return err;
	for (struct area *a = area_find(as, start); a && a->start < end; a = area_next(a))
		area_set_flags(a, (a->flags & ~clear) | set);
	area_merge_range(as, start, end, dead);
	return 0;
}

bool area_covers(struct aspace *as, u64 start, u64 end)
{
	for (struct area *a = area_find(as, start); a && a->start <= start; a = area_next(a)) {
		if (a->end >= end)
			return true;
		start = a->end;
	}
	return false;
}
