/*
 * Who wants a signal when an object becomes ready: fcntl(2), O_ASYNC.
 * A signal is sent with no spinlock held, so files are taken out in small
 * batches, each with a reference.
 */
#include "vfs_private.h"

#define BATCH 8u

void fasync_init(struct fasync_list *l)
{
	spin_init(&l->lock, LR_FILE);
	list_init(&l->files);
}

void fasync_set(struct fasync_list *l, struct file *f, bool on)
{
	GUARD_SPIN(&l->lock);
	list_remove(&f->async_link);
	if (on)
		list_push_back(&l->files, &f->async_link);
}

/* Up to BATCH files from position skip on. */
static u32 take_batch(struct fasync_list *l, u32 skip, struct file **out)
{
	struct file *f;
	u32 n = 0;

	GUARD_SPIN(&l->lock);
	list_for_each(f, &l->files, async_link) {
		if (skip) {
			skip--;
			continue;
		}
		if (n == BATCH)
			break;
		if (ref_try_get(&f->refs))
			out[n++] = f;
	}
	return n;
}

void fasync_notify_all(struct fasync_list *l, u32 band)
{
	struct file *batch[BATCH];
	u32 n, done = 0;

	do {
		n = take_batch(l, done, batch);
		for (u32 i = 0; i < n; i++) {
			file_signal_owner(batch[i], band);
			file_put(batch[i]);
		}
		done += n;
	} while (n == BATCH);
}
