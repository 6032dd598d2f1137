/*
 * How long threads had to wait for what is short: the figures of /proc/pressure, as Linux counts
 * them (Documentation/accounting/psi.rst).
 *
 * some: time in which at least one thread waited; full: in which nobody who wanted to could do
 * anything else.  For the processor: per CPU the time in which a thread was queued behind another,
 * averaged over the CPUs weighted by the time they were busy; full does not exist.  For memory: the
 * time that threads spent in reclaim, compaction and the search for a victim.
 */
#pragma once

#include <base/types.h>

enum pressure_kind { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURE_KINDS };
enum pressure_state { PRESSURE_SOME, PRESSURE_FULL, PRESSURE_STATES };

/* avg: over the last 10, 60 and 300 s, in hundredths of a percent. */
struct pressure {
	u64 total_ns;
	u32 avg[3];
};
/* Any context but under RUNQ and what comes after it. */
void pressure_read(enum pressure_kind kind, enum pressure_state state, struct pressure *out);
/* The running thread waits for memory from here (begins) to there.  Does not nest.  Interrupts on, no spinlock held. */
void pressure_memory(bool begins);
