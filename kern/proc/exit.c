/*
 * The end of threads and processes.
 *
 * A thread gives back what it shares (memory, files, ...), then takes its leave
 * under proc_table_lock: a thread that is not the leader is released at once; the
 * leader becomes a zombie.  When the last thread is gone the parent is told, or,
 * if it does not want to know, the process is released too.  Children go to
 * another thread's care: the nearest subreaper, or pid 1.
 */
#include <arch/cpu.h>
#include <core/panic.h>
#include <core/trace.h>
#include "ptrace.h"

void task_switch_aspace(struct task *self, struct aspace *as)
{
	struct aspace *old = self->thread.aspace;
	u64 irq = irq_save();

	self->thread.aspace = as;
	aspace_switch(old, as);
	irq_restore(irq);
	if (old)
		aspace_unuse(old);
}

/* A use of the space that most likely runs here next: nobody is nearer to a dying process than who waits for it. */
static struct aspace *parents_aspace(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	return p->parent ? process_aspace_get(p->parent) : NULL;
}

/*
 * The last user of a space leaves it.  The CPU has to leave it too before it is torn down, and goes to the parent's at
 * once, as a kernel thread stays in the last one's (inv. G2): tables are loaded once and not twice.
 */
static void leave_aspace(struct task *self)
{
	struct aspace *old = self->thread.aspace, *next = parents_aspace(self->proc);
	u64 irq = irq_save();

	self->thread.aspace = NULL;
	aspace_switch(old, next);
	irq_restore(irq);
	aspace_unuse(old);
	if (next)
		aspace_unuse(next);
}

static void exit_mm(struct task *self, bool group_dead)
{
	struct process *p = self->proc;
	struct aspace *as = self->thread.aspace;
	TRACE_SPAN(exit_vm);

	task_release_mm(self);
	if (!as)
		return;
	if (group_dead) {
		spin_lock(&p->lock);
		p->aspace = NULL;
		p->maxrss = MAX(p->maxrss, as->peak_rss);
		p->leader->min_faults += (u64)atomic64_read(&as->min_faults);
		p->leader->maj_faults += (u64)atomic64_read(&as->maj_faults);
		spin_unlock(&p->lock);
	}
	if (atomic_read(&as->users) == 1)
		leave_aspace(self);
	else
		task_switch_aspace(self, NULL);
}

static void exit_files(struct task *self)
{
	struct fdtable *fds = self->vfs.fds;
	struct fs_view *fs = self->vfs.fs;
	TRACE_SPAN(exit_files);

	/* Gone from view before the reference goes: task_fdtable_get() relies on it. */
	spin_lock(&self->proc->lock);
	self->vfs.fds = NULL;
	self->vfs.fs = NULL;
	spin_unlock(&self->proc->lock);
	if (fds)
		fdtable_put(fds);
	if (fs)
		fs_view_put(fs);
}

/* --- children ------------------------------------------------------------------ */

static struct task *live_thread(struct process *p)
{
	struct task *t;

	list_for_each(t, &p->threads, thread_link)
		if (t->exit_state == TASK_LIVE)
			return t;
	return NULL;
}

static struct process *find_reaper(struct process *p)
{
	struct process *r;

	for (r = p->parent; r && r != init_process; r = r->parent)
		if (r->is_subreaper && live_thread(r))
			return r;
	return init_process;
}

static void send_pdeath(struct process *child, struct task *dead)
{
	struct task *t;

	if (child->forker != dead)
		return;
	list_for_each(t, &child->threads, thread_link)
		if (t->pdeath_signal)
			DISCARD(signal_send_process(child, t->pdeath_signal, NULL));	/* it may be dead already */
}

/* A zombie child whose new parent does not care is released: collected on dead through thread_link of its leader. */
static void adopt(struct process *child, struct process *reaper, struct process *from, struct list *dead)
	MUST_HOLD(&proc_table_lock)
{
	list_remove(&child->sibling);
	child->parent = reaper;
	child->forker = reaper->leader;
	list_push_back(&reaper->children, &child->sibling);
	child->exit_signal = SIGCHLD;
	child->leader->exit_signal = SIGCHLD;
	if (child->leader->exit_state == TASK_ZOMBIE && child->nthreads == 1) {
		if (!task_is_traced(child->leader))
			group_check_dead_locked(child, dead);
		return;
	}
	group_check_orphaned_locked(child, from);
}

static void give_children_away(struct task *self, struct list *dead) MUST_HOLD(&proc_table_lock)
{
	struct process *p = self->proc, *child, *tmp, *reaper;
	struct task *other;

	if (list_empty(&p->children))
		return;
	other = live_thread(p);
	list_for_each_safe(child, tmp, &p->children, sibling) {
		send_pdeath(child, self);
		if (other && child->forker == self)
			child->forker = other;
	}
	if (other)
		return;
	reaper = find_reaper(p);
	VERIFY(reaper && reaper != p);
	list_for_each_safe(child, tmp, &p->children, sibling)
		adopt(child, reaper, p, dead);
}

/* --- taking leave --------------------------------------------------------------- */

void group_check_dead_locked(struct process *p, struct list *dead)
{
	struct task *leader = p->leader;

	if (p->exec_task)
		waitq_wake_all(&p->exit_wait);
	else if (leader->exit_state == TASK_ZOMBIE && p->nthreads == 1 && notify_parent_exit_locked(p)) {
		task_unlink_locked(leader);
		list_push_back(dead, &leader->thread_link);
	}
}

static void become_zombie(struct task *self)
{
	u64 irq = spin_lock_irq(&self->proc->sig_lock);

	self->exit_state = TASK_ZOMBIE;
	spin_unlock_irq(&self->proc->sig_lock, irq);
}

/* PROC_TABLE held.  Tasks to release afterwards go on dead. */
static void leave_locked(struct task *self, struct list *dead) MUST_HOLD(&proc_table_lock)
{
	struct process *p = self->proc;
	struct task *leader = p->leader;

	if (unlikely(!list_empty(&p->tracees)))
		ptrace_tracer_exit_locked(self, dead);
	give_children_away(self, dead);
	if (task_is_traced(self)) {
		become_zombie(self);
		if (self != leader || p->nthreads > 1)
			ptrace_tell_exit_locked(self);
	} else if (self != leader) {
		task_unlink_locked(self);
		list_push_back(dead, &self->thread_link);
	} else {
		become_zombie(self);
	}
	if (leader->exit_state == TASK_ZOMBIE && p->nthreads == 1 && !p->exec_task)
		group_check_orphaned_locked(p, NULL);
	group_check_dead_locked(p, dead);
}

static void release_dead(struct list *dead)
{
	struct list *n;

	while ((n = list_pop_front(dead)))
		task_release_rest(list_entry(n, struct task, thread_link));
}

static void check_init_death(struct process *p, i32 code)
{
	if (p == init_process)
		panic("Attempted to kill init! exitcode=0x%08x", p->group_exiting ? p->group_exit_code : code);
}

void task_exit(i32 code)
{
	struct task *self = task_current();
	struct process *p = self->proc;
	struct list dead = LIST_INIT(dead);
	bool group_dead;

	if (unlikely(self->trace != NULL))
		ptrace_exit_stop(self, code);
	if (unlikely(self->watched & WATCH_STRACE))
		task_watcher->end(self, code);
	trace_exit_total_begin(code);
	self->exit_code = code;
	signal_exit_thread(self);
	group_dead = atomic_dec_is_zero(&p->live_threads);
	if (group_dead) {
		check_init_death(p, code);
		itimers_exit(p);
		posix_timers_exit(p);
	}
	exit_mm(self, group_dead);
	exit_files(self);
	trace_exit_notify_begin();
	if (group_dead)
		session_leader_exit(p);
	spin_lock(&proc_table_lock);
	leave_locked(self, &dead);
	spin_unlock(&proc_table_lock);
	release_dead(&dead);
	trace_exit_notify_end();
	trace_exit_total_end();
	trace_task_exit();
	sched_exit();
}

void process_exit_group(i32 code)
{
	struct task *self = task_current();
	struct process *p = self->proc;
	u64 irq = spin_lock_irq(&p->sig_lock);

	if (!signal_kill_group_locked(p, code))
		code = p->group_exit_code;
	spin_unlock_irq(&p->sig_lock, irq);
	task_exit(code);
}

/* --- exec: the others die --------------------------------------------------------- */

/* PROC_TABLE held: nobody left but the caller, and perhaps the dead leader whose place it takes. */
static bool alone(struct task *self)
{
	struct process *p = self->proc;

	if (p->nthreads == 1)
		return p->leader == self;
	return p->nthreads == 2 && p->leader != self && p->leader->exit_state == TASK_ZOMBIE;
}

static bool alone_now(struct task *self)
{
	GUARD_SPIN(&proc_table_lock);
	return alone(self);
}

/* The caller gets the leader's number, the old leader the caller's, and is released. */
static void take_over_leader(struct task *self)
{
	struct process *p = self->proc;
	struct task *old = p->leader;
	u32 mine = self->tid;
	u64 irq;

	spin_lock(&proc_table_lock);
	irq = spin_lock_irq(&p->sig_lock);
	pid_slot(p->pid)->task = self;
	pid_slot(mine)->task = old;
	self->tid = self->vfs.pid = self->thread.trace_id = p->pid;
	old->tid = mine;
	old->in_proc = self->in_proc = old->in_proc || self->in_proc;	/* either number may have had names */
	p->leader = self;
	self->exit_signal = SIGCHLD;
	p->exit_signal = SIGCHLD;
	self->start_ns = old->start_ns;
	spin_unlock_irq(&p->sig_lock, irq);
	task_unlink_locked(old);
	spin_unlock(&proc_table_lock);
	task_release_rest(old);
}

static int claim_exec(struct task *self)
{
	struct process *p = self->proc;
	struct task *t;

	GUARD_IRQ(&p->sig_lock);
	if (p->group_exiting || p->exec_task)
		return -EAGAIN;
	p->exec_task = self;
	p->stopping = 0;
	list_for_each(t, &p->threads, thread_link) {
		t->stop_work = 0;
		if (t == self || t->exit_state != TASK_LIVE)
			continue;
		t->halted &= ~HALT_JOB;
		t->pending.set.bits |= SIGBIT(SIGKILL);
		signal_wake_task(t, true);
	}
	return 0;
}

int process_kill_others(struct task *self)
{
	struct process *p = self->proc;
	int err;
	u64 irq;

	if (READ_ONCE(p->nthreads) == 1 && p->leader == self)
		return 0;
	err = claim_exec(self);
	if (err)
		return err;
	err = waitq_wait_kill(&p->exit_wait, alone_now(self));
	if (!err && p->leader != self)
		take_over_leader(self);
	irq = spin_lock_irq(&p->sig_lock);
	p->exec_task = NULL;
	spin_unlock_irq(&p->sig_lock, irq);
	return err ? -EAGAIN : 0;
}
