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
