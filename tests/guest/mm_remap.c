/* mremap: shrink, grow, move, fixed, dontunmap; errors. */
#include "tap.h"

#include <setjmp.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define RW	(PROT_READ | PROT_WRITE)

static sigjmp_buf back;

static void on_fault(int sig)
{
	siglongjmp(back, sig);
}

static bool dead(volatile char *p)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (sigsetjmp(back, 1))
		return true;
	(void)*p;
	return false;
}

static long remap(void *p, size_t old, size_t new, int flags, void *to)
{
	return syscall(SYS_mremap, p, old, new, flags, to);
}

static char *pattern(int pages)
{
	char *p = tap_pages(pages);

	for (int i = 0; i < pages; i++)
		p[i * PAGE] = 'a' + i;
	return p;
}

static void shrinking_unmaps_the_tail(void)
{
	char *p = pattern(4);

	tap_eq(remap(p, 4 * PAGE, 2 * PAGE, 0, NULL), (long)p);
	tap_eq(p[PAGE], 'b');
	tap_ok(dead(p + 2 * PAGE));
	tap_ok(dead(p + 3 * PAGE));
}

static void growing_in_place_needs_room(void)
{
	char *p = pattern(6);

	tap_must(munmap(p + 2 * PAGE, 2 * PAGE));
	tap_eq(remap(p, 2 * PAGE, 4 * PAGE, 0, NULL), (long)p);
	tap_eq(p[PAGE], 'b');
	tap_eq(p[3 * PAGE], 0);
	tap_eq(p[4 * PAGE], 'e');
	tap_err(remap(p, 4 * PAGE, 5 * PAGE, 0, NULL), ENOMEM);
}

static void maymove_moves(void)
{
	char *p = pattern(3);
	char *q = (void *)remap(p, 2 * PAGE, 20 * PAGE, MREMAP_MAYMOVE, NULL);

	tap_need(q != MAP_FAILED);
	tap_eq(q[0], 'a');
	tap_eq(q[PAGE], 'b');
	tap_eq(q[19 * PAGE], 0);
	if (q != p)
		tap_ok(dead(p) && dead(p + PAGE));
	tap_eq(p[2 * PAGE], 'c');			/* the neighbour stays */
}

static void fixed_goes_where_told(void)
{
	char *p = pattern(2), *q = pattern(4);

	tap_eq(remap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + PAGE),
	       (long)(q + PAGE));
	tap_eq(q[0], 'a');
	tap_eq(q[PAGE], 'a');
	tap_eq(q[2 * PAGE], 'b');
	tap_eq(q[3 * PAGE], 'd');
	tap_ok(dead(p));
}

static void fixed_may_change_the_size(void)
{
	char *p = pattern(4), *q = tap_pages(4);

	tap_eq(remap(p, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), (long)q);
	tap_eq(q[PAGE], 'b');
	tap_ok(dead(p + 3 * PAGE));
	tap_eq(remap(q, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p), (long)p);
	tap_eq(p[PAGE], 'b');
	tap_eq(p[2 * PAGE], 0);
}

static void dontunmap_leaves_an_empty_area(void)
{
	char *p = pattern(2);
	char *q = (void *)remap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	tap_need(q != MAP_FAILED);
	tap_ok(q != p);
	tap_eq(q[0], 'a');
	tap_eq(q[PAGE], 'b');
	tap_eq(p[0], 0);
	p[0] = 'n';
	tap_eq(q[0], 'a');
	tap_err(remap(p, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), EINVAL);
}

static void zero_old_size_duplicates_shared_areas(void)
{
	char *p = tap_shared(2);
	char *q = (void *)remap(p, 0, 2 * PAGE, MREMAP_MAYMOVE, NULL);

	tap_need(q != MAP_FAILED && q != p);
	p[PAGE] = 's';
	tap_eq(q[PAGE], 's');
	char *r = tap_pages(1);
	tap_err(remap(r, 0, PAGE, MREMAP_MAYMOVE, NULL), EINVAL);
}

static void errors(void)
{
	char *p = pattern(4), *q = tap_pages(4);

	tap_err(remap(p + 1, PAGE, PAGE, 0, NULL), EINVAL);
	tap_err(remap(p, PAGE, 0, 0, NULL), EINVAL);
	tap_err(remap(p, PAGE, PAGE, 64, NULL), EINVAL);
	tap_err(remap(p, PAGE, PAGE, MREMAP_FIXED, q), EINVAL);
	tap_err(remap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 1), EINVAL);
	tap_err(remap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EINVAL);
	tap_err(remap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, BAD_KERNEL), EINVAL);
	tap_err(remap(p, PAGE, 1ul << 47, MREMAP_MAYMOVE, NULL), ENOMEM);
	tap_must(munmap(q, 4 * PAGE));
	tap_err(remap(q, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL), EFAULT);
	tap_must(munmap(p + PAGE, PAGE));
	tap_err(remap(p, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE, NULL), EFAULT);
}

static void file_mappings_show_the_right_pages(void)
{
	char page[4096];
	int fd = tap_file("f", "");

	for (int i = 0; i < 6; i++) {
		memset(page, '0' + i, sizeof(page));
		tap_eq(write(fd, page, sizeof(page)), 4096);
	}
	char *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	tap_need(p != MAP_FAILED);
	char *q = (void *)remap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL);
	tap_need(q != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		tap_eq(q[i * PAGE], '1' + i);
	q = (void *)remap(q, 4 * PAGE, 10 * PAGE, MREMAP_MAYMOVE, NULL);
	tap_need(q != MAP_FAILED);
	tap_eq(q[4 * PAGE], '5');
	tap_ok(dead(q + 5 * PAGE));			/* past the end of the file */
}

static void moved_cow_pages_stay_apart(void)
{
	char *p = pattern(2), *spot = tap_pages(2);

	pid_t kid = tap_fork();
	if (kid == 0) {
		char *q = (void *)remap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, spot);

		tap_need(q == spot);
		tap_eq(q[0], 'a');
		q[0] = 'c';
		tap_leave();
	}
	tap_join(kid);
	tap_eq(p[0], 'a');
}

static void a_split_area_can_be_remapped_in_part(void)
{
	char *p = pattern(5);

	char *q = (void *)remap(p + PAGE, PAGE, 8 * PAGE, MREMAP_MAYMOVE, NULL);
	tap_need(q != MAP_FAILED);
	tap_eq(q[0], 'b');
	tap_ok(dead(p + PAGE));
	tap_eq(p[0], 'a');
	tap_eq(p[2 * PAGE], 'c');
}

static void large_moves_keep_every_page(void)
{
	int n = 1500;
	char *p = tap_pages(n);

	for (int i = 0; i < n; i++)
		*(int *)(p + i * PAGE) = i;
	char *q = (void *)remap(p, n * PAGE, (n + 700) * PAGE, MREMAP_MAYMOVE, NULL);
	tap_need(q != MAP_FAILED);
	for (int i = 0; i < n; i++)
		tap_need(*(int *)(q + i * PAGE) == i);
	tap_eq(q[(n + 699) * PAGE], 0);
}

TAP_MAIN(
	CASE(shrinking_unmaps_the_tail),
	CASE(growing_in_place_needs_room),
	CASE(maymove_moves),
	CASE(fixed_goes_where_told),
	CASE(fixed_may_change_the_size),
	CASE(dontunmap_leaves_an_empty_area),
	CASE(zero_old_size_duplicates_shared_areas),
	CASE(errors),
	CASE(file_mappings_show_the_right_pages),
	CASE(moved_cow_pages_stay_apart),
	CASE(a_split_area_can_be_remapped_in_part),
	CASE(large_moves_keep_every_page),
)
