/*
 * One-shot timers: a tree per CPU, ordered by time.
 * Lock: each CPU's lock (rank TIMER, irq) guards its tree and the fields of the
 * timers in it; t->cpu says which lock that is, and changes only under it.
 */
#include <arch/cpu.h>
#include <arch/machine.h>
#include <core/clock.h>
#include <core/lock.h>
#include <core/percpu.h>
#include <core/timer.h>

struct timer_cpu {
	spinlock_t lock;
	struct rb_tree tree;
	struct rb_node *first;		/* earliest, NULL: none */
	struct timer *running;		/* whose callback runs now */
};
static DEFINE_PER_CPU(struct timer_cpu, timer_cpu) = { .lock = SPINLOCK_INIT(LR_TIMER) };

static void queue_insert(struct timer_cpu *tc, struct timer *t)
{
	struct rb_node **link = &tc->tree.root, *parent = NULL;
	bool least = true;

	while (*link) {
		bool later = t->when_ns >= container_of(*link, struct timer, node)->when_ns;

		parent = *link;
		link = &parent->child[later];
		least &= !later;
	}
	rb_insert(&tc->tree, &t->node, parent, link);
	if (least)
		tc->first = &t->node;
	t->queued = true;
}

static void queue_remove(struct timer_cpu *tc, struct timer *t)
{
	if (tc->first == &t->node)
		tc->first = rb_next(&t->node);
	rb_remove(&tc->tree, &t->node);
	t->queued = false;
}

/* Interrupts off.  Locks the CPU that t belongs to. */
static struct timer_cpu *lock_owner(struct timer *t) NO_LOCK_ANALYSIS
{
	for (;;) {
		u32 cpu = READ_ONCE(t->cpu);
		struct timer_cpu *tc = per_cpu_ptr(&timer_cpu, cpu);

		spin_lock(&tc->lock);
		if (READ_ONCE(t->cpu) == cpu)
			return tc;
		spin_unlock(&tc->lock);
	}
}

static void program_first(struct timer_cpu *tc)
{
	arch_timer_program(tc->first ? container_of(tc->first, struct timer, node)->when_ns : ~0ull);
}

void timer_arm(struct timer *t, u64 when_ns) NO_LOCK_ANALYSIS
{
	u64 irq = irq_save();
	struct timer_cpu *here = this_cpu_ptr(&timer_cpu), *tc = lock_owner(t);
	struct rb_node *before;

	if (t->queued && tc != here)
		queue_remove(tc, t);
	if (tc != here) {
		WRITE_ONCE(t->cpu, cpu_id());
		spin_unlock(&tc->lock);
		spin_lock(&here->lock);
	}
	before = here->first;
	if (t->queued)
		queue_remove(here, t);
	t->when_ns = when_ns;
	queue_insert(here, t);
	/* The interrupt handler programs the timer itself when it is done. */
	if ((here->first != before || before == &t->node) && !here->running)
		program_first(here);
	spin_unlock(&here->lock);
	irq_restore(irq);
}

/* 1: was armed; 0: was not; -1: its callback is running on another CPU. */
static int cancel_once(struct timer *t) NO_LOCK_ANALYSIS
{
	u64 irq = irq_save();
	struct timer_cpu *tc = lock_owner(t);
	int r = t->queued ? 1 : tc->running == t && tc != this_cpu_ptr(&timer_cpu) ? -1 : 0;

	if (r > 0)
		queue_remove(tc, t);	/* an interrupt for it finds nothing due and programs the next */
	spin_unlock(&tc->lock);
	irq_restore(irq);
	return r;
}

bool timer_try_cancel(struct timer *t) { return cancel_once(t) > 0; }

bool timer_cancel(struct timer *t)
{
	bool armed = false;

	for (;;) {
		int r = cancel_once(t);

		if (r == 0)
			return armed;
		armed |= r > 0;
		if (r < 0)
			cpu_relax();
	}
}

void timer_interrupt(void) NO_LOCK_ANALYSIS
{
	struct timer_cpu *tc = this_cpu_ptr(&timer_cpu);

	spin_lock(&tc->lock);
	while (tc->first) {
		struct timer *t = container_of(tc->first, struct timer, node);

		if (t->when_ns > clock_mono_ns())
			break;
		queue_remove(tc, t);
		tc->running = t;
		spin_unlock(&tc->lock);
		t->fn(t);		/* may free or re-arm t */
		spin_lock(&tc->lock);
		tc->running = NULL;
	}
	program_first(tc);
	spin_unlock(&tc->lock);
}
