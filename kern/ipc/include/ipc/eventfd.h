/* eventfd, timerfd, epoll, inotify: descriptors that tell of events.  Files come back with one reference. */
#pragma once

#include <vfs/vfs.h>

MUST_USE int eventfd_create(u32 initial, u32 flags, struct file **out);		/* EFD_* */
MUST_USE int timerfd_create_file(u32 clock, u32 flags, struct file **out);		/* TFD_*; -EINVAL */
/* spec: interval, value (ns); flags TFD_TIMER_ABSTIME, CANCEL_ON_SET. */
MUST_USE int timerfd_settime(struct file *f, u32 flags, const u64 spec[2], u64 old[2]);
MUST_USE int timerfd_gettime(struct file *f, u64 out[2]);

struct epoll_event_k { u32 events; u64 data; } PACKED;
MUST_USE int epoll_create_file(struct file **out);
/* op EPOLL_CTL_ADD 1, DEL 2, MOD 3.  fd is the number given (part of the key).  -EEXIST -ENOENT -EPERM -EINVAL -ELOOP -ENOMEM. */
MUST_USE int epoll_control(struct file *ep, u32 op, int fd, struct file *target, const struct epoll_event_k *ev);
/* Events into user memory: count, 0 at the deadline, -errno (-EINTR). */
MUST_USE i64 epoll_wait_user(struct file *ep, uptr_t events, u32 max, u64 deadline_ns);
void epoll_file_closed(struct file *f);		/* vfs calls it on the last put of a watched file, by epoll_release_hook */

MUST_USE int inotify_create_file(u32 flags, struct file **out);
MUST_USE i64 inotify_add(struct file *f, const struct path *p, u32 mask);	/* watch descriptor */
MUST_USE int inotify_remove(struct file *f, i32 wd);
extern u32 sysctl_inotify_max_queued;		/* events that wait before the queue overflows */
void ipc_init(void);
