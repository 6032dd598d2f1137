/* Any bytes as an initramfs: the reader stays inside, unpacking ends in 0 or -EINVAL with a reason.
 * host-sources: kern/vfs/attr.c kern/vfs/chardev.c kern/vfs/cpio.c kern/vfs/cred.c kern/vfs/dentry.c kern/vfs/fdtable.c
 * host-sources: kern/vfs/file.c kern/vfs/fs_view.c kern/vfs/init.c kern/vfs/initramfs.c kern/vfs/locks.c kern/vfs/memfd.c
 * host-sources: kern/vfs/mount.c kern/vfs/mount_op.c kern/vfs/namei.c kern/vfs/open.c kern/vfs/path_text.c kern/vfs/ramfs.c
 * host-sources: kern/vfs/ramfs_dir.c kern/vfs/ramfs_file.c kern/vfs/rename.c kern/vfs/seq.c kern/vfs/super.c kern/vfs/vnode.c
 * host-sources: kern/vfs/lookup.c kern/vfs/walk.c kern/vfs/walk_link.c kern/vfs/xattr.c
 * host-sources: kern/vm/access.c kern/vm/advise.c kern/vm/area.c kern/vm/aspace.c kern/vm/fault.c kern/vm/gather.c
 * host-sources: kern/vm/map.c kern/vm/object.c kern/vm/pagecache.c kern/vm/pgtable.c kern/vm/radix.c kern/vm/table.c
 * host-sources: kern/vm/reclaim.c kern/vm/remap.c kern/vm/rmap.c
 */
#include "../../kern/vfs/vfs_testlib.h"
#include "../../kern/vfs/cpio.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
void mem_free_boot_range(u64 start, u64 end) {}

static void walk_entries(const u8 *data, size_t size)
{
	struct cpio_entry e;
	const char *why;
	u64 pos = 0, last = 0;

	while (cpio_next(data, size, &pos, &e, &why) == 1) {
		VERIFY(pos > last && pos <= size);
		VERIFY(e.data_at <= size && e.size <= size - e.data_at);
		VERIFY(strlen(e.name) <= 4096);
		last = pos;
	}
}

/* Each input is unpacked into a root of its own. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct page *area;
	const char *why = NULL;
	struct path old = ns_root;
	u64 at;
	int err;

	walk_entries(data, size);
	if (!area) {
		vfs_start();
		area = page_alloc(5, PAGE_KERNEL, ALLOC_ZERO);
		VERIFY(area);
	}
	/* Frames that files take over would go to the allocator when the files die: unaligned data is copied instead. */
	size = MIN(size, 100000ul);
	memcpy((u8 *)page_addr(area) + 2, data, size);
	VERIFY(!vfs_mkdir(&tc, AT_FDCWD, "/x", 0755));
	VERIFY(!vfs_mount(&tc, "x", "/x", "tmpfs", 0, "size=4m,nr_inodes=1000"));
	VERIFY(!vfs_walk(&tc, AT_FDCWD, "/x", 0, &ns_root));
	err = initramfs_unpack(page_to_paddr(area).v + 2, size, &why, &at);
	VERIFY(!err || err == -ENOENT || (err == -EINVAL && why && *why));
	path_put(&ns_root);
	ns_root = old;
	VERIFY(!vfs_umount(&tc, "/x", 0));
	VERIFY(!vfs_unlink(&tc, AT_FDCWD, "/x", true));
	rcu_barrier();
	return 0;
}
