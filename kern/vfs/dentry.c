/*
 * Dentries: the tree of names, hashed by (parent, name).
 *
 * States: unhashed (new, or removed) and hashed.  Being hashed is a reference;
 * so a hashed dentry with one reference is unused.  In a directory without
 * ops->lookup the hashed dentries are the directory (DN_PINNED); elsewhere
 * they are a cache, on the lru, that memory pressure may empty.
 * Inv. 1: a hashed dentry is on its parent's children list, and only then.
 * Inv. 2: vnode is set once, by dentry_instantiate, and stays till the end.
 * Inv. 3: short_name ends with a NUL at any time, so a racing reader of a
 *	   name that is being changed stops inside it.
 * Readers without lock: dentry_find_rcu.  They check walk_seq afterwards.
 */
#include "vfs_private.h"
#include <mem/mem.h>

struct long_name {
	struct rcu_head rcu;
	char text[];
};

spinlock_t dcache_lock = SPINLOCK_INIT(LR_DENTRY_HASH);
u32 walk_seq;

static struct dentry **table;
static u32 table_shift;			/* bucket = hash >> shift */
static struct slab_cache *dentry_cache;
static struct list lru = LIST_INIT(lru);	/* dcache_lock; oldest first */
static u64 lru_count;			/* dcache_lock */

u32 name_hash(const struct dentry *parent, const char *name, u32 len)
{
	u64 h = NAME_HASH_INIT, word;

	for (; len >= 8; len -= 8, name += 8) {
		__builtin_memcpy(&word, name, 8);
		h = name_hash_word(h, word);
	}
	word = 0;
	memcpy(&word, name, len);
	return name_hash_end(name_hash_word(h, word), parent);
}

static struct dentry **bucket(u32 hash)
{
	return &table[hash >> table_shift];
}

/* The same n (0 to 7) bytes. */
static inline bool tail_equal(const char *a, const char *b, u32 n)
{
	if (n & 4) {
		if (*(const unaligned_u32 *)a != *(const unaligned_u32 *)b)
			return false;
		a += 4;
		b += 4;
	}
	if (n & 2) {
		if (*(const unaligned_u16 *)a != *(const unaligned_u16 *)b)
			return false;
		a += 2;
		b += 2;
	}
	return !(n & 1) || *a == *b;
}

static bool name_equal(const struct dentry *d, const char *name, u32 len)
{
	const char *have = READ_ONCE(d->name);

	for (; len >= 8; len -= 8, have += 8, name += 8)
		if (*(const unaligned_u64 *)have != *(const unaligned_u64 *)name)
			return false;
	return tail_equal(have, name, len);
}

struct dentry *dentry_find_rcu(const struct dentry *parent, const char *name, u32 len, u32 hash)
{
	struct dentry *d;

	for (d = load_acquire(bucket(hash)); d; d = load_acquire(&d->hash_next))
		if (d->hash == hash && d->parent == parent && d->name_len == len && name_equal(d, name, len))
			return d;
	return NULL;
}

struct dentry *dentry_find(struct dentry *parent, const char *name, u32 len, u32 hash)
{
	for (;;) {
		u32 seq = walk_seq_read();
		struct dentry *d;

		rcu_read_lock();
		d = dentry_find_rcu(parent, name, len, hash);
		if (d && !ref_try_get(&d->refs))
			d = NULL;
		rcu_read_unlock();
		if (!walk_seq_changed(seq))
			return d;
		if (d)
			dentry_put(d);
		GUARD_SPIN(&dcache_lock);	/* the writer's critical section ends before we look again */
	}
}

struct dentry *dentry_lookup_cached(struct dentry *parent, const char *name, u32 len)
{
	return dentry_find(parent, name, len, name_hash(parent, name, len));
}

struct dentry *dentry_get(struct dentry *d)
{
	ref_get(&d->refs);
	return d;
}

static char *name_alloc(const char *name, u32 len)
{
	struct long_name *n = kmalloc(sizeof(*n) + len + 1);

	if (!n)
		return NULL;
	memcpy(n->text, name, len);
	n->text[len] = 0;
	return n->text;
}

static void name_free(char *text)
{
	kfree(container_of((char (*)[])text, struct long_name, text));
}

static void name_free_rcu(struct rcu_head *h)
{
	kfree(container_of(h, struct long_name, rcu));
}

static void dentry_free_rcu(struct rcu_head *h)
{
	struct dentry *d = container_of(h, struct dentry, rcu);

	if (d->name != d->short_name)
		name_free(d->name);
	slab_free(dentry_cache, d);
}

/* The last reference went: no recursion, a chain of parents may die with it. */
void dentry_put(struct dentry *d)
{
	while (ref_put(&d->refs)) {
		struct dentry *parent = d->parent == d ? NULL : d->parent;
		struct vnode *vn = d->vnode;

		ASSERT(list_empty(&d->children));
		if (vn) {
			if (!vn->nlink && vn->watches)
				notify(vn, NULL, IN_DELETE_SELF, 0, NULL);
			vnode_put(vn);
		}
		rcu_defer(&d->rcu, dentry_free_rcu);
		if (!parent)
			return;
		d = parent;
	}
}

static struct dentry *dentry_new(const char *name, u32 len)
{
	struct dentry *d = slab_zalloc(dentry_cache);

	if (!d)
		return NULL;
	d->name = d->short_name;
	if (len >= sizeof(d->short_name)) {
		d->name = name_alloc(name, len);
		if (!d->name) {
			slab_free(dentry_cache, d);
			return NULL;
		}
	} else {
		memcpy(d->short_name, name, len);
	}
	d->name_len = len;
	ref_init(&d->refs);
	list_init(&d->children);
	list_init(&d->sibling);
	list_init(&d->lru);
	d->flags = DN_UNHASHED;
	return d;
}

struct dentry *dentry_create(struct dentry *parent, const char *name, u32 len)
{
	struct dentry *d = dentry_new(name, len);

	if (!d)
		return NULL;
	d->parent = dentry_get(parent);
	d->hash = name_hash(parent, name, len);
	return d;
}

struct dentry *dentry_create_root(struct vnode *vn)
{
	struct dentry *d = dentry_new("/", 1);

	if (!d) {
		vnode_put(vn);
		return NULL;
	}
	d->parent = d;
	d->vnode = vn;
	d->flags = DN_PINNED;
	return d;
}

struct dentry *dentry_create_anon(struct vnode *vn, const char *name)
{
	struct dentry *d = dentry_new(name, (u32)strlen(name));

	if (!d) {
		vnode_put(vn);
		return NULL;
	}
	d->parent = d;
	d->vnode = vn;
	d->flags = DN_ANON;
	return d;
}

void dentry_instantiate(struct dentry *d, struct vnode *vn)
{
	GUARD_SPIN(&dcache_lock);
	ASSERT(!d->vnode);
	store_release(&d->vnode, vn);
	if (!dentry_unhashed(d))
		d->parent->nchildren++;
}

static void chain_add(struct dentry *d)
{
	struct dentry **b = bucket(d->hash);

	d->hash_next = *b;
	store_release(b, d);
}

/* hash_next of the removed one stays: a reader that stands on it goes on. */
static void chain_remove(struct dentry *d)
{
	struct dentry **p = bucket(d->hash);

	while (*p != d)
		p = &(*p)->hash_next;
	store_release(p, d->hash_next);
}

static void link_child(struct dentry *d)
{
	struct dentry *parent = d->parent;

	d->cookie = ++parent->next_cookie;
	list_push_front(&parent->children, &d->sibling);
	if (d->vnode)
		parent->nchildren++;
}

static void unlink_child(struct dentry *d)
{
	list_remove(&d->sibling);
	if (d->vnode)
		d->parent->nchildren--;
}

static void hash_locked(struct dentry *d)
{
	ref_get(&d->refs);
	link_child(d);
	if (d->parent->vnode->ops->lookup && !(d->flags & DN_PINNED)) {
		list_push_back(&lru, &d->lru);
		lru_count++;
		bits_clear(&d->flags, DN_UNHASHED);
	} else {
		WRITE_ONCE(d->flags, (d->flags & ~DN_UNHASHED) | DN_PINNED);
	}
	chain_add(d);
}

void dentry_hash_add(struct dentry *d)
{
	GUARD_SPIN(&dcache_lock);
	ASSERT(dentry_unhashed(d));
	hash_locked(d);
}

struct dentry *dentry_hash_unique(struct dentry *d)
{
	struct dentry *other;

	GUARD_SPIN(&dcache_lock);
	other = dentry_find_rcu(d->parent, d->name, d->name_len, d->hash);
	if (other)
		return dentry_get(other);
	hash_locked(d);
	return NULL;
}

/* True: the hash's reference is the caller's to drop. */
static bool unhash_locked(struct dentry *d)
{
	if (dentry_unhashed(d))
		return false;
	chain_remove(d);
	unlink_child(d);
	if (list_linked(&d->lru)) {
		list_remove(&d->lru);
		lru_count--;
	}
	bits_set(&d->flags, DN_UNHASHED);
	return true;
}

void dentry_unhash(struct dentry *d)
{
	bool drop;

	spin_lock(&dcache_lock);
	drop = unhash_locked(d);
	spin_unlock(&dcache_lock);
	if (drop)
		dentry_put(d);
}

int dentry_add_child(struct dentry *parent, const char *name, struct vnode *vn, struct dentry **out)
{
	struct dentry *d = dentry_create(parent, name, (u32)strlen(name)), *other;

	if (!d) {
		vnode_put(vn);
		return -ENOMEM;
	}
	d->vnode = vn;
	d->flags |= DN_PINNED;
	other = dentry_hash_unique(d);
	if (other) {
		dentry_put(other);
		dentry_put(d);
		return -EEXIST;
	}
	if (out)
		*out = dentry_get(d);
	dentry_put(d);
	return 0;
}

struct dentry *dentry_parent_get(struct dentry *d)
{
	GUARD_SPIN(&dcache_lock);
	return dentry_get(d->parent);
}

bool dentry_is_below(const struct dentry *d, const struct dentry *top)
{
	for (;; d = d->parent) {
		if (d == top)
			return true;
		if (dentry_is_root(d))
			return false;
	}
}

int dentry_move_prepare(struct dentry_move *mv, const struct dentry *n)
{
	mv->name = NULL;
	if (n->name_len < sizeof(n->short_name))
		return 0;
	mv->name = name_alloc(n->name, n->name_len);
	return mv->name ? 0 : -ENOMEM;
}

void dentry_move_abort(struct dentry_move *mv)
{
	if (mv->name)
		name_free(mv->name);
}

static void name_retire(char *old, const struct dentry *d)
{
	struct long_name *n = container_of((char (*)[])old, struct long_name, text);

	if (old != d->short_name)
		rcu_defer(&n->rcu, name_free_rcu);
}

/* n's lock holders keep it stable: it is negative or was just unhashed as the victim. */
void dentry_move_commit(struct dentry_move *mv, struct dentry *o, struct dentry *n)
{
	struct dentry *old_parent = o->parent, *new_parent = n->parent;
	char *old_name = o->name;
	bool drop_n;

	spin_lock(&dcache_lock);
	walk_seq_write_begin();
	drop_n = unhash_locked(n);
	chain_remove(o);
	unlink_child(o);
	if (mv->name) {
		o->name = mv->name;
	} else {
		memcpy(o->short_name, n->short_name, sizeof(o->short_name));
		o->name = o->short_name;
	}
	o->name_len = n->name_len;
	o->hash = n->hash;
	o->parent = dentry_get(new_parent);
	link_child(o);
	chain_add(o);
	walk_seq_write_end();
	spin_unlock(&dcache_lock);
	name_retire(old_name, o);
	dentry_put(old_parent);
	if (drop_n)
		dentry_put(n);
}

static void swap_names(struct dentry *a, struct dentry *b)
{
	char text[sizeof(a->short_name)], *an = a->name, *bn = b->name;
	u32 len = a->name_len;

	memcpy(text, a->short_name, sizeof(text));
	memcpy(a->short_name, b->short_name, sizeof(text));
	memcpy(b->short_name, text, sizeof(text));
	a->name = bn == b->short_name ? a->short_name : bn;
	b->name = an == a->short_name ? b->short_name : an;
	a->name_len = b->name_len;
	b->name_len = len;
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
	struct dentry *parent;
	u32 hash;

	GUARD_SPIN(&dcache_lock);
	walk_seq_write_begin();
	chain_remove(a);
	chain_remove(b);
	unlink_child(a);
	unlink_child(b);
	swap_names(a, b);
	parent = a->parent;		/* the references on the parents change owner too */
	a->parent = b->parent;
	b->parent = parent;
	hash = a->hash;
	a->hash = b->hash;
	b->hash = hash;
	link_child(a);
	link_child(b);
	chain_add(a);
	chain_add(b);
	walk_seq_write_end();
}

static struct dentry *first_child_get(struct dentry *d)
{
	struct dentry *c;

	GUARD_SPIN(&dcache_lock);
	c = list_first(&d->children, struct dentry, sibling);
	return c ? dentry_get(c) : NULL;
}

/* Depth first without recursion: every child keeps its parent alive. */
void superblock_kill_tree(struct superblock *sb)
{
	struct dentry *root = sb->root, *d = root, *c, *up;

	if (!root)
		return;
	for (;;) {
		c = first_child_get(d);
		if (c) {
			d = c;
			continue;
		}
		if (d == root)
			break;
		up = d->parent;
		if (S_ISDIR(d->vnode ? d->vnode->mode : 0))
			d->vnode->nlink = 0;
		dentry_unhash(d);
		dentry_put(d);
		d = up;			/* its reference from the way down is still ours */
	}
	sb->root = NULL;
	dentry_put(root);
}

/* Who still uses one of them keeps it, without a name. */
void dentry_prune(struct dentry *top)
{
	struct dentry *d = dentry_get(top), *c, *up;

	for (;;) {
		c = first_child_get(d);
		if (c) {
			dentry_put(d);		/* its child holds it */
			d = c;
			continue;
		}
		up = d == top ? NULL : dentry_get(d->parent);
		dentry_unhash(d);
		dentry_put(d);
		if (!up)
			return;
		d = up;
	}
}

/* Second chance: a dentry that was used since the last pass goes to the end. */
static u64 dentry_shrink(struct mem_shrinker *s, u64 want)
{
	u64 limit, freed = 0, per_page = PAGE_SIZE / sizeof(struct dentry);

	spin_lock(&dcache_lock);
	limit = MIN(lru_count, want * per_page * 2);
	while (limit-- && !list_empty(&lru) && freed < want * per_page) {
		struct dentry *d = list_first(&lru, struct dentry, lru);

		list_remove(&d->lru);
		if ((d->flags & DN_USED) || ref_read(&d->refs) != 1) {
			bits_clear(&d->flags, DN_USED);
			list_push_back(&lru, &d->lru);
			continue;
		}
		list_push_back(&lru, &d->lru);
		dentry_get(d);
		(void)unhash_locked(d);
		spin_unlock(&dcache_lock);
		dentry_put(d);
		dentry_put(d);
		freed++;
		spin_lock(&dcache_lock);
	}
	spin_unlock(&dcache_lock);
	return freed / per_page;
}

void dentry_init(void)
{
	static struct mem_shrinker shrinker = { .name = "dentries", .order = 2, .shrink = dentry_shrink };
	u32 bits = 10;

	while (bits < 20 && (1ull << bits) < mem_total_pages() / 16)
		bits++;
	table_shift = 32 - bits;
	table = vmalloc(sizeof(*table) << bits);
	VERIFY(table);
	dentry_cache = slab_cache_create("dentry", sizeof(struct dentry), 64);
	mem_shrinker_add(&shrinker);
}
