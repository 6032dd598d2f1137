/*
 * A virtio console and its ports (virtio 1.2, section 5.3): what console.c and
 * port.c share.
 *
 * A port comes into being when the device announces it, and stays: the device
 * may take it away (gone) and announce it again.
 * Locks: con.lock (rank DEV, irq) guards the control queues, port.lock (DEV,
 * irq) the queues of the port; neither is taken inside the other.
 * port.read_lock (TTY) is outside port.lock: who copies received bytes out.
 */
#pragma once

#include <core/lock.h>
#include <sched/mutex.h>
#include <vfs/vfs.h>
#include "virtio.h"

/* Control messages: 5.3.6.2. */
enum console_event {
	CONSOLE_DEVICE_READY, CONSOLE_PORT_ADD, CONSOLE_PORT_REMOVE, CONSOLE_PORT_READY, CONSOLE_CONSOLE_PORT, CONSOLE_RESIZE,
	CONSOLE_PORT_OPEN, CONSOLE_PORT_NAME,
};

struct console {
	struct virtio_device *dev;	/* const */
	struct port **port;		/* max_ports; grows by the worker, atomic release */
	u32 max_ports;			/* const */
	spinlock_t lock;
	struct virtq *rx, *tx;		/* of control messages; lock */
	struct waitq wait;		/* the worker: messages, signals to send */
	struct waitq sent;		/* tx has room again */
	u32 signals;			/* atomic: some port has a band to signal */
	bool told;			/* the log knows that it announced a port which it cannot have; worker */
};

struct port {
	struct console *con;		/* const, as id and the queues' addresses */
	u32 id;
	struct virtq *rx, *tx;		/* lock */
	spinlock_t lock;
	mutex_t read_lock;		/* in, in_len, in_at */
	u8 *in;				/* received, taken off rx and not read to its end; NULL: none */
	u32 in_len, in_at;
	bool filled;			/* rx has its buffers; by who opened it */
	u32 open;			/* atomic: a file is open, there is one at a time */
	bool host_open;			/* the other end is there; worker writes */
	bool gone;			/* unplugged, or the device is broken */
	bool console;			/* the host wants a terminal there, which is not driven */
	const char *name;		/* atomic release, once; NULL: none yet */
	struct waitq wait;		/* readers, writers, poll */
	struct fasync_list async;
	u32 band;			/* atomic: POLL* bits to signal, by the worker */
	struct chardev cd;
	char device_name[16];
};

/* 5.3.6.2; what the device sends lies in memory that it may change meanwhile. */
struct message {
	u32 id;
	u16 event, value;
	char text[];			/* PORT_NAME */
};
#define MESSAGE_BYTES 256u		/* of a buffer: room for a name behind the header; longer ones are cut */

/* Does what has come in asks for, until there is nothing more; worker. */
void console_serve(struct console *con);
/* Tells the device; sleeps while the queue is full. */
void console_send(struct console *con, u32 port, enum console_event event, u16 value);
/* The queues of a port that may be announced later: virtio probe. */
MUST_USE int port_queues_make(struct console *con, u32 id);
/* The port is announced: /dev/vportNpM.  NULL: no memory, or no number is left. */
struct port *port_create(struct console *con, u32 id);
/* Something that poll() and SIGIO tell of has changed; worker. */
void port_changed(struct port *p, u32 band);
void port_interrupt(struct virtq *q);
/* Sends the signals that interrupts asked for; worker. */
void port_signal(struct port *p);
