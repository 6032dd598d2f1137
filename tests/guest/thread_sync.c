/* Mutexes, conditions, semaphores, barriers, rwlocks, once, keys, cancellation. */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>

#define N	8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;

static void start(pthread_t *t, int n, void *(*fn)(void *), void *arg)
{
	for (int i = 0; i < n; i++)
		tap_need(pthread_create(&t[i], NULL, fn, arg) == 0);
}

static void join(pthread_t *t, int n)
{
	for (int i = 0; i < n; i++)
		tap_need(pthread_join(t[i], NULL) == 0);
}

static void *add_under_mutex(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&mutex);
		long v = counter;
		if (i % 100 == 0)
			sched_yield();
		counter = v + 1;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void a_mutex_excludes(void)
{
	pthread_t t[N];

	start(t, N, add_under_mutex, NULL);
	join(t, N);
	tap_eq(counter, N * 2000);
}

static void *add_atomically(void *arg)
{
	for (int i = 0; i < 20000; i++)
		__atomic_fetch_add((long *)arg, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void atomics_count(void)
{
	pthread_t t[N];

	start(t, N, add_atomically, &counter);
	join(t, N);
	tap_eq(counter, N * 20000);
}

static int queue[10], used;
static long consumed;

static void *producer(void *arg)
{
	for (int i = 1; i <= 500; i++) {
		pthread_mutex_lock(&mutex);
		while (used == 10)
			pthread_cond_wait(&cond, &mutex);
		queue[used++] = i;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static void *consumer(void *arg)
{
	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&mutex);
		while (used == 0)
			pthread_cond_wait(&cond, &mutex);
		consumed += queue[--used];
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static void conditions_pass_work_on(void)
{
	pthread_t p[3], c[3];

	start(p, 3, producer, NULL);
	start(c, 3, consumer, NULL);
	join(p, 3);
	join(c, 3);
	tap_eq(consumed, 3 * 500 * 501 / 2);
	tap_eq(used, 0);
}

static void timed_waits_time_out(void)
{
	struct timespec ts;
	sem_t sem;
	long a = tap_msec();

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 50000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	pthread_mutex_lock(&mutex);
	tap_eq(pthread_cond_timedwait(&cond, &mutex, &ts), ETIMEDOUT);
	tap_ok(tap_msec() - a >= 45);
	tap_eq(pthread_mutex_timedlock(&(pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER, &ts), 0);
	pthread_mutex_unlock(&mutex);
	sem_init(&sem, 0, 0);
	tap_err(sem_timedwait(&sem, &ts), ETIMEDOUT);
	tap_err(sem_trywait(&sem), EAGAIN);
	sem_post(&sem);
	tap_eq(sem_trywait(&sem), 0);
}

static void mutex_kinds(void)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m, &a);
	for (int i = 0; i < 5; i++)
		tap_eq(pthread_mutex_lock(&m), 0);
	for (int i = 0; i < 5; i++)
		tap_eq(pthread_mutex_unlock(&m), 0);
	tap_eq(pthread_mutex_unlock(&m), EPERM);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m, &a);
	tap_eq(pthread_mutex_lock(&m), 0);
	tap_eq(pthread_mutex_lock(&m), EDEADLK);
	tap_eq(pthread_mutex_trylock(&m), EBUSY);
	tap_eq(pthread_mutex_unlock(&m), 0);
}

static pthread_barrier_t barrier;
static long phase[N], serial;

static void *phases(void *arg)
{
	long me = (long)arg;

	for (int p = 0; p < 30; p++) {
		phase[me] = p;
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			__atomic_fetch_add(&serial, 1, __ATOMIC_SEQ_CST);
		for (int i = 0; i < N; i++)
			if (phase[i] != p)
				return (void *)1;
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void barriers_keep_step(void)
{
	pthread_t t[N];
	void *r;

	pthread_barrier_init(&barrier, NULL, N);
	for (long i = 0; i < N; i++)
		pthread_create(&t[i], NULL, phases, (void *)i);
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], &r);
		tap_eq((long)r, 0);
	}
	tap_eq(serial, 30);
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];

static void *read_or_write(void *arg)
{
	long bad = 0;

	for (int i = 0; i < 500; i++) {
		if ((long)arg == 0) {
			pthread_rwlock_wrlock(&rw);
			pair[0]++;
			sched_yield();
			pair[1]++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			bad |= pair[0] != pair[1];
			pthread_rwlock_unlock(&rw);
		}
	}
	return (void *)bad;
}

static void rwlocks(void)
{
	pthread_t t[6];
	void *r;

	for (long i = 0; i < 6; i++)
		pthread_create(&t[i], NULL, read_or_write, (void *)(i % 3));
	for (int i = 0; i < 6; i++) {
		pthread_join(t[i], &r);
		tap_eq((long)r, 0);
	}
	tap_eq(pair[0], 1000);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void init_once(void)
{
	counter++;
}

static void destroy_value(void *v)
{
	__atomic_fetch_add((long *)v, 1, __ATOMIC_SEQ_CST);
}

static void *use_key(void *arg)
{
	pthread_once(&once, init_once);
	if (pthread_getspecific(key))
		return (void *)1;
	pthread_setspecific(key, arg);
	sched_yield();
	return (void *)(long)(pthread_getspecific(key) != arg);
}

static void once_and_keys(void)
{
	static long destroyed;
	pthread_t t[N];
	void *r;

	pthread_key_create(&key, destroy_value);
	start(t, N, use_key, &destroyed);
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], &r);
		tap_eq((long)r, 0);
	}
	tap_eq(counter, 1);
	tap_eq(destroyed, N);
}

static int pipefd[2];
static volatile int cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static void *read_forever(void *arg)
{
	char c;

	pthread_cleanup_push(clean, NULL);
	read(pipefd[0], &c, 1);
	pthread_cleanup_pop(0);
	return arg;
}

static void let_go(void *arg)
{
	pthread_mutex_unlock(arg);
}

static void *wait_forever(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(let_go, &mutex);
	counter = 1;
	for (;;)
		pthread_cond_wait(&cond, &mutex);
	pthread_cleanup_pop(1);
	return arg;
}

static void *spin_async(void *arg)
{
	int old;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	*(volatile long *)arg = 1;
	for (;;)
		;
	return NULL;
}

static void *not_now(void *arg)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	*(volatile long *)arg = 1;
	while (*(volatile long *)arg == 1)
		sched_yield();
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	pthread_testcancel();
	return NULL;
}

static void cancellation(void)
{
	pthread_t t;
	void *r = NULL;

	tap_must(pipe(pipefd));
	pthread_create(&t, NULL, read_forever, NULL);
	tap_eq(pthread_cancel(t), 0);
	tap_eq(pthread_join(t, &r), 0);
	tap_ok(r == PTHREAD_CANCELED);
	tap_ok(cleaned <= 1);
	pthread_create(&t, NULL, wait_forever, NULL);
	while (*(volatile long *)&counter == 0)
		sched_yield();
	tap_eq(pthread_cancel(t), 0);
	tap_eq(pthread_join(t, &r), 0);
	tap_ok(r == PTHREAD_CANCELED);
	tap_eq(pthread_mutex_trylock(&mutex), 0);	/* its cleanup let go */
}

static void asynchronous_and_deferred_cancellation(void)
{
	static long flag;
	pthread_t t;
	void *r = NULL;

	pthread_create(&t, NULL, spin_async, &flag);
	while (*(volatile long *)&flag == 0)
		sched_yield();
	pthread_cancel(t);
	tap_eq(pthread_join(t, &r), 0);
	tap_ok(r == PTHREAD_CANCELED);
	flag = 0;
	pthread_create(&t, NULL, not_now, &flag);
	while (*(volatile long *)&flag == 0)
		sched_yield();
	pthread_cancel(t);
	usleep(10000);
	*(volatile long *)&flag = 2;
	tap_eq(pthread_join(t, &r), 0);
	tap_ok(r == PTHREAD_CANCELED);
}

static void shared_between_processes(void)
{
	struct { pthread_mutex_t m; pthread_cond_t c; sem_t s; long n; } *sh = tap_shared(1);
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;

	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&sh->m, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&sh->c, &ca);
	sem_init(&sh->s, 1, 0);
	pid_t kid[4];
	for (int k = 0; k < 4; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			for (int i = 0; i < 300; i++) {
				pthread_mutex_lock(&sh->m);
				sh->n++;
				pthread_cond_signal(&sh->c);
				pthread_mutex_unlock(&sh->m);
			}
			sem_post(&sh->s);
			tap_leave();
		}
	}
	pthread_mutex_lock(&sh->m);
	while (sh->n < 1200)
		pthread_cond_wait(&sh->c, &sh->m);
	pthread_mutex_unlock(&sh->m);
	for (int k = 0; k < 4; k++)
		sem_wait(&sh->s);
	for (int k = 0; k < 4; k++)
		tap_join(kid[k]);
	tap_eq(sh->n, 1200);
}

TAP_MAIN(
	CASE(a_mutex_excludes),
	CASE(atomics_count),
	CASE(conditions_pass_work_on),
	CASE(timed_waits_time_out),
	CASE(mutex_kinds),
	CASE(barriers_keep_step),
	CASE(rwlocks),
	CASE(once_and_keys),
	CASE(cancellation),
	CASE(asynchronous_and_deferred_cancellation),
	CASE(shared_between_processes),
)
