/*
 * The page cache of one object: the bytes of a file by page index.
 *
 * A slot is EMPTY, BORROWED (a PAGE_IMAGE frame of the archive, immutable), CLEAN
 * (PAGE_FILE, can be read again) or DIRTY (PAGE_FILE with PAGE_F_DIRTY: the
 * object's own bytes, reserved with ops->reserve_pages exactly once).  An empty
 * slot below the backing size is data to be read; elsewhere it is a hole.
 *
 * P1  The slot owns one reference.  Slots change under tree_lock, and a page
 *     comes in only under obj->lock shared, so truncate sees none slip past it.
 * P2  DIRTY <=> reserved.  Whoever loses a race to set it gives its reserve back.
 * P3  A fill that was under way when pages were dropped (obj->removals) is thrown
 *     away: its bytes may be from before.  Reclaim does not count: a page that
 *     was ever written is not reclaimed.
 * P4  Bytes past obj->size in the last page are zero whenever size grows.
 *
 * Reading and writing through it is pageio.c's.
 * Nothing is held while ops are called, memory is allocated or user memory copied.
 */
#include <core/uio.h>
#include <sched/sched.h>

#include "vm.h"

static atomic64_t total_pages;

u64 pagecache_total_pages(void)
{
	return (u64)atomic64_read(&total_pages);
}

bool pagecache_is_backed(const struct vm_object *obj, u64 index)
{
	return (obj->ops->fill_page || obj->ops->borrow_page) && index << PAGE_SHIFT < READ_ONCE(obj->backing_size);
}

/* Bytes of the page that its backing still provides: all, unless truncate has cut it. */
static u64 backed_bytes(const struct vm_object *obj, u64 index)
{
	u64 left = READ_ONCE(obj->backing_size) - (index << PAGE_SHIFT);

	if (!(READ_ONCE(obj->flags) & VM_OBJECT_CUT))
		return PAGE_SIZE;
	return MIN(left, PAGE_SIZE);
}


bool pagecache_writable(const struct vm_object *obj, const struct page *pg)
{
	return pg->use == PAGE_FILE && READ_ONCE(pg->flags) & PAGE_F_DIRTY;
}

struct page *pagecache_lookup(struct vm_object *obj, u64 index)
{
	GUARD_SPIN(&obj->tree_lock);
	struct page *pg = radix_get(obj->root, index);

	if (pg) {
		page_get(pg);
		lru_touch(pg);
	}
	return pg;
}

u32 pagecache_lookup_run(struct vm_object *obj, u64 index, u32 max, struct page **out)
{
	u32 n, found = 0;

	GUARD_SPIN(&obj->tree_lock);
	struct page **slot = radix_run(&obj->root, index, &n);

	if (!slot)
		return 0;
	for (n = MIN(n, max); found < n && slot[found]; found++) {
		out[found] = page_get(slot[found]);
		lru_touch(slot[found]);
	}
	return found;
}

u32 pagecache_count_holes(struct vm_object *obj, u64 index, u32 max)
{
	u32 n, holes = 0;

	GUARD_SPIN(&obj->tree_lock);
	struct page **slot = radix_run(&obj->root, index, &n);

	for (n = MIN(n, max); holes < n && (!slot || !slot[holes]); holes++)
		;
	return holes;
}

/* --- making pages ---------------------------------------------------------- */

struct make {
	struct vm_object *obj;
	u64 index;
	bool write;		/* wanted DIRTY */
	bool past_end;		/* may lie past obj->size */
	bool did_io;
};

/* The slot takes a reference of its own.  -EEXIST, -ESTALE (start again), -EIO (past the end), -ENOMEM. */
static int cache_insert(const struct make *m, struct page *pg, u64 removals)
{
	struct vm_object *obj = m->obj;
	struct radix_spare spare = { 0 };
	int err;

	GUARD_SHARED(&obj->lock);				/* inv. P1 */
	if (!m->past_end && m->index << PAGE_SHIFT >= obj->size)
		return -EIO;
	do {
		spin_lock(&obj->tree_lock);
		err = obj->removals != removals ? -ESTALE : radix_insert(&obj->root, m->index, pg, &spare);
		if (!err) {
			page_get(pg);
			obj->npages++;
		}
		spin_unlock(&obj->tree_lock);
	} while (err == -EAGAIN && !(err = radix_spare_add(&spare)) && (err = -EAGAIN));
	radix_spare_drop(&spare);
	if (!err)
		(void)atomic64_add(&total_pages, 1);
	return err;
}

u32 pagecache_insert_run(struct vm_object *obj, u64 index, struct page **pages, u32 n, u64 removals)
{
	struct radix_spare spare = { 0 };
	u32 done = 0, some;
	int err;

	GUARD_SHARED(&obj->lock);				/* inv. P1 */
	do {
		spin_lock(&obj->tree_lock);
		err = -ESTALE;
		some = 0;
		if (obj->removals == removals)
			err = radix_insert_run(&obj->root, index + done, pages + done, n - done, &some, &spare);
		obj->npages += some;
		spin_unlock(&obj->tree_lock);
		done += some;
		if (err == -EAGAIN)
			err = radix_spare_add(&spare);
	} while (!err && done < n);
	radix_spare_drop(&spare);
	(void)atomic64_add(&total_pages, done);
	return done;
}

static int make_hole(struct make *m, u64 removals, struct page **out)
{
	int err = pagecache_reserve(m->obj, m->index, 1);
	struct page *pg;

	if (err)
		return err;
	pg = pagecache_new_page(m->obj, m->index, ALLOC_ZERO);
	if (!pg) {
		pagecache_unreserve(m->obj, m->index, 1);
		return -ENOMEM;
	}
	bits_set(&pg->flags, PAGE_F_DIRTY);
	err = cache_insert(m, pg, removals);
	if (err) {
		pagecache_unreserve(m->obj, m->index, 1);
		bits_clear(&pg->flags, PAGE_F_DIRTY);
		page_put(pg);
		return err;
	}
	*out = pg;
	return 0;
}

static int make_filled(struct make *m, u64 removals, struct page *image, struct page **out)
{
	struct vm_object *obj = m->obj;
	u64 keep = backed_bytes(obj, m->index);
	AUTO(page) pg = pagecache_new_page(obj, m->index, ALLOC_ZERO);
	int err = 0;

	if (!pg)
		return -ENOMEM;
	if (image) {
		memcpy(page_addr(pg), page_addr(image), PAGE_SIZE);
	} else {
		m->did_io = true;
		err = obj->ops->fill_page(obj, m->index, pg);
	}
	if (err)
		return err;
	memset((u8 *)page_addr(pg) + keep, 0, PAGE_SIZE - keep);
	err = cache_insert(m, pg, removals);
	if (err)
		return err;
	if (!(obj->flags & VM_OBJECT_SWAPLESS))
		lru_add(pg);
	*out = MOVE(pg);
	return 0;
}

static int make_backed(struct make *m, u64 removals, struct page **out)
{
	struct vm_object *obj = m->obj;
	AUTO(page) image = obj->ops->borrow_page ? obj->ops->borrow_page(obj, m->index) : NULL;

	if (image && backed_bytes(obj, m->index) == PAGE_SIZE) {
		int err = cache_insert(m, image, removals);

		if (!err)
			*out = MOVE(image);
		return err;
	}
	if (!image && !obj->ops->fill_page)
		return make_hole(m, removals, out);
	return make_filled(m, removals, image, out);
}

/* CLEAN -> DIRTY.  -EAGAIN: the slot changed. */
static int dirty_clean(struct vm_object *obj, u64 index, struct page *pg)
{
	int err = pagecache_reserve(obj, index, 1);
	bool won = false, there;

	if (err)
		return err;
	spin_lock(&obj->tree_lock);
	there = radix_get(obj->root, index) == pg;
	if (there && !(pg->flags & PAGE_F_DIRTY)) {
		bits_set(&pg->flags, PAGE_F_DIRTY);
		won = true;
	}
	spin_unlock(&obj->tree_lock);
	if (!won)
		pagecache_unreserve(obj, index, 1);			/* inv. P2 */
	return there ? 0 : -EAGAIN;
}

/* BORROWED -> DIRTY: an own copy takes the slot, and nobody maps the old frame any more. */
static int dirty_borrowed(struct vm_object *obj, u64 index, struct page *image)
{
	struct page *pg;
	bool won;
	int err = pagecache_reserve(obj, index, 1);

	if (err)
		return err;
	pg = pagecache_new_page(obj, index, 0);
	if (!pg) {
		pagecache_unreserve(obj, index, 1);
		return -ENOMEM;
	}
	memcpy(page_addr(pg), page_addr(image), PAGE_SIZE);
	bits_set(&pg->flags, PAGE_F_DIRTY);
	rwlock_write(&obj->lock);
	spin_lock(&obj->tree_lock);
	won = radix_get(obj->root, index) == image;
	if (won)
		radix_replace(&obj->root, index, pg);
	spin_unlock(&obj->tree_lock);
	if (won)
		rmap_unmap(obj, index, index, false, image);
	rwlock_write_end(&obj->lock);
	if (!won) {
		pagecache_unreserve(obj, index, 1);
		bits_clear(&pg->flags, PAGE_F_DIRTY);
	}
	page_put(won ? image : pg);			/* the slot's reference to the one that is not in it */
	return -EAGAIN;					/* look again */
}

static int make_page(struct make *m, struct page **out)
{
	struct vm_object *obj = m->obj;
	int err;

	do {
		u64 removals = READ_ONCE(obj->removals);
		struct page *pg = pagecache_lookup(obj, m->index);

		if (!pg) {
			err = pagecache_is_backed(obj, m->index) ? make_backed(m, removals, &pg) : make_hole(m, removals, &pg);
			if (err)
				continue;
		}
		if (!m->write || pagecache_writable(obj, pg)) {
			*out = pg;
			return 0;
		}
		err = pg->use == PAGE_FILE ? dirty_clean(obj, m->index, pg) : dirty_borrowed(obj, m->index, pg);
		if (!err) {
			*out = pg;
			return 0;
		}
		page_put(pg);
	} while (err == -EEXIST || err == -ESTALE || err == -EAGAIN);
	return err;
}

int pagecache_get(struct vm_object *obj, u64 index, struct page **out)
{
	struct make m = { .obj = obj, .index = index };

	return make_page(&m, out);
}

int pagecache_get_write(struct vm_object *obj, u64 index, struct page **out)
{
	struct make m = { .obj = obj, .index = index, .write = true, .past_end = true };

	return make_page(&m, out);
}

/* Borrowing costs nothing: what lies around in the archive comes along for fault-around. */
static void borrow_around(struct vm_object *obj, u64 index)
{
	u64 first = index & ~15ull, last = MIN(first + 15, (obj->size - 1) >> PAGE_SHIFT);

	for (u64 i = first; i <= last; i++) {
		struct make m = { .obj = obj, .index = i };
		struct page *pg = NULL;

		if (i == index || !pagecache_is_backed(obj, i))
			continue;
		u64 removals = READ_ONCE(obj->removals);
		AUTO(page) image = obj->ops->borrow_page(obj, i);

		if (!image || backed_bytes(obj, i) < PAGE_SIZE || (pg = pagecache_lookup(obj, i)) != NULL) {
			if (pg)
				page_put(pg);
			continue;
		}
		if (cache_insert(&m, image, removals) == -ENOMEM)
			return;
	}
}

int pagecache_for_fault(struct vm_object *obj, u64 index, bool write, bool *did_io)
{
	struct make m = { .obj = obj, .index = index, .write = write };
	AUTO(page) pg = NULL;
	int err = make_page(&m, &pg);

	*did_io |= m.did_io;
	if (!err && !write && pg->use == PAGE_IMAGE)
		borrow_around(obj, index);
	return err;
}

/* --- taking pages away ----------------------------------------------------- */

bool pagecache_evict(struct vm_object *obj, struct page *pg)
{
	GUARD_SPIN(&obj->tree_lock);
	if (page_refs(pg) != 1 || pg->flags & PAGE_F_DIRTY || radix_get(obj->root, pg->index) != pg)
		return false;					/* reclaim.c, inv. L2 */
	(void)radix_remove(&obj->root, pg->index);
	obj->npages--;
	(void)atomic64_add(&total_pages, -1);
	return true;
}

#define DROP_BATCH 32u

/* Takes up to a batch of slots out of [*index, last]; *index moves to the first of them, and they follow each other. */
static u32 take_slots(struct vm_object *obj, u64 *index, u64 last, struct page **pages)
{
	GUARD_SPIN(&obj->tree_lock);
	u32 n = radix_remove_run(&obj->root, index, last, pages, DROP_BATCH);

	obj->npages -= n;
	return n;
}

/* The slots' references to pages [index, index + n), which no slot has any more. */
static void put_dropped(struct vm_object *obj, u64 index, struct page **pages, u32 n)
{
	u32 own = 0;			/* DIRTY ones in a row before page i */

	for (u32 i = 0; i < n; i++) {
		struct page *pg = pages[i];

		lru_remove(pg);
		if (pg->use == PAGE_FILE && pg->flags & PAGE_F_DIRTY) {
			bits_clear(&pg->flags, PAGE_F_DIRTY);
			own++;
		} else {
			pagecache_unreserve(obj, index + i - own, own);
			own = 0;
		}
	}
	page_put_run(pages, n);
	pagecache_unreserve(obj, index + n - own, own);
}

/* Drops the slots of [first, last]: nothing maps them any more, or the object dies. */
void pagecache_drop(struct vm_object *obj, u64 first, u64 last)
{
	struct page *pages[DROP_BATCH];
	u64 index = first;
	u32 n;

	while ((n = take_slots(obj, &index, last, pages)) != 0) {
		(void)atomic64_add(&total_pages, -(i64)n);
		put_dropped(obj, index, pages, n);
		if (last - index < n)
			return;
		index += n;
		sched_resched_if_needed();
	}
}

static void note_removal(struct vm_object *obj)
{
	GUARD_SPIN(&obj->tree_lock);
	obj->removals++;
}

/* The page that the new end cuts: an own one is zeroed past it, a borrowed one is dropped to be copied when next needed. */
static void cut_last_page(struct vm_object *obj, u64 size)
{
	u64 index = size >> PAGE_SHIFT;
	struct page *pg = size & ~PAGE_MASK ? pagecache_lookup(obj, index) : NULL;

	if (!pg)
		return;
	if (pg->use == PAGE_FILE) {
		memset((u8 *)page_addr(pg) + (size & ~PAGE_MASK), 0, PAGE_SIZE - (size & ~PAGE_MASK));
	} else {
		rmap_unmap(obj, index, index, false, pg);
		pagecache_drop(obj, index, index);
	}
	page_put(pg);
}

void vm_object_truncate(struct vm_object *obj, u64 size)
{
	GUARD_EXCL(&obj->lock);
	u64 first = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;

	if (size >= obj->size) {
		pagecache_zero_past_end(obj);
		WRITE_ONCE(obj->size, size);
		vm_object_content_changed(obj);
		return;
	}
	WRITE_ONCE(obj->size, size);
	if ((obj->flags & VM_OBJECT_SWAPLESS || obj->ops->borrow_page) && size < obj->backing_size) {
		bits_set(&obj->flags, VM_OBJECT_CUT);
		WRITE_ONCE(obj->backing_size, size);
	}
	vm_object_content_changed(obj);
	note_removal(obj);					/* inv. P3 */
	rmap_unmap(obj, first, ~0ull >> PAGE_SHIFT, true, NULL);
	pagecache_drop(obj, first, ~0ull >> PAGE_SHIFT);
	cut_last_page(obj, size);
}

static int zero_part(struct vm_object *obj, u64 off, u64 len)
{
	u64 index = off >> PAGE_SHIFT;
	AUTO(page) pg = pagecache_lookup(obj, index);
	int err = 0;

	if (!pg && !pagecache_is_backed(obj, index))
		return 0;
	if (pg)
		page_put(MOVE(pg));
	err = pagecache_get_write(obj, index, &pg);
	if (!err)
		memset((u8 *)page_addr(pg) + (off & ~PAGE_MASK), 0, len);
	return err;
}

/* Whole pages [first, end): those with a backing need zeros of their own, or it would show again. */
static int punch_pages(struct vm_object *obj, u64 first, u64 end)
{
	for (; first < end && pagecache_is_backed(obj, first); first++) {
		int err = zero_part(obj, first << PAGE_SHIFT, PAGE_SIZE);

		if (err)
			return err;
	}
	if (first >= end)
		return 0;
	GUARD_EXCL(&obj->lock);
	note_removal(obj);
	rmap_unmap(obj, first, end - 1, false, NULL);
	pagecache_drop(obj, first, end - 1);
	return 0;
}

int vm_object_punch(struct vm_object *obj, u64 off, u64 len)
{
	u64 end = off + len < off ? ~0ull & PAGE_MASK : off + len;
	u64 first = DIV_ROUND_UP(off, PAGE_SIZE), stop = end >> PAGE_SHIFT;
	int err = 0;

	if (!len)
		return 0;
	if (off >> PAGE_SHIFT == (end - 1) >> PAGE_SHIFT && (off | end) & ~PAGE_MASK) {
		err = zero_part(obj, off, end - off);
	} else {
		if (off & ~PAGE_MASK)
			err = zero_part(obj, off, PAGE_SIZE - (off & ~PAGE_MASK));
		if (!err && end & ~PAGE_MASK)
			err = zero_part(obj, end & PAGE_MASK, end & ~PAGE_MASK);
		if (!err && first < stop)
			err = punch_pages(obj, first, stop);
	}
	vm_object_content_changed(obj);
	return err;
}

void pagecache_init(void)
{
	radix_init();
	reclaim_init();
}
