#pragma once
/* For the tests of transparent huge pages: aligned memory that is to have them, patterns in its pages, what the kernel says of it. */
#include "tap.h"

#include <sys/prctl.h>
#include <sys/uio.h>

#define HUGE	(2ul << 20)
#define PAGES	(HUGE / PAGE)
#define RW	(PROT_READ | PROT_WRITE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

typedef unsigned char byte;

static const unsigned edges[] = { 0, 1, 7, 8, 255, 256, 510, 511 };

#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

/* Linux switches them off on machines of less than 512 MiB; advice is enough for all here. */
static inline void allow(void)
{
	char mode[128] = "";
	int fd = open(ENABLED, O_RDWR);

	if (fd < 0)
		return;
	if (read(fd, mode, sizeof(mode) - 1) > 0 && strstr(mode, "[never]"))
		tap_eq(pwrite(fd, "madvise", 7, 0), 7);
	close(fd);
}

static inline byte *map_aligned(int n);

/* n aligned 2 MiB pieces that nothing else is mapped into, and advised. */
static inline byte *huge_map(int n)
{
	allow();
	byte *p = map_aligned(n);

	tap_must(madvise(p, n * HUGE, MADV_HUGEPAGE));
	return p;
}

static inline byte *map_aligned(int n)
{
	byte *p = mmap(NULL, (n + 1) * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tap_need(p != MAP_FAILED);
	byte *q = (byte *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));

	if (q > p)
		tap_must(munmap(p, q - p));
	if (q + n * HUGE < p + (n + 1) * HUGE)
		tap_must(munmap(q + n * HUGE, p + (n + 1) * HUGE - (q + n * HUGE)));
	return q;
}

static inline void put(byte *p, unsigned page, unsigned seed)
{
	unsigned *w = (unsigned *)(p + page * PAGE);

	w[0] = seed * 100003 + page;
	w[PAGE / 8] = ~w[0];
	w[PAGE / 4 - 1] = w[0] ^ 0x5a5a5a5a;
}

static inline bool has(const byte *p, unsigned page, unsigned seed)
{
	const unsigned *w = (const unsigned *)(p + page * PAGE);
	unsigned want = seed * 100003 + page;

	return w[0] == want && w[PAGE / 8] == ~want && w[PAGE / 4 - 1] == (want ^ 0x5a5a5a5a);
}

static inline bool is_zero(const byte *p, unsigned page)
{
	for (unsigned i = 0; i < PAGE; i++)
		if (p[page * PAGE + i])
			return false;
	return true;
}

static inline void fill(byte *p, unsigned pages, unsigned seed)
{
	for (unsigned i = 0; i < pages; i++)
		put(p, i, seed);
}

/* Pages [from, to) hold what fill() with the seed put there. */
static inline bool holds(const byte *p, unsigned from, unsigned to, unsigned seed)
{
	for (unsigned i = from; i < to; i++)
		if (!has(p, i, seed))
			return false;
	return true;
}

/* Can the kernel write (read) there for us? */
static inline bool reachable(byte *p, bool to_write)
{
	int fds[2];
	char c = *"x";
	bool good;

	tap_must(pipe(fds));
	if (to_write) {
		tap_eq(write(fds[1], &c, 1), 1);
		good = read(fds[0], p, 1) == 1;
	} else {
		good = write(fds[1], p, 1) == 1;
	}
	close(fds[0]);
	close(fds[1]);
	return good;
}

/* A field of the smaps entry that covers p, in kB. */
static inline long smaps_kb(const void *p, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false;
	long kb = -1;

	tap_need(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)p && (uintptr_t)p < end;
		else if (here && !strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			kb = atol(line + strlen(field) + 1);
	}
	fclose(f);
	return kb;
}

static inline long number_in(const char *file, const char *key)
{
	FILE *f = fopen(file, "r");
	char line[256];
	long n = -1;

	tap_need(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && (line[strlen(key)] == ':' || line[strlen(key)] == ' '))
			n = atol(line + strlen(key) + 1);
	fclose(f);
	return n;
}

/* The area at p has n of them: a small machine may be short of blocks. */
static inline void need_huge(const byte *p, int n)
{
	if (smaps_kb(p, "AnonHugePages") < n * 2048)
		tap_skip("no 2 MiB block is at hand");
}

static inline void must_collapse(byte *p, size_t len)
{
	if (madvise(p, len, MADV_COLLAPSE) == 0)
		return;
	tap_ok(errno == ENOMEM || errno == EAGAIN);
	tap_skip("no 2 MiB block is at hand");
}
