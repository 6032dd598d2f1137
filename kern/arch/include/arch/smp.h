/* Other CPUs: start them, interrupt them.  Context: any unless noted. */
#pragma once

#include <base/attrs.h>

u32 arch_smp_start(void);			/* boots secondaries (each enters kernel_main_secondary); returns how many run */
void arch_ipi_reschedule(u32 cpu);
void arch_ipi_call(u32 cpu);			/* target runs smp_ipi_call() */
void arch_stop_others(void);			/* panic: NMI or IPI, never waits long */
/* Flushes [start, end) (kernel half) on every CPU and waits.  Interrupts on. */
void smp_flush_kernel(u64 start, u64 end);
