/*
 * Counters of events, one instruction each, per CPU, never reset: /proc/saker/metrics, /proc/vmstat,
 * /proc/interrupts.  Context: any.  Sums are not exact while others count.
 */
#pragma once

#include <core/percpu.h>
#include <core/trace.h>

enum stat {
	STAT_FAULT = 0,			/* + enum trace_kind: how faults were resolved */
	STAT_FAULT_MAJOR = 16,		/* of these, after waiting for data */
	STAT_TLB_FLUSH,			/* ranges flushed on a CPU that asked */
	STAT_TLB_REMOTE,		/* of these, on other CPUs too */
	STAT_IMAGE_BUILT,		/* exec images made */
	STAT_IMAGE_MAPPED,		/* programs entered from one */
	STAT_TABLE_SHARED,		/* leaf tables that fork shared */
	STAT_AREAS_COPIED,		/* sets of areas that a space copied before it changed one */
	STAT_TABLE_COPIED,		/* shared leaf tables that a write copied */
	STAT_TABLE_TAKEN,		/* shared leaf tables whose other user had gone */
	STAT_IRQ_TIMER,
	STAT_IRQ_RESCHEDULE,
	STAT_IRQ_CALL,
	STAT_IRQ_FLUSH,
	STATS,
};

DECLARE_PER_CPU(u64, stat_counts)[STATS];

#ifndef SAKER_HOST
#define stat_add(which, n) this_cpu_add(stat_counts[which], n)
#else
#define stat_add(which, n) ((void)((*this_cpu_ptr(&stat_counts))[which] += (n)))
#endif
#define stat_inc(which)	   stat_add(which, 1)

static inline u64 stat_of_cpu(enum stat which, u32 cpu) { return READ_ONCE((*per_cpu_ptr(&stat_counts, cpu))[which]); }
u64 stat_sum(enum stat which);
/* A fault in user memory was resolved: counted by kind, and told to the tracer. */
#define fault_note(kind, va)				\
	do {						\
		stat_inc(STAT_FAULT + (kind));		\
		trace_fault_kind(kind, va);		\
	} while (0)
