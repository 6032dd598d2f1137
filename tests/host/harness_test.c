/* The harness itself: what it must notice, and what the fakes must provide. */
#include <core/clock.h>
#include <core/timer.h>
#include <mem/slab.h>
#include <sched/mutex.h>
#include <test/test.h>

TEST(harness, failing_each_allocation)
{
	u32 rounds = 0;

	EVERY_ALLOC_FAILS_ONCE(n) {
		AUTO(kptr) a = kmalloc(10);
		AUTO(page) pg = a ? page_alloc(0, PAGE_ANON, 0) : NULL;
		AUTO(kptr) b = pg ? kzalloc(20) : NULL;

		CHECK_EQ(!a + !pg + !b, n < 3 ? 3 - (int)n : 0);
		rounds++;
	}
	CHECK_EQ(rounds, 4u);
}

TEST(harness, panics_are_expected_by_text)
{
	host_expect_panic("the text");
	panic("here is the text %d", 1);
}

TEST(harness, sleeping_under_a_spinlock_is_caught)
{
	spinlock_t l = SPINLOCK_INIT(LR_ZONE);

	host_expect_panic("sleeps with");
	spin_lock(&l);
	host_allow_leaks();
	(void)!kmalloc(1);
}

TEST(harness, double_put_of_a_frame_is_caught)
{
	struct page *pg = page_alloc(0, PAGE_ANON, 0);

	NEED(pg);
	page_put(pg);
	host_expect_panic("PAGE_RESERVED");
	page_put_last(pg);
}

TEST(harness, waits_see_their_condition_or_the_deadline)
{
	struct waitq q = WAITQ_INIT(q);
	bool done = true;

	CHECK_EQ(waitq_wait_intr(&q, done), 0);
	done = false;
	CHECK_EQ(waitq_wait_intr_until(&q, done, clock_mono_ns() + 5), -ETIMEDOUT);
	CHECK(list_empty(&q.waiters));
}

static u32 fired;
static void count_timer(struct timer *t) { fired++; }

TEST(harness, timers_fire_when_time_passes)
{
	struct timer t;

	timer_init(&t, count_timer);
	timer_arm(&t, clock_mono_ns() + 10);
	host_clock_advance(9);
	CHECK_EQ(fired, 0u);
	host_clock_advance(1);
	CHECK_EQ(fired, 1u);
	CHECK(!timer_cancel(&t));
}
