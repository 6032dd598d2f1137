/*
 * The frame array: one struct page per frame, backed only where RAM exists.
 *
 * Frames come in chunks of 32 MiB.  The array's memory for every chunk with RAM
 * is set aside and mapped at boot; its contents are initialised at boot only
 * for chunks that hold reserved pieces (kernel, initramfs), and otherwise when
 * the allocator needs them.  Boot time thus does not grow with RAM.
 *
 * A zeroed struct page is a free frame that is on no list: bringing a chunk
 * online is one memset and a few list insertions.
 */
#include <arch/machine.h>
#include <base/bitmap.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/panic.h>
#include "mem_internal.h"

#define CHUNK_BYTES (FRAMES_CHUNK * sizeof(struct page))
#define CHUNK_REGIONS (FRAMES_CHUNK >> BUDDY_REGION)
#define REGION_FRAMES (1ul << BUDDY_REGION)
_Static_assert(FRAMES_CHUNK >= 1ul << PAGE_MAX_ORDER, "a block never crosses a chunk");
_Static_assert(CHUNK_BYTES % PAGE_SIZE == 0, "chunks of the array are whole pages");

#define LOW_MEMORY (1ull << 20)		/* firmware's and the CPU start-up trampoline's */
#define RAM_NEEDED (8ull << 20)

static struct boot_region frames_ram[BOOT_MAX_REGIONS];	/* frame numbers; const after mem_init */
static u32 frames_nram;
static u64 frames_nchunks;
static u64 *chunk_present;		/* has RAM; const after mem_init */
static u64 *chunk_online;		/* zone lock to write */
static u64 chunk_cursor;		/* first chunk that may be offline; zone lock */

static void region_sort(struct boot_region *r, u32 *n)
{
	u32 out = 0;

	for (u32 i = 1; i < *n; i++)
		for (u32 j = i; j > 0 && r[j].start < r[j - 1].start; j--) {
			struct boot_region t = r[j];

			r[j] = r[j - 1];
			r[j - 1] = t;
		}
	for (u32 i = 0; i < *n; i++) {
		if (r[i].start >= r[i].end)
			continue;
		if (out && r[i].start <= r[out - 1].end)
			r[out - 1].end = MAX(r[out - 1].end, r[i].end);
		else
			r[out++] = r[i];
	}
	*n = out;
}

/* Keeps the list sorted and merged, as boot_alloc() needs it. */
static void region_reserve(struct bootinfo *bi, u64 start, u64 end)
{
	if (bi->nreserved == BOOT_MAX_REGIONS)
		panic_boot("memory map has too many reserved pieces");
	bi->reserved[bi->nreserved++] = (struct boot_region){ start, end };
	region_sort(bi->reserved, &bi->nreserved);
}

/* First address at or after start where [a, a + size) is not reserved. */
static u64 carve_skip(const struct bootinfo *bi, u64 start, u64 size, u64 align)
{
	bool moved = true;

	start = ALIGN_UP(start, align);
	while (moved) {
		moved = false;
		for (u32 i = 0; i < bi->nreserved; i++) {
			const struct boot_region *r = &bi->reserved[i];

			if (start < r->end && start + size > r->start) {
				start = ALIGN_UP(r->end, align);
				moved = true;
			}
		}
	}
	return start;
}

static u64 carve_try(struct bootinfo *bi, u64 size, u64 align)
{
	for (u32 i = 0; i < bi->nram; i++) {
		u64 at = carve_skip(bi, MAX(bi->ram[i].start, LOW_MEMORY), size, align);

		if (at + size <= bi->ram[i].end) {
			region_reserve(bi, at, at + size);
			return at;
		}
	}
	return 0;
}

static u64 carve(struct bootinfo *bi, u64 size, u64 align)
{
	u64 at = carve_try(bi, size, align);

	if (!at)
		panic_boot("not enough memory: no room for %llu KiB of frame descriptors",
			   (unsigned long long)(size >> 10));
	return at;
}

static void frames_find_chunks(struct bootinfo *bi) MUST_HOLD(&mem_zone.lock)
{
	u64 words, regions, bytes;

	frames_nram = bi->nram;
	for (u32 i = 0; i < bi->nram; i++) {
		frames_ram[i].start = ALIGN_UP(bi->ram[i].start, PAGE_SIZE) >> PAGE_SHIFT;
		frames_ram[i].end = bi->ram[i].end >> PAGE_SHIFT;
	}
	region_sort(frames_ram, &frames_nram);
	if (!frames_nram)
		panic_boot("not enough memory: the memory map is empty");
	frames_nchunks = DIV_ROUND_UP(frames_ram[frames_nram - 1].end, FRAMES_CHUNK);
	words = BITMAP_WORDS(frames_nchunks);
	regions = frames_nchunks * CHUNK_REGIONS;
	bytes = (words * 2 + BITMAP_WORDS(regions)) * sizeof(u64) + regions;
	chunk_present = mmu_phys_to_virt(PADDR(carve(bi, ALIGN_UP(bytes, PAGE_SIZE), PAGE_SIZE)));
	chunk_online = chunk_present + words;
	memset(chunk_present, 0, bytes);
	mem_zone.compact.regions = regions;
	mem_zone.compact.stuck = chunk_online + words;
	buddy_init(&mem_zone.buddy, (u8 *)(mem_zone.compact.stuck + BITMAP_WORDS(regions)));
	for (u32 i = 0; i < frames_nram; i++)
		for (u64 c = frames_ram[i].start >> FRAMES_CHUNK_SHIFT;
		     c <= (frames_ram[i].end - 1) >> FRAMES_CHUNK_SHIFT; c++)
			bitmap_set(chunk_present, c);
}

#ifndef SAKER_HOST
static void frames_map_small(struct bootinfo *bi, u64 va, u64 bytes)
{
	u64 pa = carve(bi, bytes, PAGE_SIZE);

	for (u64 o = 0; o < bytes; o += PAGE_SIZE)
		if (mmu_kernel_map(va + o, PFN((pa + o) >> PAGE_SHIFT), KERNEL_PAGE_BITS))
			panic_boot("not enough memory to map the frame array");
}

/* Maps [va, va + bytes), both 2 MiB-aligned; false when no aligned piece of RAM is left. */
static bool frames_map_huge(struct bootinfo *bi, u64 va, u64 bytes)
{
	u64 pa = carve_try(bi, bytes, HUGE_SIZE);

	if (!pa)
		return false;
	for (u64 o = 0; o < bytes; o += HUGE_SIZE)
		if (mmu_kernel_map_huge(va + o, PFN((pa + o) >> PAGE_SHIFT), KERNEL_PAGE_BITS))
			panic_boot("not enough memory to map the frame array");
	return true;
}

/* Backs the array for the chunks [c, end), all with RAM. */
static void frames_map_run(struct bootinfo *bi, u64 c, u64 end)
{
	u64 va = VMEMMAP_BASE + c * CHUNK_BYTES;
	u64 stop = VMEMMAP_BASE + end * CHUNK_BYTES;
	u64 huge = MIN(ALIGN_UP(va, HUGE_SIZE), stop);
	u64 tail = MAX(ALIGN_DOWN(stop, HUGE_SIZE), huge);

	if (huge > va)
		frames_map_small(bi, va, huge - va);
	if (tail > huge && !frames_map_huge(bi, huge, tail - huge))
		frames_map_small(bi, huge, tail - huge);
	if (stop > tail)
		frames_map_small(bi, tail, stop - tail);
}

static void frames_map(struct bootinfo *bi)
{
	for (u64 c = 0; c < frames_nchunks;) {
		u64 start = bitmap_find_set(chunk_present, frames_nchunks, c);
		u64 end = bitmap_find_clear(chunk_present, frames_nchunks, start);

		if (start < end)
			frames_map_run(bi, start, end);
		c = end;
	}
}
#else
/* The host has page_array already: all of it, for the simulated RAM. */
static void frames_map(struct bootinfo *bi) {}
#endif

/* Marks [start, end) of an online chunk as not the allocator's. */
static void frames_mark_reserved(u64 start, u64 end)
{
	for (u64 f = start; f < end; f++) {
		struct page *pg = pfn_to_page(PFN(f));

		atomic_set(&pg->refs, 1);
		pg->use = PAGE_RESERVED;
	}
}

/* Frees the part of RAM in [start, end) and marks the holes; res (sorted, frames) is left out. */
static void frames_free_parts(u64 start, u64 end, const struct boot_region *res, u32 nres) MUST_HOLD(&mem_zone.lock)
{
	u64 at = start;

	for (u32 i = 0; i < frames_nram && at < end; i++) {
		u64 lo = MAX(frames_ram[i].start, at);
		u64 hi = MIN(frames_ram[i].end, end);

		if (lo >= hi)
			continue;
		frames_mark_reserved(at, lo);
		for (u32 j = 0; j < nres && lo < hi; j++) {
			u64 rs = MAX(res[j].start, lo);
			u64 re = MIN(res[j].end, hi);

			if (rs >= re)
				continue;
			buddy_free_range(&mem_zone.buddy, lo, rs);
			frames_mark_reserved(rs, re);
			lo = re;
		}
		buddy_free_range(&mem_zone.buddy, lo, hi);
		at = hi;
	}
	frames_mark_reserved(at, end);
}

/* A region where a piece begins or ends can never be one block: what stays may have the rest.  No frame of c is on a list yet. */
static void chunk_mark_edges(u64 c, const struct boot_region *piece, u32 n) MUST_HOLD(&mem_zone.lock)
{
	for (u32 i = 0; i < n; i++) {
		if (piece[i].start >> FRAMES_CHUNK_SHIFT == c && piece[i].start % REGION_FRAMES)
			mem_zone.buddy.group[piece[i].start >> BUDDY_REGION] = GROUP_FIXED;
		if (piece[i].end >> FRAMES_CHUNK_SHIFT == c && piece[i].end % REGION_FRAMES)
			mem_zone.buddy.group[piece[i].end >> BUDDY_REGION] = GROUP_FIXED;
	}
}

static void chunk_bring_online(u64 c, const struct boot_region *res, u32 nres) MUST_HOLD(&mem_zone.lock)
{
	memset(pfn_to_page(PFN(c << FRAMES_CHUNK_SHIFT)), 0, CHUNK_BYTES);
	chunk_mark_edges(c, frames_ram, frames_nram);
	chunk_mark_edges(c, res, nres);
	frames_free_parts(c << FRAMES_CHUNK_SHIFT, (c + 1) << FRAMES_CHUNK_SHIFT, res, nres);
	bitmap_set_atomic(chunk_online, c);
}

bool frames_online_next(void)
{
	u64 before = mem_zone.buddy.nfree;

	for (u64 c = chunk_cursor; c < frames_nchunks; c++) {
		if (!bitmap_test(chunk_present, c) || bitmap_test(chunk_online, c))
			continue;
		chunk_cursor = c + 1;
		chunk_bring_online(c, NULL, 0);
		mem_zone.deferred -= mem_zone.buddy.nfree - before;
		return true;
	}
	chunk_cursor = frames_nchunks;
	return false;
}

u64 page_frames_end(void)
{
	return frames_ram[frames_nram - 1].end;
}

bool page_chunk_online(pfn_t f)
{
	u64 c = f.v >> FRAMES_CHUNK_SHIFT;

	return c < frames_nchunks && bitmap_test(chunk_online, c);
}

bool pfn_valid(pfn_t f)
{
	if (!page_chunk_online(f))
		return false;
	for (u32 i = 0; i < frames_nram; i++)
		if (f.v >= frames_ram[i].start && f.v < frames_ram[i].end)
			return true;
	return false;
}

static u64 frames_count_ram(void)
{
	u64 n = 0;

	for (u32 i = 0; i < frames_nram; i++)
		n += frames_ram[i].end - frames_ram[i].start;
	return n;
}

/* Frames of RAM that the reserved pieces cover. */
static u64 frames_count_reserved(const struct boot_region *res, u32 nres)
{
	u64 n = 0;

	for (u32 i = 0; i < frames_nram; i++)
		for (u32 j = 0; j < nres; j++) {
			u64 lo = MAX(frames_ram[i].start, res[j].start);
			u64 hi = MIN(frames_ram[i].end, res[j].end);

			if (lo < hi)
				n += hi - lo;
		}
	return n;
}

static struct boot_region frames_reserved[BOOT_MAX_REGIONS] INIT_DATA;

/* Tables of the kernel half are never freed. */
static paddr_t table_source(void)
{
	struct page *pg = page_alloc(0, PAGE_TABLE, ALLOC_ZERO | ALLOC_ATOMIC);

	return pg ? page_to_paddr(pg) : PADDR(0);
}

void mem_init(struct bootinfo *bi)
{
	struct boot_region *res = frames_reserved;
	u32 nres;

	region_reserve(bi, 0, LOW_MEMORY);
	spin_init(&mem_zone.lock, LR_ZONE);
	spin_unshared(&mem_zone.lock);
	frames_find_chunks(bi);
	frames_map(bi);
	nres = bi->nreserved;
	for (u32 i = 0; i < nres; i++) {
		res[i].start = bi->reserved[i].start >> PAGE_SHIFT;
		res[i].end = ALIGN_UP(bi->reserved[i].end, PAGE_SIZE) >> PAGE_SHIFT;
	}
	region_sort(res, &nres);
	mem_zone.total = frames_count_ram() - frames_count_reserved(res, nres);
	if (mem_zone.total < RAM_NEEDED >> PAGE_SHIFT)
		panic_boot("not enough memory: %llu KiB usable, %llu KiB needed",
			   (unsigned long long)(mem_zone.total << 2), RAM_NEEDED >> 10);
	for (u32 i = 0; i < nres; i++)
		for (u64 c = res[i].start >> FRAMES_CHUNK_SHIFT;
		     c < frames_nchunks && c <= (res[i].end - 1) >> FRAMES_CHUNK_SHIFT; c++)
			if (bitmap_test(chunk_present, c) && !bitmap_test(chunk_online, c))
				chunk_bring_online(c, res, nres);
	mem_zone.deferred = mem_zone.total - mem_zone.buddy.nfree;
	page_zone_init();
	mmu_set_table_source(table_source);
}

void mem_free_boot_range(u64 start, u64 end)
{
	start = ALIGN_UP(start, PAGE_SIZE) >> PAGE_SHIFT;
	end >>= PAGE_SHIFT;
	if (start < end)
		page_release_reserved(start, end);
}

u64 mem_total_pages(void)
{
	return READ_ONCE(mem_zone.total);
}

u64 mem_reserve_pages(void)
{
	return mem_zone.min;
}
