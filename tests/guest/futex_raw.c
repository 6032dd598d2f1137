/* The futex call: wait, wake, bitset, requeue, cmp_requeue, wake_op; private and shared; errors. */
#include "tap.h"

#include <limits.h>
#include <linux/futex.h>
#include <time.h>

static uint32_t *word;

static long futex(uint32_t *u, int op, uint32_t val, void *t, uint32_t *u2, uint32_t v3)
{
	return syscall(SYS_futex, u, op, val, t, u2, v3);
}

static pid_t waiter(uint32_t *u, int op, uint32_t val, uint32_t bits)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		long r = futex(u, op, val, NULL, NULL, bits);

		_exit(r == 0 ? 0 : errno);
	}
	tap_await_state(kid, 'S');
	return kid;
}

static void a_changed_value_does_not_wait(void)
{
	word = tap_shared(1);
	*word = 5;
	tap_err(futex(word, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
	tap_err(futex(word, FUTEX_WAIT_BITSET, 4, NULL, NULL, ~0u), EAGAIN);
	tap_err(futex(word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 4, NULL, NULL, 0), EAGAIN);
}

static void wake_counts(void)
{
	pid_t kid[3];

	word = tap_shared(1);
	tap_eq(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	for (int i = 0; i < 3; i++)
		kid[i] = waiter(word, FUTEX_WAIT, 0, 0);
	tap_eq(futex(word, FUTEX_WAKE, 2, NULL, NULL, 0), 2);
	tap_eq(futex(word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0), 1);
	for (int i = 0; i < 3; i++)
		tap_join(kid[i]);
}

static void another_word_does_not_wake(void)
{
	word = tap_shared(1);
	pid_t kid = waiter(word, FUTEX_WAIT, 0, 0);
	tap_eq(futex(word + 1, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
	tap_eq(futex(word + 512, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
	tap_eq(waitpid(kid, NULL, WNOHANG), 0);
	tap_eq(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
	tap_join(kid);
}

static void timeouts(void)
{
	struct timespec ts = { 0, 40000000 };
	long a = tap_msec();

	word = tap_shared(1);
	tap_err(futex(word, FUTEX_WAIT, 0, &ts, NULL, 0), ETIMEDOUT);
	tap_ok(tap_msec() - a >= 39);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 40000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	a = tap_msec();
	tap_err(futex(word, FUTEX_WAIT_BITSET, 0, &ts, NULL, ~0u), ETIMEDOUT);	/* absolute */
	tap_ok(tap_msec() - a >= 38);
	clock_gettime(CLOCK_REALTIME, &ts);
	tap_err(futex(word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, ~0u),
			ETIMEDOUT);
	ts = (struct timespec){ 0, 1000000000 };
	tap_err(futex(word, FUTEX_WAIT, 0, &ts, NULL, 0), EINVAL);
	ts = (struct timespec){ -1, 0 };
	tap_err(futex(word, FUTEX_WAIT, 0, &ts, NULL, 0), EINVAL);
}

static void bitsets_choose(void)
{
	word = tap_shared(1);
	pid_t a = waiter(word, FUTEX_WAIT_BITSET, 0, 1), b = waiter(word, FUTEX_WAIT_BITSET, 0, 6);

	tap_eq(futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 8), 0);
	tap_eq(futex(word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 2), 1);
	tap_join(b);
	tap_eq(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
	tap_join(a);
	tap_err(futex(word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	tap_err(futex(word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
}

static void requeue_moves_waiters(void)
{
	pid_t kid[4];

	word = tap_shared(1);
	for (int i = 0; i < 4; i++)
		kid[i] = waiter(word, FUTEX_WAIT, 0, 0);
	/* wake one, move two */
	tap_eq(futex(word, FUTEX_REQUEUE, 1, (void *)2, word + 8, 0), 3);
	tap_eq(futex(word + 8, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
	tap_eq(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
	for (int i = 0; i < 4; i++)
		tap_join(kid[i]);
}

static void cmp_requeue_compares_first(void)
{
	pid_t kid[2];

	word = tap_shared(1);
	kid[0] = waiter(word, FUTEX_WAIT, 0, 0);
	kid[1] = waiter(word, FUTEX_WAIT, 0, 0);
	tap_err(futex(word, FUTEX_CMP_REQUEUE, 1, (void *)1, word + 8, 77), EAGAIN);
	tap_eq(futex(word, FUTEX_CMP_REQUEUE, 0, (void *)10, word + 8, 0), 2);
	tap_eq(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
	tap_eq(futex(word + 8, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
	tap_join(kid[0]);
	tap_join(kid[1]);
	tap_err(futex(word, FUTEX_CMP_REQUEUE, -1, (void *)1, word + 8, 0), EINVAL);
}

static void wake_op_changes_and_wakes(void)
{
	pid_t a, b;

	word = tap_shared(1);
	a = waiter(word, FUTEX_WAIT, 0, 0);
	b = waiter(word + 8, FUTEX_WAIT, 0, 0);
	/* word[8] += 3; wake word; wake word[8] if its old value was 0 */
	tap_eq(futex(word, FUTEX_WAKE_OP, 1, (void *)1, word + 8,
		     FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)), 2);
	tap_eq(word[8], 3);
	tap_join(a);
	tap_join(b);
	tap_eq(futex(word, FUTEX_WAKE_OP, 1, (void *)1, word + 8,
		     FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_GT, 100)), 0);
	tap_eq(word[8], 9);
	tap_eq(futex(word, FUTEX_WAKE_OP, 1, (void *)1, word + 8,
		     FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_NE, 0)), 0);
	tap_eq(word[8], 8);
	tap_eq(futex(word, FUTEX_WAKE_OP, 1, (void *)1, word + 8,
		     FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_LT, 0)), 0);
	tap_eq(word[8], 24);
}

static void shared_means_the_same_page_not_the_same_address(void)
{
	int fd = tap_file("f", "");
	tap_must(ftruncate(fd, PAGE));
	uint32_t *a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint32_t *b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	tap_need(a != MAP_FAILED && b != MAP_FAILED && a != b);
	pid_t kid = waiter(a + 3, FUTEX_WAIT, 0, 0);
	tap_eq(futex(b + 3, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	tap_join(kid);
}

static void private_words_of_two_processes_do_not_meet(void)
{
	uint32_t *u = tap_pages(1);

	pid_t kid = waiter(u, FUTEX_WAIT, 0, 0);
	tap_eq(futex(u, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	*u = 1;
	tap_eq(futex(u, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0), 0);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void argument_errors(void)
{
	char *p = tap_pages(1);

	word = tap_shared(1);
	tap_err(futex((uint32_t *)(p + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	tap_err(futex((uint32_t *)(p + 2), FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	tap_err(futex(word, 99, 0, NULL, NULL, 0), ENOSYS);
	tap_err(futex(word, FUTEX_FD, 0, NULL, NULL, 0), ENOSYS);
	tap_err(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	tap_err(futex(tap_page_none(), FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	tap_err(futex(BAD_KERNEL, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	tap_err(futex(BAD_KERNEL, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
	tap_efault_each(q, futex(word, FUTEX_WAIT, 0, q, NULL, 0));
	tap_err(futex(word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
}

static void killed_waiters_leave_the_queue(void)
{
	pid_t kid[3];

	word = tap_shared(1);
	for (int i = 0; i < 3; i++)
		kid[i] = waiter(word, FUTEX_WAIT, 0, 0);
	kill(kid[1], SIGKILL);
	tap_killed(kid[1], SIGKILL);
	tap_eq(futex(word, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
	tap_join(kid[0]);
	tap_join(kid[2]);
}

static void unmapping_under_a_waiter(void)
{
	int fd = tap_file("f", "");
	tap_must(ftruncate(fd, PAGE));
	word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t kid = waiter(word, FUTEX_WAIT, 0, 0);

	tap_must(unlink("f"));
	close(fd);
	tap_eq(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	tap_join(kid);
}

static void ping_pong(void)
{
	word = tap_shared(1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (uint32_t i = 0; i < 1000; i++) {
			while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != 2 * i + 1)
				futex(word, FUTEX_WAIT, 2 * i, NULL, NULL, 0);
			__atomic_store_n(word, 2 * i + 2, __ATOMIC_SEQ_CST);
			futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
		}
		tap_leave();
	}
	for (uint32_t i = 0; i < 1000; i++) {
		__atomic_store_n(word, 2 * i + 1, __ATOMIC_SEQ_CST);
		futex(word, FUTEX_WAKE, 1, NULL, NULL, 0);
		while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != 2 * i + 2)
			futex(word, FUTEX_WAIT, 2 * i + 1, NULL, NULL, 0);
	}
	tap_join(kid);
}

static void waitv_if_there(void)
{
	struct { uint64_t val, uaddr; uint32_t flags, pad; } w[2];

	word = tap_shared(1);
	w[0] = (typeof(w[0])){ 0, (uintptr_t)word, 2, 0 };
	w[1] = (typeof(w[1])){ 1, (uintptr_t)(word + 1), 2, 0 };
	tap_err(syscall(449, w, 2, 0, NULL, 0), EAGAIN);	/* the second differs */
	tap_err(syscall(449, w, 0, 0, NULL, 0), EINVAL);
	tap_err(syscall(449, w, 200, 0, NULL, 0), EINVAL);
	tap_err(syscall(449, w, 2, 1, NULL, 0), EINVAL);
	w[1].val = 0;
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(syscall(449, w, 2, 0, NULL, 0), 1);	/* the index of what woke it */
		tap_leave();
	}
	tap_await_state(kid, 'S');
	/* asleep is not yet on every queue */
	while (futex(word + 1, FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
		usleep(1000);
	tap_join(kid);
}

TAP_MAIN(
	CASE(a_changed_value_does_not_wait),
	CASE(wake_counts),
	CASE(another_word_does_not_wake),
	CASE(timeouts),
	CASE(bitsets_choose),
	CASE(requeue_moves_waiters),
	CASE(cmp_requeue_compares_first),
	CASE(wake_op_changes_and_wakes),
	CASE(shared_means_the_same_page_not_the_same_address),
	CASE(private_words_of_two_processes_do_not_meet),
	CASE(argument_errors),
	CASE(killed_waiters_leave_the_queue),
	CASE(unmapping_under_a_waiter),
	CASE(ping_pong),
	CASE(waitv_if_there),
)
