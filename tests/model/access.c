/*
 * One access: by the program, with its faults, or from outside.
 */
#include <arch/upcall.h>
#include "model.h"

struct words *ref_backing(struct ref_page *p)
{
	static struct words zero;

	zero = (struct words){ { 0, 0 } };
	if (p->file < 0 || p->rest == REST_ZERO)
		return &zero;
	if (p->rest == REST_PARTIAL)
		zero.w[0] = ref.file[p->file].page[p->pgoff].w[0];
	return p->rest == REST_PARTIAL ? &zero : &ref.file[p->file].page[p->pgoff];
}

int ref_access(u32 s, u32 page, u32 want, bool force, struct words **out)
{
	struct ref_page *p = &ref.page[s][page];

	if (!p->mapped)
		return -EFAULT;
	if (want == VM_WRITE && !(p->prot & VM_WRITE) && !(force && !p->shared))
		return -EACCES;
	if (want == VM_READ && !p->prot && !force)
		return -EACCES;
	if (!p->has && p->file >= 0 && p->rest != REST_ZERO && (u64)p->pgoff << PAGE_SHIFT >= ref.file[p->file].size)
		return -EIO;
	bool copies = !p->shared && !p->has && (want == VM_WRITE || (p->file >= 0 && p->rest == REST_PARTIAL));

	if (copies) {
		p->own = *ref_backing(p);
		p->has = true;
	}
	*out = p->has ? &p->own : ref_backing(p);
	return 0;
}

static u8 *access_page(struct aspace *as, u64 va, u32 want, int *err)
{
	for (u32 tries = 0; tries < 10; tries++) {
		u8 *p = machine_access(va, want == VM_WRITE);

		if (p)
			return p;
		*err = vm_fault_user(va, (want == VM_WRITE ? 2 : 0) | (pte_present(pgtable_lookup_entry(as, va, &(u32){ 0 })) ? 1 : 0), true);
		if (*err)
			return NULL;
	}
	panic("fault at %#lx does not resolve", va);
}

void do_access(u32 s, u32 page, u32 want, bool may_fail)
{
	struct words *w = NULL;
	struct ref_page saved = ref.page[s][page];
	int err = 0, expect = ref_access(s, page, want, false, &w);
	u32 half = (u32)below(2);
	u8 *p = access_page(space[s], page_va(page) + half * HALF, want, &err);

	if (may_fail && err == -ENOMEM) {
		ref.page[s][page] = saved;
		return;
	}
	EXPECT(err, expect);
	if (!p)
		return;
	EXPECT(*(u32 *)p, w->w[half]);
	if (want == VM_WRITE)
		*(u32 *)p = w->w[half] = ++stamp;
}

static u32 live_space(void)
{
	for (;;) {
		u32 s = (u32)below(nspaces);

		if (space[s])
			return s;
	}
}

u32 enter_space(void)
{
	u32 s = live_space(), cpu = (u32)below(MODEL_CPUS);

	if (chance(5))
		machine_run((u32)below(MODEL_CPUS), NULL);
	machine_run(cpu, space[s]);
	return s;
}

void op_access(u32 s)
{
	u32 page = pick_page(), want = chance(page < HUGE_FIRST ? 50 : 75) ? VM_WRITE : VM_READ;
	bool fails = chance(3);

	DOING("space %u %s page %u%s", s, want == VM_WRITE ? "writes" : "reads", page, fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(3));
	do_access(s, page, want, fails);
	host_fail_at(~0u);
}

void op_access_foreign(u32 s)
{
	u32 page = pick_page(), half = (u32)below(2), value = ++stamp, got;
	bool write = chance(50), force = chance(50);
	struct words *w = NULL;
	int expect = ref_access(s, page, write ? VM_WRITE : VM_READ, force, &w);

	DOING("space %u page %u is %s from outside%s", s, page, write ? "written" : "read", force ? " by force" : "");
	machine_run(model_cpu, NULL);
	i64 n = aspace_access(space[s], page_va(page) + half * HALF, write ? &value : &got, 4, write, force);

	EXPECT(n, expect ? -EIO : 4);
	if (n == 4 && write)
		w->w[half] = value;
	else if (n == 4)
		EXPECT(got, w->w[half]);
}
