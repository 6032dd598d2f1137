/*
 * Area sets: spaces that share their areas after fork.
 *
 * Most children of fork only execute another program or end.  So fork copies no
 * area: the child joins its parent's set, and both have the same tree.  The one
 * that changes its areas first copies them (areas_own()), unless it is the last.
 *
 * A6  All spaces of a set have the same tree.  Areas change only while their set
 *     has one space, under that space's as->lock exclusive.
 * A7  A space joins by fork of a member whose as->lock is exclusive, behind that
 *     member on set->spaces, before any table is shared.  So a set's only space
 *     remains the only one for as long as it holds its lock.
 * A8  A space leaves when its TLBs are empty (teardown), or when copies of all its
 *     areas are on their objects' lists: rmap finds it at any moment.  The last
 *     one takes the areas out, then frees the set: who holds the lock of an
 *     object may use the set of any area on its list.
 *
 * Areas that the child does not get as they are (DONTFORK, WIPEONFORK, locked) are
 * copied at fork, one by one.
 */
#include <core/stat.h>

#include "vm.h"

static struct slab_cache *set_cache;

void area_set_init(void)
{
	set_cache = slab_cache_create("area_set", sizeof(struct area_set), 0);
}

struct area_set *area_set_create(void)
{
	struct area_set *set = slab_alloc(set_cache);

	if (!set)
		return NULL;
	spin_init(&set->lock, LR_AREA_SET);
	spin_unshared(&set->lock);
	set->nspaces = 0;
	memset(set->parted, 0, sizeof(set->parted));
	set->forks = 0;
	list_init(&set->spaces);
	return set;
}

void area_set_join(struct area_set *set, struct aspace *as)
{
	GUARD_SPIN(&set->lock);
	as->set = set;
	list_push_back(&set->spaces, &as->set_link);
	WRITE_ONCE(set->nspaces, set->nspaces + 1);
}

/* True: that was its last space, and areas and set are the caller's. */
static bool leave_locked(struct area_set *set, struct aspace *as) MUST_HOLD(&set->lock)
{
	list_remove(&as->set_link);
	WRITE_ONCE(set->nspaces, set->nspaces - 1);
	return !set->nspaces;
}

static bool leave(struct area_set *set, struct aspace *as)
{
	GUARD_SPIN(&set->lock);
	return leave_locked(set, as);
}

static void end(struct area_set *set, struct rb_tree *areas, struct list *dead)
{
	area_unlink_tree(areas, dead);
	slab_free(set_cache, set);
}

void area_set_leave(struct aspace *as, struct list *dead)
{
	struct area_set *set = as->set;

	as->set = NULL;
	if (leave(set, as))
		end(set, &as->areas, dead);
	as->areas = (struct rb_tree){ .root = NULL };
}

void area_set_inherit(struct aspace *to, const struct aspace *from)
{
	rwlock_assert_write(&from->lock);
	to->areas = from->areas;
	to->nareas = from->nareas;
	to->total_pages = to->peak_total = from->total_pages;
	to->data_pages = from->data_pages;
}

/* --- copies ----------------------------------------------------------------- */

static bool areas_alloc(struct list *fresh, u64 n)
{
	while (n--) {
		struct area *a = area_alloc();

		if (!a) {
			area_free_list(fresh);
			return false;
		}
		list_push_back(fresh, &a->object_link);
	}
	return true;
}

/* The subtree at n again, of fresh areas.  As deep as the tree is high. */
static struct rb_node *copy_below(const struct rb_node *n, struct rb_node *parent, struct area_set *set, struct list *fresh)
{
	if (!n)
		return NULL;
	struct area *old = container_of(n, struct area, node);
	struct area *a = container_of(list_pop_front(fresh), struct area, object_link);

	area_copy(a, old);
	a->set = set;
	a->node.parent = parent;
	a->node.child[0] = copy_below(n->child[0], &a->node, set, fresh);
	a->node.child[1] = copy_below(n->child[1], &a->node, set, fresh);
	area_link_after(a, old);
	return &a->node;
}

/* From one set to the other in one step: rmap comes to the copies after the originals (area_link_after()).  As leave(). */
static bool move(struct area_set *old, struct area_set *set, struct aspace *as)
{
	GUARD_SPIN(&old->lock);
	spin_lock_nested(&set->lock);		/* only here are two of them held */
	bool last = leave_locked(old, as);

	as->set = set;
	list_push_back(&set->spaces, &as->set_link);
	WRITE_ONCE(set->nspaces, 1);
	spin_unlock(&set->lock);
	return last;
}

int areas_copy(struct aspace *as, struct list *dead)
{
	struct area_set *old = as->set, *set = area_set_create();
	struct list fresh = LIST_INIT(fresh);
	struct rb_tree areas = as->areas;

	if (!set || !areas_alloc(&fresh, as->nareas)) {
		if (set)
			slab_free(set_cache, set);
		return -ENOMEM;
	}
	stat_inc(STAT_AREAS_COPIED);
	as->areas.root = copy_below(areas.root, NULL, set, &fresh);
	WRITE_ONCE(as->last_hit, NULL);
	if (move(old, set, as))			/* the others left while we copied */
		end(old, &areas, dead);
	return 0;
}
