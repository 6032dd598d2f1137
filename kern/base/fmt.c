/* Formatted output: one pass, no allocation, no recursion. */
#include <base/fmt.h>
#include <base/string.h>

struct out {
	char *buf;
	usize size, len;
};

struct spec {
	bool left, zero, plus, space, alt;
	int width, prec;	/* prec < 0: not given */
	u32 size;		/* bytes of the integer argument */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *sp, const char *s, usize n)
{
	int fill = sp->width - (int)n;

	if (!sp->left)
		pad(o, ' ', fill);
	for (usize i = 0; i < n; i++)
		put(o, s[i]);
	if (sp->left)
		pad(o, ' ', fill);
}

/* prefix: sign or 0x. */
static void put_number(struct out *o, const struct spec *sp, u64 v, u32 base, bool upper, const char *prefix)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[24];
	int n = 0, zeros, fill;

	for (; v; v /= base)
		text[n++] = digits[v % base];
	zeros = (sp->prec < 0 ? 1 : sp->prec) - n;
	if (zeros < 0)
		zeros = 0;
	fill = sp->width - n - zeros - (int)strlen(prefix);
	if (sp->zero && !sp->left && sp->prec < 0 && fill > 0) {
		zeros += fill;
		fill = 0;
	}
	if (!sp->left)
		pad(o, ' ', fill);
	while (*prefix)
		put(o, *prefix++);
	pad(o, '0', zeros);
	while (n)
		put(o, text[--n]);
	if (sp->left)
		pad(o, ' ', fill);
}

static const char *parse_flags(const char *f, struct spec *sp)
{
	for (;; f++) {
		switch (*f) {
		case '-': sp->left = true; break;
		case '0': sp->zero = true; break;
		case '+': sp->plus = true; break;
		case ' ': sp->space = true; break;
		case '#': sp->alt = true; break;
		default: return f;
		}
	}
}

static const char *parse_size(const char *f, struct spec *sp)
{
	sp->size = 4;
	if (*f == 'l' || *f == 'z' || *f == 'j' || *f == 't') {
		sp->size = 8;
		return f[0] == 'l' && f[1] == 'l' ? f + 2 : f + 1;
	}
	if (*f == 'h') {
		sp->size = f[1] == 'h' ? 1 : 2;
		return f[1] == 'h' ? f + 2 : f + 1;
	}
	return f;
}

static u64 cut(u64 v, u32 size)
{
	return size == 8 ? v : v & ((1ull << (size * 8)) - 1);
}

static i64 sign_extend(u64 v, u32 size)
{
	u32 shift = 64 - size * 8;

	return (i64)(v << shift) >> shift;
}

static void convert_number(struct out *o, const struct spec *sp, char conv, u64 raw)
{
	u64 v = cut(raw, sp->size);

	switch (conv) {
	case 'd': case 'i': {
		i64 s = sign_extend(raw, sp->size);

		put_number(o, sp, s < 0 ? 0 - (u64)s : (u64)s, 10, false, s < 0 ? "-" : sp->plus ? "+" : sp->space ? " " : "");
		break;
	}
	case 'u': put_number(o, sp, v, 10, false, ""); break;
	case 'o': put_number(o, sp, v, 8, false, sp->alt && v ? "0" : ""); break;
	default: put_number(o, sp, v, 16, conv == 'X', sp->alt && v ? conv == 'X' ? "0X" : "0x" : "");
	}
}

int fmt_vsnprintf(char *buf, usize size, const char *f, va_list ap)
{
	struct out o = { buf, size, 0 };

	for (; *f; f++) {
		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		struct spec sp = { .prec = -1 };

		f = parse_flags(f + 1, &sp);
		if (*f == '*') {
			sp.width = va_arg(ap, int);
			f++;
		} else {
			for (; *f >= '0' && *f <= '9'; f++)
				sp.width = sp.width * 10 + (*f - '0');
		}
		if (*f == '.') {
			sp.prec = 0;
			if (*++f == '*') {
				sp.prec = va_arg(ap, int);
				f++;
			} else {
				for (; *f >= '0' && *f <= '9'; f++)
					sp.prec = sp.prec * 10 + (*f - '0');
			}
		}
		f = parse_size(f, &sp);
		switch (*f) {
		case 'd': case 'i': case 'u': case 'x': case 'X': case 'o':
			convert_number(&o, &sp, *f, sp.size == 8 ? va_arg(ap, u64) : va_arg(ap, u32));
			break;
		case 'p':
			sp.alt = true;
			sp.size = 8;
			convert_number(&o, &sp, 'x', (u64)va_arg(ap, void *));
			break;
		case 'c': {
			char c = (char)va_arg(ap, int);

			put_text(&o, &sp, &c, 1);
			break;
		}
		case 's': {
			const char *s = va_arg(ap, const char *);

			if (!s)
				s = "(null)";
			put_text(&o, &sp, s, sp.prec >= 0 ? strnlen(s, (usize)sp.prec) : strlen(s));
			break;
		}
		case 0:
			f--;
			break;
		default:
			put(&o, *f);
		}
	}
	if (size)
		buf[o.len < size ? o.len : size - 1] = 0;
	return (int)o.len;
}

int fmt_snprintf(char *buf, usize size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = fmt_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

int fmt_scnprintf(char *buf, usize size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = fmt_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return size == 0 ? 0 : n < (int)size ? n : (int)size - 1;
}
