/* core/timer.h over the test's clock: host_clock_advance() fires what is due, in order. */
#include <core/timer.h>
#include <test/test.h>

#define MAX_TIMERS 256

static struct timer *armed[MAX_TIMERS];
static u32 narmed;

bool timer_try_cancel(struct timer *t)
{
	for (u32 i = 0; i < narmed; i++)
		if (armed[i] == t) {
			armed[i] = armed[--narmed];
			t->queued = false;
			return true;
		}
	return false;
}

bool timer_cancel(struct timer *t) { return timer_try_cancel(t); }

void timer_arm(struct timer *t, u64 when_ns)
{
	(void)timer_try_cancel(t);
	if (narmed == MAX_TIMERS)
		panic("too many timers for the fake");
	t->when_ns = when_ns;
	t->queued = true;
	armed[narmed++] = t;
}

void host_clock_changed(void);
void host_clock_changed(void)
{
	for (;;) {
		struct timer *due = NULL;

		for (u32 i = 0; i < narmed; i++)
			if (armed[i]->when_ns <= host_clock_ns && (!due || armed[i]->when_ns < due->when_ns))
				due = armed[i];
		if (!due)
			return;
		(void)timer_try_cancel(due);
		due->fn(due);
	}
}
void timer_interrupt(void) { host_clock_changed(); }
