/* Private to ipc: the inside of a pipe, shared by pipe.c and splice.c. */
#pragma once

#include <base/errno.h>
#include <core/rcu.h>
#include <ipc/pipe.h>
#include <mem/slab.h>
#include <sched/mutex.h>

#define SLOT_MERGE  (1u << 0)	/* a later write may append to the page: it is the pipe's own */
#define SLOT_PACKET (1u << 1)	/* O_DIRECT: one read takes at most this slot and drops its rest */

struct pipe_slot {
	struct page *page;	/* reference */
	u32 off, len;
	u32 flags;
};

struct pipe {
	mutex_t lock;			/* rank PIPE: everything below */
	struct pipe_slot *slots;	/* nslots, a power of two */
	u32 nslots;
	u32 head, tail;			/* free-running: slots [tail, head) are full */
	u32 readers, writers;		/* open files of each end */
	u32 r_opens, w_opens;		/* opens ever: FIFO opens wait for a change */
	u32 files;			/* users of the struct */
	bool draining;			/* splice writes the first slot out: it belongs to that writer alone */
	struct page *spare;		/* last page read empty, kept for the next write */
	struct waitq rd_wait, wr_wait;
	struct fasync_list rd_async, wr_async;
	struct rcu_head rcu;
};

static inline bool pipe_empty(const struct pipe *p) { return READ_ONCE(p->head) == READ_ONCE(p->tail); }
static inline bool pipe_has_data(const struct pipe *p) { return !pipe_empty(p) && !READ_ONCE(p->draining); }
/* Nothing will come: the readers' end of file. */
static inline bool pipe_over(const struct pipe *p) { return pipe_empty(p) && !READ_ONCE(p->writers); }
static inline bool pipe_full(const struct pipe *p) { return READ_ONCE(p->head) - READ_ONCE(p->tail) >= READ_ONCE(p->nslots); }
static inline struct pipe_slot *pipe_slot_at(struct pipe *p, u32 i) { return &p->slots[i & (p->nslots - 1)]; }

struct pipe *file_pipe(struct file *f);			/* NULL: not a pipe */
void pipe_slot_drop(struct pipe *p, struct pipe_slot *s) MUST_HOLD(&p->lock);
/* Sleeps (dropping the lock) until there is room or data.  0; -EAGAIN; -ERESTARTSYS; -EPIPE (signal sent); wait_data: 1 is end of file. */
int pipe_wait_room(struct pipe *p, bool nonblock) MUST_HOLD(&p->lock);
int pipe_wait_data(struct pipe *p, bool nonblock) MUST_HOLD(&p->lock);
void pipe_wake_readers(struct pipe *p);
void pipe_wake_writers(struct pipe *p);
void pipe_init(void);
