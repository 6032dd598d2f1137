/* CPU numbers and who is online. */
#include <core/percpu.h>

DEFINE_PER_CPU(bool, cpu_online);

u32 cpu_id(void) { return this_cpu_read(cpu_number); }
u32 cpu_count(void) { return percpu_ncpus; }
bool cpu_is_online(u32 cpu) { return READ_ONCE(*per_cpu_ptr(&cpu_online, cpu)); }
void cpu_set_online(u32 cpu) { __atomic_store_n(per_cpu_ptr(&cpu_online, cpu), true, __ATOMIC_RELEASE); }
