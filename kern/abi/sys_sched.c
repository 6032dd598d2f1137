/* Scheduling policy, priorities, affinity. */
#include <base/bitmap.h>
#include "abi.h"

#define SCHED_RESET_ON_FORK 0x40000000
#define RT_INTERVAL_NS	    100000000ull	/* what SCHED_RR reports: 100 ms, as Linux */
#define FAIR_INTERVAL_NS    4000000ull

i64 sys_sched_yield(struct task *self)
{
	sched_yield_cpu();
	return 0;
}

/* May the caller change t's scheduling at all? */
static bool owns(struct task *self, struct task *t)
{
	const struct cred *me = self->vfs.cred, *c;
	bool ok;

	if (t == self || cred_can(me, CAP_SYS_NICE))
		return true;
	c = task_cred_get(t);
	ok = me->euid == c->euid || me->euid == c->uid;
	cred_put(c);
	return ok;
}

static bool policy_is_rt(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool policy_is_known(int policy)
{
	return policy_is_rt(policy) || policy == SCHED_OTHER || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

/* A plain user may not raise t above its limits. */
static int policy_rights(struct task *self, struct task *t, int policy, int prio, int nice)
{
	u64 limit;

	if (is_cap(self, CAP_SYS_NICE))
		return 0;
	if (!owns(self, t))
		return -EPERM;
	if (policy_is_rt(policy)) {
		limit = process_rlimit(t->proc, RLIMIT_RTPRIO);
		if (policy != t->thread.policy && !limit)
			return -EPERM;
		if (prio > t->thread.rt_prio && (u64)prio > limit)
			return -EPERM;
		return 0;
	}
	limit = process_rlimit(t->proc, RLIMIT_NICE);
	if (nice < t->thread.nice && (u64)(20 - nice) > limit)
		return -EPERM;
	/* SCHED_IDLE is left only with the right to the present nice value. */
	if (t->thread.policy == SCHED_IDLE && policy != SCHED_IDLE && (u64)(20 - t->thread.nice) > limit)
		return -EPERM;
	return 0;
}

static i64 set_policy(struct task *self, i32 pid, int policy, int prio, const int *nice)
{
	AUTO(task) t = task_of_pid(self, pid);
	int err;

	if (!t)
		return -ESRCH;
	if (policy < 0)
		policy = t->thread.policy;
	if (!policy_is_known(policy))
		return -EINVAL;
	if (policy_is_rt(policy) ? prio < 1 || prio > 99 : prio != 0)
		return -EINVAL;
	err = policy_rights(self, t, policy, prio, nice ? *nice : t->thread.nice);
	if (err)
		return err;
	return sched_set_policy(&t->thread, (u8)policy, (u8)prio, (i8)(nice ? *nice : t->thread.nice));
}

i64 sys_sched_setscheduler(struct task *self, i32 pid, int policy, uptr_t param)
{
	i32 prio;

	if (policy < 0 || uptr_is_null(param) || pid < 0)
		return -EINVAL;
	return user_get(&prio, param) ? -EFAULT : set_policy(self, pid, policy, prio, NULL);
}

i64 sys_sched_setparam(struct task *self, i32 pid, uptr_t param)
{
	i32 prio;

	if (uptr_is_null(param) || pid < 0)
		return -EINVAL;
	return user_get(&prio, param) ? -EFAULT : set_policy(self, pid, -1, prio, NULL);
}

i64 sys_sched_getscheduler(struct task *self, i32 pid)
{
	if (pid < 0)
		return -EINVAL;
	AUTO(task) t = task_of_pid(self, pid);
	return t ? t->thread.policy : -ESRCH;
}

i64 sys_sched_getparam(struct task *self, i32 pid, uptr_t param)
{
	i32 prio;

	if (uptr_is_null(param) || pid < 0)
		return -EINVAL;
	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	prio = t->thread.rt_prio;
	return user_put(param, &prio);
}

i64 sys_sched_get_priority_max(struct task *self, int policy)
{
	if (policy_is_rt(policy))
		return 99;
	return policy_is_known(policy) || policy == SCHED_DEADLINE ? 0 : -EINVAL;
}

i64 sys_sched_get_priority_min(struct task *self, int policy)
{
	if (policy_is_rt(policy))
		return 1;
	return policy_is_known(policy) || policy == SCHED_DEADLINE ? 0 : -EINVAL;
}

i64 sys_sched_rr_get_interval(struct task *self, i32 pid, uptr_t interval)
{
	struct timespec_k ts;

	if (pid < 0)
		return -EINVAL;
	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	ts = ns_to_timespec(t->thread.policy == SCHED_RR ? RT_INTERVAL_NS :
			    t->thread.policy == SCHED_FIFO ? 0 : FAIR_INTERVAL_NS);
	return user_put(interval, &ts);
}

static int sched_attr_in(uptr_t attr, struct sched_attr_k *a)
{
	u32 size, ours = sizeof(*a);
	int err;

	if (user_get(&size, attr))
		return -EFAULT;
	if (!size)
		size = SCHED_ATTR_SIZE_VER0;
	if (size < SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE)
		err = -E2BIG;
	else
		err = user_struct_in(a, sizeof(*a), attr, size);
	if (err == -E2BIG && user_put(attr, &ours))
		return -EFAULT;
	return err;
}

i64 sys_sched_setattr(struct task *self, i32 pid, uptr_t attr, u32 flags)
{
	struct sched_attr_k a;
	int nice, err;

	if (uptr_is_null(attr) || pid < 0 || flags)
		return -EINVAL;
	err = sched_attr_in(attr, &a);
	if (err)
		return err;
	if ((i32)a.policy < 0 || a.flags)
		return -EINVAL;
	nice = MAX(MIN(a.nice, 19), -20);
	return set_policy(self, pid, (int)a.policy, (int)a.priority, policy_is_rt((int)a.policy) ? NULL : &nice);
}

i64 sys_sched_getattr(struct task *self, i32 pid, uptr_t attr, u32 size, u32 flags)
{
	struct sched_attr_k a = { 0 };

	if (uptr_is_null(attr) || pid < 0 || size > PAGE_SIZE || size < SCHED_ATTR_SIZE_VER0 || flags)
		return -EINVAL;
	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	a.size = MIN(size, (u32)sizeof(a));
	a.policy = t->thread.policy;
	if (policy_is_rt(t->thread.policy))
		a.priority = t->thread.rt_prio;
	else
		a.nice = t->thread.nice;
	return user_copy_out(attr, &a, a.size) ? -EFAULT : 0;
}

static u32 affinity_words(void)
{
	return BITMAP_WORDS(cpu_count());
}

i64 sys_sched_setaffinity(struct task *self, i32 pid, u32 len, uptr_t mask)
{
	AUTO(kptr) bits = kzalloc(affinity_words() * sizeof(u64));

	if (!bits)
		return -ENOMEM;
	if (user_copy_in(bits, mask, MIN((u64)len, affinity_words() * sizeof(u64))))
		return -EFAULT;
	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	if (!owns(self, t))
		return -EPERM;
	return sched_set_affinity(&t->thread, bits, cpu_count());
}

i64 sys_sched_getaffinity(struct task *self, i32 pid, u32 len, uptr_t mask)
{
	AUTO(kptr) bits = NULL;
	u64 size = affinity_words() * sizeof(u64);

	if ((u64)len * 8 < cpu_count() || (len & 7))
		return -EINVAL;
	AUTO(task) t = task_of_pid(self, pid);
	if (!t)
		return -ESRCH;
	bits = kzalloc(size);
	if (!bits)
		return -ENOMEM;
	sched_get_affinity(&t->thread, bits, cpu_count());
	size = MIN((u64)len, size);
	return user_copy_out(mask, bits, size) ? -EFAULT : (i64)size;
}

i64 sys_getcpu(struct task *self, uptr_t cpu, uptr_t node, uptr_t cache)
{
	u32 c = cpu_id(), n = 0;

	if (!uptr_is_null(cpu) && user_put(cpu, &c))
		return -EFAULT;
	return !uptr_is_null(node) && user_put(node, &n) ? -EFAULT : 0;
}

/*
 * Calls fn for every thread that (which, who) of getpriority and ioprio_get
 * names: 0 one thread, 1 a process group, 2 a user.  fn returns false to stop.
 */
struct who_visit {
	struct task *self;
	bool (*fn)(struct who_visit *v, struct task *t);
	i64 result;
	int value;
};

static bool who_matches(struct task *self, int which, u32 who, struct process *p)
{
	const struct cred *c;
	bool same;

	if (which == PRIO_PGRP)
		return process_pgid(p) == (who ? who : process_pgid(self->proc));
	AUTO(task) leader = process_thread_next(p, 0);
	if (!leader)
		return false;
	c = task_cred_get(leader);
	same = c->uid == (who ? who : self->vfs.cred->uid);
	cred_put(c);
	return same;
}

static bool visit_threads(struct who_visit *v, struct process *p)
{
	u32 tid = 0;

	for (;;) {
		AUTO(task) t = process_thread_next(p, tid);

		if (!t)
			return true;
		if (!v->fn(v, t))
			return false;
		tid = t->tid + 1;
	}
}

static void visit_who(struct who_visit *v, int which, int who)
{
	u32 from = 1;

	if (which == PRIO_PROCESS) {
		if (!who) {
			v->fn(v, v->self);
			return;
		}
		AUTO(task) t = task_of_pid(v->self, who);

		if (t)
			v->fn(v, t);
		return;
	}
	for (;;) {
		AUTO(process) p = process_next(from);

		if (!p)
			return;
		from = p->pid + 1;
		if (who_matches(v->self, which, (u32)who, p) && !visit_threads(v, p))
			return;
	}
}

static bool visit_get_nice(struct who_visit *v, struct task *t)
{
	v->result = MAX(v->result, (i64)(20 - t->thread.nice));
	return true;
}

i64 sys_getpriority(struct task *self, int which, int who)
{
	struct who_visit v = { .self = self, .fn = visit_get_nice, .result = -ESRCH };

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	if (which == PRIO_PROCESS && !who)
		return 20 - self->thread.nice;
	visit_who(&v, which, who);
	return v.result;
}

static bool visit_set_nice(struct who_visit *v, struct task *t)
{
	if (!owns(v->self, t)) {
		v->result = -EPERM;
		return true;
	}
	if (v->value < t->thread.nice && !is_cap(v->self, CAP_SYS_NICE) &&
	    (u64)(20 - v->value) > process_rlimit(t->proc, RLIMIT_NICE)) {
		v->result = -EACCES;
		return true;
	}
	DISCARD(sched_set_policy(&t->thread, t->thread.policy, t->thread.rt_prio, (i8)v->value));
	if (v->result == -ESRCH)
		v->result = 0;
	return true;
}

i64 sys_setpriority(struct task *self, int which, int who, int prio)
{
	struct who_visit v = { .self = self, .fn = visit_set_nice, .result = -ESRCH, .value = MAX(MIN(prio, 19), -20) };

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	visit_who(&v, which, who);
	return v.result;
}

#define IOPRIO_CLASS(p) ((p) >> 13)
#define IOPRIO_DATA(p)	((p) & 0x1fff)
enum { IOPRIO_NONE, IOPRIO_RT, IOPRIO_BE, IOPRIO_IDLE };

static bool visit_get_ioprio(struct who_visit *v, struct task *t)
{
	i64 p = t->ioprio;

	/* The strongest wins: the smallest number of a class that is set. */
	if (v->result < 0 || !IOPRIO_CLASS(v->result) || (IOPRIO_CLASS(p) && p < v->result))
		v->result = p;
	return true;
}

i64 sys_ioprio_get(struct task *self, int which, int who)
{
	struct who_visit v = { .self = self, .fn = visit_get_ioprio, .result = -ESRCH };

	if (which < IOPRIO_WHO_PROCESS || which > IOPRIO_WHO_USER)
		return -EINVAL;
	visit_who(&v, which - IOPRIO_WHO_PROCESS, who);
	return v.result;
}

static bool visit_set_ioprio(struct who_visit *v, struct task *t)
{
	if (!owns(v->self, t)) {
		v->result = -EPERM;
		return false;
	}
	t->ioprio = (u16)v->value;
	v->result = 0;
	return true;
}

i64 sys_ioprio_set(struct task *self, int which, int who, int ioprio)
{
	struct who_visit v = { .self = self, .fn = visit_set_ioprio, .result = -ESRCH, .value = ioprio };

	switch (IOPRIO_CLASS(ioprio)) {
	case IOPRIO_RT:
		if (!is_cap(self, CAP_SYS_ADMIN) && !is_cap(self, CAP_SYS_NICE))
			return -EPERM;
		if (IOPRIO_DATA(ioprio) >= 8)
			return -EINVAL;
		break;
	case IOPRIO_BE:
		if (IOPRIO_DATA(ioprio) >= 8)
			return -EINVAL;
		break;
	case IOPRIO_IDLE:
		break;
	case IOPRIO_NONE:
		if (IOPRIO_DATA(ioprio))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (which < IOPRIO_WHO_PROCESS || which > IOPRIO_WHO_USER)
		return -EINVAL;
	visit_who(&v, which - IOPRIO_WHO_PROCESS, who);
	return v.result;
}
