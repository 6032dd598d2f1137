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
u64 host_random(void) { return random_state = random_state * 6364136223846793005ull + 1442695040888963407ull; }
