/* What is done to an open file as a whole: sync, allocation, advice; dup, flock, ioctl. */
#include "abi.h"

/* Every file system here lives in memory: there is nothing that a sync has to write. */
i64 sys_sync(struct task *self)
{
	return 0;
}

i64 sys_syncfs(struct task *self, int fd)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? 0 : -EBADF;
}

i64 sys_fsync(struct task *self, int fd)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? file_fsync(r.file, false) : -EBADF;
}

i64 sys_fdatasync(struct task *self, int fd)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? file_fsync(r.file, true) : -EBADF;
}

static bool is_syncable(u32 mode)
{
	return S_ISREG(mode) || S_ISBLK(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

i64 sys_sync_file_range(struct task *self, int fd, i64 offset, i64 nbytes, u32 flags)
{
	AUTO_FD r = fd_use(self, fd);

	if (!r.file)
		return -EBADF;
	if (flags & ~7u || offset < 0 || nbytes < 0 || offset > INT64_MAX - nbytes)
		return -EINVAL;
	return r.file->vnode && is_syncable(r.file->vnode->mode) ? 0 : -ESPIPE;
}

i64 sys_fallocate(struct task *self, int fd, int mode, i64 offset, i64 len)
{
	AUTO_FD r = fd_use(self, fd);

	if (!r.file)
		return -EBADF;
	if (offset < 0 || len <= 0)
		return -EINVAL;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |
		     FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) && (mode & FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) && !(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_COLLAPSE_RANGE) && (mode & ~FALLOC_FL_COLLAPSE_RANGE))
		return -EINVAL;
	if ((mode & FALLOC_FL_INSERT_RANGE) && (mode & ~FALLOC_FL_INSERT_RANGE))
		return -EINVAL;
	if (!(r.file->mode & FILE_WRITE))
		return -EBADF;
	if (offset > INT64_MAX - len)
		return -EFBIG;
	return file_fallocate(r.file, (u32)mode, (u64)offset, (u64)len);
}

/* Advice that needs no action: pages are in memory already. */
i64 sys_fadvise64(struct task *self, int fd, i64 offset, i64 len, int advice)
{
	AUTO_FD r = fd_use(self, fd);

	if (!r.file)
		return -EBADF;
	if (r.file->vnode && S_ISFIFO(r.file->vnode->mode))
		return -ESPIPE;
	if (len < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE)
		return -EINVAL;
	return 0;
}

i64 sys_readahead(struct task *self, int fd, i64 offset, u64 count)
{
	AUTO_FD r = fd_use(self, fd);

	if (!r.file || !(r.file->mode & FILE_READ))
		return -EBADF;
	return r.file->vnode && S_ISREG(r.file->vnode->mode) ? 0 : -EINVAL;
}

i64 sys_dup(struct task *self, int fd)
{
	struct file *f = fd_hold(self, fd);

	return f ? fd_install_new(self, f, false) : -EBADF;
}

i64 sys_dup2(struct task *self, int oldfd, int newfd)
{
	if (oldfd == newfd) {
		AUTO_FD r = fd_use_path(self, oldfd);

		return r.file ? newfd : -EBADF;
	}
	return fdtable_dup_to(self->vfs.fds, oldfd, newfd, false, fd_limit(self));
}

i64 sys_dup3(struct task *self, int oldfd, int newfd, int flags)
{
	if ((flags & ~(int)O_CLOEXEC) || oldfd == newfd)
		return -EINVAL;
	return fdtable_dup_to(self->vfs.fds, oldfd, newfd, flags & O_CLOEXEC, fd_limit(self));
}

i64 sys_flock(struct task *self, int fd, u32 op)
{
	u32 kind = op & ~(u32)LOCK_NB;

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
		return -EINVAL;
	return file_flock(r.file, op);
}

#define FIOASYNC 0x5452u
#define FIOQSIZE 0x5460u

/* Sets or clears one status flag by the int at arg. */
static i64 ioctl_flag(struct file *f, int fd, u32 flag, u64 arg)
{
	i32 on;

	if (user_get(&on, UPTR(arg)))
		return -EFAULT;
	if (flag == FASYNC && !f->ops->fasync && on)
		return -ENOTTY;
	if (flag == FASYNC)
		WRITE_ONCE(f->async_fd, fd);
	return file_set_flags(f, on ? f->flags | flag : f->flags & ~flag);
}

static i64 ioctl_generic(struct task *self, int fd, struct file *f, u32 cmd, u64 arg)
{
	struct vnode *vn = f->vnode;
	i32 left;

	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
		return fdtable_set_cloexec(self->vfs.fds, fd, cmd == FIOCLEX);
	case FIONBIO:
		return ioctl_flag(f, fd, O_NONBLOCK, arg);
	case FIOASYNC:
		return ioctl_flag(f, fd, FASYNC, arg);
	case FIOQSIZE:
		if (!vn || !(S_ISREG(vn->mode) || S_ISDIR(vn->mode) || S_ISLNK(vn->mode)))
			return -ENOTTY;
		return user_put(UPTR(arg), &vn->object.size);
	case FIONREAD:
		if (!vn || !S_ISREG(vn->mode))
			return file_ioctl(f, cmd, arg);
		left = (i32)(READ_ONCE(vn->object.size) - f->pos);
		return user_put(UPTR(arg), &left);
	default:
		return file_ioctl(f, cmd, arg);
	}
}

i64 sys_ioctl(struct task *self, int fd, u32 cmd, u64 arg)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? ioctl_generic(self, fd, r.file, cmd, arg) : -EBADF;
}
