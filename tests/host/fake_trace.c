/* No tracing on the host. */
#include <core/stat.h>

DEFINE_PER_CPU(u64, stat_counts)[STATS];
u32 trace_mask;
void trace_record(u32 event, u64 a0, u64 a1) {}
