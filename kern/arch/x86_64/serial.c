/* The first serial port, polled: panic reports and the very first messages.  Absent ports are not waited for. */
#include <arch/cpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define COM1	  0x3f8
#define PUTC_SPINS	(1u << 22)
#define LSR_EMPTY 0x20

static bool present;

INIT_TEXT void serial_early_init(void)
{
	port_out8(COM1 + 7, 0x5a);		/* scratch register */
	present = port_in8(COM1 + 7) == 0x5a;
	if (!present)
		return;
	port_out8(COM1 + 1, 0);
	port_out8(COM1 + 3, 0x80);
	port_out8(COM1 + 0, 1);			/* 115200 */
	port_out8(COM1 + 1, 0);
	port_out8(COM1 + 3, 3);			/* 8n1 */
	port_out8(COM1 + 2, 7);
	port_out8(COM1 + 4, 0xb);
}

/* A receiver that is slow is waited for, or bytes of a report are lost; one that is dead costs that time once. */
void arch_early_putc(char c)
{
	static u32 patience = PUTC_SPINS;

	if (!present)
		return;
	while (!(port_in8(COM1 + 5) & LSR_EMPTY) && patience) {
		patience--;
		cpu_relax();
	}
	if (patience)
		patience = PUTC_SPINS;
	port_out8(COM1, c);
}
