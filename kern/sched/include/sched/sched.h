/*
 * The scheduler: per-CPU queues, fair by weight with real-time above, wake-up
 * hand-off, idle stealing, no periodic tick on a CPU with one runnable thread.
 *
 * Sleep protocol: set the state (sched_set_state), check the condition, call
 * sched_block().  A waker changes the condition first, then calls sched_wake():
 * a wake between check and block makes block return at once.  A wait checks its
 * condition before it checks signals, and again after every wake (lesson 11).
 */
#pragma once

#include <sched/thread.h>

void sched_init(void);				/* boot CPU: makes the running context the first thread (idle to be) */
NORETURN void sched_start_cpu(void);		/* turns the caller into this CPU's idle loop, interrupts on */
void sched_thread_started(void);		/* first thing a new thread does: finishes the switch to it */

/* New thread becomes runnable for the first time; CPU chosen near the parent. */
void sched_start(struct thread *t);
void sched_set_state(enum thread_state s);	/* of the running thread, with full fence */
void sched_block(void);				/* gives up the CPU while state != RUNNABLE */
/* As sched_block, until deadline (monotonic ns, ~0: none).  False: the deadline passed. */
bool sched_block_until(u64 deadline_ns);
/* Makes t runnable if its state is in mask (1u << THREAD_SLEEP_INTR | ...).  True: it was.  Context: any. */
bool sched_wake_state(struct thread *t, u32 mask);
#define SCHED_WAKE_NORMAL (1u << THREAD_SLEEP_INTR | 1u << THREAD_SLEEP_KILL | 1u << THREAD_SLEEP)
static inline bool sched_wake(struct thread *t) { return sched_wake_state(t, SCHED_WAKE_NORMAL); }
/* Wakes and means to sleep soon: t may take this CPU over without an IPI (pipe and futex hand-off). */
bool sched_wake_handoff(struct thread *t);
/* Wakes whoever is likely to wait for the running thread next: on this CPU, t's turn comes when it sleeps or its slice ends. */
bool sched_wake_later(struct thread *t);
void sched_yield_cpu(void);
void sched_resched_if_needed(void);		/* in long loops of kernel code, no lock held */
NORETURN void sched_exit(void);			/* the running thread leaves its stack; its last reference is dropped by the next */
/* Returns when t, which sleeps or is about to, has left its CPU: its registers are in memory. */
void sched_wait_off_cpu(struct thread *t);
/* Interrupts a sleep so that new flags are seen (signals), or kicks the CPU out of user mode. */
void sched_kick(struct thread *t);

int sched_set_policy(struct thread *t, u8 policy, u8 rt_prio, i8 nice);
int sched_set_affinity(struct thread *t, const u64 *mask, u32 nbits);	/* -EINVAL: no online CPU in it */
void sched_get_affinity(struct thread *t, u64 *mask, u32 nbits);
void sched_thread_times(struct thread *t, u64 *user_ns, u64 *sys_ns);
/* Time on CPU is exact; its split into user and system is sampled by the scheduler's timer, which fires rarely while
 * a CPU has one runnable thread.  Optional: says that the running thread has been in user mode until now. */
void sched_account_enter(void);

struct sched_stats {
	u64 switches, wakeups, steals, ipis, forks;
	u64 running, runnable, load_1, load_5, load_15;	/* loads in 1/65536 */
	u64 idle_ns, user_ns, sys_ns, irq_ns;
	u64 delay_ns, delay_max_ns;	/* queued before running: sum, largest */
};
void sched_stats(u32 cpu, struct sched_stats *out);	/* cpu ~0u: all */

/* Loaded by vm: switches the user half for the next thread (NULL: any kernel thread). Interrupts off. */
extern void (*sched_aspace_switch)(void *prev_aspace, void *next_aspace);

/* Runs fn(arg) on every other online CPU (or one) with interrupts off there; waits for all.  Interrupts on. */
void smp_call_others(void (*fn)(void *arg), void *arg);
void smp_call_mask(const u64 *mask, void (*fn)(void *arg), void *arg);	/* bits of CPUs, own bit ignored */

static inline bool thread_signal_pending(void) { return READ_ONCE(thread_current()->flags) & (TF_SIGNAL | TF_FATAL); }
static inline bool thread_fatal_pending(void) { return READ_ONCE(thread_current()->flags) & TF_FATAL; }
