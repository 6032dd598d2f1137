/*
 * The sampling profiler: profile=HZ on the kernel's command line.  A timer on each CPU
 * looks at what it interrupted and sends its stack to the launcher (core/outbox.h).
 */
#pragma once

#include <base/attrs.h>

#define PROFILE_DEPTH 32u

/* OUTBOX_SAMPLE: cut behind the last address.  Known to tools/saker/profile.py. */
struct profile_sample {
	u64 tsc;
	u32 pid, tid;
	u16 nkernel, nuser;		/* addresses, innermost first */
	u32 pad;
	char comm[16];
	u64 addr[2 * PROFILE_DEPTH];
};

/* OUTBOX_MAP, in the order in which it happened, cut behind the path: where the code of processes lies. */
enum profile_map_kind {
	PROFILE_MAP = 1,	/* [start, end) shows the file at path, which is in the guest, from offset on; executable */
	PROFILE_EXEC = 2,	/* the process is another program: its maps follow */
	PROFILE_FORK = 3,	/* a new process has the maps of another: start is its pid */
};
struct profile_map {
	u32 pid, kind;
	u64 start, end, offset;
	char path[256];
};

struct task;

/* Each CPU, once, when its timers work. */
void profile_start_cpu(void);
/* The running task has become another program; has mapped something at addr; has made child, which does not run yet.
 * All sleep; without profile= they are one test. */
void profile_exec(struct task *self);
void profile_mmap(struct task *self, u64 addr);
void profile_fork(const struct task *parent, const struct task *child);
