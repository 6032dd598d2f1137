/*
 * Any command line: every look-up ends and stays in bounds.
 * host-sources: kern/core/cmdline.c
 */
#include <stdlib.h>
#include <core/cmdline.h>
#include <test/test.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void count_word(const char *word, void *arg)
{
	*(usize *)arg += strlen(word);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1);
	char buf[16];
	usize n = 0;

	memcpy(text, data, size);
	text[size] = 0;
	cmdline_init(text);
	(void)cmdline_get("a", buf, sizeof(buf));
	(void)cmdline_get("console", buf, 1);
	(void)cmdline_get_u64("mem", 0);
	(void)cmdline_list_has("debug", "x");
	(void)cmdline_has("quiet");
	cmdline_for_each_init_arg(count_word, &n);
	if (n > size)
		panic("words longer than the text");
	free(text);
	return 0;
}
