/*
 * Clocks in user mode.  Runs in programs, on their stacks: no kernel header but
 * the data page's, no data of its own, no relocation.
 *
 * The arithmetic is arch_clock_ns()'s, so that a program that mixes calls and
 * system calls never sees time go back.  LFENCE keeps the counter from being
 * read before what comes first in the program.
 */
#include <arch/vdso_data.h>

typedef unsigned long long u64;

#define EXPORT	    __attribute__((visibility("default")))
#define NSEC	    1000000000ull
#define COARSE_NS   4000000	/* as sys_clock_getres() */
#define SEL_CPU	    0x7b	/* GDT entry whose limit is the CPU's number, node << 12 */
#define NR_GETTIMEOFDAY	 96
#define NR_TIME		 201
#define NR_CLOCK_GETTIME 228
#define NR_CLOCK_GETRES	 229

/* Clock numbers, as bits of a set. */
#define REAL_CLOCKS   (1u << 0 | 1u << 5 | 1u << 11)		/* REALTIME, its coarse form, TAI */
#define MONO_CLOCKS   (1u << 1 | 1u << 4 | 1u << 6 | 1u << 7)	/* MONOTONIC, RAW, coarse, BOOTTIME */
#define COARSE_CLOCKS (1u << 5 | 1u << 6)

struct timespec { long sec, nsec; };
struct timeval { long sec, usec; };

extern const struct vdso_data vvar __attribute__((visibility("hidden")));

static long syscall2(long nr, long a, long b)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

static inline __attribute__((always_inline)) u64 mono_ns(void)
{
	unsigned lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) :: "memory");
	return (u64)((unsigned __int128)((lo | (u64)hi << 32) - vvar.tsc_base) * vvar.tsc_mult >> 32);
}

static inline __attribute__((always_inline)) u64 real_ns(void)
{
	return mono_ns() + *(const volatile unsigned long long *)&vvar.real_offset;
}

EXPORT int __vdso_clock_gettime(int clock, struct timespec *ts)
{
	unsigned set = (unsigned)clock < 32 ? 1u << clock : 0;
	u64 ns;

	if (!vvar.tsc_mult || !(set & (REAL_CLOCKS | MONO_CLOCKS)))
		return (int)syscall2(NR_CLOCK_GETTIME, clock, (long)ts);
	ns = set & MONO_CLOCKS ? mono_ns() : real_ns();
	ts->sec = (long)(ns / NSEC);
	ts->nsec = (long)(ns % NSEC);
	return 0;
}

EXPORT int __vdso_gettimeofday(struct timeval *tv, void *tz)
{
	u64 ns;

	if (!vvar.tsc_mult || tz)
		return (int)syscall2(NR_GETTIMEOFDAY, (long)tv, (long)tz);
	if (tv) {
		ns = real_ns();
		tv->sec = (long)(ns / NSEC);
		tv->usec = (long)(ns % NSEC / 1000);
	}
	return 0;
}

EXPORT long __vdso_time(long *out)
{
	long now;

	if (!vvar.tsc_mult)
		return syscall2(NR_TIME, (long)out, 0);
	now = (long)(real_ns() / NSEC);
	if (out)
		*out = now;
	return now;
}

EXPORT int __vdso_clock_getres(int clock, struct timespec *ts)
{
	unsigned set = (unsigned)clock < 32 ? 1u << clock : 0;

	if (!(set & (REAL_CLOCKS | MONO_CLOCKS)))
		return (int)syscall2(NR_CLOCK_GETRES, clock, (long)ts);
	if (ts)
		*ts = (struct timespec){ 0, set & COARSE_CLOCKS ? COARSE_NS : 1 };
	return 0;
}

EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	unsigned limit;

	(void)unused;
	__asm__ volatile("lsl %1, %0" : "=r"(limit) : "r"(SEL_CPU));
	if (cpu)
		*cpu = limit & 0xfff;
	if (node)
		*node = limit >> 12;
	return 0;
}

/* The names without prefix are weak, as Linux has them. */
#define WEAK(ret, name, ...) ret name(__VA_ARGS__) __attribute__((weak, alias("__vdso_" #name), visibility("default")))
WEAK(int, clock_gettime, int, struct timespec *);
WEAK(int, gettimeofday, struct timeval *, void *);
WEAK(long, time, long *);
WEAK(int, clock_getres, int, struct timespec *);
WEAK(long, getcpu, unsigned *, unsigned *, void *);
