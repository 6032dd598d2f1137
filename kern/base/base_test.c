/* Strings, formatting, bitmaps, lists and the red-black tree. */
#include <stdio.h>
#include <base/bitmap.h>
#include <base/fmt.h>
#include <base/list.h>
#include <base/rbtree.h>
#include <test/test.h>

TEST(string, str_copy_cuts_and_terminates)
{
	char b[4] = "zzz";

	CHECK_EQ(str_copy(b, "abcdef", sizeof(b)), 6ul);
	CHECK_STR_EQ(b, "abc");
	CHECK_EQ(str_copy(b, "x", sizeof(b)), 1ul);
	CHECK_STR_EQ(b, "x");
	CHECK_EQ(str_copy(b, "abc", 0), 3ul);
	CHECK_STR_EQ(b, "x");
}

TEST(string, numbers)
{
	static const struct { const char *s; u32 base; int err; u64 v; } t[] = {
		{ "0", 10, 0, 0 }, { "18446744073709551615", 10, 0, ~0ull }, { "18446744073709551616", 10, -ERANGE, 0 },
		{ "0x1F", 0, 0, 31 }, { "017", 0, 0, 15 }, { "ff", 16, 0, 255 }, { "0xff", 16, 0, 255 }, { "", 10, -EINVAL, 0 },
		{ "-1", 10, -EINVAL, 0 }, { "12x", 10, -EINVAL, 0 }, { "0x", 0, -EINVAL, 0 }, { "8", 8, -EINVAL, 0 },
		{ "99999999999999999999999", 0, -ERANGE, 0 },
	};

	for (u32 i = 0; i < ARRAY_LEN(t); i++) {
		u64 v = 7;
		int err = str_to_u64(t[i].s, t[i].base, &v, NULL);

		CHECK_EQ(err, t[i].err);
		CHECK_EQ(v, err ? 7 : t[i].v);
	}
	u64 v;
	const char *end;

	CHECK_EQ(str_to_u64("42, rest", 10, &v, &end), 0);
	CHECK_EQ(v, 42ull);
	CHECK_STR_EQ(end, ", rest");
}

#define SAME(...)								\
	do {									\
		char want_[128], got_[128];					\
		int w_ = snprintf(want_, sizeof(want_), __VA_ARGS__);		\
		CHECK_EQ(fmt_snprintf(got_, sizeof(got_), __VA_ARGS__), w_);	\
		CHECK_STR_EQ(got_, want_);					\
	} while (0)

TEST(fmt, agrees_with_the_c_library)
{
	static const int ints[] = { 0, 1, -1, 42, -12345, 0x7fffffff, (int)0x80000000 };

	for (u32 i = 0; i < ARRAY_LEN(ints); i++) {
		SAME("%d|%5d|%-5d|%05d|%+d|% d", ints[i], ints[i], ints[i], ints[i], ints[i], ints[i]);
		SAME("%u|%x|%X|%o|%#x|%#o", ints[i], ints[i], ints[i], ints[i], ints[i], ints[i]);
		SAME("%.3d|%8.3d|%-8.3x|", ints[i], ints[i], ints[i]);
	}
	SAME("%lld %llu %llx %lu %zu %hhd %hd", -1ll, ~0ull, 0x123456789abcdefull, 5ul, (size_t)77, (signed char)-3, (short)-4);
	SAME("%s|%10s|%-10s|%.2s|%c|%%", "abc", "abc", "abc", "abc", 'x');
	SAME("%*d|%-*d|%.*s", 6, 42, 6, 42, 2, "hello");
}

TEST(fmt, length_is_that_of_the_whole_text)
{
	char b[5];

	CHECK_EQ(fmt_snprintf(b, sizeof(b), "%s", "123456789"), 9);
	CHECK_STR_EQ(b, "1234");
	CHECK_EQ(fmt_scnprintf(b, sizeof(b), "%s", "123456789"), 4);
	CHECK_EQ(fmt_snprintf(NULL, 0, "abc"), 3);
	CHECK_EQ(fmt_scnprintf(b, 0, "abc"), 0);
}

TEST(bitmap, searches)
{
	u64 m[4] = { 0 };

	CHECK_EQ(bitmap_find_set(m, 200, 0), 200ul);
	bitmap_set(m, 0);
	bitmap_set(m, 63);
	bitmap_set(m, 64);
	bitmap_set(m, 199);
	CHECK_EQ(bitmap_find_set(m, 200, 0), 0ul);
	CHECK_EQ(bitmap_find_set(m, 200, 1), 63ul);
	CHECK_EQ(bitmap_find_set(m, 200, 64), 64ul);
	CHECK_EQ(bitmap_find_set(m, 200, 65), 199ul);
	CHECK_EQ(bitmap_find_set(m, 199, 65), 199ul);
	CHECK_EQ(bitmap_find_clear(m, 200, 63), 65ul);
	memset(m, 0xff, sizeof(m));
	CHECK_EQ(bitmap_find_clear(m, 200, 0), 200ul);
	CHECK_EQ(bitmap_find_set(m, 200, 200), 200ul);
}

struct item {
	struct list link;
	int v;
};

TEST(list, order_removal_and_splice)
{
	struct list a, b;
	struct item it[6];
	struct item *p, *tmp;
	int sum = 0;

	list_init(&a);
	list_init(&b);
	for (int i = 0; i < 6; i++) {
		it[i].v = i;
		list_push_back(i < 3 ? &a : &b, &it[i].link);
	}
	list_splice_back(&a, &b);
	CHECK(list_empty(&b));
	list_for_each(p, &a, link)
		sum = sum * 10 + p->v;
	CHECK_EQ(sum, 12345);
	list_for_each_safe(p, tmp, &a, link)
		if (p->v % 2)
			list_remove(&p->link);
	list_remove(&it[1].link);
	CHECK_EQ(list_first(&a, struct item, link)->v, 0);
	CHECK_EQ(list_last(&a, struct item, link)->v, 4);
	CHECK_EQ(list_next(&it[2], &a, link)->v, 4);
	CHECK(!list_next(&it[4], &a, link));
	while (list_pop_front(&a))
		;
	CHECK(!list_first(&a, struct item, link));
}

struct key {
	struct rb_node node;
	u32 k, size, max;		/* nodes of the subtree and its greatest key, kept by the tree's update */
	bool in;
};

static u32 rb_size(const struct rb_node *n)
{
	return n ? container_of(n, struct key, node)->size : 0;
}

static u32 rb_max(const struct rb_node *n)
{
	const struct key *x = container_of(n, struct key, node);

	return n->child[1] ? container_of(n->child[1], struct key, node)->max : x->k;
}

static bool rb_counts;			/* else nodes keep the greatest key only, which most changes leave as it is */

/* Black height of the subtree; checks colours, order and parents. */
static u32 rb_check(const struct rb_node *n, const struct rb_node *parent, u32 lo, u32 hi)
{
	u32 l, r;

	if (!n)
		return 1;
	u32 k = container_of(n, struct key, node)->k;

	CHECK(n->parent == parent);
	CHECK(k >= lo && k <= hi);
	CHECK(!(n->red && parent && parent->red));
	l = rb_check(n->child[0], n, lo, k);
	r = rb_check(n->child[1], n, k, hi);
	CHECK_EQ(l, r);
	if (rb_counts)
		CHECK_EQ(container_of(n, struct key, node)->size, rb_size(n->child[0]) + rb_size(n->child[1]) + 1);
	CHECK_EQ(container_of(n, struct key, node)->max, rb_max(n));
	return l + !n->red;
}

static bool rb_count(struct rb_node *n)
{
	struct key *x = container_of(n, struct key, node);
	u32 size = rb_size(n->child[0]) + rb_size(n->child[1]) + 1, max = rb_max(n);
	bool changed = (rb_counts && x->size != size) || x->max != max;

	x->size = size;
	x->max = max;
	return changed;
}

static void rb_put(struct rb_tree *t, struct key *x)
{
	struct rb_node **link = &t->root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[x->k >= container_of(parent, struct key, node)->k];
	}
	rb_insert(t, &x->node, parent, link);
}

static void rb_random(void)
{
	static struct key keys[500];
	struct rb_tree t = { .update = rb_count };
	u32 n = 0;

	memset(keys, 0, sizeof(keys));

	for (u32 step = 0; step < 40000; step++) {
		struct key *x = &keys[host_random_below(ARRAY_LEN(keys))];

		if (x->in) {
			rb_remove(&t, &x->node);
			n--;
		} else {
			x->k = (u32)host_random_below(300);
			rb_put(&t, x);
			n++;
		}
		x->in = !x->in;
		if (step % 64)
			continue;
		u32 count = 0;

		CHECK(!t.root || !t.root->red);
		if (rb_counts)
			CHECK_EQ(rb_size(t.root), n);
		rb_check(t.root, NULL, 0, ~0u);
		for (struct rb_node *p = rb_first(&t); p; p = rb_next(p))
			count++;
		CHECK_EQ(count, n);
		for (struct rb_node *p = rb_last(&t); p; p = rb_prev(p))
			count--;
		CHECK_EQ(count, 0u);
	}
}

TEST(rbtree, random_inserts_and_removals_stay_balanced)
{
	rb_counts = true;
	rb_random();
}

TEST(rbtree, updates_stop_where_nothing_changes)
{
	rb_counts = false;
	rb_random();
}
