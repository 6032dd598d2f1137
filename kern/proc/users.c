/*
 * Counts per real user id: tasks (RLIMIT_NPROC) and queued signals
 * (RLIMIT_SIGPENDING).  An entry lives while a task or a queued signal refers
 * to it; entries whose count reached 0 are dead to lookups and freed by the one
 * who dropped it.  Context: any.
 */
#include "proc.h"

#define USER_BUCKETS 64u

struct user_counts user_root = { .refs = ATOMIC(1) };
static struct user_counts *buckets[USER_BUCKETS] = { [0] = &user_root };
static spinlock_t users_lock = SPINLOCK_INIT(LR_UID_COUNT);

static struct user_counts **bucket(u32 uid) { return &buckets[uid ? hash_u64(uid) % USER_BUCKETS : 0]; }

struct user_counts *user_counts_find(u32 uid)
{
	struct user_counts *fresh = kmalloc_atomic(sizeof(*fresh)), *u;
	u64 irq = spin_lock_irq(&users_lock);

	for (u = *bucket(uid); u; u = u->next)
		if (u->uid == uid && atomic_inc_unless_zero(&u->refs))
			break;
	if (!u && fresh) {
		u = fresh;
		fresh = NULL;
		u->uid = uid;
		atomic_set(&u->refs, 1);
		u->next = *bucket(uid);
		*bucket(uid) = u;
	}
	spin_unlock_irq(&users_lock, irq);
	kfree(fresh);
	return u;
}

void user_counts_put(struct user_counts *u)
{
	struct user_counts **at;
	u64 irq;

	if (!u || !atomic_dec_is_zero(&u->refs))
		return;
	irq = spin_lock_irq(&users_lock);
	for (at = bucket(u->uid); *at != u; at = &(*at)->next)
		;
	*at = u->next;
	spin_unlock_irq(&users_lock, irq);
	kfree(u);
}
