/*
 * Transparent huge pages among several processes: what each sees must not depend on them, in any order of fork, write,
 * change and exit.
 */
#include "mm_thp.h"

static void a_child_writes_one_page(void)
{
	for (unsigned k = 0; k < ARRAY_LEN(edges); k++) {
		byte *p = huge_map(1);

		fill(p, PAGES, 1);
		pid_t kid = tap_fork();
		if (kid == 0) {
			put(p, edges[k], 2);
			tap_ok(has(p, edges[k], 2));
			tap_ok(holds(p, 0, edges[k], 1));
			tap_ok(holds(p, edges[k] + 1, PAGES, 1));
			tap_leave();
		}
		tap_join(kid);
		tap_ok(holds(p, 0, PAGES, 1));
		fill(p, PAGES, 3);
		tap_ok(holds(p, 0, PAGES, 3));
		tap_must(munmap(p, HUGE));
	}
}

static void the_parent_writes_under_a_child(void)
{
	byte *p = huge_map(1);
	int go[2];
	char c;

	tap_must(pipe(go));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(go[0], &c, 1), 1);
		tap_ok(holds(p, 0, PAGES, 1));
		fill(p, PAGES, 7);
		tap_ok(holds(p, 0, PAGES, 7));
		tap_leave();
	}
	put(p, 100, 2);
	tap_ok(has(p, 100, 2));
	tap_ok(holds(p, 101, PAGES, 1));
	tap_eq(write(go[1], "g", 1), 1);
	tap_join(kid);
	tap_ok(has(p, 100, 2));
	tap_ok(holds(p, 0, 100, 1));
	tap_ok(holds(p, 101, PAGES, 1));
}

/* The parent is gone when the grandchild looks: the middle one exits first. */
static void the_parent_exits_first(void)
{
	byte *p = huge_map(1);
	int go[2], done[2];
	char c;

	tap_must(pipe(go));
	tap_must(pipe(done));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		put(p, 10, 2);
		pid_t grandkid = fork();
		if (grandkid == 0) {
			bool good = read(go[0], &c, 1) == 1 && has(p, 10, 2) && holds(p, 11, PAGES, 1);

			put(p, 11, 3);
			good = good && has(p, 11, 3) && holds(p, 12, PAGES, 1) && holds(p, 0, 10, 1);
			_exit(write(done[1], good ? "y" : "n", 1) != 1);
		}
		tap_ok(grandkid > 0);
		put(p, 10, 9);
		tap_leave();
	}
	tap_join(kid);
	tap_must(munmap(p, HUGE));
	tap_eq(write(go[1], "g", 1), 1);
	tap_eq(read(done[0], &c, 1), 1);
	tap_eq(c, 'y');
}

static void one_operation(byte *p, int op, unsigned page)
{
	byte *q = p + page * PAGE;

	switch (op) {
	case 0: tap_must(munmap(q, PAGE)); break;
	case 1: tap_must(mprotect(q, PAGE, PROT_READ)); break;
	case 2: tap_must(madvise(q, PAGE, MADV_DONTNEED)); break;
	case 3: tap_ok(mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + HUGE) == p + HUGE); break;
	case 4: put(p, page, 2); break;
	}
}

static void check_operation(byte *p, int op, unsigned page, unsigned seed)
{
	byte *q = p + page * PAGE;

	switch (op) {
	case 0: tap_ok(!reachable(q, false)); break;
	case 1: tap_ok(has(p, page, seed) && !reachable(q, true)); break;
	case 2: tap_ok(is_zero(p, page)); break;
	case 3: tap_ok(!reachable(q, false) && has(p + HUGE - page * PAGE, page, seed)); break;
	case 4: tap_ok(has(p, page, 2)); break;
	}
}

#define OPS 5
static const unsigned op_page[OPS] = { 20, 21, 30, 300, 511 };

/* All operations in this order, each on its page, in the child, in the parent, or half and half. */
static void one_order(const int *order, int who)
{
	byte *p = huge_map(2);

	tap_must(munmap(p + HUGE, HUGE));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	bool child = kid == 0;

	for (int i = 0; i < OPS; i++)
		if (who == 2 || (who == 0) == child)
			one_operation(p, order[i], op_page[order[i]]);
	for (unsigned i = 0; i < PAGES; i++) {
		bool touched = false;

		for (int k = 0; k < OPS; k++)
			touched |= op_page[k] == i;
		if (!touched || !(who == 2 || (who == 0) == child))
			tap_need(has(p, i, 1));
	}
	for (int i = 0; i < OPS && (who == 2 || (who == 0) == child); i++)
		check_operation(p, i, op_page[i], 1);
	if (child)
		tap_leave();
	tap_join(kid);
	tap_must(munmap(p, 2 * HUGE));
}

static void every_order(void)
{
	int order[OPS] = { 0, 1, 2, 3, 4 };

	/* Heap's algorithm without recursion: 120 orders. */
	int c[OPS] = { 0 };

	one_order(order, 0);
	for (int i = 0, n = 1; i < OPS;) {
		if (c[i] < i) {
			int j = i & 1 ? c[i] : 0, t = order[j];

			order[j] = order[i];
			order[i] = t;
			one_order(order, n++ % 3);
			c[i]++;
			i = 0;
		} else {
			c[i++] = 0;
		}
	}
}

/* Each has a page of its own and leaves in its own time. */
static void sixty_four_processes(void)
{
	byte *p = huge_map(2);
	pid_t kids[64];
	int go[2];
	char c;

	tap_must(pipe(go));
	fill(p, 2 * PAGES, 1);
	for (unsigned i = 0; i < 64; i++) {
		kids[i] = tap_fork();
		if (kids[i])
			continue;
		close(go[1]);
		put(p, i * 16, i + 2);
		if (i % 2)
			tap_eq(read(go[0], &c, 1), 0);
		if (i % 3 == 0)
			tap_must(madvise(p + (i * 16 + 1) * PAGE, 3 * PAGE, MADV_DONTNEED));
		for (unsigned k = 0; k < 2 * PAGES; k++) {
			if (k == i * 16)
				tap_need(has(p, k, i + 2));
			else if (i % 3 == 0 && k > i * 16 && k < i * 16 + 4)
				tap_need(is_zero(p, k));
			else
				tap_need(has(p, k, 1));
		}
		tap_leave();
	}
	for (unsigned i = 0; i < 64; i += 2)
		tap_join(kids[i]);
	tap_ok(holds(p, 0, 2 * PAGES, 1));
	fill(p, PAGES, 77);
	close(go[1]);
	for (unsigned i = 1; i < 64; i += 2)
		tap_join(kids[i]);
	tap_ok(holds(p, 0, PAGES, 77));
	tap_ok(holds(p + HUGE, 0, 0, 1));
}

/* The kernel holds a part of a shared huge page while both sides go on. */
static void others_read_and_write_it(void)
{
	byte *p = huge_map(1), buf[3 * PAGE];
	struct iovec mine = { buf, sizeof(buf) }, its = { p + 10 * PAGE, sizeof(buf) };
	int go[2], back[2];
	char c;

	tap_must(pipe(go));
	tap_must(pipe(back));
	fill(p, PAGES, 1);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(go[0], &c, 1), 1);
		tap_ok(has(p, 10, 5) && has(p, 11, 5) && has(p, 12, 5));
		tap_ok(holds(p, 0, 10, 1) && holds(p, 13, PAGES, 1));
		tap_leave();
	}
	tap_eq(process_vm_readv(kid, &mine, 1, &its, 1, 0), sizeof(buf));
	tap_ok(has(buf - 10 * PAGE, 10, 1) && has(buf - 10 * PAGE, 12, 1));
	for (unsigned i = 10; i < 13; i++)
		put(buf - 10 * PAGE, i, 5);
	tap_eq(process_vm_writev(kid, &mine, 1, &its, 1, 0), sizeof(buf));
	tap_ok(holds(p, 0, PAGES, 1));
	tap_eq(write(go[1], "g", 1), 1);
	tap_join(kid);
	tap_ok(holds(p, 0, PAGES, 1));
	fill(p, PAGES, 6);
	tap_ok(holds(p, 0, PAGES, 6));
}

TAP_MAIN(CASE(a_child_writes_one_page), CASE(the_parent_writes_under_a_child), CASE(the_parent_exits_first), CASE(every_order),
	 CASE(sixty_four_processes), CASE(others_read_and_write_it))
