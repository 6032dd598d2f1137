/*
 * Futexes with one thread: what other threads would do happens in timer
 * callbacks while it sleeps.
 * host-sources: kern/sched/futex.c
 */
#include <arch/upcall.h>
#include <core/clock.h>
#include <core/timer.h>
#include <sched/futex.h>
#include <test/test.h>

static u32 word, word2;
static struct futex_key key = { .object = 1, .offset = 8 }, key2 = { .object = 1, .offset = 16 };
static i64 result;
static u32 faults;

int vm_fault_user(u64 addr, u64 err, bool from_user)
{
	faults++;
	host_user_bad(NULL, 0);
	return 0;
}

#define WORD  UPTR(&word)
#define WORD2 UPTR(&word2)

static struct timer timer;

static void later(void (*fn)(struct timer *t))
{
	timer_init(&timer, fn);
	timer_arm(&timer, clock_mono_ns() + 10);
	result = -1000;
}

static u64 soon(void) { return clock_mono_ns() + 1000; }

static void do_wake(struct timer *t) { result = futex_wake(&key, 1, ~0u); }
static void do_wake_other_bits(struct timer *t) { result = futex_wake(&key, 1, 2); }
static void do_requeue(struct timer *t) { result = futex_requeue(&key, WORD, &key2, 0, 10, true, 5); }
static void do_requeue_then_wake(struct timer *t)
{
	result = futex_requeue(&key, WORD, &key2, 0, 10, false, 0);
	CHECK_EQ(futex_wake(&key, 10, ~0u), 0u);
	CHECK_EQ(futex_wake(&key2, 10, ~0u), 1u);
}
static void do_wake2(struct timer *t) { result = futex_wake(&key2, 10, ~0u); }
static void do_signal(struct timer *t)
{
	bits_set(&thread_current()->flags, TF_SIGNAL);
	sched_wake(thread_current());
}
static void do_wake_and_signal(struct timer *t)
{
	do_wake(t);
	do_signal(t);
}
/* FUTEX_OP_ADD 3, FUTEX_OP_CMP_EQ 7 */
static void do_wake_op(struct timer *t) { result = futex_wake_op(&key2, &key, WORD2, 1, 1, 1u << 28 | 0u << 24 | 3u << 12 | 7u); }

static void start(void)
{
	futex_init();
	ref_init(&thread_current()->refs);
	host_allow_leaks();
	word = 5;
}

TEST(futex, wait_returns_at_once_when_it_should)
{
	start();
	CHECK_EQ(futex_wait(&key, WORD, 6, ~0u, ~0ull), -EAGAIN);
	CHECK_EQ(futex_wait(&key, UPTR(8), 5, ~0u, ~0ull), -EFAULT);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), -ETIMEDOUT);
	CHECK_EQ(futex_wake(&key, 1, ~0u), 0u);
	CHECK_EQ(ref_read(&thread_current()->refs), 1u);
}

TEST(futex, a_wake_ends_the_wait_and_is_counted)
{
	start();
	later(do_wake);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), 0);
	CHECK_EQ(result, 1);
	CHECK_EQ(futex_wake(&key, 1, ~0u), 0u);
	CHECK_EQ(ref_read(&thread_current()->refs), 1u);
}

TEST(futex, bitsets_must_meet)
{
	start();
	later(do_wake_other_bits);
	CHECK_EQ(futex_wait(&key, WORD, 5, 1, soon()), -ETIMEDOUT);
	CHECK_EQ(result, 0);
	later(do_wake_other_bits);
	CHECK_EQ(futex_wait(&key, WORD, 5, 3, soon()), 0);
	CHECK_EQ(result, 1);
}

TEST(futex, requeued_waiters_hear_the_other_word)
{
	start();
	later(do_requeue_then_wake);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), 0);
	CHECK_EQ(result, 1);
	later(do_requeue);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), -ETIMEDOUT);
	CHECK_EQ(result, 1);
	CHECK_EQ(futex_requeue(&key, WORD, &key2, 1, 1, true, 6), -EAGAIN);
	CHECK_EQ(futex_requeue(&key, UPTR(8), &key2, 1, 1, true, 6), -EFAULT);
}

TEST(futex, a_signal_interrupts_but_a_wake_wins)
{
	start();
	later(do_signal);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), -ERESTARTSYS);
	bits_clear(&thread_current()->flags, TF_SIGNAL);
	later(do_wake_and_signal);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), 0);
	CHECK_EQ(result, 1);
}

TEST(futex, wake_op_changes_the_word_and_compares_the_old_value)
{
	start();
	word2 = 7;
	later(do_wake_op);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), 0);
	CHECK_EQ(result, 1);
	CHECK_EQ(word2, 10u);
	later(do_wake_op);
	CHECK_EQ(futex_wait(&key, WORD, 5, ~0u, soon()), -ETIMEDOUT);
	CHECK_EQ(word2, 13u);
	CHECK_EQ(futex_wake_op(&key, &key2, WORD2, 1, 1, 7u << 28), -ENOSYS);
	CHECK_EQ(futex_wake_op(&key, &key2, UPTR(~0ull - 3), 1, 1, 1u << 28), -EFAULT);
	host_user_bad(&word2, 4);
	CHECK_EQ(futex_wake_op(&key, &key2, WORD2, 1, 1, 1u << 28 | 1u << 12), 0);
	CHECK_EQ(faults, 1u);
	CHECK_EQ(word2, 14u);
}

TEST(futex, waitv)
{
	struct futex_key keys[2] = { key, key2 };
	uptr_t addrs[2] = { WORD, WORD2 };
	u32 vals[2] = { 5, 9 };

	start();
	CHECK_EQ(futex_waitv(keys, addrs, vals, 2, soon()), -EAGAIN);
	vals[1] = word2 = 1;
	CHECK_EQ(futex_waitv(keys, addrs, vals, 2, soon()), -ETIMEDOUT);
	later(do_wake2);
	CHECK_EQ(futex_waitv(keys, addrs, vals, 2, soon()), 1);
	CHECK_EQ(result, 1);
	CHECK_EQ(futex_waitv(keys, addrs, vals, 0, soon()), -EINVAL);
	CHECK_EQ(futex_wake(&key, 9, ~0u) + futex_wake(&key2, 9, ~0u), 0u);
}
