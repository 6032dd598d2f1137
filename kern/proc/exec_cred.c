/*
 * Credentials across exec: set-user-id and set-group-id bits, capabilities(7),
 * what makes an exec "secure", which personality bits survive.
 */
#include "exec.h"
#include "ptrace.h"

#define SECBIT_NOROOT	 (1u << 0)
#define SECBIT_KEEP_CAPS (1u << 4)

/* Set-id bits count only where the mount, no_new_privs and the group-execute rule let them. */
static void apply_setid(struct exec_ctx *x, struct cred *c)
{
	struct vnode *vn = x->file->vnode;
	const struct path *p = &x->file->path;
	u32 mode = READ_ONCE(vn->mode);

	if (!(mode & (S_ISUID | S_ISGID)) || (p->mnt && (p->mnt->flags & MS_NOSUID)) || c->no_new_privs ||
	    x->self->proc->no_new_privs)
		return;
	if (mode & S_ISUID) {
		c->euid = vn->uid;
		x->setid = true;
	}
	if ((mode & (S_ISGID | 0010)) == (S_ISGID | 0010)) {
		c->egid = vn->gid;
		x->setid = true;
	}
}

/* The root directory is shared with somebody outside the group: he could change what the program sees. */
static bool fs_is_shared(struct task *self)
{
	struct task *t;
	u32 mine = 0;

	GUARD_SPIN(&proc_table_lock);
	list_for_each(t, &self->proc->threads, thread_link)
		mine += t->vfs.fs == self->vfs.fs;
	return ref_read(&self->vfs.fs->refs) > mine;
}

static void apply_capabilities(struct exec_ctx *x, struct cred *c, const struct cred *old)
{
	bool effective = false, is_setid, grew;

	c->cap_permitted = 0;
	if (!(c->securebits & SECBIT_NOROOT)) {
		if (c->euid == 0 || c->uid == 0)
			c->cap_permitted = c->cap_bounding | c->cap_inheritable;
		effective = c->euid == 0;
	}
	is_setid = c->euid != old->uid || c->egid != old->gid;
	grew = c->cap_permitted & ~(old->cap_permitted | c->cap_ambient);
	if ((is_setid || grew) && (fs_is_shared(x->self) || !ptrace_exec_may_gain(x->self))) {
		if (!cred_can(old, CAP_SETUID) || c->no_new_privs) {
			c->euid = c->uid;
			c->egid = c->gid;
		}
		c->cap_permitted &= old->cap_permitted;
	}
	if (is_setid)
		c->cap_ambient = 0;
	c->cap_permitted |= c->cap_ambient;
	c->cap_effective = effective ? c->cap_permitted : c->cap_ambient;
	x->secure = is_setid || (c->uid != 0 && (effective || (c->cap_permitted & ~c->cap_ambient)));
}

int exec_cred_prepare(struct exec_ctx *x)
{
	const struct cred *old = x->self->vfs.cred;
	struct cred *c = cred_dup(old);

	if (!c)
		return -ENOMEM;
	x->cred = c;
	apply_setid(x, c);
	apply_capabilities(x, c, old);
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	c->securebits &= ~SECBIT_KEEP_CAPS;
	c->keep_caps = false;
	x->personality = x->self->personality & ~READ_IMPLIES_EXEC;
	if (x->setid)
		x->personality &= ~PER_CLEAR_ON_SETID;
	x->randomize = sysctl_randomize_va_space && !(x->personality & ADDR_NO_RANDOMIZE);
	return 0;
}
