/* Signal queues: order, merging, limits.
 * host-sources: kern/proc/sigqueue.c kern/proc/users.c
 */
#include <test/test.h>
#include "proc.h"

static struct sigitem *item(u32 sig, i32 code, u64 value)
{
	struct sigitem *i = sigitem_alloc(&user_root, 1000, false);

	if (!i)
		return NULL;
	memset(&i->info, 0, sizeof(i->info));
	i->timer = NULL;
	i->info.signo = (i32)sig;
	i->info.code = code;
	i->info.rt.value = value;
	return i;
}

TEST(sigqueue, faults_come_first_then_by_number)
{
	struct sigqueue q;
	struct siginfo_k info;

	sigqueue_init(&q);
	sigqueue_push(&q, SIGUSR1, NULL);
	sigqueue_push(&q, SIGHUP, NULL);
	sigqueue_push(&q, SIGSEGV, NULL);
	CHECK_EQ(sigqueue_take(&q, 0, &info, NULL), SIGSEGV);
	CHECK_EQ(sigqueue_take(&q, SIGBIT(SIGHUP), &info, NULL), SIGUSR1);
	CHECK_EQ(info.signo, SIGUSR1);
	CHECK_EQ(sigqueue_take(&q, SIGBIT(SIGHUP), &info, NULL), 0);
	CHECK_EQ(sigqueue_take(&q, 0, &info, NULL), SIGHUP);
	CHECK_EQ(q.set.bits, 0);
}

TEST(sigqueue, real_time_signals_queue_in_order)
{
	struct sigqueue q;
	struct siginfo_k info;

	sigqueue_init(&q);
	for (u64 v = 1; v <= 3; v++)
		sigqueue_push(&q, 40, item(40, SI_QUEUE, v));
	sigqueue_push(&q, 41, item(41, SI_QUEUE, 9));
	for (u64 v = 1; v <= 3; v++) {
		CHECK(q.set.bits & SIGBIT(40));
		CHECK_EQ(sigqueue_take(&q, 0, &info, NULL), 40);
		CHECK_EQ(info.rt.value, v);
	}
	CHECK_EQ(q.set.bits, SIGBIT(41));
	CHECK_EQ(sigqueue_take(&q, 0, &info, NULL), 41);
	CHECK_EQ(atomic_read(&user_root.signals), 0);
}

TEST(sigqueue, remove_drops_items)
{
	struct sigqueue q;

	sigqueue_init(&q);
	sigqueue_push(&q, SIGTSTP, item(SIGTSTP, SI_USER, 0));
	sigqueue_push(&q, 40, item(40, SI_QUEUE, 1));
	sigqueue_push(&q, 40, item(40, SI_QUEUE, 2));
	sigqueue_remove(&q, SIG_STOP_MASK);
	CHECK_EQ(q.set.bits, SIGBIT(40));
	CHECK_EQ(atomic_read(&user_root.signals), 2);
	sigqueue_remove(&q, ~0ull);
	CHECK_EQ(q.set.bits, 0);
	CHECK_EQ(atomic_read(&user_root.signals), 0);
	CHECK(list_empty(&q.items));
}

TEST(sigqueue, a_fault_of_the_kernel_passes_signals_of_users)
{
	struct sigqueue q;
	struct siginfo_k info;

	sigqueue_init(&q);
	sigqueue_push(&q, SIGSEGV, item(SIGSEGV, SI_USER, 0));
	CHECK_EQ(sigqueue_take_fault(&q, 0, &info), 0);
	sigqueue_push(&q, SIGBUS, item(SIGBUS, 2, 0));
	CHECK_EQ(sigqueue_take_fault(&q, SIGBIT(SIGBUS), &info), 0);
	CHECK_EQ(sigqueue_take_fault(&q, 0, &info), SIGBUS);
	CHECK_EQ(sigqueue_take(&q, 0, &info, NULL), SIGSEGV);
}

TEST(sigqueue, limits_count_per_user)
{
	struct user_counts *u = user_counts_find(1000), *same = user_counts_find(1000);
	struct sigitem *a, *b;

	NEED(u && u == same);
	a = sigitem_alloc(u, 1, false);
	CHECK(a != NULL);
	CHECK(!sigitem_alloc(u, 1, false));
	b = sigitem_alloc(u, 1, true);
	CHECK(b != NULL);
	user_counts_put(same);
	user_counts_put(u);			/* the items keep it */
	sigitem_free(a);
	sigitem_free(b);
	u = user_counts_find(1000);
	CHECK_EQ(atomic_read(&u->signals), 0);
	user_counts_put(u);
}

TEST(sigqueue, no_memory_leaves_the_count)
{
	EVERY_ALLOC_FAILS_ONCE(n) {
		struct user_counts *u = user_counts_find(7);
		struct sigitem *i = u ? sigitem_alloc(u, 10, false) : NULL;

		if (i)
			sigitem_free(i);
		if (u)
			CHECK_EQ(atomic_read(&u->signals), 0);
		user_counts_put(u);
	}
}
