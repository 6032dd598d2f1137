/*
 * The first stack of a program: strings at the top, then (downwards) platform
 * name and random bytes, the auxiliary vector, envp, argv, argc.  Everything is
 * written straight into the pages of the new space; the caller's strings are
 * copied once.  The random part of a page that Linux leaves between strings and
 * vector is above the strings here (exec_map.c): as much to guess, a page less.
 */
#include <arch/machine.h>
#include <arch/usercopy.h>
#include <core/trace.h>
#include "exec.h"

#define MAX_ARG_STRLEN	131072u
#define MAX_ARG_STRINGS 0x7fffffffull
#define ARG_MIN_LIMIT	131072ull
#define ARG_MAX_LIMIT	(6ull << 20)		/* three quarters of the default stack */

enum {
	AT_NULL = 0, AT_PHDR = 3, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID = 11, AT_EUID, AT_GID, AT_EGID,
	AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE = 23, AT_RANDOM = 25, AT_HWCAP2, AT_EXECFN = 31, AT_SYSINFO_EHDR = 33, AT_MINSIGSTKSZ = 51,
};

void exec_stack_drop(struct exec_ctx *x)
{
	if (x->page)
		page_put(x->page);
	x->page = NULL;
}

/* The kernel's address of the byte at va in the new stack; good for the rest of its page. */
static int stack_at(struct exec_ctx *x, u64 va, char **out)
{
	u64 base = va & PAGE_MASK;

	if (!x->page || x->page_va != base) {
		int err;

		exec_stack_drop(x);
		err = aspace_pin_page(x->as, base, true, &x->page);
		if (err) {
			x->page = NULL;
			return err == -EFAULT ? -E2BIG : err;	/* the stack cannot grow that far */
		}
		x->page_va = base;
	}
	*out = (char *)page_addr(x->page) + (va - base);
	return 0;
}

static int write_bytes(struct exec_ctx *x, u64 va, const void *src, u64 n)
{
	const char *s = src;

	while (n) {
		u64 part = MIN(n, PAGE_SIZE - (va & ~PAGE_MASK));
		char *dst;
		int err = stack_at(x, va, &dst);

		if (err)
			return err;
		memcpy(dst, s, part);
		s += part;
		va += part;
		n -= part;
	}
	return 0;
}

static int write_user(struct exec_ctx *x, u64 va, uptr_t src, u64 n)
{
	while (n) {
		u64 part = MIN(n, PAGE_SIZE - (va & ~PAGE_MASK));
		char *dst;
		int err = stack_at(x, va, &dst);

		if (err)
			return err;
		if (user_copy_in(dst, src, part))
			return -EFAULT;
		src = uptr_add(src, part);
		va += part;
		n -= part;
	}
	return 0;
}

/* --- strings ------------------------------------------------------------------------------ */

/* The i-th pointer of an argument array. */
static int arg_pointer(struct exec_ctx *x, uptr_t array, u64 i, u64 *out)
{
	if (x->kernel_strings) {
		*out = (u64)((const char *const *)array.v)[i];
		return 0;
	}
	return user_get(out, uptr_add(array, i * 8));
}

static int count_one(struct exec_ctx *x, uptr_t array, u64 *out)
{
	u64 n = 0, ptr;

	for (; !uptr_is_null(array); n++) {
		int err = arg_pointer(x, array, n, &ptr);

		if (err)
			return err;
		if (!ptr)
			break;
		if (n >= MAX_ARG_STRINGS)
			return -E2BIG;
		if (!(n & 1023) && thread_fatal_pending())
			return -EINTR;
	}
	*out = n;
	return 0;
}

int exec_args_count(struct exec_ctx *x)
{
	u64 limit = process_rlimit(x->self->proc, RLIMIT_STACK) / 4, pointers;
	int err = count_one(x, x->argv, &x->argc);

	if (!err)
		err = count_one(x, x->envp, &x->envc);
	if (err)
		return err;
	limit = MAX(MIN(limit, ARG_MAX_LIMIT), ARG_MIN_LIMIT);
	pointers = (MAX(x->argc, 1ull) + x->envc) * 8;
	if (limit <= pointers)
		return -E2BIG;
	x->limit_low = x->p - (limit - pointers);
	return 0;
}

/* Makes room for len bytes (NUL included) below what is there. */
static int push_room(struct exec_ctx *x, u64 len)
{
	if (len > MAX_ARG_STRLEN || x->p - x->limit_low < len)
		return -E2BIG;
	x->p -= len;
	return 0;
}

static int push_kernel(struct exec_ctx *x, const char *s)
{
	u64 len = strlen(s) + 1;
	int err = push_room(x, len);

	return err ? err : write_bytes(x, x->p, s, len);
}

static int push_user(struct exec_ctx *x, uptr_t s)
{
	i64 len = user_strnlen(s, MAX_ARG_STRLEN);
	int err;

	if (len < 0)
		return -EFAULT;
	err = push_room(x, (u64)len + 1);
	if (!err)
		err = write_user(x, x->p, s, (u64)len + 1);
	if (err)
		return err;
	return write_bytes(x, x->p + (u64)len, "", 1);	/* another thread may have overwritten the NUL */
}

/* Strings first .. n - 1 of an array, the last one highest. */
static int push_array(struct exec_ctx *x, uptr_t array, u64 first, u64 n)
{
	while (n-- > first) {
		u64 ptr;
		int err = arg_pointer(x, array, n, &ptr);

		if (err)
			return err;
		err = x->kernel_strings ? push_kernel(x, (const char *)ptr) : push_user(x, UPTR(ptr));
		if (err)
			return err;
		if (!(n & 255) && thread_fatal_pending())
			return -EINTR;
	}
	return 0;
}

/* "interp [arg] script rest...": each level puts itself in front. */
static int push_scripts(struct exec_ctx *x)
{
	int err = push_kernel(x, x->name);

	x->argc++;
	for (u32 i = 0; !err && i < x->nscripts; i++) {
		const struct script_line *l = &x->scripts[i].line;

		if (l->arg) {
			err = push_kernel(x, l->arg);
			x->argc++;
		}
		if (!err)
			err = push_kernel(x, l->interp);
		x->argc++;
	}
	return err;
}

int exec_args_copy(struct exec_ctx *x)
{
	TRACE_SPAN(exec_stack);
	int err = push_kernel(x, x->name);

	x->execfn = x->p;
	if (!err)
		err = push_array(x, x->envp, 0, x->envc);
	x->as->env_start = x->p;
	if (!err && !x->argc && !x->nscripts) {
		err = push_kernel(x, "");		/* as Linux: there always is an argv[0] */
		x->argc = 1;
	} else if (!err) {
		err = push_array(x, x->argv, x->nscripts ? 1 : 0, x->argc);
	}
	if (!err && x->nscripts) {
		if (x->argc)
			x->argc--;
		err = push_scripts(x);
	}
	x->as->arg_start = x->p;
	return err;
}

/* --- pointers and the auxiliary vector --------------------------------------------------------- */

/* Writes 64-bit words upwards, a page at a time. */
static int put_word(struct exec_ctx *x, u64 *va, u64 word)
{
	char *dst;
	int err = stack_at(x, *va, &dst);

	if (err)
		return err;
	*(u64 *)dst = word;
	*va += 8;
	return 0;
}

/* Length with the NUL of a string in the new stack. */
static int string_size(struct exec_ctx *x, u64 va, u64 *out)
{
	u64 n = 0;

	for (;;) {
		u64 part = PAGE_SIZE - ((va + n) & ~PAGE_MASK), len;
		char *s;
		int err = stack_at(x, va + n, &s);

		if (err)
			return err;
		len = strnlen(s, part);
		n += len;
		if (len < part) {
			*out = n + 1;
			return 0;
		}
	}
}

/*
 * Pointers to n strings that begin at *str, written at *at, with the NULL.  Strings and pointers lie in
 * different pages as a rule, so pointers go out in batches: the page in hand changes twice per batch.
 */
static int put_pointers(struct exec_ctx *x, u64 *at, u64 *str, u64 n)
{
	u64 batch[64];

	while (n) {
		u64 k = MIN(n, (u64)ARRAY_LEN(batch));

		for (u64 i = 0; i < k; i++) {
			u64 size;
			int err = string_size(x, *str, &size);

			if (err)
				return err;
			batch[i] = *str;
			*str += size;
		}
		int err = write_bytes(x, *at, batch, k * 8);

		if (err)
			return err;
		*at += k * 8;
		n -= k;
	}
	return put_word(x, at, 0);
}

static u32 fill_auxv(struct exec_ctx *x, u64 *v, u64 random, u64 platform)
{
	const struct exec_plan *p = x->plan;
	const struct cred *c = x->cred;
	u32 n = 0;

#define AUX(id, val) do { v[n++] = (id); v[n++] = (u64)(val); } while (0)
	AUX(AT_SYSINFO_EHDR, x->vdso);
	AUX(AT_MINSIGSTKSZ, sigframe_min_stack());
	AUX(AT_HWCAP, arch_hwcap());
	AUX(AT_PAGESZ, PAGE_SIZE);
	AUX(AT_CLKTCK, CLOCK_TICKS);
	AUX(AT_PHDR, p->phdr ? p->phdr + x->bias : 0);
	AUX(AT_PHENT, ELF_PHDR_SIZE);
	AUX(AT_PHNUM, p->phnum);
	AUX(AT_BASE, x->interp_base);
	AUX(AT_FLAGS, 0);
	AUX(AT_ENTRY, p->entry + x->bias);
	AUX(AT_UID, c->uid);
	AUX(AT_EUID, c->euid);
	AUX(AT_GID, c->gid);
	AUX(AT_EGID, c->egid);
	AUX(AT_SECURE, x->secure);
	AUX(AT_RANDOM, random);
	AUX(AT_HWCAP2, arch_hwcap2());
	AUX(AT_EXECFN, x->execfn);
	AUX(AT_PLATFORM, platform);
	AUX(AT_NULL, 0);
#undef AUX
	return n;
}
_Static_assert(sizeof(((struct aspace *)0)->auxv) >= 21 * 16, "room for every entry");

int exec_stack_finish(struct exec_ctx *x)
{
	TRACE_SPAN(exec_stack);
	struct aspace *as = x->as;
	u64 p = x->p, str = x->p, platform, random, at, noise[2], words;
	u32 naux;
	int err;

	p &= ~15ull;
	platform = p - 7;
	random = platform - 16;
	noise[0] = vm_random_u64();
	noise[1] = vm_random_u64();
	naux = fill_auxv(x, as->auxv, random, platform);
	words = 1 + (x->argc + 1) + (x->envc + 1) + naux;
	at = x->sp = (random - words * 8) & ~15ull;
	err = write_bytes(x, platform, "x86_64", 7);
	if (!err)
		err = write_bytes(x, random, noise, sizeof(noise));
	if (!err)
		err = put_word(x, &at, x->argc);
	if (!err)
		err = put_pointers(x, &at, &str, x->argc);
	as->arg_end = as->env_start = str;
	if (!err)
		err = put_pointers(x, &at, &str, x->envc);
	as->env_end = str;
	if (!err)
		err = write_bytes(x, at, as->auxv, naux * 8);
	exec_stack_drop(x);
	return err;
}
