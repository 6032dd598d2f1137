/*
 * Per-CPU variables.  DEFINE_PER_CPU puts the variable in a template section;
 * each CPU gets its own copy, addressed relative to GS.  this_cpu_* single
 * operations are atomic with regard to interrupts of this CPU; a pointer from
 * this_cpu_ptr() stays right while the caller does not sleep.
 * On the host there is one CPU and the variable itself is used.
 */
#pragma once

#include <base/attrs.h>
#include <arch/percpu.h>	/* arch_this_cpu_read/write/add/ptr, arch_per_cpu_ptr, DEFINE_PER_CPU, DECLARE_PER_CPU */

#define this_cpu_read(var)	 arch_this_cpu_read(var)
#define this_cpu_write(var, x)	 arch_this_cpu_write(var, x)
#define this_cpu_add(var, x)	 arch_this_cpu_add(var, x)
#define this_cpu_inc(var)	 arch_this_cpu_add(var, 1)
#define this_cpu_ptr(varp)	 arch_this_cpu_ptr(varp)
#define per_cpu_ptr(varp, cpu)	 arch_per_cpu_ptr(varp, cpu)

u32 cpu_id(void);		/* this CPU, 0 .. cpu_count() - 1 */
u32 cpu_count(void);		/* CPUs that exist (sized at boot) */
bool cpu_is_online(u32 cpu);
void cpu_set_online(u32 cpu);	/* arch, when the CPU is ready to take interrupts */
#define for_each_cpu(c) for (u32 c = 0; c < cpu_count(); c++) if (cpu_is_online(c))
