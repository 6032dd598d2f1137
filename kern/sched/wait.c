/* Wait queues: see wait.h.  A waiter leaves its queue only by waitq_remove() or in its own callback. */
#include <core/clock.h>
#include <core/panic.h>
#include <sched/wait.h>

void waitq_init(struct waitq *q)
{
	spin_init(&q->lock, LR_WAITQ);
	spin_unshared(&q->lock);
	list_init(&q->waiters);
}

static bool waiter_wake(struct waiter *w, u32 key)
{
	w->woken = true;
	return sched_wake(w->thread);
}

void waiter_init(struct waiter *w)
{
	*w = (struct waiter){ .thread = thread_current(), .wake = waiter_wake };
	list_init(&w->link);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	/* Only its owner adds and removes it, so the first look needs no lock. */
	if (list_linked(&w->link))
		return;
	GUARD_IRQ(&q->lock);
	if (w->exclusive)
		list_push_back(&q->waiters, &w->link);
	else
		list_push_front(&q->waiters, &w->link);
}

void waitq_remove(struct waitq *q, struct waiter *w)
{
	/* With the lock even when it is off the queue: its callback may be at work still. */
	GUARD_IRQ(&q->lock);
	list_remove(&w->link);
}

static void wake_locked(struct waitq *q, u32 n, u32 key) MUST_HOLD(&q->lock)
{
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &q->waiters, link) {
		bool exclusive = w->exclusive;

		if (w->wake(w, key) && exclusive && --n == 0)
			return;
	}
}

void waitq_wake(struct waitq *q, u32 n, u32 key)
{
	if (!waitq_active(q))
		return;
	GUARD_IRQ(&q->lock);
	wake_locked(q, n, key);
}

void waitq_wake_nested(struct waitq *q, u32 n, u32 key)
{
	if (!waitq_active(q))
		return;
	spin_lock_nested(&q->lock);	/* interrupts are off: the outer queue's lock is held */
	wake_locked(q, n, key);
	spin_unlock(&q->lock);
}

/* The first thread that simply sleeps is woken by `first`. */
static void wake_first_by(struct waitq *q, u32 key, bool (*first)(struct thread *t))
{
	struct waiter *w, *tmp;
	bool handed = false;

	if (!waitq_active(q))
		return;
	GUARD_IRQ(&q->lock);
	list_for_each_safe(w, tmp, &q->waiters, link) {
		bool exclusive = w->exclusive;
		bool woke;

		if (!handed && w->wake == waiter_wake) {
			w->woken = true;
			woke = handed = first(w->thread);
		} else {
			woke = w->wake(w, key);
		}
		if (woke && exclusive)
			return;
	}
}

void waitq_wake_handoff(struct waitq *q, u32 key)
{
	wake_first_by(q, key, sched_wake_handoff);
}

void waitq_wake_later(struct waitq *q)
{
	wake_first_by(q, ~0u, sched_wake_later);
}

#ifdef SAKER_DEBUG
#define NAP_NS (5 * NSEC_PER_SEC)

bool waitq_block(struct waiter *w, u64 deadline_ns)
{
	u64 nap = clock_mono_ns() + NAP_NS;

	w->napped = false;
	if (nap >= deadline_ns)
		return sched_block_until(deadline_ns);
	w->napped = !sched_block_until(nap);
	return true;
}

/* The waker may be between the condition and the wake, on a CPU that the host does not run: it gets its time. */
void waitq_check_lost(const struct waitq *q, struct waiter *w)
{
	struct thread *t = w->thread;
	char at[PLACE_LEN];

	if (!w->napped || w->woken || thread_signal_pending())
		return;
	sched_set_state(THREAD_SLEEP);
	if (sched_block_until(clock_mono_ns() + NAP_NS) || w->woken)
		return;
	panic_note("queue: %s", place_name(at, (u64)q));
	panic("lost wake-up: thread %s waits for what is there, and was not told", t->name);
}
#endif
