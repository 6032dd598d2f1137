/*
 * Transparent huge pages: what a program sees must not depend on them, in any
 * order of fork, write, unmap, protect, move and drop; and what the kernel says
 * of them must be true.
 */
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

#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

/* Linux switches them off on machines of less than 512 MiB; advice is enough for all here. */
static void allow(void)
{
	char mode[128] = "";
	int fd = open(ENABLED, O_RDWR);

	if (fd < 0)
		return;
	if (read(fd, mode, sizeof(mode) - 1) > 0 && strstr(mode, "[never]"))
		tap_eq(pwrite(fd, "madvise", 7, 0), 7);
	close(fd);
}

static byte *map_aligned(int n);

/* n aligned 2 MiB pieces that nothing else is mapped into, and advised. */
static byte *huge_map(int n)
{
	allow();
	byte *p = map_aligned(n);

	tap_must(madvise(p, n * HUGE, MADV_HUGEPAGE));
	return p;
}

static byte *map_aligned(int n)
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

static void put(byte *p, unsigned page, unsigned seed)
{
	unsigned *w = (unsigned *)(p + page * PAGE);

	w[0] = seed * 100003 + page;
	w[PAGE / 8] = ~w[0];
	w[PAGE / 4 - 1] = w[0] ^ 0x5a5a5a5a;
}

static bool has(const byte *p, unsigned page, unsigned seed)
{
	const unsigned *w = (const unsigned *)(p + page * PAGE);
	unsigned want = seed * 100003 + page;

	return w[0] == want && w[PAGE / 8] == ~want && w[PAGE / 4 - 1] == (want ^ 0x5a5a5a5a);
}

static bool is_zero(const byte *p, unsigned page)
{
	for (unsigned i = 0; i < PAGE; i++)
		if (p[page * PAGE + i])
			return false;
	return true;
}

static void fill(byte *p, unsigned pages, unsigned seed)
{
	for (unsigned i = 0; i < pages; i++)
		put(p, i, seed);
}

/* Pages [from, to) hold what fill() with the seed put there. */
static bool holds(const byte *p, unsigned from, unsigned to, unsigned seed)
{
	for (unsigned i = from; i < to; i++)
		if (!has(p, i, seed))
			return false;
	return true;
}

/* Can the kernel write (read) there for us? */
static bool reachable(byte *p, bool to_write)
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
static long smaps_kb(const void *p, const char *field)
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

static long number_in(const char *file, const char *key)
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
static void need_huge(const byte *p, int n)
{
	if (smaps_kb(p, "AnonHugePages") < n * 2048)
		tap_skip("no 2 MiB block is at hand");
}

static void must_collapse(byte *p, size_t len)
{
	if (madvise(p, len, MADV_COLLAPSE) == 0)
		return;
	tap_ok(errno == ENOMEM || errno == EAGAIN);
	tap_skip("no 2 MiB block is at hand");
}

/* --- one process ---------------------------------------------------------------- */

static void one_write_makes_a_huge_page(void)
{
	byte *p = huge_map(2);

	tap_eq(smaps_kb(p, "AnonHugePages"), 0);
	p[5 * PAGE] = 1;
	need_huge(p, 1);
	tap_eq(smaps_kb(p, "AnonHugePages"), 2048);
	tap_eq(smaps_kb(p, "Rss"), 2048);
	tap_eq(smaps_kb(p, "Anonymous"), 2048);
	tap_eq(smaps_kb(p, "Private_Dirty"), 2048);
	p[HUGE] = 1;
	need_huge(p, 2);
	tap_eq(smaps_kb(p, "AnonHugePages"), 4096);
	for (unsigned i = 0; i < PAGES; i++)
		tap_need(i == 5 || is_zero(p, i));
}

static void advice_against_them_is_taken(void)
{
	byte *p = huge_map(1);

	tap_must(madvise(p, HUGE, MADV_NOHUGEPAGE));
	p[0] = 1;
	tap_eq(smaps_kb(p, "AnonHugePages"), 0);
	tap_eq(smaps_kb(p, "Rss"), 4);
}

static void the_whole_goes_and_comes_back_empty(void)
{
	byte *p = huge_map(1);

	fill(p, PAGES, 1);
	tap_must(madvise(p, HUGE, MADV_DONTNEED));
	tap_eq(smaps_kb(p, "Rss"), 0);
	tap_ok(is_zero(p, 77));
	fill(p, PAGES, 2);
	tap_ok(holds(p, 0, PAGES, 2));
	tap_must(munmap(p, HUGE));
	tap_ok(!reachable(p, false));
}

static const unsigned edges[] = { 0, 1, 7, 8, 255, 256, 510, 511 };

static void a_page_is_unmapped(void)
{
	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		byte *p = huge_map(1);
		unsigned at = edges[k];

		fill(p, PAGES, k);
		tap_must(munmap(p + at * PAGE, PAGE));
		tap_ok(!reachable(p + at * PAGE, false));
		tap_ok(holds(p, 0, at, k));
		tap_ok(holds(p, at + 1, PAGES, k));
		tap_must(munmap(p, HUGE));
	}
}

static void a_page_is_protected(void)
{
	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		byte *p = huge_map(1);
		unsigned at = edges[k];

		fill(p, PAGES, k);
		tap_must(mprotect(p + at * PAGE, PAGE, PROT_READ));
		tap_ok(!reachable(p + at * PAGE, true));
		tap_ok(holds(p, 0, PAGES, k));
		tap_must(mprotect(p + at * PAGE, PAGE, PROT_NONE));
		tap_ok(!reachable(p + at * PAGE, false));
		tap_must(mprotect(p + at * PAGE, PAGE, RW));
		fill(p, PAGES, k + 1);
		tap_ok(holds(p, 0, PAGES, k + 1));
		tap_must(munmap(p, HUGE));
	}
}

static void the_whole_is_protected(void)
{
	byte *p = huge_map(2);

	fill(p, 2 * PAGES, 1);
	need_huge(p, 2);
	tap_must(mprotect(p, HUGE, PROT_READ));
	tap_eq(smaps_kb(p, "AnonHugePages"), 2048);
	tap_ok(!reachable(p + 9 * PAGE, true));
	tap_ok(reachable(p + HUGE, true));
	tap_must(mprotect(p, HUGE, PROT_NONE));
	tap_ok(!reachable(p + 9 * PAGE, false));
	tap_must(mprotect(p, HUGE, RW));
	tap_eq(smaps_kb(p, "AnonHugePages"), 4096);
	tap_ok(holds(p, 0, PAGES, 1));
	put(p, 9, 4);
	tap_ok(has(p, 9, 4));
}

static void a_page_is_dropped(void)
{
	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		byte *p = huge_map(1);
		unsigned at = edges[k];

		fill(p, PAGES, k);
		tap_must(madvise(p + at * PAGE, PAGE, MADV_DONTNEED));
		tap_ok(is_zero(p, at));
		tap_ok(holds(p, 0, at, k));
		tap_ok(holds(p, at + 1, PAGES, k));
		tap_must(munmap(p, HUGE));
	}
}

static void a_page_is_moved(void)
{
	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		byte *p = huge_map(1), *q = tap_pages(1);
		unsigned at = edges[k];

		fill(p, PAGES, k);
		tap_ok(mremap(p + at * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
		tap_ok(has(q - at * PAGE, at, k));
		tap_ok(!reachable(p + at * PAGE, false));
		tap_ok(holds(p, 0, at, k));
		tap_ok(holds(p, at + 1, PAGES, k));
		tap_must(munmap(p, HUGE));
	}
}

static void the_whole_is_moved(void)
{
	byte *p = huge_map(2), *q = huge_map(2);

	fill(p, 2 * PAGES, 3);
	need_huge(p, 2);
	fill(q, 2 * PAGES, 4);
	tap_ok(mremap(p, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	tap_ok(holds(q, 0, 2 * PAGES, 3));
	tap_ok(!reachable(p, false));
	tap_eq(smaps_kb(q, "AnonHugePages"), 4096);
	/* To a place that is not aligned, and over a border. */
	byte *far = huge_map(4) + 3 * PAGE;

	tap_ok(mremap(q, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, far) == far);
	tap_ok(holds(far, 0, 2 * PAGES, 3));
	fill(far, 2 * PAGES, 5);
	tap_ok(holds(far, 0, 2 * PAGES, 5));
}

static void it_grows_and_shrinks(void)
{
	byte *p = huge_map(3);

	fill(p, 3 * PAGES, 1);
	tap_ok(mremap(p, 3 * HUGE, HUGE + 5 * PAGE, 0) == p);
	tap_ok(holds(p, 0, PAGES + 5, 1));
	tap_ok(!reachable(p + HUGE + 5 * PAGE, false));
	p = mremap(p, HUGE + 5 * PAGE, 4 * HUGE, MREMAP_MAYMOVE);
	tap_need(p != MAP_FAILED);
	tap_ok(holds(p, 0, PAGES + 5, 1));
	for (unsigned i = PAGES + 5; i < 4 * PAGES; i++)
		tap_need(is_zero(p, i));
}

static void mincore_knows(void)
{
	byte *p = huge_map(1), vec[PAGES];

	p[0] = 1;
	need_huge(p, 1);
	tap_must(mincore(p, HUGE, vec));
	for (unsigned i = 0; i < PAGES; i++)
		tap_need(vec[i] & 1);
	tap_must(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED));
	tap_must(mincore(p, HUGE, vec));
	tap_eq(vec[2] & 1, 1);
	tap_eq(vec[3] & 1, 0);
	tap_eq(vec[4] & 1, 1);
}

static void the_heap_takes_part(void)
{
	byte *old = (byte *)syscall(SYS_brk, 0), *p = old;
	char mode[128] = "";
	FILE *f = fopen(ENABLED, "r");

	tap_need(f);
	tap_need((byte *)syscall(SYS_brk, old + 6 * HUGE) == old + 6 * HUGE);
	tap_need(fgets(mode, sizeof(mode), f));
	fclose(f);
	for (unsigned i = 0; i < 6 * PAGES; i++)
		put(p, i, 1);
	tap_ok(holds(p, 0, 6 * PAGES, 1));
	if (strstr(mode, "[always]") && number_in("/proc/meminfo", "MemFree") > 100000)
		tap_ok(smaps_kb(p, "AnonHugePages") >= 4 * 2048);
	byte *less = old + 4 * HUGE - 3 * PAGE;

	tap_ok((byte *)syscall(SYS_brk, less) == less);
	tap_ok(holds(p, 0, 4 * PAGES - 3, 1));
	tap_ok(!reachable(p + 4 * HUGE, false));
	tap_ok((byte *)syscall(SYS_brk, old) == old);
}

/* --- fork ----------------------------------------------------------------------- */

static void a_child_writes_one_page(void)
{
	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		byte *p = huge_map(1);

		fill(p, PAGES, 1);
		pid_t kid = tap_fork();
		if (kid == 0) {
			put(p, edges[k], 2);
			tap_ok(has(p, edges[k], 2));
			tap_ok(holds(p, 0, edges[k], 1));
			tap_ok(holds(p, edges[k] + 1, PAGES, 1));
			tap_leave();
		}
		tap_join(kid);
		tap_ok(holds(p, 0, PAGES, 1));
		fill(p, PAGES, 3);
		tap_ok(holds(p, 0, PAGES, 3));
		tap_must(munmap(p, HUGE));
	}
}

static void the_parent_writes_under_a_child(void)
{
	byte *p = huge_map(1);
	int go[2];
	char c;

	tap_must(pipe(go));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(go[0], &c, 1), 1);
		tap_ok(holds(p, 0, PAGES, 1));
		fill(p, PAGES, 7);
		tap_ok(holds(p, 0, PAGES, 7));
		tap_leave();
	}
	put(p, 100, 2);
	tap_ok(has(p, 100, 2));
	tap_ok(holds(p, 101, PAGES, 1));
	tap_eq(write(go[1], "g", 1), 1);
	tap_join(kid);
	tap_ok(has(p, 100, 2));
	tap_ok(holds(p, 0, 100, 1));
	tap_ok(holds(p, 101, PAGES, 1));
}

/* The parent is gone when the grandchild looks: the middle one exits first. */
static void the_parent_exits_first(void)
{
	byte *p = huge_map(1);
	int go[2], done[2];
	char c;

	tap_must(pipe(go));
	tap_must(pipe(done));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		put(p, 10, 2);
		pid_t grandkid = fork();
		if (grandkid == 0) {
			bool good = read(go[0], &c, 1) == 1 && has(p, 10, 2) && holds(p, 11, PAGES, 1);

			put(p, 11, 3);
			good = good && has(p, 11, 3) && holds(p, 12, PAGES, 1) && holds(p, 0, 10, 1);
			_exit(write(done[1], good ? "y" : "n", 1) != 1);
		}
		tap_ok(grandkid > 0);
		put(p, 10, 9);
		tap_leave();
	}
	tap_join(kid);
	tap_must(munmap(p, HUGE));
	tap_eq(write(go[1], "g", 1), 1);
	tap_eq(read(done[0], &c, 1), 1);
	tap_eq(c, 'y');
}

static void one_operation(byte *p, int op, unsigned page)
{
	byte *q = p + page * PAGE;

	switch (op) {
	case 0: tap_must(munmap(q, PAGE)); break;
	case 1: tap_must(mprotect(q, PAGE, PROT_READ)); break;
	case 2: tap_must(madvise(q, PAGE, MADV_DONTNEED)); break;
	case 3: tap_ok(mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + HUGE) == p + HUGE); break;
	case 4: put(p, page, 2); break;
	}
}

static void check_operation(byte *p, int op, unsigned page, unsigned seed)
{
	byte *q = p + page * PAGE;

	switch (op) {
	case 0: tap_ok(!reachable(q, false)); break;
	case 1: tap_ok(has(p, page, seed) && !reachable(q, true)); break;
	case 2: tap_ok(is_zero(p, page)); break;
	case 3: tap_ok(!reachable(q, false) && has(p + HUGE - page * PAGE, page, seed)); break;
	case 4: tap_ok(has(p, page, 2)); break;
	}
}

#define OPS 5
static const unsigned op_page[OPS] = { 20, 21, 30, 300, 511 };

/* All operations in this order, each on its page, in the child, in the parent, or half and half. */
static void one_order(const int *order, int who)
{
	byte *p = huge_map(2);

	tap_must(munmap(p + HUGE, HUGE));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	bool child = kid == 0;

	for (int i = 0; i < OPS; i++)
		if (who == 2 || (who == 0) == child)
			one_operation(p, order[i], op_page[order[i]]);
	for (unsigned i = 0; i < PAGES; i++) {
		bool touched = false;

		for (int k = 0; k < OPS; k++)
			touched |= op_page[k] == i;
		if (!touched || !(who == 2 || (who == 0) == child))
			tap_need(has(p, i, 1));
	}
	for (int i = 0; i < OPS && (who == 2 || (who == 0) == child); i++)
		check_operation(p, i, op_page[i], 1);
	if (child)
		tap_leave();
	tap_join(kid);
	tap_must(munmap(p, 2 * HUGE));
}

static void every_order(void)
{
	int order[OPS] = { 0, 1, 2, 3, 4 };

	/* Heap's algorithm without recursion: 120 orders. */
	int c[OPS] = { 0 };

	one_order(order, 0);
	for (int i = 0, n = 1; i < OPS;) {
		if (c[i] < i) {
			int j = i & 1 ? c[i] : 0, t = order[j];

			order[j] = order[i];
			order[i] = t;
			one_order(order, n++ % 3);
			c[i]++;
			i = 0;
		} else {
			c[i++] = 0;
		}
	}
}

/* Each has a page of its own and leaves in its own time. */
static void sixty_four_processes(void)
{
	byte *p = huge_map(2);
	pid_t kids[64];
	int go[2];
	char c;

	tap_must(pipe(go));
	fill(p, 2 * PAGES, 1);
	for (unsigned i = 0; i < 64; i++) {
		kids[i] = tap_fork();
		if (kids[i])
			continue;
		close(go[1]);
		put(p, i * 16, i + 2);
		if (i % 2)
			tap_eq(read(go[0], &c, 1), 0);
		if (i % 3 == 0)
			tap_must(madvise(p + (i * 16 + 1) * PAGE, 3 * PAGE, MADV_DONTNEED));
		for (unsigned k = 0; k < 2 * PAGES; k++) {
			if (k == i * 16)
				tap_need(has(p, k, i + 2));
			else if (i % 3 == 0 && k > i * 16 && k < i * 16 + 4)
				tap_need(is_zero(p, k));
			else
				tap_need(has(p, k, 1));
		}
		tap_leave();
	}
	for (unsigned i = 0; i < 64; i += 2)
		tap_join(kids[i]);
	tap_ok(holds(p, 0, 2 * PAGES, 1));
	fill(p, PAGES, 77);
	close(go[1]);
	for (unsigned i = 1; i < 64; i += 2)
		tap_join(kids[i]);
	tap_ok(holds(p, 0, PAGES, 77));
	tap_ok(holds(p + HUGE, 0, 0, 1));
}

/* The kernel holds a part of a shared huge page while both sides go on. */
static void others_read_and_write_it(void)
{
	byte *p = huge_map(1), buf[3 * PAGE];
	struct iovec mine = { buf, sizeof(buf) }, its = { p + 10 * PAGE, sizeof(buf) };
	int go[2], back[2];
	char c;

	tap_must(pipe(go));
	tap_must(pipe(back));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(go[0], &c, 1), 1);
		tap_ok(has(p, 10, 5) && has(p, 11, 5) && has(p, 12, 5));
		tap_ok(holds(p, 0, 10, 1) && holds(p, 13, PAGES, 1));
		tap_leave();
	}
	tap_eq(process_vm_readv(kid, &mine, 1, &its, 1, 0), sizeof(buf));
	tap_ok(has(buf - 10 * PAGE, 10, 1) && has(buf - 10 * PAGE, 12, 1));
	for (unsigned i = 10; i < 13; i++)
		put(buf - 10 * PAGE, i, 5);
	tap_eq(process_vm_writev(kid, &mine, 1, &its, 1, 0), sizeof(buf));
	tap_ok(holds(p, 0, PAGES, 1));
	tap_eq(write(go[1], "g", 1), 1);
	tap_join(kid);
	tap_ok(holds(p, 0, PAGES, 1));
	fill(p, PAGES, 6);
	tap_ok(holds(p, 0, PAGES, 6));
}

/* --- what is said of them --------------------------------------------------------- */

static void the_system_counts_them(void)
{
	long before = number_in("/proc/meminfo", "AnonHugePages");
	long faults = number_in("/proc/vmstat", "thp_fault_alloc");
	byte *p = huge_map(8);

	tap_ok(before >= 0 && faults >= 0);
	for (unsigned i = 0; i < 8; i++)
		p[i * HUGE] = 1;
	need_huge(p, 8);
	/* Per-CPU counters of Linux lag by up to 128 pages each. */
	tap_ok(number_in("/proc/meminfo", "AnonHugePages") >= before + 4 * 2048);
	tap_ok(number_in("/proc/vmstat", "thp_fault_alloc") >= faults + 8);
	tap_eq(smaps_kb(p, "THPeligible"), 1);
	tap_must(munmap(p, 8 * HUGE));
	tap_ok(number_in("/proc/meminfo", "AnonHugePages") < before + 4 * 2048);
}

static void a_process_can_refuse_them(void)
{
	tap_eq(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	tap_err(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	tap_err(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0), EINVAL);
	tap_must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	tap_eq(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	byte *p = huge_map(1);

	p[0] = 1;
	tap_eq(smaps_kb(p, "AnonHugePages"), 0);
	tap_eq(smaps_kb(p, "THPeligible"), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
		tap_leave();
	}
	tap_join(kid);
	tap_must(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	tap_eq(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

static void the_system_can_refuse_them(void)
{
	int fd = open(ENABLED, O_RDWR);
	char was[128] = "";

	tap_need(fd >= 0);
	tap_ok(pread(fd, was, sizeof(was) - 1, 0) > 0);
	tap_ok(!strcmp(was, "[always] madvise never\n") || !strcmp(was, "always [madvise] never\n") ||
	       !strcmp(was, "always madvise [never]\n"));
	tap_err(write(fd, "sometimes", 9), EINVAL);
	tap_eq(pwrite(fd, "never\n", 6, 0), 6);
	byte *p = map_aligned(1);
	char now[128] = "";

	tap_must(madvise(p, HUGE, MADV_HUGEPAGE));

	p[0] = 1;
	tap_eq(smaps_kb(p, "AnonHugePages"), 0);
	tap_ok(pread(fd, now, sizeof(now) - 1, 0) > 0);
	tap_str(now, "always madvise [never]\n");
	tap_eq(pwrite(fd, "madvise", 7, 0), 7);
	byte *q = huge_map(1);

	q[0] = 1;
	tap_ok(smaps_kb(q, "AnonHugePages") == 2048 || number_in("/proc/meminfo", "MemFree") < 100000);
	const char *word = strchr(was, '[') + 1;

	tap_eq(pwrite(fd, word, strcspn(word, "]"), 0), strcspn(word, "]"));
	close(fd);
}

static void they_are_made_on_demand(void)
{
	byte *p = map_aligned(2);

	allow();
	tap_must(madvise(p, 2 * HUGE, MADV_NOHUGEPAGE));
	fill(p, 2 * PAGES, 1);
	tap_eq(smaps_kb(p, "AnonHugePages"), 0);
	tap_err(madvise(p, 2 * HUGE, MADV_COLLAPSE), EINVAL);
	tap_must(madvise(p, 2 * HUGE, MADV_HUGEPAGE));
	tap_must(madvise(p + PAGE, PAGE, MADV_DONTNEED));
	must_collapse(p, 2 * HUGE);
	tap_eq(smaps_kb(p, "AnonHugePages"), 4096);
	must_collapse(p, 2 * HUGE);
	tap_ok(has(p, 0, 1) && is_zero(p, 1) && holds(p, 2, 2 * PAGES, 1));
	fill(p, 2 * PAGES, 2);
	tap_ok(holds(p, 0, 2 * PAGES, 2));
	/* Split by a child, whole again without it. */
	pid_t kid = tap_fork();
	if (kid == 0) {
		put(p, 5, 3);
		tap_leave();
	}
	put(p, 6, 4);
	tap_join(kid);
	must_collapse(p, 2 * HUGE);
	tap_eq(smaps_kb(p, "AnonHugePages"), 4096);
	tap_ok(holds(p, 0, 6, 2) && has(p, 6, 4) && holds(p, 7, 2 * PAGES, 2));
}

static void set_number(const char *name, long value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "/sys/kernel/mm/transparent_hugepage/khugepaged/%s", name);
	int fd = open(path, O_WRONLY), n = snprintf(text, sizeof(text), "%ld", value);

	tap_need(fd >= 0);
	tap_eq(write(fd, text, n), n);
	close(fd);
}

static void the_background_makes_them(void)
{
	int fd = open(ENABLED, O_RDWR);
	char was[128] = "";
	long failed = number_in("/proc/vmstat", "thp_collapse_alloc_failed");
	byte *p = map_aligned(2);

	tap_need(fd >= 0 && pread(fd, was, sizeof(was) - 1, 0) > 0);
	/* It sees the range as it is mapped or touched: first 4 KiB pages, then leave to use others. */
	tap_must(pwrite(fd, "never", 5, 0));
	fill(p, 2 * PAGES, 1);
	tap_must(pwrite(fd, "always", 6, 0));
	set_number("scan_sleep_millisecs", 10);
	set_number("alloc_sleep_millisecs", 10);
	tap_must(madvise(p, 2 * HUGE, MADV_HUGEPAGE));
	tap_must(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED));
	put(p, 3, 1);
	for (int i = 0; i < 500 && smaps_kb(p, "AnonHugePages") < 2048; i++) {
		tap_ok(holds(p, 0, 2 * PAGES, 1));
		usleep(10000);
	}
	tap_ok(holds(p, 0, 2 * PAGES, 1));
	set_number("scan_sleep_millisecs", 10000);
	set_number("alloc_sleep_millisecs", 60000);
	tap_must(pwrite(fd, strchr(was, '[') + 1, strcspn(strchr(was, '[') + 1, "]"), 0));
	close(fd);
	if (smaps_kb(p, "AnonHugePages") < 2048 && number_in("/proc/vmstat", "thp_collapse_alloc_failed") > failed)
		tap_skip("no 2 MiB block is at hand");
	tap_ok(smaps_kb(p, "AnonHugePages") >= 2048);
}

static void reserved_pages_are_none(void)
{
	void *p = mmap(NULL, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	tap_ok(p == MAP_FAILED && errno == ENOMEM);
	tap_eq(number_in("/proc/meminfo", "HugePages_Total"), 0);
	tap_eq(number_in("/proc/meminfo", "Hugepagesize"), 2048);
}

TAP_MAIN(CASE(one_write_makes_a_huge_page), CASE(advice_against_them_is_taken), CASE(the_whole_goes_and_comes_back_empty),
	 CASE(a_page_is_unmapped), CASE(a_page_is_protected), CASE(the_whole_is_protected), CASE(a_page_is_dropped),
	 CASE(a_page_is_moved), CASE(the_whole_is_moved), CASE(it_grows_and_shrinks), CASE(mincore_knows),
	 CASE(the_heap_takes_part), CASE(a_child_writes_one_page), CASE(the_parent_writes_under_a_child),
	 CASE(the_parent_exits_first), CASE(every_order), CASE(sixty_four_processes), CASE(others_read_and_write_it),
	 CASE(the_system_counts_them), CASE(a_process_can_refuse_them), CASE(the_system_can_refuse_them),
	 CASE(they_are_made_on_demand), CASE_SLOW(the_background_makes_them, 60), CASE(reserved_pages_are_none))
