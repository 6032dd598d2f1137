/*
 * Memory that is free is for everybody: what other processors keep at hand for themselves is given out before a
 * process is killed for want of memory.
 */
#include "tap.h"

#include <sched.h>
#include <sys/sysinfo.h>

#define SLACK	4096			/* kB that the kernel may keep back, besides what it says */
#define HOARD	600			/* pages: more than a processor keeps of one kind */

static long number_in(const char *file, const char *key)
{
	char text[4096], *at = text;
	int fd = open(file, O_RDONLY);

	tap_need(fd >= 0);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	tap_need(n > 0);
	text[n] = 0;
	if (*key) {
		at = strstr(text, key);
		tap_need(at);
		at += strlen(key);
	}
	return atol(at);
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	tap_must(sched_setaffinity(0, sizeof(set), &set));
}

static char *pages(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	tap_need(p != MAP_FAILED);
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* Private pages and a file's come and go on one processor. */
static void hoard_on(int cpu)
{
	int fd = tap_must(open("/tmp/hoard", O_RDWR | O_CREAT, 0600));
	char *p = pages(HOARD * PAGE);

	run_on(cpu);
	memset(p, 1, HOARD * PAGE);
	tap_eq(write(fd, p, HOARD * PAGE), HOARD * PAGE);
	tap_must(munmap(p, HOARD * PAGE));
	tap_must(unlink("/tmp/hoard"));
	close(fd);
}

/* Page by page to where the kernel begins to keep back. */
static void take_all(long floor)
{
	size_t bytes = 2048ul << 20;
	char *p = pages(bytes);

	for (size_t at = 0; at < bytes && number_in("/proc/meminfo", "MemFree:") > floor; at += 64 * PAGE)
		for (size_t i = 0; i < 64; i++)
			p[at + i * PAGE] = 1;
}

static void what_others_keep_is_given_out_before_anybody_is_killed(void)
{
	long floor = number_in("/proc/sys/vm/min_free_kbytes", "") + SLACK;

	for (int cpu = 1; cpu < get_nprocs(); cpu++) {
		pid_t kid = tap_fork();

		if (kid == 0) {
			hoard_on(cpu);
			tap_leave();
		}
		tap_join(kid);
	}
	pid_t kid = tap_fork();

	if (kid == 0) {
		int fd = tap_must(open("/proc/self/oom_score_adj", O_WRONLY));

		tap_eq(write(fd, "1000", 4), 4);
		close(fd);
		run_on(0);
		take_all(floor);
		tap_leave();
	}
	tap_join(kid);
}

TAP_MAIN(CASE(what_others_keep_is_given_out_before_anybody_is_killed))
