/*
 * The command line stays where the boot code put it; words are found by
 * scanning, which happens a few times per boot.
 */
#include <base/string.h>
#include <core/cmdline.h>

static const char *text = "";

struct word {
	const char *start;
	usize len;
};

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Next word at *p; quotes group but do not end a word.  False at the end. */
static bool next_word(const char **p, struct word *w)
{
	const char *s = *p;
	bool quoted = false;

	while (is_space(*s))
		s++;
	w->start = s;
	for (; *s && (quoted || !is_space(*s)); s++)
		if (*s == '"')
			quoted = !quoted;
	w->len = s - w->start;
	*p = s;
	return w->len;
}

static bool is_separator(const struct word *w) { return w->len == 2 && w->start[0] == '-' && w->start[1] == '-'; }

/* Next kernel word: ends at a lone "--". */
static bool next_option(const char **p, struct word *w) { return next_word(p, w) && !is_separator(w); }

static void unquote(char *buf, usize size, const char *s, usize len)
{
	usize n = 0;

	for (usize i = 0; i < len; i++)
		if (s[i] != '"' && n + 1 < size)
			buf[n++] = s[i];
	if (size)
		buf[n] = 0;
}

/* Skips a leading quote ("name=a b" as a whole). */
static bool word_matches(const struct word *w, const char *name, usize *value)
{
	usize n = strlen(name), skip = w->start[0] == '"';

	if (w->len < skip + n || strncmp(w->start + skip, name, n))
		return false;
	*value = skip + n;
	if (w->len == skip + n || w->start[skip + n] == '"')
		return true;
	++*value;
	return w->start[skip + n] == '=';
}

void cmdline_init(const char *line) { text = line; }
const char *cmdline_text(void) { return text; }

bool cmdline_get(const char *name, char *buf, usize size)
{
	const char *p = text;
	struct word w;
	usize at;
	bool found = false;

	while (next_option(&p, &w))
		if (word_matches(&w, name, &at)) {
			unquote(buf, size, w.start + at, w.len - at);
			found = true;
		}
	return found;
}

void cmdline_for_each(const char *name, void (*fn)(char *value))
{
	const char *p = text;
	struct word w;
	char buf[256];
	usize at;

	while (next_option(&p, &w))
		if (word_matches(&w, name, &at)) {
			unquote(buf, sizeof(buf), w.start + at, w.len - at);
			fn(buf);
		}
}

bool cmdline_has(const char *name)
{
	char c;

	return cmdline_get(name, &c, 1);
}

/* Digits with an optional K, M, G or T. */
u64 cmdline_get_u64(const char *name, u64 fallback)
{
	static const char suffix[] = "kmgt";
	char buf[32];
	const char *end;
	u64 v;

	if (!cmdline_get(name, buf, sizeof(buf)) || str_to_u64(buf, 0, &v, &end))
		return fallback;
	for (u32 i = 0; *end && suffix[i]; i++)
		if ((*end | 0x20) == suffix[i])
			return v << 10 * (i + 1);
	return *end ? fallback : v;
}

bool cmdline_list_has(const char *name, const char *word)
{
	char buf[256], *s = buf;
	usize n = strlen(word);

	if (!cmdline_get(name, buf, sizeof(buf)))
		return false;
	while (s) {
		char *comma = strchr(s, ',');
		usize len = comma ? (usize)(comma - s) : strlen(s);

		if (len == n && !strncmp(s, word, n))
			return true;
		s = comma ? comma + 1 : NULL;
	}
	return false;
}

void cmdline_for_each_init_arg(void (*fn)(const char *word, void *arg), void *arg)
{
	const char *p = text;
	struct word w;
	char buf[1024];

	while (next_option(&p, &w))
		;
	if (!is_separator(&w))
		return;
	while (next_word(&p, &w)) {
		unquote(buf, sizeof(buf), w.start, w.len);
		fn(buf, arg);
	}
}
