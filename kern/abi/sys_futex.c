/*
 * futex: what the operations mean.  The core reads the word with a nofault
 * access under its bucket lock; when that fails the page is brought in here,
 * with no lock held, and the operation starts again.
 */
#include <mem/page.h>
#include <sched/futex.h>
#include "abi.h"

#define FUTEX_PRIVATE_FLAG    128
#define FUTEX_CLOCK_REALTIME  256
#define FUTEX_BITSET_ANY      (~0u)
#define FUTEX_WAITV_MAX	      128u

/* Makes the word at uaddr present (and writable).  False: it is not there. */
static bool fault_in(uptr_t uaddr, bool write)
{
	struct page *pg;
	u32 word;

	if (thread_fatal_pending())
		return false;
	if (!write)
		return !user_get(&word, uaddr);
	if (aspace_pin_page(aspace_current(), uaddr.v & PAGE_MASK, true, &pg))
		return false;
	page_put(pg);
	return true;
}

static i64 wait_again(struct task *self);

static i64 do_wait(struct task *self, uptr_t uaddr, bool shared, u32 val, u32 bitset, u64 deadline)
{
	struct futex_key key;
	int err;

	if (!bitset)
		return -EINVAL;
	do {
		err = vm_futex_key(uaddr, shared, &key);
		if (err)
			return err;
		err = futex_wait(&key, uaddr, val, bitset, deadline);
	} while (err == -EFAULT && fault_in(uaddr, false));
	if (err != -ERESTARTSYS || deadline == DEADLINE_NEVER)
		return err;
	self->restart.fn = wait_again;
	self->restart.arg[0] = uaddr.v;
	self->restart.arg[1] = shared;
	self->restart.arg[2] = val;
	self->restart.arg[3] = bitset;
	self->restart.arg[4] = deadline;
	return -ERESTART_RESTARTBLOCK;
}

static i64 wait_again(struct task *self)
{
	const u64 *a = self->restart.arg;

	return do_wait(self, UPTR(a[0]), a[1], (u32)a[2], (u32)a[3], a[4]);
}

static i64 do_wake(uptr_t uaddr, bool shared, u32 val, u32 bitset)
{
	struct futex_key key;
	int err;

	if (!bitset)
		return -EINVAL;
	err = vm_futex_key(uaddr, shared, &key);
	/* Linux wakes one even when asked for none. */
	return err ? err : (i64)futex_wake(&key, (i32)val < 1 ? 1 : val, bitset);
}

static i64 do_requeue(uptr_t uaddr, uptr_t uaddr2, bool shared, u32 nwake, u32 nmove, bool cmp, u32 val)
{
	struct futex_key from, to;
	i64 n;

	if ((i32)nwake < 0 || (i32)nmove < 0)
		return -EINVAL;
	do {
		int err = vm_futex_key(uaddr, shared, &from);

		if (!err)
			err = vm_futex_key(uaddr2, shared, &to);
		if (err)
			return err;
		n = futex_requeue(&from, uaddr, &to, nwake, nmove, cmp, val);
	} while (n == -EFAULT && fault_in(uaddr, false));
	return n;
}

static i64 do_wake_op(uptr_t uaddr, uptr_t uaddr2, bool shared, u32 nwake, u32 nwake2, u32 op)
{
	struct futex_key k1, k2;
	i64 n;

	do {
		int err = vm_futex_key(uaddr, shared, &k1);

		if (!err)
			err = vm_futex_key(uaddr2, shared, &k2);
		if (err)
			return err;
		n = futex_wake_op(&k1, &k2, uaddr2, nwake, nwake2, op);
	} while (n == -EFAULT && fault_in(uaddr2, true));
	return n;
}

/* The deadline of a wait: relative for FUTEX_WAIT, absolute for the others. */
static int wait_deadline(int cmd, bool realtime, u64 timeout, u64 *deadline)
{
	u64 ns;
	int err;

	*deadline = DEADLINE_NEVER;
	if (!timeout)
		return 0;
	err = user_timespec(UPTR(timeout), &ns);
	if (err)
		return err;
	*deadline = cmd == FUTEX_WAIT ? deadline_after(ns) : deadline_at(realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC, ns);
	return 0;
}

i64 sys_futex(struct task *self, uptr_t uaddr, int op, u32 val, u64 timeout, uptr_t uaddr2, u32 val3)
{
	int cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME), err;
	bool shared = !(op & FUTEX_PRIVATE_FLAG), realtime = op & FUTEX_CLOCK_REALTIME;
	u64 deadline;

	if (realtime && cmd != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		err = wait_deadline(cmd, realtime, timeout, &deadline);
		if (err)
			return err;
		return do_wait(self, uaddr, shared, val, cmd == FUTEX_WAIT ? FUTEX_BITSET_ANY : val3, deadline);
	case FUTEX_WAKE:
		return do_wake(uaddr, shared, val, FUTEX_BITSET_ANY);
	case FUTEX_WAKE_BITSET:
		return do_wake(uaddr, shared, val, val3);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return do_requeue(uaddr, uaddr2, shared, val, (u32)timeout, cmd == FUTEX_CMP_REQUEUE, val3);
	case FUTEX_WAKE_OP:
		return do_wake_op(uaddr, uaddr2, shared, val, (u32)timeout, val3);
	default:
		return -ENOSYS;
	}
}

/* Arrays of a futex_waitv call, in one allocation. */
struct waitv {
	struct futex_key key[FUTEX_WAITV_MAX];
	uptr_t uaddr[FUTEX_WAITV_MAX];
	u32 val[FUTEX_WAITV_MAX];
	bool shared[FUTEX_WAITV_MAX];
};

static int waitv_in(struct waitv *w, uptr_t waiters, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		struct futex_waitv_k u;

		if (user_get(&u, uptr_add(waiters, i * sizeof(u))))
			return -EFAULT;
		if ((u.flags & ~(FUTEX_32 | FUTEX_PRIVATE_FLAG)) || !(u.flags & FUTEX_32) || u.reserved)
			return -EINVAL;
		w->uaddr[i] = UPTR(u.uaddr);
		w->val[i] = (u32)u.val;
		w->shared[i] = !(u.flags & FUTEX_PRIVATE_FLAG);
	}
	return 0;
}

static i64 waitv_run(struct waitv *w, u32 nr, u64 deadline)
{
	for (;;) {
		bool there = true;
		i64 n;

		for (u32 i = 0; i < nr; i++) {
			int err = vm_futex_key(w->uaddr[i], w->shared[i], &w->key[i]);

			if (err)
				return err;
		}
		n = futex_waitv(w->key, w->uaddr, w->val, nr, deadline);
		if (n != -EFAULT)
			return n;
		for (u32 i = 0; i < nr && there; i++)
			there = fault_in(w->uaddr[i], false);
		if (!there)
			return -EFAULT;
	}
}

i64 sys_futex_waitv(struct task *self, uptr_t waiters, u32 nr, u32 flags, uptr_t timeout, int clock)
{
	AUTO(kptr) w = NULL;
	u64 ns, deadline = DEADLINE_NEVER;
	int err;

	if (flags || !nr || nr > FUTEX_WAITV_MAX || uptr_is_null(waiters))
		return -EINVAL;
	if (!uptr_is_null(timeout)) {
		if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
			return -EINVAL;
		err = user_timespec(timeout, &ns);
		if (err)
			return err;
		deadline = deadline_at(clock, ns);
	}
	w = kmalloc(sizeof(struct waitv));
	if (!w)
		return -ENOMEM;
	err = waitv_in(w, waiters, nr);
	return err ? err : waitv_run(w, nr, deadline);
}

i64 sys_set_robust_list(struct task *self, uptr_t head, u64 len)
{
	if (len != sizeof(struct robust_list_head_k))
		return -EINVAL;
	self->robust_list = head;
	self->robust_len = len;
	return 0;
}

i64 sys_get_robust_list(struct task *self, i32 pid, uptr_t head, uptr_t len)
{
	u64 size = sizeof(struct robust_list_head_k);

	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	if (t->proc != self->proc && !process_may_inspect(self->vfs.cred, t->proc))
		return -EPERM;
	if (user_put(len, &size))
		return -EFAULT;
	return user_put(head, &t->robust_list.v);
}
