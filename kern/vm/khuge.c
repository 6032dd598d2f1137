/*
 * The background collapse: one kernel thread and a list of spaces where a
 * fault took 4 KiB although 2 MiB were wanted.  It sleeps without a timer while
 * the list is empty.  A space that was looked through leaves the list until a fault
 * puts it back, unless something in it only has to wait (a child that shares the
 * frames, no block at hand).
 *
 * list_lock (rank PAGE_LRU) guards the list and huge_listed.  A listed space is
 * pinned by the list; its teardown takes it off.
 */
#include <core/clock.h>
#include <sched/sched.h>
#include <vm/huge.h>

#include "vm.h"

#define NSEC_MSEC 1000000ull

static spinlock_t list_lock = SPINLOCK_INIT(LR_PAGE_LRU);
static struct list spaces GUARDED_BY(&list_lock) = LIST_INIT(spaces);
static u32 nspaces GUARDED_BY(&list_lock);
static bool starved;			/* the last run found no block; the worker's */
static struct thread *worker;		/* const after boot */

static bool may_run(void)
{
	return READ_ONCE(huge_policy.collapse) && READ_ONCE(huge_policy.enabled) != HUGE_NEVER;
}

static void list_space(struct aspace *as)
{
	GUARD_SPIN(&list_lock);
	if (as->huge_listed)
		return;
	WRITE_ONCE(as->huge_listed, true);
	list_push_back(&spaces, &as->huge_link);
	nspaces++;
	(void)aspace_get(as);
}

void huge_space_note(struct aspace *as)
{
	if (likely(READ_ONCE(as->huge_listed)) || !worker || !may_run())
		return;
	list_space(as);
	sched_wake(worker);
}

void huge_space_forget(struct aspace *as)
{
	if (likely(!READ_ONCE(as->huge_listed)))
		return;
	spin_lock(&list_lock);
	bool listed = as->huge_listed;

	if (listed) {
		list_remove(&as->huge_link);
		nspaces--;
		as->huge_listed = false;
	}
	spin_unlock(&list_lock);
	if (listed)
		aspace_put(as);
}

void huge_policy_changed(void)
{
	if (worker)
		sched_wake(worker);
}

/* The first of the list, in use, off the list; NULL: none.  The pin of the list is the caller's, and so is the use. */
static struct aspace *take_space(void)
{
	for (;;) {
		spin_lock(&list_lock);
		struct list *l = list_pop_front(&spaces);
		struct aspace *as = l ? container_of(l, struct aspace, huge_link) : NULL;

		if (as) {
			nspaces--;
			as->huge_listed = false;
		}
		spin_unlock(&list_lock);
		if (!as || aspace_try_use(as))
			return as;
		aspace_put(as);
	}
}

/* The next 2 MiB at or after *va that may become one entry: the area, or NULL.  as->lock held. */
static struct area *next_region(struct aspace *as, u64 *va) MUST_HOLD(&as->lock)
{
	for (struct area *a = area_find(as, *va); a; a = area_next(a)) {
		*va = ALIGN_UP(MAX(*va, a->start), HUGE_SIZE);
		if (*va + HUGE_SIZE <= a->end && huge_wanted(as, a, *va))
			return a;
	}
	return NULL;
}

/* From as->huge_cursor on.  True: the space is worth another look. */
static bool scan_space(struct aspace *as, u32 *budget)
{
	bool again = false;

	while (*budget) {
		rwlock_write(&as->lock);
		struct area *a = next_region(as, &as->huge_cursor);
		int err = a ? huge_collapse(as, a, as->huge_cursor, READ_ONCE(huge_policy.max_none)) : 0;

		if (a && err != -ENOMEM)
			as->huge_cursor += HUGE_SIZE;
		rwlock_write_end(&as->lock);
		if (!a) {
			as->huge_cursor = 0;
			return again;
		}
		if (err == -ENOMEM) {
			atomic64_inc(&huge_stats.collapse_failed);
			starved = !vm_compact();
		}
		if (starved)
			return true;
		again |= err == -EAGAIN;
		*budget -= MIN(*budget, HUGE_PAGES);
		sched_resched_if_needed();
	}
	return true;
}

static void scan_all(void)
{
	u32 budget = MAX(READ_ONCE(huge_policy.scan_pages), HUGE_PAGES);
	struct aspace *as;

	starved = false;
	/* Each once: those that want another look go to the end of the list. */
	for (u32 n = READ_ONCE(nspaces); n && budget && !starved && may_run() && (as = take_space()); n--) {
		if (scan_space(as, &budget))
			list_space(as);
		aspace_unuse(as);
		aspace_put(as);
	}
	atomic64_inc(&huge_stats.runs);
}

static bool nothing_to_do(void)
{
	GUARD_SPIN(&list_lock);
	return list_empty(&spaces) || !may_run();
}

static u64 pause_ns(void)
{
	return (starved ? READ_ONCE(huge_policy.alloc_ms) : READ_ONCE(huge_policy.scan_ms)) * NSEC_MSEC;
}

/* Until the pause after the first space came is over; a new length of it counts at once. */
static void wait_for_work(void)
{
	u64 begin, deadline;

	sched_set_state(THREAD_SLEEP);
	while (nothing_to_do()) {
		sched_block();
		sched_set_state(THREAD_SLEEP);
	}
	begin = clock_mono_ns();
	while ((deadline = begin + pause_ns()) > clock_mono_ns()) {
		sched_set_state(THREAD_SLEEP);
		(void)sched_block_until(deadline);
	}
	sched_set_state(THREAD_RUNNABLE);
}

static void worker_main(void *arg)
{
	(void)sched_set_policy(thread_current(), SCHED_OTHER, 0, 19);
	for (;;) {
		wait_for_work();
		scan_all();
	}
}

void huge_start(void)
{
	worker = thread_spawn_kernel("khugepaged", worker_main, NULL);	/* NULL: it goes without */
}
