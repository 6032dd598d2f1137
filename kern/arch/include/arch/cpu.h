/* The processor's small operations.  Inline on x86-64; tests/host has its own. */
#pragma once

#include <base/attrs.h>

static inline u64 irq_save(void)
{
	u64 f;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(f) :: "memory");
	return f;
}
static inline void irq_restore(u64 f)
{
	if (f & 0x200)
		__asm__ volatile("sti" ::: "memory");
}
static inline void irq_enable(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void irq_disable(void) { __asm__ volatile("cli" ::: "memory"); }
static inline bool irq_enabled(void)
{
	u64 f;

	__asm__ volatile("pushfq; popq %0" : "=r"(f));
	return f & 0x200;
}
static inline u64 cpu_flags(void)
{
	u64 f;

	__asm__ volatile("pushfq; popq %0" : "=r"(f));
	return f;
}
static inline void cpu_relax(void) { __asm__ volatile("pause" ::: "memory"); }
/* In turn n of a waiting loop.  PAUSE leaves the emulated CPU's loop, and the guest, under some hypervisors: not too often. */
static inline void cpu_spin(u32 n)
{
	if (!(n & 63))
		cpu_relax();
	else
		__asm__ volatile("" ::: "memory");
}
/* Enables interrupts and waits for one, with no window in between. */
static inline void cpu_idle_wait(void) { __asm__ volatile("sti; hlt" ::: "memory"); }
NORETURN void cpu_halt_forever(void);
static inline u64 cpu_cycles(void)
{
	u64 lo, hi;				/* the upper halves are zero */

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | hi << 32;
}
/* *p += n, returns the old value; atomic towards interrupts of this CPU, not towards other CPUs. */
static inline u64 cpu_local_fetch_add(u64 *p, u64 n)
{
	__asm__ volatile("xaddq %0, %1" : "+r"(n), "+m"(*p) :: "memory");
	return n;
}
