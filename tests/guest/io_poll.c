/* poll, ppoll, select, pselect6: readiness, timeouts, masks, errors. */
#include "tap.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

static int a[2], b[2];

static void pipes(void)
{
	tap_must(pipe(a));
	tap_must(pipe(b));
}

static void poll_counts_ready_descriptors(void)
{
	struct pollfd p[4];

	pipes();
	p[0] = (struct pollfd){ a[0], POLLIN, 99 };
	p[1] = (struct pollfd){ b[0], POLLIN, 99 };
	p[2] = (struct pollfd){ -1, POLLIN, 99 };
	p[3] = (struct pollfd){ 777, POLLIN, 99 };
	tap_eq(poll(p, 3, 0), 0);
	tap_eq(p[0].revents | p[1].revents | p[2].revents, 0);
	write(b[1], "x", 1);
	tap_eq(poll(p, 4, -1), 2);
	tap_eq(p[0].revents, 0);
	tap_eq(p[1].revents, POLLIN);
	tap_eq(p[2].revents, 0);
	tap_eq(p[3].revents, POLLNVAL);
}

static void poll_of_plain_files_is_always_ready(void)
{
	struct pollfd p = { tap_file("f", ""), POLLIN | POLLOUT, 0 };

	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(p.revents, POLLIN | POLLOUT);
	p.fd = tap_must(open("/dev/null", O_RDWR));
	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(p.revents, POLLIN | POLLOUT);
	p.fd = tap_must(open(".", O_RDONLY));
	tap_eq(poll(&p, 1, -1), 1);
}

static void poll_times_out(void)
{
	struct pollfd p;
	long t = tap_msec();

	pipes();
	p = (struct pollfd){ a[0], POLLIN, 0 };
	tap_eq(poll(&p, 1, 50), 0);
	tap_ok(tap_msec() - t >= 49);
	t = tap_msec();
	tap_eq(poll(NULL, 0, 30), 0);
	tap_ok(tap_msec() - t >= 29);
}

static void poll_wakes_up(void)
{
	struct pollfd p;
	pid_t parent = getpid();

	pipes();
	p = (struct pollfd){ a[0], POLLIN, 0 };
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_await_state(parent, 'S');
		write(a[1], "x", 1);
		tap_leave();
	}
	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(p.revents, POLLIN);
	tap_join(kid);
	close(a[1]);
	char c;
	read(a[0], &c, 1);
	tap_eq(poll(&p, 1, -1), 1);
	tap_eq(p.revents, POLLHUP);
}

static void poll_errors(void)
{
	struct pollfd p = { 0, POLLIN, 0 };
	struct rlimit rl = { 16, 16 };

	tap_efault_each(q, syscall(SYS_poll, q, 1, 0));
	tap_err(syscall(SYS_poll, &p, 1000000000u, 0), EINVAL);
	tap_must(setrlimit(RLIMIT_NOFILE, &rl));
	tap_err(syscall(SYS_poll, &p, 17, 0), EINVAL);
	struct timespec ts = { 0, 1000000000 };
	tap_err(syscall(SYS_ppoll, &p, 0, &ts, NULL, 8), EINVAL);
	sigset_t set;
	sigemptyset(&set);
	tap_err(syscall(SYS_ppoll, &p, 0, NULL, &set, 4), EINVAL);
	tap_efault_each(q, syscall(SYS_ppoll, &p, 0, q, NULL, 8));
	tap_efault_each(q, syscall(SYS_ppoll, &p, 0, NULL, q, 8));
}

static void ppoll_swaps_the_mask(void)
{
	sigset_t set, none;
	struct pollfd p;

	pipes();
	p = (struct pollfd){ a[0], POLLIN, 0 };
	signal(SIGUSR1, tap_tick);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	raise(SIGUSR1);
	tap_eq(ppoll(&p, 1, &(struct timespec){ 0, 0 }, NULL), 0);
	tap_eq(tap_ticks, 0);
	tap_err(ppoll(&p, 1, NULL, &none), EINTR);
	tap_eq(tap_ticks, 1);
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	tap_eq(sigismember(&now, SIGUSR1), 1);
}

static void ppoll_writes_back_the_time(void)
{
	struct timespec ts = { 30, 0 };
	struct pollfd p;

	pipes();
	write(a[1], "x", 1);
	p = (struct pollfd){ a[0], POLLIN, 0 };
	tap_eq(syscall(SYS_ppoll, &p, 1, &ts, NULL, 8), 1);
	tap_ok(ts.tv_sec <= 30 && ts.tv_sec >= 25);
}

static void select_marks_what_is_ready(void)
{
	fd_set r, w, e;
	struct timeval tv = { 0, 0 };

	pipes();
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(a[0], &r);
	FD_SET(b[0], &r);
	FD_SET(a[1], &w);
	FD_SET(a[0], &e);
	write(b[1], "x", 1);
	tap_eq(select(b[1] + 1, &r, &w, &e, &tv), 2);
	tap_ok(!FD_ISSET(a[0], &r));
	tap_ok(FD_ISSET(b[0], &r));
	tap_ok(FD_ISSET(a[1], &w));
	tap_ok(!FD_ISSET(a[0], &e));
}

static void select_ignores_descriptors_at_n_and_beyond(void)
{
	fd_set r;
	struct timeval tv = { 0, 0 };

	pipes();
	write(b[1], "x", 1);
	FD_ZERO(&r);
	FD_SET(b[0], &r);
	tap_eq(select(b[0], &r, NULL, NULL, &tv), 0);
	tap_eq(select(0, NULL, NULL, NULL, &tv), 0);
}

static void select_times_out_and_says_so(void)
{
	fd_set r;
	struct timeval tv = { 0, 40000 };
	long t = tap_msec();

	pipes();
	FD_ZERO(&r);
	FD_SET(a[0], &r);
	tap_eq(syscall(SYS_select, a[0] + 1, &r, NULL, NULL, &tv), 0);
	tap_ok(tap_msec() - t >= 39);
	tap_eq(tv.tv_sec + tv.tv_usec, 0);		/* Linux writes back the rest */
	tap_ok(!FD_ISSET(a[0], &r));
}

static void select_errors(void)
{
	fd_set r;
	struct timeval tv = { 0, 0 };

	FD_ZERO(&r);
	FD_SET(40, &r);
	tap_err(select(41, &r, NULL, NULL, &tv), EBADF);
	tap_err(syscall(SYS_select, -1, NULL, NULL, NULL, &tv), EINVAL);
	tv = (struct timeval){ -1, 0 };
	tap_err(syscall(SYS_select, 0, NULL, NULL, NULL, &tv), EINVAL);
	tv = (struct timeval){ 0, 0 };
	tap_efault_each(p, syscall(SYS_select, 10, p, NULL, NULL, &tv));
	tap_efault_each(p, syscall(SYS_select, 10, NULL, p, NULL, &tv));
	tap_efault_each(p, syscall(SYS_select, 0, NULL, NULL, NULL, p));
	struct timespec ts = { 0, -1 };
	tap_err(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &ts, NULL), EINVAL);
	tap_efault_each(p, syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, p));
}

static void pselect_swaps_the_mask(void)
{
	sigset_t set, none;

	signal(SIGUSR1, tap_tick);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	raise(SIGUSR1);
	tap_err(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
	tap_eq(tap_ticks, 1);
	tap_eq(pselect(0, NULL, NULL, NULL, &(struct timespec){ 0, 1000 }, &set), 0);
}

static void many_descriptors_at_once(void)
{
	enum { N = 150 };
	struct pollfd p[N];
	int w[N];

	for (int i = 0; i < N; i++) {
		tap_must(pipe(a));
		p[i] = (struct pollfd){ a[0], POLLIN, 0 };
		w[i] = a[1];
	}
	tap_eq(poll(p, N, 0), 0);
	for (int i = 0; i < N; i += 7)
		write(w[i], "x", 1);
	tap_eq(poll(p, N, -1), (N + 6) / 7);
	for (int i = 0; i < N; i++)
		tap_need(p[i].revents == (i % 7 ? 0 : POLLIN));
}

static void sockets_and_hangups(void)
{
	int sv[2];
	struct pollfd p;

	tap_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	p = (struct pollfd){ sv[0], POLLIN | POLLOUT | POLLRDHUP, 0 };
	tap_eq(poll(&p, 1, 0), 1);
	tap_eq(p.revents, POLLOUT);
	shutdown(sv[1], SHUT_WR);
	tap_eq(poll(&p, 1, 0), 1);
	tap_eq(p.revents, POLLIN | POLLOUT | POLLRDHUP);
	close(sv[1]);
	tap_eq(poll(&p, 1, 0), 1);
	tap_eq(p.revents, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

TAP_MAIN(
	CASE(poll_counts_ready_descriptors),
	CASE(poll_of_plain_files_is_always_ready),
	CASE(poll_times_out),
	CASE(poll_wakes_up),
	CASE(poll_errors),
	CASE(ppoll_swaps_the_mask),
	CASE(ppoll_writes_back_the_time),
	CASE(select_marks_what_is_ready),
	CASE(select_ignores_descriptors_at_n_and_beyond),
	CASE(select_times_out_and_says_so),
	CASE(select_errors),
	CASE(pselect_swaps_the_mask),
	CASE(many_descriptors_at_once),
	CASE(sockets_and_hangups),
)
