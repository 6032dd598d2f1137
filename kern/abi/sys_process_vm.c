/* process_vm_readv and process_vm_writev: another process' memory, through a page-sized buffer. */
#include "abi.h"

/*
 * Moves bytes between the local cursor and the remote ranges in order.  What
 * was moved before the first bad page counts; -EFAULT when that is nothing.
 */
static i64 transfer(struct aspace *as, struct uio *local, const struct iov_buf *remote, bool write)
{
	AUTO(kptr) buf = kmalloc(PAGE_SIZE);
	u64 done = 0;

	if (!buf)
		return -ENOMEM;
	for (u32 i = 0; i < remote->nseg; i++) {
		u64 at = remote->seg[i].base, left = remote->seg[i].len;

		while (left && local->resid) {
			u64 n = MIN(MIN(left, local->resid), PAGE_SIZE - (at & ~PAGE_MASK));
			i64 moved;

			if (write) {
				n = uio_copy_in(local, buf, n);
				moved = n ? aspace_access(as, at, buf, n, true, false) : 0;
			} else {
				moved = aspace_access(as, at, buf, n, false, false);
				if (moved > 0)
					moved = (i64)uio_copy_out(local, buf, (u64)moved);
			}
			if (moved <= 0)
				return done ? (i64)done : -EFAULT;
			done += (u64)moved;
			at += (u64)moved;
			left -= (u64)moved;
		}
	}
	return (i64)done;
}

static i64 process_vm(struct task *self, i32 pid, const struct iov_buf *l, const struct iov_buf *r, bool write)
{
	struct uio local;

	AUTO(task) t = pid > 0 ? task_find((u32)pid) : NULL;
	if (!t)
		return -ESRCH;
	if (t->proc != self->proc && !process_may_inspect(self->vfs.cred, t->proc))
		return -EPERM;
	AUTO(aspace_use) as = process_aspace_get(t->proc);
	if (!as)
		return -ESRCH;
	uio_init_user_vec(&local, l->seg, l->nseg);
	return transfer(as, &local, r, write);
}

static i64 vectors(struct task *self, i32 pid, uptr_t lvec, u64 lcnt, uptr_t rvec, u64 rcnt, bool write)
{
	AUTO_IOV l;
	int err = iov_import(&l, lvec, lcnt);

	if (err)
		return err;
	AUTO_IOV r;
	err = iov_import(&r, rvec, rcnt);
	if (err)
		return err;
	return l.total && r.total ? process_vm(self, pid, &l, &r, write) : 0;
}

i64 sys_process_vm_readv(struct task *self, i32 pid, uptr_t lvec, u64 lcnt, uptr_t rvec, u64 rcnt, u64 flags)
{
	return flags ? -EINVAL : vectors(self, pid, lvec, lcnt, rvec, rcnt, false);
}

i64 sys_process_vm_writev(struct task *self, i32 pid, uptr_t lvec, u64 lcnt, uptr_t rvec, u64 rcnt, u64 flags)
{
	return flags ? -EINVAL : vectors(self, pid, lvec, lcnt, rvec, rcnt, true);
}
