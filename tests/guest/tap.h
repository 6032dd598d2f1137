#pragma once
/*
 * What every guest test shares: KTAP output, checks, child processes, bad pointers.
 *
 * A program is a table of cases.  Each case runs in a forked child, in a process
 * group and a scratch directory of its own, under a time limit kept by the
 * parent: a crash or a hang is one failed case, and a case may use every signal
 * and timer itself.  A failed check prints what was expected and what came, and
 * the case goes on; tap_need() and tap_must() leave it.
 *
 * Nothing here sleeps to win a race.  A call that is to be interrupted is
 * interrupted by tap_ticker(), again and again, until the test has seen it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define PAGE		4096ul

/* Addresses no program may use. */
#define BAD_KERNEL	((void *)0xffff800000000000ul)
#define BAD_HOLE	((void *)0x0100000000000000ul)	/* canonical with neither 4 nor 5 levels */
#define BAD_TOP		((void *)0xfffffffffffff000ul)

struct tap_case {
	const char *name;
	void (*fn)(void);
	unsigned limit;					/* seconds; 0 means the default */
};

/* A case named like its function, with spaces for underscores. */
#define CASE(fn)	{ #fn, fn }
#define CASE_SLOW(fn, s) { #fn, fn, s }

#define TAP_MAIN(...)							\
	int main(int argc, char **argv)					\
	{								\
		static const struct tap_case cases[] = { __VA_ARGS__ };	\
		return tap_main(argc, argv, cases, ARRAY_LEN(cases));	\
	}

/* Arguments: words that select cases by name; or -l alone, which lists them. */
int tap_main(int argc, char **argv, const struct tap_case *cases, int n);

void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool tap_check(bool good, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool tap_check_eq(long got, long want, const char *file, int line, const char *what);
bool tap_check_err(long got, int err, int want, const char *file, int line, const char *what);
bool tap_check_str(const char *got, const char *want, const char *file, int line,
		   const char *what);
void tap_leave(void) __attribute__((noreturn));		/* ends the process, with its verdict */
void tap_skip(const char *why) __attribute__((noreturn));

#define tap_ok(c)	tap_check((c), __FILE__, __LINE__, "%s is false", #c)
#define tap_eq(g, w)	tap_check_eq((long)(g), (long)(w), __FILE__, __LINE__, #g)
#define tap_str(g, w)	tap_check_str((g), (w), __FILE__, __LINE__, #g)
#define tap_fail(...)	tap_check(false, __FILE__, __LINE__, __VA_ARGS__)

/* The call must fail with -1 and this errno. */
#define tap_err(call, want) ({						\
	errno = 0;							\
	long tap_r_ = (long)(call);					\
	tap_check_err(tap_r_, errno, (want), __FILE__, __LINE__, #call); })

/* Leave the case unless c holds. */
#define tap_need(c) do {						\
	if (!tap_check((c), __FILE__, __LINE__, "%s is false (errno %d %s)", #c, errno,	\
		       strerror(errno)))				\
		tap_leave();						\
} while (0)

/* The call must not return -1; its value. */
#define tap_must(call) ({						\
	errno = 0;							\
	__typeof__(call) tap_v_ = (call);				\
	if (!tap_check((long)tap_v_ != -1, __FILE__, __LINE__,		\
		       "%s failed: errno %d %s", #call, errno, strerror(errno)))	\
		tap_leave();						\
	tap_v_; })

/*
 * Children.  tap_fork() gives the child a clean verdict; it ends in tap_leave()
 * or _exit().  tap_join() wants that end to be exit status 0.
 */
pid_t tap_fork(void);
int tap_status(pid_t kid);				/* waits; the wait status */
bool tap_join_at(pid_t kid, const char *file, int line);
bool tap_killed_at(pid_t kid, int sig, const char *file, int line);
#define tap_join(kid)		tap_join_at((kid), __FILE__, __LINE__)
#define tap_killed(kid, sig)	tap_killed_at((kid), (sig), __FILE__, __LINE__)

/* Memory.  Each leaves the case when there is none. */
void *tap_pages(int n);					/* private, anonymous, zero */
void *tap_shared(int n);				/* the same, shared over fork */
char *tap_page_edge(int n);				/* n bytes, then an unmapped page */
void *tap_page_none(void);				/* a PROT_NONE page */
void *tap_page_ro(void);				/* a read-only page */

/* The bad pointers every call must refuse with EFAULT: readers and writers. */
#define TAP_BAD_PTRS	5
void tap_bad_ptrs(void *ptr[TAP_BAD_PTRS]);
#define tap_efault_each(var, call) do {					\
	void *tap_bad_[TAP_BAD_PTRS];					\
	tap_bad_ptrs(tap_bad_);						\
	for (int tap_i_ = 0; tap_i_ < TAP_BAD_PTRS; tap_i_++) {		\
		void *var = tap_bad_[tap_i_];				\
		if (!tap_err(call, EFAULT))				\
			tap_note("with pointer %p", var);		\
	}								\
} while (0)

/* SIGALRM every ten milliseconds, handled by fn with these sigaction flags. */
void tap_ticker(void (*fn)(int), int flags);
void tap_ticker_stop(void);
extern volatile sig_atomic_t tap_ticks;			/* counted by tap_tick() */
void tap_tick(int sig);

/* Files, by name, in the case's scratch directory. */
int tap_file(const char *name, const char *text);	/* created, O_RDWR, offset 0 */
long tap_slurp(const char *name, char *buf, size_t size);	/* NUL-terminated; -1 */
void tap_spit(const char *name, const char *text);
bool tap_exists(const char *name);			/* lstat succeeds */

/* A tmpfs with devices and setuid programs, which /tmp may forbid; goes on in it. */
void tap_own_mount(void);

/* Real, effective and saved ids of an ordinary user, no groups.  For children. */
void tap_become(uid_t uid, gid_t gid);

long tap_msec(void);					/* CLOCK_MONOTONIC */
/* Wait until /proc/PID/stat shows this state, twice, a millisecond apart. */
void tap_await_state(pid_t pid, char state);
