/* See buddy.h.  Coalescing asks the buddy's own struct page: no list is ever searched. */
#include "buddy.h"

void buddy_init(struct buddy *b)
{
	*b = (struct buddy){ .nonempty = 0 };
	for (u32 o = 0; o <= PAGE_MAX_ORDER; o++)
		b->head[o] = BUDDY_NONE;
}

static void buddy_push(struct buddy *b, struct page *pg, u32 order)
{
	u32 f = (u32)page_to_pfn(pg).v;
	u32 next = b->head[order];

	pg->use = PAGE_FREE;
	pg->order = (u8)order;
	pg->flags = (pg->flags & PAGE_F_POISONED) | PAGE_F_HEAD;
	pg->link.next = next;
	pg->link.prev = BUDDY_NONE;
	if (next != BUDDY_NONE)
		pfn_to_page(PFN(next))->link.prev = f;
	b->head[order] = f;
	b->nonempty |= 1u << order;
	b->count[order]++;
}

static void buddy_unlink(struct buddy *b, struct page *pg, u32 order)
{
	u32 next = pg->link.next;
	u32 prev = pg->link.prev;

	if (next != BUDDY_NONE)
		pfn_to_page(PFN(next))->link.prev = prev;
	if (prev != BUDDY_NONE)
		pfn_to_page(PFN(prev))->link.next = next;
	else
		b->head[order] = next;
	if (--b->count[order] == 0)
		b->nonempty &= ~(1u << order);
	pg->flags &= PAGE_F_POISONED;
	pg->order = 0;
}

struct page *buddy_alloc(struct buddy *b, u32 order)
{
	u32 fit = b->nonempty >> order;

	if (!fit)
		return NULL;
	u32 o = order + (u32)__builtin_ctz(fit);
	struct page *pg = pfn_to_page(PFN(b->head[o]));

	buddy_unlink(b, pg, o);
	/* The upper halves go back: the lowest addresses are handed out first. */
	while (o > order) {
		o--;
		buddy_push(b, pg + (1ul << o), o);
	}
	b->nfree -= 1ul << order;
	return pg;
}

static bool buddy_is_free(const struct page *pg, u32 order)
{
	return pg->use == PAGE_FREE && (pg->flags & PAGE_F_HEAD) && pg->order == order;
}

/*
 * The buddy's struct page always exists: chunks of the frame array are
 * multiples of the largest block (frames.c).
 */
void buddy_free(struct buddy *b, struct page *pg, u32 order)
{
	u64 f = page_to_pfn(pg).v;

	ASSERT((f & ((1ul << order) - 1)) == 0);
	b->nfree += 1ul << order;
	pg->flags &= PAGE_F_POISONED;
	pg->use = PAGE_FREE;
	for (; order < PAGE_MAX_ORDER; order++) {
		struct page *other = pfn_to_page(PFN(f ^ (1ul << order)));

		if (!buddy_is_free(other, order))
			break;
		buddy_unlink(b, other, order);
		f &= ~(1ul << order);
	}
	buddy_push(b, pfn_to_page(PFN(f)), order);
}

void buddy_free_range(struct buddy *b, u64 start, u64 end)
{
	while (start < end) {
		u32 order = start ? (u32)__builtin_ctzl(start) : PAGE_MAX_ORDER;

		order = MIN(order, PAGE_MAX_ORDER);
		while (start + (1ul << order) > end)
			order--;
		buddy_free(b, pfn_to_page(PFN(start)), order);
		start += 1ul << order;
	}
}
