/* /proc/PID/fd, fdinfo, exe, cwd, root: names that lead to open files and places. */
#include "proc_priv.h"

static struct synth_entry fd_entry, fdinfo_entry;

static struct file *node_file(const struct synth_node *n, u32 fd, bool *cloexec)
{
	AUTO(task) t = synth_task(n);
	struct fdtable *fds = t ? task_fdtable_get(t) : NULL;
	struct file *f;

	if (!fds)
		return NULL;
	f = fdtable_file(fds, (int)fd, true);
	if (f && cloexec)
		*cloexec = fdtable_get_cloexec(fds, (int)fd) > 0;
	fdtable_put(fds);
	return f;
}

static u32 link_mode(const struct file *f)
{
	return S_IFLNK | (f->mode & FILE_READ ? 0500 : 0) | (f->mode & FILE_WRITE ? 0300 : 0);
}

static int find_in(const struct synth_node *dir, const char *name, const struct synth_entry *e, struct synth_node *out)
{
	u32 fd;
	AUTO(file) f = synth_parse_id(name, &fd) ? NULL : node_file(dir, fd, NULL);

	if (!f)
		return -ENOENT;
	*out = (struct synth_node){ .e = e, .proc = process_get(dir->proc), .task = dir->task ? task_get(dir->task) : NULL,
				    .id = fd, .mode = e == &fd_entry ? link_mode(f) : 0 };
	return 0;
}

static int next_in(const struct synth_node *dir, u64 from, const struct synth_entry *e, struct synth_item *out)
{
	AUTO(task) t = synth_task(dir);
	struct fdtable *fds = t ? task_fdtable_get(t) : NULL;
	int fd;

	if (!fds)
		return -ENOENT;
	fd = from < INT32_MAX ? fdtable_next(fds, (u32)from) : -1;
	fdtable_put(fds);
	if (fd < 0)
		return -ENOENT;
	fmt_snprintf(out->name, sizeof(out->name), "%d", fd);
	out->key = (u64)fd;
	out->dtype = (e->mode & S_IFMT) >> 12;
	out->ino = synth_ino(dir, e) & ~(u64)(2 * SYNTH_INO_FD - 1);
	out->ino |= (e->flags & (SYNTH_INO_FD | SYNTH_INO_FDINFO)) | (u64)fd;
	return 0;
}

static int fd_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	return find_in(dir, name, &fd_entry, out);
}
static int fdinfo_find(const struct synth_node *dir, const char *name, struct synth_node *out)
{
	return find_in(dir, name, &fdinfo_entry, out);
}
static int fd_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	return next_in(dir, from, &fd_entry, out);
}
static int fdinfo_next(const struct synth_node *dir, u64 from, struct synth_item *out)
{
	return next_in(dir, from, &fdinfo_entry, out);
}

const struct synth_dir proc_fd_dir = { .find = fd_find, .next = fd_next };
const struct synth_dir proc_fdinfo_dir = { .find = fdinfo_find, .next = fdinfo_next };

/* --- links ------------------------------------------------------------------ */

static i64 cut(const char *text, i64 n, char *buf, usize size)
{
	if (n < 0)
		return n;
	n = MIN(n, (i64)size);
	memcpy(buf, text, (usize)n);
	return n;
}

i64 proc_path_text(const struct path *p, char *buf, usize size)
{
	struct dentry *d = p->dentry;
	char *text = kmalloc(PATH_MAX);
	i64 n;

	if (!text)
		return -ENOMEM;
	if (d->flags & DN_ANON && (S_ISFIFO(d->vnode->mode) || S_ISSOCK(d->vnode->mode)))
		n = fmt_scnprintf(text, PATH_MAX, "%s:[%llu]", d->name, LLU(d->vnode->ino));
	else
		n = vfs_path_text(vfs_self(), p, text, PATH_MAX);
	n = cut(text, n, buf, size);
	kfree(text);
	return n;
}

static int fd_follow(struct synth_node *n, struct path *out)
{
	AUTO(file) f = NULL;

	if (!synth_may_inspect(n))
		return -EACCES;
	f = node_file(n, n->id, NULL);
	return f ? file_get_path(f, out) : -ENOENT;
}

static int exe_follow(struct synth_node *n, struct path *out)
{
	AUTO(aspace) as = process_aspace_get(n->proc);

	return as && as->exe_file ? file_get_path(as->exe_file, out) : -ENOENT;
}

static int place_follow(struct synth_node *n, void (*place)(struct fs_view *v, struct path *out), struct path *out)
{
	AUTO(task) t = synth_task(n);
	struct fs_view *v = t ? task_fs_view_get(t) : NULL;

	if (!v)
		return -ENOENT;
	place(v, out);
	fs_view_put(v);
	return 0;
}

int proc_exe_follow(struct synth_node *n, struct path *out)
{
	return synth_may_inspect(n) ? exe_follow(n, out) : -EACCES;
}

int proc_cwd_follow(struct synth_node *n, struct path *out)
{
	return synth_may_inspect(n) ? place_follow(n, fs_view_cwd, out) : -EACCES;
}

int proc_root_follow(struct synth_node *n, struct path *out)
{
	return synth_may_inspect(n) ? place_follow(n, fs_view_root, out) : -EACCES;
}

static i64 text_by(struct synth_node *n, int (*follow)(struct synth_node *n, struct path *out), char *buf, usize size)
{
	struct path p = { 0 };
	i64 r = follow(n, &p);

	if (r)
		return r;
	r = proc_path_text(&p, buf, size);
	path_put(&p);
	return r;
}

i64 proc_exe_readlink(struct synth_node *n, char *buf, usize size) { return text_by(n, proc_exe_follow, buf, size); }
i64 proc_cwd_readlink(struct synth_node *n, char *buf, usize size) { return text_by(n, proc_cwd_follow, buf, size); }
i64 proc_root_readlink(struct synth_node *n, char *buf, usize size) { return text_by(n, proc_root_follow, buf, size); }
static i64 fd_readlink(struct synth_node *n, char *buf, usize size) { return text_by(n, fd_follow, buf, size); }

/* --- fdinfo ------------------------------------------------------------------ */

static int fdinfo_show(struct seq *s, void *node)
{
	struct synth_node *n = node;
	bool cloexec = false;
	AUTO(file) f = node_file(n, n->id, &cloexec);
	struct path p;
	int err;

	if (!f)
		return -ENOENT;
	err = file_get_path(f, &p);
	if (err)
		return err;
	seq_printf(s, "pos:\t%lli\nflags:\t0%o\nmnt_id:\t%u\nino:\t%llu\n", (long long)f->pos, f->flags | (cloexec ? O_CLOEXEC : 0),
		   p.mnt->id, LLU(f->vnode->ino));
	path_put(&p);
	if (f->ops && f->ops->show_fdinfo)
		f->ops->show_fdinfo(f, s);
	return 0;
}

static struct synth_entry fd_entry = {
	.name = "N", .mode = S_IFLNK | 0700, .flags = SYNTH_INO_FD, .readlink = fd_readlink, .follow = fd_follow,
};
static struct synth_entry fdinfo_entry = {
	.name = "N", .mode = S_IFREG | 0444, .flags = SYNTH_INO_FDINFO | SYNTH_PTRACE, .show = fdinfo_show,
};
