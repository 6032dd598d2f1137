/*
 * Device interrupts.  A handler runs with interrupts off on the CPU that took
 * the interrupt, must not sleep, returns true if the device was its own
 * (level lines may be shared).  Lines are ACPI global system interrupts.
 */
#pragma once

#include <base/attrs.h>

typedef bool (*irq_handler_t)(void *arg);

/* Registers on a global system interrupt; routes and unmasks it.  0, -ENOMEM, -EINVAL. */
MUST_USE int irq_request(u32 gsi, irq_handler_t fn, void *arg, const char *name);
/* An ISA interrupt number, honouring the MADT's source overrides. */
MUST_USE int irq_request_isa(u32 isa, irq_handler_t fn, void *arg, const char *name);
/* Message-signalled: *addr and *data are for the device's MSI registers. */
MUST_USE int irq_request_msi(irq_handler_t fn, void *arg, const char *name, u64 *addr, u32 *data);
/* For /proc/interrupts. */
struct irq_description {
	u32 number;		/* global system interrupt, or vector of a message */
	bool msi;
	const char *name;	/* of its first handler; "" */
};
/* Line i; false past the end. */
bool irq_describe(u32 i, struct irq_description *d);
u64 irq_count(u32 i, u32 cpu);		/* of line i on a CPU */
bool in_interrupt(void);
void irq_dispatch(u32 vector);		/* arch: a device vector fired */
