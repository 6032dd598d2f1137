/* fcntl. */
#include <core/uio.h>
#include <ipc/pipe.h>
#include "abi.h"

static i64 fcntl_dup(struct task *self, struct file *f, u64 min, bool cloexec)
{
	int fd;

	if (min >= fd_limit(self))
		return -EINVAL;
	fd = fdtable_reserve(self->vfs.fds, (u32)min, cloexec, fd_limit(self));
	if (fd >= 0)
		fdtable_fill(self->vfs.fds, fd, file_get(f));
	return fd;
}

/* The byte range of a struct flock, end inclusive.  -EINVAL, -EOVERFLOW. */
static int lock_range(struct file *f, const struct flock_k *l, struct file_lock_req *rq)
{
	i64 start = 0, end;

	switch (l->whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		start = (i64)READ_ONCE(f->pos);
		break;
	case SEEK_END:
		start = (i64)READ_ONCE(f->vnode->object.size);
		break;
	default:
		return -EINVAL;
	}
	if (l->start > INT64_MAX - start)
		return -EOVERFLOW;
	start += l->start;
	if (start < 0)
		return -EINVAL;
	if (l->len > 0) {
		if (l->len - 1 > INT64_MAX - start)
			return -EOVERFLOW;
		end = start + l->len - 1;
	} else if (l->len < 0) {
		if (start + l->len < 0)
			return -EINVAL;
		end = start - 1;
		start += l->len;
	} else {
		end = INT64_MAX;
	}
	rq->start = (u64)start;
	rq->end = end == INT64_MAX ? ~0ull : (u64)end;
	return 0;
}

static i64 fcntl_getlk(struct file *f, uptr_t arg, bool ofd)
{
	struct flock_k l;
	struct file_lock_req rq = { .ofd = ofd };
	int err;

	if (user_get(&l, arg))
		return -EFAULT;
	if (l.type != F_RDLCK && l.type != F_WRLCK)
		return -EINVAL;
	err = lock_range(f, &l, &rq);
	if (err)
		return err;
	if (ofd && l.pid)
		return -EINVAL;
	rq.type = (u32)l.type;
	err = file_posix_test(f, &rq);
	if (err)
		return err;
	l.type = (i16)rq.type;
	if (rq.type != F_UNLCK) {
		l.whence = SEEK_SET;
		l.start = (i64)rq.start;
		l.len = rq.end == ~0ull ? 0 : (i64)(rq.end - rq.start + 1);
		l.pid = rq.ofd ? -1 : (i32)rq.pid;
	}
	return user_put(arg, &l);
}

static i64 fcntl_setlk(struct task *self, struct file *f, uptr_t arg, bool ofd, bool wait)
{
	struct flock_k l;
	struct file_lock_req rq = { .ofd = ofd, .wait = wait, .pid = self->vfs.tgid };
	int err;

	if (user_get(&l, arg))
		return -EFAULT;
	err = lock_range(f, &l, &rq);
	if (err)
		return err;
	if (l.type != F_RDLCK && l.type != F_WRLCK && l.type != F_UNLCK)
		return -EINVAL;
	if ((l.type == F_RDLCK && !(f->mode & FILE_READ)) || (l.type == F_WRLCK && !(f->mode & FILE_WRITE)))
		return -EBADF;
	if (ofd && l.pid)
		return -EINVAL;
	rq.type = (u32)l.type;
	return file_posix_lock(f, &rq);
}

static bool owner_exists(u32 type, u32 id)
{
	if (type == F_OWNER_TID) {
		AUTO(task) t = task_find(id);

		return t != NULL;
	}
	if (type == F_OWNER_PID) {
		AUTO(process) p = process_find(id);

		return p != NULL;
	}
	return pgrp_exists(id);
}

/* owner_pid holds the id with its sign: negative for a process group, as F_GETOWN reports it. */
static int owner_set(struct task *self, struct file *f, u32 type, i32 id)
{
	if (id && !owner_exists(type, (u32)id))
		return -ESRCH;
	GUARD_SPIN(&f->lock);
	f->owner_type = type;
	f->owner_pid = (u32)(type == F_OWNER_PGRP ? -id : id);
	f->owner_uid = self->vfs.cred->uid;
	f->owner_euid = self->vfs.cred->euid;
	return 0;
}

static i64 fcntl_setown(struct task *self, struct file *f, i32 who)
{
	if (who == INT32_MIN)
		return -EINVAL;
	return owner_set(self, f, who < 0 ? F_OWNER_PGRP : F_OWNER_PID, who < 0 ? -who : who);
}

static i64 fcntl_setown_ex(struct task *self, struct file *f, uptr_t arg)
{
	struct f_owner_ex_k o;

	if (user_get(&o, arg))
		return -EFAULT;
	if (o.type < F_OWNER_TID || o.type > F_OWNER_PGRP)
		return -EINVAL;
	if (o.pid < 0)
		return -ESRCH;
	return owner_set(self, f, (u32)o.type, o.pid);
}

static i64 fcntl_getown_ex(struct file *f, uptr_t arg)
{
	struct f_owner_ex_k o = { .type = (i32)f->owner_type, .pid = (i32)f->owner_pid };

	if (o.pid < 0)
		o.pid = -o.pid;
	return user_put(arg, &o);
}

static i64 fcntl_getowner_uids(struct file *f, uptr_t arg)
{
	u32 ids[2] = { f->owner_uid, f->owner_euid };

	return user_copy_out(arg, ids, sizeof(ids)) ? -EFAULT : 0;
}

static i64 fcntl_setsig(struct file *f, u64 sig)
{
	if (sig > SIGMAX)
		return -EINVAL;
	GUARD_SPIN(&f->lock);
	f->owner_sig = (u32)sig;
	return 0;
}

static i64 fcntl_more(struct file *f, u32 cmd, u64 arg)
{
	switch (cmd) {
	case F_GETOWN_EX:
		return fcntl_getown_ex(f, UPTR(arg));
	case F_GETOWNER_UIDS:
		return fcntl_getowner_uids(f, UPTR(arg));
	case F_SETPIPE_SZ:
		return arg > 1ull << 31 ? -EINVAL : pipe_set_size(f, (u32)arg);
	case F_GETPIPE_SZ:
		return pipe_get_size(f);
	case F_ADD_SEALS:
		return arg > UINT32_MAX ? -EINVAL : file_add_seals(f, (u32)arg);
	case F_GET_SEALS:
		return file_get_seals(f);
	default:
		return -EINVAL;
	}
}

static i64 fcntl_file(struct task *self, struct file *f, u32 cmd, u64 arg)
{
	switch (cmd) {
	case F_SETFL:
		return file_set_flags(f, (u32)arg);
	case F_GETLK:
	case F_OFD_GETLK:
		return fcntl_getlk(f, UPTR(arg), cmd == F_OFD_GETLK);
	case F_SETLK:
	case F_SETLKW:
		return fcntl_setlk(self, f, UPTR(arg), false, cmd == F_SETLKW);
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return fcntl_setlk(self, f, UPTR(arg), true, cmd == F_OFD_SETLKW);
	case F_SETOWN:
		return fcntl_setown(self, f, (i32)arg);
	case F_GETOWN:
		return (i32)f->owner_pid;
	case F_SETOWN_EX:
		return fcntl_setown_ex(self, f, UPTR(arg));
	case F_SETSIG:
		return fcntl_setsig(f, arg);
	case F_GETSIG:
		return f->owner_sig;
	default:
		return fcntl_more(f, cmd, arg);
	}
}

i64 sys_fcntl(struct task *self, int fd, u32 cmd, u64 arg)
{
	AUTO_FD r = fd_use_path(self, fd);

	if (!r.file)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return fcntl_dup(self, r.file, (u32)arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return fdtable_get_cloexec(self->vfs.fds, fd);
	case F_SETFD:
		return fdtable_set_cloexec(self->vfs.fds, fd, arg & 1);
	case F_GETFL:
		return r.file->flags;
	case F_SETFL:
		if (arg & FASYNC)
			WRITE_ONCE(r.file->async_fd, fd);
		/* fallthrough */
	default:
		/* The rest is not for O_PATH. */
		return r.file->mode & FILE_PATH ? -EBADF : fcntl_file(self, r.file, cmd, arg);
	}
}
