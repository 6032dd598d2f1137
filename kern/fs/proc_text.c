/* Numbers in and out of text: pure, tested on the host. */
#include "proc_text.h"

int synth_parse_id(const char *name, u32 *out)
{
	const char *end;
	u64 v;

	if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]))
		return -ENOENT;
	if (str_to_u64(name, 10, &v, &end) || *end || v > INT32_MAX)
		return -ENOENT;
	*out = (u32)v;
	return 0;
}

int proc_parse_int(const char *text, i64 *out)
{
	bool minus = false;
	const char *end;
	u64 v;

	while (*text == ' ' || *text == '\t' || *text == '\n')
		text++;
	if (*text == '-' || *text == '+')
		minus = *text++ == '-';
	if (str_to_u64(text, 0, &v, &end) || v > INT64_MAX)
		return -EINVAL;
	while (*end == ' ' || *end == '\t' || *end == '\n')
		end++;
	if (*end)
		return -EINVAL;
	*out = minus ? -(i64)v : (i64)v;
	return 0;
}

void proc_mask_hex(struct seq *s, const u64 *mask, u32 nbits)
{
	for (u32 words = DIV_ROUND_UP(nbits, 32), i = words; i-- > 0;) {
		u32 bits = i == words - 1 && nbits % 32 ? nbits % 32 : 32;
		u32 v = (u32)(mask[i / 2] >> (i % 2 * 32)) & (~0u >> (32 - bits));

		seq_printf(s, "%0*x%s", (int)DIV_ROUND_UP(bits, 4), v, i ? "," : "");
	}
}

void proc_mask_list(struct seq *s, const u64 *mask, u32 nbits)
{
	bool first = true;

	for (u32 i = 0, j; i < nbits; i = j + 1) {
		for (j = i; j < nbits && (mask[j / 64] >> (j % 64) & 1);)
			j++;
		if (j == i)
			continue;
		seq_printf(s, j - i > 1 ? "%s%u-%u" : "%s%u", first ? "" : ",", i, j - 1);
		first = false;
	}
}

void proc_uuid(struct seq *s, const u8 *b)
{
	for (u32 i = 0; i < 16; i++)
		seq_printf(s, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	seq_putc(s, '\n');
}
