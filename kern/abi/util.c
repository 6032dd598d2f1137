/* What the glue files share: times, iovecs, strings, masks. */
#include "abi.h"

int user_walk(struct task *self, int dfd, uptr_t p, u32 walk, struct path *out)
{
	AUTO(pathbuf) name = NULL;
	int err = pathbuf_from_user(p, &name);

	if (err)
		return err;
	return vfs_walk(&self->vfs, dfd, name->text, walk, out);
}

int timespec_to_ns(const struct timespec_k *ts, u64 *ns)
{
	if (ts->sec < 0 || (u64)ts->nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if ((u64)ts->sec >= (u64)INT64_MAX / NSEC_PER_SEC)
		*ns = INT64_MAX;
	else
		*ns = (u64)ts->sec * NSEC_PER_SEC + (u64)ts->nsec;
	return 0;
}

int user_timespec(uptr_t p, u64 *ns)
{
	struct timespec_k ts;

	if (user_get(&ts, p))
		return -EFAULT;
	return timespec_to_ns(&ts, ns);
}

u64 deadline_after(u64 ns)
{
	return MIN(clock_mono_ns() + ns, (u64)INT64_MAX);
}

u64 deadline_at(int clock, u64 ns)
{
	u64 now;

	if (clock != CLOCK_REALTIME && clock != CLOCK_TAI && clock != CLOCK_REALTIME_ALARM)
		return ns;
	now = clock_real_ns();
	return ns > now ? deadline_after(ns - now) : 0;
}

/* All of it, before any of it is judged. */
static int iov_copy(struct uio_seg *seg, uptr_t vec, u64 vlen)
{
	if (vlen > UIO_FAST)
		return user_copy_in(seg, vec, vlen * sizeof(*seg)) ? -EFAULT : 0;
	for (u64 i = 0; i < vlen; i++)
		if (user_get(&seg[i], uptr_add(vec, i * sizeof(*seg))))
			return -EFAULT;
	return 0;
}

int iov_import(struct iov_buf *v, uptr_t vec, u64 vlen)
{
	u64 total = 0;

	v->seg = v->fast;
	v->nseg = (u32)vlen;
	v->total = 0;
	if (vlen > UIO_MAXIOV)
		return -EINVAL;
	if (vlen > UIO_FAST) {
		v->seg = kmalloc(vlen * sizeof(*v->seg));
		if (!v->seg) {
			v->seg = v->fast;
			return -ENOMEM;
		}
	}
	if (iov_copy(v->seg, vec, vlen))
		return -EFAULT;
	for (struct uio_seg *s = v->seg, *end = s + vlen; s < end; s++) {
		if ((i64)s->len < 0)
			return -EINVAL;
		if (!user_range_ok(UPTR(s->base), s->len))
			return -EFAULT;
		if (s->len > MAX_RW_COUNT - total)
			s->len = MAX_RW_COUNT - total;
		total += s->len;
	}
	v->total = total;
	return 0;
}

int user_sigmask_apply(struct task *self, uptr_t mask, u64 size)
{
	struct sigset64 set;

	if (uptr_is_null(mask))
		return 0;
	if (size != SIGSET_SIZE)
		return -EINVAL;
	if (user_get(&set, mask))
		return -EFAULT;
	signal_mask_temporary(self, set);
	return 0;
}

int user_strdup(uptr_t p, u64 max, int toolong, char **out)
{
	AUTO(kptr) buf = NULL;
	i64 len = user_strnlen(p, max);

	if (len < 0)
		return (int)len;
	if ((u64)len > max - 1)
		return toolong;
	buf = kmalloc((u64)len + 1);
	if (!buf)
		return -ENOMEM;
	if (user_copy_in(buf, p, (u64)len))
		return -EFAULT;
	((char *)buf)[len] = '\0';
	*out = MOVE(buf);
	return 0;
}

int user_struct_in(void *dst, u64 ksize, uptr_t src, u64 usize)
{
	u8 rest[64];

	memset(dst, 0, ksize);
	for (u64 at = ksize; at < usize;) {
		u64 n = MIN(usize - at, (u64)sizeof(rest));

		if (user_copy_in(rest, uptr_add(src, at), n))
			return -EFAULT;
		for (u64 i = 0; i < n; i++)
			if (rest[i])
				return -E2BIG;
		at += n;
	}
	return user_copy_in(dst, src, MIN(ksize, usize)) ? -EFAULT : 0;
}

void rusage_to_user(const struct rusage_k *ru, struct rusage_user_k *out)
{
	*out = (struct rusage_user_k){
		.utime = ns_to_timeval(ru->user_ns), .stime = ns_to_timeval(ru->sys_ns),
		.maxrss = (i64)ru->maxrss_kb, .minflt = (i64)ru->minflt, .majflt = (i64)ru->majflt,
		.nvcsw = (i64)ru->nvcsw, .nivcsw = (i64)ru->nivcsw,
	};
}

struct task *task_of_pid(struct task *self, i32 pid)
{
	if (pid < 0)
		return NULL;
	return pid ? task_find((u32)pid) : task_get(self);
}

bool pgrp_exists(u32 pgid)
{
	u32 from = 1;

	for (;;) {
		AUTO(process) p = process_next(from);

		if (!p)
			return false;
		if (process_pgid(p) == pgid)
			return true;
		from = p->pid + 1;
	}
}

i64 fd_install_pair(struct task *self, struct file *a, struct file *b, bool cloexec, uptr_t fds)
{
	struct fdtable *t = self->vfs.fds;
	int n[2], err;

	n[0] = fdtable_reserve(t, 0, cloexec, fd_limit(self));
	err = n[0];
	if (n[0] < 0)
		goto drop;
	n[1] = fdtable_reserve(t, 0, cloexec, fd_limit(self));
	err = n[1];
	if (n[1] < 0)
		goto drop_first;
	err = -EFAULT;
	if (user_copy_out(fds, n, sizeof(n)))
		goto drop_second;
	fdtable_fill(t, n[0], a);
	fdtable_fill(t, n[1], b);
	return 0;
drop_second:
	fdtable_unreserve(t, n[1]);
drop_first:
	fdtable_unreserve(t, n[0]);
drop:
	file_put(a);
	file_put(b);
	return err;
}
