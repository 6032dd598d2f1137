/*
 * Directories of memory file systems: the pinned dentries are the directory.
 * vfs publishes and removes the names; these ops make vnodes and keep counts.
 * A directory's size grows by 20 per entry, as tmpfs shows it.
 */
#include "vfs_private.h"
#include <core/clock.h>

#define ENTRY_SIZE 20u
#define POS_BASE (1ull << 48)		/* position after the entry with cookie c: POS_BASE - c */

static void dir_changed(struct vnode *dir, i64 entries)
{
	dir->object.size += (u64)(entries * ENTRY_SIZE);
	dir->iversion++;
	vnode_touch(dir, ATTR_MTIME | ATTR_CTIME);
}

static int add(struct vnode *dir, struct dentry *d, struct vnode *vn)
{
	if (S_ISDIR(vn->mode))
		dir->nlink++;
	dentry_instantiate(d, vn);
	dir_changed(dir, 1);
	return 0;
}

static int ramfs_mknod(struct vnode *dir, struct dentry *d, u32 mode, u64 rdev)
{
	struct vnode *vn;
	int err = ramfs_vnode(dir->sb, dir, mode, rdev, &vn);

	return err ? err : add(dir, d, vn);
}

static int ramfs_create(struct vnode *dir, struct dentry *d, u32 mode)
{
	return ramfs_mknod(dir, d, mode, 0);
}

static int ramfs_symlink(struct vnode *dir, struct dentry *d, const char *target)
{
	struct vnode *vn;
	int err = ramfs_symlink_vnode(dir->sb, dir, target, &vn);

	return err ? err : add(dir, d, vn);
}

static int ramfs_link(struct vnode *vn, struct vnode *dir, struct dentry *d)
{
	vn->nlink++;
	vnode_touch(vn, ATTR_CTIME);
	dentry_instantiate(d, vnode_get(vn));
	dir_changed(dir, 1);
	return 0;
}

static int ramfs_unlink(struct vnode *dir, struct dentry *d)
{
	struct vnode *vn = d->vnode;

	vn->nlink--;
	dir_changed(dir, -1);
	vn->ctime = dir->ctime;
	return 0;
}

static int ramfs_rmdir(struct vnode *dir, struct dentry *d)
{
	if (d->nchildren)
		return -ENOTEMPTY;
	d->vnode->nlink = 0;
	dir->nlink--;
	dir_changed(dir, -1);
	return 0;
}

static void rename_counts(struct vnode *od, struct vnode *nd, struct vnode *moved, struct vnode *other)
{
	i32 delta = (S_ISDIR(moved->mode) ? 1 : 0) - (other && S_ISDIR(other->mode) ? 1 : 0);

	if (od != nd) {
		od->nlink -= (u32)delta;
		nd->nlink += (u32)delta;
	}
}

static int ramfs_rename(struct vnode *od, struct dentry *o, struct vnode *nd, struct dentry *n, u32 flags)
{
	struct vnode *vn = o->vnode, *victim = n->vnode;

	if (flags & RENAME_EXCHANGE) {
		rename_counts(od, nd, vn, victim);
		dir_changed(od, 0);
		dir_changed(nd, 0);
		vn->ctime = victim->ctime = nd->ctime;
		return 0;
	}
	if (victim && S_ISDIR(victim->mode)) {
		if (n->nchildren)
			return -ENOTEMPTY;
		victim->nlink = 0;
		nd->nlink--;
	} else if (victim) {
		victim->nlink--;
	}
	rename_counts(od, nd, vn, NULL);
	dir_changed(od, -1);
	dir_changed(nd, victim ? 0 : 1);
	vn->ctime = nd->ctime;
	if (victim)
		victim->ctime = nd->ctime;
	return 0;
}

static int ramfs_tmpfile(struct vnode *dir, u32 mode, struct vnode **out)
{
	return ramfs_vnode(dir->sb, dir, mode, 0, out);
}

static u32 dtype(const struct vnode *vn)
{
	return (vn->mode & S_IFMT) >> 12;
}

/* First child that comes after position pos, newest first.  dir's lock is held: the list stands still but for names of other
 * directories. */
static struct dentry *child_after(struct dentry *dir, u64 pos)
{
	u64 below = pos < POS_BASE / 2 ? ~0ull : POS_BASE - pos;
	struct dentry *d;

	if (below > dir->next_cookie / 2) {
		list_for_each(d, &dir->children, sibling)
			if (d->cookie < below)
				return d;
		return NULL;
	}
	d = list_last(&dir->children, struct dentry, sibling);
	if (!d || d->cookie >= below)
		return NULL;
	while (d->sibling.prev != &dir->children) {
		struct dentry *newer = list_entry(d->sibling.prev, struct dentry, sibling);

		if (newer->cookie >= below)
			break;
		d = newer;
	}
	return d;
}

/* Newest first, as Linux 6.1 lists its memory file systems; what is created during a listing does not appear in it. */
static int ramfs_readdir(struct file *f, struct dir_sink *s)
{
	struct dentry *dir = f->path.dentry, *up = dir->parent, *d;

	if (f->pos == 0) {
		if (!s->emit(s, ".", 1, dir->vnode->ino, S_IFDIR >> 12, 1))
			return 0;
		f->pos = 1;
	}
	if (f->pos == 1) {
		if (!s->emit(s, "..", 2, up->vnode->ino, S_IFDIR >> 12, 2))
			return 0;
		f->pos = 2;
	}
	for (d = child_after(dir, f->pos); d; d = list_next(d, &dir->children, sibling)) {
		u64 next = POS_BASE - d->cookie;

		if (!d->vnode)
			continue;
		if (!s->emit(s, d->name, d->name_len, d->vnode->ino, dtype(d->vnode), next))
			return 0;
		f->pos = next;
	}
	return 0;
}

static i64 ramfs_dir_lseek(struct file *f, i64 off, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	return file_generic_lseek(f, off, whence, 0);
}

static int sync_nothing(struct file *f, bool data_only)
{
	return 0;
}

static void ramfs_dir_release(struct vnode *vn)
{
	if (vn->flags & VN_COUNTED)
		(void)atomic64_add(&vn->sb->used_inodes, -1);
}

const struct vnode_ops ramfs_dir_ops = {
	.create = ramfs_create,
	.mkdir = ramfs_create,
	.mknod = ramfs_mknod,
	.symlink = ramfs_symlink,
	.link = ramfs_link,
	.unlink = ramfs_unlink,
	.rmdir = ramfs_rmdir,
	.rename = ramfs_rename,
	.tmpfile = ramfs_tmpfile,
	.release = ramfs_dir_release,
};

const struct file_ops ramfs_dir_fops = {
	.readdir = ramfs_readdir,
	.lseek = ramfs_dir_lseek,
	.fsync = sync_nothing,
};
