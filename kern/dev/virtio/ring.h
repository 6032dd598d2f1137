/*
 * Split virtqueues: virtio 1.2, section 2.7.
 *
 * A queue gives chains of buffers to the device (virtq_add, virtq_publish) and
 * takes them back when the device has used them (virtq_take).  The device is
 * not trusted: what the driver needs to remember (which chains are out, how
 * they are linked, how much the device may have written) is in memory of the
 * driver's own, and what comes back is checked against it.  A device that
 * breaks the rules makes the queue broken: every later call says so, and no
 * index out of range was ever used.
 *
 * Buffers are memory of the direct map.  Nothing here sleeps or locks: the
 * owner's lock guards the queue, except where a function says otherwise.
 */
#pragma once

#include <base/attrs.h>

/* As the device sees it: 2.7.5, 2.7.6, 2.7.8.  x86 is little-endian as virtio is. */
struct virtq_desc { u64 addr; u32 len; u16 flags, next; };
struct virtq_avail { u16 flags, idx, ring[]; };		/* then u16 used_event */
struct virtq_used_elem { u32 id, len; };
struct virtq_used { u16 flags, idx; struct virtq_used_elem ring[]; };	/* then u16 avail_event */

struct virtq_slot {
	void *token;			/* of a chain that is out, in its head's slot; NULL: not a head that is out */
	u32 room;			/* bytes that the device may write into the chain */
	u16 next;			/* free list, or the chain */
	u16 count;			/* descriptors of the chain */
};

struct virtq {
	struct virtq_desc *desc;	/* these five: const after virtq_init() */
	struct virtq_avail *avail;
	struct virtq_used *used;
	u16 size, index;
	bool event_idx;			/* VIRTIO_F_EVENT_IDX was agreed on; const */
	u32 device;			/* number for traces; const */
	u16 free_head, nfree;		/* owner's lock from here on */
	u16 next_avail;			/* chains added so far */
	u16 published;			/* of them told to the device */
	u16 last_used;			/* chains taken back so far: at most those that were told */
	const char *broken;		/* what the device did wrong; NULL: nothing.  Set once */
	struct virtq_slot *slot;	/* size of them */
	void (*interrupt)(struct virtq *q);	/* the device used buffers; const, NULL: nobody cares */
	void *owner;			/* const */
	volatile void *doorbell;	/* the transport's; const */
};

struct virtq_buf { void *at; u32 len; };

#define VIRTQ_ALIGN 16u			/* of the memory */
/* Bytes of shared memory for size entries (a power of two, at most 32768). */
usize virtq_bytes(u16 size);
/* memory: virtq_bytes(), zeroed; slot: size of them. */
void virtq_init(struct virtq *q, u16 index, u16 size, void *memory, struct virtq_slot *slot, bool event_idx);

/*
 * Gives the device a chain: nread buffers that it reads, then nwrite that it
 * writes (at least one in all, none empty).  token (not NULL) comes back from
 * virtq_take().  0, -ENOSPC (too few descriptors), -EIO (broken).
 */
MUST_USE int virtq_add(struct virtq *q, const struct virtq_buf *buf, u32 nread, u32 nwrite, void *token);
/* Shows the device what was added.  True: it wants to be notified. */
MUST_USE bool virtq_publish(struct virtq *q);
/* The next chain that came back, and how much the device wrote.  NULL: none, or broken. */
MUST_USE void *virtq_take(struct virtq *q, u32 *written);
/* As virtq_take(), but of a queue that the device no longer uses: any chain that is out.  NULL: none. */
MUST_USE void *virtq_detach(struct virtq *q);
/* Is there something to take?  Without the lock: a hint, which is right once the device stops. */
bool virtq_pending(const struct virtq *q);
/* Asks for an interrupt at the next chain.  True: one came before that was seen, and may have no interrupt. */
MUST_USE bool virtq_listen(struct virtq *q);
/* Interrupts are not needed for now; a few may still come. */
void virtq_mute(struct virtq *q);
