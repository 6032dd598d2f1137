/*
 * Wait queues.  A waiter is on the caller's stack (or in an epoll entry) and
 * has a callback; the default wakes its thread.  Context of wake: any.
 */
#pragma once

#include <sched/sched.h>

struct waitq {
	spinlock_t lock;		/* rank WAITQ, kind irq */
	struct list waiters GUARDED_BY(&lock);
};

struct waiter {
	struct list link;		/* queue's lock */
	struct thread *thread;
	/* Called under the queue's lock.  True counts as a wake for the exclusive limit.  key: poll events. */
	bool (*wake)(struct waiter *w, u32 key);
	bool exclusive;
	bool woken;			/* set by the default callback */
	bool napped;			/* debug: the last sleep ended by itself */
	void *private;
};

#define WAITQ_INIT(q) { .lock = SPINLOCK_INIT(LR_WAITQ), .waiters = LIST_INIT((q).waiters) }
void waitq_init(struct waitq *q);
void waiter_init(struct waiter *w);			/* current thread, default callback */
void waitq_add(struct waitq *q, struct waiter *w);	/* exclusive ones at the tail */
void waitq_remove(struct waitq *q, struct waiter *w);	/* harmless when not queued */
/* Wakes every non-exclusive waiter and up to n exclusive ones.  Cheap (one load) when nobody waits. */
void waitq_wake(struct waitq *q, u32 n, u32 key);
/* As waitq_wake, from inside a wake callback, where another queue's lock is held (the caller's graph has no loops). */
void waitq_wake_nested(struct waitq *q, u32 n, u32 key);
static inline void waitq_wake_all(struct waitq *q) { waitq_wake(q, ~0u, ~0u); }
static inline void waitq_wake_one(struct waitq *q) { waitq_wake(q, 1, ~0u); }
void waitq_wake_handoff(struct waitq *q, u32 key);	/* one exclusive waiter, by sched_wake_handoff */
void waitq_wake_later(struct waitq *q);			/* the first waiter, by sched_wake_later; the others as usual */
static inline bool waitq_active(const struct waitq *q) { memory_fence(); return !list_empty_hint(&q->waiters); }

/*
 * Debug builds sleep in naps: one that ends by itself and finds the condition true, and still gets no wake for as long
 * again, has lost it (panic).  Both are part of WAIT_LOOP_.
 */
#if defined(SAKER_DEBUG) && !defined(SAKER_HOST)
bool waitq_block(struct waiter *w, u64 deadline_ns);
void waitq_check_lost(const struct waitq *q, struct waiter *w);
#else
static inline bool waitq_block(struct waiter *w, u64 deadline_ns) { return sched_block_until(deadline_ns); }
static inline void waitq_check_lost(const struct waitq *q, struct waiter *w) {}
#endif

/*
 * Waits until cond is true.  0, or for the forms that say so -ERESTARTSYS
 * (signal), -ETIMEDOUT (deadline passed).  cond is evaluated with no lock.
 */
#define WAIT_LOOP_FROM_(q, at_once, cond, st, excl, deadline)				\
	({										\
		int wl_ret_ = 0;							\
		if (!(at_once)) {							\
			struct waiter wl_w_;						\
			waiter_init(&wl_w_);						\
			wl_w_.exclusive = (excl);					\
			assert_may_sleep();						\
			for (;;) {							\
				waitq_add((q), &wl_w_);					\
				sched_set_state(st);					\
				if (cond) {						\
					waitq_check_lost((q), &wl_w_);			\
					break;						\
				}							\
				if (((st) == THREAD_SLEEP_INTR && thread_signal_pending()) ||	\
				    ((st) == THREAD_SLEEP_KILL && thread_fatal_pending())) {	\
					wl_ret_ = -ERESTARTSYS;				\
					break;						\
				}							\
				if (!waitq_block(&wl_w_, deadline)) {			\
					wl_ret_ = (cond) ? 0 : -ETIMEDOUT;		\
					break;						\
				}							\
			}								\
			sched_set_state(THREAD_RUNNABLE);				\
			waitq_remove((q), &wl_w_);					\
		}									\
		wl_ret_;								\
	})
#define WAIT_LOOP_(q, cond, st, excl, deadline)	    WAIT_LOOP_FROM_(q, cond, cond, st, excl, deadline)
#define waitq_wait(q, cond)			    ((void)WAIT_LOOP_(q, cond, THREAD_SLEEP, false, ~0ull))
#define waitq_wait_intr(q, cond)		    WAIT_LOOP_(q, cond, THREAD_SLEEP_INTR, false, ~0ull)
/* For a condition that is dear and seldom true at once: nobody looks before the thread is queued. */
#define waitq_wait_intr_queued(q, cond)		    WAIT_LOOP_FROM_(q, false, cond, THREAD_SLEEP_INTR, false, ~0ull)
#define waitq_wait_intr_excl(q, cond)		    WAIT_LOOP_(q, cond, THREAD_SLEEP_INTR, true, ~0ull)
#define waitq_wait_kill(q, cond)		    WAIT_LOOP_(q, cond, THREAD_SLEEP_KILL, false, ~0ull)
#define waitq_wait_intr_until(q, cond, deadline)    WAIT_LOOP_(q, cond, THREAD_SLEEP_INTR, false, deadline)
/* Sleeps until the deadline.  0, or -ERESTARTSYS when interruptible and a signal came. */
MUST_USE int sched_sleep_until(u64 deadline_ns, bool interruptible);
