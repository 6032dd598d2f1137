/* poll, ppoll, select, pselect6. */
#include "poll.h"

#define POLL_FAST   32u			/* pollfds on the stack */
#define FDSET_FAST  4u			/* words per set on the stack: 256 descriptors */
#define SELECT_IN   (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT  (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX   (POLLPRI)

/* Asks every descriptor once; how many have something to tell. */
static i64 poll_round(struct task *self, struct poll_set *s, struct pollfd_k *fds, u32 n)
{
	i64 count = 0;

	for (u32 i = 0; i < n; i++) {
		u32 ev = 0;

		if (fds[i].fd >= 0) {
			ev = poll_set_ask(self, s, fds[i].fd);
			ev &= (u16)fds[i].events | POLLERR | POLLHUP | POLLNVAL;
		}
		fds[i].revents = (i16)ev;
		if (ev) {
			count++;
			s->pt.add = NULL;	/* the answer is known: no need to wait */
		}
	}
	return count;
}

static i64 poll_loop(struct task *self, struct pollfd_k *fds, u32 n, u64 deadline)
{
	struct poll_set s;
	i64 count;
	int err;

	poll_set_begin(&s, deadline != 0);
	for (;;) {
		count = poll_round(self, &s, fds, n);
		if (count || !deadline)
			break;
		err = poll_set_sleep(&s, deadline);
		if (err == -ETIMEDOUT) {
			count = poll_round(self, &s, fds, n);
			break;
		}
		if (err) {
			count = err;
			break;
		}
	}
	poll_set_end(&s);
	return count;
}

/* One descriptor is the usual number: copies of known size. */
static i64 poll_one(struct task *self, uptr_t ufd, u64 deadline)
{
	struct pollfd_k fd;
	i64 count;

	if (user_get(&fd, ufd))
		return -EFAULT;
	count = poll_loop(self, &fd, 1, deadline);
	return count >= 0 && user_put(ufd, &fd) ? -EFAULT : count;
}

static NOINLINE i64 poll_many(struct task *self, uptr_t ufds, u32 n, u64 deadline)
{
	struct pollfd_k fast[POLL_FAST], *fds = fast;
	AUTO(kptr) big = NULL;
	u64 size = (u64)n * sizeof(*fds);
	i64 count;

	if (n > POLL_FAST) {
		big = kmalloc(size);
		if (!big)
			return -ENOMEM;
		fds = big;
	}
	if (user_copy_in(fds, ufds, size))
		return -EFAULT;
	count = poll_loop(self, fds, n, deadline);
	if (count >= 0 && user_copy_out(ufds, fds, size))
		return -EFAULT;
	return count;
}

/* deadline 0: only look.  -EINTR is left to the callers, who restart differently. */
static i64 poll_common(struct task *self, uptr_t ufds, u32 n, u64 deadline)
{
	if (n > fd_limit(self))
		return -EINVAL;
	return n == 1 ? poll_one(self, ufds, deadline) : poll_many(self, ufds, n, deadline);
}

static i64 poll_again(struct task *self);

static i64 poll_restartable(struct task *self, uptr_t fds, u32 n, u64 deadline)
{
	i64 r = poll_common(self, fds, n, deadline);

	if (r != -EINTR)
		return r;
	self->restart.fn = poll_again;
	self->restart.arg[0] = fds.v;
	self->restart.arg[1] = n;
	self->restart.arg[2] = deadline;
	return -ERESTART_RESTARTBLOCK;
}

static i64 poll_again(struct task *self)
{
	const u64 *a = self->restart.arg;

	return poll_restartable(self, UPTR(a[0]), (u32)a[1], a[2]);
}

i64 sys_poll(struct task *self, uptr_t fds, u32 nfds, int timeout)
{
	u64 deadline = DEADLINE_NEVER;

	if (timeout >= 0)
		deadline = timeout ? deadline_after((u64)timeout * NSEC_PER_MSEC) : 0;
	return poll_restartable(self, fds, nfds, deadline);
}

/* The deadline of an optional relative timespec; 0 for one that is zero. */
static int optional_deadline(uptr_t tsp, u64 *deadline)
{
	u64 ns;
	int err;

	*deadline = DEADLINE_NEVER;
	if (uptr_is_null(tsp))
		return 0;
	err = user_timespec(tsp, &ns);
	if (!err)
		*deadline = ns ? deadline_after(ns) : 0;
	return err;
}

/* Writes back what is left.  Where that fails the call cannot be restarted: it would wait the full time again. */
static i64 finish_left(uptr_t tsp, bool micro, u64 deadline, i64 ret)
{
	u64 left = deadline && deadline != DEADLINE_NEVER ? deadline_left(deadline) : 0;
	struct timespec_k ts = ns_to_timespec(left);
	struct timeval_k tv = ns_to_timeval(left);
	bool failed;

	if (ret == -EINTR)
		ret = -ERESTARTNOHAND;
	if (uptr_is_null(tsp))
		return ret;
	failed = micro ? user_put(tsp, &tv) != 0 : user_put(tsp, &ts) != 0;
	return failed && ret == -ERESTARTNOHAND ? -EINTR : ret;
}

i64 sys_ppoll(struct task *self, uptr_t fds, u32 nfds, uptr_t tsp, uptr_t mask, u64 setsize)
{
	u64 deadline;
	i64 ret;
	int err = optional_deadline(tsp, &deadline);

	if (!err)
		err = user_sigmask_apply(self, mask, setsize);
	if (err)
		return err;
	ret = finish_left(tsp, false, deadline, poll_common(self, fds, nfds, deadline));
	user_sigmask_finish(self, !uptr_is_null(mask), ret);
	return ret;
}

/* The three sets of a select: asked for, and found. */
struct select_sets {
	u32 n;			/* descriptors */
	u32 words;		/* per set */
	u64 *want[3], *have[3];
	u64 fast[6 * FDSET_FAST];
	void *big;
};

static int sets_in(struct task *self, struct select_sets *s, int n, const uptr_t user[3])
{
	u64 *mem = s->fast;

	s->big = NULL;
	if (n < 0)
		return -EINVAL;
	s->n = MIN((u32)n, READ_ONCE(self->vfs.fds->size));
	s->words = (s->n + 63) / 64;
	if (s->words > FDSET_FAST) {
		s->big = kmalloc(6 * s->words * sizeof(u64));
		if (!s->big)
			return -ENOMEM;
		mem = s->big;
	}
	memset(mem, 0, 6 * s->words * sizeof(u64));
	for (u32 i = 0; i < 3; i++) {
		s->want[i] = mem + i * s->words;
		s->have[i] = mem + (3 + i) * s->words;
		if (!uptr_is_null(user[i]) && user_copy_in(s->want[i], user[i], s->words * sizeof(u64)))
			return -EFAULT;
		if (s->n % 64 && s->words)
			s->want[i][s->words - 1] &= (1ull << s->n % 64) - 1;
	}
	return 0;
}

static i64 sets_out(struct select_sets *s, const uptr_t user[3])
{
	for (u32 i = 0; i < 3; i++)
		if (!uptr_is_null(user[i]) && user_copy_out(user[i], s->have[i], s->words * sizeof(u64)))
			return -EFAULT;
	return 0;
}

/* One descriptor: bits found, or -EBADF. */
static i64 select_ask(struct task *self, struct poll_set *ps, struct select_sets *s, u32 fd)
{
	static const u32 masks[3] = { SELECT_IN, SELECT_OUT, SELECT_EX };
	u64 bit = 1ull << fd % 64;
	u32 ev = poll_set_ask(self, ps, (int)fd);
	i64 found = 0;

	if (ev & POLLNVAL)
		return -EBADF;
	for (u32 i = 0; i < 3; i++)
		if ((s->want[i][fd / 64] & bit) && (ev & masks[i])) {
			s->have[i][fd / 64] |= bit;
			found++;
		}
	return found;
}

static i64 select_round(struct task *self, struct poll_set *ps, struct select_sets *s)
{
	i64 count = 0;

	for (u32 w = 0; w < s->words; w++) {
		u64 bits = s->want[0][w] | s->want[1][w] | s->want[2][w];

		while (bits) {
			u32 fd = w * 64 + (u32)__builtin_ctzll(bits);
			i64 found = select_ask(self, ps, s, fd);

			if (found < 0)
				return found;
			bits &= bits - 1;
			count += found;
			if (count)
				ps->pt.add = NULL;
		}
	}
	return count;
}

static i64 select_loop(struct task *self, struct select_sets *s, u64 deadline)
{
	struct poll_set ps;
	i64 count;

	poll_set_begin(&ps, deadline != 0);
	for (;;) {
		count = select_round(self, &ps, s);
		if (count || !deadline)
			break;
		int err = poll_set_sleep(&ps, deadline);
		if (err == -ETIMEDOUT) {
			count = select_round(self, &ps, s);
			break;
		}
		if (err) {
			count = err;
			break;
		}
	}
	poll_set_end(&ps);
	return count;
}

static i64 select_common(struct task *self, int n, const uptr_t user[3], u64 deadline)
{
	struct select_sets s;
	i64 ret = sets_in(self, &s, n, user);

	if (!ret)
		ret = select_loop(self, &s, deadline);
	if (ret >= 0 && sets_out(&s, user))
		ret = -EFAULT;
	kfree(s.big);
	return ret;
}

i64 sys_select(struct task *self, int n, uptr_t inp, uptr_t outp, uptr_t exp, uptr_t tvp)
{
	const uptr_t user[3] = { inp, outp, exp };
	u64 deadline = DEADLINE_NEVER, ns;
	struct timeval_k tv;
	struct timespec_k ts;

	if (!uptr_is_null(tvp)) {
		if (user_get(&tv, tvp))
			return -EFAULT;
		ts = (struct timespec_k){ tv.sec + tv.usec / 1000000, tv.usec % 1000000 * 1000 };
		if (timespec_to_ns(&ts, &ns))
			return -EINVAL;
		deadline = ns ? deadline_after(ns) : 0;
	}
	return finish_left(tvp, true, deadline, select_common(self, n, user, deadline));
}

i64 sys_pselect6(struct task *self, int n, uptr_t inp, uptr_t outp, uptr_t exp, uptr_t tsp, uptr_t sig)
{
	const uptr_t user[3] = { inp, outp, exp };
	struct sigset_arg_k arg = { 0 };
	u64 deadline;
	i64 ret;
	int err;

	if (!uptr_is_null(sig) && user_get(&arg, sig))
		return -EFAULT;
	err = optional_deadline(tsp, &deadline);
	if (!err)
		err = user_sigmask_apply(self, UPTR(arg.set), arg.size);
	if (err)
		return err;
	ret = finish_left(tsp, false, deadline, select_common(self, n, user, deadline));
	user_sigmask_finish(self, arg.set != 0, ret);
	return ret;
}
