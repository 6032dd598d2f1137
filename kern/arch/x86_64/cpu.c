/*
 * CPU features: found once, switched on per CPU, described in /proc/cpuinfo.
 */
#include <arch/cpu.h>
#include <base/fmt.h>
#include <base/string.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

struct cpu_features cpu_has READ_MOSTLY;

static void detect_hypervisor(void)
{
	struct cpuid_regs r = cpuid(0x40000000, 0);
	u32 sig[3] = { r.ebx, r.ecx, r.edx };

	if (r.eax < 0x40000000 || r.eax > 0x4000ffff)
		r.eax = 0x40000000;
	cpu_has.hv_leaf = r.eax;
	cpu_has.tcg = !memcmp(sig, "TCGTCGTCGTCG", 12);
	/* KVM's leaves may stand behind another hypervisor's. */
	for (u32 base = 0x40000000; base < 0x40000400; base += 0x100) {
		r = cpuid(base, 0);
		u32 s[3] = { r.ebx, r.ecx, r.edx };

		if (!memcmp(s, "KVMKVMKVM\0\0\0", 12)) {
			cpu_has.kvm = true;
			cpu_has.kvm_leaf = base;
			return;
		}
	}
}

void cpu_detect(void)
{
	struct cpuid_regs r = cpuid(0, 0);

	cpu_has.max_leaf = r.eax;
	cpu_has.max_ext = cpuid(0x80000000, 0).eax;
	r = cpuid(1, 0);
	cpu_has.pge = r.edx & 1u << 13;
	cpu_has.mce = r.edx & 1u << 7;
	cpu_has.pcid = r.ecx & 1u << 17;
	cpu_has.x2apic = r.ecx & 1u << 21;
	cpu_has.tsc_deadline = r.ecx & 1u << 24;
	cpu_has.xsave = r.ecx & 1u << 26;
	cpu_has.rdrand = r.ecx & 1u << 30;
	cpu_has.hypervisor = r.ecx & 1u << 31;
	if (cpu_has.max_leaf >= 7) {
		r = cpuid(7, 0);
		cpu_has.fsgsbase = r.ebx & 1u << 0;
		cpu_has.smep = r.ebx & 1u << 7;
		cpu_has.invpcid = r.ebx & 1u << 10;
		cpu_has.rdseed = r.ebx & 1u << 18;
		cpu_has.smap = r.ebx & 1u << 20;
		cpu_has.umip = r.ecx & 1u << 2;
	}
	if (cpu_has.xsave && cpu_has.max_leaf >= 0xd)
		cpu_has.xsaveopt = cpuid(0xd, 1).eax & 1;
	r = cpuid(0x80000001, 0);
	cpu_has.nx = r.edx & 1u << 20;
	cpu_has.page_1g = r.edx & 1u << 26;
	cpu_has.rdtscp = r.edx & 1u << 27;
	if (cpu_has.max_ext >= 0x80000007)
		cpu_has.tsc_invariant = cpuid(0x80000007, 0).edx & 1u << 8;
	cpu_has.phys_bits = 36;
	if (cpu_has.max_ext >= 0x80000008)
		cpu_has.phys_bits = cpuid(0x80000008, 0).eax & 0xff;
	if (cpu_has.hypervisor)
		detect_hypervisor();
}

void cpu_setup(void)
{
	u64 cr4 = cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT;
	u64 efer = msr_read(MSR_EFER) | EFER_SCE;

	if (cpu_has.nx)
		efer |= EFER_NXE;
	msr_write(MSR_EFER, efer);
	cr0_write((cr0_read() | CR0_PE | CR0_MP | CR0_NE | CR0_WP | CR0_PG) & ~(u64)(CR0_EM | CR0_TS | CR0_AM));
	cr4 |= cpu_has.pge ? CR4_PGE : 0;
	cr4 |= cpu_has.mce ? CR4_MCE : 0;
	cr4 |= cpu_has.smep ? CR4_SMEP : 0;
	cr4 |= cpu_has.smap ? CR4_SMAP : 0;
	cr4 |= cpu_has.umip ? CR4_UMIP : 0;
	cr4 |= cpu_has.fsgsbase ? CR4_FSGSBASE : 0;
	cr4 |= cpu_has.xsave ? CR4_OSXSAVE : 0;
	cr4_write(cr4);
	msr_write(MSR_STAR, (u64)SEL_KERNEL_CS << 32 | (u64)(SEL_USER_CS - 16) << 48);
	msr_write(MSR_LSTAR, (u64)syscall_entry);
	msr_write(MSR_FMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_AC | RFLAGS_RF);
	fpu_init_cpu();
}

struct smap_site { i32 where; u32 last; };
extern const struct smap_site __smap_sites_start[], __smap_sites_end[];

/* Runs on the boot tables, where the kernel's text can be written. */
INIT_TEXT void cpu_patch_smap(void)
{
	if (!cpu_has.smap)
		return;
	for (const struct smap_site *s = __smap_sites_start; s < __smap_sites_end; s++) {
		u8 *p = (u8 *)&s->where + s->where;

		p[0] = 0x0f;
		p[1] = 0x01;
		p[2] = s->last;
	}
	cpuid(0, 0);			/* serialises: the new bytes are fetched */
}

void cpu_halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" ::: "memory");
}

bool arch_hw_random(u64 *out)
{
	u64 v;
	bool ok = false;

	for (u32 i = 0; i < 16 && !ok && cpu_has.rdseed; i++)
		__asm__ volatile("rdseed %0" : "=r"(v), "=@ccc"(ok) :: "cc");
	for (u32 i = 0; i < 16 && !ok && cpu_has.rdrand; i++)
		__asm__ volatile("rdrand %0" : "=r"(v), "=@ccc"(ok) :: "cc");
	if (ok)
		*out = v;
	return ok;
}

u64 arch_hwcap(void) { return cpuid(1, 0).edx; }
u64 arch_hwcap2(void) { return cpu_has.fsgsbase ? 2 : 0; }

static const char *const flag_names[][32] = {
	{ "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep", "mtrr", "pge",
	  "mca", "cmov", "pat", "pse36", "pn", "clflush", NULL, "dts", "acpi", "mmx", "fxsr", "sse", "sse2",
	  "ss", "ht", "tm", "ia64", "pbe" },
	{ "pni", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "sdbg",
	  "fma", "cx16", "xtpr", "pdcm", NULL, "pcid", "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt",
	  "tsc_deadline_timer", "aes", "xsave", NULL, "avx", "f16c", "rdrand", "hypervisor" },
	{ "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", NULL, "smep", "bmi2", "erms", "invpcid", "rtm",
	  "cqm", NULL, "mpx", "rdt_a", "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma", NULL,
	  "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er", "avx512cd", "sha_ni", "avx512bw", "avx512vl" },
	{ [11] = "syscall", [20] = "nx", [22] = "mmxext", [25] = "fxsr_opt", [26] = "pdpe1gb", [27] = "rdtscp",
	  [29] = "lm", [30] = "3dnowext", [31] = "3dnow" },
	{ [0] = "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse",
	  "3dnowprefetch" },
};

static u32 cpuinfo_flags(char *buf, u32 size)
{
	struct cpuid_regs one = cpuid(1, 0), ext = cpuid(0x80000001, 0);
	u32 words[] = { one.edx, one.ecx, cpu_has.max_leaf >= 7 ? cpuid(7, 0).ebx : 0, ext.edx, ext.ecx };
	u32 n = 0;

	for (u32 w = 0; w < ARRAY_LEN(words); w++)
		for (u32 b = 0; b < 32; b++)
			if (words[w] & 1u << b && flag_names[w][b])
				n += fmt_scnprintf(buf + n, size - n, " %s", flag_names[w][b]);
	return n;
}

static void cpuinfo_strings(char vendor[13], char model[49])
{
	struct cpuid_regs r = cpuid(0, 0);
	u32 v[3] = { r.ebx, r.edx, r.ecx };

	memcpy(vendor, v, 12);
	vendor[12] = 0;
	memset(model, 0, 49);
	if (cpu_has.max_ext < 0x80000004)
		return;
	for (u32 i = 0; i < 3; i++) {
		r = cpuid(0x80000002 + i, 0);
		memcpy(model + 16 * i, &r, 16);
	}
}

u32 arch_cpuinfo(u32 cpu, char *buf, u32 size)
{
	char vendor[13], model[49];
	u32 id = cpuid(1, 0).eax, n, khz = arch_tsc_khz();
	u32 family = (id >> 8 & 15) + ((id >> 8 & 15) == 15 ? id >> 20 & 255 : 0);

	if (!size)
		return 0;
	cpuinfo_strings(vendor, model);
	n = fmt_scnprintf(buf, size,
		"processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n"
		"stepping\t: %u\ncpu MHz\t\t: %u.%03u\nphysical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\n"
		"cpu cores\t: %u\napicid\t\t: %u\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\nflags\t\t:",
		cpu, vendor, family, (id >> 4 & 15) | (id >> 12 & 0xf0), model, id & 15, khz / 1000, khz % 1000,
		platform.ncpus, cpu, platform.ncpus, cpu < platform.ncpus ? platform.apic_ids[cpu] : 0,
		cpu_has.max_leaf);
	n += cpuinfo_flags(buf + n, size - n);
	n += fmt_scnprintf(buf + n, size - n,
		"\nbogomips\t: %u.%02u\nclflush size\t: 64\ncache_alignment\t: 64\n"
		"address sizes\t: %u bits physical, 48 bits virtual\npower management:\n\n",
		khz / 500, khz / 5 % 100, cpu_has.phys_bits);
	return n;
}
