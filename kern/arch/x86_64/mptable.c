/* Intel MP tables, for machines without ACPI.  Source: MultiProcessor Specification 1.4, chapter 4. */
#include <base/string.h>
#include <x86_64/arch.h>

static INIT_TEXT u32 get32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }
static INIT_TEXT u32 get16(const u8 *p) { return p[0] | p[1] << 8; }

static INIT_TEXT bool float_valid(const u8 *p, u64 room)
{
	u8 sum = 0;

	if (room < 16 || p[8] != 1)
		return false;
	for (u32 i = 0; i < 16; i++)
		sum += p[i];
	return !sum;
}

/* Edge and active high unless the entry says otherwise: ISA's ways. */
static INIT_TEXT void interrupt_entry(const u8 *e)
{
	u32 flags = get16(e + 2);

	if (e[1] == 0 && e[5] < 16)
		platform_add_override(e[5], e[7], (flags >> 2 & 3) == 3, (flags & 3) == 3);
}

INIT_TEXT bool mptable_parse(void)
{
	const u8 *f = firmware_find("_MP_", 4, 16, float_valid), *t;
	u32 len, gsi = 0;

	if (!f)
		return false;
	t = mmu_map_firmware(get32(f + 4), 44);
	if (!t || memcmp(t, "PCMP", 4))
		return false;
	len = get16(t + 4);
	if (len < 44 || !mmu_map_firmware(get32(f + 4), len))
		return false;
	for (u32 off = 44; off + 8 <= len;) {
		const u8 *e = t + off;

		if (e[0] == 0 && off + 20 <= len && e[3] & 1)
			platform_add_cpu(e[1]);
		else if (e[0] == 2 && e[3] & 1) {
			platform_add_ioapic(get32(e + 4), gsi);
			gsi += 24;
		} else if (e[0] == 3)
			interrupt_entry(e);
		off += e[0] == 0 ? 20 : 8;
	}
	return platform.ncpus;
}
