/*
 * The futex core: hashed buckets of waiters keyed by (object, offset).  vm
 * turns a user address into a key (vm_futex_key): private keys are aspace +
 * address, shared keys are backing object + offset.  The bucket lock is held
 * over a nofault user access; on a fault the caller resolves it and retries.
 */
#pragma once

#include <sched/wait.h>
#include <base/types.h>

struct futex_key {
	u64 object;	/* identity, never dereferenced */
	u64 offset;
	bool shared;
};

/* Waits while *uaddr == val.  0, -EAGAIN (value differs), -EFAULT, -ETIMEDOUT, -ERESTARTSYS. */
MUST_USE int futex_wait(const struct futex_key *key, uptr_t uaddr, u32 val, u32 bitset, u64 deadline_ns);
u32 futex_wake(const struct futex_key *key, u32 n, u32 bitset);
/* Wakes nwake, moves nmove to the other key.  cmp: *uaddr must equal val (-EAGAIN).  Number woken + moved or -errno. */
MUST_USE i64 futex_requeue(const struct futex_key *from, uptr_t uaddr, const struct futex_key *to, u32 nwake, u32 nmove,
			   bool cmp, u32 val);
MUST_USE i64 futex_wake_op(const struct futex_key *k1, const struct futex_key *k2, uptr_t uaddr2, u32 nwake, u32 nwake2, u32 op);
/* FUTEX_WAITV: waits on up to 128; returns index woken or -errno. */
MUST_USE i64 futex_waitv(const struct futex_key *keys, const uptr_t *uaddrs, const u32 *vals, u32 n, u64 deadline_ns);
void futex_init(void);
