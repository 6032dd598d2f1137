/* Names: directories, links, renames, the working directory, listing. */
#include "abi.h"

i64 sys_mkdirat(struct task *self, int dfd, uptr_t path, u32 mode)
{
	AUTO(pathbuf) name = NULL;
	int err = pathbuf_from_user(path, &name);

	return err ? err : vfs_mkdir(&self->vfs, dfd, name->text, mode & 01777);
}

i64 sys_mkdir(struct task *self, uptr_t path, u32 mode)
{
	return sys_mkdirat(self, AT_FDCWD, path, mode);
}

i64 sys_mknodat(struct task *self, int dfd, uptr_t path, u32 mode, u32 dev)
{
	AUTO(pathbuf) name = NULL;
	u64 rdev = dev_make(dev >> 8 & 0xfff, (dev & 0xff) | (dev >> 12 & 0xfff00));
	int err;

	switch (mode & S_IFMT) {
	case 0:
	case S_IFREG:
		mode |= S_IFREG;
		rdev = 0;
		break;
	case S_IFIFO:
	case S_IFSOCK:
		rdev = 0;
		break;
	case S_IFCHR:
	case S_IFBLK:
		break;
	case S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	err = pathbuf_from_user(path, &name);
	return err ? err : vfs_mknod(&self->vfs, dfd, name->text, mode & (S_IFMT | 07777), rdev);
}

i64 sys_mknod(struct task *self, uptr_t path, u32 mode, u32 dev)
{
	return sys_mknodat(self, AT_FDCWD, path, mode, dev);
}

static i64 remove_name(struct task *self, int dfd, uptr_t path, bool dir)
{
	AUTO(pathbuf) name = NULL;
	int err = pathbuf_from_user(path, &name);

	return err ? err : vfs_unlink(&self->vfs, dfd, name->text, dir);
}

i64 sys_unlink(struct task *self, uptr_t path)
{
	return remove_name(self, AT_FDCWD, path, false);
}

i64 sys_rmdir(struct task *self, uptr_t path)
{
	return remove_name(self, AT_FDCWD, path, true);
}

i64 sys_unlinkat(struct task *self, int dfd, uptr_t path, int flags)
{
	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	return remove_name(self, dfd, path, flags & AT_REMOVEDIR);
}

/* Both names of a two-name call. */
static int two_names(uptr_t old, uptr_t new, struct pathbuf **o, struct pathbuf **n)
{
	int err = pathbuf_from_user(old, o);

	return err ? err : pathbuf_from_user(new, n);
}

i64 sys_renameat2(struct task *self, int odfd, uptr_t old, int ndfd, uptr_t new, u32 flags)
{
	AUTO(pathbuf) o = NULL;
	AUTO(pathbuf) n = NULL;
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) && (flags & RENAME_EXCHANGE))
		return -EINVAL;
	err = two_names(old, new, &o, &n);
	return err ? err : vfs_rename(&self->vfs, odfd, o->text, ndfd, n->text, flags);
}

i64 sys_renameat(struct task *self, int odfd, uptr_t old, int ndfd, uptr_t new)
{
	return sys_renameat2(self, odfd, old, ndfd, new, 0);
}

i64 sys_rename(struct task *self, uptr_t old, uptr_t new)
{
	return sys_renameat2(self, AT_FDCWD, old, AT_FDCWD, new, 0);
}

i64 sys_linkat(struct task *self, int odfd, uptr_t old, int ndfd, uptr_t new, int flags)
{
	AUTO(pathbuf) o = NULL;
	AUTO(pathbuf) n = NULL;
	int err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if ((flags & AT_EMPTY_PATH) && !is_cap(self, CAP_DAC_READ_SEARCH))
		return -ENOENT;
	err = two_names(old, new, &o, &n);
	return err ? err : vfs_link(&self->vfs, odfd, o->text, ndfd, n->text, flags);
}

i64 sys_link(struct task *self, uptr_t old, uptr_t new)
{
	return sys_linkat(self, AT_FDCWD, old, AT_FDCWD, new, 0);
}

i64 sys_symlinkat(struct task *self, uptr_t target, int dfd, uptr_t path)
{
	AUTO(pathbuf) t = NULL;
	AUTO(pathbuf) n = NULL;
	int err = two_names(target, path, &t, &n);

	if (err)
		return err;
	if (!t->text[0])
		return -ENOENT;
	return vfs_symlink(&self->vfs, t->text, dfd, n->text);
}

i64 sys_symlink(struct task *self, uptr_t target, uptr_t path)
{
	return sys_symlinkat(self, target, AT_FDCWD, path);
}

i64 sys_chdir(struct task *self, uptr_t path)
{
	AUTO_PATH p = { 0 };
	int err = user_walk(self, AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &p);

	if (!err)
		err = vfs_permission(self->vfs.cred, &p, MAY_EXEC);
	return err ? err : vfs_chdir(&self->vfs, &p);
}

i64 sys_fchdir(struct task *self, int fd)
{
	AUTO_FD r = fd_use_path(self, fd);
	int err;

	if (!r.file)
		return -EBADF;
	if (!r.file->vnode || !S_ISDIR(r.file->vnode->mode) || path_is_null(&r.file->path))
		return -ENOTDIR;
	err = vfs_permission(self->vfs.cred, &r.file->path, MAY_EXEC);
	return err ? err : vfs_chdir(&self->vfs, &r.file->path);
}

i64 sys_chroot(struct task *self, uptr_t path)
{
	AUTO_PATH p = { 0 };
	int err = user_walk(self, AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &p);

	if (!err)
		err = vfs_permission(self->vfs.cred, &p, MAY_EXEC);
	if (err)
		return err;
	return is_cap(self, CAP_SYS_CHROOT) ? vfs_chroot(&self->vfs, &p) : -EPERM;
}

/* text has a NUL; Linux returns the length with it. */
static i64 getcwd_out(uptr_t buf, u64 size, const char *text, i64 len)
{
	if (len < 0)
		return len;
	if ((u64)len + 1 > size)
		return -ERANGE;
	return user_copy_out(buf, text, (u64)len + 1) ? -EFAULT : len + 1;
}

i64 sys_getcwd(struct task *self, uptr_t buf, u64 size)
{
	AUTO_PATH cwd = { 0 };
	AUTO(kptr) big = NULL;
	char small[256];
	i64 n;

	fs_view_cwd(self->vfs.fs, &cwd);
	if ((READ_ONCE(cwd.dentry->flags) & DN_UNHASHED) && cwd.dentry->parent != cwd.dentry)
		return -ENOENT;
	n = vfs_path_text(&self->vfs, &cwd, small, sizeof(small));
	if (n != -ENAMETOOLONG)
		return getcwd_out(buf, size, small, n);
	big = kmalloc(PATH_MAX);
	if (!big)
		return -ENOMEM;
	n = vfs_path_text(&self->vfs, &cwd, big, PATH_MAX);
	return getcwd_out(buf, size, big, n);
}

/*
 * Listing.  Records are built in a kernel buffer, so that no lock of the
 * directory is held over the copy; after a fault the position goes back to the
 * start of the chunk that was not delivered.  The first chunk, all of most
 * directories and the end of each, is on the stack.
 */
#define LIST_FIRST 1024u
#define LIST_CHUNK 4096u

struct list_sink {
	struct dir_sink sink;
	u8 *buf;
	u32 size;		/* of buf */
	u32 used, room;
	bool old;		/* struct linux_dirent of getdents */
	bool refused;		/* an entry did not fit */
	struct task *self;
};

static bool list_emit(struct dir_sink *s, const char *name, u32 len, u64 ino, u32 dtype, u64 next_cookie)
{
	struct list_sink *l = container_of(s, struct list_sink, sink);
	u32 head = l->old ? sizeof(struct dirent_old_k) : sizeof(struct dirent64_k);
	u32 reclen = ALIGN_UP(head + len + 1 + (l->old ? 1 : 0), 8);
	u8 *at = l->buf + l->used;

	if (reclen > l->room - l->used) {
		l->refused = true;
		return false;
	}
	*(u64 *)(at + reclen - 8) = 0;
	if (l->old) {
		*(struct dirent_old_k *)at = (struct dirent_old_k){ ino, next_cookie, (u16)reclen };
		at[reclen - 1] = (u8)dtype;
	} else {
		*(struct dirent64_k *)at = (struct dirent64_k){ ino, (i64)next_cookie, (u16)reclen, (u8)dtype };
	}
	memcpy(at + head, name, len);
	at[head + len] = '\0';
	l->used += reclen;
	return true;
}

/* Fills and delivers chunks until the directory ends or the user's buffer is full. */
static i64 list_loop(struct file *f, struct list_sink *l, uptr_t buf, u64 count)
{
	AUTO(kptr) chunk = NULL;
	u64 done = 0;

	for (;;) {
		u64 start = f->pos;
		int err;

		l->used = 0;
		l->refused = false;
		l->room = (u32)MIN(count - done, (u64)l->size);
		err = file_readdir(f, &l->sink);
		if (err)
			return done ? (i64)done : err;
		if (user_copy_out(uptr_add(buf, done), l->buf, l->used)) {
			f->pos = start;
			return done ? (i64)done : -EFAULT;
		}
		done += l->used;
		if (!l->refused)
			return (i64)done;
		if (!l->used)
			return done ? (i64)done : -EINVAL;
		if (thread_fatal_pending())
			return (i64)done;
		if (!chunk && (chunk = kmalloc(LIST_CHUNK))) {	/* without it small ones do */
			l->buf = chunk;
			l->size = LIST_CHUNK;
		}
	}
}

static i64 list_dir(struct task *self, int fd, uptr_t buf, u64 count, bool old)
{
	u8 first[LIST_FIRST] ALIGNED(8);
	struct list_sink l = { .sink.emit = list_emit, .buf = first, .size = sizeof(first), .old = old, .self = self };

	AUTO_FD r = fd_use(self, fd);
	if (!r.file)
		return -EBADF;
	if (!r.file->ops->readdir)
		return -ENOTDIR;
	if (!user_range_ok(buf, count))
		return -EFAULT;
	return list_loop(r.file, &l, buf, count);
}

i64 sys_getdents64(struct task *self, int fd, uptr_t buf, u32 count)
{
	return list_dir(self, fd, buf, count, false);
}

i64 sys_getdents(struct task *self, int fd, uptr_t buf, u32 count)
{
	return list_dir(self, fd, buf, count, true);
}
