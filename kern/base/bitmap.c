/* Searches in bitmaps, a word at a time. */
#include <base/bitmap.h>

static usize find(const u64 *m, usize n, usize from, u64 flip)
{
	for (usize w = from / 64; w * 64 < n; w++) {
		u64 bits = READ_ONCE(m[w]) ^ flip;

		if (w == from / 64)
			bits &= ~0ull << (from % 64);
		if (bits) {
			usize i = w * 64 + (usize)__builtin_ctzll(bits);

			return i < n ? i : n;
		}
	}
	return n;
}

usize bitmap_find_set(const u64 *m, usize n, usize from) { return find(m, n, from, 0); }
usize bitmap_find_clear(const u64 *m, usize n, usize from) { return find(m, n, from, ~0ull); }

#ifndef SAKER_HOST
/* What the compiler calls for __builtin_popcountll() where the CPU's own instruction cannot be assumed. */
int __popcountdi2(i64 x);
int __popcountdi2(i64 x)
{
	u64 v = (u64)x;

	v -= (v >> 1) & 0x5555555555555555ull;
	v = (v & 0x3333333333333333ull) + (v >> 2 & 0x3333333333333333ull);
	v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (int)(v * 0x0101010101010101ull >> 56);
}
#endif
