/* Files: where their pages come from; read, write, truncate, punch. */
#include <core/uio.h>
#include "model.h"

static u32 initial_pages(u32 file) { return !file ? 0 : file == BIG_FILE ? BIG_PAGES : 16; }

static struct words initial(u32 file, u64 index)
{
	if (index >= initial_pages(file))
		return (struct words){ { 0, 0 } };
	return (struct words){ { (u32)(file << 24 | index << 8 | 1), (u32)(file << 24 | index << 8 | 2) } };
}

static void store_words(struct page *pg, struct words w)
{
	*(u32 *)page_addr(pg) = w.w[0];
	*(u32 *)((u8 *)page_addr(pg) + HALF) = w.w[1];
}

static int fill_page(struct vm_object *obj, u64 index, struct page *pg)
{
	store_words(pg, initial((u32)(obj - object), index));
	return 0;
}

static struct page *borrow_page(struct vm_object *obj, u64 index)
{
	u32 file = (u32)(obj - object);
	struct page **image = &images[file * BIG_PAGES + index];

	if (index >= file_pages(file) || (file != BIG_FILE && index % 5 == 4))
		return NULL;
	if (!*image) {
		*image = page_alloc(0, PAGE_IMAGE, ALLOC_ZERO);
		if (!*image)
			return NULL;
		store_words(*image, initial(file, index));
	}
	return page_get(*image);
}

i64 reserved[FILES];
static int reserve_pages(struct vm_object *obj, u64 index, u32 n) { reserved[obj - object] += n; return 0; }
static void pages_gone(struct vm_object *obj, u64 index, u32 n) { reserved[obj - object] -= n; }
static void no_owner(struct vm_object *obj) {}

static const struct vm_object_ops file_ops[FILES] = {
	{ .reserve_pages = reserve_pages, .pages_gone = pages_gone },
	{ .reserve_pages = reserve_pages, .pages_gone = pages_gone, .fill_page = fill_page },
	{ .reserve_pages = reserve_pages, .pages_gone = pages_gone, .fill_page = fill_page, .borrow_page = borrow_page },
	{ .reserve_pages = reserve_pages, .pages_gone = pages_gone, .fill_page = fill_page },
	{ .reserve_pages = reserve_pages, .pages_gone = pages_gone, .fill_page = fill_page, .borrow_page = borrow_page },
	{ .reserve_pages = reserve_pages, .pages_gone = pages_gone, .fill_page = fill_page, .borrow_page = borrow_page },
};

void files_create(void)
{
	for (u32 f = 0; f < FILES; f++) {
		ref.file[f].size = initial_pages(f) * PAGE_SIZE - (f == 1 ? 1024 : 0);
		vm_object_init(&object[f], &file_ops[f], ref.file[f].size);
		object[f].flags = VM_OBJECT_SWAPLESS;
		if (f)
			object[f].backing_size = ref.file[f].size;	/* as ramfs says it */
		object[f].get_owner = object[f].put_owner = no_owner;
		objects[f] = &object[f];
		for (u32 i = 0; i < file_pages(f); i++)
			ref.file[f].page[i] = initial(f, i);
	}
}

void files_destroy(void)
{
	for (u32 f = 0; f < FILES; f++) {
		vm_object_destroy(&object[f]);
		EXPECT(reserved[f], 0);
	}
	for (u32 i = 0; i < ARRAY_LEN(images); i++)
		if (images[i]) {
			EXPECT(page_refs(images[i]), 1);
			page_put(images[i]);
			images[i] = NULL;
		}
}

bool file_runs(u32 f)
{
	for (u32 s = 0; s < nspaces; s++)
		if (space[s] && program[s] == (i32)f)
			return true;
	return false;
}

/* What the file shows from size on is zero, whoever scribbled there. */
static void ref_zero_tail(struct ref_file *f, bool whole)
{
	for (u64 i = f->size >> PAGE_SHIFT; i < BIG_PAGES; i++)
		for (u32 h = 0; h < 2; h++)
			if ((i << PAGE_SHIFT) + h * HALF >= f->size && (whole || i == f->size >> PAGE_SHIFT))
				f->page[i].w[h] = 0;
}
void op_file_write(u32 s)
{
	u32 f = (u32)below(FILES), index = (u32)below(file_pages(f)), half = (u32)below(2), value = ++stamp;
	u64 off = (u64)index * PAGE_SIZE + half * HALF;
	struct ref_file *rf = &ref.file[f];
	struct uio u;

	if (file_runs(f))
		return;
	DOING("file %u is written at %lu", f, off);
	uio_init_kernel(&u, &value, 4);
	EXPECT(pagecache_write(&object[f], &u, off), 4);
	if (off + 4 > rf->size) {
		ref_zero_tail(rf, false);
		rf->size = off + 4;
	}
	rf->page[index].w[half] = value;
	EXPECT(object[f].size, rf->size);
}

void op_file_read(u32 s)
{
	u32 f = (u32)below(FILES), index = (u32)below(file_pages(f)), half = (u32)below(2), value = 0;
	u64 off = (u64)index * PAGE_SIZE + half * HALF;
	struct ref_file *rf = &ref.file[f];
	struct uio u;

	DOING("file %u is read at %lu", f, off);
	uio_init_kernel(&u, &value, 4);
	EXPECT(pagecache_read(&object[f], &u, off), off >= rf->size ? 0 : MIN(4ul, rf->size - off));
	if (off + 4 <= rf->size)
		EXPECT(value, rf->page[index].w[half]);
}

static void drop_copies(u32 f, u64 first)
{
	for (u32 s = 0; s < nspaces; s++)
		for (u32 i = 0; i < PAGES; i++) {
			struct ref_page *p = &ref.page[s][i];

			if (p->mapped && p->file == (i32)f && p->rest == REST_NONE && p->pgoff >= first)
				p->has = false;
		}
}

void op_truncate(u32 s)
{
	u32 f = (u32)below(FILES);
	u64 pages = f == BIG_FILE && chance(80) ? BIG_PAGES - 8 + below(8) : below(file_pages(f));
	u64 size = pages * PAGE_SIZE + (chance(50) ? 0 : below(4) * 1024);
	struct ref_file *rf = &ref.file[f];

	if (file_runs(f))
		return;
	DOING("file %u is truncated to %lu", f, size);
	vm_object_truncate(&object[f], size);
	if (size < rf->size) {
		rf->size = size;
		ref_zero_tail(rf, true);
		drop_copies(f, (size + PAGE_SIZE - 1) >> PAGE_SHIFT);
	} else {
		ref_zero_tail(rf, false);
		rf->size = size;
	}
}

void op_punch(u32 s)
{
	u32 f = (u32)below(FILES), first = (u32)below(file_pages(f)), n = 1 + (u32)below(4);
	u32 cut = chance(30) ? HALF : 0;

	if (file_runs(f))
		return;
	n = MIN(n, file_pages(f) - first);
	DOING("file %u is punched at %u+%u, cut %u", f, first, n, cut);
	EXPECT(vm_object_punch(&object[f], (u64)first * PAGE_SIZE + cut, n * PAGE_SIZE - cut), 0);
	for (u32 i = first; i < first + n; i++)
		for (u32 h = i == first && cut ? 1 : 0; h < 2; h++)
			ref.file[f].page[i].w[h] = 0;
}
