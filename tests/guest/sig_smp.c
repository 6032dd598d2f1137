/* Signals between processes that run at the same time; SIGIO; races of delivery and exit. */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static volatile sig_atomic_t count;
static volatile int last_fd, last_band;

static void tally(int sig)
{
	(void)sig;
	count++;
}

static void io_info(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	count++;
	last_fd = si->si_fd;
	last_band = si->si_band;
}

static void every_queued_signal_arrives(void)
{
	enum { KIDS = 3, EACH = 100 };
	pid_t kid[KIDS], parent = getpid();
	struct sigaction sa = { .sa_handler = tally };

	tap_must(sigaction(SIGRTMIN + 4, &sa, NULL));
	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			for (int i = 0; i < EACH; i++)
				while (sigqueue(parent, SIGRTMIN + 4,
				(union sigval){ .sival_int = i }) < 0)
					sched_yield();
			tap_leave();
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
	tap_eq(count, KIDS * EACH);
}

static void killing_what_is_just_exiting(void)
{
	for (int i = 0; i < 200; i++) {
		pid_t kid = tap_fork();

		if (kid == 0)
			_exit(3);
		kill(kid, SIGTERM);
		int st = tap_status(kid);
		tap_need(st == 3 << 8 || (WIFSIGNALED(st) && WTERMSIG(st) == SIGTERM));
		tap_need(kill(kid, 0) == -1 && errno == ESRCH);
	}
}

static void killing_what_is_just_starting(void)
{
	for (int i = 0; i < 60; i++) {
		pid_t kid = tap_fork();

		if (kid == 0) {
			execl("/bin/sleep", "sleep", "1000", NULL);
			_exit(9);
		}
		for (int k = 0; k < i; k++)
			sched_yield();
		kill(kid, SIGKILL);
		tap_killed(kid, SIGKILL);
	}
}

static void stop_and_continue_storm(void)
{
	long *n = tap_shared(1);
	pid_t kid = tap_fork();

	if (kid == 0)
		for (;;)
			++*(volatile long *)n;
	for (int i = 0; i < 200; i++) {
		tap_need(kill(kid, SIGSTOP) == 0);
		tap_need(kill(kid, SIGCONT) == 0);
	}
	long a = *(volatile long *)n;
	while (*(volatile long *)n == a)
		usleep(1000);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void a_group_leaves_together(void)
{
	int p[2];
	char c;

	tap_must(pipe(p));
	pid_t leader = tap_fork();
	if (leader == 0) {
		setpgid(0, 0);
		for (int i = 0; i < 15; i++)
			if (fork() == 0)
				for (;;)
					sched_yield();
		write(p[1], "r", 1);
		for (;;)
			pause();
	}
	tap_eq(read(p[0], &c, 1), 1);
	close(p[1]);
	kill(-leader, SIGKILL);
	tap_killed(leader, SIGKILL);
	tap_eq(read(p[0], &c, 1), 0);
}

static void *thread_exit_soon(void *arg)
{
	(void)arg;
	sched_yield();
	return NULL;
}

static void process_signals_while_threads_come_and_go(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		signal(SIGUSR1, tally);
		for (;;) {
			pthread_t t;

			if (pthread_create(&t, NULL, thread_exit_soon, NULL) == 0)
				pthread_join(t, NULL);
		}
	}
	for (int i = 0; i < 200; i++) {
		kill(kid, i < 100 ? 0 : SIGUSR1);
		sched_yield();
	}
	kill(kid, SIGKILL);
	int st = tap_status(kid);
	/* an early SIGUSR1 may have found no handler yet */
	tap_ok(WIFSIGNALED(st) && (WTERMSIG(st) == SIGKILL || WTERMSIG(st) == SIGUSR1));
}

static void sigio_tells_of_input(void)
{
	struct sigaction sa = { .sa_sigaction = io_info, .sa_flags = SA_SIGINFO };
	int sv[2];

	tap_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	tap_must(sigaction(SIGIO, &sa, NULL));
	tap_must(fcntl(sv[0], F_SETOWN, getpid()));
	tap_must(fcntl(sv[0], F_SETFL, O_ASYNC));
	tap_eq(write(sv[1], "x", 1), 1);
	while (count == 0)
		usleep(1000);
	count = 0;
	sa.sa_sigaction = io_info;
	tap_must(sigaction(SIGRTMIN + 6, &sa, NULL));
	tap_must(fcntl(sv[0], F_SETSIG, SIGRTMIN + 6));
	tap_eq(write(sv[1], "x", 1), 1);
	while (count == 0)
		usleep(1000);
	tap_eq(last_fd, sv[0]);
	tap_must(fcntl(sv[0], F_SETFL, 0));
	count = 0;
	tap_eq(write(sv[1], "x", 1), 1);
	usleep(10000);
	tap_eq(count, 0);
}

static void sigio_on_a_pipe(void)
{
	int p[2], on = 1;

	signal(SIGIO, tally);
	tap_must(pipe(p));
	tap_must(fcntl(p[0], F_SETOWN, getpid()));
	tap_must(ioctl(p[0], FIOASYNC, &on));
	tap_eq(fcntl(p[0], F_GETFL) & O_ASYNC, O_ASYNC);
	tap_eq(write(p[1], "x", 1), 1);
	while (count == 0)
		usleep(1000);
	tap_ok(count >= 1);
}

static void handlers_on_every_cpu(void)
{
	enum { KIDS = 6 };
	pid_t kid[KIDS];

	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			tap_ticker(tap_tick, SA_RESTART);
			volatile double x = 1 + k;
			while (tap_ticks < 20)
				for (int i = 0; i < 1000; i++)
					x = x * 1.0000001;
			tap_ok(x > 1 + k);
			tap_leave();
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
}

TAP_MAIN(
	CASE(every_queued_signal_arrives),
	CASE(killing_what_is_just_exiting),
	CASE(killing_what_is_just_starting),
	CASE(stop_and_continue_storm),
	CASE(a_group_leaves_together),
	CASE(process_signals_while_threads_come_and_go),
	CASE(sigio_tells_of_input),
	CASE(sigio_on_a_pipe),
	CASE(handlers_on_every_cpu),
)
