/*
 * The boot memory map: sorted, disjoint lists of page-aligned regions, and the
 * first allocator, which takes from the bottom up (everything it gives lies
 * within the 4 GiB that the boot tables map, as long as there is RAM there).
 */
#include <base/string.h>
#include <core/panic.h>
#include <x86_64/arch.h>

/* Adds [start, end), merging with what it touches.  When the list is full the region is dropped. */
void region_add(struct boot_region *r, u32 *n, u64 start, u64 end)
{
	u32 i = 0, j;

	if (start >= end)
		return;
	while (i < *n && r[i].end < start)
		i++;
	for (j = i; j < *n && r[j].start <= end; j++) {
		start = MIN(start, r[j].start);
		end = MAX(end, r[j].end);
	}
	if (i == j) {
		if (*n == BOOT_MAX_REGIONS)
			return;
		memmove(&r[i + 1], &r[i], (*n - i) * sizeof(*r));
		++*n;
	} else {
		memmove(&r[i + 1], &r[j], (*n - j) * sizeof(*r));
		*n -= j - i - 1;
	}
	r[i] = (struct boot_region){ start, end };
}

/* Takes [start, end) out.  When a split finds the list full the upper part is lost. */
void region_remove(struct boot_region *r, u32 *n, u64 start, u64 end)
{
	for (u32 i = 0; i < *n && start < end;) {
		u64 s = r[i].start, e = r[i].end;

		if (e <= start || s >= end) {
			i++;
		} else if (s < start) {
			r[i++].end = start;
			if (e > end && *n < BOOT_MAX_REGIONS) {
				memmove(&r[i + 1], &r[i], (*n - i) * sizeof(*r));
				r[i++] = (struct boot_region){ end, e };
				++*n;
			}
		} else if (e > end) {
			r[i++].start = end;
		} else {
			memmove(&r[i], &r[i + 1], (*n - i - 1) * sizeof(*r));
			--*n;
		}
	}
}

bool region_covers(const struct boot_region *r, u32 n, u64 start, u64 end)
{
	for (u32 i = 0; i < n; i++)
		if (r[i].start <= start && end <= r[i].end)
			return true;
	return false;
}

/* First address at or above at that [a, a + size) is not reserved.  The list need not be sorted. */
static u64 skip_reserved(const struct bootinfo *bi, u64 at, u64 size)
{
	for (u32 j = 0; j < bi->nreserved; j++) {
		if (bi->reserved[j].start < at + size && bi->reserved[j].end > at) {
			at = bi->reserved[j].end;
			j = ~0u;		/* from the start */
		}
	}
	return at;
}

/* First gap of size bytes in RAM at or above from and below limit; 0: none. */
static u64 find_gap(const struct bootinfo *bi, u64 size, u64 from, u64 limit)
{
	for (u32 i = 0; i < bi->nram; i++) {
		u64 at = MAX(bi->ram[i].start, from), end = MIN(bi->ram[i].end, limit);

		at = skip_reserved(bi, at, size);
		if (at < end && end - at >= size)
			return at;
	}
	return 0;
}

/* Grows a piece that touches, else appends. */
void reserved_add(struct bootinfo *bi, u64 start, u64 end)
{
	for (u32 j = 0; j < bi->nreserved; j++) {
		struct boot_region *r = &bi->reserved[j];

		if (start <= r->end && end >= r->start) {
			r->start = MIN(r->start, start);
			r->end = MAX(r->end, end);
			return;
		}
	}
	if (bi->nreserved == BOOT_MAX_REGIONS)
		panic_boot("too many reserved pieces of memory");
	bi->reserved[bi->nreserved++] = (struct boot_region){ start, end };
}

paddr_t boot_alloc(struct bootinfo *bi, u64 size)
{
	u64 at;

	size = ALIGN_UP(MAX(size, (u64)1), PAGE_SIZE);
	at = find_gap(bi, size, 1u << 20, ~0ull);
	if (!at)
		panic_boot("too little memory: no %llu KiB for the kernel's tables", (unsigned long long)size >> 10);
	reserved_add(bi, at, at + size);
	memset(mmu_phys_to_virt(PADDR(at)), 0, size);
	return PADDR(at);
}

u64 boot_find_low_page(struct bootinfo *bi)
{
	u64 at = find_gap(bi, PAGE_SIZE, PAGE_SIZE, 0x9f000);

	if (at)
		reserved_add(bi, at, at + PAGE_SIZE);
	return at;
}
