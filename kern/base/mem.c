/*
 * Memory block functions.  The compiler emits calls to them for large copies;
 * REP string instructions are fast on every CPU since 2013 (ERMS) for the sizes
 * that are not inlined.  Freestanding only: the host has its own.
 */
#include <base/string.h>

#undef memcpy
#undef memset

void *memcpy(void *dst, const void *src, usize n)
{
	void *d = dst;
	usize words = n >> 3, tail = n & 7;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) :: "memory");
	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(tail) :: "memory");
	return dst;
}

void *memmove(void *dst, const void *src, usize n)
{
	if ((u64)dst - (u64)src >= n)
		return memcpy(dst, src, n);

	u8 *d = (u8 *)dst + n - 1;
	const u8 *s = (const u8 *)src + n - 1;

	__asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(n) :: "memory");
	return dst;
}

void *memset(void *dst, int c, usize n)
{
	void *d = dst;
	u64 pattern = 0x0101010101010101ull * (u8)c;
	usize words = n >> 3, tail = n & 7;

	__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(d), "+c"(tail) : "a"(pattern) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, usize n)
{
	const u8 *p = a, *q = b;

	for (; n >= 8; n -= 8, p += 8, q += 8)
		if (*(const u64 *)p != *(const u64 *)q)
			break;
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

void *memchr(const void *p, int c, usize n)
{
	for (const u8 *s = p; n; n--, s++)
		if (*s == (u8)c)
			return (void *)s;
	return NULL;
}
