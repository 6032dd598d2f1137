/* Robust futex lists, robust mutexes over processes and threads, set_tid_address. */
#include "tap.h"

#include <linux/futex.h>
#include <pthread.h>

struct node {
	struct robust_list list;
	uint32_t word;
};

static long futex(uint32_t *u, int op, uint32_t val)
{
	return syscall(SYS_futex, u, op, val, NULL, NULL, 0);
}

static void set_and_get(void)
{
	struct robust_list_head head = { { &head.list }, 0, NULL }, *got = NULL;
	size_t len = 0;

	tap_err(syscall(SYS_set_robust_list, &head, sizeof(head) - 1), EINVAL);
	tap_eq(syscall(SYS_set_robust_list, &head, sizeof(head)), 0);
	tap_eq(syscall(SYS_get_robust_list, 0, &got, &len), 0);
	tap_ok(got == &head);
	tap_eq(len, sizeof(head));
	tap_err(syscall(SYS_get_robust_list, 4000000, &got, &len), ESRCH);
	tap_efault_each(p, syscall(SYS_get_robust_list, 0, p, &len));
	tap_efault_each(p, syscall(SYS_get_robust_list, 0, &got, p));
}

static void death_marks_the_owners_words_and_wakes(void)
{
	struct node *n = tap_shared(1);
	int p[2];
	char c;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct robust_list_head *head = tap_pages(1);

		n[0].word = getpid() | FUTEX_WAITERS;
		n[1].word = getpid();
		n[2].word = 12345;			/* not ours: left alone */
		head->list.next = &n[0].list;
		n[0].list.next = &n[1].list;
		n[1].list.next = &n[2].list;
		n[2].list.next = &head->list;
		head->futex_offset = offsetof(struct node, word);
		syscall(SYS_set_robust_list, head, sizeof(*head));
		write(p[1], "r", 1);
		for (;;)
			pause();
	}
	tap_eq(read(p[0], &c, 1), 1);
	pid_t waiter = tap_fork();
	if (waiter == 0) {
		uint32_t held = kid | FUTEX_WAITERS;

		while (*(volatile uint32_t *)&n[0].word == held)
			futex(&n[0].word, FUTEX_WAIT, held);
		tap_leave();
	}
	tap_await_state(waiter, 'S');
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
	tap_join(waiter);
	tap_eq(n[0].word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
	tap_eq(n[1].word, FUTEX_OWNER_DIED);
	tap_eq(n[2].word, 12345);
}

static void the_pending_entry_counts_too(void)
{
	struct node *n = tap_shared(1);

	pid_t kid = tap_fork();
	if (kid == 0) {
		struct robust_list_head *head = tap_pages(1);

		n->word = getpid();
		head->list.next = &head->list;
		head->list_op_pending = &n->list;
		head->futex_offset = offsetof(struct node, word);
		syscall(SYS_set_robust_list, head, sizeof(*head));
		_exit(0);
	}
	tap_join(kid);
	tap_eq(n->word, FUTEX_OWNER_DIED);
}

static void broken_lists_do_no_harm(void)
{
	static const unsigned long bad[] = { 0, 8, 0xffff800000000000, 1ul << 56, 0x123456789000 };

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		pid_t kid = tap_fork();
		if (kid == 0) {
			struct robust_list_head *head = tap_pages(1);

			head->list.next = (void *)bad[i];
			syscall(SYS_set_robust_list, head, sizeof(*head));
			_exit(0);
		}
		tap_join(kid);
	}
	pid_t kid = tap_fork();				/* an endless list */
	if (kid == 0) {
		struct robust_list_head *head = tap_pages(1);
		struct node *a = tap_pages(1);

		head->list.next = &a->list;
		a->list.next = &a->list;
		syscall(SYS_set_robust_list, head, sizeof(*head));
		_exit(0);
	}
	tap_join(kid);
	kid = tap_fork();
	if (kid == 0) {
		syscall(SYS_set_robust_list, BAD_KERNEL, sizeof(struct robust_list_head));
		_exit(0);
	}
	tap_join(kid);
}

static void exec_runs_the_list(void)
{
	struct node *n = tap_shared(1);

	pid_t kid = tap_fork();
	if (kid == 0) {
		struct robust_list_head *head = tap_pages(1);

		n->word = getpid();
		head->list.next = &n->list;
		n->list.next = &head->list;
		head->futex_offset = offsetof(struct node, word);
		syscall(SYS_set_robust_list, head, sizeof(*head));
		execl("/bin/sleep", "sleep", "100", NULL);
		_exit(9);
	}
	while (*(volatile uint32_t *)&n->word != FUTEX_OWNER_DIED)
		usleep(1000);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static pthread_mutex_t *shared_mutex(int robust)
{
	pthread_mutex_t *m = tap_shared(1);
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, robust);
	tap_eq(pthread_mutex_init(m, &a), 0);
	return m;
}

static void a_robust_mutex_tells_of_its_dead_owner(void)
{
	pthread_mutex_t *m = shared_mutex(PTHREAD_MUTEX_ROBUST);

	pid_t kid = tap_fork();
	if (kid == 0) {
		pthread_mutex_lock(m);
		_exit(0);
	}
	tap_join(kid);
	tap_eq(pthread_mutex_lock(m), EOWNERDEAD);
	tap_eq(pthread_mutex_consistent(m), 0);
	tap_eq(pthread_mutex_unlock(m), 0);
	tap_eq(pthread_mutex_lock(m), 0);
	tap_eq(pthread_mutex_unlock(m), 0);
	kid = tap_fork();
	if (kid == 0) {
		pthread_mutex_lock(m);
		_exit(0);
	}
	tap_join(kid);
	tap_eq(pthread_mutex_lock(m), EOWNERDEAD);
	pthread_mutex_unlock(m);			/* not made consistent */
	tap_eq(pthread_mutex_lock(m), ENOTRECOVERABLE);
}

static void *lock_and_leave(void *m)
{
	pthread_mutex_lock(m);
	return NULL;
}

static void a_thread_may_die_with_a_robust_mutex(void)
{
	pthread_mutex_t *m = shared_mutex(PTHREAD_MUTEX_ROBUST);
	pthread_t t;

	tap_eq(pthread_create(&t, NULL, lock_and_leave, m), 0);
	tap_eq(pthread_join(t, NULL), 0);
	tap_eq(pthread_mutex_trylock(m), EOWNERDEAD);
}

static void a_waiter_wakes_when_the_owner_is_killed(void)
{
	pthread_mutex_t *m = shared_mutex(PTHREAD_MUTEX_ROBUST);
	int p[2];
	char c;

	tap_must(pipe(p));
	pid_t owner = tap_fork();
	if (owner == 0) {
		pthread_mutex_lock(m);
		write(p[1], "l", 1);
		for (;;)
			pause();
	}
	tap_eq(read(p[0], &c, 1), 1);
	pid_t waiter = tap_fork();
	if (waiter == 0) {
		tap_eq(pthread_mutex_lock(m), EOWNERDEAD);
		tap_leave();
	}
	tap_await_state(waiter, 'S');
	kill(owner, SIGKILL);
	tap_killed(owner, SIGKILL);
	tap_join(waiter);
}

static void set_tid_address_clears_at_exit(void)
{
	uint32_t *u = tap_shared(1);

	*u = 1;
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(syscall(SYS_set_tid_address, u), getpid());
		_exit(0);
	}
	tap_join(kid);
	/* only an address space with other users is written to: ours is the last of its own */
	tap_eq(*u, 1);
}

TAP_MAIN(
	CASE(set_and_get),
	CASE(death_marks_the_owners_words_and_wakes),
	CASE(the_pending_entry_counts_too),
	CASE(broken_lists_do_no_harm),
	CASE(exec_runs_the_list),
	CASE(a_robust_mutex_tells_of_its_dead_owner),
	CASE(a_thread_may_die_with_a_robust_mutex),
	CASE(a_waiter_wakes_when_the_owner_is_killed),
	CASE(set_tid_address_clears_at_exit),
)
