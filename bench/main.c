/*
 * The benchmark program's frame.  As process 1 it sets the machine up, reads its words from
 * /bench/args, times what they name, and powers the machine off; otherwise its words are arguments.
 *
 * Words: a row's or curve's name; CURVE@X for one point of a curve, which may lie between those it has;
 * `rows` for all rows; `scale=N` multiplies the iterations of rows; `repeat=N` times each row N times, each
 * time for `ticks=N` of the time-stamp counter at least; `points=all` takes every point of a curve; `fixed`,
 * the first word, has this program and all that it starts at the same addresses in every boot.
 * Lines written: `boot TICKS FREE_KIB`, `row NAME N TICKS`, `point NAME X N TICKS`,
 * `fail NAME REASON`, `end`.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

static jmp_buf row_failed;
static char reason[200];
static int in_child;
static unsigned long scale = 1, repeat = 1, ticks;
static int points_all;
static char **arguments;

static const struct row *const row_tables[] = { rows_call, rows_file, rows_ipc, rows_memory,
	rows_process, rows_busybox };
static const struct curve *const curve_tables[] = { curves_process, curves_file };
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The instruction counter (bench/count.c) knows these two by address. */
__attribute__((noinline, used)) void bench_mark_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline, used)) void bench_mark_end(void) { __asm__ volatile("" ::: "memory"); }

void bench_fail(const char *file, int line, const char *what)
{
	if (in_child)
		_exit(99);
	snprintf(reason, sizeof(reason), "%s:%d: %s: %s", file, line, what, strerror(errno));
	longjmp(row_failed, 1);
}

void bench_in_child(void)
{
	in_child = 1;
}

void bench_reap(int pid)
{
	int status = -1;

	CHECK(waitpid(pid, &status, 0) == pid);
	errno = 0;
	CHECK(status == 0);
}

void bench_spawn(char *const argv[])
{
	int pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(99);
	}
	bench_reap(pid);
}

void bench_shell(const char *line)
{
	bench_spawn((char *[]){ "/bin/sh", "-c", (char *)line, NULL });
}

void bench_file(const char *path, unsigned long size, const char *line)
{
	static char block[4096];
	FILE *f = fopen(path, "w");
	unsigned long done = 0;

	CHECK(f != NULL);
	for (unsigned long i = 0; done < size; i++) {
		if (line) {
			done += fprintf(f, line, i * 7919 % 1000, i % 10);
			continue;
		}
		done += fwrite(block, 1, size - done < 4096 ? size - done : 4096, f);
	}
	CHECK(fclose(f) == 0);
}

struct sample { unsigned long n; uint64_t ticks; };

/* Rounds of n iterations until they have taken long enough: one if that is 0. */
static struct sample row_sample(const struct row *row, unsigned long n, uint64_t enough)
{
	struct sample s = { 0 };
	uint64_t before = bench_ticks();

	do {
		row->run(n);
		s.n += n;
		s.ticks = bench_ticks() - before;
	} while (s.ticks < enough);
	return s;
}

static void row_time(const struct row *row)
{
	unsigned long n = row->n * scale;

	if (setjmp(row_failed)) {
		printf("fail %s %s\n", row->name, reason);
		return;
	}
	if (row->begin)
		row->begin();
	row->run(n > 8 ? n / 8 : 1);
	if (ticks)
		row_sample(row, n, ticks / 4);		/* code is translated, caches fill */
	for (unsigned long i = 0; i < repeat; i++) {
		struct sample s;

		bench_mark_begin();
		s = row_sample(row, n, ticks);
		bench_mark_end();
		printf("row %s %lu %llu\n", row->name, s.n, (unsigned long long)s.ticks);
	}
	if (row->end)
		row->end();
}

static void point_time(const struct curve *curve, unsigned long x)
{
	uint64_t before, after;

	if (setjmp(row_failed)) {
		printf("fail %s %s\n", curve->name, reason);
		return;
	}
	curve->setup(x);
	curve->run(1);
	bench_mark_begin();
	before = bench_ticks();
	curve->run(curve->n);
	after = bench_ticks();
	bench_mark_end();
	printf("point %s %lu %lu %llu\n", curve->name, x, curve->n,
	       (unsigned long long)(after - before));
	curve->done(x);
}

/* x: that point; 0: those it has. */
static void curve_time(const struct curve *curve, unsigned long x)
{
	if (x)
		point_time(curve, x);
	for (unsigned i = 0; !x && i < COUNT(curve->xs) && curve->xs[i]; i++)
		if (points_all || i < curve->xs_default)
			point_time(curve, curve->xs[i]);
}

/* NULL: all rows. */
static int rows_time(const char *name)
{
	int found = 0;

	for (unsigned i = 0; i < COUNT(row_tables); i++)
		for (const struct row *row = row_tables[i]; row->name; row++)
			if (!name || !strcmp(name, row->name)) {
				row_time(row);
				fflush(stdout);
				found = 1;
			}
	return found;
}

static int curves_time(const char *name)
{
	const char *at = name ? strchr(name, '@') : NULL;
	size_t len = at ? (size_t)(at - name) : name ? strlen(name) : 0;
	int found = 0;

	for (unsigned i = 0; i < COUNT(curve_tables); i++)
		for (const struct curve *curve = curve_tables[i]; curve->name; curve++)
			if (!name || (!strncmp(name, curve->name, len) && !curve->name[len])) {
				curve_time(curve, at ? strtoul(at + 1, NULL, 10) : 0);
				fflush(stdout);
				found = 1;
			}
	return found;
}

static int addresses_fixed(void)
{
	return personality(0xffffffff) & ADDR_NO_RANDOMIZE;
}

/* The setting counts from the next exec on: this program starts over. */
static void addresses_fix(void)
{
	if (addresses_fixed())
		return;
	personality(ADDR_NO_RANDOMIZE);
	fflush(stdout);
	execv("/proc/self/exe", arguments);
	printf("fail fixed %s\n", strerror(errno));
}

static void word_do(const char *word)
{
	if (!strncmp(word, "scale=", 6))
		scale = strtoul(word + 6, NULL, 10);
	else if (!strncmp(word, "repeat=", 7))
		repeat = strtoul(word + 7, NULL, 10);
	else if (!strncmp(word, "ticks=", 6))
		ticks = strtoul(word + 6, NULL, 10);
	else if (!strcmp(word, "points=all"))
		points_all = 1;
	else if (!strcmp(word, "fixed"))
		addresses_fix();
	else if (!strcmp(word, "rows"))
		rows_time(NULL);
	else if (!strcmp(word, "curves"))
		curves_time(NULL);
	else if (!rows_time(word) && !curves_time(word))
		printf("fail %s no such row or curve\n", word);
}

static void names_print(void)
{
	for (unsigned i = 0; i < COUNT(row_tables); i++)
		for (const struct row *row = row_tables[i]; row->name; row++)
			printf("row %s\n", row->name);
	for (unsigned i = 0; i < COUNT(curve_tables); i++)
		for (const struct curve *curve = curve_tables[i]; curve->name; curve++)
			printf("curve %s\n", curve->name);
}

static void machine_set_up(void)
{
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mkdir("/tmp", 01777);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	if (mount("tmp", "/tmp", "tmpfs", 0, NULL))
		printf("fail set-up tmpfs: %s\n", strerror(errno));
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/root", 1);
}

static void args_do(void)
{
	static char text[8192];
	int fd = open("/bench/args", O_RDONLY);
	long got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	close(fd);
	if (got < 0)
		printf("fail set-up /bench/args: %s\n", strerror(errno));
	for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n"))
		word_do(word);
}

/*
 * Rows run with the stack at the top of a page.  Kernels start it at a random place: where a loop's frames lay
 * across two pages, each fork copied two for each side, and the row had two levels from boot to boot.
 */
static __attribute__((noinline)) void on_fresh_page(void (*fn)(void))
{
	char *pad = alloca((uintptr_t)__builtin_frame_address(0) & 4095);

	__asm__ volatile("" :: "r"(pad) : "memory");
	fn();
}

/* The machine, at the first start. */
static void boot_report(uint64_t ticks)
{
	struct sysinfo info;

	sysinfo(&info);
	printf("boot %llu %llu\n", (unsigned long long)ticks,
	       (unsigned long long)info.freeram * info.mem_unit / 1024);
	fflush(stdout);
	machine_set_up();
}

int main(int argc, char **argv)
{
	uint64_t boot = bench_ticks();

	arguments = argv;
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (getpid() != 1) {
		if (argc == 2 && !strcmp(argv[1], "-l"))
			names_print();
		else
			for (int i = 1; i < argc; i++)
				word_do(argv[i]);
		return 0;
	}
	if (!addresses_fixed())
		boot_report(boot);
	on_fresh_page(args_do);
	printf("end\n");
	fflush(stdout);
	sleep(1);
	reboot(RB_POWER_OFF);
	return 1;
}
