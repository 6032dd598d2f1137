/*
 * Virtio consoles with ports (MULTIPORT): virtio 1.2, section 5.3.
 *
 * A worker per device reads the control queue; what the messages change wakes
 * those who wait on the port.  All queues are made before the device runs (3.1.1
 * step 7), buffers for received bytes when a port is first opened.
 * A console without MULTIPORT is a terminal, which is not driven.
 */
#include <base/bug.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/log.h>
#include <mem/slab.h>
#include "console.h"

#define CONSOLE_F_MULTIPORT (1ull << 1)
#define CONFIG_MAX_PORTS    4u		/* offset of max_nr_ports */
#define PORTS_MOST	    64u		/* of one device */
#define CONTROL_RX	    2u		/* queues: 0 and 1 are port 0's */
#define CONTROL_TX	    3u
#define CONTROL_ENTRIES	    32u

/* --- to the device -------------------------------------------------------- */

static void sent_free(struct console *con) MUST_HOLD(&con->lock)
{
	void *m;
	u32 written;

	while ((m = virtq_take(con->tx, &written)))
		kfree(m);
}

/* True: m is the queue's, or the device is broken and m freed. */
static bool try_send(struct console *con, struct message *m)
{
	GUARD_IRQ(&con->lock);
	struct virtq_buf b = { m, sizeof(*m) };
	int err;

	sent_free(con);
	err = virtq_add(con->tx, &b, 1, 0, m);
	if (err == -ENOSPC && virtq_listen(con->tx)) {
		sent_free(con);
		err = virtq_add(con->tx, &b, 1, 0, m);
	}
	if (err == -ENOSPC)
		return false;
	virtq_mute(con->tx);
	if (err)
		kfree(m);
	else
		virtio_kick(con->dev, con->tx);
	return true;
}

void console_send(struct console *con, u32 port, enum console_event event, u16 value)
{
	struct message *m = kmalloc(sizeof(*m));

	if (!m) {
		log_warn("virtio%u: no memory to tell of port %u", con->dev->index, port);
		return;
	}
	*m = (struct message){ .id = port, .event = (u16)event, .value = value };
	waitq_wait(&con->sent, try_send(con, m));
	virtio_check(con->dev, con->tx);
}

/* --- from the device ------------------------------------------------------ */

static struct port *port_of(struct console *con, u32 id)
{
	return id < con->max_ports ? con->port[id] : NULL;
}

/* Once: a device may say it as often as it likes. */
static void refuse(struct console *con, u32 id, const char *why)
{
	if (!con->told)
		log_warn("virtio%u: no port %u: %s", con->dev->index, id, why);
	con->told = true;
}

static void port_announced(struct console *con, u32 id)
{
	struct port *p = port_of(con, id);

	if (id >= con->max_ports)
		return refuse(con, id, "its number is beyond those that are served");
	if (p)
		WRITE_ONCE(p->gone, false);	/* plugged in again */
	else if (!(p = port_create(con, id)))
		refuse(con, id, "no memory, or no number is left");
	if (p)
		store_release(&con->port[id], p);
	console_send(con, id, CONSOLE_PORT_READY, p != NULL);
}

static void port_is_console(struct port *p)
{
	if (!p->console)
		log_info("%s: the host wants a terminal there, which is not driven", p->device_name);
	WRITE_ONCE(p->console, true);
}

static void name_port(struct port *p, const struct message *m, u32 len)
{
	char *name = kzalloc(len - sizeof(*m) + 1);

	if (!name)
		return;
	memcpy(name, m->text, len - sizeof(*m));
	if (p->name)
		kfree(name);		/* names are for ever */
	else
		store_release(&p->name, name);
}

static void handle(struct console *con, const struct message *m, u32 len)
{
	u32 id = READ_ONCE(m->id);
	u16 event = READ_ONCE(m->event);
	struct port *p = port_of(con, id);

	if (event == CONSOLE_PORT_ADD)
		return port_announced(con, id);
	if (!p)
		return;
	switch (event) {
	case CONSOLE_PORT_REMOVE:
		WRITE_ONCE(p->host_open, false);
		WRITE_ONCE(p->gone, true);
		return port_changed(p, POLLHUP);
	case CONSOLE_CONSOLE_PORT:
		return port_is_console(p);
	case CONSOLE_PORT_OPEN:
		WRITE_ONCE(p->host_open, m->value != 0);
		return port_changed(p, POLLOUT);
	case CONSOLE_PORT_NAME:
		return name_port(p, m, len);
	default:
		return;			/* a terminal's size; what later versions add */
	}
}

/* The next message, in a buffer that give_back() wants again.  NULL: none, and the next will interrupt. */
static struct message *receive(struct console *con, u32 *len)
{
	GUARD_IRQ(&con->lock);
	struct message *m = virtq_take(con->rx, len);

	return m || !virtq_listen(con->rx) ? m : virtq_take(con->rx, len);
}

static void give_back(struct console *con, struct message *m)
{
	GUARD_IRQ(&con->lock);
	struct virtq_buf b = { m, MESSAGE_BYTES };

	if (!virtq_add(con->rx, &b, 0, 1, m))
		virtio_kick(con->dev, con->rx);
	else
		kfree(m);
}

void console_serve(struct console *con)
{
	struct message *m;
	u32 len;

	while ((m = receive(con, &len))) {
		if (len >= sizeof(*m))
			handle(con, m, len);
		give_back(con, m);
	}
	virtio_check(con->dev, con->rx);
	if (!__atomic_exchange_n(&con->signals, 0, __ATOMIC_SEQ_CST))
		return;
	for (u32 i = 0; i < con->max_ports; i++)
		if (con->port[i])
			port_signal(con->port[i]);
}

static void console_worker(void *arg)
{
	struct console *con = arg;

	for (;;) {
		/* No signals here; an idle device is no load. */
		DISCARD(waitq_wait_intr(&con->wait, virtq_pending(con->rx) || READ_ONCE(con->signals)));
		console_serve(con);
	}
}

/* --- life ------------------------------------------------------------------- */

static void control_interrupt(struct virtq *q)
{
	struct console *con = q->owner;

	waitq_wake_all(q == con->rx ? &con->wait : &con->sent);
}

static int make_queues(struct console *con)
{
	int err = virtio_queues_reserve(con->dev, 2 * con->max_ports + 2);

	if (!err)
		err = virtio_queue_make(con->dev, CONTROL_RX, CONTROL_ENTRIES, control_interrupt, con);
	if (!err)
		err = virtio_queue_make(con->dev, CONTROL_TX, CONTROL_ENTRIES, control_interrupt, con);
	for (u32 i = 0; !err && i < con->max_ports; i++)
		err = port_queues_make(con, i);
	if (err)
		return err;
	con->rx = con->dev->queue[CONTROL_RX];
	con->tx = con->dev->queue[CONTROL_TX];
	return 0;
}

static int console_probe(struct virtio_device *d)
{
	struct console *con;
	u32 max = d->transport->config(d, CONFIG_MAX_PORTS, 4);

	if (!(d->features & CONSOLE_F_MULTIPORT) || !max)
		return -ENODEV;
	con = kzalloc(sizeof(*con));
	if (!con)
		return -ENOMEM;
	con->dev = d;
	con->max_ports = MIN(max, PORTS_MOST);
	con->port = kzalloc(con->max_ports * sizeof(struct port *));
	if (!con->port) {
		kfree(con);
		return -ENOMEM;
	}
	spin_init(&con->lock, LR_DEV);
	waitq_init(&con->wait);
	waitq_init(&con->sent);
	d->priv = con;
	return make_queues(con);	/* failed: what the device has heard of stays */
}

static int console_start(struct virtio_device *d)
{
	struct console *con = d->priv;

	for (u32 i = 0; i < con->rx->size; i++) {
		struct message *m = kmalloc(MESSAGE_BYTES);

		if (!m)
			return -ENOMEM;
		give_back(con, m);
	}
	if (!thread_spawn_kernel("virtio-console", console_worker, con))
		return -ENOMEM;
	console_send(con, ~0u, CONSOLE_DEVICE_READY, 1);
	return 0;
}

static void console_broken(struct virtio_device *d)
{
	struct console *con = d->priv;

	for (u32 i = 0; i < con->max_ports; i++) {
		struct port *p = load_acquire(&con->port[i]);

		if (!p)
			continue;
		WRITE_ONCE(p->host_open, false);
		WRITE_ONCE(p->gone, true);
		waitq_wake_all(&p->wait);
	}
	waitq_wake_all(&con->sent);
}

const struct virtio_driver virtio_console_driver = {
	.id = VIRTIO_ID_CONSOLE, .features = CONSOLE_F_MULTIPORT, .probe = console_probe, .start = console_start,
	.broken = console_broken,
};
