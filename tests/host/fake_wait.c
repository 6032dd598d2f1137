/* Wait queues: lists of waiters whose callbacks run at once. */
#include <sched/wait.h>
#include <test/test.h>

void waitq_init(struct waitq *q)
{
	spin_init(&q->lock, LR_WAITQ);
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
	GUARD_IRQ(&q->lock);
	if (list_linked(&w->link))
		return;
	if (w->exclusive)
		list_push_back(&q->waiters, &w->link);
	else
		list_push_front(&q->waiters, &w->link);
}

void waitq_remove(struct waitq *q, struct waiter *w)
{
	GUARD_IRQ(&q->lock);
	list_remove(&w->link);
}

void waitq_wake(struct waitq *q, u32 n, u32 key)
{
	GUARD_IRQ(&q->lock);
	struct waiter *w, *tmp;

	list_for_each_safe(w, tmp, &q->waiters, link) {
		bool exclusive = w->exclusive;

		if (w->wake(w, key) && exclusive && --n == 0)
			return;
	}
}

void waitq_wake_later(struct waitq *q) { waitq_wake_all(q); }
void waitq_wake_handoff(struct waitq *q, u32 key) { waitq_wake(q, 1, key); }
