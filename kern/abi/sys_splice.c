/* Pipes and moving bytes between files. */
#include <core/uio.h>
#include <ipc/pipe.h>
#include "abi.h"

#define SPLICE_KNOWN (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

i64 sys_pipe2(struct task *self, uptr_t fds, int flags)
{
	struct file *rd = NULL, *wr = NULL;
	int err;

	if (flags & ~(int)(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	err = pipe_create((u32)flags, &rd, &wr);
	return err ? err : fd_install_pair(self, rd, wr, flags & O_CLOEXEC, fds);
}

i64 sys_pipe(struct task *self, uptr_t fds)
{
	return sys_pipe2(self, fds, 0);
}

/* An optional offset of the user's: *use is NULL without one. */
static int offset_in(uptr_t p, struct file *f, u64 *val, u64 **use)
{
	*use = NULL;
	if (uptr_is_null(p))
		return 0;
	if (file_is_pipe(f))
		return -ESPIPE;
	if (!(f->mode & FILE_PREAD))
		return -EINVAL;
	if (user_get(val, p))
		return -EFAULT;
	if ((i64)*val < 0)
		return -EINVAL;
	*use = val;
	return 0;
}

static i64 offset_out(uptr_t p, const u64 *use, i64 moved)
{
	return moved >= 0 && use && user_put(p, use) ? -EFAULT : moved;
}

i64 sys_splice(struct task *self, int fd_in, uptr_t off_in, int fd_out, uptr_t off_out, u64 len, u32 flags)
{
	u64 in_val, out_val, *in_use, *out_use;
	i64 n;

	if (!len)
		return 0;
	if (flags & ~(u32)SPLICE_KNOWN)
		return -EINVAL;
	AUTO_FD in = fd_use(self, fd_in);
	if (!in.file)
		return -EBADF;
	AUTO_FD out = fd_use(self, fd_out);
	if (!out.file)
		return -EBADF;
	n = offset_in(off_in, in.file, &in_val, &in_use);
	if (!n)
		n = offset_in(off_out, out.file, &out_val, &out_use);
	if (n)
		return n;
	if (!(in.file->mode & FILE_READ) || !(out.file->mode & FILE_WRITE))
		return -EBADF;
	n = splice_files(in.file, in_use, out.file, out_use, MIN(len, MAX_RW_COUNT), flags);
	n = offset_out(off_in, in_use, n);
	return offset_out(off_out, out_use, n);
}

i64 sys_tee(struct task *self, int fd_in, int fd_out, u64 len, u32 flags)
{
	if (flags & ~(u32)SPLICE_KNOWN)
		return -EINVAL;
	if (!len)
		return 0;
	AUTO_FD in = fd_use(self, fd_in);
	if (!in.file)
		return -EBADF;
	AUTO_FD out = fd_use(self, fd_out);
	if (!out.file || !(in.file->mode & FILE_READ) || !(out.file->mode & FILE_WRITE))
		return -EBADF;
	return tee_pipes(in.file, out.file, MIN(len, MAX_RW_COUNT), flags);
}

i64 sys_vmsplice(struct task *self, int fd, uptr_t vec, u64 vlen, u32 flags)
{
	if (flags & ~(u32)SPLICE_KNOWN)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file || !file_is_pipe(r.file))
		return -EBADF;
	AUTO_IOV v;
	int err = iov_import(&v, vec, vlen);
	if (err)
		return err;
	return v.total ? vmsplice_user(r.file, v.seg, v.nseg, flags) : 0;
}

i64 sys_sendfile(struct task *self, int out_fd, int in_fd, uptr_t offset, u64 count)
{
	u64 off, *use = NULL;
	i64 n;

	if (!uptr_is_null(offset) && user_get(&off, offset))
		return -EFAULT;
	AUTO_FD in = fd_use(self, in_fd);
	if (!in.file || !(in.file->mode & FILE_READ))
		return -EBADF;
	if (!uptr_is_null(offset)) {
		if (!(in.file->mode & FILE_PREAD))
			return -ESPIPE;
		if ((i64)off < 0)
			return -EINVAL;
		use = &off;
	}
	AUTO_FD out = fd_use(self, out_fd);
	if (!out.file || !(out.file->mode & FILE_WRITE))
		return -EBADF;
	n = sendfile_files(out.file, in.file, use, MIN(count, MAX_RW_COUNT));
	return offset_out(offset, use, n);
}

i64 sys_copy_file_range(struct task *self, int fd_in, uptr_t off_in, int fd_out, uptr_t off_out, u64 len, u32 flags)
{
	u64 in_val, out_val, *in_use = NULL, *out_use = NULL;
	i64 n;

	AUTO_FD in = fd_use(self, fd_in);
	if (!in.file)
		return -EBADF;
	AUTO_FD out = fd_use(self, fd_out);
	if (!out.file)
		return -EBADF;
	if (!uptr_is_null(off_in)) {
		if (user_get(&in_val, off_in))
			return -EFAULT;
		in_use = &in_val;
	}
	if (!uptr_is_null(off_out)) {
		if (user_get(&out_val, off_out))
			return -EFAULT;
		out_use = &out_val;
	}
	if (flags || (in_use && (i64)in_val < 0) || (out_use && (i64)out_val < 0))
		return -EINVAL;
	n = copy_file_range_files(in.file, in_use, out.file, out_use, MIN(len, MAX_RW_COUNT), flags);
	n = offset_out(off_in, in_use, n);
	return offset_out(off_out, out_use, n);
}
