/* Areas that grow downwards when somebody touches what lies below them: stacks. */
#include <core/stat.h>
#include <vm/huge.h>

#include "vm.h"

/* The guard gap as Linux keeps it: not towards another stack, nor towards what nobody can touch. */
static bool gap_kept(const struct area *prev, u64 start)
{
	if (!prev)
		return true;
	if (prev->end > start)
		return false;
	if (prev->flags & VM_GROWSDOWN || !(prev->flags & VM_PROT))
		return true;
	return start - prev->end >= VM_STACK_GAP;
}

/*
 * Faults above old found no room for 2 MiB: whoever looks at the space in the background does now, if a border was
 * passed.  The fault that grew the area may be the last one near it.
 */
static void note_whole_regions(struct aspace *as, const struct area *a, u64 old)
{
	u64 base = ALIGN_UP(a->start, HUGE_SIZE);

	if (base < old && huge_wanted(as, a, base))
		huge_space_note(as);
}

static int stack_grow_locked(struct aspace *as, u64 va, struct list *dead) MUST_HOLD(&as->lock)
{
	int err = areas_own(as, dead);
	struct area *a = area_find(as, va);

	if (err)
		return err;
	if (!a)
		return -EFAULT;
	if (a->start <= va)
		return 0;
	if (!(a->flags & VM_GROWSDOWN) || va < VM_MIN_ADDR || a->end - va > as->stack_limit)
		return -EFAULT;
	if (!gap_kept(area_prev(a), va) || map_check_limits(as, (a->start - va) >> PAGE_SHIFT, a->flags))
		return -EFAULT;
	u64 old = a->start;

	area_set_range(a, va, a->end);
	note_whole_regions(as, a, old);
	fault_note(TRACE_KIND_GROW, va);
	return 0;
}

int stack_grow(struct aspace *as, u64 va)
{
	struct list dead = LIST_INIT(dead);
	int err;

	rwlock_write(&as->lock);
	err = stack_grow_locked(as, va, &dead);
	rwlock_write_end(&as->lock);
	area_free_list(&dead);
	return err;
}
