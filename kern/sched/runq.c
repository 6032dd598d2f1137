/* See runq.h. */
#include "runq.h"

/* Weight of nice -20 .. 19: each step is about a tenth of the CPU against an equal rival (a factor of 1.25). */
static const u32 nice_weight[40] = {
	88818, 71054, 56843, 45475, 36380, 29104, 23283, 18626, 14901, 11921,
	9537,  7629,  6104,  4883,  3906,  3125,  2500,	 2000,	1600,  1280,
	1024,  819,   655,   524,   419,   336,	  268,	 215,	172,   137,
	110,   88,    70,    56,    45,	   36,	  29,	 23,	18,    15,
};

void runq_init(struct runq *rq, u32 cpu)
{
	*rq = (struct runq){ .cpu = cpu };
	spin_init(&rq->lock, LR_RUNQ);
	spin_unshared(&rq->lock);
	for (u32 i = 0; i < RUNQ_RT_LEVELS; i++)
		list_init(&rq->rt[i]);
}

u32 runq_weight(u8 policy, i8 nice)
{
	return policy == SCHED_IDLE ? RUNQ_WEIGHT_IDLE : nice_weight[nice + 20];
}

static inline u64 scaled(u64 ns, u32 weight)
{
	return likely(weight == RUNQ_WEIGHT_NICE0) ? ns : ns * RUNQ_WEIGHT_NICE0 / weight;
}

/* Differences are signed: vruntime may wrap, and a thread may lie before the minimum. */
static inline bool before(u64 a, u64 b)
{
	return (i64)(a - b) < 0;
}

static inline u64 later_of(u64 a, u64 b)
{
	return before(a, b) ? b : a;
}

static void fair_insert(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock)
{
	struct rb_node **link = &rq->fair.root;
	struct rb_node *parent = NULL;
	bool first = true;

	while (*link) {
		struct thread *other = rb_entry(*link, struct thread, run_node);
		bool right = !before(t->vruntime, other->vruntime);

		parent = *link;
		link = &parent->child[right];
		first &= !right;
	}
	rb_insert(&rq->fair, &t->run_node, parent, link);
	if (first)
		rq->leftmost = t;
}

static void fair_remove(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock)
{
	if (rq->leftmost == t)
		rq->leftmost = rb_entry(rb_next(&t->run_node), struct thread, run_node);
	rb_remove(&rq->fair, &t->run_node);
}

static void rt_insert(struct runq *rq, struct thread *t, bool head) MUST_HOLD(&rq->lock)
{
	if (head)
		list_push_front(&rq->rt[t->rt_prio], &t->run_link);
	else
		list_push_back(&rq->rt[t->rt_prio], &t->run_link);
	rq->rt_bitmap[t->rt_prio / 64] |= 1ull << (t->rt_prio % 64);
}

static void rt_remove(struct runq *rq, struct thread *t) MUST_HOLD(&rq->lock)
{
	list_remove(&t->run_link);
	if (list_empty(&rq->rt[t->rt_prio]))
		rq->rt_bitmap[t->rt_prio / 64] &= ~(1ull << (t->rt_prio % 64));
}

static void fair_place(struct runq *rq, struct thread *t, enum runq_place how) MUST_HOLD(&rq->lock)
{
	switch (how) {
	case RUNQ_PLACE_NEW:
		t->vruntime = rq->min_vruntime + scaled(RUNQ_SLICE_NS, t->weight);
		break;
	case RUNQ_PLACE_WOKEN:
		/* Sleeping earns a little, never more: it cannot be saved up to starve others. */
		t->vruntime = later_of(t->vruntime, rq->min_vruntime - RUNQ_SLEEPER_CREDIT);
		break;
	case RUNQ_PLACE_MOVED:
		t->vruntime += rq->min_vruntime;
		break;
	default:
		break;
	}
}

void runq_enqueue(struct runq *rq, struct thread *t, enum runq_place how)
{
	ASSERT(!t->on_queue && t->cpu == rq->cpu);
	if (thread_is_rt(t)) {
		rt_insert(rq, t, how == RUNQ_PLACE_KEEP);
	} else {
		fair_place(rq, t, how);
		fair_insert(rq, t);
	}
	t->on_queue = true;
	rq->nr++;
}

void runq_dequeue(struct runq *rq, struct thread *t)
{
	ASSERT(t->on_queue && t->cpu == rq->cpu);
	if (thread_is_rt(t))
		rt_remove(rq, t);
	else
		fair_remove(rq, t);
	if (rq->next_hint == t)
		rq->next_hint = NULL;
	t->on_queue = false;
	rq->nr--;
}

void runq_detach(struct runq *rq, struct thread *t)
{
	runq_dequeue(rq, t);
	t->vruntime -= rq->min_vruntime;
}

void runq_rebase(const struct runq *from, const struct runq *to, struct thread *t)
{
	t->vruntime += READ_ONCE(to->min_vruntime) - from->min_vruntime;
}

static struct thread *rt_pick(struct runq *rq) MUST_HOLD(&rq->lock)
{
	for (i32 w = 1; w >= 0; w--)
		if (rq->rt_bitmap[w]) {
			u32 prio = (u32)w * 64 + 63 - (u32)__builtin_clzll(rq->rt_bitmap[w]);

			return list_first(&rq->rt[prio], struct thread, run_link);
		}
	return NULL;
}

struct thread *runq_pick(struct runq *rq)
{
	struct thread *t = rt_pick(rq);
	struct thread *hint = rq->next_hint;

	if (!t) {
		t = rq->leftmost;
		if (!t)
			return NULL;
		if (hint && !thread_is_rt(hint) && before(hint->vruntime, t->vruntime + RUNQ_HANDOFF_SLACK))
			t = hint;
	}
	runq_dequeue(rq, t);
	return t;
}

void runq_account(struct runq *rq, u64 now)
{
	struct thread *cur = rq->current;
	u64 delta = now - cur->exec_start_ns;
	u64 floor;

	if ((i64)delta <= 0)
		return;
	cur->exec_start_ns = now;
	cur->run_ns += delta;
	if (cur == &rq->idle)
		return;
	rq->busy_ns += delta;
	if (rq->nr)
		rq->pressed_ns += delta;
	if (thread_is_rt(cur))
		return;
	cur->vruntime += scaled(delta, cur->weight);
	floor = cur->vruntime;
	if (rq->leftmost && before(rq->leftmost->vruntime, floor))
		floor = rq->leftmost->vruntime;
	rq->min_vruntime = later_of(rq->min_vruntime, floor);
}

bool runq_preempts(const struct thread *t, const struct thread *cur)
{
	if (thread_is_rt(t))
		return !thread_is_rt(cur) || t->rt_prio > cur->rt_prio;
	if (thread_is_rt(cur) || t->policy == SCHED_IDLE)
		return false;
	if (cur->policy == SCHED_IDLE)
		return true;
	if (t->policy == SCHED_BATCH)
		return false;
	return before(t->vruntime + scaled(RUNQ_WAKEUP_GRAN, t->weight), cur->vruntime);
}

bool runq_slice_over(const struct runq *rq, u64 now)
{
	const struct thread *cur = rq->current;
	u64 ran = now - cur->pick_ns;

	if (!rq->nr)
		return false;
	if (rq->rt_bitmap[0] | rq->rt_bitmap[1]) {
		if (!thread_is_rt(cur))
			return true;
		return cur->policy == SCHED_RR && ran >= RUNQ_RR_SLICE_NS && !list_empty(&rq->rt[cur->rt_prio]);
	}
	if (thread_is_rt(cur))
		return false;
	return ran >= RUNQ_SLICE_NS;
}

struct thread *runq_movable(struct runq *rq, u32 cpu, u64 before_ns)
{
	struct rb_node *n;

	for (i32 prio = RUNQ_RT_LEVELS - 1; prio > 0 && (rq->rt_bitmap[0] | rq->rt_bitmap[1]); prio--) {
		struct thread *t;

		list_for_each(t, &rq->rt[prio], run_link)
			if (thread_allowed_on(t, cpu))
				return t;
	}
	for (n = rb_first(&rq->fair); n; n = rb_next(n)) {
		struct thread *t = rb_entry(n, struct thread, run_node);

		if (thread_allowed_on(t, cpu) && t->wake_ns <= before_ns)
			return t;
	}
	return NULL;
}

/* Behind everyone who could run now: the next pick is somebody else. */
void runq_yield(struct runq *rq, struct thread *t)
{
	struct rb_node *n;

	if (thread_is_rt(t))
		return;
	n = rb_last(&rq->fair);
	if (n)
		t->vruntime = later_of(t->vruntime,
				       MIN(rb_entry(n, struct thread, run_node)->vruntime + 1,
					   rq->leftmost->vruntime + scaled(RUNQ_SLICE_NS, t->weight)));
}
