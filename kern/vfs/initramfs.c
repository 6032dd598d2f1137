/*
 * Unpacks the initramfs into the root.
 *
 * Entries are made by the same calls that programs use, as root with umask 0.
 * As on Linux a later entry replaces an earlier one of another kind, missing
 * parents are not made (the entry is left out), and hard links find each other
 * by (device, inode) until the next trailer.  Data of a regular file that is
 * page-aligned in RAM stays where it is (ramfs_file_set_image); all other
 * frames of the archive go back to the allocator once they were read.
 * Times of directories are set at the end, after their entries were made.
 */
#include "vfs_private.h"
#include "cpio.h"
#include <mem/mem.h>

struct seen {				/* a file with several names */
	struct seen *next;
	u32 ino, dev_major, dev_minor, fmt;
	struct path path;
};
struct dir_time {
	struct dir_time *next;
	struct path path;
	u32 mtime;
};

struct unpack {
	u64 phys, size;
	const u8 *buf;
	struct vfs_caller caller;
	struct fs_view view;
	struct seen *seen[16];
	struct dir_time *dirs;
	u64 kept;			/* bytes before this offset are given back or in use by files */
	u64 take_from, take_to;		/* frames of the current entry that stay, as offsets */
};

static struct seen **seen_bucket(struct unpack *u, const struct cpio_entry *e)
{
	return &u->seen[hash_u64((u64)e->ino << 32 ^ e->dev_major << 16 ^ e->dev_minor) >> 60];
}

static struct seen *seen_find(struct unpack *u, const struct cpio_entry *e)
{
	struct seen *s;

	for (s = *seen_bucket(u, e); s; s = s->next)
		if (s->ino == e->ino && s->dev_major == e->dev_major && s->dev_minor == e->dev_minor && s->fmt == (e->mode & S_IFMT))
			return s;
	return NULL;
}

static void seen_add(struct unpack *u, const struct cpio_entry *e, const struct path *p)
{
	struct seen **b = seen_bucket(u, e), *s = kmalloc(sizeof(*s));

	if (!s)
		return;
	*s = (struct seen){ *b, e->ino, e->dev_major, e->dev_minor, e->mode & S_IFMT, *p };
	path_get(p);
	*b = s;
}

static void seen_drop(struct unpack *u)
{
	for (usize i = 0; i < ARRAY_LEN(u->seen); i++)
		for (struct seen *s = u->seen[i], *next; s; s = next) {
			next = s->next;
			path_put(&s->path);
			kfree(s);
		}
	memset(u->seen, 0, sizeof(u->seen));
}

/* Removes what stands in the way: something of another kind, or anything but a directory or a file when exact. */
static void make_way(struct unpack *u, const char *name, u32 fmt, bool exact)
{
	struct path p;
	u32 have;

	if (vfs_walk(&u->caller, AT_FDCWD, name, 0, &p))
		return;
	have = p.dentry->vnode->mode & S_IFMT;
	path_put(&p);
	if (have != fmt || (exact && have != S_IFDIR))
		DISCARD(vfs_unlink(&u->caller, AT_FDCWD, name, have == S_IFDIR));
}

static void set_owner(const struct path *p, const struct cpio_entry *e)
{
	struct vnode *vn = p->dentry->vnode;

	vn->uid = e->uid;
	vn->gid = e->gid;
	if (!S_ISLNK(vn->mode))
		vn->mode = (vn->mode & S_IFMT) | (e->mode & 07777);
}

static void set_time(const struct path *p, u32 mtime)
{
	struct vnode *vn = p->dentry->vnode;

	vn->mtime = vn->atime = (struct timespec64){ mtime, 0 };
}

static int copy_data(struct vnode *vn, const struct cpio_entry *e)
{
	struct uio src;
	i64 n;

	uio_init_kernel(&src, (void *)e->data, e->size);
	rwlock_write(&vn->lock);
	n = pagecache_write(&vn->object, &src, 0);
	rwlock_write_end(&vn->lock);
	return n < 0 ? (int)n : (u64)n == e->size ? 0 : -ENOSPC;
}

static bool frames_usable(u64 phys, u64 size)
{
	for (u64 p = phys; p < phys + size; p += PAGE_SIZE)
		if (!pfn_valid(paddr_to_pfn(PADDR(p))))
			return false;
	return true;
}

static int put_data(struct unpack *u, struct vnode *vn, const struct cpio_entry *e)
{
	u64 phys = u->phys + e->data_at;
	int err;

	if (!e->size)
		return 0;
	if ((phys & ~PAGE_MASK) || e->size < PAGE_SIZE || vn->object.size || vn->priv || !frames_usable(phys, e->size))
		return copy_data(vn, e);
	err = ramfs_file_set_image(vn, phys, e->size, u->phys + u->size);
	if (err)
		return err;
	u->take_from = e->data_at;
	u->take_to = e->data_at + ramfs_image_bytes(vn);
	return 0;
}

/* What stands under the name now; -EEXIST when it could not be moved out of the way. */
static int walk_to_kind(struct unpack *u, const char *name, u32 fmt, struct path *p)
{
	int err = vfs_walk(&u->caller, AT_FDCWD, name, 0, p);

	if (err || (p->dentry->vnode->mode & S_IFMT) == fmt)
		return err;
	path_put(p);
	return -EEXIST;
}

static int find_or_create(struct unpack *u, const struct cpio_entry *e, struct path *p)
{
	struct seen *s = e->nlink > 1 ? seen_find(u, e) : NULL;
	int err;

	if (s) {
		make_way(u, e->name, 0, true);
		err = vfs_link_path(&u->caller, &s->path, AT_FDCWD, e->name);
		if (err)
			return err;
		*p = s->path;
		path_get(p);
		return 0;
	}
	make_way(u, e->name, S_IFREG, false);
	err = vfs_mknod(&u->caller, AT_FDCWD, e->name, S_IFREG | (e->mode & 07777), 0);
	if (err && err != -EEXIST)
		return err;
	err = walk_to_kind(u, e->name, S_IFREG, p);
	if (!err && e->nlink > 1)
		seen_add(u, e, p);
	return err;
}

static int add_file(struct unpack *u, const struct cpio_entry *e)
{
	struct path p;
	int err = find_or_create(u, e, &p);

	if (err)
		return err;
	set_owner(&p, e);
	if (p.dentry->vnode->object.size && (e->size || e->nlink <= 1))
		err = vfs_truncate(&u->caller, &p, 0);
	if (!err)
		err = put_data(u, p.dentry->vnode, e);
	set_time(&p, e->mtime);
	path_put(&p);
	return err;
}

static int add_dir(struct unpack *u, const struct cpio_entry *e)
{
	struct dir_time *t;
	struct path p;
	int err;

	make_way(u, e->name, S_IFDIR, false);
	err = vfs_mkdir(&u->caller, AT_FDCWD, e->name, 0777);
	if (err && err != -EEXIST)
		return err;
	err = walk_to_kind(u, e->name, S_IFDIR, &p);
	if (err)
		return err;
	set_owner(&p, e);
	t = kmalloc(sizeof(*t));
	if (!t) {
		path_put(&p);
		return -ENOMEM;
	}
	*t = (struct dir_time){ u->dirs, p, e->mtime };
	u->dirs = t;
	return 0;
}

static int add_symlink(struct unpack *u, const struct cpio_entry *e)
{
	struct path p;
	char *target;
	int err;

	if (!e->size || e->size >= PATH_MAX)
		return 0;			/* Linux leaves it out */
	target = kmalloc(e->size + 1);
	if (!target)
		return -ENOMEM;
	memcpy(target, e->data, e->size);
	target[e->size] = 0;
	make_way(u, e->name, 0, true);
	err = vfs_symlink(&u->caller, target, AT_FDCWD, e->name);
	kfree(target);
	if (err)
		return err;
	err = vfs_walk(&u->caller, AT_FDCWD, e->name, 0, &p);
	if (err)
		return err;
	set_owner(&p, e);
	set_time(&p, e->mtime);
	path_put(&p);
	return 0;
}

static int add_node(struct unpack *u, const struct cpio_entry *e)
{
	struct path p;
	int err;

	make_way(u, e->name, e->mode & S_IFMT, true);
	err = vfs_mknod(&u->caller, AT_FDCWD, e->name, e->mode, dev_make(e->rdev_major, e->rdev_minor));
	if (!err)
		err = vfs_walk(&u->caller, AT_FDCWD, e->name, 0, &p);
	if (err)
		return err;
	set_owner(&p, e);
	set_time(&p, e->mtime);
	path_put(&p);
	return 0;
}

static int add_entry(struct unpack *u, const struct cpio_entry *e)
{
	if (e->trailer) {
		seen_drop(u);
		return 0;
	}
	switch (e->mode & S_IFMT) {
	case S_IFREG:
		return add_file(u, e);
	case S_IFDIR:
		return add_dir(u, e);
	case S_IFLNK:
		return add_symlink(u, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return add_node(u, e);
	}
	return 0;
}

/* Frames wholly inside [from, to) of the archive go back. */
static void give_back(struct unpack *u, u64 from, u64 to)
{
	u64 start = ALIGN_UP(u->phys + from, PAGE_SIZE), end = ALIGN_DOWN(u->phys + to, PAGE_SIZE);

	if (start < end)
		mem_free_boot_range(start, end);
}

static void release_read_part(struct unpack *u)
{
	if (!u->take_to)
		return;
	give_back(u, u->kept, u->take_from);
	u->kept = u->take_to;
	u->take_to = 0;
}

static void finish(struct unpack *u)
{
	for (struct dir_time *t = u->dirs, *next; t; t = next) {
		next = t->next;
		set_time(&t->path, t->mtime);
		path_put(&t->path);
		kfree(t);
	}
	seen_drop(u);
	path_put(&u->view.root);
	path_put(&u->view.cwd);
}

static int unpack_all(struct unpack *u, const char **why, u64 *at)
{
	struct cpio_entry e;
	int r, err;

	for (;;) {
		r = cpio_next(u->buf, u->size, at, &e, why);
		if (r <= 0)
			return r;
		err = add_entry(u, &e);
		if (err == -ENOMEM || err == -ENOSPC) {
			*why = "not enough memory for its files";
			return -EINVAL;
		}
		release_read_part(u);
	}
}

int initramfs_unpack(u64 phys, u64 size, const char **why, u64 *at)
{
	struct unpack *u;
	int err;

	*at = 0;
	if (!size)
		return -ENOENT;
	u = kzalloc(sizeof(*u));
	if (!u) {
		*why = "no memory";
		return -EINVAL;
	}
	u->phys = phys;
	u->size = size;
	u->buf = mmu_phys_to_virt(PADDR(phys));
	ref_init(&u->view.refs);
	spin_init(&u->view.lock, LR_FILE);
	u->view.root = u->view.cwd = ns_root;
	path_get(&u->view.root);
	path_get(&u->view.cwd);
	u->caller = (struct vfs_caller){ .fs = &u->view, .cred = &cred_root, .fsize_limit = ~0ull };
	err = unpack_all(u, why, at);
	finish(u);
	if (!err)
		give_back(u, u->kept, size);
	kfree(u);
	return err;
}
