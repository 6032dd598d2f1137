/*
 * A thread: what a CPU runs.  proc embeds struct thread in its struct task;
 * kernel workers use it directly.  States: NEW -> RUNNABLE <-> RUNNING ->
 * SLEEPING -> RUNNABLE ..., and DEAD once it has left its stack for good.
 * The run-queue lock of thread->cpu guards the scheduling fields.
 */
#pragma once

#include <arch/context.h>
#include <base/list.h>
#include <base/rbtree.h>
#include <base/refcount.h>
#include <core/lock.h>
#include <core/percpu.h>

enum thread_state {
	THREAD_RUNNABLE,	/* running or on a run queue */
	THREAD_SLEEP_INTR,	/* wakes for events and any signal: 'S' */
	THREAD_SLEEP_KILL,	/* wakes for events and fatal signals: 'D' */
	THREAD_SLEEP,		/* wakes for events only: 'D' */
	THREAD_STOPPED,		/* job control: 'T' */
	THREAD_TRACED,		/* ptrace stop: 't' */
	THREAD_DEAD,
	THREAD_NEW,		/* until sched_start(): in no waker's mask */
};

/* thread.flags: atomic; non-zero makes the return to user mode call proc_return_to_user(). */
#define TF_RESCHED	(1u << 0)	/* sched: give up the CPU */
#define TF_SIGNAL	(1u << 1)	/* proc: a signal may be deliverable: interrupts THREAD_SLEEP_INTR */
#define TF_FATAL	(1u << 2)	/* proc: the thread is to die: interrupts THREAD_SLEEP_KILL too */
#define TF_NOTIFY	(1u << 3)	/* proc: other work at return (restore mask, timers, ptrace) */
#define TF_TRACE	(1u << 4)	/* abi: system-call entry and exit are watched (ptrace, strace) */
#define TF_SPANS	(1u << 5)	/* abi: system calls are spans, or counted; the frame is not touched */

#define SCHED_OTHER 0
#define SCHED_FIFO  1
#define SCHED_RR    2
#define SCHED_BATCH 3
#define SCHED_IDLE  5

struct thread {
	struct arch_thread arch;
	u32 flags;			/* TF_*, atomic (bits_set / bits_clear); behind arch: entry.S looks there */
	u32 state;			/* enum thread_state; see sched.h for the protocol */
	u32 cpu;			/* run queue it belongs to */
	bool on_cpu;			/* still executing there (cleared by the next thread after the switch) */
	bool on_queue;
	u8 policy;			/* SCHED_* */
	u8 rt_prio;			/* 1..99 for FIFO, RR */
	i8 nice;			/* -20..19 */
	u32 weight;
	u32 trace_id;			/* number in traces: the tid of a task; const for workers; 0: idle */
	u64 vruntime;
	struct rb_node run_node;	/* fair queue */
	struct list run_link;		/* real-time queue */
	u64 *affinity;			/* bitmap of cpu_count() bits; NULL: all */
	void *stack;			/* kernel stack base, owned */
	refcount_t refs;
	void (*release)(struct thread *t);	/* last reference gone, off CPU: frees the container.  May not sleep:
						   the idle thread may be the one that drops it */
	char name[16];
	u64 exec_start_ns, run_ns;	/* run_ns: time on CPU so far */
	u64 pick_ns;			/* when it last got the CPU: start of its slice */
	u64 sample_ns;			/* run_ns at the last sample */
	u64 user_ns, sys_ns;		/* samples: run time charged to what an interrupt found running */
	u64 user_told, sys_told;	/* last answer of sched_thread_times(): neither goes back */
	u64 nvcsw, nivcsw;
	u64 wake_ns;			/* when it was queued last */
	u64 delay_ns;			/* time spent queued (run_delay of /proc/PID/schedstat) */
	u32 held_locks;			/* debug: sleeping locks held */
	struct lockrank_held held[LOCKRANK_DEPTH];	/* debug */
	void *aspace;			/* struct aspace of a user thread, NULL for workers: loaded at switch via sched_aspace_switch */
	void *vfs_caller;		/* struct vfs_caller of a user thread (vfs/vfs.h), NULL for workers */
	void *waiting_on;		/* what it sleeps on, for reports */
	i32 pagefault_disabled;
};

_Static_assert(offsetof(struct thread, flags) == sizeof(struct arch_thread), "where entry.S looks for them");

DECLARE_PER_CPU(struct thread *, cpu_current);
static inline struct thread *thread_current(void) { return this_cpu_read(cpu_current); }

/* Fills t (zeroed by the caller) and allocates the kernel stack; policy, nice and affinity are those of the running
 * thread.  refs == 1.  -ENOMEM.  After arch_thread_init_*() it is given to sched_start(), or to thread_put(). */
MUST_USE int thread_init(struct thread *t, const char *name);		/* name NULL: the running thread's too */
static inline struct thread *thread_get(struct thread *t)
{
	ref_get(&t->refs);
	return t;
}
void thread_put(struct thread *t);

/* A kernel worker, running when this returns.  fn must end by returning.  NULL: no memory.
 * The pointer is the worker's own reference: thread_get() before it may end if it is kept. */
struct thread *thread_spawn_kernel(const char *name, void (*fn)(void *arg), void *arg);
