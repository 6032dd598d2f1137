/* Private to kern/proc: where signals, clone, exec, exit and wait meet ptrace. */
#pragma once

#include <proc/ptrace.h>
#include "proc.h"

/* --- ptrace_stop.c: the tracee; its sig_lock held, dropped while it is stopped --- */
/* A signal is about to be delivered: what its tracer makes of it; 0: nothing is. */
u32 ptrace_signal_locked(struct task *self, u32 sig, struct siginfo_k *info, u64 *irq) MUST_HOLD(&self->proc->sig_lock);
/* STOP_TRAP or STOP_NOTIFY is set. */
void ptrace_trap_locked(struct task *self, u64 *irq) MUST_HOLD(&self->proc->sig_lock);
/* A seized thread is to tell that its group's stop begins or ends. */
void ptrace_notify_trap_locked(struct task *t);
/* A signal frame was made while stepping: the stop at the handler's first instruction. */
void ptrace_step_handler(struct task *self);
void ptrace_exit_stop(struct task *self, i32 code);
/* A thread has become a zombie for its tracer.  sig_lock not held. */
void ptrace_tell_exit_locked(struct task *self) MUST_HOLD(&proc_table_lock);

/* --- ptrace.c: links; PROC_TABLE held --- */
MUST_USE int ptrace_prepare(struct task *t);	/* makes t->trace.  No lock held.  -ENOMEM */
/* The new thread is traced as its maker is; t->trace was made.  sig_lock of t's process held or nobody sees it yet. */
void ptrace_inherit_locked(struct task *t, struct task *from);
void ptrace_unlink_locked(struct task *t) MUST_HOLD(&proc_table_lock);
/* The tracer leaves (its thread ends): what was only kept for it and is to be released goes on dead. */
void ptrace_tracer_exit_locked(struct task *tracer, struct list *dead) MUST_HOLD(&proc_table_lock);
/* May an exec of self gain privileges?  Not under a tracer without CAP_SYS_PTRACE. */
MUST_USE bool ptrace_exec_may_gain(struct task *self);
static inline bool ptrace_reparented(const struct task *t)
{
	return task_is_traced(t) && t->trace->tracer->proc != t->proc->parent;
}
