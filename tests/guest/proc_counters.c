/* Counters of /proc that tools read: they exist, have the form that tools expect, and count. */
#include "tap.h"

#include <sched.h>
#include <time.h>

/* The file's text, NUL-terminated, in a static buffer. */
static const char *slurp(const char *path)
{
	static char text[1 << 17];
	int fd = open(path, O_RDONLY);
	size_t n = 0;
	ssize_t got;

	tap_need(fd >= 0);
	while (n < sizeof(text) - 1 && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	text[n] = 0;
	return text;
}

/* The number behind `name ` at the start of a line; -1: there is none. */
static long long counter(const char *path, const char *name)
{
	const char *text = slurp(path);
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoll(line + len, NULL, 10);
	return -1;
}

/* The sum over all CPUs of the row `name:` of /proc/interrupts; -1: there is none. */
static long long interrupt_row(const char *name)
{
	const char *text = slurp("/proc/interrupts"), *at = strstr(text, name);
	long long sum = 0;
	char *end;

	if (!at)
		return -1;
	for (at += strlen(name);; at = end) {
		long long v = strtoll(at, &end, 10);

		if (end == at)
			return sum;
		sum += v;
	}
}

static void vmstat_is_names_and_numbers(void)
{
	const char *text = slurp("/proc/vmstat");
	int lines = 0, good = 0;
	char name[64];
	unsigned long long v;

	for (const char *line = text; line && *line; line = strchr(line, '\n') + 1, lines++)
		good += sscanf(line, "%63[a-z0-9_] %llu\n", name, &v) == 2;
	tap_ok(lines > 10);
	tap_eq(good, lines);
}

static void vmstat_counts_page_faults(void)
{
	long long before = counter("/proc/vmstat", "pgfault"), after;
	char *p = mmap(NULL, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tap_need(before > 0 && p != MAP_FAILED);
	for (int i = 0; i < 100; i++)
		p[i * PAGE] = 1;
	after = counter("/proc/vmstat", "pgfault");
	tap_ok(after >= before + 100);
	tap_ok(counter("/proc/vmstat", "pgmajfault") >= 0);
	tap_ok(counter("/proc/vmstat", "oom_kill") >= 0);
}

static void interrupts_have_a_column_per_cpu(void)
{
	const char *text = slurp("/proc/interrupts"), *end = strchr(text, '\n');
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), columns = 0;

	tap_need(end != NULL);
	for (const char *at = strstr(text, "CPU"); at && at < end; at = strstr(at + 3, "CPU"))
		columns++;
	tap_eq(columns, cpus);
}

static void timer_interrupts_are_counted(void)
{
	long long before = interrupt_row("LOC:");
	struct timespec ms = { 0, 2000000 };

	tap_need(before >= 0);
	for (int i = 0; i < 20; i++)
		nanosleep(&ms, NULL);
	tap_ok(interrupt_row("LOC:") > before);
	tap_ok(interrupt_row("RES:") >= 0);
	tap_ok(interrupt_row("CAL:") >= 0);
	tap_ok(interrupt_row("TLB:") >= 0);
}

static void context_switches_are_counted(void)
{
	long long before = counter("/proc/stat", "ctxt");
	struct timespec ms = { 0, 1000000 };

	tap_need(before > 0);
	for (int i = 0; i < 10; i++)
		nanosleep(&ms, NULL);
	tap_ok(counter("/proc/stat", "ctxt") >= before + 10);
}

TAP_MAIN(CASE(vmstat_is_names_and_numbers), CASE(vmstat_counts_page_faults), CASE(interrupts_have_a_column_per_cpu),
	 CASE(timer_interrupts_are_counted), CASE(context_switches_are_counted))
