/*
 * Private to kern/proc.
 *
 * Locks: proc_table_lock (PROC_TABLE) -> process.lock (PROC) -> sig_lock
 * (SIGNAL, irq) -> user-count table (UID_COUNT, irq).  The list of threads of a
 * process changes under PROC_TABLE and sig_lock together, so either is enough to
 * walk it; interrupt handlers (timers) use sig_lock alone.
 */
#pragma once

#include <base/errno.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/log.h>
#include <mem/slab.h>
#include <proc/task.h>

#define CLONE_NEWTIME	     0x00000080ull
#define CLONE_VM	     0x00000100ull
#define CLONE_FS	     0x00000200ull
#define CLONE_FILES	     0x00000400ull
#define CLONE_SIGHAND	     0x00000800ull
#define CLONE_PIDFD	     0x00001000ull
#define CLONE_PTRACE	     0x00002000ull
#define CLONE_VFORK	     0x00004000ull
#define CLONE_PARENT	     0x00008000ull
#define CLONE_THREAD	     0x00010000ull
#define CLONE_NEWNS	     0x00020000ull
#define CLONE_SYSVSEM	     0x00040000ull
#define CLONE_SETTLS	     0x00080000ull
#define CLONE_PARENT_SETTID  0x00100000ull
#define CLONE_CHILD_CLEARTID 0x00200000ull
#define CLONE_DETACHED	     0x00400000ull
#define CLONE_UNTRACED	     0x00800000ull
#define CLONE_CHILD_SETTID   0x01000000ull
#define CLONE_NEWCGROUP	     0x02000000ull
#define CLONE_NEWUTS	     0x04000000ull
#define CLONE_NEWIPC	     0x08000000ull
#define CLONE_NEWUSER	     0x10000000ull
#define CLONE_NEWPID	     0x20000000ull
#define CLONE_NEWNET	     0x40000000ull
#define CLONE_IO	     0x80000000ull
#define CLONE_CLEAR_SIGHAND  0x100000000ull
#define CLONE_INTO_CGROUP    0x200000000ull

#define CLD_EXITED    1
#define CLD_KILLED    2
#define CLD_DUMPED    3
#define CLD_TRAPPED   4
#define CLD_STOPPED   5
#define CLD_CONTINUED 6

#define ADDR_NO_RANDOMIZE  0x0040000u
#define READ_IMPLIES_EXEC  0x0400000u
#define PER_CLEAR_ON_SETID (READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | 0x0100000u | 0x0200000u)

#define RLIM_INFINITY (~0ull)
#define MAX_THREADS   (1u << 20)
#define CLOCK_TICKS   100u			/* USER_HZ */

/* --- numbers (pid.c): all under proc_table_lock --- */
extern spinlock_t proc_table_lock;
#define PID_CHUNK     512u
#define PID_LIMIT     (1u << 22)
#define PID_RESERVED  300u
struct pid_slot {
	struct task *task;		/* referenced until released */
	struct pgroup *group;
	struct session *session;
};
struct pid_slot *pid_slot(u32 nr);		/* NULL: out of range or never used */
/* Takes want (0: the next free).  0; -EAGAIN: none left; -EEXIST; -EINVAL; 1: pid_chunk_add(*out) first. */
MUST_USE int pid_alloc_locked(u32 want, u32 *out) MUST_HOLD(&proc_table_lock);
MUST_USE int pid_chunk_add(u32 index);		/* no lock held.  -ENOMEM */
void pid_release_locked(u32 nr) MUST_HOLD(&proc_table_lock);		/* frees the number if nothing uses it */
u32 pid_next_used_locked(u32 from) MUST_HOLD(&proc_table_lock);		/* 0: none */
u32 pid_last(void);

/* --- per-uid counts (users.c).  Context: any --- */
struct user_counts {
	struct user_counts *next;
	u32 uid;
	atomic_t refs;
	atomic_t tasks;
	atomic_t signals;
};
extern struct user_counts user_root;
MUST_USE struct user_counts *user_counts_find(u32 uid);	/* new reference; NULL: no memory */
static inline struct user_counts *user_counts_get(struct user_counts *u)
{
	atomic_inc(&u->refs);
	return u;
}
void user_counts_put(struct user_counts *u);

/* --- processes (process.c) --- */
extern struct slab_cache *task_cache, *process_cache, *sighand_cache;
extern atomic_t thread_total, process_total;
extern struct process *init_process;		/* pid 1, once made */
MUST_USE struct process *process_alloc(void);	/* refs == 1 */
void process_add_dead_thread(struct process *p, struct task *t) MUST_HOLD(&p->sig_lock);
/* Takes t off its process and number tables. */
void task_unlink_locked(struct task *t) MUST_HOLD(&proc_table_lock);
/* After the lock was dropped: what the table held of t. */
void task_release_rest(struct task *t);
struct process *process_of_slot(const struct pid_slot *s, u32 nr);	/* the leader's process, or NULL */
MUST_USE u64 process_cpu_ns(struct process *p, u64 *user_ns);	/* sig_lock held */

/* --- groups and sessions (group.c): PROC_TABLE held --- */
void group_join_locked(struct process *p, struct pgroup *g) MUST_HOLD(&proc_table_lock);
void group_leave_locked(struct process *p) MUST_HOLD(&proc_table_lock);
bool group_is_orphaned_locked(struct pgroup *g, struct process *ignore) MUST_HOLD(&proc_table_lock);
void group_check_orphaned_locked(struct process *p, struct process *parent) MUST_HOLD(&proc_table_lock);
void session_leader_exit(struct process *p);	/* no lock held */
void group_init(void);
MUST_USE int group_create_init(struct process *p);

/* --- signal queues (sigqueue.c): the owner's sig_lock --- */
#define SIG_STOP_MASK	(SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define SIG_KERNEL_ONLY (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define SIG_IGNORE_MASK (SIGBIT(SIGCONT) | SIGBIT(SIGCHLD) | SIGBIT(SIGWINCH) | SIGBIT(SIGURG))
#define SIG_CORE_MASK	(SIGBIT(SIGQUIT) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGABRT) | SIGBIT(SIGFPE) |	\
			 SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGSYS) | SIGBIT(SIGXCPU) | SIGBIT(SIGXFSZ))
#define SIG_SYNC_MASK	(SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE) | SIGBIT(SIGSYS))
struct posix_timer;
struct sigitem {
	struct list link;
	struct siginfo_k info;
	struct user_counts *user;	/* counted there; reference; NULL: not counted */
	struct posix_timer *timer;	/* owner of a preallocated item; NULL: freed when taken */
};
void sigqueue_init(struct sigqueue *q);
void sigqueue_push(struct sigqueue *q, u32 sig, struct sigitem *item);	/* item NULL: only the bit */
/* Takes the next signal of q not in blocked: its number, 0 none.  *timer: its item belongs to one. */
u32 sigqueue_take(struct sigqueue *q, u64 blocked, struct siginfo_k *info, struct posix_timer **timer);
/* Takes a fault of the thread itself (kernel-made synchronous signal), if one is queued. */
u32 sigqueue_take_fault(struct sigqueue *q, u64 blocked, struct siginfo_k *info);
void sigqueue_remove(struct sigqueue *q, u64 mask);
u32 sigqueue_next(u64 pending, u64 blocked);
MUST_USE struct sigitem *sigitem_alloc(struct user_counts *u, u64 limit, bool override);
void sigitem_free(struct sigitem *item);

/* --- sending (sigsend.c) --- */
void sighand_put(struct sighand *sh);
extern const struct sigaction_k sigaction_default;
/* The action of sig as it is now: to change it, signal_action() or sighand_reset(). */
static inline const struct sigaction_k *sighand_action(const struct sighand *sh, u32 sig)
{
	return load_acquire(&sh->used) & SIGBIT(sig) ? &sh->action[sig] : &sigaction_default;
}
/* The handler goes, the rest of the action stays, as Linux does it.  sig_lock of a process that has sh. */
static inline void sighand_reset(struct sighand *sh, u32 sig)
{
	if (sh->used & SIGBIT(sig))
		sh->action[sig].handler = SIG_DFL_K;
}
bool signal_ignores_children(struct process *p);	/* SIGCHLD says that zombies are released at once */
MUST_USE struct sighand *sighand_dup(struct sighand *sh, bool clear);
void sighand_keep_ignored(struct sighand *sh);	/* all but SIG_IGN becomes the default, flags and masks too */
/* t: private; NULL: for the process.  force: from the kernel. */
int signal_send_locked(struct process *p, struct task *t, u32 sig, const struct siginfo_k *info, bool force)
	MUST_HOLD(&p->sig_lock);
/* Queues a timer's own item (not queued now).  False: the signal is ignored or nobody is there. */
MUST_USE bool signal_send_item_locked(struct process *p, struct task *t, struct sigitem *item) MUST_HOLD(&p->sig_lock);
void signal_wake_task(struct task *t, bool fatal);	/* sig_lock held */
void signal_recalc(struct task *self);			/* sig_lock held: TF_SIGNAL of the running task */
/* sig goes to p and to others at once. */
static inline void signal_note_multi(struct process *p, u32 sig) MUST_HOLD(&p->sig_lock)
{
	p->multi_last[p->multi_signals++ % MULTI_SIGNALS] = (u8)sig;
}
/* p's sig_lock held: a child that is not linked yet gets what p has noted since multi_signals was seen, without its
 * information, as on Linux. */
void signal_hear_late(struct task *child, const struct process *p, u32 seen);
/* Starts the group's death; false: already under way. */
bool signal_kill_group_locked(struct process *p, i32 code) MUST_HOLD(&p->sig_lock);
bool signal_is_ignored(struct process *p, struct task *t, u32 sig, bool force);
/* Does sending it do anything, now?  Stop signals and SIGCONT do in any case. */
bool signal_is_heard_locked(struct process *p, struct task *t, u32 sig, bool force) MUST_HOLD(&p->sig_lock);
void signal_fill_user(struct siginfo_k *info, struct task *from, u32 sig, i32 code);
void signal_exit_thread(struct task *self);	/* no more signals for it; others take the shared ones */
void signal_flush_handlers(struct task *self);	/* exec */
void exec_init(void);				/* exec_image=, prefault_limit= */
void signal_send_init(void);
void signalfd_notify(struct sighand *sh);
/* Takes one signal: private first, then shared; re-arms interval timers. */
u32 signal_dequeue_locked(struct task *t, u64 blocked, struct siginfo_k *info) MUST_HOLD(&t->proc->sig_lock);
void signal_force_info(u32 sig, const struct siginfo_k *info);

/* --- delivery (sigdeliver.c, sigframe.c) --- */
struct ksignal { u32 sig; struct siginfo_k info; struct sigaction_k act; };
MUST_USE bool signal_next(struct task *self, struct ksignal *ks);	/* false: nothing to deliver */
MUST_USE int sigframe_setup(struct task *self, struct trapframe *tf, const struct ksignal *ks);	/* -EFAULT */
u32 sigframe_min_stack(void);			/* AT_MINSIGSTKSZ */
/* Parent's notices.  PROC_TABLE held. */
/* The thread takes its part in the group's stop.  sig_lock held.  True: it was the last, the group has stopped. */
MUST_USE bool signal_stop_join(struct task *self);
void notify_parent_cldstop_locked(struct process *p, u32 why) MUST_HOLD(&proc_table_lock);
MUST_USE bool notify_parent_exit_locked(struct process *p) MUST_HOLD(&proc_table_lock);	/* true: reap at once */

/* --- timers (itimer.c, posixtimer.c) --- */
void itimer_init(struct process *p);
void itimer_rearm_real(struct process *p);	/* SIGALRM was taken; sig_lock held */
void itimers_exit(struct process *p);		/* no lock held */
void posix_timers_exit(struct process *p);	/* no lock held */
void posix_timer_taken(struct posix_timer *pt, struct siginfo_k *info);	/* its signal was dequeued; sig_lock held */
void cpu_limit_changed(struct process *p);	/* RLIMIT_CPU or a CPU itimer was set */

/* --- leaving (exit.c, robust.c) --- */
struct vfork_wait { struct waitq wait; bool done; };
void vfork_done(struct task *t);
/* PROC_TABLE held.  p may be left with nothing but its leader, a zombie nobody traces: the parent is told, or, if it does
 * not want to know, the leader goes on dead. */
void group_check_dead_locked(struct process *p, struct list *dead) MUST_HOLD(&proc_table_lock);
void task_release_mm(struct task *self);	/* robust list, clear_tid, vfork: the old space is still current */
void task_robust_exit(struct task *self);
/* Other threads die; the caller becomes the leader.  0, -EAGAIN. */
MUST_USE int process_kill_others(struct task *self);
void task_switch_aspace(struct task *self, struct aspace *as);	/* takes over a use; drops the old one's */

/* --- limits and credentials --- */
void rlimit_init_defaults(struct rlimit64 *rl);
void rlimit_apply_task(struct task *t, struct process *p);
void rlimit_apply_aspace(struct aspace *as, struct process *p);
bool process_user_add(struct task *t);
void oom_init(void);
void proc_prove_init(void);
void proc_crash_report(struct task *self, u32 sig);	/* debug=crash; no lock held */
void signalfd_init(void);
void process_run_init_entry(struct task *self);
MUST_USE int pidfd_create(struct process *p, u32 flags, struct file **out);
