/*
 * Open files: life, reading and writing, position, poll.
 *
 * Descriptor tables are read without a lock, yet a struct file is freed at once:
 * its cache is stable (mem/slab.h), and a free one has no references.  So
 * fdtable_file(), which takes a reference on what the slot held a moment ago, may get
 * another file's and finds that out by a second look.  Such a reference is only
 * given back: at worst a file has a user more for a moment.  pos_lock is taken only when the file has more than one reference:
 * with one, the running system call is the only user.
 */
#include "vfs_private.h"
#include <vm/aspace.h>

static struct slab_cache *file_cache;
static struct vnode *anon_vnode;	/* of eventfd, epoll and their kin */

void (*vfs_signal_hook)(struct file *f, u32 band);
void (*vfs_sigpipe_hook)(void);
void (*vfs_sigxfsz_hook)(void);
void (*file_epoll_hook)(struct file *f);

struct file *file_alloc(void)
{
	struct file *f = slab_zalloc(file_cache);

	if (!f)
		return NULL;
	ref_init(&f->refs);
	mutex_init(&f->pos_lock, LR_FILE_POS);
	spin_init(&f->lock, LR_FILE);
	list_init(&f->async_link);
	return f;
}

struct file *file_create_vnode(struct vnode *vn, const struct file_ops *ops, const char *anon_name, u32 mode, u32 flags, void *priv)
{
	struct file *f = file_alloc();

	if (!f)
		return NULL;
	f->vnode = vn;
	f->ops = ops;
	f->anon_name = anon_name;
	f->mode = mode;
	f->flags = flags & ~O_CLOEXEC;
	f->priv = priv;
	f->cred = cred_get(caller_cred(vfs_self()));
	return f;
}

struct file *file_create_anon(const struct file_ops *ops, const char *anon_name, u32 mode, u32 flags, void *priv)
{
	struct file *f = file_create_vnode(anon_vnode, ops, anon_name, mode, flags, priv);

	if (f)
		vnode_get(anon_vnode);
	return f;
}

static void file_destroy(struct file *f)
{
	struct vnode *vn = f->vnode;

	if (vn && !(f->mode & FILE_PATH)) {
		notify(vn, f->path.dentry, f->mode & FILE_WRITE ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE, 0, NULL);
		if (vn->locks)
			file_locks_release(f);
	}
	if (f->epolls && file_epoll_hook)
		file_epoll_hook(f);
	if (f->nfasync && f->ops && f->ops->fasync)
		f->ops->fasync(f, false);
	if (f->ops && f->ops->release)
		f->ops->release(f);
	if (f->mode & FILE_WRITER) {
		vnode_put_write(vn);
		mount_write_end(f->path.mnt);
	}
	if (f->mode & FILE_EXEC)
		vnode_allow_write(vn);
	if (vn)
		vnode_put(vn);
	path_put(&f->path);
	if (f->cred)
		cred_put(f->cred);
	slab_free(file_cache, f);
}

void file_put(struct file *f)
{
	if (ref_put(&f->refs))
		file_destroy(f);
}

int file_get_path(struct file *f, struct path *out)
{
	struct dentry *d;

	if (f->path.dentry) {
		*out = f->path;
		path_get(out);
		return 0;
	}
	if (!f->vnode)
		return -ENOENT;
	d = dentry_create_anon(vnode_get(f->vnode), f->anon_name ? f->anon_name : "anon_inode:");
	if (!d)
		return -ENOMEM;
	out->mnt = mount_get(anon_mount);
	out->dentry = d;
	return 0;
}

/* The caller has the only reference, which is as good as the lock. */
static inline bool pos_is_ours(const struct file *f) { return likely(ref_read(&f->refs) == 1); }

/* False: not locked, as the position is the caller's anyway.  pos_end() ends either. */
static bool pos_begin(struct file *f) ACQUIRES(&f->pos_lock) NO_LOCK_ANALYSIS
{
	if (pos_is_ours(f))
		return false;
	mutex_lock(&f->pos_lock);
	return true;
}

static void pos_end(struct file *f, bool locked) RELEASES(&f->pos_lock) NO_LOCK_ANALYSIS
{
	if (locked)
		mutex_unlock(&f->pos_lock);
}

static NOINLINE i64 read_at_locked_pos(struct file *f, struct uio *dst)
{
	i64 n;

	mutex_lock(&f->pos_lock);
	n = f->ops->read(f, dst, &f->pos);
	mutex_unlock(&f->pos_lock);
	return n;
}

static inline i64 read_at_own_pos(struct file *f, struct uio *dst)
{
	if (f->mode & FILE_STREAM)
		return f->ops->read(f, dst, &dst->no_pos);
	return pos_is_ours(f) ? f->ops->read(f, dst, &f->pos) : read_at_locked_pos(f, dst);
}

static inline void count_io(u64 *bytes, u64 *calls, i64 n)
{
	++*calls;
	if (n > 0)
		*bytes += (u64)n;
}

/* What is wrong with moving bytes at pos (NULL: the file's own position), in the order in which Linux looks. */
static NOINLINE i64 io_refused(const struct file *f, u32 need, bool has_op, const u64 *pos)
{
	if (!(f->mode & need))
		return -EBADF;
	if (!has_op)
		return need == FILE_READ && S_ISDIR(f->vnode->mode) ? -EISDIR : -EINVAL;
	if (pos && !(f->mode & FILE_PREAD))
		return -ESPIPE;
	return -EINVAL;			/* a negative position */
}

static inline bool pos_is_good(const struct file *f, const u64 *pos)
{
	return !pos || (f->mode & FILE_PREAD && (i64)*pos >= 0);
}

i64 file_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct vfs_caller *c = vfs_self();
	i64 n;

	if (unlikely(!(f->mode & FILE_READ) || !f->ops->read || !pos_is_good(f, pos)))
		return io_refused(f, FILE_READ, f->ops && f->ops->read, pos);
	n = pos ? f->ops->read(f, dst, pos) : read_at_own_pos(f, dst);
	if (c)
		count_io(&c->io.rchar, &c->io.syscr, n);
	if (n > 0)
		notify(f->vnode, f->path.dentry, IN_ACCESS, 0, NULL);
	return n;
}

i64 file_borrow(struct file *f, u64 *pos, u64 len, struct page **pages, u32 max)
{
	struct vfs_caller *c = vfs_self();
	i64 n;

	if (unlikely(!(f->mode & FILE_READ) || !pos_is_good(f, pos)))
		return io_refused(f, FILE_READ, true, pos);
	n = f->ops->borrow(f, pos, len, pages, max);
	if (c)
		count_io(&c->io.rchar, &c->io.syscr, n);
	if (n > 0)
		notify(f->vnode, f->path.dentry, IN_ACCESS, 0, NULL);
	return n;
}

static NOINLINE i64 write_at_locked_pos(struct file *f, struct uio *src)
{
	i64 n;

	mutex_lock(&f->pos_lock);
	n = f->ops->write(f, src, &f->pos);
	mutex_unlock(&f->pos_lock);
	return n;
}

static inline i64 write_at_own_pos(struct file *f, struct uio *src)
{
	if (f->mode & FILE_STREAM)
		return f->ops->write(f, src, &src->no_pos);
	return pos_is_ours(f) ? f->ops->write(f, src, &f->pos) : write_at_locked_pos(f, src);
}

i64 file_write(struct file *f, struct uio *src, u64 *pos)
{
	struct vfs_caller *c = vfs_self();
	i64 n;

	if (unlikely(!(f->mode & FILE_WRITE) || !f->ops->write || !pos_is_good(f, pos)))
		return io_refused(f, FILE_WRITE, f->ops && f->ops->write, pos);
	n = pos ? f->ops->write(f, src, pos) : write_at_own_pos(f, src);
	if (c)
		count_io(&c->io.wchar, &c->io.syscw, n);
	if (n > 0)
		notify(f->vnode, f->path.dentry, IN_MODIFY, 0, NULL);
	return n;
}

i64 file_read_kernel(struct file *f, void *buf, u64 len, u64 pos)
{
	struct uio u;

	if (!f->ops || !f->ops->read)
		return -EINVAL;
	uio_init_kernel(&u, buf, len);
	return f->ops->read(f, &u, &pos);
}

i64 file_generic_lseek(struct file *f, i64 off, int whence, u64 eof)
{
	i64 base = 0;

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = (i64)f->pos;
		break;
	case SEEK_END:
		base = (i64)eof;
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if ((u64)off >= eof)
			return -ENXIO;
		if (whence == SEEK_HOLE)
			off = (i64)eof;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, off, &off))
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	f->pos = (u64)off;
	return off;
}

i64 file_lseek(struct file *f, i64 off, int whence)
{
	bool locked;
	i64 r;

	if (whence < SEEK_SET || whence > SEEK_HOLE)
		return -EINVAL;
	if ((f->mode & FILE_STREAM) || !(f->mode & FILE_PREAD))
		return -ESPIPE;
	locked = pos_begin(f);
	r = f->ops->lseek ? f->ops->lseek(f, off, whence) : file_generic_lseek(f, off, whence, f->vnode->object.size);
	pos_end(f, locked);
	return r;
}

u32 file_poll(struct file *f, struct poll_table *pt)
{
	if (!f->ops || !f->ops->poll)
		return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
	return f->ops->poll(f, pt);
}

void file_signal_owner(struct file *f, u32 band)
{
	if (f->nfasync && f->owner_pid && vfs_signal_hook)
		vfs_signal_hook(f, band);
}

i64 file_ioctl(struct file *f, u32 cmd, u64 arg)
{
	return f->ops && f->ops->ioctl ? f->ops->ioctl(f, cmd, arg) : -ENOTTY;
}

int file_fsync(struct file *f, bool data_only)
{
	if (!f->ops)
		return -EBADF;
	if (f->ops->fsync)
		return f->ops->fsync(f, data_only);
	return -EINVAL;
}

int file_readdir(struct file *f, struct dir_sink *s)
{
	struct vnode *vn = f->vnode;
	bool locked;
	int err;

	if (!f->ops || !f->ops->readdir)
		return -ENOTDIR;
	locked = pos_begin(f);
	rwlock_read(&vn->lock);
	err = f->path.dentry && dentry_unhashed(f->path.dentry) ? -ENOENT : f->ops->readdir(f, s);
	rwlock_read_end(&vn->lock);
	if (!err)
		vnode_access(f->mode & FILE_NOATIME ? NULL : f->path.mnt, vn);
	pos_end(f, locked);
	return err;
}

#define FALLOC_KEEP_SIZE  1u
#define FALLOC_PUNCH_HOLE 2u
#define FALLOC_COLLAPSE	  8u
#define FALLOC_ZERO	  0x10u
#define FALLOC_INSERT	  0x20u
#define FALLOC_UNSHARE	  0x40u
#define FALLOC_ALL (FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE | FALLOC_COLLAPSE | FALLOC_ZERO | FALLOC_INSERT | FALLOC_UNSHARE)

static int fallocate_mode(u32 mode)
{
	if (mode & ~FALLOC_ALL)
		return -EOPNOTSUPP;
	if ((mode & (FALLOC_PUNCH_HOLE | FALLOC_ZERO)) == (FALLOC_PUNCH_HOLE | FALLOC_ZERO))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_PUNCH_HOLE) && !(mode & FALLOC_KEEP_SIZE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_COLLAPSE) && (mode & ~FALLOC_COLLAPSE))
		return -EINVAL;
	if ((mode & FALLOC_INSERT) && (mode & ~FALLOC_INSERT))
		return -EINVAL;
	return 0;
}

int file_fallocate(struct file *f, u32 mode, u64 off, u64 len)
{
	struct vnode *vn = f->vnode;
	int err;

	if ((i64)off < 0 || (i64)len <= 0)
		return -EINVAL;
	err = fallocate_mode(mode);
	if (err)
		return err;
	if (!(f->mode & FILE_WRITE))
		return -EBADF;
	if ((mode & ~FALLOC_KEEP_SIZE) && (vn->flags & VN_APPEND))
		return -EPERM;
	if (S_ISFIFO(vn->mode))
		return -ESPIPE;
	if (S_ISDIR(vn->mode))
		return -EISDIR;
	if (!S_ISREG(vn->mode) && !S_ISBLK(vn->mode))
		return -ENODEV;
	if (off + len > vn->sb->max_bytes || (i64)(off + len) < 0)
		return -EFBIG;
	if (!f->ops->fallocate)
		return -EOPNOTSUPP;
	err = f->ops->fallocate(f, mode, off, len);
	if (!err)
		notify(vn, f->path.dentry, IN_MODIFY, 0, NULL);
	return err;
}

int file_mmap(struct file *f, struct map_request *rq)
{
	bool shared = rq->flags & VM_SHARED;
	u32 may = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;

	if (!(f->mode & FILE_READ))
		return -EACCES;
	if (shared && (rq->flags & VM_WRITE)) {
		if (!(f->mode & FILE_WRITE))
			return -EACCES;
		if (f->vnode->flags & VN_APPEND)
			return -EACCES;
	}
	if (shared && !(f->mode & FILE_WRITE))
		may &= ~VM_MAYWRITE;
	if (f->path.mnt && (f->path.mnt->flags & MS_NOEXEC)) {
		if (rq->flags & VM_EXEC)
			return -EPERM;
		may &= ~VM_MAYEXEC;
	}
	if (!f->ops->mmap)
		return -ENODEV;
	rq->flags = (rq->flags & ~(VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC)) | may;
	rq->file = f;
	return f->ops->mmap(f, rq);
}

#define SETTABLE (O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | FASYNC)

int file_set_flags(struct file *f, u32 flags)
{
	bool was, is = flags & FASYNC;

	if ((f->vnode->flags & VN_APPEND) && !(flags & O_APPEND) && (f->flags & O_APPEND))
		return -EPERM;
	if ((flags & O_NOATIME) && !(f->flags & O_NOATIME) && !caller_owns(caller_cred(vfs_self()), f->vnode))
		return -EPERM;
	spin_lock(&f->lock);
	was = f->flags & FASYNC;
	f->flags = (f->flags & ~SETTABLE) | (flags & SETTABLE);
	if (!f->ops || !f->ops->fasync)
		f->flags &= ~FASYNC;
	f->mode = flags & O_NOATIME ? f->mode | FILE_NOATIME : f->mode & ~FILE_NOATIME;
	spin_unlock(&f->lock);
	if (was != is && f->ops && f->ops->fasync) {
		f->nfasync = is;
		f->ops->fasync(f, is);
	}
	return 0;
}

static void area_file_get(void *file)
{
	(void)file_get(file);
}

static void area_file_put(void *file)
{
	file_put(file);
}

void file_init(void)
{
	_Static_assert(offsetof(struct file, refs) >= SLAB_STABLE_HEAD, "left alone while it is free");
	file_cache = slab_cache_create_stable("file", sizeof(struct file), 64);
	anon_vnode = vnode_create(anon_sb, 0, 0600, NULL, NULL);
	VERIFY(anon_vnode);
	vm_file_hooks = (struct vm_file_hooks){ area_file_get, area_file_put };
}
