/*
 * The mount tree: lookups, attach and detach, counts of writers.
 *
 * One mount name space.  mount_ns_lock (sleeping) serialises every change; the
 * links that path walk follows (hash chain, at, children) change under
 * dcache_lock as well, inside a walk_seq write section; so does the list of all.
 * References: being in the tree is one, each child's `at` is one, each path
 * is one.  Not busy means: the tree's reference and the asker's, no children.
 */
#include "vfs_private.h"

#define MOUNT_BUCKETS 1024u

mutex_t mount_ns_lock;
struct list mount_list = LIST_INIT(mount_list);
struct path ns_root;
struct mount *anon_mount;
struct superblock *anon_sb;

u32 sysctl_mount_max = 100000;		/* atomic; /proc/sys/fs/mount-max */
static u32 attached;			/* length of mount_list, and as that */
static u32 changes;			/* of the tree; dcache_lock to change */
static struct waitq change_wait = WAITQ_INIT(change_wait);
static struct mount *table[MOUNT_BUCKETS];	/* by (at.mnt, at.dentry) */
static atomic_t next_id;

static struct mount **bucket(const struct mount *m, const struct dentry *d)
{
	return &table[hash_u64((u64)m ^ (u64)d << 7 ^ (u64)d >> 9) >> 54];
}

struct mount *mount_find_rcu(struct mount *m, struct dentry *d)
{
	struct mount *c;

	for (c = load_acquire(bucket(m, d)); c; c = load_acquire(&c->hash_next))
		if (c->at.mnt == m && c->at.dentry == d)
			return c;
	return NULL;
}

struct mount *mount_find(struct mount *m, struct dentry *d)
{
	struct mount *c;

	GUARD_SPIN(&dcache_lock);
	c = mount_find_rcu(m, d);
	return c ? mount_get(c) : NULL;
}

u32 vfs_mount_changes(struct poll_table *pt)
{
	poll_wait(pt, &change_wait);
	return READ_ONCE(changes);
}

static void tree_changed(void) MUST_HOLD(&dcache_lock)
{
	WRITE_ONCE(changes, changes + 1);
	waitq_wake_all(&change_wait);
}

/* Goes down through everything mounted on *p. */
void path_follow_mounts(struct path *p)
{
	while (p->dentry->flags & DN_MOUNTED) {
		struct mount *m = mount_find(p->mnt, p->dentry);

		if (!m)
			return;
		path_put(p);
		p->mnt = m;
		p->dentry = dentry_get(m->root);
	}
}

bool mount_parent(struct mount *m, struct path *out)
{
	GUARD_SPIN(&dcache_lock);
	if (!m->at.mnt)
		return false;
	out->mnt = mount_get(m->at.mnt);
	out->dentry = dentry_get(m->at.dentry);
	return true;
}

struct mount *mount_get(struct mount *m)
{
	ref_get(&m->refs);
	return m;
}

static void mount_free_rcu(struct rcu_head *h)
{
	struct mount *m = container_of(h, struct mount, rcu);

	kfree(m->source);
	kfree(m);
}

void mount_put(struct mount *m)
{
	if (!ref_put(&m->refs))
		return;
	dentry_put(m->root);
	superblock_put(m->sb);
	rcu_defer(&m->rcu, mount_free_rcu);
}

struct mount *mount_create(struct superblock *sb, struct dentry *root, u32 flags, const char *source)
{
	struct mount *m = kzalloc(sizeof(*m));

	if (!m)
		return NULL;
	m->source = kstrdup(source && *source ? source : "none");
	if (!m->source) {
		kfree(m);
		return NULL;
	}
	ref_init(&m->refs);
	ref_get(&sb->refs);
	m->sb = sb;
	m->root = dentry_get(root);
	m->flags = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME | MS_NODIRATIME | MS_RELATIME);
	m->id = (u32)atomic_add(&next_id, 1) + 20;
	list_init(&m->link);
	list_init(&m->children);
	list_init(&m->child_link);
	return m;
}

int mount_room(void)
{
	ASSERT(mutex_is_held(&mount_ns_lock));
	return attached < READ_ONCE(sysctl_mount_max) ? 0 : -ENOSPC;
}

/* The tree takes over the caller's reference on m. */
void mount_attach(struct mount *m, const struct path *at)
{
	struct mount **b = bucket(at->mnt, at->dentry);

	ASSERT(mutex_is_held(&mount_ns_lock));
	path_get(at);
	GUARD_SPIN(&dcache_lock);
	walk_seq_write_begin();
	m->at.dentry = at->dentry;	/* a walk may read the pair halfway: both halves are valid, and it starts over */
	store_release(&m->at.mnt, at->mnt);
	m->detached = false;
	at->dentry->nmounts++;
	bits_set(&at->dentry->flags, DN_MOUNTED);
	m->hash_next = *b;
	store_release(b, m);
	list_push_back(&at->mnt->children, &m->child_link);
	if (!list_linked(&m->link)) {
		list_push_back(&mount_list, &m->link);
		attached++;
	}
	walk_seq_write_end();
	tree_changed();
}

/* Takes m off its place; the tree's reference and the place go to the caller through *at. */
static void unplace(struct mount *m, struct path *at, bool for_good)
{
	struct mount **p;

	GUARD_SPIN(&dcache_lock);
	walk_seq_write_begin();
	*at = m->at;
	if (at->mnt) {
		for (p = bucket(at->mnt, at->dentry); *p != m; p = &(*p)->hash_next)
			;
		store_release(p, m->hash_next);
		list_remove(&m->child_link);
		if (!--at->dentry->nmounts)
			bits_clear(&at->dentry->flags, DN_MOUNTED);
	}
	WRITE_ONCE(m->at.mnt, NULL);
	if (for_good) {
		m->detached = true;
		list_remove(&m->link);
		attached--;
	}
	walk_seq_write_end();
	tree_changed();
}

/* The mount keeps its number and its tree reference; *at is the caller's to put. */
void mount_unplace(struct mount *m, struct path *at)
{
	unplace(m, at, false);
}

void mount_detach(struct mount *m)
{
	struct path at;

	ASSERT(mutex_is_held(&mount_ns_lock));
	unplace(m, &at, true);
	path_put(&at);
	mount_put(m);
}

/* Lazy: every mount of the tree leaves its place; users finish with what they hold. */
void mount_detach_tree(struct mount *m)
{
	mount_get(m);
	for (;;) {
		struct mount *c = m;

		while (!list_empty(&c->children))
			c = list_first(&c->children, struct mount, child_link);
		mount_detach(c);
		if (c == m)
			break;
	}
	mount_put(m);
}

struct mount *mount_tree_next(struct mount *m, struct mount *top)
{
	if (!list_empty(&m->children))
		return list_first(&m->children, struct mount, child_link);
	while (m != top) {
		struct mount *up = m->at.mnt, *n = list_next(m, &up->children, child_link);

		if (n)
			return n;
		m = up;
	}
	return NULL;
}

bool mount_is_readonly(const struct mount *m)
{
	return (m->flags | m->sb->flags) & MS_RDONLY;
}

int mount_write_begin(struct mount *m)
{
	if (!m)
		return 0;
	atomic_inc(&m->writers);
	atomic_inc(&m->sb->writers);
	if (likely(!mount_is_readonly(m)))
		return 0;
	mount_write_end(m);
	return -EROFS;
}

void mount_write_end(struct mount *m)
{
	if (!m)
		return;
	atomic_dec(&m->sb->writers);
	atomic_dec(&m->writers);
}

bool dentry_is_mountpoint(const struct dentry *d)
{
	return READ_ONCE(d->flags) & DN_MOUNTED;
}

void path_get(const struct path *p)
{
	if (p->mnt)
		mount_get(p->mnt);
	if (p->dentry)
		dentry_get(p->dentry);
}

void path_put(struct path *p)
{
	struct mount *m = MOVE(p->mnt);
	struct dentry *d = MOVE(p->dentry);

	if (d)
		dentry_put(d);
	if (m)
		mount_put(m);
}

int vfs_mount_root(const char *fstype, const char *options, struct path *out)
{
	struct fs_type *t = fs_find(fstype);
	struct superblock *sb;
	struct mount *m;
	int err;

	if (!t)
		return -ENODEV;
	err = t->mount(t, fstype, 0, options, &sb);
	if (err)
		return err;
	m = mount_create(sb, sb->root, MS_RELATIME, fstype);
	superblock_put(sb);
	if (!m)
		return -ENOMEM;
	mutex_lock(&mount_ns_lock);
	spin_lock(&dcache_lock);
	list_push_back(&mount_list, &m->link);
	spin_unlock(&dcache_lock);
	ns_root = (struct path){ m, dentry_get(m->root) };
	mutex_unlock(&mount_ns_lock);
	path_get(&ns_root);
	*out = ns_root;
	return 0;
}

/* The next mount of the list with a reference, m's dropped.  A mount that was detached meanwhile ends the listing. */
static struct mount *list_step(struct mount *m)
{
	struct mount *n = NULL;

	spin_lock(&dcache_lock);
	if (!m)
		n = list_first(&mount_list, struct mount, link);
	else if (list_linked(&m->link))
		n = list_next(m, &mount_list, link);
	if (n)
		mount_get(n);
	spin_unlock(&dcache_lock);
	if (m)
		mount_put(m);
	return n;
}

/* No lock is held over fn: /proc/mounts calls this with its file's position locked. */
void vfs_for_each_mount(struct vfs_caller *c, bool (*fn)(struct mount *m, const char *at, void *arg), void *arg)
{
	char *buf = kmalloc(PATH_MAX);
	struct mount *m;

	if (!buf)
		return;
	for (m = list_step(NULL); m; m = list_step(m)) {
		struct path p = { m, m->root };

		if (vfs_path_text(c, &p, buf, PATH_MAX) < 0 || buf[0] != '/')
			continue;
		if (!fn(m, buf, arg)) {
			mount_put(m);
			break;
		}
	}
	kfree(buf);
}

/* The place of everything that has no name: pipes, sockets, memfd. */
static void anon_init(void)
{
	struct vnode *vn;
	struct dentry *d;

	anon_sb = superblock_create(NULL, 0);
	VERIFY(anon_sb);
	anon_sb->magic = 0x09041934;
	vn = vnode_create(anon_sb, 0, S_IFDIR | 0500, &ramfs_special_ops, NULL);
	VERIFY(vn);
	d = dentry_create_root(vn);
	VERIFY(d);
	anon_mount = mount_create(anon_sb, d, 0, "anon");
	VERIFY(anon_mount);
	anon_mount->detached = true;
}

void mount_init(void)
{
	mutex_init(&mount_ns_lock, LR_MOUNT_NS);
	anon_init();
}
