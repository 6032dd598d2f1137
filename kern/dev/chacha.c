/* The ChaCha20 block function, RFC 8439 section 2.3. Pure; tested on the host against section 2.3.2. */
#include <base/string.h>
#include <dev/random.h>

static inline u32 rotl(u32 x, u32 n)
{
	return x << n | x >> (32 - n);
}

#define QUARTER(a, b, c, d)					\
	do {							\
		a += b; d = rotl(d ^ a, 16);			\
		c += d; b = rotl(b ^ c, 12);			\
		a += b; d = rotl(d ^ a, 8);			\
		c += d; b = rotl(b ^ c, 7);			\
	} while (0)

void chacha20_block(const u32 key[8], u32 counter, const u32 nonce[3], u8 out[64])
{
	u32 in[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
	u32 x[16];

	memcpy(&in[4], key, 32);
	in[12] = counter;
	memcpy(&in[13], nonce, 12);
	memcpy(x, in, sizeof(x));
	for (int i = 0; i < 10; i++) {
		QUARTER(x[0], x[4], x[8], x[12]);
		QUARTER(x[1], x[5], x[9], x[13]);
		QUARTER(x[2], x[6], x[10], x[14]);
		QUARTER(x[3], x[7], x[11], x[15]);
		QUARTER(x[0], x[5], x[10], x[15]);
		QUARTER(x[1], x[6], x[11], x[12]);
		QUARTER(x[2], x[7], x[8], x[13]);
		QUARTER(x[3], x[4], x[9], x[14]);
	}
	for (int i = 0; i < 16; i++)
		x[i] += in[i];
	memcpy(out, x, sizeof(x));	/* little-endian machine: words are already in order */
}
