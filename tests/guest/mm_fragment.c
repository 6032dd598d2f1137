/*
 * Fragmentation: memory was full of everybody's 4 KiB pages, most of them are gone, and what is left lies all over the
 * place.  2 MiB pages are found again, and nobody's bytes change on the way.
 */
#include "tap.h"

#include <pthread.h>

#define HUGE	(2ul << 20)
#define RW	(PROT_READ | PROT_WRITE)
#define WORKERS 4
#define AREAS	16
#define KEPT	2			/* areas of each worker that stay */
#define STEP	16ul			/* pages that an area grows by in its turn */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

typedef unsigned char byte;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	close(fd);
}

/* Linux switches them off on machines of less than 512 MiB. */
static void allow(void)
{
	char mode[128] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);

	if (fd >= 0 && read(fd, mode, sizeof(mode) - 1) > 0 && strstr(mode, "[never]"))
		write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	if (fd >= 0)
		close(fd);
}

/* The number behind the first "name:" of a file, of those after the line that begins with from (NULL: the first). */
static unsigned long number_in(const char *path, const char *from, const char *name)
{
	FILE *f = fopen(path, "r");
	char line[256];
	unsigned long v = 0;
	bool on = !from;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!on)
			on = !strncmp(line, from, strlen(from));
		else if (!strncmp(line, name, strlen(name)) && sscanf(line + strlen(name), ": %lu", &v) == 1)
			break;
	}
	fclose(f);
	return v;
}

static unsigned long available(void)		/* bytes */
{
	return number_in("/proc/meminfo", NULL, "MemAvailable") << 10;
}

static byte *map_small(unsigned long bytes)
{
	byte *p = mmap(NULL, bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p != MAP_FAILED)
		(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void put(byte *p, unsigned long page, unsigned seed)
{
	unsigned long *w = (unsigned long *)(p + page * PAGE);

	w[0] = w[PAGE / 16] = w[PAGE / 8 - 1] = seed * 1000003ul + page;
}

static bool has(const byte *p, unsigned long page, unsigned seed)
{
	const unsigned long *w = (const unsigned long *)(p + page * PAGE), want = seed * 1000003ul + page;

	return w[0] == want && w[PAGE / 16] == want && w[PAGE / 8 - 1] == want;
}

/* Grows its areas side by side to pages each, drops all but some, says so, waits for go and looks at the rest. */
static int worker(unsigned self, unsigned long pages, int ready, int go)
{
	byte *area[AREAS];
	char c;

	for (unsigned a = 0; a < AREAS; a++)
		if ((area[a] = map_small(pages * PAGE)) == MAP_FAILED)
			return 2;
	for (unsigned long at = 0; at < pages; at += STEP)
		for (unsigned a = 0; a < AREAS; a++)
			for (unsigned long i = at; i < at + STEP && i < pages; i++)
				put(area[a], i, self * AREAS + a);
	for (unsigned a = KEPT; a < AREAS; a++)
		munmap(area[a], pages * PAGE);
	if (write(ready, "r", 1) != 1 || read(go, &c, 1) != 1)
		return 3;
	for (unsigned a = 0; a < KEPT; a++)
		for (unsigned long i = 0; i < pages; i++)
			if (!has(area[a], i, self * AREAS + a))
				return 1;
	return 0;
}

static struct flood {
	pid_t pid[WORKERS];
	int go;
} flood;

/* Memory is full nearly to the last, then an eighth of that stays, spread over all of it. */
static void flood_and_ebb(void)
{
	unsigned long pages = available() / PAGE * 8 / 10 / (WORKERS * AREAS);
	int ready[2], go[2];
	char c;

	allow();
	tap_must(pipe(ready));
	tap_must(pipe(go));
	for (unsigned w = 0; w < WORKERS; w++) {
		flood.pid[w] = fork();
		if (!flood.pid[w])
			_exit(worker(w, pages, ready[1], go[0]));
	}
	close(ready[1]);
	for (unsigned w = 0; w < WORKERS; w++)
		tap_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(go[0]);
	flood.go = go[1];
}

/* What stayed is what was written. */
static void flood_ends(void)
{
	int st;

	tap_eq(write(flood.go, "gggg", WORKERS), WORKERS);
	close(flood.go);
	for (unsigned w = 0; w < WORKERS; w++) {
		st = -1;
		tap_eq(waitpid(flood.pid[w], &st, 0), flood.pid[w]);
		tap_eq(st, 0);
	}
}

static byte *map_aligned(unsigned long n)
{
	byte *p = mmap(NULL, (n + 1) * HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	tap_need(p != MAP_FAILED);
	return (byte *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
}

/* 2 MiB pages of the area that has p, as smaps says. */
static unsigned long huge_at(const byte *p)
{
	char from[64];

	/* The area may begin below p, by less than 2 MiB. */
	for (const byte *q = p; q > p - HUGE; q -= PAGE) {
		snprintf(from, sizeof(from), "%lx-", (unsigned long)q);
		unsigned long kb = number_in("/proc/self/smaps", from, "AnonHugePages");

		if (kb)
			return kb >> 11;
	}
	return 0;
}

static unsigned long blocks_to_ask(void)
{
	return available() / 2 / HUGE;
}

/* Prints the figure in any case: it is what this program is about. */
static void tap_enough(unsigned long got, unsigned long least, unsigned long n)
{
	tap_note("%lu of %lu are 2 MiB pages", got, n);
	tap_ok(got >= least);
}

static void found_after_compact_memory(void)
{
	flood_and_ebb();
	write_file("/proc/sys/vm/compact_memory", "1");

	unsigned long n = blocks_to_ask();
	byte *p = map_aligned(n);

	tap_must(madvise(p, n * HUGE, MADV_HUGEPAGE));
	for (unsigned long i = 0; i < n; i++)
		p[i * HUGE] = 1;
	tap_enough(huge_at(p), n * 3 / 4, n);
	flood_ends();
}

/* The fault itself makes room where the program asked for 2 MiB pages. */
static void found_by_who_asks(void)
{
	flood_and_ebb();

	unsigned long n = blocks_to_ask();
	byte *p = map_aligned(n);

	tap_must(madvise(p, n * HUGE, MADV_HUGEPAGE));
	for (unsigned long i = 0; i < n; i++)
		p[i * HUGE] = 1;
	tap_enough(huge_at(p), n / 2, n);
	flood_ends();
}

/* n times 2 MiB of 4 KiB pages, which nobody collapses in the background. */
static byte *map_to_collapse(unsigned long n)
{
	byte *p = map_aligned(n);

	tap_must(madvise(p, n * HUGE, MADV_NOHUGEPAGE));
	for (unsigned long i = 0; i < n * HUGE / PAGE; i++)
		put(p, i, 77);
	return p;
}

static void collapse(byte *p, unsigned long n)
{
	tap_must(madvise(p, n * HUGE, MADV_HUGEPAGE));
	while (madvise(p, n * HUGE, MADV_COLLAPSE))
		tap_need(errno == EAGAIN);		/* "try again", its manual page says */
	tap_eq(huge_at(p), n);
	for (unsigned long i = 0; i < n * HUGE / PAGE; i++)
		tap_need(has(p, i, 77));
}

static void found_by_collapse(void)
{
	flood_and_ebb();

	unsigned long n = blocks_to_ask() < 8 ? blocks_to_ask() : 8;

	collapse(map_to_collapse(n), n);
	flood_ends();
}

/* Several ask at the same time: nobody goes without because another one is making room already. */
static void found_by_all_who_collapse_at_once(void)
{
	int ready[2], go[2];
	pid_t pid[WORKERS];
	char c;

	flood_and_ebb();

	unsigned long n = blocks_to_ask() * 3 / 4 / WORKERS;

	tap_must(pipe(ready));
	tap_must(pipe(go));
	for (unsigned w = 0; w < WORKERS; w++)
		if (!(pid[w] = tap_fork())) {
			byte *p = map_to_collapse(n);

			tap_eq(write(ready[1], "r", 1), 1);
			tap_eq(read(go[0], &c, 1), 1);
			collapse(p, n);
			tap_leave();
		}
	for (unsigned w = 0; w < WORKERS; w++)
		tap_eq(read(ready[0], &c, 1), 1);
	tap_eq(write(go[1], "gggg", WORKERS), WORKERS);
	for (unsigned w = 0; w < WORKERS; w++)
		tap_join(pid[w]);
	flood_ends();
}

#define COUNTED 2048ul			/* pages */

static byte *counted;
static volatile bool stop;
static unsigned long rounds[2];

/* Each of the two has its own word of every page. */
static void *count_up(void *arg)
{
	unsigned long self = (unsigned long)arg;

	while (!stop) {
		for (unsigned long i = 0; i < COUNTED; i++)
			((volatile unsigned long *)(counted + i * PAGE))[self * 64]++;
		rounds[self]++;
	}
	return NULL;
}

/* Pages that are being written while they move; others come and go in thirds, so that there are holes to move to. */
static void writers_lose_nothing(void)
{
	pthread_t t[2];
	bool good = true;

	counted = map_small(COUNTED * PAGE);
	tap_need(counted != MAP_FAILED);
	stop = false;
	for (unsigned long i = 0; i < 2; i++)
		tap_eq(pthread_create(&t[i], NULL, count_up, (void *)i), 0);
	for (int i = 0; i < 4; i++) {
		byte *hole = map_small(COUNTED * PAGE);

		for (unsigned long k = 0; k < COUNTED; k++)
			hole[k * PAGE] = 1;
		for (unsigned long k = 0; k < COUNTED; k += 3)
			munmap(hole + k * PAGE, PAGE);
		write_file("/proc/sys/vm/compact_memory", "1");
		munmap(hole, COUNTED * PAGE);
	}
	stop = true;
	for (unsigned long i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (unsigned long i = 0; i < COUNTED; i++)
		for (unsigned k = 0; k < 2; k++)
			good &= ((unsigned long *)(counted + i * PAGE))[k * 64] == rounds[k];
	tap_ok(good);
}

TAP_MAIN(CASE_SLOW(found_after_compact_memory, 120), CASE_SLOW(found_by_who_asks, 120), CASE_SLOW(found_by_collapse, 120),
	 CASE_SLOW(found_by_all_who_collapse_at_once, 120), CASE_SLOW(writers_lose_nothing, 120))
