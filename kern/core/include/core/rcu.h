/*
 * Deferred freeing past a quiescent point.  A reader is any stretch of kernel
 * code that does not sleep (the kernel is not preempted); a CPU is quiescent
 * when it switches threads, idles or runs user code.  rcu_defer() calls fn
 * after every CPU has been quiescent since.  fn runs in thread context of a
 * kernel worker and may not sleep for long.  Context of rcu_defer: any, with no
 * lock held above rank WAITQ (it may wake the worker).
 */
#pragma once

#include <base/attrs.h>

struct rcu_head {
	struct rcu_head *next;
	void (*fn)(struct rcu_head *h);
};

static inline void rcu_read_lock(void) { barrier(); }
static inline void rcu_read_unlock(void) { barrier(); }
void rcu_defer(struct rcu_head *h, void (*fn)(struct rcu_head *h));
void rcu_barrier(void);		/* sleeps until everything deferred before has been called */
/* Starts the worker that runs the callbacks; before it they only queue up.  After sched_init().  panic_boot() when
 * there is no memory for it. */
void rcu_start(void);
/* Called by sched at each switch and in each turn of the idle loop; arch does the same at entry from user mode. */
void rcu_quiescent(void);
