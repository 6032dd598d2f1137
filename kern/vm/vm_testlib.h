/*
 * For the tests of this directory and tests/model: user accesses as the
 * processor would make them, and a space's audit.
 */
#pragma once

#include <base/fmt.h>
#include <test/test.h>

#include "vm.h"

#define RW (VM_READ | VM_WRITE)

/* What the walk of the hardware would find: NULL when it would fault. */
static inline u8 *walk_access(struct aspace *as, u64 va, u32 want)
{
	pte_t *dir = pgtable_dir_slot(as, va, NULL);

	if (!dir || !pte_present(*dir))
		return NULL;
	pte_t e = pte_huge(*dir) ? pte_of_huge(*dir, va) : *leaf_slot(pte_page(*dir), va);

	if (!pte_present(e) || (want == VM_WRITE && !(pte_writable(e) && pte_writable(*dir))) ||
	    (want == VM_EXEC && e.v & PTE_NX))
		return NULL;
	if (want == VM_WRITE && !pte_huge(*dir))
		leaf_slot(pte_page(*dir), va)->v |= PTE_DIRTY;
	return (u8 *)page_addr(pte_page(e)) + (va & ~PAGE_MASK);
}

/* One access with its faults: where the byte is, or NULL and *err. */
static inline u8 *user_access(struct aspace *as, u64 va, u32 want, int *err)
{
	for (u32 tries = 0; tries < 8; tries++) {
		u8 *p = walk_access(as, va, want);

		if (p)
			return p;
		*err = vm_fault(as, va, want, tries & 1);
		if (*err)
			return NULL;
	}
	panic("fault at %#llx does not resolve", (unsigned long long)va);
}

static inline int user_peek(struct aspace *as, u64 va)
{
	int err = 0;
	u8 *p = user_access(as, va, VM_READ, &err);

	return p ? *p : err;
}

static inline int user_poke(struct aspace *as, u64 va, u8 byte)
{
	int err = 0;
	u8 *p = user_access(as, va, VM_WRITE, &err);

	if (p)
		*p = byte;
	return p ? 0 : err;
}

static inline i64 map_at(struct aspace *as, u64 addr, u64 len, u32 flags)
{
	return aspace_map(as, &(struct map_request){ .addr = addr, .len = len, .flags = flags, .fixed = addr != 0 });
}

static inline i64 map_object(struct aspace *as, u64 addr, u64 len, u32 flags, struct vm_object *obj, u64 off)
{
	return aspace_map(as, &(struct map_request){ .addr = addr, .len = len, .flags = flags, .fixed = addr != 0,
						     .obj = obj, .off = off });
}

/* Areas as "start-end:flags" in pages of 4 KiB relative to base, for comparing. */
static inline void describe_areas(struct aspace *as, u64 base, char *buf, usize size)
{
	buf[0] = 0;
	for (struct area *a = area_find(as, 0); a; a = area_next(a)) {
		usize n = strlen(buf);

		fmt_scnprintf(buf + n, size - n, "%llx-%llx%s%s%s ", (unsigned long long)((a->start - base) >> PAGE_SHIFT),
			  (unsigned long long)((a->end - base) >> PAGE_SHIFT), a->flags & VM_READ ? "r" : "",
			  a->flags & VM_WRITE ? "w" : "", a->flags & VM_SHARED ? "s" : "");
	}
}
