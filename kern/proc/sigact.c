/*
 * The program's side of signals: actions, masks, waiting for them, alternate
 * stacks.
 */
#include <sched/wait.h>
#include "proc.h"

#define SS_ONSTACK    1u
#define SS_DISABLE    2u
#define SS_AUTODISARM (1u << 31)
#define SA_SUPPORTED                                                                                                \
	(SA_NOCLDSTOP_K | SA_NOCLDWAIT_K | SA_SIGINFO_K | 0x800ull /* SA_EXPOSE_TAGBITS */ | SA_RESTORER_K | SA_ONSTACK_K | \
	 SA_RESTART_K | SA_NODEFER_K | SA_RESETHAND_K)

static const char *const names[] = {
	"0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
	"STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",
	"SYS",
};

const char *signal_name(u32 sig) { return sig < ARRAY_LEN(names) ? names[sig] : "RT"; }

void signal_recalc(struct task *self)
{
	struct process *p = self->proc;
	u64 pending = self->pending.set.bits | p->shared_pending.set.bits;

	if ((pending & ~self->blocked.bits) || self->stop_work || p->notify_cld || p->group_exiting ||
	    (p->exec_task && p->exec_task != self))
		bits_set(&self->thread.flags, TF_SIGNAL);
	else if (READ_ONCE(self->thread.flags) & TF_SIGNAL)
		bits_clear(&self->thread.flags, TF_SIGNAL);
}

void signal_hear_late(struct task *child, const struct process *p, u32 seen)
{
	struct sigqueue *q = &child->proc->shared_pending;

	if (p->multi_signals - seen > MULTI_SIGNALS)
		seen = p->multi_signals - MULTI_SIGNALS;
	for (; seen != p->multi_signals; seen++) {
		u32 sig = p->multi_last[seen % MULTI_SIGNALS];

		if (!signal_is_ignored(child->proc, child, sig, false))
			sigqueue_push(q, sig, NULL);
	}
	if (q->set.bits & ~child->blocked.bits)
		bits_set(&child->thread.flags, TF_SIGNAL);
}

int signal_action(struct task *self, u32 sig, const struct sigaction_k *act, struct sigaction_k *old)
{
	struct process *p = self->proc;
	struct sighand *sh = p->sighand;
	struct task *t;
	u64 irq;

	if (!sig || sig > SIGMAX || (act && (SIGBIT(sig) & SIG_KERNEL_ONLY)))
		return -EINVAL;
	irq = spin_lock_irq(&p->sig_lock);
	spin_lock_nested(&sh->lock);
	if (old)
		*old = *sighand_action(sh, sig);
	if (act) {
		struct sigaction_k *slot = &sh->action[sig];

		*slot = *act;
		slot->flags &= SA_SUPPORTED;	/* SA_UNSUPPORTED reads back as cleared: how programs probe */
		slot->mask &= ~SIG_KERNEL_ONLY;
		store_release(&sh->used, sh->used | SIGBIT(sig));
	}
	spin_unlock(&sh->lock);
	if (act && act->handler <= SIG_IGN_K && signal_is_ignored(p, self, sig, false)) {
		sigqueue_remove(&p->shared_pending, SIGBIT(sig));
		list_for_each(t, &p->threads, thread_link)
			sigqueue_remove(&t->pending, SIGBIT(sig));
	}
	spin_unlock_irq(&p->sig_lock, irq);
	return 0;
}

/* Others may take the shared signals that self blocks from now on. */
static void retarget_shared(struct task *self, u64 which)
{
	struct process *p = self->proc;
	u64 left = p->shared_pending.set.bits & which;
	struct task *t;

	if (!left || p->nthreads == 1)
		return;
	list_for_each(t, &p->threads, thread_link) {
		if (t == self || t->exit_state != TASK_LIVE || !(left & ~t->blocked.bits))
			continue;
		left &= t->blocked.bits;
		signal_wake_task(t, false);
		if (!left)
			return;
	}
}

static void set_blocked_locked(struct task *self, u64 mask)
{
	u64 newly = mask & ~self->blocked.bits;

	if (newly && (READ_ONCE(self->thread.flags) & TF_SIGNAL))
		retarget_shared(self, newly);
	self->blocked.bits = mask;
	signal_recalc(self);
}

void signal_set_blocked(struct task *self, struct sigset64 mask)
{
	u64 bits = mask.bits & ~SIG_KERNEL_ONLY;

	if (bits == self->blocked.bits)
		return;			/* only the thread itself changes its mask, or who has stopped it */
	GUARD_IRQ(&self->proc->sig_lock);
	set_blocked_locked(self, bits);
}

struct sigset64 signal_pending_set(struct task *self)
{
	GUARD_IRQ(&self->proc->sig_lock);
	return (struct sigset64){ (self->pending.set.bits | self->proc->shared_pending.set.bits) & self->blocked.bits };
}

void signal_mask_temporary(struct task *self, struct sigset64 mask)
{
	self->saved_mask = self->blocked;
	self->restore_mask = true;
	bits_set(&self->thread.flags, TF_NOTIFY);
	signal_set_blocked(self, mask);
}

void signal_mask_restore_now(struct task *self)
{
	if (!self->restore_mask)
		return;
	self->restore_mask = false;
	signal_set_blocked(self, self->saved_mask);
}

/* --- taking signals without a handler ------------------------------------- */

u32 signal_dequeue_locked(struct task *t, u64 blocked, struct siginfo_k *info)
{
	struct process *p = t->proc;
	struct posix_timer *timer = NULL;
	u32 sig = sigqueue_take(&t->pending, blocked, info, &timer);

	if (!sig) {
		sig = sigqueue_take(&p->shared_pending, blocked, info, &timer);
		if (sig == SIGALRM)
			itimer_rearm_real(p);
	}
	if (timer)
		posix_timer_taken(timer, info);
	if (sig && (SIGBIT(sig) & SIG_STOP_MASK))
		t->stop_dequeued = true;
	return sig;
}

u32 signal_take(struct task *self, struct sigset64 set, struct siginfo_k *out)
{
	u32 sig;

	GUARD_IRQ(&self->proc->sig_lock);
	sig = signal_dequeue_locked(self, ~set.bits | SIG_KERNEL_ONLY, out);
	if (sig)
		signal_recalc(self);
	return sig;
}

i64 signal_timedwait(struct task *self, struct sigset64 set, struct siginfo_k *out, u64 deadline_ns)
{
	struct process *p = self->proc;
	u64 want = set.bits & ~SIG_KERNEL_ONLY;
	u32 sig = signal_take(self, (struct sigset64){ want }, out);
	bool in_time = true;
	u64 irq;

	if (sig)
		return sig;
	if (!deadline_ns)
		return -EAGAIN;
	irq = spin_lock_irq(&p->sig_lock);
	self->real_blocked = self->blocked;
	self->blocked.bits &= ~want;
	signal_recalc(self);
	spin_unlock_irq(&p->sig_lock, irq);
	while (in_time) {
		sched_set_state(THREAD_SLEEP_INTR);
		if (thread_signal_pending())
			break;
		in_time = sched_block_until(deadline_ns);
	}
	sched_set_state(THREAD_RUNNABLE);
	irq = spin_lock_irq(&p->sig_lock);
	set_blocked_locked(self, self->real_blocked.bits);
	self->real_blocked.bits = 0;
	sig = signal_dequeue_locked(self, ~want, out);
	signal_recalc(self);
	spin_unlock_irq(&p->sig_lock, irq);
	if (sig)
		return sig;
	return thread_signal_pending() ? -EINTR : -EAGAIN;
}

/* --- alternate stack -------------------------------------------------------- */

static bool on_altstack(struct task *self, u64 sp)
{
	const struct sigaltstack_k *ss = &self->altstack;

	return ss->size && !(ss->flags & SS_AUTODISARM) && sp > ss->sp && sp - ss->sp <= ss->size;
}

int signal_altstack(struct task *self, const struct sigaltstack_k *ss, struct sigaltstack_k *old)
{
	struct sigaltstack_k *cur = &self->altstack;
	u64 sp = task_frame(self)->rsp;
	u32 mode;

	if (old) {
		memset(old, 0, sizeof(*old));
		old->sp = cur->sp;
		old->size = cur->size;
		old->flags = (!cur->size ? SS_DISABLE : on_altstack(self, sp) ? SS_ONSTACK : 0) | (cur->flags & SS_AUTODISARM);
	}
	if (!ss)
		return 0;
	if (on_altstack(self, sp))
		return -EPERM;
	mode = ss->flags & ~SS_AUTODISARM;
	if (mode && mode != SS_ONSTACK && mode != SS_DISABLE)
		return -EINVAL;
	if (mode == SS_DISABLE) {
		*cur = (struct sigaltstack_k){ .flags = ss->flags };
		return 0;
	}
	if (ss->size < 2048)			/* MINSIGSTKSZ */
		return -ENOMEM;
	*cur = *ss;
	return 0;
}

/* --- exit and exec ------------------------------------------------------------ */

/* sig_lock held.  True: with self gone, the group has come to a stop. */
static bool leave_stop(struct task *self)
{
	return self->stop_work & STOP_GROUP && signal_stop_join(self);
}

void signal_exit_thread(struct task *self)
{
	struct process *p = self->proc;
	struct task *t;
	bool stopped = false;
	u64 irq = spin_lock_irq(&p->sig_lock);

	self->exit_state = TASK_EXITING;
	if (!p->group_exiting) {
		stopped = p->nthreads > 1 && leave_stop(self);
		retarget_shared(self, ~self->blocked.bits);
		list_for_each(t, &p->threads, thread_link)
			if (p->notify_cld && t->exit_state == TASK_LIVE)
				signal_wake_task(t, false);
	}
	spin_unlock_irq(&p->sig_lock, irq);
	if (stopped) {
		GUARD_SPIN(&proc_table_lock);
		notify_parent_cldstop_locked(p, CLD_STOPPED);
	}
}

void signal_flush_handlers(struct task *self)
{
	struct process *p = self->proc;
	struct sighand *sh = p->sighand;

	GUARD_IRQ(&p->sig_lock);
	sighand_keep_ignored(sh);
	self->altstack = (struct sigaltstack_k){ .flags = SS_DISABLE };
	signal_recalc(self);
}
