/* Private: waiting for several files at once (poll, select). */
#pragma once

#include "abi.h"

#define POLL_INLINE 6u

struct poll_entry {
	struct waiter w;
	struct waitq *q;
	struct file *held;	/* reference that keeps q alive; NULL when the borrow is safe for the whole call */
};
struct poll_chunk {
	struct poll_chunk *next;
	u32 n;
	struct poll_entry e[48];
};

/* One wait.  Lives on the caller's stack; poll_set_end() before it goes. */
struct poll_set {
	struct poll_table pt;		/* add == NULL: only ask, register nothing */
	struct thread *thread;
	struct file *file;		/* being asked now */
	bool file_owned;
	bool triggered;			/* a queue woke us since the last look; atomic */
	bool no_memory;
	u32 n;
	struct poll_chunk *more;
	struct poll_entry inl[POLL_INLINE];
};

void poll_set_add(struct poll_table *pt, struct waitq *q);
void poll_set_drop(struct poll_set *s);

static inline void poll_set_begin(struct poll_set *s, bool may_wait)
{
	s->pt.add = may_wait ? poll_set_add : NULL;
	s->thread = thread_current();
	s->triggered = false;
	s->no_memory = false;
	s->n = 0;
	s->more = NULL;
}
static inline void poll_set_end(struct poll_set *s)
{
	if (s->n)
		poll_set_drop(s);
}
/* Events of fd now; registers on the first round.  POLLNVAL: not open. */
u32 poll_set_ask(struct task *self, struct poll_set *s, int fd);
/* Sleeps until something woke a queue.  0 look again, -ETIMEDOUT, -EINTR, -ENOMEM. */
MUST_USE int poll_set_sleep(struct poll_set *s, u64 deadline);
