/*
 * Host tests: see tests/host/README.md.  Each case runs in a forked child, so a
 * panic, a sanitizer report or a hang fails that case alone.
 */
#pragma once

#include <base/bug.h>
#include <base/errno.h>
#include <base/string.h>

struct host_test {
	const char *suite, *name;
	void (*fn)(void);
	struct host_test *next;
};
void host_test_register(struct host_test *t);

#define TEST(suite_, name_)									\
	static void test_##suite_##_##name_(void);						\
	static struct host_test test_def_##suite_##_##name_ = {					\
		.suite = #suite_, .name = #name_, .fn = test_##suite_##_##name_ };		\
	__attribute__((constructor)) static void test_reg_##suite_##_##name_(void)		\
	{											\
		host_test_register(&test_def_##suite_##_##name_);				\
	}											\
	static void test_##suite_##_##name_(void)

/* A failed CHECK is counted and the case goes on; a failed NEED leaves the case. */
void host_check_failed(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define CHECK(c)										\
	({ bool ck_ = !!(c); if (!ck_) host_check_failed(__FILE__, __LINE__, "%s is false", #c); ck_; })
#define CHECK_CMP_(a, op, b)									\
	({ __auto_type ca_ = (a); __auto_type cb_ = (b); bool ck_ = ca_ op cb_;			\
	   if (!ck_) host_check_failed(__FILE__, __LINE__, "%s %s %s: %lld (%#llx), %lld (%#llx)", #a, #op, #b, \
				       (long long)ca_, (unsigned long long)ca_, (long long)cb_,	\
				       (unsigned long long)cb_);				\
	   ck_; })
#define CHECK_EQ(a, b) CHECK_CMP_(a, ==, b)
#define CHECK_NE(a, b) CHECK_CMP_(a, !=, b)
#define CHECK_LT(a, b) CHECK_CMP_(a, <, b)
#define CHECK_LE(a, b) CHECK_CMP_(a, <=, b)
#define CHECK_STR_EQ(a, b)									\
	({ const char *sa_ = (a), *sb_ = (b); bool ck_ = !strcmp(sa_, sb_);			\
	   if (!ck_) { host_check_failed(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, sa_, sb_); } ck_; })
#define NEED(c)								\
	do { if (!CHECK(c)) return; } while (0)

/*
 * Runs the body once per allocation in it, the n-th (from 0) failing, and a
 * last time with none failing.  Each round must free what it allocated.
 */
#define EVERY_ALLOC_FAILS_ONCE(n) for (u32 n = host_fail_begin(); host_fail_next(n); n++)
u32 host_fail_begin(void);
bool host_fail_next(u32 n);
/* By hand: the n-th allocation from now fails (0: the next); ~0: none.  True: it did fail since. */
void host_fail_at(u32 n);
bool host_fail_hit(void);
bool host_alloc_should_fail(void);		/* for fakes */

/* What a case leaves allocated is a failure, unless it says so (kernel-global caches). */
void host_allow_leaks(void);
u64 host_live_allocs(void);			/* kmalloc and slab objects */
u64 host_live_pages(void);			/* frames */
void host_count_alloc(i64 objects, i64 pages);	/* for fakes */

/* The case passes only if the kernel panics with a message that contains text. */
void host_expect_panic(const char *text);

/* Simulated RAM: frame f is at host_ram + (f << PAGE_SHIFT).  Set the limit (frames) before the first allocation. */
extern u8 *host_ram;
#define HOST_RAM_FRAMES 65536u
void host_ram_limit(u64 frames);
extern void (*host_on_drain)(void);		/* mem_drain_cpu() calls it, unless NULL */

/* User memory: a user address is a host address; accesses in [start, start + len) fault (one range; len 0: none). */
void host_user_bad(const void *start, u64 len);

/* Time stands still unless moved; timers of the fake fire when it passes them. */
extern u64 host_clock_ns;
void host_clock_advance(u64 ns);

/* Deterministic random numbers: seeded per case, HOST_SEED in the environment overrides. */
u64 host_random(void);
static inline u64 host_random_below(u64 n) { return host_random() % n; }
