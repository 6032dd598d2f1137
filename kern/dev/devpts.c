/*
 * devpts: the directory of pty slaves.  One instance; every mount shows it.
 * Nodes come and go with their masters.  The root's vn->lock guards the tree.
 */
#include <base/fmt.h>
#include <base/string.h>
#include <sched/mutex.h>
#include "tty_priv.h"

#define DEVPTS_MAGIC 0x1cd1
#define S_IFCHR 0020000u
#define S_IFDIR 0040000u

static struct superblock *the_sb;	/* const after boot */

static int devpts_mount(const struct fs_type *ft, const char *source, u32 flags, const char *options, struct superblock **out)
{
	ref_get(&the_sb->refs);
	*out = the_sb;
	return 0;
}

static int devpts_statfs(struct superblock *sb, struct kstatfs *st)
{
	*st = (struct kstatfs){ .type = DEVPTS_MAGIC, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE, .namelen = NAME_MAX };
	return 0;
}

static struct fs_type devpts_type = { .name = "devpts", .nodev = true, .mount = devpts_mount, .statfs = devpts_statfs };

static int add_node(const char *name, u32 mode, u64 rdev, u32 uid)
{
	AUTO(vnode) vn = vnode_create(the_sb, 0, S_IFCHR | mode, &ramfs_special_ops, &chardev_fops);

	if (!vn)
		return -ENOMEM;
	vn->rdev = rdev;
	vn->uid = uid;
	vn->gid = mode == 0620 ? 5 : 0;
	GUARD_EXCL(&the_sb->root->vnode->lock);
	return dentry_add_child(the_sb->root, name, MOVE(vn), NULL);
}

int devpts_add(u32 index, u64 rdev)
{
	char name[16];

	fmt_snprintf(name, sizeof(name), "%u", index);
	return add_node(name, 0620, rdev, vfs_self()->cred->fsuid);
}

void devpts_remove(u32 index)
{
	char name[16];
	int n = fmt_snprintf(name, sizeof(name), "%u", index);

	GUARD_EXCL(&the_sb->root->vnode->lock);
	AUTO(dentry) d = dentry_lookup_cached(the_sb->root, name, (u32)n);

	if (d)
		dentry_unhash(d);
}

void devpts_init(void)
{
	struct vnode *vn;

	fs_register(&devpts_type);
	the_sb = superblock_create(&devpts_type, 0);
	VERIFY(the_sb);
	the_sb->magic = DEVPTS_MAGIC;
	str_copy(the_sb->options, "gid=5,mode=620,ptmxmode=666", sizeof(the_sb->options));
	vn = vnode_create(the_sb, 1, S_IFDIR | 0755, &ramfs_dir_ops, &ramfs_dir_fops);
	VERIFY(vn);
	the_sb->root = dentry_create_root(vn);
	VERIFY(the_sb->root);
	DISCARD(add_node("ptmx", 0666, dev_make(5, 2), 0));	/* boot: memory is there */
}
