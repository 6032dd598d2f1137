/*
 * clone: new threads and processes.
 *
 * Everything that can fail is done on a private child first; then one round
 * under proc_table_lock gives it its number and links it, or refuses (signals,
 * limits) with nothing changed.  A child that is not linked is taken apart by
 * child_drop(), which copes with any stage.
 */
#include <arch/usercopy.h>
#include <core/debug.h>
#include <core/panic.h>
#include <core/trace.h>
#include <proc/profile.h>
#include "ptrace.h"

#define CLONE_NEW_ANY (CLONE_NEWTIME | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
		       CLONE_NEWPID | CLONE_NEWNET)
#define CLONE_KNOWN                                                                                                     \
	(CLONE_NEW_ANY | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PIDFD | CLONE_PTRACE | CLONE_VFORK |     \
	 CLONE_PARENT | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID |          \
	 CLONE_DETACHED | CLONE_UNTRACED | CLONE_CHILD_SETTID | CLONE_IO | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP)

struct birth {
	struct task *self, *child;
	const struct clone_args_k *args;
	u32 set_tid;			/* wanted number, 0: any */
	u32 multi_seen;			/* process.multi_signals when fork began */
	struct file *pidfd;		/* installed at commit */
	int pidfd_nr;
	bool new_process;
	bool traced;			/* its maker's tracer gets the child too */
};

/* --- what may be asked ------------------------------------------------------- */

u32 sysctl_threads_max = MAX_THREADS;

static int check_flags(struct task *self, const struct clone_args_k *a)
{
	u64 f = a->flags;

	if (f & ~CLONE_KNOWN)
		return -EINVAL;
	if ((f & CLONE_FS) && (f & (CLONE_NEWNS | CLONE_NEWUSER)))
		return -EINVAL;
	if (((f & CLONE_THREAD) && !(f & CLONE_SIGHAND)) || ((f & CLONE_SIGHAND) && !(f & CLONE_VM)))
		return -EINVAL;
	if ((f & CLONE_PARENT) && self->proc->unkillable)
		return -EINVAL;
	if ((f & CLONE_PIDFD) && (f & (CLONE_DETACHED | CLONE_THREAD)))
		return -EINVAL;
	if ((f & CLONE_CLEAR_SIGHAND) && (f & CLONE_SIGHAND))
		return -EINVAL;
	if (f & CLONE_INTO_CGROUP)
		return -EBADF;			/* no cgroups: no descriptor can name one */
	if (f & CLONE_NEW_ANY)			/* a kernel built without name spaces */
		return cred_can(self->vfs.cred, CAP_SYS_ADMIN) || (f & CLONE_NEWUSER) ? -EINVAL : -EPERM;
	return 0;
}

/* set_tid of clone3: one name space, so at most one number. */
static int read_set_tid(struct birth *b)
{
	i32 nr;

	if (!b->args->set_tid_size)
		return 0;
	if (b->args->set_tid_size > 1)
		return -EINVAL;
	if (user_get(&nr, b->args->set_tid))
		return -EFAULT;
	if (nr < 1)
		return -EINVAL;
	if (!cred_can(b->self->vfs.cred, CAP_CHECKPOINT_RESTORE) && !cred_can(b->self->vfs.cred, CAP_SYS_ADMIN))
		return -EPERM;
	b->set_tid = (u32)nr;
	return 0;
}

/* counted: 1 once the child is among the user's tasks, so that two forks at once do not both fit. */
static int check_limits(struct task *self, u64 counted)
{
	const struct cred *c = self->vfs.cred;
	u64 limit = READ_ONCE(self->proc->rlim[RLIMIT_NPROC].cur);

	if ((u64)atomic_read(&self->user->tasks) - counted >= limit && self->user != &user_root &&
	    !cred_can(c, CAP_SYS_RESOURCE) && !cred_can(c, CAP_SYS_ADMIN))
		return -EAGAIN;
	return atomic_read(&thread_total) >= (i32)READ_ONCE(sysctl_threads_max) ? -EAGAIN : 0;
}

/* --- the parts of the child ------------------------------------------------------ */

static void task_free(struct thread *thread)
{
	struct task *t = container_of(thread, struct task, thread);

	if (t->vfs.cred)
		cred_put(t->vfs.cred);
	if (t->proc)
		process_put(t->proc);
	kfree(t->trace);
	kfree(t->strace);
	slab_free(task_cache, t);
}

static struct task *task_alloc(const char *name)
{
	struct task *t = slab_alloc(task_cache);

	if (!t)
		return NULL;
	arch_thread_clear(&t->thread.arch);
	memset(&t->thread.arch + 1, 0, sizeof(*t) - sizeof(t->thread.arch));	/* it comes first */
	if (thread_init(&t->thread, name)) {
		slab_free(task_cache, t);
		return NULL;
	}
	t->thread.release = task_free;
	t->thread.vfs_caller = &t->vfs;
	sigqueue_init(&t->pending);
	list_init(&t->thread_link);
	list_init(&t->tid_link);
	t->altstack.flags = 2;			/* SS_DISABLE */
	t->timer_slack_ns = 50000;
	t->start_ns = clock_mono_ns();
	if (unlikely(trace_mask & TRACE_GROUP_SYSCALL))
		task_watch(t, WATCH_SPANS, true);
	if (debug_on(DEBUG_METRICS))
		task_watch(t, WATCH_COUNTS, true);
	return t;
}

/* Takes apart a child that was never linked. */
static void child_drop(struct task *t)
{
	if (t->thread.aspace)
		aspace_unuse(t->thread.aspace);
	if (t->vfs.fds)
		fdtable_put(t->vfs.fds);
	if (t->vfs.fs)
		fs_view_put(t->vfs.fs);
	if (t->counted)
		atomic_dec(&t->user->tasks);
	user_counts_put(t->user);
	task_put(t);
}

static int copy_context(struct birth *b)
{
	struct task *t = b->child, *self = b->self;
	const struct clone_args_k *a = b->args;
	struct trapframe *tf;

	if (arch_thread_init_user(&t->thread.arch, t->thread.stack, task_frame(self)))
		return -ENOMEM;
	tf = task_frame(t);
	tf->rax = 0;
	tf->orig_rax = ~0ull;
	if (a->stack)
		tf->rsp = a->stack;
	arch_thread_inherit(&t->thread.arch, &self->thread.arch);
	if (!(a->flags & CLONE_SETTLS))
		return 0;
	if (a->tls >= USER_TOP)
		return -EPERM;
	t->thread.arch.fs_base = a->tls;
	return 0;
}

static void copy_task_state(struct birth *b)
{
	struct task *t = b->child, *self = b->self;
	u64 f = b->args->flags;

	t->blocked = self->blocked;
	t->personality = self->personality;
	t->timer_slack_ns = self->timer_slack_ns;
	t->seccomp_mode = self->seccomp_mode;
	if (!(f & CLONE_VM) || (f & CLONE_VFORK))
		t->altstack = self->altstack;
	if (!(f & CLONE_VM)) {
		t->rseq = self->rseq;
		t->rseq_len = self->rseq_len;
		t->rseq_sig = self->rseq_sig;
	}
	if (f & CLONE_CHILD_CLEARTID)
		t->clear_tid = b->args->child_tid;
	if (f & CLONE_CHILD_SETTID) {
		t->set_child_tid = b->args->child_tid.v;
		t->thread.flags |= TF_NOTIFY;
	}
	t->vfs.cred = cred_get(self->vfs.cred);
	t->vfs.fsize_limit = self->vfs.fsize_limit;
	t->vfs.nofile_limit = self->vfs.nofile_limit;
	t->user = user_counts_get(self->user);
	atomic_inc(&t->user->tasks);
	t->counted = true;
	if (unlikely(task_watcher != NULL))
		task_watcher->born(t, self);
}

static int copy_tables(struct birth *b)
{
	struct task *t = b->child, *self = b->self;
	u64 f = b->args->flags;
	TRACE_SPAN(fork_files);

	t->vfs.fs = f & CLONE_FS ? fs_view_get(self->vfs.fs) : fs_view_dup(self->vfs.fs);
	t->vfs.fds = f & CLONE_FILES ? fdtable_get(self->vfs.fds) : fdtable_dup(self->vfs.fds);
	return t->vfs.fs && t->vfs.fds ? 0 : -ENOMEM;
}

static int copy_process(struct birth *b)
{
	struct process *p, *old = b->self->proc;
	u64 f = b->args->flags;

	if (!b->new_process) {
		b->child->proc = process_get(old);
		return 0;
	}
	p = process_alloc();
	if (!p)
		return -ENOMEM;
	b->child->proc = p;
	p->leader = b->child;
	if (f & CLONE_SIGHAND) {
		ref_get(&old->sighand->refs);
		p->sighand = old->sighand;
	} else {
		p->sighand = sighand_dup(old->sighand, f & CLONE_CLEAR_SIGHAND);
	}
	spin_lock(&old->lock);
	memcpy(p->rlim, old->rlim, sizeof(p->rlim));
	spin_unlock(&old->lock);
	p->oom_score_adj = old->oom_score_adj;
	p->oom_score_adj_min = old->oom_score_adj_min;
	p->dumpable = old->dumpable;
	p->no_new_privs = old->no_new_privs;
	p->did_exec = false;
	return p->sighand ? 0 : -ENOMEM;
}

/* The child goes on where the parent does: on the same stack page, and C libraries write the thread's own data first. */
static int fork_space(struct birth *b, struct aspace **as)
{
	struct fork_writes w = { .n = 0 };

	if (!b->args->stack)
		w.at[w.n++] = task_frame(b->self)->rsp;
	if (!(b->args->flags & CLONE_SETTLS))
		w.at[w.n++] = arch_get_fs_base();
	return aspace_fork(*as, &w, as);
}

static int copy_space(struct birth *b)
{
	struct task *t = b->child;
	struct aspace *as = aspace_current();
	int err = 0;
	TRACE_SPAN(fork_vm);

	if (b->args->flags & CLONE_VM)
		aspace_use(as);
	else
		err = fork_space(b, &as);
	if (err)
		return err;
	if (as != aspace_current())		/* starts with what it shares with its parent */
		as->peak_rss = MAX(as->peak_rss, READ_ONCE(aspace_current()->rss));
	t->thread.aspace = as;
	if (b->new_process)
		t->proc->aspace = as;
	return 0;
}

static int copy_sched(struct birth *b)
{
	struct thread *from = &b->self->thread, *to = &b->child->thread;
	u32 words = (cpu_count() + 63) / 64;

	to->policy = from->policy;
	to->rt_prio = from->rt_prio;
	to->nice = from->nice;
	to->weight = from->weight;
	if (!from->affinity)
		return 0;
	to->affinity = kmemdup(from->affinity, words * sizeof(u64));
	return to->affinity ? 0 : -ENOMEM;
}

static int make_pidfd(struct birth *b)
{
	struct task *t = b->child;
	i32 nr;
	int err;

	if (!(b->args->flags & CLONE_PIDFD))
		return 0;
	err = pidfd_create(t->proc, 0, &b->pidfd);
	if (err)
		return err;
	err = fdtable_reserve(b->self->vfs.fds, 0, true, (u32)b->self->vfs.nofile_limit);
	if (err < 0)
		return err;
	nr = b->pidfd_nr = err;
	return user_put(b->args->pidfd, &nr);
}

/* --- linking ------------------------------------------------------------------------ */

/* PROC_TABLE and sig_lock of self's process held: may the child come to life? */
static int may_link(struct birth *b)
{
	struct process *p = b->self->proc;

	if (thread_fatal_pending() || p->group_exiting || (p->exec_task && p->exec_task != b->self))
		return -EINTR;
	if (likely(!b->new_process || p->multi_signals == b->multi_seen))
		return 0;
	if (thread_signal_pending())
		return -ERESTARTNOINTR;		/* the child is made after it, or never */
	signal_hear_late(b->child, p, b->multi_seen);	/* none of them has work for this thread: blocked, or another's */
	return 0;
}

static void link_thread(struct birth *b)
{
	struct task *t = b->child;
	struct process *p = t->proc;

	t->exit_signal = -1;
	if (b->self->stop_work & STOP_GROUP) {
		t->stop_work |= STOP_GROUP | STOP_COUNTED;
		t->thread.flags |= TF_SIGNAL;
		p->stopping++;
	}
	atomic_inc(&p->live_threads);
	p->nthreads++;
	list_push_back(&p->threads, &t->thread_link);
}

static void link_process(struct birth *b) MUST_HOLD(&proc_table_lock)
{
	struct task *t = b->child, *self = b->self;
	struct process *p = t->proc, *me = self->proc;
	bool sibling = b->args->flags & CLONE_PARENT;

	p->pid = t->tid;
	p->parent = sibling ? me->parent : me;
	p->forker = sibling ? me->forker : self;
	p->parent_exec_id = sibling ? me->parent_exec_id : me->exec_id;
	p->exec_id = me->exec_id;
	t->exit_signal = sibling ? me->leader->exit_signal : (i32)b->args->exit_signal;
	p->exit_signal = (u32)t->exit_signal;
	atomic_set(&p->live_threads, 1);
	p->nthreads = 1;
	list_push_back(&p->threads, &t->thread_link);
	list_push_back(&p->parent->children, &p->sibling);
	group_join_locked(p, me->group);
	atomic_inc(&process_total);
}

/* 0, -errno, or 1: a chunk of numbers must be made first (*chunk). */
static int link_locked(struct birth *b, u32 *chunk) MUST_HOLD(&proc_table_lock)
{
	struct process *me = b->self->proc;
	struct task *t = b->child;
	u64 irq = spin_lock_irq(&me->sig_lock);
	int err = may_link(b);

	if (!err)
		err = pid_alloc_locked(b->set_tid, chunk);
	if (!err) {
		t->tid = t->thread.trace_id = *chunk;
		t->vfs.pid = t->tid;
		t->vfs.tgid = b->new_process ? t->tid : me->pid;
		pid_slot(t->tid)->task = task_get(t);
		atomic_inc(&thread_total);
		if (!b->new_process)
			link_thread(b);
		if (b->traced)
			ptrace_inherit_locked(t, b->self);
	}
	spin_unlock_irq(&me->sig_lock, irq);
	if (!err && b->new_process)
		link_process(b);
	return err;
}

static int link_child(struct birth *b)
{
	u32 chunk;
	TRACE_SPAN(fork_link);

	for (;;) {
		int err;

		spin_lock(&proc_table_lock);
		err = link_locked(b, &chunk);
		spin_unlock(&proc_table_lock);
		if (err <= 0)
			return err;
		err = pid_chunk_add(chunk);
		if (err)
			return err;
	}
}

static int build(struct birth *b)
{
	int err = check_limits(b->self, 0);

	if (!err)
		err = copy_process(b);
	if (!err) {
		copy_task_state(b);
		err = check_limits(b->self, 1);
	}
	if (!err)
		err = copy_context(b);
	if (!err)
		err = copy_sched(b);
	if (!err)
		err = copy_tables(b);
	if (!err)
		err = copy_space(b);
	if (!err)
		err = make_pidfd(b);
	if (!err && b->traced)
		err = ptrace_prepare(b->child);
	return err ? err : link_child(b);
}

/* --- vfork ----------------------------------------------------------------------------- */

/* False: the parent dies first. */
static bool wait_for_vfork(struct task *child, struct vfork_wait *w)
{
	int err = waitq_wait_kill(&w->wait, READ_ONCE(w->done));

	/* Taken even when it is done: the child wakes under this lock, after which w may go. */
	spin_lock(&child->proc->lock);
	if (err)
		child->vfork = NULL;
	spin_unlock(&child->proc->lock);
	return !err;
}

/* The event that the maker's tracer wants to hear of; 0: none. */
static u32 trace_event(struct task *self, const struct clone_args_k *a)
{
	u32 event = a->flags & CLONE_VFORK ? PTRACE_EVENT_VFORK : a->exit_signal != SIGCHLD ? PTRACE_EVENT_CLONE : PTRACE_EVENT_FORK;

	return !(a->flags & CLONE_UNTRACED) && ptrace_wants(self, event) ? event : 0;
}

static i64 clone_run(struct task *self, const struct clone_args_k *a)
{
	struct birth b = { .self = self, .args = a, .pidfd_nr = -1, .new_process = !(a->flags & CLONE_THREAD),
			   .multi_seen = READ_ONCE(self->proc->multi_signals) };
	struct vfork_wait vfork = { .done = false };
	int err = check_flags(self, a);
	u32 tid, event = 0;

	if (unlikely(self->trace != NULL)) {
		event = trace_event(self, a);
		b.traced = event || (a->flags & CLONE_PTRACE && task_is_traced(self));
	}
	if (!err)
		err = read_set_tid(&b);
	if (err)
		return err;
	if (thread_signal_pending())
		return -ERESTARTNOINTR;
	b.child = task_alloc(NULL);
	if (!b.child)
		return -ENOMEM;
	if (a->flags & CLONE_VFORK) {
		waitq_init(&vfork.wait);
		b.child->vfork = &vfork;
		b.child->is_vfork_child = true;
	}
	err = build(&b);
	if (err) {
		if (b.pidfd_nr >= 0)
			fdtable_unreserve(self->vfs.fds, b.pidfd_nr);
		if (b.pidfd)
			file_put(b.pidfd);
		b.child->vfork = NULL;
		child_drop(b.child);
		return err;
	}
	tid = b.child->tid;
	trace_task_fork(tid, b.child->vfs.tgid, self->tid);
	profile_fork(self, b.child);
	if (b.pidfd)
		fdtable_fill(self->vfs.fds, b.pidfd_nr, b.pidfd);
	if (a->flags & CLONE_PARENT_SETTID)
		DISCARD(user_copy_out(a->parent_tid, &tid, sizeof(tid)));	/* as Linux: the child exists all the same */
	if (!(a->flags & CLONE_VFORK)) {
		sched_start(&b.child->thread);
		if (unlikely(event))
			ptrace_event(self, event, tid);
		return tid;
	}
	task_get(b.child);
	sched_start(&b.child->thread);
	if (unlikely(event))
		ptrace_event(self, event, tid);
	if (wait_for_vfork(b.child, &vfork) && unlikely(self->trace != NULL))
		ptrace_event(self, PTRACE_EVENT_VFORK_DONE, tid);
	task_put(b.child);
	return tid;
}

i64 process_clone(struct task *self, const struct clone_args_k *a)
{
	i64 tid;

	trace_fork_total_begin(a->flags);
	tid = clone_run(self, a);
	trace_fork_total_end(tid);
	return tid;
}

/* --- the first process -------------------------------------------------------------------- */

/*
 * Pid 1 is a user thread like any other, but has no program yet: the work flag
 * it is born with makes its first return to user mode run entry, which execs.
 */
static struct { void (*entry)(void *); void *arg; } init_start;

void process_run_init_entry(struct task *self)
{
	void (*entry)(void *) = init_start.entry;

	if (likely(!entry) || self->tid != 1)
		return;
	init_start.entry = NULL;
	entry(init_start.arg);
}

static int init_tables(struct task *t)
{
	struct process *p = t->proc;

	t->vfs.cred = cred_get(&cred_root);
	t->vfs.fs = fs_view_create();
	t->vfs.fds = fdtable_create();
	p->sighand = sighand_dup(NULL, false);
	t->user = user_counts_get(&user_root);
	atomic_inc(&t->user->tasks);
	t->counted = true;
	rlimit_init_defaults(p->rlim);
	rlimit_apply_task(t, p);
	p->dumpable = true;
	p->unkillable = true;
	return t->vfs.fs && t->vfs.fds && p->sighand ? 0 : -ENOMEM;
}

int process_create_init(void (*entry)(void *), void *arg)
{
	struct task *t = task_alloc("init");
	struct process *p = process_alloc();
	struct trapframe tf;
	u32 nr;

	memset(&tf, 0, sizeof(tf));
	if (!t || !p)
		return -ENOMEM;			/* the caller gives up: nothing to take back */
	t->proc = p;
	p->leader = t;
	if (init_tables(t) || arch_thread_init_user(&t->thread.arch, t->thread.stack, &tf))
		return -ENOMEM;
	init_start.entry = entry;
	init_start.arg = arg;
	t->thread.flags |= TF_NOTIFY;
	spin_lock(&proc_table_lock);
	VERIFY(!pid_alloc_locked(1, &nr) || nr == 1);
	t->tid = t->thread.trace_id = t->vfs.pid = t->vfs.tgid = p->pid = 1;
	pid_slot(1)->task = task_get(t);
	atomic_inc(&thread_total);
	atomic_inc(&process_total);
	atomic_set(&p->live_threads, 1);
	p->nthreads = 1;
	t->exit_signal = SIGCHLD;
	list_push_back(&p->threads, &t->thread_link);
	init_process = process_get(p);
	spin_unlock(&proc_table_lock);
	DISCARD(group_create_init(p));		/* static objects: cannot fail */
	sched_start(&t->thread);
	return 0;
}
