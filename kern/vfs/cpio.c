#include "cpio.h"

#include <base/errno.h>
#include <base/string.h>

#define HEADER 110u
#define NAME_LIMIT 4096u

static const struct { u8 magic[6]; u8 n; const char *why; } packed[] = {
	{ { 0x1f, 0x8b }, 2, "compressed with gzip: Saker wants a plain cpio archive" },
	{ { 0xfd, '7', 'z', 'X', 'Z' }, 5, "compressed with xz: Saker wants a plain cpio archive" },
	{ { 'B', 'Z', 'h' }, 3, "compressed with bzip2: Saker wants a plain cpio archive" },
	{ { 0x5d, 0, 0 }, 3, "compressed with lzma: Saker wants a plain cpio archive" },
	{ { 0x89, 'L', 'Z', 'O' }, 4, "compressed with lzo: Saker wants a plain cpio archive" },
	{ { 2, 0x21 }, 2, "compressed with lz4: Saker wants a plain cpio archive" },
	{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, "compressed with zstd: Saker wants a plain cpio archive" },
	{ { '0', '7', '0', '7', '0', '7' }, 6, "old ASCII cpio (070707): Saker wants newc (070701)" },
	{ { 0xc7, 0x71 }, 2, "binary cpio: Saker wants newc (070701)" },
};

static const char *wrong_magic(const u8 *p, u64 left)
{
	for (usize i = 0; i < ARRAY_LEN(packed); i++)
		if (left >= packed[i].n && !memcmp(p, packed[i].magic, packed[i].n))
			return packed[i].why;
	return "no cpio header";
}

static bool hex8(const u8 *p, u32 *out)
{
	u32 v = 0;

	for (u32 i = 0; i < 8; i++) {
		u8 c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (u32)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (u32)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	*out = v;
	return true;
}

static bool sum_matches(const u8 *p, u64 n, u32 want)
{
	u32 sum = 0;

	while (n--)
		sum += *p++;
	return sum == want;
}

static int fail(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static int parse(const u8 *p, u64 left, struct cpio_entry *e, u64 *used, const char **why)
{
	u32 f[13];
	u64 name_end, data;

	if (left < 6 || memcmp(p, "07070", 5) || (p[5] != '1' && p[5] != '2'))
		return fail(why, wrong_magic(p, left));
	if (left < HEADER)
		return fail(why, "the archive ends inside a header");
	for (u32 i = 0; i < 13; i++)
		if (!hex8(p + 6 + 8 * i, &f[i]))
			return fail(why, "a header field is not a hexadecimal number");
	if (!f[11] || f[11] > NAME_LIMIT)
		return fail(why, f[11] ? "a name is longer than 4096 bytes" : "a name is empty");
	name_end = HEADER + (u64)f[11];
	data = ALIGN_UP(name_end, 4ull);
	if (name_end > left)
		return fail(why, "the archive ends inside a name");
	if (p[name_end - 1])
		return fail(why, "a name does not end with a NUL");
	if (f[6] && (data > left || f[6] > left - data))
		return fail(why, "the archive ends inside a file");
	data = MIN(data, left);		/* no data: the padding may be missing too */
	*e = (struct cpio_entry){
		.name = (const char *)p + HEADER, .data = p + data, .size = f[6],
		.ino = f[0], .mode = f[1], .uid = f[2], .gid = f[3], .nlink = f[4], .mtime = f[5],
		.dev_major = f[7], .dev_minor = f[8], .rdev_major = f[9], .rdev_minor = f[10],
	};
	if (p[5] == '2' && !sum_matches(e->data, e->size, f[12]))
		return fail(why, "a checksum is wrong");
	e->trailer = !strcmp(e->name, "TRAILER!!!");
	*used = ALIGN_UP(data + e->size, 4ull);
	e->data_at = data;
	return 1;
}

int cpio_next(const u8 *buf, u64 size, u64 *pos, struct cpio_entry *e, const char **why)
{
	u64 at = *pos, used;
	int r;

	while (at < size && !buf[at])
		at++;			/* padding between archives */
	if (at >= size)
		return 0;
	*pos = at;
	if (at & 3)
		return fail(why, "a header is not aligned to 4 bytes");
	r = parse(buf + at, size - at, e, &used, why);
	if (r < 0)
		return r;
	e->data_at += at;
	*pos = MIN(at + used, size);
	return 1;
}
