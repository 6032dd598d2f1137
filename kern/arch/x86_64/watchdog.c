/*
 * The PIT's channel 0, which nothing else uses, by way of an I/O APIC entry of delivery mode NMI to all CPUs.
 * 65536 ticks of 1.193182 MHz are 18.2 interrupts per second.
 */
#include <arch/cpu.h>
#include <arch/watchdog.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define PIT_COUNTER0 0x40
#define PIT_CONTROL  0x43
#define PIT_MODE2    0x34		/* channel 0, both bytes, rate generator */

int arch_watchdog_start(void)
{
	u32 gsi = 2;			/* where ISA interrupt 0 is without an override, too */
	int err;

	for (u32 i = 0; i < platform.noverrides; i++)
		if (platform.override[i].isa == 0)
			gsi = platform.override[i].gsi;
	err = ioapic_route_nmi(gsi);
	if (err)
		return err;
	port_out8(PIT_CONTROL, PIT_MODE2);
	port_out8(PIT_COUNTER0, 0);
	port_out8(PIT_COUNTER0, 0);
	return 0;
}
