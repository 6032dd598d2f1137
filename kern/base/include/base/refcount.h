/*
 * Reference counts for objects that die on 1 -> 0.  A count that would pass
 * zero or saturate is a broken invariant (VERIFY).  Context: any.
 */
#pragma once

#include <base/atomic.h>
#include <base/bug.h>

typedef struct { atomic_t n; } refcount_t;

static inline void ref_init(refcount_t *r) { atomic_set(&r->n, 1); }
static inline u32 ref_read(const refcount_t *r) { return (u32)atomic_read(&r->n); }
static inline void ref_get(refcount_t *r)
{
	i32 n = atomic_add(&r->n, 1);

	VERIFY(n > 1);
}
static inline bool ref_try_get(refcount_t *r) { return atomic_inc_unless_zero(&r->n); }
/* True: this was the last reference and the caller destroys the object. */
static inline MUST_USE bool ref_put(refcount_t *r)
{
	i32 n = atomic_add(&r->n, -1);

	VERIFY(n >= 0);
	return n == 0;
}
