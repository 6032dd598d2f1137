/* /proc/pressure: form, what raises the figures, what does not. */
#include "tap.h"

#include <sched.h>
#include <time.h>

struct line { double avg[3]; unsigned long long total; };
struct both { struct line some, full; };

/* The file, which must be exactly two lines in Linux's form. */
static struct both read_file(const char *name)
{
	char path[64], text[512], again[512];
	struct both b;

	snprintf(path, sizeof(path), "/proc/pressure/%s", name);
	tap_need(tap_slurp(path, text, sizeof(text)) > 0);
	tap_eq(sscanf(text, "some avg10=%lf avg60=%lf avg300=%lf total=%llu full avg10=%lf avg60=%lf avg300=%lf total=%llu",
		      &b.some.avg[0], &b.some.avg[1], &b.some.avg[2], &b.some.total,
		      &b.full.avg[0], &b.full.avg[1], &b.full.avg[2], &b.full.total), 8);
	snprintf(again, sizeof(again), "some avg10=%.2f avg60=%.2f avg300=%.2f total=%llu\nfull avg10=%.2f avg60=%.2f avg300=%.2f total=%llu\n",
		 b.some.avg[0], b.some.avg[1], b.some.avg[2], b.some.total, b.full.avg[0], b.full.avg[1], b.full.avg[2], b.full.total);
	if (strcmp(text, again))
		tap_fail("%s: %s", name, text);
	return b;
}

static unsigned long long now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * 1000000 + (unsigned long long)ts.tv_nsec / 1000;
}

static void on_cpu_0(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	tap_must(sched_setaffinity(0, sizeof(set), &set));
}

static void busy_until(unsigned long long end)
{
	while (now_us() < end)
		;
}

static void three_files_of_two_lines(void)
{
	static const char *const names[] = { "cpu", "memory", "io" };

	for (int i = 0; i < 3; i++) {
		struct both b = read_file(names[i]);

		for (int k = 0; k < 3; k++) {
			tap_ok(b.some.avg[k] >= 0 && b.some.avg[k] <= 100);
			tap_ok(b.full.avg[k] >= 0 && b.full.avg[k] <= b.some.avg[k]);
		}
		tap_ok(b.full.total <= b.some.total);
		tap_ok(b.some.total <= now_us());
	}
	struct both cpu = read_file("cpu");

	tap_eq((long)cpu.full.total, 0);	/* of the whole machine there is none */
}

/* One second of two that want the same processor: about a second of pressure, whatever other processors do. */
static void two_that_want_one_processor_are_pressure(void)
{
	struct both was = read_file("cpu"), is;
	unsigned long long start = now_us(), end = start + 2500000;
	pid_t kid = tap_fork();

	on_cpu_0();
	busy_until(end);
	if (kid == 0)
		tap_leave();
	is = read_file("cpu");
	tap_join(kid);
	tap_ok(is.some.total - was.some.total > 1000000);
	tap_ok(is.some.total - was.some.total <= now_us() - start);
	tap_ok(is.some.avg[0] > 5);
	tap_ok(is.some.avg[0] > is.some.avg[1] && is.some.avg[1] > is.some.avg[2]);
}

static void one_alone_is_none(void)
{
	on_cpu_0();
	usleep(100000);			/* whoever was busy before has ended */
	struct both was = read_file("cpu"), is;

	busy_until(now_us() + 500000);
	is = read_file("cpu");
	tap_ok(is.some.total >= was.some.total);
	tap_ok(is.some.total - was.some.total < 250000);
}

/* Whoever needs more than there is waits while the kernel looks for more, before it is killed. */
static void want_of_memory_is_pressure(void)
{
	struct both was = read_file("memory"), is;
	pid_t kid = tap_fork();

	if (kid == 0) {
		int fd = tap_must(open("/proc/self/oom_score_adj", O_WRONLY));

		tap_eq(write(fd, "1000", 4), 4);
		close(fd);
		for (;;) {
			char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (p == MAP_FAILED)
				_exit(1);
			memset(p, 1, 1 << 20);
		}
	}
	tap_killed(kid, SIGKILL);
	is = read_file("memory");
	tap_ok(is.some.total > was.some.total);
	tap_ok(is.full.total >= was.full.total);
}

/* Linux makes triggers of what is written, where it keeps pressure at all. */
static void nonsense_makes_no_trigger(void)
{
	static const char *const bad[] = { "x", "some", "some 1000 100", "some 2000000 1000000", "none 150000 1000000" };

	for (int i = 0; i < 5; i++) {
		int fd = tap_must(open("/proc/pressure/memory", O_RDWR));

		tap_eq(write(fd, bad[i], strlen(bad[i]) + 1), -1);
		tap_ok(errno == EINVAL || errno == EOPNOTSUPP);
		close(fd);
	}
}

TAP_MAIN(CASE(three_files_of_two_lines), CASE(one_alone_is_none), CASE(two_that_want_one_processor_are_pressure),
	 CASE(want_of_memory_is_pressure), CASE(nonsense_makes_no_trigger))
