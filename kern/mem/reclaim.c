/*
 * Reclaim: asks the registered caches, cheapest to refill first, to give
 * frames back.  Runs in the thread that needs memory.  The list only grows, at
 * boot, so walking it needs no lock.
 */
#include "mem_internal.h"

struct reclaim_stats mem_counters;
bool (*mem_oom_hook)(void);
void (*mem_drain_hook)(void);
void (*mem_stall_hook)(bool begins);

static spinlock_t reclaim_lock = SPINLOCK_INIT(LR_ZONE);
static struct list reclaim_list = LIST_INIT(reclaim_list);	/* reclaim_lock to add; ascending order */

/* After a fruitless run the low watermark alone starts no new one for this many slow allocations. */
#define RECLAIM_BACKOFF 64
static atomic_t reclaim_backoff;

void mem_shrinker_add(struct mem_shrinker *s)
{
	GUARD_IRQ(&reclaim_lock);
	struct mem_shrinker *pos;

	list_for_each(pos, &reclaim_list, link)
		if (pos->order > s->order)
			break;
	s->link.next = &pos->link;
	s->link.prev = pos->link.prev;
	pos->link.prev = &s->link;
	store_release(&s->link.prev->next, &s->link);
}

u64 mem_reclaim(u64 want)
{
	struct mem_shrinker *s;
	u64 freed = 0;

	assert_may_sleep();
	atomic64_inc(&mem_counters.runs);
	list_for_each(s, &reclaim_list, link) {
		if (freed >= want)
			break;
		freed += s->shrink(s, want - freed);
	}
	if (freed < want)
		freed += kstack_trim(0);
	atomic64_add(&mem_counters.reclaimed, (i64)freed);
	return freed;
}

static void stall(bool begins)
{
	if (mem_stall_hook)
		mem_stall_hook(begins);
}

u64 mem_reclaim_for(u64 want)
{
	u64 freed;

	stall(true);
	freed = mem_reclaim(want);
	stall(false);
	return freed;
}

bool mem_oom(void)
{
	bool again;

	if (!mem_oom_hook)
		return false;
	stall(true);
	again = mem_oom_hook();
	stall(false);
	return again;
}

/* Not one of the shrinkers: those are asked at the low watermark already, where it is no reason to interrupt every CPU. */
bool mem_drain_all(void)
{
	if (!mem_drain_hook)
		return false;
	stall(true);
	mem_drain_hook();
	stall(false);
	atomic64_inc(&mem_counters.drains);
	return true;
}

void mem_reclaim_background(void)
{
	if (list_empty(&reclaim_list))
		return;
	if (atomic_read(&reclaim_backoff) > 0) {
		atomic_dec(&reclaim_backoff);
		return;
	}
	if (!mem_reclaim_for(64))
		atomic_set(&reclaim_backoff, RECLAIM_BACKOFF);
}
