/*
 * What the firmware says about the machine.  ACPI first, then an Intel MP
 * table, then the least a PC has: one CPU and the usual interrupt controllers.
 */
#include <base/errno.h>
#include <base/string.h>
#include <core/log.h>
#include <core/panic.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define MAX_VIRTIO_MMIO 64
#define APIC_IDS_EARLY	1024

struct platform platform = { .s5_type = -1 };
static u32 early_ids[APIC_IDS_EARLY] INIT_DATA;
static struct {
	u64 base, size;
	u32 gsi;
	bool level;
} virtio_mmio[MAX_VIRTIO_MMIO];
static u32 nvirtio_mmio;

INIT_TEXT void platform_add_cpu(u32 apic_id)
{
	for (u32 i = 0; i < platform.ncpus; i++)
		if (early_ids[i] == apic_id)
			return;
	if (apic_id > 254 && !cpu_has.x2apic)
		return;
	if (platform.ncpus < APIC_IDS_EARLY)
		early_ids[platform.ncpus++] = apic_id;
}

INIT_TEXT void platform_add_ioapic(u64 base, u32 gsi_base)
{
	if (platform.nioapics < MAX_IOAPICS) {
		platform.ioapic[platform.nioapics].base = base;
		platform.ioapic[platform.nioapics++].gsi_base = gsi_base;
	}
}

INIT_TEXT void platform_add_override(u8 isa, u32 gsi, bool level, bool low)
{
	if (platform.noverrides < MAX_OVERRIDES) {
		platform.override[platform.noverrides].isa = isa;
		platform.override[platform.noverrides].gsi = gsi;
		platform.override[platform.noverrides].level = level;
		platform.override[platform.noverrides++].low = low;
	}
}

INIT_TEXT void virtio_mmio_add(u64 base, u64 size, u32 gsi, bool level)
{
	for (u32 i = 0; i < nvirtio_mmio; i++)
		if (virtio_mmio[i].base == base)
			return;
	if (nvirtio_mmio == MAX_VIRTIO_MMIO || !base)
		return;
	virtio_mmio[nvirtio_mmio].base = base;
	virtio_mmio[nvirtio_mmio].size = size;
	virtio_mmio[nvirtio_mmio].gsi = gsi;
	virtio_mmio[nvirtio_mmio++].level = level;
}

static INIT_TEXT u64 suffixed(const char **p, bool *ok)
{
	u64 v;
	const char *end;

	if (str_to_u64(*p, 0, &v, &end)) {
		*ok = false;
		return 0;
	}
	if ((*end | 0x20) == 'k' || (*end | 0x20) == 'm')
		v <<= (*end++ | 0x20) == 'k' ? 10 : 20;
	*p = end;
	return v;
}

/* virtio_mmio.device=SIZE@BASE:IRQ[:ID], any number of times. */
INIT_TEXT void virtio_mmio_scan_cmdline(const char *text)
{
	static const char key[] = "virtio_mmio.device=";

	while ((text = strstr(text, key))) {
		u64 size, base = 0, irq = 0;
		bool ok = true;

		text += sizeof(key) - 1;
		size = suffixed(&text, &ok);
		ok = ok && *text++ == '@';
		if (ok)
			base = suffixed(&text, &ok);
		ok = ok && *text++ == ':';
		if (ok)
			irq = suffixed(&text, &ok);
		if (ok)
			virtio_mmio_add(base, size, (u32)irq, false);
		else
			text--;		/* at worst the NUL that ended the line */
	}
}

int arch_virtio_mmio(u32 i, u64 *base, u64 *size, u32 *gsi)
{
	if (i >= nvirtio_mmio)
		return -ENOENT;
	*base = virtio_mmio[i].base;
	*size = virtio_mmio[i].size;
	*gsi = virtio_mmio[i].gsi;
	return 0;
}

u32 arch_irq_isa_to_gsi(u32 isa);
u32 arch_irq_isa_to_gsi(u32 isa)
{
	for (u32 i = 0; i < platform.noverrides; i++)
		if (platform.override[i].isa == isa)
			return platform.override[i].gsi;
	return isa;
}

void gsi_mode(u32 gsi, bool *level, bool *low)
{
	*level = *low = gsi >= 16;
	for (u32 i = 0; i < platform.noverrides; i++)
		if (platform.override[i].gsi == gsi) {
			*level = platform.override[i].level;
			*low = platform.override[i].low;
		}
	for (u32 i = 0; i < nvirtio_mmio; i++)
		if (virtio_mmio[i].gsi == gsi) {
			*level = virtio_mmio[i].level;
			*low = false;
		}
}

bool arch_has_pci(void) { return platform.has_pci; }

/* Looks where firmware leaves its tables: the extended BIOS data area, then the BIOS itself. */
INIT_TEXT const void *firmware_find(const char *sig, u32 siglen, u32 step, bool (*valid)(const u8 *p, u64 room))
{
	const u8 *bda = mmu_map_firmware(0x40e, 2);
	u32 ebda = bda ? (u32)(bda[0] | bda[1] << 8) << 4 : 0;
	const struct { u64 start, len; } spans[] = {
		{ ebda >= 0x80000 && ebda < 0xa0000 ? ebda : 0x9fc00, 1024 }, { 0xe0000, 0x20000 },
	};

	for (u32 i = 0; i < ARRAY_LEN(spans); i++) {
		const u8 *p = mmu_map_firmware(spans[i].start, spans[i].len);

		for (u64 off = 0; p && off + 64 <= spans[i].len; off += step)
			if (!memcmp(p + off, sig, siglen) && valid(p + off, spans[i].len - off))
				return p + off;
	}
	return NULL;
}

/* The boot CPU becomes number 0 whatever its place in the tables. */
static INIT_TEXT void settle_cpus(struct bootinfo *bi)
{
	u32 self = cpuid(1, 0).ebx >> 24, *ids;

	if (cpu_has.max_leaf >= 0xb && cpuid(0xb, 0).ebx)
		self = cpuid(0xb, 0).edx;
	platform_add_cpu(self);
	if (!platform.ncpus)
		early_ids[platform.ncpus++] = self;
	for (u32 i = 0; i < platform.ncpus; i++)
		if (early_ids[i] == self) {
			early_ids[i] = early_ids[0];
			early_ids[0] = self;
			break;
		}
	ids = mmu_phys_to_virt(boot_alloc(bi, platform.ncpus * sizeof(u32)));
	memcpy(ids, early_ids, platform.ncpus * sizeof(u32));
	platform.apic_ids = ids;
}

static INIT_TEXT bool pci_probe_ports(void)
{
	u32 old = port_in32(0xcf8), seen;

	port_out32(0xcf8, 0x80000000u);
	seen = port_in32(0xcf8);
	port_out32(0xcf8, old);
	return seen == 0x80000000u;
}

INIT_TEXT void platform_init(struct bootinfo *bi)
{
	platform.lapic_base = msr_read(MSR_APIC_BASE) & (((1ull << MIN(cpu_has.phys_bits, 52u)) - 1) & PAGE_MASK);
	acpi_parse(bi->rsdp);
	if (!platform.ncpus && !mptable_parse())
		log_info("platform: no ACPI or MP tables");
	if (!platform.has_acpi)
		platform.has_pci = pci_probe_ports();
	if (!platform.nioapics)
		platform_add_ioapic(0xfec00000, 0);
	virtio_mmio_scan_cmdline(bi->cmdline);
	settle_cpus(bi);
}
