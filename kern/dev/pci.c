/* PCI configuration space (dev/pci.h).  Sections are of PCI Local Bus Specification 3.0. */
#include <arch/io.h>
#include <arch/machine.h>
#include <arch/mmu.h>
#include <base/errno.h>
#include <dev/pci.h>

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA    0xcfcu
#define CONFIG_ENABLE  (1u << 31)

enum { ID = 0x00, COMMAND = 0x04, STATUS = 0x06, HEADER = 0x0e, BAR0 = 0x10, BRIDGE_BUSES = 0x18, CAPABILITIES = 0x34 };
#define COMMAND_MEMORY	  (1u << 1)
#define COMMAND_MASTER	  (1u << 2)
#define COMMAND_NO_INTX	  (1u << 10)
#define STATUS_CAPS	  (1u << 4)
#define HEADER_BRIDGE	  1u
#define HEADER_MANY	  (1u << 7)
#define BARS		  6u
#define BAR_IO		  (1u << 0)
#define BAR_64		  (2u << 1)
#define BAR_TYPE	  (3u << 1)
#define BAR_FLAGS	  0xfu
#define CAP_MSIX	  0x11u
#define MSIX_CONTROL	  2u		/* of the capability */
#define MSIX_TABLE	  4u
#define MSIX_ENABLE	  (1u << 15)
#define MSIX_COUNT	  0x7ffu
#define SLOTS		  32u
#define FUNCTIONS	  8u
#define CAPS_MOST	  48u		/* as many as fit: a list that goes round ends */

static void select(const struct pci_function *f, u32 offset)
{
	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE | (u32)f->bus << 16 | (u32)f->slot << 11 | (u32)f->function << 8 | (offset & 0xfc));
}

u32 pci_read32(const struct pci_function *f, u32 offset)
{
	select(f, offset);
	return port_in32(CONFIG_DATA);
}

u16 pci_read16(const struct pci_function *f, u32 offset) { return (u16)(pci_read32(f, offset) >> (offset & 2) * 8); }
u8 pci_read8(const struct pci_function *f, u32 offset) { return (u8)(pci_read32(f, offset) >> (offset & 3) * 8); }

static void write32(const struct pci_function *f, u32 offset, u32 v)
{
	select(f, offset);
	port_out32(CONFIG_DATA, v);
}

static void write16(const struct pci_function *f, u32 offset, u16 v)
{
	select(f, offset);
	port_out16(CONFIG_DATA + (offset & 2), v);
}

/* 6.7. */
u32 pci_capability(const struct pci_function *f, u8 id, u32 after)
{
	u32 at = pci_read8(f, after ? after + 1 : CAPABILITIES) & 0xfc;

	if (!(pci_read16(f, STATUS) & STATUS_CAPS))
		return 0;
	for (u32 i = 0; i < CAPS_MOST && at >= 0x40; i++) {
		if (pci_read8(f, at) == id)
			return at;
		at = pci_read8(f, at + 1) & 0xfc;
	}
	return 0;
}

/* 6.2.5.1: the size is what of the register does not take ones; the function must not answer meanwhile. */
static u64 bar_size(const struct pci_function *f, u32 reg, bool wide)
{
	u32 low = pci_read32(f, reg), high = wide ? pci_read32(f, reg + 4) : 0;
	u16 command = pci_read16(f, COMMAND);
	u64 mask;

	write16(f, COMMAND, command & ~COMMAND_MEMORY);
	write32(f, reg, ~0u);
	mask = (pci_read32(f, reg) & ~BAR_FLAGS) | ~0ull << 32;
	write32(f, reg, low);
	if (wide) {
		write32(f, reg + 4, ~0u);
		mask = (mask & ~0u) | (u64)pci_read32(f, reg + 4) << 32;
		write32(f, reg + 4, high);
	}
	write16(f, COMMAND, command);
	return -mask;
}

int pci_bar(const struct pci_function *f, u32 i, struct pci_bar *out)
{
	u32 reg = BAR0 + 4 * i, low = i < BARS ? pci_read32(f, reg) : BAR_IO;
	bool wide = (low & BAR_TYPE) == BAR_64;

	if (low & BAR_IO || (wide && i + 1 == BARS))
		return -ENODEV;
	out->base = (low & ~BAR_FLAGS) | (wide ? (u64)pci_read32(f, reg + 4) << 32 : 0);
	out->size = bar_size(f, reg, wide);
	return out->base && out->size && out->base + out->size > out->base ? 0 : -ENODEV;
}

void pci_enable(const struct pci_function *f)
{
	write16(f, COMMAND, pci_read16(f, COMMAND) | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
}

/* 6.8.2. */
int pci_request_msix(const struct pci_function *f, irq_handler_t fn, void *arg, const char *name)
{
	u32 cap = pci_capability(f, CAP_MSIX, 0), where = cap ? pci_read32(f, cap + MSIX_TABLE) : 0, data;
	struct pci_bar bar;
	volatile u32 *entry;
	u64 addr;
	int err;

	if (!cap || pci_bar(f, where & 7, &bar) || (where & ~7u) + 16ull > bar.size)
		return -ENODEV;
	entry = mmu_map_device(PADDR(bar.base + (where & ~7u)), 16);
	if (!entry)
		return -ENOMEM;
	err = irq_request_msi(fn, arg, name, &addr, &data);
	if (err)
		return err;
	entry[0] = (u32)addr;
	entry[1] = (u32)(addr >> 32);
	entry[2] = data;
	entry[3] = 0;			/* not masked */
	write16(f, cap + MSIX_CONTROL, (pci_read16(f, cap + MSIX_CONTROL) & MSIX_COUNT) | MSIX_ENABLE);
	return 0;
}

static void scan_bus(u32 bus, void (*fn)(const struct pci_function *f));

static bool scan_function(struct pci_function *f, void (*fn)(const struct pci_function *f))
{
	u32 id = pci_read32(f, ID);
	u8 header;

	if ((id & 0xffff) == 0xffff)
		return false;
	f->vendor = (u16)id;
	f->device = (u16)(id >> 16);
	header = pci_read8(f, HEADER);
	if ((header & ~HEADER_MANY) == HEADER_BRIDGE) {
		u32 behind = pci_read32(f, BRIDGE_BUSES) >> 8 & 0xff;

		if (behind > f->bus)	/* numbers grow downwards: no loops */
			scan_bus(behind, fn);
	} else {
		fn(f);
	}
	return header & HEADER_MANY;
}

static void scan_bus(u32 bus, void (*fn)(const struct pci_function *f))
{
	for (u32 slot = 0; slot < SLOTS; slot++) {
		struct pci_function f = { .bus = (u8)bus, .slot = (u8)slot };

		for (bool many = scan_function(&f, fn); many && ++f.function < FUNCTIONS;)
			DISCARD(scan_function(&f, fn));		/* only the first says how many there are */
	}
}

void pci_scan(void (*fn)(const struct pci_function *f))
{
	if (arch_has_pci())
		scan_bus(0, fn);
}
