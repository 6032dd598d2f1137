/* What the boot code found, and the machine's own controls. */
#pragma once

#include <base/attrs.h>

#define BOOT_MAX_REGIONS 128

struct bootinfo {
	struct boot_region { u64 start, end; } ram[BOOT_MAX_REGIONS];	/* usable RAM, page-aligned, sorted, disjoint; kernel and
									   initrd are inside and listed in reserved */
	u32 nram;
	struct boot_region reserved[BOOT_MAX_REGIONS];	/* in no order */
	u32 nreserved;
	u64 initrd_start, initrd_size;		/* physical; 0: none */
	const char *cmdline;			/* any length, in memory that stays */
	u64 rsdp;				/* physical, 0: search */
	const char *protocol;			/* "pvh", "linux64", "bzimage" */
};

/* Early memory: page-aligned, zeroed physical pieces taken from bi->ram before mem is up (added to reserved).
 * Never fails: panic_boot() when there is none. */
paddr_t boot_alloc(struct bootinfo *bi, u64 size);

/* Called by the boot code before kernel_main(), not by it: CPU features, IDT, GDT, direct map of all RAM, CPU count
 * (ACPI or MP tables), every CPU's per-CPU area and stacks. */
void arch_init_early(struct bootinfo *bi);
void arch_init_late(void);			/* kernel_main, after mem: APICs, interrupt routing, clock calibration */
void arch_init_secondary(u32 cpu);		/* first thing in kernel_main_secondary() */
/* After arch_smp_start(): unmaps init text and data and hands their frames [start, end) over. */
void arch_init_memory_release(void (*release)(u64 start, u64 end));
void arch_early_putc(char c);			/* polled serial: panic and very early boot only */
void arch_timer_program(u64 when_ns);		/* next local timer interrupt (monotonic ns; ~0: none), at the latest */
u64 arch_clock_ns(void);			/* monotonic since boot */
u64 arch_rtc_seconds(void);			/* wall clock at boot, seconds since 1970 */
u64 arch_boot_wall_ns(void);			/* the same in nanoseconds, as exactly as the machine knows */
bool arch_hw_random(u64 *out);			/* RDSEED/RDRAND: slow, for seeding only */
NORETURN void machine_poweroff(void);
NORETURN void machine_reboot(void);
/* /proc/cpuinfo text of one CPU: bytes written (at most size - 1). */
u32 arch_cpuinfo(u32 cpu, char *buf, u32 size);
u64 arch_hwcap(void);				/* AT_HWCAP: CPUID 1 EDX */
u64 arch_hwcap2(void);				/* AT_HWCAP2: bit 1: FSGSBASE usable */
u32 arch_tsc_khz(void);
bool arch_has_pci(void);			/* false on microvm: probe nothing */
/* i-th virtio-mmio device from ACPI or virtio_mmio.device=: 0, or -ENOENT past the end. */
MUST_USE int arch_virtio_mmio(u32 i, u64 *base, u64 *size, u32 *gsi);
