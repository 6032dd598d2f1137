/*
 * memfd_create(MFD_HUGETLB): files of huge pages on a machine that has none reserved.
 *
 * What Linux does without reserved pages: the file has a size, in whole pages, and reads
 * as zeros; it cannot be written, and every attempt to get a page fails: -ENOMEM from
 * mmap, -ENOSPC from fallocate.  So no such file ever has a page, and none is looked for.
 * One superblock for each page size that the processor has.
 */
#include "vfs_private.h"
#include <arch/mmu.h>
#include <vm/aspace.h>

#define HUGETLB_MAGIC 0x958458f6u

static const u32 shifts[] = { HUGE_SHIFT, 30 };
static struct superblock *supers[ARRAY_LEN(shifts)];	/* const after boot; NULL: no such entries here */

static const struct vm_object_ops no_pages = { 0 };

static u64 page_mask(const struct vnode *vn) { return vn->sb->block_size - 1ull; }

static int hugetlb_setattr(struct vnode *vn, const struct vnode_attr *a)
{
	if (a->valid & ATTR_SIZE) {
		if (a->size & page_mask(vn))
			return -EINVAL;
		if ((a->size < vn->object.size && (vn->seals & F_SEAL_SHRINK)) ||
		    (a->size > vn->object.size && (vn->seals & F_SEAL_GROW)))
			return -EPERM;
		vm_object_truncate(&vn->object, a->size);
	}
	vnode_apply_attr(vn, a);
	return 0;
}

static i64 hugetlb_read(struct file *f, struct uio *dst, u64 *pos)
{
	u64 size = READ_ONCE(f->vnode->object.size), n = *pos < size ? MIN(dst->resid, size - *pos) : 0;
	u64 done = uio_zero_out(dst, n);

	*pos += done;
	return n && !done ? -EFAULT : (i64)done;
}

/* Without a page for it the mapping is refused; before that, what is wrong with the request. */
static int hugetlb_mmap(struct file *f, struct map_request *rq)
{
	const struct vnode *vn = f->vnode;
	u64 mask = page_mask(vn);

	if (rq->fixed && rq->addr & mask)
		return -EINVAL;
	if (rq->flags & VM_SHARED && rq->flags & VM_WRITE && vn->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	return rq->off & mask ? -EINVAL : -ENOMEM;
}

/* There is nothing to punch out, and nothing to allocate. */
static int hugetlb_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
	struct vfs_caller *c = vfs_self();
	struct vnode *vn = f->vnode;

	if (mode & ~3u)
		return -EOPNOTSUPP;
	GUARD_SHARED(&vn->lock);
	if (mode & 2)
		return vn->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) ? -EPERM : 0;
	if (off + len > vn->object.size) {
		if (c && off + len > c->fsize_limit) {
			if (vfs_sigxfsz_hook)
				vfs_sigxfsz_hook();
			return -EFBIG;
		}
		if (vn->seals & F_SEAL_GROW)
			return -EPERM;
	}
	return -ENOSPC;
}

static int hugetlb_fsync(struct file *f, bool data_only)
{
	return 0;
}

const struct vnode_ops hugetlb_file_ops = { .setattr = hugetlb_setattr };

static const struct file_ops hugetlb_file_fops = {
	.read = hugetlb_read,
	.mmap = hugetlb_mmap,
	.fallocate = hugetlb_fallocate,
	.fsync = hugetlb_fsync,
	.unspliced = true,
};

bool file_is_hugetlb(const struct file *f) { return f->ops == &hugetlb_file_fops; }

int hugetlb_vnode(u32 shift, u32 mode, struct vnode **out)
{
	for (u32 i = 0; i < ARRAY_LEN(shifts); i++) {
		if (!supers[i] || shifts[i] != shift)
			continue;
		*out = vnode_create(supers[i], 0, mode, &hugetlb_file_ops, &hugetlb_file_fops);
		if (!*out)
			return -ENOMEM;
		(*out)->object.ops = &no_pages;
		(*out)->object.flags |= VM_OBJECT_SWAPLESS;
		return 0;
	}
	return -ENODEV;
}

void hugetlb_init(void)
{
	static const struct fs_type type = { .name = "hugetlbfs", .nodev = true };	/* not registered: it cannot be mounted */

	for (u32 i = 0; i < ARRAY_LEN(shifts); i++) {
		if (!mmu_has_block(shifts[i]))
			continue;
		supers[i] = superblock_create(&type, 0);
		VERIFY(supers[i]);
		supers[i]->magic = HUGETLB_MAGIC;
		supers[i]->block_size = 1u << shifts[i];
	}
}
