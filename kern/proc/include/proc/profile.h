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
	u64 image;			/* of the program; 0: none */
	u64 code_start;			/* where its first executable segment lies */
	u32 pid, tid;
	u16 nkernel, nuser;		/* addresses, innermost first */
	u32 pad;
	char comm[16];
	u64 addr[2 * PROFILE_DEPTH];
};

/* OUTBOX_IMAGE: cut behind the path. */
struct profile_image {
	u64 image;
	char path[256];			/* in the guest */
};

struct task;

/* Each CPU, once, when its timers work. */
void profile_start_cpu(void);
/* The running task has become another program. */
void profile_exec(struct task *self);
