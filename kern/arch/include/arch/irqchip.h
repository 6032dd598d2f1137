/*
 * Interrupt controllers: what core/irq.c needs of them.  Context: boot or
 * thread; routing calls are serialised by the caller.
 */
#pragma once

#include <base/attrs.h>

#define IRQ_VECTOR_FIRST 0x30u	/* vectors that core hands out */
#define IRQ_VECTOR_LAST	 0xdfu

/* Routes and unmasks a global system interrupt to the boot CPU.  -EINVAL: no controller has that line. */
MUST_USE int arch_irq_route(u32 gsi, u32 vector);
u32 arch_irq_isa_to_gsi(u32 isa);	/* honours source overrides */
void arch_msi_compose(u32 vector, u64 *addr, u32 *data);
