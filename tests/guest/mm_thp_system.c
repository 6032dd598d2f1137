/* Transparent huge pages: what the kernel says of them, who may refuse them, and those that it makes by itself. */
#include "mm_thp.h"

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

/* Its pages are owned one by one then: by the child, or by a reader for a moment. */
static void they_count_while_a_child_has_parts_of_them(void)
{
	long before = number_in("/proc/meminfo", "AnonHugePages");
	byte *p = huge_map(8);
	int fds[2];

	for (unsigned i = 0; i < 8; i++)
		put(p + i * HUGE, 5, i);
	need_huge(p, 8);
	long splits = number_in("/proc/vmstat", "thp_split_pmd");

	tap_must(pipe(fds));
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (unsigned i = 0; i < 8; i++)
			put(p + i * HUGE, 6, i);
		close(fds[1]);
		(void)!read(fds[0], fds, 1);
		tap_leave();
	}
	for (int tries = 0; tries < 1000 && number_in("/proc/vmstat", "thp_split_pmd") < splits + 8; tries++)
		usleep(1000);
	tap_eq(smaps_kb(p, "AnonHugePages"), 8 * 2048);
	long now = number_in("/proc/meminfo", "AnonHugePages");
	tap_ok(now >= before + 4 * 2048 && now <= before + 12 * 2048);
	close(fds[1]);
	tap_join(kid);
	for (unsigned i = 0; i < 8; i++) {
		char c;
		struct iovec mine = { &c, 1 }, its = { p + i * HUGE, 1 };

		tap_eq(process_vm_readv(getpid(), &mine, 1, &its, 1, 0), 1);
		tap_ok(has(p + i * HUGE, 5, i));
	}
	now = number_in("/proc/meminfo", "AnonHugePages");
	tap_ok(now >= before + 4 * 2048 && now <= before + 12 * 2048);
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

TAP_MAIN(CASE(the_system_counts_them), CASE(they_count_while_a_child_has_parts_of_them), CASE(a_process_can_refuse_them), CASE(the_system_can_refuse_them),
	 CASE(they_are_made_on_demand), CASE_SLOW(the_background_makes_them, 60))
