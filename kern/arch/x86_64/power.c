/* Off and restart: what ACPI offers, then what PCs have always had. */
#include <arch/cpu.h>
#include <core/log.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define SLP_EN_PM1  (1u << 13)
#define SLP_EN_CTL  (1u << 5)

static void gas_write(const struct acpi_gas *g, u8 v)
{
	volatile u8 *p;

	if (!g->addr)
		return;
	if (g->space == 1) {
		port_out8((u16)g->addr, v);
	} else if (g->space == 0) {
		p = mmu_map_device(PADDR(g->addr), 1);
		if (p)
			*p = v;
	}
}

static void acpi_off(void)
{
	u32 type = platform.s5_type < 0 ? 0 : platform.s5_type;

	if (platform.hw_reduced) {
		gas_write(&platform.sleep_ctl, (u8)((platform.s5_type < 0 ? 5 : type) << 2 | SLP_EN_CTL));
		return;
	}
	if (!platform.pm1a_cnt)
		return;
	if (platform.smi_cmd && platform.acpi_enable && !(port_in16(platform.pm1a_cnt) & 1)) {
		port_out8(platform.smi_cmd, platform.acpi_enable);
		for (u32 i = 0; i < 1000 && !(port_in16(platform.pm1a_cnt) & 1); i++)
			delay_us(10);
	}
	port_out16(platform.pm1a_cnt, type << 10 | SLP_EN_PM1);
	if (platform.pm1b_cnt)
		port_out16(platform.pm1b_cnt, type << 10 | SLP_EN_PM1);
}

void machine_poweroff(void)
{
	irq_disable();
	acpi_off();
	/* No S5: under a VMM started with -no-reboot a reset ends the machine as well. */
	delay_us(20000);
	machine_reboot();
}

static NORETURN void triple_fault(void)
{
	struct { u16 limit; u64 base; } PACKED none = { 0, 0 };

	__asm__ volatile("lidt %0; int3" :: "m"(none));
	cpu_halt_forever();
}

void machine_reboot(void)
{
	irq_disable();
	if (platform.has_reset)
		gas_write(&platform.reset_reg, platform.reset_value);
	delay_us(1000);
	for (u32 i = 0; i < 100 && port_in8(0x64) & 2 && port_in8(0x64) != 0xff; i++)
		delay_us(10);
	port_out8(0x64, 0xfe);
	delay_us(1000);
	port_out8(0xcf9, 0x02);
	port_out8(0xcf9, 0x06);
	delay_us(1000);
	triple_fault();
}
