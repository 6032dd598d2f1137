/* File mappings: private and shared, coherence with read and write, ends of files, msync. */
#include "tap.h"

#include <setjmp.h>

#define RW	(PROT_READ | PROT_WRITE)

static sigjmp_buf back;

static void on_fault(int sig)
{
	siglongjmp(back, sig);
}

static int touch(volatile char *p, bool write)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
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

static int pattern(const char *name, int pages)
{
	char *p = tap_pages(pages);
	int fd = tap_file(name, "");

	for (unsigned i = 0; i < pages * PAGE; i++)
		p[i] = i * 13 + (i >> 12);
	tap_need(write(fd, p, pages * PAGE) == (ssize_t)(pages * PAGE));
	munmap(p, pages * PAGE);
	return fd;
}

static void *map(int fd, int pages, int prot, int flags, long off)
{
	void *p = mmap(NULL, pages * PAGE, prot, flags, fd, off);

	tap_need(p != MAP_FAILED);
	return p;
}

static void a_mapping_shows_the_file(void)
{
	int fd = pattern("f", 4);
	char *p = map(fd, 4, PROT_READ, MAP_PRIVATE, 0);
	char *q = map(fd, 2, PROT_READ, MAP_SHARED, PAGE);

	close(fd);
	for (unsigned i = 0; i < 4 * PAGE; i++)
		tap_need(p[i] == (char)(i * 13 + (i >> 12)));
	tap_eq(memcmp(q, p + PAGE, 2 * PAGE), 0);
}

static void private_writes_stay_private(void)
{
	char c;
	int fd = pattern("f", 2);
	char *a = map(fd, 2, RW, MAP_PRIVATE, 0), *b = map(fd, 2, RW, MAP_PRIVATE, 0);

	char was = a[10];
	a[10] = was + 1;
	tap_eq(b[10], was);
	tap_eq(pread(fd, &c, 1, 10), 1);
	tap_eq(c, was);
	tap_eq(pwrite(fd, "\x55", 1, PAGE + 5), 1);
	tap_eq(b[PAGE + 5], 0x55);			/* not written here: still the file's */
	tap_eq(pwrite(fd, "\x66", 1, 11), 1);
	tap_eq(a[11], (char)(11 * 13));			/* written here: ours */
}

static void shared_writes_reach_file_and_others(void)
{
	char c;
	int fd = pattern("f", 2);
	char *a = map(fd, 2, RW, MAP_SHARED, 0), *b = map(fd, 2, PROT_READ, MAP_SHARED, 0);

	a[PAGE + 1] = 'w';
	tap_eq(b[PAGE + 1], 'w');
	tap_eq(pread(fd, &c, 1, PAGE + 1), 1);
	tap_eq(c, 'w');
	tap_eq(pwrite(fd, "q", 1, 7), 1);
	tap_eq(a[7], 'q');
	pid_t kid = tap_fork();
	if (kid == 0) {
		a[8] = 'k';
		tap_leave();
	}
	tap_join(kid);
	tap_eq(b[8], 'k');
	tap_must(munmap(a, 2 * PAGE));
	tap_eq(pread(fd, &c, 1, 8), 1);
	tap_eq(c, 'k');
}

static void the_last_page_ends_in_zeros(void)
{
	int fd = tap_file("f", "abc");
	char *p = map(fd, 1, RW, MAP_SHARED, 0);

	for (unsigned i = 3; i < PAGE; i++)
		tap_need(p[i] == 0);
	p[100] = 'x';					/* beyond the end: not in the file */
	struct stat st;
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 3);
	tap_must(ftruncate(fd, PAGE));
	char c = 'z';
	tap_eq(pread(fd, &c, 1, 50), 1);
	tap_eq(c, 0);
}

static void beyond_the_end_is_sigbus(void)
{
	int fd = tap_file("f", "abc");
	char *p = map(fd, 3, RW, MAP_SHARED, 0), *q = map(fd, 3, RW, MAP_PRIVATE, 0);

	tap_eq(touch(p + PAGE - 1, true), 0);
	tap_eq(touch(p + PAGE, false), SIGBUS);
	tap_eq(touch(p + 2 * PAGE, true), SIGBUS);
	tap_eq(touch(q + PAGE, false), SIGBUS);
	tap_eq(touch(q + PAGE, true), SIGBUS);
	tap_must(ftruncate(fd, 2 * PAGE));
	tap_eq(touch(p + PAGE, true), 0);
	tap_eq(touch(q + PAGE, false), 0);
	tap_eq(touch(p + 2 * PAGE, true), SIGBUS);
}

static void truncation_takes_private_copies_too(void)
{
	int fd = pattern("f", 2);
	char *p = map(fd, 2, RW, MAP_PRIVATE, 0);

	p[PAGE] = 'c';
	p[0] = 'd';
	tap_must(ftruncate(fd, PAGE));
	tap_eq(touch(p + PAGE, false), SIGBUS);
	tap_eq(p[0], 'd');
}

static void calls_on_pages_beyond_the_end_are_efault(void)
{
	int fd = tap_file("f", "abc"), p[2];
	char *m = map(fd, 2, RW, MAP_SHARED, 0);

	tap_must(pipe(p));
	tap_err(write(p[1], m + PAGE, 1), EFAULT);
	tap_eq(write(p[1], "x", 1), 1);
	tap_err(read(p[0], m + PAGE, 1), EFAULT);
}

static void a_hole_reads_as_zero_and_can_be_written(void)
{
	struct stat st;
	int fd = tap_file("f", "");
	tap_must(ftruncate(fd, 8 * PAGE));
	char *p = map(fd, 8, RW, MAP_SHARED, 0);

	for (unsigned i = 0; i < 8 * PAGE; i += 512)
		tap_need(p[i] == 0);
	p[3 * PAGE] = 'h';
	char c = 0;
	tap_eq(pread(fd, &c, 1, 3 * PAGE), 1);
	tap_eq(c, 'h');
	tap_must(fstat(fd, &st));
	tap_eq(st.st_size, 8 * PAGE);
}

static void msync_accepts_what_is_mapped(void)
{
	int fd = pattern("f", 3);
	char *p = map(fd, 3, RW, MAP_SHARED, 0);

	p[0] = 1;
	tap_eq(msync(p, 3 * PAGE, MS_SYNC), 0);
	tap_eq(msync(p, 3 * PAGE, MS_ASYNC), 0);
	tap_eq(msync(p, 3 * PAGE, MS_INVALIDATE), 0);
	tap_eq(msync(p, 0, MS_SYNC), 0);
	tap_err(msync(p + 1, PAGE, MS_SYNC), EINVAL);
	tap_err(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	tap_err(msync(p, PAGE, 64), EINVAL);
	tap_must(munmap(p + PAGE, PAGE));
	tap_err(msync(p, 3 * PAGE, MS_SYNC), ENOMEM);
	tap_err(msync(p + PAGE, PAGE, MS_SYNC), ENOMEM);
}

static void mtime_follows_writes_through_a_mapping(void)
{
	struct stat st;
	struct timespec ago[2] = { { 1000, 0 }, { 1000, 0 } };
	int fd = pattern("f", 1);

	tap_must(futimens(fd, ago));
	tap_must(fstat(fd, &st));
	tap_eq(st.st_mtim.tv_sec, 1000);
	char *p = map(fd, 1, PROT_READ, MAP_SHARED, 0);
	tap_eq(touch(p, false), 0);
	tap_must(fstat(fd, &st));
	tap_eq(st.st_mtim.tv_sec, 1000);
}

static void offsets_beyond_the_file(void)
{
	int fd = pattern("f", 1);
	char *p = map(fd, 1, PROT_READ, MAP_SHARED, 64 * PAGE);

	tap_eq(touch(p, false), SIGBUS);
	tap_err((long)syscall(SYS_mmap, 0, PAGE, PROT_READ, MAP_SHARED, fd, -PAGE), EOVERFLOW);
}

static void fork_shares_and_separates(void)
{
	int fd = pattern("f", 2);
	char *s = map(fd, 1, RW, MAP_SHARED, 0), *p = map(fd, 1, RW, MAP_PRIVATE, PAGE);

	p[0] = 'P';
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(p[0], 'P');
		p[0] = 'C';
		s[0] = 'S';
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[0], 'P');
	tap_eq(s[0], 'S');
}

static void executable_mappings_run(void)
{
	/* mov $42,%eax; ret */
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	int fd = tap_file("f", "");

	tap_eq(write(fd, code, sizeof(code)), (long)sizeof(code));
	int (*fn)(void) = map(fd, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
	tap_eq(fn(), 42);
	fn = map(fd, 1, PROT_READ | PROT_EXEC, MAP_SHARED, 0);
	tap_eq(fn(), 42);
	tap_eq(pwrite(fd, "\x2b", 1, 1), 1);
	tap_eq(fn(), 43);				/* a shared page follows the file */
}

static void dev_zero_is_anonymous(void)
{
	int fd = tap_must(open("/dev/zero", O_RDWR));
	char *p = map(fd, 2, RW, MAP_PRIVATE, 0), *s = map(fd, 2, RW, MAP_SHARED, 0);

	tap_eq(p[PAGE], 0);
	p[PAGE] = 1;
	s[0] = 1;
	pid_t kid = tap_fork();
	if (kid == 0) {
		s[0] = 2;
		p[PAGE] = 2;
		tap_leave();
	}
	tap_join(kid);
	tap_eq(s[0], 2);
	tap_eq(p[PAGE], 1);
}

static void a_replaced_file_keeps_its_pages(void)
{
	int fd = pattern("f", 1);
	char *p = map(fd, 1, PROT_READ, MAP_PRIVATE, 0);

	tap_spit("new", "entirely different");
	tap_must(rename("new", "f"));
	tap_eq(p[1], 13);
	tap_eq(p[100], (char)1300);
}

TAP_MAIN(
	CASE(a_mapping_shows_the_file),
	CASE(private_writes_stay_private),
	CASE(shared_writes_reach_file_and_others),
	CASE(the_last_page_ends_in_zeros),
	CASE(beyond_the_end_is_sigbus),
	CASE(truncation_takes_private_copies_too),
	CASE(calls_on_pages_beyond_the_end_are_efault),
	CASE(a_hole_reads_as_zero_and_can_be_written),
	CASE(msync_accepts_what_is_mapped),
	CASE(mtime_follows_writes_through_a_mapping),
	CASE(offsets_beyond_the_file),
	CASE(fork_shares_and_separates),
	CASE(executable_mappings_run),
	CASE(dev_zero_is_anonymous),
	CASE(a_replaced_file_keeps_its_pages),
)
