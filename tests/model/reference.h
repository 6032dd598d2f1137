/*
 * The reference: what Linux promises, page by page, with nothing shared and
 * nothing lazy.  A page is two words, at offsets 0 and 2048.
 */
#pragma once

#include <base/attrs.h>

#define SPACES	   64
#define FILES	   6			/* the last three are programs' */
#define BIG_FILE   5			/* its text fills 2 MiB */
#define FILE_PAGES 40u
#define BIG_PAGES  (HUGE_PAGES + 16u)
#define LOW_PAGES  128u			/* around a 2 MiB border */
#define HIGH_PAGES 32u			/* far away */
#define HUGE_FIRST (LOW_PAGES + HIGH_PAGES)
#define MARGIN	   4u			/* pages on either side of what is aligned */
#define BLOCKS	   2u
#define HUGE_RUN   (MARGIN + BLOCKS * HUGE_PAGES + MARGIN)
#define PAGES	   (HUGE_FIRST + HUGE_RUN)
#define HALF	   2048u

struct words { u32 w[2]; };

enum rest { REST_NONE, REST_PARTIAL, REST_ZERO };	/* where file_end lies: past the page, inside, before */

struct ref_page {
	bool mapped, shared, locked, dontfork, wipe;
	bool has;			/* a private copy */
	u8 prot;			/* VM_READ | VM_WRITE | VM_EXEC */
	u8 rest;			/* enum rest */
	i8 file;			/* -1: anonymous */
	u32 pgoff;
	struct words own;
};

struct ref_file {
	u64 size;
	struct words page[BIG_PAGES];
};

struct reference {
	struct ref_page page[SPACES][PAGES];
	struct ref_file file[FILES];
};

static inline u32 file_pages(u32 f) { return f == BIG_FILE ? BIG_PAGES : FILE_PAGES; }

static inline u64 page_va(u32 p)
{
	if (p >= HUGE_FIRST)
		return 0x60000000ul + p * PAGE_SIZE - (HUGE_FIRST + MARGIN) * PAGE_SIZE;
	return p < LOW_PAGES ? 0x40200000ul + (p - 64ul) * PAGE_SIZE : 0x8000000000ul + (p - LOW_PAGES) * PAGE_SIZE;
}

/* Run of pages [*first, *first + *n) that stays in one of the three regions. */
static inline void clip_run(u32 first, u32 *n)
{
	u32 end = first < LOW_PAGES ? LOW_PAGES : first < HUGE_FIRST ? HUGE_FIRST : PAGES;

	if (first + *n > end)
		*n = end - first;
}
