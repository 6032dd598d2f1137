/*
 * The benchmark program: one static Linux binary that times rows and curves and prints figures.
 *
 * A row is a name, a function that does its work n times, and optional set-up and clean-up that
 * are not timed.  The unit of time is the time-stamp counter, which under QEMU's -icount shift=0
 * counts guest instructions.  Everything here is single-threaded unless a row says otherwise.
 */
#pragma once

#include <stdint.h>

struct row {
	const char	*name;
	void		(*run)(unsigned long n);
	unsigned long	n;		/* iterations where instructions are counted */
	void		(*begin)(void);	/* may be NULL */
	void		(*end)(void);	/* may be NULL */
};

/* A growth curve: the row's work at each x.  setup(x) and done(x) are not timed. */
struct curve {
	const char	*name;
	void		(*setup)(unsigned long x);
	void		(*run)(unsigned long n);
	void		(*done)(unsigned long x);
	unsigned long	n;
	unsigned long	xs[10];		/* ends with 0 */
	unsigned long	xs_default;	/* how many of them the default set measures; 0: none */
};

/* Tables end with a row without a name. */
extern const struct row rows_call[], rows_file[], rows_ipc[], rows_memory[], rows_process[],
	rows_busybox[];
extern const struct curve curves_process[], curves_file[];

/* Ends the row with a reason; in a child of the row, ends the child with status 99. */
_Noreturn void bench_fail(const char *file, int line, const char *what);
#define CHECK(x) ((x) ? (void)0 : bench_fail(__FILE__, __LINE__, #x))

/* What CHECK in this process means from here on: called by a child right after fork. */
void bench_in_child(void);

/* Runs argv to its end; fails unless it exits with status 0. */
void bench_spawn(char *const argv[]);
void bench_shell(const char *line);
/* Waits for the child; fails unless it exits with status 0. */
void bench_reap(int pid);

/* Writes a file of `size` bytes: text lines if line is not NULL, else zeros. */
void bench_file(const char *path, unsigned long size, const char *line);

static inline uint64_t bench_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}
