/*
 * One-shot timers, per CPU, driven by the local APIC in one-shot mode: no
 * periodic tick.  The callback runs in interrupt context with interrupts off,
 * on the CPU that armed the timer, and may re-arm its own timer.
 * The owner keeps struct timer alive until timer_cancel() returned.
 */
#pragma once

#include <base/rbtree.h>
#include <core/percpu.h>

struct timer {
	struct rb_node node;	/* guarded by the CPU's timer lock */
	u64 when_ns;		/* monotonic */
	void (*fn)(struct timer *t);
	u32 cpu;		/* where it is queued */
	bool queued;
};

/* Was it ever armed?  Never: nothing is to be cancelled.  What the owner arms it under is held. */
static inline bool timer_was_armed(const struct timer *t) { return t->when_ns; }
static inline void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	*t = (struct timer){ .fn = fn, .cpu = cpu_id() };
}
/* Arms or re-arms.  A time already past fires as soon as interrupts are on.  Context: any. */
void timer_arm(struct timer *t, u64 when_ns);
/* True: it was armed and did not fire.  On return the callback is not running (waits for it if on another CPU). */
bool timer_cancel(struct timer *t);
/* As timer_cancel, without waiting: for use inside locks that the callback takes. */
bool timer_try_cancel(struct timer *t);
/* Called by arch's timer interrupt. */
void timer_interrupt(void);
