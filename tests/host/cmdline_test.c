/*
 * The kernel command line.
 * host-sources: kern/core/cmdline.c kern/core/debug.c
 */
#include <core/cmdline.h>
#include <core/debug.h>
#include <test/test.h>

TEST(cmdline, words_values_and_quotes)
{
	char b[32];

	cmdline_init("quiet  console=ttyS0 console=\"tty 1\" empty= \"spaced=a b\" x=1 -- init=2 quiet2");
	CHECK(cmdline_has("quiet"));
	CHECK(!cmdline_has("quie"));
	CHECK(!cmdline_has("quiet2"));
	CHECK(!cmdline_has("init"));
	CHECK(cmdline_get("console", b, sizeof(b)));
	CHECK_STR_EQ(b, "tty 1");
	CHECK(cmdline_get("empty", b, sizeof(b)));
	CHECK_STR_EQ(b, "");
	CHECK(cmdline_get("spaced", b, sizeof(b)));
	CHECK_STR_EQ(b, "a b");
	CHECK(cmdline_get("console", b, 3));
	CHECK_STR_EQ(b, "tt");
	CHECK(!cmdline_get("absent", b, sizeof(b)));
}

TEST(cmdline, numbers_and_lists)
{
	cmdline_init("mem=64M n=0x10 bad=12q neg=-1 huge=99999999999999999999 debug=trace,audit,,x");
	CHECK_EQ(cmdline_get_u64("mem", 0), 64ull << 20);
	CHECK_EQ(cmdline_get_u64("n", 0), 16ull);
	CHECK_EQ(cmdline_get_u64("bad", 5), 5ull);
	CHECK_EQ(cmdline_get_u64("neg", 5), 5ull);
	CHECK_EQ(cmdline_get_u64("huge", 5), 5ull);
	CHECK_EQ(cmdline_get_u64("absent", 7), 7ull);
	CHECK(cmdline_list_has("debug", "audit"));
	CHECK(cmdline_list_has("debug", "x"));
	CHECK(!cmdline_list_has("debug", "aud"));
	CHECK(!cmdline_list_has("mem", "audit"));
}

static char args[256];

static void collect(const char *word, void *arg)
{
	usize n = strlen(args);

	n += str_copy(args + n, word, sizeof(args) - n);
	str_copy(args + n, "|", sizeof(args) - n);
}

TEST(cmdline, what_follows_the_dashes_is_inits)
{
	cmdline_init("a b=--c -- d \"e f\" -- g");
	cmdline_for_each_init_arg(collect, NULL);
	CHECK_STR_EQ(args, "d|e f|--|g|");
	args[0] = 0;
	cmdline_init("a b");
	cmdline_for_each_init_arg(collect, NULL);
	CHECK_STR_EQ(args, "");
	cmdline_init("");
	cmdline_for_each_init_arg(collect, NULL);
	CHECK_STR_EQ(args, "");
}

static u32 debug_of(const char *line)
{
	cmdline_init(line);
	debug_flags = 0;
	debug_init();
	return debug_flags;
}

TEST(cmdline, lists_of_debug_add_up)
{
	static char line[1024];

	CHECK_EQ(debug_of("quiet"), 0u);
	CHECK_EQ(debug_of("debug"), 0u);
	CHECK_EQ(debug_of("debug=trace"), (u32)DEBUG_TRACE);
	CHECK_EQ(debug_of("debug=,nonsense,,audit,"), (u32)DEBUG_AUDIT);
	CHECK_EQ(debug_of("debug=trace debug=verify,audit x=1 debug= -- debug=crash"),
		 (u32)(DEBUG_TRACE | DEBUG_VERIFY | DEBUG_AUDIT));
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "debug=crash,", 12);
	memcpy(line + 800, " debug=metrics ", 15);
	CHECK_EQ(debug_of(line), (u32)(DEBUG_CRASH | DEBUG_METRICS));
}
