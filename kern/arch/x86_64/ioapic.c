/* I/O APICs: device lines to vectors of the boot CPU.  The 8259s are silenced.  Source: 82093AA data sheet. */
#include <arch/cpu.h>
#include <arch/irqchip.h>
#include <base/errno.h>
#include <core/log.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

enum { REG_VERSION = 1, REG_TABLE = 0x10 };
#define ENTRY_MASKED (1u << 16)
#define ENTRY_LEVEL  (1u << 15)
#define ENTRY_LOW    (1u << 13)
#define MODE_NMI     (4u << 8)
#define ALL_CPUS     0xffu		/* physical destination */

static struct {
	volatile u32 *mmio;
	u32 gsi_base, pins;
} chips[MAX_IOAPICS];
static u32 nchips;

static u32 chip_read(u32 i, u32 reg)
{
	chips[i].mmio[0] = reg;
	return chips[i].mmio[4];
}

static void chip_write(u32 i, u32 reg, u32 v)
{
	chips[i].mmio[0] = reg;
	chips[i].mmio[4] = v;
}

INIT_TEXT void ioapic_init(void)
{
	for (u32 p = 0; p < platform.nioapics; p++) {
		u32 i = nchips, version;

		chips[i].mmio = mmu_map_device(PADDR(platform.ioapic[p].base), 0x20);
		if (!chips[i].mmio)
			continue;
		chips[i].gsi_base = platform.ioapic[p].gsi_base;
		version = chip_read(i, REG_VERSION);
		if (version == ~0u || !version)
			continue;
		chips[i].pins = (version >> 16 & 0xff) + 1;
		for (u32 pin = 0; pin < chips[i].pins; pin++)
			chip_write(i, REG_TABLE + 2 * pin, ENTRY_MASKED);
		nchips++;
	}
	if (!nchips)
		log_warn("no I/O APIC: devices cannot interrupt");
}

int arch_irq_route(u32 gsi, u32 vector)
{
	for (u32 i = 0; i < nchips; i++) {
		u32 pin = gsi - chips[i].gsi_base;
		bool level, low;

		if (gsi < chips[i].gsi_base || pin >= chips[i].pins)
			continue;
		gsi_mode(gsi, &level, &low);
		chip_write(i, REG_TABLE + 2 * pin + 1, platform.apic_ids[0] << 24);
		chip_write(i, REG_TABLE + 2 * pin, vector | (level ? ENTRY_LEVEL : 0) | (low ? ENTRY_LOW : 0));
		return 0;
	}
	return -EINVAL;
}

/* Edges of gsi raise an NMI on every CPU. */
int ioapic_route_nmi(u32 gsi)
{
	for (u32 i = 0; i < nchips; i++) {
		u32 pin = gsi - chips[i].gsi_base;

		if (gsi < chips[i].gsi_base || pin >= chips[i].pins)
			continue;
		chip_write(i, REG_TABLE + 2 * pin + 1, ALL_CPUS << 24);
		chip_write(i, REG_TABLE + 2 * pin, MODE_NMI);
		return 0;
	}
	return -ENODEV;
}

INIT_TEXT void pic_mask_all(void)
{
	port_out8(0x21, 0xff);
	port_out8(0xa1, 0xff);
}
