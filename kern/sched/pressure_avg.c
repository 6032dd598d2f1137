/* See pressure_avg.h. */
#include "pressure_avg.h"

#define ONE	    2048u		/* fixed point, 11 bits as the load average */
#define PERIODS_MAX 4096ull		/* nothing is left of any average after these */

static const u32 decay[3] = { 1677, 1981, 2034 };	/* 2048 / exp(2 s / 10, 60, 300 s) */

/* Rounds towards percent, so that the average arrives there. */
static u64 average_of(u64 avg, u32 keep, u64 percent)
{
	return (avg * keep + percent * (ONE - keep) + (percent >= avg ? ONE - 1 : 0)) / ONE;
}

void pressure_average(struct pressure_avg *a, u64 total_ns, u64 now)
{
	u64 since = now - a->when, periods = since / PRESSURE_PERIOD_NS;

	if ((i64)since < (i64)PRESSURE_PERIOD_NS)
		return;
	u64 sample = MIN(total_ns - a->told_ns, PRESSURE_PERIOD_NS);

	a->told_ns = total_ns;
	a->when += periods * PRESSURE_PERIOD_NS;
	for (u32 i = 0; i < ARRAY_LEN(decay); i++) {
		a->avg[i] = average_of(a->avg[i], decay[i], sample * 100 * ONE / PRESSURE_PERIOD_NS);
		for (u64 p = 1; p < MIN(periods, PERIODS_MAX) && a->avg[i]; p++)
			a->avg[i] = average_of(a->avg[i], decay[i], 0);
	}
}
