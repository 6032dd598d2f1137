/*
 * What a dying (or exec'ing) thread owes to others through user memory: the
 * futexes of its robust list become "owner died", the word of CLONE_CHILD_CLEARTID
 * becomes 0, a vfork parent goes on.  The lists are the program's own data and may
 * be anything: every step is bounded and checked.
 */
#include <arch/upcall.h>
#include <arch/usercopy.h>
#include "proc.h"

#define ROBUST_LIMIT	 2048u
#define FUTEX_WAITERS	 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK	 0x3fffffffu
#define FAULT_WRITE_USER 6u		/* hardware error code: write, user */

struct robust_head { u64 next, futex_offset, pending; };

static void wake_one(uptr_t uaddr)
{
	struct futex_key key;

	if (!vm_futex_key(uaddr, true, &key))
		(void)futex_wake(&key, 1, ~0u);
}

/* 0, or -errno: the list is damaged, stop. */
static int owner_died(struct task *self, u64 addr, bool pi, bool pending)
{
	uptr_t uaddr = UPTR(addr);
	u32 val, old;

	if ((addr & 3) || !user_range_ok(uaddr, 4))
		return -EFAULT;
	for (;;) {
		if (user_get(&val, uaddr))
			return -EFAULT;
		if (pending && !pi && !val) {
			wake_one(uaddr);	/* died between unlocking and waking */
			return 0;
		}
		if ((val & FUTEX_TID_MASK) != self->tid)
			return 0;
		if (user_cas_u32_nofault(uaddr, val, (val & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &old)) {
			if (vm_fault_user(addr, FAULT_WRITE_USER, false))
				return -EFAULT;
			continue;
		}
		if (old == val)
			break;
	}
	if (!pi && (val & FUTEX_WAITERS))
		wake_one(uaddr);
	return 0;
}

void task_robust_exit(struct task *self)
{
	struct robust_head head;
	u64 entry, next, pending;

	if (uptr_is_null(self->robust_list) || user_get(&head, self->robust_list))
		return;
	entry = head.next;
	pending = head.pending & ~1ull;
	for (u32 n = 0; (entry & ~1ull) != self->robust_list.v && n < ROBUST_LIMIT; n++) {
		bool bad = user_get(&next, UPTR(entry & ~1ull));

		if ((entry & ~1ull) != pending && owner_died(self, (entry & ~1ull) + head.futex_offset, entry & 1, false))
			return;
		if (bad)
			break;
		entry = next;
		sched_resched_if_needed();
	}
	if (pending)
		DISCARD(owner_died(self, pending + head.futex_offset, head.pending & 1, true));	/* a bad list harms its owner only */
}

void vfork_done(struct task *t)
{
	struct vfork_wait *w;

	if (!t->vfork)
		return;
	GUARD_SPIN(&t->proc->lock);
	w = MOVE(t->vfork);
	if (!w)
		return;				/* the parent was killed and does not wait any more */
	WRITE_ONCE(w->done, true);
	waitq_wake_later(&w->wait);		/* it waits for this program's end, as a rule: two switches less */
}

void task_release_mm(struct task *self)
{
	struct aspace *as = self->thread.aspace;
	u32 zero = 0;

	if (as) {
		task_robust_exit(self);
		self->robust_list = UPTR(0);
		if (!uptr_is_null(self->clear_tid) && atomic_read(&as->users) > 1 &&
		    !user_put(self->clear_tid, &zero))
			wake_one(self->clear_tid);
		self->clear_tid = UPTR(0);
	}
	vfork_done(self);
}
