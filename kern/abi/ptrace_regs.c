/* Registers of a tracee: struct user, NT_PRSTATUS, NT_PRFPREG, NT_X86_XSTATE. */
#include <arch/debug.h>
#include "abi.h"
#include "ptrace.h"

#define NT_PRSTATUS   1u
#define NT_PRFPREG    2u
#define NT_X86_XSTATE 0x202u
#define USER_CS_K     0x33u
#define USER_SS_K     0x2bu

#define WORDS (sizeof(struct user_regs_k) / sizeof(u64))
#define WORD_OF(field) (offsetof(struct user_regs_k, field) / sizeof(u64))

static void general_read(struct task *t, u64 out[WORDS])
{
	struct user_regs_k r = { 0 };

	memcpy(&r, task_frame(t), sizeof(struct trapframe));
	r.eflags = arch_flags_get(&t->thread.arch);
	r.fs_base = t->thread.arch.fs_base;
	r.gs_base = t->thread.arch.gs_base;
	memcpy(out, &r, sizeof(r));
}

/* One word.  -EIO: a value that the processor would refuse; there are no segments but the flat ones. */
static int general_write(struct task *t, u32 word, u64 value)
{
	switch (word) {
	case WORD_OF(eflags):
		arch_flags_set(&t->thread.arch, value);
		return 0;
	case WORD_OF(cs): return value == USER_CS_K ? 0 : -EIO;
	case WORD_OF(ss): return value == USER_SS_K ? 0 : -EIO;
	case WORD_OF(ds):
	case WORD_OF(es):
	case WORD_OF(fs):
	case WORD_OF(gs): return value ? -EIO : 0;
	case WORD_OF(fs_base):
		if (value >= USER_TOP)
			return -EIO;
		t->thread.arch.fs_base = value;
		return 0;
	case WORD_OF(gs_base):
		if (value >= USER_TOP)
			return -EIO;
		t->thread.arch.gs_base = value;
		return 0;
	}
	((u64 *)task_frame(t))[word] = value;
	return 0;
}

int regs_peek_user(struct task *t, u64 offset, u64 *out)
{
	u64 words[WORDS];

	if (offset & 7 || offset >= USER_AREA_SIZE)
		return -EIO;
	*out = 0;
	if (offset < sizeof(words)) {
		general_read(t, words);
		*out = words[offset / 8];
	} else if (offset >= USER_DEBUG_OFFSET && offset < USER_DEBUG_END) {
		*out = arch_debug_get(&t->thread.arch, (u32)(offset - USER_DEBUG_OFFSET) / 8);
	}
	return 0;
}

int regs_poke_user(struct task *t, u64 offset, u64 value)
{
	if (offset & 7 || offset >= USER_AREA_SIZE)
		return -EIO;
	if (offset < sizeof(struct user_regs_k))
		return general_write(t, (u32)(offset / 8), value);
	if (offset < USER_DEBUG_OFFSET || offset >= USER_DEBUG_END)
		return -EIO;
	return arch_debug_set(&t->thread.arch, (u32)(offset - USER_DEBUG_OFFSET) / 8, value);
}

int regs_get_general(struct task *t, uptr_t to, u64 len)
{
	u64 words[WORDS];

	general_read(t, words);
	return user_copy_out(to, words, MIN(len, sizeof(words))) ? -EFAULT : 0;
}

int regs_set_general(struct task *t, uptr_t from, u64 len)
{
	u64 words[WORDS];
	int err = 0;

	len = MIN(len, sizeof(words));
	if (user_copy_in(words, from, len))
		return -EFAULT;
	for (u32 i = 0; i < len / 8 && !err; i++)
		err = general_write(t, i, words[i]);
	return err;
}

static int fpu_get(struct task *t, uptr_t to, u64 len, u32 whole)
{
	AUTO(kptr) buf = kmalloc(whole);

	if (!buf)
		return -ENOMEM;
	arch_fpu_get(&t->thread.arch, buf, whole);
	return user_copy_out(to, buf, MIN(len, (u64)whole)) ? -EFAULT : 0;
}

static int fpu_set(struct task *t, uptr_t from, u32 whole)
{
	AUTO(kptr) buf = kmalloc(whole);

	if (!buf)
		return -ENOMEM;
	if (user_copy_in(buf, from, whole))
		return -EFAULT;
	return arch_fpu_set(&t->thread.arch, buf, whole);
}

int regs_get_fpu(struct task *t, uptr_t to, u64 len) { return fpu_get(t, to, len, FPU_LEGACY_SIZE); }

int regs_set_fpu(struct task *t, uptr_t from, u64 len)
{
	return len < FPU_LEGACY_SIZE ? -EINVAL : fpu_set(t, from, FPU_LEGACY_SIZE);
}

static u64 regset_size(u64 type)
{
	switch (type) {
	case NT_PRSTATUS: return sizeof(struct user_regs_k);
	case NT_PRFPREG: return FPU_LEGACY_SIZE;
	case NT_X86_XSTATE: return arch_fpu_state_size();
	}
	return 0;
}

static int regset_move(struct task *t, u64 type, uptr_t at, u64 len, bool write)
{
	u32 whole = (u32)regset_size(type);

	if (type == NT_PRSTATUS)
		return write ? regs_set_general(t, at, len) : regs_get_general(t, at, len);
	if (!write)
		return fpu_get(t, at, len, whole);
	if (len != whole)		/* no partial ones */
		return type == NT_PRFPREG ? -EINVAL : -EFAULT;
	return fpu_set(t, at, whole);
}

i64 regs_set_io(struct task *t, u64 type, uptr_t iov, bool write)
{
	struct { u64 base, len; } v;
	u64 size = regset_size(type);
	int err;

	if (user_get(&v, iov))
		return -EFAULT;
	if (!size || v.len % 8)
		return -EINVAL;
	v.len = MIN(v.len, size);
	err = regset_move(t, type, UPTR(v.base), v.len, write);
	return err ? err : user_put(uptr_add(iov, 8), &v.len);
}
