/*
 * Scheduling policy: who runs next and for how long, simulated.
 * host-sources: kern/sched/runq.c
 */
#include <test/test.h>
#include "runq.h"

#define MS 1000000ull

static struct runq rq;
static struct thread t[16];
static u64 now;

static void start(void)
{
	runq_init(&rq, 0);
	rq.current = &rq.idle;
	now = 1000 * MS;
	rq.idle.exec_start_ns = now;
}

static void policy(struct thread *x, u8 pol, u8 prio, i8 nice)
{
	x->policy = pol;
	x->rt_prio = prio;
	x->nice = nice;
	x->weight = runq_weight(pol, nice);
	list_init(&x->run_link);
}

static void ready(struct thread *x, enum runq_place how)
{
	x->wake_ns = now;
	runq_enqueue(&rq, x, how);
}

/* Puts the running thread back and takes the next. */
static struct thread *next(bool keep)
{
	struct thread *cur = rq.current;

	runq_account(&rq, now);
	if (keep && cur != &rq.idle)
		runq_enqueue(&rq, cur, cur->policy == SCHED_RR ? RUNQ_PLACE_TAIL : RUNQ_PLACE_KEEP);
	cur = runq_pick(&rq) ?: &rq.idle;
	cur->exec_start_ns = cur->pick_ns = now;
	rq.current = cur;
	return cur;
}

/* Runs everybody for total, in steps, switching when slices end. */
static void run_for(u64 total)
{
	for (u64 end = now + total; now < end;) {
		now += MS / 2;
		runq_account(&rq, now);
		if (rq.current == &rq.idle || runq_slice_over(&rq, now))
			next(true);
	}
	runq_account(&rq, now);
}

static void check_share(const struct thread *x, u64 total, u32 part, u32 whole)
{
	u64 want = total / whole * part;

	CHECK_LE(want - want / 10, x->run_ns + 4 * MS);
	CHECK_LE(x->run_ns, want + want / 10 + 4 * MS);
}

TEST(runq, equals_share_equally)
{
	start();
	for (u32 i = 0; i < 5; i++) {
		policy(&t[i], SCHED_OTHER, 0, 0);
		ready(&t[i], RUNQ_PLACE_NEW);
	}
	run_for(1000 * MS);
	for (u32 i = 0; i < 5; i++)
		check_share(&t[i], 1000 * MS, 1, 5);
}

TEST(runq, shares_follow_weight)
{
	start();
	policy(&t[0], SCHED_OTHER, 0, 0);
	policy(&t[1], SCHED_OTHER, 0, 5);
	policy(&t[2], SCHED_OTHER, 0, -5);
	for (u32 i = 0; i < 3; i++)
		ready(&t[i], RUNQ_PLACE_NEW);
	run_for(4000 * MS);
	for (u32 i = 0; i < 3; i++)
		check_share(&t[i], 4000 * MS, t[i].weight, 1024 + 335 + 3121);
}

TEST(runq, idle_policy_gets_next_to_nothing_but_is_not_starved)
{
	start();
	policy(&t[0], SCHED_OTHER, 0, 0);
	policy(&t[1], SCHED_IDLE, 0, 0);
	ready(&t[0], RUNQ_PLACE_NEW);
	ready(&t[1], RUNQ_PLACE_NEW);
	run_for(10000 * MS);
	CHECK_LT(t[1].run_ns, 100 * MS);
	CHECK_LT(0ull, t[1].run_ns);
	CHECK(runq_preempts(&t[0], &t[1]));
	CHECK(!runq_preempts(&t[1], &t[0]));
}

TEST(runq, a_long_sleeper_neither_starves_others_nor_waits)
{
	u64 before;

	start();
	for (u32 i = 0; i < 2; i++) {
		policy(&t[i], SCHED_OTHER, 0, 0);
		ready(&t[i], RUNQ_PLACE_NEW);
	}
	run_for(5000 * MS);
	policy(&t[2], SCHED_OTHER, 0, 0);
	t[2].vruntime = 0;		/* slept all the time */
	ready(&t[2], RUNQ_PLACE_WOKEN);
	before = t[0].run_ns + t[1].run_ns;
	CHECK(runq_preempts(&t[2], rq.current));
	CHECK(next(true) == &t[2]);
	run_for(300 * MS);
	check_share(&t[2], 300 * MS, 1, 3);
	CHECK_LT(before + 150 * MS, t[0].run_ns + t[1].run_ns);
}

TEST(runq, the_parent_goes_on_before_a_new_thread)
{
	start();
	policy(&t[0], SCHED_OTHER, 0, 0);
	ready(&t[0], RUNQ_PLACE_NEW);
	next(false);
	now += MS;
	runq_account(&rq, now);
	policy(&t[1], SCHED_OTHER, 0, 0);
	ready(&t[1], RUNQ_PLACE_NEW);
	CHECK(!runq_preempts(&t[1], &t[0]));
	CHECK(next(true) == &t[0]);
}

TEST(runq, a_fork_storm_does_not_push_out_its_rival)
{
	start();
	policy(&t[0], SCHED_OTHER, 0, 0);
	ready(&t[0], RUNQ_PLACE_NEW);
	/* One new thread per half millisecond, each runs a little and ends. */
	for (u32 i = 0; i < 2000; i++) {
		struct thread *x = &t[1 + i % 8];

		if (!x->on_queue && rq.current != x) {
			*x = (struct thread){ .cpu = 0 };
			policy(x, SCHED_OTHER, 0, 0);
			ready(x, RUNQ_PLACE_NEW);
		}
		next(rq.current == &t[0]);
		now += MS / 2;
	}
	runq_account(&rq, now);
	CHECK_LT(100 * MS, t[0].run_ns);
}

TEST(runq, real_time_goes_first_by_priority)
{
	start();
	policy(&t[0], SCHED_OTHER, 0, -20);
	policy(&t[1], SCHED_FIFO, 10, 0);
	policy(&t[2], SCHED_FIFO, 99, 0);
	policy(&t[3], SCHED_RR, 10, 0);
	for (u32 i = 0; i < 4; i++)
		ready(&t[i], RUNQ_PLACE_WOKEN);
	CHECK(next(false) == &t[2]);
	CHECK(!runq_preempts(&t[1], &t[2]));
	CHECK(next(false) == &t[1]);
	now += 1000 * MS;
	CHECK(!runq_slice_over(&rq, now));	/* FIFO has no slice */
	CHECK(next(true) == &t[1]);		/* and goes back to the head */
	CHECK(next(false) == &t[3]);
	CHECK(next(false) == &t[0]);
	CHECK(runq_preempts(&t[1], &t[0]));
	CHECK(next(false) == &rq.idle);
}

TEST(runq, round_robin_takes_turns)
{
	start();
	policy(&t[0], SCHED_RR, 5, 0);
	policy(&t[1], SCHED_RR, 5, 0);
	ready(&t[0], RUNQ_PLACE_WOKEN);
	ready(&t[1], RUNQ_PLACE_WOKEN);
	run_for(1000 * MS);
	CHECK_LE(400 * MS, t[0].run_ns);
	CHECK_LE(400 * MS, t[1].run_ns);
}

/* Exact for any order of coming and going, as long as time is charged before the queue changes. */
TEST(runq, time_in_which_somebody_waited_is_counted)
{
	start();
	for (u32 i = 0; i < 3; i++) {
		policy(&t[i], SCHED_OTHER, 0, 0);
		ready(&t[i], RUNQ_PLACE_NEW);
		next(false);
		now += 5 * MS;
		runq_account(&rq, now);
		CHECK_EQ(rq.pressed_ns, 0ul);
	}
	ready(&t[0], RUNQ_PLACE_WOKEN);
	run_for(100 * MS);
	CHECK_EQ(rq.pressed_ns, 100 * MS);
	ready(&t[1], RUNQ_PLACE_WOKEN);
	run_for(30 * MS);
	CHECK_EQ(rq.pressed_ns, 130 * MS);
	while (next(false) != &rq.idle)
		;
	ready(&t[2], RUNQ_PLACE_WOKEN);		/* waits for an idle CPU to wake: nobody is in its way */
	now += 2 * MS;
	runq_account(&rq, now);
	CHECK_EQ(rq.pressed_ns, 130 * MS);
}

TEST(runq, a_handoff_jumps_the_queue_within_reason)
{
	start();
	for (u32 i = 0; i < 4; i++) {
		policy(&t[i], SCHED_OTHER, 0, 0);
		ready(&t[i], RUNQ_PLACE_NEW);
	}
	run_for(100 * MS);
	struct thread *hint = &t[0];

	while (!hint->on_queue || rq.leftmost == hint)
		hint++;
	rq.next_hint = hint;
	CHECK(next(true) == hint);
	CHECK(!rq.next_hint);
	/* One far ahead of the others waits for its turn. */
	next(true);
	hint = rb_entry(rb_last(&rq.fair), struct thread, run_node);
	runq_dequeue(&rq, hint);
	hint->vruntime += 1000 * MS;
	runq_enqueue(&rq, hint, RUNQ_PLACE_KEEP);
	rq.next_hint = hint;
	CHECK(next(true) != hint);
}

TEST(runq, yield_lets_another_run)
{
	start();
	for (u32 i = 0; i < 2; i++) {
		policy(&t[i], SCHED_OTHER, 0, 0);
		ready(&t[i], RUNQ_PLACE_NEW);
	}
	struct thread *a = next(false);

	for (u32 i = 0; i < 10; i++) {
		runq_yield(&rq, a);
		struct thread *b = next(true);

		CHECK(b != a);
		a = b;
	}
}

TEST(runq, moving_keeps_the_relative_place)
{
	static struct runq other;

	start();
	runq_init(&other, 1);
	other.current = &other.idle;
	other.min_vruntime = 77777 * MS;
	rq.min_vruntime = 10 * MS;
	policy(&t[0], SCHED_OTHER, 0, 0);
	t[0].vruntime = 12 * MS;
	runq_enqueue(&rq, &t[0], RUNQ_PLACE_KEEP);
	u64 mask = 2;

	t[0].affinity = &mask;
	CHECK(!runq_movable(&rq, 0, ~0ull));
	CHECK(runq_movable(&rq, 1, ~0ull) == &t[0]);
	runq_detach(&rq, &t[0]);
	t[0].cpu = 1;
	runq_enqueue(&other, &t[0], RUNQ_PLACE_MOVED);
	CHECK_EQ(t[0].vruntime, 77779 * MS);
	CHECK_EQ(rq.nr, 0u);
	CHECK_EQ(other.nr, 1u);
}

TEST(runq, random_operations_keep_the_counts)
{
	start();
	for (u32 i = 0; i < 16; i++)
		policy(&t[i], SCHED_OTHER, 0, 0);
	for (u32 step = 0; step < 100000; step++) {
		struct thread *x = &t[host_random_below(16)];
		u32 n = 0;

		now += host_random_below(4 * MS);
		runq_account(&rq, now);
		if (x == rq.current) {
			next(host_random_below(2));
		} else if (x->on_queue) {
			runq_dequeue(&rq, x);
			if (host_random_below(2))
				policy(x, host_random_below(2) ? SCHED_FIFO : SCHED_OTHER, 0, (i8)host_random_below(40) - 20);
			x->rt_prio = x->policy == SCHED_FIFO ? 1 + (u8)host_random_below(99) : 0;
		} else {
			ready(x, RUNQ_PLACE_WOKEN);
		}
		for (u32 i = 0; i < 16; i++)
			n += t[i].on_queue;
		NEED(n == rq.nr);
		NEED((rb_first(&rq.fair) == NULL) == (rq.leftmost == NULL));
		NEED(!rq.leftmost || rb_first(&rq.fair) == &rq.leftmost->run_node);
	}
}
