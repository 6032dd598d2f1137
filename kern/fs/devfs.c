/*
 * devtmpfs: the device nodes, in a memory file system that programs may change
 * like any other.  One instance; every mount shows it.  Nodes for the devices
 * known when it is first mounted are made then; later registrations are added
 * by devfs_add().  The root's vn->lock guards the tree.
 */
#include <base/errno.h>
#include <base/fmt.h>
#include <base/string.h>
#include <fs/fs.h>
#include <mem/mem.h>
#include <sched/mutex.h>
#include <vfs/vfs.h>

#define S_IFCHR 0020000u
#define S_IFDIR 0040000u
#define TMPFS_MAGIC 0x01021994

static struct superblock *the_sb;		/* const after boot */

static int devfs_mount(const struct fs_type *ft, const char *source, u32 flags, const char *options, struct superblock **out)
{
	ref_get(&the_sb->refs);
	*out = the_sb;
	return 0;
}

static int devfs_statfs(struct superblock *sb, struct kstatfs *st)
{
	u64 blocks = (u64)atomic64_read(&sb->used_blocks), inodes = (u64)atomic64_read(&sb->used_inodes);

	st->blocks = sb->max_blocks;
	st->bfree = st->bavail = sb->max_blocks - MIN(blocks, sb->max_blocks);
	st->files = sb->max_inodes;
	st->ffree = sb->max_inodes - MIN(inodes, sb->max_inodes);
	return 0;
}

static struct fs_type devfs_type = { .name = "devtmpfs", .nodev = true, .mount = devfs_mount, .statfs = devfs_statfs };

static int add_node(struct dentry *dir, const char *name, u32 mode, u64 rdev)
{
	AUTO(vnode) vn = NULL;
	int err = ramfs_vnode(the_sb, NULL, mode, rdev, &vn);

	if (err)
		return err;
	GUARD_EXCL(&dir->vnode->lock);
	err = dentry_add_child(dir, name, MOVE(vn), NULL);
	return err == -EEXIST ? 0 : err;
}

static void devfs_add(struct chardev *cd)
{
	if (cd->name)
		DISCARD(add_node(the_sb->root, cd->name, S_IFCHR | cd->mode, dev_make(cd->major, cd->minor)));	/* no memory: no node */
}

void devfs_init(void)
{
	int err = ramfs_mount_simple(&devfs_type, 0, 0755, TMPFS_MAGIC, &the_sb);

	VERIFY(!err);
	the_sb->max_blocks = the_sb->max_inodes = mem_total_pages() / 2;
	fmt_snprintf(the_sb->options, sizeof(the_sb->options), "size=%lluk,nr_inodes=%llu,mode=755",
		     (unsigned long long)the_sb->max_blocks << (PAGE_SHIFT - 10), (unsigned long long)the_sb->max_inodes);
	fs_register(&devfs_type);
	DISCARD(add_node(the_sb->root, "pts", S_IFDIR | 0755, 0));	/* boot: memory is there */
	chardev_watch(devfs_add);
}
