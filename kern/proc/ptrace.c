/*
 * ptrace: who traces whom.
 *
 * A tracee is on its tracer's process' list; wait(2) looks there.  Links change under
 * proc_table_lock and the tracee's sig_lock.  A tracer's end, a detach and the
 * tracee's release all go through ptrace_unlink_locked().
 */
#include <arch/debug.h>
#include "ptrace.h"

int ptrace_prepare(struct task *t)
{
	struct ptrace *fresh;

	if (READ_ONCE(t->trace))
		return 0;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	list_init(&fresh->link);
	fresh->tracee = t;
	spin_lock(&proc_table_lock);
	if (!t->trace)
		WRITE_ONCE(t->trace, MOVE(fresh));
	spin_unlock(&proc_table_lock);
	kfree(fresh);
	return 0;
}

/* PROC_TABLE and sig_lock held. */
static void link_locked(struct task *t, struct task *tracer, bool seized, u32 options)
{
	struct ptrace *tr = t->trace;

	tr->seized = seized;
	tr->options = options;
	tr->listening = tr->has_info = tr->syscalls = tr->emulate = tr->stepping = tr->in_call = tr->exit_due = false;
	tr->code = 0;
	tr->message = 0;
	WRITE_ONCE(tr->tracer, tracer);
	list_push_back(&tracer->proc->tracees, &tr->link);
}

void ptrace_inherit_locked(struct task *t, struct task *from)
{
	if (!task_is_traced(from))
		return;				/* its tracer left meanwhile */
	link_locked(t, from->trace->tracer, from->trace->seized, from->trace->options);
	if (t->trace->seized)
		t->stop_work |= STOP_TRAP;
	else
		t->pending.set.bits |= SIGBIT(SIGSTOP);
	t->thread.flags |= TF_SIGNAL;
}

void ptrace_unlink_locked(struct task *t)
{
	struct process *p = t->proc;
	struct ptrace *tr = t->trace;
	u64 irq = spin_lock_irq(&p->sig_lock);

	list_remove(&tr->link);
	WRITE_ONCE(tr->tracer, NULL);
	tr->listening = tr->syscalls = tr->emulate = tr->stepping = false;
	task_watch(t, WATCH_PTRACE, false);
	t->stop_work &= ~(STOP_TRAP | STOP_NOTIFY);
	if (t->exit_state == TASK_LIVE && !p->group_exiting && (p->stopped || p->stopping)) {
		t->stop_work |= STOP_GROUP;	/* it goes on into the stop of its group */
		bits_set(&t->thread.flags, TF_SIGNAL);
	}
	if (t->halted & HALT_TRACE) {
		WRITE_ONCE(t->halted, t->halted & ~HALT_TRACE);
		sched_wake_state(&t->thread, 1u << THREAD_TRACED);
	} else if (t->stop_work & STOP_GROUP) {
		signal_wake_task(t, false);
	}
	spin_unlock_irq(&p->sig_lock, irq);
}

/* t was unlinked and may be a zombie that only its tracer had waited for. */
static void settle_zombie_locked(struct task *t, struct process *tracer, struct list *dead) MUST_HOLD(&proc_table_lock)
{
	struct process *p = t->proc;

	if (t->exit_state != TASK_ZOMBIE)
		return;
	if (t != p->leader) {
		task_unlink_locked(t);
		list_push_back(dead, &t->thread_link);
		group_check_dead_locked(p, dead);
	} else if (p->nthreads == 1 && (p->parent != tracer || signal_ignores_children(p->parent))) {
		group_check_dead_locked(p, dead);
	}
}

static struct task *first_tracee_locked(struct task *tracer)
{
	struct ptrace *tr;

	list_for_each(tr, &tracer->proc->tracees, link)
		if (tr->tracer == tracer)
			return tr->tracee;
	return NULL;
}

void ptrace_tracer_exit_locked(struct task *tracer, struct list *dead)
{
	struct task *t;

	/* From the start each time: settling one may release others. */
	while ((t = first_tracee_locked(tracer))) {
		if (t->trace->options & PTRACE_O_EXITKILL)
			DISCARD(signal_send_task(t, SIGKILL, NULL));	/* dead already */
		ptrace_unlink_locked(t);
		settle_zombie_locked(t, tracer->proc, dead);
	}
}

/* --- rights ---------------------------------------------------------------------- */

/* cap_ptrace_access_check: nobody gains capabilities by tracing. */
static bool caps_cover(const struct cred *c, const struct cred *target)
{
	return !(target->cap_permitted & ~c->cap_permitted) || cred_can(c, CAP_SYS_PTRACE);
}

bool ptrace_may_access(struct task *self, struct task *target)
{
	const struct cred *c = self->vfs.cred, *t;
	bool same, cover;

	if (target->proc == self->proc)
		return true;
	t = task_cred_get(target);
	same = c->uid == t->euid && c->uid == t->suid && c->uid == t->uid &&
	       c->gid == t->egid && c->gid == t->sgid && c->gid == t->gid;
	cover = caps_cover(c, t);
	cred_put(t);
	if (cred_can(c, CAP_SYS_PTRACE))
		return true;
	return same && cover && READ_ONCE(target->proc->dumpable);
}

bool ptrace_exec_may_gain(struct task *self)
{
	const struct cred *c;
	bool may;

	if (!task_is_traced(self))
		return true;
	GUARD_SPIN(&proc_table_lock);
	if (!task_is_traced(self))
		return true;
	c = task_cred_get(self->trace->tracer);
	may = cred_can(c, CAP_SYS_PTRACE);
	cred_put(c);
	return may;
}

/* --- requests --------------------------------------------------------------------- */

int ptrace_traceme(struct task *self)
{
	struct process *p = self->proc;
	int err = ptrace_prepare(self);
	const struct cred *c;
	struct task *maker;

	if (err)
		return err;
	GUARD_SPIN(&proc_table_lock);
	maker = p->forker;
	if (task_is_traced(self) || !maker)
		return -EPERM;
	c = task_cred_get(maker);
	err = caps_cover(c, self->vfs.cred) ? 0 : -EPERM;
	cred_put(c);
	if (err || maker->exit_state != TASK_LIVE)
		return err;
	GUARD_IRQ(&p->sig_lock);
	link_locked(self, maker, false, 0);
	return 0;
}

/* PROC_TABLE held. */
static int attach_locked(struct task *self, struct task *t, bool seize, u32 options)
{
	struct process *p = t->proc;

	if (t->exit_state != TASK_LIVE || task_is_traced(t))
		return -EPERM;
	GUARD_IRQ(&p->sig_lock);
	link_locked(t, self, seize, options);
	if (!seize)
		DISCARD(signal_send_locked(p, t, SIGSTOP, NULL, true));	/* only a bit: cannot fail */
	if (t->halted & HALT_JOB) {		/* stopped by job control: the stop becomes its tracer's */
		t->stop_work |= STOP_TRAP;
		WRITE_ONCE(t->halted, t->halted & ~HALT_JOB);
		bits_set(&t->thread.flags, TF_SIGNAL);
		sched_wake_state(&t->thread, 1u << THREAD_STOPPED);
		return 1;
	}
	return 0;
}

static bool trap_reached(struct task *t)
{
	GUARD_IRQ(&t->proc->sig_lock);
	return !(t->stop_work & STOP_TRAP) || t->exit_state != TASK_LIVE || !t->trace->tracer;
}

int ptrace_attach(struct task *self, u32 tid, bool seize, u32 options)
{
	struct task *t = task_find(tid);
	int err;

	if (!t)
		return -ESRCH;
	err = t->proc == self->proc || !ptrace_may_access(self, t) ? -EPERM : ptrace_prepare(t);
	if (!err) {
		spin_lock(&proc_table_lock);
		err = attach_locked(self, t, seize, options);
		spin_unlock(&proc_table_lock);
	}
	if (err == 1) {			/* nobody is to see it between the two stops */
		DISCARD(waitq_wait_kill(&self->proc->child_wait, trap_reached(t)));	/* or the caller dies */
		err = 0;
	}
	task_put(t);
	return err;
}

/* sig_lock held: ready to be looked at? */
static bool is_stopped(const struct task *t)
{
	return t->halted & HALT_TRACE && !t->trace->listening;
}

int ptrace_get_tracee(struct task *self, u32 tid, bool running, struct task **out)
{
	struct task *t = task_find(tid);
	bool good = false;

	if (!t)
		return -ESRCH;
	if (task_is_traced(t)) {
		GUARD_IRQ(&t->proc->sig_lock);
		good = t->trace->tracer == self && (running || is_stopped(t));
	}
	if (!good) {
		task_put(t);
		return -ESRCH;
	}
	if (!running)
		sched_wait_off_cpu(&t->thread);
	*out = t;
	return 0;
}

/* sig_lock held. */
static void let_go_locked(struct task *t, u32 sig)
{
	t->trace->code = sig;
	WRITE_ONCE(t->halted, t->halted & ~HALT_TRACE);
	sched_wake_state(&t->thread, 1u << THREAD_TRACED);
}

void ptrace_resume(struct task *t, u32 sig, enum ptrace_resume how, bool step)
{
	struct ptrace *tr = t->trace;

	if (step)
		arch_step_enable(&t->thread.arch);
	else
		arch_step_disable(&t->thread.arch);
	GUARD_IRQ(&t->proc->sig_lock);
	tr->syscalls = how == PTRACE_RESUME_SYSCALL;
	tr->emulate = how == PTRACE_RESUME_SYSEMU;
	tr->stepping = step;
	task_watch(t, WATCH_PTRACE, tr->syscalls || tr->emulate || step);
	if (is_stopped(t))			/* a fatal signal may have been quicker */
		let_go_locked(t, sig);
}

void ptrace_detach(struct task *t, u32 sig)
{
	struct task *tracer = task_current();
	struct list dead = LIST_INIT(dead), *n;

	arch_step_disable(&t->thread.arch);
	spin_lock(&proc_table_lock);
	if (task_is_traced(t) && t->trace->tracer == tracer) {
		t->trace->code = sig;
		ptrace_unlink_locked(t);
		settle_zombie_locked(t, tracer->proc, &dead);
	}
	spin_unlock(&proc_table_lock);
	while ((n = list_pop_front(&dead)))
		task_release_rest(list_entry(n, struct task, thread_link));
}

int ptrace_interrupt(struct task *t)
{
	struct ptrace *tr = t->trace;

	GUARD_IRQ(&t->proc->sig_lock);
	if (!tr->seized)
		return -EIO;
	if (t->exit_state != TASK_LIVE || (READ_ONCE(t->thread.flags) & TF_FATAL))
		return 0;
	t->stop_work |= STOP_TRAP;
	if (tr->listening)
		let_go_locked(t, 0);
	signal_wake_task(t, false);
	return 0;
}

int ptrace_listen(struct task *t)
{
	struct ptrace *tr = t->trace;

	GUARD_IRQ(&t->proc->sig_lock);
	if (!tr->seized || !tr->has_info || (u32)tr->info.code >> 8 != PTRACE_EVENT_STOP)
		return -EIO;
	tr->listening = true;
	if (t->stop_work & STOP_NOTIFY)
		let_go_locked(t, 0);
	return 0;
}

bool ptrace_peek_signal(struct task *t, bool shared, u64 nr, struct siginfo_k *out)
{
	struct sigqueue *q = shared ? &t->proc->shared_pending : &t->pending;
	struct sigitem *item;

	GUARD_IRQ(&t->proc->sig_lock);
	list_for_each(item, &q->items, link)
		if (!nr--) {
			*out = item->info;
			return true;
		}
	return false;
}

void ptrace_set_blocked(struct task *t, struct sigset64 mask)
{
	GUARD_IRQ(&t->proc->sig_lock);
	t->blocked.bits = mask.bits & ~SIG_KERNEL_ONLY;
	bits_set(&t->thread.flags, TF_SIGNAL);	/* it looks again when it goes on */
}

u32 ptrace_tracer_tid(struct task *t)
{
	GUARD_SPIN(&proc_table_lock);
	return task_is_traced(t) ? t->trace->tracer->tid : 0;
}
