/* Numbers in and out of the text of /proc and /sys. */
#pragma once

#include <base/errno.h>
#include <base/string.h>
#include <vfs/vfs.h>

/* A name that is a number, without sign or leading zeros.  -ENOENT. */
MUST_USE int synth_parse_id(const char *name, u32 *out);
/* The number in text, with a sign, in any base C knows, with white space around it.  -EINVAL. */
MUST_USE int proc_parse_int(const char *text, i64 *out);
/* The first nbits of mask: hexadecimal in words of 32 bits, or as a list of ranges. */
void proc_mask_hex(struct seq *s, const u64 *mask, u32 nbits);
void proc_mask_list(struct seq *s, const u64 *mask, u32 nbits);
void proc_uuid(struct seq *s, const u8 *b);	/* 16 bytes, and a newline */
