/*
 * exec: from a name to plans.  Opens the program, follows "#!" lines, reads
 * headers, opens the ELF interpreter.  Nothing of the caller changes here.
 *
 * Plans are kept in a small table by (object id, generation): a file that was
 * run before is neither read nor parsed again.  A file whose content changed has
 * a new generation and so is not found.
 */
#include <base/fmt.h>
#include "exec.h"

#define PLAN_SLOTS 64u

static struct { u64 id, generation; bool interp; struct exec_plan *plan; } plan_slots[PLAN_SLOTS];
static spinlock_t plan_lock = SPINLOCK_INIT(LR_PROC);

void exec_plan_put(struct exec_plan *plan)
{
	if (!plan || !ref_put(&plan->refs))
		return;
	kfree(plan->interp);
	kfree(plan);
}

static u32 plan_slot(const struct vnode *vn) { return hash_u64(vn->object.id) % PLAN_SLOTS; }

static struct exec_plan *plan_find(const struct vnode *vn, bool interp)
{
	u32 i = plan_slot(vn);
	u64 gen = __atomic_load_n(&vn->object.generation, __ATOMIC_ACQUIRE);

	GUARD_SPIN(&plan_lock);
	if (!plan_slots[i].plan || plan_slots[i].id != vn->object.id || plan_slots[i].generation != gen ||
	    plan_slots[i].interp != interp)
		return NULL;
	ref_get(&plan_slots[i].plan->refs);
	return plan_slots[i].plan;
}

/* gen: as it was before the file was read. */
static void plan_keep(const struct vnode *vn, u64 gen, bool interp, struct exec_plan *plan)
{
	u32 i = plan_slot(vn);
	struct exec_plan *old;

	ref_get(&plan->refs);
	spin_lock(&plan_lock);
	old = plan_slots[i].plan;
	plan_slots[i].plan = plan;
	plan_slots[i].id = vn->object.id;
	plan_slots[i].generation = gen;
	plan_slots[i].interp = interp;
	spin_unlock(&plan_lock);
	exec_plan_put(old);
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
	ref_init(&plan->refs);
	err = elf_build_plan(h, phdrs, plan);
	if (!err)
		err = read_interp_name(f, plan);
	if (err) {
		exec_plan_put(plan);
		return err;
	}
	*out = plan;
	return 0;
}

/* head: the file's first bytes, len of them. */
static int make_plan(struct file *f, const void *head, u64 len, u64 gen, bool interp, struct exec_plan **out)
{
	struct elf_head h;
	int err = elf_parse_head(head, len, interp, &h);

	if (!err)
		err = plan_from_headers(f, &h, out);
	if (interp && err == -ENOEXEC)
		err = -ELIBBAD;
	if (err)
		return err;
	plan_keep(f->vnode, gen, interp, *out);
	return 0;
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
	x->interp_plan = plan_find(f->vnode, true);
	if (x->interp_plan)
		return 0;
	gen = __atomic_load_n(&f->vnode->object.generation, __ATOMIC_ACQUIRE);
	err = read_all(f, head, sizeof(head), 0);
	return err ? err : make_plan(f, head, sizeof(head), gen, true, &x->interp_plan);
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

	x->plan = plan_find(x->file->vnode, false);
	if (x->plan)
		return 0;
	gen = __atomic_load_n(&x->file->vnode->object.generation, __ATOMIC_ACQUIRE);
	memset(head, 0, sizeof(head));
	n = file_read_kernel(x->file, head, sizeof(head), 0);
	if (n < 0)
		return (int)n;
	if (head[0] == '#' && head[1] == '!') {
		if (x->nscripts == EXEC_MAX_SCRIPTS)
			return -ELOOP;
		return follow_script(x, head);
	}
	return make_plan(x->file, head, (u64)n, gen, false, &x->plan);
}

int exec_resolve(struct exec_ctx *x)
{
	int err = 0;

	while (!err && !x->plan)
		err = resolve_once(x);
	return err ? err : load_interpreter(x);
}
