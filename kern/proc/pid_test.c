/* Process numbers: growth, wrapping, reuse, chosen numbers.
 * host-sources: kern/proc/pid.c
 */
#include <test/test.h>
#include "proc.h"

static int alloc(u32 want, u32 *nr)
{
	int err;

	for (;;) {
		spin_lock(&proc_table_lock);
		err = pid_alloc_locked(want, nr);
		if (!err)
			pid_slot(*nr)->task = (struct task *)1;
		spin_unlock(&proc_table_lock);
		if (err != 1)
			return err;
		if (pid_chunk_add(*nr))
			return -ENOMEM;
	}
}

static void drop(u32 nr)
{
	GUARD_SPIN(&proc_table_lock);
	pid_slot(nr)->task = NULL;
	pid_release_locked(nr);
}

TEST(pid, numbers_grow_and_wrap_past_the_reserved)
{
	u32 nr;

	host_allow_leaks();
	sysctl_pid_max = 1000;
	for (u32 want = 1; want < 1000; want++) {
		NEED(alloc(0, &nr) == 0);
		CHECK_EQ(nr, want);
	}
	CHECK_EQ(alloc(0, &nr), -EAGAIN);
	drop(5);
	drop(700);
	CHECK_EQ(alloc(0, &nr), 0);
	CHECK_EQ(nr, 700);			/* small numbers are not reused */
	CHECK_EQ(alloc(0, &nr), -EAGAIN);
}

TEST(pid, a_freed_number_is_not_reused_soon)
{
	u32 a, b;

	host_allow_leaks();
	sysctl_pid_max = 32768;
	CHECK_EQ(alloc(0, &a), 0);
	drop(a);
	CHECK_EQ(alloc(0, &b), 0);
	CHECK_EQ(b, a + 1);
}

TEST(pid, a_group_keeps_the_number)
{
	u32 nr;

	host_allow_leaks();
	sysctl_pid_max = 32768;
	NEED(alloc(77, &nr) == 0);
	CHECK_EQ(alloc(77, &nr), -EEXIST);
	spin_lock(&proc_table_lock);
	pid_slot(77)->group = (struct pgroup *)1;
	spin_unlock(&proc_table_lock);
	drop(77);
	CHECK_EQ(alloc(77, &nr), -EEXIST);
	spin_lock(&proc_table_lock);
	pid_slot(77)->group = NULL;
	pid_release_locked(77);
	spin_unlock(&proc_table_lock);
	CHECK_EQ(alloc(77, &nr), 0);
	CHECK_EQ(alloc(40000, &nr), -EINVAL);
}

TEST(pid, iteration_finds_them_in_order)
{
	static const u32 numbers[] = { 3, 511, 512, 5000, 30000 };
	u32 nr, i = 0;

	host_allow_leaks();
	sysctl_pid_max = 32768;
	for (i = 0; i < ARRAY_LEN(numbers); i++)
		NEED(alloc(numbers[i], &nr) == 0);
	GUARD_SPIN(&proc_table_lock);
	i = 0;
	for (nr = pid_next_used_locked(1); nr; nr = pid_next_used_locked(nr + 1))
		NEED(i < ARRAY_LEN(numbers) && numbers[i++] == nr);
	CHECK_EQ(i, ARRAY_LEN(numbers));
}

TEST(pid, no_memory_for_a_chunk)
{
	u32 nr;

	host_allow_leaks();
	sysctl_pid_max = 32768;
	host_fail_at(0);
	CHECK_EQ(alloc(0, &nr), -ENOMEM);
	CHECK_EQ(alloc(0, &nr), 0);
	CHECK_EQ(nr, 1);
}
