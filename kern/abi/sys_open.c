/* open and its kin, close, file handles. */
#include "abi.h"

#define OPEN_VALID (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | FASYNC | \
		    O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define OPEN_PATH_FLAGS (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)
#define TMPFILE_BIT	(O_TMPFILE & ~O_DIRECTORY)
#define MODE_ALL	07777u

/* The descriptor is reserved first: no file is made when there is no room for it. */
static i64 open_common(struct task *self, int dfd, uptr_t path, const struct open_how_k *how)
{
	AUTO(pathbuf) name = NULL;
	struct file *f = NULL;
	int err = pathbuf_from_user(path, &name);

	if (err)
		return err;
	int fd = fdtable_reserve(self->vfs.fds, 0, how->flags & O_CLOEXEC, fd_limit(self));
	if (fd < 0)
		return fd;
	err = vfs_open(&self->vfs, dfd, name->text, how, &f);
	if (err) {
		fdtable_unreserve(self->vfs.fds, fd);
		return err;
	}
	fdtable_fill(self->vfs.fds, fd, f);
	return fd;
}

/* Rules that hold for every form of open once unknown flags are out. */
static int open_flags_check(u32 flags)
{
	if (!(flags & TMPFILE_BIT))
		return 0;
	if ((flags & (O_TMPFILE | O_CREAT)) != O_TMPFILE)
		return -EINVAL;
	return (flags & O_ACCMODE) == O_RDONLY ? -EINVAL : 0;
}

/* open and openat drop what they do not know, as they always did. */
static i64 open_classic(struct task *self, int dfd, uptr_t path, u32 flags, u32 mode)
{
	struct open_how_k how = { .flags = (flags & OPEN_VALID) | O_LARGEFILE, .mode = mode & MODE_ALL };

	if (how.flags & O_PATH)
		how.flags &= OPEN_PATH_FLAGS;
	if (!(how.flags & (O_CREAT | TMPFILE_BIT)))
		how.mode = 0;
	int err = open_flags_check(how.flags);
	return err ? err : open_common(self, dfd, path, &how);
}

i64 sys_open(struct task *self, uptr_t path, int flags, u32 mode)
{
	return open_classic(self, AT_FDCWD, path, (u32)flags, mode);
}

i64 sys_openat(struct task *self, int dfd, uptr_t path, int flags, u32 mode)
{
	return open_classic(self, dfd, path, (u32)flags, mode);
}

i64 sys_creat(struct task *self, uptr_t path, u32 mode)
{
	return open_classic(self, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

static int how_check(const struct open_how_user_k *u, struct open_how_k *how)
{
	static const struct { u32 resolve, walk; } map[] = {
		{ RESOLVE_NO_XDEV, WALK_NO_XDEV }, { RESOLVE_NO_MAGICLINKS, WALK_NO_MAGIC },
		{ RESOLVE_NO_SYMLINKS, WALK_NO_SYMLINKS }, { RESOLVE_BENEATH, WALK_BENEATH },
		{ RESOLVE_IN_ROOT, WALK_IN_ROOT }, { RESOLVE_CACHED, WALK_CACHED },
	};
	u64 rest = u->resolve;

	if (u->flags & ~(u64)OPEN_VALID)
		return -EINVAL;
	for (u32 i = 0; i < ARRAY_LEN(map); i++) {
		if (u->resolve & map[i].resolve)
			how->walk |= map[i].walk;
		rest &= ~(u64)map[i].resolve;
	}
	if (rest || ((how->walk & WALK_BENEATH) && (how->walk & WALK_IN_ROOT)))
		return -EINVAL;
	how->flags = (u32)u->flags | (u->flags & O_PATH ? 0 : O_LARGEFILE);
	if (u->flags & (O_CREAT | TMPFILE_BIT) ? u->mode & ~(u64)MODE_ALL : u->mode)
		return -EINVAL;
	how->mode = (u32)u->mode;
	if ((u->flags & O_PATH) && (u->flags & ~(u64)OPEN_PATH_FLAGS))
		return -EINVAL;
	if ((how->walk & WALK_CACHED) && (u->flags & (O_TRUNC | O_CREAT | TMPFILE_BIT)))
		return -EAGAIN;
	return open_flags_check(how->flags);
}

i64 sys_openat2(struct task *self, int dfd, uptr_t path, uptr_t how, u64 size)
{
	struct open_how_user_k u;
	struct open_how_k k = { 0 };
	int err;

	if (size < OPEN_HOW_SIZE_VER0)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = user_struct_in(&u, sizeof(u), how, size);
	if (!err)
		err = how_check(&u, &k);
	return err ? err : open_common(self, dfd, path, &k);
}

i64 sys_close(struct task *self, int fd)
{
	int err = fdtable_close(self->vfs.fds, fd);

	/* The descriptor is gone whatever happened: the call must not be restarted. */
	if (unlikely(err <= -ERESTARTSYS))
		return -EINTR;
	return err;
}

i64 sys_close_range(struct task *self, u32 first, u32 last, u32 flags)
{
	if (flags & ~(u32)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
		return -EINVAL;
	if (first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		int err = task_unshare(self, false, true);

		if (err)
			return err;
	}
	return fdtable_close_range(self->vfs.fds, first, last, flags & CLOSE_RANGE_CLOEXEC);
}

/* No file system here has handles that outlive the name. */
i64 sys_name_to_handle_at(struct task *self, int dfd, uptr_t path, uptr_t handle, uptr_t mnt, int flags)
{
	AUTO_PATH p = { 0 };
	int err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	err = user_walk(self, dfd, path, (flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
			(flags & AT_EMPTY_PATH ? WALK_EMPTY : 0), &p);
	return err ? err : -EOPNOTSUPP;
}

i64 sys_open_by_handle_at(struct task *self, int mount, uptr_t handle, int flags)
{
	struct { u32 bytes; i32 type; } h;

	if (!is_cap(self, CAP_DAC_READ_SEARCH))
		return -EPERM;
	AUTO_FD r = fd_use_path(self, mount);
	if (!r.file && mount != AT_FDCWD)
		return -EBADF;
	if (user_get(&h, handle))
		return -EFAULT;
	return h.bytes > 128 || !h.bytes ? -EINVAL : -ESTALE;
}
