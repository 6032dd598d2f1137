/*
 * The clock is the TSC, scaled.  How fast it runs is found out from the best
 * reference there is, in this order:
 *   1. KVM's clock page, which states it
 *   2. CPUID 40000010h (hypervisors) or 15h
 *   3. the local APIC timer, which QEMU and KVM run at exactly 1 GHz
 *   4. the ACPI timer, the HPET or the 8254, counted against for some milliseconds
 * The APIC timer itself is measured against the TSC where its rate is unknown.
 */
#include <arch/cpu.h>
#include <arch/vdso.h>
#include <base/atomic.h>
#include <core/log.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define APIC_HZ_VIRTUAL 1000000000ull
#define CALIBRATE_NS	2000000ull
#define PIT_HZ		1193182ull
#define PM_TIMER_HZ	3579545ull

static u64 tsc_hz READ_MOSTLY;
static u64 tsc_base READ_MOSTLY;	/* TSC at monotonic 0 */
static u64 tsc_mult READ_MOSTLY;	/* ns = ticks * mult >> 32; 0: not calibrated */
static u64 tsc_inverse READ_MOSTLY;	/* ticks = ns * inverse >> 32 */
static bool clock_is_kvm READ_MOSTLY;	/* TSC differs between CPUs: read KVM's page */
static u64 kvm_base, kvm_last;		/* kvm_last: atomic, latest time handed out */
static u64 boot_wall_ns;

/* Something that counts at a known rate. */
struct reference {
	const char *name;
	u64 hz, mask;
	u64 (*read)(void);
};

static volatile u64 *hpet;

static INIT_TEXT u64 read_apic(void) { return ~(u64)lapic_timer_count(); }
static INIT_TEXT u64 read_pm(void) { return port_in32(platform.pm_timer); }
static INIT_TEXT u64 read_hpet(void) { return hpet[0xf0 / 8]; }
static INIT_TEXT u64 read_pit(void)
{
	u32 lo;

	port_out8(0x43, 0x80);		/* latch channel 2 */
	lo = port_in8(0x42);
	return ~(u64)(lo | (u32)port_in8(0x42) << 8);
}

static INIT_TEXT bool pit_start(void)
{
	u64 a, b;

	port_out8(0x61, (port_in8(0x61) & ~2u) | 1);
	port_out8(0x43, 0xb0);		/* channel 2, mode 0, from 65535 */
	port_out8(0x42, 0xff);
	port_out8(0x42, 0xff);
	a = read_pit();
	for (u32 i = 0; i < 1000; i++)
		port_in8(0x61);
	b = read_pit();
	return a != b && (u16)a != 0;
}

static INIT_TEXT bool hpet_start(struct reference *r)
{
	u64 caps;

	if (!platform.hpet_base)
		return false;
	hpet = (volatile u64 *)mmu_map_device(PADDR(platform.hpet_base), 0x400);
	caps = hpet ? hpet[0] : 0;
	if (!caps || caps == ~0ull || !(caps >> 32) || caps >> 32 > 100000000)
		return false;
	hpet[2] |= 1;
	*r = (struct reference){ "HPET", 1000000000000000ull / (caps >> 32), caps & 1u << 13 ? ~0ull : 0xffffffff, read_hpet };
	return true;
}

static INIT_TEXT bool reference_find(struct reference *r)
{
	if (cpu_has.tcg || cpu_has.kvm) {
		lapic_timer_free_run();
		*r = (struct reference){ "APIC timer", APIC_HZ_VIRTUAL, 0xffffffff, read_apic };
	} else if (platform.pm_timer) {
		*r = (struct reference){ "ACPI timer", PM_TIMER_HZ, platform.pm_timer_32 ? 0xffffffff : 0xffffff, read_pm };
	} else if (!hpet_start(r)) {
		if (!pit_start())
			return false;
		*r = (struct reference){ "PIT", PIT_HZ, 0xffff, read_pit };
	}
	return true;
}

/* TSC and reference at one moment: of a few tries the one that took least time. */
static INIT_TEXT void sample(const struct reference *r, u64 *tsc, u64 *ref)
{
	u64 best = ~0ull;

	for (u32 i = 0; i < 5; i++) {
		u64 a = cpu_cycles(), v = r->read(), b = cpu_cycles();

		if (b - a < best) {
			best = b - a;
			*tsc = a + (b - a) / 2;
			*ref = v;
		}
	}
}

static INIT_TEXT u64 measure_tsc(const struct reference *r)
{
	u64 t0, t1, r0, r1, want = r->hz * CALIBRATE_NS / 1000000000u, guard = 1u << 24;

	sample(r, &t0, &r0);
	while (((r->read() - r0) & r->mask) < want && guard--)
		cpu_relax();
	sample(r, &t1, &r1);
	r1 = (r1 - r0) & r->mask;
	/* Some ms of cycles times at most some GHz: fits as long as both stay below 2^32. */
	return r1 && t1 - t0 < 1ull << 32 && r->hz < 1ull << 32 ? (t1 - t0) * r->hz / r1 : 0;
}

static INIT_TEXT u64 stated_hz(void)
{
	struct cpuid_regs r;

	if (cpu_has.hv_leaf >= 0x40000010) {
		r = cpuid(0x40000010, 0);
		if (r.eax)
			return r.eax * 1000ull;
	}
	if (cpu_has.max_leaf >= 0x15) {
		r = cpuid(0x15, 0);
		if (r.eax && r.ebx && r.ecx)
			return (u64)r.ecx * r.ebx / r.eax;
	}
	return 0;
}

static INIT_TEXT void set_rate(u64 hz)
{
	tsc_hz = hz;
	tsc_base = cpu_cycles();
	tsc_inverse = (hz << 32) / 1000000000u;
	store_release(&tsc_mult, (1000000000ull << 32) / hz);
}

/* Rate of the APIC timer, against the TSC. */
static INIT_TEXT u64 measure_apic(void)
{
	u64 t0, t1;
	u32 c0, c1;

	if (cpu_has.tcg || cpu_has.kvm)
		return APIC_HZ_VIRTUAL;
	lapic_timer_free_run();
	t0 = cpu_cycles();
	c0 = lapic_timer_count();
	delay_us(2000);
	t1 = cpu_cycles();
	c1 = lapic_timer_count();
	return (u64)(c0 - c1) * (tsc_hz / 1000) / ((t1 - t0) / 1000 + 1);
}

u64 rtc_read_seconds(void);

INIT_TEXT void clock_calibrate(void)
{
	struct reference r = { .name = "KVM clock" };
	u64 hz = 0;

	if (kvmclock_init(&hz)) {
		clock_is_kvm = !kvmclock_stable() && !cpu_has.tsc_invariant;
		kvm_base = kvmclock_read();
	} else {
		r.name = "CPUID";
		hz = stated_hz();
	}
	if (!hz && reference_find(&r))
		hz = measure_tsc(&r);
	if (hz < 1000000) {
		log_warn("clock: nothing to measure the TSC against, taking 1 GHz");
		hz = 1000000000;
	}
	set_rate(hz);
	lapic_timer_setup(cpu_has.tsc_deadline && !clock_is_kvm ? 0 : measure_apic());
	if (!kvmclock_wall(&boot_wall_ns))
		boot_wall_ns = rtc_read_seconds() * 1000000000ull - arch_clock_ns();
	log_info("clock: TSC at %llu kHz by %s", (unsigned long long)hz / 1000, r.name);
}

static u64 kvm_clock_ns(void)
{
	u64 now = kvmclock_read() - kvm_base, last = __atomic_load_n(&kvm_last, __ATOMIC_RELAXED);

	/* Time never goes back, whichever CPU asks. */
	while (now > last)
		if (__atomic_compare_exchange_n(&kvm_last, &last, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return now;
	return last;
}

u64 arch_clock_ns(void)
{
	if (unlikely(clock_is_kvm))
		return kvm_clock_ns();
	return (u64)((unsigned __int128)(cpu_cycles() - tsc_base) * tsc_mult >> 32);
}

void arch_vdso_scale(struct vdso_data *d)
{
	d->tsc_base = tsc_base;
	d->tsc_mult = clock_is_kvm ? 0 : tsc_mult;
}

u64 clock_ns_to_tsc(u64 ns) { return tsc_base + (u64)((unsigned __int128)ns * tsc_inverse >> 32); }
u32 arch_tsc_khz(void) { return tsc_hz / 1000; }
u64 arch_boot_wall_ns(void) { return boot_wall_ns; }
u64 arch_rtc_seconds(void) { return boot_wall_ns / 1000000000u; }

/* Before calibration: about a microsecond per port access. */
void delay_us(u32 us)
{
	u64 end = cpu_cycles() + us * (tsc_hz / 1000000);

	if (!tsc_hz) {
		while (us--)
			port_out8(0x80, 0);
		return;
	}
	while (cpu_cycles() < end)
		cpu_relax();
}
