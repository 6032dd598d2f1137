/*
 * Files of memory file systems: data lives in the page cache and nowhere else.
 *
 * A file that came with the initramfs has an image: its whole pages are frames
 * of the archive, the tail a copy padded with zeros.  The page cache borrows
 * them (object.backing_size says how far they count) and makes its own copy
 * before a page is changed.  The image owns one reference on each of its frames
 * until the file is truncated below them or dies.
 * Quota: a dirty page is charged to the superblock when the cache reserves it;
 * pages of an image were charged when it was attached.
 */
#include "vfs_private.h"
#include <base/bitmap.h>
#include <core/clock.h>
#include <vm/aspace.h>
#include <vm/verify.h>

struct image {
	u64 npages;			/* frames still owned; vn->lock to change */
	pfn_t first;
	struct page *tail;		/* page npages - 1 when it is a copy */
	u64 tail_index;
	u64 gone[];			/* bit per page: its charge was given back */
};

static struct vnode *vnode_of(struct vm_object *obj) { return container_of(obj, struct vnode, object); }

static int charge(struct vnode *vn, i64 pages)
{
	struct superblock *sb = vn->sb;

	if (atomic64_add(&sb->used_blocks, pages) > (i64)sb->max_blocks && sb->max_blocks && pages > 0) {
		(void)atomic64_add(&sb->used_blocks, -pages);
		return -ENOSPC;
	}
	(void)__atomic_add_fetch(&vn->blocks, (u64)(pages * (i64)(PAGE_SIZE / 512)), __ATOMIC_RELAXED);
	return 0;
}

static int reserve_pages(struct vm_object *obj, u64 index, u32 n)
{
	struct vnode *vn = vnode_of(obj);
	struct image *im = vn->priv;
	u32 charged = 0;			/* already: they replace pages of the image */

	bits_clear(&vn->flags, VN_IMMUTABLE);
	for (u64 i = index; im && i < MIN(index + n, im->npages); i++)
		charged += !bitmap_test(im->gone, i);
	return charged == n ? 0 : charge(vn, n - charged);
}

static void pages_gone(struct vm_object *obj, u64 index, u32 n)
{
	struct vnode *vn = vnode_of(obj);
	struct image *im = vn->priv;

	for (u64 i = index; im && i < MIN(index + n, im->npages); i++)
		bitmap_set_atomic(im->gone, i);
	(void)charge(vn, -(i64)n);
}

static struct page *image_page(struct image *im, u64 index)
{
	return im->tail && index == im->tail_index ? im->tail : pfn_to_page(PFN(im->first.v + index));
}

static struct page *borrow_page(struct vm_object *obj, u64 index)
{
	struct image *im = vnode_of(obj)->priv;

	if (!im || index >= im->npages || bitmap_test(im->gone, index))
		return NULL;
	return page_get(image_page(im, index));
}

const struct vm_object_ops ramfs_object_ops = {
	.borrow_page = borrow_page,
	.reserve_pages = reserve_pages,
	.pages_gone = pages_gone,
};

/* Gives back the image's frames from index keep on.  Nothing maps them any more, or only holders of references. */
static void image_cut(struct vnode *vn, u64 keep)
{
	struct image *im = vn->priv;

	while (im && im->npages > keep) {
		u64 i = im->npages - 1;
		bool counted = !bitmap_test(im->gone, i);

		im->npages = i;
		page_put(image_page(im, i));
		if (im->tail && i == im->tail_index)
			im->tail = NULL;
		if (counted)
			(void)charge(vn, -1);
	}
}

static struct page *copy_tail(const u8 *from, u64 n)
{
	struct page *pg = page_alloc(0, PAGE_IMAGE, ALLOC_ZERO);

	if (pg)
		memcpy(page_addr(pg), from, n);
	return pg;
}

static bool all_zero(const u8 *p, u64 n)
{
	while (n && !*p)
		p++, n--;
	return !n;
}

static void adopt_frames(struct image *im, u64 n)
{
	for (u64 i = 0; i < n; i++) {
		struct page *pg = pfn_to_page(PFN(im->first.v + i));

		pg->use = PAGE_IMAGE;
		pg->order = 0;
		pg->flags = 0;
		atomic_set(&pg->refs, 1);
	}
}

int ramfs_file_set_image(struct vnode *vn, u64 phys, u64 size, u64 limit)
{
	u64 npages = DIV_ROUND_UP(size, PAGE_SIZE), rest = size & ~PAGE_MASK;
	const u8 *end = (const u8 *)mmu_phys_to_virt(PADDR(phys)) + size;
	struct image *im = kzalloc(sizeof(*im) + BITMAP_WORDS(npages) * 8);
	u64 pad = rest ? PAGE_SIZE - rest : 0;
	int err;

	if (!im)
		return -ENOMEM;
	im->npages = npages;
	im->first = paddr_to_pfn(PADDR(phys));
	im->tail_index = npages - 1;
	if (pad && (phys + size + pad > limit || !all_zero(end, pad))) {
		im->tail = copy_tail(end - rest, rest);
		if (!im->tail) {
			kfree(im);
			return -ENOMEM;
		}
	}
	err = charge(vn, (i64)npages);
	if (err) {
		if (im->tail)
			page_put(im->tail);
		kfree(im);
		return err;
	}
	adopt_frames(im, npages - (im->tail ? 1 : 0));
	for (u64 i = 0; unlikely(debug_flags & DEBUG_VERIFY) && i < npages; i++)
		verify_keep_page(image_page(im, i));
	vn->priv = im;
	vn->object.size = size;
	vn->object.backing_size = size;
	bits_set(&vn->flags, VN_IMMUTABLE);
	return 0;
}

u64 ramfs_image_bytes(const struct vnode *vn)
{
	const struct image *im = vn->priv;

	return im ? (im->npages - (im->tail ? 1 : 0)) * PAGE_SIZE : 0;
}

static void ramfs_file_release(struct vnode *vn)
{
	image_cut(vn, 0);
	kfree(vn->priv);
	if (vn->flags & VN_COUNTED)
		(void)atomic64_add(&vn->sb->used_inodes, -1);
}

static void set_size(struct vnode *vn, u64 size)
{
	bits_clear(&vn->flags, VN_IMMUTABLE);
	vm_object_truncate(&vn->object, size);
	image_cut(vn, DIV_ROUND_UP(size, PAGE_SIZE));
}

static int ramfs_setattr(struct vnode *vn, const struct vnode_attr *a)
{
	if (a->valid & ATTR_SIZE) {
		if ((a->size < vn->object.size && (vn->seals & F_SEAL_SHRINK)) ||
		    (a->size > vn->object.size && (vn->seals & F_SEAL_GROW)))
			return -EPERM;
		if (a->size != vn->object.size || a->size == 0)
			set_size(vn, a->size);
	}
	vnode_apply_attr(vn, a);
	return 0;
}

static i64 note_read(struct file *f, u64 *pos, i64 n)
{
	if (n > 0)
		*pos += (u64)n;
	if (n >= 0 && !(f->mode & FILE_NOATIME))
		vnode_access(f->path.mnt, f->vnode);
	return n;
}

static i64 ramfs_read(struct file *f, struct uio *dst, u64 *pos)
{
	return note_read(f, pos, pagecache_read(&f->vnode->object, dst, *pos));
}

static i64 ramfs_borrow(struct file *f, u64 *pos, u64 len, struct page **pages, u32 max)
{
	return note_read(f, pos, pagecache_borrow(&f->vnode->object, *pos, len, pages, max));
}

/* Bytes that may be written at off: seals, RLIMIT_FSIZE, the largest size. */
static i64 write_room(struct vnode *vn, u64 off, u64 want)
{
	struct vfs_caller *c = vfs_self();
	u64 limit = c ? c->fsize_limit : ~0ull;

	if (vn->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if (off >= limit) {
		if (vfs_sigxfsz_hook)
			vfs_sigxfsz_hook();
		return -EFBIG;
	}
	want = MIN(want, limit - off);
	if (off >= vn->sb->max_bytes)
		return -EFBIG;
	want = MIN(want, vn->sb->max_bytes - off);
	if ((vn->seals & F_SEAL_GROW) && off + want > vn->object.size) {
		if (off >= vn->object.size)
			return -EPERM;
		want = vn->object.size - off;
	}
	return (i64)want;
}

static i64 write_locked(struct vnode *vn, struct uio *src, u64 off)
{
	i64 room = write_room(vn, off, src->resid), n;
	u64 cut;
	u32 mode;

	if (room <= 0)
		return room;
	mode = vnode_suid_kill(caller_cred(vfs_self()), vn->mode);
	if (mode != vn->mode)
		vn->mode = mode;
	vnode_drop_image(vn);
	bits_clear(&vn->flags, VN_IMMUTABLE);
	cut = src->resid - (u64)room;
	src->resid = (u64)room;
	n = pagecache_write(&vn->object, src, off);
	src->resid += cut;
	if (n > 0)
		vnode_touch(vn, ATTR_MTIME | ATTR_CTIME);
	return n;
}

static i64 ramfs_write(struct file *f, struct uio *src, u64 *pos)
{
	struct vnode *vn = f->vnode;
	u64 off;
	i64 n;

	if (!src->resid)
		return 0;
	rwlock_write(&vn->lock);
	off = (f->flags & O_APPEND) || src->append ? vn->object.size : *pos;
	n = write_locked(vn, src, off);
	rwlock_write_end(&vn->lock);
	if (n > 0)
		*pos = off + (u64)n;
	return n;
}

static i64 ramfs_lseek(struct file *f, i64 off, int whence)
{
	i64 at;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return file_generic_lseek(f, off, whence, f->vnode->object.size);
	if (off < 0)
		return -ENXIO;
	at = vm_object_seek(&f->vnode->object, (u64)off, whence == SEEK_DATA);
	if (at >= 0)
		f->pos = (u64)at;
	return at;
}

static int ramfs_mmap(struct file *f, struct map_request *rq)
{
	struct vnode *vn = f->vnode;

	if ((rq->flags & VM_SHARED) && (vn->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))) {
		if (rq->flags & VM_WRITE)
			return -EPERM;
		rq->flags &= ~VM_MAYWRITE;
	}
	rq->obj = &vn->object;
	if (!(f->mode & FILE_NOATIME))
		vnode_access(f->path.mnt, vn);
	return 0;
}

/* All or nothing as far as space goes: what is missing is counted before anything is made. */
static int allocate(struct vnode *vn, u64 off, u64 len, bool keep_size)
{
	u64 first = off >> PAGE_SHIFT, last = (off + len - 1) >> PAGE_SHIFT, missing = 0;
	struct superblock *sb = vn->sb;

	if (sb->max_blocks && last - first >= sb->max_blocks)
		return -ENOSPC;
	for (u64 i = first; i <= last && sb->max_blocks; i++) {
		struct page *pg = pagecache_lookup(&vn->object, i);

		missing += !pg;
		if (pg)
			page_put(pg);
	}
	if (sb->max_blocks && (u64)atomic64_read(&sb->used_blocks) + missing > sb->max_blocks)
		return -ENOSPC;
	for (u64 i = first; i <= last; i++) {
		struct page *pg;
		int err = pagecache_get_write(&vn->object, i, &pg);

		if (err)
			return err;
		page_put(pg);
		if (thread_fatal_pending())
			return -EINTR;
		sched_resched_if_needed();
	}
	if (!keep_size && off + len > vn->object.size)
		vm_object_truncate(&vn->object, off + len);
	return 0;
}

static int ramfs_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
	struct vfs_caller *c = vfs_self();
	struct vnode *vn = f->vnode;
	bool keep = mode & 1;
	int err;

	if (mode & ~3u)
		return -EOPNOTSUPP;
	GUARD_EXCL(&vn->lock);
	vnode_drop_image(vn);
	if (mode & 2) {
		if (vn->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			return -EPERM;
		err = vm_object_punch(&vn->object, off, len);
	} else {
		if (!keep && off + len > vn->object.size) {
			if (vn->seals & F_SEAL_GROW)
				return -EPERM;
			if (c && off + len > c->fsize_limit) {
				if (vfs_sigxfsz_hook)
					vfs_sigxfsz_hook();
				return -EFBIG;
			}
		}
		err = allocate(vn, off, len, keep);
	}
	vnode_touch(vn, ATTR_MTIME | ATTR_CTIME);
	return err;
}

static int ramfs_fsync(struct file *f, bool data_only)
{
	return 0;
}

const struct vnode_ops ramfs_file_ops = {
	.setattr = ramfs_setattr,
	.release = ramfs_file_release,
};

const struct file_ops ramfs_file_fops = {
	.read = ramfs_read,
	.borrow = ramfs_borrow,
	.write = ramfs_write,
	.lseek = ramfs_lseek,
	.mmap = ramfs_mmap,
	.fallocate = ramfs_fallocate,
	.fsync = ramfs_fsync,
};

/* --- seals ------------------------------------------------------------------ */

static bool mapped_writable(struct vm_object *obj)
{
	struct area *a;

	GUARD_SPIN(&obj->areas_lock);
	list_for_each(a, &obj->areas, object_link)
		if ((a->flags & (VM_SHARED | VM_MAYWRITE)) == (VM_SHARED | VM_MAYWRITE))
			return true;
	return false;
}

static bool has_seals(const struct vnode *vn) { return vn->ops == &ramfs_file_ops || vn->ops == &hugetlb_file_ops; }

int file_add_seals(struct file *f, u32 seals)
{
	struct vnode *vn = f->vnode;

	if (!has_seals(vn))
		return -EINVAL;
	if (!(f->mode & FILE_WRITE))
		return -EPERM;
	if (seals & ~(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EINVAL;
	GUARD_EXCL(&vn->lock);
	if (vn->seals & F_SEAL_SEAL)
		return -EPERM;
	if ((seals & F_SEAL_WRITE) && !(vn->seals & F_SEAL_WRITE) && mapped_writable(&vn->object))
		return -EBUSY;
	vn->seals |= seals;
	return 0;
}

int file_get_seals(struct file *f)
{
	return has_seals(f->vnode) ? (int)f->vnode->seals : -EINVAL;
}
