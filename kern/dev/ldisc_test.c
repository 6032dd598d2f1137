/* The line discipline: canonical editing and its echo, end of file, raw input, signals, flow control, output processing.
 * host-sources: kern/dev/ldisc.c
 */
#include <base/bitmap.h>
#include <core/lock.h>
#include <test/test.h>
#include "tty_priv.h"

static u8 wire[8192];			/* what the driver was given */
static u32 wire_len, wire_room;
static struct tty the_tty;

static u32 drv_write(struct tty *t, const u8 *buf, u32 n)
{
	n = MIN(n, wire_room);
	memcpy(wire + wire_len, buf, n);
	wire_len += n;
	wire_room -= n;
	return n;
}

static u32 drv_room(struct tty *t) { return wire_room; }

static const struct tty_driver_ops drv_ops = { .write = drv_write, .room = drv_room };

static struct tty *start(void)
{
	struct tty *t = &the_tty;

	memset(t, 0, sizeof(*t));
	t->ops = &drv_ops;
	t->termios = tty_default_termios;
	t->pgrp = 77;
	spin_init(&t->lock, LR_TTY_BUF);
	wire_len = 0;
	wire_room = sizeof(wire);
	return t;
}

static struct tty_effects type_bytes(struct tty *t, const char *s, u32 n)
{
	struct tty_effects fx = { .nsignals = 0 };
	u64 irq = spin_lock_irq(&t->lock);

	for (u32 i = 0; i < n; i++)
		if (ldisc_has_room(t))
			ldisc_receive(t, (u8)s[i], &fx);
	ldisc_echo_flush(t);
	spin_unlock_irq(&t->lock, irq);
	return fx;
}

static struct tty_effects type(struct tty *t, const char *s) { return type_bytes(t, s, (u32)strlen(s)); }

/* What a read would give, by the invariants at the head of ldisc.c: at most one line.  -1: it would wait. */
static int read_line(struct tty *t, char *out)
{
	bool canon = TTY_FLAG(t, lflag, ICANON), end = false;
	u32 limit = canon ? t->canon_head : t->head;
	int n = 0;
	u64 irq = spin_lock_irq(&t->lock);
	bool ready = ldisc_readable(t, 1);

	while (ready && t->tail != limit && !end) {
		u8 c = t->buf[t->tail % TTY_BUF_SIZE];

		end = canon && bitmap_test(t->eol, t->tail % TTY_BUF_SIZE);
		bitmap_clear(t->eol, t->tail++ % TTY_BUF_SIZE);
		if (!(end && c == 0))
			out[n++] = (char)c;
	}
	spin_unlock_irq(&t->lock, irq);
	out[n] = 0;
	return ready ? n : -1;
}

static void expect_line(struct tty *t, const char *want)
{
	char got[TTY_BUF_SIZE + 1];

	NEED(read_line(t, got) >= 0);
	CHECK_STR_EQ(got, want);
}

static void expect_wire(const char *want)
{
	char got[sizeof(wire) + 1];

	memcpy(got, wire, wire_len);
	got[wire_len] = 0;
	CHECK_STR_EQ(got, want);
	wire_len = 0;
}

TEST(canon, a_line_is_readable_when_it_is_complete)
{
	struct tty *t = start();
	char got[16];

	type(t, "ab");
	CHECK_EQ(read_line(t, got), -1);
	type(t, "c\r");
	CHECK_EQ(ldisc_count(t), 4u);
	expect_line(t, "abc\n");
	CHECK_EQ(read_line(t, got), -1);
	expect_wire("abc\r\n");
}

TEST(canon, two_lines_are_read_one_by_one)
{
	struct tty *t = start();

	type(t, "one\ntwo\nthr");
	expect_line(t, "one\n");
	expect_line(t, "two\n");
	type(t, "ee\n");
	expect_line(t, "three\n");
}

TEST(canon, erase_word_erase_and_kill)
{
	struct tty *t = start();

	type(t, "abX\177c\n");
	expect_line(t, "abc\n");
	expect_wire("abX\b \bc\r\n");
	type(t, "\177\177x\n");			/* nothing to erase: nothing happens */
	expect_line(t, "x\n");
	type(t, "foo bar  \027z\n");		/* ^W: blanks, then the word */
	expect_line(t, "foo z\n");
	type(t, "all of this\025ok\n");		/* ^U */
	expect_line(t, "ok\n");
}

TEST(canon, erase_does_not_reach_a_line_that_is_done)
{
	struct tty *t = start();

	type(t, "done\n\177\177\025next\n");
	expect_line(t, "done\n");
	expect_line(t, "next\n");
}

TEST(canon, tabs_and_control_characters_are_erased_by_their_columns)
{
	struct tty *t = start();

	type(t, "a\t\177");
	expect_wire("a\t\b\b\b\b\b\b\b");
	type(t, "\001\177");			/* shown as ^A: two columns */
	expect_wire("^A\b \b\b \b");
}

TEST(canon, utf8_is_erased_by_the_character)
{
	struct tty *t = start();

	t->termios.iflag |= IUTF8;
	type(t, "a\xc3\xa4\177b\n");
	expect_line(t, "ab\n");
	expect_wire("a\xc3\xa4\b \bb\r\n");
}

TEST(canon, literal_next_takes_away_the_meaning)
{
	struct tty *t = start();

	CHECK_EQ(type(t, "\026\003\026\177\n").nsignals, 0u);
	expect_line(t, "\003\177\n");
}

TEST(canon, end_of_file)
{
	struct tty *t = start();
	char got[16];

	type(t, "\004");
	CHECK_EQ(ldisc_count(t), 0u);
	CHECK_EQ(read_line(t, got), 0);		/* an empty read: end of file */
	CHECK_EQ(read_line(t, got), -1);
	type(t, "ab\004");			/* not at the start: hands over what there is */
	CHECK_EQ(read_line(t, got), 2);
	CHECK_STR_EQ(got, "ab");
	CHECK_EQ(read_line(t, got), -1);
	expect_wire("ab");
}

TEST(canon, a_line_that_is_too_long_is_cut_and_can_be_ended)
{
	struct tty *t = start();
	char got[TTY_BUF_SIZE + 1];

	for (u32 i = 0; i < TTY_BUF_SIZE + 50; i++)
		type(t, "x");
	type(t, "\n");
	CHECK_EQ(read_line(t, got), (int)TTY_BUF_SIZE);		/* 4095 bytes and the newline */
	CHECK_EQ(got[TTY_BUF_SIZE - 1], '\n');
	type(t, "again\n");
	expect_line(t, "again\n");
}

TEST(canon, complete_lines_hold_input_back)
{
	struct tty *t = start();

	type(t, "l\n");
	for (u32 i = 0; i < TTY_BUF_SIZE; i++)
		type(t, "y");
	CHECK(!ldisc_has_room(t));
	expect_line(t, "l\n");
	CHECK(ldisc_has_room(t));
}

TEST(canon, positions_wrap_around)
{
	struct tty *t = start();

	t->tail = t->canon_head = t->head = ~0u - 5;
	for (u32 i = 0; i < 2000; i++) {
		type(t, "wrap\177p around\n");
		expect_line(t, "wrap around\n");
		wire_len = 0;
		wire_room = sizeof(wire);
	}
}

TEST(canon, carriage_returns_and_case_are_mapped)
{
	struct tty *t = start();

	t->termios.iflag = IGNCR;
	type(t, "a\rb\n");
	expect_line(t, "ab\n");
	t->termios.iflag = IUCLC | ICRNL;
	type(t, "AbC\r");
	expect_line(t, "abc\n");
	t->termios.iflag = INLCR;
	t->termios.cc[VEOL] = '!';
	type(t, "x\ny!");
	expect_line(t, "x\ry!");
}

TEST(echo, without_it_only_a_newline_may_show)
{
	struct tty *t = start();

	t->termios.lflag &= ~(u32)ECHO;
	type(t, "secret\n");
	expect_wire("");
	t->termios.lflag |= ECHONL;
	type(t, "secret\n");
	expect_wire("\r\n");
}

TEST(echo, waits_for_room)
{
	struct tty *t = start();

	wire_room = 0;
	type(t, "hello");
	expect_wire("");
	wire_room = 100;
	u64 irq = spin_lock_irq(&t->lock);

	ldisc_echo_flush(t);
	spin_unlock_irq(&t->lock, irq);
	expect_wire("hello");
}

TEST(raw, bytes_come_as_they_are)
{
	struct tty *t = start();
	char got[16];

	t->termios.lflag = 0;
	t->termios.iflag = 0;
	type_bytes(t, "a\r\0\177\003", 5);
	CHECK(ldisc_readable(t, 5));
	CHECK(!ldisc_readable(t, 6));
	CHECK_EQ(read_line(t, got), 5);
	CHECK(!memcmp(got, "a\r\0\177\003", 5));
	expect_wire("");
}

TEST(raw, full_means_full)
{
	struct tty *t = start();

	t->termios.lflag = 0;
	for (u32 i = 0; i < TTY_BUF_SIZE + 10; i++)
		type(t, "z");
	CHECK(!ldisc_has_room(t));
	CHECK_EQ(ldisc_count(t), TTY_BUF_SIZE - 1);
}

TEST(modes, what_was_typed_survives_a_switch)
{
	struct tty *t = start();
	struct ktermios old = t->termios;
	char got[16];

	type(t, "par");
	t->termios.lflag &= ~(u32)ICANON;
	ldisc_termios_changed(t, &old);
	CHECK_EQ(read_line(t, got), 3);
	CHECK_STR_EQ(got, "par");
	type(t, "ab");
	old = t->termios;
	t->termios.lflag |= ICANON;
	ldisc_termios_changed(t, &old);
	expect_line(t, "ab");
}

TEST(signals, go_to_the_foreground_group_and_flush)
{
	struct tty *t = start();
	char got[16];
	struct tty_effects fx = type(t, "line\nab\003");

	CHECK_EQ(fx.nsignals, 1u);
	CHECK_EQ(fx.signals[0], 2u);
	CHECK_EQ(fx.pgrp, 77u);
	CHECK_EQ(read_line(t, got), -1);
	fx = type(t, "\034\032");
	CHECK_EQ(fx.nsignals, 2u);
	CHECK_EQ(fx.signals[0], 3u);
	CHECK_EQ(fx.signals[1], 20u);
}

TEST(signals, a_burst_is_used_up_and_tells_each_once)
{
	struct tty *t = start();
	struct tty_effects fx = type(t, "\003\003\003\003\003\034\003\032\003\003\003\003ok\n");

	CHECK_EQ(fx.nsignals, 3u);
	expect_line(t, "ok\n");
}

TEST(signals, noflsh_keeps_input_and_isig_off_keeps_the_byte)
{
	struct tty *t = start();

	t->termios.lflag |= NOFLSH;
	type(t, "keep\003me\n");
	expect_line(t, "keepme\n");
	t->termios.lflag &= ~(u32)ISIG;
	CHECK_EQ(type(t, "\003\n").nsignals, 0u);
	expect_line(t, "\003\n");
}

TEST(flow, stop_holds_output_until_start)
{
	struct tty *t = start();

	type(t, "\023");
	CHECK(t->stopped);
	u64 irq = spin_lock_irq(&t->lock);

	CHECK_EQ(ldisc_output(t, (const u8 *)"abc", 3), 0u);
	spin_unlock_irq(&t->lock, irq);
	type(t, "typed");
	expect_wire("");
	type(t, "\021");
	CHECK(!t->stopped);
	expect_wire("typed");
	type(t, "\023");
	type(t, "\003");			/* a signal starts it again */
	CHECK(!t->stopped);
}

TEST(output, newlines_tabs_and_room)
{
	struct tty *t = start();
	u64 irq = spin_lock_irq(&t->lock);

	CHECK_EQ(ldisc_output(t, (const u8 *)"a\nb", 3), 3u);
	expect_wire("a\r\nb");
	t->termios.oflag |= XTABS;
	CHECK_EQ(ldisc_output(t, (const u8 *)"\tx", 2), 2u);	/* b stands in column 0 */
	expect_wire("       x");
	wire_room = 1;
	CHECK_EQ(ldisc_output(t, (const u8 *)"\n", 1), 0u);	/* both bytes or none */
	wire_room = 4;
	CHECK_EQ(ldisc_output(t, (const u8 *)"abcdef", 6), 4u);
	t->termios.oflag = 0;
	wire_len = 0;
	wire_room = 10;
	CHECK_EQ(ldisc_output(t, (const u8 *)"\n\t", 2), 2u);
	spin_unlock_irq(&t->lock, irq);
	expect_wire("\n\t");
}
