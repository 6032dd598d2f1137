/*
 * Facts from AML without an interpreter: the byte patterns that compilers make
 * for the few objects the kernel wants.  Wrong guesses are harmless: S5 falls
 * back to other ways of power-off, a virtio device that is not there has no
 * magic number.  Source: ACPI 6.4, chapter 20 (encoding), 6.4.3 (resources).
 */
#include <base/string.h>
#include <x86_64/arch.h>

static INIT_TEXT u32 get32(const u8 *p) { u32 v; memcpy(&v, p, 4); return v; }

static INIT_TEXT u32 pkg_length_size(u8 lead) { return 1 + (lead >> 6); }

/* _S5_: NameOp "_S5_" PackageOp PkgLength NumElements Element... : the first element is SLP_TYP. */
static INIT_TEXT void scan_s5(const u8 *p, u32 room)
{
	u32 off = 4;

	if (room < 12 || p[off] != 0x12)
		return;
	off += 1 + pkg_length_size(p[off + 1]) + 1;
	if (off + 1 >= room)
		return;
	if (p[off] == 0x0a)
		platform.s5_type = p[off + 1] & 7;
	else if (p[off] <= 1)
		platform.s5_type = p[off];
}

/* After _HID "LNRO0005": the resources of the same device, Memory32Fixed and Extended Interrupt. */
static INIT_TEXT void scan_virtio(const u8 *p, u32 room)
{
	u64 base = 0, size = 0;

	room = MIN(room, 256u);
	for (u32 off = 8; off + 12 <= room; off++) {
		if (!memcmp(p + off, "LNRO0005", 8))
			return;
		if (p[off] == 0x86 && p[off + 1] == 9 && p[off + 2] == 0) {
			base = get32(p + off + 4);
			size = get32(p + off + 8);
			off += 11;
		} else if (base && p[off] == 0x89 && p[off + 1] == 6 && p[off + 2] == 0 && p[off + 4] == 1 &&
			   off + 9 <= room) {
			virtio_mmio_add(base, size, get32(p + off + 5), !(p[off + 3] & 2));
			return;
		}
	}
}

INIT_TEXT void acpi_scan_aml(const u8 *aml, u32 len)
{
	static const u8 pci[] = { 0x0c, 0x41, 0xd0, 0x0a };	/* EISAID("PNP0A03"), 08 likewise */

	for (u32 i = 0; i + 12 <= len; i++) {
		const u8 *p = aml + i;

		if (p[0] == '_' && !memcmp(p, "_S5_", 4))
			scan_s5(p, len - i);
		else if (p[0] == 'L' && !memcmp(p, "LNRO0005", 8))
			scan_virtio(p, len - i);
		else if (p[0] == 0x0c && !memcmp(p, pci, 4) && (p[4] == 0x03 || p[4] == 0x08))
			platform.has_pci = true;
		else if (p[0] == 'P' && (!memcmp(p, "PNP0A03", 7) || !memcmp(p, "PNP0A08", 7)))
			platform.has_pci = true;
	}
}
