/*
 * Processes and tasks as objects: making, finding, releasing, describing.
 *
 * References: a task's first reference belongs to its running stack (the next
 * thread on the CPU drops it after sched_exit), a second one to the number
 * table until the task is released.  A process is held by each of its tasks.
 */
#include <arch/context.h>
#include <core/panic.h>
#include <core/rcu.h>
#include <proc/view.h>
#include "ptrace.h"

struct slab_cache *task_cache, *process_cache, *sighand_cache;
atomic_t thread_total, process_total;
const struct task_watcher *task_watcher;
struct process *init_process;

struct task *task_get(struct task *t)
{
	thread_get(&t->thread);
	return t;
}

void task_put(struct task *t) { thread_put(&t->thread); }

void task_watch(struct task *t, u8 watcher, bool on)
{
	u8 left = on ? __atomic_or_fetch(&t->watched, watcher, __ATOMIC_SEQ_CST) :
		       __atomic_and_fetch(&t->watched, (u8)~watcher, __ATOMIC_SEQ_CST);

	if (left & (WATCH_SPANS | WATCH_COUNTS))
		bits_set(&t->thread.flags, TF_SPANS);
	if (left & (WATCH_STRACE | WATCH_PTRACE))
		bits_set(&t->thread.flags, TF_TRACE);
	else
		bits_clear(&t->thread.flags, TF_TRACE);
}

struct process *process_get(struct process *p)
{
	ref_get(&p->refs);
	return p;
}

void process_put(struct process *p)
{
	if (!ref_put(&p->refs))
		return;
	sigqueue_remove(&p->shared_pending, ~0ull);
	if (p->sighand)
		sighand_put(p->sighand);
	slab_free(process_cache, p);
}

struct process *process_alloc(void)
{
	struct process *p = slab_alloc(process_cache);

	if (!p)
		return NULL;
	memset(p, 0, offsetof(struct process, rlim));
	ref_init(&p->refs);
	spin_init(&p->lock, LR_PROC);
	spin_init(&p->sig_lock, LR_SIGNAL);
	list_init(&p->threads);
	list_init(&p->children);
	list_init(&p->sibling);
	list_init(&p->tracees);
	list_init(&p->group_link);
	list_init(&p->posix_timers);
	waitq_init(&p->child_wait);
	waitq_init(&p->exit_wait);
	sigqueue_init(&p->shared_pending);
	itimer_init(p);
	p->start_ns = clock_mono_ns();
	return p;
}

const struct cred *task_cred_get(struct task *t)
{
	GUARD_SPIN(&t->proc->lock);
	return cred_get(t->vfs.cred);
}

/* --- releasing ----------------------------------------------------------- */

static void io_add(struct io_counts *to, const struct io_counts *from)
{
	to->rchar += from->rchar;
	to->wchar += from->wchar;
	to->syscr += from->syscr;
	to->syscw += from->syscw;
}

void process_io_counts(struct process *p, const struct task *only, struct io_counts *out)
{
	struct task *t;

	*out = (struct io_counts){ 0 };
	GUARD_IRQ(&p->sig_lock);
	if (only) {
		*out = only->vfs.io;
		return;
	}
	*out = p->dead_io;
	list_for_each(t, &p->threads, thread_link)
		io_add(out, &t->vfs.io);
}

void process_add_dead_thread(struct process *p, struct task *t)
{
	u64 user, sys;

	sched_thread_times(&t->thread, &user, &sys);
	p->dead_user_ns += user;
	p->dead_sys_ns += sys;
	p->dead_nvcsw += t->thread.nvcsw;
	p->dead_nivcsw += t->thread.nivcsw;
	p->dead_min_faults += t->min_faults;
	p->dead_maj_faults += t->maj_faults;
	io_add(&p->dead_io, &t->vfs.io);
}

void task_unlink_locked(struct task *t)
{
	struct process *p = t->proc;
	bool leader = p->leader == t;
	u64 irq;

	assert_held(&proc_table_lock);
	if (task_is_traced(t))
		ptrace_unlink_locked(t);
	irq = spin_lock_irq(&p->sig_lock);
	list_remove(&t->thread_link);
	p->nthreads--;
	t->exit_state = TASK_REAPED;
	process_add_dead_thread(p, t);
	sigqueue_remove(&t->pending, ~0ull);
	if (leader) {
		p->reaped = true;
		sigqueue_remove(&p->shared_pending, ~0ull);
	}
	spin_unlock_irq(&p->sig_lock, irq);
	pid_slot(t->tid)->task = NULL;
	pid_release_locked(t->tid);
	atomic_dec(&thread_total);
	if (!leader)
		return;
	group_leave_locked(p);
	list_remove(&p->sibling);
	p->parent = NULL;
	p->forker = NULL;
	atomic_dec(&process_total);
}

void task_release_rest(struct task *t)
{
	if (t->counted)
		atomic_dec(&t->user->tasks);
	user_counts_put(t->user);
	t->user = NULL;
	if (unlikely(READ_ONCE(t->in_proc)))
		proc_released_hook(t->proc->pid, t->tid);
	task_put(t);
}

/* --- looking up ---------------------------------------------------------- */

struct process *process_of_slot(const struct pid_slot *s, u32 nr)
{
	return s && s->task && s->task->proc->pid == nr ? s->task->proc : NULL;
}

struct task *task_find(u32 tid)
{
	GUARD_SPIN(&proc_table_lock);
	struct pid_slot *s = pid_slot(tid);

	return s && s->task ? task_get(s->task) : NULL;
}

struct process *process_find(u32 pid)
{
	GUARD_SPIN(&proc_table_lock);
	struct process *p = process_of_slot(pid_slot(pid), pid);

	return p ? process_get(p) : NULL;
}

struct process *process_next(u32 from)
{
	GUARD_SPIN(&proc_table_lock);
	for (u32 nr = pid_next_used_locked(from); nr; nr = pid_next_used_locked(nr + 1)) {
		struct process *p = process_of_slot(pid_slot(nr), nr);

		if (p)
			return process_get(p);
	}
	return NULL;
}

struct task *process_thread_next(struct process *p, u32 tid_from)
{
	struct task *t, *best = NULL;

	GUARD_SPIN(&proc_table_lock);
	list_for_each(t, &p->threads, thread_link)
		if (t->tid >= tid_from && (!best || t->tid < best->tid))
			best = t;
	return best ? task_get(best) : NULL;
}

struct aspace *process_aspace_get(struct process *p)
{
	GUARD_SPIN(&p->lock);
	if (p->aspace)
		aspace_use(p->aspace);
	return p->aspace;
}

u32 process_count(void) { return (u32)atomic_read(&process_total); }
u32 thread_count_all(void) { return (u32)atomic_read(&thread_total); }
u32 last_pid(void) { return pid_last(); }

u32 process_ppid(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	return p->parent ? p->parent->pid : 0;
}

u32 process_pgid(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	return p->group ? p->group->pgid : 0;
}

u32 process_sid(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	return p->session ? p->session->sid : 0;
}

/* --- describing ---------------------------------------------------------- */

char task_state_letter(struct task *t)
{
	static const char letters[] = {
		[THREAD_RUNNABLE] = 'R', [THREAD_SLEEP_INTR] = 'S', [THREAD_SLEEP_KILL] = 'D', [THREAD_SLEEP] = 'D',
		[THREAD_STOPPED] = 'T', [THREAD_TRACED] = 't', [THREAD_DEAD] = 'X', [THREAD_NEW] = 'R',
	};
	u32 state = READ_ONCE(t->thread.state);

	switch (READ_ONCE(t->exit_state)) {
	case TASK_ZOMBIE: return 'Z';
	case TASK_REAPED: return 'X';
	}
	return state < ARRAY_LEN(letters) ? letters[state] : 'R';
}

char process_state_letter(struct process *p)
{
	GUARD_SPIN(&proc_table_lock);
	return p->reaped || !p->leader ? 'X' : task_state_letter(p->leader);
}

u64 process_cpu_ns(struct process *p, u64 *user_ns)
{
	u64 user = p->dead_user_ns, sys = p->dead_sys_ns;
	struct task *t;

	list_for_each(t, &p->threads, thread_link) {
		u64 u, s;

		sched_thread_times(&t->thread, &u, &s);
		user += u;
		sys += s;
	}
	*user_ns = user;
	return user + sys;
}

void process_times(struct process *p, u64 *user_ns, u64 *sys_ns)
{
	GUARD_IRQ(&p->sig_lock);
	*sys_ns = process_cpu_ns(p, user_ns) - *user_ns;
}

static u64 maxrss_kb_locked(struct process *p) MUST_HOLD(&p->lock)
{
	return MAX(p->maxrss, p->aspace ? p->aspace->peak_rss : 0) * (PAGE_SIZE / 1024);
}

static u64 process_maxrss_kb(struct process *p)
{
	GUARD_SPIN(&p->lock);
	return maxrss_kb_locked(p);
}

static void add_space(struct process *p, struct rusage_k *out)
{
	GUARD_SPIN(&p->lock);
	out->maxrss_kb = maxrss_kb_locked(p);
	if (!p->aspace)
		return;
	out->minflt += (u64)atomic64_read(&p->aspace->min_faults);
	out->majflt += (u64)atomic64_read(&p->aspace->maj_faults);
}

static void add_threads(struct process *p, struct rusage_k *out) MUST_HOLD(&p->sig_lock)
{
	struct task *t;

	out->sys_ns = process_cpu_ns(p, &out->user_ns) - out->user_ns;
	out->nvcsw += p->dead_nvcsw;
	out->nivcsw += p->dead_nivcsw;
	out->minflt += p->dead_min_faults;
	out->majflt += p->dead_maj_faults;
	list_for_each(t, &p->threads, thread_link) {
		out->nvcsw += t->thread.nvcsw;
		out->nivcsw += t->thread.nivcsw;
		out->minflt += t->min_faults;
		out->majflt += t->maj_faults;
	}
}

void process_rusage(struct process *p, int who, struct rusage_k *out)
{
	memset(out, 0, sizeof(*out));
	if (who == 1) {				/* RUSAGE_THREAD */
		struct task *self = task_current();

		sched_thread_times(&self->thread, &out->user_ns, &out->sys_ns);
		out->nvcsw = self->thread.nvcsw;
		out->nivcsw = self->thread.nivcsw;
		out->minflt = self->min_faults;
		out->majflt = self->maj_faults;
		out->maxrss_kb = process_maxrss_kb(p);
		return;
	}
	if (who != -1)				/* RUSAGE_SELF, or both (-2) */
		add_space(p, out);
	GUARD_IRQ(&p->sig_lock);
	if (who != -1)
		add_threads(p, out);
	if (who < 0) {				/* RUSAGE_CHILDREN, or both */
		out->user_ns += p->child_user_ns;
		out->sys_ns += p->child_sys_ns;
		out->minflt += p->child_min_faults;
		out->majflt += p->child_maj_faults;
		out->nvcsw += p->child_nvcsw;
		out->nivcsw += p->child_nivcsw;
		out->maxrss_kb = MAX(out->maxrss_kb, p->child_maxrss);
	}
}

bool process_may_inspect(const struct cred *c, struct process *target)
{
	const struct cred *t;
	bool same;

	if (target == task_current()->proc || cred_can(c, CAP_SYS_PTRACE))
		return true;
	spin_lock(&proc_table_lock);
	t = target->leader && !target->reaped ? task_cred_get(target->leader) : NULL;
	spin_unlock(&proc_table_lock);
	if (!t)
		return false;
	same = c->fsuid == t->euid && c->fsuid == t->suid && c->fsuid == t->uid &&
	       c->fsgid == t->egid && c->fsgid == t->sgid && c->fsgid == t->gid;
	cred_put(t);
	return same && READ_ONCE(target->dumpable);
}

/* --- credentials --------------------------------------------------------- */

struct cred_drop { struct rcu_head rcu; const struct cred *cred; };

static void drop_cred(struct rcu_head *h)
{
	struct cred_drop *d = container_of(h, struct cred_drop, rcu);

	cred_put(d->cred);
	kfree(d);
}

/* Others may be looking at the old ones (procfs, kill): they go after a quiescent point. */
static void retire_cred(const struct cred *old)
{
	struct cred_drop *d = kmalloc(sizeof(*d));

	if (!d) {
		rcu_barrier();
		cred_put(old);
		return;
	}
	d->cred = old;
	rcu_defer(&d->rcu, drop_cred);
}

bool process_user_add(struct task *t)
{
	struct user_counts *u = user_counts_find(t->vfs.cred->uid);
	u64 irq;

	if (!u)
		return false;
	irq = spin_lock_irq(&t->proc->sig_lock);
	struct user_counts *old = t->user;

	t->user = u;
	spin_unlock_irq(&t->proc->sig_lock, irq);
	if (t->counted) {
		atomic_inc(&u->tasks);
		atomic_dec(&old->tasks);
	}
	user_counts_put(old);
	return true;
}

void task_commit_cred(struct task *self, struct cred *cr)
{
	const struct cred *old = self->vfs.cred;
	struct process *p = self->proc;
	bool changed = old->euid != cr->euid || old->egid != cr->egid || old->fsuid != cr->fsuid ||
		       old->fsgid != cr->fsgid || (cr->cap_permitted & ~old->cap_permitted);
	bool new_uid = old->uid != cr->uid;

	if (changed) {
		self->pdeath_signal = 0;
		p->dumpable = false;
		if (aspace_current())
			aspace_current()->dumpable = 0;
	}
	spin_lock(&p->lock);
	WRITE_ONCE(self->vfs.cred, cr);
	spin_unlock(&p->lock);
	if (new_uid && !process_user_add(self))
		log_debug("proc: no memory for the counts of uid %u", cr->uid);	/* stays counted where it was */
	retire_cred(old);
}

struct fdtable *task_fdtable_get(struct task *t)
{
	GUARD_SPIN(&t->proc->lock);
	return t->vfs.fds ? fdtable_get(t->vfs.fds) : NULL;
}

struct fs_view *task_fs_view_get(struct task *t)
{
	GUARD_SPIN(&t->proc->lock);
	return t->vfs.fs ? fs_view_get(t->vfs.fs) : NULL;
}

/* --- start-up ------------------------------------------------------------ */

void proc_init(void)
{
	task_cache = slab_cache_create("task", sizeof(struct task), 64);
	process_cache = slab_cache_create("process", sizeof(struct process), 64);
	sighand_cache = slab_cache_create("sighand", sizeof(struct sighand), 64);
	if (pid_chunk_add(0))
		panic("no memory for process numbers");
	group_init();
	signal_send_init();
	signalfd_init();
	oom_init();
	exec_init();
	proc_prove_init();
}
