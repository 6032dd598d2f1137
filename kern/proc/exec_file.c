/*
 * exec: from a name to plans.  Opens the program, follows "#!" lines, reads
 * headers, opens the ELF interpreter.  Nothing of the caller changes here.
 *
 * A plan is part of the image of its file's content (vm/image.h): a file that was
 * run before is neither read nor parsed again.
 */
#include <base/fmt.h>
#include <core/trace.h>
#include "exec.h"

static void free_plan(void *arg)
{
	struct exec_plan *plan = arg;

	kfree(plan->interp);
	kfree(plan);
}

/* The image of vn's present content, with its plan: the file need not be looked at. */
static struct vm_image *find_image(struct vnode *vn, const struct exec_plan **plan)
{
	struct vm_image *im = vm_image_find(&vn->object);

	if (im)
		*plan = vm_image_plan(im);
	return im;
}

/* --- opening ------------------------------------------------------------------------- */

/* A program needs no read permission, so this is not open(2). */
static int open_program(struct exec_ctx *x, const struct path *p, struct file **out)
{
	struct vnode *vn = p->dentry->vnode;
	struct file *f;
	int err;

	if (!S_ISREG(vn->mode) || (p->mnt && (p->mnt->flags & MS_NOEXEC)))
		return -EACCES;
	err = vfs_permission(x->self->vfs.cred, p, 1);
	if (!err && !vn->fops)
		err = -EACCES;
	if (!err)
		err = vnode_deny_write(vn);
	if (err)
		return err;
	f = file_create_vnode(vnode_get(vn), vn->fops, NULL, FILE_READ | FILE_PREAD | FILE_EXEC, 0, NULL);
	if (!f) {
		vnode_allow_write(vn);
		vnode_put(vn);
		return -ENOMEM;
	}
	f->path = *p;
	path_get(p);
	*out = f;
	return 0;
}

static int open_by_name(struct exec_ctx *x, int dfd, const char *name, u32 walk, struct file **out)
{
	struct path p;
	int err = vfs_walk(&x->self->vfs, dfd, name, walk, &p);

	if (err)
		return err;
	if (!p.dentry->vnode)
		err = -ENOENT;
	else if (S_ISLNK(p.dentry->vnode->mode))
		err = -ELOOP;
	else
		err = open_program(x, &p, out);
	path_put(&p);
	return err;
}

/* "/dev/fd/N" or "/dev/fd/N/PATH", for what was named relative to a descriptor. */
static int name_by_fd(struct exec_ctx *x, int dfd, const char *path)
{
	usize size = strlen(path) + 24;

	x->fd_name = kmalloc(size);
	if (!x->fd_name)
		return -ENOMEM;
	fmt_snprintf(x->fd_name, size, *path ? "/dev/fd/%d/%s" : "/dev/fd/%d", dfd, path);
	x->name = x->fd_name;
	x->hidden = fdtable_get_cloexec(x->self->vfs.fds, dfd) == 1;
	return 0;
}

int exec_open(struct exec_ctx *x, int dfd, const char *path, int flags)
{
	u32 walk = flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;
	int err;

	if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH)
		walk |= WALK_EMPTY;
	x->name = path;
	err = open_by_name(x, dfd, path, walk, &x->file);
	if (!err && dfd != AT_FDCWD && path[0] != '/')
		err = name_by_fd(x, dfd, path);
	return err;
}

/* --- plans ----------------------------------------------------------------------------- */

/* Reads exactly len bytes.  -EIO when the file is shorter. */
static int read_all(struct file *f, void *buf, u64 len, u64 off)
{
	u64 done = 0;

	while (done < len) {
		i64 n = file_read_kernel(f, (u8 *)buf + done, len - done, off + done);

		if (n < 0)
			return (int)n;
		if (!n)
			return -EIO;
		done += (u64)n;
	}
	return 0;
}

static int read_interp_name(struct file *f, struct exec_plan *plan)
{
	int err;

	if (!plan->interp_len)
		return 0;
	plan->interp = kmalloc(plan->interp_len);
	if (!plan->interp)
		return -ENOMEM;
	err = (i64)plan->interp_off < 0 ? -EINVAL : read_all(f, plan->interp, plan->interp_len, plan->interp_off);
	if (err)
		return err;
	return plan->interp[plan->interp_len - 1] ? -ENOEXEC : 0;
}

static int plan_from_headers(struct file *f, const struct elf_head *h, struct exec_plan **out)
{
	u64 size = (u64)h->phnum * ELF_PHDR_SIZE;
	AUTO(kptr) phdrs = kmalloc(size);
	struct exec_plan *plan;
	int err;

	if (!phdrs)
		return -ENOMEM;
	if ((i64)h->phoff < 0 || read_all(f, phdrs, size, h->phoff))
		return -ENOEXEC;
	plan = kzalloc(sizeof(*plan) + elf_count_segments(phdrs, h->phnum) * sizeof(struct exec_segment));
	if (!plan)
		return -ENOMEM;
	err = elf_build_plan(h, phdrs, plan);
	if (!err)
		err = read_interp_name(f, plan);
	if (err) {
		free_plan(plan);
		return err;
	}
	*out = plan;
	return 0;
}

/* head: the file's first bytes, len of them.  gen: as it was before they were read. */
static int make_image(struct file *f, const void *head, u64 len, u64 gen, bool interp, struct vm_image **out)
{
	struct exec_plan *plan;
	struct vm_image *im;
	struct elf_head h;
	int err = elf_parse_head(head, len, interp, &h);

	if (!err)
		err = plan_from_headers(f, &h, &plan);
	if (interp && err == -ENOEXEC)
		err = -ELIBBAD;
	if (err)
		return err;
	im = vm_image_create(gen, plan, free_plan);
	if (!im) {
		free_plan(plan);
		return -ENOMEM;
	}
	vm_image_attach(im, &f->vnode->object);
	*out = im;
	return 0;
}

static u64 generation_now(const struct file *f)
{
	return __atomic_load_n(&f->vnode->object.generation, __ATOMIC_ACQUIRE);
}

static int load_interpreter(struct exec_ctx *x)
{
	u8 head[ELF_HEADER_SIZE];
	struct file *f;
	u64 gen;
	int err;

	if (!x->plan->interp)
		return 0;
	err = open_by_name(x, AT_FDCWD, x->plan->interp, WALK_FOLLOW, &x->interp_file);
	if (err)
		return err;
	f = x->interp_file;
	x->interp_image = find_image(f->vnode, &x->interp_plan);
	if (x->interp_image)
		return 0;
	gen = generation_now(f);
	err = read_all(f, head, sizeof(head), 0);
	if (!err)
		err = make_image(f, head, sizeof(head), gen, true, &x->interp_image);
	if (!err)
		x->interp_plan = vm_image_plan(x->interp_image);
	return err;
}

/* --- scripts ------------------------------------------------------------------------------- */

static int follow_script(struct exec_ctx *x, const char *head)
{
	struct exec_script *s = &x->scripts[x->nscripts];
	struct file *f;
	int err;

	if (x->hidden)
		return -ENOENT;
	s->buf = kmemdup(head, SCRIPT_LINE);
	if (!s->buf)
		return -ENOMEM;
	x->nscripts++;
	err = script_parse(s->buf, &s->line);
	if (!err)
		err = open_by_name(x, AT_FDCWD, s->line.interp, WALK_FOLLOW, &f);
	if (err)
		return err;
	file_put(x->file);
	x->file = f;
	return 0;
}

/* One round: x->plan is set, or x->file is now the script's interpreter. */
static int resolve_once(struct exec_ctx *x)
{
	char head[SCRIPT_LINE];
	u64 gen;
	i64 n;
	int err;

	x->image = find_image(x->file->vnode, &x->plan);
	if (x->image)
		return 0;
	gen = generation_now(x->file);
	memset(head, 0, sizeof(head));
	n = file_read_kernel(x->file, head, sizeof(head), 0);
	if (n < 0)
		return (int)n;
	if (head[0] == '#' && head[1] == '!') {
		if (x->nscripts == EXEC_MAX_SCRIPTS)
			return -ELOOP;
		return follow_script(x, head);
	}
	err = make_image(x->file, head, (u64)n, gen, false, &x->image);
	if (!err)
		x->plan = vm_image_plan(x->image);
	return err;
}

int exec_resolve(struct exec_ctx *x)
{
	int err = 0;
	TRACE_SPAN(exec_elf_parse);

	while (!err && !x->plan)
		err = resolve_once(x);
	return err ? err : load_interpreter(x);
}
