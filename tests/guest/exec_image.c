/*
 * What exec shows of a file is the file as it is now, whoever ran it before: files that are replaced,
 * changed or mapped meanwhile, and a program that starts a thousand times in a row.
 */
#include "exec_prog.h"

#include <sys/sysinfo.h>

/* --- files that change ------------------------------------------------------------------- */

static void replaced_in_every_way(void)
{
	struct prog p = usual(ET_EXEC);

	for (int v = 1; v < 60; v++) {
		switch (v % 4) {
		case 0:
			make_prog("prog.new", &p, v);
			tap_must(rename("prog.new", "prog"));
			break;
		case 1:
			unlink("prog");
			make_prog("prog", &p, v);
			break;
		case 2:					/* in place */
			make_prog("prog", &p, v);
			break;
		case 3: {				/* one byte of the file that runs */
			struct check last = { .expect = v };
			int fd = tap_must(open("prog", O_WRONLY));

			tap_need(pwrite(fd, &last, 24, CODE + (payload_end - payload) + 24 * p.ncheck) == 24);
			close(fd);
			break;
		}
		}
		if (!tap_eq(run("./prog"), v) || !tap_eq(run("./prog"), v))
			return;
	}
}

/* A change of data, of the page where .data ends, or of the length, in the file that has just run. */
static void data_changed_in_place(void)
{
	struct prog p = usual(ET_EXEC);
	uint64_t data = p.seg[2].off, len = p.seg[2].filesz;

	make_prog("prog", &p, 7);
	for (int i = 0; i < 10; i++) {
		int fd;

		tap_eq(run("./prog"), 7);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, data + len - 1, 1, '!');
		close(fd);
		tap_eq(run("./prog"), BAD + 2);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, data + len - 1, 1, 'D');
		char *m = mmap(NULL, 0x40000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		tap_need(m != MAP_FAILED);
		m[0x20000] = '?';			/* text, by a shared mapping */
		munmap(m, 0x40000);
		close(fd);
		tap_eq(run("./prog"), BAD);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, 0x20000, 1, 'T');
		tap_must(ftruncate(fd, data + 0x500));	/* the rest reads as zeros once it is back */
		tap_must(ftruncate(fd, data + len));
		close(fd);
		tap_eq(run("./prog"), BAD + 2);
		make_prog("prog", &p, 7);
	}
}

/* A file cut inside its text: what is gone is gone for a program that ran whole before. */
static void truncated_program_dies(void)
{
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 7);
	tap_eq(run("./prog"), 7);
	tap_must(truncate("prog", 0x20000));
	tap_eq(run("./prog"), -SIGBUS);
	make_prog("prog", &p, 8);
	tap_eq(run("./prog"), 8);
}

static void execute_permission_comes_and_goes(void)
{
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 7);
	for (int i = 0; i < 5; i++) {
		tap_eq(run("./prog"), 7);
		tap_must(chmod("prog", 0644));
		tap_eq(run("./prog"), 99);
		tap_must(chmod("prog", 0755));
	}
}

/* One process replaces the file by rename while another runs it: always one of the versions of that time. */
static void replaced_while_it_runs(void)
{
	volatile int *version = tap_shared(1);
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 1);
	version[0] = version[1] = 1;
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int v = 2; v < 90; v++) {
			make_prog("prog.new", &p, v);
			version[1] = v;			/* from here on it may be this one */
			tap_must(rename("prog.new", "prog"));
			version[0] = v;			/* and no older one */
			sched_yield();
		}
		version[2] = 1;
		tap_leave();
	}
	while (!version[2]) {
		int low = version[0], got = run("./prog"), high = version[1];

		if (!tap_check(got >= low && got <= high, __FILE__, __LINE__, "version %d, not in %d..%d", got, low, high))
			break;
	}
	tap_join(kid);
}

/* Mappings of the file beside the program: a private one is nobody else's, a shared one is the file. */
static void mapped_beside(void)
{
	struct prog p = usual(ET_EXEC);
	size_t len = 0x3d000;

	make_prog("prog", &p, 7);
	for (int i = 0; i < 5; i++) {
		int fd = tap_must(open("prog", O_RDONLY));
		char *own = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		char *view = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

		tap_need(own != MAP_FAILED && view != MAP_FAILED);
		close(fd);
		tap_eq(run("./prog"), 7);
		for (size_t at = 0x1000; at < 0x3c117; at += 512)
			own[at] = 'x';
		tap_eq(run("./prog"), 7);
		tap_eq(view[0x2000], 'T');
		tap_eq(view[0x3b000], 'D');
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, 0x31000, 1, 'r');
		tap_eq(view[0x31000], 'r');
		tap_eq(own[0x31000], 'x');
		close(fd);
		tap_eq(run("./prog"), BAD + 1);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, 0x31000, 1, 'R');
		close(fd);
		tap_eq(run("./prog"), 7);
		munmap(own, len);
		munmap(view, len);
	}
}

static void programs_and_scripts_in_turn(void)
{
	struct prog a = usual(ET_EXEC), b = usual(ET_DYN);
	char text[600], dir[512];

	make_prog("a", &a, 11);
	make_prog("b", &b, 12);
	tap_need(getcwd(dir, sizeof(dir)));
	snprintf(text, sizeof(text), "#!%s/a\n", dir);
	tap_spit("sa", text);
	snprintf(text, sizeof(text), "#!%s/b word\n", dir);
	tap_spit("sb", text);
	tap_must(chmod("sa", 0755));
	tap_must(chmod("sb", 0755));
	for (int i = 0; i < 15; i++) {
		tap_eq(run("./a"), 11);
		tap_eq(run("./sb"), 12);
		tap_eq(run("./b"), 12);
		tap_eq(run("./sa"), 11);
	}
}

/* --- the test program itself, executed again and again ------------------------------------- */

static const char constant[64] = "read-only";
static volatile int data_word = 42;			/* in the page where .data ends, or near */
static volatile char zeroed[3 * PAGE];

/* What a C library does at once: its allocator's state lies in .data and .bss. */
static int child_main(const char *what)
{
	const char *text = constant;
	char *heap[20];

	__asm__ volatile("" : "+r"(text));

	for (size_t i = 0; i < sizeof(zeroed); i++)
		if (zeroed[i])
			return 2;
	if (data_word != 42 || strcmp(text, "read-only"))
		return 3;
	data_word = 7;
	memset((char *)zeroed, 0x5a, sizeof(zeroed));
	for (int i = 0; i < 20; i++) {
		heap[i] = malloc(10 + 700 * i);
		if (!heap[i])
			return 4;
		memset(heap[i], i, 10 + 700 * i);
	}
	for (int i = 0; i < 20; i += 2)
		free(heap[i]);
	if (!strcmp(what, "poke")) {			/* what a debugger may do: its own copy */
		int fd = open("/proc/self/mem", O_RDWR);

		if (fd < 0 || pwrite(fd, "changed", 8, (long)text) != 8 || strcmp(text, "changed"))
			return 5;
	}
	if (!strcmp(what, "fork")) {			/* a child that shares the tables outlives its parent, or not */
		pid_t kid = fork();

		if (kid == 0) {
			data_word = 8;
			_exit(data_word != 8);
		}
		int st;

		if (kid < 0 || waitpid(kid, &st, 0) != kid || st || data_word != 7)
			return 6;
	}
	return 0;
}

/* False: one of n did not end well. */
static bool again_and_again(const char *what, int n)
{
	for (int i = 0; i < n; i++) {
		pid_t kid = fork();
		int st = -1;

		if (kid == 0) {
			execl("/proc/self/exe", "again", "again", what, NULL);
			_exit(97);
		}
		if (kid < 0 || waitpid(kid, &st, 0) != kid || st) {
			tap_note("process %d, %s: status %#x, errno %d", i, what, st, errno);
			return false;
		}
	}
	return true;
}

static void again(const char *what, int n) { tap_ok(again_and_again(what, n)); }
static void a_thousand_in_a_row(void) { again("plain", 1000); }
static void pages_poked_by_a_debugger(void) { again("poke", 50); }
static void forks_between(void) { again("fork", 100); }

/* Several at once: tables go round between processors. */
static void many_at_once(void)
{
	pid_t kid[4];

	for (int i = 0; i < 4; i++) {
		kid[i] = tap_fork();
		if (kid[i] == 0) {
			again(i & 1 ? "fork" : "plain", 75);
			tap_leave();
		}
	}
	for (int i = 0; i < 4; i++)
		tap_join(kid[i]);
}

/* --- memory pressure ------------------------------------------------------------------------ */

/* Images made since the boot; 0 where no such thing is counted. */
static long images_built(void)
{
	static const char name[] = "\nsaker_images_built_total ";
	static char text[1 << 17];

	if (tap_slurp("/proc/saker/metrics", text, sizeof(text)) < 0)
		return 0;
	char *at = strstr(text, name);

	tap_need(at != NULL);
	return atol(at + sizeof(name) - 1);
}

/* Runs the program twice after its image was given up: it is made anew once, where there is such a thing. */
static void runs_as_before(long built)
{
	tap_eq(run("./prog"), 7);
	tap_eq(run("./prog"), 7);
	if (built)
		tap_ok(images_built() > built);
}

static void caches_dropped_between(void)
{
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 7);
	tap_eq(run("./prog"), 7);
	for (int i = 0; i < 20; i++) {
		int fd = tap_must(open("/proc/sys/vm/drop_caches", O_WRONLY));
		long built = images_built();

		tap_need(write(fd, "3", 1) == 1);
		close(fd);
		runs_as_before(built);
	}
}

/* Whoever takes all memory is killed, but not before images that nobody runs are gone. */
static void given_up_before_anybody_is_killed(void)
{
	struct prog p = usual(ET_EXEC);
	struct sysinfo si;

	tap_must(sysinfo(&si));
	if (si.totalram * si.mem_unit > 1ul << 30)
		tap_skip("a machine with so much memory is not to be filled");
	make_prog("prog", &p, 7);
	tap_eq(run("./prog"), 7);
	long built = images_built();
	pid_t kid = tap_fork();

	if (kid == 0) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY);

		if (fd >= 0)
			write(fd, "1000", 4);
		for (;;) {
			char *m = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (m == MAP_FAILED)
				_exit(1);
			memset(m, 1, 1 << 20);
		}
	}
	int st = tap_status(kid);

	tap_ok((WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL) || (WIFEXITED(st) && WEXITSTATUS(st) == 1));
	runs_as_before(WIFSIGNALED(st) ? built : 0);
}

static const struct tap_case cases[] = {
	CASE(replaced_in_every_way), CASE(data_changed_in_place), CASE(truncated_program_dies),
	CASE(execute_permission_comes_and_goes), CASE(replaced_while_it_runs), CASE(mapped_beside),
	CASE(programs_and_scripts_in_turn), CASE_SLOW(a_thousand_in_a_row, 120), CASE(pages_poked_by_a_debugger),
	CASE(forks_between), CASE_SLOW(many_at_once, 120), CASE(caches_dropped_between),
	CASE_SLOW(given_up_before_anybody_is_killed, 60),
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "again"))
		return child_main(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "times"))	/* for tests/boot */
		return !again_and_again("plain", atoi(argv[2]));
	return tap_main(argc, argv, cases, ARRAY_LEN(cases));
}
