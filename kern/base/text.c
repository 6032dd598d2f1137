/* Extras that the C library lacks; compiled on the host too. */
#include <base/errno.h>
#include <base/string.h>

usize str_copy(char *dst, const char *src, usize size)
{
	usize n = strlen(src);

	if (size) {
		usize k = n < size ? n : size - 1;

		memcpy(dst, src, k);
		dst[k] = 0;
	}
	return n;
}

bool str_has_prefix(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static u32 digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (u32)(c - '0');
	if ((c | 32) >= 'a' && (c | 32) <= 'z')
		return (u32)((c | 32) - 'a' + 10);
	return 255;
}

int str_to_u64(const char *s, u32 base, u64 *out, const char **end)
{
	u64 v = 0;

	if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 32) == 'x' && digit_value(s[2]) < 16) {
		s += 2;
		base = 16;
	} else if (base == 0) {
		base = s[0] == '0' ? 8 : 10;
	}
	if (digit_value(*s) >= base)
		return -EINVAL;
	for (; digit_value(*s) < base; s++)
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit_value(*s), &v))
			return -ERANGE;
	if (end)
		*end = s;
	else if (*s)
		return -EINVAL;
	*out = v;
	return 0;
}

u64 hash_bytes(const void *p, usize n, u64 seed)
{
	const u8 *b = p;
	u64 h = seed ^ (n * 0x9e3779b97f4a7c15ull), w;

	for (; n >= 8; n -= 8, b += 8) {
		memcpy(&w, b, 8);
		h = hash_u64(h ^ w);
	}
	w = 0;
	for (; n; n--)
		w = w << 8 | b[n - 1];
	return hash_u64(h ^ w);
}
