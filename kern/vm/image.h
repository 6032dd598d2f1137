/*
 * Private to the files of exec images: image.c (life, lookup, mapping), image_build.c
 * (learning areas, collecting pages), image_table.c (leaf tables), image_huge.c.
 */
#pragma once

#include <vm/image.h>
#include "vm.h"

#define IMAGE_READY	8u			/* leaf tables of one place that wait for their next use */
#define IMAGE_KEPT	16u			/* written pages that such a table keeps, filled anew */
#define IMAGE_WARM	2u			/* so many tables of a place keep pages */
#define IMAGE_MAX_PAGES 16384u			/* of one image: what lies behind comes by faults */

/* One area, addresses before the bias.  entries: one for each of its first nentries pages, absent where there is no frame. */
struct image_area {
	u64 start, end, off, file_end;
	u32 flags;
	bool file;
	bool tail;				/* the last entry is the template of the page where the file's part ends */
	u32 nentries;
	struct leaf_count count;		/* live entries by kind */
	pte_t *entries;
};

/* The leaf table of 2 MiB at base, or its 2 MiB entry, for an image that goes where its headers say. */
struct image_table {
	u64 base;
	pte_t huge;				/* of a block that the image owns; master is NULL */
	struct page *master;			/* never changed but by rmap; lent to every space if shared, else copied */
	bool shared;				/* no writable area here */
	u32 run;				/* shared tables from this one on without a gap, in one directory; 0: not shared */
	u64 run_rss;				/* leaf_rss() of these as they were built */
	u32 nready;				/* image_lock */
	struct page *ready[IMAGE_READY];	/* image_lock */
};

/* Const once published, but for the ready leaves. */
struct image_body {
	u64 start, end, pages, data_pages;
	u64 npages, wanted;			/* frames it has, and would have if every page had been at hand */
	u64 cached;				/* obj->npages at that time */
	u32 nareas, ntables;
	bool copied;				/* some frames are copies (inv. I4) */
	struct image_table *tables;
	pte_t *lent;				/* for each table, if it is shared: its directory entry, BORROWED (inv. T5) */
	struct image_area areas[];
};

struct vm_image {
	refcount_t refs;
	atomic_t mappers;			/* spaces */
	u64 generation;				/* const */
	struct vm_object *obj;			/* image_lock; NULL: no longer current */
	struct list link;			/* image_lock: all that are current, least recently used first */
	struct list all_link;			/* image_lock */
	struct image_body *body;		/* published once */
	void *plan;				/* const */
	void (*free_plan)(void *plan);
};

/* References that the image holds for an entry (inv. I1).  PTE_HUGE there: the frame is part of a block, which has its own. */
static inline u32 image_refs(pte_t e)
{
	if (!pte_live(e) || pte_huge(e))
		return 0;
	return pte_kind(e) == KIND_ANON ? 2 : 1;
}

extern spinlock_t image_lock;
extern enum vm_image_form image_form;
extern u64 image_limit;

/* image_build.c: NULL when these areas cannot be an image, or no memory.  as is nobody's yet. */
MUST_USE struct image_body *image_build(struct aspace *as, const struct vm_image_place *pl);
void image_body_free(struct image_body *body);

/* image_table.c */
MUST_USE bool image_tables_build(struct image_body *body);
void image_tables_free(struct image_body *body);
void image_tables_plug(struct image_body *body, struct aspace *as);
/* as is being torn down: its ready leaves, as new, wait for their next use. */
void image_tables_take_back(struct vm_image *im, struct aspace *as);
/* fn for each frame that a waiting table owns.  image_lock held. */
void image_table_owned(const struct image_table *t, void (*fn)(struct page *pg, u32 refs, void *arg), void *arg);
/* Copies an area's entries into as's own tables. */
void image_entries_copy(const struct image_area *ia, struct aspace *as, u64 bias);

/* image_huge.c: a copy of the 2 MiB at base as one entry; .v == 0: not all of it is one read-only area's, or no block. */
pte_t image_huge_build(struct image_body *body, u64 base);
void image_huge_plug(const struct image_table *t, struct aspace *as);
bool image_huge_has(const struct aspace *as, const struct page *frame);	/* part of such a copy of as's images? */
