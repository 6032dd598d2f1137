/*
 * Compaction, the allocator's part: regions of 2 MiB whose frames could all be moved are chosen, fewest first, and
 * isolated; what is freed in them is not given out again while anything else is left.  Who maps the frames moves them
 * (vm/compact.c): mem_compact_leaving() says which.
 *
 * One run at a time, in a thread, with no spinlock held.  Frames that go or come meanwhile do no harm: a region that
 * did not become free is passed over until all others were tried.
 */
#pragma once

#include <mem/page.h>

/* Isolates regions.  How many: 0, nothing to gain, or too little free to begin.  Then mem_compact_end() is not due. */
MUST_USE u32 mem_compact_begin(void);
bool mem_compact_leaving(const struct page *pg);	/* is pg in an isolated region?  A hint */
/* A frame of PAGE_ANON elsewhere.  NULL: free memory became short. */
MUST_USE struct page *mem_compact_frame(void);
void mem_compact_put(struct page *pg);			/* page_put() past the cache of this CPU */
u32 mem_compact_end(void);				/* regions that are free now */
u64 mem_free_blocks(void);				/* of 2 MiB that are free, larger ones in pieces.  A look without the lock */
