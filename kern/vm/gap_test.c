/* The search for holes, walked and indexed, against a plain look at every hole.
 * host-sources: @vm
 */
#include "vm_testlib.h"

#define P PAGE_SIZE
#define LOW  0x10000000ul
#define HIGH (LOW + 4096 * P)

static u64 plain_search(struct aspace *as, u64 len, u64 low, u64 high, bool up)
{
	u64 bottom = 0, found = 0;

	for (struct area *a = area_find(as, 0);; a = area_next(a)) {
		u64 top = a ? area_low_guard(a) : USER_TOP, lo = MAX(bottom, low), hi = MIN(top, high);

		if (hi > lo && hi - lo >= len) {
			found = up ? lo : hi - len;
			if (up)
				return found;
		}
		if (!a)
			return found;
		bottom = a->end;
	}
}

static void check_index(struct aspace *as, struct rb_node *n)
{
	struct area *a = n ? container_of(n, struct area, node) : NULL;
	u64 low, end, gap;

	if (!a || !as->areas.update)
		return;
	low = a->sub_low;
	end = a->sub_end;
	gap = a->sub_gap;
	check_index(as, n->child[0]);
	check_index(as, n->child[1]);
	CHECK(!as->areas.update(n));
	CHECK(a->sub_low == low && a->sub_end == end && a->sub_gap == gap);
}

static void check_search(struct aspace *as, u64 len)
{
	u64 a = LOW + host_random_below(4096) * P, b = LOW + host_random_below(4096) * P;
	u64 low = MIN(a, b), high = MAX(a, b);

	for (u32 up = 0; up < 2; up++) {
		as->hint_base = 0;		/* places that are found here are not used: inv. A4 */
		CHECK_EQ(area_find_gap(as, len, low, high, up), plain_search(as, len, low, high, up));
		CHECK_EQ(area_find_gap(as, len, LOW, as->mmap_base, up), plain_search(as, len, LOW, as->mmap_base, up));
	}
}

static void one_change(struct aspace *as)
{
	u64 at = LOW + host_random_below(4090) * P, len = (1 + host_random_below(6)) * P, prot = host_random_below(3);
	u32 flags = prot == 0 ? VM_READ : prot == 1 ? RW : RW | (host_random_below(20) ? 0 : VM_GROWSDOWN);

	switch (host_random_below(5)) {
	case 0: case 1: CHECK_EQ(map_at(as, at, len, flags), (i64)at); break;
	case 2: CHECK(aspace_unmap(as, at, len) == 0); break;
	case 3: CHECK(aspace_protect(as, at, len, flags & RW, false) <= 0); break;
	case 4: CHECK(aspace_remap(as, at, P, len, 1, 0) != -EINVAL); break;
	}
}

static void run(u32 steps, u32 thin)
{
	struct aspace *as;

	host_allow_leaks();
	vm_init();
	as = aspace_create();
	NEED(as);
	as->mmap_base = HIGH;
	for (u32 step = 0; step < steps; step++) {
		one_change(as);
		if (step % thin == thin - 1)
			CHECK_EQ(aspace_unmap(as, LOW + host_random_below(4000) * P, 400 * P), 0);
		check_search(as, (1 + host_random_below(40)) * P);
		if (step % 16 == 0)
			check_index(as, as->areas.root);
	}
	CHECK_EQ(!!as->areas.update, thin > 64);
	aspace_unuse(as);
}

/* Each place that is found is used: then the hint always says the truth, and finds the highest place (inv. A4). */
static void run_used(u32 thin)
{
	struct aspace *as;

	host_allow_leaks();
	vm_init();
	as = aspace_create();
	NEED(as);
	as->mmap_base = HIGH;
	for (u32 step = 0; step < 20000; step++) {
		u64 len = (1 + host_random_below(host_random_below(8) ? 3 : 40)) * P, at;

		one_change(as);
		at = plain_search(as, len, VM_MIN_ADDR, HIGH, false);
		CHECK_EQ(map_at(as, 0, len, host_random_below(2) ? VM_READ : RW), (i64)at);
		/* What a thread that allocates and frees does: at once, the last ones first, or all over the place. */
		if (host_random_below(2))
			CHECK_EQ(aspace_unmap(as, at, len), 0);
		if (step % thin == thin - 1)
			CHECK_EQ(aspace_unmap(as, LOW + host_random_below(4000) * P, 400 * P), 0);
		if (step % 64 == 0)
			check_index(as, as->areas.root);
	}
	CHECK_EQ(!!as->areas.update, thin > 64);
	aspace_unuse(as);
}

TEST(gap, places_that_are_used_are_the_highest)
{
	run_used(1);
	run_used(300);
}

TEST(gap, few_areas_are_walked)
{
	run(3000, 4);
}

TEST(gap, many_areas_are_indexed)
{
	run(6000, 100000);
	run(6000, 300);
}
