/* For the tests of this directory and tests/fuzz: a root, a caller, short forms of the calls. */
#pragma once

#include <base/fmt.h>
#include <test/test.h>
#include <vm/aspace.h>

#include "vfs_private.h"

static struct cred test_user = { .refs = { ATOMIC(1) }, .uid = 1000, .euid = 1000, .suid = 1000, .fsuid = 1000,
				 .gid = 1000, .egid = 1000, .sgid = 1000, .fsgid = 1000 };
static struct vfs_caller tc;
static u32 sigxfsz_seen;

static inline void note_sigxfsz(void) { sigxfsz_seen++; }

static inline void vfs_start(void)
{
	struct path root;

	host_allow_leaks();
	vm_init();
	vfs_init();
	VERIFY(!vfs_mount_root("tmpfs", "size=64m,mode=755", &root));
	path_put(&root);
	tc = (struct vfs_caller){ .fs = fs_view_create(), .fds = fdtable_create(), .cred = &cred_root,
				  .fsize_limit = ~0ull, .nofile_limit = 1024, .pid = 1, .tgid = 1 };
	tc.fs->umask = 0;
	vfs_sigxfsz_hook = note_sigxfsz;
	thread_current()->vfs_caller = &tc;
}

static inline void as_user(void) { tc.cred = &test_user; }
static inline void as_root(void) { tc.cred = &cred_root; }

static inline int t_open(const char *name, u32 flags, u32 mode)
{
	struct file *f;
	int err = vfs_open(&tc, AT_FDCWD, name, &(struct open_how_k){ flags, mode, 0 }, &f);

	return err ? err : fdtable_install(tc.fds, f, flags & O_CLOEXEC, (u32)tc.nofile_limit);
}
static inline int t_close(int fd) { return fdtable_close(tc.fds, fd); }
static inline int t_touch(const char *name)
{
	int fd = t_open(name, O_CREAT | O_WRONLY, 0644);

	return fd < 0 ? fd : t_close(fd);
}
static inline int t_mkdir(const char *name) { return vfs_mkdir(&tc, AT_FDCWD, name, 0755); }
static inline int t_symlink(const char *to, const char *name) { return vfs_symlink(&tc, to, AT_FDCWD, name); }
static inline int t_unlink(const char *name) { return vfs_unlink(&tc, AT_FDCWD, name, false); }
static inline int t_rmdir(const char *name) { return vfs_unlink(&tc, AT_FDCWD, name, true); }
static inline int t_rename(const char *a, const char *b, u32 flags)
{
	return vfs_rename(&tc, AT_FDCWD, a, AT_FDCWD, b, flags);
}
static inline int t_link(const char *a, const char *b) { return vfs_link(&tc, AT_FDCWD, a, AT_FDCWD, b, 0); }
static inline int t_stat(const char *name, struct kstat *st) { return vfs_stat(&tc, AT_FDCWD, name, 0, st); }
static inline int t_lstat(const char *name, struct kstat *st)
{
	return vfs_stat(&tc, AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, st);
}
static inline int t_exists(const char *name)
{
	struct kstat st;

	return t_lstat(name, &st);
}
static inline int t_chdir(const char *name)
{
	struct path p;
	int err = vfs_walk(&tc, AT_FDCWD, name, WALK_FOLLOW, &p);

	if (err)
		return err;
	err = vfs_chdir(&tc, &p);
	path_put(&p);
	return err;
}
static inline i64 t_pwrite(int fd, const void *buf, u64 n, u64 pos)
{
	AUTO_FD r = fd_borrow(tc.fds, fd, false);
	struct uio u;

	uio_init_kernel(&u, (void *)buf, n);
	return r.file ? file_write(r.file, &u, &pos) : -EBADF;
}
static inline i64 t_pread(int fd, void *buf, u64 n, u64 pos)
{
	AUTO_FD r = fd_borrow(tc.fds, fd, false);
	struct uio u;

	uio_init_kernel(&u, buf, n);
	return r.file ? file_read(r.file, &u, &pos) : -EBADF;
}
static inline struct file *t_file(int fd) { return tc.fds->files[fd]; }
static inline void t_spit(const char *name, const char *text)
{
	int fd = t_open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(fd >= 0);
	CHECK_EQ(t_pwrite(fd, text, strlen(text), 0), (i64)strlen(text));
	CHECK_EQ(t_close(fd), 0);
}
static inline const char *t_slurp(const char *name)
{
	static char buf[4096];
	int fd = t_open(name, O_RDONLY, 0);
	i64 n = fd < 0 ? 0 : t_pread(fd, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = 0;
	if (fd >= 0)
		CHECK_EQ(t_close(fd), 0);
	return fd < 0 ? "(absent)" : buf;
}
