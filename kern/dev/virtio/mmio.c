/*
 * Virtio over MMIO: virtio 1.2, section 4.2.  Devices come from ACPI or from
 * virtio_mmio.device= (arch/machine.h).  Where nothing is plugged in, the
 * device's number is 0.
 */
#include <arch/io.h>
#include <arch/machine.h>
#include <arch/mmu.h>
#include <base/errno.h>
#include <core/irq.h>
#include <core/log.h>
#include <mem/slab.h>
#include "virtio.h"

enum {
	MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, DEVICE_FEATURES = 0x10, DEVICE_FEATURES_SEL = 0x14,
	DRIVER_FEATURES = 0x20, DRIVER_FEATURES_SEL = 0x24, QUEUE_SEL = 0x30, QUEUE_NUM_MAX = 0x34, QUEUE_NUM = 0x38,
	QUEUE_READY = 0x44, QUEUE_NOTIFY = 0x50, INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70,
	QUEUE_DESC = 0x80, QUEUE_DRIVER = 0x90, QUEUE_DEVICE = 0xa0, CONFIG = 0x100,
};
#define MAGIC_VALUE    0x74726976u	/* "virt" */
#define VERSION_MODERN 2u

struct mmio_device {
	struct virtio_device dev;
	volatile u8 *regs;		/* const */
	u32 gsi;			/* const */
};

static volatile u8 *regs_of(struct virtio_device *d) { return container_of(d, struct mmio_device, dev)->regs; }
static u32 get(struct virtio_device *d, u32 reg) { return mmio_read32(regs_of(d) + reg); }
static void set(struct virtio_device *d, u32 reg, u32 v) { mmio_write32(regs_of(d) + reg, v); }

static void set64(struct virtio_device *d, u32 reg, u64 v)
{
	set(d, reg, (u32)v);
	set(d, reg + 4, (u32)(v >> 32));
}

static u8 mmio_status(struct virtio_device *d) { return (u8)get(d, STATUS); }
static void mmio_set_status(struct virtio_device *d, u8 status) { set(d, STATUS, status); }

static u64 mmio_features(struct virtio_device *d)
{
	u64 low;

	set(d, DEVICE_FEATURES_SEL, 0);
	low = get(d, DEVICE_FEATURES);
	set(d, DEVICE_FEATURES_SEL, 1);
	return low | (u64)get(d, DEVICE_FEATURES) << 32;
}

static void mmio_set_features(struct virtio_device *d, u64 features)
{
	set(d, DRIVER_FEATURES_SEL, 0);
	set(d, DRIVER_FEATURES, (u32)features);
	set(d, DRIVER_FEATURES_SEL, 1);
	set(d, DRIVER_FEATURES, (u32)(features >> 32));
}

static u32 mmio_config(struct virtio_device *d, u32 offset, u32 size)
{
	volatile u8 *at = regs_of(d) + CONFIG + offset;

	return size == 1 ? mmio_read8(at) : size == 2 ? mmio_read16(at) : mmio_read32(at);
}

static u32 mmio_queue_max(struct virtio_device *d, u16 index)
{
	set(d, QUEUE_SEL, index);
	return get(d, QUEUE_READY) ? 0 : get(d, QUEUE_NUM_MAX);
}

static int mmio_queue_start(struct virtio_device *d, struct virtq *q)
{
	set(d, QUEUE_SEL, q->index);
	set(d, QUEUE_NUM, q->size);
	set64(d, QUEUE_DESC, mmu_virt_to_phys(q->desc).v);
	set64(d, QUEUE_DRIVER, mmu_virt_to_phys(q->avail).v);
	set64(d, QUEUE_DEVICE, mmu_virt_to_phys(q->used).v);
	set(d, QUEUE_READY, 1);
	return 0;
}

static void mmio_notify(struct virtio_device *d, struct virtq *q) { set(d, QUEUE_NOTIFY, q->index); }

/* Acknowledged before the queues are looked at: what comes after that look interrupts again. */
static bool mmio_interrupt(void *arg)
{
	struct virtio_device *d = arg;
	u32 status = get(d, INTERRUPT_STATUS);

	if (!status)
		return false;
	set(d, INTERRUPT_ACK, status);
	virtio_interrupt(d);
	return true;
}

static int mmio_request_irq(struct virtio_device *d)
{
	return irq_request(container_of(d, struct mmio_device, dev)->gsi, mmio_interrupt, d, "virtio");
}

static const struct virtio_transport mmio_transport = {
	.status = mmio_status, .set_status = mmio_set_status, .features = mmio_features, .set_features = mmio_set_features,
	.config = mmio_config, .queue_max = mmio_queue_max, .queue_start = mmio_queue_start, .notify = mmio_notify,
	.request_irq = mmio_request_irq,
};

static void found(u64 base, u64 size, u32 gsi)
{
	struct mmio_device *m;
	volatile u8 *regs = size >= CONFIG ? mmu_map_device(PADDR(base), size) : NULL;

	if (!regs || mmio_read32(regs + MAGIC) != MAGIC_VALUE || !mmio_read32(regs + DEVICE_ID))
		return;
	if (mmio_read32(regs + VERSION) != VERSION_MODERN) {
		log_info("virtio-mmio at %#llx: not a virtio 1 device, not used", (unsigned long long)base);
		return;
	}
	m = kzalloc(sizeof(*m));
	if (!m)
		return;
	m->regs = regs;
	m->gsi = gsi;
	m->dev.transport = &mmio_transport;
	m->dev.id = mmio_read32(regs + DEVICE_ID);
	virtio_add(&m->dev);
}

void virtio_mmio_init(void)
{
	u64 base, size;
	u32 gsi;

	for (u32 i = 0; !arch_virtio_mmio(i, &base, &size, &gsi); i++)
		found(base, size, gsi);
}
