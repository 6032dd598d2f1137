/* eventfd, timerfd, epoll, inotify. */
#include <ipc/eventfd.h>
#include "abi.h"

#define EPOLL_MAX_EVENTS (INT32_MAX / 12)
#define INOTIFY_BITS	 (0xfffu | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ONESHOT | \
			  IN_ISDIR | 0x2000u | 0x4000u | 0x8000u)

i64 sys_eventfd2(struct task *self, u32 count, int flags)
{
	struct file *f = NULL;
	int err;

	if (flags & ~(EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC))
		return -EINVAL;
	err = eventfd_create(count, (u32)flags, &f);
	return err ? err : fd_install_new(self, f, flags & EFD_CLOEXEC);
}

i64 sys_eventfd(struct task *self, u32 count)
{
	return sys_eventfd2(self, count, 0);
}

i64 sys_timerfd_create(struct task *self, int clock, int flags)
{
	struct file *f = NULL;
	int err;

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
		break;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		if (!is_cap(self, CAP_WAKE_ALARM))
			return -EPERM;
		break;
	default:
		return -EINVAL;
	}
	err = timerfd_create_file((u32)clock, (u32)flags, &f);
	return err ? err : fd_install_new(self, f, flags & TFD_CLOEXEC);
}

static i64 itimerspec_out(uptr_t p, const u64 spec[2])
{
	struct itimerspec_k it = { ns_to_timespec(spec[0]), ns_to_timespec(spec[1]) };

	return user_put(p, &it);
}

i64 sys_timerfd_settime(struct task *self, int fd, int flags, uptr_t value, uptr_t old)
{
	struct itimerspec_k it;
	u64 spec[2], was[2];
	int err;

	if (user_get(&it, value))
		return -EFAULT;
	if ((flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) || timespec_to_ns(&it.interval, &spec[0]) ||
	    timespec_to_ns(&it.value, &spec[1]))
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	err = timerfd_settime(r.file, (u32)flags, spec, was);
	if (err)
		return err;
	return uptr_is_null(old) ? 0 : itimerspec_out(old, was);
}

i64 sys_timerfd_gettime(struct task *self, int fd, uptr_t value)
{
	u64 spec[2];
	int err;

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	err = timerfd_gettime(r.file, spec);
	return err ? err : itimerspec_out(value, spec);
}

i64 sys_epoll_create1(struct task *self, int flags)
{
	struct file *f = NULL;
	int err;

	if (flags & ~(int)O_CLOEXEC)
		return -EINVAL;
	err = epoll_create_file(&f);
	return err ? err : fd_install_new(self, f, flags & O_CLOEXEC);
}

i64 sys_epoll_create(struct task *self, int size)
{
	return size <= 0 ? -EINVAL : sys_epoll_create1(self, 0);
}

i64 sys_epoll_ctl(struct task *self, int epfd, int op, int fd, uptr_t event)
{
	struct epoll_event_k ev = { 0 };

	if (op != EPOLL_CTL_DEL && user_get(&ev, event))
		return -EFAULT;
	AUTO_FD ep = fd_use(self, epfd);
	if (!ep.file)
		return -EBADF;
	AUTO_FD target = fd_use(self, fd);
	if (!target.file)
		return -EBADF;
	return epoll_control(ep.file, (u32)op, fd, target.file, &ev);
}

static ALWAYS_INLINE i64 epoll_common(struct task *self, int epfd, uptr_t events, int max, u64 deadline)
{
	if (max <= 0 || max > EPOLL_MAX_EVENTS)
		return -EINVAL;
	if (!user_range_ok(events, (u64)max * sizeof(struct epoll_event_k)))
		return -EFAULT;
	AUTO_FD r = fd_use(self, epfd);
	return r.file ? epoll_wait_user(r.file, events, (u32)max, deadline) : -EBADF;
}

static u64 ms_deadline(int timeout)
{
	if (timeout < 0)
		return DEADLINE_NEVER;
	return timeout ? deadline_after((u64)timeout * NSEC_PER_MSEC) : 0;
}

i64 sys_epoll_wait(struct task *self, int epfd, uptr_t events, int max, int timeout)
{
	return epoll_common(self, epfd, events, max, ms_deadline(timeout));
}

static i64 epoll_masked(struct task *self, int epfd, uptr_t events, int max, u64 deadline, uptr_t mask, u64 setsize)
{
	int err;
	i64 ret;

	if (uptr_is_null(mask))
		return epoll_common(self, epfd, events, max, deadline);
	err = user_sigmask_apply(self, mask, setsize);
	if (err)
		return err;
	ret = epoll_common(self, epfd, events, max, deadline);
	user_sigmask_finish(self, true, ret);
	return ret;
}

i64 sys_epoll_pwait(struct task *self, int epfd, uptr_t events, int max, int timeout, uptr_t mask, u64 setsize)
{
	return epoll_masked(self, epfd, events, max, ms_deadline(timeout), mask, setsize);
}

i64 sys_epoll_pwait2(struct task *self, int epfd, uptr_t events, int max, uptr_t timeout, uptr_t mask, u64 setsize)
{
	u64 ns, deadline = DEADLINE_NEVER;

	if (!uptr_is_null(timeout)) {
		int err = user_timespec(timeout, &ns);

		if (err)
			return err;
		deadline = ns ? deadline_after(ns) : 0;
	}
	return epoll_masked(self, epfd, events, max, deadline, mask, setsize);
}

i64 sys_inotify_init1(struct task *self, int flags)
{
	struct file *f = NULL;
	int err;

	if (flags & ~(int)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	err = inotify_create_file((u32)flags, &f);
	return err ? err : fd_install_new(self, f, flags & O_CLOEXEC);
}

i64 sys_inotify_init(struct task *self)
{
	return sys_inotify_init1(self, 0);
}

i64 sys_inotify_add_watch(struct task *self, int fd, uptr_t path, u32 mask)
{
	AUTO_PATH p = { 0 };
	int err;

	if (mask & ~INOTIFY_BITS || !(mask & INOTIFY_BITS))
		return -EINVAL;
	if ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE))
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	err = user_walk(self, AT_FDCWD, path, (mask & IN_DONT_FOLLOW ? 0 : WALK_FOLLOW) |
			(mask & IN_ONLYDIR ? WALK_DIRECTORY : 0), &p);
	if (!err)
		err = vfs_permission(self->vfs.cred, &p, MAY_READ);
	return err ? err : inotify_add(r.file, &p, mask);
}

i64 sys_inotify_rm_watch(struct task *self, int fd, int wd)
{
	AUTO_FD r = fd_use(self, fd);

	return r.file ? inotify_remove(r.file, wd) : -EBADF;
}
