/*
 * Address spaces end as fast as they begin: when wait() has told of a process its memory is free, tables included, and
 * many that come and go on all processors never hold more than the living.
 */
#include "tap.h"

#include <limits.h>

#define TABLES	 64			/* leaf tables of a child, with two pages each: 768 KiB and a bit */
#define HUGE	 (2ul << 20)
#define SLACK	 8192			/* kB: what processors keep at hand, and four children that live */
#define FORKERS  4
#define CHILDREN 200			/* of each: 600 MiB in all */

static long free_kb(void)
{
	char text[4096], *at;
	int fd = open("/proc/meminfo", O_RDONLY);

	tap_need(fd >= 0);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	tap_need(n > 0);
	text[n] = 0;
	at = strstr(text, "MemFree:");
	tap_need(at);
	return atol(at + 8);
}

/* Far apart, so that most of it is tables. */
static void touch_tables(void)
{
	char *p = mmap(NULL, TABLES * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || (madvise(p, TABLES * HUGE, MADV_NOHUGEPAGE) && errno != EINVAL))
		_exit(1);
	for (unsigned long i = 0; i < TABLES; i++)
		p[i * HUGE] = p[i * HUGE + PAGE] = 1;
}

static void is_back(void (*ends)(void), int status)
{
	long before = 0, least = LONG_MAX;

	for (int i = 0; i < CHILDREN; i++) {
		pid_t kid = fork();

		if (!kid) {
			touch_tables();
			ends();
			_exit(2);
		}
		tap_eq(tap_status(kid), status);
		if (i == 2)
			before = free_kb();		/* caches are warm */
		else if (i > 2)
			least = free_kb() < least ? free_kb() : least;
	}
	tap_note("%ld kB were free, the least was %ld", before, least);
	tap_ok(least >= before - SLACK);
}

static void by_exit(void)
{
	_exit(0);
}

static void by_signal(void)
{
	kill(getpid(), SIGKILL);
}

static void is_free_when_wait_returns(void)
{
	is_back(by_exit, 0);
}

static void is_free_when_the_killed_is_reaped(void)
{
	is_back(by_signal, SIGKILL);
}

static void forker(void)
{
	for (int i = 0; i < CHILDREN; i++) {
		pid_t kid = fork();

		if (!kid) {
			touch_tables();
			_exit(0);
		}
		if (kid < 0 || tap_status(kid))
			_exit(1);
	}
	_exit(0);
}

static void nothing_piles_up_when_all_processors_fork(void)
{
	long before, least;
	pid_t kid[FORKERS];
	int running = FORKERS, st;

	before = least = free_kb();
	for (int i = 0; i < FORKERS; i++)
		if (!(kid[i] = fork()))
			forker();
	while (running) {
		pid_t pid = waitpid(-1, &st, WNOHANG);

		if (pid > 0) {
			tap_eq(st, 0);
			running--;
		}
		tap_need(pid >= 0);
		least = free_kb() < least ? free_kb() : least;
		usleep(1000);
	}
	tap_note("%ld kB were free, the least was %ld", before, least);
	tap_ok(least >= before - 2 * SLACK);
}

TAP_MAIN(CASE_SLOW(is_free_when_wait_returns, 60), CASE_SLOW(is_free_when_the_killed_is_reaped, 60),
	 CASE_SLOW(nothing_piles_up_when_all_processors_fork, 120))
