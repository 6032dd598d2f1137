/*
 * A console's worker against a device that says what it likes: ports that it may not have, messages that are
 * cut or change while they are read, the same thing for ever.  What it must not do: panic, write where it
 * has no buffer, fill the log, lose memory, make a port twice.
 * host-sources: kern/dev/virtio/console.c kern/dev/virtio/ring.c
 */
#include <core/log.h>
#include <test/test.h>
#include "console.h"
#include "virtio_testlib.h"

#define MAX_PORTS 31u
#define ENTRIES	  32u

static struct virtq queue[2];			/* control: from the device, to it */
static struct virtq_slot slots[2][ENTRIES];
static struct virtq *queues[4] = { NULL, NULL, &queue[0], &queue[1] };
static struct page *shared[2];
static u16 seen[2];
static u32 ports_made, changes, logged, refused, ready[MAX_PORTS];
static bool no_ports;

/* --- what is behind and beside the console ---------------------------------- */

static u32 config(struct virtio_device *d, u32 offset, u32 size) { return MAX_PORTS; }
static void notify(struct virtio_device *d, struct virtq *q) {}
static const struct virtio_transport transport = { .config = config, .notify = notify };
static struct virtio_device device = { .transport = &transport, .features = ~0ull, .queue = queues, .nqueues = 4 };

int virtio_queues_reserve(struct virtio_device *d, u32 n) { return 0; }
int port_queues_make(struct console *con, u32 id) { return 0; }
struct thread *thread_spawn_kernel(const char *name, void (*fn)(void *), void *arg) { return thread_current(); }
void virtio_report_broken(struct virtio_device *d, struct virtq *q) { d->broken = 1; }
void port_changed(struct port *p, u32 band) { changes++; }
void port_signal(struct port *p) {}
void log_printf(enum log_level level, const char *fmt, ...) { logged++; }

int virtio_queue_make(struct virtio_device *d, u16 index, u16 most, void (*interrupt)(struct virtq *q), void *owner)
{
	u32 i = index - 2u;

	shared[i] = page_alloc(0, PAGE_KERNEL, ALLOC_ZERO);
	if (!shared[i])
		return -ENOMEM;
	queue[i] = (struct virtq){ 0 };
	virtq_init(&queue[i], index, ENTRIES, page_addr(shared[i]), slots[i], true);
	queue[i].owner = owner;
	return 0;
}

struct port *port_create(struct console *con, u32 id)
{
	struct port *p = no_ports ? NULL : kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	p->con = con;
	p->id = id;
	waitq_init(&p->wait);
	ports_made++;
	return p;
}

/* --- the device --------------------------------------------------------------- */

static bool device_next(u32 i, u16 *head)
{
	if (seen[i] == queue[i].avail->idx)
		return false;
	*head = queue[i].avail->ring[seen[i]++ % ENTRIES];
	return true;
}

static void device_use(u32 i, u32 id, u32 len)
{
	queue[i].used->ring[queue[i].used->idx % ENTRIES] = (struct virtq_used_elem){ id, len };
	queue[i].used->idx++;
}

static void *buffer_of(u32 i, u16 head) { return slots[i][head].token; }

/* Reads what the driver has sent. */
static void device_hears(void)
{
	u16 head;

	while (device_next(1, &head)) {
		const struct message *m = buffer_of(1, head);

		if (m->event == CONSOLE_PORT_READY) {
			NEED(m->id < MAX_PORTS);
			ready[m->id]++;
			refused += !m->value;
		}
		device_use(1, head, 0);
	}
}

/* The device sends len bytes, and the worker looks. */
static void say_bytes(struct console *con, const void *bytes, u32 len)
{
	u16 head;

	NEED(device_next(0, &head));
	memcpy(buffer_of(0, head), bytes, len);
	device_use(0, head, len);
	console_serve(con);
	device_hears();
}

static void say(struct console *con, u32 id, u32 event, u32 value)
{
	struct message m = { .id = id, .event = (u16)event, .value = (u16)value };

	say_bytes(con, &m, sizeof(m));
}

static struct console *set_up(void)
{
	memset(seen, 0, sizeof(seen));
	memset(ready, 0, sizeof(ready));
	ports_made = changes = logged = refused = 0;
	no_ports = false;
	device.broken = 0;
	CHECK(!virtio_console_driver.probe(&device));
	CHECK(!virtio_console_driver.start(&device));
	device_hears();
	return device.priv;
}

static void ports_free(struct console *con)
{
	for (u32 i = 0; i < con->max_ports; i++) {
		if (con->port[i])
			kfree((void *)con->port[i]->name);
		kfree(con->port[i]);
		con->port[i] = NULL;
	}
}

static void tear_down(struct console *con)
{
	ports_free(con);
	for (u32 i = 0; i < 2; i++) {
		void *m;

		while ((m = virtq_detach(&queue[i])))
			kfree(m);
		page_put(shared[i]);
	}
	kfree(con->port);
	kfree(con);
}

/* --- tests ------------------------------------------------------------------------ */

TEST(console, a_port_that_is_announced_is_made_once)
{
	struct console *con = set_up();

	for (u32 i = 0; i < 100; i++)
		say(con, 3, CONSOLE_PORT_ADD, 1);
	CHECK_EQ(ports_made, 1u);
	CHECK_EQ(ready[3], 100u);
	CHECK_EQ(refused, 0u);
	say(con, 3, CONSOLE_PORT_REMOVE, 0);
	CHECK(con->port[3]->gone);
	say(con, 3, CONSOLE_PORT_ADD, 1);
	CHECK(!con->port[3]->gone);
	CHECK_EQ(ports_made, 1u);
	CHECK_EQ(logged, 0u);
	tear_down(con);
}

TEST(console, ports_beyond_those_served_are_refused_and_logged_once)
{
	static const u32 bad[] = { MAX_PORTS, MAX_PORTS + 1, 64, 65, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };
	struct console *con = set_up();

	for (u32 i = 0; i < 1000; i++)
		for (u32 event = 0; event < 9; event++)
			say(con, bad[i % ARRAY_LEN(bad)], event, 1);
	CHECK_EQ(ports_made, 0u);
	CHECK_EQ(changes, 0u);
	CHECK_EQ(logged, 1u);
	CHECK(!device.broken);
	tear_down(con);
}

TEST(console, events_for_ports_that_were_not_announced_do_nothing)
{
	struct console *con = set_up();

	for (u32 id = 0; id < MAX_PORTS; id++)
		for (u32 event = 0; event < 70000; event += event < 12 ? 1 : 997)
			if ((u16)event != CONSOLE_PORT_ADD)
				say(con, id, event, 1);
	CHECK_EQ(ports_made, 0u);
	CHECK_EQ(changes, 0u);
	CHECK_EQ(logged, 0u);
	tear_down(con);
}

TEST(console, no_memory_for_ports_is_said_to_the_device_and_logged_once)
{
	struct console *con = set_up();

	no_ports = true;
	for (u32 i = 0; i < 10 * MAX_PORTS; i++)
		say(con, i % MAX_PORTS, CONSOLE_PORT_ADD, 1);
	CHECK_EQ(refused, 10 * MAX_PORTS);
	CHECK_EQ(logged, 1u);
	no_ports = false;
	say(con, 5, CONSOLE_PORT_ADD, 1);
	CHECK(con->port[5] != NULL);
	tear_down(con);
}

TEST(console, a_terminal_that_is_asked_for_for_ever_is_logged_once)
{
	struct console *con = set_up();

	say(con, 0, CONSOLE_PORT_ADD, 1);
	for (u32 i = 0; i < 1000; i++)
		say(con, 0, CONSOLE_CONSOLE_PORT, 1);
	CHECK(con->port[0]->console);
	CHECK_EQ(logged, 1u);
	tear_down(con);
}

TEST(console, messages_may_be_cut_anywhere)
{
	struct message m = { .id = 1, .event = CONSOLE_PORT_ADD, .value = 1 };
	struct console *con = set_up();

	for (u32 len = 0; len < sizeof(m); len++)
		say_bytes(con, &m, len);
	CHECK_EQ(ports_made, 0u);
	say_bytes(con, &m, sizeof(m));
	CHECK_EQ(ports_made, 1u);
	tear_down(con);
}

TEST(console, a_name_is_what_was_sent_and_the_first_one_stays)
{
	u8 long_one[MESSAGE_BYTES];
	struct message m = { .id = 1, .event = CONSOLE_PORT_NAME };

	for (u32 len = sizeof(m); len <= MESSAGE_BYTES; len++) {
		struct console *con = set_up();

		memset(long_one, 'n', sizeof(long_one));
		memcpy(long_one, &m, sizeof(m));
		say_bytes(con, long_one, len);		/* of no port yet */
		say(con, 1, CONSOLE_PORT_ADD, 1);
		say_bytes(con, long_one, len);
		NEED(con->port[1]->name);
		CHECK_EQ(strlen(con->port[1]->name), (usize)len - sizeof(m));
		long_one[sizeof(m)] = 'x';
		say_bytes(con, long_one, MESSAGE_BYTES);
		CHECK(con->port[1]->name[0] != 'x');
		tear_down(con);
	}
}

/* More than the buffer holds, more buffers than there are, one that never was: the queue ends, nothing else does. */
TEST(console, a_queue_that_lies_ends_the_device)
{
	for (u32 lie = 0; lie < 3; lie++) {
		struct console *con = set_up();
		u16 head;

		say(con, 2, CONSOLE_PORT_ADD, 1);
		NEED(device_next(0, &head));
		device_use(0, lie == 2 ? ENTRIES + 7 : head, lie == 0 ? MESSAGE_BYTES + 1 : sizeof(struct message));
		if (lie == 1)
			queue[0].used->idx += ENTRIES;
		console_serve(con);
		CHECK(device.broken);
		virtio_console_driver.broken(&device);
		CHECK(con->port[2]->gone);
		tear_down(con);
	}
}

TEST(console, random_messages)
{
	struct console *con = set_up();
	u64 seed = 88172645463325252ull;

	for (u32 i = 0; i < 100000; i++) {
		u8 bytes[MESSAGE_BYTES];

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		memset(bytes, (u8)(seed >> 40), sizeof(bytes));
		struct message m = { .id = (u32)seed % (seed >> 60 ? 40 : ~0u), .event = seed >> 33 & 15, .value = seed >> 50 & 1 };

		memcpy(bytes, &m, sizeof(m));
		say_bytes(con, bytes, (u32)(seed >> 16) % (MESSAGE_BYTES + 1));
	}
	CHECK(!device.broken);
	CHECK_LE(ports_made, MAX_PORTS);
	CHECK_LE(logged, 1 + MAX_PORTS);		/* and each port's terminal */
	tear_down(con);
}

/* Out of memory at any point: a port, its name or the answer is missing, nobody dies, nothing is lost. */
TEST(console, every_allocation_may_fail)
{
	struct console *con = set_up();

	EVERY_ALLOC_FAILS_ONCE(n) {
		for (u32 i = 0; i < 6; i++)
			say(con, i % 3, i < 3 ? CONSOLE_PORT_ADD : CONSOLE_PORT_NAME, 1);
		ports_free(con);
	}
	CHECK(!device.broken);
	tear_down(con);
}
