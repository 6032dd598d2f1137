/* Parent and child after fork: what one does to its mappings is nothing to the other, whoever is first, whoever ends first. */
#include "tap.h"

#include <sched.h>
#include <setjmp.h>

#define HUGE (2ul << 20)
#define RW	(PROT_READ | PROT_WRITE)

static sigjmp_buf caught;
static int go[2];

static void on_fault(int sig)
{
	siglongjmp(caught, sig);
}

/* The signal that a look at p brings, or 0. */
static int look(volatile char *p, bool write)
{
	struct sigaction act = { .sa_handler = on_fault }, old[2];
	int sig = sigsetjmp(caught, 1);

	if (!sig) {
		sigaction(SIGSEGV, &act, &old[0]);
		sigaction(SIGBUS, &act, &old[1]);
		if (write)
			*p = 'w';
		else
			(void)*p;
	}
	sigaction(SIGSEGV, &old[0], NULL);
	sigaction(SIGBUS, &old[1], NULL);
	return sig;
}

static void wait_for_go(void)
{
	char c;

	tap_eq(read(go[0], &c, 1), 1);
}

static void say_go(void)
{
	tap_eq(write(go[1], "g", 1), 1);
}

static void the_child_unmaps(void)
{
	char *p = tap_pages(8);
	pid_t kid;

	memset(p, 'p', 8 * PAGE);
	kid = tap_fork();
	if (kid == 0) {
		tap_must(munmap(p + 2 * PAGE, 2 * PAGE));
		tap_eq(look(p + 2 * PAGE, false), SIGSEGV);
		tap_eq(look(p + 4 * PAGE, true), 0);
		tap_leave();
	}
	tap_join(kid);
	for (int i = 0; i < 8; i++)
		tap_eq(p[i * PAGE], 'p');
	tap_eq(look(p + 2 * PAGE, true), 0);
}

static void the_parent_unmaps(void)
{
	char *p = tap_pages(8);
	pid_t kid;

	tap_must(pipe(go));
	memset(p, 'p', 8 * PAGE);
	kid = tap_fork();
	if (kid == 0) {
		wait_for_go();
		for (int i = 0; i < 8; i++)
			tap_eq(p[i * PAGE], 'p');
		tap_eq(look(p + 2 * PAGE, true), 0);
		tap_leave();
	}
	tap_must(munmap(p + 2 * PAGE, 2 * PAGE));
	tap_must(mprotect(p, PAGE, PROT_READ));
	say_go();
	tap_join(kid);
	tap_eq(look(p + 2 * PAGE, false), SIGSEGV);
	tap_eq(look(p, true), SIGSEGV);
	tap_eq(look(p + PAGE, true), 0);
}

static void both_map_the_same_place(void)
{
	char *p = tap_pages(4), *q;
	pid_t kid;

	tap_must(munmap(p, 4 * PAGE));
	kid = tap_fork();
	q = mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	tap_need(q == p);
	memset(q, kid ? 'p' : 'c', 4 * PAGE);
	for (int i = 0; i < 4; i++)
		tap_eq(q[i * PAGE], kid ? 'p' : 'c');
	if (kid == 0)
		tap_leave();
	tap_join(kid);
}

static void the_break_is_each_ones_own(void)
{
	char *old = (char *)((syscall(SYS_brk, 0) + PAGE - 1) & -PAGE);		/* musl's sbrk() refuses */
	pid_t kid = tap_fork();

	if (kid == 0) {
		tap_eq(syscall(SYS_brk, old + 16 * PAGE), old + 16 * PAGE);
		tap_eq(look(old + 8 * PAGE, true), 0);
		tap_leave();
	}
	tap_join(kid);
	tap_ok((char *)syscall(SYS_brk, 0) <= old);
	tap_eq(look(old + 8 * PAGE, true), SIGSEGV);
}

static void protection_is_each_ones_own(void)
{
	char *p = tap_pages(6);
	pid_t kid;

	memset(p, 'p', 6 * PAGE);
	kid = tap_fork();
	if (kid == 0) {
		tap_must(mprotect(p + PAGE, 2 * PAGE, PROT_NONE));
		tap_eq(look(p + PAGE, false), SIGSEGV);
		pid_t grandkid = tap_fork();

		if (grandkid == 0) {
			tap_eq(look(p + PAGE, false), SIGSEGV);
			tap_must(mprotect(p, 6 * PAGE, RW));
			for (int i = 0; i < 6; i++)
				tap_eq(p[i * PAGE], 'p');
			tap_leave();
		}
		tap_join(grandkid);
		tap_eq(look(p + PAGE, false), SIGSEGV);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(look(p + PAGE, true), 0);
}

/* Four processes with the same mappings, then the file is cut below all of them. */
static void a_file_is_cut_below_a_family(void)
{
	int fd = tap_must(open("cut", O_RDWR | O_CREAT, 0600));
	pid_t kids[3];
	char *shared, *copy, c;
	int ready[2];

	tap_must(pipe(go));
	tap_must(pipe(ready));
	tap_must(ftruncate(fd, 8 * PAGE));
	shared = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
	copy = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);
	tap_need(shared != MAP_FAILED && copy != MAP_FAILED);
	memset(shared, 's', 8 * PAGE);
	copy[0] = copy[6 * PAGE] = 'c';
	for (int k = 0; k < 3; k++) {
		kids[k] = tap_fork();
		if (kids[k])
			continue;
		if (k == 1)
			tap_must(munmap(shared + PAGE, PAGE));		/* has areas of its own from here on */
		if (k == 2)
			copy[5 * PAGE] = 'k';
		tap_eq(shared[5 * PAGE], 's');
		tap_eq(write(ready[1], "r", 1), 1);
		wait_for_go();
		tap_eq(look(shared + 5 * PAGE, false), SIGBUS);
		tap_eq(look(copy + 6 * PAGE, false), SIGBUS);
		tap_eq(look(copy + 5 * PAGE, false), SIGBUS);
		tap_eq(shared[2 * PAGE], 's');
		tap_eq(copy[0], 'c');
		tap_leave();
	}
	tap_eq(shared[6 * PAGE], 's');
	for (int k = 0; k < 3; k++)
		tap_eq(read(ready[0], &c, 1), 1);
	tap_must(ftruncate(fd, 4 * PAGE));
	tap_eq(look(shared + 5 * PAGE, false), SIGBUS);
	tap_eq(look(copy + 6 * PAGE, false), SIGBUS);
	for (int k = 0; k < 3; k++)
		say_go();
	for (int k = 0; k < 3; k++)
		tap_join(kids[k]);
	close(fd);
}

/* The one that mapped all this ends; its child's child goes on with it. */
static void the_first_one_ends_first(void)
{
	int back[2], status = 0;
	char *p = tap_pages(16);
	pid_t kid;

	tap_must(pipe(go));
	tap_must(pipe(back));
	memset(p, 'p', 16 * PAGE);
	kid = tap_fork();
	if (kid == 0) {
		if (tap_fork() == 0) {
			wait_for_go();
			for (int i = 0; i < 16; i++)
				status |= p[i * PAGE] != 'p';
			status |= munmap(p + PAGE, PAGE) || look(p + PAGE, false) != SIGSEGV || look(p, true);
			status |= mmap(p + PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p + PAGE;
			status |= p[PAGE] != 0;
			_exit(write(back[1], &status, sizeof(status)) != sizeof(status));
		}
		tap_leave();
	}
	tap_join(kid);
	say_go();
	tap_eq(read(back[0], &status, sizeof(status)), sizeof(status));
	tap_eq(status, 0);
}

static int depth(int n)
{
	volatile char room[2048];

	room[0] = (char)n;
	room[2047] = n ? (char)depth(n - 1) : 1;
	return room[2047] + (room[0] & 0);
}

static void stacks_grow_apart(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		tap_eq(depth(500), 1);
		tap_leave();
	}
	tap_eq(depth(700), 1);
	tap_join(kid);
}

static void locked_pages_and_advice_are_not_inherited(void)
{
	char *p = tap_pages(6);
	pid_t kid;

	memset(p, 'p', 6 * PAGE);
	tap_must(mlock(p, PAGE));
	tap_must(madvise(p + 2 * PAGE, PAGE, MADV_DONTFORK));
	tap_must(madvise(p + 4 * PAGE, PAGE, MADV_WIPEONFORK));
	kid = tap_fork();
	if (kid == 0) {
		tap_eq(look(p + 2 * PAGE, false), SIGSEGV);
		tap_eq(p[4 * PAGE], 0);
		tap_eq(p[0], 'p');
		tap_must(munmap(p + 5 * PAGE, PAGE));
		tap_leave();
	}
	tap_join(kid);
	for (int i = 0; i < 6; i++)
		tap_eq(p[i * PAGE], 'p');
	tap_must(munlock(p, PAGE));
	tap_must(madvise(p + 2 * PAGE, PAGE, MADV_DOFORK));
	tap_must(madvise(p + 4 * PAGE, PAGE, MADV_KEEPONFORK));
	kid = tap_fork();
	if (kid == 0) {
		for (int i = 0; i < 6; i++)
			tap_eq(p[i * PAGE], 'p');
		tap_leave();
	}
	tap_join(kid);
}

/* Parent and children change the same areas at the same time, on every CPU. */
static void many_change_at_once(void)
{
	char *p = tap_pages(64);
	pid_t kids[16];

	memset(p, 'p', 64 * PAGE);
	for (int round = 0; round < 12; round++) {
		for (int k = 0; k < 16; k++) {
			kids[k] = tap_fork();
			if (kids[k])
				continue;
			for (int i = k % 4; i < 60; i += 3)
				tap_must(i & 1 ? munmap(p + i * PAGE, PAGE) : mprotect(p + i * PAGE, PAGE, PROT_READ));
			tap_eq(p[62 * PAGE], 'p');
			tap_leave();
		}
		tap_must(mprotect(p + round * PAGE, PAGE, round & 1 ? RW : PROT_READ));
		for (int k = 0; k < 16; k++)
			tap_join(kids[k]);
	}
	for (int i = 0; i < 64; i++)
		tap_eq(p[i * PAGE], 'p');
}

/* What C libraries write in every child, and the page under the stack pointer, may be copied by fork itself. */
static void what_is_written_in_every_fork_stays_apart(void)
{
	static __thread int own[3];
	static int data[3 * PAGE / sizeof(int)];
	volatile int stack[3] = { 0, 0, 0 };
	char *page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	tap_need(page != MAP_FAILED);
	for (int round = 1; round <= 80; round++) {
		own[0] = stack[0] = data[round % 3 * (PAGE / sizeof(int))] = round;
		page[8] = (char)round;
		int kid = tap_fork();

		/* Each now writes the same words; the child also what the parent only reads, and the other way round. */
		own[1] = stack[1] = data[PAGE / sizeof(int) + 1] = page[0] = kid ? 'p' : 'c';
		if (kid) {
			data[2 * PAGE / sizeof(int) + 2] = round;
			tap_join(kid);
		} else {
			tap_eq(own[2], round - 1);		/* the parent's, written after its last fork */
			own[2] = stack[2] = page[16] = 'c';
			sched_yield();
		}
		tap_ok(own[0] == round && stack[0] == round && data[round % 3 * (PAGE / sizeof(int))] == round && page[8] == (char)round);
		tap_ok(own[1] == stack[1] && stack[1] == data[PAGE / sizeof(int) + 1] && page[0] == own[1] && own[1] == (kid ? 'p' : 'c'));
		if (!kid)
			tap_leave();
		tap_ok(own[2] == round - 1 && stack[2] == 0 && page[16] == 0 && data[2 * PAGE / sizeof(int) + 2] == round);
		own[2] = round;
	}
}

static const struct tap_case cases[] = {
	CASE(the_child_unmaps),
	CASE(what_is_written_in_every_fork_stays_apart),
	CASE(the_parent_unmaps),
	CASE(both_map_the_same_place),
	CASE(the_break_is_each_ones_own),
	CASE(protection_is_each_ones_own),
	CASE(a_file_is_cut_below_a_family),
	CASE(the_first_one_ends_first),
	CASE(stacks_grow_apart),
	CASE(locked_pages_and_advice_are_not_inherited),
	CASE(many_change_at_once),
};

/*
 * "cost MiB": clock ticks that fork takes the parent with so much memory in use, in pages of 4 KiB and then of 2 MiB,
 * once a page table of it has been made: the first, and the most of the next eight.  "cost": fork, exit and wait, nothing
 * else.  Under -icount shift=0 a tick is an instruction.
 */
static long fork_ticks(bool with_wait)
{
	uint64_t start = __builtin_ia32_rdtsc(), end;
	pid_t kid = with_wait ? syscall(SYS_fork) : fork();

	if (kid == 0)
		syscall(SYS_exit_group, 0);
	if (!with_wait)
		end = __builtin_ia32_rdtsc();
	if (syscall(SYS_wait4, kid, NULL, 0, NULL) != kid)
		exit(1);
	if (with_wait)
		end = __builtin_ia32_rdtsc();
	return (long)(end - start);
}

static void print_ticks(bool with_wait)
{
	long first = fork_ticks(with_wait), most = 0;

	for (int i = 0; i < 8; i++) {
		long t = fork_ticks(with_wait);

		most = t > most ? t : most;
	}
	printf("%ld %ld\n", first, most);
}

static int cost_main(size_t size)
{
	for (int huge = 0; size && huge < 2; huge++) {
		char *p = mmap(NULL, size + HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		tap_need(p != MAP_FAILED);
		p += -(uintptr_t)p % HUGE;
		tap_must(madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
		for (size_t i = 0; i < size; i += huge ? HUGE : PAGE)
			p[i] = 1;
		print_ticks(false);
		tap_must(munmap(p, size));
	}
	if (!size)
		print_ticks(true);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "cost"))
		return cost_main(argc > 2 ? strtoul(argv[2], NULL, 0) << 20 : 0);
	return tap_main(argc, argv, cases, ARRAY_LEN(cases));
}
