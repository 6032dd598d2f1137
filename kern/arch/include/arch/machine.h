/* What the boot code found, and the machine's own controls. */
#pragma once

#include <base/attrs.h>

#define BOOT_MAX_REGIONS 128

struct bootinfo {
	struct boot_region { u64 start, end; } ram[BOOT_MAX_REGIONS];	/* usable RAM, page-aligned, sorted, disjoint; kernel and
									   initrd are inside and listed in reserved */
	u32 nram;
	struct boot_region reserved[BOOT_MAX_REGIONS];
	u32 nreserved;
	u64 initrd_start, initrd_size;		/* physical; 0: none */
	const char *cmdline;			/* any length, in memory that stays */
	u64 rsdp;				/* physical, 0: search */
	const char *protocol;			/* "pvh", "linux64", "bzimage" */
};

/* Early memory: page-aligned physical pieces taken from bi->ram before mem is up (added to reserved). */
paddr_t boot_alloc(struct bootinfo *bi, u64 size);

void arch_init_early(struct bootinfo *bi);	/* CPU features, IDT, GDT, direct map of all RAM, per-CPU area of the boot CPU */
void arch_init_late(void);			/* after mem: ACPI, APICs, clock calibration, IRQ routing */
void arch_init_secondary(u32 cpu);
void arch_early_putc(char c);			/* polled serial: panic and very early boot only */
void arch_timer_program(u64 when_ns);		/* next local timer interrupt (monotonic ns; ~0: none) */
u64 arch_clock_ns(void);			/* monotonic since boot */
u64 arch_rtc_seconds(void);			/* wall clock at boot, seconds since 1970 */
bool arch_hw_random(u64 *out);			/* RDSEED/RDRAND: slow, for seeding only */
NORETURN void machine_poweroff(void);
NORETURN void machine_reboot(void);
/* /proc/cpuinfo text of one CPU: bytes written (at most size - 1). */
u32 arch_cpuinfo(u32 cpu, char *buf, u32 size);
u64 arch_hwcap(void);				/* AT_HWCAP: CPUID 1 EDX */
u32 arch_tsc_khz(void);
bool arch_has_pci(void);			/* false on microvm: probe nothing */
