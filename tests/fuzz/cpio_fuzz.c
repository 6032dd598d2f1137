/* Any bytes as an initramfs: the reader stays inside, unpacking ends in 0 or -EINVAL with a reason.
 * host-sources: @vfs @vm
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
