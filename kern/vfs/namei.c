/*
 * Changes of names: create, mkdir, mknod, symlink, link, unlink, rmdir.
 * Each: walk to the parent, take the mount for writing, lock the directory,
 * look the name up again under the lock, check, let the file system do it,
 * publish.  rename is in rename.c.
 */
#include "vfs_private.h"

u32 sysctl_protected_hardlinks = 1;

int may_create(const struct cred *cr, struct dentry *dir)
{
	if (dentry_unhashed(dir) || (!dir->vnode->nlink && !(dir->flags & DN_ANON)))
		return -ENOENT;
	return vnode_permission(cr, dir->vnode, MAY_WRITE | MAY_EXEC);
}

int may_delete(const struct cred *cr, struct dentry *dir, struct dentry *victim, bool isdir)
{
	struct vnode *dv = dir->vnode, *vn = victim->vnode;
	int err = vnode_permission(cr, dv, MAY_WRITE | MAY_EXEC);

	if (err)
		return err;
	if ((dv->mode & S_ISVTX) && cr->fsuid != vn->uid && cr->fsuid != dv->uid && !cred_can(cr, CAP_FOWNER))
		return -EPERM;
	if (dv->flags & VN_APPEND)
		return -EPERM;
	if (isdir) {
		if (!S_ISDIR(vn->mode))
			return -ENOTDIR;
		if (dentry_is_root(victim))
			return -EBUSY;
	} else if (S_ISDIR(vn->mode)) {
		return -EISDIR;
	}
	return dentry_unhashed(dir) ? -ENOENT : 0;
}

/* Publishes what the file system made; a name it hashed itself is left alone. */
static void publish(struct dentry *d)
{
	if (dentry_unhashed(d))
		dentry_hash_add(d);
}

enum make_kind { MAKE_FILE, MAKE_DIR, MAKE_NODE, MAKE_SYMLINK };
struct make { enum make_kind kind; u32 mode; u64 rdev; const char *target; };

static int make_by_op(struct vnode *dv, struct dentry *d, const struct make *mk)
{
	const struct vnode_ops *ops = dv->ops;

	switch (mk->kind) {
	case MAKE_FILE:
		return ops->create ? ops->create(dv, d, mk->mode) : -EACCES;
	case MAKE_DIR:
		return ops->mkdir ? ops->mkdir(dv, d, mk->mode) : -EPERM;
	case MAKE_NODE:
		return ops->mknod ? ops->mknod(dv, d, mk->mode, mk->rdev) : -EPERM;
	case MAKE_SYMLINK:
		return ops->symlink ? ops->symlink(dv, d, mk->target) : -EPERM;
	}
	return -EINVAL;
}

/* The name in w does not exist, last time we looked.  -EEXIST: it does now; *out stays. */
static int make_at(struct vfs_caller *c, struct walk *w, const struct make *mk, struct dentry **out)
{
	struct dentry *dir = w->d;
	AUTO(dentry) d = NULL;
	int ro = mount_write_begin(w->mnt), err;

	rwlock_write(&dir->vnode->lock);
	err = dentry_lookup_locked(dir, w->last, w->last_len, w->last_hash, &d);
	if (!err && d->vnode)
		err = -EEXIST;
	else if (!err && w->need_dir && mk->kind != MAKE_DIR)
		err = -ENOENT;
	if (!err)
		err = ro;
	if (!err)
		err = may_create(caller_cred(c), dir);
	if (!err && mk->kind == MAKE_NODE && (S_ISCHR(mk->mode) || S_ISBLK(mk->mode)) && !cred_can(caller_cred(c), CAP_MKNOD))
		err = -EPERM;
	if (!err)
		err = make_by_op(dir->vnode, d, mk);
	if (!err) {
		publish(d);
		notify(dir->vnode, d, IN_CREATE | (mk->kind == MAKE_DIR ? IN_ISDIR : 0), 0, d->name);
	}
	rwlock_write_end(&dir->vnode->lock);
	if (!ro)
		mount_write_end(w->mnt);
	if (!err && out)
		*out = MOVE(d);
	return err;
}

int vfs_create_at(struct vfs_caller *c, struct walk *w, u32 mode, struct dentry **out)
{
	struct make mk = { MAKE_FILE, mode, 0, NULL };

	return make_at(c, w, &mk, out);
}

static int make_name(struct vfs_caller *c, int dfd, const char *name, const struct make *mk)
{
	struct walk w;
	int err = walk_to_parent(&w, c, dfd, name, WALK_NEW);

	if (err)
		return err;
	err = w.last_type == LAST_NORMAL ? make_at(c, &w, mk, NULL) : -EEXIST;
	walk_end(&w);
	return err;
}

int vfs_mkdir(struct vfs_caller *c, int dfd, const char *name, u32 mode)
{
	struct make mk = { MAKE_DIR, S_IFDIR | (mode & (0777 | S_ISVTX) & ~caller_umask(c)), 0, NULL };

	return make_name(c, dfd, name, &mk);
}

int vfs_mknod(struct vfs_caller *c, int dfd, const char *name, u32 mode, u64 rdev)
{
	u32 perm = mode & 07777 & ~caller_umask(c);
	struct make mk = { MAKE_NODE, (mode & S_IFMT) | perm, rdev, NULL };

	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
		mk.kind = MAKE_FILE;
		mk.mode = S_IFREG | perm;
		break;
	case S_IFCHR:
	case S_IFBLK:
		break;
	case S_IFIFO:
	case S_IFSOCK:
		mk.rdev = 0;
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	return make_name(c, dfd, name, &mk);
}

int vfs_symlink(struct vfs_caller *c, const char *target, int dfd, const char *name)
{
	struct make mk = { MAKE_SYMLINK, 0, 0, target };

	if (!*target)
		return -ENOENT;
	return make_name(c, dfd, name, &mk);
}

/* protected_hardlinks: only what the caller could have written anyway. */
static int may_link(const struct cred *cr, struct vnode *vn)
{
	u32 m = vn->mode;

	if (!sysctl_protected_hardlinks || caller_owns(cr, vn))
		return 0;
	if (!S_ISREG(m) || (m & S_ISUID) || (m & (S_ISGID | 010)) == (S_ISGID | 010))
		return -EPERM;
	return vnode_permission(cr, vn, MAY_READ | MAY_WRITE) ? -EPERM : 0;
}

static int link_checks(const struct cred *cr, const struct path *old, struct walk *w)
{
	struct vnode *vn = old->dentry->vnode;
	int err;

	if (old->mnt != w->mnt)
		return -EXDEV;
	err = may_link(cr, vn);
	if (!err)
		err = may_create(cr, w->d);
	if (err)
		return err;
	if (vn->sb != w->d->vnode->sb)
		return -EXDEV;
	if (vn->flags & VN_APPEND)
		return -EPERM;
	if (!w->d->vnode->ops->link || S_ISDIR(vn->mode))
		return -EPERM;
	return 0;
}

static int link_locked(struct vnode *vn, struct vnode *dv, struct dentry *d)
{
	int err = 0;

	rwlock_write_nested(&vn->lock);
	if (!vn->nlink && !(vn->flags & VN_LINKABLE))
		err = -ENOENT;
	if (!err)
		err = dv->ops->link(vn, dv, d);
	if (!err)
		bits_clear(&vn->flags, VN_LINKABLE);
	rwlock_write_end(&vn->lock);
	return err;
}

static int link_at(const struct cred *cr, struct path *old, struct walk *w)
{
	struct vnode *dv = w->d->vnode, *vn = old->dentry->vnode;
	AUTO(dentry) d = NULL;
	int ro = mount_write_begin(w->mnt), err;

	rwlock_write(&dv->lock);
	err = dentry_lookup_locked(w->d, w->last, w->last_len, w->last_hash, &d);
	if (!err && d->vnode)
		err = -EEXIST;
	else if (!err && w->need_dir)
		err = -ENOENT;
	if (!err)
		err = ro;
	if (!err)
		err = link_checks(cr, old, w);
	if (!err)
		err = link_locked(vn, dv, d);
	if (!err) {
		publish(d);
		notify(vn, old->dentry, IN_ATTRIB, 0, NULL);
		notify(dv, d, IN_CREATE, 0, d->name);
	}
	rwlock_write_end(&dv->lock);
	if (!ro)
		mount_write_end(w->mnt);
	return err;
}

int vfs_link_path(struct vfs_caller *c, struct path *old, int ndfd, const char *n)
{
	struct walk w;
	int err = walk_to_parent(&w, c, ndfd, n, 0);

	if (err)
		return err;
	err = w.last_type == LAST_NORMAL ? link_at(caller_cred(c), old, &w) : -EEXIST;
	walk_end(&w);
	return err;
}

int vfs_link(struct vfs_caller *c, int odfd, const char *o, int ndfd, const char *n, int flags)
{
	struct path old;
	u32 how = flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0;
	int err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH) {
		if (!cred_can(caller_cred(c), CAP_DAC_READ_SEARCH))
			return -ENOENT;
		how |= WALK_EMPTY;
	}
	err = vfs_walk(c, odfd, o, how, &old);
	if (err)
		return err;
	err = vfs_link_path(c, &old, ndfd, n);
	path_put(&old);
	return err;
}

/* dir locked.  The victim's lock is taken here. */
static int remove_locked(const struct cred *cr, struct dentry *dir, struct dentry *d, bool rmdir)
{
	struct vnode *dv = dir->vnode, *vn = d->vnode;
	int (*op)(struct vnode *, struct dentry *) = rmdir ? dv->ops->rmdir : dv->ops->unlink;
	int err = may_delete(cr, dir, d, rmdir);

	if (err)
		return err;
	if (!op)
		return -EPERM;
	rwlock_write_nested(&vn->lock);
	err = dentry_is_mountpoint(d) ? -EBUSY : op(dv, d);
	rwlock_write_end(&vn->lock);
	if (err)
		return err;
	if (!rmdir)
		notify(vn, NULL, IN_ATTRIB, 0, NULL);
	notify(dv, d, IN_DELETE | (rmdir ? IN_ISDIR : 0), 0, d->name);
	dentry_unhash(d);
	return 0;
}

static int remove_at(struct vfs_caller *c, struct walk *w, bool rmdir)
{
	struct vnode *dv = w->d->vnode;
	AUTO(dentry) d = NULL;
	int err = mount_write_begin(w->mnt);

	if (err)
		return err;
	rwlock_write(&dv->lock);
	err = dentry_lookup_locked(w->d, w->last, w->last_len, w->last_hash, &d);
	if (!err && !d->vnode)
		err = -ENOENT;
	if (!err && !rmdir && w->need_dir)
		err = S_ISDIR(d->vnode->mode) ? -EISDIR : -ENOTDIR;
	if (!err)
		err = remove_locked(caller_cred(c), w->d, d, rmdir);
	rwlock_write_end(&dv->lock);
	mount_write_end(w->mnt);
	return err;
}

int vfs_unlink(struct vfs_caller *c, int dfd, const char *name, bool rmdir)
{
	static const int rmdir_errors[] = { 0, -EINVAL, -ENOTEMPTY, -EBUSY };
	struct walk w;
	int err = walk_to_parent(&w, c, dfd, name, 0);

	if (err)
		return err;
	if (w.last_type != LAST_NORMAL)
		err = rmdir ? rmdir_errors[w.last_type] : -EISDIR;
	else
		err = remove_at(c, &w, rmdir);
	walk_end(&w);
	return err;
}

/* A link whose text is made when somebody asks. */
static i64 link_made(struct vnode *vn, struct uio *dst)
{
	u64 room = MIN(dst->resid, (u64)PATH_MAX);
	AUTO(kptr) text = kmalloc(room);
	i64 n = text ? vn->ops->readlink(vn, text, room) : -ENOMEM;

	return n > 0 && uio_copy_out(dst, text, (u64)n) != (u64)n ? -EFAULT : n;
}

/* vn stays, and with it the text, which never changes. */
static i64 link_kept(struct vnode *vn, struct uio *dst)
{
	u64 n = MIN(vn->object.size, dst->resid);

	return uio_copy_out(dst, vn->link_text, n) == n ? (i64)n : -EFAULT;
}

i64 vfs_readlink(struct vfs_caller *c, int dfd, const char *name, struct uio *dst)
{
	struct path p;
	struct vnode *vn;
	i64 n = vfs_walk(c, dfd, name, WALK_EMPTY, &p);

	if (n)
		return n;
	vn = p.dentry->vnode;
	if (S_ISLNK(vn->mode) && vn->link_text)
		n = link_kept(vn, dst);
	else if (vn->ops->readlink)
		n = link_made(vn, dst);
	else
		n = *name ? -EINVAL : -ENOENT;
	if (n >= 0)
		vnode_access(p.mnt, vn);
	path_put(&p);
	return n;
}
