/* Mappings and faults.  Figures of the fault rows are per page. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BATCH		256		/* pages that a fault row maps at a time */
#define HUGE_SIZE	(2ul << 20)
static int fd = -1;
static volatile char *page;

static void run_brk(unsigned long n)
{
	while (n--)
		CHECK(syscall(SYS_brk, 0) > 0);
}

/*
 * One that stays, with room below it in the same 2 MiB: else, where the stack's random place has it so, each round makes
 * and frees a page table as well (one boot in 32).
 */
static void begin_mmap_munmap(void)
{
	char *p;

	do {
		p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		p[0] = 1;
	} while ((uintptr_t)p % HUGE_SIZE < 65536);
}

static void run_mmap_munmap(unsigned long n)
{
	while (n--) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		p[0] = 1;
		CHECK(munmap(p, 65536) == 0);
	}
}

static void run_mprotect(unsigned long n)
{
	while (n--) {
		CHECK(mprotect((void *)page, 4096, PROT_READ) == 0);
		CHECK(mprotect((void *)page, 4096, PROT_READ | PROT_WRITE) == 0);
	}
}

static void begin_mprotect(void)
{
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	page[0] = 1;
}

static void end_mprotect(void)
{
	munmap((void *)page, 4096);
}

static void touch(unsigned long n, int flags, int file, int write)
{
	while (n) {
		unsigned long now = n < BATCH ? n : BATCH;
		volatile char *p = mmap(NULL, BATCH * 4096, PROT_READ | PROT_WRITE, flags, file, 0);

		CHECK(p != MAP_FAILED);
		for (unsigned long i = 0; i < now; i++)
			if (write)
				p[i * 4096] = 1;
			else
				(void)p[i * 4096];
		CHECK(munmap((void *)p, BATCH * 4096) == 0);
		n -= now;
	}
}

static void run_mmap_fault(unsigned long n)
{
	touch(n, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1);
}

static void run_mmap_fault_file(unsigned long n)
{
	touch(n, MAP_PRIVATE, fd, 0);
}

static void begin_file(void)
{
	bench_file("/tmp/mapped", BATCH * 4096, 0);
	fd = open("/tmp/mapped", O_RDWR);
	CHECK(fd >= 0);
}

static void end_file(void)
{
	close(fd);
	unlink("/tmp/mapped");
}

/* 2 MiB of memory at a 2 MiB boundary, all of it touched. */
static void run_thp_fault(unsigned long n)
{
	while (n--) {
		char *p = mmap(NULL, 2 * HUGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		volatile char *q = (char *)(((uintptr_t)p + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));

		CHECK(p != MAP_FAILED);
		madvise((void *)q, HUGE_SIZE, MADV_HUGEPAGE);
		for (unsigned long i = 0; i < HUGE_SIZE; i += 4096)
			q[i] = 1;
		CHECK(munmap(p, 2 * HUGE_SIZE) == 0);
	}
}

const struct row rows_memory[] = {
	{ "brk", run_brk, 1000, 0, 0 },
	{ "mmap_munmap", run_mmap_munmap, 300, begin_mmap_munmap, 0 },
	{ "mprotect", run_mprotect, 300, begin_mprotect, end_mprotect },
	{ "mmap_fault", run_mmap_fault, 1024, 0, 0 },
	{ "mmap_fault_file", run_mmap_fault_file, 1024, begin_file, end_file },
	{ "thp_fault", run_thp_fault, 4, 0, 0 },
	{ 0 },
};
