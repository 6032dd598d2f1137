/*
 * debug=verify: bytes that programs see against the files they come from.
 *
 * At exec every entry that exists before the program's first instruction, whoever made it, is compared
 * byte by byte with what its area promises there; at exit the clean file pages that faults brought in.
 * Frames of the archive are compared with copies that were made when the archive was unpacked.
 * A difference is a panic that names sub-page, offset, both bytes and the area.  See docs/observability.md.
 */
#pragma once

#include <core/debug.h>
#include <vm/aspace.h>

struct verify_stats { u64 spaces, pages, kept; };	/* approximate with several CPUs */
extern struct verify_stats verify_stats;

void verify_init(void);					/* before the archive is unpacked */
void verify_keep_page(const struct page *pg);		/* a fresh PAGE_IMAGE frame; sleeps */
/* Sleeps; no lock held; nobody else changes as. */
void verify_exec_now(struct aspace *as);
void verify_exit_now(struct aspace *as);
static inline void verify_exec(struct aspace *as)
{
	if (debug_on(DEBUG_VERIFY))
		verify_exec_now(as);
}
static inline void verify_exit(struct aspace *as)
{
	if (debug_on(DEBUG_VERIFY))
		verify_exit_now(as);
}
