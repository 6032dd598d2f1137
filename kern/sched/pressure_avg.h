/* The decaying averages of pressure: arithmetic only.  Compiles on the host. */
#pragma once

#include <core/clock.h>

#define PRESSURE_PERIOD_NS (2 * NSEC_PER_SEC)

/* Zeroed, with when set, is one that has seen nothing yet. */
struct pressure_avg {
	u64 when;		/* end of the last period that is in */
	u64 told_ns;		/* the total as it was then */
	u64 avg[3];		/* over 10, 60, 300 s: percent, times 2048 */
};

/*
 * Takes in the periods that ended since.  Who sees pressure calls this each period; so what came after the last call
 * belongs to the first of them, and in the others there was none.
 */
void pressure_average(struct pressure_avg *a, u64 total_ns, u64 now);
