/*
 * Reading and writing a file's bytes through its page cache, or lending its pages.
 *
 * Runs of pages are looked up and entered together.  A page that a write makes is
 * filled before it is entered: nobody sees it half done, and only what the write
 * leaves of it is cleared.  If the slot was taken meanwhile (the source may be a
 * mapping of the same page), those bytes are written again into what is there.
 *
 * Nothing is held while user memory is copied; writers hold the vnode's lock.
 */
#include <core/uio.h>
#include <sched/sched.h>

#include "vm.h"

#define RUN 16u			/* pages at a time */

static void put_pages(struct page **pages, u32 n)
{
	for (u32 i = 0; i < n; i++)
		page_put(pages[i]);
}

static u64 bytes_in_page(u64 off, u64 want)
{
	return MIN(PAGE_SIZE - (off & ~PAGE_MASK), want);
}

static u32 pages_of(u64 off, u64 len)
{
	return (u32)MIN(((off & ~PAGE_MASK) + len + PAGE_SIZE - 1) >> PAGE_SHIFT, RUN);
}

/* How many pages from the first on lie one after the other in memory: their bytes are copied in one go. */
static u32 adjacent(struct page **pages, u32 n)
{
	u32 k = 1;

	while (k < n && pages[k] == pages[k - 1] + 1)
		k++;
	return k;
}

/* --- reading ---------------------------------------------------------------- */

/* n bytes inside one page.  Bytes moved, 0: end of file, or -errno. */
static i64 read_piece(struct vm_object *obj, struct uio *dst, u64 off, u64 n)
{
	AUTO(page) pg = pagecache_lookup(obj, off >> PAGE_SHIFT);
	u64 moved;

	if (unlikely(!pg)) {
		int err;

		if (!pagecache_is_backed(obj, off >> PAGE_SHIFT)) {
			moved = uio_zero_out(dst, n);
			return moved ? (i64)moved : -EFAULT;
		}
		err = pagecache_get(obj, off >> PAGE_SHIFT, &pg);
		if (err)
			return off >= READ_ONCE(obj->size) ? 0 : err;
	}
	moved = uio_copy_out(dst, (u8 *)page_addr(pg) + (off & ~PAGE_MASK), n);
	return moved ? (i64)moved : -EFAULT;
}

/* What the cache has of len bytes at off, all before the end of the file.  Bytes moved; fewer: the memory faulted. */
static i64 read_cached(struct uio *dst, u64 off, u64 len, struct page **pages, u32 n)
{
	u64 done = 0, in = off & ~PAGE_MASK;

	for (u32 i = 0, k; i < n; i += k, in = 0) {
		k = adjacent(pages + i, n - i);
		u64 want = MIN(k * PAGE_SIZE - in, len - done);
		u64 moved = uio_copy_out(dst, (u8 *)page_addr(pages[i]) + in, want);

		done += moved;
		if (moved < want)
			break;
	}
	put_pages(pages, n);
	return done ? (i64)done : -EFAULT;
}

/* len bytes, not all in one page, before the end of the file.  Bytes moved, 0: it ends here now, or -errno; *want: what was tried. */
static NOINLINE i64 read_run(struct vm_object *obj, struct uio *dst, u64 off, u64 len, u64 *want)
{
	struct page *pages[RUN];
	u32 n = pagecache_lookup_run(obj, off >> PAGE_SHIFT, pages_of(off, len), pages);

	if (!n) {
		*want = bytes_in_page(off, len);
		return read_piece(obj, dst, off, *want);
	}
	*want = MIN(len, n * PAGE_SIZE - (off & ~PAGE_MASK));
	return read_cached(dst, off, *want, pages, n);
}

i64 pagecache_read(struct vm_object *obj, struct uio *dst, u64 off)
{
	i64 done = 0, n = 0;

	while (dst->resid) {
		u64 size = READ_ONCE(obj->size), want;

		if (off >= size)
			break;
		want = MIN(size - off, dst->resid);
		n = (off & ~PAGE_MASK) + want <= PAGE_SIZE ? read_piece(obj, dst, off, want) : read_run(obj, dst, off, want, &want);
		if (n <= 0)
			break;
		done += n;
		off += (u64)n;
		if ((u64)n < want)
			break;
		if (dst->resid)
			sched_resched_if_needed();
	}
	return done ? done : n;
}

i64 pagecache_borrow(struct vm_object *obj, u64 off, u64 len, struct page **pages, u32 max)
{
	u64 size = READ_ONCE(obj->size), index = off >> PAGE_SHIFT;
	u32 n;

	if (off >= size)
		return 0;
	len = MIN(size - off, len);
	n = pagecache_lookup_run(obj, index, MIN(pages_of(off, len), max), pages);
	if (!n && !pagecache_is_backed(obj, index)) {
		pages[n++] = page_get(vm_zero_page);
	} else if (!n) {
		int err = pagecache_get(obj, index, &pages[n++]);

		if (err)
			return off >= READ_ONCE(obj->size) ? 0 : err;
	}
	return (i64)MIN(len, n * PAGE_SIZE - (off & ~PAGE_MASK));
}

/* --- writing ---------------------------------------------------------------- */

/* A mapping may have scribbled past the end in the last page. */
void pagecache_zero_past_end(struct vm_object *obj)
{
	u64 in = obj->size & ~PAGE_MASK;
	struct page *pg;

	if (!in || !(READ_ONCE(obj->flags) & VM_OBJECT_SCRIBBLED))
		return;
	pg = pagecache_lookup(obj, obj->size >> PAGE_SHIFT);
	if (!pg)
		return;
	if (pg->use == PAGE_FILE)
		memset((u8 *)page_addr(pg) + in, 0, PAGE_SIZE - in);
	page_put(pg);
}

/* A piece inside a page that is there, or is made with the bytes that its slot stands for.  Bytes moved or -errno. */
static i64 write_over(struct vm_object *obj, struct uio *src, u64 off, u64 n)
{
	AUTO(page) pg = NULL;
	int err = pagecache_get_write(obj, off >> PAGE_SHIFT, &pg);
	u64 moved;

	if (err)
		return err;
	moved = uio_copy_in(src, (u8 *)page_addr(pg) + (off & ~PAGE_MASK), n);
	return moved ? (i64)moved : -EFAULT;
}

/* A page that is in no slot yet, reserved, with n bytes from src at off and zeros around them.  Bytes moved or -errno. */
static i64 fill_fresh(struct vm_object *obj, struct uio *src, u64 off, u64 n, struct page **out)
{
	u64 in = off & ~PAGE_MASK, moved;
	bool mostly_zero = n < PAGE_SIZE / 2;
	struct page *pg = pagecache_new_page(obj, off >> PAGE_SHIFT, mostly_zero ? ALLOC_ZERO : 0);
	u8 *to;

	if (!pg)
		return -ENOMEM;
	to = page_addr(pg);
	moved = uio_copy_in(src, to + in, n);
	if (!moved) {
		page_put(pg);
		return -EFAULT;
	}
	if (!mostly_zero && moved < PAGE_SIZE) {
		memset(to, 0, in);
		memset(to + in + moved, 0, PAGE_SIZE - in - moved);
	}
	pg->flags |= PAGE_F_DIRTY;
	*out = pg;
	return (i64)moved;
}

/* As above, whole pages, up to max: *made of them, the last partly filled if the memory faulted. */
static i64 fill_whole(struct vm_object *obj, struct uio *src, u64 index, u32 max, struct page **pages, u32 *made)
{
	u32 n = page_alloc_run(PAGE_FILE, ALLOC_USER, pages, max), used;
	u64 moved = 0, rest;

	if (!n)
		return -ENOMEM;
	for (u32 i = 0, k; i < n && moved == i * PAGE_SIZE; i += k) {
		k = adjacent(pages + i, n - i);
		moved += uio_copy_in(src, page_addr(pages[i]), k * PAGE_SIZE);
	}
	used = (u32)DIV_ROUND_UP(moved, PAGE_SIZE);
	rest = used * PAGE_SIZE - moved;
	if (rest)
		memset((u8 *)page_addr(pages[used - 1]) + PAGE_SIZE - rest, 0, rest);
	page_put_run(pages + used, n - used);
	for (u32 i = 0; i < used; i++) {
		pages[i]->owner = obj;
		pages[i]->index = index + i;
		pages[i]->flags = PAGE_F_UPTODATE | PAGE_F_DIRTY;
	}
	*made = used;
	return moved ? (i64)moved : -EFAULT;
}

/* Up to max pages; the last may be partly filled.  How many, and the bytes; or why there is none. */
static u32 fill_run(struct vm_object *obj, struct uio *src, u64 off, u32 max, struct page **pages, i64 *bytes)
{
	u64 done = 0;
	u32 n = 0;

	while (n < max && src->resid) {
		u64 at = off + done, want = bytes_in_page(at, src->resid);
		u32 made = 1;
		i64 got;

		if (want == PAGE_SIZE) {
			u32 whole = (u32)MIN(src->resid >> PAGE_SHIFT, max - n);

			want = whole * PAGE_SIZE;
			got = fill_whole(obj, src, at >> PAGE_SHIFT, whole, &pages[n], &made);
		} else {
			got = fill_fresh(obj, src, at, want, &pages[n]);
		}
		if (got < 0) {
			*bytes = n ? (i64)done : got;
			return n;
		}
		n += made;
		done += (u64)got;
		if ((u64)got < want)
			break;
	}
	*bytes = (i64)done;
	return n;
}

/*
 * Up to max fresh pages for empty slots.  Bytes moved; 0: the first slot was taken
 * meanwhile; or -errno.  A fault or an error after the first bytes ends the run
 * early: the next call meets it again.
 */
static i64 write_fresh(struct vm_object *obj, struct uio *src, u64 off, u32 max)
{
	u64 removals = READ_ONCE(obj->removals), index = off >> PAGE_SHIFT;
	int err = pagecache_reserve(obj, index, max);
	struct page *pages[RUN];
	i64 moved;
	u32 n, in;

	if (err && max > 1)
		err = pagecache_reserve(obj, index, max = 1);	/* near the end of the quota: page by page */
	if (err)
		return err;
	n = fill_run(obj, src, off, max, pages, &moved);
	in = n ? pagecache_insert_run(obj, index, pages, n, removals) : 0;
	pagecache_unreserve(obj, index + in, max - in);
	if (in < n) {
		i64 kept = in ? (i64)(in * PAGE_SIZE - (off & ~PAGE_MASK)) : 0;

		uio_rewind(src, (u64)(moved - kept));
		moved = kept;
		put_pages(pages + in, n - in);
	}
	return moved;
}

/* Bytes moved or -errno. */
static i64 write_some(struct vm_object *obj, struct uio *src, u64 off)
{
	u64 index = off >> PAGE_SHIFT, n = bytes_in_page(off, src->resid), moved;
	AUTO(page) pg = pagecache_lookup(obj, index);

	if (pg && pagecache_writable(obj, pg)) {
		moved = uio_copy_in(src, (u8 *)page_addr(pg) + (off & ~PAGE_MASK), n);
		return moved ? (i64)moved : -EFAULT;
	}
	if (!pg && !pagecache_is_backed(obj, index)) {
		i64 fresh = write_fresh(obj, src, off, n == src->resid ? 1 :
					pagecache_count_holes(obj, index, pages_of(off, src->resid)));

		if (fresh)
			return fresh;
	}
	return write_over(obj, src, off, n);
}

i64 pagecache_write(struct vm_object *obj, struct uio *src, u64 off)
{
	i64 done = 0, n = 0;

	if (off + src->resid > obj->size)
		pagecache_zero_past_end(obj);
	while (src->resid) {
		n = write_some(obj, src, off);
		if (n <= 0)
			break;
		done += n;
		off += (u64)n;
		if (off > obj->size)
			WRITE_ONCE(obj->size, off);
		if (src->resid)
			sched_resched_if_needed();
	}
	if (done)
		vm_object_content_changed(obj);
	return done ? done : n;
}
