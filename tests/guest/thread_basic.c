/*
 * Threads: create, join, detach, thread-local storage, identities, exit, exec, signals. A
 * static-PIE.
 */
#include "tap.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#define N	16

static __thread int tls_zero;
static __thread int tls_set = 77;
static __thread char tls_big[3000];

static void *twice(void *arg)
{
	return (void *)((long)arg * 2);
}

static void create_and_join(void)
{
	pthread_t t[N];
	void *r;

	for (long i = 0; i < N; i++)
		tap_eq(pthread_create(&t[i], NULL, twice, (void *)i), 0);
	for (long i = 0; i < N; i++) {
		tap_eq(pthread_join(t[i], &r), 0);
		tap_eq((long)r, i * 2);
	}
}

static void many_one_after_the_other(void)
{
	pthread_t t;
	void *r;

	for (long i = 0; i < 500; i++) {
		tap_need(pthread_create(&t, NULL, twice, (void *)i) == 0);
		tap_need(pthread_join(t, &r) == 0 && (long)r == 2 * i);
	}
}

static void *tls_body(void *arg)
{
	long bad = tls_zero != 0 || tls_set != 77;

	for (unsigned i = 0; i < sizeof(tls_big); i++)
		bad |= tls_big[i];
	tls_zero = (long)arg;
	tls_set = -(long)arg;
	memset(tls_big, (long)arg, sizeof(tls_big));
	for (int i = 0; i < 50; i++) {
		sched_yield();
		bad |= tls_zero != (long)arg || tls_set != -(long)arg ||
				tls_big[2999] != (char)(long)arg;
	}
	return (void *)bad;
}

static void thread_local_storage(void)
{
	pthread_t t[N];
	void *r;

	tls_zero = 1000;
	for (long i = 0; i < N; i++)
		tap_eq(pthread_create(&t[i], NULL, tls_body, (void *)(i + 1)), 0);
	for (int i = 0; i < N; i++) {
		tap_eq(pthread_join(t[i], &r), 0);
		tap_eq((long)r, 0);
	}
	tap_eq(tls_zero, 1000);
	tap_eq(tls_set, 77);
}

static pid_t tids[N];

static void *identity(void *arg)
{
	tids[(long)arg] = syscall(SYS_gettid);
	return (void *)(long)getpid();
}

static void identities(void)
{
	pthread_t t[N];
	void *r;

	for (long i = 0; i < N; i++)
		tap_eq(pthread_create(&t[i], NULL, identity, (void *)i), 0);
	for (int i = 0; i < N; i++) {
		tap_eq(pthread_join(t[i], &r), 0);
		tap_eq((long)r, getpid());
		tap_ok(tids[i] != getpid());
		for (int j = 0; j < i; j++)
			tap_ok(tids[i] != tids[j]);
	}
}

static sem_t stop_sem, up_sem;

static void *wait_for_sem(void *arg)
{
	(void)arg;
	sem_post(&up_sem);
	while (sem_wait(&stop_sem) < 0)
		;
	return NULL;
}

static void threads_show_in_proc(void)
{
	static char buf[4096];
	pthread_t t[3];

	sem_init(&stop_sem, 0, 0);
	sem_init(&up_sem, 0, 0);
	for (int i = 0; i < 3; i++)
		tap_eq(pthread_create(&t[i], NULL, wait_for_sem, NULL), 0);
	for (int i = 0; i < 3; i++)
		sem_wait(&up_sem);
	tap_slurp("/proc/self/status", buf, sizeof(buf));
	char *p = strstr(buf, "\nThreads:\t");
	tap_need(p != NULL);
	tap_eq(atoi(p + 10), 4);
	struct stat st;
	tap_must(stat("/proc/self/task", &st));
	tap_eq(st.st_nlink, 6);
	for (int i = 0; i < 3; i++)
		sem_post(&stop_sem);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static void *change_things(void *arg)
{
	int fd = tap_file("made-by-thread", "x");

	(void)arg;
	umask(0111);
	chdir("/");
	return (void *)(long)fd;
}

static void files_directory_and_umask_are_shared(void)
{
	char cwd[64];
	pthread_t t;
	void *r;

	pthread_create(&t, NULL, change_things, NULL);
	pthread_join(t, &r);
	tap_ok(fcntl((long)r, F_GETFD) >= 0);
	tap_str(getcwd(cwd, sizeof(cwd)), "/");
	tap_eq(umask(022), 0111);
}

static void *exit_process(void *arg)
{
	_exit((long)arg);
}

static void exit_ends_all_threads(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		pthread_t t[4];

		sem_init(&stop_sem, 0, 0);
		sem_init(&up_sem, 0, 0);
		for (int i = 0; i < 3; i++)
			pthread_create(&t[i], NULL, wait_for_sem, NULL);
		for (int i = 0; i < 3; i++)
			sem_wait(&up_sem);
		pthread_create(&t[3], NULL, exit_process, (void *)42);
		for (;;)
			pause();
	}
	tap_eq(WEXITSTATUS(tap_status(kid)), 42);
}

static void the_main_thread_may_leave_first(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, exit_process, (void *)7);
		pthread_exit(NULL);
	}
	tap_eq(WEXITSTATUS(tap_status(kid)), 7);
}

static void *spin(void *arg)
{
	volatile long *n = arg;

	for (;;)
		++*n;
	return NULL;
}

static void a_fatal_signal_ends_all_threads(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		pthread_t t;
		static long n[2];

		pthread_create(&t, NULL, spin, &n[0]);
		pthread_create(&t, NULL, spin, &n[1]);
		while (*(volatile long *)&n[0] == 0 || *(volatile long *)&n[1] == 0)
			sched_yield();
		*(volatile int *)16 = 1;
	}
	tap_killed(kid, SIGSEGV);
}

static void *exec_body(void *arg)
{
	(void)arg;
	execl("/bin/sh", "sh", "-c", "exit $(( $$ == $0 ? 5 : 6 ))",
	      ({ static char pid[16]; snprintf(pid, 16, "%d", getpid()); pid; }), NULL);
	return NULL;
}

static void exec_from_a_thread_keeps_the_process_number(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		pthread_t t;
		static long n;

		pthread_create(&t, NULL, spin, &n);
		pthread_create(&t, NULL, exec_body, NULL);
		for (;;)
			pause();
	}
	tap_eq(WEXITSTATUS(tap_status(kid)), 5);
}

static void *fork_body(void *arg)
{
	pid_t kid = fork();

	(void)arg;
	if (kid == 0)
		_exit(syscall(SYS_gettid) == getpid() ? 0 : 1);
	return (void *)(long)tap_status(kid);
}

static void fork_from_a_thread_copies_that_thread_alone(void)
{
	pthread_t t;
	void *r;

	pthread_create(&t, NULL, fork_body, NULL);
	pthread_join(t, &r);
	tap_eq((long)r, 0);
}

/* -- signals and threads -- */

static volatile pid_t handled_by;

static void note_tid(int sig)
{
	(void)sig;
	handled_by = syscall(SYS_gettid);
}

static volatile pid_t worker_tid;

static void *worker(void *arg)
{
	(void)arg;
	worker_tid = syscall(SYS_gettid);
	sem_post(&up_sem);
	while (sem_wait(&stop_sem) < 0)
		;
	return NULL;
}

static void signals_go_to_a_thread_that_takes_them(void)
{
	sigset_t set;
	pthread_t t;

	sem_init(&stop_sem, 0, 0);
	sem_init(&up_sem, 0, 0);
	signal(SIGUSR1, note_tid);
	pthread_create(&t, NULL, worker, NULL);
	sem_wait(&up_sem);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);			/* blocked here, open there */
	while (handled_by == 0)
		sched_yield();
	tap_eq(handled_by, worker_tid);
	handled_by = 0;
	pthread_kill(pthread_self(), SIGUSR1);		/* for this thread: waits for it */
	for (int i = 0; i < 20; i++)
		sched_yield();
	tap_eq(handled_by, 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	tap_eq(handled_by, getpid());
	handled_by = 0;
	syscall(SYS_tgkill, getpid(), worker_tid, SIGUSR1);
	while (handled_by == 0)
		sched_yield();
	tap_eq(handled_by, worker_tid);
	sem_post(&stop_sem);
	pthread_join(t, NULL);
	while (syscall(SYS_tgkill, getpid(), worker_tid, 0) == 0)
		sched_yield();				/* joined a moment before it is gone */
	tap_eq(errno, ESRCH);
}

static void stop_stops_every_thread(void)
{
	long *n = tap_shared(1), a, b;
	int st;
	pid_t kid = tap_fork();

	if (kid == 0) {
		pthread_t t;

		pthread_create(&t, NULL, spin, n);
		spin(n + 64);
	}
	while (((volatile long *)n)[0] == 0 || ((volatile long *)n)[64] == 0)
		usleep(1000);
	kill(kid, SIGSTOP);
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	a = ((volatile long *)n)[0] + ((volatile long *)n)[64];
	usleep(50000);
	b = ((volatile long *)n)[0] + ((volatile long *)n)[64];
	tap_eq(a, b);
	kill(kid, SIGCONT);
	while (((volatile long *)n)[0] + ((volatile long *)n)[64] == b)
		usleep(1000);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void *detached(void *arg)
{
	(void)arg;
	sem_post(&up_sem);
	return NULL;
}

static void detached_threads_clean_up(void)
{
	pthread_attr_t a;
	pthread_t t;

	sem_init(&up_sem, 0, 0);
	pthread_attr_init(&a);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&a, 65536);
	for (int i = 0; i < 300; i++) {
		tap_need(pthread_create(&t, &a, detached, NULL) == 0);
		sem_wait(&up_sem);
	}
}

static void credentials_change_for_all_threads(void)
{
	pthread_t t;
	char buf[4096], name[64];

	sem_init(&stop_sem, 0, 0);
	sem_init(&up_sem, 0, 0);
	pthread_create(&t, NULL, worker, NULL);
	sem_wait(&up_sem);
	tap_must(setresuid(1000, 1000, 0));		/* the library tells every thread */
	snprintf(name, sizeof(name), "/proc/self/task/%d/status", worker_tid);
	tap_slurp(name, buf, sizeof(buf));
	char *p = strstr(buf, "\nUid:\t");
	tap_need(p != NULL);
	tap_eq(atoi(p + 6), 1000);
	sem_post(&stop_sem);
	pthread_join(t, NULL);
}

TAP_MAIN(
	CASE(create_and_join),
	CASE(many_one_after_the_other),
	CASE(thread_local_storage),
	CASE(identities),
	CASE(threads_show_in_proc),
	CASE(files_directory_and_umask_are_shared),
	CASE(exit_ends_all_threads),
	CASE(the_main_thread_may_leave_first),
	CASE(a_fatal_signal_ends_all_threads),
	CASE(exec_from_a_thread_keeps_the_process_number),
	CASE(fork_from_a_thread_copies_that_thread_alone),
	CASE(signals_go_to_a_thread_that_takes_them),
	CASE(stop_stops_every_thread),
	CASE(detached_threads_clean_up),
	CASE(credentials_change_for_all_threads),
)
