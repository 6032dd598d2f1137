/* read, write and their vector and positioned forms, lseek. */
#include "abi.h"

/* A range outside user space, told only after the descriptor's own errors. */
static i64 bad_range(struct file *f, u32 need)
{
	return f->mode & need ? -EFAULT : -EBADF;
}

i64 sys_read(struct task *self, int fd, uptr_t buf, u64 count)
{
	AUTO_FD r = fd_use(self, fd);
	struct uio u;

	if (unlikely(!r.file))
		return -EBADF;
	if (unlikely(!user_range_ok(buf, count)))
		return bad_range(r.file, FILE_READ);
	uio_init_user(&u, buf, MIN(count, MAX_RW_COUNT));
	return file_read(r.file, &u, NULL);
}

i64 sys_write(struct task *self, int fd, uptr_t buf, u64 count)
{
	AUTO_FD r = fd_use(self, fd);
	struct uio u;

	if (unlikely(!r.file))
		return -EBADF;
	if (unlikely(!user_range_ok(buf, count)))
		return bad_range(r.file, FILE_WRITE);
	uio_init_user(&u, buf, MIN(count, MAX_RW_COUNT));
	return file_write(r.file, &u, NULL);
}

i64 sys_pread64(struct task *self, int fd, uptr_t buf, u64 count, i64 pos)
{
	struct uio u;
	u64 at = (u64)pos;

	if (pos < 0)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!(r.file->mode & FILE_PREAD))
		return -ESPIPE;
	if (!user_range_ok(buf, count))
		return bad_range(r.file, FILE_READ);
	uio_init_user(&u, buf, MIN(count, MAX_RW_COUNT));
	return file_read(r.file, &u, &at);
}

i64 sys_pwrite64(struct task *self, int fd, uptr_t buf, u64 count, i64 pos)
{
	struct uio u;
	u64 at = (u64)pos;

	if (pos < 0)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!(r.file->mode & FILE_PREAD))
		return -ESPIPE;
	if (!user_range_ok(buf, count))
		return bad_range(r.file, FILE_WRITE);
	uio_init_user(&u, buf, MIN(count, MAX_RW_COUNT));
	return file_write(r.file, &u, &at);
}

/* pos NULL: the file's own position. */
static i64 vector_io(struct file *f, uptr_t vec, u64 vlen, u64 *pos, bool write, bool append)
{
	AUTO_IOV v;
	struct uio u;
	int err = iov_import(&v, vec, vlen);

	if (err)
		return err;
	if (!(f->mode & (write ? FILE_WRITE : FILE_READ)))
		return -EBADF;
	uio_init_user_total(&u, v.seg, v.nseg, v.total);
	u.append = append;
	return write ? file_write(f, &u, pos) : file_read(f, &u, pos);
}

i64 sys_readv(struct task *self, int fd, uptr_t vec, u64 vlen)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? vector_io(r.file, vec, vlen, NULL, false, false) : -EBADF;
}

i64 sys_writev(struct task *self, int fd, uptr_t vec, u64 vlen)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? vector_io(r.file, vec, vlen, NULL, true, false) : -EBADF;
}

static i64 positioned_vector(struct task *self, int fd, uptr_t vec, u64 vlen, u64 pos, bool write)
{
	if ((i64)pos < 0)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!(r.file->mode & FILE_PREAD))
		return -ESPIPE;
	return vector_io(r.file, vec, vlen, &pos, write, false);
}

i64 sys_preadv(struct task *self, int fd, uptr_t vec, u64 vlen, u64 pos_l, u64 pos_h)
{
	return positioned_vector(self, fd, vec, vlen, pos_l, false);
}

i64 sys_pwritev(struct task *self, int fd, uptr_t vec, u64 vlen, u64 pos_l, u64 pos_h)
{
	return positioned_vector(self, fd, vec, vlen, pos_l, true);
}

/* Which RWF_* flags can be kept.  Nothing here does asynchronous page reads, so NOWAIT is refused. */
static int rwf_check(int flags)
{
	return flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND) ? -EOPNOTSUPP : 0;
}

static i64 vector_flags(struct task *self, int fd, uptr_t vec, u64 vlen, i64 pos, int flags, bool write)
{
	u64 at = (u64)pos;

	if (pos < -1)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (pos != -1 && !(r.file->mode & FILE_PREAD))
		return -ESPIPE;
	int err = rwf_check(flags);
	if (err)
		return err;
	i64 n = vector_io(r.file, vec, vlen, pos == -1 ? NULL : &at, write, flags & RWF_APPEND);
	if (n > 0 && write && (flags & (RWF_DSYNC | RWF_SYNC))) {
		err = file_fsync(r.file, !(flags & RWF_SYNC));
		if (err && err != -EINVAL)
			return err;
	}
	return n;
}

i64 sys_preadv2(struct task *self, int fd, uptr_t vec, u64 vlen, u64 pos_l, u64 pos_h, int flags)
{
	return vector_flags(self, fd, vec, vlen, (i64)pos_l, flags, false);
}

i64 sys_pwritev2(struct task *self, int fd, uptr_t vec, u64 vlen, u64 pos_l, u64 pos_h, int flags)
{
	return vector_flags(self, fd, vec, vlen, (i64)pos_l, flags, true);
}

i64 sys_lseek(struct task *self, int fd, i64 offset, int whence)
{
	AUTO_FD r = fd_use(self, fd);

	if (!r.file)
		return -EBADF;
	if ((u32)whence > SEEK_HOLE)
		return -EINVAL;
	return file_lseek(r.file, offset, whence);
}
