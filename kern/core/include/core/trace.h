/*
 * Tracepoints: spans and events into per-CPU rings that the launcher reads
 * (core/outbox.h).  spec/trace.tbl lists them; trace_GROUP_EVENT() and, for spans,
 * trace_GROUP_EVENT_begin() and _end() are generated from it.
 *
 * Off, each costs one test and one branch that is never taken.  On, a record takes no lock,
 * leaves interrupts as they are, and overwrites the oldest when the ring is full.
 * A span begins and ends in one thread and may sleep or change CPUs in between;
 * spans of one thread nest.  Context: any but NMI.
 */
#pragma once

#include <base/attrs.h>

struct bootinfo;
struct crash_report;

#define TRACE_INSTANT 0u
#define TRACE_BEGIN   1u
#define TRACE_END     2u

/*
 * Layout known to tools/saker/trace_read.py.  lap is the record's number shifted by a constant, as the ring's size
 * is a load and a shift more; a ring holds 2^9 records or more, so it changes each time round.
 */
#define TRACE_LAP_SHIFT 9u

struct trace_record {
	u64 tsc;
	u32 tid;		/* of the running thread: Linux's; workers from TRACE_WORKER_TID; 0: idle, boot */
	u16 event;		/* enum trace_event << 2 | TRACE_INSTANT, BEGIN or END */
	u16 lap;		/* bits of its number: tells an old record of the slot from a new one */
	u64 arg[2];
};

struct trace_ring {
	u64 head;		/* records begun so far; written by its own CPU only */
	u64 mask;		/* records - 1 */
	u64 cpu;
	u64 pad[5];
	struct trace_record record[];
};

#define TRACE_WORKER_TID 0x40000000u

extern u32 trace_mask;			/* groups recorded; const after trace_init(), 0: off */
void trace_record(u32 event, u64 a0, u64 a1);
/* sched: the thread that gets this CPU.  Records sched.switch. */
void trace_switch(u32 prev, u32 next, u32 state);
/* The next number for a kernel thread, told to the reader with its name. */
u32 trace_worker_id(const char *name);

/* For reports, of any CPU: its record `back` places before the newest.  False: there is none, or it is half written. */
bool trace_peek(u32 cpu, u64 back, struct trace_record *out);
const char *trace_event_name(u32 event);	/* of a record's event; "?" */

/* The last records of all CPUs (core/crash.h). */
void trace_crash_step(struct crash_report *report);

/* Boot, after outbox_init() and before mem_init().  debug=trace turns it on; trace=GROUPS, trace_ring=SIZE per CPU. */
void trace_init(struct bootinfo *bi);

/* Word i of a name of up to 16 bytes. */
static inline u64 trace_text(const char text[16], u32 i)
{
	u64 w;

	__builtin_memcpy(&w, text + 8 * i, sizeof(w));
	return w;
}

#include <core/trace_events.h>		/* generated */

/* A span without arguments from here to the end of the scope. */
#define TRACE_SPAN(name)								\
	char UNIQUE(span_) __attribute__((cleanup(trace_##name##_leave), unused)) = (trace_##name##_begin(), 0)
