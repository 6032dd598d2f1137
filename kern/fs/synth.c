/*
 * The engine of synthetic trees: lookup, listing, attributes, reading by seq,
 * writing by a handler.
 */
#include <arch/smp.h>
#include <base/fmt.h>
#include <core/uio.h>
#include "synth.h"

#define POS_DYNAMIC (1ull << 24)	/* position of the first name that no table lists */
#define INO_STATIC  0xf0000000ull

static const struct vnode_ops static_ops, sysctl_ops, pid_ops, pid_dir_ops, link_ops, pid_link_ops;
static const struct file_ops dir_fops, file_fops;
static const struct file_ops write_fops;
static struct file_ops text_fops, poll_fops;	/* seq_file_ops with a writer, and with poll; const after synth_init() */
static u32 last_ino;

void synth_number(struct synth_entry *e)
{
	e->ino = ++last_ino;
	for (struct synth_entry *c = e->children; c && c->name; c++)
		synth_number(c);
}

static bool has_pid(const struct synth_node *n) { return n->proc; }

/* The number part of the inode number: which process or thread. */
static u64 ino_base(const struct synth_node *n)
{
	u64 nr = n->task ? n->task->tid : n->proc->pid;

	return nr << 24 | (n->task ? 1u << 23 : 0);
}

u64 synth_ino(const struct synth_node *dir, const struct synth_entry *e)
{
	return has_pid(dir) ? ino_base(dir) | e->ino : INO_STATIC + e->ino + ((u64)dir->id << 16);
}

static u64 node_ino(const struct synth_node *n, bool root)
{
	u32 kind = n->e->flags & (SYNTH_INO_FD | SYNTH_INO_FDINFO);

	if (root)
		return 1;
	if (kind && !S_ISDIR(n->e->mode))
		return ino_base(n) | kind | n->id;
	return synth_ino(n, n->e);
}

struct task *synth_task(const struct synth_node *n)
{
	if (!n->task)
		return process_leader_get(n->proc);
	return task_is_released(n->task) ? NULL : task_get(n->task);
}

bool synth_may_inspect(const struct synth_node *n)
{
	return process_may_inspect(vfs_self()->cred, n->proc);
}

/* --- vnodes ---------------------------------------------------------------- */

/* The PID directory itself always belongs to its user; what is below is root's when the process may not be looked at. */
static void update_owner(struct vnode *vn)
{
	struct synth_node *n = synth_node(vn);
	AUTO(task) t = has_pid(n) ? synth_task(n) : NULL;
	const struct cred *cr;

	if (!t)
		return;
	cr = task_cred_get(t);
	bool open = READ_ONCE(n->proc->dumpable) || vn->mode == (S_IFDIR | 0555) ||
		    ((n->e->flags & SYNTH_INO_FD) && n->proc == task_current()->proc);

	vn->uid = open ? cr->euid : 0;
	vn->gid = open ? cr->egid : 0;
	cred_put(cr);
}

static void node_drop(struct synth_node *n)
{
	if (n->task)
		task_put(n->task);
	if (n->proc)
		process_put(n->proc);
}

static u32 count_dirs(const struct synth_entry *e)
{
	u32 n = 0;

	for (const struct synth_entry *c = e->children; c && c->name; c++)
		n += S_ISDIR(c->mode);
	return n;
}

/* Takes over the references in tmpl whatever the result. */
static int make_vnode(struct superblock *sb, const struct synth_node *tmpl, bool root, struct vnode **out)
{
	struct synth_node *n = kmemdup(tmpl, sizeof(*tmpl));
	u32 mode = tmpl->mode ? tmpl->mode : tmpl->e->mode;
	const struct vnode_ops *ops = tmpl->proc ? &pid_ops : &static_ops;
	const struct file_ops *fops = NULL;
	struct vnode *vn = NULL;

	if (tmpl->proc && S_ISDIR(mode))
		ops = &pid_dir_ops;
	if (tmpl->e->flags & SYNTH_SYSCTL && S_ISREG(mode))
		ops = &sysctl_ops;
	if (S_ISLNK(mode))
		ops = tmpl->e->follow ? &pid_link_ops : &link_ops;
	else
		fops = S_ISDIR(mode) ? &dir_fops : &file_fops;
	if (n)
		vn = vnode_create(sb, node_ino(n, root), mode, ops, fops);
	if (!vn) {
		struct synth_node copy = *tmpl;

		node_drop(&copy);
		kfree(n);
		return -ENOMEM;
	}
	vn->priv = n;
	if (S_ISDIR(mode))
		vn->nlink = n->e->flags & SYNTH_SYSCTL ? 1 : 2 + count_dirs(n->e);
	if (S_ISLNK(mode) && n->e->flags & SYNTH_INO_FD)
		vn->object.size = 64;
	if (n->e->flags & SYNTH_SYSFS && S_ISREG(mode))
		vn->object.size = PAGE_SIZE;
	update_owner(vn);
	*out = vn;
	return 0;
}

static void synth_release(struct vnode *vn)
{
	node_drop(vn->priv);
	kfree(vn->priv);
}

static const struct synth_entry *find_child(const struct synth_entry *dir, const char *name)
{
	for (const struct synth_entry *c = dir->children; c && c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int synth_lookup(struct vnode *dir, struct dentry *d)
{
	struct synth_node *n = synth_node(dir), child = { .e = find_child(n->e, d->name) };
	struct vnode *vn;
	int err;

	if (has_pid(n)) {
		AUTO(task) t = synth_task(n);

		if (!t)
			return -ENOENT;
	}
	if (child.e) {
		child.proc = n->proc ? process_get(n->proc) : NULL;
		child.task = n->task ? task_get(n->task) : NULL;
		child.id = has_pid(n) ? 0 : n->id;
	} else {
		err = n->e->dir ? n->e->dir->find(n, d->name, &child) : -ENOENT;
		if (err)	/* in /sys a name that is not there stays an open question: -EPERM for mkdir */
			return n->e->flags & SYNTH_SYSFS ? 0 : err;
	}
	err = make_vnode(dir->sb, &child, false, &vn);
	if (!err)
		dentry_instantiate(d, vn);
	return err;
}

/* Names below a released task are gone; a descriptor's link follows what is open by that number now. */
static bool synth_revalidate(struct dentry *d)
{
	struct vnode *vn = READ_ONCE(d->vnode);
	struct synth_node *n, now = { 0 };
	bool same;

	if (!vn)
		return false;
	n = synth_node(vn);
	if (!has_pid(n))
		return true;
	if (n->e->flags & (SYNTH_INO_FD | SYNTH_INO_FDINFO) && !S_ISDIR(vn->mode)) {
		struct synth_node *dir = synth_node(d->parent->vnode);
		char name[16];

		fmt_snprintf(name, sizeof(name), "%u", n->id);
		if (dir->e->dir->find(dir, name, &now))
			return false;
		same = now.mode == n->mode;
		node_drop(&now);
		if (!same)
			return false;
	} else {
		AUTO(task) t = synth_task(n);

		if (!t)
			return false;
	}
	update_owner(vn);
	return true;
}

static int synth_getattr(struct vnode *vn, struct kstat *st)
{
	struct synth_node *n = synth_node(vn);

	if (has_pid(n)) {
		update_owner(vn);
		st->uid = vn->uid;
		st->gid = vn->gid;
		if (n->e->flags & SYNTH_TASKS)
			st->nlink += READ_ONCE(n->proc->nthreads);
	} else if (vn->ino == 1 && n->e->dir) {
		st->nlink += process_count();
	}
	st->blksize = n->e->flags & SYNTH_SYSFS ? PAGE_SIZE : 1024;
	return 0;
}

static int synth_setattr(struct vnode *vn, const struct vnode_attr *a)
{
	struct synth_node *n = synth_node(vn);
	struct vnode_attr b = *a;

	if (n->e->flags & SYNTH_SYSCTL && a->valid & (ATTR_MODE | ATTR_UID | ATTR_GID))
		return -EPERM;
	if (has_pid(n) && a->valid & ATTR_MODE)
		return -EPERM;
	b.valid &= ~ATTR_SIZE;
	vnode_apply_attr(vn, &b);
	return 0;
}

/* Standing in a directory of a process that is gone. */
static int pid_dir_permission(struct vnode *vn, u32 want)
{
	AUTO(task) t = synth_task(synth_node(vn));

	return t ? 0 : -ESRCH;
}

/* /proc/sys: no capability goes past the owner's bits. */
static int sysctl_permission(struct vnode *vn, u32 want)
{
	return want & ~(vn->mode >> 6) & 7 ? -EACCES : 0;
}

static i64 synth_readlink(struct vnode *vn, char *buf, usize size)
{
	struct synth_node *n = synth_node(vn);

	return n->e->readlink(n, buf, size);
}

static int synth_follow(struct vnode *vn, struct path *out)
{
	struct synth_node *n = synth_node(vn);

	return n->e->follow(n, out);
}

/* As in a directory where every name that is not there cannot be there. */
static int absent_or(const struct vnode *dir, int err)
{
	return synth_node(dir)->e->flags & SYNTH_SYSFS ? err : -ENOENT;
}
static int no_create(struct vnode *dir, struct dentry *d, u32 mode) { return absent_or(dir, -EACCES); }
static int no_mkdir(struct vnode *dir, struct dentry *d, u32 mode) { return absent_or(dir, -EPERM); }
static int no_mknod(struct vnode *dir, struct dentry *d, u32 mode, u64 rdev) { return absent_or(dir, -EPERM); }
static int no_symlink(struct vnode *dir, struct dentry *d, const char *target) { return absent_or(dir, -EPERM); }
static int no_rename(struct vnode *od, struct dentry *o, struct vnode *nd, struct dentry *n, u32 flags)
{
	return absent_or(nd, -EPERM);
}

static const struct vnode_ops static_ops = {
	.lookup = synth_lookup, .create = no_create, .mkdir = no_mkdir, .mknod = no_mknod, .symlink = no_symlink,
	.rename = no_rename,
	.setattr = synth_setattr, .getattr = synth_getattr, .release = synth_release,
};
static const struct vnode_ops sysctl_ops = {
	.lookup = synth_lookup, .create = no_create, .mkdir = no_mkdir, .mknod = no_mknod, .symlink = no_symlink,
	.rename = no_rename,
	.setattr = synth_setattr, .getattr = synth_getattr, .permission = sysctl_permission, .release = synth_release,
};
static const struct vnode_ops pid_ops = {
	.setattr = synth_setattr, .getattr = synth_getattr, .revalidate = synth_revalidate, .release = synth_release,
};
static const struct vnode_ops pid_dir_ops = {
	.lookup = synth_lookup, .create = no_create, .mkdir = no_mkdir, .mknod = no_mknod, .symlink = no_symlink,
	.rename = no_rename, .setattr = synth_setattr, .getattr = synth_getattr, .permission = pid_dir_permission,
	.revalidate = synth_revalidate, .release = synth_release,
};
static const struct vnode_ops link_ops = {
	.readlink = synth_readlink, .setattr = synth_setattr, .getattr = synth_getattr, .release = synth_release,
};
static const struct vnode_ops pid_link_ops = {
	.readlink = synth_readlink, .follow = synth_follow, .setattr = synth_setattr, .getattr = synth_getattr,
	.revalidate = synth_revalidate, .release = synth_release,
};

/* --- directories ------------------------------------------------------------ */

static bool list_static(struct file *f, struct dir_sink *s, const struct synth_node *n)
{
	const struct synth_entry *c = n->e->children;
	u64 at = 2;

	for (; c && c->name; c++, at++) {
		if (at < f->pos)
			continue;
		if (!s->emit(s, c->name, (u32)strlen(c->name), synth_ino(n, c), (c->mode & S_IFMT) >> 12, at + 1))
			return false;
		f->pos = at + 1;
	}
	return true;
}

static void list_dynamic(struct file *f, struct dir_sink *s, const struct synth_node *n)
{
	struct synth_item it;

	if (f->pos < POS_DYNAMIC)
		f->pos = POS_DYNAMIC;
	while (!n->e->dir->next(n, f->pos - POS_DYNAMIC, &it)) {
		u64 next = POS_DYNAMIC + it.key + 1;

		if (!s->emit(s, it.name, (u32)strlen(it.name), it.ino, it.dtype, next))
			return;
		f->pos = next;
	}
}

static int synth_readdir(struct file *f, struct dir_sink *s)
{
	struct synth_node *n = synth_node(f->vnode);
	struct dentry *d = f->path.dentry;

	if (has_pid(n)) {
		AUTO(task) t = synth_task(n);

		if (!t)
			return -ENOENT;
	}
	if (f->pos == 0) {
		if (!s->emit(s, ".", 1, f->vnode->ino, S_IFDIR >> 12, 1))
			return 0;
		f->pos = 1;
	}
	if (f->pos == 1) {
		if (!s->emit(s, "..", 2, d->parent->vnode->ino, S_IFDIR >> 12, 2))
			return 0;
		f->pos = 2;
	}
	if (list_static(f, s, n) && n->e->dir)
		list_dynamic(f, s, n);
	return 0;
}

static i64 synth_lseek(struct file *f, i64 off, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	return file_generic_lseek(f, off, whence, 0);
}

static const struct file_ops dir_fops = { .readdir = synth_readdir, .lseek = synth_lseek };

/* --- files ------------------------------------------------------------------ */

static i64 synth_write(struct file *f, struct uio *src, u64 *pos)
{
	struct synth_node *n = synth_node(f->vnode);
	usize len = MIN(src->resid, PAGE_SIZE);
	char *text;
	i64 r;

	if (!n->e->write)
		return has_pid(n) ? -EINVAL : -EIO;
	if (n->e->flags & SYNTH_NUMBER && *pos) {
		*pos += src->resid;
		return (i64)src->resid;
	}
	text = kmalloc(PAGE_SIZE + 1);
	if (!text)
		return -ENOMEM;
	if (uio_copy_in(src, text, len) != len) {
		kfree(text);
		return -EFAULT;
	}
	text[len] = 0;
	r = n->e->write(n, text, len);
	kfree(text);
	if (r > 0)
		*pos += (u64)r;
	return r;
}

static bool has_place(const struct synth_node *n)
{
	AUTO(task) t = synth_task(n);
	struct fs_view *v = t ? task_fs_view_get(t) : NULL;

	if (v)
		fs_view_put(v);
	return v != NULL;
}

static int synth_open(struct vnode *vn, struct file *f)
{
	struct synth_node *n = synth_node(vn);

	if (n->e->flags & SYNTH_PLACE && !has_place(n))
		return -EINVAL;
	if (has_pid(n) && n->e->flags & SYNTH_PTRACE && !synth_may_inspect(n))
		return -EACCES;
	if (n->e->flags & SYNTH_SYSFS && f->mode & FILE_WRITE && !n->e->write)
		return -EACCES;
	if (n->e->fops) {
		f->ops = n->e->fops;
		return f->ops->open ? f->ops->open(vn, f) : 0;
	}
	if (!n->e->show) {
		f->ops = &write_fops;
		return 0;
	}
	int err = seq_file_open(f, n->e->show, n);

	if (err)
		return err;
	f->ops = has_pid(n) && !(n->e->flags & SYNTH_PLACE) ? &text_fops : &poll_fops;
	f->f_version = vfs_mount_changes(NULL);
	return 0;
}

/* Files that list mounts tell of a change since they were opened or polled last, once. */
static u32 synth_poll(struct file *f, struct poll_table *pt)
{
	u32 ready = POLLIN | POLLRDNORM, now;

	if (!(synth_node(f->vnode)->e->flags & SYNTH_PLACE))
		return ready | POLLOUT | POLLWRNORM;
	now = vfs_mount_changes(pt);
	if (f->f_version == now)
		return ready;
	f->f_version = now;
	return ready | POLLERR | POLLPRI;
}

static const struct file_ops write_fops = { .write = synth_write };
static const struct file_ops file_fops = { .open = synth_open };

/* --- trees ------------------------------------------------------------------- */

struct superblock *synth_mount(const struct fs_type *t, struct synth_entry *root, u64 magic)
{
	struct superblock *sb = superblock_create(t, 0);
	struct synth_node n = { .e = root };
	struct vnode *vn;
	int err;

	VERIFY(sb);
	sb->magic = magic;
	err = make_vnode(sb, &n, true, &vn);
	VERIFY(!err);
	sb->root = dentry_create_root(vn);
	VERIFY(sb->root);
	return sb;
}

void synth_init(void)
{
	text_fops = seq_file_ops;
	text_fops.write = synth_write;
	poll_fops = text_fops;
	poll_fops.poll = synth_poll;
}
