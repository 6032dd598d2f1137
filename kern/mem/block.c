/*
 * See mem/block.h.
 *
 * B1  The count of a WHOLE block changes by one atomic operation on the head's
 *     refs that sees the mark too, so an owner that comes or goes while another
 *     spreads is counted in the one form or in the other, never lost between them.
 * B2  Inner counts are written under the block's lock while the mark is still
 *     set: nobody reads them before the swap that takes the mark away.
 * B3  Only a sole owner makes a block WHOLE again.
 */
#include <core/lock.h>
#include <mem/block.h>
#include <mem/mem.h>

#define BLOCK_LOCKS 16u

/* Against a second spreader. */
static spinlock_t block_locks[BLOCK_LOCKS] = { [0 ... BLOCK_LOCKS - 1] = SPINLOCK_INIT(LR_PAGE_BLOCK) };
static atomic64_t whole_anon;

static spinlock_t *block_lock(const struct page *head)
{
	return &block_locks[(page_to_pfn(head).v >> BLOCK_ORDER) % BLOCK_LOCKS];
}

static void count_whole(const struct page *head, i64 n)
{
	if (head->use == PAGE_ANON)
		atomic64_add(&whole_anon, n);
}

u64 block_count(void)
{
	return (u64)atomic64_read(&whole_anon);
}

struct page *block_alloc(enum page_use use, u32 flags)
{
	struct page *head = page_alloc(BLOCK_ORDER, use, flags | ALLOC_USER | ALLOC_NORECLAIM | ALLOC_SPARE);

	if (!head)
		return NULL;
	atomic_set(&head->refs, 1 | BLOCK_WHOLE);
	count_whole(head, 1);
	return head;
}

void block_get_rest(struct page *head)
{
	for (u32 i = 1; i < BLOCK_FRAMES; i++)
		(void)page_get(head + i);
}

void block_put(struct page *head)
{
	for (;;) {
		i32 v = atomic_read(&head->refs);

		ASSERT((v & ~BLOCK_WHOLE) > 0);
		if (!(v & BLOCK_WHOLE))
			break;
		if (v == (1 | BLOCK_WHOLE)) {
			count_whole(head, -1);
			atomic_set(&head->refs, 0);
			page_put_last(head);
			return;
		}
		if (likely(atomic_cas(&head->refs, v, v - 1)))
			return;
	}
	for (u32 i = 0; i < BLOCK_FRAMES; i++)
		page_put(head + i);
}

/* Inner frames as the head is; whoever reads their counts saw the mark gone first. */
static void write_counts(struct page *head, i32 refs)
{
	for (u32 i = 1; i < BLOCK_FRAMES; i++) {
		head[i].use = head->use;
		head[i].order = 0;
		head[i].flags = 0;
		head[i].used = 0;
		head[i].owner = NULL;
		head[i].index = 0;
		atomic_set(&head[i].refs, refs);
	}
	head->order = 0;
	head->flags = 0;
}

void block_spread(struct page *head)
{
	i32 v;

	if (!block_is_whole(head))
		return;
	GUARD_SPIN(block_lock(head));
	do {
		v = atomic_read(&head->refs);
		if (!(v & BLOCK_WHOLE))
			return;
		write_counts(head, v & ~BLOCK_WHOLE);			/* inv. B2 */
	} while (!atomic_cas(&head->refs, v, v & ~BLOCK_WHOLE));
	count_whole(head, -1);
}

bool block_sole(struct page *head)
{
	if (block_is_whole(head))
		return page_refs(head) == (1 | BLOCK_WHOLE);
	for (u32 i = 0; i < BLOCK_FRAMES; i++)
		if (page_refs(head + i) != 1)
			return false;
	for (u32 i = 1; i < BLOCK_FRAMES; i++)
		atomic_set(&head[i].refs, 0);
	head->order = BLOCK_ORDER;
	head->flags = PAGE_F_HEAD;
	atomic_set(&head->refs, 1 | BLOCK_WHOLE);			/* inv. B3 */
	count_whole(head, 1);
	return true;
}
