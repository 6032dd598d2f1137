/* Framing for the launcher's channel; the contract is frame.h. */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

uint32_t frame_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

void frame_put_u32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = value >> 8 * i;
}

uint32_t frame_crc(uint32_t crc, const void *data, size_t length)
{
	static uint32_t table[256];
	const uint8_t *p = data;

	if (!table[1]) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (int bit = 0; bit < 8; bit++)
				c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
			table[i] = c;
		}
	}
	crc = ~crc;
	while (length--)
		crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}

void frame_header(uint8_t *header, uint8_t type, uint8_t arg, const void *payload, uint32_t length)
{
	header[0] = FRAME_MAGIC & 0xff;
	header[1] = FRAME_MAGIC >> 8;
	header[2] = type;
	header[3] = arg;
	frame_put_u32(header + 4, length);
	frame_put_u32(header + 8, frame_crc(frame_crc(0, header, 8), payload, length));
}

static void frame_drop_taken(struct frame_reader *r)
{
	if (!r->taken)
		return;
	r->used -= r->taken;
	memmove(r->buf, r->buf + r->taken, r->used);
	r->taken = 0;
}

uint8_t *frame_room(struct frame_reader *r, size_t *room)
{
	frame_drop_taken(r);
	if (r->room - r->used < 4096) {
		size_t want = r->room ? r->room * 2 : 16384;
		uint8_t *buf = realloc(r->buf, want);

		if (!buf)
			return NULL;
		r->buf = buf;
		r->room = want;
	}
	*room = r->room - r->used;
	return r->buf + r->used;
}

int frame_next(struct frame_reader *r, struct frame *f)
{
	uint32_t length;

	frame_drop_taken(r);
	if (r->used < FRAME_HEADER)
		return 0;
	length = frame_u32(r->buf + 4);
	if ((r->buf[0] | r->buf[1] << 8) != FRAME_MAGIC || length > FRAME_MAX)
		return -1;
	if (r->used - FRAME_HEADER < length)
		return 0;
	f->type = r->buf[2];
	f->arg = r->buf[3];
	f->length = length;
	f->payload = r->buf + FRAME_HEADER;
	r->taken = FRAME_HEADER + length;
	if (frame_crc(frame_crc(0, r->buf, 8), f->payload, length) != frame_u32(r->buf + 8))
		return -1;
	return 1;
}
