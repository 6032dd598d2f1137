/*
 * The signal frame of x86-64 Linux, built on the user stack and taken apart by
 * rt_sigreturn.  From the stack's top downwards: the FPU state (XSAVE format,
 * 64-byte aligned), then struct rt_sigframe with its address = 8 (mod 16), as if
 * the handler had been called.  Everything read back is checked: a program may
 * write what it likes there.
 */
#include <arch/usercopy.h>
#include "proc.h"

#define USER_CS 0x33u
#define USER_SS 0x2bu
#define RED_ZONE 128u

#define UC_FP_XSTATE	     1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

#define RFLAGS_CF 0x1ull
#define RFLAGS_TF 0x100ull
#define RFLAGS_DF 0x400ull
#define RFLAGS_RF 0x10000ull
/* AC OF DF TF SF ZF AF PF CF RF: what a program may change. */
#define RFLAGS_USER 0x50dd5ull

#define SS_AUTODISARM (1u << 31)

struct sigcontext {
	u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2, fpstate;
	u64 reserved[8];
};
_Static_assert(sizeof(struct sigcontext) == 256, "the ABI's layout");

struct ucontext {
	u64 flags, link;
	struct sigaltstack_k stack;
	struct sigcontext mc;
	u64 sigmask;
};

struct rt_sigframe {
	u64 pretcode;
	struct ucontext uc;
	struct siginfo_k info;
};
_Static_assert(sizeof(struct rt_sigframe) == 440, "the ABI's layout");
#define FRAME_HEAD offsetof(struct rt_sigframe, info)	/* all that rt_sigreturn reads */

u32 sigframe_min_stack(void)
{
	u32 need = (u32)sizeof(struct rt_sigframe) + 8 + 16 + 63 + arch_fpu_frame_size();

	return ALIGN_UP(need, 64u);
}

static bool on_altstack(const struct sigaltstack_k *ss, u64 sp)
{
	return ss->size && !(ss->flags & SS_AUTODISARM) && sp > ss->sp && sp - ss->sp <= ss->size;
}

/* Where the frame goes; *fp: where the FPU state goes.  0: no room. */
static u64 frame_place(struct task *self, const struct trapframe *tf, const struct ksignal *ks, u64 *fp)
{
	const struct sigaltstack_k *ss = &self->altstack;
	u64 sp = tf->rsp - RED_ZONE;
	bool nested = on_altstack(ss, tf->rsp), entering = false;

	if ((ks->act.flags & SA_ONSTACK_K) && ss->size && !nested) {
		sp = ss->sp + ss->size;
		entering = true;
	}
	*fp = ALIGN_DOWN(sp - arch_fpu_frame_size(), 64ull);
	sp = ALIGN_DOWN(*fp - sizeof(struct rt_sigframe), 16ull) - 8;
	if ((nested || entering) && !(sp > ss->sp && sp - ss->sp <= ss->size))
		return 0;			/* would run over the end of the alternate stack */
	return sp;
}

static void fill_context(struct sigcontext *mc, struct task *self, const struct trapframe *tf, u64 fp)
{
	mc->r8 = tf->r8;
	mc->r9 = tf->r9;
	mc->r10 = tf->r10;
	mc->r11 = tf->r11;
	mc->r12 = tf->r12;
	mc->r13 = tf->r13;
	mc->r14 = tf->r14;
	mc->r15 = tf->r15;
	mc->rdi = tf->rdi;
	mc->rsi = tf->rsi;
	mc->rbp = tf->rbp;
	mc->rbx = tf->rbx;
	mc->rdx = tf->rdx;
	mc->rax = tf->rax;
	mc->rcx = tf->rcx;
	mc->rsp = tf->rsp;
	mc->rip = tf->rip;
	mc->rflags = tf->rflags;
	mc->gs = mc->fs = 0;
	for (u32 i = 0; i < ARRAY_LEN(mc->reserved); i++)
		mc->reserved[i] = 0;
	mc->cs = (u16)tf->cs;
	mc->ss = (u16)tf->ss;
	mc->err = self->trap_err;
	mc->trapno = self->trap_no;
	mc->cr2 = self->trap_addr;
	mc->fpstate = fp;
}

static void fill_frame(struct rt_sigframe *f, struct task *self, const struct trapframe *tf, const struct ksignal *ks, u64 fp)
{
	u64 mask = self->restore_mask ? self->saved_mask.bits : self->blocked.bits;

	/* Every word up to info is written here or in fill_context(): it goes to the program. */
	f->pretcode = ks->act.restorer;
	f->uc.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (arch_fpu_frame_size() > 512 ? UC_FP_XSTATE : 0);
	f->uc.link = 0;
	f->uc.stack.pad = 0;
	f->uc.stack.sp = self->altstack.sp;
	f->uc.stack.size = self->altstack.size;
	f->uc.stack.flags = !self->altstack.size ? 2 : on_altstack(&self->altstack, tf->rsp) ? 1 : 0;
	f->uc.stack.flags |= self->altstack.flags & SS_AUTODISARM;
	fill_context(&f->uc.mc, self, tf, fp);
	f->uc.mc.oldmask = mask;
	f->uc.sigmask = mask;
}

int sigframe_setup(struct task *self, struct trapframe *tf, const struct ksignal *ks)
{
	struct rt_sigframe frame;		/* its info goes to the program from *ks */
	u64 fp, sp = frame_place(self, tf, ks, &fp);

	if (!sp || !(ks->act.flags & SA_RESTORER_K))
		return -EFAULT;
	if (!user_range_ok(UPTR(sp), sizeof(frame)) || arch_fpu_save_user(UPTR(fp)))
		return -EFAULT;
	fill_frame(&frame, self, tf, ks, fp);
	if (user_copy_out(UPTR(sp), &frame, FRAME_HEAD) || user_put(UPTR(sp + FRAME_HEAD), &ks->info))
		return -EFAULT;
	if (self->altstack.flags & SS_AUTODISARM)
		self->altstack = (struct sigaltstack_k){ .flags = 2 };
	tf->rdi = ks->sig;
	tf->rsi = sp + FRAME_HEAD;
	tf->rdx = sp + offsetof(struct rt_sigframe, uc);
	tf->rax = 0;
	tf->orig_rax = ~0ull;
	tf->rip = ks->act.handler;
	tf->rsp = sp;
	tf->cs = USER_CS;
	tf->ss = USER_SS;
	tf->rflags &= ~(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF);
	return 0;
}

/* --- the way back ---------------------------------------------------------------- */

static void take_context(struct trapframe *tf, const struct sigcontext *mc)
{
	tf->r8 = mc->r8;
	tf->r9 = mc->r9;
	tf->r10 = mc->r10;
	tf->r11 = mc->r11;
	tf->r12 = mc->r12;
	tf->r13 = mc->r13;
	tf->r14 = mc->r14;
	tf->r15 = mc->r15;
	tf->rdi = mc->rdi;
	tf->rsi = mc->rsi;
	tf->rbp = mc->rbp;
	tf->rbx = mc->rbx;
	tf->rdx = mc->rdx;
	tf->rax = mc->rax;
	tf->rcx = mc->rcx;
	tf->rsp = mc->rsp;
	tf->rip = mc->rip;
	tf->rflags = (tf->rflags & ~RFLAGS_USER) | (mc->rflags & RFLAGS_USER);
	tf->cs = USER_CS;
	tf->ss = USER_SS;
	tf->orig_rax = ~0ull;
}

/* Only 64-bit user code may be returned to; an odd stack selector is replaced unless the frame insists. */
static bool context_is_sane(const struct ucontext *uc)
{
	if ((uc->mc.cs | 3) != USER_CS)
		return false;
	if ((uc->mc.ss | 3) != USER_SS && (uc->flags & UC_STRICT_RESTORE_SS))
		return false;
	return uc->mc.rip < 1ull << 47;
}

static bool restore_fpu(const struct sigcontext *mc)
{
	if (!mc->fpstate)
		return true;			/* the handler's state stays */
	return user_range_ok(UPTR(mc->fpstate), arch_fpu_frame_size()) && arch_fpu_load_user(UPTR(mc->fpstate)) == 0;
}

i64 signal_sigreturn(struct task *self)
{
	struct trapframe *tf = task_frame(self);
	u64 at = tf->rsp - 8;
	struct rt_sigframe frame;
	struct sigaltstack_k ss;

	if (user_copy_in(&frame, UPTR(at), FRAME_HEAD)) {
		signal_force(SIGSEGV, SI_KERNEL, 0);
		return 0;
	}
	signal_set_blocked(self, (struct sigset64){ frame.uc.sigmask });
	if (!context_is_sane(&frame.uc) || !restore_fpu(&frame.uc.mc)) {
		signal_force(SIGSEGV, SI_KERNEL, 0);
		return 0;
	}
	take_context(tf, &frame.uc.mc);
	self->restart.fn = NULL;
	ss = frame.uc.stack;
	DISCARD(signal_altstack(self, &ss, NULL));	/* as Linux: an invalid one is ignored */
	return (i64)tf->rax;
}
