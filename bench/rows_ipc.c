/* Pipes, sockets, polling, futexes. */
#define _GNU_SOURCE
#include "bench.h"

#include <linux/futex.h>
#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static char buffer[4096];
static int to[2], back[2], epoll_fd, event_fd, child;
static int *words;

/* One 4 KiB block through a pipe of this process. */
static void run_pipe(unsigned long n)
{
	while (n--) {
		CHECK(write(to[1], buffer, 4096) == 4096);
		CHECK(read(to[0], buffer, 4096) == 4096);
	}
}

static void run_socketpair(unsigned long n)
{
	int pair[2];

	while (n--) {
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
		close(pair[0]);
		close(pair[1]);
	}
}

/* A byte to another process and back. */
static void run_pingpong(unsigned long n)
{
	while (n--) {
		CHECK(write(to[1], buffer, 1) == 1);
		CHECK(read(back[0], buffer, 1) == 1);
	}
}

static void echo_start(void)
{
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		bench_in_child();
		close(to[1]);
		while (read(to[0], buffer, 1) == 1)
			CHECK(write(back[1], buffer, 1) == 1);
		_exit(0);
	}
}

static void begin_pipe(void)
{
	CHECK(pipe(to) == 0 && pipe(back) == 0);
}

static void end_pipe(void)
{
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(back[i]);
	}
}

static void begin_pipe_pingpong(void)
{
	begin_pipe();
	echo_start();
}

/* to[] and back[] name the ends of one socket pair. */
static void begin_unix_pingpong(void)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	to[1] = pair[0];
	to[0] = pair[1];
	back[0] = dup(pair[0]);
	back[1] = dup(pair[1]);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		bench_in_child();
		close(to[1]);
		close(back[0]);
		while (read(to[0], buffer, 1) == 1)
			CHECK(write(to[0], buffer, 1) == 1);
		_exit(0);
	}
}

static void end_pingpong(void)
{
	end_pipe();
	bench_reap(child);
}

static void begin_epoll(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	event_fd = eventfd(1, 0);
	epoll_fd = epoll_create1(0);
	CHECK(event_fd >= 0 && epoll_fd >= 0);
	CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) == 0);
}

static void end_epoll(void)
{
	close(epoll_fd);
	close(event_fd);
}

static void run_epoll_wait(unsigned long n)
{
	struct epoll_event event;

	while (n--)
		CHECK(epoll_wait(epoll_fd, &event, 1, 0) == 1);
}

static void run_poll(unsigned long n)
{
	struct pollfd one = { .fd = event_fd, .events = POLLIN };

	while (n--)
		CHECK(poll(&one, 1, 0) == 1);
}

static void run_eventfd(unsigned long n)
{
	uint64_t value = 1;

	while (n--) {
		CHECK(write(event_fd, &value, 8) == 8);
		CHECK(read(event_fd, &value, 8) == 8);
		value = 1;
	}
}

static void turn_wait(int *word, int value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		syscall(SYS_futex, word, FUTEX_WAIT, 1 - value, NULL, NULL, 0);
}

static void turn_give(int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void begin_futex(void)
{
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(words != MAP_FAILED);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		for (;;) {
			turn_wait(&words[0], 1);

			int stop = words[2];	/* before the other side may go on */

			words[0] = 0;
			turn_give(&words[1], 1);
			if (stop)
				_exit(0);
		}
}

static void run_futex_pingpong(unsigned long n)
{
	while (n--) {
		turn_give(&words[0], 1);
		turn_wait(&words[1], 1);
		words[1] = 0;
	}
}

static void end_futex(void)
{
	words[2] = 1;
	run_futex_pingpong(1);
	bench_reap(child);
	munmap(words, 4096);
}

const struct row rows_ipc[] = {
	{ "pipe", run_pipe, 300, begin_pipe, end_pipe },
	{ "pipe_pingpong", run_pingpong, 300, begin_pipe_pingpong, end_pingpong },
	{ "socketpair", run_socketpair, 200, 0, 0 },
	{ "unix_pingpong", run_pingpong, 300, begin_unix_pingpong, end_pingpong },
	{ "epoll_wait", run_epoll_wait, 500, begin_epoll, end_epoll },
	{ "poll", run_poll, 500, begin_epoll, end_epoll },
	{ "eventfd", run_eventfd, 500, begin_epoll, end_epoll },
	{ "futex_pingpong", run_futex_pingpong, 300, begin_futex, end_futex },
	{ 0 },
};
