/* prctl. */
#include <core/trace.h>
#include <vm/huge.h>
#include "abi.h"

#define SECBIT_KEEP_CAPS	(1u << 4)
#define SECBIT_KEEP_CAPS_LOCKED (1u << 5)
#define SECBIT_NO_AMBIENT_RAISE (1u << 6)
#define SECBITS_ALL		0xffu
#define SECBITS_LOCKS		0xaau
#define PR_TSC_ENABLE		1
#define PR_CAP_AMBIENT_IS_SET	1
#define PR_CAP_AMBIENT_RAISE	2
#define PR_CAP_AMBIENT_LOWER	3
#define PR_CAP_AMBIENT_CLEAR	4
#define DEFAULT_SLACK_NS	50000u

static i64 put_int(u64 at, i32 v)
{
	return user_put(UPTR(at), &v);
}

static i64 set_name(struct task *self, u64 arg)
{
	char name[16] = { 0 };
	i64 n = user_str_copy_in(name, UPTR(arg), sizeof(name));

	if (n < 0 && n != -ENAMETOOLONG)
		return n;
	name[15] = '\0';
	memset(name + strlen(name), 0, sizeof(name) - strlen(name));
	memcpy(self->thread.name, name, sizeof(name));
	trace_task_comm(self->thread.name);
	return 0;
}

static i64 get_name(struct task *self, u64 arg)
{
	char name[16] = { 0 };

	memcpy(name, self->thread.name, sizeof(name));
	name[15] = '\0';
	return user_copy_out(UPTR(arg), name, sizeof(name)) ? -EFAULT : 0;
}

static i64 set_dumpable(struct task *self, u64 arg)
{
	if (arg > 1)
		return -EINVAL;
	aspace_current()->dumpable = (u32)arg;
	self->proc->dumpable = arg;
	return 0;
}

/* As Yama with ptrace_scope 0: what it would allow is allowed anyway. */
static i64 set_ptracer(u64 arg)
{
	if (!arg || arg == ~0ull)
		return 0;
	AUTO(task) t = task_find((u32)arg);
	return t ? 0 : -EINVAL;
}

static i64 bounding_drop(struct task *self, u64 cap)
{
	struct cred *new;

	if (!is_cap(self, CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST)
		return -EINVAL;
	new = cred_dup(self->vfs.cred);
	if (!new)
		return -ENOMEM;
	new->cap_bounding &= ~(1ull << cap);
	task_commit_cred(self, new);
	return 0;
}

static u32 securebits(const struct cred *c)
{
	return c->securebits | (c->keep_caps ? SECBIT_KEEP_CAPS : 0);
}

static int securebits_commit(struct task *self, u32 bits)
{
	struct cred *new = cred_dup(self->vfs.cred);

	if (!new)
		return -ENOMEM;
	new->securebits = bits & ~SECBIT_KEEP_CAPS;
	new->keep_caps = bits & SECBIT_KEEP_CAPS;
	task_commit_cred(self, new);
	return 0;
}

static i64 set_securebits(struct task *self, u64 bits)
{
	u32 old = securebits(self->vfs.cred);

	/* A locked base bit and its lock stay; a lock sits one above its bit. */
	if (bits & ~(u64)SECBITS_ALL || (((old & SECBITS_LOCKS) >> 1) & (old ^ (u32)bits)) ||
	    (old & SECBITS_LOCKS & ~(u32)bits))
		return -EPERM;
	if (!is_cap(self, CAP_SETPCAP))
		return -EPERM;
	return securebits_commit(self, (u32)bits);
}

static i64 set_keepcaps(struct task *self, u64 on)
{
	u32 old = securebits(self->vfs.cred);

	if (on > 1)
		return -EINVAL;
	if (old & SECBIT_KEEP_CAPS_LOCKED)
		return -EPERM;
	return securebits_commit(self, on ? old | SECBIT_KEEP_CAPS : old & ~SECBIT_KEEP_CAPS);
}

static i64 ambient_change(struct task *self, u64 set, u64 clear)
{
	struct cred *new = cred_dup(self->vfs.cred);

	if (!new)
		return -ENOMEM;
	new->cap_ambient = (new->cap_ambient & ~clear) | set;
	task_commit_cred(self, new);
	return 0;
}

static i64 ambient(struct task *self, u64 op, u64 cap, u64 arg4, u64 arg5)
{
	const struct cred *c = self->vfs.cred;
	u64 bit;

	if (op == PR_CAP_AMBIENT_CLEAR)
		return cap || arg4 || arg5 ? -EINVAL : ambient_change(self, 0, ~0ull);
	if (cap > CAP_LAST || arg4 || arg5)
		return -EINVAL;
	bit = 1ull << cap;
	switch (op) {
	case PR_CAP_AMBIENT_IS_SET:
		return !!(c->cap_ambient & bit);
	case PR_CAP_AMBIENT_RAISE:
		if (!(c->cap_permitted & c->cap_inheritable & bit) || (c->securebits & SECBIT_NO_AMBIENT_RAISE))
			return -EPERM;
		return ambient_change(self, bit, 0);
	case PR_CAP_AMBIENT_LOWER:
		return ambient_change(self, 0, bit);
	default:
		return -EINVAL;
	}
}

static i64 set_no_new_privs(struct task *self, u64 on)
{
	struct cred *new;

	if (on != 1)
		return -EINVAL;
	if (self->vfs.cred->no_new_privs)
		return 0;
	new = cred_dup(self->vfs.cred);
	if (!new)
		return -ENOMEM;
	new->no_new_privs = true;
	task_commit_cred(self, new);
	self->proc->no_new_privs = true;
	return 0;
}

static i64 prctl_caps(struct task *self, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	switch (option) {
	case PR_GET_KEEPCAPS:
		return self->vfs.cred->keep_caps;
	case PR_SET_KEEPCAPS:
		return set_keepcaps(self, arg2);
	case PR_CAPBSET_READ:
		return arg2 > CAP_LAST ? -EINVAL : (i64)(self->vfs.cred->cap_bounding >> arg2 & 1);
	case PR_CAPBSET_DROP:
		return bounding_drop(self, arg2);
	case PR_GET_SECUREBITS:
		return securebits(self->vfs.cred);
	case PR_SET_SECUREBITS:
		return set_securebits(self, arg2);
	case PR_CAP_AMBIENT:
		return ambient(self, arg2, arg3, arg4, arg5);
	case PR_SET_NO_NEW_PRIVS:
		return arg3 || arg4 || arg5 ? -EINVAL : set_no_new_privs(self, arg2);
	case PR_GET_NO_NEW_PRIVS:
		return arg2 || arg3 || arg4 || arg5 ? -EINVAL : self->vfs.cred->no_new_privs;
	default:
		return -EINVAL;
	}
}

/* What has one possible value here, and what only asks. */
static i64 prctl_fixed(struct task *self, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	switch (option) {
	case PR_GET_TIMING:
		return 0;		/* statistical */
	case PR_SET_TIMING:
		return arg2 ? -EINVAL : 0;
	case PR_GET_SECCOMP:
		return 0;
	case PR_GET_TSC:
		return put_int(arg2, PR_TSC_ENABLE);
	case PR_SET_TSC:
		return arg2 == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_GET_TID_ADDRESS:
		return user_put(UPTR(arg2), &self->clear_tid.v);
	case PR_GET_THP_DISABLE:
		return arg2 || arg3 || arg4 || arg5 ? -EINVAL : huge_space_disabled(aspace_current());
	case PR_SET_THP_DISABLE:
		if (arg3 || arg4 || arg5)
			return -EINVAL;
		huge_space_disable(aspace_current(), arg2);
		return 0;
	default:
		return prctl_caps(self, option, arg2, arg3, arg4, arg5);
	}
}

i64 sys_prctl(struct task *self, int option, u64 arg2, u64 arg3, u64 arg4, u64 arg5)
{
	switch (option) {
	case PR_SET_PDEATHSIG:
		if (arg2 > SIGMAX)
			return -EINVAL;
		self->pdeath_signal = (u32)arg2;
		return 0;
	case PR_GET_PDEATHSIG:
		return put_int(arg2, (i32)self->pdeath_signal);
	case PR_GET_DUMPABLE:
		return aspace_current()->dumpable;
	case PR_SET_DUMPABLE:
		return set_dumpable(self, arg2);
	case PR_SET_NAME:
		return set_name(self, arg2);
	case PR_GET_NAME:
		return get_name(self, arg2);
	case PR_SET_TIMERSLACK:
		self->timer_slack_ns = (i64)arg2 <= 0 ? DEFAULT_SLACK_NS : (u32)MIN(arg2, (u64)UINT32_MAX);
		return 0;
	case PR_GET_TIMERSLACK:
		return self->timer_slack_ns;
	case PR_SET_PTRACER:
		return set_ptracer(arg2);
	case PR_SET_CHILD_SUBREAPER:
		self->proc->is_subreaper = arg2;
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return put_int(arg2, self->proc->is_subreaper);
	default:
		return prctl_fixed(self, option, arg2, arg3, arg4, arg5);
	}
}
