/*
 * Memory file systems: vnodes of every kind, and the types ramfs, rootfs and
 * tmpfs.  tmpfs (and rootfs, which is one) has limits on pages and inodes;
 * options: size= (k m g %, 0: none), nr_blocks=, nr_inodes=, mode=, uid=, gid=.
 */
#include "vfs_private.h"
#include <base/fmt.h>
#include <mem/mem.h>

#define TMPFS_MAGIC 0x01021994u
#define RAMFS_MAGIC 0x858458f6u

static void uncharge(struct vnode *vn)
{
	if (vn->flags & VN_COUNTED)
		(void)atomic64_add(&vn->sb->used_inodes, -1);
}

const struct vnode_ops ramfs_symlink_ops = { .release = uncharge };
const struct vnode_ops ramfs_special_ops = { .release = uncharge };

int ramfs_charge_inode(struct superblock *sb)
{
	if (atomic64_add(&sb->used_inodes, 1) > (i64)sb->max_inodes && sb->max_inodes) {
		(void)atomic64_add(&sb->used_inodes, -1);
		return -ENOSPC;
	}
	return 0;
}

static void ops_for(u32 mode, const struct vnode_ops **ops, const struct file_ops **fops)
{
	*ops = &ramfs_special_ops;
	*fops = NULL;
	switch (mode & S_IFMT) {
	case S_IFREG:
		*ops = &ramfs_file_ops;
		*fops = &ramfs_file_fops;
		break;
	case S_IFDIR:
		*ops = &ramfs_dir_ops;
		*fops = &ramfs_dir_fops;
		break;
	case S_IFLNK:
		*ops = &ramfs_symlink_ops;
		break;
	case S_IFCHR:
		*fops = &chardev_fops;
		break;
	case S_IFIFO:
		*fops = &fifo_fops;
		break;
	}
}

int ramfs_vnode(struct superblock *sb, struct vnode *dir, u32 mode, u64 rdev, struct vnode **out)
{
	const struct vnode_ops *ops;
	const struct file_ops *fops;
	struct vnode *vn;
	int err = ramfs_charge_inode(sb);

	if (err)
		return err;
	ops_for(mode, &ops, &fops);
	vn = vnode_create(sb, 0, mode, ops, fops);
	if (!vn) {
		(void)atomic64_add(&sb->used_inodes, -1);
		return -ENOMEM;
	}
	vn->flags = VN_COUNTED;
	vn->rdev = rdev;
	if (dir)
		vnode_init_owner(vn, dir, mode);
	if (S_ISREG(mode)) {
		vn->object.ops = &ramfs_object_ops;
		vn->object.flags |= VM_OBJECT_SWAPLESS;
		vn->object.backing_size = 0;
	} else if (S_ISDIR(mode)) {
		vn->nlink = 2;
		vn->object.size = 40;
	}
	*out = vn;
	return 0;
}

int ramfs_symlink_vnode(struct superblock *sb, struct vnode *dir, const char *target, struct vnode **out)
{
	char *text = kstrdup(target);
	struct vnode *vn;
	int err;

	if (!text)
		return -ENOMEM;
	err = ramfs_vnode(sb, dir, S_IFLNK | 0777, 0, &vn);
	if (err) {
		kfree(text);
		return err;
	}
	vn->link_text = text;
	vn->object.size = strlen(text);
	*out = vn;
	return 0;
}

int ramfs_mount_simple(const struct fs_type *t, u32 flags, u32 mode, u64 magic, struct superblock **out)
{
	struct superblock *sb = superblock_create(t, flags);
	struct vnode *vn;
	int err;

	if (!sb)
		return -ENOMEM;
	sb->magic = magic;
	err = ramfs_vnode(sb, NULL, S_IFDIR | mode, 0, &vn);
	if (!err) {
		sb->root = dentry_create_root(vn);
		err = sb->root ? 0 : -ENOMEM;
	}
	if (err) {
		superblock_put(sb);
		return err;
	}
	*out = sb;
	return 0;
}

/* --- options ---------------------------------------------------------------- */

struct tmpfs_opts {
	u64 max_blocks, max_inodes;
	u32 mode, uid, gid;
	bool has_blocks, has_inodes, has_mode, has_uid, has_gid;
};

/* Digits with k, m, g, t; percent: of RAM, when allowed. */
static int parse_size(const char *s, bool percent, u64 *out)
{
	const char *end;
	u64 v;
	u32 shift = 0;

	if (str_to_u64(s, 0, &v, &end))
		return -EINVAL;
	switch (*end | 0x20) {
	case 't':
		shift += 10;	/* fall through */
	case 'g':
		shift += 10;	/* fall through */
	case 'm':
		shift += 10;	/* fall through */
	case 'k':
		shift += 10;
		end++;
	}
	if (*end == '%' && percent && !shift) {
		v = mem_total_pages() * v / 100 * PAGE_SIZE;
		end++;
	}
	if (*end || (shift && v >> (64 - shift)))
		return -EINVAL;
	*out = v << shift;
	return 0;
}

static int parse_u32(const char *s, u32 base, u32 *out)
{
	const char *end;
	u64 v;

	if (str_to_u64(s, base, &v, &end) || *end || v > ~0u)
		return -EINVAL;
	*out = (u32)v;
	return 0;
}

static int parse_one(const char *word, struct tmpfs_opts *o)
{
	u64 v;
	int err;

	if (str_has_prefix(word, "size=") || str_has_prefix(word, "nr_blocks=")) {
		bool bytes = word[0] == 's';

		err = parse_size(strchr(word, '=') + 1, bytes, &v);
		o->max_blocks = bytes ? DIV_ROUND_UP(v, PAGE_SIZE) : v;
		o->has_blocks = true;
		return err;
	}
	if (str_has_prefix(word, "nr_inodes=")) {
		o->has_inodes = true;
		return parse_size(word + 10, false, &o->max_inodes);
	}
	if (str_has_prefix(word, "mode=")) {
		o->has_mode = true;
		err = parse_u32(word + 5, 8, &o->mode);
		o->mode &= 07777;
		return err;
	}
	if (str_has_prefix(word, "uid=")) {
		o->has_uid = true;
		return parse_u32(word + 4, 0, &o->uid);
	}
	if (str_has_prefix(word, "gid=")) {
		o->has_gid = true;
		return parse_u32(word + 4, 0, &o->gid);
	}
	if (!strcmp(word, "huge=never") || !strcmp(word, "inode64") || !strcmp(word, "noswap") || str_has_prefix(word, "mpol=default"))
		return 0;
	return -EINVAL;
}

static int parse_options(const char *text, struct tmpfs_opts *o)
{
	char *copy, *word, *next;
	int err = 0;

	if (!text || !*text)
		return 0;
	copy = kstrdup(text);
	if (!copy)
		return -ENOMEM;
	for (word = copy; word && !err; word = next) {
		next = strchr(word, ',');
		if (next)
			*next++ = 0;
		if (*word)
			err = parse_one(word, o);
	}
	kfree(copy);
	return err;
}

static void describe(struct superblock *sb, const struct tmpfs_opts *o)
{
	char *p = sb->options;
	usize room = sizeof(sb->options), n = 0;

	*p = 0;
	if (o->has_blocks)
		n += (usize)fmt_scnprintf(p + n, room - n, ",size=%lluk", (unsigned long long)o->max_blocks << (PAGE_SHIFT - 10));
	if (o->has_inodes)
		n += (usize)fmt_scnprintf(p + n, room - n, ",nr_inodes=%llu", (unsigned long long)o->max_inodes);
	if (o->has_mode && o->mode != (S_ISVTX | 0777))
		n += (usize)fmt_scnprintf(p + n, room - n, ",mode=%03o", o->mode);
	if (o->has_uid)
		n += (usize)fmt_scnprintf(p + n, room - n, ",uid=%u", o->uid);
	if (o->has_gid)
		n += (usize)fmt_scnprintf(p + n, room - n, ",gid=%u", o->gid);
	if (*p == ',')
		memmove(p, p + 1, strlen(p));
}

static int tmpfs_mount(const struct fs_type *t, const char *source, u32 flags, const char *options, struct superblock **out)
{
	u64 half = mem_total_pages() / 2;
	struct tmpfs_opts o = { .max_blocks = half, .max_inodes = half, .mode = S_ISVTX | 0777 };
	const struct cred *cr = caller_cred(vfs_self());
	struct superblock *sb;
	int err = parse_options(options, &o);

	if (!err)
		err = ramfs_mount_simple(t, flags, o.mode, TMPFS_MAGIC, &sb);
	if (err)
		return err;
	sb->max_blocks = o.max_blocks;
	sb->max_inodes = o.max_inodes;
	sb->root->vnode->uid = o.has_uid ? o.uid : cr->fsuid;
	sb->root->vnode->gid = o.has_gid ? o.gid : cr->fsgid;
	describe(sb, &o);
	*out = sb;
	return 0;
}

static int tmpfs_remount(struct superblock *sb, u32 flags, const char *options)
{
	struct tmpfs_opts o = { .max_blocks = sb->max_blocks, .max_inodes = sb->max_inodes, .mode = sb->root->vnode->mode & 07777 };
	int err = parse_options(options, &o);

	if (err)
		return err;
	if (o.has_blocks && o.max_blocks && (u64)atomic64_read(&sb->used_blocks) > o.max_blocks)
		return -EINVAL;
	if (o.has_inodes && o.max_inodes && (u64)atomic64_read(&sb->used_inodes) > o.max_inodes)
		return -EINVAL;
	sb->max_blocks = o.max_blocks;
	sb->max_inodes = o.max_inodes;
	if (o.has_blocks || o.has_inodes)
		describe(sb, &o);
	return 0;
}

static u64 left_of(u64 max, u64 used)
{
	return max > used ? max - used : 0;
}

static int tmpfs_statfs(struct superblock *sb, struct kstatfs *st)
{
	st->blocks = sb->max_blocks;
	st->bfree = st->bavail = left_of(sb->max_blocks, (u64)atomic64_read(&sb->used_blocks));
	st->files = sb->max_inodes;
	st->ffree = left_of(sb->max_inodes, (u64)atomic64_read(&sb->used_inodes));
	return 0;
}

static int ramfs_mount(const struct fs_type *t, const char *source, u32 flags, const char *options, struct superblock **out)
{
	struct tmpfs_opts o = { .mode = 0755 };
	int err = parse_options(options, &o);

	return err ? err : ramfs_mount_simple(t, flags, o.mode, RAMFS_MAGIC, out);
}

static int rootfs_mount(const struct fs_type *t, const char *source, u32 flags, const char *options, struct superblock **out)
{
	int err = tmpfs_mount(t, source, flags, options ? options : "mode=755", out);

	if (!err && !options)
		(*out)->options[0] = 0;
	return err;
}

void tmpfs_init(void)
{
	static struct fs_type tmpfs = {
		.name = "tmpfs", .nodev = true, .cache_negative = true, .mount = tmpfs_mount,
		.unmount = superblock_kill_tree, .statfs = tmpfs_statfs, .remount = tmpfs_remount,
	};
	static struct fs_type rootfs = {
		.name = "rootfs", .nodev = true, .cache_negative = true, .mount = rootfs_mount,
		.unmount = superblock_kill_tree, .statfs = tmpfs_statfs, .remount = tmpfs_remount,
	};
	static struct fs_type ramfs = {
		.name = "ramfs", .nodev = true, .cache_negative = true, .mount = ramfs_mount, .unmount = superblock_kill_tree,
	};

	fs_register(&rootfs);
	fs_register(&tmpfs);
	fs_register(&ramfs);
}
