/*
 * Queues of pending signals: a set of bits and the items that carry
 * information, in order of arrival.  A bit without an item is a signal whose
 * item could not be had; it is delivered with no information.  Everything is
 * under the owner's sig_lock; items come from atomic memory, so that timers can
 * send.
 */
#include "proc.h"

void sigqueue_init(struct sigqueue *q)
{
	q->set.bits = 0;
	list_init(&q->items);
}

struct sigitem *sigitem_alloc(struct user_counts *u, u64 limit, bool override)
{
	struct sigitem *item;

	if ((u64)atomic_add(&u->signals, 1) > limit && !override) {
		atomic_dec(&u->signals);
		return NULL;
	}
	item = kmalloc_atomic(sizeof(*item));
	if (!item) {
		atomic_dec(&u->signals);
		return NULL;
	}
	item->user = user_counts_get(u);
	list_init(&item->link);
	return item;
}

void sigitem_free(struct sigitem *item)
{
	if (item->user) {
		atomic_dec(&item->user->signals);
		user_counts_put(item->user);
	}
	kfree(item);
}

void sigqueue_push(struct sigqueue *q, u32 sig, struct sigitem *item)
{
	q->set.bits |= SIGBIT(sig);
	if (item)
		list_push_back(&q->items, &item->link);
}

u32 sigqueue_next(u64 pending, u64 blocked)
{
	u64 x = pending & ~blocked;

	if (x & SIG_SYNC_MASK)
		x &= SIG_SYNC_MASK;
	return x ? (u32)__builtin_ctzll(x) + 1 : 0;
}

static void unlink_item(struct sigitem *item)
{
	list_remove(&item->link);
	if (!item->timer)
		sigitem_free(item);
}

/* Takes the first item of sig; the bit stays while more of them wait. */
static void collect(struct sigqueue *q, u32 sig, struct siginfo_k *info, struct posix_timer **timer)
{
	struct sigitem *item, *found = NULL;

	q->set.bits &= ~SIGBIT(sig);
	list_for_each(item, &q->items, link) {
		if ((u32)item->info.signo != sig)
			continue;
		if (found) {
			q->set.bits |= SIGBIT(sig);
			break;
		}
		found = item;
	}
	if (!found) {
		memset(info, 0, sizeof(*info));
		info->signo = (i32)sig;
		return;
	}
	*info = found->info;
	if (timer)
		*timer = found->timer;
	unlink_item(found);
}

u32 sigqueue_take(struct sigqueue *q, u64 blocked, struct siginfo_k *info, struct posix_timer **timer)
{
	u32 sig = sigqueue_next(q->set.bits, blocked);

	if (sig)
		collect(q, sig, info, timer);
	return sig;
}

u32 sigqueue_take_fault(struct sigqueue *q, u64 blocked, struct siginfo_k *info)
{
	struct sigitem *item;
	u64 want = q->set.bits & ~blocked & SIG_SYNC_MASK;

	if (!want)
		return 0;
	list_for_each(item, &q->items, link) {
		u32 sig = (u32)item->info.signo;

		if (item->info.code > SI_USER && (SIGBIT(sig) & want)) {
			collect(q, sig, info, NULL);
			return sig;
		}
	}
	return 0;
}

void sigqueue_remove(struct sigqueue *q, u64 mask)
{
	struct sigitem *item, *tmp;

	if (!(q->set.bits & mask))
		return;
	q->set.bits &= ~mask;
	list_for_each_safe(item, tmp, &q->items, link)
		if (SIGBIT(item->info.signo) & mask)
			unlink_item(item);
}
