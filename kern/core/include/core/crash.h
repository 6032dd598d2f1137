/*
 * Crash reports: one set of facts, told twice, as text for people and as JSON for programs
 * (docs/observability.md has the format).
 *
 * A report is gathered in steps.  In a panic the steps run on a stack of their own, with interrupts off and the
 * other CPUs stopped; a step takes no lock, allocates nothing and bounds every walk, for what it reads may be broken: one that
 * faults is given up and the next one goes on.  For a user program's fault the same steps run in that thread.
 */
#pragma once

#include <arch/trap.h>
#include <base/attrs.h>

#define CRASH_FRAMES 32u
#define CRASH_AREAS  9u
#define CRASH_CALLS  32u
#define CRASH_TEXT   256u
#define CRASH_NOTES  2048u
#define CRASH_TAIL   4096u

struct crash_area {
	u64 start, end, off;
	char rights[5];			/* "r-xp" */
	char name[48];			/* file, [stack], [heap] or empty */
};

struct crash_call {
	u64 nr;
	const char *name;		/* NULL: no such call */
	i64 result;
	bool running;
};

struct crash_report {
	const char *kind;		/* "panic", "stall", "user" */
	char reason[CRASH_TEXT];
	char notes[CRASH_NOTES];	/* lines */
	u32 cpu, pid, tid, signal;
	char thread[32];
	struct trapframe regs;
	bool pc_exact;			/* regs.rip is the instruction itself, not a return address */
	u64 fault_addr;			/* 0: none */
	u64 frames[CRASH_FRAMES];	/* code addresses, innermost first; the first is exact, the others return addresses */
	struct crash_area frame_areas[CRASH_FRAMES];	/* user programs: where each lies */
	u32 nframes, nareas, ncalls, nfailed;
	struct crash_area areas[CRASH_AREAS];	/* around the fault, ascending */
	struct crash_call calls[CRASH_CALLS];	/* oldest first */
	char tail[CRASH_TAIL];		/* lines: the end of the trace, if there is one */
};

typedef void (*crash_step)(struct crash_report *r);
/* A layer above adds what it knows.  Boot only. */
void crash_step_add(crash_step step);
/* Appends a line to r->tail; what does not fit is left out. */
void crash_tail(struct crash_report *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

typedef void (*crash_put)(const char *text);
/* Steps first.  User programs only: sleeps not, but reads user memory. */
void crash_gather(struct crash_report *r);
void crash_print_text(const struct crash_report *r, crash_put put);
/* Lines "crash-json: PIECE" that joined are one object, then "crash-json-end". */
void crash_print_json(const struct crash_report *r, crash_put put);
/* Return addresses from frame pointer fp on, kernel (user: false) or user stack, into r->frames from r->nframes on. */
void crash_walk(struct crash_report *r, u64 fp, bool user);
