/*
 * Ports of a console whose device says and does what it likes: all of the driver above the transport, which is the
 * device here.  What it must not do: panic, touch what is not its own, sleep for ever, lose memory or numbers.
 * host-sources: kern/dev/virtio/console.c kern/dev/virtio/port.c kern/dev/virtio/device.c kern/dev/virtio/ring.c
 */
#include <core/log.h>
#include <core/uio.h>
#include <dev/virtio.h>
#include <test/test.h>
#include "console.h"
#include "virtio_testlib.h"

#define CONTROL_RX 2u
#define CONTROL_TX 3u
#define RX	   4u			/* of port 1 */
#define TX	   5u
#define QUEUES	   130u
#define NUMBERS	   256u			/* of all ports */

struct hostile {
	struct virtio_device dev;
	u8 status;
	u32 max_ports, queue_max;	/* what it says it has */
	u64 features;
	u16 seen[QUEUES];		/* of each queue's avail ring */
	u32 ready, refused;		/* what it was told of its ports */
};

static struct hostile devices[NUMBERS];
static u32 ndevices, logged;
static struct chardev *made[NUMBERS];	/* by minor */
static u32 nmade;

/* --- what is beside the driver ------------------------------------------------ */

void log_printf(enum log_level level, const char *fmt, ...) { logged++; }
struct thread *thread_spawn_kernel(const char *name, void (*fn)(void *), void *arg) { return thread_current(); }
void virtio_mmio_init(void) {}
void virtio_pci_init(void) {}
void fasync_init(struct fasync_list *l) { list_init(&l->files); }
void fasync_set(struct fasync_list *l, struct file *f, bool on) {}
void fasync_notify_all(struct fasync_list *l, u32 band) {}

void chardev_register(struct chardev *cd)
{
	VERIFY(cd->minor < NUMBERS && !made[cd->minor]);	/* no number twice */
	made[cd->minor] = cd;
	nmade++;
}

/* --- the device ----------------------------------------------------------------- */

static struct hostile *of(struct virtio_device *d) { return container_of(d, struct hostile, dev); }
static u8 status(struct virtio_device *d) { return of(d)->status; }
static void set_status(struct virtio_device *d, u8 s) { of(d)->status = s; }
static u64 features(struct virtio_device *d) { return of(d)->features; }
static void set_features(struct virtio_device *d, u64 f) {}
static u32 config(struct virtio_device *d, u32 offset, u32 size) { return of(d)->max_ports; }
static u32 queue_max(struct virtio_device *d, u16 index) { return of(d)->queue_max; }
static int queue_start(struct virtio_device *d, struct virtq *q) { return 0; }
static void notify(struct virtio_device *d, struct virtq *q) {}
static int request_irq(struct virtio_device *d) { return 0; }

static const struct virtio_transport transport = {
	.status = status, .set_status = set_status, .features = features, .set_features = set_features, .config = config,
	.queue_max = queue_max, .queue_start = queue_start, .notify = notify, .request_irq = request_irq,
};

static struct virtq *queue(struct hostile *h, u32 i) { return h->dev.queue[i]; }

static bool device_next(struct hostile *h, u32 i, u16 *head)
{
	struct virtq *q = queue(h, i);

	if (h->seen[i] == q->avail->idx)
		return false;
	*head = q->avail->ring[h->seen[i]++ % q->size];
	return true;
}

static void device_use(struct hostile *h, u32 i, u32 id, u32 len)
{
	struct virtq *q = queue(h, i);

	q->used->ring[q->used->idx % q->size] = (struct virtq_used_elem){ id, len };
	q->used->idx++;
}

static void device_hears(struct hostile *h)
{
	u16 head;

	while (device_next(h, CONTROL_TX, &head)) {
		const struct message *m = queue(h, CONTROL_TX)->slot[head].token;

		if (m->event == CONSOLE_PORT_READY) {
			h->ready += m->value;
			h->refused += !m->value;
		}
		device_use(h, CONTROL_TX, head, 0);
	}
}

static void say(struct hostile *h, u32 id, u32 event, u32 value)
{
	struct message m = { .id = id, .event = (u16)event, .value = (u16)value };
	u16 head;

	if (h->dev.broken || !device_next(h, CONTROL_RX, &head))
		return;
	memcpy(queue(h, CONTROL_RX)->slot[head].token, &m, sizeof(m));
	device_use(h, CONTROL_RX, head, sizeof(m));
	console_serve(h->dev.priv);
	device_hears(h);
}

/* What the driver has given to a device stays; leaks are looked for where the device talks. */
static struct hostile *device(u32 max_ports, u32 queue_entries)
{
	struct hostile *h = &devices[ndevices++];

	host_allow_leaks();
	*h = (struct hostile){ .dev = { .transport = &transport, .id = VIRTIO_ID_CONSOLE }, .features = ~0ull,
			       .max_ports = max_ports, .queue_max = queue_entries };
	virtio_add(&h->dev);
	return h;
}

/* Port 1 of a new device, as a program opens it. */
static struct hostile *opened(struct file *f, u32 flags)
{
	struct hostile *h = device(2, 1024);
	u32 minor = nmade;

	device_hears(h);
	say(h, 1, CONSOLE_PORT_ADD, 1);
	say(h, 1, CONSOLE_PORT_OPEN, 1);
	VERIFY(nmade == minor + 1);
	*f = (struct file){ .ops = made[minor]->ops, .priv = made[minor]->priv, .flags = flags };
	CHECK_EQ(f->ops->open(NULL, f), 0);
	device_hears(h);
	return h;
}

static i64 get(struct file *f, u8 *buf, u64 n)
{
	struct uio u;

	uio_init_kernel(&u, buf, n);
	return f->ops->read(f, &u, NULL);
}

static i64 put(struct file *f, u8 *buf, u64 n)
{
	struct uio u;

	uio_init_kernel(&u, buf, n);
	return f->ops->write(f, &u, NULL);
}

static u32 polled(struct file *f)
{
	struct poll_table none = { 0 };

	return f->ops->poll(f, &none);
}

/* --- tests -------------------------------------------------------------------------- */

/* Whatever it says of itself: it starts with ports that have queues, or not at all, by one line. */
TEST(port, devices_that_cannot_be_are_left_alone)
{
	static const struct { u32 max_ports, queue_max; bool starts; } say_so[] = {
		{ 0, 64, false }, { 2, 0, false }, { 1, 1, true }, { 31, 3, true }, { 65, 65535, true }, { ~0u, ~0u, true },
	};

	for (u32 i = 0; i < ARRAY_LEN(say_so); i++) {
		logged = 0;
		struct hostile *h = device(say_so[i].max_ports, say_so[i].queue_max);

		CHECK_EQ(!(h->status & 128), say_so[i].starts);
		CHECK_EQ(logged, say_so[i].starts ? 0u : 1u);
	}
}

TEST(port, a_port_that_could_not_be_made_uses_up_no_number)
{
	struct hostile *h = device(64, 1024);

	for (u32 i = 0; i < 1000; i++) {
		host_fail_at(0);
		say(h, i % 64, CONSOLE_PORT_ADD, 1);
		CHECK(host_fail_hit());
	}
	host_fail_at(~0u);
	CHECK_EQ(h->refused, 1000u);
	CHECK_EQ(logged, 1u);
	say(h, 7, CONSOLE_PORT_ADD, 1);
	CHECK_EQ(nmade, 1u);
	CHECK(made[0] != NULL);
}

TEST(port, numbers_that_are_used_up_are_refused_for_ever)
{
	struct virtio_port_info info;
	struct hostile *h = NULL;

	for (u32 n = 0; n < NUMBERS / 64 + 1; n++) {
		h = device(64, 16);
		for (u32 id = 0; id < 64; id++)
			say(h, id, CONSOLE_PORT_ADD, 1);
		CHECK_EQ(h->ready, n < NUMBERS / 64 ? 64u : 0u);
	}
	u64 pages = host_live_pages();

	for (u32 i = 0; i < 20000; i++)
		say(h, i % 64, CONSOLE_PORT_ADD, 1);
	CHECK_EQ(h->refused, 20064u);
	CHECK_EQ(h->ready, 0u);
	CHECK_EQ(logged, 1u);
	CHECK_LE(host_live_pages(), pages);
	for (u32 i = 0; i < NUMBERS; i++)
		NEED(virtio_port_describe(i, &info) && info.minor == i);
	CHECK(!virtio_port_describe(NUMBERS, &info));
}

/* Empty buffers are not the end; each of the others is read whole, in pieces of any size. */
TEST(port, a_read_gives_what_was_written_and_no_more)
{
	static u8 buf[2 * PAGE_SIZE];
	struct file f;
	struct hostile *h = opened(&f, O_NONBLOCK);
	u64 pages = host_live_pages();

	for (u32 i = 0; i < 20000; i++) {
		u32 len = host_random_below(3) ? (u32)host_random_below(PAGE_SIZE + 1) : 0, left = len;
		u16 head;

		NEED(device_next(h, RX, &head));
		memset(queue(h, RX)->slot[head].token, (u8)i, len);
		device_use(h, RX, head, len);
		while (left) {
			u32 want = 1 + (u32)host_random_below(sizeof(buf));
			i64 n = get(&f, buf, want);

			NEED(n > 0 && n <= want && n <= left && buf[0] == (u8)i && buf[n - 1] == (u8)i);
			left -= (u32)n;
		}
		NEED(get(&f, buf, sizeof(buf)) == -EAGAIN);
	}
	CHECK_EQ(host_live_pages(), pages);
	CHECK(!h->dev.broken);
}

/* In turn: too long, a buffer that never was, more buffers than there are. */
static void lie(struct hostile *h, u32 i, u32 kind)
{
	u16 head;

	NEED(device_next(h, i, &head));
	device_use(h, i, kind == 1 ? 0x10000u : head, kind == 0 ? PAGE_SIZE + 1 : 0);
	if (kind == 2)
		queue(h, i)->used->idx += 100;
}

static void expect_gone(struct file *f, struct hostile *h)
{
	u8 byte = 1;

	CHECK(h->dev.broken);
	CHECK_EQ(get(f, &byte, 1), -ENODEV);
	CHECK_EQ(put(f, &byte, 1), -ENODEV);
	CHECK_EQ(polled(f), (u32)POLLHUP);
	CHECK_EQ(logged, 1u);
	f->ops->release(f);
	CHECK_EQ(f->ops->open(NULL, f), -ENXIO);
}

TEST(port, who_reads_hears_that_the_device_lied)
{
	for (u32 kind = 0; kind < 6; kind++) {
		struct file f;
		struct hostile *h = opened(&f, kind < 3 ? O_NONBLOCK : 0);
		u8 byte;

		logged = 0;
		lie(h, RX, kind % 3);
		i64 n = get(&f, &byte, 1);

		CHECK(n == -ENODEV || (n == -EAGAIN && kind < 3));
		expect_gone(&f, h);
	}
}

/* The queue is full when it lies, so that whoever writes waits for what it uses, and nothing else wakes them. */
TEST(port, who_writes_or_polls_hears_that_the_device_lied)
{
	static u8 buf[40000];

	for (u32 kind = 0; kind < 9; kind++) {
		struct file f;
		struct hostile *h = opened(&f, O_NONBLOCK);
		i64 n;

		logged = 0;
		while ((n = put(&f, buf, sizeof(buf))) > 0)
			CHECK_EQ(n, 32 << 10);
		NEED(n == -EAGAIN);
		lie(h, TX, kind % 3);
		if (kind < 3)
			f.flags = 0;
		if (kind < 6)
			CHECK_EQ(put(&f, buf, sizeof(buf)), -ENODEV);
		else
			CHECK(polled(&f) & POLLHUP);
		expect_gone(&f, h);
	}
}

static void anything(struct hostile *h, struct file *f)
{
	static u8 buf[3 * PAGE_SIZE];
	static const u32 rings[] = { CONTROL_RX, RX, TX };
	u32 i = rings[host_random_below(3)], n = (u32)host_random_below(sizeof(buf));
	u16 head;

	switch (host_random_below(6)) {
	case 0:
		return say(h, (u32)host_random_below(4), (u32)host_random_below(9), (u32)host_random_below(2));
	case 1:
		if (device_next(h, i, &head))
			device_use(h, i, head, (u32)host_random_below(i == TX ? 2 : 300));
		return;
	case 2:
		if (!host_random_below(8))
			((u8 *)queue(h, i)->used)[host_random_below(64)] = (u8)host_random();
		return;
	case 3:
		CHECK_LE(get(f, buf, n), (i64)n);
		return;
	case 4:
		CHECK_LE(put(f, buf, n), (i64)n);
		return;
	default:
		virtio_interrupt(&h->dev);
		DISCARD(polled(f));
	}
}

TEST(port, anything_in_any_order)
{
	for (u32 round = 0; round < 100; round++) {
		struct file f;
		struct hostile *h = opened(&f, O_NONBLOCK);

		logged = 0;
		for (u32 step = 0; step < 300; step++) {
			anything(h, &f);
			device_hears(h);
		}
		f.ops->release(&f);
		CHECK_LE(logged, 4u);		/* it is broken, a port beyond, two terminals */
	}
}
