/*
 * The file system's objects.
 *
 * vnode:  one file of any kind (an inode in memory); owns its page cache.
 * dentry: a name in a directory; the tree of dentries is the name space.  For
 *	   memory file systems the dentries are the directory (pinned); others
 *	   are a cache filled by ops->lookup, negative entries included.
 * mount:  a file system's root placed over a dentry.
 * path:   (mount, dentry): where something is.
 *
 * Lifetimes: a dentry holds its parent and its vnode; a mount holds its root
 * dentry and the mountpoint; a path holds both.  vnode_put() of the last
 * reference calls ops->release; nlink == 0 then frees the data.
 * Locks: vn->lock (rank VNODE, sleeping): exclusive to change a directory or
 * to write and truncate a file, shared to look up, read and list.  Two vnodes:
 * parent before child, else by address (vnode_lock_two).  dentry fields: see each.
 */
#pragma once

#include <base/errno.h>
#include <core/rcu.h>
#include <vfs/cred.h>
#include <vm/object.h>

struct dentry;
struct file;
struct file_ops;
struct mount;
struct path;
struct superblock;
struct uio;
struct vnode;

struct timespec64 { i64 sec; u32 nsec; };

#define S_IFMT	 0170000u
#define S_IFSOCK 0140000u
#define S_IFLNK	 0120000u
#define S_IFREG	 0100000u
#define S_IFBLK	 0060000u
#define S_IFDIR	 0040000u
#define S_IFCHR	 0020000u
#define S_IFIFO	 0010000u
#define S_ISUID	 04000u
#define S_ISGID	 02000u
#define S_ISVTX	 01000u
#define S_ISREG(m)  (((m) & S_IFMT) == S_IFREG)
#define S_ISDIR(m)  (((m) & S_IFMT) == S_IFDIR)
#define S_ISCHR(m)  (((m) & S_IFMT) == S_IFCHR)
#define S_ISBLK(m)  (((m) & S_IFMT) == S_IFBLK)
#define S_ISFIFO(m) (((m) & S_IFMT) == S_IFIFO)
#define S_ISLNK(m)  (((m) & S_IFMT) == S_IFLNK)
#define S_ISSOCK(m) (((m) & S_IFMT) == S_IFSOCK)

#define MAY_EXEC  1u
#define MAY_WRITE 2u
#define MAY_READ  4u

/* Mount flags: of superblocks (the first row and MS_SYNCHRONOUS) and of mounts, as mount(2). */
#define MS_RDONLY	1u
#define MS_NOSUID	2u
#define MS_NODEV	4u
#define MS_NOEXEC	8u
#define MS_SYNCHRONOUS	16u
#define MS_REMOUNT	32u
#define MS_MANDLOCK	64u
#define MS_DIRSYNC	128u
#define MS_NOSYMFOLLOW	256u
#define MS_NOATIME	1024u
#define MS_NODIRATIME	2048u
#define MS_BIND		4096u
#define MS_MOVE		8192u
#define MS_REC		16384u
#define MS_SILENT	32768u
#define MS_UNBINDABLE	(1u << 17)
#define MS_PRIVATE	(1u << 18)
#define MS_SLAVE	(1u << 19)
#define MS_SHARED	(1u << 20)
#define MS_RELATIME	(1u << 21)
#define MS_STRICTATIME	(1u << 24)
#define MS_LAZYTIME	(1u << 25)
#define MNT_FORCE	1
#define MNT_DETACH	2
#define MNT_EXPIRE	4
#define UMOUNT_NOFOLLOW 8

#define RENAME_NOREPLACE 1u
#define RENAME_EXCHANGE	 2u
#define RENAME_WHITEOUT	 4u

struct vnode {
	refcount_t refs;
	u32 mode;			/* S_IF* | permissions; vn->lock to change */
	u32 uid, gid;
	u32 nlink;
	u64 ino;			/* const */
	u64 rdev;			/* const: device number of S_IFCHR, S_IFBLK */
	u64 blocks;			/* 512-byte units */
	struct timespec64 atime, mtime, ctime, btime;
	u32 flags;			/* VN_* atomic */
	struct superblock *sb;		/* const */
	const struct vnode_ops *ops;	/* const */
	const struct file_ops *fops;	/* const: what an open file of it does */
	rwlock_t lock;			/* rank VNODE */
	struct vm_object object;	/* S_ISREG: the page cache; object.size is the file size */
	u32 generation;			/* of the inode number, for statx and handles */
	u32 iversion;
	spinlock_t state_lock;		/* rank VNODE_STATE: writers, locks list, watches, pipe */
	i32 writers;			/* >0: open for write; <0: being executed (ETXTBSY).  state_lock */
	void *locks;			/* record locks and flocks (locks.c).  state_lock */
	void *watches;			/* inotify marks on it.  state_lock */
	void *pipe;			/* FIFO: struct pipe.  vn->lock */
	void *sock;			/* bound unix socket.  state_lock */
	void *xattrs;			/* xattr.c; vn->lock */
	void *exec_image;		/* cached parse result of exec (proc), dropped on content change.  state_lock */
	void *priv;			/* the file system's */
	/* S_IFLNK of memory file systems: the target, const, kmalloc'ed, freed with the struct (rcu).
	 * Set: path walk needs no readlink.  object.size is its length. */
	char *link_text;
	u32 seals;			/* F_SEAL_*, memfd; vn->lock */
	struct rcu_head rcu;
};

#define VN_IMMUTABLE (1u << 0)		/* content comes from the initramfs archive and was never changed */
#define VN_NOATIME   (1u << 1)
#define VN_APPEND    (1u << 2)
#define VN_LINKABLE  (1u << 3)		/* O_TMPFILE: may be linked although nlink == 0 */
#define VN_COUNTED   (1u << 4)		/* counts in sb->used_inodes */

struct vnode_attr {			/* for setattr: which fields count */
	u32 valid;
	u32 mode, uid, gid;
	u64 size;
	struct timespec64 atime, mtime, ctime;
};
#define ATTR_MODE  (1u << 0)
#define ATTR_UID   (1u << 1)
#define ATTR_GID   (1u << 2)
#define ATTR_SIZE  (1u << 3)
#define ATTR_ATIME (1u << 4)
#define ATTR_MTIME (1u << 5)
#define ATTR_CTIME (1u << 6)

struct kstat {
	u64 dev, ino, rdev, size, blocks, attributes, mnt_id;
	u32 mode, nlink, uid, gid, blksize;
	struct timespec64 atime, mtime, ctime, btime;
};

/* The lock column is the contract; vfs wrappers assert it.  A missing op means -EOPNOTSUPP / -EPERM as fits. */
struct vnode_ops {
	/* dir shared.  NULL: the dentries are the directory (memory and static synthetic file systems: a child that
	 * is not cached does not exist, and new children are pinned).  Fills d with a vnode (dentry_instantiate) or leaves it negative.
	 * 0 or -errno; -ENOENT: it is not there and cannot be made, which mkdir and its kin return before anything else. */
	int (*lookup)(struct vnode *dir, struct dentry *d);
	/* dir exclusive.  d is negative; on success it has a vnode. */
	int (*create)(struct vnode *dir, struct dentry *d, u32 mode);
	int (*mkdir)(struct vnode *dir, struct dentry *d, u32 mode);
	int (*mknod)(struct vnode *dir, struct dentry *d, u32 mode, u64 rdev);
	int (*symlink)(struct vnode *dir, struct dentry *d, const char *target);
	/* dir and vn exclusive. */
	int (*link)(struct vnode *vn, struct vnode *dir, struct dentry *d);
	int (*unlink)(struct vnode *dir, struct dentry *d);
	int (*rmdir)(struct vnode *dir, struct dentry *d);
	/* Both directories (and victim) exclusive.  flags: RENAME_NOREPLACE, EXCHANGE checked by vfs. */
	int (*rename)(struct vnode *od, struct dentry *o, struct vnode *nd, struct dentry *n, u32 flags);
	int (*tmpfile)(struct vnode *dir, u32 mode, struct vnode **out);
	/* vn exclusive. */
	int (*setattr)(struct vnode *vn, const struct vnode_attr *a);
	/* shared. */
	int (*getattr)(struct vnode *vn, struct kstat *st);
	/* no lock, may sleep.  Text into buf, not terminated: its length or -errno. */
	i64 (*readlink)(struct vnode *vn, char *buf, usize size);
	/* Magic links of /proc: the place itself.  New references in *out. */
	int (*follow)(struct vnode *vn, struct path *out);
	/* Is a cached dentry still right?  No lock.  NULL: always.  Asked of d's own vnode, of the directory's
	 * when d is negative. */
	bool (*revalidate)(struct dentry *d);
	/* Extra permission check after the mode bits.  NULL: none. */
	int (*permission)(struct vnode *vn, u32 want);
	/* no lock, last reference gone.  Must not fail.  May sleep. */
	void (*release)(struct vnode *vn);
};

struct superblock {
	refcount_t refs;		/* mounts; at 0 the tree is dropped */
	refcount_t holders;		/* the above together, and each vnode: at 0 the struct goes */
	const struct fs_type *type;
	u64 dev;			/* st_dev; const */
	u64 magic;			/* statfs f_type */
	u32 block_size;
	u32 flags;			/* MS_RDONLY, MS_NOSUID, ...: as mount(2) */
	u64 max_bytes;
	struct dentry *root;
	atomic64_t next_ino;
	atomic64_t used_blocks, used_inodes;	/* tmpfs quota, in pages and inodes */
	u64 max_blocks, max_inodes;		/* 0: none */
	spinlock_t lock;		/* rank FS_PRIV: the file system's own use */
	atomic_t writers;		/* files open for writing and changes under way: a remount read-only is EBUSY */
	void *priv;
	struct rcu_head rcu;
	char options[128];		/* as /proc/mounts shows them, without the flags */
};

struct kstatfs { u64 type, bsize, blocks, bfree, bavail, files, ffree, fsid, namelen, frsize, flags; };

struct fs_type {
	const char *name;
	bool nodev;
	bool cache_negative;		/* absent names may be remembered: every change goes through this kernel's vfs */
	/* May sleep.  options: mount data as text or NULL.  *out has one reference and a root dentry. */
	int (*mount)(const struct fs_type *t, const char *source, u32 flags, const char *options, struct superblock **out);
	void (*unmount)(struct superblock *sb);		/* last reference */
	int (*statfs)(struct superblock *sb, struct kstatfs *st);
	int (*remount)(struct superblock *sb, u32 flags, const char *options);
	struct list link;
};
void fs_register(struct fs_type *t);
struct fs_type *fs_find(const char *name);
struct fs_type *fs_at(u32 i);			/* /proc/filesystems */
MUST_USE struct superblock *superblock_create(const struct fs_type *t, u32 flags);	/* device number assigned */
void superblock_put(struct superblock *sb);

struct path { struct mount *mnt; struct dentry *dentry; };
static inline bool path_is_null(const struct path *p) { return !p->dentry; }
void path_get(const struct path *p);
void path_put(struct path *p);			/* clears it; NULL path harmless */

/* A new vnode of sb: refs == 1, locks ready, times now, ino assigned (0) or given.  NULL: no memory. */
MUST_USE struct vnode *vnode_create(struct superblock *sb, u64 ino, u32 mode, const struct vnode_ops *ops, const struct file_ops *fops);
struct vnode *vnode_get(struct vnode *vn);
/* Owner, group and mode of a new child of dir by the caller's identity and dir's setgid bit (dir NULL: none). */
void vnode_init_owner(struct vnode *vn, const struct vnode *dir, u32 mode);
/* mode bits, owner, times and size 0..: what most setattr ops end with.  vn exclusive. */
void vnode_apply_attr(struct vnode *vn, const struct vnode_attr *a);
void vnode_put(struct vnode *vn);
void vnode_touch(struct vnode *vn, u32 which);	/* ATTR_ATIME | MTIME | CTIME := now */
void vnode_lock_two(struct vnode *a, struct vnode *b) ACQUIRES(&a->lock, &b->lock);
void vnode_unlock_two(struct vnode *a, struct vnode *b) RELEASES(&a->lock, &b->lock);
/* Counted openness for ETXTBSY: 0 or -ETXTBSY. */
MUST_USE int vnode_deny_write(struct vnode *vn);
void vnode_allow_write(struct vnode *vn);
MUST_USE int vnode_get_write(struct vnode *vn);
void vnode_put_write(struct vnode *vn);
DEFINE_AUTO(vnode, struct vnode *, vnode_put)

#define NAME_MAX 255
#define PATH_MAX 4096
#define SYMLINK_MAX_FOLLOW 40

struct dentry {
	refcount_t refs;		/* being hashed counts one; a child counts one on its parent */
	u32 hash;			/* of (parent, name) */
	struct dentry *hash_next;	/* bucket; dcache lock, rcu to read */
	struct dentry *parent;		/* itself at a root; dcache lock + walk sequence to change, rcu to read */
	struct vnode *vnode;		/* NULL: negative; set once */
	char *name;			/* short_name, or kmalloc'ed; dcache lock + walk sequence to change */
	u32 name_len;
	u32 flags;			/* DN_*, atomic */
	char short_name[32];
	struct list children;		/* dcache lock; newest first, in falling order of cookie */
	struct list sibling;
	u64 cookie;			/* position for getdents64: unique in the directory, grows */
	u64 next_cookie;		/* for the next child; dcache lock */
	u32 nchildren;			/* positive ones; dcache lock */
	u32 nmounts;			/* mounts on it; MOUNT_NS */
	struct list lru;		/* dcache lock: those that memory pressure may drop */
	void *priv;			/* the file system's */
	struct rcu_head rcu;
};
#define DN_PINNED   (1u << 0)		/* not a cache entry: stays until unlinked */
#define DN_UNHASHED (1u << 1)		/* removed or never linked: " (deleted)" in names */
#define DN_MOUNTED  (1u << 2)
#define DN_USED	    (1u << 3)		/* looked up since the shrinker last passed */
#define DN_ANON	    (1u << 4)		/* no tree: pipes, sockets, memfd; name is shown as it is */

/* Copies the name as it is now (NUL-terminated) into buf of NAME_MAX + 1 bytes. */
void dentry_name_copy(struct dentry *d, char *buf);
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
MUST_USE struct dentry *dentry_create(struct dentry *parent, const char *name, u32 len);	/* unhashed, negative; NULL: no memory */
MUST_USE struct dentry *dentry_create_root(struct vnode *vn);	/* takes over the vnode reference */
void dentry_instantiate(struct dentry *d, struct vnode *vn);	/* takes over the reference */
void dentry_hash_add(struct dentry *d);				/* visible to lookup, on the parent's children */
void dentry_unhash(struct dentry *d);
void dentry_prune(struct dentry *top);		/* forgets top and everything cached below it */
/* Cached child: new reference or NULL (not known).  No lock needed. */
MUST_USE struct dentry *dentry_lookup_cached(struct dentry *parent, const char *name, u32 len);
/* For memory and synthetic file systems: a hashed, pinned child with this vnode (reference taken over).  -ENOMEM, -EEXIST. */
MUST_USE int dentry_add_child(struct dentry *parent, const char *name, struct vnode *vn, struct dentry **out);
DEFINE_AUTO(dentry, struct dentry *, dentry_put)
