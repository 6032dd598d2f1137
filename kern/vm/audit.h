/*
 * Private to the audit (audit.c: one space; audit_count.c: the owners of every
 * frame, with the machine held).  What is wrong is told in full and ends in a panic.
 */
#pragma once

#include "vm.h"

struct audit {
	const char *event;		/* exec, fork, exit */
	struct aspace *as;
	struct page *frame;		/* what a report names, as far as it is known */
	const struct area *area;
	u64 va;
	u32 level;
	pte_t e;
};

NORETURN void audit_breach(const struct audit *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Tables and entries of a->as: pgt_lock held, or the machine. */
void audit_table_summary(struct audit *a, struct page *t, u32 level);
void audit_table_link(struct audit *a, struct page *t, pte_t e, u32 level);

/* A frame of a WHOLE block is what its head says it is. */
static inline const struct page *audit_head(const struct page *pg)
{
	const struct page *head = pfn_to_page(PFN(page_to_pfn(pg).v & ~(u64)(BLOCK_FRAMES - 1)));

	return block_is_whole(head) ? head : pg;
}
static inline u32 audit_refs(const struct page *pg)
{
	return page_refs(audit_head(pg)) & ~(u32)BLOCK_WHOLE;
}
static inline bool audit_is_free(const struct page *pg)
{
	return audit_head(pg)->use <= PAGE_RESERVED || !audit_refs(pg);
}

void audit_count_all(const char *event);
