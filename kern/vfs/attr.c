/* Attributes: stat, chmod, chown, utimes, truncate, access; chdir and chroot. */
#include "vfs_private.h"
#include <core/clock.h>

int vnode_setattr_locked(struct vnode *vn, const struct vnode_attr *a)
{
	int err;

	if (!vn->ops || !vn->ops->setattr) {
		if (a->valid & ATTR_SIZE)
			return -EPERM;
		vnode_apply_attr(vn, a);
		return 0;
	}
	err = vn->ops->setattr(vn, a);
	if (!err && (a->valid & ATTR_SIZE))
		vnode_drop_image(vn);
	return err;
}

int vnode_setattr(struct vnode *vn, const struct vnode_attr *a)
{
	GUARD_EXCL(&vn->lock);
	return vnode_setattr_locked(vn, a);
}

static int stat_vnode(struct vnode *vn, const struct mount *m, struct kstat *st)
{
	st->dev = vn->sb->dev;
	st->ino = vn->ino;
	st->rdev = vn->rdev;
	st->size = vn->object.size;
	st->blocks = vn->blocks;
	st->attributes = vn->flags & VN_APPEND ? 0x20 : 0;
	st->mnt_id = m ? m->id : 0;
	st->mode = vn->mode;
	st->nlink = vn->nlink;
	st->uid = vn->uid;
	st->gid = vn->gid;
	st->blksize = vn->sb->block_size;
	st->atime = vn->atime;
	st->mtime = vn->mtime;
	st->ctime = vn->ctime;
	st->btime = vn->btime;
	return vn->ops && vn->ops->getattr ? vn->ops->getattr(vn, st) : 0;
}

int vfs_stat_path(const struct path *p, struct kstat *st)
{
	int err = stat_vnode(p->dentry->vnode, p->mnt, st);

	if (p->mnt && p->dentry == p->mnt->root)
		st->attributes |= 0x2000;	/* STATX_ATTR_MOUNT_ROOT */
	return err;
}

int vfs_stat_file(struct file *f, struct kstat *st)
{
	if (f->path.dentry)
		return vfs_stat_path(&f->path, st);
	return stat_vnode(f->vnode, NULL, st);
}

int vfs_stat(struct vfs_caller *c, int dfd, const char *name, int flags, struct kstat *st)
{
	u32 how = flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;
	struct path p;
	int err;

	if (flags & AT_EMPTY_PATH) {
		how |= WALK_EMPTY;
		if (!*name && dfd != AT_FDCWD) {
			AUTO_FD ref = fd_borrow(c->fds, dfd, true);

			return ref.file ? vfs_stat_file(ref.file, st) : -EBADF;
		}
	}
	err = vfs_walk(c, dfd, name, how, &p);
	if (err)
		return err;
	err = vfs_stat_path(&p, st);
	path_put(&p);
	return err;
}

/* access(2) asks with the real ids: a copy of the credentials, unless that changes nothing. */
static int access_cred(const struct cred *cr, int flags, struct cred **out)
{
	struct cred *n;

	*out = NULL;
	if ((flags & AT_EACCESS) || (cr->uid == cr->fsuid && cr->gid == cr->fsgid &&
				     (cr->uid ? !cr->cap_effective : cr->cap_effective == cr->cap_permitted)))
		return 0;
	n = cred_dup(cr);
	if (!n)
		return -ENOMEM;
	n->fsuid = n->uid;
	n->fsgid = n->gid;
	if (n->uid)
		n->cap_effective = 0;
	else
		n->cap_effective = n->cap_permitted;
	*out = n;
	return 0;
}

int vfs_access(struct vfs_caller *c, int dfd, const char *name, u32 mode, int flags)
{
	struct vfs_caller as = *c;
	struct cred *tmp;
	struct path p;
	int err;

	if ((mode & ~7u) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	err = access_cred(c->cred, flags, &tmp);
	if (err)
		return err;
	if (tmp)
		as.cred = tmp;
	err = vfs_walk(&as, dfd, name, (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) | (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);
	if (!err) {
		if (mode)
			err = vfs_permission(as.cred, &p, mode);
		path_put(&p);
	}
	if (tmp)
		cred_put(tmp);
	return err;
}

static struct timespec64 now(void)
{
	return time_from_ns(clock_real_ns());
}

static int chmod_vnode(const struct cred *cr, struct vnode *vn, u32 mode)
{
	struct vnode_attr a = { .valid = ATTR_MODE | ATTR_CTIME, .mode = mode & 07777, .ctime = now() };

	GUARD_EXCL(&vn->lock);
	if (!caller_owns(cr, vn))
		return -EPERM;
	if (S_ISLNK(vn->mode))
		return -EOPNOTSUPP;
	if ((mode & S_ISGID) && !cred_in_group(cr, vn->gid) && !cred_can(cr, CAP_FSETID))
		a.mode &= ~S_ISGID;
	return vnode_setattr_locked(vn, &a);
}

static int chown_vnode(const struct cred *cr, struct vnode *vn, u32 uid, u32 gid)
{
	struct vnode_attr a = { .valid = ATTR_CTIME, .ctime = now(), .uid = uid, .gid = gid };
	u32 mode;

	GUARD_EXCL(&vn->lock);
	mode = vn->mode;
	if (uid != ~0u) {
		a.valid |= ATTR_UID;
		if (!(cr->fsuid == vn->uid && uid == vn->uid) && !cred_can(cr, CAP_CHOWN))
			return -EPERM;
	}
	if (gid != ~0u) {
		a.valid |= ATTR_GID;
		if (!(cr->fsuid == vn->uid && (gid == vn->gid || cred_in_group(cr, gid))) && !cred_can(cr, CAP_CHOWN))
			return -EPERM;
	}
	if (!S_ISDIR(mode)) {
		mode &= ~S_ISUID;
		if ((mode & 010) || (!cred_in_group(cr, vn->gid) && !cred_can(cr, CAP_FSETID)))
			mode &= ~S_ISGID;
	}
	if (mode != vn->mode) {
		a.valid |= ATTR_MODE;
		a.mode = mode;
	}
	return vnode_setattr_locked(vn, &a);
}

int vfs_chmod(struct vfs_caller *c, const struct path *p, u32 mode)
{
	int err = mount_write_begin(p->mnt);

	if (err)
		return err;
	err = chmod_vnode(caller_cred(c), p->dentry->vnode, mode);
	mount_write_end(p->mnt);
	if (!err)
		notify(p->dentry->vnode, p->dentry, IN_ATTRIB, 0, NULL);
	return err;
}

int vfs_chown(struct vfs_caller *c, const struct path *p, u32 uid, u32 gid)
{
	int err = mount_write_begin(p->mnt);

	if (err)
		return err;
	err = chown_vnode(caller_cred(c), p->dentry->vnode, uid, gid);
	mount_write_end(p->mnt);
	if (!err)
		notify(p->dentry->vnode, p->dentry, IN_ATTRIB, 0, NULL);
	return err;
}

static int utimes_vnode(const struct cred *cr, struct vnode *vn, struct vnode_attr *a, bool now_only)
{
	GUARD_EXCL(&vn->lock);
	if (!caller_owns(cr, vn)) {
		if (!now_only)
			return -EPERM;
		if (vnode_permission(cr, vn, MAY_WRITE))
			return -EACCES;
	}
	return vnode_setattr_locked(vn, a);
}

int vfs_utimes(struct vfs_caller *c, const struct path *p, const struct timespec64 t[2], const bool set[2], bool now_only)
{
	struct vnode_attr a = { .valid = ATTR_CTIME, .ctime = now() };
	int err;

	if (!now_only && !set[0] && !set[1])
		return 0;
	if (now_only || set[0]) {
		a.valid |= ATTR_ATIME;
		a.atime = now_only ? a.ctime : t[0];
	}
	if (now_only || set[1]) {
		a.valid |= ATTR_MTIME;
		a.mtime = now_only ? a.ctime : t[1];
	}
	err = mount_write_begin(p->mnt);
	if (err)
		return err;
	err = utimes_vnode(caller_cred(c), p->dentry->vnode, &a, now_only);
	mount_write_end(p->mnt);
	if (!err)
		notify(p->dentry->vnode, p->dentry, IN_ATTRIB, 0, NULL);
	return err;
}

int vfs_setattr_file(struct vfs_caller *c, struct file *f, struct vnode_attr *a)
{
	const struct cred *cr = caller_cred(c);
	int err = 0;

	if (a->valid & ATTR_MODE)
		err = chmod_vnode(cr, f->vnode, a->mode);
	if (!err && (a->valid & (ATTR_UID | ATTR_GID)))
		err = chown_vnode(cr, f->vnode, a->valid & ATTR_UID ? a->uid : ~0u, a->valid & ATTR_GID ? a->gid : ~0u);
	a->valid &= ATTR_ATIME | ATTR_MTIME;
	if (!err && a->valid)
		err = utimes_vnode(cr, f->vnode, a, false);
	return err;
}

static int truncate_vnode(struct vfs_caller *c, struct vnode *vn, u64 size, bool always)
{
	struct vnode_attr a = { .valid = ATTR_SIZE, .size = size };
	u32 mode;

	if (size > vn->sb->max_bytes)
		return -EFBIG;
	GUARD_EXCL(&vn->lock);
	if (c && size > vn->object.size && size > c->fsize_limit) {
		if (vfs_sigxfsz_hook)
			vfs_sigxfsz_hook();
		return -EFBIG;
	}
	if (always || size != vn->object.size) {
		a.valid |= ATTR_MTIME | ATTR_CTIME;
		a.mtime = a.ctime = now();
	}
	mode = vnode_suid_kill(caller_cred(c), vn->mode);
	if (mode != vn->mode) {
		a.valid |= ATTR_MODE;
		a.mode = mode;
	}
	return vnode_setattr_locked(vn, &a);
}

int vfs_truncate(struct vfs_caller *c, const struct path *p, u64 size)
{
	struct vnode *vn = p->dentry->vnode;
	int err;

	if (S_ISDIR(vn->mode))
		return -EISDIR;
	if (!S_ISREG(vn->mode) || (i64)size < 0)
		return -EINVAL;
	err = mount_write_begin(p->mnt);
	if (err)
		return err;
	err = vnode_permission(caller_cred(c), vn, MAY_WRITE);
	if (!err && (vn->flags & VN_APPEND))
		err = -EPERM;
	if (!err)
		err = vnode_get_write(vn);
	if (!err) {
		err = truncate_vnode(c, vn, size, false);
		vnode_put_write(vn);
	}
	mount_write_end(p->mnt);
	if (!err)
		notify(vn, p->dentry, IN_MODIFY, 0, NULL);
	return err;
}

int vfs_ftruncate(struct vfs_caller *c, struct file *f, u64 size)
{
	struct vnode *vn = f->vnode;
	int err;

	if ((i64)size < 0 || !S_ISREG(vn->mode) || !(f->mode & FILE_WRITE))
		return -EINVAL;
	if (vn->flags & VN_APPEND)
		return -EPERM;
	err = truncate_vnode(c, vn, size, true);
	if (!err)
		notify(vn, f->path.dentry, IN_MODIFY, 0, NULL);
	return err;
}

int vfs_chdir(struct vfs_caller *c, const struct path *p)
{
	struct path old;
	int err;

	if (!S_ISDIR(p->dentry->vnode->mode))
		return -ENOTDIR;
	err = vfs_permission(c->cred, p, MAY_EXEC);
	if (err)
		return err;
	path_get(p);
	spin_lock(&c->fs->lock);
	old = c->fs->cwd;
	c->fs->cwd = *p;
	spin_unlock(&c->fs->lock);
	path_put(&old);
	return 0;
}

int vfs_chroot(struct vfs_caller *c, const struct path *p)
{
	struct path old;
	int err;

	if (!S_ISDIR(p->dentry->vnode->mode))
		return -ENOTDIR;
	err = vfs_permission(c->cred, p, MAY_EXEC);
	if (err)
		return err;
	if (!cred_can(c->cred, CAP_SYS_CHROOT))
		return -EPERM;
	path_get(p);
	spin_lock(&c->fs->lock);
	old = c->fs->root;
	c->fs->root = *p;
	spin_unlock(&c->fs->lock);
	path_put(&old);
	return 0;
}
