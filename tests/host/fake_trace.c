/* No tracing on the host. */
#include <core/trace.h>

u32 trace_mask;
void trace_record(u32 event, u64 a0, u64 a1) {}
