/* Pipes and FIFOs: order, atomicity, capacity, ends, packets, blocking and not. */
#include "tap.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

static int fd[2];
static char big[300000], back[300000];

static void open_pipe(int flags)
{
	tap_must(pipe2(fd, flags));
}

static int fill(void)
{
	int n = 0, r;

	fcntl(fd[1], F_SETFL, fcntl(fd[1], F_GETFL) | O_NONBLOCK);
	while ((r = write(fd[1], big, 4096)) > 0)
		n += r;
	tap_eq(errno, EAGAIN);
	return n;
}

static void creation(void)
{
	int bad[2] = { -5, -5 };
	struct stat a, b;

	open_pipe(O_CLOEXEC | O_NONBLOCK);
	tap_eq(fcntl(fd[0], F_GETFD), FD_CLOEXEC);
	tap_eq(fcntl(fd[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	tap_eq(fcntl(fd[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	tap_must(fstat(fd[0], &a));
	tap_must(fstat(fd[1], &b));
	tap_eq(a.st_ino, b.st_ino);
	tap_ok(S_ISFIFO(a.st_mode));
	tap_err(pipe2(bad, O_APPEND), EINVAL);
	tap_eq(bad[0], -5);
	tap_efault_each(p, syscall(SYS_pipe, p));
	tap_efault_each(p, syscall(SYS_pipe2, p, 0));
	tap_eq(open("/dev/null", O_RDONLY), fd[1] + 1);	/* failures leaked nothing */
}

static void wrong_ends(void)
{
	char c;

	open_pipe(0);
	tap_err(write(fd[0], "x", 1), EBADF);
	tap_err(read(fd[1], &c, 1), EBADF);
}

static void bytes_keep_their_order_and_not_their_bounds(void)
{
	char buf[16] = "";

	open_pipe(0);
	write(fd[1], "ab", 2);
	write(fd[1], "cd", 2);
	tap_eq(read(fd[0], buf, 3), 3);
	tap_eq(read(fd[0], buf + 3, 10), 1);
	tap_str(buf, "abcd");
}

static void end_of_file_and_broken_pipe(void)
{
	char c;

	open_pipe(0);
	write(fd[1], "x", 1);
	close(fd[1]);
	tap_eq(read(fd[0], &c, 1), 1);
	tap_eq(read(fd[0], &c, 1), 0);
	tap_eq(read(fd[0], &c, 1), 0);
	open_pipe(0);
	close(fd[0]);
	signal(SIGPIPE, tap_tick);
	tap_err(write(fd[1], "x", 1), EPIPE);
	tap_eq(tap_ticks, 1);
	signal(SIGPIPE, SIG_IGN);
	tap_err(write(fd[1], "x", 1), EPIPE);
	tap_eq(write(fd[1], "", 0), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		signal(SIGPIPE, SIG_DFL);
		write(fd[1], "x", 1);
		_exit(0);
	}
	tap_killed(kid, SIGPIPE);
}

static void a_waiting_writer_learns_that_the_reader_left(void)
{
	open_pipe(0);
	fill();
	pid_t kid = tap_fork();
	if (kid == 0) {
		signal(SIGPIPE, SIG_IGN);
		close(fd[0]);
		fcntl(fd[1], F_SETFL, 0);
		tap_err(write(fd[1], "x", 1), EPIPE);
		tap_leave();
	}
	close(fd[1]);
	tap_await_state(kid, 'S');
	close(fd[0]);
	tap_join(kid);
}

static void capacity_is_64k(void)
{
	int n;

	open_pipe(0);
	tap_eq(fcntl(fd[0], F_GETPIPE_SZ), 65536);
	tap_eq(fill(), 65536);
	tap_must(ioctl(fd[0], FIONREAD, &n));
	tap_eq(n, 65536);
	tap_eq(read(fd[0], back, 4096), 4096);
	tap_eq(write(fd[1], "x", 1), 1);		/* a page came free */
}

static void small_writes_share_pages(void)
{
	int n = 0;

	open_pipe(O_NONBLOCK);
	while (write(fd[1], "x", 1) == 1)
		n++;
	tap_eq(n, 65536);
}

static void capacity_can_change(void)
{
	open_pipe(0);
	tap_eq(fcntl(fd[1], F_SETPIPE_SZ, 10000), 16384);	/* rounded up */
	tap_eq(fcntl(fd[0], F_GETPIPE_SZ), 16384);
	tap_eq(fill(), 16384);
	tap_err(fcntl(fd[1], F_SETPIPE_SZ, 4096), EBUSY);
	tap_eq(fcntl(fd[1], F_SETPIPE_SZ, 1 << 20), 1 << 20);
	tap_eq(fill(), (1 << 20) - 16384);
	tap_eq(read(fd[0], back, 1), 1);
	tap_err(fcntl(fd[1], F_SETPIPE_SZ, 0x80000001), EINVAL);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(fcntl(fd[1], F_SETPIPE_SZ, 2 << 20), EPERM);
		tap_leave();
	}
	tap_join(kid);
}

static void writes_up_to_pipe_buf_are_whole(void)
{
	enum { KIDS = 4, N = 60 };
	pid_t kid[KIDS];
	int count[KIDS] = { 0 };

	open_pipe(0);
	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			memset(big, 'a' + k, 4096);
			for (int i = 0; i < N; i++)
				tap_eq(write(fd[1], big, 4096), 4096);
			tap_leave();
		}
	}
	close(fd[1]);
	for (;;) {
		size_t have = 0;
		ssize_t n;

		while (have < 4096 && (n = read(fd[0], back + have, 4096 - have)) > 0)
			have += n;
		if (have == 0)
			break;
		tap_need(have == 4096);
		for (int i = 1; i < 4096; i++)
			tap_need(back[i] == back[0]);
		count[back[0] - 'a']++;
	}
	for (int k = 0; k < KIDS; k++) {
		tap_join(kid[k]);
		tap_eq(count[k], N);
	}
}

static void nonblocking_writes_are_whole_or_partial(void)
{
	open_pipe(O_NONBLOCK);
	/* more than PIPE_BUF: as much as fits; at most PIPE_BUF: all or nothing */
	tap_eq(write(fd[1], big, 70000), 65536);
	tap_err(write(fd[1], big, 1), EAGAIN);
	tap_err(write(fd[1], big, 5000), EAGAIN);
	tap_eq(read(fd[0], back, 4096), 4096);
	tap_eq(write(fd[1], big, 5000), 4096);
	tap_eq(read(fd[0], back, 65536), 65536);
	tap_err(read(fd[0], back, 1), EAGAIN);
}

static void a_long_write_is_delivered_whole(void)
{
	open_pipe(0);
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = i * 31 + (i >> 8);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(write(fd[1], big, sizeof(big)), (long)sizeof(big));
		tap_leave();
	}
	close(fd[1]);
	size_t have = 0;
	for (ssize_t n; (n = read(fd[0], back + have, sizeof(back) - have)) > 0;)
		have += n;
	tap_eq(have, sizeof(big));
	tap_eq(memcmp(big, back, sizeof(big)), 0);
	tap_join(kid);
}

static void packet_mode(void)
{
	open_pipe(O_DIRECT);
	write(fd[1], "one", 3);
	write(fd[1], "three", 5);
	tap_eq(read(fd[0], back, 100), 3);
	tap_eq(read(fd[0], back, 2), 2);		/* the rest of the packet is lost */
	write(fd[1], "x", 1);
	tap_eq(read(fd[0], back, 100), 1);
	tap_eq(back[0], 'x');
}

static void bad_buffers(void)
{
	char *edge = tap_page_edge(3);

	open_pipe(O_NONBLOCK);
	tap_efault_each(p, write(fd[1], p, 5));
	tap_err(read(fd[0], back, 1), EAGAIN);		/* nothing got in */
	write(fd[1], "abcdef", 6);
	tap_err(read(fd[0], tap_page_none(), 6), EFAULT);
	tap_eq(read(fd[0], back, 6), 6);		/* nothing was lost */
	memcpy(edge, "xyz", 3);
	long n = write(fd[1], edge, 6);
	tap_ok(n == 3 || (n == -1 && errno == EFAULT));
}

static void poll_states(void)
{
	struct pollfd p[2];

	open_pipe(0);
	p[0] = (struct pollfd){ fd[0], POLLIN | POLLOUT, 0 };
	p[1] = (struct pollfd){ fd[1], POLLIN | POLLOUT, 0 };
	tap_eq(poll(p, 2, 0), 1);
	tap_eq(p[0].revents, 0);
	tap_eq(p[1].revents, POLLOUT);
	write(fd[1], "x", 1);
	tap_eq(poll(p, 2, 0), 2);
	tap_eq(p[0].revents, POLLIN);
	fill();
	tap_eq(poll(p, 2, 0), 1);
	tap_eq(p[1].revents, 0);
	close(fd[1]);
	tap_eq(poll(p, 1, 0), 1);
	tap_eq(p[0].revents, POLLIN | POLLHUP);
	while (read(fd[0], back, 65536) > 0)
		;
	tap_eq(poll(p, 1, 0), 1);
	tap_eq(p[0].revents, POLLHUP);
	open_pipe(0);
	close(fd[0]);
	p[1].fd = fd[1];
	tap_eq(poll(p + 1, 1, 0), 1);
	tap_eq(p[1].revents, POLLOUT | POLLERR);
}

static void ping_pong(void)
{
	int there[2], again[2];

	tap_must(pipe(there));
	tap_must(pipe(again));
	pid_t kid = tap_fork();
	if (kid == 0) {
		int v;

		while (close(there[1]), read(there[0], &v, 4) == 4) {
			v++;
			write(again[1], &v, 4);
			if (v > 2000)
				break;
		}
		tap_leave();
	}
	int v = 0;
	while (v <= 2000) {
		write(there[1], &v, 4);
		tap_need(read(again[0], &v, 4) == 4);
	}
	tap_eq(v, 2001);
	tap_join(kid);
}

static void hundreds_of_pipes(void)
{
	enum { N = 200 };
	int p[N][2];

	for (int i = 0; i < N; i++)
		tap_must(pipe(p[i]));
	for (int i = 0; i < N; i++)
		tap_need(write(p[i][1], &i, 4) == 4);
	for (int i = N - 1; i >= 0; i--) {
		int v = -1;

		tap_need(read(p[i][0], &v, 4) == 4 && v == i);
		close(p[i][0]);
		close(p[i][1]);
	}
}

/* -- FIFOs -- */

static void a_fifo_joins_strangers(void)
{
	char buf[16] = "";

	tap_must(mkfifo("p", 0600));
	pid_t kid = tap_fork();
	if (kid == 0) {
		int w = tap_must(open("p", O_WRONLY));	/* waits for the reader */

		tap_eq(write(w, "through", 7), 7);
		tap_leave();
	}
	int r = tap_must(open("p", O_RDONLY));
	tap_eq(read(r, buf, 16), 7);
	tap_str(buf, "through");
	tap_eq(read(r, buf, 16), 0);
	tap_join(kid);
}

static void fifo_opening_without_waiting(void)
{
	char c;

	tap_must(mkfifo("p", 0600));
	tap_err(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	int r = tap_must(open("p", O_RDONLY | O_NONBLOCK));
	tap_eq(read(r, &c, 1), 0);			/* no writer: end of file */
	int w = tap_must(open("p", O_WRONLY | O_NONBLOCK));
	tap_err(read(r, &c, 1), EAGAIN);
	write(w, "x", 1);
	close(w);
	tap_eq(read(r, &c, 1), 1);
	tap_eq(read(r, &c, 1), 0);
	w = tap_must(open("p", O_WRONLY));		/* and it can begin again */
	write(w, "y", 1);
	tap_eq(read(r, &c, 1), 1);
	int both = tap_must(open("p", O_RDWR));
	write(both, "z", 1);
	tap_eq(read(both, &c, 1), 1);
	tap_eq(c, 'z');
}

static void fifo_data_dies_with_its_users(void)
{
	char c;

	tap_must(mkfifo("p", 0600));
	int both = tap_must(open("p", O_RDWR));
	write(both, "gone", 4);
	close(both);
	both = tap_must(open("p", O_RDWR | O_NONBLOCK));
	tap_err(read(both, &c, 1), EAGAIN);
	struct stat st;
	tap_must(stat("p", &st));
	tap_eq(st.st_size, 0);
}

static void an_unlinked_fifo_works_on(void)
{
	char c;

	tap_must(mkfifo("p", 0600));
	int both = tap_must(open("p", O_RDWR));
	tap_must(unlink("p"));
	write(both, "x", 1);
	tap_eq(read(both, &c, 1), 1);
	tap_err(open("p", O_RDWR), ENOENT);
}

TAP_MAIN(
	CASE(creation),
	CASE(wrong_ends),
	CASE(bytes_keep_their_order_and_not_their_bounds),
	CASE(end_of_file_and_broken_pipe),
	CASE(a_waiting_writer_learns_that_the_reader_left),
	CASE(capacity_is_64k),
	CASE(small_writes_share_pages),
	CASE(capacity_can_change),
	CASE(writes_up_to_pipe_buf_are_whole),
	CASE(nonblocking_writes_are_whole_or_partial),
	CASE(a_long_write_is_delivered_whole),
	CASE(packet_mode),
	CASE(bad_buffers),
	CASE(poll_states),
	CASE(ping_pong),
	CASE(hundreds_of_pipes),
	CASE(a_fifo_joins_strangers),
	CASE(fifo_opening_without_waiting),
	CASE(fifo_data_dies_with_its_users),
	CASE(an_unlinked_fifo_works_on),
)
