/*
 * Time: nanoseconds since boot (monotonic) and since 1970 (real), from the
 * best clock the machine has (kvmclock, calibrated TSC, HPET, PIT).
 * Context: any.
 */
#pragma once

#include <base/attrs.h>

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull

u64 clock_mono_ns(void);
u64 clock_real_ns(void);
void clock_set_real(u64 ns);		/* settimeofday, clock_settime: moves the offset */
u64 clock_boot_real_ns(void);		/* wall time of boot (btime) */
struct vdso_data;
void clock_vdso_attach(struct vdso_data *d);	/* before the first program: keeps the clock's words in d from now on */
