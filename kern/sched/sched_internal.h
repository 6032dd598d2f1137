/*
 * Shared inside sched.  Lock order: at most two run queues at once, by CPU
 * number (their per-CPU addresses ascend); nothing is taken under them.
 */
#pragma once

#include <arch/cpu.h>
#include "runq.h"

#define SCHED_MAX_CPUS 256u

DECLARE_PER_CPU(struct runq, sched_runq);
static inline struct runq *cpu_rq(u32 cpu) { return per_cpu_ptr(&sched_runq, cpu); }
static inline struct runq *this_rq(void) { return this_cpu_ptr(&sched_runq); }

/* CPUs that idle and were not claimed by a waker; bits atomic. */
extern u64 sched_idle_mask[SCHED_MAX_CPUS / 64];

/* Locks the queue that t belongs to; it stays the right one while locked. */
struct runq *thread_rq_lock(struct thread *t, u64 *irq) ACQUIRES(&thread_rq_lock(t, irq)->lock);
/* The running thread gives up the CPU.  Called with rq (this CPU's) locked; returns unlocked, interrupts still off,
 * possibly on another CPU. */
void sched_switch(struct runq *rq, u64 now) RELEASES(&rq->lock);
/* Makes the CPU of rq look at its queue again; rq locked.  True: the caller must send an IPI after unlocking. */
MUST_USE bool sched_poke_locked(struct runq *rq) MUST_HOLD(&rq->lock);
/* What a waker wants of its own CPU: whoever is due, the woken thread next, or itself for now. */
enum wake_wish { WAKE_FAIR, WAKE_HANDOFF, WAKE_LATER };
/* Queues a RUNNABLE thread that is neither queued nor running and whose t->cpu is cpu already; elsewhere if it may not
 * run there any more.  Interrupts off, no lock held. */
void sched_place(struct thread *t, u32 cpu, enum runq_place how, enum wake_wish wish);
void sched_arm_slice(struct runq *rq);		/* this CPU's, unlocked, interrupts off */
void sched_slice_fired(struct timer *timer);

u32 sched_pick_cpu(struct thread *t, u32 prefer);	/* t's queue locked or t private */
bool sched_steal(struct runq *rq);			/* true: rq got a thread */
void sched_kick_idle(struct runq *busy);
void sched_balance(struct runq *rq);
void sched_load_update(u64 now);
void pressure_update(u64 now);		/* no lock, or interrupts off; does something once in a period */
