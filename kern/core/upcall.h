/*
 * The calls that core makes into sched, which lies above it: the worker of
 * rcu.c is a thread.  Contracts are in sched/sched.h and sched/thread.h.
 */
#pragma once

#include <base/attrs.h>

struct thread;

struct thread *thread_spawn_kernel(const char *name, void (*fn)(void *arg), void *arg);
int sched_sleep_until(u64 deadline_ns, bool interruptible);
void sched_set_state(u32 state);
void sched_block(void);
bool sched_wake_state(struct thread *t, u32 mask);
#define CORE_THREAD_RUNNABLE 0u		/* enum thread_state */
#define CORE_THREAD_SLEEP    1u	/* interruptible: a worker without work is no load */
