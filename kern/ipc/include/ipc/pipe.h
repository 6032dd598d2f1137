/*
 * Pipes, FIFOs and the splice family.  A pipe is a ring of page slots; writers
 * of at most PIPE_BUF bytes are atomic.  Lock: pipe mutex (rank PIPE), never
 * held over a user copy that could block on the same pipe.
 */
#pragma once

#include <vfs/vfs.h>

struct uio_seg;

#define PIPE_BUF_SIZE 4096u
#define PIPE_DEFAULT_SLOTS 16u
extern u32 sysctl_pipe_max_size;	/* bytes that F_SETPIPE_SZ grants without CAP_SYS_RESOURCE */

MUST_USE int pipe_create(u32 flags, struct file **rd, struct file **wr);	/* O_CLOEXEC (caller), O_NONBLOCK, O_DIRECT */
MUST_USE i64 pipe_set_size(struct file *f, u32 bytes);			/* F_SETPIPE_SZ; -EBADF not a pipe, -EBUSY, -EPERM */
MUST_USE i64 pipe_get_size(struct file *f);
bool file_is_pipe(struct file *f);
/* Bytes moved, 0 end of file, or -errno, exactly as the calls of the same name.  Offsets NULL: file position. */
MUST_USE i64 splice_files(struct file *in, u64 *off_in, struct file *out, u64 *off_out, u64 len, u32 flags);
MUST_USE i64 tee_pipes(struct file *in, struct file *out, u64 len, u32 flags);
MUST_USE i64 vmsplice_user(struct file *pipe, const struct uio_seg *seg, u32 nseg, u32 flags);
MUST_USE i64 sendfile_files(struct file *out, struct file *in, u64 *off, u64 len);
MUST_USE i64 copy_file_range_files(struct file *in, u64 *off_in, struct file *out, u64 *off_out, u64 len, u32 flags);
