/* What fuzz targets have instead of the test runner: a panic is a crash, allocations are not counted. */
#include <stdio.h>
#include <stdlib.h>
#include <test/test.h>

static u64 random_state = 1;

void panic(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "panic: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

bool host_alloc_should_fail(void) { return false; }
void host_count_alloc(i64 objects, i64 pages) {}
void host_allow_leaks(void) {}
u64 host_live_allocs(void) { return 0; }
u64 host_live_pages(void) { return 0; }
void host_fail_at(u32 n) {}
bool host_fail_hit(void) { return false; }
void host_expect_panic(const char *text) {}
void host_test_register(struct host_test *t) {}

void host_check_failed(const char *file, int line, const char *fmt, ...)
{
	panic("%s:%d: %s", file, line, fmt);
}
u64 host_random(void) { return random_state = random_state * 6364136223846793005ull + 1442695040888963407ull; }
