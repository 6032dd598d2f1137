/*
 * The only ways into user memory.  SMAP is opened just here; a fault is
 * resolved by vm_fault_user() or ends in the exception table.
 * Context: sleeps, unless the name says nofault (returns at the first fault).
 */
#pragma once

#include <arch/usercopy_fixed.h>
#include <base/attrs.h>

/* Bytes NOT copied: 0 is success.  Range check included. */
MUST_USE u64 user_copy_in(void *dst, uptr_t src, u64 n);
MUST_USE u64 user_copy_out(uptr_t dst, const void *src, u64 n);
MUST_USE u64 user_zero(uptr_t dst, u64 n);
MUST_USE u64 user_copy_in_nofault(void *dst, uptr_t src, u64 n);
MUST_USE u64 user_copy_out_nofault(uptr_t dst, const void *src, u64 n);
/* Length without the NUL (<= max), max + 1 when no NUL was found in max bytes, or -EFAULT. */
MUST_USE i64 user_strnlen(uptr_t s, u64 max);
/* Copies up to size bytes with the NUL: length without it, -ENAMETOOLONG (no NUL in size bytes), -EFAULT. */
MUST_USE i64 user_str_copy_in(char *dst, uptr_t src, u64 size);
/* Atomic compare-and-exchange on a 32-bit word: 0 with *old, -EFAULT.  nofault: page must be present and writable. */
MUST_USE int user_cas_u32_nofault(uptr_t p, u32 expect, u32 desired, u32 *old);
MUST_USE int user_load_u32_nofault(uptr_t p, u32 *out);
/* Atomic op for FUTEX_WAKE_OP: *p = op(*p): -EFAULT, -ENOSYS. */
MUST_USE int user_futex_op_nofault(uptr_t p, u32 op, u32 arg, u32 *old);

static inline bool user_range_ok(uptr_t p, u64 n) { return n <= 0x00007ffffffff000ull && p.v <= 0x00007ffffffff000ull - n; }

/* One object: 0 or -EFAULT. */
#define user_get(dst, src)									\
	((sizeof(*(dst)) <= USER_COPY_FIXED_MAX ? user_in_fixed((dst), (src), sizeof(*(dst)))	\
						: !user_copy_in((dst), (src), sizeof(*(dst)))) ? 0 : -14)
#define user_put(dst, src)									\
	((sizeof(*(src)) <= USER_COPY_FIXED_MAX ? user_out_fixed((dst), (src), sizeof(*(src)))	\
						: !user_copy_out((dst), (src), sizeof(*(src)))) ? 0 : -14)
