/* See buddy.h.  Coalescing asks the buddy's own struct page: no list is ever searched. */
#include "buddy.h"

void buddy_init(struct buddy *b, u8 *group)
{
	*b = (struct buddy){ .group = group };
	for (u32 g = 0; g < BUDDY_GROUPS; g++)
		for (u32 o = 0; o <= PAGE_MAX_ORDER; o++)
			b->head[g][o] = BUDDY_NONE;
}

static ALWAYS_INLINE void buddy_push(struct buddy *b, struct page *pg, u32 order, enum buddy_group group)
{
	u32 f = (u32)page_to_pfn(pg).v;
	u32 next = b->head[group][order];

	pg->use = PAGE_FREE;
	pg->order = (u8)order;
	pg->flags = (pg->flags & PAGE_F_POISONED) | PAGE_F_HEAD;
	pg->link.next = next;
	pg->link.prev = BUDDY_NONE;
	if (next != BUDDY_NONE)
		pfn_to_page(PFN(next))->link.prev = f;
	b->head[group][order] = f;
	b->nonempty[group] |= 1u << order;
	b->count[order]++;
}

static ALWAYS_INLINE void buddy_unlink(struct buddy *b, struct page *pg, u32 order, enum buddy_group group)
{
	u32 next = pg->link.next;
	u32 prev = pg->link.prev;

	if (next != BUDDY_NONE)
		pfn_to_page(PFN(next))->link.prev = prev;
	if (prev != BUDDY_NONE)
		pfn_to_page(PFN(prev))->link.next = next;
	else if ((b->head[group][order] = next) == BUDDY_NONE)
		b->nonempty[group] &= ~(1u << order);
	b->count[order]--;
	pg->flags &= PAGE_F_POISONED;
	pg->order = 0;
}

/* 2^order frames of the first free block of order o in the group. */
static struct page *buddy_cut(struct buddy *b, u32 order, u32 o, enum buddy_group group)
{
	struct page *pg = pfn_to_page(PFN(b->head[group][o]));

	buddy_unlink(b, pg, o, group);
	/* The upper halves go back: the lowest addresses are handed out first. */
	while (o > order) {
		o--;
		buddy_push(b, pg + (1ul << o), o, group);
	}
	b->nfree -= 1ul << order;
	return pg;
}

/* A free region for the group, which owns none that would do. */
static NOINLINE struct page *buddy_claim(struct buddy *b, u32 order, enum buddy_group group)
{
	u32 least = MAX(order, BUDDY_REGION), fit = b->nonempty[GROUP_MOVABLE] >> least;

	if (!fit)
		return NULL;
	struct page *pg = buddy_cut(b, least, least + (u32)__builtin_ctz(fit), GROUP_MOVABLE);
	u8 *region = &b->group[page_to_pfn(pg).v >> BUDDY_REGION];

	for (u32 i = 0; i < 1u << (least - BUDDY_REGION); i++)
		region[i] = (u8)group;
	for (u32 o = least; o > order;) {
		o--;
		buddy_push(b, pg + (1ul << o), o, group);
		b->nfree += 1ul << o;
	}
	return pg;
}

struct page *buddy_alloc(struct buddy *b, u32 order, enum buddy_group group)
{
	u32 fit = b->nonempty[group] >> order;

	if (likely(fit))
		return buddy_cut(b, order, order + (u32)__builtin_ctz(fit), group);
	return group == GROUP_MOVABLE ? NULL : buddy_claim(b, order, group);
}

struct page *buddy_alloc_some(struct buddy *b, u32 max, enum buddy_group group, u32 *order)
{
	u32 fit = b->nonempty[group];
	u32 o = fit ? (u32)__builtin_ctz(fit) : max;

	*order = MIN(o, max);
	return fit ? buddy_cut(b, *order, o, group) : buddy_alloc(b, max, group);
}

/* The group to take from: who has the largest piece, ISOLATED regions last.  BUDDY_GROUPS: none. */
static u32 buddy_richest(const struct buddy *b, u32 order, enum buddy_group group)
{
	u32 best = BUDDY_GROUPS;

	for (u32 g = 0; g < GROUP_ISOLATED; g++)
		if (g != group && b->nonempty[g] >> order && (best == BUDDY_GROUPS || b->nonempty[g] > b->nonempty[best]))
			best = g;
	if (best == BUDDY_GROUPS && b->nonempty[GROUP_ISOLATED] >> order)
		best = GROUP_ISOLATED;
	return best;
}

/*
 * What stays takes the largest piece and the region with it, so that the next frames of its kind come from there too
 * and not from a third region.  What can be moved does no harm and fills the smallest holes.
 */
struct page *buddy_steal(struct buddy *b, u32 order, enum buddy_group group)
{
	u32 from = buddy_richest(b, order, group), o;

	if (from == BUDDY_GROUPS)
		return NULL;
	if (group == GROUP_MOVABLE || from == GROUP_ISOLATED)
		return buddy_cut(b, order, order + (u32)__builtin_ctz(b->nonempty[from] >> order), from);
	o = 31 - (u32)__builtin_clz(b->nonempty[from]);
	buddy_set_group(b, b->head[from][o], group);
	return buddy_alloc(b, order, group);
}

static bool buddy_is_free(const struct page *pg, u32 order)
{
	return pg->use == PAGE_FREE && (pg->flags & PAGE_F_HEAD) && pg->order == order;
}

/* Blocks of a region or more: inv. 4, and 2. */
static NOINLINE void buddy_free_regions(struct buddy *b, u64 f, u32 order)
{
	u8 *region = &b->group[f >> BUDDY_REGION];

	if (*region == GROUP_ISOLATED && order == BUDDY_REGION) {
		buddy_push(b, pfn_to_page(PFN(f)), order, GROUP_ISOLATED);
		return;
	}
	for (u32 i = 0; i < 1u << (order - BUDDY_REGION); i++)
		region[i] = GROUP_MOVABLE;
	for (; order < PAGE_MAX_ORDER; order++) {
		u64 other = f ^ (1ul << order);

		if (!buddy_is_free(pfn_to_page(PFN(other)), order) || buddy_group_of(b, other) != GROUP_MOVABLE)
			break;
		buddy_unlink(b, pfn_to_page(PFN(other)), order, GROUP_MOVABLE);
		f &= ~(1ul << order);
	}
	buddy_push(b, pfn_to_page(PFN(f)), order, GROUP_MOVABLE);
}

/*
 * The buddy's struct page always exists: chunks of the frame array are
 * multiples of the largest block (frames.c).
 */
void buddy_free(struct buddy *b, struct page *pg, u32 order)
{
	u64 f = page_to_pfn(pg).v;
	enum buddy_group group = buddy_group_of(b, f);

	ASSERT((f & ((1ul << order) - 1)) == 0);
	b->nfree += 1ul << order;
	pg->flags &= PAGE_F_POISONED;
	pg->use = PAGE_FREE;
	for (; order < BUDDY_REGION; order++) {
		struct page *other = pfn_to_page(PFN(f ^ (1ul << order)));

		if (!buddy_is_free(other, order)) {
			buddy_push(b, pfn_to_page(PFN(f)), order, group);
			return;
		}
		buddy_unlink(b, other, order, group);
		f &= ~(1ul << order);
	}
	buddy_free_regions(b, f, order);
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

void buddy_set_group(struct buddy *b, u64 frame, enum buddy_group group)
{
	u64 f = ALIGN_DOWN(frame, 1ul << BUDDY_REGION), end = f + (1ul << BUDDY_REGION);
	enum buddy_group was = buddy_group_of(b, f);
	struct page *pg;

	b->group[f >> BUDDY_REGION] = (u8)group;
	for (u64 n; f < end; f += n) {
		pg = pfn_to_page(PFN(f));
		n = 1;
		if (pg->use != PAGE_FREE || !(pg->flags & PAGE_F_HEAD))
			continue;
		n = 1ul << pg->order;
		ASSERT(pg->order <= BUDDY_REGION);
		u32 order = pg->order;

		buddy_unlink(b, pg, order, was);
		if (order < BUDDY_REGION)
			buddy_push(b, pg, order, group);
		else
			buddy_free_regions(b, f, order);
	}
}
