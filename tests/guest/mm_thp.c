/*
 * Transparent huge pages in one process: what it sees must not depend on them, in any order of write, unmap,
 * protect, move and drop.  mm_thp_fork: among several; mm_thp_system: what the kernel says and does by itself.
 */
#include "mm_thp.h"

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

TAP_MAIN(CASE(one_write_makes_a_huge_page), CASE(advice_against_them_is_taken), CASE(the_whole_goes_and_comes_back_empty),
	 CASE(a_page_is_unmapped), CASE(a_page_is_protected), CASE(the_whole_is_protected), CASE(a_page_is_dropped),
	 CASE(a_page_is_moved), CASE(the_whole_is_moved), CASE(it_grows_and_shrinks), CASE(mincore_knows),
	 CASE(the_heap_takes_part))
