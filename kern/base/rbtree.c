/*
 * Red-black tree: insertion and removal in the textbook form (Cormen, chapter
 * 13), with both mirror images folded into one by child[side].
 * Invariants: 1. the root is black.  2. a red node has black children.
 * 3. every path from a node to its leaves passes the same number of black ones.
 */
#include <base/rbtree.h>

static u32 side_of(const struct rb_node *n)
{
	return n->parent->child[1] == n;
}

static void replace_child(struct rb_tree *t, struct rb_node *parent, struct rb_node *old, struct rb_node *new)
{
	if (!parent)
		t->root = new;
	else
		parent->child[parent->child[1] == old] = new;
	if (new)
		new->parent = parent;
}

/* n goes down to the given side; its child on the other side takes its place. */
static void rotate(struct rb_tree *t, struct rb_node *n, u32 side)
{
	struct rb_node *up = n->child[!side];

	n->child[!side] = up->child[side];
	if (n->child[!side])
		n->child[!side]->parent = n;
	replace_child(t, n->parent, n, up);
	up->child[side] = n;
	n->parent = up;
	if (t->update) {
		(void)t->update(n);
		(void)t->update(up);	/* what lies below it is the same as before: no need to go on */
	}
}

void rb_update(struct rb_tree *t, struct rb_node *n)
{
	if (!t->update)
		return;
	while (n && t->update(n))
		n = n->parent;
}

/* n stands in a new place: what it kept says nothing about whether those above must change. */
static void update_placed(struct rb_tree *t, struct rb_node *n)
{
	if (!t->update)
		return;
	(void)t->update(n);
	rb_update(t, n->parent);
}

void rb_insert(struct rb_tree *t, struct rb_node *n, struct rb_node *parent, struct rb_node **link)
{
	n->parent = parent;
	n->child[0] = n->child[1] = NULL;
	n->red = true;
	*link = n;
	update_placed(t, n);
	while ((parent = n->parent) && parent->red) {
		struct rb_node *grand = parent->parent;		/* exists: a red node is not the root (inv. 1) */
		u32 side = side_of(parent);
		struct rb_node *uncle = grand->child[!side];

		if (uncle && uncle->red) {
			parent->red = uncle->red = false;
			grand->red = true;
			n = grand;
			continue;
		}
		if (n == parent->child[!side]) {
			rotate(t, parent, side);
			n = parent;
			parent = n->parent;
		}
		parent->red = false;
		grand->red = true;
		rotate(t, grand, !side);
	}
	t->root->red = false;
}

/* The path through n (may be NULL, then only its parent is known) is one black short. */
static void remove_fixup(struct rb_tree *t, struct rb_node *n, struct rb_node *parent)
{
	while (parent && (!n || !n->red)) {
		u32 side = parent->child[1] == n;
		struct rb_node *sib = parent->child[!side];	/* exists: its path has one black more (inv. 3) */

		if (sib->red) {
			sib->red = false;
			parent->red = true;
			rotate(t, parent, side);
			sib = parent->child[!side];
		}
		bool near_red = sib->child[side] && sib->child[side]->red;
		bool far_red = sib->child[!side] && sib->child[!side]->red;

		if (!near_red && !far_red) {
			sib->red = true;
			n = parent;
			parent = n->parent;
			continue;
		}
		if (!far_red) {
			sib->child[side]->red = false;
			sib->red = true;
			rotate(t, sib, !side);
			sib = parent->child[!side];
		}
		sib->red = parent->red;
		parent->red = false;
		sib->child[!side]->red = false;
		rotate(t, parent, side);
		return;
	}
	if (n)
		n->red = false;
}

void rb_remove(struct rb_tree *t, struct rb_node *n)
{
	struct rb_node *hole_parent, *filler, *next = NULL;
	bool lost_red;

	if (n->child[0] && n->child[1]) {
		next = n->child[1];
		while (next->child[0])
			next = next->child[0];
		filler = next->child[1];
		lost_red = next->red;
		hole_parent = next->parent == n ? next : next->parent;
		if (next->parent != n) {
			replace_child(t, next->parent, next, filler);
			next->child[1] = n->child[1];
			next->child[1]->parent = next;
		}
		replace_child(t, n->parent, n, next);
		next->child[0] = n->child[0];
		next->child[0]->parent = next;
		next->red = n->red;
	} else {
		filler = n->child[0] ? n->child[0] : n->child[1];
		hole_parent = n->parent;
		lost_red = n->red;
		replace_child(t, n->parent, n, filler);
	}
	rb_update(t, hole_parent);
	if (next)
		update_placed(t, next);
	if (!lost_red)
		remove_fixup(t, filler, hole_parent);
}

static struct rb_node *extreme(struct rb_node *n, u32 side)
{
	while (n && n->child[side])
		n = n->child[side];
	return n;
}

static struct rb_node *neighbour(const struct rb_node *n, u32 side)
{
	if (n->child[side])
		return extreme(n->child[side], !side);
	while (n->parent && n == n->parent->child[side])
		n = n->parent;
	return n->parent;
}

struct rb_node *rb_first(const struct rb_tree *t) { return extreme(t->root, 0); }
struct rb_node *rb_last(const struct rb_tree *t) { return extreme(t->root, 1); }
struct rb_node *rb_next(const struct rb_node *n) { return neighbour(n, 1); }
struct rb_node *rb_prev(const struct rb_node *n) { return neighbour(n, 0); }
