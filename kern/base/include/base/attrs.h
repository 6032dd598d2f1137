/*
 * Attributes, scope guards and the few blessed macros.
 *
 * AUTO(name) declares a pointer whose owner is this scope: the matching
 * DEFINE_AUTO() function runs when the scope is left, unless MOVE() took the
 * value.  A pointer passed with MOVE() is consumed whatever the result.
 * Lock annotations are read by clang >= 22 with -Wthread-safety and expand to
 * nothing elsewhere.
 */
#pragma once

#include <base/types.h>

#define MUST_USE	 __attribute__((warn_unused_result))
#define NONNULL		 __attribute__((nonnull))
#define NORETURN	 __attribute__((noreturn))
#define PACKED		 __attribute__((packed))
#define ALIGNED(n)	 __attribute__((aligned(n)))
#define UNUSED		 __attribute__((unused))
#define USED		 __attribute__((used))
#define NOINLINE	 __attribute__((noinline))
#define ALWAYS_INLINE	 inline __attribute__((always_inline))
#define NO_ASAN		 __attribute__((no_sanitize_address))
#define SECTION(s)	 __attribute__((section(s)))
#define PRINTF_LIKE(f,a) __attribute__((format(printf, f, a)))
#define INIT_TEXT	 __attribute__((section(".init.text"), cold))
#define INIT_DATA	 __attribute__((section(".init.data")))
#define READ_MOSTLY	 __attribute__((section(".data.read_mostly")))
#if defined(__GNUC__) && !defined(__clang__)
#define OWNED_BY(f, n) __attribute__((malloc(f, n)))
#else
#define OWNED_BY(f, n)
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#if defined(__clang__) && __clang_major__ >= 22
#define CAPABILITY(n)		__attribute__((capability(n)))
#define GUARDED_BY(l)		__attribute__((guarded_by(l)))
#define MUST_HOLD(...)		__attribute__((requires_capability(__VA_ARGS__)))
#define MUST_HOLD_SHARED(...)	__attribute__((requires_shared_capability(__VA_ARGS__)))
#define ACQUIRES(...)		__attribute__((acquire_capability(__VA_ARGS__)))
#define ACQUIRES_SHARED(...)	__attribute__((acquire_shared_capability(__VA_ARGS__)))
#define RELEASES(...)		__attribute__((release_capability(__VA_ARGS__)))
#define RELEASES_SHARED(...)	__attribute__((release_shared_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...)	__attribute__((try_acquire_capability(__VA_ARGS__)))
#define TRY_ACQUIRES_SHARED(...) __attribute__((try_acquire_shared_capability(__VA_ARGS__)))
#define ASSERTS_HELD(...)	__attribute__((assert_capability(__VA_ARGS__)))
#define SCOPED_CAPABILITY	__attribute__((scoped_lockable))
#define NO_LOCK_ANALYSIS	__attribute__((no_thread_safety_analysis))
/* A read that says of itself that it may race needs no lock; the analysis does not follow the pointer. */
#define READ_ONCE(x)		({ const volatile __typeof__(x) *once_ = &(x); *once_; })
#else
#define CAPABILITY(n)
#define GUARDED_BY(l)
#define MUST_HOLD(...)
#define MUST_HOLD_SHARED(...)
#define ACQUIRES(...)
#define ACQUIRES_SHARED(...)
#define RELEASES(...)
#define RELEASES_SHARED(...)
#define TRY_ACQUIRES(...)
#define TRY_ACQUIRES_SHARED(...)
#define ASSERTS_HELD(...)
#define SCOPED_CAPABILITY
#define NO_LOCK_ANALYSIS
#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#endif

#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)
#define UNIQUE(p)     CONCAT(p, __COUNTER__)

#define ARRAY_LEN(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(p, T, m)	((T *)((char *)(p) - offsetof(T, m)))
#define MIN(a, b)		({ __auto_type a_ = (a); __auto_type b_ = (b); a_ < b_ ? a_ : b_; })
#define MAX(a, b)		({ __auto_type a_ = (a); __auto_type b_ = (b); a_ > b_ ? a_ : b_; })
#define ALIGN_UP(x, n)		(((x) + ((__typeof__(x))(n) - 1)) & ~((__typeof__(x))(n) - 1))
#define ALIGN_DOWN(x, n)	((x) & ~((__typeof__(x))(n) - 1))
#define DIV_ROUND_UP(x, n)	(((x) + (n) - 1) / (n))
#define IS_POW2(x)		((x) && !((x) & ((x) - 1)))

/* Defines the cleanup of AUTO(name): put(p) runs for a non-NULL pointer. */
#define DEFINE_AUTO(name, T, put)						\
	typedef T auto_##name##_t;						\
	static inline void auto_##name##_put(T *pp) { if (*pp) put(*pp); }
#define AUTO(name) __attribute__((cleanup(auto_##name##_put))) auto_##name##_t
#define MOVE(p)	   ({ __auto_type moved_ = (p); (p) = NULL; moved_; })

#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define barrier()	 __asm__ volatile("" ::: "memory")

/* Says on purpose that a MUST_USE result does not matter here; the reason stands beside it. */
#define DISCARD(e) ({ __auto_type discarded_ = (e); (void)discarded_; })
