/* ptrace(2): requests.  What they do is in proc/ptrace.h; registers are in ptrace_regs.c. */
#include <arch/debug.h>
#include <proc/ptrace.h>
#include "abi.h"
#include "ptrace.h"

#define PTRACE_O_MASK		   (0xffu | PTRACE_O_EXITKILL)
#define PTRACE_PEEKSIGINFO_SHARED 1u
#define AUDIT_ARCH_X86_64	   0xc000003eu
#define WORD			   sizeof(u64)

/* --- memory, signals ------------------------------------------------------------- */

static i64 peek_memory(struct task *t, u64 addr, u64 to)
{
	AUTO(aspace_use) as = process_aspace_get(t->proc);
	u64 word;

	if (!as || aspace_access(as, addr, &word, WORD, false, true) != (i64)WORD)
		return -EIO;
	return user_put(UPTR(to), &word);
}

static i64 poke_memory(struct task *t, u64 addr, u64 word)
{
	AUTO(aspace_use) as = process_aspace_get(t->proc);

	return as && aspace_access(as, addr, &word, WORD, true, true) == (i64)WORD ? 0 : -EIO;
}

static i64 set_siginfo(struct task *t, u64 from)
{
	struct siginfo_k info;

	if (user_get(&info, UPTR(from)))
		return -EFAULT;
	if (!t->trace->has_info)
		return -EINVAL;
	t->trace->info = info;
	return 0;
}

/* Copies of signals that wait, from the args.off-th on: how many. */
static i64 peek_siginfo(struct task *t, u64 arg, u64 to)
{
	struct { u64 off; u32 flags; i32 nr; } a;
	struct siginfo_k info;
	i64 n = 0;

	if (user_get(&a, UPTR(arg)))
		return -EFAULT;
	if (a.flags & ~PTRACE_PEEKSIGINFO_SHARED || a.nr < 0)
		return -EINVAL;
	for (; n < a.nr && ptrace_peek_signal(t, a.flags, a.off + (u64)n, &info); n++)
		if (user_put(uptr_add(UPTR(to), (u64)n * sizeof(info)), &info))
			return n ? n : -EFAULT;
	return n;
}

static i64 get_sigmask(struct task *t, u64 size, u64 to)
{
	struct sigset64 mask = t->restore_mask ? t->saved_mask : t->blocked;

	return size != SIGSET_SIZE ? -EINVAL : user_put(UPTR(to), &mask);
}

static i64 set_sigmask(struct task *t, u64 size, u64 from)
{
	struct sigset64 mask;

	if (size != SIGSET_SIZE)
		return -EINVAL;
	if (user_get(&mask, UPTR(from)))
		return -EFAULT;
	ptrace_set_blocked(t, mask);
	return 0;
}

/* --- PTRACE_GET_SYSCALL_INFO -------------------------------------------------------- */

struct syscall_info_k {
	u8 op, pad[3];
	u32 arch;
	u64 ip, sp;
	union {
		struct { u64 nr, args[6]; } entry;
		struct { i64 rval; u8 is_error; } exit;
	};
};

static u64 fill_syscall_info(struct task *t, struct syscall_info_k *out)
{
	const struct ptrace *tr = t->trace;
	const struct trapframe *tf = task_frame(t);
	bool stop = tr->has_info && (u32)tr->info.code == (SIGTRAP | 0x80);

	memset(out, 0, sizeof(*out));
	out->arch = AUDIT_ARCH_X86_64;
	out->ip = tf->rip;
	out->sp = tf->rsp;
	if (stop && tr->message == PTRACE_MESSAGE_ENTRY) {
		out->op = 1;
		out->entry.nr = tf->orig_rax;
		memcpy(out->entry.args, (u64[]){ tf->rdi, tf->rsi, tf->rdx, tf->r10, tf->r8, tf->r9 }, sizeof(out->entry.args));
		return offsetof(struct syscall_info_k, entry) + sizeof(out->entry);
	}
	if (stop && tr->message == PTRACE_MESSAGE_EXIT) {
		out->op = 2;
		out->exit.rval = (i64)tf->rax;
		out->exit.is_error = tf->rax >= (u64)-4095ll;
		return offsetof(struct syscall_info_k, exit.is_error) + 1;
	}
	return offsetof(struct syscall_info_k, entry);
}

static i64 get_syscall_info(struct task *t, u64 size, u64 to)
{
	struct syscall_info_k info;
	u64 n = fill_syscall_info(t, &info);

	return user_copy_out(UPTR(to), &info, MIN(n, size)) ? -EFAULT : (i64)n;
}

/* --- requests ------------------------------------------------------------------------- */

static i64 set_options(struct task *t, u64 options)
{
	if (options & ~(u64)PTRACE_O_MASK)
		return -EINVAL;
	t->trace->options = (u32)options;
	return 0;
}

static i64 resume(struct task *t, u64 sig, enum ptrace_resume how, bool step)
{
	if (sig > SIGMAX)
		return -EIO;
	ptrace_resume(t, (u32)sig, how, step);
	return 0;
}

static i64 registers(struct task *t, u64 request, u64 addr, u64 data)
{
	u64 word;
	int err;

	switch (request) {
	case PTRACE_PEEKUSER:
		err = regs_peek_user(t, addr, &word);
		return err ? err : user_put(UPTR(data), &word);
	case PTRACE_POKEUSER: return regs_poke_user(t, addr, data);
	case PTRACE_GETREGS: return regs_get_general(t, UPTR(data), sizeof(struct user_regs_k));
	case PTRACE_SETREGS: return regs_set_general(t, UPTR(data), sizeof(struct user_regs_k));
	case PTRACE_GETFPREGS: return regs_get_fpu(t, UPTR(data), FPU_LEGACY_SIZE);
	case PTRACE_SETFPREGS: return regs_set_fpu(t, UPTR(data), FPU_LEGACY_SIZE);
	case PTRACE_GETREGSET: return regs_set_io(t, addr, UPTR(data), false);
	case PTRACE_SETREGSET: return regs_set_io(t, addr, UPTR(data), true);
	}
	return -EIO;
}

static i64 going_on(struct task *t, u64 request, u64 data)
{
	switch (request) {
	case PTRACE_CONT: return resume(t, data, PTRACE_RESUME_CONT, false);
	case PTRACE_SYSCALL: return resume(t, data, PTRACE_RESUME_SYSCALL, false);
	case PTRACE_SINGLESTEP: return resume(t, data, PTRACE_RESUME_CONT, true);
	case PTRACE_SYSEMU: return resume(t, data, PTRACE_RESUME_SYSEMU, false);
	case PTRACE_SYSEMU_SINGLESTEP: return resume(t, data, PTRACE_RESUME_SYSEMU, true);
	case PTRACE_LISTEN: return ptrace_listen(t);
	case PTRACE_DETACH:
		if (data > SIGMAX)
			return -EIO;
		ptrace_detach(t, (u32)data);
		return 0;
	}
	return -EIO;
}

static i64 stopped_request(struct task *t, u64 request, u64 addr, u64 data)
{
	switch (request) {
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA: return peek_memory(t, addr, data);
	case PTRACE_POKETEXT:
	case PTRACE_POKEDATA: return poke_memory(t, addr, data);
	case PTRACE_SETOPTIONS: return set_options(t, data);
	case PTRACE_GETEVENTMSG: return user_put(UPTR(data), &t->trace->message);
	case PTRACE_GETSIGINFO: return t->trace->has_info ? user_put(UPTR(data), &t->trace->info) : -EINVAL;
	case PTRACE_SETSIGINFO: return set_siginfo(t, data);
	case PTRACE_PEEKSIGINFO: return peek_siginfo(t, addr, data);
	case PTRACE_GETSIGMASK: return get_sigmask(t, addr, data);
	case PTRACE_SETSIGMASK: return set_sigmask(t, addr, data);
	case PTRACE_GET_SYSCALL_INFO: return get_syscall_info(t, addr, data);
	case PTRACE_PEEKUSER:
	case PTRACE_POKEUSER:
	case PTRACE_GETREGS:
	case PTRACE_SETREGS:
	case PTRACE_GETFPREGS:
	case PTRACE_SETFPREGS:
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET: return registers(t, request, addr, data);
	default: return going_on(t, request, data);
	}
}

static i64 seize(struct task *self, i32 pid, u64 addr, u64 options)
{
	if (addr || options & ~(u64)PTRACE_O_MASK)
		return -EIO;
	return ptrace_attach(self, (u32)pid, true, (u32)options);
}

i64 sys_ptrace(struct task *self, u64 request, i32 pid, u64 addr, u64 data)
{
	bool running = request == PTRACE_KILL || request == PTRACE_INTERRUPT;
	struct task *found = NULL;
	int err;

	if (request == PTRACE_TRACEME)
		return ptrace_traceme(self);
	if (pid <= 0)
		return -ESRCH;
	if (request == PTRACE_ATTACH)
		return ptrace_attach(self, (u32)pid, false, 0);
	if (request == PTRACE_SEIZE)
		return seize(self, pid, addr, data);
	err = ptrace_get_tracee(self, (u32)pid, running, &found);
	if (err)
		return err;
	AUTO(task) t = found;

	if (request == PTRACE_INTERRUPT)
		return ptrace_interrupt(t);
	if (request == PTRACE_KILL) {
		DISCARD(signal_send_task(t, SIGKILL, NULL));	/* dead already: as good */
		return 0;
	}
	return stopped_request(t, request, addr, data);
}
