/* The set of areas: map, unmap, protect, move, resize. */
#include "model.h"

void ref_unmap(u32 s, u32 first, u32 n)
{
	memset(&ref.page[s][first], 0, n * sizeof(struct ref_page));
}

void ref_map(u32 s, const struct ref_mapping *m)
{
	for (u32 i = 0; i < m->n; i++)
		ref.page[s][m->first + i] = (struct ref_page){
			.mapped = true, .shared = m->shared, .prot = (u8)m->prot, .file = (i8)m->file, .pgoff = m->pgoff + i,
			.rest = !m->rest || i + 1 < m->rest ? REST_NONE : i + 1 == m->rest ? REST_PARTIAL : REST_ZERO,
		};
}

/* As aspace_populate: to the first page that cannot be had. */
static void ref_populate(u32 s, u32 first, u32 n)
{
	for (u32 i = first; i < first + n; i++) {
		struct ref_page *p = &ref.page[s][i];
		struct words *w;

		if (!p->mapped || !p->prot)
			continue;
		if (ref_access(s, i, p->prot & VM_WRITE && !p->shared ? VM_WRITE : VM_READ, false, &w))
			return;
	}
}

static u32 random_prot(void)
{
	static const u32 prots[] = { (VM_READ | VM_WRITE), (VM_READ | VM_WRITE), (VM_READ | VM_WRITE), VM_READ, VM_READ, VM_READ | VM_EXEC, 0, VM_WRITE };

	return prots[below(ARRAY_LEN(prots))];
}

void op_map(u32 s)
{
	u32 first, n, prot = random_prot();

	pick_run(&first, &n, 24);
	if (n > 24 && chance(70))
		prot = VM_READ | VM_WRITE;
	i32 file = n > 24 || chance(40) ? -1 : (i32)below(FILES);
	u32 pgoff = file < 0 ? 0 : (u32)below(FILE_PAGES - 24), rest = 0;
	bool shared = file >= 0 && !file_runs((u32)file) && chance(50), fails = chance(5), populate = !fails && chance(10);
	struct map_request rq = { .flags = prot | (shared ? VM_SHARED : 0), .fixed = true, .populate = populate };

	if (file >= 0 && !shared && chance(30))
		rest = 1 + (u32)below(n);
	rq.addr = page_va(first);
	rq.len = n * PAGE_SIZE;
	rq.obj = file < 0 ? NULL : &object[file];
	rq.off = (u64)pgoff << PAGE_SHIFT;
	rq.file_end = rest ? page_va(first) + rest * PAGE_SIZE - HALF : 0;
	DOING("space %u maps %u+%u prot %u file %d+%u%s file part %u%s%s", s, first, n, prot, file, pgoff,
	      shared ? " shared" : "", rest, populate ? " populate" : "", fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(3));
	i64 got = aspace_map(space[s], &rq);

	host_fail_at(~0u);
	if (fails && got == -ENOMEM)
		return;
	EXPECT(got, rq.addr);
	ref_map(s, &(struct ref_mapping){ first, n, prot, pgoff, rest, file, shared });
	if (populate)
		ref_populate(s, first, n);
}

void op_unmap(u32 s)
{
	u32 first, n;
	bool fails = chance(5);

	pick_run(&first, &n, chance(10) ? PAGES : 16);
	DOING("space %u unmaps %u+%u%s", s, first, n, fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(3));
	int err = aspace_unmap(space[s], page_va(first), n * PAGE_SIZE);

	host_fail_at(~0u);
	if (fails && err == -ENOMEM)
		return;
	EXPECT(err, 0);
	ref_unmap(s, first, n);
}

void op_protect(u32 s)
{
	u32 first, n, prot = random_prot(), i;
	bool fails = chance(5);

	pick_run(&first, &n, 16);
	for (i = first; i < first + n && ref.page[s][i].mapped; i++)
		;
	fails = fails && i == first + n;
	DOING("space %u protects %u+%u with %u%s", s, first, n, prot, fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(3));
	int err = aspace_protect(space[s], page_va(first), n * PAGE_SIZE, prot, false);

	host_fail_at(~0u);
	if (fails && err == -ENOMEM)
		return;
	EXPECT(err, i == first + n ? 0 : -ENOMEM);
	while (i-- > first)
		ref.page[s][i].prot = (u8)prot;
}

void op_remap(u32 s)
{
	u32 from, n, to = pick_page();
	bool keep = chance(25);
	static struct ref_page moved[PAGES];
	struct area a;

	pick_run(&from, &n, 12);
	if (n >= HUGE_PAGES && chance(70)) {
		n = HUGE_PAGES;
		from = HUGE_FIRST + MARGIN + (u32)below(BLOCKS) * HUGE_PAGES;
		to = HUGE_FIRST + MARGIN + (u32)below(BLOCKS) * HUGE_PAGES;
	}
	clip_run(to, &n);
	clip_run(from, &n);
	DOING("space %u moves %u+%u to %u%s", s, from, n, to, keep ? ", keeping the place" : "");
	i64 got;
	bool found = !aspace_area_at(space[s], page_va(from), true, &a);

	got = aspace_remap(space[s], page_va(from), n * PAGE_SIZE, n * PAGE_SIZE, keep ? 7 : 3, page_va(to));
	if (!found) {
		EXPECT(got, -EFAULT);
		return;
	}
	if (from + n > to && to + n > from) {
		EXPECT(got, -EINVAL);
		return;
	}
	ref_unmap(s, to, n);
	if (a.end < page_va(from) + n * PAGE_SIZE) {
		EXPECT(got, -EFAULT);
		return;
	}
	EXPECT(got, page_va(to));
	memcpy(moved, &ref.page[s][from], n * sizeof(moved[0]));
	memcpy(&ref.page[s][to], moved, n * sizeof(moved[0]));
	for (u32 i = from; keep && i < from + n; i++) {
		ref.page[s][i].has = false;
		ref.page[s][i].locked = false;
	}
	if (!keep)
		ref_unmap(s, from, n);
	else if (a.flags & VM_LOCKED)
		return;
}

/* Growing and shrinking in place. */
void op_resize(u32 s)
{
	u32 from, n, grow = 1 + (u32)below(6), i;
	struct area a;

	pick_run(&from, &n, 8);
	if (aspace_area_at(space[s], page_va(from), true, &a) || a.end < page_va(from) + n * PAGE_SIZE || a.file_end)
		return;
	if (chance(50)) {
		u32 left = 1 + (u32)below(n);

		DOING("space %u shrinks %u+%u to %u", s, from, n, left);
		EXPECT(aspace_remap(space[s], page_va(from), n * PAGE_SIZE, left * PAGE_SIZE, 0, 0), page_va(from));
		ref_unmap(s, from + left, n - left);
		return;
	}
	u32 all = n + grow;

	clip_run(from, &all);
	DOING("space %u grows %u+%u to %u", s, from, n, all);
	if (all != n + grow || (a.obj && (a.off >> PAGE_SHIFT) + PAGES > (1u << 20)))
		return;
	for (i = from + n; i < from + all && !ref.page[s][i].mapped; i++)
		;
	bool fits = i == from + all && a.end == page_va(from) + n * PAGE_SIZE;
	u32 last = ref.page[s][from + n - 1].pgoff;

	if (a.obj && last + grow >= file_pages((u32)ref.page[s][from].file))
		return;
	EXPECT(aspace_remap(space[s], page_va(from), n * PAGE_SIZE, all * PAGE_SIZE, 0, 0), fits ? (i64)page_va(from) : -ENOMEM);
	for (i = from + n; fits && i < from + all; i++) {
		ref.page[s][i] = ref.page[s][from + n - 1];
		ref.page[s][i].has = false;
		ref.page[s][i].pgoff = a.obj ? last + (i - from - n + 1) : 0;
	}
}
