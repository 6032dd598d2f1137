/* Deferred calls run at once when nothing can be reading: at rcu_barrier() and at the next deferral. */
#include <core/rcu.h>
#include <test/test.h>

static struct rcu_head *pending;

void rcu_barrier(void)
{
	while (pending) {
		struct rcu_head *h = pending;

		pending = h->next;
		h->fn(h);
	}
}

void rcu_quiescent(void) { rcu_barrier(); }

/* One call stays pending, so that a use right after the deferral is not reported and a later one is. */
void rcu_defer(struct rcu_head *h, void (*fn)(struct rcu_head *h))
{
	rcu_barrier();
	h->fn = fn;
	h->next = NULL;
	pending = h;
}
