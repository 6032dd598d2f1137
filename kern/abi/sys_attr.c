/* Changing what a file is: mode, owner, times, size; umask. */
#include "abi.h"

i64 sys_umask(struct task *self, u32 mask)
{
	return __atomic_exchange_n(&self->vfs.fs->umask, mask & 0777, __ATOMIC_RELAXED);
}

i64 sys_fchmodat(struct task *self, int dfd, uptr_t path, u32 mode)
{
	AUTO_PATH p = { 0 };
	int err = user_walk(self, dfd, path, WALK_FOLLOW, &p);

	return err ? err : vfs_chmod(&self->vfs, &p, mode & 07777);
}

i64 sys_chmod(struct task *self, uptr_t path, u32 mode)
{
	return sys_fchmodat(self, AT_FDCWD, path, mode);
}

i64 sys_fchmod(struct task *self, int fd, u32 mode)
{
	struct vnode_attr a = { .valid = ATTR_MODE, .mode = mode & 07777 };

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (path_is_null(&r.file->path))
		return vfs_setattr_file(&self->vfs, r.file, &a);
	return vfs_chmod(&self->vfs, &r.file->path, mode & 07777);
}

i64 sys_fchownat(struct task *self, int dfd, uptr_t path, u32 uid, u32 gid, int flags)
{
	AUTO_PATH p = { 0 };
	int err;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	err = user_walk(self, dfd, path, (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
			(flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);
	return err ? err : vfs_chown(&self->vfs, &p, uid, gid);
}

i64 sys_chown(struct task *self, uptr_t path, u32 uid, u32 gid)
{
	return sys_fchownat(self, AT_FDCWD, path, uid, gid, 0);
}

i64 sys_lchown(struct task *self, uptr_t path, u32 uid, u32 gid)
{
	return sys_fchownat(self, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

i64 sys_fchown(struct task *self, int fd, u32 uid, u32 gid)
{
	struct vnode_attr a = { .uid = uid, .gid = gid };

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!path_is_null(&r.file->path))
		return vfs_chown(&self->vfs, &r.file->path, uid, gid);
	a.valid = (uid != ~0u ? ATTR_UID : 0) | (gid != ~0u ? ATTR_GID : 0);
	return vfs_setattr_file(&self->vfs, r.file, &a);
}

/* What a pair of times asks for. */
struct time_change {
	struct timespec64 t[2];
	bool set[2];
	bool now_only;		/* both to now: writers of the file may do that */
};

static int times_check(const struct timespec_k ts[2], struct time_change *c)
{
	u64 now = clock_real_ns();

	for (u32 i = 0; i < 2; i++) {
		c->set[i] = ts[i].nsec != UTIME_OMIT;
		if (ts[i].nsec == UTIME_NOW)
			c->t[i] = (struct timespec64){ (i64)(now / NSEC_PER_SEC), (u32)(now % NSEC_PER_SEC) };
		else if (ts[i].nsec == UTIME_OMIT)
			continue;
		else if ((u64)ts[i].nsec >= NSEC_PER_SEC)
			return -EINVAL;
		else
			c->t[i] = (struct timespec64){ ts[i].sec, (u32)ts[i].nsec };
	}
	c->now_only = ts[0].nsec == UTIME_NOW && ts[1].nsec == UTIME_NOW;
	return 0;
}

static i64 times_apply_fd(struct task *self, int fd, const struct time_change *c)
{
	struct vnode_attr a = { .atime = c->t[0], .mtime = c->t[1] };

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!path_is_null(&r.file->path))
		return vfs_utimes(&self->vfs, &r.file->path, c->t, c->set, c->now_only);
	a.valid = (c->set[0] ? ATTR_ATIME : 0) | (c->set[1] ? ATTR_MTIME : 0);
	return vfs_setattr_file(&self->vfs, r.file, &a);
}

/* ts NULL: both now. */
static i64 times_apply(struct task *self, int dfd, uptr_t path, const struct timespec_k *ts, int flags)
{
	static const struct timespec_k both_now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct time_change c = { 0 };
	AUTO_PATH p = { 0 };
	int err = times_check(ts ? ts : both_now, &c);

	if (err)
		return err;
	if (!c.set[0] && !c.set[1])
		return 0;
	if (uptr_is_null(path) && dfd != AT_FDCWD)
		return flags ? -EINVAL : times_apply_fd(self, dfd, &c);
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	err = user_walk(self, dfd, path, (flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
			(flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);
	return err ? err : vfs_utimes(&self->vfs, &p, c.t, c.set, c.now_only);
}

i64 sys_utimensat(struct task *self, int dfd, uptr_t path, uptr_t times, int flags)
{
	struct timespec_k ts[2];

	if (uptr_is_null(times))
		return times_apply(self, dfd, path, NULL, flags);
	if (user_copy_in(ts, times, sizeof(ts)))
		return -EFAULT;
	return times_apply(self, dfd, path, ts, flags);
}

i64 sys_futimesat(struct task *self, int dfd, uptr_t path, uptr_t times)
{
	struct timeval_k tv[2];
	struct timespec_k ts[2];

	if (uptr_is_null(times))
		return times_apply(self, dfd, path, NULL, 0);
	if (user_copy_in(tv, times, sizeof(tv)))
		return -EFAULT;
	for (u32 i = 0; i < 2; i++) {
		/* Checked here: in microseconds the values of UTIME_NOW and UTIME_OMIT mean nothing. */
		if ((u64)tv[i].usec >= 1000000)
			return -EINVAL;
		ts[i] = (struct timespec_k){ tv[i].sec, tv[i].usec * 1000 };
	}
	return times_apply(self, dfd, path, ts, 0);
}

i64 sys_utimes(struct task *self, uptr_t path, uptr_t times)
{
	return sys_futimesat(self, AT_FDCWD, path, times);
}

i64 sys_utime(struct task *self, uptr_t path, uptr_t times)
{
	struct utimbuf_k u;
	struct timespec_k ts[2] = { 0 };

	if (uptr_is_null(times))
		return times_apply(self, AT_FDCWD, path, NULL, 0);
	if (user_get(&u, times))
		return -EFAULT;
	ts[0].sec = u.actime;
	ts[1].sec = u.modtime;
	return times_apply(self, AT_FDCWD, path, ts, 0);
}

i64 sys_truncate(struct task *self, uptr_t path, i64 length)
{
	AUTO_PATH p = { 0 };
	int err;

	if (length < 0)
		return -EINVAL;
	err = user_walk(self, AT_FDCWD, path, WALK_FOLLOW, &p);
	return err ? err : vfs_truncate(&self->vfs, &p, (u64)length);
}

i64 sys_ftruncate(struct task *self, int fd, i64 length)
{
	if (length < 0)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!r.file->vnode || !S_ISREG(r.file->vnode->mode) || !(r.file->mode & FILE_WRITE))
		return -EINVAL;
	return vfs_ftruncate(&self->vfs, r.file, (u64)length);
}
