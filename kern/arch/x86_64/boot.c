/*
 * From the boot protocol's parameters to struct bootinfo and on to
 * kernel_main().  Runs on the boot tables: physical addresses below 4 GiB are
 * readable through the direct map.  Everything the loader passed is copied or
 * reserved before the first boot_alloc().
 */
#include <arch/upcall.h>
#include <base/string.h>
#include <core/cmdline.h>
#include <core/panic.h>
#include <x86_64/arch.h>
#include <x86_64/x86.h>

enum { PROTO_PVH, PROTO_LINUX64, PROTO_BZIMAGE };
static const char *const proto_names[] = { "pvh", "linux64", "bzimage" };

struct hvm_start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};
struct hvm_module { u64 paddr, size, cmdline, reserved; };
struct hvm_memmap { u64 addr, size; u32 type, reserved; };
struct e820_entry { u64 addr, size; u32 type; } PACKED;

#define HVM_MAGIC   0x336ec578u
#define E820_RAM    1
#define CMDLINE_MAX (1u << 20)
#define DIRECT_MAX  (1ull << 46)		/* the direct map's room */
#define EARLY_MAX   (4ull << 30)		/* what the boot tables map */

static struct bootinfo boot_info;
static struct boot_region boot_not_ram[BOOT_MAX_REGIONS] INIT_DATA;
static u32 boot_n_not_ram INIT_DATA;
static u64 boot_cmdline_at INIT_DATA;

static INIT_TEXT const void *early_ptr(u64 pa, u64 len)
{
	if (!pa || pa >= EARLY_MAX || len > EARLY_MAX - pa)
		return NULL;
	return mmu_phys_to_virt(PADDR(pa));
}

static INIT_TEXT void map_entry(struct bootinfo *bi, u64 addr, u64 size, u32 type)
{
	u64 limit = MIN(DIRECT_MAX, 1ull << MIN(cpu_has.phys_bits, 46u)), end = addr + size;

	if (end < addr || addr >= limit)
		return;
	end = MIN(end, limit);
	if (type == E820_RAM)
		region_add(bi->ram, &bi->nram, ALIGN_UP(addr, PAGE_SIZE), ALIGN_DOWN(end, PAGE_SIZE));
	else
		region_add(boot_not_ram, &boot_n_not_ram, ALIGN_DOWN(addr, PAGE_SIZE), ALIGN_UP(end, PAGE_SIZE));
}

static INIT_TEXT void parse_pvh(struct bootinfo *bi, u64 params)
{
	const struct hvm_start_info *si = early_ptr(params, sizeof(*si));
	const struct hvm_memmap *map;
	const struct hvm_module *mod;

	if (!si || si->magic != HVM_MAGIC)
		panic_boot("PVH start information is damaged");
	if (si->version < 1 || si->memmap_entries > 4096)
		panic_boot("PVH start information has no memory map");
	map = early_ptr(si->memmap, si->memmap_entries * sizeof(*map));
	for (u32 i = 0; map && i < si->memmap_entries; i++)
		map_entry(bi, map[i].addr, map[i].size, map[i].type);
	mod = early_ptr(si->modlist, sizeof(*mod));
	if (si->nr_modules && mod) {
		bi->initrd_start = mod->paddr;
		bi->initrd_size = mod->size;
	}
	boot_cmdline_at = si->cmdline;
	bi->rsdp = si->rsdp;
}

static INIT_TEXT u32 bp32(const u8 *bp, u32 off)
{
	u32 v;

	memcpy(&v, bp + off, 4);
	return v;
}

/* Offsets in struct boot_params: the Linux boot protocol ("zero page"). */
static INIT_TEXT void parse_linux(struct bootinfo *bi, u64 params)
{
	const u8 *bp = early_ptr(params, 4096);
	const struct e820_entry *map;

	if (!bp)
		panic_boot("boot parameters lie above 4 GiB");
	map = (const void *)(bp + 0x2d0);
	for (u32 i = 0; i < bp[0x1e8] && i < 128; i++)
		map_entry(bi, map[i].addr, map[i].size, map[i].type);
	if (!bp[0x1e8]) {
		map_entry(bi, 0, 0x9f000, E820_RAM);
		map_entry(bi, 1u << 20, (u64)bp32(bp, 0x1e0) << 10, E820_RAM);
	}
	bi->initrd_start = bp32(bp, 0x218) | (u64)bp32(bp, 0xc0) << 32;
	bi->initrd_size = bp32(bp, 0x21c) | (u64)bp32(bp, 0xc4) << 32;
	boot_cmdline_at = bp32(bp, 0x228) | (u64)bp32(bp, 0xc8) << 32;
	bi->rsdp = bp32(bp, 0x70) | (u64)bp32(bp, 0x74) << 32;
}

static INIT_TEXT void reserve(struct bootinfo *bi, u64 start, u64 end)
{
	reserved_add(bi, ALIGN_DOWN(start, PAGE_SIZE), ALIGN_UP(end, PAGE_SIZE));
}

static INIT_TEXT void copy_cmdline(struct bootinfo *bi)
{
	const char *text = early_ptr(boot_cmdline_at, 1);
	char *copy;
	usize len;

	bi->cmdline = "";
	if (!text)
		return;
	len = strnlen(text, MIN((u64)CMDLINE_MAX, EARLY_MAX - boot_cmdline_at));
	/* boot_alloc() clears what it gives: keep it off the source. */
	reserve(bi, boot_cmdline_at, boot_cmdline_at + len + 1);
	copy = mmu_phys_to_virt(boot_alloc(bi, len + 1));
	memcpy(copy, text, len);
	bi->cmdline = copy;
}

/* A boot that fails from here on ends as panic= asks. */
static INIT_TEXT void read_panic_option(void)
{
	const char *text = early_ptr(boot_cmdline_at, 1);

	if (text && strnlen(text, CMDLINE_MAX) < CMDLINE_MAX) {
		cmdline_init(text);
		panic_read_cmdline();
		cmdline_init("");
	}
}

static INIT_TEXT void settle_map(struct bootinfo *bi)
{
	u64 image = image_phys(__image_start), end = image_phys(__image_end);

	for (u32 i = 0; i < boot_n_not_ram; i++)
		region_remove(bi->ram, &bi->nram, boot_not_ram[i].start, boot_not_ram[i].end);
	if (!region_covers(bi->ram, bi->nram, image, end))
		panic_boot("too little memory: the kernel itself needs RAM up to %llu KiB", (unsigned long long)end >> 10);
	reserve(bi, 0, PAGE_SIZE);
	reserve(bi, image, end);
	if (bi->initrd_size && region_covers(bi->ram, bi->nram, ALIGN_DOWN(bi->initrd_start, PAGE_SIZE),
					     ALIGN_UP(bi->initrd_start + bi->initrd_size, PAGE_SIZE)))
		reserve(bi, bi->initrd_start, bi->initrd_start + bi->initrd_size);
	else
		bi->initrd_start = bi->initrd_size = 0;
	copy_cmdline(bi);
}

static INIT_TEXT u64 choose_canary(void)
{
	u64 r = 0, tsc;

	__asm__ volatile("rdtsc; shl $32, %%rdx; or %%rdx, %0" : "=a"(tsc) :: "rdx");
	arch_hw_random(&r);
	r ^= tsc * 0x9e3779b97f4a7c15ull;
	return r & ~0xffull;		/* a NUL stops string overruns */
}

static INIT_TEXT void boot_call_main(void *arg) { kernel_main(arg); }

/* No protector here: this is where the canary changes. */
NORETURN INIT_TEXT __attribute__((no_stack_protector)) void boot_main(u64 protocol, u64 params);
void boot_main(u64 protocol, u64 params)
{
	struct bootinfo *bi = &boot_info;

	percpu_offsets[0] = (u64)__percpu_load;
	*arch_per_cpu_ptr(&percpu_self_offset, 0) = (u64)__percpu_load;
	serial_early_init();
	cpu_detect();
	((struct percpu_head *)__percpu_load)->canary = choose_canary();
	bi->protocol = proto_names[protocol];
	if (protocol == PROTO_PVH)
		parse_pvh(bi, params);
	else
		parse_linux(bi, params);
	read_panic_option();
	settle_map(bi);
	arch_init_early(bi);
	stack_switch_call(cpu_area_stack_top(0), boot_call_main, bi);
}

INIT_TEXT void arch_init_early(struct bootinfo *bi)
{
	cpu_patch_smap();
	extable_sort();
	fpu_init_boot();
	cpu_setup();
	trap_init();
	desc_init_cpu(0);
	smp_init_early(bi);
	mmu_build(bi);
	mmu_init_cpu();
	platform_init(bi);
	percpu_init_areas(bi, platform.ncpus);
	for (u32 c = 0; c < platform.ncpus; c++)
		cpu_area_init(bi, c);
	desc_set_rsp0(cpu_area_stack_top(0));
}

INIT_TEXT void arch_init_late(void)
{
	pic_mask_all();
	lapic_init();
	ioapic_init();
	clock_calibrate();
}
