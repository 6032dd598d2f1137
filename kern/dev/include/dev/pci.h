/*
 * PCI functions, as far as drivers of virtual devices need them: PCI Local Bus
 * Specification 3.0, chapter 6.  Firmware or the monitor has given bus numbers and
 * addresses; none are assigned here.  Configuration space is reached through
 * ports 0xcf8 and 0xcfc.  Context: the boot thread; nothing is locked.
 */
#pragma once

#include <core/irq.h>

struct pci_function {
	u8 bus, slot, function;
	u16 vendor, device;
};

struct pci_bar { u64 base, size; };

#define PCI_SUBSYSTEM_ID 0x2eu
#define PCI_CAP_VENDOR	 0x09u

u32 pci_read32(const struct pci_function *f, u32 offset);	/* offset: a multiple of 4 */
u16 pci_read16(const struct pci_function *f, u32 offset);
u8 pci_read8(const struct pci_function *f, u32 offset);

/* Calls fn for every function of every bus; none on machines without PCI. */
void pci_scan(void (*fn)(const struct pci_function *f));
/* The first capability with this id behind offset `after` (0: from the start).  0: no more. */
u32 pci_capability(const struct pci_function *f, u8 id, u32 after);
/* Memory behind base address register i.  -ENODEV: none, or not set up. */
MUST_USE int pci_bar(const struct pci_function *f, u32 i, struct pci_bar *out);
/* Lets the function answer in memory, read and write RAM, and not use its interrupt line. */
void pci_enable(const struct pci_function *f);
/* MSI-X with one vector, number 0 of the function's table.  -ENODEV: it has no MSI-X; -ENOMEM. */
MUST_USE int pci_request_msix(const struct pci_function *f, irq_handler_t fn, void *arg, const char *name);
