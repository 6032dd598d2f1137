/*
 * Split virtqueues (ring.h).  Sections are of virtio 1.2.
 *
 * Invariants:
 *  1. nfree slots are on the free list from free_head; the others belong to
 *     chains that are out, each with a token in its head's slot.
 *  2. Only indices read from private memory (slot) select a descriptor; the
 *     descriptor table is written, never read.
 */
#include <arch/mmu.h>
#include <base/atomic.h>
#include <base/bug.h>
#include <base/errno.h>
#include <core/trace.h>
#include "ring.h"

#define DESC_NEXT	   1u
#define DESC_WRITE	   2u
#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u
#define SLOT_NONE	   0xffffu

static usize used_offset(u16 size)
{
	return ALIGN_UP(sizeof(struct virtq_desc) * size + sizeof(struct virtq_avail) + sizeof(u16) * size + sizeof(u16), 4);
}

usize virtq_bytes(u16 size)
{
	return used_offset(size) + sizeof(struct virtq_used) + sizeof(struct virtq_used_elem) * size + sizeof(u16);
}

static u16 *used_event(struct virtq *q) { return &q->avail->ring[q->size]; }
static u16 *avail_event(struct virtq *q) { return (u16 *)&q->used->ring[q->size]; }

void virtq_init(struct virtq *q, u16 index, u16 size, void *memory, struct virtq_slot *slot, bool event_idx)
{
	VERIFY(IS_POW2(size) && size <= 32768);
	q->desc = memory;
	q->avail = (void *)&q->desc[size];
	q->used = (void *)((u8 *)memory + used_offset(size));
	q->size = q->nfree = size;
	q->index = index;
	q->event_idx = event_idx;
	q->slot = slot;
	q->free_head = 0;
	for (u16 i = 0; i < size; i++)
		slot[i] = (struct virtq_slot){ .next = i + 1 < size ? i + 1 : SLOT_NONE };
}

/* One descriptor of a chain; the next free slot is the next of the chain. */
static u16 fill(struct virtq *q, u16 at, const struct virtq_buf *b, u32 flags)
{
	struct virtq_desc *d = &q->desc[at];

	d->addr = mmu_virt_to_phys(b->at).v;
	d->len = b->len;
	d->flags = (u16)flags;
	d->next = flags & DESC_NEXT ? q->slot[at].next : 0;
	return q->slot[at].next;
}

int virtq_add(struct virtq *q, const struct virtq_buf *buf, u32 nread, u32 nwrite, void *token)
{
	u32 n = nread + nwrite, room = 0, bytes = 0;
	u16 head = q->free_head, at = head;

	if (q->broken)
		return -EIO;
	if (!n || n > q->nfree)
		return -ENOSPC;
	for (u32 i = 0; i < n; i++) {
		room += i >= nread ? buf[i].len : 0;
		bytes += buf[i].len;
		at = fill(q, at, &buf[i], (i >= nread ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0));
	}
	q->slot[head].token = token;
	q->slot[head].room = room;
	q->slot[head].count = (u16)n;
	q->free_head = at;
	q->nfree -= (u16)n;
	WRITE_ONCE(q->avail->ring[q->next_avail++ & (q->size - 1)], head);
	trace_virtio_add(q->device, q->index, head, bytes);
	return 0;
}

/* 2.7.13.3 and 2.7.13.4: the index after what it announces; what the device wants is read after it was told. */
bool virtq_publish(struct virtq *q)
{
	u16 old = q->published, now = q->next_avail;
	bool kick;

	if (q->broken || old == now)
		return false;
	store_release(&q->avail->idx, now);
	q->published = now;
	memory_fence();
	if (q->event_idx)		/* 2.7.10: the event lies in [old, now) */
		kick = (u16)(now - READ_ONCE(*avail_event(q)) - 1) < (u16)(now - old);
	else
		kick = !(READ_ONCE(q->used->flags) & USED_NO_NOTIFY);
	if (kick)
		trace_virtio_kick(q->device, q->index, (u16)(now - old));
	return kick;
}

bool virtq_pending(const struct virtq *q)
{
	return READ_ONCE(q->used->idx) != READ_ONCE(q->last_used) && !READ_ONCE(q->broken);
}

static void *chain_release(struct virtq *q, u16 head)
{
	struct virtq_slot *s = &q->slot[head];
	void *token = s->token;
	u16 last = head;

	for (u16 i = 1; i < s->count; i++)
		last = q->slot[last].next;
	q->slot[last].next = q->free_head;
	q->free_head = head;
	q->nfree += s->count;
	s->token = NULL;
	return token;
}

static void *breach(struct virtq *q, const char *what)
{
	WRITE_ONCE(q->broken, what);
	return NULL;
}

void *virtq_take(struct virtq *q, u32 *written)
{
	u16 ready = load_acquire(&q->used->idx) - q->last_used;
	struct virtq_used_elem *e = &q->used->ring[q->last_used & (q->size - 1)];

	if (!ready || q->broken)
		return NULL;
	if (ready > (u16)(q->published - q->last_used))
		return breach(q, "more buffers used than there are");
	/* Once each: the device may change them while they are looked at. */
	u32 id = READ_ONCE(e->id), len = READ_ONCE(e->len);

	if (id >= q->size || !q->slot[id].token)
		return breach(q, "a buffer used that was not there to use");
	if (len > q->slot[id].room)
		return breach(q, "more bytes written than there is room for");
	WRITE_ONCE(q->last_used, (u16)(q->last_used + 1));
	*written = len;
	trace_virtio_used(q->device, q->index, id, len);
	return chain_release(q, (u16)id);
}

void *virtq_detach(struct virtq *q)
{
	for (u32 i = 0; i < q->size; i++)
		if (q->slot[i].token)
			return chain_release(q, (u16)i);
	return NULL;
}

/* 2.7.7. */
bool virtq_listen(struct virtq *q)
{
	if (q->event_idx)
		WRITE_ONCE(*used_event(q), q->last_used);
	else
		WRITE_ONCE(q->avail->flags, 0);
	memory_fence();
	return virtq_pending(q);
}

/* With EVENT_IDX the flag must stay 0: an event that has just passed is 65535 chains away. */
void virtq_mute(struct virtq *q)
{
	if (q->event_idx)
		WRITE_ONCE(*used_event(q), (u16)(q->last_used - 1));
	else
		WRITE_ONCE(q->avail->flags, AVAIL_NO_INTERRUPT);
}
