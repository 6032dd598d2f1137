/*
 * Threads and memory: several CPUs map, unmap, protect and fault in one address space.
 * A translation that outlives its page shows here as a wrong value or as a missing fault.
 */
#include "tap.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/uio.h>

#define RW	(PROT_READ | PROT_WRITE)
#define N	4

static volatile int stop;
static __thread sigjmp_buf back;

static void on_fault(int sig)
{
	siglongjmp(back, sig);
}

static void catch_faults(void)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	tap_must(sigaction(SIGSEGV, &sa, NULL));
	tap_must(sigaction(SIGBUS, &sa, NULL));
}

static void run(void *(*fn)(void *), int rounds, void (*main_part)(int))
{
	pthread_t t[N];
	void *r;

	stop = 0;
	for (long i = 0; i < N; i++)
		tap_need(pthread_create(&t[i], NULL, fn, (void *)i) == 0);
	for (int i = 0; main_part && i < rounds; i++)
		main_part(i);
	stop = 1;
	for (int i = 0; i < N; i++) {
		pthread_join(t[i], &r);
		tap_eq((long)r, 0);
	}
}

static void *map_and_unmap(void *arg)
{
	long me = (long)arg, bad = 0;

	for (int i = 0; i < 40; i++) {
		char *p = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return (void *)1;
		for (int k = 0; k < 8; k++) {
			bad |= p[k * PAGE] != 0;	/* fresh, whoever had it before */
			p[k * PAGE] = me + 1;
		}
		for (int k = 0; k < 8; k++)
			bad |= p[k * PAGE] != me + 1;
		munmap(p, 8 * PAGE);
	}
	return (void *)bad;
}

static void maps_and_unmaps_in_parallel(void)
{
	run(map_and_unmap, 0, NULL);
}

static char *target;

static void *fault_same_pages(void *arg)
{
	for (int i = 0; i < 256; i++)
		__atomic_fetch_add((int *)(target + ((i * 7 + (long)arg * 31) % 256) * PAGE), 1,
				   __ATOMIC_RELAXED);
	return NULL;
}

static void first_touch_of_the_same_pages(void)
{
	for (int round = 0; round < 5; round++) {
		long sum = 0;

		target = tap_pages(256);
		run(fault_same_pages, 0, NULL);
		for (int i = 0; i < 256; i++)
			sum += *(int *)(target + i * PAGE);
		tap_eq(sum, 256 * N);
		munmap(target, 256 * PAGE);
	}
}

static void *write_when_allowed(void *arg)
{
	long wrote = 0;

	(void)arg;
	while (!stop) {
		if (sigsetjmp(back, 1) == 0) {
			*(volatile char *)target = 1;
			wrote++;
		}
		sched_yield();
	}
	return NULL;
}

static void flip(int i)
{
	tap_need(mprotect(target, PAGE, PROT_READ) == 0);
	*(volatile char *)(target + 1);
	/* from here on nobody may write: the value must stay */
	char v = *(volatile char *)target;
	for (int k = 0; k < 50; k++)
		tap_need(*(volatile char *)target == v);
	tap_need(mprotect(target, PAGE, RW) == 0);
	*(volatile char *)target = 2 + i % 50;
}

static void taking_the_right_to_write_holds_on_every_cpu(void)
{
	catch_faults();
	target = tap_pages(1);
	run(write_when_allowed, 150, flip);
}

static void *write_pattern(void *arg)
{
	long me = (long)arg;

	while (!stop) {
		if (sigsetjmp(back, 1) == 0)
			*(volatile int *)(target + me * 64) = 0x5a5a;
	}
	return NULL;
}

static void replace_page(int i)
{
	char *other;

	tap_need(munmap(target, PAGE) == 0);
	/* a page freed now may be handed out at once: nobody may still write to it */
	other = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	tap_need(other != MAP_FAILED);
	for (int k = 0; k < 3; k++)
		sched_yield();
	if (other == target) {				/* placed where it was: writes are legal */
		munmap(other, 16 * PAGE);
		other = NULL;
	}
	for (unsigned k = 0; other && k < 16 * PAGE; k += 64) {
		if (other + k >= target && other + k < target + PAGE)
			continue;
		tap_need(*(int *)(other + k) == 0);
	}
	if (other)
		munmap(other, 16 * PAGE);
	tap_need(mmap(target, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == target);
	(void)i;
}

static void unmapped_pages_are_out_of_reach_at_once(void)
{
	catch_faults();
	target = tap_pages(1);
	run(write_pattern, 100, replace_page);
}

static void *increment_own_word(void *arg)
{
	volatile long *w = (long *)target + (long)arg * 8;
	long n = 0;

	while (!stop) {
		n++;
		*w = n;
		if (*w != n)
			return (void *)1;
	}
	return NULL;
}

static void fork_now(int i)
{
	pid_t kid = fork();

	(void)i;
	if (kid == 0) {
		volatile long *w = (long *)target;
		long a = w[0];

		for (int k = 0; k < 1000; k++)		/* nobody else runs in the copy */
			if (w[0] != a)
				_exit(1);
		_exit(0);
	}
	tap_need(kid > 0);
	tap_need(tap_status(kid) == 0);
}

static void fork_while_other_threads_write(void)
{
	target = tap_pages(1);
	run(increment_own_word, 25, fork_now);
}

static void *grow_and_shrink_brk(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		char *p = malloc(40000 + i * 100);

		if (!p)
			return (void *)1;
		memset(p, i, 40000);
		free(p);
	}
	return NULL;
}

static void allocation_in_parallel(void)
{
	run(grow_and_shrink_brk, 0, NULL);
}

static int file_fd;

static void *read_file_pages(void *arg)
{
	long bad = 0;

	(void)arg;
	for (int i = 0; i < 50; i++) {
		char *p = mmap(NULL, 16 * PAGE, PROT_READ, MAP_PRIVATE, file_fd, 0);

		if (p == MAP_FAILED)
			return (void *)1;
		for (int k = 0; k < 16; k++)
			bad |= p[k * PAGE] != 'A' + k;
		munmap(p, 16 * PAGE);
	}
	return (void *)bad;
}

static void file_pages_in_parallel(void)
{
	char page[4096];

	file_fd = tap_file("f", "");
	for (int i = 0; i < 16; i++) {
		memset(page, 'A' + i, sizeof(page));
		tap_eq(write(file_fd, page, sizeof(page)), 4096);
	}
	run(read_file_pages, 0, NULL);
}

static void *fault_on_file(void *arg)
{
	(void)arg;
	while (!stop)
		if (sigsetjmp(back, 1) == 0)
			for (int k = 0; k < 8; k++)
				(void)*(volatile char *)(target + k * PAGE);
	return NULL;
}

static void cut_and_grow(int i)
{
	(void)i;
	tap_need(ftruncate(file_fd, PAGE) == 0);
	tap_need(ftruncate(file_fd, 8 * PAGE) == 0);
}

static void truncation_under_readers(void)
{
	catch_faults();
	file_fd = tap_file("f", "");
	tap_must(ftruncate(file_fd, 8 * PAGE));
	target = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, file_fd, 0);
	tap_need(target != MAP_FAILED);
	run(fault_on_file, 100, cut_and_grow);
}

static void *membarriers(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++)
		if (syscall(SYS_membarrier, 8 /* PRIVATE_EXPEDITED */, 0, 0) != 0)
			return (void *)1;
	return NULL;
}

static void membarrier_call(void)
{
	long cmds = syscall(SYS_membarrier, 0, 0, 0);

	tap_ok(cmds & 8);
	tap_err(syscall(SYS_membarrier, 8, 0, 0), EPERM);	/* not registered yet */
	tap_eq(syscall(SYS_membarrier, 16, 0, 0), 0);
	run(membarriers, 0, NULL);
	tap_err(syscall(SYS_membarrier, 0x4000000, 0, 0), EINVAL);
}

static void process_vm_calls(void)
{
	static char mine[100];
	char *theirs = tap_pages(1);
	struct iovec l = { mine, 50 }, r = { theirs, 50 };

	strcpy(theirs, "before the fork");
	pid_t kid = tap_fork();
	if (kid == 0) {
		strcpy(theirs, "in the child");
		raise(SIGSTOP);
		_exit(strcmp(theirs, "from the parent") == 0 ? 0 : 1);
	}
	int st;
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	tap_eq(syscall(SYS_process_vm_readv, kid, &l, 1, &r, 1, 0), 50);
	tap_str(mine, "in the child");
	strcpy(mine, "from the parent");
	tap_eq(syscall(SYS_process_vm_writev, kid, &l, 1, &r, 1, 0), 50);
	r.iov_base = tap_page_edge(0);
	tap_err(syscall(SYS_process_vm_readv, kid, &l, 1, &r, 1, 1), EINVAL);
	tap_err(syscall(SYS_process_vm_readv, 4000000, &l, 1, &r, 1, 0), ESRCH);
	r.iov_base = BAD_KERNEL;
	tap_err(syscall(SYS_process_vm_readv, kid, &l, 1, &r, 1, 0), EFAULT);
	tap_str(theirs, "before the fork");
	kill(kid, SIGCONT);
	tap_join(kid);
}

TAP_MAIN(
	CASE(maps_and_unmaps_in_parallel),
	CASE(first_touch_of_the_same_pages),
	CASE(taking_the_right_to_write_holds_on_every_cpu),
	CASE(unmapped_pages_are_out_of_reach_at_once),
	CASE(fork_while_other_threads_write),
	CASE(allocation_in_parallel),
	CASE(file_pages_in_parallel),
	CASE(truncation_under_readers),
	CASE(membarrier_call),
	CASE(process_vm_calls),
)
