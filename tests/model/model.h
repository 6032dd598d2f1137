/*
 * What the operations of the model share: the spaces and files under test, the
 * reference beside them, and the choice of what to do next.
 *
 *   model.c     rounds and steps
 *   access.c    one access, by the program or from outside
 *   op_map.c    map, unmap, protect, move, resize
 *   op_advice.c advice, locks, collapse, measuring
 *   op_file.c   files: where their pages come from, read, write, truncate, punch
 *   op_space.c  fork, exit
 *   op_exec.c   exec through images, memory pressure
 *
 * An operation draws from the step's random sequence, does the same to the space
 * and to the reference, and compares the answers.
 */
#pragma once

#include <stdio.h>
#include <base/errno.h>
#include <base/string.h>
#include <test/test.h>
#include "../../kern/vm/vm.h"
#include "machine.h"
#include "reference.h"

extern struct reference ref;
extern struct aspace *space[SPACES];
extern u32 nspaces;			/* of this round: [0, nspaces) may be alive */
extern i8 program[SPACES];		/* the file that runs there, or -1 */
extern struct vm_object object[FILES], *objects[FILES];
extern struct page *images[FILES * BIG_PAGES];		/* the archive's, from [file * BIG_PAGES] */
extern i64 reserved[FILES];
extern u64 round_seed, step;
extern bool verbose, count_owners;	/* count_owners: after this step, whatever the rate */
extern char doing[256];
extern u32 stamp;			/* the next word that is written */
extern u32 area_forks, pages_parted;	/* forks whose child shares its areas with the parent; pages that fork copied at once */

#define DOING(...) do { snprintf(doing, sizeof(doing), __VA_ARGS__); if (verbose) printf("# %lu %s\n", step, doing); } while (0)
#define EXPECT(got, want) ({ i64 g_ = (i64)(got), w_ = (i64)(want); if (g_ != w_) panic("%s: %ld, not %ld", #got, g_, w_); })

static inline u64 below(u64 n) { return model_random() % n; }
static inline bool chance(u32 percent) { return below(100) < percent; }
u32 pick_page(void);
/* A run of pages in one region: up to max, or where 2 MiB entries are, often one or two whole blocks. */
void pick_run(u32 *first, u32 *n, u32 max);

/* access.c */
/* 0 and where the words are, or the error.  A private page may get its copy. */
MUST_USE int ref_access(u32 s, u32 page, u32 want, bool force, struct words **out);
struct words *ref_backing(struct ref_page *p);		/* of a page without a copy */
void do_access(u32 s, u32 page, u32 want, bool may_fail);
u32 enter_space(void);					/* some CPU goes on with some space, which it returns */
void op_access(u32 s);
void op_access_foreign(u32 s);

/* op_map.c */
struct ref_mapping { u32 first, n, prot, pgoff, rest; i32 file; bool shared; };	/* rest: pages of the file's part, the last one half; 0: all */
void ref_map(u32 s, const struct ref_mapping *m);
void ref_unmap(u32 s, u32 first, u32 n);
void op_map(u32 s);
void op_unmap(u32 s);
void op_protect(u32 s);
void op_remap(u32 s);
void op_resize(u32 s);

/* op_advice.c */
void op_advise(u32 s);
void op_collapse(u32 s);
void op_compact(u32 s);
void op_lock(u32 s);
void op_measure(u32 s);

/* op_file.c */
void files_create(void);
void files_destroy(void);
bool file_runs(u32 f);					/* a program: nobody may write it (ETXTBSY) */
void op_file_write(u32 s);
void op_file_read(u32 s);
void op_truncate(u32 s);
void op_punch(u32 s);

/* op_space.c */
void end_space(u32 s);
void op_fork(u32 s);
void op_exit(u32 s);

/* op_exec.c */
extern struct exec_stats { u64 done, mapped, plain, pages; } exec_stats;	/* images mapped, files mapped plainly, pages there at once */
void exec_configure(void);				/* the round's form of images */
void op_exec(u32 s);
void op_pressure(u32 s);
