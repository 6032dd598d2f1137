/* What /proc asks about tasks: snapshots and small lookups. */
#include <proc/view.h>
#include <dev/tty.h>
#include "ptrace.h"

static void no_names(u32 tgid, u32 tid)
{
}

void (*proc_released_hook)(u32 tgid, u32 tid) = no_names;

struct task *process_leader_get(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	return p->leader && !p->reaped ? task_get(p->leader) : NULL;
}

u32 process_child_after(struct process *p, struct task *maker, u32 pid)
{
	struct process *c;
	bool found = !pid;

	GUARD_SPIN(&proc_table_lock);
	list_for_each(c, &p->children, sibling) {
		if (maker && c->forker != maker)
			continue;
		if (found)
			return c->pid;
		found = c->pid == pid;
	}
	return 0;
}

/* sig_lock held. */
static void read_signals(struct task *t, struct task_view *v)
{
	struct process *p = t->proc;

	v->pending = t->pending.set.bits;
	v->shared_pending = p->shared_pending.set.bits;
	v->blocked = t->blocked.bits;
	v->sig_queued = t->user ? (u32)atomic_read(&t->user->signals) : 0;
	if (!p->sighand)
		return;
	for (u32 s = 1; s <= SIGMAX; s++) {
		u64 h = sighand_action(p->sighand, s)->handler;

		if (h == SIG_IGN_K)
			v->ignored |= SIGBIT(s);
		else if (h != SIG_DFL_K)
			v->caught |= SIGBIT(s);
	}
}

/* PROC_TABLE held.  The terminal comes back referenced. */
static struct tty *read_family(struct task *t, struct task_view *v)
{
	struct process *p = t->proc;

	v->tid = t->tid;
	v->tgid = p->pid;
	v->state = task_state_letter(t);
	v->ppid = p->parent ? p->parent->pid : 0;
	v->pgid = p->group ? p->group->pgid : 0;
	v->sid = p->session ? p->session->sid : 0;
	v->nthreads = p->nthreads;
	v->exit_signal = p->leader == t ? t->exit_signal : -1;
	v->exit_code = t->exit_code;
	v->tracer = task_is_traced(t) ? t->trace->tracer->tid : 0;
	v->exiting = t->exit_state != TASK_LIVE;
	v->did_exec = p->did_exec;
	v->start_ns = t->start_ns;
	return p->session && p->session->tty ? tty_get(p->session->tty) : NULL;
}

static void read_use(struct task *t, bool whole, struct task_view *v)
{
	struct rusage_k ru;

	v->child_user_ns = t->proc->child_user_ns;
	v->child_sys_ns = t->proc->child_sys_ns;
	v->child_min_faults = t->proc->child_min_faults;
	v->child_maj_faults = t->proc->child_maj_faults;
	v->nvcsw = t->thread.nvcsw;
	v->nivcsw = t->thread.nivcsw;
	if (whole) {
		process_rusage(t->proc, 0, &ru);
		v->user_ns = ru.user_ns;
		v->sys_ns = ru.sys_ns;
		v->min_faults = ru.minflt;
		v->maj_faults = ru.majflt;
		return;
	}
	sched_thread_times(&t->thread, &v->user_ns, &v->sys_ns);
	v->min_faults = t->min_faults;
	v->maj_faults = t->maj_faults;
}

int task_view_get(struct task *t, bool whole, struct task_view *out)
{
	struct process *p = t->proc;
	struct tty *tty;

	memset(out, 0, sizeof(*out));
	spin_lock(&proc_table_lock);
	if (t->exit_state == TASK_REAPED) {
		spin_unlock(&proc_table_lock);
		return -ESRCH;
	}
	tty = read_family(t, out);
	{
		GUARD_IRQ(&p->sig_lock);
		read_signals(t, out);
	}
	spin_unlock(&proc_table_lock);
	out->tpgid = -1;
	if (tty) {
		out->tty_nr = (u32)tty_rdev(tty);
		out->tpgid = (i32)tty_foreground(tty);
		tty_put(tty);
	}
	memcpy(out->comm, t->thread.name, sizeof(out->comm));
	out->comm[sizeof(out->comm) - 1] = 0;
	out->sig_limit = process_rlimit(p, RLIMIT_SIGPENDING);
	out->nice = t->thread.nice;
	out->policy = t->thread.policy;
	out->rt_prio = t->thread.rt_prio;
	out->cpu = t->thread.cpu;
	read_use(t, whole, out);
	return 0;
}
