/*
 * Averages of pressure: where they go, how fast they fade, what a gap does.
 * host-sources: kern/sched/pressure_avg.c
 */
#include <test/test.h>
#include "pressure_avg.h"

static struct pressure_avg a;
static u64 now, total;

static void start(void)
{
	now = 1000 * NSEC_PER_SEC;
	total = 0;
	a = (struct pressure_avg){ .when = now };
}

/* Periods with that share of pressure each. */
static void periods(u32 n, u32 percent)
{
	while (n--) {
		now += PRESSURE_PERIOD_NS;
		total += PRESSURE_PERIOD_NS / 100 * percent;
		pressure_average(&a, total, now);
	}
}

static double percent(u32 i) { return (double)a.avg[i] / 2048; }

/* What is left of a percent after n periods: exp(-2n / 10), 60, 300. */
static double left(u32 i, u32 n)
{
	static const double each[3] = { 0.8187307530779818, 0.9672161004820059, 0.9933555062550344 };
	double x = 1;

	while (n--)
		x *= each[i];
	return x;
}

/* To within what 11 bits lose. */
static bool is_near(double got, double want)
{
	return got - want < 0.4 && want - got < 0.4;
}

TEST(pressure, averages_rise_as_their_formula_says)
{
	start();
	for (u32 n = 1; n <= 30; n++) {
		periods(1, 50);
		for (u32 i = 0; i < 3; i++)
			CHECK(is_near(percent(i), 50 * (1 - left(i, n))));
	}
}

TEST(pressure, whole_pressure_arrives_at_a_hundred_and_fades_to_nothing)
{
	start();
	periods(2000, 100);
	for (u32 i = 0; i < 3; i++)
		CHECK_EQ(a.avg[i], 100ul * 2048);
	periods(5, 0);
	CHECK(is_near(percent(0), 100 * left(0, 5)));
	periods(4000, 0);
	for (u32 i = 0; i < 3; i++)
		CHECK_EQ(a.avg[i], 0ul);
}

TEST(pressure, nothing_happens_inside_a_period)
{
	start();
	now += PRESSURE_PERIOD_NS - 1;
	pressure_average(&a, PRESSURE_PERIOD_NS - 1, now);
	CHECK_EQ(a.avg[0], 0ul);
	now += 1;
	pressure_average(&a, PRESSURE_PERIOD_NS, now);
	CHECK(is_near(percent(0), 100 * (1 - left(0, 1))));
}

TEST(pressure, a_gap_counts_as_periods_without_any)
{
	start();
	periods(5, 100);
	struct pressure_avg one_by_one = a;

	periods(1, 30);
	periods(29, 0);
	struct pressure_avg slow = a;

	a = one_by_one;
	pressure_average(&a, total, now);
	for (u32 i = 0; i < 3; i++)
		CHECK_EQ(a.avg[i], slow.avg[i]);
	CHECK_EQ(a.when, slow.when);
}

TEST(pressure, years_of_silence_take_no_time)
{
	start();
	periods(5, 100);
	now += 1000000000ull * NSEC_PER_SEC;
	pressure_average(&a, total, now);
	CHECK_EQ(a.avg[2], 0ul);
	CHECK_LE(now - a.when, PRESSURE_PERIOD_NS);
}

TEST(pressure, a_clock_that_stands_or_goes_back_changes_nothing)
{
	start();
	periods(3, 60);
	u64 was = a.avg[0];

	pressure_average(&a, total, now);
	pressure_average(&a, total, now - 5 * NSEC_PER_SEC);
	CHECK_EQ(a.avg[0], was);
}

/* More than the period holds: counted twice, or told late. */
TEST(pressure, a_sample_is_at_most_its_period)
{
	start();
	total = 100 * NSEC_PER_SEC;
	now += PRESSURE_PERIOD_NS;
	pressure_average(&a, total, now);
	CHECK(is_near(percent(0), 100 * (1 - left(0, 1))));
}
