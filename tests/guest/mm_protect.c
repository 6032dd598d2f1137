/* mprotect, madvise, mincore, mlock, brk. */
#include "tap.h"

#include <setjmp.h>
#include <sys/resource.h>

#define RW	(PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static volatile int fault_code;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	fault_code = si->si_code;
	siglongjmp(back, sig);
}

static int touch(volatile char *p, bool write)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_NODEFER | SA_SIGINFO };
	int sig;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sig = sigsetjmp(back, 1);
	if (sig)
		return sig;
	if (write)
		*p = 1;
	else
		(void)*p;
	return 0;
}

static void rights_can_be_taken_and_given(void)
{
	char *p = tap_pages(3);

	memset(p, 'k', 3 * PAGE);
	tap_eq(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	tap_eq(touch(p + PAGE, false), 0);
	tap_eq(touch(p + PAGE, true), SIGSEGV);
	tap_eq(fault_code, SEGV_ACCERR);
	tap_eq(touch(p, true), 0);
	tap_eq(touch(p + 2 * PAGE, true), 0);
	tap_eq(mprotect(p + PAGE, PAGE, PROT_NONE), 0);
	tap_eq(touch(p + PAGE, false), SIGSEGV);
	tap_eq(fault_code, SEGV_ACCERR);
	tap_eq(mprotect(p, 3 * PAGE, RW), 0);
	tap_eq(p[PAGE + 1], 'k');			/* the contents survive */
	tap_eq(touch(p + PAGE, true), 0);
}

static void unmapped_is_maperr(void)
{
	char *p = tap_pages(1);

	tap_must(munmap(p, PAGE));
	tap_eq(touch(p, false), SIGSEGV);
	tap_eq(fault_code, SEGV_MAPERR);
}

static void mprotect_errors(void)
{
	char *p = tap_pages(3);

	tap_err(syscall(SYS_mprotect, p + 1, PAGE, RW), EINVAL);
	tap_eq(mprotect(p, 0, RW), 0);
	tap_err(syscall(SYS_mprotect, p, PAGE, 0x1000), EINVAL);
	tap_must(munmap(p + PAGE, PAGE));
	tap_err(mprotect(p, 3 * PAGE, PROT_READ), ENOMEM);
	tap_eq(touch(p, true), SIGSEGV);		/* what came before the hole is done */
	tap_eq(touch(p + 2 * PAGE, true), 0);
	tap_err(mprotect(p + PAGE, PAGE, RW), ENOMEM);
	tap_err(mprotect(BAD_KERNEL, PAGE, RW), ENOMEM);
	tap_err(mprotect(p, (size_t)-PAGE, RW), ENOMEM);
}

static void a_readonly_file_cannot_become_writable(void)
{
	tap_spit("f", "abc");
	int fd = tap_must(open("f", O_RDONLY));
	char *s = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	tap_need(s != MAP_FAILED && p != MAP_FAILED);
	tap_err(mprotect(s, PAGE, RW), EACCES);
	tap_eq(mprotect(p, PAGE, RW), 0);
	tap_eq(touch(p, true), 0);
}

static void noexec_pages_do_not_run(void)
{
	unsigned char *p = tap_pages(1);

	p[0] = 0xc3;
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_NODEFER | SA_SIGINFO };
	sigaction(SIGSEGV, &sa, NULL);
	if (sigsetjmp(back, 1) == 0) {
		((void (*)(void))p)();
		tap_fail("data was executed");
	}
	tap_eq(fault_code, SEGV_ACCERR);
	tap_must(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	((void (*)(void))p)();
	tap_eq(touch((void *)p, true), SIGSEGV);
}

static void protection_of_one_process_is_its_own(void)
{
	char *p = tap_shared(1);

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(mprotect(p, PAGE, PROT_NONE));
		tap_eq(touch(p, false), SIGSEGV);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(touch(p, true), 0);
}

static void cow_pages_and_mprotect(void)
{
	char *p = tap_pages(2);

	p[0] = 'a';
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(mprotect(p, PAGE, PROT_READ));
		tap_must(mprotect(p, PAGE, RW));
		p[0] = 'b';
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[0], 'a');
}

static void dontneed_zeroes_private_memory(void)
{
	char *p = tap_pages(4);

	memset(p, 'x', 4 * PAGE);
	tap_eq(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED), 0);
	tap_eq(p[0], 'x');
	tap_eq(p[PAGE], 0);
	tap_eq(p[3 * PAGE - 1], 0);
	tap_eq(p[3 * PAGE], 'x');
}

static void dontneed_rereads_files(void)
{
	int fd = tap_file("f", "abc");
	char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);

	tap_need(p != MAP_FAILED);
	p[0] = 'z';
	tap_eq(madvise(p, PAGE, MADV_DONTNEED), 0);
	tap_eq(p[0], 'a');
	char *s = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	s[1] = 'S';
	tap_eq(madvise(s, PAGE, MADV_DONTNEED), 0);
	tap_eq(s[1], 'S');				/* shared pages lose nothing */
}

static void madvise_errors_and_hints(void)
{
	char *p = tap_pages(3);
	static const int hints[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
				     MADV_DONTFORK, MADV_DOFORK };

	for (unsigned i = 0; i < ARRAY_LEN(hints); i++)
		tap_eq(madvise(p, PAGE, hints[i]), 0);
	tap_eq(madvise(p, 0, MADV_DONTNEED), 0);
	tap_err(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
	tap_err(madvise(p, PAGE, 9999), EINVAL);
	tap_must(munmap(p + PAGE, PAGE));
	p[2 * PAGE] = 'x';
	tap_err(madvise(p, 3 * PAGE, MADV_DONTNEED), ENOMEM);
	tap_eq(p[2 * PAGE], 0);				/* the rest was advised all the same */
	tap_err(madvise(p, (size_t)-1, MADV_DONTNEED), EINVAL);
}

static void dontfork_and_wipeonfork(void)
{
	char *p = tap_pages(2), *q = tap_pages(2);

	p[0] = q[0] = 'x';
	tap_must(madvise(p, 2 * PAGE, MADV_DONTFORK));
	tap_must(madvise(q, 2 * PAGE, 18 /* MADV_WIPEONFORK */));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(touch(p, false), SIGSEGV);
		tap_eq(q[0], 0);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[0], 'x');
	tap_eq(q[0], 'x');
}

static void madv_free_and_remove(void)
{
	struct stat st;
	char *p = tap_pages(2);

	p[0] = 'x';
	tap_eq(madvise(p, 2 * PAGE, MADV_FREE), 0);
	tap_ok(p[0] == 'x' || p[0] == 0);
	p[0] = 'y';
	tap_eq(p[0], 'y');
	int fd = tap_file("f", "");
	tap_must(ftruncate(fd, 2 * PAGE));
	char *s = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	memset(s, 'f', 2 * PAGE);
	tap_eq(madvise(s, PAGE, MADV_REMOVE), 0);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_blocks, 8);
	tap_eq(s[0], 0);
	tap_eq(s[PAGE], 'f');
	tap_err(madvise(p, PAGE, MADV_REMOVE), EINVAL);
}

static void populate_advice(void)
{
	unsigned char vec[4];
	char *p = tap_pages(4);

	tap_eq(madvise(p, 2 * PAGE, 23 /* MADV_POPULATE_WRITE */), 0);
	tap_must(mincore(p, 4 * PAGE, vec));
	tap_eq(vec[0] & vec[1] & 1, 1);
	tap_eq((vec[2] | vec[3]) & 1, 0);
	tap_must(mprotect(p, PAGE, PROT_READ));
	tap_err(madvise(p, PAGE, 23), EINVAL);
	tap_eq(madvise(p, 4 * PAGE, 22 /* MADV_POPULATE_READ */), 0);
}

static void mincore_tells(void)
{
	unsigned char vec[5];
	char *p = tap_pages(5);

	p[PAGE] = 1;
	p[3 * PAGE] = 1;
	tap_eq(mincore(p, 5 * PAGE, vec), 0);
	for (int i = 0; i < 5; i++)
		tap_eq(vec[i] & 1, i == 1 || i == 3);
	tap_eq(mincore(p, 4 * PAGE + 1, vec), 0);
	tap_eq(mincore(p, 0, vec), 0);
	tap_err(mincore(p + 1, PAGE, vec), EINVAL);
	tap_must(munmap(p + 2 * PAGE, PAGE));
	tap_err(mincore(p, 5 * PAGE, vec), ENOMEM);
	tap_efault_each(q, mincore(p, PAGE, q));
	tap_err(mincore(p, (size_t)-PAGE, vec), ENOMEM);
}

static void mlock_and_limits(void)
{
	unsigned char vec[4];
	char *p = tap_pages(4);

	tap_eq(mlock(p, 4 * PAGE), 0);
	tap_must(mincore(p, 4 * PAGE, vec));
	tap_eq(vec[0] & vec[1] & vec[2] & vec[3] & 1, 1);
	tap_eq(munlock(p, 4 * PAGE), 0);
	tap_eq(mlock(p + 10, 10), 0);			/* rounded */
	tap_must(munmap(p + PAGE, PAGE));
	tap_err(mlock(p, 3 * PAGE), ENOMEM);
	tap_err(munlock(p, 3 * PAGE), ENOMEM);
	tap_eq(mlockall(MCL_CURRENT), 0);
	tap_eq(munlockall(), 0);
	tap_err(mlockall(0), EINVAL);
	tap_err(mlockall(64), EINVAL);
	tap_err(syscall(SYS_mlock2, p, PAGE, 8), EINVAL);
	tap_eq(syscall(SYS_mlock2, p, PAGE, 1), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		struct rlimit rl = { 2 * PAGE, 2 * PAGE };
		char *q = tap_pages(4);

		tap_must(setrlimit(RLIMIT_MEMLOCK, &rl));
		tap_become(1000, 1000);
		tap_eq(mlock(q, 2 * PAGE), 0);
		tap_err(mlock(q, 4 * PAGE), ENOMEM);
		tap_leave();
	}
	tap_join(kid);
}

static void brk_moves_and_zeroes(void)
{
	long start = syscall(SYS_brk, 0), end = start + 10 * PAGE;

	tap_eq(syscall(SYS_brk, end), end);
	char *p = (void *)start;
	for (unsigned i = 0; i < 10 * PAGE; i += 128)
		tap_need(p[i] == 0);
	memset(p, 'b', 10 * PAGE);
	tap_eq(syscall(SYS_brk, start + 5 * PAGE + 1), start + 5 * PAGE + 1);
	tap_eq(p[5 * PAGE], 'b');
	tap_eq(touch(p + 7 * PAGE, false), SIGSEGV);
	tap_eq(syscall(SYS_brk, end), end);
	tap_eq(p[8 * PAGE], 0);				/* given back, so zero again */
	tap_eq(p[0], 'b');
}

static void brk_refusals_return_the_old_end(void)
{
	long end = syscall(SYS_brk, 0);

	tap_eq(syscall(SYS_brk, 1), end);
	tap_eq(syscall(SYS_brk, -1l), end);
	tap_eq(syscall(SYS_brk, BAD_KERNEL), end);
	struct rlimit rl = { 1 << 20, 1 << 20 };
	tap_must(setrlimit(RLIMIT_DATA, &rl));
	tap_eq(syscall(SYS_brk, end + (8 << 20)), end);
}

static void brk_stops_at_a_mapping(void)
{
	long end = syscall(SYS_brk, 0);
	long top = (end + 2 * PAGE - 1) & -PAGE;

	void *p = mmap((void *)(top + 4 * PAGE), PAGE, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	tap_need(p != MAP_FAILED);
	tap_eq(syscall(SYS_brk, top + 6 * PAGE), end);
	tap_eq(syscall(SYS_brk, top), top);
}

static void a_child_has_its_own_brk(void)
{
	long end = syscall(SYS_brk, 0);

	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(syscall(SYS_brk, end + 4 * PAGE), end + 4 * PAGE);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(syscall(SYS_brk, 0), end);
}

TAP_MAIN(
	CASE(rights_can_be_taken_and_given),
	CASE(unmapped_is_maperr),
	CASE(mprotect_errors),
	CASE(a_readonly_file_cannot_become_writable),
	CASE(noexec_pages_do_not_run),
	CASE(protection_of_one_process_is_its_own),
	CASE(cow_pages_and_mprotect),
	CASE(dontneed_zeroes_private_memory),
	CASE(dontneed_rereads_files),
	CASE(madvise_errors_and_hints),
	CASE(dontfork_and_wipeonfork),
	CASE(madv_free_and_remove),
	CASE(populate_advice),
	CASE(mincore_tells),
	CASE(mlock_and_limits),
	CASE(brk_moves_and_zeroes),
	CASE(brk_refusals_return_the_old_end),
	CASE(brk_stops_at_a_mapping),
	CASE(a_child_has_its_own_brk),
)
