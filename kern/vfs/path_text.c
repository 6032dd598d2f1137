/*
 * From a place to its name: walks up under dcache_lock, where names, parents
 * and mount places stand still, writing the text from its end.
 */
#include "vfs_private.h"

struct text { char *buf; usize at; };

static bool prepend(struct text *t, const char *s, usize n)
{
	if (t->at < n)
		return false;
	t->at -= n;
	memcpy(t->buf + t->at, s, n);
	return true;
}

/* 1: reached root, 0: reached the top of another tree, -ENAMETOOLONG. */
static int climb(struct text *t, const struct path *p, const struct path *root)
{
	struct mount *m = p->mnt;
	struct dentry *d = p->dentry;

	while (d != root->dentry || m != root->mnt) {
		if (m && d == m->root) {
			if (!m->at.mnt)
				return 0;
			d = m->at.dentry;
			m = m->at.mnt;
			continue;
		}
		if (dentry_is_root(d))
			return 0;
		if (!prepend(t, d->name, d->name_len) || !prepend(t, "/", 1))
			return -ENAMETOOLONG;
		d = d->parent;
	}
	return 1;
}

static i64 finish(struct text *t, usize size, bool reached)
{
	usize end = size - 1, len;

	if (t->at == end && !prepend(t, "/", 1))
		return -ENAMETOOLONG;
	if (!reached && !prepend(t, "(unreachable)", 13))
		return -ENAMETOOLONG;
	len = end - t->at;
	memmove(t->buf, t->buf + t->at, len + 1);
	return (i64)len;
}

static i64 text_of(struct vfs_caller *c, const struct path *p, char *buf, usize size, bool mark_deleted)
{
	struct text t = { buf, size - 1 };
	struct path root = ns_root;
	struct dentry *d = p->dentry;
	bool gone;
	int r;

	if (!size)
		return -ENAMETOOLONG;
	buf[size - 1] = 0;
	if (c)
		fs_view_root(c->fs, &root);
	else
		path_get(&root);
	spin_lock(&dcache_lock);
	if (d->flags & DN_ANON) {
		r = prepend(&t, d->name, d->name_len) ? 1 : -ENAMETOOLONG;
	} else {
		gone = mark_deleted && dentry_unhashed(d);
		r = gone && !prepend(&t, " (deleted)", 10) ? -ENAMETOOLONG : climb(&t, p, &root);
		if (gone && r >= 0 && t.at == size - 11)
			r = prepend(&t, "/", 1) ? r : -ENAMETOOLONG;
	}
	spin_unlock(&dcache_lock);
	path_put(&root);
	return r < 0 ? r : finish(&t, size, r == 1);
}

i64 vfs_path_text(struct vfs_caller *c, const struct path *p, char *buf, usize size)
{
	return text_of(c, p, buf, size, true);
}

i64 vfs_getcwd(struct vfs_caller *c, char *buf, usize size)
{
	struct path p;
	i64 n;

	fs_view_cwd(c->fs, &p);
	n = dentry_unhashed(p.dentry) ? -ENOENT : text_of(c, &p, buf, size, false);
	path_put(&p);
	return n;
}

void dentry_name_copy(struct dentry *d, char *buf)
{
	GUARD_SPIN(&dcache_lock);
	memcpy(buf, d->name, d->name_len);
	buf[d->name_len] = 0;
}
