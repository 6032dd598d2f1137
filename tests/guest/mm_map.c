/* mmap, munmap: anonymous memory, placement, fixed addresses, limits, errors.  A static-PIE. */
#include "tap.h"

#include <setjmp.h>
#include <sys/resource.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;

static void on_fault(int sig)
{
	siglongjmp(back, sig);
}

/* The signal that touching p raises, or 0. */
static int touch(volatile char *p, bool write)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	int sig;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sig = sigsetjmp(back, 1);
	if (sig)
		return sig;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

static void addresses_are_page_aligned_and_do_not_overlap(void)
{
	char *p[20];

	for (int i = 0; i < 20; i++) {
		p[i] = mmap(NULL, 1 + i * 1000, RW, ANON, -1, 0);
		tap_need(p[i] != MAP_FAILED);
		tap_eq((uintptr_t)p[i] % PAGE, 0);
		memset(p[i], i, 1 + i * 1000);
	}
	for (int i = 0; i < 20; i++)
		for (int j = 0; j < 1 + i * 1000; j++)
			tap_need(p[i][j] == i);
}

static void the_whole_last_page_is_usable(void)
{
	char *p = mmap(NULL, 10, RW, ANON, -1, 0);

	tap_need(p != MAP_FAILED);
	p[4095] = 'x';
	tap_eq(p[4095], 'x');
}

static void munmap_makes_a_hole(void)
{
	char *p = tap_pages(5);

	tap_eq(munmap(p + 2 * PAGE, PAGE), 0);
	tap_eq(touch(p + 1 * PAGE, true), 0);
	tap_eq(touch(p + 2 * PAGE, true), SIGSEGV);
	tap_eq(touch(p + 2 * PAGE - 1, true), 0);
	tap_eq(touch(p + 3 * PAGE, true), 0);
	tap_eq(munmap(p, 5 * PAGE), 0);			/* over the hole */
	tap_eq(touch(p, false), SIGSEGV);
	tap_eq(touch(p + 4 * PAGE, false), SIGSEGV);
	tap_eq(munmap(p, 5 * PAGE), 0);			/* nothing there: fine */
}

static void munmap_errors(void)
{
	char *p = tap_pages(1);

	tap_err(munmap(p + 1, PAGE), EINVAL);
	tap_err(munmap(p, 0), EINVAL);
	tap_err(munmap((void *)(1ul << 56), PAGE), EINVAL);
	tap_err(munmap(p, (size_t)-PAGE), EINVAL);
	tap_err(munmap(BAD_KERNEL, PAGE), EINVAL);
	tap_eq(munmap(p, 1), 0);			/* rounded up */
	tap_eq(touch(p + 100, false), SIGSEGV);
}

static void mmap_errors(void)
{
	int fd = tap_file("f", "x");

	tap_err((long)mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
	tap_err((long)mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
	tap_err((long)syscall(SYS_mmap, 0, PAGE, RW, MAP_PRIVATE, fd, 123), EINVAL);
	tap_err((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 777, 0), EBADF);
	tap_err((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), EBADF);
	tap_err((long)syscall(SYS_mmap, 0, -PAGE, RW, ANON, -1, 0), ENOMEM);
	tap_err((long)syscall(SYS_mmap, 0, 1l << 47, RW, ANON | MAP_NORESERVE, -1, 0), ENOMEM);
	tap_err((long)syscall(SYS_mmap, 123, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	tap_err((long)syscall(SYS_mmap, BAD_KERNEL, PAGE, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	tap_err((long)syscall(SYS_mmap, (1ul << 56) - PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0),
		ENOMEM);
}

static void access_rights_to_the_file_count(void)
{
	int r, w;

	tap_spit("f", "abc");
	r = tap_must(open("f", O_RDONLY));
	w = tap_must(open("f", O_WRONLY));
	tap_err((long)mmap(NULL, PAGE, RW, MAP_SHARED, r, 0), EACCES);
	tap_err((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w, 0), EACCES);
	tap_err((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, w, 0), EACCES);
	tap_ok(mmap(NULL, PAGE, RW, MAP_PRIVATE, r, 0) != MAP_FAILED);
	int p[2];
	tap_must(pipe(p));
	tap_err((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, p[0], 0), ENODEV);
	int d = tap_must(open(".", O_RDONLY));
	tap_err((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, d, 0), ENODEV);
}

#define UNIT (16ul << 20)

static char *units_map(int n)
{
	return mmap(NULL, n * UNIT, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
}

static void the_highest_hole_that_fits_is_taken(void)
{
	char *p = units_map(64);

	tap_need(p != MAP_FAILED);
	for (int i = 0; i < 64 && units_map(1) > p; i++)
		;					/* what is free above */
	tap_must(munmap(p + 10 * UNIT, UNIT));
	tap_must(munmap(p + 20 * UNIT, 2 * UNIT));
	tap_must(munmap(p + 40 * UNIT, UNIT));
	tap_eq(units_map(2) - p, 20 * UNIT);
	tap_eq(units_map(1) - p, 40 * UNIT);
	tap_eq(units_map(1) - p, 10 * UNIT);
	tap_must(munmap(p + 20 * UNIT, UNIT));
	tap_eq(units_map(1) - p, 20 * UNIT);
	tap_must(munmap(p + 20 * UNIT, UNIT));
	tap_must(munmap(p + 21 * UNIT, UNIT));		/* together room for two, above what was tried last */
	tap_must(munmap(p + 40 * UNIT, UNIT));
	tap_eq(units_map(2) - p, 20 * UNIT);
	tap_eq(units_map(1) - p, 40 * UNIT);
	tap_ok(units_map(1) < p);
	for (int i = 0; i < 64; i += 2)			/* many areas: another search */
		tap_must(mprotect(p + i * UNIT, UNIT, PROT_READ));
	tap_must(munmap(p + 33 * UNIT, 3 * UNIT));
	tap_must(munmap(p + 5 * UNIT, 2 * UNIT));
	tap_ok(units_map(4) < p);
	tap_eq(units_map(2) - p, 34 * UNIT);
	tap_eq(units_map(2) - p, 5 * UNIT);
	tap_eq(units_map(1) - p, 33 * UNIT);
}

static void a_free_hint_is_taken(void)
{
	char *p = tap_pages(10), *q;

	tap_must(munmap(p, 10 * PAGE));
	q = mmap(p + 3 * PAGE, PAGE, RW, ANON, -1, 0);
	tap_ok(q == p + 3 * PAGE);
	q = mmap(p + 3 * PAGE, PAGE, RW, ANON, -1, 0);	/* taken: somewhere else */
	tap_ok(q != MAP_FAILED && q != p + 3 * PAGE);
	q = mmap(p + 5 * PAGE + 17, PAGE, RW, ANON, -1, 0);
	tap_eq((uintptr_t)q % PAGE, 0);
}

static void fixed_replaces_what_is_there(void)
{
	char *p = tap_pages(4), *q;

	memset(p, 'o', 4 * PAGE);
	q = mmap(p + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	tap_ok(q == p + PAGE);
	tap_eq(p[PAGE - 1], 'o');
	tap_eq(p[PAGE], 0);
	tap_eq(p[3 * PAGE - 1], 0);
	tap_eq(p[3 * PAGE], 'o');
}

static void fixed_noreplace_does_not(void)
{
	char *p = tap_pages(4), *q;

	p[PAGE] = 'k';
	tap_must(munmap(p + 3 * PAGE, PAGE));
	tap_err((long)mmap(p + 2 * PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	tap_err((long)mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	tap_eq(p[PAGE], 'k');
	q = mmap(p + 3 * PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	tap_ok(q == p + 3 * PAGE);
	tap_eq(touch(q, true), 0);
}

static void low_32_bits_on_demand(void)
{
	char *p = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);

	tap_need(p != MAP_FAILED);
	tap_ok((uintptr_t)p < 0x80000000ul);
	tap_eq(touch(p, true), 0);
}

static void the_first_pages_cannot_be_mapped_by_users(void)
{
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		void *p = mmap((void *)PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0);
		tap_ok(p == MAP_FAILED && errno == EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void populate_and_locked_are_present_at_once(void)
{
	unsigned char vec[8];
	char *p = mmap(NULL, 8 * PAGE, RW, ANON | MAP_POPULATE, -1, 0);

	tap_need(p != MAP_FAILED);
	tap_must(mincore(p, 8 * PAGE, vec));
	for (int i = 0; i < 8; i++)
		tap_eq(vec[i] & 1, 1);
	p = mmap(NULL, 8 * PAGE, RW, ANON | MAP_LOCKED, -1, 0);
	tap_need(p != MAP_FAILED);
	tap_must(mincore(p, 8 * PAGE, vec));
	for (int i = 0; i < 8; i++)
		tap_eq(vec[i] & 1, 1);
}

static void shared_anonymous_memory_is_shared_over_fork(void)
{
	int *p = tap_shared(3);

	p[0] = 1;
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(p[0], 1);
		p[0] = 2;
		p[2048] = 3;				/* not touched before the fork */
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[0], 2);
	tap_eq(p[2048], 3);
}

static void noreserve_gives_large_sparse_areas(void)
{
	char *p = mmap(NULL, 1ul << 36, RW, ANON | MAP_NORESERVE, -1, 0);

	tap_need(p != MAP_FAILED);
	for (unsigned long off = 0; off < 1ul << 36; off += 1ul << 32)
		p[off] = 'z';
	tap_eq(p[1ul << 32], 'z');
	tap_eq(p[(1ul << 32) + PAGE], 0);
	tap_eq(munmap(p, 1ul << 36), 0);
}

static void the_address_space_limit_is_enforced(void)
{
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct rlimit rl = { 64 << 20, 64 << 20 };

		tap_must(setrlimit(RLIMIT_AS, &rl));
		tap_err((long)mmap(NULL, 65 << 20, RW, ANON, -1, 0), ENOMEM);
		void *p = mmap(NULL, 16 << 20, RW, ANON, -1, 0);
		tap_ok(p != MAP_FAILED);
		tap_err((long)mmap(NULL, 60 << 20, PROT_NONE, ANON, -1, 0), ENOMEM);
		tap_leave();
	}
	tap_join(kid);
}

static void many_mappings(void)
{
	enum { N = 2000 };
	static char *p[N];

	for (int i = 0; i < N; i++) {
		/* alternating rights, so that neighbours cannot merge */
		p[i] = mmap(NULL, PAGE, i % 2 ? RW : PROT_READ, ANON, -1, 0);
		tap_need(p[i] != MAP_FAILED);
	}
	for (int i = 1; i < N; i += 2)
		p[i][0] = i;
	for (int i = 1; i < N; i += 2)
		tap_need(p[i][0] == (char)i);
	for (int i = 0; i < N; i++)
		tap_need(munmap(p[i], PAGE) == 0);
}

static void freed_memory_comes_back_as_zero(void)
{
	for (int round = 0; round < 50; round++) {
		char *p = tap_pages(16);

		for (unsigned i = 0; i < 16 * PAGE; i += 64)
			tap_need(p[i] == 0);
		memset(p, 0xee, 16 * PAGE);
		tap_need(munmap(p, 16 * PAGE) == 0);
	}
}

static void reading_first_then_writing(void)
{
	char *p = tap_pages(64);
	int sum = 0;

	for (int i = 0; i < 64; i++)
		sum += p[i * PAGE];
	tap_eq(sum, 0);
	for (int i = 0; i < 64; i++)
		p[i * PAGE] = i;
	for (int i = 0; i < 64; i++) {
		tap_need(p[i * PAGE] == i);
		tap_need(p[i * PAGE + 1] == 0);
	}
}

static void two_megabyte_areas(void)
{
	size_t len = 8ul << 20;
	char *p = mmap(NULL, len, RW, ANON, -1, 0);

	tap_need(p != MAP_FAILED);
	for (size_t i = 0; i < len; i += PAGE)
		p[i] = i >> 12;
	tap_must(munmap(p + (3ul << 20) + PAGE, PAGE));
	tap_must(mprotect(p + (5ul << 20), PAGE, PROT_READ));
	for (size_t i = 0; i < len; i += PAGE)
		if (i != (3ul << 20) + PAGE)
			tap_need(p[i] == (char)(i >> 12));
	tap_eq(touch(p + (3ul << 20) + PAGE, false), SIGSEGV);
	tap_eq(touch(p + (5ul << 20), true), SIGSEGV);
	tap_eq(touch(p + (5ul << 20) + PAGE, true), 0);
}

TAP_MAIN(
	CASE(addresses_are_page_aligned_and_do_not_overlap),
	CASE(the_whole_last_page_is_usable),
	CASE(munmap_makes_a_hole),
	CASE(munmap_errors),
	CASE(mmap_errors),
	CASE(access_rights_to_the_file_count),
	CASE(the_highest_hole_that_fits_is_taken),
	CASE(a_free_hint_is_taken),
	CASE(fixed_replaces_what_is_there),
	CASE(fixed_noreplace_does_not),
	CASE(low_32_bits_on_demand),
	CASE(the_first_pages_cannot_be_mapped_by_users),
	CASE(populate_and_locked_are_present_at_once),
	CASE(shared_anonymous_memory_is_shared_over_fork),
	CASE(noreserve_gives_large_sparse_areas),
	CASE(the_address_space_limit_is_enforced),
	CASE(many_mappings),
	CASE(freed_memory_comes_back_as_zero),
	CASE(reading_first_then_writing),
	CASE(two_megabyte_areas),
)
