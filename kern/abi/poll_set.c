/*
 * The wait behind poll and select.  Each queue gets a waiter of ours in the
 * first round; a wake sets triggered before it wakes the thread, and the sleep
 * looks at triggered after it announced itself, so no wake is lost while the
 * files are being asked (which may itself sleep).
 */
#include "poll.h"

static bool poll_wake(struct waiter *w, u32 key)
{
	struct poll_set *s = w->private;

	WRITE_ONCE(s->triggered, true);
	memory_fence();
	sched_wake(s->thread);
	return true;
}

static struct poll_entry *entry_new(struct poll_set *s)
{
	struct poll_chunk *c = s->more;

	if (s->n < POLL_INLINE)
		return &s->inl[s->n++];
	if (!c || c->n == ARRAY_LEN(c->e)) {
		c = kmalloc(sizeof(*c));
		if (!c) {
			s->no_memory = true;
			return NULL;
		}
		c->n = 0;
		c->next = s->more;
		s->more = c;
	}
	return &c->e[c->n++];
}

void poll_set_add(struct poll_table *pt, struct waitq *q)
{
	struct poll_set *s = container_of(pt, struct poll_set, pt);
	struct poll_entry *e = entry_new(s);

	if (!e)
		return;
	waiter_init(&e->w);
	e->w.wake = poll_wake;
	e->w.private = s;
	e->q = q;
	e->held = s->file_owned ? file_get(s->file) : NULL;
	waitq_add(q, &e->w);
}

static void entry_drop(struct poll_entry *e)
{
	waitq_remove(e->q, &e->w);
	if (e->held)
		file_put(e->held);
}

void poll_set_drop(struct poll_set *s)
{
	struct poll_chunk *c;

	for (u32 i = 0; i < s->n; i++)
		entry_drop(&s->inl[i]);
	while ((c = s->more)) {
		for (u32 i = 0; i < c->n; i++)
			entry_drop(&c->e[i]);
		s->more = c->next;
		kfree(c);
	}
}

u32 poll_set_ask(struct task *self, struct poll_set *s, int fd)
{
	AUTO_FD r = fd_use(self, fd);

	if (!r.file)
		return POLLNVAL;
	s->file = r.file;
	s->file_owned = r.owned;
	return file_poll(r.file, s->pt.add ? &s->pt : NULL);
}

int poll_set_sleep(struct poll_set *s, u64 deadline)
{
	bool in_time = true;

	s->pt.add = NULL;	/* every queue is known now */
	if (s->no_memory)
		return -ENOMEM;
	sched_set_state(THREAD_SLEEP_INTR);
	if (!READ_ONCE(s->triggered)) {
		if (thread_signal_pending()) {
			sched_set_state(THREAD_RUNNABLE);
			return -EINTR;
		}
		in_time = sched_block_until(deadline);
	}
	sched_set_state(THREAD_RUNNABLE);
	/* Cleared before the files are asked: a wake from here on counts again. */
	if (__atomic_exchange_n(&s->triggered, false, __ATOMIC_SEQ_CST))
		return 0;
	return in_time ? 0 : -ETIMEDOUT;
}
