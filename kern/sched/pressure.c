/*
 * Pressure: see sched/pressure.h.
 *
 * The processor's costs one comparison where run time is charged anyway (runq_account): the queue's length does
 * not change between two charges.  Totals and averages are brought up to date by whoever reads, and by the slice
 * timer, which runs while anybody waits.
 */
#include <core/clock.h>
#include <sched/pressure.h>
#include "pressure_avg.h"
#include "sched_internal.h"

#define UNIT_NS 64u

static spinlock_t pressure_lock = SPINLOCK_INIT(LR_PRESSURE);
static u64 totals[PRESSURE_KINDS][PRESSURE_STATES] GUARDED_BY(&pressure_lock);
static struct pressure_avg averages[PRESSURE_KINDS][PRESSURE_STATES] GUARDED_BY(&pressure_lock);
static u64 average_when;		/* pressure_lock; also read without as a hint */

/* Memory: since when so many threads wait, and whether nobody else wants to run. */
static u64 stalled_since GUARDED_BY(&pressure_lock);
static u32 nstalled GUARDED_BY(&pressure_lock);
static bool all_stalled GUARDED_BY(&pressure_lock);

/* What each CPU has had since it was asked last; idle ones have no say. */
static void collect_cpus(u64 now) MUST_HOLD(&pressure_lock)
{
	u64 weighted = 0, busy_sum = 0;

	for_each_cpu(c) {
		struct runq *rq = cpu_rq(c);
		u64 pressed, busy;

		spin_lock(&rq->lock);
		if (rq->online)
			runq_account(rq, now);
		pressed = rq->pressed_ns - rq->pressed_told_ns;
		busy = rq->busy_ns - rq->busy_told_ns;
		rq->pressed_told_ns = rq->pressed_ns;
		rq->busy_told_ns = rq->busy_ns;
		spin_unlock(&rq->lock);
		weighted += pressed / UNIT_NS * (busy / UNIT_NS);	/* a period of 256 CPUs: 2^58 */
		busy_sum += busy / UNIT_NS;
	}
	if (busy_sum)
		totals[PRESSURE_CPU][PRESSURE_SOME] += weighted / busy_sum * UNIT_NS;
}

static void collect_memory(u64 now) MUST_HOLD(&pressure_lock)
{
	u64 delta = now - stalled_since;

	stalled_since = now;
	if (!nstalled || (i64)delta <= 0)
		return;
	totals[PRESSURE_MEMORY][PRESSURE_SOME] += delta;
	if (all_stalled)
		totals[PRESSURE_MEMORY][PRESSURE_FULL] += delta;
}

/* Does anybody run, or want to, who does not wait for memory?  A guess at this moment: threads come and go. */
static bool others_run(void) MUST_HOLD(&pressure_lock)
{
	u32 n = 0;

	for_each_cpu(c)
		n += READ_ONCE(cpu_rq(c)->nr) + (READ_ONCE(cpu_rq(c)->current) != &cpu_rq(c)->idle);
	return n > nstalled;
}

static void collect(u64 now) MUST_HOLD(&pressure_lock)
{
	collect_cpus(now);
	collect_memory(now);
	for (u32 k = 0; k < PRESSURE_KINDS; k++)
		for (u32 s = 0; s < PRESSURE_STATES; s++)
			pressure_average(&averages[k][s], totals[k][s], now);
	WRITE_ONCE(average_when, averages[0][0].when);
}

void pressure_update(u64 now)
{
	if ((i64)(now - READ_ONCE(average_when)) < (i64)PRESSURE_PERIOD_NS)
		return;
	GUARD_IRQ(&pressure_lock);
	collect(now);
}

void pressure_read(enum pressure_kind kind, enum pressure_state state, struct pressure *out)
{
	GUARD_IRQ(&pressure_lock);
	collect(clock_mono_ns());
	out->total_ns = totals[kind][state];
	for (u32 i = 0; i < ARRAY_LEN(out->avg); i++)
		out->avg[i] = (u32)(averages[kind][state].avg[i] * 100 / 2048);
}

void pressure_memory(bool begins)
{
	GUARD_IRQ(&pressure_lock);
	collect_memory(clock_mono_ns());
	nstalled += begins ? 1u : ~0u;
	all_stalled = nstalled && !others_run();
}
