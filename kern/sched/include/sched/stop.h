/*
 * All other CPUs held, for checks that need a machine that stands still.
 *
 * Each CPU has a real-time thread that parks it.  The kernel is not preempted, so a thread is switched away
 * only where it may sleep: while the machine is held nobody but the caller holds a spinlock, and
 * nothing that a spinlock guards is half changed.  Sleeping locks, references and what hangs
 * on a sleeping thread's stack are as they are.  A debugging aid: a stop takes as long as the longest stretch
 * without a schedule.
 */
#pragma once

#include <base/attrs.h>

/* Once, after the other CPUs run.  Sleeps.  -ENOMEM. */
MUST_USE int sched_stop_init(void);
/* No spinlock held; sleeps until it is this thread's turn.  Until sched_resume_others() the caller must not sleep. */
void sched_stop_others(void);
void sched_resume_others(void);
