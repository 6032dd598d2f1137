/*
 * Open files, descriptor tables, poll.
 *
 * A file is an open file description, shared by dup and fork.  pos is guarded
 * by pos_lock for seekable files.  A descriptor table is shared by CLONE_FILES;
 * lookups of a table with one user take no lock and no atomic reference
 * (fd_get/fd_put hide that).
 */
#pragma once

#include <sched/wait.h>
#include <vfs/vnode.h>

#define O_ACCMODE   3u
#define O_RDONLY    0u
#define O_WRONLY    1u
#define O_RDWR	    2u
#define O_CREAT	    0100u
#define O_EXCL	    0200u
#define O_NOCTTY    0400u
#define O_TRUNC	    01000u
#define O_APPEND    02000u
#define O_NONBLOCK  04000u
#define O_DSYNC	    010000u
#define FASYNC	    020000u
#define O_DIRECT    040000u
#define O_LARGEFILE 0100000u
#define O_DIRECTORY 0200000u
#define O_NOFOLLOW  0400000u
#define O_NOATIME   01000000u
#define O_CLOEXEC   02000000u
#define O_SYNC	    (04000000u | O_DSYNC)
#define O_PATH	    010000000u
#define O_TMPFILE   (020000000u | O_DIRECTORY)

#define SEEK_SET  0
#define SEEK_CUR  1
#define SEEK_END  2
#define SEEK_DATA 3
#define SEEK_HOLE 4

#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8

struct area;
struct map_request;
struct poll_table;
struct seq;

struct dir_sink {		/* readdir target: emit returns false when full */
	bool (*emit)(struct dir_sink *s, const char *name, u32 len, u64 ino, u32 dtype, u64 next_cookie);
};

/* No lock is held on entry unless noted; ops take vn->lock themselves.  NULL op: the errno that Linux gives. */
struct file_ops {
	i64 (*read)(struct file *f, struct uio *dst, u64 *pos);		/* bytes or -errno; advances *pos */
	i64 (*write)(struct file *f, struct uio *src, u64 *pos);
	i64 (*lseek)(struct file *f, i64 off, int whence);		/* pos_lock held */
	int (*readdir)(struct file *f, struct dir_sink *s);		/* dir's vn->lock shared, pos_lock held; uses f->pos */
	u32 (*poll)(struct file *f, struct poll_table *pt);		/* POLL* bits now; registers queues if pt */
	i64 (*ioctl)(struct file *f, u32 cmd, u64 arg);
	int (*mmap)(struct file *f, struct map_request *rq);		/* sets rq->obj...; -ENODEV */
	int (*open)(struct vnode *vn, struct file *f);			/* after f is set up; may replace f->ops, f->priv */
	int (*flush)(struct file *f);					/* each close of a descriptor */
	int (*fsync)(struct file *f, bool data_only);
	int (*fallocate)(struct file *f, u32 mode, u64 off, u64 len);
	/* Optional: what read would copy, by reference (pagecache_borrow(), vm/object.h); advances *pos. */
	i64 (*borrow)(struct file *f, u64 *pos, u64 len, struct page **pages, u32 max);
	void (*show_fdinfo)(struct file *f, struct seq *s);
	void (*fasync)(struct file *f, bool on);
	void (*release)(struct file *f);				/* last reference; may sleep */
	bool unspliced;							/* splice and sendfile from it are -EINVAL */
};

#define FILE_READ     (1u << 0)
#define FILE_WRITE    (1u << 1)
#define FILE_PREAD    (1u << 2)		/* seekable: pread, pwrite, lseek */
#define FILE_PATH     (1u << 3)		/* O_PATH */
#define FILE_WRITER   (1u << 4)		/* counted in vnode.writers */
#define FILE_STREAM   (1u << 5)		/* no position (pipes, sockets, ttys) */
#define FILE_NOATIME  (1u << 6)
#define FILE_EXEC     (1u << 7)		/* holds vnode_deny_write(): a running program (proc/exec.c) */

struct file {
	u64 pos;			/* with the next, what the slab may use of a freed one (file.c) */
	const struct file_ops *ops;
	refcount_t refs;
	u32 mode;			/* FILE_*; const after open */
	u32 flags;			/* O_* status flags; lock to change */
	struct path path;		/* NULL path for anonymous files: then name is used */
	struct vnode *vnode;		/* path.dentry->vnode, or the anonymous vnode; reference */
	mutex_t pos_lock;		/* rank FILE_POS */
	spinlock_t lock;		/* rank FILE */
	void *priv;
	const char *anon_name;		/* "anon_inode:[eventfd]" for /proc/PID/fd */
	u32 owner_pid;			/* F_SETOWN: signed as in fcntl(2), stored as u32; owner_type */
	u32 owner_type;
	u32 owner_sig;
	u32 owner_uid, owner_euid;
	u32 nfasync;
	void *epolls;			/* epoll entries that watch it (ipc/epoll.c) */
	i32 async_fd;			/* descriptor that FASYNC was set through: si_fd; lock */
	struct list async_link;		/* fasync_list; its lock */
	u64 f_version;
	struct cred *cred;		/* opener's */
};

/* A file without a name: pipes, eventfd, epoll, sockets.  Takes over nothing; refs == 1.  NULL: no memory. */
MUST_USE struct file *file_create_anon(const struct file_ops *ops, const char *anon_name, u32 mode, u32 flags, void *priv);
/* As above on a given vnode (takes over its reference): pipes and sockets have an inode of their own. */
MUST_USE struct file *file_create_vnode(struct vnode *vn, const struct file_ops *ops, const char *anon_name, u32 mode, u32 flags, void *priv);
static inline struct file *file_get(struct file *f)
{
	ref_get(&f->refs);
	return f;
}
void file_put(struct file *f);		/* may sleep on the last */
DEFINE_AUTO(file, struct file *, file_put)

/* Checked entry points used by system calls, splice and the kernel.  pos NULL: the file's own. */
MUST_USE i64 file_read(struct file *f, struct uio *dst, u64 *pos);
MUST_USE i64 file_write(struct file *f, struct uio *src, u64 *pos);
/* As file_read, but references on the pages in place of their bytes, the first page's from *pos on; for files with ops->borrow. */
MUST_USE i64 file_borrow(struct file *f, u64 *pos, u64 len, struct page **pages, u32 max);
MUST_USE i64 file_read_kernel(struct file *f, void *buf, u64 len, u64 pos);
MUST_USE i64 file_lseek(struct file *f, i64 off, int whence);
u32 file_poll(struct file *f, struct poll_table *pt);
i64 file_generic_lseek(struct file *f, i64 off, int whence, u64 eof);
/* mmap: rights of the descriptor and the mount, then ops->mmap.  rq->flags holds the wanted VM_*; fills obj, file,
 * VM_MAY*.  -EACCES, -EPERM (noexec mount, seals), -ENODEV. */
MUST_USE int file_mmap(struct file *f, struct map_request *rq);
MUST_USE int file_fsync(struct file *f, bool data_only);		/* -EINVAL: not something to sync */
MUST_USE int file_fallocate(struct file *f, u32 mode, u64 off, u64 len);
MUST_USE i64 file_ioctl(struct file *f, u32 cmd, u64 arg);		/* -ENOTTY */
MUST_USE int file_readdir(struct file *f, struct dir_sink *s);	/* -ENOTDIR, -ENOENT: removed directory */
/* Where f is; for files without a name an anonymous path is made at first use, so that /proc/PID/fd links can be
 * followed.  New references in *out.  -ENOMEM. */
MUST_USE int file_get_path(struct file *f, struct path *out);
/* F_SETFL: O_APPEND, O_NONBLOCK, O_NOATIME, O_DIRECT, FASYNC change; the rest is kept.  -EPERM, -EINVAL. */
MUST_USE int file_set_flags(struct file *f, u32 flags);
extern void (*file_epoll_hook)(struct file *f);	/* the last reference of a file with epolls went: set by ipc */
/*
 * Files that asked for signals (FASYNC) on one object: the object keeps the list,
 * its file_ops.fasync is fasync_set().  notify sends F_SETOWN's signal for each.
 * Context: threads; no spinlock held at notify.
 */
struct fasync_list {
	spinlock_t lock;		/* rank FILE */
	struct list files;
};
void fasync_init(struct fasync_list *l);
void fasync_set(struct fasync_list *l, struct file *f, bool on);
void fasync_notify_all(struct fasync_list *l, u32 band);
static inline void fasync_notify(struct fasync_list *l, u32 band)
{
	if (!list_empty(&l->files))
		fasync_notify_all(l, band);
}
void file_signal_owner(struct file *f, u32 band);	/* SIGIO / F_SETSIG by vfs_signal_hook */

/* Descriptor tables. */
struct fd_slot { struct file *file; };
struct fdtable {
	refcount_t refs;		/* users (CLONE_FILES) */
	spinlock_t lock;		/* rank FDTABLE: changes; reads when refs > 1 go through rcu */
	u32 size;			/* slots */
	struct file **files;		/* size entries */
	u64 *cloexec, *used;
	u32 next_hint;
};
#define FDTABLE_HARD_MAX (1u << 20)

MUST_USE struct fdtable *fdtable_create(void);
MUST_USE struct fdtable *fdtable_dup(struct fdtable *t);		/* fork */
struct fdtable *fdtable_get(struct fdtable *t);
u32 fdtable_count(struct fdtable *t);					/* open descriptors */
void fdtable_put(struct fdtable *t);					/* last: closes everything; sleeps */
/* New reference, or NULL: not open.  path_ok: O_PATH descriptors too. */
MUST_USE struct file *fdtable_file(struct fdtable *t, int fd, bool path_ok);
/* Borrow for the length of one system call: no atomic when the table has one user. */
struct fd_ref { struct file *file; bool owned; };
struct fd_ref fd_borrow_shared(struct fdtable *t, int fd, bool path_ok);
static inline struct fd_ref fd_borrow(struct fdtable *t, int fd, bool path_ok)
{
	struct file *f;

	if (unlikely(ref_read(&t->refs) > 1))
		return fd_borrow_shared(t, fd, path_ok);
	f = likely((u32)fd < t->size) ? t->files[fd] : NULL;
	if (f && unlikely(f->mode & FILE_PATH) && !path_ok)
		f = NULL;
	return (struct fd_ref){ f, false };
}
static inline void fd_return(struct fd_ref *r) { if (r->owned) file_put(r->file); }
#define AUTO_FD struct fd_ref __attribute__((cleanup(fd_return)))
/* Lowest free >= min.  The fd, -EMFILE (limit), -ENOMEM.  install consumes f whatever the result. */
MUST_USE int fdtable_install(struct fdtable *t, struct file *f, bool cloexec, u32 limit);
MUST_USE int fdtable_reserve(struct fdtable *t, u32 min, bool cloexec, u32 limit);
void fdtable_fill(struct fdtable *t, int fd, struct file *f);		/* consumes f */
void fdtable_unreserve(struct fdtable *t, int fd);
MUST_USE int fdtable_dup_to(struct fdtable *t, int from, int to, bool cloexec, u32 limit);	/* dup2 semantics */
MUST_USE int fdtable_close(struct fdtable *t, int fd);			/* flush result or -EBADF */
MUST_USE int fdtable_close_range(struct fdtable *t, u32 first, u32 last, bool cloexec_only);
void fdtable_close_on_exec(struct fdtable *t);
int fdtable_get_cloexec(struct fdtable *t, int fd);			/* 0, 1, -EBADF */
int fdtable_set_cloexec(struct fdtable *t, int fd, bool on);
int fdtable_next(struct fdtable *t, u32 from);				/* next open fd, or -1 */

/* poll: ops call poll_wait for each queue they may be woken on. */
struct poll_table {
	void (*add)(struct poll_table *pt, struct waitq *q);	/* NULL: only ask */
};
static inline void poll_wait(struct poll_table *pt, struct waitq *q)
{
	if (pt && pt->add)
		pt->add(pt, q);
}
#define POLLIN	   0x001u
#define POLLPRI	   0x002u
#define POLLOUT	   0x004u
#define POLLERR	   0x008u
#define POLLHUP	   0x010u
#define POLLNVAL   0x020u
#define POLLRDNORM 0x040u
#define POLLRDBAND 0x080u
#define POLLWRNORM 0x100u
#define POLLWRBAND 0x200u
#define POLLMSG	   0x400u
#define POLLRDHUP  0x2000u
