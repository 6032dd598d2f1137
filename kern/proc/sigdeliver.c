/*
 * Delivery: what happens to a thread that has signals when it is about to
 * return to user mode.  Default actions, group stops and deaths, system-call
 * restart, and the notices that the parent gets.
 */
#include <arch/debug.h>
#include <arch/upcall.h>
#include <arch/usercopy.h>
#include <core/trace.h>
#include <core/debug.h>
#include "ptrace.h"

#define NR_RESTART_SYSCALL 219u

/* --- the parent's notices --------------------------------------------------- */

static u64 to_ticks(u64 ns) { return ns / (NSEC_PER_SEC / CLOCK_TICKS); }

static void fill_child(struct siginfo_k *info, struct process *p)
{
	u64 user, sys;

	memset(info, 0, sizeof(*info));
	info->signo = SIGCHLD;
	info->chld.pid = (i32)p->pid;
	info->chld.uid = p->leader->vfs.cred->uid;
	process_times(p, &user, &sys);
	info->chld.utime = (i64)to_ticks(user);
	info->chld.stime = (i64)to_ticks(sys);
}

void notify_parent_cldstop_locked(struct process *p, u32 why)
{
	struct process *parent = p->parent;
	struct siginfo_k info;
	const struct sigaction_k *act;
	u64 irq;

	if (!parent || !parent->sighand)
		return;
	fill_child(&info, p);
	info.code = (i32)why;
	info.chld.status = (i32)(why == CLD_CONTINUED ? SIGCONT : p->stop_signal & 0x7f);
	irq = spin_lock_irq(&parent->sig_lock);
	act = sighand_action(parent->sighand, SIGCHLD);
	if (act->handler != SIG_IGN_K && !(act->flags & SA_NOCLDSTOP_K))
		DISCARD(signal_send_locked(parent, NULL, SIGCHLD, &info, false));	/* the wait below matters more */
	spin_unlock_irq(&parent->sig_lock, irq);
	waitq_wake_all(&parent->child_wait);
}

bool signal_ignores_children(struct process *p)
{
	const struct sigaction_k *act;

	GUARD_IRQ(&p->sig_lock);
	act = sighand_action(p->sighand, SIGCHLD);
	return act->handler == SIG_IGN_K || act->flags & SA_NOCLDWAIT_K;
}

/* Is SIGCHLD worth sending?  autoreap: it says that zombies are released at once. */
static bool hears_of_children(struct process *parent, bool *autoreap)
{
	GUARD_IRQ(&parent->sig_lock);
	const struct sigaction_k *act = sighand_action(parent->sighand, SIGCHLD);

	*autoreap = act->handler == SIG_IGN_K || act->flags & SA_NOCLDWAIT_K;
	return act->handler != SIG_IGN_K && signal_is_heard_locked(parent, parent->leader, SIGCHLD, false);
}

static void send_exit(struct process *p, struct process *parent, i32 sig)
{
	i32 status = p->group_exiting ? p->group_exit_code : p->leader->exit_code;
	struct siginfo_k info;

	if (sig <= 0 || sig > SIGMAX)
		return;
	fill_child(&info, p);
	info.code = (status & 0x7f) ? CLD_KILLED : CLD_EXITED;
	info.chld.status = (status & 0x7f) ? status & 0x7f : status >> 8 & 0xff;
	info.signo = sig;
	GUARD_IRQ(&parent->sig_lock);
	DISCARD(signal_send_locked(parent, NULL, (u32)sig, &info, false));	/* a full queue loses only the notice */
}

/* A traced leader's end is its tracer's to hear: the parent comes when that one has waited. */
bool notify_parent_exit_locked(struct process *p)
{
	struct process *parent = ptrace_reparented(p->leader) ? p->leader->trace->tracer->proc : p->parent;
	i32 sig = p->leader->exit_signal;
	bool autoreap = false;

	waitq_wake_all(&p->exit_wait);
	if (!parent)
		return false;
	if (parent != p->parent || (sig > 0 && sig != SIGCHLD && p->parent_exec_id != parent->exec_id))
		sig = SIGCHLD;
	if (sig != SIGCHLD || hears_of_children(parent, &autoreap))
		send_exit(p, parent, sig);
	waitq_wake_all(&parent->child_wait);
	return autoreap;
}

static void notify_cldstop(struct process *p, u32 why)
{
	GUARD_SPIN(&proc_table_lock);
	notify_parent_cldstop_locked(p, why);
	if (ptrace_reparented(p->leader))
		waitq_wake_all(&p->leader->trace->tracer->proc->child_wait);
}

/* --- stopping ------------------------------------------------------------------ */

/* Every thread is to stop. */
static void begin_stop(struct process *p, u32 sig) MUST_HOLD(&p->sig_lock)
{
	struct task *t;

	if (!p->stopped)
		p->stop_signal = sig;
	p->stopping = 0;
	p->continued = false;
	list_for_each(t, &p->threads, thread_link) {
		if (t->exit_state != TASK_LIVE || t->halted & HALT_JOB)
			continue;
		t->stop_work |= STOP_GROUP | STOP_COUNTED;
		p->stopping++;
		if (task_is_traced(t) && t->trace->seized && &t->thread != thread_current())
			ptrace_notify_trap_locked(t);
		else
			signal_wake_task(t, false);
	}
}

bool signal_stop_join(struct task *self)
{
	struct process *p = self->proc;
	bool counted = self->stop_work & STOP_COUNTED;

	self->stop_work &= ~(STOP_GROUP | STOP_COUNTED);
	if (!counted || !p->stopping || --p->stopping || p->stopped)
		return false;
	p->stopped = true;
	p->stop_reported = false;
	return true;
}

/* The thread sleeps until SIGCONT or death. */
static void do_stop(struct task *self, u64 irq) RELEASES(&self->proc->sig_lock)
{
	struct process *p = self->proc;
	bool last = signal_stop_join(self);

	self->halted |= HALT_JOB;
	sched_set_state(THREAD_STOPPED);
	spin_unlock_irq(&p->sig_lock, irq);
	if (last)
		notify_cldstop(p, CLD_STOPPED);
	if (unlikely(self->watched & WATCH_STRACE))
		task_watcher->stop(self, p->stop_signal);
	while (READ_ONCE(self->halted) & HALT_JOB && !thread_fatal_pending()) {
		sched_block();
		sched_set_state(THREAD_STOPPED);
	}
	sched_set_state(THREAD_RUNNABLE);
}

/* A stop signal was taken with its default action.  May drop the lock for a while.  False: nothing came of it. */
static bool start_stop(struct task *self, u32 sig, u64 *irq) MUST_HOLD(&self->proc->sig_lock)
{
	struct process *p = self->proc;

	if (sig != SIGSTOP) {
		bool orphaned;

		spin_unlock_irq(&p->sig_lock, *irq);
		spin_lock(&proc_table_lock);
		orphaned = p->group && group_is_orphaned_locked(p->group, NULL);
		spin_unlock(&proc_table_lock);
		*irq = spin_lock_irq(&p->sig_lock);
		if (orphaned)
			return false;
	}
	if (!self->stop_dequeued || p->group_exiting || p->exec_task)
		return false;			/* SIGCONT or death came in between */
	self->stop_dequeued = false;
	if (!(self->stop_work & STOP_GROUP))
		begin_stop(p, sig);
	return true;
}

/* stop_work says that there is something to stop for.  Drops the lock meanwhile. */
static void halt(struct task *self, u64 *irq) MUST_HOLD(&self->proc->sig_lock)
{
	if (task_is_traced(self) || !(self->stop_work & STOP_GROUP)) {
		ptrace_trap_locked(self, irq);
		return;
	}
	do_stop(self, *irq);
	*irq = spin_lock_irq(&self->proc->sig_lock);
}

/* --- choosing ------------------------------------------------------------------- */

static NORETURN void die(struct task *self, u64 irq) RELEASES(&self->proc->sig_lock)
{
	struct process *p = self->proc;
	bool whole = p->group_exiting;
	i32 code = whole ? p->group_exit_code : SIGKILL;

	spin_unlock_irq(&p->sig_lock, irq);
	task_exit(code);
}

static bool must_die(struct task *self)
{
	struct process *p = self->proc;

	return p->group_exiting || (p->exec_task && p->exec_task != self);
}

static u32 take_one(struct task *self, struct siginfo_k *info) MUST_HOLD(&self->proc->sig_lock)
{
	u32 sig = sigqueue_take_fault(&self->pending, self->blocked.bits, info);

	return sig ? sig : signal_dequeue_locked(self, self->blocked.bits, info);
}

/* Copies the action of sig.  True: there is a handler. */
static bool has_handler(struct process *p, u32 sig, struct sigaction_k *act)
{
	spin_lock_nested(&p->sighand->lock);
	*act = *sighand_action(p->sighand, sig);
	if (act->handler > SIG_IGN_K && (act->flags & SA_RESETHAND_K))
		sighand_reset(p->sighand, sig);
	spin_unlock(&p->sighand->lock);
	return act->handler > SIG_IGN_K;
}

static void log_fatal(struct task *self, u32 sig)
{
	struct trapframe *tf = task_frame(self);

	if (SIGBIT(sig) & SIG_SYNC_MASK)
		log_info("%s[%u]: killed by SIG%s: trap %llu error %llx address %llx ip %llx sp %llx", self->thread.name, self->tid,
			 signal_name(sig), (unsigned long long)self->trap_no, (unsigned long long)self->trap_err,
			 (unsigned long long)self->trap_addr, (unsigned long long)tf->rip, (unsigned long long)tf->rsp);
}

bool signal_next(struct task *self, struct ksignal *ks)
{
	struct process *p = self->proc;
	u64 irq = spin_lock_irq(&p->sig_lock);

	for (;;) {
		u32 sig;

		if (must_die(self))
			die(self, irq);
		if (p->notify_cld) {
			u32 why = p->notify_cld;

			p->notify_cld = 0;
			spin_unlock_irq(&p->sig_lock, irq);
			notify_cldstop(p, why);
			irq = spin_lock_irq(&p->sig_lock);
			continue;
		}
		if (self->stop_work) {
			halt(self, &irq);
			continue;
		}
		sig = take_one(self, &ks->info);
		if (!sig)
			break;
		if (task_is_traced(self) && sig != SIGKILL) {
			sig = ptrace_signal_locked(self, sig, &ks->info, &irq);
			if (!sig)
				continue;
		}
		if (unlikely(self->watched & WATCH_STRACE)) {
			spin_unlock_irq(&p->sig_lock, irq);
			task_watcher->signal(self, sig, &ks->info);
			irq = spin_lock_irq(&p->sig_lock);
		}
		ks->sig = sig;
		ks->info.signo = (i32)sig;	/* the tracer may have changed it */
		if (has_handler(p, sig, &ks->act)) {
			spin_unlock_irq(&p->sig_lock, irq);
			return true;
		}
		if (ks->act.handler == SIG_IGN_K || (SIGBIT(sig) & SIG_IGNORE_MASK))
			continue;
		if (p->unkillable && !(SIGBIT(sig) & SIG_KERNEL_ONLY))
			continue;
		if (SIGBIT(sig) & SIG_STOP_MASK) {
			DISCARD(start_stop(self, sig, &irq));	/* the loop sees what came of it */
			continue;
		}
		log_fatal(self, sig);
		if (debug_on(DEBUG_CRASH) && SIGBIT(sig) & SIG_SYNC_MASK) {
			spin_unlock_irq(&p->sig_lock, irq);
			proc_crash_report(self, sig);
			irq = spin_lock_irq(&p->sig_lock);
		}
		DISCARD(signal_kill_group_locked(p, (i32)sig));	/* false: somebody else was first */
	}
	signal_recalc(self);
	spin_unlock_irq(&p->sig_lock, irq);
	return false;
}

/* --- return to user mode ----------------------------------------------------------- */

static bool is_restart(const struct trapframe *tf)
{
	if (tf->orig_rax == ~0ull)
		return false;
	switch ((i64)tf->rax) {
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK: return true;
	}
	return false;
}

static void rewind_syscall(struct trapframe *tf, u64 nr)
{
	tf->rax = nr;
	tf->rip -= 2;				/* the length of the syscall instruction */
	tf->orig_rax = ~0ull;
}

/* A handler is about to run. */
static void restart_with_handler(struct trapframe *tf, const struct sigaction_k *act)
{
	i64 ret = (i64)tf->rax;

	if (!is_restart(tf))
		return;
	if (ret == -ERESTARTNOINTR || (ret == -ERESTARTSYS && (act->flags & SA_RESTART_K)))
		rewind_syscall(tf, tf->orig_rax);
	else
		tf->rax = (u64)-EINTR;
}

static void restart_without_handler(struct trapframe *tf)
{
	if (is_restart(tf))
		rewind_syscall(tf, (i64)tf->rax == -ERESTART_RESTARTBLOCK ? NR_RESTART_SYSCALL : tf->orig_rax);
}

static void deliver(struct task *self, struct trapframe *tf, const struct ksignal *ks)
{
	bool stepping = unlikely(self->trace != NULL) && arch_step_active(&self->thread.arch);
	u64 mask;

	trace_signal_deliver(ks->sig);
	restart_with_handler(tf, &ks->act);
	if (stepping)
		arch_step_disable(&self->thread.arch);
	if (sigframe_setup(self, tf, ks)) {
		if (ks->sig == SIGSEGV) {	/* the handler of this very signal cannot be run */
			GUARD_IRQ(&self->proc->sig_lock);
			sighand_reset(self->proc->sighand, SIGSEGV);
		}
		signal_force(SIGSEGV, SI_KERNEL, 0);
		return;
	}
	self->restore_mask = false;
	mask = self->blocked.bits | ks->act.mask;
	if (!(ks->act.flags & SA_NODEFER_K))
		mask |= SIGBIT(ks->sig);
	signal_set_blocked(self, (struct sigset64){ mask });
	if (stepping)
		ptrace_step_handler(self);
}

void proc_return_to_user(struct trapframe *tf)
{
	struct task *self = task_current();
	u32 flags = READ_ONCE(self->thread.flags);
	struct ksignal ks;
	bool handled = false;

	if (flags & TF_RESCHED)
		sched_resched_if_needed();
	if (flags & TF_NOTIFY) {
		bits_clear(&self->thread.flags, TF_NOTIFY);
		if (self->set_child_tid) {
			u32 tid = self->tid;

			DISCARD(user_copy_out(UPTR(self->set_child_tid), &tid, sizeof(tid)));	/* as Linux: a bad address is ignored */
			self->set_child_tid = 0;
		}
		process_run_init_entry(self);
		if (unlikely(self->trace != NULL))
			ptrace_late_exit(self);
	}
	while (READ_ONCE(self->thread.flags) & (TF_SIGNAL | TF_FATAL)) {
		if (!signal_next(self, &ks))
			break;
		deliver(self, tf, &ks);
		handled = true;
	}
	if (!handled)
		restart_without_handler(tf);
	signal_mask_restore_now(self);
}
