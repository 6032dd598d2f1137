/*
 * One CPU's run queue: policy only, no switching, no locks taken (the caller
 * holds rq->lock), no clock read (the caller passes now).  Compiles on the host.
 *
 * Real-time threads (FIFO, RR) wait on 99 lists above the fair tree.  Fair
 * threads (OTHER, BATCH, IDLE) are ordered by vruntime: time on CPU divided by
 * weight.  The running thread is on neither.
 *
 * Invariants
 *  1. A queued thread has on_queue, cpu == rq->cpu and is not rq->current.
 *  2. min_vruntime never goes back, and no queued fair thread that was placed
 *     by runq_enqueue() lies more than RUNQ_SLEEPER_CREDIT before it.
 *  3. nr counts the queued threads of both kinds.
 */
#pragma once

#include <core/timer.h>
#include <sched/sched.h>

#define RUNQ_SLICE_NS	    3000000ull		/* a fair thread's turn when others wait */
#define RUNQ_RR_SLICE_NS    100000000ull
#define RUNQ_SLEEPER_CREDIT 3000000ull		/* how far a woken thread may lie before min_vruntime */
#define RUNQ_WAKEUP_GRAN    1000000ull		/* lead a woken thread needs to preempt */
#define RUNQ_HANDOFF_SLACK  6000000ull		/* lag up to which a hand-off jumps the queue */
#define RUNQ_WEIGHT_NICE0   1024u
#define RUNQ_WEIGHT_IDLE    3u
#define RUNQ_RT_LEVELS	    100u

enum runq_place {
	RUNQ_PLACE_KEEP,	/* was running here and still is runnable */
	RUNQ_PLACE_NEW,		/* first time: its parent goes on first */
	RUNQ_PLACE_WOKEN,
	RUNQ_PLACE_MOVED,	/* from another queue: vruntime already made relative by runq_detach */
	RUNQ_PLACE_TAIL,	/* real-time: behind its equals (RR slice over, yield) */
};

struct runq {
	spinlock_t lock;			/* rank RUNQ, irq */
	u32 cpu;				/* const */
	u32 nr GUARDED_BY(&lock);		/* read without the lock as a hint */
	struct thread *current;			/* idle when nothing runs.  Written by this CPU under the lock: its own reads need none */
	struct thread *next_hint GUARDED_BY(&lock);	/* queued, and asked for by a hand-off; may be NULL */
	struct rb_tree fair GUARDED_BY(&lock);
	struct thread *leftmost GUARDED_BY(&lock);
	u64 min_vruntime GUARDED_BY(&lock);
	u64 rt_bitmap[2] GUARDED_BY(&lock);
	struct list rt[RUNQ_RT_LEVELS] GUARDED_BY(&lock);
	/* switching (sched.c) */
	struct thread *prev GUARDED_BY(&lock);	/* left its stack in the switch under way */
	bool push GUARDED_BY(&lock);		/* ... and may not run here: the next thread sends it away */
	struct thread idle;
	bool online;				/* takes threads */
	bool halted;				/* idle and waiting for an interrupt: needs an IPI */
	bool slice_armed;			/* this CPU only, interrupts off */
	u64 slice_when;
	u64 lone_ns;				/* sampling interval while nobody waits */
	u32 slices;
	struct timer slice_timer;
	i64 nr_uninterruptible GUARDED_BY(&lock);	/* went to sleep here minus woken here; meaningful summed up */
	u64 switches GUARDED_BY(&lock), wakeups GUARDED_BY(&lock), steals GUARDED_BY(&lock), ipis GUARDED_BY(&lock);
	u64 forks;				/* this CPU only, interrupts off */
	u64 delay_ns GUARDED_BY(&lock), delay_max_ns GUARDED_BY(&lock);	/* from wake-up or preemption until it ran */
	u64 pressed_ns GUARDED_BY(&lock);	/* time in which somebody ran and somebody was queued */
	u64 pressed_told_ns GUARDED_BY(&lock), busy_told_ns GUARDED_BY(&lock);	/* pressure.c: what is in its totals */
	u64 busy_ns GUARDED_BY(&lock), user_sample_ns GUARDED_BY(&lock), sys_sample_ns GUARDED_BY(&lock);
} ALIGNED(64);

void runq_init(struct runq *rq, u32 cpu);
u32 runq_weight(u8 policy, i8 nice);
void runq_enqueue(struct runq *rq, struct thread *t, enum runq_place how) MUST_HOLD(&rq->lock);
void runq_dequeue(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock);
/* Takes a queued thread off for another queue: runq_enqueue(..., RUNQ_PLACE_MOVED) there. */
void runq_detach(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock);
/* A thread that slept here is about to be enqueued on another queue, whose lock is not needed. */
void runq_rebase(const struct runq *from, const struct runq *to, struct thread *t) MUST_HOLD(&from->lock);
/* Best queued thread, taken off; NULL: none. */
struct thread *runq_pick(struct runq *rq) MUST_HOLD(&rq->lock);
/* Charges the running thread for the time since it was charged last. */
void runq_account(struct runq *rq, u64 now) MUST_HOLD(&rq->lock);
/* True: queued t should take the CPU from cur. */
bool runq_preempts(const struct thread *t, const struct thread *cur);
/* True: the running thread's turn is over (others wait). */
bool runq_slice_over(const struct runq *rq, u64 now) MUST_HOLD(&rq->lock);
/* A queued thread that may run on cpu and has waited since before; NULL: none. */
struct thread *runq_movable(struct runq *rq, u32 cpu, u64 before) MUST_HOLD(&rq->lock);
void runq_yield(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock);

static inline bool thread_is_rt(const struct thread *t)
{
	return t->policy == SCHED_FIFO || t->policy == SCHED_RR;
}

static inline bool thread_allowed_on(const struct thread *t, u32 cpu)
{
	return !t->affinity || (t->affinity[cpu / 64] >> (cpu % 64) & 1);
}
