/*
 * ptrace: the stops of a tracee.
 *
 * Kinds: before a signal's delivery, at entry and exit of system calls, at events
 * (fork, exec, exit, ...), in group stops, and on request of the tracer.  All end up
 * in stop_locked(), which follows the rules of ptrace(2): code is what wait(2) tells in
 * the upper half of its status, info what PTRACE_GETSIGINFO tells.
 */
#include <arch/debug.h>
#include "ptrace.h"

#define TRAP_BRKPT 1

static void fill_tracer_notice(struct siginfo_k *info, struct task *self, u32 why)
{
	u64 user, sys;

	signal_fill_user(info, self, SIGCHLD, (i32)why);
	process_times(self->proc, &user, &sys);
	info->chld.pid = (i32)self->tid;
	info->chld.status = (i32)((why == CLD_STOPPED ? self->proc->stop_signal : self->trace->code) & 0x7f);
	info->chld.utime = (i64)(user / (NSEC_PER_SEC / CLOCK_TICKS));
	info->chld.stime = (i64)(sys / (NSEC_PER_SEC / CLOCK_TICKS));
}

/* The tracer hears of the stop; the parent of the group's, if that is complete and the tracer somebody else. */
static void tell(struct task *self, u32 why, bool group_stopped)
{
	struct siginfo_k info;
	struct process *to;
	u64 irq;

	GUARD_SPIN(&proc_table_lock);
	if (group_stopped && (!task_is_traced(self) || ptrace_reparented(self)))
		notify_parent_cldstop_locked(self->proc, CLD_STOPPED);
	if (!task_is_traced(self))
		return;
	to = self->trace->tracer->proc;
	fill_tracer_notice(&info, self, why);
	irq = spin_lock_irq(&to->sig_lock);
	const struct sigaction_k *act = sighand_action(to->sighand, SIGCHLD);

	if (act->handler != SIG_IGN_K && !(act->flags & SA_NOCLDSTOP_K))
		DISCARD(signal_send_locked(to, NULL, SIGCHLD, &info, false));	/* the wait below matters more */
	spin_unlock_irq(&to->sig_lock, irq);
	waitq_wake_all(&to->child_wait);
}

void ptrace_tell_exit_locked(struct task *self)
{
	struct process *to = self->trace->tracer->proc;
	struct siginfo_k info;
	i32 code = self->exit_code;
	u64 irq;

	signal_fill_user(&info, self, SIGCHLD, code & 0x7f ? CLD_KILLED : CLD_EXITED);
	info.chld.pid = (i32)self->tid;
	info.chld.status = code & 0x7f ? code & 0x7f : code >> 8 & 0xff;
	irq = spin_lock_irq(&to->sig_lock);
	if (sighand_action(to->sighand, SIGCHLD)->handler != SIG_IGN_K)
		DISCARD(signal_send_locked(to, NULL, SIGCHLD, &info, false));	/* the wait below matters more */
	spin_unlock_irq(&to->sig_lock, irq);
	waitq_wake_all(&to->child_wait);
}

static void sleep_traced(struct task *self)
{
	while (READ_ONCE(self->halted) & HALT_TRACE && !thread_fatal_pending()) {
		sched_block();
		sched_set_state(THREAD_TRACED);
	}
	sched_set_state(THREAD_RUNNABLE);
	/* The tracer may have changed any register: the long way back to the program (entry.S, inv. 5). */
	bits_set(&self->thread.flags, TF_NOTIFY);
}

/*
 * Stops.  Returns what the tracer goes on with (info in trace->info may be changed), or
 * code itself when there is nobody to stop for.  sig_lock held, dropped meanwhile.
 */
static u32 stop_locked(struct task *self, u32 code, u32 why, u64 message, const struct siginfo_k *info, u64 *irq)
	MUST_HOLD(&self->proc->sig_lock)
{
	struct process *p = self->proc;
	struct ptrace *tr = self->trace;
	bool group_stopped = false;

	if (!tr->tracer || thread_fatal_pending())
		return code;
	tr->code = code;
	tr->why = why;
	tr->message = message;
	tr->listening = false;
	tr->has_info = info != NULL;
	if (info)
		tr->info = *info;
	if (self->stop_work & STOP_GROUP)
		group_stopped = signal_stop_join(self);
	self->stop_work &= ~STOP_TRAP;
	if (info && (u32)info->code >> 8 == PTRACE_EVENT_STOP)
		self->stop_work &= ~STOP_NOTIFY;
	self->halted |= HALT_TRACE;
	sched_set_state(THREAD_TRACED);
	spin_unlock_irq(&p->sig_lock, *irq);
	tell(self, why, group_stopped);
	sleep_traced(self);
	*irq = spin_lock_irq(&p->sig_lock);
	self->halted &= ~HALT_TRACE;
	code = tr->code;
	tr->code = 0;
	tr->message = 0;
	tr->listening = tr->has_info = false;
	signal_recalc(self);
	return code;
}

/* A stop with the siginfo that Linux makes for its own: the code says which stop it is. */
static u32 notify_locked(struct task *self, u32 sig, u32 code, u32 why, u64 message, u64 *irq)
	MUST_HOLD(&self->proc->sig_lock)
{
	struct siginfo_k info;

	signal_fill_user(&info, self, sig, (i32)code);
	info.rt.pid = (i32)self->tid;
	return stop_locked(self, code, why, message, &info, irq);
}

static u32 notify(struct task *self, u32 code, u64 message)
{
	u64 irq = spin_lock_irq(&self->proc->sig_lock);
	u32 sig = notify_locked(self, SIGTRAP, code, CLD_TRAPPED, message, &irq);

	spin_unlock_irq(&self->proc->sig_lock, irq);
	return sig;
}

u32 ptrace_signal_locked(struct task *self, u32 sig, struct siginfo_k *info, u64 *irq)
{
	struct process *p = self->proc;
	struct ptrace *tr = self->trace;
	u32 with;

	self->stop_dequeued = true;		/* the tracer may turn any signal into a stop */
	with = stop_locked(self, sig, CLD_TRAPPED, 0, info, irq);
	if (!with || with > SIGMAX)
		return 0;
	if (tr->tracer || with != sig)
		*info = tr->info;
	if (with != (u32)info->signo) {
		memset(info, 0, sizeof(*info));
		info->signo = (i32)with;
		info->code = SI_USER;
		if (tr->tracer) {
			info->rt.pid = (i32)tr->tracer->proc->pid;
			info->rt.uid = tr->tracer->vfs.cred->uid;
		}
	}
	if (!(self->blocked.bits & SIGBIT(with)) && !thread_fatal_pending())
		return with;
	DISCARD(signal_send_locked(p, self, with, info, false));	/* kept for later; a full queue loses it */
	return 0;
}

void ptrace_trap_locked(struct task *self, u64 *irq)
{
	struct process *p = self->proc;
	u32 sig = p->stop_signal;

	if (!task_is_traced(self)) {
		self->stop_work &= ~(STOP_TRAP | STOP_NOTIFY);
		return;
	}
	if (!self->trace->seized) {
		stop_locked(self, sig, CLD_STOPPED, 0, NULL, irq);
		return;
	}
	if (!p->stopping && !p->stopped)
		sig = SIGTRAP;
	notify_locked(self, sig, sig | PTRACE_EVENT_STOP << 8, CLD_STOPPED, 0, irq);
}

void ptrace_notify_trap_locked(struct task *t)
{
	struct ptrace *tr = t->trace;

	t->stop_work |= STOP_NOTIFY;
	if (tr->listening) {
		tr->code = 0;
		WRITE_ONCE(t->halted, t->halted & ~HALT_TRACE);
		sched_wake_state(&t->thread, 1u << THREAD_TRACED);
	}
	signal_wake_task(t, false);
}

void ptrace_step_handler(struct task *self)
{
	if (task_is_traced(self))
		notify(self, SIGTRAP, 0);
}

/* --- events --------------------------------------------------------------------------- */

void ptrace_event(struct task *self, u32 event, u64 message)
{
	struct ptrace *tr = self->trace;
	struct siginfo_k info;

	if (!task_is_traced(self))
		return;
	if (ptrace_wants(self, event)) {
		notify(self, SIGTRAP | event << 8, message);
		if ((tr->syscalls || tr->stepping) && !tr->in_call) {
			tr->exit_due = true;
			bits_set(&self->thread.flags, TF_NOTIFY);
		}
	} else if (event == PTRACE_EVENT_EXEC && !tr->seized) {
		signal_fill_user(&info, self, SIGTRAP, SI_USER);	/* how it was told before there were events */
		DISCARD(signal_send_task(self, SIGTRAP, &info));
	}
}

void ptrace_late_exit(struct task *self)
{
	if (!self->trace->exit_due)
		return;
	self->trace->exit_due = false;
	ptrace_syscall_exit(self);
}

/* The last stop.  A thread that was killed stops here too, and then waits for its tracer: nothing kills it again. */
void ptrace_exit_stop(struct task *self, i32 code)
{
	if (!ptrace_wants(self, PTRACE_EVENT_EXIT))
		return;
	bits_clear(&self->thread.flags, TF_FATAL);
	notify(self, SIGTRAP | PTRACE_EVENT_EXIT << 8, (u64)code);
}

/* --- system calls ----------------------------------------------------------------------- */

static void syscall_stop(struct task *self, u64 message)
{
	u32 good = self->trace->options & PTRACE_O_TRACESYSGOOD ? 0x80 : 0;
	u32 sig = notify(self, SIGTRAP | good, message);

	/* Not the same as going on with a signal, but it does, says Linux. */
	if (sig && sig <= SIGMAX)
		DISCARD(signal_send_task(self, sig, NULL));
}

bool ptrace_syscall_enter(struct task *self)
{
	bool emulate;

	if (!task_is_traced(self))
		return true;
	emulate = self->trace->emulate;
	self->trace->in_call = true;
	if (self->trace->syscalls || emulate)
		syscall_stop(self, PTRACE_MESSAGE_ENTRY);
	return !emulate && !thread_fatal_pending();
}

void ptrace_syscall_exit(struct task *self)
{
	if (!task_is_traced(self))
		return;
	self->trace->in_call = false;
	/* The processor clears TF on the way in and sets it on the way out, too late for a trap after this instruction. */
	if (self->trace->stepping && !self->trace->emulate) {
		self->trap_no = 1;
		signal_force(SIGTRAP, TRAP_BRKPT, task_frame(self)->rip);
	} else if (self->trace->syscalls) {
		syscall_stop(self, PTRACE_MESSAGE_EXIT);
	}
}
