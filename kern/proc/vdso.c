/*
 * The vDSO in a new address space: [vvar], one page that the clock keeps, and
 * right above it [vdso], the code.  The pages are one object that lives as long
 * as the kernel; programs map it privately, so a debugger that plants a
 * breakpoint gets a copy.
 */
#include <arch/vdso.h>
#include <core/clock.h>
#include "exec.h"

#define CODE_SIZE ((u64)(vdso_image_end - vdso_image))

static struct vm_object *pages;		/* const after boot */

static INIT_TEXT struct page *own_page(u64 index)
{
	struct page *pg;

	if (pagecache_get_write(pages, index, &pg))
		panic("no memory for the vDSO");
	return pg;			/* the reference stays: the page may never go */
}

INIT_TEXT void vdso_init(void)
{
	pages = vm_object_create_anon(PAGE_SIZE + CODE_SIZE);
	if (!pages)
		panic("no memory for the vDSO");
	clock_vdso_attach(page_addr(own_page(0)));
	for (u64 i = 0; i < CODE_SIZE / PAGE_SIZE; i++)
		memcpy(page_addr(own_page(i + 1)), vdso_image + i * PAGE_SIZE, PAGE_SIZE);
}

static int map_part(struct aspace *as, u64 addr, u64 off, u64 len, u32 flags)
{
	struct map_request rq = {
		.addr = addr, .len = len, .flags = flags | VM_VDSO, .fixed = true, .noreplace = true, .obj = pages, .off = off,
	};
	i64 at;

	vm_object_get(pages);
	at = aspace_map(as, &rq);
	vm_object_put(pages);
	return at < 0 ? (int)at : 0;
}

static int map_both(struct aspace *as, u64 addr)
{
	int err = map_part(as, addr, 0, PAGE_SIZE, VM_READ | VM_MAYREAD | VM_DONTDUMP);

	if (err)
		return err;
	err = map_part(as, addr + PAGE_SIZE, PAGE_SIZE, CODE_SIZE, VM_READ | VM_EXEC | VM_MAY);
	if (err)
		return aspace_unmap(as, addr, PAGE_SIZE) ?: err;
	return 0;
}

/* Above the stack, in the same 2 MiB if it can be, as on Linux; 0: no room there. */
static u64 place_above_stack(const struct exec_ctx *x)
{
	u64 from = ALIGN_UP(x->as->stack_top, PAGE_SIZE), len = PAGE_SIZE + CODE_SIZE;
	u64 end = MIN(ALIGN_UP(from, 2ull << 20), USER_TOP);

	if (end - from < len)
		return 0;
	return from + (u32)x->rnd % ((end - from - len) / PAGE_SIZE + 1) * PAGE_SIZE;
}

/* Where there is room anywhere. */
static i64 place_anywhere(struct aspace *as)
{
	struct map_request rq = { .len = PAGE_SIZE + CODE_SIZE };
	i64 at = aspace_map(as, &rq);
	int err = at < 0 ? 0 : aspace_unmap(as, (u64)at, rq.len);

	return err ? err : at;
}

int exec_map_vdso(struct exec_ctx *x)
{
	u64 above = place_above_stack(x);
	int err = above ? map_both(x->as, above) : -EEXIST;
	i64 at = (i64)above;

	if (err == -EEXIST) {
		at = place_anywhere(x->as);
		err = at < 0 ? (int)at : map_both(x->as, (u64)at);
	}
	x->vdso = err ? 0 : (u64)at + PAGE_SIZE;
	return err;
}
