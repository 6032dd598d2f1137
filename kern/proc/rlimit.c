/*
 * Resource limits.  process.rlim is the truth (process.lock); what the hot paths
 * of vfs and vm need is copied to the task and the address space at each change.
 */
#include <mem/mem.h>
#include "proc.h"

#define NR_OPEN_MAX 1048576ull

void rlimit_init_defaults(struct rlimit64 *rl)
{
	static const struct rlimit64 defaults[RLIMITS] = {
		[RLIMIT_CPU] = { RLIM_INFINITY, RLIM_INFINITY },
		[RLIMIT_FSIZE] = { RLIM_INFINITY, RLIM_INFINITY },
		[RLIMIT_DATA] = { RLIM_INFINITY, RLIM_INFINITY },
		[RLIMIT_STACK] = { 8ull << 20, RLIM_INFINITY },
		[RLIMIT_CORE] = { 0, RLIM_INFINITY },
		[RLIMIT_RSS] = { RLIM_INFINITY, RLIM_INFINITY },
		[RLIMIT_NOFILE] = { 1024, 4096 },
		[RLIMIT_MEMLOCK] = { 8ull << 20, 8ull << 20 },
		[RLIMIT_AS] = { RLIM_INFINITY, RLIM_INFINITY },
		[RLIMIT_LOCKS] = { RLIM_INFINITY, RLIM_INFINITY },
		[RLIMIT_MSGQUEUE] = { 819200, 819200 },
		[RLIMIT_RTTIME] = { RLIM_INFINITY, RLIM_INFINITY },
	};
	/* Linux: as many threads as would fill an eighth of the memory with stacks; half of that per user. */
	u64 threads = MIN(MAX(mem_total_pages() / 32, 20ull), (u64)MAX_THREADS);

	memcpy(rl, defaults, sizeof(defaults));
	rl[RLIMIT_NPROC] = rl[RLIMIT_SIGPENDING] = (struct rlimit64){ threads / 2, threads / 2 };
}

void rlimit_apply_task(struct task *t, struct process *p)
{
	WRITE_ONCE(t->vfs.fsize_limit, p->rlim[RLIMIT_FSIZE].cur);
	WRITE_ONCE(t->vfs.nofile_limit, MIN(p->rlim[RLIMIT_NOFILE].cur, NR_OPEN_MAX));
}

void rlimit_apply_aspace(struct aspace *as, struct process *p)
{
	WRITE_ONCE(as->data_limit, p->rlim[RLIMIT_DATA].cur);
	WRITE_ONCE(as->as_limit, p->rlim[RLIMIT_AS].cur);
	WRITE_ONCE(as->memlock_limit, p->rlim[RLIMIT_MEMLOCK].cur);
	WRITE_ONCE(as->stack_limit, p->rlim[RLIMIT_STACK].cur);
}

u64 process_rlimit(struct process *p, u32 which) { return which < RLIMITS ? READ_ONCE(p->rlim[which].cur) : 0; }

/* May c look at or change the limits of another process?  Its ids must match all of the target's. */
static bool may_touch(struct process *p, const struct cred *c)
{
	const struct cred *t;
	bool ok;

	if (p == task_current()->proc || cred_can(c, CAP_SYS_RESOURCE))
		return true;
	spin_lock(&proc_table_lock);
	t = p->leader && !p->reaped ? task_cred_get(p->leader) : NULL;
	spin_unlock(&proc_table_lock);
	if (!t)
		return false;
	ok = c->uid == t->euid && c->uid == t->suid && c->uid == t->uid && c->gid == t->egid && c->gid == t->sgid &&
	     c->gid == t->gid;
	cred_put(t);
	return ok;
}

static int check_new(u32 which, const struct rlimit64 *new_limit, const struct rlimit64 *old, const struct cred *c)
{
	if (new_limit->cur > new_limit->max)
		return -EINVAL;
	if (which == RLIMIT_NOFILE && new_limit->max > NR_OPEN_MAX)
		return -EPERM;
	if (new_limit->max > old->max && !cred_can(c, CAP_SYS_RESOURCE))
		return -EPERM;
	return 0;
}

static void apply(struct process *p, u32 which)
{
	struct task *t;
	u64 irq;

	spin_lock(&p->lock);
	if (p->aspace)
		rlimit_apply_aspace(p->aspace, p);
	irq = spin_lock_irq(&p->sig_lock);
	list_for_each(t, &p->threads, thread_link)
		rlimit_apply_task(t, p);
	spin_unlock_irq(&p->sig_lock, irq);
	spin_unlock(&p->lock);
	if (which == RLIMIT_CPU)
		cpu_limit_changed(p);
}

int process_set_rlimit(struct process *p, u32 which, const struct rlimit64 *new_limit, struct rlimit64 *old, const struct cred *c)
{
	struct rlimit64 before;
	int err = 0;
	u64 irq;

	if (which >= RLIMITS)
		return -EINVAL;
	if (!may_touch(p, c))
		return -EPERM;
	spin_lock(&p->lock);
	before = p->rlim[which];
	if (new_limit)
		err = check_new(which, new_limit, &before, c);
	if (new_limit && !err) {
		irq = spin_lock_irq(&p->sig_lock);
		p->rlim[which] = *new_limit;
		spin_unlock_irq(&p->sig_lock, irq);
	}
	spin_unlock(&p->lock);
	if (err)
		return err;
	if (old)
		*old = before;
	if (new_limit)
		apply(p, which);
	return 0;
}
