/*
 * The frames that the launcher and the agent exchange: over a port of a virtio console where the
 * guest has one, else over its second serial port.
 *
 * A frame is a header of 12 bytes, little-endian, and `length` bytes of payload:
 *
 *	u16 magic    0x53a5
 *	u8  type     enum frame_type
 *	u8  arg      depends on the type
 *	u32 length
 *	u32 crc      CRC-32 (IEEE 802.3) of the eight bytes above and the payload
 *
 * A serial port has no flow control, and a terminal's input queue may be as short as 4095 bytes.
 * So there are two credits, and no byte is ever lost:
 *   wire	the launcher never has more than the window (HELLO's payload) of raw bytes, headers
 *		included, outstanding.  The agent always reads the wire, whatever the command does.
 *   stdin	the launcher never has more than FRAME_STDIN_WINDOW bytes of standard input
 *		outstanding.  The agent gives credit back when the command has read them.
 * A virtio port has flow control of its own; there the wire's credit is merely large.
 * The other way, a full port simply blocks the agent, and with it the command.
 *
 * tools/saker/wire.py is the launcher's side of this file.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FRAME_MAGIC		0x53a5
#define FRAME_HEADER		12
#define FRAME_VERSION		1
#define FRAME_WIRE_WINDOW	3072	/* of a serial port */
#define FRAME_PORT_WINDOW	(256u << 10)	/* of a virtio port */
#define FRAME_STDIN_WINDOW	65536
#define FRAME_MAX		(8u << 20)

enum frame_type {
	/* launcher to agent */
	FRAME_START	= 1,	/* the command: see struct start in agent.c */
	FRAME_STDIN	= 2,	/* bytes; none: end of file */
	FRAME_WINSIZE	= 3,	/* u16 rows, columns, x pixels, y pixels */
	FRAME_SIGNAL	= 4,	/* arg: for the foreground process group */
	FRAME_CLOSE	= 5,	/* arg: 1 or 2; the launcher's end of that stream is closed */
	FRAME_BYE	= 6,	/* FRAME_EXIT has arrived */
	/* agent to launcher */
	FRAME_HELLO	= 32,	/* arg: FRAME_VERSION; u32 wire window */
	FRAME_OUT	= 33,	/* arg: 1, 2, or 0 for the pseudo-terminal; bytes */
	FRAME_WIRE_CREDIT = 34,	/* u32 bytes */
	FRAME_STDIN_CREDIT = 35,	/* u32 bytes */
	FRAME_STDIN_CLOSED = 36,	/* the command's standard input has no reader any more */
	FRAME_EXIT	= 37,	/* arg: exit status; all output has been sent before it */
};

/* Bits of START's arg. */
enum start_flags {
	START_TTY0	= 1 << 0,	/* stdin is a terminal on the host */
	START_TTY1	= 1 << 1,
	START_TTY2	= 1 << 2,
	START_COOKED	= 1 << 3,	/* the host's terminal post-processes output itself */
};

struct frame {
	uint8_t	 type;
	uint8_t	 arg;
	uint32_t length;
	uint8_t	*payload;	/* in the reader's buffer: valid until the next frame_next() */
};

/* Collects raw bytes and cuts frames out of them. */
struct frame_reader {
	uint8_t *buf;
	size_t	 used;
	size_t	 taken;		/* bytes of the frame handed out last */
	size_t	 room;
};

uint32_t frame_crc(uint32_t crc, const void *data, size_t length);

/* Fills the FRAME_HEADER bytes at header. */
void frame_header(uint8_t *header, uint8_t type, uint8_t arg, const void *payload, uint32_t length);

/* Where the next raw bytes go; *room says how many fit (at least one).  NULL: out of memory. */
uint8_t *frame_room(struct frame_reader *r, size_t *room);

/* 1: *f is a frame; 0: not complete yet; -1: the bytes make no sense. */
int frame_next(struct frame_reader *r, struct frame *f);

uint32_t frame_u32(const uint8_t *p);
void frame_put_u32(uint8_t *p, uint32_t value);
