/* eventfd: counter, semaphore, blocking, limits. */
#include "tap.h"

#include <poll.h>
#include <sys/eventfd.h>

static uint64_t get(int fd)
{
	uint64_t v = 0;

	tap_eq(read(fd, &v, 8), 8);
	return v;
}

static void put(int fd, uint64_t v)
{
	tap_eq(write(fd, &v, 8), 8);
}

static void counting(void)
{
	int fd = tap_must(eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC));
	uint64_t v;

	tap_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	tap_eq(get(fd), 5);
	tap_err(read(fd, &v, 8), EAGAIN);
	put(fd, 2);
	put(fd, 3);
	tap_eq(get(fd), 5);
	put(fd, 0);
	tap_err(read(fd, &v, 8), EAGAIN);
}

static void semaphore(void)
{
	int fd = tap_must(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	uint64_t v;

	tap_eq(get(fd), 1);
	tap_eq(get(fd), 1);
	tap_err(read(fd, &v, 8), EAGAIN);
}

static void limits(void)
{
	int fd = tap_must(eventfd(0, EFD_NONBLOCK));
	uint64_t v = -1ull;

	tap_err(write(fd, &v, 8), EINVAL);
	v = -2ull;
	tap_eq(write(fd, &v, 8), 8);
	v = 1;
	tap_err(write(fd, &v, 8), EAGAIN);
	struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
	tap_eq(poll(&p, 1, 0), 1);
	tap_eq(p.revents, POLLIN);			/* full: not writable */
	tap_eq(get(fd), -2ull);
	tap_eq(poll(&p, 1, 0), 1);
	tap_eq(p.revents, POLLOUT);
}

static void errors(void)
{
	int fd = tap_must(eventfd(1, EFD_NONBLOCK));
	char b[8];

	tap_err(read(fd, b, 7), EINVAL);
	tap_err(write(fd, b, 7), EINVAL);
	tap_err(syscall(SYS_eventfd2, 0, 0x10), EINVAL);
	tap_efault_each(p, write(fd, p, 8));
	tap_err(read(fd, BAD_KERNEL, 8), EFAULT);
	tap_must((int)syscall(SYS_eventfd, 7));
}

static void blocking_between_processes(void)
{
	int fd = tap_must(eventfd(0, 0));

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(get(fd), 7);
		tap_leave();
	}
	tap_await_state(kid, 'S');
	put(fd, 7);
	tap_join(kid);
	uint64_t most = -2ull;
	tap_eq(write(fd, &most, 8), 8);
	kid = tap_fork();
	if (kid == 0) {
		put(fd, 3);				/* waits until there is room */
		tap_leave();
	}
	tap_await_state(kid, 'S');
	tap_eq(get(fd), -2ull);
	tap_join(kid);
	tap_eq(get(fd), 3);
	tap_ticker(tap_tick, 0);
	uint64_t v;
	tap_err(read(fd, &v, 8), EINTR);
	tap_ticker_stop();
}

TAP_MAIN(
	CASE(counting),
	CASE(semaphore),
	CASE(limits),
	CASE(errors),
	CASE(blocking_between_processes),
)
