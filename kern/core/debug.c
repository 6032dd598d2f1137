/* The debug= lists: words to flags. */
#include <base/string.h>
#include <core/cmdline.h>
#include <core/debug.h>
#include <core/log.h>

u32 debug_flags;

static const struct { const char *word; enum debug_flag flag; } words[] = {
	{ "trace", DEBUG_TRACE }, { "strace", DEBUG_STRACE }, { "verify", DEBUG_VERIFY }, { "audit", DEBUG_AUDIT },
	{ "metrics", DEBUG_METRICS },
	{ "crash", DEBUG_CRASH },
};

static void debug_word(const char *word)
{
	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i].word)) {
			debug_flags |= words[i].flag;
			return;
		}
	if (*word)
		log_warn("debug=%s: no such word", word);
}

static void debug_list(char *list)
{
	while (list) {
		char *comma = strchr(list, ',');

		if (comma)
			*comma++ = 0;
		debug_word(list);
		list = comma;
	}
}

/* What the launcher, its user and a test ask for is in lists of their own: they add up. */
void debug_init(void) { cmdline_for_each("debug", debug_list); }
