/*
 * wait4(2), waitid(2): which children, which changes, what is told.
 *
 * A zombie is claimed (TASK_ZOMBIE -> TASK_REAPED in effect) under
 * proc_table_lock by the one waiter that unlinks it; its numbers are copied
 * before.
 */
#include <core/trace.h>
#include "ptrace.h"

#define WNOHANG	    0x00000001u
#define WUNTRACED   0x00000002u		/* WSTOPPED */
#define WEXITED	    0x00000004u
#define WCONTINUED  0x00000008u
#define WNOWAIT	    0x01000000u
#define WNOTHREAD   0x20000000u
#define WALL	    0x40000000u
#define WCLONE	    0x80000000u
#define WAIT_OPTIONS (WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE)

struct wait_request {
	struct task *self;
	u32 which, id, options;
	struct process *target;		/* WAIT_BY_PIDFD: borrowed from the file */
	struct wait_result *out;
	struct list reaped;		/* to release after the lock; by thread_link */
	i64 ret;
};

static bool eligible(const struct wait_request *w, struct process *p)
{
	bool clone_child;

	switch (w->which) {
	case WAIT_BY_PID: if (p->pid != w->id) return false; break;
	case WAIT_BY_PGID: if (!p->group || p->group->pgid != w->id) return false; break;
	case WAIT_BY_PIDFD: if (p != w->target) return false; break;
	}
	if ((w->options & WNOTHREAD) && p->forker != w->self)
		return false;
	if (w->options & WALL)
		return true;
	clone_child = p->leader->exit_signal != SIGCHLD;
	return clone_child == !!(w->options & WCLONE);
}

static void fill_identity(struct wait_result *out, struct process *p)
{
	memset(out, 0, sizeof(*out));
	out->pid = p->pid;
	out->uid = p->leader->vfs.cred->uid;
}

/* What the child and its own waited-for children used goes to the parent. */
static void inherit_usage(struct process *parent, struct process *p, const struct rusage_k *ru)
{
	u64 irq = spin_lock_irq(&parent->sig_lock);

	parent->child_user_ns += ru->user_ns;
	parent->child_sys_ns += ru->sys_ns;
	parent->child_min_faults += ru->minflt;
	parent->child_maj_faults += ru->majflt;
	parent->child_nvcsw += ru->nvcsw;
	parent->child_nivcsw += ru->nivcsw;
	parent->child_maxrss = MAX(parent->child_maxrss, ru->maxrss_kb);
	spin_unlock_irq(&parent->sig_lock, irq);
}

/* A zombie of somebody else's: only its tracer sees it until he has waited. */
static bool is_for_tracer(const struct wait_request *w, const struct task *t)
{
	return task_is_traced(t) && t->trace->tracer->proc != w->self->proc;
}

static bool try_zombie(struct wait_request *w, struct process *p) MUST_HOLD(&proc_table_lock)
{
	struct task *leader = p->leader;
	i32 status;

	if (!(w->options & WEXITED) || leader->exit_state != TASK_ZOMBIE || p->nthreads != 1 || is_for_tracer(w, leader))
		return false;
	status = p->group_exiting ? p->group_exit_code : leader->exit_code;
	fill_identity(w->out, p);
	w->out->status = status;
	w->out->code = (status & 0x7f) ? CLD_KILLED : CLD_EXITED;
	w->out->code_value = (status & 0x7f) ? status & 0x7f : status >> 8 & 0xff;
	if (!(w->options & WNOWAIT)) {
		task_unlink_locked(leader);		/* first: what it used is summed up once */
		list_push_back(&w->reaped, &leader->thread_link);
	}
	process_rusage(p, -2, &w->out->ru);
	if (!(w->options & WNOWAIT))
		inherit_usage(w->self->proc, p, &w->out->ru);
	return true;
}

static bool try_stopped(struct wait_request *w, struct process *p)
{
	bool hit;
	u32 sig = 0;
	u64 irq;

	if (!(w->options & WUNTRACED) || task_is_traced_by(p->leader, w->self->proc))
		return false;
	irq = spin_lock_irq(&p->sig_lock);
	hit = p->stopped && !p->stop_reported && !p->group_exiting;
	if (hit) {
		sig = p->stop_signal;
		p->stop_reported = !(w->options & WNOWAIT);
	}
	spin_unlock_irq(&p->sig_lock, irq);
	if (!hit)
		return false;
	fill_identity(w->out, p);
	w->out->status = (i32)(sig << 8 | 0x7f);
	w->out->code = CLD_STOPPED;
	w->out->code_value = (i32)sig;
	process_rusage(p, -2, &w->out->ru);
	return true;
}

static bool try_continued(struct wait_request *w, struct process *p)
{
	bool hit;
	u64 irq;

	if (!(w->options & WCONTINUED))
		return false;
	irq = spin_lock_irq(&p->sig_lock);
	hit = p->continued && !p->cont_reported && !p->group_exiting;
	if (hit)
		p->cont_reported = !(w->options & WNOWAIT);
	spin_unlock_irq(&p->sig_lock, irq);
	if (!hit)
		return false;
	fill_identity(w->out, p);
	w->out->status = 0xffff;
	w->out->code = CLD_CONTINUED;
	w->out->code_value = SIGCONT;
	process_rusage(p, -2, &w->out->ru);
	return true;
}

/* PROC_TABLE held.  True: w->ret is settled. */
static bool try_child(struct wait_request *w, struct process *p, bool *any) MUST_HOLD(&proc_table_lock)
{
	if (!eligible(w, p))
		return false;
	*any = true;
	if (!try_zombie(w, p) && !try_stopped(w, p) && !try_continued(w, p))
		return false;
	w->ret = w->out->pid;
	return true;
}

/* --- tracees: threads, with stops of their own ----------------------------------- */

static bool tracee_eligible(const struct wait_request *w, struct task *t)
{
	switch (w->which) {
	case WAIT_BY_PID: if (t->tid != w->id) return false; break;
	case WAIT_BY_PGID: if (!t->proc->group || t->proc->group->pgid != w->id) return false; break;
	case WAIT_BY_PIDFD: if (t != w->target->leader) return false; break;
	}
	return !(w->options & WNOTHREAD) || t->trace->tracer == w->self;
}

static void fill_tracee(struct wait_result *out, struct task *t)
{
	fill_identity(out, t->proc);
	out->pid = t->tid;
	out->uid = t->vfs.cred->uid;
}

/* A tracee's stop.  sig_lock is taken here. */
static bool try_traced_stop(struct wait_request *w, struct task *t)
{
	struct process *p = t->proc;
	struct ptrace *tr = t->trace;
	u32 code;
	u64 irq = spin_lock_irq(&p->sig_lock);

	code = t->halted & HALT_TRACE && !tr->listening ? tr->code : 0;
	if (code && !(w->options & WNOWAIT))
		tr->code = 0;
	spin_unlock_irq(&p->sig_lock, irq);
	if (!code)
		return false;
	fill_tracee(w->out, t);
	w->out->status = (i32)(code << 8 | 0x7f);
	w->out->code = CLD_TRAPPED;
	w->out->code_value = (i32)code;
	process_rusage(p, -2, &w->out->ru);
	return true;
}

/* A tracee that ended.  Of a process whose parent is another the parent is told now. */
static bool try_traced_zombie(struct wait_request *w, struct task *t) MUST_HOLD(&proc_table_lock)
{
	struct process *p = t->proc;
	bool leader = t == p->leader;
	i32 status;

	if (!(w->options & WEXITED) || t->exit_state != TASK_ZOMBIE || (leader && p->nthreads != 1))
		return false;
	if (leader && p->parent == w->self->proc)
		return try_zombie(w, p);
	status = p->group_exiting ? p->group_exit_code : t->exit_code;
	fill_tracee(w->out, t);
	w->out->status = status;
	w->out->code = (status & 0x7f) ? CLD_KILLED : CLD_EXITED;
	w->out->code_value = (status & 0x7f) ? status & 0x7f : status >> 8 & 0xff;
	process_rusage(p, -2, &w->out->ru);
	if (w->options & WNOWAIT)
		return true;
	ptrace_unlink_locked(t);
	if (!leader) {
		task_unlink_locked(t);
		list_push_back(&w->reaped, &t->thread_link);
	}
	group_check_dead_locked(p, &w->reaped);
	return true;
}

/* PROC_TABLE held.  True: w->ret is settled. */
static bool scan_tracees(struct wait_request *w, bool *any) MUST_HOLD(&proc_table_lock)
{
	struct ptrace *tr;

	list_for_each(tr, &w->self->proc->tracees, link) {
		struct task *t = tr->tracee;

		if (!tracee_eligible(w, t))
			continue;
		*any = true;
		if (try_traced_zombie(w, t) || try_traced_stop(w, t) || (t == t->proc->leader && try_continued(w, t->proc))) {
			w->ret = w->out->pid;
			return true;
		}
	}
	return false;
}

/* One look at the children.  True: w->ret is the answer; false: wait. */
static bool scan(struct wait_request *w)
{
	struct process *p, *me = w->self->proc;
	bool any = false;

	GUARD_SPIN(&proc_table_lock);
	if (unlikely(!list_empty(&me->tracees)) && scan_tracees(w, &any))
		return true;
	if (w->which == WAIT_BY_PID) {
		p = process_of_slot(pid_slot(w->id), w->id);
		if (p && p->parent == me && try_child(w, p, &any))
			return true;
	} else {
		list_for_each(p, &me->children, sibling)
			if (try_child(w, p, &any))
				return true;
	}
	if (any && !(w->options & WNOHANG))
		return false;
	w->ret = any ? 0 : -ECHILD;
	return true;
}

static i64 wait_run(struct wait_request *w)
{
	struct list *n;
	int err;

	list_init(&w->reaped);
	/* A child that was just made is seldom dead; WNOHANG is to be told, not to wait. */
	if (w->options & WNOHANG)
		err = scan(w) ? 0 : -EAGAIN;		/* true in any case */
	else
		err = waitq_wait_intr_queued(&w->self->proc->child_wait, scan(w));
	while ((n = list_pop_front(&w->reaped))) {
		TRACE_SPAN(wait_reap);
		task_release_rest(list_entry(n, struct task, thread_link));
	}
	return err ? err : w->ret;
}

static i64 wait_pidfd(struct wait_request *w)
{
	AUTO(file) f = fdtable_file(w->self->vfs.fds, (int)w->id, false);
	i64 ret;

	if (!f)
		return -EBADF;
	w->target = pidfd_process(f);
	if (!w->target)
		return -EBADF;
	if (!(f->flags & 04000))		/* O_NONBLOCK */
		return wait_run(w);
	w->options |= WNOHANG;
	ret = wait_run(w);
	return ret ? ret : -EAGAIN;
}

static i64 wait_checked(struct task *self, u32 which, u32 id, u32 options, struct wait_result *out)
{
	struct wait_request w = { .self = self, .which = which, .id = id, .options = options, .out = out };

	if (which > WAIT_BY_PIDFD || (options & ~WAIT_OPTIONS) || !(options & (WEXITED | WUNTRACED | WCONTINUED)))
		return -EINVAL;
	if (which == WAIT_BY_PGID && !id)
		w.id = process_pgid(self->proc);
	if (which == WAIT_BY_PIDFD)
		return wait_pidfd(&w);
	return wait_run(&w);
}

i64 process_wait(struct task *self, u32 which, u32 id, u32 options, struct wait_result *out)
{
	i64 ret;

	trace_wait_total_begin();
	ret = wait_checked(self, which, id, options, out);
	trace_wait_total_end(ret);
	return ret;
}
