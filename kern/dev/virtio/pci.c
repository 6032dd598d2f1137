/*
 * Virtio over PCI: virtio 1.2, section 4.1.  The registers of a device lie in
 * pieces of memory that vendor capabilities describe (4.1.4).  One MSI-X vector
 * serves all queues; devices without MSI-X are not used, since nothing here
 * knows how interrupt lines are routed.
 */
#include <arch/cpu.h>
#include <arch/io.h>
#include <arch/mmu.h>
#include <base/errno.h>
#include <core/log.h>
#include <dev/pci.h>
#include <mem/slab.h>
#include "virtio.h"

#define VENDOR_VIRTIO	 0x1af4u
#define ID_TRANSITIONAL	 0x1000u	/* to 0x103f: the subsystem says what it is */
#define ID_MODERN	 0x1040u	/* to 0x107f */
#define ID_END		 0x1080u
#define NO_VECTOR	 0xffffu
#define RESET_READS	 1000000u

/* 4.1.4: the kinds of pieces; 4.1.4.3: the registers of the first. */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_DEVICE = 4, CAPS = 5 };
enum { CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_MULTIPLIER = 16 };
enum {
	FEATURES_SELECT = 0, FEATURES = 4, DRIVER_SELECT = 8, DRIVER_FEATURES = 12, CONFIG_VECTOR = 16, STATUS = 20,
	QUEUE_SELECT = 22, QUEUE_SIZE = 24, QUEUE_VECTOR = 26, QUEUE_ENABLE = 28, QUEUE_NOTIFY = 30, QUEUE_DESC = 32,
	QUEUE_DRIVER = 40, QUEUE_DEVICE = 48, COMMON_BYTES = 56,
};

struct piece { volatile u8 *at; u32 length; };

struct pci_virtio {
	struct virtio_device dev;
	struct pci_function function;	/* const, as the rest */
	struct piece piece[CAPS];
	u32 multiplier;			/* between doorbells */
};

static struct pci_virtio *pci_of(struct virtio_device *d) { return container_of(d, struct pci_virtio, dev); }
static volatile u8 *common(struct virtio_device *d) { return pci_of(d)->piece[CAP_COMMON].at; }

static void set64(struct virtio_device *d, u32 reg, u64 v)
{
	mmio_write32(common(d) + reg, (u32)v);
	mmio_write32(common(d) + reg + 4, (u32)(v >> 32));
}

static u8 pci_status(struct virtio_device *d) { return mmio_read8(common(d) + STATUS); }

static void pci_set_status(struct virtio_device *d, u8 status)
{
	mmio_write8(common(d) + STATUS, status);
	for (u32 i = 0; !status && pci_status(d) && i < RESET_READS; i++)
		cpu_relax();
}

static u64 pci_features(struct virtio_device *d)
{
	u64 low;

	mmio_write32(common(d) + FEATURES_SELECT, 0);
	low = mmio_read32(common(d) + FEATURES);
	mmio_write32(common(d) + FEATURES_SELECT, 1);
	return low | (u64)mmio_read32(common(d) + FEATURES) << 32;
}

static void pci_set_features(struct virtio_device *d, u64 features)
{
	for (u32 i = 0; i < 2; i++) {
		mmio_write32(common(d) + DRIVER_SELECT, i);
		mmio_write32(common(d) + DRIVER_FEATURES, (u32)(features >> 32 * i));
	}
}

static u32 pci_config(struct virtio_device *d, u32 offset, u32 size)
{
	const struct piece *p = &pci_of(d)->piece[CAP_DEVICE];

	if (offset + size > p->length)
		return 0;
	return size == 1 ? mmio_read8(p->at + offset) : size == 2 ? mmio_read16(p->at + offset) : mmio_read32(p->at + offset);
}

static u32 pci_queue_max(struct virtio_device *d, u16 index)
{
	mmio_write16(common(d) + QUEUE_SELECT, index);
	return mmio_read16(common(d) + QUEUE_ENABLE) ? 0 : mmio_read16(common(d) + QUEUE_SIZE);
}

/* 4.1.4.4: where the queue's doorbell is; 4.1.5.1.2: a vector that does not stick is refused. */
static int pci_queue_start(struct virtio_device *d, struct virtq *q)
{
	struct pci_virtio *p = pci_of(d);
	u64 bell;

	mmio_write16(common(d) + QUEUE_SELECT, q->index);
	bell = (u64)mmio_read16(common(d) + QUEUE_NOTIFY) * p->multiplier;
	if (bell + 2 > p->piece[CAP_NOTIFY].length)
		return -ENODEV;
	q->doorbell = p->piece[CAP_NOTIFY].at + bell;
	mmio_write16(common(d) + QUEUE_SIZE, q->size);
	mmio_write16(common(d) + QUEUE_VECTOR, 0);
	if (mmio_read16(common(d) + QUEUE_VECTOR) == NO_VECTOR)
		return -ENOMEM;
	set64(d, QUEUE_DESC, mmu_virt_to_phys(q->desc).v);
	set64(d, QUEUE_DRIVER, mmu_virt_to_phys(q->avail).v);
	set64(d, QUEUE_DEVICE, mmu_virt_to_phys(q->used).v);
	mmio_write16(common(d) + QUEUE_ENABLE, 1);
	return 0;
}

static void pci_notify(struct virtio_device *d, struct virtq *q) { mmio_write16(q->doorbell, q->index); }

static bool pci_interrupt(void *arg)
{
	virtio_interrupt(arg);
	return true;
}

static int pci_request_irq(struct virtio_device *d)
{
	mmio_write16(common(d) + CONFIG_VECTOR, NO_VECTOR);
	return pci_request_msix(&pci_of(d)->function, pci_interrupt, d, "virtio");
}

static const struct virtio_transport pci_transport = {
	.status = pci_status, .set_status = pci_set_status, .features = pci_features, .set_features = pci_set_features,
	.config = pci_config, .queue_max = pci_queue_max, .queue_start = pci_queue_start, .notify = pci_notify,
	.request_irq = pci_request_irq,
};

/* The first piece of a kind counts: 4.1.4, "in order of preference". */
static void add_piece(struct pci_virtio *p, u32 cap)
{
	const struct pci_function *f = &p->function;
	u32 type = pci_read8(f, cap + CAP_TYPE), offset = pci_read32(f, cap + CAP_OFFSET), length = pci_read32(f, cap + CAP_LENGTH);
	struct pci_bar bar;

	if (type >= CAPS || p->piece[type].at || !length || pci_bar(f, pci_read8(f, cap + CAP_BAR), &bar) ||
	    (u64)offset + length > bar.size)
		return;
	p->piece[type] = (struct piece){ mmu_map_device(PADDR(bar.base + offset), length), length };
	if (type == CAP_NOTIFY)
		p->multiplier = pci_read32(f, cap + CAP_MULTIPLIER);
}

static void found(const struct pci_function *f)
{
	struct pci_virtio *p;

	if (f->vendor != VENDOR_VIRTIO || f->device < ID_TRANSITIONAL || f->device >= ID_END)
		return;
	p = kzalloc(sizeof(*p));
	if (!p)
		return;
	p->function = *f;
	p->dev.transport = &pci_transport;
	p->dev.id = f->device >= ID_MODERN ? f->device - ID_MODERN : pci_read16(f, PCI_SUBSYSTEM_ID);
	for (u32 cap = pci_capability(f, PCI_CAP_VENDOR, 0); cap; cap = pci_capability(f, PCI_CAP_VENDOR, cap))
		add_piece(p, cap);
	if (p->piece[CAP_COMMON].at && p->piece[CAP_COMMON].length >= COMMON_BYTES && p->piece[CAP_NOTIFY].at) {
		pci_enable(f);
		virtio_add(&p->dev);
		return;
	}
	log_info("virtio at PCI %02x:%02x.%u: not a virtio 1 device, not used", f->bus, f->slot, f->function);
	kfree(p);
}

void virtio_pci_init(void)
{
	pci_scan(found);
}
