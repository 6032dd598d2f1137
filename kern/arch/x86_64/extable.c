/*
 * Where the kernel may touch user memory, and where it goes on when that fails.
 * Each entry is a stretch of code with one fixup.  Sorted once at boot, as every
 * fault of the kernel on a user address asks whether it was allowed to happen.
 */
#include <x86_64/arch.h>
#include <x86_64/x86.h>

struct entry { i32 first, end, fixup; };	/* relative to themselves */
extern struct entry __extable_start[], __extable_end[];

static u64 address(const i32 *field) { return (u64)field + (i64)*field; }

static INIT_TEXT void swap(struct entry *a, struct entry *b)
{
	i32 by = (i32)((u64)a - (u64)b);
	struct entry t = *a;

	*a = (struct entry){ b->first - by, b->end - by, b->fixup - by };
	*b = (struct entry){ t.first + by, t.end + by, t.fixup + by };
}

static INIT_TEXT void sift_down(struct entry *e, i64 root, i64 n)
{
	for (i64 child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n && address(&e[child].first) < address(&e[child + 1].first))
			child++;
		if (address(&e[root].first) >= address(&e[child].first))
			return;
		swap(&e[root], &e[child]);
	}
}

/* Heap sort.  Runs on the boot tables, where constants can be written. */
INIT_TEXT void extable_sort(void)
{
	struct entry *e = __extable_start;
	i64 n = __extable_end - e;

	for (i64 i = n / 2 - 1; i >= 0; i--)
		sift_down(e, i, n);
	while (n > 1) {
		swap(&e[0], &e[--n]);
		sift_down(e, 0, n);
	}
}

static const struct entry *find(u64 rip)
{
	const struct entry *lo = __extable_start, *hi = __extable_end;

	while (lo < hi) {
		const struct entry *mid = lo + (hi - lo) / 2;

		if (rip < address(&mid->first))
			hi = mid;
		else if (rip >= address(&mid->end))
			lo = mid + 1;
		else
			return mid;
	}
	return NULL;
}

bool extable_covers(u64 rip) { return find(rip) != NULL; }

bool extable_fixup(struct trapframe *tf)
{
	const struct entry *e = find(tf->rip);

	if (!e)
		return false;
	tf->rip = address(&e->fixup);
	return true;
}
