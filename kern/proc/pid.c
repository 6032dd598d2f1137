/*
 * Process numbers.
 *
 * A number is in use while a task, a process group or a session goes by it:
 * one slot holds the three.  Slots live in chunks that are made on first use and
 * stay; a bitmap per chunk tells the free ones, so that the next number is found
 * without a walk over tasks.  Numbers grow and wrap at sysctl_pid_max to
 * PID_RESERVED, as Linux does, so that a number is not reused soon.
 * Everything is under proc_table_lock.
 */
#include <base/bitmap.h>
#include "proc.h"

struct pid_chunk {
	u64 used[BITMAP_WORDS(PID_CHUNK)];
	u32 nused;
	struct pid_slot slots[PID_CHUNK];
};

spinlock_t proc_table_lock = SPINLOCK_INIT(LR_PROC_TABLE);
__attribute__((weak)) u32 sysctl_pid_max = 32768;

static struct pid_chunk *chunks[PID_LIMIT / PID_CHUNK];
static u32 last_nr;

u32 pid_last(void) { return READ_ONCE(last_nr); }

struct pid_slot *pid_slot(u32 nr)
{
	struct pid_chunk *c = nr < PID_LIMIT ? READ_ONCE(chunks[nr / PID_CHUNK]) : NULL;

	return c ? &c->slots[nr % PID_CHUNK] : NULL;
}

int pid_chunk_add(u32 index)
{
	struct pid_chunk *fresh = kzalloc(sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	spin_lock(&proc_table_lock);
	if (!chunks[index]) {
		if (!index) {			/* 0 names no process */
			bitmap_set(fresh->used, 0);
			fresh->nused = 1;
		}
		store_release(&chunks[index], fresh);
		fresh = NULL;
	}
	spin_unlock(&proc_table_lock);
	kfree(fresh);
	return 0;
}

static int take(u32 nr, u32 *out)
{
	struct pid_chunk *c = chunks[nr / PID_CHUNK];

	if (!c) {
		*out = nr / PID_CHUNK;
		return 1;
	}
	if (bitmap_test(c->used, nr % PID_CHUNK))
		return -EEXIST;
	bitmap_set(c->used, nr % PID_CHUNK);
	c->nused++;
	*out = nr;
	return 0;
}

/* The first free number in [from, to), or to. */
static u32 find_free(u32 from, u32 to)
{
	while (from < to) {
		struct pid_chunk *c = chunks[from / PID_CHUNK];
		u32 base = from - from % PID_CHUNK, i;

		if (!c)
			return from;
		if (c->nused < PID_CHUNK) {
			i = (u32)bitmap_find_clear(c->used, PID_CHUNK, from % PID_CHUNK);
			if (i < PID_CHUNK)
				return MIN(base + i, to);
		}
		from = base + PID_CHUNK;
	}
	return to;
}

int pid_alloc_locked(u32 want, u32 *out)
{
	u32 max = MIN(READ_ONCE(sysctl_pid_max), PID_LIMIT), nr;
	int err;

	assert_held(&proc_table_lock);
	if (want)
		return want < max ? take(want, out) : -EINVAL;
	nr = find_free(last_nr + 1, max);
	if (nr >= max) {
		nr = find_free(last_nr < PID_RESERVED ? 1 : PID_RESERVED, max);
		if (nr >= max)
			return -EAGAIN;
	}
	err = take(nr, out);
	if (!err)
		last_nr = nr;
	return err;
}

void pid_release_locked(u32 nr)
{
	struct pid_chunk *c = chunks[nr / PID_CHUNK];
	struct pid_slot *s = &c->slots[nr % PID_CHUNK];

	assert_held(&proc_table_lock);
	if (s->task || s->group || s->session)
		return;
	ASSERT(bitmap_test(c->used, nr % PID_CHUNK));
	bitmap_clear(c->used, nr % PID_CHUNK);
	c->nused--;
}

u32 pid_next_used_locked(u32 from)
{
	while (from < PID_LIMIT) {
		struct pid_chunk *c = chunks[from / PID_CHUNK];
		u32 base = from - from % PID_CHUNK;
		usize i = c && c->nused ? bitmap_find_set(c->used, PID_CHUNK, from % PID_CHUNK) : PID_CHUNK;

		if (i < PID_CHUNK && base + i > 0)
			return base + (u32)i;
		from = i < PID_CHUNK ? base + (u32)i + 1 : base + PID_CHUNK;
	}
	return 0;
}
