/*
 * Private to abi: what the glue files share.
 *
 * Every sys_NAME() has the prototype generated from spec/syscalls.tbl, runs in
 * the calling thread with interrupts on, may sleep, and returns a result or
 * -errno.  User memory is reached only through uptr_t and arch/usercopy.h.
 * abi/flags.h comes last: it defines only what no other header has.
 */
#pragma once

#include <abi/info.h>
#include <abi/stat.h>
#include <abi/sys_protos.h>
#include <abi/time.h>
#include <arch/usercopy.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/uio.h>
#include <mem/slab.h>
#include <proc/task.h>
#include <vfs/vfs.h>
#include <abi/flags.h>

#define MAX_RW_COUNT	 0x7ffff000ull
#define UIO_MAXIOV	 1024u
#define DEADLINE_NEVER	 (~0ull)
#define SIGSET_SIZE	 8

/* Borrows a descriptor for the call: AUTO_FD r = fd_use(self, fd); if (!r.file) return -EBADF; */
static inline struct fd_ref fd_use(struct task *self, int fd) { return fd_borrow(self->vfs.fds, fd, false); }
static inline struct fd_ref fd_use_path(struct task *self, int fd) { return fd_borrow(self->vfs.fds, fd, true); }
/* A reference of its own on an open file, O_PATH included; NULL: not open. */
static inline struct file *fd_hold(struct task *self, int fd)
{
	struct fd_ref r = fd_use_path(self, fd);

	return r.file && !r.owned ? file_get(r.file) : r.file;
}
static inline u32 fd_limit(struct task *self) { return (u32)MIN(self->vfs.nofile_limit, (u64)FDTABLE_HARD_MAX); }
/* Consumes f.  The new descriptor or -errno. */
static inline MUST_USE i64 fd_install_new(struct task *self, struct file *f, bool cloexec)
{
	return fdtable_install(self->vfs.fds, f, cloexec, fd_limit(self));
}

/* Two descriptors for two new files, told to the user before they are live.  Consumes a and b. */
MUST_USE i64 fd_install_pair(struct task *self, struct file *a, struct file *b, bool cloexec, uptr_t fds);

/* A path that is put at the end of the scope. */
#define AUTO_PATH struct path __attribute__((cleanup(path_put)))
/* Reads the name at user pointer p and resolves it.  0 and references in *out. */
MUST_USE int user_walk(struct task *self, int dfd, uptr_t p, u32 walk, struct path *out);

static inline bool is_cap(struct task *self, u32 cap) { return cred_can(self->vfs.cred, cap); }

/* Times.  A timespec that is not normal or negative is -EINVAL; far ones saturate. */
MUST_USE int timespec_to_ns(const struct timespec_k *ts, u64 *ns);
MUST_USE int user_timespec(uptr_t p, u64 *ns);			/* -EFAULT, -EINVAL */
static inline struct timespec_k ns_to_timespec(u64 ns)
{
	return (struct timespec_k){ (i64)(ns / NSEC_PER_SEC), (i64)(ns % NSEC_PER_SEC) };
}
static inline struct timeval_k ns_to_timeval(u64 ns)
{
	return (struct timeval_k){ (i64)(ns / NSEC_PER_SEC), (i64)(ns % NSEC_PER_SEC / NSEC_PER_USEC) };
}
/* Monotonic deadline ns from now, saturating below DEADLINE_NEVER. */
u64 deadline_after(u64 ns);
/* Monotonic deadline of an absolute time on a clock (realtime or monotonic kinds). */
u64 deadline_at(int clock, u64 ns);
static inline u64 deadline_left(u64 deadline)
{
	u64 now = clock_mono_ns();

	return deadline > now ? deadline - now : 0;
}

/* iovec arrays: the first UIO_FAST live on the caller's stack. */
#define UIO_FAST 8
struct iov_buf {
	struct uio_seg fast[UIO_FAST];
	struct uio_seg *seg;		/* fast, or kmalloc'ed */
	u32 nseg;
	u64 total;
};
static inline void iov_free(struct iov_buf *v) { if (v->seg != v->fast) kfree(v->seg); }
#define AUTO_IOV struct iov_buf __attribute__((cleanup(iov_free)))
/* Call it right after the declaration: it sets v->seg in every case.  Total is cut to MAX_RW_COUNT.  -EINVAL, -EFAULT, -ENOMEM. */
MUST_USE int iov_import(struct iov_buf *v, uptr_t vec, u64 vlen);

/* Signal masks of ppoll and its kin: NULL pointer: no change.  -EINVAL (size), -EFAULT. */
MUST_USE int user_sigmask_apply(struct task *self, uptr_t mask, u64 size);
/* Ends such a call: gives the mask back unless a handler is to run with it. */
static inline void user_sigmask_finish(struct task *self, bool applied, i64 ret)
{
	if (applied && ret != -EINTR && ret != -ERESTARTNOHAND)
		signal_mask_restore_now(self);
}

/* Copies a NUL-terminated string of at most max bytes into fresh memory.  -EFAULT, -ENOMEM, toolong. */
MUST_USE int user_strdup(uptr_t p, u64 max, int toolong, char **out);
/* Copies an extensible struct: usize bytes of the user's into ksize; the rest must be zero (-E2BIG). */
MUST_USE int user_struct_in(void *dst, u64 ksize, uptr_t src, u64 usize);

void rusage_to_user(const struct rusage_k *ru, struct rusage_user_k *out);
/* The task that a sched_* or similar call means: 0 is the caller.  New reference; NULL: no such. */
struct task *task_of_pid(struct task *self, i32 pid);
/* Gives the task an fs_view and a descriptor table of its own, where wanted and still shared.  -ENOMEM. */
MUST_USE int task_unshare(struct task *self, bool want_fs, bool want_fds);
bool pgrp_exists(u32 pgid);
MUST_USE int mlock_check(struct task *self, u64 len);		/* rights and limit: -EPERM, -ENOMEM */
DEFINE_AUTO(task, struct task *, task_put)
DEFINE_AUTO(process, struct process *, process_put)
DEFINE_AUTO(aspace_use, struct aspace *, aspace_unuse)
