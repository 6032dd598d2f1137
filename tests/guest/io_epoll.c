/* epoll: level, edge, one-shot, exclusive, nesting, lifetime, errors. */
#include "tap.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

static int ep, fd[2];
static struct epoll_event ev[16];

static void set_up(uint32_t events)
{
	ep = tap_must(epoll_create1(EPOLL_CLOEXEC));
	tap_must(pipe2(fd, O_NONBLOCK));
	struct epoll_event e = { .events = events, .data.u64 = 0x1122334455667788 };
	tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e));
}

static int ready(void)
{
	return epoll_wait(ep, ev, 16, 0);
}

static void put(void)
{
	tap_eq(write(fd[1], "x", 1), 1);
}

static void take(void)
{
	char c;

	tap_eq(read(fd[0], &c, 1), 1);
}

static void level_triggered_repeats(void)
{
	set_up(EPOLLIN);
	tap_eq(fcntl(ep, F_GETFD), FD_CLOEXEC);
	tap_eq(ready(), 0);
	put();
	for (int i = 0; i < 3; i++) {
		tap_eq(ready(), 1);
		tap_eq(ev[0].events, EPOLLIN);
		tap_eq(ev[0].data.u64, 0x1122334455667788);
	}
	take();
	tap_eq(ready(), 0);
}

static void edge_triggered_tells_news_once(void)
{
	set_up(EPOLLIN | EPOLLET);
	put();
	tap_eq(ready(), 1);
	tap_eq(ready(), 0);
	put();						/* more data is news */
	tap_eq(ready(), 1);
	take();
	tap_eq(ready(), 0);
	take();
	put();
	tap_eq(ready(), 1);
}

static void edge_is_found_at_add_time(void)
{
	ep = tap_must(epoll_create1(0));
	tap_must(pipe(fd));
	put();
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e));
	tap_eq(ready(), 1);
	tap_eq(ready(), 0);
	tap_must(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &e));	/* and again at change time */
	tap_eq(ready(), 1);
}

static void oneshot_needs_rearming(void)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT };

	set_up(EPOLLIN | EPOLLONESHOT);
	put();
	tap_eq(ready(), 1);
	put();
	tap_eq(ready(), 0);
	tap_must(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &e));
	tap_eq(ready(), 1);
	tap_eq(ready(), 0);
}

static void hangup_and_error_come_unasked(void)
{
	set_up(0);
	close(fd[1]);
	tap_eq(ready(), 1);
	tap_eq(ev[0].events, EPOLLHUP);
	ep = tap_must(epoll_create1(0));
	tap_must(pipe(fd));
	struct epoll_event e = { .events = EPOLLOUT };
	tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &e));
	close(fd[0]);
	tap_eq(ready(), 1);
	tap_eq(ev[0].events, EPOLLOUT | EPOLLERR);
}

static void modify_and_delete(void)
{
	struct epoll_event e = { .events = EPOLLOUT };

	set_up(EPOLLIN);
	put();
	tap_must(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &e));
	tap_eq(ready(), 0);
	e = (struct epoll_event){ .events = EPOLLIN, .data.u32 = 5 };
	tap_must(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &e));
	tap_eq(ready(), 1);
	tap_eq(ev[0].data.u32, 5);
	tap_must(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL));
	tap_eq(ready(), 0);
	tap_err(epoll_ctl(ep, EPOLL_CTL_DEL, fd[0], NULL), ENOENT);
	tap_err(epoll_ctl(ep, EPOLL_CTL_MOD, fd[0], &e), ENOENT);
	tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e));
	tap_err(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &e), EEXIST);
}

static void closing_removes_when_the_file_is_gone(void)
{
	set_up(EPOLLIN);
	put();
	int d = tap_must(dup(fd[0]));
	close(fd[0]);
	tap_eq(ready(), 1);				/* the open file lives on in d */
	close(d);
	tap_eq(ready(), 0);
}

static void maxevents_are_served_in_turn(void)
{
	int p[6][2], seen[6] = { 0 };

	ep = tap_must(epoll_create1(0));
	for (int i = 0; i < 6; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		tap_must(pipe(p[i]));
		tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, p[i][0], &e));
		write(p[i][1], "x", 1);
	}
	for (int round = 0; round < 3; round++) {
		tap_eq(epoll_wait(ep, ev, 2, 0), 2);
		seen[ev[0].data.u32]++;
		seen[ev[1].data.u32]++;
	}
	for (int i = 0; i < 6; i++)
		tap_eq(seen[i], 1);			/* nobody starves */
}

static void waiting(void)
{
	long t = tap_msec();
	pid_t parent = getpid();

	set_up(EPOLLIN);
	tap_eq(epoll_wait(ep, ev, 1, 40), 0);
	tap_ok(tap_msec() - t >= 39);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_await_state(parent, 'S');
		put();
		tap_leave();
	}
	tap_eq(epoll_wait(ep, ev, 1, -1), 1);
	tap_join(kid);
}

static void pwait_swaps_the_mask(void)
{
	sigset_t set, none;

	set_up(EPOLLIN);
	signal(SIGUSR1, tap_tick);
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	tap_must(sigprocmask(SIG_BLOCK, &set, NULL));
	raise(SIGUSR1);
	tap_eq(epoll_pwait(ep, ev, 1, 0, NULL), 0);
	tap_err(epoll_pwait(ep, ev, 1, -1, &none), EINTR);
	tap_eq(tap_ticks, 1);
	struct timespec { long s, n; } ts = { 0, 20000000 };
	tap_eq(syscall(SYS_epoll_pwait2, ep, ev, 1, &ts, NULL, 8), 0);
	ts.n = -1;
	tap_err(syscall(SYS_epoll_pwait2, ep, ev, 1, &ts, NULL, 8), EINVAL);
}

static void an_epoll_can_watch_another(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	set_up(EPOLLIN);
	int outer = tap_must(epoll_create1(0));
	tap_must(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e));
	tap_eq(epoll_wait(outer, ev, 1, 0), 0);
	put();
	tap_eq(epoll_wait(outer, ev, 1, 0), 1);
	struct pollfd p = { ep, POLLIN, 0 };
	tap_eq(poll(&p, 1, 0), 1);
	take();
	tap_eq(epoll_wait(outer, ev, 1, 0), 0);
	tap_err(epoll_ctl(ep, EPOLL_CTL_ADD, outer, &e), ELOOP);
}

static void errors(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int f = tap_file("f", "");

	set_up(EPOLLIN);
	tap_err(epoll_create1(1), EINVAL);
	tap_err(syscall(SYS_epoll_create, 0), EINVAL);
	tap_must((int)syscall(SYS_epoll_create, 1));
	tap_err(epoll_ctl(ep, EPOLL_CTL_ADD, f, &e), EPERM);	/* plain files cannot be watched */
	tap_err(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
	tap_err(epoll_ctl(ep, EPOLL_CTL_ADD, 777, &e), EBADF);
	tap_err(epoll_ctl(777, EPOLL_CTL_ADD, fd[1], &e), EBADF);
	tap_err(epoll_ctl(f, EPOLL_CTL_ADD, fd[1], &e), EINVAL);
	tap_err(epoll_ctl(ep, 9, fd[1], &e), EINVAL);
	tap_err(epoll_wait(ep, ev, 0, 0), EINVAL);
	tap_err(epoll_wait(ep, ev, -1, 0), EINVAL);
	tap_err(epoll_wait(f, ev, 1, 0), EINVAL);
	tap_err(epoll_wait(777, ev, 1, 0), EBADF);
	tap_efault_each(p, epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], p));
	put();
	tap_err(syscall(SYS_epoll_wait, ep, tap_page_none(), 1, 0), EFAULT);
	tap_err(syscall(SYS_epoll_wait, ep, BAD_KERNEL, 1, 0), EFAULT);
	tap_eq(ready(), 1);				/* the event was not lost */
}

static void output_readiness(void)
{
	struct epoll_event e = { .events = EPOLLOUT };
	static char page[4096];

	set_up(EPOLLIN);
	tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &e));
	tap_eq(ready(), 1);
	while (write(fd[1], page, sizeof(page)) > 0)
		;
	tap_eq(ready(), 1);
	tap_eq(ev[0].events, EPOLLIN);			/* now the other end */
	read(fd[0], page, sizeof(page));
	tap_eq(ready(), 2);
}

static void several_waiters_wake_for_one_event_each(void)
{
	enum { KIDS = 3 };
	pid_t kid[KIDS];
	int sem = tap_must(eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK)), total[2];

	ep = tap_must(epoll_create1(0));
	tap_must(pipe(total));
	struct epoll_event e = { .events = EPOLLIN };
	tap_must(epoll_ctl(ep, EPOLL_CTL_ADD, sem, &e));
	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			uint64_t v;

			for (;;) {
				tap_eq(epoll_wait(ep, ev, 1, -1), 1);
				if (read(sem, &v, 8) == 8)
					break;
			}
			write(total[1], "x", 1);
			tap_leave();
		}
	}
	uint64_t three = KIDS;
	write(sem, &three, 8);
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
}

TAP_MAIN(
	CASE(level_triggered_repeats),
	CASE(edge_triggered_tells_news_once),
	CASE(edge_is_found_at_add_time),
	CASE(oneshot_needs_rearming),
	CASE(hangup_and_error_come_unasked),
	CASE(modify_and_delete),
	CASE(closing_removes_when_the_file_is_gone),
	CASE(maxevents_are_served_in_turn),
	CASE(waiting),
	CASE(pwait_swaps_the_mask),
	CASE(an_epoll_can_watch_another),
	CASE(errors),
	CASE(output_readiness),
	CASE(several_waiters_wake_for_one_event_each),
)
