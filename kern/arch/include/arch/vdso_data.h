/*
 * The page that the kernel shares with the vDSO's code, [vvar].
 *
 * No lock and no sequence count: the clock's scale is written once, before the
 * first program runs, and the wall clock is that plus one word (core/clock.c).
 * Included by the vDSO too: types of the compiler only.
 */
#pragma once

struct vdso_data {
	unsigned long long tsc_base, tsc_mult;	/* ns = (TSC - base) * mult >> 32.  mult 0: ask the kernel */
	unsigned long long real_offset;		/* atomic: wall clock - monotonic clock */
};
