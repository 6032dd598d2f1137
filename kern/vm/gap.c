/*
 * The search for a hole between areas.
 *
 * Most searches go downwards from mmap_base: they walk from a remembered place and
 * find a hole at once.  A walk that gets long indexes the space, once: from then on
 * each node of its tree knows the widest hole below it, and a search that the
 * remembered place does not answer takes a path instead of a walk.  So a small
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
#define WALK_SHORT 4u			/* in one that is */

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

/* The hole between two neighbours; a guard gap may reach below its lower neighbour. */
static u64 hole(u64 bottom, u64 top)
{
	return top > bottom ? top - bottom : 0;
}

/* Is it wider than what the hint says of the holes above it?  Then the next search begins at its top. */
void area_hole_made(struct aspace *as, struct area *above)
{
	u64 top = above ? area_low_guard(above) : USER_TOP;

	if (top <= as->hint_top || !as->hint_base)
		return;
	struct area *below = above ? area_prev(above) : last_area(as);

	if (hole(below ? below->end : 0, top) > as->hint_hole)
		as->hint_top = MIN(top, as->hint_base);
}

static void hint_store(struct aspace *as, u64 top, u64 widest) MUST_HOLD(&as->lock)
{
	as->hint_base = as->mmap_base;
	as->hint_top = top;
	as->hint_hole = widest;
}

/* --- the index -------------------------------------------------------------- */

static struct area *area_of(struct rb_node *n)
{
	return container_of(n, struct area, node);
}

static bool index_update(struct rb_node *n)
{
	struct area *a = area_of(n);
	u64 low = area_low_guard(a), end = a->end, gap = 0;

	if (n->child[0]) {
		const struct area *l = area_of(n->child[0]);

		gap = MAX(l->sub_gap, hole(l->sub_end, low));
		low = l->sub_low;
	}
	if (n->child[1]) {
		const struct area *r = area_of(n->child[1]);

		gap = MAX(gap, MAX(r->sub_gap, hole(end, r->sub_low)));
		end = r->sub_end;
	}
	bool changed = a->sub_low != low || a->sub_end != end || a->sub_gap != gap;

	a->sub_low = low;
	a->sub_end = end;
	a->sub_gap = gap;
	return changed;
}

/* As deep as the tree is high: at most 2 log2(VM_MAX_AREAS). */
static void index_all(struct rb_node *n)
{
	if (!n)
		return;
	index_all(n->child[0]);
	index_all(n->child[1]);
	(void)index_update(n);
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

	if (!root)
		return gap_fit(q, 0, USER_TOP);
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

/* From top down, at most `max` areas; *widest: the widest hole on the way that does not fit. */
static u64 gap_down(struct aspace *as, const struct gap_query *q, u64 top, u64 *widest, u32 max) MUST_HOLD_SHARED(&as->lock)
{
	struct area *a = area_find(as, top), *below = a ? area_prev(a) : last_area(as);

	if (a)
		top = MIN(top, area_low_guard(a));
	for (u32 steps = 0;; below = area_prev(below)) {
		u64 bottom = MAX(below ? below->end : 0, q->low);

		if (top >= bottom + q->len)
			return top - q->len;
		if (!below || below->end <= q->low)
			return 0;
		if (++steps > max)
			return GAP_FAR;
		*widest = MAX(*widest, hole(bottom, top));
		top = area_low_guard(below);
	}
}

/* Downwards from mmap_base, from where the hint says. */
static u64 gap_hinted(struct aspace *as, const struct gap_query *q) MUST_HOLD(&as->lock)
{
	bool indexed = as->areas.update;
	bool hinted = as->hint_base == q->high && q->len > as->hint_hole;
	u64 widest = hinted ? as->hint_hole : 0, at = GAP_FAR;

	if (hinted || !indexed)
		at = gap_down(as, q, hinted ? as->hint_top : q->high, &widest, indexed ? WALK_SHORT : WALK_MAX);
	/* The hint is only a hint: a place that was found and not used may hide behind it. */
	if (!at && hinted) {
		widest = 0;
		at = indexed ? GAP_FAR : gap_down(as, q, q->high, &widest, WALK_MAX);
	}
	if (at == GAP_FAR) {
		at = gap_indexed(as, q);
		widest = q->len - PAGE_SIZE;
	}
	if (at)
		hint_store(as, at, widest);
	return at;
}

u64 area_find_gap(struct aspace *as, u64 len, u64 low, u64 high, bool up)
{
	struct gap_query q = { len, low, high, up };
	u64 at = GAP_FAR, widest = 0;

	if (len > high || high - len < low)
		return 0;
	if (!up && high == as->mmap_base)
		return gap_hinted(as, &q);
	if (!as->areas.update)
		at = up ? gap_up(as, len, low, high) : gap_down(as, &q, high, &widest, WALK_MAX);
	return at == GAP_FAR ? gap_indexed(as, &q) : at;
}
