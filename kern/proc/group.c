/*
 * Process groups, sessions, job control.
 *
 * A group lives while it has members (refs counts them) and holds its session;
 * both are found through the number table.  Everything is under proc_table_lock;
 * session.tty holds a reference on the terminal.
 *
 * A group is orphaned when no member has a parent outside the group but inside
 * the session; a group that becomes orphaned with a stopped member gets SIGHUP
 * and SIGCONT.
 */
#include <arch/cpu.h>
#include <core/panic.h>
#include <dev/tty.h>
#include "proc.h"

static struct session session_zero = { .groups = LIST_INIT(session_zero.groups) };
static struct pgroup group_zero = {
	.session = &session_zero, .members = LIST_INIT(group_zero.members), .link = LIST_INIT(group_zero.link),
};

static void session_drop_locked(struct session *s) MUST_HOLD(&proc_table_lock)
{
	if (!ref_put(&s->refs))
		return;
	pid_slot(s->sid)->session = NULL;
	pid_release_locked(s->sid);
	VERIFY(!s->tty);
	kfree(s);
}

void group_join_locked(struct process *p, struct pgroup *g)
{
	assert_held(&proc_table_lock);
	ref_get(&g->refs);
	p->group = g;
	p->session = g->session;
	list_push_back(&g->members, &p->group_link);
}

/* Drops one reference: at 0 the group's number is free and the session loses a group. */
static void group_put_locked(struct pgroup *g) MUST_HOLD(&proc_table_lock)
{
	if (!ref_put(&g->refs))
		return;
	pid_slot(g->pgid)->group = NULL;
	pid_release_locked(g->pgid);
	list_remove(&g->link);
	session_drop_locked(g->session);
	kfree(g);
}

void group_leave_locked(struct process *p)
{
	struct pgroup *g = p->group;

	if (!g)
		return;
	list_remove(&p->group_link);
	p->group = NULL;
	p->session = NULL;
	group_put_locked(g);
}

static void group_publish_locked(struct pgroup *g, u32 pgid, struct session *s)
{
	ref_init(&g->refs);
	g->pgid = pgid;
	g->session = s;
	list_init(&g->members);
	list_push_back(&s->groups, &g->link);
	ref_get(&s->refs);
	pid_slot(pgid)->group = g;
}

/* Pid 1 starts in group 0 of session 0, as on Linux: it can call setsid(). */
int group_create_init(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	group_join_locked(p, &group_zero);
	return 0;
}

/* --- orphaned groups ----------------------------------------------------- */

bool group_is_orphaned_locked(struct pgroup *g, struct process *ignore)
{
	struct process *p;

	list_for_each(p, &g->members, group_link) {
		if (p == ignore || !p->parent || p->parent == init_process)
			continue;
		if (atomic_read(&p->live_threads) == 0)
			continue;
		if (p->parent->group != g && p->parent->session == g->session)
			return false;
	}
	return true;
}

static bool has_stopped_member(struct pgroup *g)
{
	struct process *p;

	list_for_each(p, &g->members, group_link)
		if (READ_ONCE(p->stopped))
			return true;
	return false;
}

static void signal_group_locked(struct pgroup *g, u32 sig, const struct siginfo_k *info)
{
	struct process *p;

	list_for_each(p, &g->members, group_link) {
		u64 irq = spin_lock_irq(&p->sig_lock);

		signal_note_multi(p, sig);
		DISCARD(signal_send_locked(p, NULL, sig, info, !info));	/* members cannot refuse */
		spin_unlock_irq(&p->sig_lock, irq);
	}
}

/* p leaves (parent NULL: its own parent), or its parent dies: does its group lose its last link outside? */
void group_check_orphaned_locked(struct process *p, struct process *parent)
{
	struct process *ignore = parent ? NULL : p;

	if (!parent)
		parent = p->parent;
	if (!parent || !p->group || parent->group == p->group || parent->session != p->session)
		return;
	if (!group_is_orphaned_locked(p->group, ignore) || !has_stopped_member(p->group))
		return;
	signal_group_locked(p->group, SIGHUP, NULL);
	signal_group_locked(p->group, SIGCONT, NULL);
}

/* --- setpgid, setsid ----------------------------------------------------- */

/* Finds the process that setpgid may move.  0 or -errno. */
static int setpgid_target(struct task *self, u32 pid, struct process **out)
{
	struct pid_slot *s = pid_slot(pid);
	struct process *p;

	if (!s || !s->task)
		return -ESRCH;
	p = s->task->proc;
	if (p->pid != pid)
		return -EINVAL;
	if (p->parent == self->proc) {
		if (p->session != self->proc->session)
			return -EPERM;
		if (p->did_exec)
			return -EACCES;
	} else if (p != self->proc) {
		return -ESRCH;
	}
	if (p->session->leader == p)
		return -EPERM;
	*out = p;
	return 0;
}

static int setpgid_locked(struct task *self, u32 pid, u32 pgid, struct pgroup **fresh) MUST_HOLD(&proc_table_lock)
{
	struct pid_slot *s = pid_slot(pgid);
	struct process *p;
	struct pgroup *g;
	int err = setpgid_target(self, pid, &p);

	if (err)
		return err;
	g = s ? s->group : NULL;
	if (pgid != pid && (!g || g->session != p->session))
		return -EPERM;
	if (g == p->group)
		return 0;
	if (!g) {
		g = MOVE(*fresh);
		group_publish_locked(g, pgid, p->session);
	} else {
		ref_get(&g->refs);		/* the reference that group_publish starts with */
	}
	struct session *sess = p->session;

	ref_get(&sess->refs);			/* the old group may be the session's last */
	group_leave_locked(p);
	group_join_locked(p, g);
	group_put_locked(g);
	session_drop_locked(sess);
	return 0;
}

int process_setpgid(struct task *self, u32 pid, u32 pgid)
{
	struct pgroup *fresh;
	int err;

	if (!pid)
		pid = self->proc->pid;
	if (!pgid)
		pgid = pid;
	fresh = kzalloc(sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	spin_lock(&proc_table_lock);
	err = setpgid_locked(self, pid, pgid, &fresh);
	spin_unlock(&proc_table_lock);
	kfree(fresh);
	return err;
}

i64 process_setsid(struct task *self)
{
	struct process *p = self->proc;
	struct session *s = kzalloc(sizeof(*s));
	struct pgroup *g = kzalloc(sizeof(*g));
	i64 ret = -EPERM;

	if (!s || !g) {
		kfree(s);
		kfree(g);
		return -ENOMEM;
	}
	spin_lock(&proc_table_lock);
	if (p->session->leader != p && !pid_slot(p->pid)->group) {
		ret = p->pid;
		ref_init(&s->refs);
		s->sid = p->pid;
		s->leader = p;
		list_init(&s->groups);
		pid_slot(p->pid)->session = s;
		group_publish_locked(g, p->pid, s);
		group_leave_locked(p);
		group_join_locked(p, g);
		group_put_locked(MOVE(g));
		session_drop_locked(MOVE(s));
	}
	spin_unlock(&proc_table_lock);
	kfree(s);
	kfree(g);
	return ret;
}

/* --- the terminal's side ------------------------------------------------- */

/* Takes t (any terminal when NULL) from the session: the reference to drop, or NULL. */
static struct tty *session_take_tty_locked(struct session *s, struct tty *t)
{
	if (!s || !s->tty || (t && s->tty != t))
		return NULL;
	return MOVE(s->tty);
}

void session_leader_exit(struct process *p)
{
	struct tty *tty = NULL;
	u32 sid = 0;

	spin_lock(&proc_table_lock);
	if (p->session && p->session->leader == p) {
		p->session->leader = NULL;
		sid = p->session->sid;
		tty = session_take_tty_locked(p->session, NULL);
	}
	spin_unlock(&proc_table_lock);
	if (!tty)
		return;
	tty_session_exit(tty, sid);
	tty_put(tty);
}

int signal_send_pgrp(u32 pgid, u32 sig, const struct siginfo_k *info)
{
	struct pid_slot *s;

	GUARD_SPIN(&proc_table_lock);
	s = pid_slot(pgid);
	if (!s || !s->group)
		return -ESRCH;
	signal_group_locked(s->group, sig, info);
	return 0;
}

/*
 * Signals from interrupt handlers (Ctrl-C on a serial line) cannot take
 * proc_table_lock: they wait in a ring for a worker.
 */
#define DEFERRED_MAX 64u
static struct { u32 pgid, sig; } deferred[DEFERRED_MAX];
static u32 deferred_head, deferred_tail;
static spinlock_t deferred_lock = SPINLOCK_INIT(LR_TTY_BUF);
static struct waitq deferred_wait = WAITQ_INIT(deferred_wait);

static void deferred_worker(void *arg)
{
	for (;;) {
		u32 pgid = 0, sig = 0;
		u64 irq;

		waitq_wait(&deferred_wait, READ_ONCE(deferred_head) != READ_ONCE(deferred_tail));
		irq = spin_lock_irq(&deferred_lock);
		if (deferred_head != deferred_tail) {
			pgid = deferred[deferred_tail % DEFERRED_MAX].pgid;
			sig = deferred[deferred_tail % DEFERRED_MAX].sig;
			deferred_tail++;
		}
		spin_unlock_irq(&deferred_lock, irq);
		if (sig)
			DISCARD(signal_send_pgrp(pgid, sig, NULL));	/* the group may be gone by now */
	}
}

static void op_signal_pgrp(u32 pgid, u32 sig)
{
	u64 irq;

	if (irq_enabled()) {
		DISCARD(signal_send_pgrp(pgid, sig, NULL));	/* no group, nobody to tell */
		return;
	}
	irq = spin_lock_irq(&deferred_lock);
	if (deferred_head - deferred_tail < DEFERRED_MAX) {
		deferred[deferred_head % DEFERRED_MAX].pgid = pgid;
		deferred[deferred_head % DEFERRED_MAX].sig = sig;
		WRITE_ONCE(deferred_head, deferred_head + 1);
	}
	spin_unlock_irq(&deferred_lock, irq);
	waitq_wake_all(&deferred_wait);
}

static int op_check_background(struct tty *t, u32 sig)
{
	struct task *self = task_current();
	u32 fg = tty_foreground(t);
	int ret = -ERESTARTSYS;

	if (!task_is_user(&self->thread))
		return 0;
	GUARD_SPIN(&proc_table_lock);
	if (self->proc->session->tty != t || !fg || self->proc->group->pgid == fg)
		return 0;
	if (signal_ignored(self, sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (group_is_orphaned_locked(self->proc->group, NULL))
		return -EIO;
	signal_group_locked(self->proc->group, sig, NULL);
	return ret;
}

static void *op_current_tty(void)
{
	struct task *self = task_current();

	if (!task_is_user(&self->thread))
		return NULL;
	GUARD_SPIN(&proc_table_lock);
	return self->proc->session->tty ? tty_get(self->proc->session->tty) : NULL;
}

static u32 op_current_pgid(void) { return process_pgid(task_current()->proc); }
static u32 op_current_sid(void) { return process_sid(task_current()->proc); }

static bool op_current_is_leader(void)
{
	struct process *p = task_current()->proc;

	return READ_ONCE(p->session)->leader == p;
}

static int op_set_session_tty(struct tty *t, bool steal)
{
	struct task *self = task_current();
	struct process *p = self->proc;
	struct tty *stolen = NULL;
	u32 old = tty_session(t), sid, pgid;

	if (!task_is_user(&self->thread))
		return -EPERM;
	spin_lock(&proc_table_lock);
	sid = p->session->sid;
	pgid = p->group->pgid;
	if (p->session->leader == p && p->session->tty == t && old == sid) {
		spin_unlock(&proc_table_lock);
		return 0;
	}
	if (p->session->leader != p || p->session->tty || (old && !(steal && cred_can(self->vfs.cred, CAP_SYS_ADMIN)))) {
		spin_unlock(&proc_table_lock);
		return -EPERM;
	}
	if (old && pid_slot(old))
		stolen = session_take_tty_locked(pid_slot(old)->session, t);
	p->session->tty = tty_get(t);
	spin_unlock(&proc_table_lock);
	if (stolen)
		tty_put(stolen);
	tty_set_session(t, sid, pgid);
	return 0;
}

static int op_clear_session_tty(struct tty *t)
{
	struct process *p = task_current()->proc;
	struct tty *dropped = NULL;
	u32 sid = 0;

	spin_lock(&proc_table_lock);
	if (p->session && p->session->leader == p && p->session->tty == t) {
		sid = p->session->sid;
		dropped = session_take_tty_locked(p->session, t);
	}
	spin_unlock(&proc_table_lock);
	if (!dropped)
		return 0;			/* a member that is not the leader just goes on without */
	tty_session_exit(dropped, sid);
	tty_put(dropped);
	return 0;
}

static bool op_pgid_in_session(u32 pgid, u32 sid)
{
	struct pid_slot *s;

	GUARD_SPIN(&proc_table_lock);
	s = pid_slot(pgid);
	return s && s->group && s->group->session->sid == sid;
}

static bool op_pgid_exists(u32 pgid)
{
	struct pid_slot *s;

	GUARD_SPIN(&proc_table_lock);
	s = pid_slot(pgid);
	return s && (s->task || s->group || s->session);
}

/* The line went down: the leader hears of it and the session has no terminal any more. */
static void op_session_hangup(struct tty *t, u32 sid)
{
	struct process *leader = NULL;
	struct tty *dropped = NULL;

	spin_lock(&proc_table_lock);
	if (pid_slot(sid) && pid_slot(sid)->session && pid_slot(sid)->session->tty == t) {
		leader = pid_slot(sid)->session->leader;
		if (leader)
			leader = process_get(leader);
		dropped = session_take_tty_locked(pid_slot(sid)->session, t);
	}
	spin_unlock(&proc_table_lock);
	if (leader) {
		DISCARD(signal_send_process(leader, SIGHUP, NULL));	/* it may have died meanwhile */
		DISCARD(signal_send_process(leader, SIGCONT, NULL));
		process_put(leader);
	}
	if (dropped)
		tty_put(dropped);
}

static const struct tty_proc_ops tty_ops = {
	.signal_pgrp = op_signal_pgrp, .check_background = op_check_background, .current_tty = op_current_tty,
	.current_pgid = op_current_pgid, .current_sid = op_current_sid, .current_is_leader = op_current_is_leader,
	.set_session_tty = op_set_session_tty, .clear_session_tty = op_clear_session_tty,
	.pgid_in_session = op_pgid_in_session, .pgid_exists = op_pgid_exists, .session_hangup = op_session_hangup,
};

void group_init(void)
{
	ref_init(&session_zero.refs);
	ref_init(&group_zero.refs);
	pid_slot(0)->group = &group_zero;
	pid_slot(0)->session = &session_zero;
	tty_proc = &tty_ops;
	if (!thread_spawn_kernel("ttysignal", deferred_worker, NULL))
		panic_boot("no memory for the signal worker");
}
