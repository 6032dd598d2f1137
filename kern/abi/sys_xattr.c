/* Extended attributes. */
#include "abi.h"

#define XATTR_NAME_MAX 255u
#define XATTR_SIZE_MAX 65536u

/* The file a call is about: by path, or by descriptor with a path or without. */
struct xattr_file {
	struct path p;
	struct fd_ref r;
	struct vnode *vn;
};

static void xattr_file_drop(struct xattr_file *x)
{
	path_put(&x->p);
	if (x->r.file)
		fd_return(&x->r);
}
#define AUTO_XFILE struct xattr_file __attribute__((cleanup(xattr_file_drop)))

static int by_path(struct task *self, uptr_t path, bool follow, struct xattr_file *x)
{
	int err = user_walk(self, AT_FDCWD, path, follow ? WALK_FOLLOW : 0, &x->p);

	if (!err)
		x->vn = x->p.dentry->vnode;
	return err;
}

static int by_fd(struct task *self, int fd, struct xattr_file *x)
{
	x->r = fd_use(self, fd);
	if (!x->r.file)
		return -EBADF;
	x->vn = x->r.file->vnode;
	return x->vn ? 0 : -EOPNOTSUPP;
}

static struct mount *xattr_mount(const struct xattr_file *x)
{
	return x->r.file ? x->r.file->path.mnt : x->p.mnt;
}

static int name_in(uptr_t p, char name[XATTR_NAME_MAX + 1])
{
	i64 n = user_str_copy_in(name, p, XATTR_NAME_MAX + 1);

	if (n == -ENAMETOOLONG || n == 0)
		return -ERANGE;
	return n < 0 ? (int)n : 0;
}

static i64 do_set(struct task *self, struct xattr_file *x, uptr_t uname, uptr_t value, u64 size, int flags)
{
	struct mount *m = xattr_mount(x);
	char name[XATTR_NAME_MAX + 1];
	AUTO(kptr) buf = NULL;
	int err;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	err = name_in(uname, name);
	if (err)
		return err;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	buf = kmalloc(size ? size : 1);
	if (!buf)
		return -ENOMEM;
	if (user_copy_in(buf, value, size))
		return -EFAULT;
	err = m ? mount_write_begin(m) : 0;
	if (err)
		return err;
	err = vfs_setxattr(&self->vfs, x->vn, name, buf, size, flags);
	if (m)
		mount_write_end(m);
	return err;
}

static i64 do_get(struct task *self, struct xattr_file *x, uptr_t uname, uptr_t value, u64 size)
{
	char name[XATTR_NAME_MAX + 1];
	AUTO(kptr) buf = NULL;
	i64 n;
	int err = name_in(uname, name);

	if (err)
		return err;
	if (size > XATTR_SIZE_MAX)
		size = XATTR_SIZE_MAX;
	if (size) {
		buf = kmalloc(size);
		if (!buf)
			return -ENOMEM;
	}
	n = vfs_getxattr(&self->vfs, x->vn, name, buf, size);
	if (n > 0 && size && user_copy_out(value, buf, (u64)n))
		return -EFAULT;
	return n;
}

static i64 do_list(struct task *self, struct xattr_file *x, uptr_t list, u64 size)
{
	AUTO(kptr) buf = NULL;
	i64 n;

	if (size > XATTR_SIZE_MAX)
		size = XATTR_SIZE_MAX;
	if (size) {
		buf = kmalloc(size);
		if (!buf)
			return -ENOMEM;
	}
	n = vfs_listxattr(&self->vfs, x->vn, buf, size);
	if (n > 0 && size && user_copy_out(list, buf, (u64)n))
		return -EFAULT;
	return n;
}

static i64 do_remove(struct task *self, struct xattr_file *x, uptr_t uname)
{
	struct mount *m = xattr_mount(x);
	char name[XATTR_NAME_MAX + 1];
	int err = name_in(uname, name);

	if (!err && m)
		err = mount_write_begin(m);
	if (err)
		return err;
	err = vfs_removexattr(&self->vfs, x->vn, name);
	if (m)
		mount_write_end(m);
	return err;
}

i64 sys_setxattr(struct task *self, uptr_t path, uptr_t name, uptr_t value, u64 size, int flags)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, true, &x);

	return err ? err : do_set(self, &x, name, value, size, flags);
}

i64 sys_lsetxattr(struct task *self, uptr_t path, uptr_t name, uptr_t value, u64 size, int flags)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, false, &x);

	return err ? err : do_set(self, &x, name, value, size, flags);
}

i64 sys_fsetxattr(struct task *self, int fd, uptr_t name, uptr_t value, u64 size, int flags)
{
	AUTO_XFILE x = { 0 };
	int err = by_fd(self, fd, &x);

	return err ? err : do_set(self, &x, name, value, size, flags);
}

i64 sys_getxattr(struct task *self, uptr_t path, uptr_t name, uptr_t value, u64 size)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, true, &x);

	return err ? err : do_get(self, &x, name, value, size);
}

i64 sys_lgetxattr(struct task *self, uptr_t path, uptr_t name, uptr_t value, u64 size)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, false, &x);

	return err ? err : do_get(self, &x, name, value, size);
}

i64 sys_fgetxattr(struct task *self, int fd, uptr_t name, uptr_t value, u64 size)
{
	AUTO_XFILE x = { 0 };
	int err = by_fd(self, fd, &x);

	return err ? err : do_get(self, &x, name, value, size);
}

i64 sys_listxattr(struct task *self, uptr_t path, uptr_t list, u64 size)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, true, &x);

	return err ? err : do_list(self, &x, list, size);
}

i64 sys_llistxattr(struct task *self, uptr_t path, uptr_t list, u64 size)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, false, &x);

	return err ? err : do_list(self, &x, list, size);
}

i64 sys_flistxattr(struct task *self, int fd, uptr_t list, u64 size)
{
	AUTO_XFILE x = { 0 };
	int err = by_fd(self, fd, &x);

	return err ? err : do_list(self, &x, list, size);
}

i64 sys_removexattr(struct task *self, uptr_t path, uptr_t name)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, true, &x);

	return err ? err : do_remove(self, &x, name);
}

i64 sys_lremovexattr(struct task *self, uptr_t path, uptr_t name)
{
	AUTO_XFILE x = { 0 };
	int err = by_path(self, path, false, &x);

	return err ? err : do_remove(self, &x, name);
}

i64 sys_fremovexattr(struct task *self, int fd, uptr_t name)
{
	AUTO_XFILE x = { 0 };
	int err = by_fd(self, fd, &x);

	return err ? err : do_remove(self, &x, name);
}
