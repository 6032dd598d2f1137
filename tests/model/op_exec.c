/*
 * exec: a new space for a program, and often its interpreter, through their exec
 * images as kern/proc does it; the reference maps the same the plain way.  And
 * memory pressure, which takes images that nobody maps.
 *
 * While a program runs (a space was made by exec of it, or forked from one), its
 * file is not written and not mapped shared: ETXTBSY.  An interpreter's may be.
 */
#include <vm/image.h>
#include "model.h"

#define PROGRAMS     3u			/* the first file that is one */
#define SEGMENTS_MAX 4u			/* text, constants, data, zeros */
#define PROGRAM_PAGES 56u
#define INTERP_PAGES  24u
#define INTERP_FIRST  LOW_PAGES
#define BIG_FIRST     (HUGE_FIRST + MARGIN)

/* What the headers of one state of a file say. */
struct plan {
	u32 n, first, npages;		/* pages of the model, before the bias */
	bool movable;
	struct ref_mapping seg[SEGMENTS_MAX];
};

struct exec_stats exec_stats;
static enum vm_image_form form;		/* of this round */

void exec_configure(void)
{
	static const u64 limits[] = { ~0ul, ~0ul, ~0ul, 0, 5 };
	static const enum vm_image_form forms[] = { IMAGE_TABLES, IMAGE_TABLES, IMAGE_TABLES, IMAGE_HUGE, IMAGE_BLOCK, IMAGE_OFF };

	form = forms[below(ARRAY_LEN(forms))];
	u64 limit = limits[below(ARRAY_LEN(limits))];

	if (verbose)
		printf("# exec images of form %u, at most %ld pages\n", form, limit);
	vm_image_configure(form, limit);
}

/* Segments follow each other in memory, with a gap now and then; in the file one may begin on the page where the last one ends. */
static void add_segment(struct plan *p, u32 *at, u32 *pgoff, u32 f, u32 n, u32 prot, u32 rest)
{
	if (p->n && chance(20))
		*at += 1 + (u32)below(4);
	if (*pgoff && chance(30))
		(*pgoff)--;
	p->seg[p->n++] = (struct ref_mapping){ *at, n, prot, *pgoff, rest, (i32)f, false };
	*at += n;
	*pgoff += n;
}

/* Text, perhaps constants, perhaps data that ends mid-page with zeros behind, which may begin a page or more later. */
static struct plan *make_plan(u32 f, bool interp)
{
	u32 room = interp ? INTERP_PAGES : PROGRAM_PAGES, most = interp ? 4 : 10, pgoff = 0, at;
	struct plan *p = kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->movable = interp || (f != BIG_FILE && chance(30));
	p->first = at = interp ? INTERP_FIRST : f == BIG_FILE ? BIG_FIRST : p->movable ? 0 : (u32)below(LOW_PAGES - room);
	add_segment(p, &at, &pgoff, f, f == BIG_FILE ? HUGE_PAGES + (u32)below(3) : 1 + (u32)below(most), VM_READ | VM_EXEC, 0);
	if (chance(60))
		add_segment(p, &at, &pgoff, f, 1 + (u32)below(most / 2), VM_READ, 0);
	if (chance(80)) {
		u32 n = 1 + (u32)below(most / 2);

		add_segment(p, &at, &pgoff, f, n, VM_READ | VM_WRITE, chance(70) ? n : 0);
		if (chance(70)) {
			n = 1 + (u32)below(interp ? 4 : 20);
			p->seg[p->n++] = (struct ref_mapping){ at, n, VM_READ | VM_WRITE, 0, 0, -1, false };
			at += n;
		}
	}
	p->npages = at - p->first;
	VERIFY(p->npages <= room + (f == BIG_FILE ? HUGE_PAGES : 0));
	return p;
}

static struct vm_image *find_image(u32 f, bool interp)
{
	struct vm_image *im = vm_image_find(&object[f]);
	struct plan *p;

	if (im)
		return im;
	p = make_plan(f, interp);
	im = p ? vm_image_create(object[f].generation, p, kfree) : NULL;
	if (im)
		vm_image_attach(im, &object[f]);
	else if (p)
		kfree(p);
	return im;
}

static int map_segments(struct aspace *as, const struct plan *p, u32 shift)
{
	for (u32 i = 0; i < p->n; i++) {
		const struct ref_mapping *m = &p->seg[i];
		struct map_request rq = {
			.addr = page_va(m->first + shift), .len = m->n * PAGE_SIZE, .flags = m->prot | VM_MAY, .fixed = true,
			.obj = m->file < 0 ? NULL : &object[m->file], .off = (u64)m->pgoff << PAGE_SHIFT,
			.file_end = m->rest ? page_va(m->first + shift) + m->rest * PAGE_SIZE - HALF : 0,
		};
		i64 at = aspace_map(as, &rq);

		if (at < 0)
			return (int)at;
	}
	return 0;
}

/* One program or interpreter into the new space as, and into the reference's r. */
static int load(struct aspace *as, u32 r, struct vm_image *im, u32 f, bool interp)
{
	const struct plan *p = vm_image_plan(im);
	u32 room = interp ? HIGH_PAGES : LOW_PAGES, shift = p->movable ? (u32)below(room - p->npages) : 0;
	const struct vm_image_place place = {
		.min = page_va(p->first), .max = page_va(p->first) + p->npages * PAGE_SIZE, .bias = shift * PAGE_SIZE,
		.movable = p->movable, .interp = interp, .obj = &object[f],
	};
	int err = 0;

	if (!vm_image_map(im, as, &place)) {
		exec_stats.mapped++;
	} else {
		exec_stats.plain++;
		err = map_segments(as, p, shift);
		if (!err)
			vm_image_learn(im, as, &place);
	}
	for (u32 i = 0; i < p->n; i++) {
		struct ref_mapping m = p->seg[i];

		m.first += shift;
		ref_map(r, &m);
	}
	return err;
}

/* Shared mappings are as writers: a file so mapped is no program. */
static bool may_run(u32 f)
{
	for (u32 s = 0; s < nspaces; s++)
		for (u32 i = 0; space[s] && i < PAGES; i++)
			if (ref.page[s][i].mapped && ref.page[s][i].shared && ref.page[s][i].file == (i32)f)
				return false;
	return true;
}

/* The page where a program's data end is its own from the start, where the image has it: as after Linux's clear_user. */
static void own_boundary_pages(u32 s)
{
	for (u32 i = 0; i < PAGES; i++) {
		struct ref_page *p = &ref.page[s][i];

		if (p->mapped && p->rest == REST_PARTIAL && pte_live(pgtable_entry(space[s], page_va(i)))) {
			p->own = *ref_backing(p);
			p->has = true;
		}
	}
}

static int load_all(struct aspace *as, u32 r, u32 f, i32 interp)
{
	struct vm_image *im = find_image(f, false);
	int err = im ? load(as, r, im, f, false) : -ENOMEM;

	vm_image_put(im);
	if (err || interp < 0)
		return err;
	im = find_image((u32)interp, true);
	err = im ? load(as, r, im, (u32)interp, true) : -ENOMEM;
	vm_image_put(im);
	return err;
}

void op_exec(u32 s)
{
	static struct ref_page fresh[PAGES];
	u32 f = chance(form == IMAGE_HUGE ? 40 : 10) ? BIG_FILE : PROGRAMS + (u32)below(2);
	i32 interp = chance(50) ? (i32)below(PROGRAMS) : -1;
	bool fails = chance(15);
	struct aspace *as;
	int err;

	if (!may_run(f))
		return;
	DOING("space %u executes file %u%s%d%s", s, f, " with interpreter ", interp, fails ? ", out of memory" : "");
	memcpy(fresh, ref.page[s], sizeof(fresh));
	memset(ref.page[s], 0, sizeof(ref.page[s]));
	if (fails)
		host_fail_at((u32)below(40));
	as = aspace_create();
	err = as ? load_all(as, s, f, interp) : -ENOMEM;
	host_fail_at(~0u);
	count_owners = true;
	if (err) {
		VERIFY(fails && err == -ENOMEM);
		if (as)
			aspace_unuse(as);
		memcpy(ref.page[s], fresh, sizeof(fresh));
		return;
	}
	memcpy(fresh, ref.page[s], sizeof(fresh));
	machine_run(model_cpu, as);
	end_space(s);
	memcpy(ref.page[s], fresh, sizeof(fresh));
	space[s] = as;
	program[s] = (i8)f;
	own_boundary_pages(s);
	exec_stats.done++;
	exec_stats.pages += aspace_rss_pages(as);
}

void op_pressure(u32 s)
{
	u64 want = 1 + below(30);

	DOING("memory is short of %lu frames", want);
	(void)mem_reclaim(want);
	count_owners = true;
}
