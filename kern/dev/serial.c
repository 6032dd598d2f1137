/*
 * 16550 serial ports, by interrupts in both directions.
 *
 * Received bytes go from the interrupt handler into port->rx and from there, in
 * a worker thread, to the line discipline.  When rx is full the receive
 * interrupt is switched off: the UART's FIFO then fills and the other end
 * waits, so nothing is lost.  Writers put bytes into port->tx; the transmit
 * interrupt drains it, 16 at a time.
 * Lock: port.lock (rank DEV, irq), taken inside tty.lock.
 * Source: PC16550D data sheet, sections 8.1 to 8.7.
 */
#include <arch/io.h>
#include <base/fmt.h>
#include <core/irq.h>
#include <core/log.h>
#include <core/panic.h>
#include <mem/slab.h>
#include <sched/wait.h>
#include "tty_priv.h"

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { IER_RX = 1, IER_TX = 2, LSR_DATA = 1, LSR_BREAK = 0x10, LSR_THR_EMPTY = 0x20, IIR_NONE = 1 };
#define FIFO_DEPTH 16u
#define RX_RING	   16384u
#define TX_RING	   16384u
#define TTY_MAJOR  4u

struct serial_port {
	u16 base;			/* const */
	struct tty *tty;		/* const */
	spinlock_t lock;
	u8 ier;				/* shadow of the register; lock */
	u32 rx_tail, rx_head;		/* lock */
	u32 tx_tail, tx_head;		/* lock */
	bool broke;			/* a break was received; lock */
	bool blocked;			/* the line discipline refused input; lock */
	struct waitq rx_wait;		/* the worker */
	u8 rx[RX_RING], tx[TX_RING];
};

static struct serial_port *ports[4];	/* const after boot */

static void set_ier(struct serial_port *p, u8 ier) MUST_HOLD(&p->lock)
{
	if (p->ier != ier) {
		p->ier = ier;
		port_out8(p->base + IER, ier);
	}
}

static void transmit(struct serial_port *p) MUST_HOLD(&p->lock)
{
	if (p->tx_tail != p->tx_head && (port_in8(p->base + LSR) & LSR_THR_EMPTY))
		for (u32 i = 0; i < FIFO_DEPTH && p->tx_tail != p->tx_head; i++)
			port_out8(p->base + THR, p->tx[p->tx_tail++ % TX_RING]);
	set_ier(p, p->tx_tail != p->tx_head ? p->ier | IER_TX : p->ier & ~IER_TX);
}

static bool receive(struct serial_port *p) MUST_HOLD(&p->lock)
{
	bool any = false;

	while (p->rx_head - p->rx_tail < RX_RING) {
		u8 status = port_in8(p->base + LSR);

		if (!(status & LSR_DATA))
			return any;
		u8 c = port_in8(p->base + RBR);

		any = true;
		if (status & LSR_BREAK)
			p->broke = true;	/* its zero byte is not data */
		else
			p->rx[p->rx_head++ % RX_RING] = c;
	}
	set_ier(p, p->ier & ~IER_RX);
	return any;
}

static bool serial_interrupt(void *arg)
{
	struct serial_port *p = arg;
	bool mine = false, got = false, room = false;
	u64 irq = spin_lock_irq(&p->lock);

	for (u32 turn = 0; turn < 64 && !(port_in8(p->base + IIR) & IIR_NONE); turn++) {
		u32 before = p->tx_tail;

		mine = true;
		got |= receive(p);
		transmit(p);
		room |= p->tx_tail != before;
	}
	room = room && p->tx_head - p->tx_tail < TX_RING / 2;
	spin_unlock_irq(&p->lock, irq);
	if (got)
		waitq_wake_all(&p->rx_wait);
	if (room && (waitq_active(&p->tty->write_wait) || p->tty->echo_head != p->tty->echo_tail))
		tty_output_ready(p->tty);
	return mine;
}

static u32 serial_room(struct tty *t)
{
	struct serial_port *p = t->priv;

	return TX_RING - (READ_ONCE(p->tx_head) - READ_ONCE(p->tx_tail));
}

static u32 serial_write(struct tty *t, const u8 *buf, u32 n)
{
	struct serial_port *p = t->priv;
	u32 done = 0;
	GUARD_IRQ(&p->lock);

	while (done < n && p->tx_head - p->tx_tail < TX_RING)
		p->tx[p->tx_head++ % TX_RING] = buf[done++];
	if (!(p->ier & IER_TX))
		transmit(p);
	return done;
}

static u32 serial_pending(struct tty *t)
{
	struct serial_port *p = t->priv;

	return READ_ONCE(p->tx_head) - READ_ONCE(p->tx_tail);
}

static void serial_resume_input(struct tty *t)
{
	struct serial_port *p = t->priv;

	WRITE_ONCE(p->blocked, false);
	waitq_wake_all(&p->rx_wait);
}

static const struct tty_driver_ops serial_ops = { .write = serial_write, .room = serial_room, .pending = serial_pending, .resume_input = serial_resume_input };

static bool rx_ready(struct serial_port *p)
{
	return READ_ONCE(p->broke) || (READ_ONCE(p->rx_head) != READ_ONCE(p->rx_tail) && !READ_ONCE(p->blocked));
}

/* Moves received bytes to the line discipline; one worker per port. */
static void serial_worker(void *arg)
{
	struct serial_port *p = arg;
	u8 chunk[256];

	for (;;) {
		u32 n = 0;

		DISCARD(waitq_wait_intr(&p->rx_wait, rx_ready(p)));	/* no signals here; an idle port is no load */
		u64 irq = spin_lock_irq(&p->lock);
		bool broke = p->broke;

		p->broke = false;

		while (n < sizeof(chunk) && p->rx_tail + n != p->rx_head) {
			chunk[n] = p->rx[(p->rx_tail + n) % RX_RING];
			n++;
		}
		WRITE_ONCE(p->blocked, true);		/* before the offer: a resume during it must not be lost */
		spin_unlock_irq(&p->lock, irq);
		if (broke)
			tty_input_break(p->tty);
		u32 taken = n ? tty_input(p->tty, chunk, n) : 0;

		irq = spin_lock_irq(&p->lock);
		p->rx_tail += taken;
		if (taken == n)
			p->blocked = false;
		set_ier(p, p->ier | IER_RX);
		spin_unlock_irq(&p->lock, irq);
	}
}

/* The kernel log on the console port: never loses text while the port drains at all. */
static void console_write(const char *text, usize len)
{
	struct serial_port *p = ports[0];
	GUARD_IRQ(&p->lock);

	for (usize i = 0; i < len; i++) {
		while (p->tx_head - p->tx_tail > TX_RING - 2)
			transmit(p);
		if (text[i] == '\n')
			p->tx[p->tx_head++ % TX_RING] = '\r';
		p->tx[p->tx_head++ % TX_RING] = (u8)text[i];
	}
	transmit(p);
}

static struct log_sink console_sink = { .write = console_write };

/* Writes out what is still in the ring: panic's first act, by polling and without the lock. */
static void serial_panic_flush(void)
{
	struct serial_port *p = ports[0];

	for (u32 spins = 0; p && p->tx_tail != p->tx_head && spins < 100000000; spins++)
		if (port_in8(p->base + LSR) & LSR_THR_EMPTY)
			port_out8(p->base + THR, p->tx[p->tx_tail++ % TX_RING]);
}

static bool probe(u16 base)
{
	port_out8(base + SCR, 0x5a);
	if (port_in8(base + SCR) != 0x5a)
		return false;
	port_out8(base + SCR, 0xa5);
	return port_in8(base + SCR) == 0xa5;
}

static int start_port(u32 i, u16 base, u32 isa_irq)
{
	struct serial_port *p = vmalloc(sizeof(*p));
	char name[8];
	int err;

	if (!p)
		return -ENOMEM;
	p->base = base;
	spin_init(&p->lock, LR_DEV);
	waitq_init(&p->rx_wait);
	fmt_snprintf(name, sizeof(name), "ttyS%u", i);
	p->tty = tty_create(&serial_ops, name, dev_make(TTY_MAJOR, 64 + i), p);
	if (!p->tty)
		return -ENOMEM;
	port_out8(base + LCR, 0x03);	/* 8 data bits, 1 stop bit, no parity; speed as firmware left it */
	port_out8(base + FCR, 0xc7);	/* FIFOs on and empty, interrupt at 14 bytes or on time-out */
	port_out8(base + MCR, 0x0b);	/* DTR, RTS, OUT2: lets the interrupt through */
	ports[i] = p;
	err = irq_request_isa(isa_irq, serial_interrupt, p, "serial");
	if (err)
		return err;
	if (!thread_spawn_kernel(p->tty->name, serial_worker, p))
		return -ENOMEM;
	u64 irq = spin_lock_irq(&p->lock);

	set_ier(p, IER_RX);
	spin_unlock_irq(&p->lock, irq);
	tty_register(p->tty);
	return 0;
}

void serial_init(void)
{
	static const struct { u16 base; u8 irq; } legacy[] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };

	for (u32 i = 0; i < ARRAY_LEN(legacy); i++) {
		if (!probe(legacy[i].base))
			continue;
		int err = start_port(i, legacy[i].base, legacy[i].irq);

		if (err)
			log_warn("serial port %u: error %d", i, -err);
	}
	if (ports[0]) {
		tty_set_console(ports[0]->tty);
		panic_flush_hook = serial_panic_flush;
		log_sink_add(&console_sink);
	}
}
