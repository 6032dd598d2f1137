/*
 * debug=strace (kern/abi/strace.c): what goes through the outbox, and the hooks of the
 * system-call boundary.  The layout is known to tools/saker/strace.py.
 */
#pragma once

#include <base/types.h>

struct task;
struct trapframe;

enum strace_kind {
	STRACE_ENTER = 1,	/* name, parenthesis, arguments known at entry */
	STRACE_LEAVE = 2,	/* the other arguments, parenthesis, tab, result */
	STRACE_FAILED = 3,	/* the same; the result is an error */
	STRACE_SIGNAL = 4,	/* a line of its own: a signal is delivered, a stop */
	STRACE_END = 5,		/* the thread's last line */
	STRACE_ENTER_PART = 6,	/* as ENTER, with arguments still to come */
};

struct strace_record {
	u64 ns;			/* monotonic */
	u32 tid, pid;
	u16 nr;			/* of the call */
	u8 kind, pad[5];
};
_Static_assert(sizeof(struct strace_record) == 24, "the launcher knows the layout");

void strace_init(void);		/* after outbox_init(), before the first process */
/* In the thread that makes the call.  Sleep. */
void strace_enter(struct task *self, const struct trapframe *tf);
void strace_leave(struct task *self, const struct trapframe *tf);
