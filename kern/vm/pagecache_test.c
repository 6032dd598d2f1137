/* The page cache: holes, backing, borrowed pages, truncate and punch under mappings, private copies, C1.
 * host-sources: @vm
 */
#include <core/uio.h>

#include "vm_testlib.h"

#define BASE 0x10000000ul
#define P    PAGE_SIZE

static u64 live_objects, live_pages;
static i64 reserved, quota = 1 << 20;
static struct page *images[8];

static u8 file_byte(u64 off) { return (u8)(off / P * 16 + off % 13 + 1); }

static void fill_bytes(u64 index, struct page *pg)
{
	for (u64 i = 0; i < P; i++)
		((u8 *)page_addr(pg))[i] = file_byte(index * P + i);
}

static int fill_page(struct vm_object *obj, u64 index, struct page *pg)
{
	if (index >= 8)
		return -EIO;
	fill_bytes(index, pg);
	return 0;
}

static struct page *borrow_page(struct vm_object *obj, u64 index)
{
	if (index >= 8)
		return NULL;
	if (!images[index]) {
		images[index] = page_alloc(0, PAGE_IMAGE, 0);
		fill_bytes(index, images[index]);
	}
	return page_get(images[index]);
}

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
static const struct vm_object_ops fill_ops = { .fill_page = fill_page, .reserve_pages = reserve_pages, .pages_gone = pages_gone };
static const struct vm_object_ops image_ops = { .borrow_page = borrow_page, .fill_page = fill_page,
						.reserve_pages = reserve_pages, .pages_gone = pages_gone };

static void setup(struct vm_object *obj, const struct vm_object_ops *ops, u64 size)
{
	host_allow_leaks();
	vm_init();
	live_objects = host_live_allocs();
	live_pages = host_live_pages();
	vm_object_init(obj, ops, size);
	obj->flags = VM_OBJECT_SWAPLESS;
	obj->get_owner = obj->put_owner = no_owner;
}

static void finish(struct vm_object *obj)
{
	vm_object_destroy(obj);
	for (u32 i = 0; i < 8; i++)
		if (images[i]) {
			CHECK_EQ(page_refs(images[i]), 1u);
			page_put(images[i]);
		}
	CHECK_EQ(reserved, 0l);
	CHECK_EQ(host_live_allocs(), live_objects);
	pgtable_cache_drain();
	CHECK_EQ(host_live_pages(), live_pages);
}

static i64 file_write(struct vm_object *obj, u64 off, const void *p, u64 n)
{
	struct uio u;

	uio_init_kernel(&u, (void *)p, n);
	return pagecache_write(obj, &u, off);
}

static i64 file_read(struct vm_object *obj, u64 off, void *p, u64 n)
{
	struct uio u;

	uio_init_kernel(&u, p, n);
	return pagecache_read(obj, &u, off);
}

static int byte_at(struct vm_object *obj, u64 off)
{
	u8 b;
	i64 n = file_read(obj, off, &b, 1);

	return n == 1 ? b : n ? (int)n : -1000;
}

TEST(pagecache, sparse_file)
{
	struct vm_object obj;
	u8 big[3 * 4096];

	setup(&obj, &hole_ops, 0);
	CHECK_EQ(byte_at(&obj, 0), -1000);
	CHECK_EQ(file_write(&obj, 5 * P + 10, "abc", 3), 3l);
	CHECK_EQ(obj.size, 5 * P + 13);
	CHECK_EQ(reserved, 1l);
	CHECK_EQ(file_read(&obj, 4 * P, big, sizeof(big)), (i64)(P + 13));
	CHECK_EQ(big[0], 0);
	CHECK_EQ(big[P + 10], 'a');
	CHECK_EQ(reserved, 1l);
	CHECK_EQ(vm_object_seek(&obj, 0, true), (i64)(5 * P));
	CHECK_EQ(vm_object_seek(&obj, 0, false), 0l);
	CHECK_EQ(vm_object_seek(&obj, 5 * P, false), (i64)(5 * P + 13));
	CHECK_EQ(vm_object_seek(&obj, 6 * P, true), -ENXIO);
	CHECK_EQ(file_write(&obj, 1ul << 50, "z", 1), 1l);
	CHECK_EQ(byte_at(&obj, 1ul << 50), 'z');
	vm_object_truncate(&obj, 5 * P + 11);
	vm_object_truncate(&obj, 6 * P);
	CHECK_EQ(byte_at(&obj, 5 * P + 10), 'a');
	CHECK_EQ(byte_at(&obj, 5 * P + 11), 0);
	CHECK_EQ(vm_object_punch(&obj, 5 * P, P), 0);
	CHECK_EQ(reserved, 0l);
	quota = 1;
	CHECK_EQ(file_write(&obj, 0, big, 2 * P), (i64)P);
	CHECK_EQ(file_write(&obj, 2 * P, big, P), -ENOSPC);
	quota = 1 << 20;
	finish(&obj);
}

static void backed_file(const struct vm_object_ops *ops)
{
	struct vm_object obj;

	setup(&obj, ops, 7 * P + 100);
	CHECK_EQ(byte_at(&obj, P + 5), file_byte(P + 5));
	CHECK_EQ(reserved, 0l);
	CHECK_EQ(file_write(&obj, P + 5, "!", 1), 1l);
	CHECK_EQ(byte_at(&obj, P + 5), '!');
	CHECK_EQ(byte_at(&obj, P + 6), file_byte(P + 6));
	CHECK_EQ(reserved, 1l);
	CHECK_EQ(vm_object_punch(&obj, 2 * P, 2 * P), 0);
	CHECK_EQ(byte_at(&obj, 3 * P), 0);
	CHECK_EQ(byte_at(&obj, 4 * P), file_byte(4 * P));
	vm_object_truncate(&obj, 4 * P + 7);
	vm_object_truncate(&obj, 8 * P);
	CHECK_EQ(byte_at(&obj, 4 * P + 6), file_byte(4 * P + 6));
	CHECK_EQ(byte_at(&obj, 4 * P + 7), 0);
	CHECK_EQ(byte_at(&obj, 5 * P), 0);
	CHECK_EQ(vm_object_seek(&obj, 5 * P, true), -ENXIO);
	finish(&obj);
}

TEST(pagecache, filled_file) { backed_file(&fill_ops); }
TEST(pagecache, borrowed_file) { backed_file(&image_ops); }

static void write_meets_mappings(const struct vm_object_ops *ops)
{
	struct vm_object obj;

	setup(&obj, ops, 8 * P);
	struct aspace *as = aspace_create(), *kid;

	CHECK_EQ(map_object(as, BASE, 8 * P, RW, &obj, 0), (i64)BASE);
	CHECK_EQ(map_object(as, BASE + 16 * P, 8 * P, RW | VM_SHARED, &obj, 0), (i64)(BASE + 16 * P));
	CHECK_EQ(user_peek(as, BASE), file_byte(0));
	CHECK_EQ(user_peek(as, BASE + 16 * P), file_byte(0));
	CHECK_EQ(user_poke(as, BASE + P, 99), 0);
	CHECK_EQ(byte_at(&obj, P), file_byte(P));			/* C1 */
	CHECK_EQ(aspace_fork(as, NULL, &kid), 0);
	CHECK_EQ(file_write(&obj, 0, "w", 1), 1l);
	CHECK_EQ(user_peek(as, BASE), 'w');
	CHECK_EQ(user_peek(as, BASE + 16 * P), 'w');
	CHECK_EQ(user_peek(kid, BASE), 'w');
	CHECK_EQ(user_peek(kid, BASE + P), 99);
	CHECK_EQ(user_poke(kid, BASE + 16 * P, 'k'), 0);
	CHECK_EQ(byte_at(&obj, 0), 'k');
	CHECK_EQ(user_peek(as, BASE), 'k');
	CHECK_EQ(user_poke(as, BASE, 'p'), 0);
	CHECK_EQ(user_peek(kid, BASE), 'k');
	CHECK_EQ(user_poke(as, BASE + 18 * P, 's'), 0);
	CHECK_EQ(byte_at(&obj, 2 * P), 's');
	vm_object_truncate(&obj, P);
	CHECK_EQ(user_peek(as, BASE + P), -EIO);
	CHECK_EQ(user_peek(kid, BASE + P), -EIO);
	CHECK_EQ(user_peek(kid, BASE + 18 * P), -EIO);
	CHECK_EQ(user_peek(as, BASE), 'p');
	aspace_unuse(as);
	CHECK_EQ(user_peek(kid, BASE), 'k');
	aspace_unuse(kid);
	finish(&obj);
}

TEST(pagecache, filled_write_meets_mappings) { write_meets_mappings(&fill_ops); }
TEST(pagecache, borrowed_write_meets_mappings) { write_meets_mappings(&image_ops); }

/* The boundary page of the seed: .data ends inside a page, .bss follows in it. */
TEST(pagecache, partial_bss_page_is_private)
{
	struct vm_object obj;

	setup(&obj, &image_ops, 8 * P);
	struct aspace *as = aspace_create(), *other = aspace_create();
	struct map_request rq = { .addr = BASE, .len = 4 * P, .flags = RW, .fixed = true, .obj = &obj, .off = P,
				  .file_end = BASE + P + 0xbf0 };

	CHECK_EQ(aspace_map(as, &rq), (i64)BASE);
	CHECK_EQ(aspace_map(other, &rq), (i64)BASE);
	CHECK_EQ(user_peek(as, BASE + P + 0xbef), file_byte(2 * P + 0xbef));
	CHECK_EQ(user_peek(as, BASE + P + 0xbf0), 0);
	CHECK_EQ(user_peek(as, BASE + 2 * P), 0);
	CHECK_EQ(user_poke(as, BASE + P + 0xc00, 5), 0);
	CHECK_EQ(user_poke(as, BASE + P + 1, 6), 0);
	CHECK_EQ(user_peek(other, BASE + P + 0xc00), 0);
	CHECK_EQ(user_peek(other, BASE + P + 1), file_byte(2 * P + 1));
	CHECK_EQ(byte_at(&obj, 2 * P + 1), file_byte(2 * P + 1));
	aspace_unuse(as);
	aspace_unuse(other);
	finish(&obj);
}

TEST(pagecache, access_from_outside)
{
	struct vm_object obj;
	char buf[8] = "";

	setup(&obj, &image_ops, 8 * P);
	struct aspace *as = aspace_create();

	CHECK_EQ(map_object(as, BASE, 2 * P, VM_READ | VM_EXEC, &obj, 0), (i64)BASE);
	CHECK_EQ(aspace_access(as, BASE + 3, "int3", 4, true, false), -EIO);
	CHECK_EQ(aspace_access(as, BASE + P - 2, "int3", 4, true, true), 4l);
	CHECK_EQ(aspace_access(as, BASE + P - 2, buf, 4, false, false), 4l);
	CHECK_STR_EQ(buf, "int3");
	CHECK_EQ(byte_at(&obj, P - 2), file_byte(P - 2));
	CHECK_EQ(user_poke(as, BASE, 1), -EACCES);
	CHECK_EQ(aspace_access(as, BASE + 2 * P - 2, buf, 4, false, true), 2l);
	aspace_unuse(as);
	finish(&obj);
}

TEST(pagecache, every_allocation_fails_once)
{
	struct vm_object obj;

	setup(&obj, &image_ops, 8 * P);
	for (u64 i = 0; i < 8; i++)
		page_put(borrow_page(&obj, i));
	EVERY_ALLOC_FAILS_ONCE(n) {
		struct vm_object o;

		vm_object_init(&o, &image_ops, 8 * P);
		o.flags = VM_OBJECT_SWAPLESS;
		o.get_owner = o.put_owner = no_owner;
		(void)file_write(&o, 7 * P, "tail", 4);
		(void)file_write(&o, 900 * P, "far", 3);
		(void)byte_at(&o, 3 * P);
		(void)!vm_object_punch(&o, P, 3 * P);
		vm_object_truncate(&o, 3 * P + 1);
		vm_object_destroy(&o);
		CHECK_EQ(reserved, 0l);
	}
	finish(&obj);
}
