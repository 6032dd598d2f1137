/*
 * ptrace: one thread (the tracer) watches and controls others (tracees).
 *
 * A tracee stops: it leaves word in its struct ptrace, wakes its tracer's wait(2)
 * and sleeps in THREAD_TRACED with HALT_TRACE set until the tracer resumes or
 * leaves it, or a fatal signal comes.  While it is stopped the tracer, and nobody
 * else, reads and changes its registers, signals and stop record.
 *
 * Life: made by the first attach, freed with the task.  A task is traced while
 * trace->tracer is set.
 * Locks: tracer and link change under proc_table_lock and the tracee's sig_lock
 * together (either is enough to read tracer); the stop record is under the
 * tracee's sig_lock; what is marked "tracer" belongs to the tracer while the
 * tracee is stopped and to the tracee otherwise.
 */
#pragma once

#include <proc/task.h>

#define PTRACE_EVENT_FORK	1u
#define PTRACE_EVENT_VFORK	2u
#define PTRACE_EVENT_CLONE	3u
#define PTRACE_EVENT_EXEC	4u
#define PTRACE_EVENT_VFORK_DONE 5u
#define PTRACE_EVENT_EXIT	6u
#define PTRACE_EVENT_STOP	128u

#define PTRACE_O_TRACESYSGOOD 1u
#define PTRACE_O_EXITKILL     (1u << 20)
#define PTRACE_O_EVENTS	      0xfeu		/* bit n: event n */

/* ptrace.message of a system-call stop. */
#define PTRACE_MESSAGE_ENTRY 1u
#define PTRACE_MESSAGE_EXIT  2u

struct ptrace {
	struct task *tracer;		/* NULL: not traced; a tracer leaves its tracees before it is released */
	struct task *tracee;		/* whose this is; const */
	struct list link;		/* tracer->proc->tracees; PROC_TABLE */
	bool seized;			/* written with tracer */
	bool listening;			/* stopped, but wait(2) does not see it: PTRACE_LISTEN; sig_lock */
	bool has_info;			/* the stop has a siginfo: false in a group stop of an attached thread */
	u32 code;			/* what wait(2) tells; then what the tracer resumes with; sig_lock */
	u32 why;			/* CLD_* of the stop */
	u32 options;			/* PTRACE_O_*; tracer */
	u64 message;			/* PTRACE_GETEVENTMSG; tracer */
	struct siginfo_k info;		/* tracer */
	bool syscalls;			/* stop at entry and exit of system calls; tracer */
	bool emulate;			/* PTRACE_SYSEMU: the call is not made; tracer */
	bool stepping;			/* stop after one instruction; tracer */
	bool in_call;			/* in a call whose entry was looked at; tracee */
	bool exit_due;			/* in another, and its exit is to be told all the same; tracee */
};

enum ptrace_resume { PTRACE_RESUME_CONT, PTRACE_RESUME_SYSCALL, PTRACE_RESUME_SYSEMU };

static inline bool task_is_traced(const struct task *t)
{
	const struct ptrace *tr = READ_ONCE(t->trace);

	return unlikely(tr != NULL) && READ_ONCE(tr->tracer) != NULL;
}

/* By any thread of p. */
static inline bool task_is_traced_by(const struct task *t, const struct process *p)
{
	return task_is_traced(t) && t->trace->tracer->proc == p;
}

/* --- the tracer's requests.  Context: threads, no lock held --- */
MUST_USE int ptrace_traceme(struct task *self);
/* 0, -ESRCH, -EPERM, -EIO, -ENOMEM. */
MUST_USE int ptrace_attach(struct task *self, u32 tid, bool seize, u32 options);
/* The tracee tid of self, stopped unless running is allowed: new reference, off its CPU.  -ESRCH. */
MUST_USE int ptrace_get_tracee(struct task *self, u32 tid, bool running, struct task **out);
/* Lets a stopped tracee go with signal sig (0: none); step: for one instruction. */
void ptrace_resume(struct task *t, u32 sig, enum ptrace_resume how, bool step);
void ptrace_detach(struct task *t, u32 sig);
MUST_USE int ptrace_interrupt(struct task *t);		/* -EIO: not seized */
MUST_USE int ptrace_listen(struct task *t);		/* -EIO: not seized, or not a group stop */
/* One of the signals that wait for t, private or shared: the nr-th.  False: there are not so many. */
MUST_USE bool ptrace_peek_signal(struct task *t, bool shared, u64 nr, struct siginfo_k *out);
void ptrace_set_blocked(struct task *t, struct sigset64 mask);

/* --- the tracee's side --- */
/* System-call stops.  Entry: false: the call is not to be made. */
MUST_USE bool ptrace_syscall_enter(struct task *self);
void ptrace_syscall_exit(struct task *self);
void ptrace_late_exit(struct task *self);	/* on the way to user mode: an exit that was asked for in the middle of the call */
/* The exec, the exit, ... that an option asks to be told of.  A stop, when it is so. */
void ptrace_event(struct task *self, u32 event, u64 message);
static inline bool ptrace_wants(const struct task *self, u32 event)
{
	return task_is_traced(self) && (self->trace->options >> event & 1);
}
/* Number of the tracer for /proc, 0: none. */
u32 ptrace_tracer_tid(struct task *t);
/* May the running task see or (attach) control target?  The rule of ptrace(2), "Ptrace access mode checking". */
MUST_USE bool ptrace_may_access(struct task *self, struct task *target);
