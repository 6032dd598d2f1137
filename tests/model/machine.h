/*
 * A machine of MODEL_CPUS processors that take turns: tagged TLBs that keep what
 * nobody flushes, paging-structure caches that keep leaf tables, calls to other
 * CPUs.  What a real processor may do with a stale entry, this one does.
 */
#pragma once

#include <base/attrs.h>

struct aspace;

/* Memory behind one user access of the running CPU, or NULL: page fault. */
u8 *machine_access(u64 va, bool write);
void machine_run(u32 cpu, struct aspace *as);	/* cpu goes on with a thread of as (NULL: a kernel thread) */
struct aspace *machine_thread_aspace(u32 cpu);
void machine_forget_thread(struct aspace *as);	/* threads of as exit: their CPUs go lazily on */
/* Every cached translation of as must be what its tables say.  NULL or what is wrong. */
const char *machine_audit(struct aspace *as);
/* No CPU holds anything of a dead space's tag that is still loaded. */
const char *machine_audit_dead(u64 id);
void machine_speculate(u64 va);			/* the walker runs ahead */
/* Failure injection and accounts, as in tests/host. */
void model_seed(u64 seed);
u64 model_random(void);
