/*
 * mount(2), umount2(2), pivot_root(2).  Every operation looks its places up,
 * takes mount_ns_lock, goes down through what was mounted meanwhile, checks
 * and commits.  There is no propagation: every mount is private.
 */
#include "vfs_private.h"

#define MOUNT_FLAGS (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME | MS_NODIRATIME | MS_RELATIME)

static bool is_mount_root(const struct path *p)
{
	return p->dentry == p->mnt->root;
}

static bool is_attached(const struct mount *m)
{
	return list_linked(&m->link);
}

static bool same_kind(const struct dentry *a, const struct dentry *b)
{
	return S_ISDIR(a->vnode->mode) == S_ISDIR(b->vnode->mode);
}

/* Mounts m (whose reference is consumed) on *at. */
static int graft(struct mount *m, struct path *at)
{
	int err;

	mutex_lock(&mount_ns_lock);
	path_follow_mounts(at);
	if (!is_attached(at->mnt))
		err = -EINVAL;
	else if (!same_kind(m->root, at->dentry))
		err = -ENOTDIR;
	else if (dentry_unhashed(at->dentry))
		err = -ENOENT;
	else
		err = mount_room();
	if (!err)
		mount_attach(MOVE(m), at);
	mutex_unlock(&mount_ns_lock);
	if (m)
		mount_put(m);
	return err;
}

static u32 mount_flags_of(u64 flags)
{
	u32 f = (u32)flags;

	if (!(f & MS_NOATIME))
		f |= MS_RELATIME;
	if (f & MS_STRICTATIME)
		f &= ~(MS_RELATIME | MS_NOATIME);
	return f & MOUNT_FLAGS;
}

static int mount_new(struct path *at, const char *source, const char *type, u64 flags, const char *data)
{
	struct superblock *sb;
	struct fs_type *t;
	struct mount *m;
	int err;

	if (!type)
		return -EINVAL;
	t = fs_find(type);
	if (!t)
		return -ENODEV;
	err = t->mount(t, source, (u32)flags, data, &sb);
	if (err)
		return err;
	m = mount_create(sb, sb->root, mount_flags_of(flags), source);
	superblock_put(sb);
	return m ? graft(m, at) : -ENOMEM;
}

/* Counted writers make it busy; the flag is set first, so that a new writer sees it or is seen. */
static int set_readonly(u32 *flags, atomic_t *writers, bool on)
{
	if (!on) {
		bits_clear(flags, MS_RDONLY);
		return 0;
	}
	if (*flags & MS_RDONLY)
		return 0;
	bits_set(flags, MS_RDONLY);
	if (!atomic_read(writers))
		return 0;
	bits_clear(flags, MS_RDONLY);
	return -EBUSY;
}

static int remount(struct path *at, u64 flags, const char *data)
{
	struct mount *m = at->mnt;
	struct superblock *sb = m->sb;
	u32 mf = mount_flags_of(flags);
	int err;

	if (!is_mount_root(at))
		return -EINVAL;
	GUARD_MUTEX(&mount_ns_lock);
	if (!is_attached(m))
		return -EINVAL;
	if (!(flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)))
		mf = (mf & ~(MS_NOATIME | MS_NODIRATIME | MS_RELATIME)) | (m->flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME));
	if (flags & MS_BIND) {
		err = set_readonly(&m->flags, &m->writers, mf & MS_RDONLY);
	} else {
		err = sb->type && sb->type->remount ? sb->type->remount(sb, (u32)flags, data) : 0;
		if (!err)
			err = set_readonly(&sb->flags, &sb->writers, flags & MS_RDONLY);
	}
	if (!err)
		WRITE_ONCE(m->flags, mf);
	return err;
}

static struct mount *clone_one(struct mount *m, struct dentry *root)
{
	return mount_create(m->sb, root, m->flags, m->source);
}

/* The mounts below root in m's tree, copied onto their places in the copy of m.  MOUNT_NS held. */
static int clone_children(struct mount *m, struct dentry *root, struct mount *copy)
{
	struct mount *c;
	int err = 0;

	list_for_each(c, &m->children, child_link) {
		struct path at = { copy, c->at.dentry };
		struct mount *n;

		if (c == copy || !dentry_is_below(c->at.dentry, root))
			continue;
		err = mount_room();
		if (err)
			return err;
		n = clone_one(c, c->root);
		if (!n)
			return -ENOMEM;
		mount_attach(n, &at);
		err = clone_children(c, c->root, n);
		if (err)
			return err;
	}
	return 0;
}

static int bind(struct vfs_caller *c, struct path *at, const char *source, bool recursive)
{
	struct mount *m = NULL;
	struct path from;
	int err;

	if (!source || !*source)
		return -EINVAL;
	err = vfs_walk(c, AT_FDCWD, source, WALK_FOLLOW, &from);
	if (err)
		return err;
	mutex_lock(&mount_ns_lock);
	path_follow_mounts(at);
	if (!is_attached(from.mnt) || !is_attached(at->mnt))
		err = -EINVAL;
	else if (!same_kind(from.dentry, at->dentry))
		err = -ENOTDIR;
	else if (dentry_unhashed(at->dentry))
		err = -ENOENT;
	if (!err) {
		m = clone_one(from.mnt, from.dentry);
		err = m ? 0 : -ENOMEM;
	}
	/* The copy is filled before it is seen, so it does not contain itself. */
	if (!err && recursive)
		err = clone_children(from.mnt, from.dentry, m);
	if (!err)
		err = mount_room();
	if (!err)
		mount_attach(mount_get(m), at);
	else if (m)
		while (!list_empty(&m->children))
			mount_detach_tree(list_first(&m->children, struct mount, child_link));
	mutex_unlock(&mount_ns_lock);
	if (m)
		mount_put(m);
	path_put(&from);
	return err;
}

static bool mount_is_below(const struct mount *m, const struct mount *top)
{
	for (; m; m = m->at.mnt)
		if (m == top)
			return true;
	return false;
}

static int move(struct vfs_caller *c, struct path *at, const char *source)
{
	struct path from, old = { 0 };
	int err;

	if (!source || !*source)
		return -EINVAL;
	err = vfs_walk(c, AT_FDCWD, source, WALK_FOLLOW, &from);
	if (err)
		return err;
	mutex_lock(&mount_ns_lock);
	path_follow_mounts(at);
	if (!is_mount_root(&from) || !from.mnt->at.mnt || !is_attached(from.mnt) || !is_attached(at->mnt))
		err = -EINVAL;
	else if (!same_kind(from.dentry, at->dentry))
		err = -EINVAL;
	else if (mount_is_below(at->mnt, from.mnt))
		err = -ELOOP;
	if (!err) {
		mount_unplace(from.mnt, &old);
		mount_attach(from.mnt, at);
	}
	mutex_unlock(&mount_ns_lock);
	path_put(&old);
	path_put(&from);
	return err;
}

/* Everything is private here: asking for that is granted, asking for sharing is not. */
static int propagation(const struct path *at, u64 flags)
{
	u64 kind = flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE);

	if (!IS_POW2(kind) || (flags & ~(MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE | MS_REC | MS_SILENT)) || !is_mount_root(at))
		return -EINVAL;
	return kind & (MS_PRIVATE | MS_SLAVE) ? 0 : -EINVAL;
}

int vfs_mount(struct vfs_caller *c, const char *source, const char *target, const char *type, u64 flags, const char *data)
{
	struct path at;
	int err = vfs_walk(c, AT_FDCWD, target, WALK_FOLLOW, &at);

	if (err)
		return err;
	if ((flags & 0xffff0000u) == 0xc0ed0000u)
		flags &= ~0xffff0000ull;
	if (!cred_can(caller_cred(c), CAP_SYS_ADMIN))
		err = -EPERM;
	else if (flags & MS_REMOUNT)
		err = remount(&at, flags, data);
	else if (flags & MS_BIND)
		err = bind(c, &at, source, flags & MS_REC);
	else if (flags & (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE))
		err = propagation(&at, flags);
	else if (flags & MS_MOVE)
		err = move(c, &at, source);
	else
		err = mount_new(&at, source, type, flags, data);
	path_put(&at);
	return err;
}

/* at holds one reference on its mount, the tree another. */
static int umount_locked(struct vfs_caller *c, struct path *at, int flags)
{
	struct mount *m = at->mnt;

	if (!is_mount_root(at) || !is_attached(m))
		return -EINVAL;
	if (!m->at.mnt) {
		/* The first root stays; asking for it is asking to make it read-only. */
		if (flags & (MNT_DETACH | MNT_EXPIRE))
			return -EINVAL;
		return set_readonly(&m->sb->flags, &m->sb->writers, true);
	}
	if (flags & MNT_DETACH) {
		mount_detach_tree(m);
		return 0;
	}
	if (!list_empty(&m->children))
		return -EBUSY;
	/* With the sequence odd no walk can take a new reference and keep it. */
	spin_lock(&dcache_lock);
	walk_seq_write_begin();
	if (ref_read(&m->refs) > 2) {
		walk_seq_write_end();
		spin_unlock(&dcache_lock);
		return -EBUSY;
	}
	walk_seq_write_end();
	spin_unlock(&dcache_lock);
	if ((flags & MNT_EXPIRE) && !m->expiring) {
		m->expiring = true;
		return -EAGAIN;
	}
	mount_detach(m);
	return 0;
}

int vfs_umount(struct vfs_caller *c, const char *target, int flags)
{
	struct path at;
	int err;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	err = vfs_walk(c, AT_FDCWD, target, flags & UMOUNT_NOFOLLOW ? 0 : WALK_FOLLOW, &at);
	if (err)
		return err;
	if (!cred_can(caller_cred(c), CAP_SYS_ADMIN)) {
		err = -EPERM;
	} else if ((flags & MNT_EXPIRE) && (flags & (MNT_FORCE | MNT_DETACH))) {
		err = -EINVAL;
	} else {
		dentry_put(at.dentry);		/* only the mount's reference is expected below */
		mutex_lock(&mount_ns_lock);
		err = umount_locked(c, &at, flags);
		mutex_unlock(&mount_ns_lock);
		at.dentry = NULL;
	}
	path_put(&at);
	return err;
}

static int pivot_checks(const struct path *new, const struct path *old, const struct path *root)
{
	if (!is_attached(new->mnt) || !is_attached(old->mnt) || !is_attached(root->mnt))
		return -EINVAL;
	if (dentry_unhashed(new->dentry) && !dentry_is_root(new->dentry))
		return -ENOENT;
	if (new->mnt == root->mnt || old->mnt == root->mnt)
		return -EBUSY;
	if (!is_mount_root(root) || !root->mnt->at.mnt || !is_mount_root(new) || !new->mnt->at.mnt)
		return -EINVAL;
	if (!mount_is_below(old->mnt, new->mnt))
		return -EINVAL;
	return mount_is_below(new->mnt, root->mnt) ? 0 : -EINVAL;
}

/* Processes whose root or directory was the old root are moved by their own chdir and chroot; the caller's is moved here. */
static void pivot_commit(struct vfs_caller *c, struct path *new, struct path *old, struct path *root)
{
	struct path root_at, new_at, cwd;

	mount_unplace(new->mnt, &new_at);
	mount_unplace(root->mnt, &root_at);
	mount_attach(root->mnt, old);
	mount_attach(new->mnt, &root_at);
	path_put(&root_at);
	path_put(&new_at);
	path_get(new);
	path_get(new);
	spin_lock(&c->fs->lock);
	cwd = c->fs->cwd;
	if (cwd.mnt == root->mnt && cwd.dentry == root->dentry) {
		c->fs->cwd = *new;
	} else {
		cwd = *new;		/* unchanged: give the extra reference back */
	}
	new_at = c->fs->root;
	c->fs->root = *new;
	spin_unlock(&c->fs->lock);
	path_put(&cwd);
	path_put(&new_at);
}

int vfs_pivot_root(struct vfs_caller *c, const char *new_root, const char *put_old)
{
	struct path new, old, root;
	int err;

	if (!cred_can(caller_cred(c), CAP_SYS_ADMIN))
		return -EPERM;
	err = vfs_walk(c, AT_FDCWD, new_root, WALK_FOLLOW | WALK_DIRECTORY, &new);
	if (err)
		return err;
	err = vfs_walk(c, AT_FDCWD, put_old, WALK_FOLLOW | WALK_DIRECTORY, &old);
	if (!err) {
		fs_view_root(c->fs, &root);
		mutex_lock(&mount_ns_lock);
		err = pivot_checks(&new, &old, &root);
		if (!err)
			pivot_commit(c, &new, &old, &root);
		mutex_unlock(&mount_ns_lock);
		path_put(&root);
		path_put(&old);
	}
	path_put(&new);
	return err;
}
