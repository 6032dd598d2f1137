/*
 * KVM's paravirtual clock: the rate of the TSC, the wall time at boot and,
 * where the host's TSC is not the same on all CPUs, the time itself.
 * Source: Linux Documentation/virt/kvm/x86/msr.rst (the interface only).
 */
#include <arch/cpu.h>
#include <core/percpu.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define MSR_WALL_CLOCK	0x4b564d00
#define MSR_SYSTEM_TIME 0x4b564d01
#define FEATURE_CLOCK2	(1u << 3)
#define FLAG_STABLE	1u

struct time_info {
	u32 version, pad;
	u64 tsc_timestamp, system_time;
	u32 mul;
	i8 shift;
	u8 flags, pad2[2];
} ALIGNED(32);

struct wall_info {
	u32 version, sec, nsec;
} ALIGNED(16);

/* Pages that the hypervisor writes: never freed.  */
static DEFINE_PER_CPU(struct time_info, kvm_time) ALIGNED(64);
static struct wall_info kvm_wall;
static bool kvmclock_on READ_MOSTLY;

static u64 phys_of(const void *p)
{
	u64 v = (u64)p;

	return v >= KERNEL_OFFSET ? image_phys(p) : v - DIRECT_BASE;
}

void kvmclock_init_cpu(void)
{
	if (kvmclock_on)
		msr_write(MSR_SYSTEM_TIME, phys_of(this_cpu_ptr(&kvm_time)) | 1);
}

static u64 info_read(const volatile struct time_info *t, u64 *hz)
{
	u32 version;
	u64 ns, delta;

	do {
		version = t->version;
		barrier();
		delta = cpu_cycles() - t->tsc_timestamp;
		delta = t->shift >= 0 ? delta << t->shift : delta >> -t->shift;
		ns = t->system_time + (u64)((unsigned __int128)delta * t->mul >> 32);
		if (hz && t->mul) {
			*hz = (1000000000ull << 32) / t->mul;
			*hz = t->shift >= 0 ? *hz >> t->shift : *hz << -t->shift;
		}
		barrier();
	} while (version & 1 || version != t->version);
	return ns;
}

u64 kvmclock_read(void)
{
	u64 irq, ns;

	if (!kvmclock_on)
		return 0;
	irq = irq_save();
	ns = info_read(this_cpu_ptr(&kvm_time), NULL);
	irq_restore(irq);
	return ns;
}

bool kvmclock_stable(void) { return this_cpu_ptr(&kvm_time)->flags & FLAG_STABLE; }

INIT_TEXT bool kvmclock_init(u64 *tsc_hz)
{
	if (!cpu_has.kvm || !(cpuid(cpu_has.kvm_leaf + 1, 0).eax & FEATURE_CLOCK2))
		return false;
	kvmclock_on = true;
	kvmclock_init_cpu();
	(void)info_read(this_cpu_ptr(&kvm_time), tsc_hz);
	if (!*tsc_hz)
		kvmclock_on = false;
	return kvmclock_on;
}

INIT_TEXT bool kvmclock_wall(u64 *ns)
{
	volatile struct wall_info *w = &kvm_wall;

	if (!kvmclock_on)
		return false;
	msr_write(MSR_WALL_CLOCK, image_phys(&kvm_wall));
	if (!w->sec)
		return false;
	/* The page holds the wall time when the VM's clock was 0; ours became 0 later. */
	*ns = w->sec * 1000000000ull + w->nsec + kvmclock_read() - arch_clock_ns();
	return true;
}
