/*
 * Entropy: a ChaCha20 generator per CPU with fast key erasure, reseeded from a
 * global pool that is seeded at boot (RDRAND/RDSEED once, virtio-rng, interrupt
 * and boot timing).  Context: any; random_read_user sleeps.
 */
#pragma once

#include <base/attrs.h>

void random_init(void);
void random_bytes(void *buf, usize n);			/* kernel use; never blocks */
u64 random_u64(void);
bool random_ready(void);
void random_mix(const void *p, usize n, u32 credit_bits);	/* input: timing, devices, writes to /dev/random (credit 0) */
/* getrandom(2) and /dev/[u]random: GRND_NONBLOCK 1, GRND_RANDOM 2, GRND_INSECURE 4.  Bytes, -EAGAIN, -EFAULT, -ERESTARTSYS. */
MUST_USE i64 random_read_user(uptr_t buf, u64 len, u32 flags);
/* Pure block function, tested against RFC 8439 section 2.3.2. */
void chacha20_block(const u32 key[8], u32 counter, const u32 nonce[3], u8 out[64]);
