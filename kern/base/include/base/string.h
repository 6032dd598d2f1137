/*
 * Memory and string functions of the freestanding kernel.  On the host they
 * are the C library's; only the extras are compiled there.
 */
#pragma once

#include <base/attrs.h>

void *memcpy(void *dst, const void *src, usize n);
void *memmove(void *dst, const void *src, usize n);
void *memset(void *dst, int c, usize n);
int memcmp(const void *a, const void *b, usize n);
#ifndef SAKER_HOST
/* -ffreestanding makes calls of even the smallest ones: the compiler knows better where the size is a constant. */
#define memcpy(...) __builtin_memcpy(__VA_ARGS__)
#define memset(...) __builtin_memset(__VA_ARGS__)
#endif
void *memchr(const void *p, int c, usize n);
usize strlen(const char *s);
usize strnlen(const char *s, usize max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, usize n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *sub);

/* Copies and always terminates; returns strlen(src): >= size means cut. */
usize str_copy(char *dst, const char *src, usize size);
/* Parses digits in base (0: by prefix).  0 or -EINVAL, -ERANGE; *end (optional) after the last digit. */
MUST_USE int str_to_u64(const char *s, u32 base, u64 *out, const char **end);
bool str_has_prefix(const char *s, const char *prefix);
u64 hash_bytes(const void *p, usize n, u64 seed);	/* 64-bit mix, not for secrets */
static inline u64 hash_u64(u64 x)
{
	x = (x ^ (x >> 32)) * 0x9e3779b97f4a7c15ull;
	return x ^ (x >> 29);
}
