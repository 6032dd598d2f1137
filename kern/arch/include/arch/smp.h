/* Other CPUs: start them, interrupt them.  Context: any unless noted. */
#pragma once

#include <arch/cpu.h>
#include <base/attrs.h>

u32 arch_smp_start(void);			/* boots secondaries (each enters kernel_main_secondary); returns how many run */
void arch_ipi_reschedule(u32 cpu);
void arch_ipi_call(u32 cpu);			/* target runs smp_ipi_call() */
void arch_stop_others(void);			/* panic: NMI or IPI, never waits long */
/* Flushes [start, end) (kernel half) on every CPU and waits.  Interrupts on. */
void smp_flush_kernel(u64 start, u64 end);

/*
 * Waiting for another CPU to do something short.  Spins first; then, as the
 * other may be a virtual CPU that is not running, halts until smp_wait_wake().
 * The side that makes cond true does so with full order before the wake.
 * Interrupts on; no spinlock held that the other CPU may want.
 */
#define SMP_WAIT_SPINS 2048u
#define SMP_WAIT(cond)						\
	do {							\
		for (u32 sw_n_ = 0; !(cond); sw_n_++) {		\
			if (sw_n_ < SMP_WAIT_SPINS) {		\
				cpu_spin(sw_n_);		\
				continue;			\
			}					\
			smp_wait_prepare();			\
			smp_wait_halt(cond);			\
		}						\
	} while (0)
void smp_wait_prepare(void);		/* interrupts off, announces the halt */
void smp_wait_halt(bool done);		/* halts unless done; interrupts on again */
void smp_wait_wake(u32 cpu);		/* cpu may be halted in SMP_WAIT.  Context: any */
