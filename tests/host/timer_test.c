/*
 * The timer tree of core, on one CPU.
 * host-sources: kern/core/timer.c
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <core/timer.h>
#include <test/test.h>

static u64 programmed = ~0ull;

void arch_timer_program(u64 when_ns) { programmed = when_ns; }

#define N 200

static struct timer timers[N];
static u32 fired;
static u64 last_when;

static void in_order(struct timer *t)
{
	CHECK_LE(last_when, t->when_ns);
	CHECK_LE(t->when_ns, host_clock_ns);
	last_when = t->when_ns;
	fired++;
}

static void interrupt(void)
{
	u64 irq = irq_save();

	timer_interrupt();
	irq_restore(irq);
}

TEST(timer, fires_in_order_and_programs_the_first)
{
	u64 first = ~0ull;

	for (u32 i = 0; i < N; i++) {
		u64 when = host_clock_ns + 1 + host_random_below(1000);

		timer_init(&timers[i], in_order);
		timer_arm(&timers[i], when);
		first = MIN(first, when);
		CHECK_EQ(programmed, first);
	}
	for (u32 i = 0; i < 100; i++) {
		host_clock_ns += 10;
		interrupt();
	}
	CHECK_EQ(fired, (u32)N);
	CHECK_EQ(programmed, ~0ull);
}

TEST(timer, cancel_and_rearm)
{
	struct timer a, b;

	timer_init(&a, in_order);
	timer_init(&b, in_order);
	CHECK(!timer_cancel(&a));
	timer_arm(&a, host_clock_ns + 10);
	timer_arm(&b, host_clock_ns + 20);
	CHECK(timer_cancel(&a));
	CHECK(!timer_cancel(&a));
	timer_arm(&b, host_clock_ns + 30);
	host_clock_ns += 25;
	interrupt();
	CHECK_EQ(fired, 0u);
	host_clock_ns += 5;
	interrupt();
	CHECK_EQ(fired, 1u);
	CHECK(!timer_try_cancel(&b));
}

static void again(struct timer *t)
{
	if (++fired < 5)
		timer_arm(t, t->when_ns + 10);
}

TEST(timer, a_callback_may_arm_its_own_timer)
{
	struct timer t;

	timer_init(&t, again);
	timer_arm(&t, host_clock_ns + 10);
	host_clock_ns += 35;
	interrupt();
	CHECK_EQ(fired, 3u);
	host_clock_ns += 100;
	interrupt();
	CHECK_EQ(fired, 5u);
}
