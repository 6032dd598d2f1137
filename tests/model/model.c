/*
 * Random programs against the memory heart and a reference, side by side: rounds
 * and their steps.  rounds.c runs them.
 */
#include <stdlib.h>
#include <vm/huge.h>
#include "audit.h"
#include "model.h"
#include "rounds.h"

struct reference ref;
struct aspace *space[SPACES];
u32 nspaces;
i8 program[SPACES];
struct vm_object object[FILES], *objects[FILES];
struct page *images[FILES * BIG_PAGES];
u64 round_seed, step;
bool verbose, count_owners;
char doing[256];
u32 stamp, area_forks, pages_parted;
static u64 base_objects;

/* --- choice --------------------------------------------------------------------- */

/* Every second round goes mostly where 2 MiB entries are, and there mostly to a few pages, so that they meet. */
u32 pick_page(void)
{
	static const u16 often[] = { 0, 1, 2, 7, 8, 255, 256, 509, 510, 511 };

	if (chance(round_seed % 2 ? 25 : 75))
		return (u32)below(HUGE_FIRST);
	if (chance(10))
		return HUGE_FIRST + (u32)below(HUGE_RUN);
	return HUGE_FIRST + MARGIN + (u32)below(BLOCKS) * HUGE_PAGES + often[below(ARRAY_LEN(often))];
}

void pick_run(u32 *first, u32 *n, u32 max)
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

/* How often of a thousand. */
static const struct { u16 often; void (*op)(u32 s); } operations[] = {
	{ 467, op_access }, { 30, op_access_foreign },
	{ 85, op_map }, { 48, op_unmap }, { 66, op_protect }, { 29, op_remap }, { 19, op_resize },
	{ 38, op_advise }, { 9, op_collapse }, { 3, op_compact }, { 19, op_lock }, { 5, op_measure },
	{ 35, op_fork }, { 25, op_exit }, { 24, op_exec }, { 5, op_pressure },
	{ 40, op_file_write }, { 24, op_file_read }, { 19, op_truncate }, { 10, op_punch },
};

static void one_step(void)
{
	u32 s = enter_space(), dice = (u32)below(1000), i = 0;

	while (i + 1 < ARRAY_LEN(operations) && dice >= operations[i].often)
		dice -= operations[i++].often;
	operations[i].op(s);
}

/* --- rounds ------------------------------------------------------------------------- */

static void check_audit(void)
{
	const char *err = audit_all(space, nspaces, objects, FILES, images, ARRAY_LEN(images));

	if (err)
		panic("audit: %s", err);
}

/* Each sixteenth round is one of many spaces. */
void model_round_begin(u64 seed)
{
	round_seed = seed;
	nspaces = seed % 16 == 7 ? SPACES : 8;
	model_seed(seed);
	memset(&ref, 0, sizeof(ref));
	memset(program, -1, sizeof(program));
	base_objects = host_live_allocs();
	exec_configure();
	files_create();
	space[0] = aspace_create();
}

/* Holes among the big blocks are left alone: to read one puts 4 KiB entries where a 2 MiB entry could have come. */
static bool worth_a_look(u32 s, u32 page)
{
	return page < HUGE_FIRST || ref.page[s][page].has;
}

/* Each step draws from a sequence of its own, so that a round may leave any out. */
void model_round_step(u64 number, bool audit)
{
	step = number;
	count_owners = audit;
	model_seed(round_seed * 0x9e3779b97f4a7c15ull + (number << 20));
	one_step();
	if (count_owners)
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
	if (verbose)
		printf("# compaction: %ld frames moved, %ld blocks came free\n", compact_stats.moved.v, compact_stats.freed.v);
	if (verbose)
		printf("# %u forks shared the areas; %u pages were copied at once\n", area_forks, pages_parted);
	if (verbose)
		printf("# exec: %lu, %lu images mapped, %lu files without, %lu pages at once\n", exec_stats.done, exec_stats.mapped,
		       exec_stats.plain, exec_stats.pages);
	check_audit();
	DOING("the end of the round");
	for (u32 s = 0; s < nspaces; s++)
		if (space[s])
			end_space(s);
	files_destroy();
	EXPECT(host_live_allocs(), base_objects);
	EXPECT(host_live_pages() - pgtable_cached(), 1);		/* the zero frame */
}

void model_start(bool say)
{
	verbose = say;
	if (!vm_zero_page) {
		host_ram_limit(HOST_RAM_FRAMES);
		vm_init();
	}
}
