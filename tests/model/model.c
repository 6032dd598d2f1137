/*
 * Random programs against the memory heart and a reference, side by side: the
 * steps of a round.  rounds.c runs them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <base/errno.h>
#include <arch/upcall.h>
#include <core/uio.h>
#include <test/test.h>
#include <vm/huge.h>
#include "audit.h"
#include "machine.h"
#include "reference.h"
#include "rounds.h"

static struct reference ref;
static struct aspace *space[SPACES];
static struct vm_object object[FILES], *objects[FILES];
static struct page *images[FILE_PAGES];
static u64 round_seed, step;
static bool verbose;
static char doing[256];
static u32 stamp;
static u64 base_objects;

static u64 below(u64 n) { return model_random() % n; }
static bool chance(u32 percent) { return below(100) < percent; }

/* Every second round goes mostly where 2 MiB entries are, and there mostly to a few pages, so that they meet. */
static u32 pick_page(void)
{
	static const u16 often[] = { 0, 1, 2, 7, 8, 255, 256, 509, 510, 511 };

	if (chance(round_seed % 2 ? 25 : 75))
		return (u32)below(HUGE_FIRST);
	if (chance(10))
		return HUGE_FIRST + (u32)below(HUGE_RUN);
	return HUGE_FIRST + MARGIN + (u32)below(BLOCKS) * HUGE_PAGES + often[below(ARRAY_LEN(often))];
}

/* A run of pages in one region: up to max, or where 2 MiB entries are, often one or two whole blocks. */
static void pick_run(u32 *first, u32 *n, u32 max)
{
	*first = pick_page();
	*n = 1 + (u32)below(max);
	if (*first >= HUGE_FIRST && chance(60)) {
		u32 block = (u32)below(BLOCKS);

		*first = HUGE_FIRST + MARGIN + block * HUGE_PAGES;
		*n = chance(50) ? HUGE_PAGES : (BLOCKS - block) * HUGE_PAGES;
		if (chance(20)) {
			*first -= MARGIN;
			*n += 2 * MARGIN;
		}
	}
	clip_run(*first, n);
}

void panic(const char *fmt, ...)
{
	va_list ap;

	printf("# panic: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n# seed %lu step %lu: %s\n", round_seed, step, doing);
	fflush(stdout);
	abort();
}

#define DOING(...) do { snprintf(doing, sizeof(doing), __VA_ARGS__); if (verbose) printf("# %lu %s\n", step, doing); } while (0)
#define EXPECT(got, want) ({ i64 g_ = (i64)(got), w_ = (i64)(want); if (g_ != w_) panic("%s: %ld, not %ld", #got, g_, w_); })

/* --- files ------------------------------------------------------------------ */

static struct words initial(u32 file, u64 index)
{
	if (!file || index >= 16)
		return (struct words){ { 0, 0 } };
	return (struct words){ { (u32)(file << 24 | index << 8 | 1), (u32)(file << 24 | index << 8 | 2) } };
}

static void store_words(struct page *pg, struct words w)
{
	*(u32 *)page_addr(pg) = w.w[0];
	*(u32 *)((u8 *)page_addr(pg) + HALF) = w.w[1];
}

static int fill_page(struct vm_object *obj, u64 index, struct page *pg)
{
	store_words(pg, initial((u32)(obj - object), index));
	return 0;
}

static struct page *borrow_page(struct vm_object *obj, u64 index)
{
	if (index >= FILE_PAGES || index % 5 == 4)
		return NULL;
	if (!images[index]) {
		images[index] = page_alloc(0, PAGE_IMAGE, ALLOC_ZERO);
		if (!images[index])
			return NULL;
		store_words(images[index], initial((u32)(obj - object), index));
	}
	return page_get(images[index]);
}

static i64 reserved[FILES];
static int reserve_page(struct vm_object *obj, u64 index) { reserved[obj - object]++; return 0; }
static void page_gone(struct vm_object *obj, u64 index) { reserved[obj - object]--; }
static void no_owner(struct vm_object *obj) {}

static const struct vm_object_ops file_ops[FILES] = {
	{ .reserve_page = reserve_page, .page_gone = page_gone },
	{ .reserve_page = reserve_page, .page_gone = page_gone, .fill_page = fill_page },
	{ .reserve_page = reserve_page, .page_gone = page_gone, .fill_page = fill_page, .borrow_page = borrow_page },
};

/* What the file shows from size on is zero, whoever scribbled there. */
static void ref_zero_tail(struct ref_file *f, bool whole)
{
	for (u64 i = f->size >> PAGE_SHIFT; i < FILE_PAGES; i++)
		for (u32 h = 0; h < 2; h++)
			if ((i << PAGE_SHIFT) + h * HALF >= f->size && (whole || i == f->size >> PAGE_SHIFT))
				f->page[i].w[h] = 0;
}

/* --- one access -------------------------------------------------------------- */

static struct words *ref_backing(struct ref_page *p)
{
	static struct words zero;

	zero = (struct words){ { 0, 0 } };
	if (p->file < 0 || p->rest == REST_ZERO)
		return &zero;
	if (p->rest == REST_PARTIAL)
		zero.w[0] = ref.file[p->file].page[p->pgoff].w[0];
	return p->rest == REST_PARTIAL ? &zero : &ref.file[p->file].page[p->pgoff];
}

/* 0 and where the words are, or the error. */
static int ref_access(u32 s, u32 page, u32 want, bool force, struct words **out)
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

static void do_access(u32 s, u32 page, u32 want, bool may_fail)
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
		u32 s = (u32)below(SPACES);

		if (space[s])
			return s;
	}
}

/* The chosen CPU goes on with the space. */
static u32 enter_space(void)
{
	u32 s = live_space(), cpu = (u32)below(MODEL_CPUS);

	if (chance(5))
		machine_run((u32)below(MODEL_CPUS), NULL);
	machine_run(cpu, space[s]);
	return s;
}

static void op_access(u32 s)
{
	u32 page = pick_page(), want = chance(page < HUGE_FIRST ? 50 : 75) ? VM_WRITE : VM_READ;
	bool fails = chance(3);

	DOING("space %u %s page %u%s", s, want == VM_WRITE ? "writes" : "reads", page, fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(3));
	do_access(s, page, want, fails);
	host_fail_at(~0u);
}

static void op_access_foreign(u32 s)
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

/* --- map, unmap, protect ----------------------------------------------------- */

static void ref_unmap(u32 s, u32 first, u32 n)
{
	memset(&ref.page[s][first], 0, n * sizeof(struct ref_page));
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

static void op_map(u32 s)
{
	u32 first, n, prot = random_prot();

	pick_run(&first, &n, 24);
	if (n > 24 && chance(70))
		prot = VM_READ | VM_WRITE;
	i32 file = n > 24 || chance(40) ? -1 : (i32)below(FILES);
	u32 pgoff = file < 0 ? 0 : (u32)below(FILE_PAGES - 24), rest = 0;
	bool shared = file >= 0 && chance(50), fails = chance(5), populate = !fails && chance(10);
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
	ref_unmap(s, first, n);
	for (u32 i = 0; i < n; i++)
		ref.page[s][first + i] = (struct ref_page){ .mapped = true, .shared = shared, .prot = (u8)prot, .file = (i8)file,
			.pgoff = pgoff + i, .rest = !rest || i + 1 < rest ? REST_NONE : i + 1 == rest ? REST_PARTIAL : REST_ZERO };
	if (populate)
		ref_populate(s, first, n);
}

static void op_unmap(u32 s)
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

static void op_protect(u32 s)
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

static void op_remap(u32 s)
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
static void op_resize(u32 s)
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

	if (a.obj && last + grow >= FILE_PAGES)
		return;
	EXPECT(aspace_remap(space[s], page_va(from), n * PAGE_SIZE, all * PAGE_SIZE, 0, 0), fits ? (i64)page_va(from) : -ENOMEM);
	for (i = from + n; fits && i < from + all; i++) {
		ref.page[s][i] = ref.page[s][from + n - 1];
		ref.page[s][i].has = false;
		ref.page[s][i].pgoff = a.obj ? last + (i - from - n + 1) : 0;
	}
}

/* --- advice -------------------------------------------------------------------- */

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

static void op_advise(u32 s)
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
static void op_collapse(u32 s)
{
	u32 block = (u32)below(BLOCKS);
	i64 got;

	DOING("space %u collapses block %u", s, block);
	got = aspace_advise(space[s], page_va(HUGE_FIRST + MARGIN + block * HUGE_PAGES), HUGE_SIZE, 25);
	if (got && got != -EINVAL && got != -EAGAIN && got != -ENOMEM)
		panic("collapse: %ld", got);
}

static void op_lock(u32 s)
{
	u32 first, n, i;
	bool lock = chance(40);

	pick_run(&first, &n, 12);
	for (i = first; i < first + n && ref.page[s][i].mapped; i++)
		ref.page[s][i].locked = lock;
	DOING("space %u %s %u+%u", s, lock ? "locks" : "unlocks", first, n);
	EXPECT(aspace_lock_range(space[s], page_va(first), n * PAGE_SIZE, lock, true), i == first + n ? 0 : -ENOMEM);
}

static void op_mincore_usage(u32 s)
{
	struct area_usage u;

	DOING("space %u is measured", s);
	aspace_area_usage(space[s], page_va(0), page_va(LOW_PAGES - 1) + PAGE_SIZE, &u);
	aspace_area_usage(space[s], page_va(HUGE_FIRST), page_va(PAGES - 1) + PAGE_SIZE, &u);
	EXPECT(u.huge % HUGE_SIZE, 0);
	EXPECT(u.private_dirty + u.shared_dirty + u.private_clean + u.shared_clean, u.rss);
	(void)aspace_rss_pages(space[s]);
}

/* --- fork, exit ------------------------------------------------------------------ */

static void op_fork(u32 s)
{
	u32 kid;
	bool fails = chance(15);

	for (kid = 0; kid < SPACES && space[kid]; kid++)
		;
	if (kid == SPACES)
		return;
	DOING("space %u forks %u%s", s, kid, fails ? ", out of memory" : "");
	if (fails)
		host_fail_at((u32)below(20));
	int err = aspace_fork(space[s], &space[kid]);

	host_fail_at(~0u);
	if (fails && err == -ENOMEM)
		return;
	EXPECT(err, 0);
	memcpy(ref.page[kid], ref.page[s], sizeof(ref.page[s]));
	for (u32 i = 0; i < PAGES; i++) {
		struct ref_page *p = &ref.page[kid][i];

		p->locked = false;
		if (p->wipe)
			p->has = false;
		if (p->dontfork)
			memset(p, 0, sizeof(*p));
	}
}

static void end_space(u32 s)
{
	u64 id = space[s]->id;

	machine_forget_thread(space[s]);
	aspace_unuse(space[s]);
	space[s] = NULL;
	memset(ref.page[s], 0, sizeof(ref.page[s]));
	if (machine_audit_dead(id))
		panic("%s", machine_audit_dead(id));
}

static u32 spaces_alive(void)
{
	u32 n = 0;

	for (u32 i = 0; i < SPACES; i++)
		n += space[i] != NULL;
	return n;
}

static void op_exit(u32 s)
{
	if (spaces_alive() < 2)
		return;
	DOING("space %u exits", s);
	end_space(s);
}

/* --- files ------------------------------------------------------------------------ */

static void op_file_write(void)
{
	u32 f = (u32)below(FILES), index = (u32)below(FILE_PAGES), half = (u32)below(2), value = ++stamp;
	u64 off = (u64)index * PAGE_SIZE + half * HALF;
	struct ref_file *rf = &ref.file[f];
	struct uio u;

	DOING("file %u is written at %lu", f, off);
	uio_init_kernel(&u, &value, 4);
	EXPECT(pagecache_write(&object[f], &u, off), 4);
	if (off + 4 > rf->size) {
		ref_zero_tail(rf, false);
		rf->size = off + 4;
	}
	rf->page[index].w[half] = value;
	EXPECT(object[f].size, rf->size);
}

static void op_file_read(void)
{
	u32 f = (u32)below(FILES), index = (u32)below(FILE_PAGES), half = (u32)below(2), value = 0;
	u64 off = (u64)index * PAGE_SIZE + half * HALF;
	struct ref_file *rf = &ref.file[f];
	struct uio u;

	DOING("file %u is read at %lu", f, off);
	uio_init_kernel(&u, &value, 4);
	EXPECT(pagecache_read(&object[f], &u, off), off >= rf->size ? 0 : MIN(4ul, rf->size - off));
	if (off + 4 <= rf->size)
		EXPECT(value, rf->page[index].w[half]);
}

static void drop_copies(u32 f, u64 first)
{
	for (u32 s = 0; s < SPACES; s++)
		for (u32 i = 0; i < PAGES; i++) {
			struct ref_page *p = &ref.page[s][i];

			if (p->mapped && p->file == (i32)f && p->rest == REST_NONE && p->pgoff >= first)
				p->has = false;
		}
}

static void op_truncate(void)
{
	u32 f = (u32)below(FILES);
	u64 size = below(FILE_PAGES) * PAGE_SIZE + (chance(50) ? 0 : below(4) * 1024);
	struct ref_file *rf = &ref.file[f];

	DOING("file %u is truncated to %lu", f, size);
	vm_object_truncate(&object[f], size);
	if (size < rf->size) {
		rf->size = size;
		ref_zero_tail(rf, true);
		drop_copies(f, (size + PAGE_SIZE - 1) >> PAGE_SHIFT);
	} else {
		ref_zero_tail(rf, false);
		rf->size = size;
	}
}

static void op_punch(void)
{
	u32 f = (u32)below(FILES), first = (u32)below(FILE_PAGES), n = 1 + (u32)below(4);
	u32 cut = chance(30) ? HALF : 0;

	n = MIN(n, FILE_PAGES - first);
	DOING("file %u is punched at %u+%u, cut %u", f, first, n, cut);
	EXPECT(vm_object_punch(&object[f], (u64)first * PAGE_SIZE + cut, n * PAGE_SIZE - cut), 0);
	for (u32 i = first; i < first + n; i++)
		for (u32 h = i == first && cut ? 1 : 0; h < 2; h++)
			ref.file[f].page[i].w[h] = 0;
}

/* --- rounds ------------------------------------------------------------------------- */

static void check_audit(void)
{
	const char *err = audit_all(space, SPACES, objects, FILES, images, FILE_PAGES);

	if (err)
		panic("audit: %s", err);
}

static void one_step(void)
{
	u32 s = enter_space();
	u64 dice = below(1000);

	if (dice < 480)
		op_access(s);
	else if (dice < 510)
		op_access_foreign(s);
	else if (dice < 600)
		op_map(s);
	else if (dice < 650)
		op_unmap(s);
	else if (dice < 720)
		op_protect(s);
	else if (dice < 750)
		op_remap(s);
	else if (dice < 770)
		op_resize(s);
	else if (dice < 810)
		op_advise(s);
	else if (dice < 820)
		op_collapse(s);
	else if (dice < 840)
		op_lock(s);
	else if (dice < 845)
		op_mincore_usage(s);
	else if (dice < 880)
		op_fork(s);
	else if (dice < 905)
		op_exit(s);
	else if (dice < 945)
		op_file_write();
	else if (dice < 970)
		op_file_read();
	else if (dice < 990)
		op_truncate();
	else
		op_punch();
}

static void begin_round(u64 seed)
{
	round_seed = seed;
	model_seed(seed);
	memset(&ref, 0, sizeof(ref));
	base_objects = host_live_allocs();
	for (u32 f = 0; f < FILES; f++) {
		ref.file[f].size = f ? 16 * PAGE_SIZE - (f == 1 ? 1024 : 0) : 0;
		vm_object_init(&object[f], &file_ops[f], ref.file[f].size);
		object[f].flags = VM_OBJECT_SWAPLESS;
		if (f)
			object[f].backing_size = ref.file[f].size;	/* as ramfs says it */
		object[f].get_owner = object[f].put_owner = no_owner;
		objects[f] = &object[f];
		for (u32 i = 0; i < FILE_PAGES; i++)
			ref.file[f].page[i] = initial(f, i);
	}
	space[0] = aspace_create();
}

static void end_round(void)
{
	DOING("the end of the round");
	for (u32 s = 0; s < SPACES; s++)
		if (space[s])
			end_space(s);
	for (u32 f = 0; f < FILES; f++) {
		vm_object_destroy(&object[f]);
		EXPECT(reserved[f], 0);
	}
	for (u32 i = 0; i < FILE_PAGES; i++)
		if (images[i]) {
			EXPECT(page_refs(images[i]), 1);
			page_put(images[i]);
			images[i] = NULL;
		}
	EXPECT(host_live_allocs(), base_objects);
	EXPECT(host_live_pages() - pgtable_cached(), 1);		/* the zero frame */
}

/* Holes among the big blocks are left alone: to read one puts 4 KiB entries where a 2 MiB entry could have come. */
static bool worth_a_look(u32 s, u32 page)
{
	return page < HUGE_FIRST || ref.page[s][page].has;
}

void model_round_begin(u64 seed)
{
	begin_round(seed);
}

/* Each step draws from a sequence of its own, so that a round may leave any out. */
void model_round_step(u64 number, bool audit)
{
	step = number;
	model_seed(round_seed * 0x9e3779b97f4a7c15ull + (number << 20));
	one_step();
	if (audit)
		check_audit();
	/* Any page of any space, as its program sees it now. */
	u32 s = enter_space(), page = pick_page();

	if (chance(20))
		machine_speculate(page_va(pick_page()));
	if (worth_a_look(s, page))
		do_access(s, page, VM_READ, false);
	if (step % 64 == 63)
		for (u32 i = 0; i < PAGES; i++)
			if (worth_a_look(s, i))
				do_access(s, i, VM_READ, false);
}

void model_round_end(void)
{
	if (verbose)
		printf("# 2 MiB entries: %ld by faults, %ld by collapse, %ld split; %ld refused\n", huge_stats.fault_alloc.v,
		       huge_stats.collapse.v, huge_stats.split.v, huge_stats.fault_fallback.v);
	check_audit();
	end_round();
}

void model_start(bool say)
{
	verbose = say;
	if (!vm_zero_page) {
		host_ram_limit(HOST_RAM_FRAMES);
		vm_init();
	}
}
