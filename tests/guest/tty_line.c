/* The line discipline, on a pty: canonical and raw input, echo, output processing, special keys. */
#include "tap.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int m, s;
static struct termios t;

/* Open a pair; settings of the slave as a fresh one, then changed by the masks. */
static void set_up(unsigned i_on, unsigned i_off, unsigned l_on, unsigned l_off)
{
	tap_must(openpty(&m, &s, NULL, NULL, NULL));
	tap_must(tcgetattr(s, &t));
	t.c_iflag = (t.c_iflag | i_on) & ~i_off;
	t.c_lflag = (t.c_lflag | l_on) & ~l_off;
	tap_must(tcsetattr(s, TCSANOW, &t));
	tap_must(fcntl(m, F_SETFL, O_NONBLOCK));
	tap_must(fcntl(s, F_SETFL, O_NONBLOCK | O_RDWR));
}

/*
 * The other side sees what was written "soon": Linux hands it on in the background.
 * Read until the whole text has come or it can no longer come.
 */
static void expect_at(int fd, const char *want, int line)
{
	char buf[512];
	size_t have = 0, n = strlen(want);
	struct pollfd p = { fd, POLLIN, 0 };
	ssize_t r;

	while (have < n && poll(&p, 1, 5000) == 1) {
		r = read(fd, buf + have, sizeof(buf) - 1 - have);
		if (r <= 0)
			break;
		have += r;
	}
	buf[have] = 0;
	tap_check(have == n && memcmp(buf, want, n) == 0, "tty_line.c", line,
		  "expected %zu bytes \"%s\", got %zu \"%s\"", n, want, have, buf);
}
#define expect(fd, want) expect_at(fd, want, __LINE__)

static void expect_read_at(const char *want, int line)
{
	char buf[512];
	struct pollfd p = { s, POLLIN, 0 };
	ssize_t n;

	poll(&p, 1, 5000);
	n = read(s, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	tap_check(n == (ssize_t)strlen(want) && memcmp(buf, want, n) == 0, "tty_line.c", line,
		  "expected one read of \"%s\", got %zd \"%s\" errno %d", want, n, buf, errno);
}
#define expect_read(want) expect_read_at(want, __LINE__)

static void nothing(int fd)
{
	char c;

	tap_err(read(fd, &c, 1), EAGAIN);
}

static void type(const char *keys)
{
	tap_eq(write(m, keys, strlen(keys)), (long)strlen(keys));
}

static void fresh_settings(void)
{
	tap_must(openpty(&m, &s, NULL, NULL, NULL));
	tap_must(tcgetattr(s, &t));
	tap_eq(t.c_iflag, ICRNL | IXON);
	tap_eq(t.c_oflag, OPOST | ONLCR);
	tap_eq(t.c_cflag & ~CBAUD, CS8 | CREAD);
	tap_eq(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
	tap_eq(t.c_cc[VINTR], 3);
	tap_eq(t.c_cc[VQUIT], 28);
	tap_eq(t.c_cc[VERASE], 127);
	tap_eq(t.c_cc[VKILL], 21);
	tap_eq(t.c_cc[VEOF], 4);
	tap_eq(t.c_cc[VSUSP], 26);
	tap_eq(t.c_cc[VSTART], 17);
	tap_eq(t.c_cc[VSTOP], 19);
	tap_eq(t.c_cc[VWERASE], 23);
	tap_eq(t.c_cc[VLNEXT], 22);
	tap_eq(t.c_cc[VMIN], 1);
	tap_eq(t.c_cc[VTIME], 0);
	tap_eq(cfgetospeed(&t), B38400);
	tap_eq(isatty(s), 1);
}

static void canonical_input_comes_in_lines(void)
{
	char buf[8];

	set_up(0, 0, 0, ECHO);
	type("hel");
	nothing(s);
	type("lo\nnext\n");
	expect_read("hello\n");
	tap_eq(read(s, buf, 2), 2);			/* a line may be read in parts */
	tap_eq(memcmp(buf, "ne", 2), 0);
	expect_read("xt\n");
	nothing(s);
}

static void erase_kill_and_word_erase(void)
{
	set_up(0, 0, 0, ECHO);
	type("abx\177c\n");
	expect_read("abc\n");
	type("wrong line\025right\n");
	expect_read("right\n");
	type("one two  \027three\n");
	expect_read("one three\n");
	type("\177\177\177x\n");			/* nothing to erase */
	expect_read("x\n");
}

static void end_of_file_character(void)
{
	char c;

	set_up(0, 0, 0, ECHO);
	type("partial\004");
	expect_read("partial");				/* pushed without a newline */
	type("\004");
	struct pollfd p = { s, POLLIN, 0 };
	tap_eq(poll(&p, 1, 5000), 1);
	tap_eq(read(s, &c, 1), 0);			/* an empty line: end of file */
	nothing(s);
	type("go on\n");
	expect_read("go on\n");
}

static void literal_next(void)
{
	set_up(0, 0, 0, ECHO);
	type("a\026\003b\026\004\026\177\n");
	expect_read("a\003b\004\177\n");
}

static void eol_characters_end_lines(void)
{
	set_up(0, 0, 0, ECHO);
	t.c_cc[VEOL] = ';';
	tap_must(tcsetattr(s, TCSANOW, &t));
	type("a;b\n");
	expect_read("a;");
	expect_read("b\n");
}

static void carriage_return_and_newline_mapping(void)
{
	set_up(0, 0, 0, ECHO);
	type("x\r");
	expect_read("x\n");
	set_up(INLCR, ICRNL, 0, ECHO | ICANON);
	type("a\nb\r");
	expect(s, "a\rb\r");
	set_up(IGNCR, ICRNL, 0, ECHO | ICANON);
	type("a\rb");
	expect(s, "ab");
	set_up(ISTRIP, 0, 0, ECHO | ICANON);
	type("\xe1\xe2");
	expect(s, "ab");
	set_up(IUCLC, 0, 0, ECHO | ICANON);
	type("ABC");
	expect(s, "abc");
}

static void echo_shows_what_is_typed(void)
{
	set_up(0, 0, 0, 0);
	type("ab\n");
	expect(m, "ab\r\n");
	type("x\177");
	expect(m, "x\b \b");
	type("\001");
	expect(m, "^A");
	type("\n");
	expect(m, "\r\n");
	type("abc\025");
	expect(m, "abc\b \b\b \b\b \b");		/* ECHOKE wipes the line */
	set_up(0, 0, 0, ECHOKE);
	type("abc\025");
	expect(m, "abc^U\r\n");
	set_up(0, 0, 0, ECHO | ECHONL);
	type("ab\n");
	expect_read("ab\n");
	nothing(m);
	set_up(0, 0, ECHONL, ECHO);
	type("ab\n");
	expect(m, "\r\n");
	set_up(0, 0, 0, ECHOCTL);
	type("\001");
	expect(m, "\001");
}

static void output_processing(void)
{
	set_up(0, 0, 0, 0);
	tap_eq(write(s, "a\nb\n", 4), 4);
	expect(m, "a\r\nb\r\n");
	t.c_oflag = 0;
	tap_must(tcsetattr(s, TCSANOW, &t));
	tap_eq(write(s, "a\nb\n", 4), 4);
	expect(m, "a\nb\n");
	t.c_oflag = OPOST | OCRNL;
	tap_must(tcsetattr(s, TCSANOW, &t));
	tap_eq(write(s, "a\rb", 3), 3);
	expect(m, "a\nb");
	t.c_oflag = OPOST | OLCUC;
	tap_must(tcsetattr(s, TCSANOW, &t));
	tap_eq(write(s, "abc", 3), 3);
	expect(m, "ABC");
	t.c_oflag = OPOST | ONLRET | TAB3;
	tap_must(tcsetattr(s, TCSANOW, &t));
	tap_eq(write(s, "\n", 1), 1);
	tap_eq(write(s, "a\tb", 3), 3);
	expect(m, "\na       b");
}

static void raw_input_comes_at_once(void)
{
	tap_must(openpty(&m, &s, NULL, NULL, NULL));
	tap_must(tcgetattr(s, &t));
	cfmakeraw(&t);
	tap_must(tcsetattr(s, TCSANOW, &t));
	tap_must(fcntl(s, F_SETFL, O_NONBLOCK | O_RDWR));
	type("\003\004\032\r\n\177\xff");
	expect(s, "\003\004\032\r\n\177\xff");
	tap_must(fcntl(m, F_SETFL, O_NONBLOCK));
	nothing(m);					/* no echo */
}

static void set_raw(int min, int time)
{
	tap_must(openpty(&m, &s, NULL, NULL, NULL));
	tap_must(tcgetattr(s, &t));
	cfmakeraw(&t);
	t.c_cc[VMIN] = min;
	t.c_cc[VTIME] = time;
	tap_must(tcsetattr(s, TCSANOW, &t));
}

static void vmin_waits_for_so_many(void)
{
	char buf[16];

	set_raw(4, 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(s, buf, 16), 4);
		tap_leave();
	}
	type("ab");
	tap_await_state(kid, 'S');
	tap_eq(waitpid(kid, NULL, WNOHANG), 0);
	type("cd");
	tap_join(kid);
	type("xyz");
	tap_eq(read(s, buf, 2), 2);			/* a smaller buffer is enough */
}

static void vtime_limits_the_wait(void)
{
	char buf[16];
	long a = tap_msec();

	set_raw(0, 2);
	tap_eq(read(s, buf, 16), 0);			/* two tenths, nothing came */
	tap_ok(tap_msec() - a >= 190);
	type("ab");
	tap_eq(read(s, buf, 16), 2);
	set_raw(0, 0);
	tap_eq(read(s, buf, 16), 0);			/* a pure poll */
	set_raw(5, 1);
	type("abc");
	a = tap_msec();
	tap_eq(read(s, buf, 16), 3);			/* silence between bytes ends it */
	tap_ok(tap_msec() - a >= 90);
}

static void poll_and_fionread(void)
{
	struct pollfd p;
	int n = -1;

	set_up(0, 0, 0, ECHO);
	p = (struct pollfd){ s, POLLIN | POLLOUT, 0 };
	type("abc");
	tap_eq(poll(&p, 1, 0), 1);
	tap_eq(p.revents, POLLOUT);
	type("\n");
	p.events = POLLIN;
	tap_eq(poll(&p, 1, 5000), 1);
	tap_must(ioctl(s, FIONREAD, &n));
	tap_eq(n, 4);
	tap_must(ioctl(m, TIOCOUTQ, &n));
	tap_eq(n, 0);
}

static void flushing(void)
{
	struct pollfd p;

	set_up(0, 0, 0, ECHO);
	type("line\n");
	p = (struct pollfd){ s, POLLIN, 0 };
	tap_eq(poll(&p, 1, 5000), 1);
	tap_must(tcflush(s, TCIFLUSH));
	nothing(s);
	type("line\n");
	tap_eq(poll(&p, 1, 5000), 1);
	tap_must(tcsetattr(s, TCSAFLUSH, &t));
	nothing(s);
	tap_err(syscall(SYS_ioctl, s, TCFLSH, 9), EINVAL);
	tap_must(tcdrain(s));
	type("kept\n");
	tap_eq(poll(&p, 1, 5000), 1);
	tap_must(tcsetattr(s, TCSADRAIN, &t));
	expect_read("kept\n");
}

static void stop_and_start_output(void)
{
	set_up(0, 0, 0, ECHO);
	type("\023");					/* takes effect in the background */
	while (write(s, "", 0) == 0 && write(s, "x", 1) == 1)
		usleep(1000);
	tap_eq(errno, EAGAIN);
	type("\021");
	while (write(s, "!", 1) != 1)
		usleep(1000);
	for (char c = 0; c != '!';)
		if (read(m, &c, 1) < 0)
			usleep(1000);
	tap_must(tcflow(s, TCOOFF));
	tap_err(write(s, "b", 1), EAGAIN);
	tap_must(tcflow(s, TCOON));
	tap_eq(write(s, "b", 1), 1);
	expect(m, "b");
}

static void switching_to_raw_frees_a_partial_line(void)
{
	struct pollfd p;

	set_up(0, 0, 0, ECHO);
	type("partial");
	p = (struct pollfd){ s, POLLIN, 0 };
	tap_eq(poll(&p, 1, 50), 0);
	t.c_lflag &= ~ICANON;
	tap_must(tcsetattr(s, TCSANOW, &t));
	expect(s, "partial");
}

static void a_very_long_line_is_cut(void)
{
	static char text[8192], buf[8192];
	struct pollfd p;
	size_t have = 0;

	set_up(0, 0, 0, ECHO);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 20; i++)			/* the writer may have to wait for room */
		write(m, text, 400);
	p = (struct pollfd){ s, POLLIN, 0 };
	poll(&p, 1, 50);
	while (write(m, "\n", 1) != 1)
		usleep(1000);
	tap_eq(poll(&p, 1, 5000), 1);
	for (ssize_t n; (n = read(s, buf + have, sizeof(buf) - have)) > 0;)
		have += n;
	tap_eq(have, 4096);				/* 4095 and the newline */
	tap_eq(buf[4095], '\n');
}

static void ioctl_errors(void)
{
	struct winsize ws;

	set_up(0, 0, 0, 0);
	tap_efault_each(p, ioctl(s, TCGETS, p));
	tap_efault_each(p, ioctl(s, TCSETS, p));
	tap_efault_each(p, ioctl(s, TIOCGWINSZ, p));
	tap_efault_each(p, ioctl(s, TIOCSWINSZ, p));
	tap_err(ioctl(s, 0x5499, &ws), ENOTTY);
	int f = tap_file("f", "");
	tap_err(tcgetattr(f, &t), ENOTTY);
	tap_eq(isatty(f), 0);
}

static void sti_types_for_the_user(void)
{
	struct pollfd p;

	set_up(0, 0, 0, ECHO);
	tap_must(ioctl(s, TIOCSTI, "q"));
	tap_must(ioctl(s, TIOCSTI, "\n"));
	p = (struct pollfd){ s, POLLIN, 0 };
	tap_eq(poll(&p, 1, 5000), 1);
	expect_read("q\n");
}

static void a_blocked_read_is_interrupted(void)
{
	char c;

	set_raw(1, 0);
	tap_ticker(tap_tick, 0);
	tap_err(read(s, &c, 1), EINTR);
	tap_ticker_stop();
}

TAP_MAIN(
	CASE(fresh_settings),
	CASE(canonical_input_comes_in_lines),
	CASE(erase_kill_and_word_erase),
	CASE(end_of_file_character),
	CASE(literal_next),
	CASE(eol_characters_end_lines),
	CASE(carriage_return_and_newline_mapping),
	CASE(echo_shows_what_is_typed),
	CASE(output_processing),
	CASE(raw_input_comes_at_once),
	CASE(vmin_waits_for_so_many),
	CASE(vtime_limits_the_wait),
	CASE(poll_and_fionread),
	CASE(flushing),
	CASE(stop_and_start_output),
	CASE(switching_to_raw_frees_a_partial_line),
	CASE(a_very_long_line_is_cut),
	CASE(ioctl_errors),
	CASE(sti_types_for_the_user),
	CASE(a_blocked_read_is_interrupted),
)
