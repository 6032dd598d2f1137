/*
 * Ports of virtio consoles as files: /dev/vportNpM.
 *
 * What a program sees is what Linux's virtio_console shows it.  One open file
 * at a time.  A read gives what one buffer holds; with nobody at the other end
 * it gives 0, which is not the end: the host may come back.  A write takes up to
 * 32 KiB and returns when they are queued; with nobody at the other end it
 * waits.  poll() says POLLHUP while nobody is there.  Bytes that arrive while
 * the port is closed are dropped.
 *
 * Interrupts only wake; buffers change hands in the threads that read and write.
 */
#include <base/bug.h>
#include <base/errno.h>
#include <base/fmt.h>
#include <base/string.h>
#include <core/uio.h>
#include <dev/virtio.h>
#include <mem/slab.h>
#include "console.h"

#define PORT_MAJOR   248u		/* of the range that Linux gives out as it goes */
#define PORTS_ALL    256u		/* of all devices */
#define RX_ENTRIES   16u		/* a page each */
#define TX_ENTRIES   32u
#define WRITE_MOST   (32u << 10)

static struct port *ports[PORTS_ALL];	/* by minor; atomic release; grows by the workers */
static u32 nports;			/* atomic; at most PORTS_ALL */

/* --- receiving -------------------------------------------------------------- */

static void give_buffer(struct port *p, u8 *page) MUST_HOLD(&p->lock)
{
	struct virtq_buf b = { page, PAGE_SIZE };

	if (virtq_add(p->rx, &b, 0, 1, page))
		page_put(page_of_addr(page));	/* broken */
}

static int fill(struct port *p)
{
	for (u32 i = 0; i < p->rx->size; i++) {
		struct page *pg = page_alloc(0, PAGE_KERNEL, ALLOC_NORMAL);

		if (!pg && !i)
			return -ENOMEM;
		if (!pg)
			break;			/* fewer buffers will do */
		u64 irq = spin_lock_irq(&p->lock);

		give_buffer(p, page_addr(pg));
		spin_unlock_irq(&p->lock, irq);
	}
	u64 irq = spin_lock_irq(&p->lock);

	virtio_kick(p->con->dev, p->rx);
	spin_unlock_irq(&p->lock, irq);
	p->filled = true;
	return 0;
}

/* With read_lock: the buffer that is read next becomes p->in.  False: nothing was received. */
static bool next_buffer(struct port *p) MUST_HOLD(&p->read_lock)
{
	GUARD_IRQ(&p->lock);

	while (!p->in) {
		u8 *page = virtq_take(p->rx, &p->in_len);

		if (!page && !virtq_listen(p->rx))
			break;
		if (!page)
			continue;
		if (p->in_len)
			WRITE_ONCE(p->in, page);
		else
			give_buffer(p, page);
		p->in_at = 0;
	}
	virtio_kick(p->con->dev, p->rx);
	return p->in;
}

static void end_buffer(struct port *p) MUST_HOLD(&p->read_lock)
{
	GUARD_IRQ(&p->lock);

	give_buffer(p, p->in);
	WRITE_ONCE(p->in, NULL);
	virtio_kick(p->con->dev, p->rx);
}

static void discard_received(struct port *p)
{
	GUARD_MUTEX(&p->read_lock);

	for (u32 i = 0; i <= p->rx->size && next_buffer(p); i++)
		end_buffer(p);
}

/* Is something received?  If not, an interrupt will say so. */
static bool received(struct port *p)
{
	if (READ_ONCE(p->in) || virtq_pending(p->rx))
		return true;
	GUARD_IRQ(&p->lock);

	return virtq_listen(p->rx);
}

static bool readable(struct port *p)
{
	return received(p) || !READ_ONCE(p->host_open) || READ_ONCE(p->gone);
}

/* Bytes copied, -EFAULT, or -EAGAIN: there is nothing. */
static i64 read_some(struct port *p, struct uio *dst)
{
	int err = mutex_lock_intr(&p->read_lock);
	i64 done = -EAGAIN;

	if (err)
		return err;
	if (next_buffer(p)) {
		u64 n = MIN(dst->resid, (u64)(p->in_len - p->in_at));

		done = (i64)uio_copy_out(dst, p->in + p->in_at, n);
		p->in_at += (u32)done;
		if (!done && n)
			done = -EFAULT;
		if (p->in_at == p->in_len)
			end_buffer(p);
	}
	mutex_unlock(&p->read_lock);
	virtio_check(p->con->dev, p->rx);
	return done;
}

static i64 port_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct port *p = f->priv;

	for (;;) {
		if (READ_ONCE(p->gone))
			return -ENODEV;
		i64 done = read_some(p, dst);

		if (done != -EAGAIN)
			return done;
		if (!READ_ONCE(p->host_open) && !READ_ONCE(p->gone) && !virtq_pending(p->rx))
			return 0;
		if (f->flags & O_NONBLOCK)
			return -EAGAIN;
		int err = waitq_wait_intr(&p->wait, readable(p));

		if (err)
			return err;
	}
}

/* --- sending ---------------------------------------------------------------- */

static void sent_free(struct port *p) MUST_HOLD(&p->lock)
{
	void *buf;
	u32 written;

	while ((buf = virtq_take(p->tx, &written)))
		kfree(buf);
}

/* Has tx room?  If not, an interrupt will say so. */
static bool tx_room(struct port *p)
{
	GUARD_IRQ(&p->lock);

	sent_free(p);
	if (!p->tx->nfree && virtq_listen(p->tx))
		sent_free(p);
	if (p->tx->nfree)
		virtq_mute(p->tx);
	return p->tx->nfree;
}

/* Who waits here is alone in looking at tx: nobody else would tell them that it is broken, and the port gone. */
static bool writable(struct port *p)
{
	bool room = READ_ONCE(p->host_open) && tx_room(p);

	virtio_check(p->con->dev, p->tx);
	return READ_ONCE(p->gone) || room;
}

/* buf is the queue's afterwards, unless this fails: -ENOSPC, -EIO. */
static int send(struct port *p, void *buf, u32 n)
{
	GUARD_IRQ(&p->lock);
	struct virtq_buf b = { buf, n };
	int err = virtq_add(p->tx, &b, 1, 0, buf);

	if (!err)
		virtio_kick(p->con->dev, p->tx);
	return err;
}

static i64 port_write(struct file *f, struct uio *src, u64 *pos)
{
	struct port *p = f->priv;
	u32 n = (u32)MIN(src->resid, (u64)WRITE_MOST);
	AUTO(kptr) buf = NULL;
	int err = -ENOSPC;

	while (n && err == -ENOSPC) {
		if (!writable(p)) {
			if (f->flags & O_NONBLOCK)
				return -EAGAIN;
			err = waitq_wait_intr(&p->wait, writable(p));
			if (err)
				return err;
		}
		if (READ_ONCE(p->gone))
			return -ENODEV;
		if (!buf) {
			buf = kmalloc(n);
			if (!buf)
				return -ENOMEM;
			if (uio_copy_in(src, buf, n) != n)
				return -EFAULT;
		}
		err = send(p, buf, n);
	}
	virtio_check(p->con->dev, p->tx);
	if (err)
		return n ? -ENODEV : 0;
	buf = NULL;
	return n;
}

/* --- the file ----------------------------------------------------------------- */

static u32 port_poll(struct file *f, struct poll_table *pt)
{
	struct port *p = f->priv;

	poll_wait(pt, &p->wait);
	if (READ_ONCE(p->gone))
		return POLLHUP;
	return (readable(p) ? POLLIN | POLLRDNORM : 0) | (writable(p) ? POLLOUT : 0) | (READ_ONCE(p->host_open) ? 0 : POLLHUP);
}

static int port_open(struct vnode *vn, struct file *f)
{
	struct port *p = f->priv;
	u32 closed = 0;
	int err;

	if (READ_ONCE(p->gone) || READ_ONCE(p->console))
		return -ENXIO;
	if (!__atomic_compare_exchange_n(&p->open, &closed, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return -EBUSY;
	err = p->filled ? 0 : fill(p);
	if (err) {
		store_release(&p->open, 0);
		return err;
	}
	discard_received(p);
	f->mode = (f->mode & ~FILE_PREAD) | FILE_STREAM;
	console_send(p->con, p->id, CONSOLE_PORT_OPEN, 1);
	return 0;
}

static void port_release(struct file *f)
{
	struct port *p = f->priv;

	console_send(p->con, p->id, CONSOLE_PORT_OPEN, 0);
	discard_received(p);
	DISCARD(tx_room(p));		/* frees what was sent */
	store_release(&p->open, 0);
}

static void port_fasync(struct file *f, bool on)
{
	struct port *p = f->priv;

	fasync_set(&p->async, f, on);
}

static const struct file_ops port_fops = {
	.read = port_read, .write = port_write, .poll = port_poll, .open = port_open, .release = port_release, .fasync = port_fasync,
};

/* --- for the device -------------------------------------------------------------- */

void port_changed(struct port *p, u32 band)
{
	waitq_wake_all(&p->wait);
	fasync_notify(&p->async, band);
}

void port_signal(struct port *p)
{
	u32 band = __atomic_exchange_n(&p->band, 0, __ATOMIC_SEQ_CST);

	if (band)
		fasync_notify(&p->async, band);
}

void port_interrupt(struct virtq *q)
{
	struct console *con = q->owner;
	u32 id = q->index < 2 ? 0 : q->index / 2 - 1;
	struct port *p = load_acquire(&con->port[id]);
	u32 key = q->index % 2 ? POLLOUT | POLLWRNORM : POLLIN | POLLRDNORM;

	if (!p)
		return;
	waitq_wake(&p->wait, ~0u, key);
	if (q->index % 2 || list_empty_hint(&p->async.files))
		return;
	bits_set(&p->band, POLLIN);
	bits_set(&con->signals, 1u);
	waitq_wake_all(&con->wait);
}

/* 5.3.2: port 0 has queues 0 and 1, port N from 1 on 2N + 2 and 2N + 3. */
static u16 first_queue(u32 id) { return (u16)(id ? 2 * id + 2 : 0); }

int port_queues_make(struct console *con, u32 id)
{
	int err = virtio_queue_make(con->dev, first_queue(id), RX_ENTRIES, port_interrupt, con);

	return err ? err : virtio_queue_make(con->dev, first_queue(id) + 1, TX_ENTRIES, port_interrupt, con);
}

/* False: none is left, however often a device asks. */
static bool minor_take(u32 *minor)
{
	*minor = READ_ONCE(nports);
	while (*minor < PORTS_ALL)
		if (__atomic_compare_exchange_n(&nports, minor, *minor + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return true;
	return false;
}

struct port *port_create(struct console *con, u32 id)
{
	struct port *p = kzalloc(sizeof(*p));
	u32 minor;

	if (!p)
		return NULL;
	if (!minor_take(&minor)) {
		kfree(p);
		return NULL;
	}
	p->con = con;
	p->id = id;
	p->rx = con->dev->queue[first_queue(id)];
	p->tx = con->dev->queue[first_queue(id) + 1];
	spin_init(&p->lock, LR_DEV);
	mutex_init(&p->read_lock, LR_TTY);
	waitq_init(&p->wait);
	fasync_init(&p->async);
	virtq_mute(p->tx);
	fmt_snprintf(p->device_name, sizeof(p->device_name), "vport%up%u", con->dev->index, id);
	p->cd = (struct chardev){ .major = PORT_MAJOR, .minor = minor, .count = 1, .name = p->device_name, .ops = &port_fops,
				  .priv = p, .mode = 0600 };
	store_release(&ports[minor], p);
	chardev_register(&p->cd);
	return p;
}

bool virtio_port_describe(u32 i, struct virtio_port_info *out)
{
	struct port *p = NULL;

	for (u32 minor = 0; minor < PORTS_ALL; minor++) {
		p = load_acquire(&ports[minor]);
		if (p && !READ_ONCE(p->gone) && !i--)
			break;
		p = NULL;
	}
	if (!p)
		return false;
	*out = (struct virtio_port_info){ .device = p->device_name, .name = load_acquire(&p->name), .major = PORT_MAJOR,
					  .minor = p->cd.minor };
	return true;
}
