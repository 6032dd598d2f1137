/*
 * The page cache's index: a radix tree of 64-way nodes, as high as its largest
 * index needs.  A root with bit 0 set is a node, without it the page of index 0
 * (most small files never need a node).  A node is never empty.
 *
 * The caller holds obj->tree_lock.  Nothing allocates here: radix_insert() says
 * -EAGAIN before it has changed anything, and the caller adds spare nodes with
 * the lock dropped.  Slots are written whole, in an order that a reader without
 * the lock could follow, were the nodes freed through rcu_defer().
 */
#include "vm.h"

#define RADIX_BITS  6u
#define RADIX_SLOTS (1u << RADIX_BITS)
#define RADIX_DEPTH 11u

struct radix_node {
	u8 shift;		/* of the index bits that select a slot; 0: slots are pages */
	u8 count;
	void *slot[RADIX_SLOTS];
};

static struct slab_cache *node_cache;

void radix_init(void)
{
	node_cache = slab_cache_create("radix_node", sizeof(struct radix_node), 0);
}

static struct radix_node *root_node(void *root)
{
	return (u64)root & 1 ? (struct radix_node *)((u64)root - 1) : NULL;
}

static void *node_root(struct radix_node *n)
{
	return (void *)((u64)n | 1);
}

static u32 slot_of(const struct radix_node *n, u64 index)
{
	return (index >> n->shift) & (RADIX_SLOTS - 1);
}

/* Does index lie in what a tree whose root node has this shift can hold? */
static bool reaches(u32 shift, u64 index)
{
	return shift + RADIX_BITS >= 64 || !(index >> (shift + RADIX_BITS));
}

struct page *radix_get(void *root, u64 index)
{
	struct radix_node *n = root_node(root);

	if (!n)
		return index ? NULL : root;
	if (!reaches(n->shift, index))
		return NULL;
	for (;;) {
		void *s = n->slot[slot_of(n, index)];

		if (!n->shift || !s)
			return s;
		n = s;
	}
}

static struct radix_node *leaf_of(struct radix_node *n, u64 index)
{
	while (n && n->shift)
		n = n->slot[slot_of(n, index)];
	return n;
}

struct page **radix_run(void **root, u64 index, u32 *n)
{
	struct radix_node *node = root_node(*root);

	*n = RADIX_SLOTS - (u32)(index & (RADIX_SLOTS - 1));
	if (!node) {
		*n = index ? *n : 1;
		return index || !*root ? NULL : (struct page **)root;
	}
	if (!reaches(node->shift, index))
		return NULL;
	node = leaf_of(node, index);
	return node ? (struct page **)&node->slot[slot_of(node, index)] : NULL;
}

/* First page at or after *index below n; *index is inside n's range. */
static struct page *next_in(struct radix_node *n, u64 *index, u64 last)
{
	u64 at = *index;

	for (u32 i = slot_of(n, at); i < RADIX_SLOTS; i++) {
		if (n->slot[i]) {
			*index = at;
			if (!n->shift)
				return at <= last ? n->slot[i] : NULL;
			struct page *pg = next_in(n->slot[i], index, last);

			if (pg)
				return pg;
		}
		/* To the start of the next slot; wrapping round ends the search. */
		at = ((at >> n->shift) + 1) << n->shift;
		if (!at || at > last)
			return NULL;
	}
	return NULL;
}

struct page *radix_next(void *root, u64 *index, u64 last)
{
	struct radix_node *n = root_node(root);

	if (!n)
		return root && !*index ? root : NULL;
	if (*index > last || !reaches(n->shift, *index))
		return NULL;
	return next_in(n, index, last);
}

int radix_spare_add(struct radix_spare *spare)
{
	while (spare->n < spare->need) {
		struct radix_node *n = slab_zalloc(node_cache);

		if (!n)
			return -ENOMEM;
		n->slot[0] = spare->nodes;
		spare->nodes = n;
		spare->n++;
	}
	return 0;
}

static struct radix_node *spare_take(struct radix_spare *spare, u32 shift)
{
	struct radix_node *n = spare->nodes;

	spare->nodes = n->slot[0];
	spare->n--;
	n->slot[0] = NULL;
	n->shift = shift;
	return n;
}

void radix_spare_drop(struct radix_spare *spare)
{
	while (spare->n)
		slab_free(node_cache, spare_take(spare, 0));
}

/* Nodes that inserting index would add. */
static u32 nodes_needed(void *root, u64 index)
{
	struct radix_node *n = root_node(root);
	u32 need = 0, shift = 0;

	if (!root && !index)
		return 0;
	if (n)
		shift = n->shift;
	else
		need = 1;
	if (!reaches(shift, index)) {
		for (; !reaches(shift, index); shift += RADIX_BITS)
			need += root != NULL;
		return need + shift / RADIX_BITS;	/* the whole path below a new root is new */
	}
	while (n && n->shift) {
		if (!n->slot[slot_of(n, index)])
			return need + n->shift / RADIX_BITS;
		n = n->slot[slot_of(n, index)];
	}
	return need;
}

static void grow(void **root, u64 index, struct radix_spare *spare)
{
	struct radix_node *n = root_node(*root);

	if (!*root) {
		u32 shift = 0;

		while (!reaches(shift, index))
			shift += RADIX_BITS;
		*root = node_root(spare_take(spare, shift));
		return;
	}
	if (!n) {
		n = spare_take(spare, 0);
		n->slot[0] = *root;
		n->count = 1;
	}
	while (!reaches(n->shift, index)) {
		struct radix_node *top = spare_take(spare, n->shift + RADIX_BITS);

		top->slot[0] = n;
		top->count = 1;
		n = top;
	}
	*root = node_root(n);
}

/* The leaf that holds index, made of spare nodes as far as it is missing.  The root is a node. */
static struct radix_node *leaf_for(void *root, u64 index, struct radix_spare *spare)
{
	struct radix_node *n = root_node(root);

	while (n->shift) {
		void **s = &n->slot[slot_of(n, index)];

		if (!*s) {
			*s = spare_take(spare, n->shift - RADIX_BITS);
			n->count++;
		}
		n = *s;
	}
	return n;
}

int radix_insert_run(void **root, u64 index, struct page **pages, u32 n, u32 *done, struct radix_spare *spare)
{
	struct radix_node *leaf;
	u32 at, i;

	*done = 0;
	if (!index && *root && !root_node(*root))
		return -EEXIST;
	spare->need = nodes_needed(*root, index);
	if (spare->n < spare->need)
		return -EAGAIN;
	if (!*root && !index) {
		*root = pages[0];
		*done = 1;
		return 0;
	}
	grow(root, index, spare);
	leaf = leaf_for(*root, index, spare);
	at = slot_of(leaf, index);
	for (i = 0; i < n && at + i < RADIX_SLOTS && !leaf->slot[at + i]; i++)
		leaf->slot[at + i] = pages[i];
	leaf->count += i;
	*done = i;
	return i ? 0 : -EEXIST;
}

int radix_insert(void **root, u64 index, struct page *pg, struct radix_spare *spare)
{
	u32 done;

	return radix_insert_run(root, index, &pg, 1, &done, spare);
}

static void **find_slot(void *root, u64 index)
{
	struct radix_node *n = root_node(root);

	while (n->shift)
		n = n->slot[slot_of(n, index)];
	return &n->slot[slot_of(n, index)];
}

/* The caller knows that index is there, in a tree whose address it has. */
void radix_replace(void **root, u64 index, struct page *pg)
{
	ASSERT(radix_get(*root, index));
	if (root_node(*root))
		*find_slot(*root, index) = pg;
	else
		*root = pg;
}

struct page *radix_remove(void **root, u64 index)
{
	struct page *pg = radix_get(*root, index);
	struct radix_node *path[RADIX_DEPTH], *n = root_node(*root);
	u32 depth = 0;

	if (!pg)
		return NULL;
	if (!n) {
		*root = NULL;
		return pg;
	}
	for (;; n = n->slot[slot_of(n, index)]) {
		path[depth++] = n;
		if (!n->shift)
			break;
	}
	while (depth--) {
		n = path[depth];
		n->slot[slot_of(n, index)] = NULL;
		if (--n->count)
			return pg;
		slab_free(node_cache, n);
	}
	*root = NULL;
	return pg;
}

u32 radix_remove_run(void **root, u64 *index, u64 last, struct page **out, u32 max)
{
	struct page *pg = radix_next(*root, index, last);
	u64 first = *index;
	struct radix_node *leaf = pg ? leaf_of(root_node(*root), first) : NULL;
	u32 n = 1;

	if (!pg)
		return 0;
	if (leaf) {
		void **slot = &leaf->slot[slot_of(leaf, first)];
		u64 room = MIN(RADIX_SLOTS - slot_of(leaf, first), last - first + 1);

		for (; n < MIN(room, max) && slot[n]; n++) {
			out[n] = slot[n];
			slot[n] = NULL;
		}
		leaf->count -= n - 1;
	}
	out[0] = radix_remove(root, first);		/* and the nodes that are empty now */
	return n;
}
