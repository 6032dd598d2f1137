/* Bytes through the page cache by runs of pages: against a flat copy of the file, with a quota that ends midway, by reference.
 * host-sources: @vm
 */
#include <core/uio.h>

#include "vm_testlib.h"

#define P     PAGE_SIZE
#define PAGES 200u
#define STEPS 4000u

static i64 reserved, quota;

static int reserve_pages(struct vm_object *obj, u64 index, u32 n)
{
	if (reserved + n > quota)
		return -ENOSPC;
	reserved += n;
	return 0;
}

static void pages_gone(struct vm_object *obj, u64 index, u32 n) { reserved -= n; }
static void no_owner(struct vm_object *obj) {}

static const struct vm_object_ops hole_ops = { .reserve_pages = reserve_pages, .pages_gone = pages_gone };

static u64 live_pages;
static u8 model[PAGES * P], bytes[PAGES * P];

static void setup(struct vm_object *obj)
{
	host_allow_leaks();
	vm_init();
	quota = PAGES + 1;
	live_pages = host_live_pages();
	vm_object_init(obj, &hole_ops, 0);
	obj->flags = VM_OBJECT_SWAPLESS;
	obj->get_owner = obj->put_owner = no_owner;
	memset(model, 0, sizeof(model));
}

static void finish(struct vm_object *obj)
{
	vm_object_destroy(obj);
	CHECK_EQ(reserved, 0l);
	CHECK_EQ(host_live_pages(), live_pages);
}

static i64 write_at(struct vm_object *obj, u64 off, u64 n)
{
	struct uio u;

	uio_init_kernel(&u, bytes, n);
	return pagecache_write(obj, &u, off);
}

static u64 seed = 12345;

static u64 random_below(u64 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

/* Often whole pages, often a few bytes, anywhere. */
static u64 random_offset(void)
{
	u64 off = random_below(PAGES * P);

	return random_below(2) ? off : off & PAGE_MASK;
}

static u64 random_length(u64 off)
{
	u64 n = random_below(4) ? random_below(3 * P) + 1 : random_below(70 * P) + 1;

	return MIN(n, PAGES * P - off);
}

static void random_write(struct vm_object *obj)
{
	u64 off = random_offset(), n = random_length(off);

	for (u64 i = 0; i < n; i++)
		bytes[i] = (u8)random_below(256);
	CHECK_EQ(write_at(obj, off, n), (i64)n);
	memcpy(model + off, bytes, n);
}

static void random_read(struct vm_object *obj)
{
	u64 off = random_offset(), n = random_length(off);
	u64 there = off < obj->size ? MIN(n, obj->size - off) : 0;
	struct uio u;

	uio_init_kernel(&u, bytes, n);
	CHECK_EQ(pagecache_read(obj, &u, off), (i64)there);
	CHECK_EQ(memcmp(bytes, model + off, there), 0);
}

static void random_loan(struct vm_object *obj)
{
	u64 off = random_offset(), n = random_length(off), done = 0;
	struct page *pages[16];
	i64 got = pagecache_borrow(obj, off, n, pages, 16);

	if (off >= obj->size) {
		CHECK_EQ(got, 0l);
		return;
	}
	CHECK(got > 0 && (u64)got <= MIN(n, obj->size - off));
	for (u32 i = 0; done < (u64)got; i++) {
		u64 in = i ? 0 : off & ~PAGE_MASK, len = MIN(P - in, (u64)got - done);

		CHECK_EQ(memcmp((u8 *)page_addr(pages[i]) + in, model + off + done, len), 0);
		page_put(pages[i]);
		done += len;
	}
}

static void random_cut(struct vm_object *obj)
{
	u64 size = random_offset(), off = random_offset(), n = random_length(off);

	if (random_below(2)) {
		vm_object_truncate(obj, size);
		memset(model + size, 0, sizeof(model) - size);
	} else {
		CHECK_EQ(vm_object_punch(obj, off, n), 0);
		memset(model + off, 0, n);
	}
}

TEST(pageio, agrees_with_a_flat_copy)
{
	struct vm_object obj;

	setup(&obj);
	for (u32 i = 0; i < STEPS; i++) {
		switch (random_below(8)) {
		case 0:
			random_cut(&obj);
			break;
		case 1: case 2: case 3:
			random_write(&obj);
			break;
		case 4:
			random_loan(&obj);
			break;
		default:
			random_read(&obj);
		}
	}
	finish(&obj);
}

TEST(pageio, a_quota_ends_a_run)
{
	struct vm_object obj;

	setup(&obj);
	quota = 5;
	memset(bytes, 'q', sizeof(bytes));
	CHECK_EQ(write_at(&obj, 100, 20 * P), (i64)(5 * P - 100));
	CHECK_EQ(obj.size, 5 * P);
	CHECK_EQ(write_at(&obj, 5 * P, 1), -ENOSPC);
	CHECK_EQ(reserved, 5l);
	CHECK_EQ(write_at(&obj, 4 * P, 2 * P), (i64)P);		/* what is there costs nothing more */
	finish(&obj);
}

/* Inv. P4: what a mapping left past the end is gone when the file grows. */
TEST(pageio, scribbles_past_the_end_do_not_show)
{
	struct page *page;
	struct vm_object obj;

	for (u32 grow = 0; grow < 2; grow++) {
		setup(&obj);
		memset(bytes, 'x', P);
		CHECK_EQ(write_at(&obj, 0, 100), 100l);
		bits_set(&obj.flags, VM_OBJECT_SCRIBBLED);	/* as area_link_after() does for such a mapping */
		CHECK_EQ(pagecache_borrow(&obj, 0, 1, &page, 1), 1l);
		memset((u8 *)page_addr(page) + 100, 's', P - 100);
		if (grow)
			vm_object_truncate(&obj, P);
		else
			CHECK_EQ(write_at(&obj, 200, 1), 1l);
		CHECK_EQ(((u8 *)page_addr(page))[99], 'x');
		CHECK_EQ(((u8 *)page_addr(page))[100], 0);
		CHECK_EQ(((u8 *)page_addr(page))[P - 1], 0);
		page_put(page);
		finish(&obj);
	}
}
