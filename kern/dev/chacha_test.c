/* The ChaCha20 block function against RFC 8439 section 2.3.2.
 * host-sources: kern/dev/chacha.c
 */
#include <dev/random.h>
#include <test/test.h>

TEST(chacha, the_vector_of_rfc_8439_2_3_2)
{
	static const u8 want[64] = {
		0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4,
		0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e,
		0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
		0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
	};
	static const u8 nonce_bytes[12] = { 0, 0, 0, 0x09, 0, 0, 0, 0x4a, 0, 0, 0, 0 };
	u8 key_bytes[32], out[64];
	u32 key[8], nonce[3];

	for (u32 i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (u8)i;
	memcpy(key, key_bytes, sizeof(key));
	memcpy(nonce, nonce_bytes, sizeof(nonce));
	chacha20_block(key, 1, nonce, out);
	CHECK(!memcmp(out, want, sizeof(want)));
}

TEST(chacha, counter_and_nonce_change_the_block)
{
	static const u32 key[8] = { 1, 2, 3 }, nonce[3], other[3] = { 0, 0, 1 };
	u8 a[64], b[64], c[64];

	chacha20_block(key, 0, nonce, a);
	chacha20_block(key, 1, nonce, b);
	chacha20_block(key, 0, other, c);
	CHECK(memcmp(a, b, sizeof(a)));
	CHECK(memcmp(a, c, sizeof(a)));
	chacha20_block(key, 0, nonce, b);
	CHECK(!memcmp(a, b, sizeof(a)));
}
