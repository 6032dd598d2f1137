/*
 * Asserts.  ASSERT: debug builds.  VERIFY: always.  VERIFY_CMP prints both
 * values.  NEVER marks a branch believed dead and still handles it.  They are
 * for broken invariants of the kernel, never for bad input or lack of memory.
 * panic() is provided by core (kernel) or by the test harness (host).
 */
#pragma once

#include <base/attrs.h>

NORETURN void panic(const char *fmt, ...) PRINTF_LIKE(1, 2);

#define VERIFY(c) \
	do { if (unlikely(!(c))) panic("%s:%d: VERIFY(%s)", __FILE__, __LINE__, #c); } while (0)
#define VERIFY_CMP(a, op, b)								\
	do {										\
		__auto_type va_ = (a); __auto_type vb_ = (b);				\
		if (unlikely(!(va_ op vb_)))						\
			panic("%s:%d: %s %s %s: %#llx, %#llx", __FILE__, __LINE__, #a, #op, #b, \
			      (unsigned long long)va_, (unsigned long long)vb_);	\
	} while (0)
#ifdef SAKER_DEBUG
#define ASSERT(c)	     VERIFY(c)
#define ASSERT_CMP(a, op, b) VERIFY_CMP(a, op, b)
#else
#define ASSERT(c)	     ((void)sizeof(!(c)))
#define ASSERT_CMP(a, op, b) ((void)sizeof((a)op(b)))
#endif
#define NEVER(c)     ({ bool nv_ = !!(c); ASSERT(!nv_); unlikely(nv_); })
#define UNREACHABLE() panic("%s:%d: unreachable", __FILE__, __LINE__)
