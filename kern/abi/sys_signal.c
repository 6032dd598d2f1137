/* Signals as system calls: actions, masks, sending, waiting. */
#include "abi.h"

i64 sys_rt_sigaction(struct task *self, int sig, uptr_t act, uptr_t oact, u64 setsize)
{
	struct sigaction_k new, old;
	int err;

	if (setsize != SIGSET_SIZE)
		return -EINVAL;
	if (!uptr_is_null(act) && user_get(&new, act))
		return -EFAULT;
	if (sig < 1 || sig > SIGMAX)
		return -EINVAL;
	err = signal_action(self, (u32)sig, uptr_is_null(act) ? NULL : &new, uptr_is_null(oact) ? NULL : &old);
	if (err)
		return err;
	return !uptr_is_null(oact) && user_put(oact, &old) ? -EFAULT : 0;
}

i64 sys_rt_sigprocmask(struct task *self, int how, uptr_t set, uptr_t oset, u64 setsize)
{
	struct sigset64 old = self->blocked, s, new = old;

	if (setsize != SIGSET_SIZE)
		return -EINVAL;
	if (!uptr_is_null(set)) {
		if (user_get(&s, set))
			return -EFAULT;
		switch (how) {
		case SIG_BLOCK:
			new.bits |= s.bits;
			break;
		case SIG_UNBLOCK:
			new.bits &= ~s.bits;
			break;
		case SIG_SETMASK:
			new = s;
			break;
		default:
			return -EINVAL;
		}
		signal_set_blocked(self, new);
	}
	return !uptr_is_null(oset) && user_put(oset, &old) ? -EFAULT : 0;
}

i64 sys_rt_sigpending(struct task *self, uptr_t set, u64 setsize)
{
	struct sigset64 s;

	if (setsize > SIGSET_SIZE)
		return -EINVAL;
	s = signal_pending_set(self);
	return user_copy_out(set, &s, setsize) ? -EFAULT : 0;
}

i64 sys_rt_sigsuspend(struct task *self, uptr_t set, u64 setsize)
{
	struct sigset64 mask;

	if (setsize != SIGSET_SIZE)
		return -EINVAL;
	if (user_get(&mask, set))
		return -EFAULT;
	signal_mask_temporary(self, mask);
	return sys_pause(self);
}

i64 sys_pause(struct task *self)
{
	for (;;) {
		sched_set_state(THREAD_SLEEP_INTR);
		if (thread_signal_pending())
			break;
		sched_block();
	}
	sched_set_state(THREAD_RUNNABLE);
	return -ERESTARTNOHAND;
}

i64 sys_rt_sigtimedwait(struct task *self, uptr_t set, uptr_t info, uptr_t timeout, u64 setsize)
{
	struct siginfo_k si;
	struct sigset64 s;
	u64 ns, deadline = DEADLINE_NEVER;
	i64 sig;

	if (setsize != SIGSET_SIZE)
		return -EINVAL;
	if (user_get(&s, set))
		return -EFAULT;
	if (!uptr_is_null(timeout)) {
		int err = user_timespec(timeout, &ns);

		if (err)
			return err;
		deadline = deadline_after(ns);
	}
	sig = signal_timedwait(self, s, &si, deadline);
	if (sig > 0 && !uptr_is_null(info) && user_put(info, &si))
		return -EFAULT;
	return sig;
}

i64 sys_rt_sigreturn(struct task *self)
{
	return signal_sigreturn(self);
}

i64 sys_sigaltstack(struct task *self, uptr_t ss, uptr_t oss)
{
	struct sigaltstack_k new, old;
	int err;

	if (!uptr_is_null(ss) && user_get(&new, ss))
		return -EFAULT;
	err = signal_altstack(self, uptr_is_null(ss) ? NULL : &new, &old);
	if (err)
		return err;
	return !uptr_is_null(oss) && user_put(oss, &old) ? -EFAULT : 0;
}

i64 sys_kill(struct task *self, i32 pid, int sig)
{
	return (u32)sig > SIGMAX ? -EINVAL : signal_kill(self, pid, (u32)sig);
}

i64 sys_tgkill(struct task *self, i32 tgid, i32 tid, int sig)
{
	if (tid <= 0 || tgid <= 0 || (u32)sig > SIGMAX)
		return -EINVAL;
	return signal_tgkill(self, tgid, tid, (u32)sig);
}

i64 sys_tkill(struct task *self, i32 tid, int sig)
{
	if (tid <= 0 || (u32)sig > SIGMAX)
		return -EINVAL;
	return signal_tgkill(self, 0, tid, (u32)sig);
}

/* To others a program may not pretend to be the kernel or kill(). */
static bool info_is_honest(struct task *self, i32 target, const struct siginfo_k *si)
{
	return (si->code < 0 && si->code != SI_TKILL) || (u32)target == self->proc->pid;
}

i64 sys_rt_sigqueueinfo(struct task *self, i32 tgid, int sig, uptr_t info)
{
	struct siginfo_k si;

	if (user_get(&si, info))
		return -EFAULT;
	si.signo = sig;
	if (!info_is_honest(self, tgid, &si))
		return -EPERM;
	if ((u32)sig > SIGMAX)
		return -EINVAL;
	return tgid > 0 ? signal_queueinfo(self, tgid, 0, (u32)sig, &si) : -ESRCH;
}

i64 sys_rt_tgsigqueueinfo(struct task *self, i32 tgid, i32 tid, int sig, uptr_t info)
{
	struct siginfo_k si;

	if (user_get(&si, info))
		return -EFAULT;
	si.signo = sig;
	if (tid <= 0 || tgid <= 0)
		return -EINVAL;
	if (!info_is_honest(self, tid, &si))
		return -EPERM;
	if ((u32)sig > SIGMAX)
		return -EINVAL;
	return signal_queueinfo(self, tgid, tid, (u32)sig, &si);
}

i64 sys_pidfd_send_signal(struct task *self, int pidfd, int sig, uptr_t info, u32 flags)
{
	struct siginfo_k si = { .signo = sig, .code = SI_USER };
	struct process *p;

	if (flags)
		return -EINVAL;
	AUTO_FD r = fd_use(self, pidfd);
	p = r.file ? pidfd_process(r.file) : NULL;
	if (!p)
		return -EBADF;
	if (!uptr_is_null(info)) {
		if (user_get(&si, info))
			return -EFAULT;
		if (si.signo != sig)
			return -EINVAL;
		if (!info_is_honest(self, (i32)p->pid, &si))
			return -EPERM;
	} else {
		si.rt.pid = (i32)self->proc->pid;
		si.rt.uid = self->vfs.cred->uid;
	}
	if ((u32)sig > SIGMAX)
		return -EINVAL;
	if (process_state_letter(p) == 'X')
		return -ESRCH;
	if (!process_may_signal(self->vfs.cred, p, (u32)sig))
		return -EPERM;
	return sig ? signal_send_process(p, (u32)sig, &si) : 0;
}

static i64 signalfd_common(struct task *self, int fd, uptr_t mask, u64 setsize, int flags)
{
	struct sigset64 s;
	struct file *f = NULL;
	int err;

	if (setsize != SIGSET_SIZE)
		return -EINVAL;
	if (user_get(&s, mask))
		return -EFAULT;
	if (flags & ~(int)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	s.bits &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
	if (fd != -1) {
		AUTO_FD r = fd_use(self, fd);

		if (!r.file)
			return -EBADF;
		err = signalfd_change(r.file, s);
		return err ? err : fd;
	}
	err = signalfd_file(self, s, (u32)flags, &f);
	return err ? err : fd_install_new(self, f, flags & O_CLOEXEC);
}

i64 sys_signalfd(struct task *self, int fd, uptr_t mask, u64 setsize)
{
	return signalfd_common(self, fd, mask, setsize, 0);
}

i64 sys_signalfd4(struct task *self, int fd, uptr_t mask, u64 setsize, int flags)
{
	return signalfd_common(self, fd, mask, setsize, flags);
}
