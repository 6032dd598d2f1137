/*
 * What the files of kern/arch/x86_64 share.  Private to arch.
 */
#pragma once

#include <arch/context.h>
#include <arch/machine.h>
#include <arch/mmu.h>
#include <arch/percpu.h>
#include <arch/trap.h>
#include <base/attrs.h>

/* First thing in every CPU's per-CPU area: assembly and the compiler know the offsets (x86.h). */
struct percpu_head {
	u64 self;		/* base of this area */
	u64 kernel_stack;	/* where entries from user mode start: top of the running thread's stack */
	u64 scratch;		/* user rsp while the entry code changes stacks */
	u64 pad[2];
	u64 canary;		/* 0x28: -fstack-protector; the same on all CPUs, threads migrate */
};
extern struct percpu_head percpu_head;
DECLARE_PER_CPU(u32, irq_depth);
DECLARE_PER_CPU(struct arch_thread *, arch_current);

/* CPU features: const after cpu_detect(). */
struct cpu_features {
	bool nx, pge, pcid, invpcid, smep, smap, umip, fsgsbase, xsave, xsaveopt, x2apic, tsc_deadline;
	bool page_1g, rdtscp, rdrand, rdseed, hypervisor, tsc_invariant, kvm, tcg, mce;
	u32 phys_bits, max_leaf, max_ext;
	u32 hv_leaf;		/* highest hypervisor leaf, 0: none */
	u32 kvm_leaf;		/* base of KVM's leaves, 0: not KVM */
};
extern struct cpu_features cpu_has;

void cpu_detect(void);			/* fills cpu_has; boot CPU, once */
void cpu_setup(void);			/* control registers and syscall MSRs of this CPU */
void cpu_patch_smap(void);		/* turns NOPs into STAC/CLAC; text still writable */

void desc_init_cpu(u32 cpu);		/* GDT, TSS, IDT of this CPU */
void desc_set_ist(u32 cpu, const u64 tops[4]);	/* double fault, NMI, machine check, debug */
void desc_set_rsp0(u64 top);

/* Per-CPU stacks with guard pages in their own piece of the address space. */
#define CPU_AREA_BASE 0xfffffe0000000000ull
#define CPU_AREA_SIZE 0x10000ull	/* per CPU: see cpu_area.c */
void cpu_area_init(struct bootinfo *bi, u32 cpu);
u64 cpu_area_stack_top(u32 cpu);	/* idle/boot stack */
const char *cpu_area_guard_name(u64 va);	/* which stack overflowed; NULL: not a guard page there */

void percpu_init_areas(struct bootinfo *bi, u32 ncpus);
extern u32 percpu_ncpus;

void fpu_init_boot(void);
void fpu_init_cpu(void);
void fpu_switch_out(struct arch_thread *at);
void fpu_switch_in(struct arch_thread *at);
MUST_USE int fpu_area_alloc(struct arch_thread *at);	/* holds what the running thread's registers do */
void fpu_area_free(struct arch_thread *at);
void fpu_reset_current(struct arch_thread *at);

void debug_switch(const struct arch_thread *next);	/* interrupts off */
void debug_forget(struct arch_thread *at);		/* of the running thread */
u64 debug_take_status(void);				/* DR6 with its reserved bits clear; reset */
u64 debug_user_trap(struct arch_thread *at, struct trapframe *tf);	/* enum debug_cause; interrupts off */

void mmu_build(struct bootinfo *bi);	/* final kernel tables: direct map, image; switches to them */
void mmu_init_cpu(void);
extern u64 kernel_root_phys;
/* Readable pointer to firmware tables, mapping them when they lie outside RAM.  NULL: address makes no sense. */
const void *mmu_map_firmware(u64 pa, u64 len);
void mmu_flush_kernel_local(void);

void region_add(struct boot_region *r, u32 *n, u64 start, u64 end);
void region_remove(struct boot_region *r, u32 *n, u64 start, u64 end);
bool region_covers(const struct boot_region *r, u32 n, u64 start, u64 end);
void reserved_add(struct bootinfo *bi, u64 start, u64 end);
u64 boot_find_low_page(struct bootinfo *bi);	/* below 1 MiB, reserved; 0: none */

/* Firmware description: const after acpi_init(). */
struct cpu_slot { u32 apic_id; };
#define MAX_IOAPICS 8
#define MAX_OVERRIDES 16
struct platform {
	u32 ncpus;
	u32 *apic_ids;			/* by CPU number; [0] is the boot CPU */
	u64 lapic_base;
	u32 nioapics;
	struct { u64 base; u32 gsi_base; } ioapic[MAX_IOAPICS];
	u32 noverrides;
	struct { u8 isa; u32 gsi; bool level, low; } override[MAX_OVERRIDES];
	bool has_acpi, has_pci, hw_reduced;
	u32 pm1a_cnt, pm1b_cnt, pm_timer;	/* ports, 0: none */
	bool pm_timer_32;
	u32 smi_cmd;
	u8 acpi_enable;
	struct acpi_gas { u8 space, width, offset, access; u64 addr; } PACKED reset_reg, sleep_ctl;
	u8 reset_value;
	bool has_reset;
	i32 s5_type;			/* -1: no _S5_ */
	u64 hpet_base;
};
extern struct platform platform;
void platform_init(struct bootinfo *bi);	/* ACPI, else MP table, else one CPU */
void acpi_parse(u64 rsdp);
void acpi_scan_aml(const u8 *aml, u32 len);	/* S5, virtio-mmio, PCI host bridge */
bool mptable_parse(void);
void platform_add_cpu(u32 apic_id);
void platform_add_ioapic(u64 base, u32 gsi_base);
MUST_USE int ioapic_route_nmi(u32 gsi);
void platform_add_override(u8 isa, u32 gsi, bool level, bool low);
void virtio_mmio_add(u64 base, u64 size, u32 gsi, bool level);
void virtio_mmio_scan_cmdline(const char *text);
/* Trigger mode of a global interrupt: ISA overrides, virtio-mmio, else the bus default. */
void gsi_mode(u32 gsi, bool *level, bool *low);
const void *firmware_find(const char *sig, u32 siglen, u32 step, bool (*valid)(const u8 *p, u64 room));

void lapic_init(void);			/* maps, enables on the boot CPU */
void lapic_init_cpu(void);
u32 lapic_id(void);
void lapic_eoi(void);
void lapic_send_ipi(u32 apic_id, u32 vector);
void lapic_send_nmi(u32 apic_id);
void lapic_send_init(u32 apic_id);
void lapic_send_sipi(u32 apic_id, u32 page);
void lapic_timer_setup(u64 hz);		/* after calibration; hz 0: TSC deadline */
void lapic_timer_fired(void);		/* in its interrupt, before anyone programs the next */
void lapic_timer_free_run(void);	/* counts down from ~0, masked: for calibration */
u32 lapic_timer_count(void);
void ioapic_init(void);
void pic_mask_all(void);

void clock_calibrate(void);
u64 clock_ns_to_tsc(u64 ns);
bool kvmclock_init(u64 *tsc_hz);	/* true: KVM says how fast the TSC runs */
bool kvmclock_wall(u64 *ns);		/* wall time at guest boot */
void kvmclock_init_cpu(void);
bool kvmclock_stable(void);		/* the plain TSC may be used */
u64 kvmclock_read(void);
void delay_us(u32 us);			/* before and after calibration */

void serial_early_init(void);
NORETURN void boot_fail(const char *why);

void trap_init(void);
bool panic_stop_this_cpu(bool *panicking);	/* another CPU panics and wants this one halted; some CPU panics */
void extable_sort(void);			/* constants still writable */
bool extable_covers(u64 rip);
bool extable_fixup(struct trapframe *tf);
/* Reads a word that may not be mapped. */
MUST_USE int kernel_read_u64_nofault(u64 addr, u64 *out);
void smp_flush_ipi(void);
void smp_init_early(struct bootinfo *bi);	/* sets the trampoline page aside */

/* Assembly. */
extern char trap_stubs[];
void syscall_entry(void);
void arch_switch_stack(u64 *save, u64 next);
void thread_start_kernel(void);
void thread_start_user(void);
NORETURN void stack_switch_call(u64 top, void (*fn)(void *), void *arg);
