/* strace: numbers, strings, flags, names. */
#include <base/fmt.h>
#include "abi.h"
#include "strace.h"

static const struct { u16 nr; const char *name, *text; } errno_texts[] = { ERRNO_TEXTS };

void put(struct strace_line *l, const char *fmt, ...)
{
	va_list ap;
	u32 room = STRACE_TEXT_MAX - l->len;
	int n;

	va_start(ap, fmt);
	n = fmt_vsnprintf(l->text + l->len, room, fmt, ap);
	va_end(ap);
	l->len += MIN((u32)n, room - 1);
}

void put_pointer(struct strace_line *l, u64 v)
{
	if (v)
		put(l, "0x%llx", (unsigned long long)v);
	else
		put(l, "NULL");
}

static void put_char(struct strace_line *l, u8 c, bool digit_follows)
{
	static const char named[] = "\tt\nn\vv\ff\rr\\\\\"\"";

	for (u32 i = 0; i < sizeof(named) - 1; i += 2)
		if ((u8)named[i] == c) {
			put(l, "\\%c", named[i + 1]);
			return;
		}
	if (c >= ' ' && c < 0x7f)
		put(l, "%c", c);
	else
		put(l, digit_follows ? "\\%03o" : "\\%o", c);
}

void put_quoted(struct strace_line *l, const char *bytes, u64 len)
{
	put(l, "\"");
	for (u64 i = 0; i < len; i++)
		put_char(l, (u8)bytes[i], i + 1 < len && bytes[i + 1] >= '0' && bytes[i + 1] <= '9');
	put(l, "\"");
}

void put_bytes(struct strace_line *l, u64 at, u64 len)
{
	char buf[STRACE_STRING_MAX];
	u64 n = MIN(len, sizeof(buf));

	if (!at || user_copy_in(buf, UPTR(at), n)) {
		put_pointer(l, at);
		return;
	}
	put_quoted(l, buf, n);
	if (len > n)
		put(l, "...");
}

/* The string may end just before a page that is not there: piece by piece. */
static i64 read_string(u64 at, char *buf, u64 max)
{
	u64 n = 0;

	while (n < max) {
		u64 piece = MIN(max - n, 64 - ((at + n) & 63));

		if (user_copy_in(buf + n, UPTR(at + n), piece))
			return -EFAULT;
		char *nul = memchr(buf + n, 0, piece);

		if (nul)
			return nul - buf;
		n += piece;
	}
	return (i64)max + 1;
}

void put_string(struct strace_line *l, u64 at, u64 max)
{
	char *buf = kmalloc(max);
	i64 n = buf && at ? read_string(at, buf, max) : -EFAULT;

	if (n < 0) {
		put_pointer(l, at);
	} else {
		put_quoted(l, buf, MIN((u64)n, max));
		if ((u64)n > max)
			put(l, "...");
	}
	kfree(buf);
}

/* --- names ------------------------------------------------------------------------ */

bool put_name(struct strace_line *l, u32 set, u64 v)
{
	const struct syscall_flag_set *s = &syscall_flag_sets[set];

	for (u32 i = s->first; i < s->first + s->count; i++)
		if (syscall_flags[i].value == v) {
			put(l, "%s", syscall_strings + syscall_flags[i].name);
			return true;
		}
	return false;
}

/* How much of its first name all names of a set begin with, up to a '_'. */
static u32 common_prefix(const struct syscall_flag_set *s)
{
	const char *first = syscall_strings + syscall_flags[s->first].name;
	u32 n = (u32)strlen(first);

	for (u32 i = s->first + 1; i < s->first + s->count; i++) {
		const char *name = syscall_strings + syscall_flags[i].name;
		u32 same = 0;

		while (same < n && name[same] == first[same])
			same++;
		n = same;
	}
	while (n && first[n - 1] != '_')
		n--;
	return n;
}

static void put_unknown(struct strace_line *l, u32 set, u64 v)
{
	const struct syscall_flag_set *s = &syscall_flag_sets[set];

	put(l, "%#llx /* %.*s??? */", (unsigned long long)v, (int)common_prefix(s), syscall_strings + syscall_flags[s->first].name);
}

void put_value(struct strace_line *l, u32 set, u64 v)
{
	if (!put_name(l, set, v))
		put_unknown(l, set, v);
}

void put_set(struct strace_line *l, u32 set, u64 v)
{
	const struct syscall_flag_set *s = &syscall_flag_sets[set];
	u64 left = v;
	u32 start = l->len;

	for (u32 i = s->first; i < s->first + s->count; i++) {
		const struct syscall_flag *f = &syscall_flags[i];

		/* A name of value zero stands for a field of bits and is told first, or for nothing at all. */
		if ((v & f->mask) != f->value || (f->value ? !(left & f->value) : i != s->first))
			continue;
		put(l, "%s%s", l->len > start ? "|" : "", syscall_strings + f->name);
		left &= ~f->mask;
	}
	if (l->len == start && left)
		put_unknown(l, set, left);
	else if (l->len == start)
		put(l, "0");
	else if (left)
		put(l, "|%#llx", (unsigned long long)left);
}

static void put_signal_short(struct strace_line *l, u32 sig)
{
	if (sig < SIGRTMIN)
		put(l, "%s", signal_name(sig));
	else if (sig == SIGRTMIN)
		put(l, "RTMIN");
	else
		put(l, "RT_%u", sig - SIGRTMIN);
}

void put_signal(struct strace_line *l, u32 sig)
{
	if (!sig || sig > SIGMAX) {
		put(l, "%d", (i32)sig);
		return;
	}
	put(l, "SIG");
	put_signal_short(l, sig);
}

void put_sigset(struct strace_line *l, u64 bits)
{
	bool most = __builtin_popcountll(bits) > (int)SIGMAX * 2 / 3;
	const char *between = "";

	put(l, most ? "~[" : "[");
	if (most)
		bits = ~bits;
	for (u32 sig = 1; sig <= SIGMAX; sig++) {
		if (!(bits & SIGBIT(sig)))
			continue;
		put(l, "%s", between);
		put_signal_short(l, sig);
		between = " ";
	}
	put(l, "]");
}

void put_mode(struct strace_line *l, u32 mode)
{
	u32 left = mode & 07777;

	if (mode & 0170000) {
		if (!put_name(l, SYSCALL_SET_IFMT, mode & 0170000))
			put(l, "%#o", mode & 0170000);
		put(l, "|");
	}
	for (u32 bit = 04000; bit > 0777; bit >>= 1)
		if (left & bit)
			put(l, "%s|", bit == 04000 ? "S_ISUID" : bit == 02000 ? "S_ISGID" : "S_ISVTX");
	put(l, "%#03o", left & 0777);
}

void put_errno(struct strace_line *l, i64 err)
{
	for (u32 i = 0; i < ARRAY_LEN(errno_texts); i++) {
		if (errno_texts[i].nr != err)
			continue;
		put(l, err >= 512 ? "? %s (%s)" : "-1 %s (%s)", errno_texts[i].name, errno_texts[i].text);
		return;
	}
	put(l, "-1 (errno %lld)", (long long)err);
}

void put_array(struct strace_line *l, u64 at, u64 n, u32 size, void (*fn)(struct strace_line *l, const void *buf))
{
	u64 buf[32];

	if (!at || size > sizeof(buf)) {
		put_pointer(l, at);
		return;
	}
	if (n && user_copy_in(buf, UPTR(at), size)) {
		put_pointer(l, at);
		return;
	}
	put(l, "[");
	for (u64 i = 0; i < n; i++) {
		if (i)
			put(l, ", ");
		if (i >= STRACE_STRING_MAX) {
			put(l, "...");
			break;
		}
		if (user_copy_in(buf, UPTR(at + i * size), size)) {
			put(l, "... /* %#llx */", (unsigned long long)(at + i * size));
			break;
		}
		l->element = (u32)i;
		fn(l, buf);
	}
	put(l, "]");
}
