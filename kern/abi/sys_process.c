/* Processes: creation, end, exec, wait, identity. */
#include <arch/context.h>
#include "abi.h"

#define CSIGNAL 0xffull

i64 sys_clone(struct task *self, u64 flags, uptr_t stack, uptr_t parent_tid, uptr_t child_tid, u64 tls)
{
	struct clone_args_k a = {
		.flags = (u32)flags & ~CSIGNAL,
		.exit_signal = flags & CSIGNAL,
		.stack = stack.v,
		.tls = tls,
		.parent_tid = parent_tid,
		.child_tid = child_tid,
	};

	if (a.flags & CLONE_PIDFD) {
		/* The old call has one place for both answers. */
		if (a.flags & CLONE_PARENT_SETTID)
			return -EINVAL;
		a.pidfd = parent_tid;
	}
	return process_clone(self, &a);
}

i64 sys_fork(struct task *self)
{
	struct clone_args_k a = { .exit_signal = SIGCHLD };

	return process_clone(self, &a);
}

i64 sys_vfork(struct task *self)
{
	struct clone_args_k a = { .flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD };

	return process_clone(self, &a);
}

static int clone3_check(const struct clone_args_user_k *u)
{
	const u64 known = (0xffffffffull & ~CSIGNAL) | CLONE_CLEAR_SIGHAND;

	if (u->set_tid_size > 32 || (!u->set_tid != !u->set_tid_size))
		return -EINVAL;
	if (u->exit_signal > SIGMAX)
		return -EINVAL;
	if ((u->flags & ~known) || (u->flags & CLONE_DETACHED))
		return -EINVAL;
	if ((u->flags & CLONE_SIGHAND) && (u->flags & CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((u->flags & (CLONE_THREAD | CLONE_PARENT)) && u->exit_signal)
		return -EINVAL;
	if (!u->stack != !u->stack_size)
		return -EINVAL;
	if (u->stack && !user_range_ok(UPTR(u->stack), u->stack_size))
		return -EINVAL;
	return 0;
}

i64 sys_clone3(struct task *self, uptr_t args, u64 size)
{
	struct clone_args_user_k u;
	int err;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	err = user_struct_in(&u, sizeof(u), args, size);
	if (!err)
		err = clone3_check(&u);
	if (err)
		return err;
	struct clone_args_k a = {
		.flags = u.flags, .exit_signal = (u32)u.exit_signal,
		.pidfd = UPTR(u.pidfd), .child_tid = UPTR(u.child_tid), .parent_tid = UPTR(u.parent_tid),
		.stack = u.stack + u.stack_size, .tls = u.tls,
		.set_tid = UPTR(u.set_tid), .set_tid_size = u.set_tid_size,
	};
	return process_clone(self, &a);
}

i64 sys_exit(struct task *self, int code)
{
	task_exit((code & 0xff) << 8);
}

i64 sys_exit_group(struct task *self, int code)
{
	process_exit_group((code & 0xff) << 8);
}

i64 sys_execve(struct task *self, uptr_t path, uptr_t argv, uptr_t envp)
{
	AUTO(pathbuf) name = NULL;
	int err = pathbuf_from_user(path, &name);

	return err ? err : process_exec(self, AT_FDCWD, name->text, argv, envp, 0);
}

i64 sys_execveat(struct task *self, int dfd, uptr_t path, uptr_t argv, uptr_t envp, int flags)
{
	AUTO(pathbuf) name = NULL;
	int err;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	err = pathbuf_from_user(path, &name);
	return err ? err : process_exec(self, dfd, name->text, argv, envp, flags);
}

static i64 rusage_put(uptr_t ru, const struct wait_result *w)
{
	struct rusage_user_k u;

	if (uptr_is_null(ru))
		return 0;
	rusage_to_user(&w->ru, &u);
	return user_put(ru, &u);
}

i64 sys_wait4(struct task *self, i32 pid, uptr_t status, int options, uptr_t ru)
{
	const u32 known = WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
	struct wait_result w = { 0 };
	u32 which = WAIT_BY_PID, id = (u32)pid;
	i64 n;

	if ((u32)options & ~known)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	if (pid == -1) {
		which = WAIT_ANY;
	} else if (pid <= 0) {
		which = WAIT_BY_PGID;
		id = pid ? (u32)-pid : process_pgid(self->proc);
	}
	n = process_wait(self, which, id, (u32)options | WEXITED, &w);
	if (n <= 0)
		return n;
	if (!uptr_is_null(status) && user_put(status, &w.status))
		return -EFAULT;
	return rusage_put(ru, &w) ? -EFAULT : n;
}

/* Which children a waitid means. */
static int waitid_target(struct task *self, int idtype, i32 id, u32 *which, u32 *target)
{
	*target = (u32)id;
	switch (idtype) {
	case P_ALL:
		*which = WAIT_ANY;
		return 0;
	case P_PID:
		*which = WAIT_BY_PID;
		return id > 0 ? 0 : -EINVAL;
	case P_PGID:
		*which = WAIT_BY_PGID;
		if (!id)
			*target = process_pgid(self->proc);
		return id >= 0 ? 0 : -EINVAL;
	case P_PIDFD:
		*which = WAIT_BY_PIDFD;
		return id >= 0 ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

/* The fields that Linux writes: the head and pid, uid, status. */
static i64 waitid_info(uptr_t info, const struct wait_result *w, bool found)
{
	i32 head[3] = { found ? SIGCHLD : 0, 0, found ? w->code : 0 };
	u32 body[3] = { w->pid, w->uid, (u32)w->code_value };

	if (uptr_is_null(info))
		return 0;
	if (user_copy_out(info, head, sizeof(head)) || user_copy_out(uptr_add(info, 16), body, sizeof(body)))
		return -EFAULT;
	return 0;
}

i64 sys_waitid(struct task *self, int idtype, i32 id, uptr_t info, int uoptions, uptr_t ru)
{
	const u32 known = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
	struct wait_result w = { 0 };
	u32 options = (u32)uoptions, which = 0, target = 0;
	i64 n;

	if (options & ~known || !(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	n = waitid_target(self, idtype, id, &which, &target);
	if (!n)
		n = process_wait(self, which, target, options, &w);
	/* A pidfd that does not block says "nothing yet" with -EAGAIN, but WNOHANG asked for 0. */
	if (n == -EAGAIN && (options & WNOHANG))
		n = 0;
	if (n < 0)
		return n;
	if (n && rusage_put(ru, &w))
		return -EFAULT;
	return waitid_info(info, &w, n > 0);
}

i64 sys_getpid(struct task *self)
{
	return self->vfs.tgid;
}

i64 sys_gettid(struct task *self)
{
	return self->tid;
}

i64 sys_getppid(struct task *self)
{
	return process_ppid(self->proc);
}

i64 sys_set_tid_address(struct task *self, uptr_t tidptr)
{
	self->clear_tid = tidptr;
	return self->tid;
}

i64 sys_setpgid(struct task *self, i32 pid, i32 pgid)
{
	if (pid < 0)
		return pgid < 0 ? -EINVAL : -ESRCH;
	if (!pid)
		pid = (i32)self->proc->pid;
	if (!pgid)
		pgid = pid;
	return pgid < 0 ? -EINVAL : process_setpgid(self, (u32)pid, (u32)pgid);
}

/* One fact about a process: 0 is the caller's own. */
static i64 ask_process(struct task *self, i32 pid, u32 (*ask)(struct process *p))
{
	if (!pid)
		return ask(self->proc);
	AUTO(task) t = pid > 0 ? task_find((u32)pid) : NULL;
	return t ? (i64)ask(t->proc) : -ESRCH;
}

i64 sys_getpgid(struct task *self, i32 pid)
{
	return ask_process(self, pid, process_pgid);
}

i64 sys_getpgrp(struct task *self)
{
	return process_pgid(self->proc);
}

i64 sys_getsid(struct task *self, i32 pid)
{
	return ask_process(self, pid, process_sid);
}

i64 sys_setsid(struct task *self)
{
	return process_setsid(self);
}

/* Everything is allocated before anything changes; process.lock is for those who look at the tables from outside. */
int task_unshare(struct task *self, bool want_fs, bool want_fds)
{
	struct fs_view *fs = NULL, *old_fs = self->vfs.fs;
	struct fdtable *fds = NULL, *old_fds = self->vfs.fds;

	if (want_fs && ref_read(&old_fs->refs) > 1) {
		fs = fs_view_dup(old_fs);
		if (!fs)
			return -ENOMEM;
	}
	if (want_fds && ref_read(&old_fds->refs) > 1) {
		fds = fdtable_dup(old_fds);
		if (!fds) {
			if (fs)
				fs_view_put(fs);
			return -ENOMEM;
		}
	}
	spin_lock(&self->proc->lock);
	if (fs)
		self->vfs.fs = fs;
	if (fds)
		self->vfs.fds = fds;
	spin_unlock(&self->proc->lock);
	if (fs)
		fs_view_put(old_fs);
	if (fds)
		fdtable_put(old_fds);
	return 0;
}

i64 sys_unshare(struct task *self, u64 flags)
{
	if (flags & ~(u64)(CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES | CLONE_SYSVSEM))
		return -EINVAL;
	if ((flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)) && atomic_read(&self->proc->live_threads) > 1)
		return -EINVAL;
	if ((flags & (CLONE_SIGHAND | CLONE_VM)) && ref_read(&self->proc->sighand->refs) > 1)
		return -EINVAL;
	if ((flags & CLONE_VM) && atomic_read(&aspace_current()->users) > 1)
		return -EINVAL;
	return task_unshare(self, flags & CLONE_FS, flags & CLONE_FILES);
}

i64 sys_pidfd_open(struct task *self, i32 pid, u32 flags)
{
	struct file *f = NULL;
	int err;

	if ((flags & ~(u32)PIDFD_NONBLOCK) || pid <= 0)
		return -EINVAL;
	err = pidfd_open_file((u32)pid, flags, &f);
	return err ? err : fd_install_new(self, f, true);
}

i64 sys_pidfd_getfd(struct task *self, int pidfd, int fd, u32 flags)
{
	struct process *p;
	struct file *f = NULL;
	struct fdtable *fds;

	if (flags)
		return -EINVAL;
	AUTO_FD r = fd_use(self, pidfd);
	p = r.file ? pidfd_process(r.file) : NULL;
	if (!p)
		return -EBADF;
	AUTO(task) t = process_thread_next(p, 0);
	if (!t)
		return -ESRCH;
	if (!process_may_inspect(self->vfs.cred, p))
		return -EPERM;
	fds = task_fdtable_get(t);
	if (!fds)
		return -ESRCH;
	f = fdtable_file(fds, fd, true);
	fdtable_put(fds);
	return f ? fd_install_new(self, f, true) : -EBADF;
}

i64 sys_personality(struct task *self, u32 persona)
{
	u32 old = self->personality;

	if (persona != ~0u)
		self->personality = persona;
	return old;
}

i64 sys_arch_prctl(struct task *self, int option, u64 arg)
{
	u64 base;

	switch (option) {
	case ARCH_SET_FS:
		return arch_set_fs_base(arg);
	case ARCH_SET_GS:
		return arch_set_gs_base(arg);
	case ARCH_GET_FS:
		base = arch_get_fs_base();
		return user_put(UPTR(arg), &base);
	case ARCH_GET_GS:
		base = arch_get_gs_base();
		return user_put(UPTR(arg), &base);
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return -ENODEV;		/* CPUID cannot be made to fault here */
	default:
		return -EINVAL;
	}
}
