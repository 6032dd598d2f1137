/* Interrupted calls: EINTR without SA_RESTART, restart with it, and those that never restart. */
#include "tap.h"

#include <poll.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/file.h>
#include <time.h>

static int pipefd[2], sv[2];

/* After three ticks, make the call end by itself. */
static void feed_pipe(int sig)
{
	(void)sig;
	if (++tap_ticks == 3)
		write(pipefd[1], "x", 1);
}

static void feed_socket(int sig)
{
	(void)sig;
	if (++tap_ticks == 3)
		write(sv[1], "x", 1);
}

static void drain_pipe(int sig)
{
	static char buf[65536];

	(void)sig;
	if (++tap_ticks == 3)
		read(pipefd[0], buf, sizeof(buf));
}

static void fill_pipe(void)
{
	char page[4096] = "";

	tap_must(fcntl(pipefd[1], F_SETFL, O_NONBLOCK));
	while (write(pipefd[1], page, sizeof(page)) > 0)
		;
	tap_must(fcntl(pipefd[1], F_SETFL, 0));
}

static void read_from_a_pipe(void)
{
	char c;

	tap_must(pipe(pipefd));
	tap_ticker(tap_tick, 0);
	tap_err(read(pipefd[0], &c, 1), EINTR);
	tap_ticks = 0;
	tap_ticker(feed_pipe, SA_RESTART);
	tap_eq(read(pipefd[0], &c, 1), 1);
	tap_ticker_stop();
	tap_ok(tap_ticks >= 3);
}

static void write_to_a_pipe(void)
{
	tap_must(pipe(pipefd));
	fill_pipe();
	tap_ticker(tap_tick, 0);
	tap_err(write(pipefd[1], "x", 1), EINTR);
	tap_ticks = 0;
	tap_ticker(drain_pipe, SA_RESTART);
	tap_eq(write(pipefd[1], "x", 1), 1);
	tap_ticker_stop();
	tap_ok(tap_ticks >= 3);
}

static void a_partial_write_reports_what_was_done(void)
{
	static char big[200000];

	tap_must(pipe(pipefd));
	tap_ticker(tap_tick, SA_RESTART);
	tap_eq(write(pipefd[1], big, sizeof(big)), 65536);
	tap_ticker_stop();
}

static void sockets(void)
{
	char c;

	tap_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	tap_ticker(tap_tick, 0);
	tap_err(recv(sv[0], &c, 1, 0), EINTR);
	tap_err(read(sv[0], &c, 1), EINTR);
	tap_ticks = 0;
	tap_ticker(feed_socket, SA_RESTART);
	tap_eq(recv(sv[0], &c, 1, 0), 1);
	tap_ticker_stop();
	tap_ok(tap_ticks >= 3);
}

static void polls_never_restart(void)
{
	struct pollfd p;
	struct epoll_event ev;
	fd_set set;

	tap_must(pipe(pipefd));
	p = (struct pollfd){ pipefd[0], POLLIN, 0 };
	tap_ticker(tap_tick, SA_RESTART);
	tap_err(poll(&p, 1, -1), EINTR);
	tap_err(poll(&p, 1, 30000), EINTR);
	tap_err(ppoll(&p, 1, NULL, NULL), EINTR);
	FD_ZERO(&set);
	FD_SET(pipefd[0], &set);
	tap_err(select(pipefd[0] + 1, &set, NULL, NULL, NULL), EINTR);
	tap_ok(FD_ISSET(pipefd[0], &set));
	tap_err(pselect(pipefd[0] + 1, &set, NULL, NULL, NULL, NULL), EINTR);
	int ep = tap_must(epoll_create1(0));
	tap_err(epoll_wait(ep, &ev, 1, -1), EINTR);
	tap_ticker_stop();
}

static void sleeps_never_restart_but_tell_the_rest(void)
{
	struct timespec want = { 30, 0 }, left = { 0, 0 };

	tap_ticker(tap_tick, SA_RESTART);
	tap_err(nanosleep(&want, &left), EINTR);
	tap_ok(left.tv_sec <= 29 && left.tv_sec >= 20);
	left = (struct timespec){ 0, 0 };
	tap_eq(clock_nanosleep(CLOCK_MONOTONIC, 0, &want, &left), EINTR);
	tap_ok(left.tv_sec <= 29 && left.tv_sec >= 20);
	clock_gettime(CLOCK_MONOTONIC, &want);
	want.tv_sec += 30;
	left = (struct timespec){ 77, 0 };
	tap_eq(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &want, &left), EINTR);
	tap_eq(left.tv_sec, 77);			/* absolute: nothing is stored */
	tap_ticker_stop();
}

static void opening_a_fifo(void)
{
	tap_must(mknod("p", S_IFIFO | 0600, 0));
	tap_ticker(tap_tick, 0);
	tap_err(open("p", O_RDONLY), EINTR);
	tap_err(open("p", O_WRONLY), EINTR);
	tap_ticker_stop();
}

static int *word;

static void change_word(int sig)
{
	(void)sig;
	if (++tap_ticks == 3)
		*word = 1;				/* the restarted wait sees it */
}

static void futex_waits(void)
{
	word = tap_shared(1);
	tap_ticker(tap_tick, 0);
	tap_err(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	struct timespec ts = { 30, 0 };
	tap_err(syscall(SYS_futex, word, FUTEX_WAIT, 0, &ts, NULL, 0), EINTR);
	tap_ticks = 0;
	tap_ticker(change_word, SA_RESTART);
	tap_err(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
	tap_ok(tap_ticks >= 3);
	tap_ticker_stop();
}

static void ignored_signals_interrupt_nothing(void)
{
	char c;

	tap_must(pipe(pipefd));
	pid_t reader = tap_fork();
	if (reader == 0) {
		signal(SIGUSR1, SIG_IGN);
		tap_eq(read(pipefd[0], &c, 1), 1);
		tap_leave();
	}
	tap_await_state(reader, 'S');
	for (int i = 0; i < 5; i++) {
		kill(reader, i % 2 ? SIGWINCH : SIGUSR1);	/* by default, by choice */
		usleep(1000);
	}
	write(pipefd[1], "x", 1);
	tap_join(reader);
}

static void stop_and_continue_are_invisible(void)
{
	char c;
	int st;

	tap_must(pipe(pipefd));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(pipefd[0], &c, 1), 1);	/* restarted after SIGCONT */
		tap_leave();
	}
	tap_await_state(kid, 'S');
	kill(kid, SIGSTOP);
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	kill(kid, SIGCONT);
	tap_eq(waitpid(kid, &st, WCONTINUED), kid);
	tap_await_state(kid, 'S');
	write(pipefd[1], "x", 1);
	tap_join(kid);
}

static void a_sleep_goes_on_after_stop_and_continue(void)
{
	int st;
	long a = tap_msec();

	pid_t kid = tap_fork();
	if (kid == 0) {
		struct timespec ts = { 0, 300000000 };

		tap_eq(nanosleep(&ts, NULL), 0);
		tap_leave();
	}
	tap_await_state(kid, 'S');
	kill(kid, SIGSTOP);
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	kill(kid, SIGCONT);
	tap_join(kid);
	tap_ok(tap_msec() - a >= 299);
}

static void a_blocked_signal_does_not_interrupt(void)
{
	sigset_t set;
	char c;
	struct timespec ts = { 0, 60000000 };

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	tap_ticker(tap_tick, 0);
	tap_eq(nanosleep(&ts, NULL), 0);
	tap_eq(tap_ticks, 0);
	tap_ticker_stop();
	(void)c;
}

TAP_MAIN(
	CASE(read_from_a_pipe),
	CASE(write_to_a_pipe),
	CASE(a_partial_write_reports_what_was_done),
	CASE(sockets),
	CASE(polls_never_restart),
	CASE(sleeps_never_restart_but_tell_the_rest),
	CASE(opening_a_fifo),
	CASE(futex_waits),
	CASE(ignored_signals_interrupt_nothing),
	CASE(stop_and_continue_are_invisible),
	CASE(a_sleep_goes_on_after_stop_and_continue),
	CASE(a_blocked_signal_does_not_interrupt),
)
