/*
 * Intrusive red-black tree.  The user searches and links by hand (so the
 * comparison is inlined), then calls rb_insert to rebalance.  User locks.
 */
#pragma once

#include <base/attrs.h>

struct rb_node {
	struct rb_node *child[2];	/* 0: smaller, 1: greater */
	struct rb_node *parent;
	bool red;
};

struct rb_tree {
	struct rb_node *root;
	/* Optional: works out anew what n keeps about its subtree, from n and what its children keep; false: that is what it
	 * was, so nodes above need not be asked.  Called children first for every node whose subtree changed shape; after a
	 * change of a node itself the user calls rb_update(). */
	bool (*update)(struct rb_node *n);
};

/* Links n below parent at *link (a child slot or the root) and rebalances. */
void rb_insert(struct rb_tree *t, struct rb_node *n, struct rb_node *parent, struct rb_node **link);
void rb_remove(struct rb_tree *t, struct rb_node *n);
void rb_update(struct rb_tree *t, struct rb_node *n);	/* n and what changes with it above, if the tree has update */
struct rb_node *rb_first(const struct rb_tree *t);
struct rb_node *rb_last(const struct rb_tree *t);
struct rb_node *rb_next(const struct rb_node *n);
struct rb_node *rb_prev(const struct rb_node *n);

#define rb_entry(n, T, m) ({ __auto_type n_ = (n); n_ ? container_of(n_, T, m) : (T *)NULL; })
