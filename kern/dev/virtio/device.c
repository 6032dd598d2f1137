/* From a device that a transport found to one that its driver runs: virtio 1.2, sections 2.1, 2.2 and 3.1. */
#include <arch/mmu.h>
#include <base/bug.h>
#include <base/errno.h>
#include <core/log.h>
#include <core/trace.h>
#include <dev/virtio.h>
#include <mem/slab.h>
#include "virtio.h"

enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8, STATUS_FAILED = 128 };

static const struct virtio_driver *const drivers[] = { &virtio_console_driver };
static u32 ndevices;			/* boot thread */

static void add_status(struct virtio_device *d, u8 bits)
{
	d->transport->set_status(d, d->transport->status(d) | bits);
}

int virtio_queues_reserve(struct virtio_device *d, u32 n)
{
	d->queue = kzalloc(n * sizeof(struct virtq *));
	if (!d->queue)
		return -ENOMEM;
	store_release(&d->nqueues, n);
	return 0;
}

static u16 queue_size(u32 max, u16 most)
{
	u16 size = 1;

	while (size < most && size * 2u <= max)
		size *= 2;
	return size;
}

int virtio_queue_make(struct virtio_device *d, u16 index, u16 most, void (*interrupt)(struct virtq *q), void *owner)
{
	u32 max = d->transport->queue_max(d, index);
	u16 size = queue_size(max, most);

	VERIFY(index < d->nqueues && !d->queue[index]);
	if (!max)
		return -ENODEV;

	AUTO(kptr) block = kzalloc(sizeof(struct virtq) + size * sizeof(struct virtq_slot));
	AUTO(kptr) memory = kzalloc(virtq_bytes(size));
	struct virtq *q = block;

	if (!block || !memory)
		return -ENOMEM;
	VERIFY((u64)memory % VIRTQ_ALIGN == 0);
	virtq_init(q, index, size, MOVE(memory), (struct virtq_slot *)(q + 1), d->features & VIRTIO_F_EVENT_IDX);
	q->interrupt = interrupt;
	q->owner = owner;
	q->device = d->index;
	d->queue[index] = MOVE(block);		/* stays, with its memory, whatever comes: the device knows it from here on */
	return d->transport->queue_start(d, q);
}

void virtio_interrupt(struct virtio_device *d)
{
	for (u32 i = 0, n = load_acquire(&d->nqueues); i < n; i++) {
		struct virtq *q = READ_ONCE(d->queue[i]);

		if (!q || !virtq_pending(q))
			continue;
		trace_virtio_interrupt(d->index, i);
		q->interrupt(q);
	}
}

void virtio_report_broken(struct virtio_device *d, struct virtq *q)
{
	if (__atomic_exchange_n(&d->broken, 1, __ATOMIC_SEQ_CST))
		return;
	log_warn("virtio%u: queue %u: %s; the device is not used any more", d->index, q->index, q->broken);
	add_status(d, STATUS_FAILED);
	d->driver->broken(d);
}

/* 3.1.1, steps 4 to 6. */
static int agree(struct virtio_device *d)
{
	u64 offered = d->transport->features(d);

	if (!(offered & VIRTIO_F_VERSION_1))
		return -ENODEV;
	d->features = offered & (d->driver->features | VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX);
	d->transport->set_features(d, d->features);
	add_status(d, STATUS_FEATURES_OK);
	return d->transport->status(d) & STATUS_FEATURES_OK ? 0 : -ENODEV;
}

static int bring_up(struct virtio_device *d)
{
	int err;

	add_status(d, STATUS_DRIVER);
	err = agree(d);
	if (!err)
		err = d->transport->request_irq(d);
	if (!err)
		err = d->driver->probe(d);
	if (err)
		return err;
	add_status(d, STATUS_DRIVER_OK);
	return d->driver->start(d);
}

void virtio_add(struct virtio_device *d)
{
	d->index = ndevices++;
	for (u32 i = 0; i < ARRAY_LEN(drivers); i++)
		if (drivers[i]->id == d->id)
			d->driver = drivers[i];
	if (!d->driver) {
		log_debug("virtio%u: no driver for device %u", d->index, d->id);
		return;
	}
	d->transport->set_status(d, 0);
	add_status(d, STATUS_ACKNOWLEDGE);
	int err = bring_up(d);

	if (err) {
		log_warn("virtio%u: device %u does not start: error %d", d->index, d->id, -err);
		d->transport->set_status(d, 0);
		add_status(d, STATUS_FAILED);
	}
}

void virtio_init(void)
{
	virtio_mmio_init();
	virtio_pci_init();
}
