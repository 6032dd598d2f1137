/* Host stand-in for arch/cpu.h: one CPU whose interrupt flag is a variable. */
#pragma once

#include <base/attrs.h>

extern bool host_irq_on;

static inline u64 irq_save(void)
{
	u64 f = host_irq_on ? 0x200 : 0;

	host_irq_on = false;
	return f;
}
static inline void irq_restore(u64 f)
{
	if (f & 0x200)
		host_irq_on = true;
}
static inline void irq_enable(void) { host_irq_on = true; }
static inline void irq_disable(void) { host_irq_on = false; }
static inline bool irq_enabled(void) { return host_irq_on; }
static inline void cpu_relax(void) {}
void cpu_idle_wait(void);
NORETURN void cpu_halt_forever(void);
static inline u64 cpu_cycles(void)
{
	static u64 n;

	return n += 100;
}
