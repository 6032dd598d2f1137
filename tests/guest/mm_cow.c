/* Copy-on-write: many shapes of fork and write, and that nothing is lost or shared by mistake. */
#include "tap.h"

#include <sched.h>

#define RW	(PROT_READ | PROT_WRITE)

static void fill(unsigned char *p, int pages, int seed)
{
	for (int i = 0; i < pages; i++)
		memset(p + i * PAGE, (seed + i * 7) & 0xff, PAGE);
}

static bool holds(unsigned char *p, int pages, int seed)
{
	for (int i = 0; i < pages; i++)
		for (unsigned j = 0; j < PAGE; j += 511)
			if (p[i * PAGE + j] != ((seed + i * 7) & 0xff))
				return false;
	return true;
}

static void the_child_writes(void)
{
	unsigned char *p = tap_pages(64);

	fill(p, 64, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_ok(holds(p, 64, 1));
		fill(p, 64, 2);
		tap_ok(holds(p, 64, 2));
		tap_leave();
	}
	tap_join(kid);
	tap_ok(holds(p, 64, 1));
}

static void the_parent_writes(void)
{
	unsigned char *p = tap_pages(64);
	int go[2];
	char c;

	tap_must(pipe(go));
	fill(p, 64, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(go[0], &c, 1), 1);
		tap_ok(holds(p, 64, 1));
		tap_leave();
	}
	fill(p, 64, 9);
	tap_eq(write(go[1], "g", 1), 1);
	tap_join(kid);
	tap_ok(holds(p, 64, 9));
}

static void generations(void)
{
	unsigned char *p = tap_pages(16);

	fill(p, 16, 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int gen = 1; gen < 8; gen++) {
			tap_ok(holds(p, 16, gen - 1));
			fill(p, 16, gen);
			pid_t next = tap_fork();
			if (next == 0)
				continue;
			tap_join(next);
			tap_ok(holds(p, 16, gen));
			tap_leave();
		}
		tap_leave();
	}
	tap_join(kid);
	tap_ok(holds(p, 16, 0));
}

static void siblings_do_not_meet(void)
{
	enum { KIDS = 8 };
	unsigned char *p = tap_pages(32);
	pid_t kid[KIDS];

	fill(p, 32, 100);
	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			for (int round = 0; round < 5; round++) {
				fill(p, 32, k);
				sched_yield();
				tap_ok(holds(p, 32, k));
			}
			tap_leave();
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
	tap_ok(holds(p, 32, 100));
}

static void untouched_pages_stay_zero(void)
{
	unsigned char *p = tap_pages(8);

	p[PAGE] = 1;
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int i = 0; i < 8; i++)
			tap_eq(p[i * PAGE], i == 1);
		p[2 * PAGE] = 5;
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[2 * PAGE], 0);
}

static void writes_by_system_calls_break_sharing_too(void)
{
	char *p = tap_pages(4);
	int fd[2];

	memset(p, 'o', 4 * PAGE);
	tap_must(pipe(fd));
	tap_eq(write(fd[1], "new contents", 12), 12);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(fd[0], p + PAGE - 6, 12), 12);	/* over a page boundary */
		tap_eq(memcmp(p + PAGE - 6, "new contents", 12), 0);
		tap_leave();
	}
	tap_join(kid);
	for (unsigned i = 0; i < 4 * PAGE; i++)
		tap_need(p[i] == 'o');
}

static void stack_and_data_are_copied(void)
{
	static int data = 5, bss;
	int local = 7;

	bss = 6;
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(data + bss * 10 + local * 100, 765);
		data = bss = local = 1;
		tap_leave();
	}
	tap_join(kid);
	tap_eq(data + bss * 10 + local * 100, 765);
}

static void private_file_pages_after_fork(void)
{
	unsigned char page[4096];
	int fd = tap_file("f", "");

	memset(page, 'f', sizeof(page));
	for (int i = 0; i < 4; i++)
		tap_eq(write(fd, page, sizeof(page)), 4096);
	unsigned char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	tap_need(p != MAP_FAILED);
	p[0] = 'P';
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(p[0], 'P');
		p[0] = 'C';
		p[PAGE] = 'C';
		tap_eq(pwrite(fd, "W", 1, 2 * PAGE), 1);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[0], 'P');
	tap_eq(p[PAGE], 'f');
	tap_eq(p[2 * PAGE], 'W');
	tap_eq(pread(fd, page, 1, PAGE), 1);
	tap_eq(page[0], 'f');
}

static void partial_unmap_after_fork(void)
{
	unsigned char *p = tap_pages(600);

	fill(p, 600, 3);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(munmap(p + 100 * PAGE, 300 * PAGE));
		tap_ok(holds(p, 100, 3));
		fill(p, 100, 4);
		tap_leave();
	}
	tap_must(munmap(p + 200 * PAGE, 10 * PAGE));
	tap_must(mprotect(p + 300 * PAGE, 10 * PAGE, PROT_READ));
	tap_join(kid);
	tap_ok(holds(p, 200, 3));
	tap_ok(holds(p + 210 * PAGE, 390, 3 + 210 * 7));
}

static void large_areas(void)
{
	size_t len = 6ul << 20;
	unsigned char *p = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tap_need(p != MAP_FAILED);
	for (size_t i = 0; i < len; i += PAGE)
		*(uint32_t *)(p + i) = i;
	for (int round = 0; round < 3; round++) {
		pid_t kid = tap_fork();
		if (kid == 0) {
			for (size_t i = 0; i < len; i += 7 * PAGE)
				*(uint32_t *)(p + i) = ~i;
			for (size_t i = 0; i < len; i += PAGE)
				tap_need(*(uint32_t *)(p + i) ==
					 (uint32_t)(i % (7 * PAGE) ? i : ~i));
			tap_leave();
		}
		for (size_t i = PAGE; i < len; i += 11 * PAGE)
			tap_need(*(uint32_t *)(p + i) == (uint32_t)i);
		tap_join(kid);
	}
	for (size_t i = 0; i < len; i += PAGE)
		tap_need(*(uint32_t *)(p + i) == (uint32_t)i);
}

static void memory_is_returned_after_many_forks(void)
{
	size_t len = 4ul << 20;
	unsigned char *p = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tap_need(p != MAP_FAILED);
	memset(p, 1, len);
	for (int i = 0; i < 60; i++) {			/* 240 MiB if copies were kept */
		pid_t kid = tap_fork();
		if (kid == 0) {
			for (size_t j = 0; j < len; j += PAGE)
				p[j] = i;
			_exit(0);
		}
		tap_need(tap_status(kid) == 0);
	}
	tap_eq(p[0], 1);
}

static void readonly_then_writable_after_fork(void)
{
	unsigned char *p = tap_pages(4);

	fill(p, 4, 1);
	tap_must(mprotect(p, 4 * PAGE, PROT_READ));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(mprotect(p, 4 * PAGE, RW));
		fill(p, 4, 2);
		tap_leave();
	}
	tap_must(mprotect(p, 4 * PAGE, RW));
	tap_join(kid);
	tap_ok(holds(p, 4, 1));
	fill(p, 4, 5);
	tap_ok(holds(p, 4, 5));
}

TAP_MAIN(
	CASE(the_child_writes),
	CASE(the_parent_writes),
	CASE(generations),
	CASE(siblings_do_not_meet),
	CASE(untouched_pages_stay_zero),
	CASE(writes_by_system_calls_break_sharing_too),
	CASE(stack_and_data_are_copied),
	CASE(private_file_pages_after_fork),
	CASE(partial_unmap_after_fork),
	CASE(large_areas),
	CASE(memory_is_returned_after_many_forks),
	CASE(readonly_then_writable_after_fork),
)
