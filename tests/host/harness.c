/* Runs the registered cases, each in a child, and prints TAP. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <test/test.h>

#define CASE_SECONDS 120

static struct host_test *tests, **tests_end = &tests;
static u32 failures;
static bool leaks_allowed;
static i64 live_objects, live_pages;
static const char *panic_wanted;
static u32 fail_countdown = ~0u;
static bool fail_hit;
static i64 loop_objects, loop_pages;
static u64 random_state;

void host_test_register(struct host_test *t)
{
	*tests_end = t;
	tests_end = &t->next;
}

void host_check_failed(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	failures++;
	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void host_expect_panic(const char *text) { panic_wanted = text; }
void host_allow_leaks(void) { leaks_allowed = true; }
u64 host_live_allocs(void) { return (u64)live_objects; }
u64 host_live_pages(void) { return (u64)live_pages; }

void host_count_alloc(i64 objects, i64 pages)
{
	live_objects += objects;
	live_pages += pages;
}

void host_fail_at(u32 n)
{
	fail_countdown = n;
	fail_hit = false;
}

bool host_fail_hit(void) { return fail_hit; }

bool host_alloc_should_fail(void)
{
	if (fail_countdown == ~0u)
		return false;
	if (fail_countdown-- == 0) {
		fail_countdown = ~0u;
		fail_hit = true;
		return true;
	}
	return false;
}

u32 host_fail_begin(void)
{
	loop_objects = live_objects;
	loop_pages = live_pages;
	return 0;
}

bool host_fail_next(u32 n)
{
	if (n) {
		bool hit = fail_hit;

		host_fail_at(~0u);
		if (live_objects != loop_objects || live_pages != loop_pages)
			host_check_failed(__FILE__, __LINE__, "round %u leaked %lld objects, %lld frames", n - 1,
					  (long long)(live_objects - loop_objects),
					  (long long)(live_pages - loop_pages));
		loop_objects = live_objects;
		loop_pages = live_pages;
		if (!hit)
			return false;
	}
	host_fail_at(n);
	return true;
}

u64 host_random(void)
{
	u64 x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

void panic(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (panic_wanted && strstr(text, panic_wanted)) {
		fflush(stdout);
		_exit(failures ? 1 : 0);
	}
	printf("# panic: %s\n", text);
	fflush(stdout);
	abort();
}

static void case_run(const struct host_test *t)
{
	const char *seed = getenv("HOST_SEED");

	random_state = seed ? strtoull(seed, NULL, 0) : 1;
	alarm(CASE_SECONDS);
	t->fn();
	if (panic_wanted)
		host_check_failed(__FILE__, __LINE__, "no panic, expected \"%s\"", panic_wanted);
	if (!leaks_allowed && (live_objects || live_pages))
		host_check_failed(__FILE__, __LINE__, "leaked %lld objects, %lld frames", (long long)live_objects,
				  (long long)live_pages);
	fflush(stdout);
	_exit(failures ? 1 : 0);
}

static bool case_passes(const struct host_test *t)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		case_run(t);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status))
		printf("# ended by signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? " (too slow)" : "");
	else if (WEXITSTATUS(status) > 1)
		printf("# exit status %d\n", WEXITSTATUS(status));
	return status == 0;
}

static bool selected(const struct host_test *t, int argc, char **argv)
{
	char full[256];

	if (argc < 2)
		return true;
	snprintf(full, sizeof(full), "%s.%s", t->suite, t->name);
	for (int i = 1; i < argc; i++)
		if (strstr(full, argv[i]))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	u32 n = 0, bad = 0;

	for (struct host_test *t = tests; t; t = t->next)
		n += selected(t, argc, argv);
	printf("TAP version 13\n1..%u\n", n);
	n = 0;
	for (struct host_test *t = tests; t; t = t->next) {
		bool ok;

		if (!selected(t, argc, argv))
			continue;
		ok = case_passes(t);
		bad += !ok;
		printf("%sok %u - %s: %s\n", ok ? "" : "not ", ++n, t->suite, t->name);
	}
	return bad != 0;
}
