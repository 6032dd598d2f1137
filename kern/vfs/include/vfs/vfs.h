/*
 * Operations on names and files, as the system calls need them.
 * All may sleep.  Paths are kernel strings (struct pathbuf from user memory).
 */
#pragma once

#include <vfs/file.h>

/* Root and working directory, shared by CLONE_FS. */
struct fs_view {
	refcount_t refs;
	spinlock_t lock;		/* rank FILE: root, cwd */
	struct path root, cwd;
	u32 umask;			/* atomic */
};
/* What a task moved by read and write calls: bytes and calls (/proc/PID/io).  Its own to change. */
struct io_counts { u64 rchar, wchar, syscr, syscw; };
/* Who asks.  Embedded in proc's task; thread.vfs_caller points to it. */
struct vfs_caller {
	struct fs_view *fs;
	struct fdtable *fds;
	const struct cred *cred;	/* the task's own; replaced only by itself */
	u64 fsize_limit;		/* RLIMIT_FSIZE */
	u64 nofile_limit;
	u32 pid, tgid;
	struct io_counts io;
};
static inline struct vfs_caller *vfs_self(void) { return thread_current()->vfs_caller; }

MUST_USE struct fs_view *fs_view_create(void);
MUST_USE struct fs_view *fs_view_dup(struct fs_view *v);
struct fs_view *fs_view_get(struct fs_view *v);
void fs_view_put(struct fs_view *v);
void fs_view_root(struct fs_view *v, struct path *out);		/* new references */
void fs_view_cwd(struct fs_view *v, struct path *out);

/* Names from user memory: one page-sized buffer from a cache. */
struct pathbuf { u32 len; char text[]; };
MUST_USE int pathbuf_from_user(uptr_t p, struct pathbuf **out);	/* -EFAULT, -ENAMETOOLONG, -ENOMEM */
MUST_USE int pathbuf_from_kernel(const char *s, struct pathbuf **out);
void pathbuf_free(struct pathbuf *p);
DEFINE_AUTO(pathbuf, struct pathbuf *, pathbuf_free)

#define AT_FDCWD	    (-100)
#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_EACCESS	    0x200
#define AT_REMOVEDIR	    0x200
#define AT_SYMLINK_FOLLOW   0x400
#define AT_NO_AUTOMOUNT	    0x800
#define AT_EMPTY_PATH	    0x1000

#define WALK_FOLLOW    (1u << 0)	/* follow a symlink in the last component */
#define WALK_EMPTY     (1u << 1)	/* AT_EMPTY_PATH */
#define WALK_DIRECTORY (1u << 2)	/* last must be a directory */
#define WALK_NO_XDEV   (1u << 3)	/* openat2 RESOLVE_* */
#define WALK_NO_MAGIC  (1u << 4)
#define WALK_NO_SYMLINKS (1u << 5)
#define WALK_BENEATH   (1u << 6)
#define WALK_IN_ROOT   (1u << 7)
#define WALK_CACHED    (1u << 8)	/* RESOLVE_CACHED: -EAGAIN rather than sleep */
#define WALK_NEW       (1u << 9)	/* to a parent: -EEXIST if the last name is known to be there; it may be there without */
/* Resolves.  0 and references in *out, or -ENOENT -ENOTDIR -ELOOP -EACCES -ENAMETOOLONG -EBADF ... */
MUST_USE int vfs_walk(struct vfs_caller *c, int dfd, const char *name, u32 walk, struct path *out);
/* Parent directory + last component (for create, unlink): name points into the argument.  type: normal, dot, dotdot, root. */
MUST_USE int vfs_walk_parent(struct vfs_caller *c, int dfd, const char *name, u32 walk, struct path *parent, const char **last, u32 *len);

struct open_how_k { u32 flags; u32 mode; u32 walk; };		/* O_* as openat(2); 64-bit checks done by abi */
MUST_USE int vfs_open(struct vfs_caller *c, int dfd, const char *name, const struct open_how_k *how, struct file **out);
MUST_USE int vfs_open_path(struct vfs_caller *c, const struct path *p, u32 flags, struct file **out);
MUST_USE int vfs_mkdir(struct vfs_caller *c, int dfd, const char *name, u32 mode);
MUST_USE int vfs_mknod(struct vfs_caller *c, int dfd, const char *name, u32 mode, u64 rdev);
MUST_USE int vfs_symlink(struct vfs_caller *c, const char *target, int dfd, const char *name);
MUST_USE int vfs_link(struct vfs_caller *c, int odfd, const char *o, int ndfd, const char *n, int flags);
MUST_USE int vfs_unlink(struct vfs_caller *c, int dfd, const char *name, bool rmdir);
MUST_USE int vfs_rename(struct vfs_caller *c, int odfd, const char *o, int ndfd, const char *n, u32 flags);
MUST_USE i64 vfs_readlink(struct vfs_caller *c, int dfd, const char *name, struct uio *dst);	/* what fits */
MUST_USE int vfs_stat_path(const struct path *p, struct kstat *st);
MUST_USE int vfs_stat_file(struct file *f, struct kstat *st);
/* walk + stat + drop in one: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT. */
MUST_USE int vfs_stat(struct vfs_caller *c, int dfd, const char *name, int flags, struct kstat *st);
/* fchmod, fchown, futimens of files without a path. */
MUST_USE int vfs_setattr_file(struct vfs_caller *c, struct file *f, struct vnode_attr *a);
MUST_USE int vfs_access(struct vfs_caller *c, int dfd, const char *name, u32 mode, int flags);
MUST_USE int vfs_chmod(struct vfs_caller *c, const struct path *p, u32 mode);
MUST_USE int vfs_chown(struct vfs_caller *c, const struct path *p, u32 uid, u32 gid);
MUST_USE int vfs_utimes(struct vfs_caller *c, const struct path *p, const struct timespec64 t[2], const bool set[2], bool now_only);
MUST_USE int vfs_truncate(struct vfs_caller *c, const struct path *p, u64 size);
MUST_USE int vfs_ftruncate(struct vfs_caller *c, struct file *f, u64 size);
MUST_USE int vfs_chdir(struct vfs_caller *c, const struct path *p);	/* takes its own references */
MUST_USE int vfs_chroot(struct vfs_caller *c, const struct path *p);
/* MAY_READ 4, MAY_WRITE 2, MAY_EXEC 1 against the caller's fsuid and capabilities: 0, -EACCES, -EROFS. */
MUST_USE int vfs_permission(const struct cred *cr, const struct path *p, u32 want);
MUST_USE int vnode_permission(const struct cred *cr, struct vnode *vn, u32 want);
/* "/a/b", "(unreachable)..", " (deleted)".  Length without NUL or -ENAMETOOLONG.  relative to c's root. */
MUST_USE i64 vfs_path_text(struct vfs_caller *c, const struct path *p, char *buf, usize size);

/* The working directory; -ENOENT when it was removed. */
MUST_USE i64 vfs_getcwd(struct vfs_caller *c, char *buf, usize size);

/* Mounts.  One mount name space: the tree is global. */
struct mount {
	refcount_t refs;
	struct superblock *sb;
	struct dentry *root;		/* of this mount (a subtree for bind mounts) */
	struct path at;			/* parent mount and mountpoint */
	struct list link;		/* ns list, MOUNT_NS lock */
	struct list children, child_link;
	u32 id, flags;			/* MS_RDONLY etc. of the mount */
	char *source;
	bool detached;
	bool expiring;			/* MNT_EXPIRE came once and nobody used it since */
	atomic_t writers;		/* files open for writing and changes under way, through this mount */
	struct mount *hash_next;	/* by (at.mnt, at.dentry); MOUNT_NS, rcu to read */
	struct rcu_head rcu;
};
struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);
/* Brackets a change through a mount: 0 or -EROFS. */
MUST_USE int mount_write_begin(struct mount *m);
void mount_write_end(struct mount *m);
MUST_USE int vfs_statfs(const struct path *p, struct kstatfs *st);
MUST_USE int vfs_statfs_file(struct file *f, struct kstatfs *st);
extern u32 sysctl_mount_max;		/* mounts there can be: more are -ENOSPC */
MUST_USE int vfs_mount(struct vfs_caller *c, const char *source, const char *target, const char *type, u64 flags, const char *data);
MUST_USE int vfs_umount(struct vfs_caller *c, const char *target, int flags);
MUST_USE int vfs_pivot_root(struct vfs_caller *c, const char *new_root, const char *put_old);
MUST_USE int vfs_mount_root(const char *fstype, const char *options, struct path *out);		/* boot: the first root */
/* How often the tree of mounts has changed; registers for the next change (pt NULL: only asks). */
u32 vfs_mount_changes(struct poll_table *pt);
/* Calls fn for each mount in order with its mountpoint text; stops when fn returns false. */
void vfs_for_each_mount(struct vfs_caller *c, bool (*fn)(struct mount *m, const char *at, void *arg), void *arg);

void vfs_init(void);
/* Unpacks concatenated newc archives into the root (boot).  Files stay in the archive's RAM (zero copy) where aligned.
 * Returns 0, -ENOENT (no archive), -EINVAL (damaged: *why says what, at which offset). */
MUST_USE int initramfs_unpack(u64 phys, u64 size, const char **why, u64 *at);
/* Record and whole-file locks (locks.c). */
struct file_lock_req { u64 start, end; u32 type; u32 pid; bool ofd, wait; };	/* F_RDLCK.. ; end inclusive, ~0: to EOF */
MUST_USE int file_posix_lock(struct file *f, const struct file_lock_req *rq);
MUST_USE int file_posix_test(struct file *f, struct file_lock_req *rq);		/* F_GETLK */
MUST_USE int file_flock(struct file *f, u32 op);
void file_locks_close(struct file *f, const struct fdtable *owner);		/* at each close: POSIX rule */
void vfs_for_each_lock(bool (*fn)(u32 i, const char *line, void *arg), void *arg);	/* /proc/locks */
/* Extended attributes in memory (user., trusted., security., system.posix_acl_* refused). */
MUST_USE i64 vfs_getxattr(struct vfs_caller *c, struct vnode *vn, const char *name, void *buf, usize size);
MUST_USE int vfs_setxattr(struct vfs_caller *c, struct vnode *vn, const char *name, const void *val, usize size, int flags);
MUST_USE i64 vfs_listxattr(struct vfs_caller *c, struct vnode *vn, char *buf, usize size);
MUST_USE int vfs_removexattr(struct vfs_caller *c, struct vnode *vn, const char *name);
/*
 * inotify events.  Two shapes:
 *   name != NULL: something happened to the entry `name` of directory vn (CREATE, DELETE, MOVED_FROM, MOVED_TO);
 *		   only vn's watches are told, with the name.  d is the entry (may be NULL).
 *   name == NULL: something happened to vn itself (the rest); vn's watches are told, and, when d is not NULL and has a
 *		   parent, those of the directory that holds d, with d's name (not for DELETE_SELF, MOVE_SELF).
 * IN_ISDIR is in mask already.  No lock is held except, maybe, vnode locks.  The hook should return at once when
 * neither vnode has watches.
 */
#define IN_ACCESS 0x1u
#define IN_MODIFY 0x2u
#define IN_ATTRIB 0x4u
#define IN_CLOSE_WRITE 0x8u
#define IN_CLOSE_NOWRITE 0x10u
#define IN_OPEN 0x20u
#define IN_MOVED_FROM 0x40u
#define IN_MOVED_TO 0x80u
#define IN_CREATE 0x100u
#define IN_DELETE 0x200u
#define IN_DELETE_SELF 0x400u
#define IN_MOVE_SELF 0x800u
#define IN_ISDIR 0x40000000u
extern void (*vfs_notify_hook)(struct vnode *vn, struct dentry *d, u32 mask, u32 cookie, const char *name);	/* set by ipc */
static inline void vfs_notify(struct vnode *vn, struct dentry *d, u32 mask, u32 cookie, const char *name)
{
	if (vfs_notify_hook)
		vfs_notify_hook(vn, d, mask, cookie, name);
}
/* The vnode's last reference went while something watched it (IN_DELETE_SELF was sent when nlink was 0): drop the marks. */
extern void (*vfs_watch_drop_hook)(struct vnode *vn);
extern void (*vfs_signal_hook)(struct file *f, u32 band);	/* SIGIO: set by proc */
extern void (*vfs_sigpipe_hook)(void);				/* SIGPIPE to the current thread: set by proc */
extern void (*vfs_sigxfsz_hook)(void);

/* Character devices: dev registers by major and minor range. */
struct chardev {
	u32 major, minor, count;
	const char *name;
	const struct file_ops *ops;
	void *priv;
	u32 mode;
	struct list link;
};
void chardev_register(struct chardev *cd);
struct chardev *chardev_find(u64 rdev);
/* Calls fn for every device registered so far and for each later one (devtmpfs).  Set once, at boot. */
void chardev_watch(void (*fn)(struct chardev *cd));
static inline u64 dev_make(u32 major, u32 minor)
{
	return (u64)(minor & 0xff) | (u64)(major & 0xfff) << 8 | (u64)(minor & ~0xffu) << 12 | (u64)(major & ~0xfffu) << 32;
}
static inline u32 dev_major(u64 d) { return (d >> 8 & 0xfff) | (d >> 32 & ~0xfffu); }
static inline u32 dev_minor(u64 d) { return (d & 0xff) | (d >> 12 & ~0xffu); }

/* Text files whose content is made at open (proc, sys): vfs/seq.c. */
struct seq { char *buf; usize size, len; bool overflow; };
void seq_printf(struct seq *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void seq_write(struct seq *s, const void *p, usize n);
void seq_putc(struct seq *s, char c);
void seq_escape(struct seq *s, const char *text, const char *chars);	/* octal escapes, as /proc/mounts */
/* A read-only seekable text file: show is run at the first read and after a seek to 0 (buffer grows and show is retried). */
MUST_USE int seq_file_open(struct file *f, int (*show)(struct seq *s, void *arg), void *arg);
extern const struct file_ops seq_file_ops;

/*
 * Memory file systems (ramfs.c): tmpfs, ramfs and rootfs, and the parts that devfs, proc and pipes reuse.
 * vnodes made by ramfs_vnode() count in sb->used_inodes and obey max_inodes; their pages in used_blocks.
 */
extern const struct vnode_ops ramfs_dir_ops, ramfs_file_ops, ramfs_symlink_ops, ramfs_special_ops;
extern const struct file_ops ramfs_file_fops, ramfs_dir_fops, chardev_fops, fifo_fops;
/* A vnode of any kind with the ops above; owner by fsuid, setgid directories (dir may be NULL: root, 0:0). 0, -ENOSPC, -ENOMEM. */
MUST_USE int ramfs_vnode(struct superblock *sb, struct vnode *dir, u32 mode, u64 rdev, struct vnode **out);
MUST_USE int ramfs_symlink_vnode(struct superblock *sb, struct vnode *dir, const char *target, struct vnode **out);
/* A superblock with a root directory (mode) made of ramfs parts; t->unmount should be superblock_kill_tree. */
MUST_USE int ramfs_mount_simple(const struct fs_type *t, u32 flags, u32 mode, u64 magic, struct superblock **out);
void superblock_kill_tree(struct superblock *sb);	/* drops every pinned dentry: fs_type.unmount of memory file systems */
extern int (*fifo_open_hook)(struct vnode *vn, struct file *f);	/* set by ipc */

#define MFD_CLOEXEC	  1u
#define MFD_ALLOW_SEALING 2u
#define MFD_HUGETLB	  4u
#define MFD_HUGE_SHIFT	  26		/* log2 of the page size from here up; 0: the usual one */
#define MFD_HUGE_MASK	  0x3fu
#define F_SEAL_SEAL	    1u
#define F_SEAL_SHRINK	    2u
#define F_SEAL_GROW	    4u
#define F_SEAL_WRITE	    8u
#define F_SEAL_FUTURE_WRITE 16u
bool memfd_flags_valid(u32 flags);
MUST_USE int memfd_create_file(const char *name, u32 flags, struct file **out);	/* name without "memfd:".  -EINVAL, -ENODEV (page size), -ENOMEM */
bool file_is_hugetlb(const struct file *f);
MUST_USE int file_add_seals(struct file *f, u32 seals);	/* -EPERM, -EBUSY, -EINVAL (not a memfd or tmpfs file) */
MUST_USE int file_get_seals(struct file *f);

/* fs.protected_hardlinks, fs.protected_symlinks and their kin: /proc/sys values, Debian's defaults. */
extern u32 sysctl_protected_hardlinks, sysctl_protected_symlinks, sysctl_protected_fifos, sysctl_protected_regular;
/* What exec caches in vnode.exec_image is dropped through this when the content changes or the vnode dies.  Set by proc. */
extern void (*vfs_exec_image_drop)(void *image);
