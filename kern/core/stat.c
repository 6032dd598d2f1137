/* Event counters (core/stat.h). */
#include <core/stat.h>

DEFINE_PER_CPU(u64, stat_counts)[STATS];

u64 stat_sum(enum stat which)
{
	u64 sum = 0;

	for (u32 c = 0; c < cpu_count(); c++)
		sum += stat_of_cpu(which, c);
	return sum;
}
