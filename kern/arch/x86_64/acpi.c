/*
 * ACPI tables, as far as the kernel needs them.  They are bytes from outside:
 * every length is checked against the mapping, a table that lies is ignored.
 * Source: ACPI 6.4, sections 5.2.5 to 5.2.12 and 5.2.9 (FADT).
 */
#include <base/string.h>
#include <core/log.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

#define TABLE_MAX (2u << 20)

static INIT_TEXT u16 get16(const u8 *p) { u16 v; memcpy(&v, p, 2); return v; }
static INIT_TEXT u32 get32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }
static INIT_TEXT u64 get64(const u8 *p) { u64 v; memcpy(&v, p, 8); return v; }

static INIT_TEXT bool sum_ok(const u8 *p, u64 len)
{
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return !sum;
}

static INIT_TEXT bool rsdp_valid(const u8 *p, u64 room)
{
	return room >= 20 && !memcmp(p, "RSD PTR ", 8) && sum_ok(p, 20);
}

/* Header and body of a table; NULL when it is damaged. */
static INIT_TEXT const u8 *table_map(u64 pa, const char *sig, u32 *len)
{
	const u8 *p = mmu_map_firmware(pa, 36);

	if (!pa || !p || (sig && memcmp(p, sig, 4)))
		return NULL;
	*len = get32(p + 4);
	if (*len < 36 || *len > TABLE_MAX || !mmu_map_firmware(pa, *len) || !sum_ok(p, *len)) {
		log_warn("acpi: table at %#llx is damaged", (unsigned long long)pa);
		return NULL;
	}
	return p;
}

static INIT_TEXT void madt_entry(const u8 *e, u32 len)
{
	bool usable;

	switch (e[0]) {
	case 0:
		if (len >= 8 && get32(e + 4) & 1)
			platform_add_cpu(e[3]);
		break;
	case 1:
		if (len >= 12)
			platform_add_ioapic(get32(e + 4), get32(e + 8));
		break;
	case 2:
		if (len >= 10)
			platform_add_override(e[3], get32(e + 4), (get16(e + 8) >> 2 & 3) == 3,
					      (get16(e + 8) & 3) == 3);
		break;
	case 9:
		usable = len >= 16 && get32(e + 8) & 1;
		if (usable)
			platform_add_cpu(get32(e + 4));
		break;
	}
}

static INIT_TEXT void parse_madt(const u8 *t, u32 len)
{
	/* The APIC's address comes from the CPU (platform_init).  A second table would contradict the first. */
	if (len < 44 || platform.ncpus || platform.nioapics)
		return;
	for (u32 off = 44; off + 2 <= len;) {
		u32 n = t[off + 1];

		if (n < 2 || n > len - off)
			break;
		madt_entry(t + off, n);
		off += n;
	}
}

static INIT_TEXT u32 fadt_port(const u8 *t, u32 len, u32 off, u32 xoff)
{
	if (len >= xoff + 12 && t[xoff] == 1 && get64(t + xoff + 4) && get64(t + xoff + 4) < 0x10000)
		return get64(t + xoff + 4);
	return len >= off + 4 && get32(t + off) < 0x10000 ? get32(t + off) : 0;
}

static INIT_TEXT void parse_fadt(const u8 *t, u32 len)
{
	u32 flags, dlen;
	u64 dsdt;
	const u8 *d;

	if (len < 116)
		return;
	flags = get32(t + 112);
	platform.hw_reduced = flags & 1u << 20;
	if (!platform.hw_reduced) {
		platform.pm1a_cnt = fadt_port(t, len, 64, 172);
		platform.pm1b_cnt = fadt_port(t, len, 68, 184);
		platform.pm_timer = fadt_port(t, len, 76, 208);
		platform.pm_timer_32 = flags & 1u << 8;
		platform.smi_cmd = get32(t + 48) < 0x10000 ? get32(t + 48) : 0;
		platform.acpi_enable = t[52];
	}
	if (len >= 129 && flags & 1u << 10) {
		memcpy(&platform.reset_reg, t + 116, 12);
		platform.reset_value = t[128];
		platform.has_reset = true;
	}
	if (len >= 256)
		memcpy(&platform.sleep_ctl, t + 244, 12);
	dsdt = len >= 148 && get64(t + 140) ? get64(t + 140) : get32(t + 40);
	d = table_map(dsdt, "DSDT", &dlen);
	if (d)
		acpi_scan_aml(d + 36, dlen - 36);
}

static INIT_TEXT void parse_table(u64 pa)
{
	u32 len;
	const u8 *t = table_map(pa, NULL, &len);

	if (!t)
		return;
	if (!memcmp(t, "APIC", 4))
		parse_madt(t, len);
	else if (!memcmp(t, "FACP", 4))
		parse_fadt(t, len);
	else if (!memcmp(t, "SSDT", 4))
		acpi_scan_aml(t + 36, len - 36);
	else if (!memcmp(t, "MCFG", 4))
		platform.has_pci = true;
	else if (!memcmp(t, "HPET", 4) && len >= 56)
		platform.hpet_base = get64(t + 44);
}

INIT_TEXT void acpi_parse(u64 rsdp)
{
	const u8 *r = rsdp ? mmu_map_firmware(rsdp, 36) : NULL, *root = NULL;
	u32 len = 0, width = 8;

	if (!r || !rsdp_valid(r, 36))
		r = firmware_find("RSD PTR ", 8, 16, rsdp_valid);
	if (!r)
		return;
	if (r[15] >= 2)
		root = table_map(get64(r + 24), "XSDT", &len);
	if (!root) {
		root = table_map(get32(r + 16), "RSDT", &len);
		width = 4;
	}
	if (!root)
		return;
	platform.has_acpi = true;
	for (u32 off = 36; off + width <= len; off += width)
		parse_table(width == 8 ? get64(root + off) : get32(root + off));
}
