/*
 * Atomic integers and ordered loads and stores.  x86 gives every read-modify-
 * write full order; names say what the caller relies on.  Context: any.
 */
#pragma once

#include <base/attrs.h>

typedef struct { i32 v; } atomic_t;
typedef struct { i64 v; } atomic64_t;

#define ATOMIC(x) { (x) }

static inline i32 atomic_read(const atomic_t *a) { return __atomic_load_n(&a->v, __ATOMIC_RELAXED); }
static inline void atomic_set(atomic_t *a, i32 x) { __atomic_store_n(&a->v, x, __ATOMIC_RELAXED); }
static inline i32 atomic_add(atomic_t *a, i32 x) { return __atomic_add_fetch(&a->v, x, __ATOMIC_SEQ_CST); }
static inline void atomic_inc(atomic_t *a) { (void)__atomic_add_fetch(&a->v, 1, __ATOMIC_SEQ_CST); }
static inline void atomic_dec(atomic_t *a) { (void)__atomic_sub_fetch(&a->v, 1, __ATOMIC_SEQ_CST); }
static inline bool atomic_dec_is_zero(atomic_t *a) { return __atomic_sub_fetch(&a->v, 1, __ATOMIC_SEQ_CST) == 0; }
static inline i32 atomic_xchg(atomic_t *a, i32 x) { return __atomic_exchange_n(&a->v, x, __ATOMIC_SEQ_CST); }
static inline bool atomic_cas(atomic_t *a, i32 old, i32 x)
{
	return __atomic_compare_exchange_n(&a->v, &old, x, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Adds one unless the value is zero; false: it was zero and still is. */
static inline bool atomic_inc_unless_zero(atomic_t *a)
{
	i32 old = atomic_read(a);

	while (old)
		if (__atomic_compare_exchange_n(&a->v, &old, old + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return true;
	return false;
}

static inline i64 atomic64_read(const atomic64_t *a) { return __atomic_load_n(&a->v, __ATOMIC_RELAXED); }
static inline void atomic64_set(atomic64_t *a, i64 x) { __atomic_store_n(&a->v, x, __ATOMIC_RELAXED); }
static inline i64 atomic64_add(atomic64_t *a, i64 x) { return __atomic_add_fetch(&a->v, x, __ATOMIC_SEQ_CST); }
static inline void atomic64_inc(atomic64_t *a) { (void)__atomic_add_fetch(&a->v, 1, __ATOMIC_SEQ_CST); }

#define load_acquire(p)	    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, x) __atomic_store_n((p), (x), __ATOMIC_RELEASE)
#define memory_fence()	    __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define bits_set(p, m)	    ((void)__atomic_or_fetch((p), (m), __ATOMIC_SEQ_CST))
#define bits_clear(p, m)    ((void)__atomic_and_fetch((p), (__typeof__(*(p)))~(m), __ATOMIC_SEQ_CST))
