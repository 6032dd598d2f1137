/*
 * A vm_object: where the pages of a file come from, and its page cache.
 *
 * Embedded in a vnode (vfs) or created for shared anonymous memory.  A cached
 * page holds the file's bytes for that index, zero past end of file, and
 * nothing that depends on who mapped it.  Invariant C1: no page that a cache
 * references is ever writable through a private mapping; the one function that
 * makes an entry writable is pgtable_entry_for() in vm/fault.c.
 * Identity is (id, generation), never the pointer: generation grows with every
 * change of content (write, truncate), id is never reused.
 */
#pragma once

#include <mem/page.h>
#include <sched/mutex.h>

struct vm_object;
struct vm_image;
struct area;

struct vm_object_ops {
	/* No lock, may sleep.  Fills a fresh page (zeroed beforehand) with the bytes of index.  0, -EIO, -ENOMEM.
	 * NULL (with no borrow_page either): a page that is not cached is a hole. */
	int (*fill_page)(struct vm_object *obj, u64 index, struct page *pg);
	/* Optional: immutable data that exists in RAM already (initramfs).  New reference to a PAGE_IMAGE frame whose bytes
	 * past the end of the file are zero, or NULL: use fill_page. */
	struct page *(*borrow_page)(struct vm_object *obj, u64 index);
	/* Called once before pages [index, index + n) turn PAGE_F_DIRTY (a hole filled, a write, a shared writable mapping):
	 * quota of tmpfs, for all of them or none.  No spinlock held; obj->lock may be.  0 or -ENOSPC.  Optional. */
	int (*reserve_pages)(struct vm_object *obj, u64 index, u32 n);
	/* PAGE_F_DIRTY pages left the cache for good (truncate, punch, last reference): undoes reserve_pages.
	 * No spinlock held; obj->lock may be.  Optional. */
	void (*pages_gone)(struct vm_object *obj, u64 index, u32 n);
};

#define VM_OBJECT_SWAPLESS (1u << 0)	/* pages are the only copy (tmpfs, ramfs, shared anonymous): never reclaimed */
#define VM_OBJECT_CUT	   (1u << 1)	/* truncate lowered backing_size: the page it cuts is copied, not borrowed */
#define VM_OBJECT_SCRIBBLED (1u << 2)	/* was mapped shared by who may write: there may be bytes past the end */

struct vm_object {
	const struct vm_object_ops *ops;	/* const after init */
	u64 id;					/* const after init, never reused */
	u64 generation;				/* atomic */
	u64 size;				/* bytes; mappings past it get SIGBUS.  Written under lock exclusive, read anywhere */
	u32 flags;
	spinlock_t tree_lock;			/* rank PAGE_CACHE */
	void *root GUARDED_BY(&tree_lock);	/* radix tree of struct page *, internal to vm/pagecache.c */
	u64 npages GUARDED_BY(&tree_lock);
	u64 removals GUARDED_BY(&tree_lock);	/* times pages were dropped: a fill that raced with one starts again */
	u64 backing_size;			/* swapless: fill_page and borrow_page count only below it (truncate lowers it).  lock */
	rwlock_t lock;				/* rank VM_OBJECT: shared to fault pages in, exclusive to truncate */
	spinlock_t areas_lock;			/* rank VNODE_STATE; protocol in vm/rmap.c */
	struct list areas GUARDED_BY(&areas_lock);	/* areas that map it, a forked space's after its parent's */
	struct vm_image *image;				/* of the content as it is, with a reference (vm/image.h), or NULL.  image_lock */
	struct list audit_link;		/* debug=audit: all objects (audit_count.c) */
	void (*put_owner)(struct vm_object *obj);	/* drops the reference an area holds on the owner (vnode_put) */
	void (*get_owner)(struct vm_object *obj);
};

void vm_object_init(struct vm_object *obj, const struct vm_object_ops *ops, u64 size);
/* Drops every cached page.  Last use of the object; no areas may be left. */
void vm_object_destroy(struct vm_object *obj);
/* Anonymous shared memory (MAP_SHARED|MAP_ANONYMOUS): a self-owned swapless object with one reference.  NULL: no memory. */
struct vm_object *vm_object_create_anon(u64 size);
void vm_object_get(struct vm_object *obj);
void vm_object_put(struct vm_object *obj);

/* New reference to the page, read in if absent.  0, -EIO, -ENOMEM.  May sleep.  Index may be past size only when create. */
MUST_USE int pagecache_get(struct vm_object *obj, u64 index, struct page **out);
/* Only if cached: new reference or NULL.  Never sleeps. */
MUST_USE struct page *pagecache_lookup(struct vm_object *obj, u64 index);
/* For writing: page present (hole filled with zeros), reserved, own copy if it was borrowed.  0, -ENOSPC, -ENOMEM, -EIO. */
MUST_USE int pagecache_get_write(struct vm_object *obj, u64 index, struct page **out);
/* Bytes moved or -errno (nothing moved).  read stops at obj->size.  write extends obj->size; caller holds the vnode's lock. */
struct uio;
MUST_USE i64 pagecache_read(struct vm_object *obj, struct uio *dst, u64 off);
MUST_USE i64 pagecache_write(struct vm_object *obj, struct uio *src, u64 off);
/* What a read of len bytes at off would copy, by reference: bytes (0: end of file) in pages[0..], the first page's from off on,
 * at most max pages; or -errno.  The pages are shared with the file: what is written to it later shows in them. */
MUST_USE i64 pagecache_borrow(struct vm_object *obj, u64 off, u64 len, struct page **pages, u32 max);
/* Sets the size; drops whole pages past it, zeroes the tail of the last one, unmaps them everywhere (SIGBUS after). */
void vm_object_truncate(struct vm_object *obj, u64 size);
/* Hole: zeroes or drops [off, off + len). */
MUST_USE int vm_object_punch(struct vm_object *obj, u64 off, u64 len);
/* First data (or hole) at or after off: offset, or -ENXIO past the end. */
i64 vm_object_seek(struct vm_object *obj, u64 off, bool data);
void vm_object_content_changed(struct vm_object *obj);		/* generation + 1 */
u64 pagecache_total_pages(void);
