/*
 * The line discipline: what happens between the wire and a program.
 *
 * Positions tail <= canon_head <= head run freely; index = position % size.
 * In canonical mode [tail, canon_head) holds complete lines and
 * [canon_head, head) the line being typed.  Invariants: 1. head - tail <= size:
 * plain bytes leave the last place to the byte that ends a line.
 * 2. an eol bit is set only inside [tail, canon_head).  3. a VEOF is stored as
 * byte 0 with its eol bit set and is never copied to the reader.
 * Everything runs under t->lock; what must not (signals) goes to tty_effects.
 * Behaviour: termios(3), POSIX.1 chapter 11.
 */
#include <base/bitmap.h>
#include <base/string.h>
#include <core/lock.h>
#include "tty_priv.h"

#define IX(p) ((p) % TTY_BUF_SIZE)
#define DISABLED 0
enum { SIG_INT = 2, SIG_QUIT = 3, SIG_TSTP = 20 };

const struct ktermios tty_default_termios = {
	.iflag = ICRNL | IXON,
	.oflag = OPOST | ONLCR,
	.cflag = 0xbf,				/* B38400 | CS8 | CREAD */
	.lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.cc = { [VINTR] = 3, [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21, [VEOF] = 4, [VTIME] = 0, [VMIN] = 1, [VSTART] = 17,
		[VSTOP] = 19, [VSUSP] = 26, [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22 },
	.ispeed = 38400, .ospeed = 38400,
};

static bool is_cc(struct tty *t, u8 c, u32 which)
{
	return c == t->termios.cc[which] && c != DISABLED;
}

void tty_packet_tell(struct tty *t, u8 set, u8 clear)
{
	if (!t->packet)
		return;
	t->packet_flags = (t->packet_flags & ~clear) | set;
	if (t->ops->packet_event)
		t->ops->packet_event(t);
}

static void set_stopped(struct tty *t, bool stop) MUST_HOLD(&t->lock)
{
	if (t->stopped != stop)
		tty_packet_tell(t, stop ? PKT_STOP : PKT_START, stop ? PKT_START : PKT_STOP);
	t->stopped = stop;
}

/* --- output ------------------------------------------------------------ */

static void track_column(struct tty *t, u8 c)
{
	if (c == '\n' || c == '\r')
		t->column = c == '\r' || TTY_FLAG(t, oflag, ONLRET) ? 0 : t->column;
	else if (c == '\b')
		t->column -= t->column > 0;
	else if (c == '\t')
		t->column = (t->column | 7) + 1;
	else if (c >= ' ' && (c & 0xc0) != 0x80)
		t->column++;
}

/* One byte through OPOST into out[]; returns its length (0..8). */
static u32 post_process(struct tty *t, u8 c, u8 out[8])
{
	u32 of = t->termios.oflag;

	if (c == '\n' && (of & ONLCR)) {
		t->column = 0;
		out[0] = '\r';
		out[1] = '\n';
		return 2;
	}
	if (c == '\r') {
		if ((of & ONOCR) && t->column == 0)
			return 0;
		if (of & OCRNL)
			c = '\n';
	}
	if (c == '\t' && (of & TABDLY) == XTABS) {
		u32 n = 8 - (t->column & 7);

		memset(out, ' ', n);
		t->column += n;
		return n;
	}
	if (of & OLCUC && c >= 'a' && c <= 'z')
		c -= 32;
	track_column(t, c);
	out[0] = c;
	return 1;
}

u32 ldisc_output(struct tty *t, const u8 *buf, u32 n)
{
	u8 out[8];
	u32 done = 0;

	if (t->stopped)
		return 0;
	if (!TTY_FLAG(t, oflag, OPOST))
		return t->ops->write(t, buf, n);
	while (done < n) {
		u32 plain = 0;

		while (done + plain < n && buf[done + plain] >= ' ')
			plain++;
		if (plain && !TTY_FLAG(t, oflag, OLCUC)) {	/* a stretch without special bytes goes in one piece */
			u32 k = t->ops->write(t, buf + done, plain);

			t->column += k;
			done += k;
			if (k < plain)
				break;
			continue;
		}
		u32 column = t->column, k = post_process(t, buf[done], out);

		if (t->ops->room(t) < k) {
			t->column = column;
			break;
		}
		t->ops->write(t, out, k);
		done++;
	}
	return done;
}

/* Echo goes straight out while the driver has room, else it waits in t->echo (full: dropped, as on Linux). */
void ldisc_echo_flush(struct tty *t)
{
	while (t->echo_tail != t->echo_head && !t->stopped) {
		u8 c = t->echo[t->echo_tail % TTY_ECHO_SIZE];

		if (t->ops->room(t) < 8 || ldisc_output(t, &c, 1) != 1)
			return;
		t->echo_tail++;
	}
}

static void echo_raw(struct tty *t, u8 c)
{
	if (t->echo_head - t->echo_tail < TTY_ECHO_SIZE)
		t->echo[t->echo_head++ % TTY_ECHO_SIZE] = c;
}

static void echo_text(struct tty *t, const char *s)
{
	while (*s)
		echo_raw(t, (u8)*s++);
}

static bool shown_as_caret(struct tty *t, u8 c)
{
	return TTY_FLAG(t, lflag, ECHOCTL) && (c < ' ' || c == 127) && c != '\t' && c != '\n';
}

static void echo_char(struct tty *t, u8 c)
{
	if (shown_as_caret(t, c)) {
		echo_raw(t, '^');
		echo_raw(t, c ^ 0x40);
	} else {
		echo_raw(t, c);
	}
}

/* --- editing ----------------------------------------------------------- */

static void push(struct tty *t, u8 c)
{
	t->buf[IX(t->head++)] = c;
}

static void end_print_erase(struct tty *t)
{
	if (t->erasing) {
		echo_raw(t, '/');
		t->erasing = false;
	}
}

/* Screen columns of the line being typed, from its start to position upto. */
static u32 line_columns(struct tty *t, u32 upto)
{
	u32 col = t->erase_col;

	for (u32 p = t->canon_head; p != upto; p++) {
		u8 c = t->buf[IX(p)];

		if (c == '\t')
			col = (col | 7) + 1;
		else if (shown_as_caret(t, c))
			col += 2;
		else if (c >= ' ' && !(TTY_FLAG(t, iflag, IUTF8) && (c & 0xc0) == 0x80))
			col++;
	}
	return col;
}

static void erase_on_screen(struct tty *t, u8 c, u32 old_head)
{
	if (!TTY_FLAG(t, lflag, ECHO))
		return;
	if (TTY_FLAG(t, lflag, ECHOPRT)) {
		if (!t->erasing)
			echo_raw(t, '\\');
		t->erasing = true;
		echo_char(t, c);
	} else if (!TTY_FLAG(t, lflag, ECHOE)) {
		echo_char(t, t->termios.cc[VERASE]);
	} else {
		u32 from = line_columns(t, old_head), to = line_columns(t, t->head);

		for (; from > to; from--)
			echo_text(t, c == '\t' ? "\b" : "\b \b");
	}
}

/* Removes one character (all bytes of a UTF-8 one). False: the line is empty. */
static bool erase_one(struct tty *t)
{
	u32 old = t->head;
	u8 c;

	if (t->head == t->canon_head)
		return false;
	do {
		c = t->buf[IX(--t->head)];
	} while (TTY_FLAG(t, iflag, IUTF8) && (c & 0xc0) == 0x80 && t->head != t->canon_head);
	erase_on_screen(t, c, old);
	return true;
}

static bool word_char(u8 c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c >= 128;
}

static void erase_word(struct tty *t)
{
	bool seen = false;

	while (t->head != t->canon_head) {
		bool word = word_char(t->buf[IX(t->head - 1)]);

		if (seen && !word)
			break;
		seen |= word;
		erase_one(t);
	}
}

static void kill_line(struct tty *t)
{
	if (TTY_FLAG(t, lflag, ECHO) && (!TTY_FLAG(t, lflag, ECHOK) || !TTY_FLAG(t, lflag, ECHOKE) || !TTY_FLAG(t, lflag, ECHOE))) {
		t->head = t->canon_head;
		end_print_erase(t);
		echo_char(t, t->termios.cc[VKILL]);
		if (TTY_FLAG(t, lflag, ECHOK))
			echo_raw(t, '\n');
		return;
	}
	while (erase_one(t))
		;
}

static void reprint_line(struct tty *t)
{
	end_print_erase(t);
	echo_char(t, t->termios.cc[VREPRINT]);
	echo_raw(t, '\n');
	for (u32 p = t->canon_head; p != t->head; p++)
		echo_char(t, t->buf[IX(p)]);
}

/* --- input ------------------------------------------------------------- */

static void complete_line(struct tty *t, u8 c)
{
	bitmap_set(t->eol, IX(t->head));
	push(t, c);
	t->canon_head = t->head;
}

static bool full(struct tty *t)
{
	return t->head - t->tail >= TTY_BUF_SIZE - 1;
}

static void signal_char(struct tty *t, u32 sig, u8 c, struct tty_effects *fx) MUST_HOLD(&t->lock)
{
	if (!TTY_FLAG(t, lflag, NOFLSH)) {
		ldisc_flush_input(t);
		t->echo_tail = t->echo_head;
		tty_packet_tell(t, PKT_FLUSHREAD | PKT_FLUSHWRITE, 0);
	}
	set_stopped(t, false);
	if (TTY_FLAG(t, lflag, ECHO))
		echo_char(t, c);
	fx->pgrp = t->pgrp;
	for (u32 i = 0; i < fx->nsignals; i++)
		if (fx->signals[i] == sig)
			return;			/* pending twice is pending once */
	fx->signals[fx->nsignals++] = sig;
}

/* Start and stop characters, signals: true when c is used up. */
static bool receive_control(struct tty *t, u8 c, struct tty_effects *fx) MUST_HOLD(&t->lock)
{
	if (TTY_FLAG(t, iflag, IXON)) {
		if (is_cc(t, c, VSTART)) {
			set_stopped(t, false);
			return true;
		}
		if (is_cc(t, c, VSTOP)) {
			set_stopped(t, true);
			return true;
		}
		if (t->stopped && TTY_FLAG(t, iflag, IXANY))
			set_stopped(t, false);
	}
	if (!TTY_FLAG(t, lflag, ISIG))
		return false;
	u32 sig = is_cc(t, c, VINTR) ? SIG_INT : is_cc(t, c, VQUIT) ? SIG_QUIT : is_cc(t, c, VSUSP) ? SIG_TSTP : 0;

	if (sig)
		signal_char(t, sig, c, fx);
	return sig;
}

/* Canonical editing characters: true when c is used up. */
static bool receive_edit(struct tty *t, u8 c)
{
	bool ext = TTY_FLAG(t, lflag, IEXTEN);

	if (is_cc(t, c, VERASE)) {
		erase_one(t);
	} else if (is_cc(t, c, VKILL)) {
		kill_line(t);
	} else if (ext && is_cc(t, c, VWERASE)) {
		erase_word(t);
	} else if (ext && is_cc(t, c, VLNEXT)) {
		t->lnext = true;
		if (TTY_FLAG(t, lflag, ECHO) && TTY_FLAG(t, lflag, ECHOCTL))
			echo_text(t, "^\b");
	} else if (ext && TTY_FLAG(t, lflag, ECHO) && is_cc(t, c, VREPRINT)) {
		reprint_line(t);
	} else if (c == '\n' || is_cc(t, c, VEOL) || (ext && is_cc(t, c, VEOL2))) {
		end_print_erase(t);
		if (TTY_FLAG(t, lflag, ECHO) || (c == '\n' && TTY_FLAG(t, lflag, ECHONL)))
			echo_char(t, c);
		complete_line(t, c);
	} else if (is_cc(t, c, VEOF)) {
		complete_line(t, DISABLED);
	} else {
		return false;
	}
	return true;
}

static void receive_plain(struct tty *t, u8 c)
{
	if (full(t)) {
		if (TTY_FLAG(t, iflag, IMAXBEL))
			echo_raw(t, 7);
		return;
	}
	end_print_erase(t);
	if (TTY_FLAG(t, lflag, ECHO)) {
		if (t->head == t->canon_head)
			t->erase_col = t->column;
		echo_char(t, c);
	}
	push(t, c);
	if (!TTY_FLAG(t, lflag, ICANON))
		t->canon_head = t->head;
}

/* termios(3), BRKINT: a break is nothing, a signal, a marked or a plain zero byte. */
void ldisc_break(struct tty *t, struct tty_effects *fx)
{
	u32 in = t->termios.iflag;

	if (in & IGNBRK)
		return;
	if (in & BRKINT) {
		signal_char(t, SIG_INT, 0, fx);
		return;
	}
	if (in & PARMRK) {
		receive_plain(t, 0xff);
		receive_plain(t, 0);
	}
	receive_plain(t, 0);
}

void ldisc_receive(struct tty *t, u8 c, struct tty_effects *fx)
{
	u32 in = t->termios.iflag;

	if (in & ISTRIP)
		c &= 0x7f;
	if ((in & IUCLC) && TTY_FLAG(t, lflag, IEXTEN) && c >= 'A' && c <= 'Z')
		c |= 32;
	if (t->lnext) {
		t->lnext = false;
		receive_plain(t, c);
		return;
	}
	if (receive_control(t, c, fx))
		return;
	if (c == '\r') {
		if (in & IGNCR)
			return;
		if (in & ICRNL)
			c = '\n';
	} else if (c == '\n' && (in & INLCR)) {
		c = '\r';
	}
	if (TTY_FLAG(t, lflag, ICANON) && receive_edit(t, c))
		return;
	if (c == 0xff && (in & PARMRK))
		receive_plain(t, c);		/* doubled, so that it is not taken for a mark */
	receive_plain(t, c);
}

bool ldisc_has_room(struct tty *t)
{
	/* A line that is too long is cut, not held back: its end could never be typed otherwise. */
	if (TTY_FLAG(t, lflag, ICANON) && t->tail == t->canon_head)
		return true;
	return t->head - t->tail < TTY_BUF_SIZE - 1;
}

bool ldisc_readable(struct tty *t, u32 min)
{
	if (TTY_FLAG(t, lflag, ICANON))
		return t->tail != t->canon_head;
	return t->head - t->tail >= (min ? min : 1);
}

u32 ldisc_count(struct tty *t)
{
	if (!TTY_FLAG(t, lflag, ICANON))
		return t->head - t->tail;

	u32 n = t->canon_head - t->tail;

	for (u32 p = t->tail; p != t->canon_head; p++)
		n -= bitmap_test(t->eol, IX(p)) && t->buf[IX(p)] == DISABLED;
	return n;
}

void ldisc_flush_input(struct tty *t)
{
	t->tail = t->canon_head = t->head;
	t->lnext = t->erasing = false;
	memset(t->eol, 0, sizeof(t->eol));
}

/* Switching ICANON: what was typed becomes readable at once, or counts as lines again. */
void ldisc_termios_changed(struct tty *t, const struct ktermios *old)
{
	if ((old->lflag ^ t->termios.lflag) & ICANON) {
		memset(t->eol, 0, sizeof(t->eol));
		if (TTY_FLAG(t, lflag, ICANON) && t->head != t->tail)
			bitmap_set(t->eol, IX(t->head - 1));
		t->canon_head = t->head;
		t->lnext = false;
	}
	if (!TTY_FLAG(t, iflag, IXON))
		set_stopped(t, false);
	bool old_flow = (old->iflag & IXON) && old->cc[VSTOP] == 19 && old->cc[VSTART] == 17;
	bool new_flow = TTY_FLAG(t, iflag, IXON) && t->termios.cc[VSTOP] == 19 && t->termios.cc[VSTART] == 17;

	if (old_flow != new_flow)
		tty_packet_tell(t, new_flow ? PKT_DOSTOP : PKT_NOSTOP, new_flow ? PKT_NOSTOP : PKT_DOSTOP);
}
