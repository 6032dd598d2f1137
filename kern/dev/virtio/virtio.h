/*
 * Virtio devices between their transport (mmio.c, pci.c) and their driver
 * (console.c): status, features, queues, interrupts.  Virtio 1.x only; sections
 * are of 1.2.
 *
 * A device is found at boot, in the boot thread, and never goes away.  Its
 * queues are made in driver->probe and const from then on: the interrupt
 * handler walks them without a lock.  What a queue holds is guarded by its
 * driver's lock.
 */
#pragma once

#include "ring.h"

#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

#define VIRTIO_ID_CONSOLE 3u

struct virtio_device;

/* Registers of a device.  At boot from one thread, but notify (any context). */
struct virtio_transport {
	u8 (*status)(struct virtio_device *d);
	void (*set_status)(struct virtio_device *d, u8 status);		/* 0 resets, and returns when that is done */
	u64 (*features)(struct virtio_device *d);
	void (*set_features)(struct virtio_device *d, u64 features);
	/* A field of the device's configuration, by one access of its size (1, 2, 4 bytes). */
	u32 (*config)(struct virtio_device *d, u32 offset, u32 size);
	u32 (*queue_max)(struct virtio_device *d, u16 index);		/* entries; 0: there is no such queue */
	int (*queue_start)(struct virtio_device *d, struct virtq *q);
	void (*notify)(struct virtio_device *d, struct virtq *q);
	int (*request_irq)(struct virtio_device *d);
};

struct virtio_driver {
	u32 id;
	u64 features;			/* what it can use, beyond what all drivers use */
	int (*probe)(struct virtio_device *d);	/* makes the queues; the device does not run yet */
	int (*start)(struct virtio_device *d);	/* it runs: buffers may be given and notified */
	void (*broken)(struct virtio_device *d);	/* the device broke the rules: nobody may wait for it */
};

struct virtio_device {
	const struct virtio_transport *transport;	/* which embeds this struct in its own; const, as all but `broken` */
	const struct virtio_driver *driver;
	void *priv;			/* the driver's */
	u32 id, index;			/* what it is; N of virtioN */
	u64 features;			/* agreed on */
	struct virtq **queue;		/* nqueues; NULL: not made */
	u32 nqueues;			/* atomic release: 0 until there is queue */
	u32 broken;			/* atomic */
};

extern const struct virtio_driver virtio_console_driver;

/* Takes over a device that a transport has found: agrees on features, starts its driver. */
void virtio_add(struct virtio_device *d);
/* probe: makes queue `index` with up to `most` entries.  interrupt: see ring.h.  0, -ENODEV (no such queue), -ENOMEM. */
MUST_USE int virtio_queue_make(struct virtio_device *d, u16 index, u16 most, void (*interrupt)(struct virtq *q), void *owner);
/* probe: room for queues 0 to n - 1. */
MUST_USE int virtio_queues_reserve(struct virtio_device *d, u32 n);
/* An interrupt of the device: tells the drivers of all queues where something came back. */
void virtio_interrupt(struct virtio_device *d);
/* Publishes and notifies, under the lock of q. */
static inline void virtio_kick(struct virtio_device *d, struct virtq *q)
{
	if (virtq_publish(q))
		d->transport->notify(d, q);
}
/* To be called with no lock held after q was used: a device that broke the rules is reported, once, and stopped. */
void virtio_report_broken(struct virtio_device *d, struct virtq *q);
static inline void virtio_check(struct virtio_device *d, struct virtq *q)
{
	if (unlikely(READ_ONCE(q->broken)))
		virtio_report_broken(d, q);
}

void virtio_mmio_init(void);
void virtio_pci_init(void);
