/* Numbers in and out of text.
 * host-sources: kern/fs/proc_text.c
 */
#include <base/fmt.h>
#include <test/test.h>
#include "proc_text.h"

static char text[256];
static struct seq out;

void seq_putc(struct seq *s, char c)
{
	s->buf[s->len++] = c;
	s->buf[s->len] = 0;
}

void seq_printf(struct seq *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	s->len += (usize)fmt_vsnprintf(s->buf + s->len, s->size - s->len, fmt, ap);
	va_end(ap);
}

static struct seq *fresh(void)
{
	out = (struct seq){ .buf = text, .size = sizeof(text) };
	text[0] = 0;
	return &out;
}

TEST(proc_text, names_that_are_numbers)
{
	static const char *const bad[] = { "", "-1", "+1", "01", "00", "1x", " 1", "2147483648", "99999999999999999999", "x", "self" };
	u32 v = 77;

	for (u32 i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(synth_parse_id(bad[i], &v), -ENOENT);
	CHECK_EQ(v, 77);
	CHECK_EQ(synth_parse_id("0", &v), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(synth_parse_id("2147483647", &v), 0);
	CHECK_EQ(v, INT32_MAX);
}

TEST(proc_text, integers)
{
	static const char *const bad[] = { "", " ", "\n", "x", "1 2", "1x", "-", "--1", "99999999999999999999" };
	i64 v;

	for (u32 i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_EQ(proc_parse_int(bad[i], &v), -EINVAL);
	CHECK_EQ(proc_parse_int(" -17\n", &v), 0);
	CHECK_EQ(v, -17);
	CHECK_EQ(proc_parse_int("+0x1f\t", &v), 0);
	CHECK_EQ(v, 31);
	CHECK_EQ(proc_parse_int("010", &v), 0);
	CHECK_EQ(v, 8);
}

TEST(proc_text, masks_in_hexadecimal)
{
	u64 mask[2] = { 0x1234567f, 3 };

	proc_mask_hex(fresh(), mask, 1);
	CHECK_STR_EQ(text, "1");
	proc_mask_hex(fresh(), mask, 6);
	CHECK_STR_EQ(text, "3f");
	proc_mask_hex(fresh(), mask, 32);
	CHECK_STR_EQ(text, "1234567f");
	proc_mask_hex(fresh(), mask, 36);
	CHECK_STR_EQ(text, "0,1234567f");
	proc_mask_hex(fresh(), mask, 66);
	CHECK_STR_EQ(text, "3,00000000,1234567f");
}

TEST(proc_text, masks_as_lists)
{
	u64 mask[2] = { 0 };

	proc_mask_list(fresh(), mask, 128);
	CHECK_STR_EQ(text, "");
	mask[0] = 1;
	proc_mask_list(fresh(), mask, 1);
	CHECK_STR_EQ(text, "0");
	mask[0] = 0x8000000000000017ull;
	mask[1] = 0x3;
	proc_mask_list(fresh(), mask, 128);
	CHECK_STR_EQ(text, "0-2,4,63-65");
	proc_mask_list(fresh(), mask, 64);
	CHECK_STR_EQ(text, "0-2,4,63");
}

TEST(proc_text, uuids)
{
	u8 b[16];

	for (u32 i = 0; i < 16; i++)
		b[i] = (u8)(i * 16 + 1);
	proc_uuid(fresh(), b);
	CHECK_STR_EQ(text, "01112131-4151-6171-8191-a1b1c1d1e1f1\n");
}
