/* What a file is: stat, statx, statfs, access, readlink. */
#include "abi.h"

static i64 stat_out(uptr_t out, const struct kstat *st)
{
	struct stat_k u = {
		.dev = st->dev, .ino = st->ino, .nlink = st->nlink,
		.mode = st->mode, .uid = st->uid, .gid = st->gid, .rdev = st->rdev,
		.size = (i64)st->size, .blksize = (i64)st->blksize, .blocks = (i64)st->blocks,
		.atime = (u64)st->atime.sec, .atime_nsec = st->atime.nsec,
		.mtime = (u64)st->mtime.sec, .mtime_nsec = st->mtime.nsec,
		.ctime = (u64)st->ctime.sec, .ctime_nsec = st->ctime.nsec,
	};

	return user_put(out, &u);
}

static i64 stat_path(struct task *self, int dfd, uptr_t path, int flags, uptr_t out)
{
	AUTO(pathbuf) name = NULL;
	struct kstat st;
	int err = pathbuf_from_user(path, &name);

	if (!err)
		err = vfs_stat(&self->vfs, dfd, name->text, flags, &st);
	return err ? err : stat_out(out, &st);
}

/* "" with AT_EMPTY_PATH: the descriptor itself, the way fstat() of newer C libraries asks. */
static bool is_empty_path(uptr_t path, int flags)
{
	char c;

	return (flags & AT_EMPTY_PATH) && !user_copy_in(&c, path, 1) && !c;
}

static i64 stat_fd(struct task *self, int fd, struct kstat *st)
{
	AUTO_FD r = fd_use_path(self, fd);

	return r.file ? vfs_stat_file(r.file, st) : -EBADF;
}

i64 sys_stat(struct task *self, uptr_t path, uptr_t st)
{
	return stat_path(self, AT_FDCWD, path, 0, st);
}

i64 sys_lstat(struct task *self, uptr_t path, uptr_t st)
{
	return stat_path(self, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, st);
}

i64 sys_fstat(struct task *self, int fd, uptr_t st)
{
	struct kstat k;
	i64 err = stat_fd(self, fd, &k);

	return err ? err : stat_out(st, &k);
}

i64 sys_newfstatat(struct task *self, int dfd, uptr_t path, uptr_t st, int flags)
{
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC))
		return -EINVAL;
	if (dfd >= 0 && is_empty_path(path, flags))
		return sys_fstat(self, dfd, st);
	return stat_path(self, dfd, path, flags & ~(AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC), st);
}

static struct statx_time_k statx_time(struct timespec64 t)
{
	return (struct statx_time_k){ .sec = t.sec, .nsec = t.nsec };
}

static void statx_fill(struct statx_k *x, const struct kstat *st)
{
	*x = (struct statx_k){
		.mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
		.blksize = (u32)st->blksize, .attributes = st->attributes,
		.nlink = st->nlink, .uid = st->uid, .gid = st->gid, .mode = (u16)st->mode,
		.ino = st->ino, .size = st->size, .blocks = st->blocks,
		.attributes_mask = STATX_ATTR_MOUNT_ROOT,
		.atime = statx_time(st->atime), .btime = statx_time(st->btime),
		.ctime = statx_time(st->ctime), .mtime = statx_time(st->mtime),
		.rdev_major = dev_major(st->rdev), .rdev_minor = dev_minor(st->rdev),
		.dev_major = dev_major(st->dev), .dev_minor = dev_minor(st->dev),
		.mnt_id = st->mnt_id,
	};
}

static void statx_mark_root(struct statx_k *x, const struct path *p)
{
	if (p->mnt && p->dentry == p->mnt->root)
		x->attributes |= STATX_ATTR_MOUNT_ROOT;
}

static i64 statx_path(struct task *self, int dfd, uptr_t path, int flags, struct statx_k *x)
{
	AUTO_PATH p = { 0 };
	struct kstat st;
	int err = user_walk(self, dfd, path, (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
			    (flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);

	if (!err)
		err = vfs_stat_path(&p, &st);
	if (err)
		return err;
	statx_fill(x, &st);
	statx_mark_root(x, &p);
	return 0;
}

static i64 statx_fd(struct task *self, int fd, struct statx_k *x)
{
	AUTO_FD r = fd_use_path(self, fd);
	struct kstat st;
	int err = r.file ? vfs_stat_file(r.file, &st) : -EBADF;

	if (err)
		return err;
	statx_fill(x, &st);
	statx_mark_root(x, &r.file->path);
	return 0;
}

i64 sys_statx(struct task *self, int dfd, uptr_t path, int flags, u32 mask, uptr_t buf)
{
	const int sync = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
	struct statx_k x;
	i64 err;

	if ((mask & STATX_RESERVED) || (flags & sync) == sync)
		return -EINVAL;
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | sync))
		return -EINVAL;
	if (dfd >= 0 && is_empty_path(path, flags))
		err = statx_fd(self, dfd, &x);
	else
		err = statx_path(self, dfd, path, flags, &x);
	return err ? err : user_put(buf, &x);
}

static i64 statfs_out(uptr_t out, const struct kstatfs *st)
{
	struct statfs_k u = {
		.type = (i64)st->type, .bsize = (i64)st->bsize,
		.blocks = st->blocks, .bfree = st->bfree, .bavail = st->bavail,
		.files = st->files, .ffree = st->ffree,
		.fsid = { (i32)st->fsid, (i32)(st->fsid >> 32) },
		.namelen = (i64)st->namelen, .frsize = (i64)st->frsize,
		.flags = (i64)st->flags | ST_VALID,
	};

	return user_put(out, &u);
}

i64 sys_statfs(struct task *self, uptr_t path, uptr_t buf)
{
	AUTO_PATH p = { 0 };
	struct kstatfs st = { 0 };
	int err = user_walk(self, AT_FDCWD, path, WALK_FOLLOW, &p);

	if (!err)
		err = vfs_statfs(&p, &st);
	return err ? err : statfs_out(buf, &st);
}

i64 sys_fstatfs(struct task *self, int fd, uptr_t buf)
{
	AUTO_FD r = fd_use_path(self, fd);
	struct kstatfs st = { 0 };
	int err = r.file ? vfs_statfs_file(r.file, &st) : -EBADF;

	return err ? err : statfs_out(buf, &st);
}

static i64 access_path(struct task *self, int dfd, uptr_t path, int mode, int flags)
{
	AUTO(pathbuf) name = NULL;
	int err;

	if (mode & ~7)
		return -EINVAL;
	if (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	err = pathbuf_from_user(path, &name);
	return err ? err : vfs_access(&self->vfs, dfd, name->text, (u32)mode, flags);
}

i64 sys_access(struct task *self, uptr_t path, int mode)
{
	return access_path(self, AT_FDCWD, path, mode, 0);
}

i64 sys_faccessat(struct task *self, int dfd, uptr_t path, int mode)
{
	return access_path(self, dfd, path, mode, 0);
}

i64 sys_faccessat2(struct task *self, int dfd, uptr_t path, int mode, int flags)
{
	return access_path(self, dfd, path, mode, flags);
}

i64 sys_readlinkat(struct task *self, int dfd, uptr_t path, uptr_t buf, int size)
{
	AUTO(pathbuf) name = NULL;
	struct uio dst;
	int err;

	if (size <= 0)
		return -EINVAL;
	err = pathbuf_from_user(path, &name);
	if (err)
		return err;
	uio_init_user(&dst, buf, (u64)size);
	return vfs_readlink(&self->vfs, dfd, name->text, &dst);
}

i64 sys_readlink(struct task *self, uptr_t path, uptr_t buf, int size)
{
	return sys_readlinkat(self, AT_FDCWD, path, buf, size);
}
