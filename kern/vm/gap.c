/*
 * The search for a hole between areas.
 *
 * Most spaces have a few dozen areas and search downwards from mmap_base: they
 * walk from a remembered place and find a hole at once.  A walk that gets
 * long indexes the space, once: from then on each node of its tree knows the
 * widest hole below it, and a search takes a path instead of a walk.  So a small
 * process never pays for the index, and a large one never for the walk.
 *
 * A4  For a search from mmap_base == hint_base: every hole above hint_top is at most
 *     hint_hole long, unless a place found there was not used.
 * A5  In an indexed space (areas.update is set) an area's sub_low and sub_end are the
 *     lowest address, guard gap included, and the highest end in its subtree, and
 *     sub_gap is the widest hole between two neighbours in it.
 */
#include "vm.h"

#define WALK_MAX 48u			/* areas: then the space is indexed */

u64 area_low_guard(const struct area *a)
{
	if (!(a->flags & VM_GROWSDOWN))
		return a->start;
	return a->start > VM_STACK_GAP ? a->start - VM_STACK_GAP : 0;
}

static struct area *last_area(struct aspace *as) MUST_HOLD_SHARED(&as->lock)
{
	return rb_entry(rb_last(&as->areas), struct area, node);
}

void area_hole_made(struct aspace *as, u64 start, u64 end)
{
	if (end <= as->hint_top || !as->hint_base || as->areas.update)
		return;
	struct area *above = area_find(as, start), *below = above ? area_prev(above) : last_area(as);
	u64 top = above ? area_low_guard(above) : USER_TOP;
	u64 bottom = below ? below->end : 0;

	as->hint_hole = MAX(as->hint_hole, MAX(end, top) - MIN(start, bottom));
}

/* --- the index -------------------------------------------------------------- */

static struct area *area_of(struct rb_node *n)
{
	return container_of(n, struct area, node);
}

/* The hole between two neighbours; a guard gap may reach below its lower neighbour. */
static u64 hole(u64 bottom, u64 top)
{
	return top > bottom ? top - bottom : 0;
}

static void index_update(struct rb_node *n)
{
	struct area *a = area_of(n);

	a->sub_low = area_low_guard(a);
	a->sub_end = a->end;
	a->sub_gap = 0;
	if (n->child[0]) {
		const struct area *l = area_of(n->child[0]);

		a->sub_gap = MAX(l->sub_gap, hole(l->sub_end, a->sub_low));
		a->sub_low = l->sub_low;
	}
	if (n->child[1]) {
		const struct area *r = area_of(n->child[1]);

		a->sub_gap = MAX(a->sub_gap, MAX(r->sub_gap, hole(a->end, r->sub_low)));
		a->sub_end = r->sub_end;
	}
}

/* As deep as the tree is high: at most 2 log2(VM_MAX_AREAS). */
static void index_all(struct rb_node *n)
{
	if (!n)
		return;
	index_all(n->child[0]);
	index_all(n->child[1]);
	index_update(n);
}

struct gap_query { u64 len, low, high; bool up; };

/* The place in the hole [bottom, top), or 0. */
static u64 gap_fit(const struct gap_query *q, u64 bottom, u64 top)
{
	bottom = MAX(bottom, q->low);
	top = MIN(top, q->high);
	if (hole(bottom, top) < q->len)
		return 0;
	return q->up ? bottom : top - q->len;
}

/* Among the holes between areas of n's subtree.  Subtrees outside the limits are not entered, others succeed. */
static u64 gap_below(const struct gap_query *q, struct rb_node *n)
{
	struct area *a = n ? area_of(n) : NULL;
	u64 at = 0;

	if (!a || a->sub_gap < q->len || a->sub_low >= q->high || a->sub_end <= q->low)
		return 0;
	/* Outermost first: the near child, the hole beside it, the other hole, the far child. */
	for (u32 i = 0; i < 2 && !at; i++) {
		u32 side = q->up ? i : !i;
		struct rb_node *c = n->child[side];

		if (!c)
			continue;
		u64 bottom = side ? a->end : area_of(c)->sub_end, top = side ? area_of(c)->sub_low : area_low_guard(a);

		at = i ? gap_fit(q, bottom, top) : gap_below(q, c);
		if (!at)
			at = i ? gap_below(q, c) : gap_fit(q, bottom, top);
	}
	return at;
}

static u64 gap_indexed(struct aspace *as, const struct gap_query *q) MUST_HOLD(&as->lock)
{
	struct rb_node *root = as->areas.root;
	u64 at;

	if (!as->areas.update) {
		index_all(root);
		as->areas.update = index_update;
	}
	at = q->up ? gap_fit(q, 0, area_of(root)->sub_low) : gap_fit(q, area_of(root)->sub_end, USER_TOP);
	if (!at)
		at = gap_below(q, root);
	if (!at)
		at = q->up ? gap_fit(q, area_of(root)->sub_end, USER_TOP) : gap_fit(q, 0, area_of(root)->sub_low);
	return at;
}

/* --- the walk ------------------------------------------------------------------ */

#define GAP_FAR 1ul			/* too long a walk; no page has this address */

static u64 gap_up(struct aspace *as, u64 len, u64 low, u64 high) MUST_HOLD_SHARED(&as->lock)
{
	u64 at = low;
	u32 steps = 0;

	for (struct area *a = area_find(as, low); a; a = area_next(a)) {
		if (at + len > high)
			return 0;
		if (at + len <= area_low_guard(a))
			return at;
		at = MAX(at, a->end);
		if (++steps > WALK_MAX)
			return GAP_FAR;
	}
	return at + len <= high ? at : 0;
}

static u64 gap_down(struct aspace *as, u64 len, u64 low, u64 high, bool hint) MUST_HOLD(&as->lock)
{
	bool based = high == as->mmap_base;
	bool hinted = hint && based && as->hint_base == high && len > as->hint_hole;
	u64 top = hinted ? as->hint_top : high;
	u64 widest = hinted ? as->hint_hole : 0;
	struct area *a = area_find(as, top), *below;
	u32 steps = 0;

	if (a)
		top = MIN(top, area_low_guard(a));
	below = a ? area_prev(a) : last_area(as);
	for (;; below = area_prev(below)) {
		u64 bottom = MAX(below ? below->end : 0, low);

		if (top >= bottom + len) {
			if (based) {
				as->hint_base = high;
				as->hint_top = top - len;
				as->hint_hole = widest;
			}
			return top - len;
		}
		if (!below || below->end <= low)
			return 0;
		if (++steps > WALK_MAX)
			return GAP_FAR;
		if (top > bottom)
			widest = MAX(widest, top - bottom);
		top = area_low_guard(below);
	}
}

u64 area_find_gap(struct aspace *as, u64 len, u64 low, u64 high, bool up)
{
	struct gap_query q = { len, low, high, up };
	u64 at = GAP_FAR;

	if (len > high || high - len < low)
		return 0;
	if (!as->areas.update)
		at = up ? gap_up(as, len, low, high) : gap_down(as, len, low, high, true);
	/* The hint is only a hint: a place that was found and not used may hide behind it. */
	if (!at && !up)
		at = gap_down(as, len, low, high, false);
	return at == GAP_FAR ? gap_indexed(as, &q) : at;
}
