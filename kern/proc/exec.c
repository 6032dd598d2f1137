/*
 * execve: a process becomes another program.
 *
 * Up to commit() everything is made on the side and an error leaves the caller
 * as it was.  From begin_commit()'s success on (the other threads are dead) there
 * is no way back: what fails then ends the process.
 */
#include <arch/context.h>
#include <core/cmdline.h>
#include <core/log.h>
#include <core/trace.h>
#include <proc/profile.h>
#include <proc/ptrace.h>
#include <vm/audit.h>
#include <vm/verify.h>
#include "exec.h"

__attribute__((weak)) u32 sysctl_randomize_va_space = 2;

static void ctx_drop(struct exec_ctx *x)
{
	exec_stack_drop(x);
	for (u32 i = 0; i < x->nscripts; i++)
		kfree(x->scripts[i].buf);
	if (x->as)
		aspace_unuse(x->as);
	if (x->cred)
		cred_put(x->cred);
	if (x->file)
		file_put(x->file);
	if (x->interp_file)
		file_put(x->interp_file);
	vm_image_put(x->image);
	vm_image_put(x->interp_image);
	kfree(x->fd_name);
}

void exec_init(void)
{
	static const struct { const char *word; enum vm_image_form form; } forms[] = {
		{ "off", IMAGE_OFF }, { "block", IMAGE_BLOCK }, { "tables", IMAGE_TABLES },
		{ "huge", IMAGE_HUGE },
	};
	enum vm_image_form form = IMAGE_TABLES;
	char word[16];
	u32 i = 0;

	if (cmdline_get("exec_image", word, sizeof(word))) {
		while (i < ARRAY_LEN(forms) && strcmp(word, forms[i].word))
			i++;
		if (i < ARRAY_LEN(forms))
			form = forms[i].form;
		else
			log_warn("exec_image=%s: there is no such form", word);
	}
	vm_image_configure(form, cmdline_get_u64("prefault_limit", ~0ull));
}

/* The new program, complete but for the switch. */
static int build(struct exec_ctx *x)
{
	int err = exec_cred_prepare(x);

	if (!err)
		err = exec_space_create(x);
	if (!err)
		err = exec_args_count(x);
	if (!err)
		err = exec_args_copy(x);
	if (err)
		return err;
	exec_map_program(x);
	err = exec_stack_finish(x);
	if (err && !x->doomed)
		return err;
	x->as->dumpable = x->cred->uid == x->cred->euid && x->cred->gid == x->cred->egid &&
			  !vfs_permission(x->cred, &x->file->path, 4);
	return 0;
}

/* Tables that clone shares are the new program's own.  They are made before anything is given up. */
static int private_tables(struct task *self, struct fdtable **fds, struct sighand **sh)
{
	*fds = NULL;
	*sh = NULL;
	if (ref_read(&self->vfs.fds->refs) > 1) {
		*fds = fdtable_dup(self->vfs.fds);
		if (!*fds)
			return -ENOMEM;
	}
	if (ref_read(&self->proc->sighand->refs) > 1) {
		*sh = sighand_dup(self->proc->sighand, false);
		if (!*sh) {
			if (*fds)
				fdtable_put(*fds);
			return -ENOMEM;
		}
	}
	return 0;
}

static void swap_tables(struct task *self, struct fdtable *fds, struct sighand *sh)
{
	struct process *p = self->proc;

	if (fds) {
		struct fdtable *old = self->vfs.fds;

		spin_lock(&p->lock);
		self->vfs.fds = fds;
		spin_unlock(&p->lock);
		fdtable_put(old);
	}
	if (sh) {
		struct sighand *old = p->sighand;
		u64 irq = spin_lock_irq(&p->sig_lock);

		p->sighand = sh;
		spin_unlock_irq(&p->sig_lock, irq);
		sighand_put(old);
	}
	trace_exec_close_cloexec_begin();
	fdtable_close_on_exec(self->vfs.fds);
	trace_exec_close_cloexec_end();
}

static void switch_space(struct exec_ctx *x)
{
	struct task *self = x->self;
	struct process *p = self->proc;
	struct aspace *old = self->thread.aspace, *as = MOVE(x->as);
	TRACE_SPAN(exec_vm_switch);

	as->exe_file = file_get(x->file);
	task_release_mm(self);
	spin_lock(&p->lock);
	p->aspace = as;
	if (old) {
		p->maxrss = MAX(p->maxrss, old->peak_rss);
		self->min_faults += (u64)atomic64_read(&old->min_faults);
		self->maj_faults += (u64)atomic64_read(&old->maj_faults);
	}
	spin_unlock(&p->lock);
	task_switch_aspace(self, as);
}

static void set_name(struct task *self, const char *path)
{
	const char *slash = strrchr(path, '/');

	str_copy(self->thread.name, slash ? slash + 1 : path, sizeof(self->thread.name));
	trace_task_comm(self->thread.name);
	profile_exec(self);
}

static void reset_task(struct exec_ctx *x)
{
	struct task *self = x->self;
	struct process *p = self->proc;

	trace_exec_signal_reset_begin();
	signal_flush_handlers(self);
	trace_exec_signal_reset_end();
	posix_timers_exit(p);
	self->rseq = UPTR(0);
	self->rseq_len = self->rseq_sig = 0;
	self->restart.fn = NULL;
	self->set_child_tid = 0;
	self->personality = x->personality;
	self->is_vfork_child = false;
	if (x->secure)
		self->pdeath_signal = 0;
	spin_lock(&proc_table_lock);
	p->did_exec = true;
	p->exec_id++;
	spin_unlock(&proc_table_lock);
	set_name(self, x->name);
}

/* Past this there is no way back.  0, or -errno with nothing changed. */
static int begin_commit(struct exec_ctx *x, struct fdtable **fds, struct sighand **sh)
{
	int err = private_tables(x->self, fds, sh);

	if (err)
		return err;
	err = process_kill_others(x->self);
	if (!err)
		return 0;
	if (*fds)
		fdtable_put(*fds);
	if (*sh)
		sighand_put(*sh);
	return err;
}

static int commit(struct exec_ctx *x)
{
	struct task *self = x->self;
	struct fdtable *fds;
	struct sighand *sh;
	int err = begin_commit(x, &fds, &sh);

	if (err)
		return err;
	u64 entry = x->entry, sp = x->sp;
	u32 dumpable = x->as->dumpable;

	switch_space(x);
	swap_tables(self, fds, sh);
	reset_task(x);
	task_commit_cred(self, MOVE(x->cred));
	self->proc->dumpable = self->thread.aspace ? (((struct aspace *)self->thread.aspace)->dumpable = dumpable) : 0;
	if (x->doomed) {
		ctx_drop(x);
		process_exit_group(SIGSEGV);
	}
	verify_exec(self->thread.aspace);
	audit_space(self->thread.aspace, "exec");
	arch_exec_reset(&self->thread.arch, entry, sp);
	return 0;
}

static int run(struct exec_ctx *x, int dfd, const char *path, int flags)
{
	struct task *self = x->self;
	u32 tid = self->tid;
	int err;

	/* RLIMIT_NPROC again, for those who changed uid since they were over it. */
	if (self->user != &user_root && (u64)atomic_read(&self->user->tasks) > self->proc->rlim[RLIMIT_NPROC].cur &&
	    !cred_can(self->vfs.cred, CAP_SYS_RESOURCE) && !cred_can(self->vfs.cred, CAP_SYS_ADMIN))
		return -EAGAIN;
	trace_exec_total_begin();
	self->in_execve = true;
	err = exec_open(x, dfd, path, flags);
	if (!err)
		err = exec_resolve(x);
	if (!err)
		err = build(x);
	if (!err)
		err = commit(x);
	ctx_drop(x);
	self->in_execve = false;
	trace_exec_total_end(err);
	if (!err && unlikely(self->trace != NULL))
		ptrace_event(self, PTRACE_EVENT_EXEC, tid);
	return err;
}

int process_exec(struct task *self, int dfd, const char *path, uptr_t argv, uptr_t envp, int flags)
{
	struct exec_ctx x;

	memset(&x, 0, sizeof(x));
	x.self = self;
	x.argv = argv;
	x.envp = envp;
	return run(&x, dfd, path, flags);
}

int process_exec_kernel(struct task *self, const char *path, const char *const *argv, const char *const *envp)
{
	struct exec_ctx x;

	memset(&x, 0, sizeof(x));
	x.self = self;
	x.kernel_strings = true;
	x.argv = UPTR(argv);
	x.envp = UPTR(envp);
	return run(&x, AT_FDCWD, path, 0);
}
