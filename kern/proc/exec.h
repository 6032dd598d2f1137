/*
 * Private to exec: one execve from its arguments to the new program.
 * Order: resolve (files, scripts, plans, credentials) -> build (new address
 * space, arguments) -> commit (other threads die, point of no return, switch).
 */
#pragma once

#include <vfs/vfs.h>
#include <vm/image.h>
#include "elf.h"
#include "proc.h"

#define EXEC_MAX_SCRIPTS 5u

struct exec_script {
	char *buf;			/* SCRIPT_LINE bytes, owned: line's strings are in it */
	struct script_line line;
};

struct exec_ctx {
	struct task *self;
	const char *name;		/* as the program will see it (AT_EXECFN) */
	char *fd_name;			/* storage of "/dev/fd/N...", owned */
	bool kernel_strings;		/* argv, envp are kernel arrays of kernel strings */
	bool hidden;			/* name goes away at exec (close-on-exec descriptor): scripts cannot use it */
	uptr_t argv, envp;
	u64 argc, envc;			/* as passed */
	struct file *file, *interp_file;
	struct vm_image *image, *interp_image;
	const struct exec_plan *plan, *interp_plan;	/* the images' */
	struct exec_script scripts[EXEC_MAX_SCRIPTS];
	u32 nscripts;
	/* what becomes of the credentials */
	struct cred *cred;
	bool setid, secure;
	u32 personality;
	/* the new space */
	struct aspace *as;
	bool randomize, doomed;
	u64 rnd;			/* drawn once for two places: the heap (high half), the vDSO (low half); 0 without randomize */
	u64 sp, entry, bias, interp_base;
	u64 execfn;
	u64 vdso;			/* its ELF header */
	/* the page of it that is being written */
	struct page *page;
	u64 page_va;
	u64 p, limit_low;		/* next string goes below p, and not below limit_low */
};

/* exec_file.c */
MUST_USE int exec_open(struct exec_ctx *x, int dfd, const char *path, int flags);
MUST_USE int exec_resolve(struct exec_ctx *x);
/* exec_cred.c: x->cred, secure, setid, personality. */
MUST_USE int exec_cred_prepare(struct exec_ctx *x);
/* exec_stack.c */
MUST_USE int exec_args_count(struct exec_ctx *x);
MUST_USE int exec_args_copy(struct exec_ctx *x);	/* strings at the top of the new stack */
MUST_USE int exec_stack_finish(struct exec_ctx *x);	/* pointers and auxv below: sets x->sp */
void exec_stack_drop(struct exec_ctx *x);
/* exec_map.c */
MUST_USE int exec_space_create(struct exec_ctx *x);	/* empty but for the stack */
void exec_map_program(struct exec_ctx *x);		/* sets entry, bias; failures doom */
/* vdso.c */
MUST_USE int exec_map_vdso(struct exec_ctx *x);		/* sets vdso */
