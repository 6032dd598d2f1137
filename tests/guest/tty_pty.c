/* Pseudo-terminals: ptmx, locking, names, hang-up, packet mode, window size and its signal. */
#include "tap.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static int master(void)
{
	return tap_must(open("/dev/ptmx", O_RDWR | O_NOCTTY));
}

static int slave(int m)
{
	char name[64];
	int n = -1, zero = 0;

	tap_must(ioctl(m, TIOCGPTN, &n));
	tap_must(ioctl(m, TIOCSPTLCK, &zero));
	snprintf(name, sizeof(name), "/dev/pts/%d", n);
	return tap_must(open(name, O_RDWR | O_NOCTTY));
}

static void a_new_pair_is_locked(void)
{
	char name[64];
	int m = master(), n, lock = -1;
	struct stat st;

	tap_must(ioctl(m, TIOCGPTN, &n));
	snprintf(name, sizeof(name), "/dev/pts/%d", n);
	tap_must(stat(name, &st));
	tap_ok(S_ISCHR(st.st_mode));
	tap_eq(major(st.st_rdev), 136);
	tap_eq(minor(st.st_rdev), n);
	tap_must(ioctl(m, TIOCGPTLCK, &lock));
	tap_eq(lock, 1);
	tap_err(open(name, O_RDWR | O_NOCTTY), EIO);
	lock = 0;
	tap_must(ioctl(m, TIOCSPTLCK, &lock));
	tap_must(open(name, O_RDWR | O_NOCTTY));
	close(m);
	tap_err(stat(name, &st), ENOENT);		/* gone with its master */
}

static void each_open_is_another_pair(void)
{
	int a = master(), b = master(), na, nb;

	tap_must(ioctl(a, TIOCGPTN, &na));
	tap_must(ioctl(b, TIOCGPTN, &nb));
	tap_ok(na != nb);
	close(a);
	int c = master(), nc;
	tap_must(ioctl(c, TIOCGPTN, &nc));
	tap_eq(nc, na);					/* the lowest free number */
}

static void the_slave_can_be_opened_by_the_master(void)
{
	int m = master(), zero = 0;

	tap_must(ioctl(m, TIOCSPTLCK, &zero));
	int s = tap_must(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	tap_eq(isatty(s), 1);
	tap_eq(write(s, "x", 1), 1);
	char c;
	tap_eq(read(m, &c, 1), 1);
}

static void data_goes_both_ways(void)
{
	char buf[16] = "";
	int m = master(), s = slave(m);

	tap_eq(write(s, "out", 3), 3);
	tap_eq(read(m, buf, 16), 3);
	tap_eq(memcmp(buf, "out", 3), 0);
	tap_eq(write(m, "in\n", 3), 3);
	tap_eq(read(s, buf, 16), 3);
	tap_eq(memcmp(buf, "in\n", 3), 0);
}

static void a_closed_slave_is_eio_for_the_master(void)
{
	char buf[16];
	int m = master(), s = slave(m);

	tap_eq(write(s, "last", 4), 4);
	close(s);
	tap_eq(read(m, buf, 16), 4);			/* what was written first */
	tap_err(read(m, buf, 16), EIO);
	struct pollfd p = { m, POLLIN, 0 };
	tap_eq(poll(&p, 1, 0), 1);
	tap_ok(p.revents & POLLHUP);
	s = slave(m);					/* and it may come back */
	tap_eq(write(s, "again", 5), 5);
	tap_eq(read(m, buf, 16), 5);
}

static void a_closed_master_hangs_up_the_slave(void)
{
	char c;
	int m = master(), s = slave(m);

	close(m);
	tap_eq(read(s, &c, 1), 0);
	tap_err(write(s, "x", 1), EIO);
	struct pollfd p = { s, POLLIN | POLLOUT, 0 };
	tap_eq(poll(&p, 1, 0), 1);
	tap_ok(p.revents & POLLHUP);
	int n;
	tap_err(ioctl(s, FIONREAD, &n), EIO);
}

static void a_read_waiting_on_the_slave_ends_at_hangup(void)
{
	int m = master(), s = slave(m);

	pid_t kid = tap_fork();
	if (kid == 0) {
		char c;

		close(m);
		ssize_t n = read(s, &c, 1);
		/* which of the two the reader sees first is a race inside Linux */
		tap_ok(n == 0 || (n == -1 && errno == EIO));
		tap_leave();
	}
	tap_await_state(kid, 'S');
	close(m);
	tap_join(kid);
}

static void window_size(void)
{
	struct winsize ws = { 0 }, back;
	int m = master(), s = slave(m);

	tap_must(ioctl(s, TIOCGWINSZ, &back));
	tap_eq(back.ws_row + back.ws_col, 0);
	ws = (struct winsize){ 24, 80, 5, 6 };
	tap_must(ioctl(m, TIOCSWINSZ, &ws));
	tap_must(ioctl(s, TIOCGWINSZ, &back));
	tap_eq(memcmp(&ws, &back, sizeof(ws)), 0);
	tap_must(ioctl(m, TIOCGWINSZ, &back));
	tap_eq(back.ws_col, 80);
}

static void a_resize_signals_the_foreground(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct winsize ws = { 10, 20, 0, 0 };
		int m = master(), s;

		setsid();
		s = slave(m);
		tap_must(ioctl(s, TIOCSCTTY, 0));
		signal(SIGWINCH, tap_tick);
		tap_must(ioctl(m, TIOCSWINSZ, &ws));
		while (tap_ticks == 0)
			usleep(1000);
		tap_must(ioctl(m, TIOCSWINSZ, &ws));	/* the same again: no signal */
		usleep(20000);
		tap_eq(tap_ticks, 1);
		ws.ws_row = 11;
		tap_must(ioctl(s, TIOCSWINSZ, &ws));
		while (tap_ticks == 1)
			usleep(1000);
		tap_leave();
	}
	tap_join(kid);
}

static void packet_mode_reports_flushes(void)
{
	char buf[16];
	int m = master(), s = slave(m), on = 1;

	tap_must(ioctl(m, TIOCPKT, &on));
	tap_eq(write(s, "x", 1), 1);
	tap_eq(read(m, buf, 16), 2);
	tap_eq(buf[0], TIOCPKT_DATA);
	tap_eq(buf[1], 'x');
	tap_must(tcflush(s, TCIFLUSH));
	struct pollfd p = { m, POLLIN | POLLPRI, 0 };
	tap_eq(poll(&p, 1, 5000), 1);
	tap_eq(read(m, buf, 16), 1);
	tap_eq(buf[0], TIOCPKT_FLUSHREAD);
}

static void the_master_shares_the_slaves_settings(void)
{
	struct termios t;
	int m = master(), s = slave(m);

	tap_must(tcgetattr(m, &t));
	t.c_lflag &= ~ECHO;
	tap_must(tcsetattr(m, TCSANOW, &t));
	tap_must(tcgetattr(s, &t));
	tap_eq(t.c_lflag & ECHO, 0);
}

static void a_flood_is_held_back(void)
{
	static char page[4096], back[65536];
	long got = 0, n;
	int m = master(), s = slave(m);
	struct termios t;

	tap_must(tcgetattr(s, &t));
	cfmakeraw(&t);
	tap_must(tcsetattr(s, TCSANOW, &t));
	pid_t kid = tap_fork();
	if (kid == 0) {
		close(m);
		for (int i = 0; i < 50; i++) {
			memset(page, 'a' + i % 26, sizeof(page));
			for (long done = 0; done < 4096; done += n)
				n = tap_must(write(s, page + done, 4096 - done));
		}
		tap_leave();
	}
	close(s);
	while ((n = read(m, back, sizeof(back))) > 0) {
		for (long i = 0; i < n; i++, got++)
			tap_need(back[i] == 'a' + (got / 4096) % 26);
	}
	tap_eq(got, 50 * 4096);
	tap_join(kid);
}

static void excl_mode(void)
{
	char name[64];
	int m = master(), s = slave(m), n;

	tap_must(ioctl(m, TIOCGPTN, &n));
	snprintf(name, sizeof(name), "/dev/pts/%d", n);
	tap_must(ioctl(s, TIOCEXCL));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(0, 0);
		tap_must(close(tap_must(open(name, O_RDWR | O_NOCTTY))));	/* root may */
		tap_leave();
	}
	tap_join(kid);
	tap_must(ioctl(s, TIOCNXCL));
}

static void dev_tty_without_terminal(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		setsid();
		tap_err(open("/dev/tty", O_RDWR), ENXIO);
		tap_leave();
	}
	tap_join(kid);
}

TAP_MAIN(
	CASE(a_new_pair_is_locked),
	CASE(each_open_is_another_pair),
	CASE(the_slave_can_be_opened_by_the_master),
	CASE(data_goes_both_ways),
	CASE(a_closed_slave_is_eio_for_the_master),
	CASE(a_closed_master_hangs_up_the_slave),
	CASE(a_read_waiting_on_the_slave_ends_at_hangup),
	CASE(window_size),
	CASE(a_resize_signals_the_foreground),
	CASE(packet_mode_reports_flushes),
	CASE(the_master_shares_the_slaves_settings),
	CASE(a_flood_is_held_back),
	CASE(excl_mode),
	CASE(dev_tty_without_terminal),
)
