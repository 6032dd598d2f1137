/*
 * Path walk.
 *
 * One engine in two modes.  rcu: positions are borrowed, nothing sleeps, no
 * counts change; the result gets its references at the end and counts only if
 * walk_seq stood still (errors included).  ref: each position is referenced,
 * lookups may sleep.  A walk starts in rcu mode and starts over in ref mode
 * when it meets something it cannot do (-ECHILD) or names moved meanwhile.
 *
 * Text: w->p is what is left of the current text; a symlink's text becomes
 * current and the rest of the outer one is pushed, unless nothing is left of
 * it, so a component is the last one iff its rest is empty and depth is 0.
 */
#include <core/trace.h>
#include "vfs_private.h"

/* New position; in ref mode the references on it pass to the walk. */
void walk_set_position(struct walk *w, struct mount *m, struct dentry *d)
{
	if (!w->rcu) {
		struct path old = { w->mnt, w->d };

		path_put(&old);
	}
	w->mnt = m;
	w->d = d;
}

void walk_set_position_copy(struct walk *w, struct mount *m, struct dentry *d)
{
	if (!w->rcu) {
		mount_get(m);
		dentry_get(d);
	}
	walk_set_position(w, m, d);
}

static void path_copy(const struct walk *w, const struct path *from, struct path *out)
{
	*out = *from;
	if (!w->rcu)
		path_get(out);
}

static NOINLINE void fs_path_locked(const struct walk *w, struct fs_view *v, const struct path *from, struct path *out)
{
	GUARD_SPIN(&v->lock);
	path_copy(w, from, out);
}

/* The caller's own root or directory: nobody else changes what only it has. */
static ALWAYS_INLINE void fs_path(const struct walk *w, const struct path *from, struct path *out)
{
	struct fs_view *v = w->caller ? w->caller->fs : NULL;

	if (w->rcu && (!v || ref_read(&v->refs) == 1))
		*out = *from;
	else if (v)
		fs_path_locked(w, v, from, out);
	else
		path_copy(w, from, out);
}

static int start_at_fd(struct walk *w, int dfd, struct path *out)
{
	AUTO_FD ref = { NULL, false };
	int err;

	if (!w->caller || !w->caller->fds)
		return -EBADF;
	ref = fd_borrow(w->caller->fds, dfd, true);
	if (!ref.file)
		return -EBADF;
	if (!w->rcu)
		return file_get_path(ref.file, out);
	err = path_is_null(&ref.file->path) || !ref.file->path.mnt ? -ECHILD : 0;
	*out = ref.file->path;		/* freed past rcu at the earliest */
	return err;
}

void walk_set_root(struct walk *w)
{
	struct path p;

	if (w->rooted)
		return;
	fs_path(w, w->caller ? &w->caller->fs->root : &ns_root, &p);
	w->root_mnt = p.mnt;
	w->root_d = p.dentry;
	w->rooted = true;
}

static int walk_start(struct walk *w, int dfd, const char *name)
{
	struct path p;
	int err;

	w->seq = walk_seq_read();
	w->mnt = w->root_mnt = NULL;
	w->d = w->root_d = NULL;
	w->rooted = false;
	w->need_dir = false;
	w->links = w->depth = 0;
	w->hold = 0;
	w->p = name;
	w->last = name;
	w->last_len = 0;
	w->last_type = LAST_ROOT;
	if (w->rcu && (w->seq & 1))
		return -ECHILD;
	if (!*name && !(w->flags & WALK_EMPTY))
		return -ENOENT;
	if (*name == '/' && !(w->flags & WALK_IN_ROOT)) {
		if (w->flags & WALK_BENEATH)
			return -EXDEV;
		walk_set_root(w);
		walk_set_position_copy(w, w->root_mnt, w->root_d);
		return 0;
	}
	if (dfd == AT_FDCWD) {
		fs_path(w, w->caller ? &w->caller->fs->cwd : &ns_root, &p);
	} else {
		err = start_at_fd(w, dfd, &p);
		if (err)
			return err;
	}
	w->mnt = p.mnt;
	w->d = p.dentry;
	if (w->flags & (WALK_BENEATH | WALK_IN_ROOT)) {
		if (!w->rcu)
			path_get(&p);
		w->root_mnt = p.mnt;
		w->root_d = p.dentry;
		w->rooted = true;
	}
	return 0;
}

void walk_end(struct walk *w)
{
	if (!w->rcu) {
		struct path p = { w->mnt, w->d }, r = { w->root_mnt, w->root_d };

		walk_hold_drop(w, w->hold);
		while (w->depth)
			walk_hold_drop(w, w->frames[--w->depth].hold);
		path_put(&p);
		path_put(&r);
	}
	w->hold = 0;
	w->mnt = w->root_mnt = NULL;
	w->d = w->root_d = NULL;
}

/* May the directory we stand in be searched? */
static int may_search(struct walk *w)
{
	struct vnode *vn = w->d->vnode;

	if (likely((vn->mode & (S_IFMT | 0111)) == (S_IFDIR | 0111) && !vn->ops->permission))
		return 0;
	if (!S_ISDIR(vn->mode))
		return -ENOTDIR;
	if (w->rcu && vn->ops->permission)
		return -ECHILD;
	return vnode_permission(w->cred, vn, MAY_EXEC);
}

/* Child of the current directory: borrowed (rcu) or referenced.  Never negative. */
static int find_child(struct walk *w, const char *name, u32 len, u32 hash, struct dentry **out)
{
	struct dentry *d;
	struct vnode *vn;
	int err;

	if (w->rcu) {
		d = dentry_find_rcu(w->d, name, len, hash);
		if (!d)
			return w->d->vnode->ops->lookup ? -ECHILD : -ENOENT;
		vn = load_acquire(&d->vnode);
		if (!vn)
			return w->d->vnode->ops->revalidate ? -ECHILD : -ENOENT;
		if (vn->ops->revalidate)
			return -ECHILD;
		if (!(d->flags & (DN_PINNED | DN_USED)))
			bits_set(&d->flags, DN_USED);
		*out = d;
		return 0;
	}
	if (w->flags & WALK_CACHED)
		return -EAGAIN;
	err = dentry_lookup(w->d, name, len, hash, &d);
	if (err)
		return err;
	if (!d->vnode) {
		dentry_put(d);
		return -ENOENT;
	}
	*out = d;
	return 0;
}

static NOINLINE int step_onto_slow(struct walk *w, struct dentry *child)
{
	struct mount *m = w->mnt;
	struct path p;

	if (!(child->flags & DN_MOUNTED)) {
		walk_set_position(w, mount_get(m), child);
		return 0;
	}
	if (w->rcu) {
		while (child->flags & DN_MOUNTED) {
			struct mount *c = mount_find_rcu(m, child);

			if (!c)
				break;
			m = c;
			child = c->root;
		}
		if (m != w->mnt && (w->flags & WALK_NO_XDEV))
			return -EXDEV;
		walk_set_position(w, m, child);
		return 0;
	}
	p = (struct path){ mount_get(m), child };
	path_follow_mounts(&p);
	if (p.mnt != w->mnt && (w->flags & WALK_NO_XDEV)) {
		path_put(&p);
		return -EXDEV;
	}
	walk_set_position(w, p.mnt, p.dentry);
	return 0;
}

static ALWAYS_INLINE int step_onto(struct walk *w, struct dentry *child)
{
	if (unlikely(!w->rcu || child->flags & DN_MOUNTED))
		return step_onto_slow(w, child);
	w->d = child;
	return 0;
}

/* The parent of a mount's root: false at the very top. */
static bool leave_mount(struct walk *w)
{
	struct path at;

	if (w->rcu) {
		at.mnt = load_acquire(&w->mnt->at.mnt);
		at.dentry = READ_ONCE(w->mnt->at.dentry);
		if (!at.mnt)
			return false;
	} else if (!mount_parent(w->mnt, &at)) {
		return false;
	}
	walk_set_position(w, at.mnt, at.dentry);
	return true;
}

static int step_up(struct walk *w)
{
	struct dentry *d;

	walk_set_root(w);
	for (;;) {
		if (w->d == w->root_d && w->mnt == w->root_mnt) {
			if (w->flags & WALK_BENEATH)
				return -EXDEV;
			break;
		}
		if (w->d != w->mnt->root) {
			d = w->rcu ? READ_ONCE(w->d->parent) : dentry_parent_get(w->d);
			return step_onto(w, d);
		}
		if (w->flags & WALK_NO_XDEV && w->mnt->at.mnt)
			return -EXDEV;
		if (!leave_mount(w))
			break;
	}
	if (!w->rcu)
		dentry_get(w->d);
	return step_onto(w, w->d);
}

static int step_down(struct walk *w, const char *name, u32 len, u32 hash, bool final)
{
	struct dentry *child;
	struct vnode *vn;
	int err = find_child(w, name, len, hash, &child);

	if (err)
		return err;
	vn = child->vnode;
	if (likely(!S_ISLNK(vn->mode) || (final && !(w->flags & WALK_FOLLOW) && !w->need_dir)))
		return step_onto(w, child);
	err = walk_follow_link(w, vn, final);
	if (!w->rcu)
		dentry_put(child);
	return err;
}

static void pop_text(struct walk *w)
{
	struct walk_frame *f = &w->frames[--w->depth];

	walk_hold_drop(w, w->hold);
	w->hold = f->hold;
	w->p = f->rest;
}

static u8 last_type_of(const char *name, u32 len)
{
	if (name[0] != '.' || len > 2)
		return LAST_NORMAL;
	if (len == 1)
		return LAST_DOT;
	return name[1] == '.' ? LAST_DOTDOT : LAST_NORMAL;
}

/* Is the last name there, as far as can be seen without a lock?  What is there hides every other error. */
static bool last_is_there(const struct walk *w)
{
	const struct dentry *d = dentry_find_rcu(w->d, w->last, w->last_len, w->last_hash);
	const struct vnode *vn = d ? load_acquire(&d->vnode) : NULL;

	return vn && !vn->ops->revalidate;
}

static int walk_component(struct walk *w, const char *name, u32 len, u64 hash, bool final)
{
	u8 type = last_type_of(name, len);

	if (unlikely(final && w->parent_only)) {
		w->last = name;
		w->last_len = len;
		w->last_hash = name_hash_end(hash, w->d);
		w->last_type = type;
		return w->flags & WALK_NEW && w->rcu && type == LAST_NORMAL && last_is_there(w) ? -EEXIST : 0;
	}
	if (likely(type == LAST_NORMAL))
		return step_down(w, name, len, name_hash_end(hash, w->d), final);
	return type == LAST_DOT ? 0 : step_up(w);
}

#define BYTES(c) (0x0101010101010101ull * (c))

/* Eight bytes of a text, or what there is up to its NUL near the end of a page; bytes past the NUL are anything. */
static NO_ASAN u64 text_word(const char *s)
{
	u64 word = 0;

	if (likely(((u64)s & ~PAGE_MASK) <= PAGE_SIZE - 8))
		return *(const unaligned_u64 *)s;
	for (u32 i = 0; i < 8; i++) {
		word |= (u64)(u8)s[i] << 8 * i;
		if (!s[i])
			break;
	}
	return word;
}

/* A bit at the top of each byte that is '/' or NUL; only the first is sure to be right. */
static inline u64 find_end(u64 word)
{
	u64 slash = word ^ BYTES('/');

	return (((word - BYTES(1)) & ~word) | ((slash - BYTES(1)) & ~slash)) & BYTES(0x80);
}

/* The bytes of a word before the first one that find_end() marked. */
static inline u64 before_end(u64 word, u64 end) { return word & ((end - 1) & ~end) >> 7; }

/* Length of the component at name, and its hash. */
static u64 component_length(const char *name, u64 *hash)
{
	u64 h = NAME_HASH_INIT, word, end, n = 0;

	while (!(end = find_end(word = text_word(name + n)))) {
		h = name_hash_word(h, word);
		n += 8;
	}
	*hash = name_hash_word(h, before_end(word, end));
	return n + (u32)__builtin_ctzll(end) / 8;
}

static int walk_run(struct walk *w)
{
	w->last_type = LAST_ROOT;
	for (;;) {
		const char *name = w->p, *s;
		bool final;
		u64 hash;
		int err;

		while (*name == '/')
			name++;
		if (!*name) {
			if (!w->depth)
				return 0;
			pop_text(w);
			continue;
		}
		err = may_search(w);
		if (err)
			return err;
		s = name + component_length(name, &hash);
		if (s - name > NAME_MAX)
			return -ENAMETOOLONG;
		w->p = s;
		while (*w->p == '/')
			w->p++;
		final = !*w->p && !w->depth;
		if (final && *s == '/')
			w->need_dir = true;
		err = walk_component(w, name, (u32)(s - name), hash, final);
		if (err || (final && w->parent_only))
			return err;
	}
}

static int check_result(struct walk *w)
{
	if ((w->need_dir || (w->flags & WALK_DIRECTORY)) && !w->parent_only && !S_ISDIR(w->d->vnode->mode))
		return -ENOTDIR;
	if (!w->rcu && (w->flags & (WALK_BENEATH | WALK_IN_ROOT)) && walk_seq_changed(w->seq))
		return -EAGAIN;
	return 0;
}

static int walk_rcu(struct walk *w, int dfd, const char *name)
{
	int err;

	w->rcu = true;
	rcu_read_lock();
	err = walk_start(w, dfd, name);
	if (!err)
		err = walk_run(w);
	if (!err)
		err = check_result(w);
	if (!err && (!ref_try_get(&w->d->refs)))
		err = -ECHILD;
	if (!err && !ref_try_get(&w->mnt->refs)) {
		rcu_read_unlock();
		dentry_put(w->d);
		return -ECHILD;
	}
	rcu_read_unlock();
	if (likely(!walk_seq_changed(w->seq)))
		return err;
	if (!err) {
		dentry_put(w->d);
		mount_put(w->mnt);
	}
	return -ECHILD;
}

static int walk_ref(struct walk *w, int dfd, const char *name)
{
	int err;

	w->rcu = false;
	err = walk_start(w, dfd, name);
	if (!err)
		err = walk_run(w);
	if (!err)
		err = check_result(w);
	return err;
}

static void walk_prepare(struct walk *w, struct vfs_caller *c, u32 flags, bool parent_only)
{
	w->caller = c;
	w->cred = caller_cred(c);
	w->flags = flags;
	w->parent_only = parent_only;
}

static ALWAYS_INLINE int walk_path(struct vfs_caller *c, int dfd, const char *name, u32 walk, struct path *out)
{
	struct walk w;
	int err;

	walk_prepare(&w, c, walk, false);
	err = walk_rcu(&w, dfd, name);
	if (likely(!err)) {
		out->mnt = w.mnt;
		out->dentry = w.d;
		return 0;
	}
	if (err != -ECHILD)
		return err;
	if (walk & WALK_CACHED)
		return -EAGAIN;
	err = walk_ref(&w, dfd, name);
	if (!err) {
		out->mnt = MOVE(w.mnt);
		out->dentry = MOVE(w.d);
	}
	walk_end(&w);
	return err;
}

int vfs_walk(struct vfs_caller *c, int dfd, const char *name, u32 walk, struct path *out)
{
	int err;

	trace_path_lookup_begin();
	err = walk_path(c, dfd, name, walk, out);
	trace_path_lookup_end(err);
	return err;
}

/* The fast try stands where the last component's directory is; with no symlink text pending it can go on with references. */
int walk_to_parent(struct walk *w, struct vfs_caller *c, int dfd, const char *name, u32 flags)
{
	int err;

	walk_prepare(w, c, flags, true);
	err = walk_rcu(w, dfd, name);
	if (!err) {
		w->rcu = false;
		w->hold = 0;
		w->rooted = false;		/* the root was borrowed: taken anew if it is needed */
		w->root_mnt = NULL;
		w->root_d = NULL;
		if (!(flags & (WALK_BENEATH | WALK_IN_ROOT)))
			return 0;
		walk_end(w);
		err = -ECHILD;
	}
	if (err != -ECHILD)
		goto fail;
	err = walk_ref(w, dfd, name);
	if (!err)
		return 0;
	walk_end(w);
	return err;
fail:
	w->mnt = w->root_mnt = NULL;
	w->d = w->root_d = NULL;
	return err;
}

int walk_lookup_last(struct walk *w, struct dentry **out)
{
	struct dentry *d;
	int err;

	if (w->last_type != LAST_NORMAL)
		return -EINVAL;
	if (w->last_len > NAME_MAX)
		return -ENAMETOOLONG;
	err = dentry_lookup(w->d, w->last, w->last_len, w->last_hash, &d);
	if (!err && !d->vnode) {
		dentry_put(d);
		err = -ENOENT;
	}
	if (!err)
		*out = d;
	return err;
}

int walk_follow_last(struct walk *w, struct dentry *link)
{
	int err;

	w->parent_only = true;
	w->p = "";
	err = walk_follow_link(w, link->vnode, true);
	if (!err && link->vnode->ops->follow) {
		w->last_type = LAST_ROOT;
		w->last_len = 0;
		dentry_put(link);
		return 0;
	}
	dentry_put(link);
	return err ? err : walk_run(w);
}

int vfs_walk_parent(struct vfs_caller *c, int dfd, const char *name, u32 walk, struct path *parent, const char **last, u32 *len)
{
	struct walk w;
	int err = walk_to_parent(&w, c, dfd, name, walk);

	if (err)
		return err;
	parent->mnt = MOVE(w.mnt);
	parent->dentry = MOVE(w.d);
	*last = w.last;
	*len = w.last_type == LAST_ROOT ? 0 : w.last_len;
	walk_end(&w);
	return 0;
}
