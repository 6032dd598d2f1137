/* The debug= list: words to flags. */
#include <base/string.h>
#include <core/cmdline.h>
#include <core/debug.h>
#include <core/log.h>

#define DEBUG_LIST_MAX 128u

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

void debug_init(void)
{
	char list[DEBUG_LIST_MAX], *word = list;

	if (!cmdline_get("debug", list, sizeof(list)))
		return;
	for (char *p = list;; p++) {
		bool last = !*p;

		if (!last && *p != ',')
			continue;
		*p = 0;
		debug_word(word);
		word = p + 1;
		if (last)
			break;
	}
}
