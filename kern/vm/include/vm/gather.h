/*
 * The one way to free what was mapped: collect, flush, then free.
 *
 * gather_begin() .. gather_page()/gather_table() while entries are cleared
 * under the page-table lock .. gather_end() after the lock was dropped: it
 * flushes every CPU that may hold a translation of the range, waits, and only
 * then drops the collected references.  A full batch flushes in between.
 * Context: threads, interrupts on at gather_end().
 */
#pragma once

#include <vm/aspace.h>

#define GATHER_BATCH  64
#define GATHER_TABLES 16

struct gather {
	struct aspace *as;
	u64 start, end;		/* range whose translations changed */
	u32 npages, ntables;
	bool need_flush;	/* some entry was present, or a table was unlinked */
	struct page *pages[GATHER_BATCH];	/* bit 0 of the pointer: a block */
	struct page *tables[GATHER_TABLES];
};

void gather_begin(struct gather *g, struct aspace *as);
void gather_range(struct gather *g, u64 start, u64 end);	/* an entry in the range was changed */
/* Takes over the entry's reference (NULL: the entry held none).  True: batch full, caller must drop its lock and gather_flush(). */
MUST_USE bool gather_page(struct gather *g, u64 va, struct page *pg);
/* The same for a 2 MiB entry at va and its share of the block. */
MUST_USE bool gather_block(struct gather *g, u64 va, struct page *head);
/* Takes over one user's reference to an unlinked table; the last user's drops what its entries map.  True: as gather_page. */
MUST_USE bool gather_table(struct gather *g, u64 va, struct page *table);
void gather_flush(struct gather *g);		/* no page-table lock held */
void gather_end(struct gather *g);
