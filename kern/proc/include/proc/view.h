/*
 * What /proc tells about a task: one snapshot, taken under the locks of the
 * fields, and the few lookups that only /proc needs.  Context: threads.
 */
#pragma once

#include <proc/task.h>

struct task_view {
	char comm[16];
	char state;			/* 'R', 'S', ... */
	u32 tid, tgid, ppid, pgid, sid, nthreads;
	u32 tty_nr;			/* device number of the controlling terminal; 0: none */
	i32 tpgid;			/* its foreground group; -1: none */
	u32 tracer;			/* of the thread; 0: none */
	i32 exit_signal, exit_code;
	u64 pending, shared_pending, blocked, ignored, caught;
	u32 sig_queued;			/* of the real user id */
	u64 sig_limit;
	u64 user_ns, sys_ns, child_user_ns, child_sys_ns;
	u64 min_faults, maj_faults, child_min_faults, child_maj_faults;
	u64 nvcsw, nivcsw;
	u64 start_ns;
	i32 nice;
	u32 policy, rt_prio, cpu;
	bool exiting, did_exec;
};

/* whole: times and faults of the thread group.  0, or -ESRCH when the task was released. */
MUST_USE int task_view_get(struct task *t, bool whole, struct task_view *out);
/* The leader, new reference; NULL: released. */
MUST_USE struct task *process_leader_get(struct process *p);
static inline bool task_is_released(const struct task *t) { return READ_ONCE(t->exit_state) == TASK_REAPED; }
/* Next child of p in order of birth, of the thread maker only when it is not NULL: its pid, 0 at the end. */
u32 process_child_after(struct process *p, struct task *maker, u32 pid);
/* Sums over the threads that were and are, or one task's. */
void process_io_counts(struct process *p, const struct task *only, struct io_counts *out);
/* What the OOM killer would count for p: 0..2000 as /proc/PID/oom_score shows it. */
u32 process_oom_score(struct process *p);
u64 oom_kills(void);			/* processes killed for lack of memory since boot */
/* Names of a released task, which had some (in_proc), are to be forgotten: set by procfs.  May sleep; no lock held.  tid == tgid: the process. */
extern void (*proc_released_hook)(u32 tgid, u32 tid);
