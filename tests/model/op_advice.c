/* Advice, locks, collapse; and what /proc measures. */
#include <vm/huge.h>

#include "model.h"

static int ref_advise_page(u32 s, u32 i, u32 advice)
{
	struct ref_page *p = &ref.page[s][i];

	switch (advice) {
	case 4: case 8:
		if (p->locked || (advice == 8 && p->file >= 0))
			return -EINVAL;
		p->has = false;
		return 0;
	case 9:
		if (p->locked || p->file < 0)
			return -EINVAL;
		if (!p->shared || !(p->prot & VM_WRITE))
			return -EACCES;
		ref.file[p->file].page[p->pgoff] = (struct words){ { 0, 0 } };
		return 0;
	case 10: p->dontfork = true; return 0;
	case 11: p->dontfork = false; return 0;
	case 18:
		if (p->file >= 0)
			return -EINVAL;
		p->wipe = true;
		return 0;
	case 19: p->wipe = false; return 0;
	default: return 0;
	}
}

static int ref_populate_advice(u32 s, u32 first, u32 n, u32 want)
{
	for (u32 i = first; i < first + n; i++) {
		struct words *w;
		int err = ref_access(s, i, want, false, &w);

		if (err)
			return err == -EFAULT ? -ENOMEM : err == -EACCES ? -EINVAL : -EFAULT;
	}
	return 0;
}

void op_advise(u32 s)
{
	static const u32 advices[] = { 4, 4, 4, 8, 9, 10, 11, 11, 18, 19, 19, 14, 14, 15, 22, 23 };
	u32 first, n, advice = advices[below(ARRAY_LEN(advices))];
	int expect = 0, hole = 0;

	pick_run(&first, &n, 12);
	DOING("space %u advises %u on %u+%u", s, advice, first, n);
	if (advice == 22 || advice == 23) {
		expect = ref_populate_advice(s, first, n, advice == 22 ? VM_READ : VM_WRITE);
	} else {
		for (u32 i = first; i < first + n && !expect; i++) {
			if (ref.page[s][i].mapped)
				expect = ref_advise_page(s, i, advice);
			else
				hole = -ENOMEM;
		}
	}
	EXPECT(aspace_advise(space[s], page_va(first), n * PAGE_SIZE, (int)advice), expect ? expect : hole);
}

/* Content stays; what the answer is depends on who shares which frame. */
void op_collapse(u32 s)
{
	u32 block = (u32)below(BLOCKS);
	i64 got;

	DOING("space %u collapses block %u", s, block);
	got = aspace_advise(space[s], page_va(HUGE_FIRST + MARGIN + block * HUGE_PAGES), HUGE_SIZE, 25);
	if (got && got != -EINVAL && got != -EAGAIN && got != -ENOMEM)
		panic("collapse: %ld", got);
}

/* Frames move; nobody sees it. */
void op_compact(u32 s)
{
	DOING("private frames are moved together");
	DISCARD(vm_compact());
}

void op_lock(u32 s)
{
	u32 first, n, i;
	bool lock = chance(40);

	pick_run(&first, &n, 12);
	for (i = first; i < first + n && ref.page[s][i].mapped; i++)
		ref.page[s][i].locked = lock;
	DOING("space %u %s %u+%u", s, lock ? "locks" : "unlocks", first, n);
	EXPECT(aspace_lock_range(space[s], page_va(first), n * PAGE_SIZE, lock, true), i == first + n ? 0 : -ENOMEM);
}

void op_measure(u32 s)
{
	struct area_usage u;

	DOING("space %u is measured", s);
	aspace_area_usage(space[s], page_va(0), page_va(LOW_PAGES - 1) + PAGE_SIZE, &u);
	aspace_area_usage(space[s], page_va(HUGE_FIRST), page_va(PAGES - 1) + PAGE_SIZE, &u);
	EXPECT(u.huge % HUGE_SIZE, 0);
	EXPECT(u.private_dirty + u.shared_dirty + u.private_clean + u.shared_clean, u.rss);
	(void)aspace_rss_pages(space[s]);
}
