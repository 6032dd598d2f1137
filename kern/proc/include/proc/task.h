/*
 * Processes and tasks.
 *
 * struct task: one thread of a user process; embeds the scheduler's struct
 * thread and everything that is per thread in Linux.  struct process: the
 * thread group: identity, parents, signals shared by the group, limits.
 * struct pid ties a number to tasks, groups and sessions.
 *
 * Life: task_create (clone) -> runs -> task exits (zombie if it is the leader
 * of a dead group, else reaped at once) -> wait() releases -> rcu free.
 * Locks: proc_table_lock (rank PROC_TABLE) guards the tree of parents, children,
 * groups, sessions and pid tables; process.lock (PROC) its own fields;
 * process.sig_lock (SIGNAL, irq) all signal state of the group and its tasks.
 */
#pragma once

#include <sched/futex.h>
#include <sched/thread.h>
#include <sched/wait.h>
#include <core/timer.h>
#include <proc/signal.h>
#include <vfs/vfs.h>
#include <vm/aspace.h>

enum { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_MEMLOCK,
	RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMITS };
struct rlimit64 { u64 cur, max; };

struct process;
struct user_counts;
struct session { refcount_t refs; u32 sid; struct process *leader; void *tty; struct list groups; };
struct pgroup { refcount_t refs; u32 pgid; struct session *session; struct list members, link; };

/* task.watched: by strace (abi), by a tracer, by debug=trace (calls are spans; the group is on), by debug=metrics. */
#define MULTI_SIGNALS 16u	/* to a group, while one fork is under way, that are kept apart */

#define WATCH_STRACE 1u
#define WATCH_PTRACE 2u
#define WATCH_SPANS  4u
#define WATCH_COUNTS 8u
/* task.stop_work: a group stop is under way and this thread has not stopped yet; it counts in process.stopping; a ptrace
 * trap is due; a seized thread is to tell of a change of its group's stop. */
#define STOP_GROUP   1u
#define STOP_COUNTED 2u
#define STOP_TRAP    4u
#define STOP_NOTIFY  8u
/* task.halted: in THREAD_STOPPED by job control, in THREAD_TRACED for its tracer. */
#define HALT_JOB   1u
#define HALT_TRACE 2u

enum task_exit_state { TASK_LIVE, TASK_EXITING, TASK_ZOMBIE, TASK_REAPED };

struct task {
	struct thread thread;			/* first: thread_current() is the task */
	struct process *proc;			/* const; reference */
	struct vfs_caller vfs;			/* fs, fds, cred, limits: replaced by the task itself */
	u32 tid;				/* const */
	u32 exit_state;				/* enum task_exit_state; PROC_TABLE lock */
	i32 exit_code;				/* wait(2) status form */
	i32 exit_signal;			/* sent to the parent when the group dies; 0 none; threads: -1 */
	struct list thread_link;		/* proc->threads; PROC_TABLE lock */
	struct list tid_link;			/* pid table */
	struct sigset64 blocked;		/* changed by the task itself under sig_lock */
	struct sigset64 saved_mask;		/* restored by TF_NOTIFY after sigsuspend, ppoll, ... */
	bool restore_mask;
	struct sigset64 real_blocked;		/* sigtimedwait: blocked ones it waits for: neither ignored nor fatal */
	struct sigqueue pending;		/* private signals; sig_lock */
	struct sigaltstack_k altstack;
	uptr_t clear_tid;			/* CLONE_CHILD_CLEARTID */
	uptr_t robust_list;
	u64 robust_len;
	u64 start_ns;				/* monotonic */
	uptr_t rseq; u32 rseq_len, rseq_sig;
	struct {				/* ERESTART_RESTARTBLOCK: what restart_syscall does */
		i64 (*fn)(struct task *self);
		u64 arg[5];
	} restart;
	bool in_execve, is_vfork_child;
	struct vfork_wait *vfork;		/* parent's completion, taken at exec or exit */
	struct ptrace *trace;			/* NULL until it is traced for the first time; the pointer is const from then on
						   and published under PROC_TABLE and sig_lock */
	struct strace_state *strace;		/* abi/strace.c; NULL: not traced so.  The thread's own, freed with it */
	u32 personality;
	u32 timer_slack_ns;
	u32 pdeath_signal;
	u64 min_faults, maj_faults;
	char seccomp_mode;
	u64 set_child_tid;
	u16 ioprio;				/* ioprio_set(2): class << 13 | level; inherited by fork */
	/* Job control; sig_lock. */
	u8 watched;				/* WATCH_*: why TF_TRACE or TF_SPANS is set; atomic */
	u8 stop_work;				/* STOP_*: what it has to do before it goes on */
	u8 halted;				/* HALT_*: sleeps until this is cleared */
	bool stop_dequeued;			/* took a stop signal; a SIGCONT since then cancels it */
	/* The trap that a signal frame reports; the task's own. */
	u64 trap_no, trap_err, trap_addr;
	struct user_counts *user;		/* of cred->uid: task and signal counts; changed by the task itself */
	bool counted;				/* in user->tasks */
	bool in_proc;				/* procfs has had a name for it: proc_released_hook is to hear of its end.  atomic */
};

struct process {
	refcount_t refs;
	u32 pid;				/* tgid; const */
	spinlock_t lock;			/* rank PROC */
	struct task *leader;
	struct list threads;			/* PROC_TABLE lock */
	atomic_t live_threads;
	struct process *parent;			/* PROC_TABLE lock */
	struct list children, sibling;		/* PROC_TABLE lock */
	struct list tracees;			/* ptrace.link of what its threads trace; PROC_TABLE lock */
	struct pgroup *group;			/* PROC_TABLE lock; reference */
	struct list group_link;
	struct session *session;
	struct aspace *aspace;			/* of the group's tasks; NULL after exit */
	struct waitq child_wait;		/* wait(): a child changed state */
	struct waitq exit_wait;			/* pidfd poll, exec waiting for threads */
	/* signals: all under sig_lock */
	spinlock_t sig_lock;			/* rank SIGNAL */
	struct sighand *sighand;		/* actions; shared by CLONE_SIGHAND; reference */
	struct sigqueue shared_pending;
	bool group_exiting;			/* every thread is to die with group_exit_code */
	i32 group_exit_code;
	bool stopped, continued, stop_reported, cont_reported;
	u32 stop_signal;
	u32 stopping;				/* threads that still have to stop */
	struct task *exec_task;			/* execve is killing the others */
	struct list posix_timers;		/* process.lock */
	struct itimer_state { u64 next_ns, interval_ns; } itimer[3];
	struct timer real_timer;
	u64 child_user_ns, child_sys_ns, dead_user_ns, dead_sys_ns, child_min_faults, child_maj_faults;
	u64 child_maxrss, maxrss;
	u64 child_nvcsw, child_nivcsw, dead_nvcsw, dead_nivcsw, dead_min_faults, dead_maj_faults;
	u64 start_ns;
	bool did_exec, dumpable, is_subreaper, no_new_privs, child_of_init;
	i32 oom_score_adj, oom_score_adj_min;	/* min: what it may go down to without CAP_SYS_RESOURCE; process.lock */
	struct io_counts dead_io;		/* of threads that ended; sig_lock */
	u32 exit_signal;
	u32 nthreads;				/* length of threads; PROC_TABLE and sig_lock to change */
	struct task *forker;			/* the parent's thread that made it (__WNOTHREAD, pdeath); PROC_TABLE lock */
	bool unkillable;			/* pid 1: signals without a handler do nothing; sig_lock */
	bool oom_victim;
	bool reaped;				/* released: no number any more; sig_lock */
	u8 notify_cld;				/* CLD_STOPPED or CLD_CONTINUED still to be told to the parent; sig_lock */
	u32 multi_signals;			/* signals sent to it as member of a set: whoever is being forked hears them too; sig_lock */
	u8 multi_last[MULTI_SIGNALS];		/* the last of them, by their number modulo the size; sig_lock */
	u64 exec_id, parent_exec_id;		/* an exec on either side turns exit_signal into SIGCHLD */
	u32 next_timer_id;			/* process.lock */
	struct timer cpu_timer;			/* itimers VIRTUAL and PROF, RLIMIT_CPU */
	struct rlimit64 rlim[RLIMITS];		/* process.lock.  Last: its maker fills it, process_alloc() does not */
};

static inline struct task *task_current(void) { return (struct task *)thread_current(); }
static inline bool task_is_user(const struct thread *t) { return t->vfs_caller != NULL; }
static inline struct trapframe *task_frame(struct task *t) { return arch_thread_frame(&t->thread.arch); }
/* strace (abi) hears of user threads that have WATCH_STRACE, and of all that are born.  No lock held; interrupts on. */
struct task_watcher {
	void (*born)(struct task *child, const struct task *maker);	/* not linked yet */
	void (*signal)(struct task *self, u32 sig, const struct siginfo_k *info);	/* about to be delivered */
	void (*stop)(struct task *self, u32 sig);
	void (*end)(struct task *self, i32 code);
};
extern const struct task_watcher *task_watcher;		/* NULL: nobody.  Const once processes exist */
/* One watcher more or less of t's system calls.  Context: any. */
void task_watch(struct task *t, u8 watcher, bool on);
struct task *task_get(struct task *t);
void task_put(struct task *t);
/* New reference to the credentials of any task (its own: self->vfs.cred needs none). */
const struct cred *task_cred_get(struct task *t);
/* Descriptor table and fs_view of any task: new references; NULL after its exit.  (The owner changes them under
 * process.lock.) */
struct fdtable *task_fdtable_get(struct task *t);
struct fs_view *task_fs_view_get(struct task *t);
struct process *process_get(struct process *p);
void process_put(struct process *p);
/* New references; NULL: no such. */
MUST_USE struct task *task_find(u32 tid);
MUST_USE struct process *process_find(u32 pid);
/* Next process with pid >= from (for /proc and kill(-1)); NULL at the end.  New reference. */
MUST_USE struct process *process_next(u32 from);
MUST_USE struct task *process_thread_next(struct process *p, u32 tid_from);
/* Space of another process with a use on it (aspace_unuse when done); NULL for zombies. */
MUST_USE struct aspace *process_aspace_get(struct process *p);
char process_state_letter(struct process *p);
char task_state_letter(struct task *t);
u32 process_count(void);
u32 thread_count_all(void);
u32 last_pid(void);
u32 process_ppid(struct process *p);
u32 process_pgid(struct process *p);
u32 process_sid(struct process *p);
bool process_may_signal(const struct cred *c, struct process *target, u32 sig);
bool process_may_inspect(const struct cred *c, struct process *target);	/* ptrace access rule, for /proc */
void process_times(struct process *p, u64 *user_ns, u64 *sys_ns);

struct clone_args_k {
	u64 flags;			/* CLONE_* (exit signal apart) */
	uptr_t pidfd, child_tid, parent_tid;
	u32 exit_signal;
	u64 stack, stack_size, tls;
	uptr_t set_tid; u64 set_tid_size; u32 cgroup;
};
/* pid of the child or -errno. */
MUST_USE i64 process_clone(struct task *self, const struct clone_args_k *a);
NORETURN void task_exit(i32 code);			/* this thread; status form of wait(2) */
NORETURN void process_exit_group(i32 code);
struct exec_request;
MUST_USE int process_exec(struct task *self, int dfd, const char *path, uptr_t argv, uptr_t envp, int flags);
/* For the first process: kernel strings. */
MUST_USE int process_exec_kernel(struct task *self, const char *path, const char *const *argv, const char *const *envp);
/* Makes pid 1 with descriptors 0-2 on /dev/console, running entry in kernel mode first.  -ENOMEM. */
MUST_USE int process_create_init(void (*entry)(void *), void *arg);
struct rusage_k { u64 user_ns, sys_ns, maxrss_kb, minflt, majflt, nvcsw, nivcsw; };
#define WAIT_BY_PID 0
#define WAIT_BY_PGID 1
#define WAIT_ANY 2
#define WAIT_BY_PIDFD 3
/* code: CLD_* */
struct wait_result { u32 pid, uid; i32 status; i32 code; i32 code_value; struct rusage_k ru; };
/* wait4, waitid.  pid > 0: something was reaped/reported; 0: WNOHANG and nothing; -ECHILD, -ERESTARTSYS, -EINVAL. */
MUST_USE i64 process_wait(struct task *self, u32 which, u32 id, u32 options, struct wait_result *out);
MUST_USE int process_setpgid(struct task *self, u32 pid, u32 pgid);
MUST_USE i64 process_setsid(struct task *self);
MUST_USE int pidfd_open_file(u32 pid, u32 flags, struct file **out);
struct process *pidfd_process(struct file *f);		/* borrowed; NULL: not a pidfd */
void process_rusage(struct process *p, int who, struct rusage_k *out);
void proc_init(void);
void vdso_init(void);		/* from a thread, before the first program */
MUST_USE int process_set_rlimit(struct process *p, u32 which, const struct rlimit64 *new_limit, struct rlimit64 *old, const struct cred *c);
u64 process_rlimit(struct process *p, u32 which);
extern u32 sysctl_pid_max, sysctl_randomize_va_space, sysctl_threads_max;	/* /proc/sys/kernel; defined here */
/* Commits new credentials of the running task (takes over the reference), dumpable and parent-death rules included. */
void task_commit_cred(struct task *self, struct cred *cr);
MUST_USE i64 posix_timer_create(struct task *self, u32 clock, const struct sigevent_k *ev, i32 *id);
MUST_USE int posix_timer_settime(struct task *self, i32 id, int flags, const u64 spec[2], u64 old[2]);	/* interval, value in ns */
MUST_USE int posix_timer_gettime(struct task *self, i32 id, u64 out[2]);
MUST_USE i64 posix_timer_getoverrun(struct task *self, i32 id);
MUST_USE int posix_timer_delete(struct task *self, i32 id);
MUST_USE int itimer_set(struct task *self, u32 which, const u64 spec[2], u64 old[2]);
void itimer_get(struct task *self, u32 which, u64 out[2]);
MUST_USE i64 clock_gettime_ns(u32 clock, u64 *ns);	/* every clock id incl. CPU clocks; -EINVAL */
