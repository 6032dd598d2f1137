/*
 * open(2): from a name and flags to a struct file.
 *
 * Without O_CREAT: walk, then open the place.  With it: walk to the parent,
 * look the last name up without the directory's lock; if it is missing create
 * it under the lock (where it is looked up again); a symlink in the last place
 * is followed and the loop goes round.
 */
#include "vfs_private.h"

u32 sysctl_protected_fifos, sysctl_protected_regular;

static u32 access_of(u32 flags)
{
	static const u8 by_mode[4] = { MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, MAY_READ | MAY_WRITE };
	u32 want = by_mode[flags & O_ACCMODE];

	return flags & O_TRUNC ? want | MAY_WRITE : want;
}

static int check_kind(const struct path *p, u32 want, u32 *flags)
{
	switch (p->dentry->vnode->mode & S_IFMT) {
	case S_IFLNK:
		return -ELOOP;
	case S_IFDIR:
		return want & MAY_WRITE ? -EISDIR : 0;
	case S_IFBLK:
	case S_IFCHR:
		if (p->mnt && (p->mnt->flags & MS_NODEV))
			return -EACCES;
		*flags &= ~O_TRUNC;
		return 0;
	case S_IFIFO:
	case S_IFSOCK:
		*flags &= ~O_TRUNC;
		return 0;
	}
	return 0;
}

static int may_open(const struct cred *cr, const struct path *p, u32 *flags, bool created)
{
	struct vnode *vn = p->dentry->vnode;
	u32 want = created ? 0 : access_of(*flags);
	int err = check_kind(p, want, flags);

	if (!err && want)
		err = vfs_permission(cr, p, want);
	if (err)
		return err;
	if ((vn->flags & VN_APPEND) && (*flags & O_ACCMODE) != O_RDONLY && !(*flags & O_APPEND))
		return -EPERM;
	if ((*flags & O_NOATIME) && !caller_owns(cr, vn))
		return -EPERM;
	return 0;
}

static int truncate_for_open(const struct path *p)
{
	struct vnode *vn = p->dentry->vnode;
	struct vnode_attr a = { .valid = ATTR_SIZE | ATTR_MTIME | ATTR_CTIME };
	struct timespec64 now;
	u32 mode;
	int err;

	GUARD_EXCL(&vn->lock);
	mode = vnode_suid_kill(caller_cred(vfs_self()), vn->mode);
	if (mode != vn->mode) {
		a.valid |= ATTR_MODE;
		a.mode = mode;
	}
	vnode_touch(vn, ATTR_CTIME);
	now = vn->ctime;
	a.mtime = a.ctime = now;
	err = vnode_setattr_locked(vn, &a);
	if (!err)
		notify(vn, p->dentry, IN_MODIFY, 0, NULL);
	return err;
}

/* Counts the writer on the vnode and the mount.  Undone by file_put. */
static int count_writer(struct file *f, const struct path *p)
{
	struct vnode *vn = p->dentry->vnode;
	int err;

	if (!S_ISREG(vn->mode))
		return 0;
	err = vnode_get_write(vn);
	if (err)
		return err;
	err = mount_write_begin(p->mnt);
	if (err) {
		vnode_put_write(vn);
		return err;
	}
	f->mode |= FILE_WRITER;
	return 0;
}

static u32 file_mode_of(u32 flags)
{
	u32 mode = flags & O_NOATIME ? FILE_NOATIME : 0;

	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return mode | FILE_READ;
	case O_WRONLY:
		return mode | FILE_WRITE;
	case O_RDWR:
		return mode | FILE_READ | FILE_WRITE;
	}
	return mode;
}

static int open_common(struct vfs_caller *c, const struct path *p, u32 flags, struct file **out)
{
	struct vnode *vn = p->dentry->vnode;
	AUTO(file) f = file_alloc();
	int err;

	if (!f)
		return -ENOMEM;
	f->cred = cred_get(caller_cred(c));
	f->flags = (flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC)) | O_LARGEFILE;
	f->path = *p;
	path_get(p);
	f->vnode = vnode_get(vn);
	if (flags & O_PATH) {
		f->flags = flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
		f->mode = FILE_PATH;
		*out = MOVE(f);
		return 0;
	}
	if (!vn->fops)
		return -ENXIO;
	f->mode = file_mode_of(flags);
	if (f->mode & FILE_WRITE) {
		err = count_writer(f, p);
		if (err)
			return err;
	}
	f->ops = vn->fops;
	f->mode |= S_ISFIFO(vn->mode) || S_ISSOCK(vn->mode) ? FILE_STREAM : FILE_PREAD;
	if (f->ops->open) {
		err = f->ops->open(vn, f);
		if (err) {
			f->ops = NULL;		/* it was not opened: no release */
			return err;
		}
	}
	f->flags &= ~O_NOCTTY;			/* only a terminal's open looks at it */
	*out = MOVE(f);
	return 0;
}

static int open_place(struct vfs_caller *c, const struct path *p, u32 flags, bool created, struct file **out)
{
	struct vnode *vn = p->dentry->vnode;
	u32 asked = flags;
	struct file *f;
	int err;

	if (!(flags & O_PATH)) {
		err = may_open(caller_cred(c), p, &flags, created);
		if (err)
			return err;
	}
	err = open_common(c, p, flags, &f);
	if (err)
		return err;
	if ((flags & O_TRUNC) && S_ISREG(vn->mode) && !created && !(asked & O_PATH)) {
		bool writer = f->mode & FILE_WRITER;

		err = writer ? 0 : count_writer(f, p);
		if (!err)
			err = truncate_for_open(p);
		if (err) {
			file_put(f);
			return err;
		}
	}
	if (!(flags & O_PATH))
		notify(vn, p->dentry, IN_OPEN, 0, NULL);
	*out = f;
	return 0;
}

int vfs_open_path(struct vfs_caller *c, const struct path *p, u32 flags, struct file **out)
{
	if ((flags & O_DIRECTORY) && !S_ISDIR(p->dentry->vnode->mode))
		return -ENOTDIR;
	return open_place(c, p, flags, false, out);
}

/* protected_fifos and protected_regular: no O_CREAT of somebody else's file in a sticky directory. */
static int sticky_create_ok(const struct cred *cr, const struct vnode *dir, const struct vnode *vn)
{
	u32 level = S_ISFIFO(vn->mode) ? sysctl_protected_fifos : S_ISREG(vn->mode) ? sysctl_protected_regular : 0;

	if (!level || !(dir->mode & S_ISVTX) || vn->uid == dir->uid || vn->uid == cr->fsuid)
		return 0;
	if ((dir->mode & 0002) || ((dir->mode & 0020) && level >= 2))
		return -EACCES;
	return 0;
}

static int open_existing(struct vfs_caller *c, struct walk *w, struct path *p, const struct open_how_k *how, struct file **out)
{
	const struct cred *cr = caller_cred(c);
	struct vnode *vn = p->dentry->vnode;
	int err;

	if (S_ISDIR(vn->mode) && (how->flags & O_CREAT))
		return -EISDIR;
	if (w->need_dir && !S_ISDIR(vn->mode))
		return -ENOTDIR;
	err = sticky_create_ok(cr, w->d->vnode, vn);
	return err ? err : open_place(c, p, how->flags, false, out);
}

/* One turn: 0 done, 1 a symlink was followed, -errno. */
static int create_turn(struct vfs_caller *c, struct walk *w, const struct open_how_k *how, struct file **out)
{
	struct dentry *d = NULL;
	struct path p;
	bool created = false;
	int err;

	if (w->last_type != LAST_NORMAL) {
		p = (struct path){ w->mnt, w->d };
		return w->last_type == LAST_ROOT && w->links ? open_existing(c, w, &p, how, out) : -EISDIR;
	}
	err = walk_lookup_last(w, &d);
	if (err == -ENOENT) {
		if (w->need_dir)
			return -EISDIR;
		err = vfs_create_at(c, w, S_IFREG | (how->mode & 07777 & ~caller_umask(c)), &d);
		created = !err;
	}
	if (err && err != -EEXIST)
		return err;
	if (!created && (how->flags & O_EXCL)) {
		if (d)
			dentry_put(d);
		return -EEXIST;
	}
	if (err == -EEXIST)
		return 1;			/* somebody was faster: look again */
	if (S_ISLNK(d->vnode->mode) && !(how->flags & O_NOFOLLOW)) {
		err = walk_follow_last(w, d);
		return err ? err : 1;
	}
	p = (struct path){ mount_get(w->mnt), d };
	path_follow_mounts(&p);
	if (p.mnt != w->mnt && (w->flags & WALK_NO_XDEV))
		err = -EXDEV;
	else
		err = created ? open_place(c, &p, how->flags, true, out) : open_existing(c, w, &p, how, out);
	path_put(&p);
	return err;
}

static int open_create(struct vfs_caller *c, int dfd, const char *name, const struct open_how_k *how, struct file **out)
{
	struct walk w;
	int err;

	if (how->walk & WALK_CACHED)
		return -EAGAIN;
	err = walk_to_parent(&w, c, dfd, name, (how->walk & ~(u32)WALK_EMPTY) | WALK_FOLLOW);
	if (err)
		return err;
	do
		err = create_turn(c, &w, how, out);
	while (err == 1);
	walk_end(&w);
	return err;
}

static int open_tmpfile(struct vfs_caller *c, int dfd, const char *name, const struct open_how_k *how, struct file **out)
{
	struct path dir;
	struct vnode *dv, *vn = NULL;
	int err = vfs_walk(c, dfd, name, how->walk | WALK_FOLLOW | WALK_DIRECTORY, &dir);

	if (err)
		return err;
	dv = dir.dentry->vnode;
	err = mount_write_begin(dir.mnt);
	if (!err) {
		err = vfs_permission(caller_cred(c), &dir, MAY_WRITE | MAY_EXEC);
		if (!err)
			err = dv->ops->tmpfile ? 0 : -EOPNOTSUPP;
		if (!err) {
			GUARD_EXCL(&dv->lock);
			err = dv->ops->tmpfile(dv, S_IFREG | (how->mode & 07777 & ~caller_umask(c)), &vn);
		}
		if (!err) {
			struct path p = { mount_get(dir.mnt), dentry_create(dir.dentry, "#tmpfile", 8) };

			vn->nlink = 0;
			if (!(how->flags & O_EXCL))
				bits_set(&vn->flags, VN_LINKABLE);
			if (p.dentry) {
				dentry_instantiate(p.dentry, vn);
				err = open_place(c, &p, how->flags & ~(O_EXCL | O_DIRECTORY), true, out);
			} else {
				vnode_put(vn);
				err = -ENOMEM;
			}
			path_put(&p);
		}
		mount_write_end(dir.mnt);
	}
	path_put(&dir);
	return err;
}

static int check_flags(u32 *flags)
{
	u32 f = *flags;

	if (f & O_PATH) {
		*flags = f & (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC);
		return 0;
	}
	if (f & (O_TMPFILE & ~O_DIRECTORY)) {
		if ((f & (O_TMPFILE | O_CREAT)) != O_TMPFILE || !(access_of(f & O_ACCMODE) & MAY_WRITE))
			return -EINVAL;
		return 0;
	}
	if ((f & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	return 0;
}

int vfs_open(struct vfs_caller *c, int dfd, const char *name, const struct open_how_k *how, struct file **out)
{
	struct open_how_k h = *how;
	struct path p;
	int err = check_flags(&h.flags);

	if (err)
		return err;
	if (!(h.flags & O_PATH)) {
		if ((h.flags & O_TMPFILE) == O_TMPFILE)
			return open_tmpfile(c, dfd, name, &h, out);
		if (h.flags & O_CREAT)
			return open_create(c, dfd, name, &h, out);
	}
	if (h.flags & O_DIRECTORY)
		h.walk |= WALK_DIRECTORY;
	if (!(h.flags & O_NOFOLLOW))
		h.walk |= WALK_FOLLOW;
	err = vfs_walk(c, dfd, name, h.walk, &p);
	if (err)
		return err;
	err = open_place(c, &p, h.flags, false, out);
	path_put(&p);
	return err;
}
