/* Fixed bitmaps of u64 words.  User locks; _atomic forms need no lock. */
#pragma once

#include <base/attrs.h>

#define BITMAP_WORDS(n) (((n) + 63) / 64)

static inline bool bitmap_test(const u64 *m, usize i) { return (READ_ONCE(m[i / 64]) >> (i % 64)) & 1; }
static inline void bitmap_set(u64 *m, usize i) { m[i / 64] |= 1ull << (i % 64); }
static inline void bitmap_clear(u64 *m, usize i) { m[i / 64] &= ~(1ull << (i % 64)); }
static inline void bitmap_set_atomic(u64 *m, usize i) { (void)__atomic_or_fetch(&m[i / 64], 1ull << (i % 64), __ATOMIC_SEQ_CST); }
static inline void bitmap_clear_atomic(u64 *m, usize i) { (void)__atomic_and_fetch(&m[i / 64], ~(1ull << (i % 64)), __ATOMIC_SEQ_CST); }
/* First set / clear bit at or after from, or n when there is none. */
usize bitmap_find_set(const u64 *m, usize n, usize from);
usize bitmap_find_clear(const u64 *m, usize n, usize from);
