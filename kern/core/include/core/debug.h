/*
 * The debug= lists of the kernel command line (docs/observability.md): what the kernel
 * records or checks at run time, in every build.  Several lists are one.  Unset, each word costs one
 * predicted branch.
 * debug_flags is const after debug_init(); any context.
 */
#pragma once

#include <base/attrs.h>

enum debug_flag {
	DEBUG_TRACE  = 1u << 0,		/* spans and events into the per-CPU rings */
	DEBUG_STRACE = 1u << 1,		/* one line per system call */
	DEBUG_VERIFY = 1u << 2,		/* pages mapped by exec against their files */
	DEBUG_METRICS = 1u << 4,	/* system calls by number, with their time: /proc/saker/metrics */
	DEBUG_AUDIT  = 1u << 3,		/* areas, entries, counts: at exec, fork and exit */
	DEBUG_CRASH  = 1u << 5,		/* a report for each program that dies of a fault */
};

extern u32 debug_flags;

static inline bool debug_on(enum debug_flag flag) { return unlikely(debug_flags & flag); }

/* After cmdline_init().  Unknown words are reported on the log and otherwise ignored. */
void debug_init(void);
