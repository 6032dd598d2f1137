/*
 * Sending signals: what is ignored, what is queued, who is woken.
 *
 * A signal for a process is put in the shared queue and one thread that does
 * not block it is woken; a signal that kills without a dump starts the group's
 * death at once: every thread gets TF_FATAL.  SIGCONT wakes a stopped group
 * whatever becomes of the signal itself.
 */
#include <core/trace.h>
#include "ptrace.h"

const struct sigaction_k sigaction_default = { .handler = SIG_DFL_K };

static void sighand_free(struct sighand *sh) { slab_free(sighand_cache, sh); }

void sighand_put(struct sighand *sh)
{
	if (ref_put(&sh->refs))
		sighand_free(sh);
}

void sighand_keep_ignored(struct sighand *sh)
{
	u64 ignored = 0;

	for (u64 used = sh->used; used; used &= used - 1) {
		u32 sig = (u32)__builtin_ctzll(used) + 1;

		if (sh->action[sig].handler != SIG_IGN_K)
			continue;
		sh->action[sig] = (struct sigaction_k){ .handler = SIG_IGN_K };
		ignored |= SIGBIT(sig);
	}
	sh->used = ignored;
}

struct sighand *sighand_dup(struct sighand *sh, bool clear)
{
	struct sighand *n = slab_alloc(sighand_cache);

	if (!n)
		return NULL;
	if (!sh) {
		n->used = 0;
	} else {
		u64 irq = spin_lock_irq(&sh->lock);

		n->used = sh->used;
		for (u64 used = n->used; used; used &= used - 1) {
			u32 sig = (u32)__builtin_ctzll(used) + 1;

			n->action[sig] = sh->action[sig];
		}
		spin_unlock_irq(&sh->lock, irq);
	}
	ref_init(&n->refs);
	spin_init(&n->lock, LR_SIGNAL);
	if (clear)
		sighand_keep_ignored(n);
	return n;
}

static u64 handler_of(struct process *p, u32 sig) { return READ_ONCE(sighand_action(p->sighand, sig)->handler); }

bool signal_is_ignored(struct process *p, struct task *t, u32 sig, bool force)
{
	u64 h = handler_of(p, sig);

	if (p->unkillable && h == SIG_DFL_K && !(force && (SIGBIT(sig) & SIG_KERNEL_ONLY)))
		return true;
	return h == SIG_IGN_K || (h == SIG_DFL_K && (SIGBIT(sig) & SIG_IGNORE_MASK));
}

bool signal_is_heard_locked(struct process *p, struct task *t, u32 sig, bool force)
{
	if ((t->blocked.bits | t->real_blocked.bits) & SIGBIT(sig))
		return true;			/* its action may change before it is unblocked */
	if (likely(!signal_is_ignored(p, t, sig, force)))
		return true;
	return (task_is_traced(t) || t->watched & WATCH_STRACE) && sig != SIGKILL;	/* somebody may want to know */
}

bool signal_ignored(struct task *self, u32 sig)
{
	GUARD_IRQ(&self->proc->sig_lock);
	return (self->blocked.bits & SIGBIT(sig)) || handler_of(self->proc, sig) == SIG_IGN_K;
}

/* Kills for sure: no handler, and not one of those that do nothing or stop. */
static bool is_fatal(struct process *p, u32 sig)
{
	return handler_of(p, sig) == SIG_DFL_K && !(SIGBIT(sig) & (SIG_IGNORE_MASK | SIG_STOP_MASK));
}

void signal_wake_task(struct task *t, bool fatal)
{
	u32 mask = 1u << THREAD_SLEEP_INTR;

	bits_set(&t->thread.flags, fatal ? TF_SIGNAL | TF_FATAL : TF_SIGNAL);
	if (fatal)
		mask |= 1u << THREAD_SLEEP_KILL | 1u << THREAD_STOPPED | 1u << THREAD_TRACED;
	if (&t->thread != thread_current() && !sched_wake_state(&t->thread, mask))
		sched_kick(&t->thread);
}

bool signal_kill_group_locked(struct process *p, i32 code)
{
	struct task *t;

	assert_held(&p->sig_lock);
	if (p->group_exiting)
		return false;
	p->group_exiting = true;
	p->group_exit_code = code;
	p->stopping = 0;
	p->stopped = false;
	list_for_each(t, &p->threads, thread_link) {
		if (t->exit_state != TASK_LIVE)
			continue;
		t->stop_work = 0;
		t->halted &= ~HALT_JOB;
		t->pending.set.bits |= SIGBIT(SIGKILL);
		signal_wake_task(t, true);
	}
	return true;
}

/* A stop in progress or done ends; the parent hears of it from the first thread that runs. */
static void continue_group(struct process *p)
{
	struct task *t;
	bool was_stopped = p->stopped, was_stopping = p->stopping != 0;

	list_for_each(t, &p->threads, thread_link) {
		sigqueue_remove(&t->pending, SIG_STOP_MASK);
		t->stop_work &= ~(STOP_GROUP | STOP_COUNTED);
		t->stop_dequeued = false;
		if (t->halted & HALT_JOB) {
			WRITE_ONCE(t->halted, t->halted & ~HALT_JOB);
			bits_set(&t->thread.flags, TF_SIGNAL);
			sched_wake_state(&t->thread, 1u << THREAD_STOPPED);
		}
		if (task_is_traced(t) && t->trace->seized)
			ptrace_notify_trap_locked(t);
	}
	if (was_stopped || was_stopping) {
		p->notify_cld = was_stopped ? CLD_CONTINUED : CLD_STOPPED;
		p->continued = true;
		p->cont_reported = false;
		p->stopped = false;
		p->stopping = 0;
		p->group_exit_code = 0;
		list_for_each(t, &p->threads, thread_link)
			if (t->exit_state == TASK_LIVE)
				signal_wake_task(t, false);
	}
}

/* Effects that come before the question whether the signal is kept.  False: it is dropped. */
static bool prepare(struct process *p, struct task *t, u32 sig, bool force) MUST_HOLD(&p->sig_lock)
{
	struct task *each;

	if (p->group_exiting)
		return false;
	if (SIGBIT(sig) & SIG_STOP_MASK) {
		sigqueue_remove(&p->shared_pending, SIGBIT(SIGCONT));
		list_for_each(each, &p->threads, thread_link)
			sigqueue_remove(&each->pending, SIGBIT(SIGCONT));
	} else if (sig == SIGCONT) {
		sigqueue_remove(&p->shared_pending, SIG_STOP_MASK);
		continue_group(p);
	}
	return signal_is_heard_locked(p, t ? t : p->leader, sig, force);
}

static bool wants(struct task *t, u32 sig)
{
	if ((t->blocked.bits & SIGBIT(sig)) || t->exit_state != TASK_LIVE)
		return false;
	if (sig == SIGKILL)
		return true;
	if (t->halted)
		return false;
	return &t->thread == thread_current() || !(READ_ONCE(t->thread.flags) & TF_SIGNAL);
}

static struct task *choose_target(struct process *p, struct task *t, u32 sig, bool private)
{
	struct task *each;

	if (wants(t, sig))
		return t;
	if (private || p->nthreads == 1)
		return NULL;
	list_for_each(each, &p->threads, thread_link)
		if (wants(each, sig))
			return each;
	return NULL;
}

static void complete(struct process *p, struct task *t, u32 sig, bool private) MUST_HOLD(&p->sig_lock)
{
	struct task *target = choose_target(p, t, sig, private);

	if (!target)
		return;				/* delivered when somebody unblocks it */
	if (is_fatal(p, sig) && !((target->real_blocked.bits | SIG_CORE_MASK) & SIGBIT(sig)) &&
	    (sig == SIGKILL || !(task_is_traced(target) || target->watched & WATCH_STRACE))) {
		DISCARD(signal_kill_group_locked(p, (i32)sig));	/* false: dying already */
		return;
	}
	signal_wake_task(target, sig == SIGKILL);
}

static void fill_default(struct siginfo_k *info, u32 sig, bool force)
{
	memset(info, 0, sizeof(*info));
	info->signo = (i32)sig;
	info->code = force ? SI_KERNEL : SI_USER;
}

int signal_send_locked(struct process *p, struct task *t, u32 sig, const struct siginfo_k *info, bool force)
{
	struct sigqueue *q = t ? &t->pending : &p->shared_pending;
	struct task *ref = t ? t : p->leader;
	struct sigitem *item;
	bool override;

	assert_held(&p->sig_lock);
	if (p->reaped || !ref || ref->exit_state == TASK_REAPED)
		return -ESRCH;
	if (!prepare(p, t, sig, force))
		return 0;
	if (sig < SIGRTMIN && (q->set.bits & SIGBIT(sig)))
		return 0;
	if (sig != SIGKILL || info) {
		override = sig < SIGRTMIN && (!info || info->code >= 0);
		item = sigitem_alloc(ref->user, p->rlim[RLIMIT_SIGPENDING].cur, override);
		if (!item && sig >= SIGRTMIN && info && info->code != SI_USER)
			return -EAGAIN;
		if (item) {
			item->timer = NULL;
			if (info)
				item->info = *info;
			else
				fill_default(&item->info, sig, force);
			item->info.signo = (i32)sig;
		}
		sigqueue_push(q, sig, item);
	} else {
		sigqueue_push(q, sig, NULL);
	}
	signalfd_notify(p->sighand);
	trace_signal_send(sig, ref->tid);
	complete(p, ref, sig, t != NULL);
	return 0;
}

bool signal_send_item_locked(struct process *p, struct task *t, struct sigitem *item)
{
	u32 sig = (u32)item->info.signo;
	struct task *ref = t ? t : p->leader;

	assert_held(&p->sig_lock);
	if (p->reaped || !ref || ref->exit_state == TASK_REAPED || !prepare(p, t, sig, false))
		return false;
	sigqueue_push(t ? &t->pending : &p->shared_pending, sig, item);
	signalfd_notify(p->sighand);
	complete(p, ref, sig, t != NULL);
	return true;
}

int signal_send_task(struct task *t, u32 sig, const struct siginfo_k *info)
{
	GUARD_IRQ(&t->proc->sig_lock);
	return signal_send_locked(t->proc, t, sig, info, !info);
}

int signal_send_process(struct process *p, u32 sig, const struct siginfo_k *info)
{
	GUARD_IRQ(&p->sig_lock);
	return signal_send_locked(p, NULL, sig, info, !info);
}

/* --- faults of the running task ------------------------------------------ */

void signal_force_info(u32 sig, const struct siginfo_k *info)
{
	struct task *self = task_current();
	struct process *p = self->proc;

	GUARD_IRQ(&p->sig_lock);
	if (handler_of(p, sig) == SIG_IGN_K || (self->blocked.bits & SIGBIT(sig))) {
		sighand_reset(p->sighand, sig);
		self->blocked.bits &= ~SIGBIT(sig);
	}
	if (handler_of(p, sig) == SIG_DFL_K)
		p->unkillable = false;
	if (signal_send_locked(p, self, sig, info, true))
		self->pending.set.bits |= SIGBIT(sig);
	signal_recalc(self);
}

void signal_force(u32 sig, i32 code, u64 addr)
{
	struct siginfo_k info;

	memset(&info, 0, sizeof(info));
	info.signo = (i32)sig;
	info.code = code;
	info.fault.addr = addr;
	signal_force_info(sig, &info);
}

/* --- kill(2) and its relatives ------------------------------------------- */

void signal_fill_user(struct siginfo_k *info, struct task *from, u32 sig, i32 code)
{
	memset(info, 0, sizeof(*info));
	info->signo = (i32)sig;
	info->code = code;
	info->rt.pid = (i32)from->proc->pid;
	info->rt.uid = from->vfs.cred->uid;
}

/* PROC_TABLE held. */
static bool may_signal_locked(const struct cred *c, struct process *target, u32 sig)
{
	struct process *me = task_current()->proc;
	const struct cred *t;
	bool ok;

	if (target == me || cred_can(c, CAP_KILL) || (sig == SIGCONT && target->session == me->session))
		return true;
	if (!target->leader || target->reaped)
		return false;
	t = task_cred_get(target->leader);
	ok = c->euid == t->suid || c->euid == t->uid || c->uid == t->suid || c->uid == t->uid;
	cred_put(t);
	return ok;
}

bool process_may_signal(const struct cred *c, struct process *target, u32 sig)
{
	GUARD_SPIN(&proc_table_lock);
	return may_signal_locked(c, target, sig);
}

/* PROC_TABLE held.  sig 0 only checks. */
static int kill_one_locked(struct task *self, struct process *p, u32 sig, const struct siginfo_k *info, bool set)
{
	int err = 0;
	u64 irq;

	if (!may_signal_locked(self->vfs.cred, p, sig))
		return -EPERM;
	if (!sig)
		return 0;
	irq = spin_lock_irq(&p->sig_lock);
	if (set)
		signal_note_multi(p, sig);
	err = signal_send_locked(p, NULL, sig, info, false);
	spin_unlock_irq(&p->sig_lock, irq);
	return err;
}

static int kill_group_locked(struct task *self, struct pgroup *g, u32 sig, const struct siginfo_k *info)
{
	struct process *p;
	bool success = false;
	int last = -ESRCH;

	list_for_each(p, &g->members, group_link) {
		int err = kill_one_locked(self, p, sig, info, true);

		success |= !err;
		last = err;
	}
	return success ? 0 : last;
}

static int kill_all_locked(struct task *self, u32 sig, const struct siginfo_k *info) MUST_HOLD(&proc_table_lock)
{
	int ret = 0;
	u32 count = 0;

	for (u32 nr = pid_next_used_locked(2); nr; nr = pid_next_used_locked(nr + 1)) {
		struct process *p = process_of_slot(pid_slot(nr), nr);
		int err;

		if (!p || p == self->proc)
			continue;
		err = kill_one_locked(self, p, sig, info, true);
		count++;
		if (err != -EPERM)
			ret = err;
	}
	return count ? ret : -ESRCH;
}

int signal_kill(struct task *self, i32 pid, u32 sig)
{
	struct siginfo_k info;
	struct pid_slot *s;
	struct process *p;

	if (sig > SIGMAX)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	signal_fill_user(&info, self, sig, SI_USER);
	GUARD_SPIN(&proc_table_lock);
	if (pid == 0)
		return kill_group_locked(self, self->proc->group, sig, &info);
	if (pid == -1)
		return kill_all_locked(self, sig, &info);
	s = pid_slot(pid > 0 ? (u32)pid : (u32)-pid);
	if (pid < 0)
		return s && s->group ? kill_group_locked(self, s->group, sig, &info) : -ESRCH;
	p = s && s->task ? s->task->proc : NULL;	/* a thread's number names its process */
	return p ? kill_one_locked(self, p, sig, &info, false) : -ESRCH;
}

/* To one thread (tid) or to the process (tid 0) of group tgid (<= 0: any). */
static int send_to_thread(struct task *self, i32 tgid, i32 tid, u32 sig, const struct siginfo_k *info)
{
	struct pid_slot *s;
	struct task *t;
	int err;
	u64 irq;

	GUARD_SPIN(&proc_table_lock);
	s = pid_slot((u32)(tid > 0 ? tid : tgid));
	t = s ? s->task : NULL;
	if (!t || (tid > 0 && tgid > 0 && t->proc->pid != (u32)tgid))
		return -ESRCH;
	if (!may_signal_locked(self->vfs.cred, t->proc, sig))
		return -EPERM;
	if (!sig)
		return 0;
	irq = spin_lock_irq(&t->proc->sig_lock);
	err = signal_send_locked(t->proc, tid > 0 ? t : NULL, sig, info, false);
	spin_unlock_irq(&t->proc->sig_lock, irq);
	return err;
}

int signal_tgkill(struct task *self, i32 tgid, i32 tid, u32 sig)
{
	struct siginfo_k info;

	if (tid <= 0 || sig > SIGMAX)
		return -EINVAL;
	signal_fill_user(&info, self, sig, SI_TKILL);
	return send_to_thread(self, tgid, tid, sig, &info);
}

int signal_queueinfo(struct task *self, i32 tgid, i32 tid, u32 sig, const struct siginfo_k *info)
{
	struct siginfo_k copy = *info;

	if (sig > SIGMAX)
		return -EINVAL;
	copy.signo = (i32)sig;
	/* Only the sender itself may claim to be the kernel, a kill or a tkill. */
	if ((copy.code >= 0 || copy.code == SI_TKILL) && (u32)tgid != self->proc->pid)
		return -EPERM;
	return send_to_thread(self, tgid, tid, sig, &copy);
}

/* --- hooks of lower layers ------------------------------------------------ */

static void hook_sigpipe(void)
{
	struct task *self = task_current();
	struct siginfo_k info;

	if (!task_is_user(&self->thread))
		return;
	signal_fill_user(&info, self, SIGPIPE, SI_USER);
	DISCARD(signal_send_task(self, SIGPIPE, &info));	/* not a real-time signal: always accepted */
}

static void hook_sigxfsz(void)
{
	if (task_is_user(thread_current()))
		DISCARD(signal_send_task(task_current(), SIGXFSZ, NULL));	/* not a real-time signal */
}

static void send_io(struct process *p, struct task *t, struct file *f, u32 band)
{
	struct siginfo_k info;
	u32 sig = f->owner_sig ? f->owner_sig : SIGIO;
	u64 irq;

	memset(&info, 0, sizeof(info));
	info.signo = (i32)sig;
	info.code = band & POLLIN ? 1 : band & POLLOUT ? 2 : band & POLLHUP ? 6 : 4;	/* POLL_IN OUT HUP ERR */
	info.poll.band = band;
	info.poll.fd = f->async_fd;
	irq = spin_lock_irq(&p->sig_lock);
	if (signal_send_locked(p, t, sig, f->owner_sig ? &info : NULL, true) == -EAGAIN)
		DISCARD(signal_send_locked(p, t, SIGIO, NULL, true));	/* queue full: the plain one, as F_SETSIG says */
	spin_unlock_irq(&p->sig_lock, irq);
}

static void hook_sigio(struct file *f, u32 band)
{
	i32 who = (i32)f->owner_pid;
	struct pid_slot *s = who ? pid_slot(who < 0 ? (u32)-who : (u32)who) : NULL;
	struct process *p;

	if (!s)
		return;
	GUARD_SPIN(&proc_table_lock);
	if (who > 0 && f->owner_type != 2 && s->task)
		send_io(s->task->proc, f->owner_type == 0 && s->task->tid != s->task->proc->pid ? s->task : NULL, f, band);
	else if (s->group)
		list_for_each(p, &s->group->members, group_link)
			send_io(p, NULL, f, band);
}

void signal_send_init(void)
{
	vfs_sigpipe_hook = hook_sigpipe;
	vfs_sigxfsz_hook = hook_sigxfsz;
	vfs_signal_hook = hook_sigio;
}
