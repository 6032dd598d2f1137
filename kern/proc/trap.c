/*
 * Traps of user code become signals.  The trap's number, error code and address
 * stay in the task for the signal frame.
 */
#include <arch/debug.h>
#include <arch/upcall.h>
#include <mem/mem.h>
#include "proc.h"

#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define FPE_INTDIV 1
#define FPE_INTOVF 2
#define FPE_FLTDIV 3
#define FPE_FLTOVF 4
#define FPE_FLTUND 5
#define FPE_FLTRES 6
#define FPE_FLTINV 7
#define ILL_ILLOPN  2
#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define TRAP_BRKPT  1
#define TRAP_TRACE_CODE 2
#define TRAP_HWBKPT 4

#define VECTOR_PAGE_FAULT 14u

struct trap_signal { u8 vector, sig; i8 code; bool has_addr; };
static const struct trap_signal traps[] = {
	[TRAP_DIVIDE]	      = { 0, SIGFPE, FPE_INTDIV, true },
	[TRAP_DEBUG]	      = { 1, SIGTRAP, TRAP_TRACE_CODE, true },
	[TRAP_BREAKPOINT]     = { 3, SIGTRAP, 0, false },
	[TRAP_OVERFLOW]	      = { 4, SIGSEGV, 0, false },
	[TRAP_BOUND]	      = { 5, SIGSEGV, 0, false },
	[TRAP_INVALID_OPCODE] = { 6, SIGILL, ILL_ILLOPN, true },
	[TRAP_NO_FPU]	      = { 7, SIGSEGV, 0, false },
	[TRAP_SEGMENT]	      = { 11, SIGBUS, 0, false },
	[TRAP_STACK]	      = { 12, SIGBUS, 0, false },
	[TRAP_PROTECTION]     = { 13, SIGSEGV, 0, false },
	[TRAP_FPU]	      = { 16, SIGFPE, 0, true },
	[TRAP_ALIGNMENT]      = { 17, SIGBUS, BUS_ADRALN, false },
	[TRAP_SIMD]	      = { 19, SIGFPE, 0, true },
};

/* hw_err carries the unmasked exception bits of x87 or SSE status (same order in both). */
static i32 fpe_code(u64 status)
{
	if (status & 0x01)
		return FPE_FLTINV;
	if (status & 0x04)
		return FPE_FLTDIV;
	if (status & 0x08)
		return FPE_FLTOVF;
	if (status & 0x12)
		return FPE_FLTUND;
	if (status & 0x20)
		return FPE_FLTRES;
	return 0;
}

void proc_user_trap(struct trapframe *tf, enum trap_kind kind, u64 addr, u64 hw_err)
{
	struct task *self = task_current();
	const struct trap_signal *t = &traps[kind];
	i32 code = t->code;

	tf->orig_rax = ~0ull;
	self->trap_no = t->vector;
	self->trap_err = hw_err;
	if (kind == TRAP_FPU || kind == TRAP_SIMD) {
		code = fpe_code(hw_err);
		self->trap_err = 0;
		if (!code)
			return;			/* spurious, as on Linux */
	}
	if (kind == TRAP_DEBUG) {
		code = hw_err == DEBUG_CAUSE_STEP ? TRAP_TRACE_CODE : hw_err == DEBUG_CAUSE_WATCH ? TRAP_HWBKPT : TRAP_BRKPT;
		self->trap_err = 0;
	}
	if (!t->has_addr && !code)
		signal_force(t->sig, SI_KERNEL, 0);
	else
		signal_force(t->sig, code, t->has_addr ? (addr ? addr : tf->rip) : 0);
}

void proc_user_fault(struct trapframe *tf, u64 addr, u64 hw_err, int fault_err)
{
	struct task *self = task_current();

	tf->orig_rax = ~0ull;
	if (thread_fatal_pending() || fault_err == -EINTR)
		return;				/* the pending signal says what happens */
	self->trap_no = VECTOR_PAGE_FAULT;
	self->trap_err = hw_err | (addr >= USER_TOP ? 1 : 0);	/* kernel addresses tell nothing about what is there */
	self->trap_addr = addr;
	switch (fault_err) {
	case -ENOMEM:
		if (!mem_oom_hook || !mem_oom_hook())	/* true: something was killed, the access is made again */
			signal_force(SIGBUS, BUS_ADRERR, addr);
		return;
	case -EIO: signal_force(SIGBUS, BUS_ADRERR, addr); return;
	case -EACCES: signal_force(SIGSEGV, SEGV_ACCERR, addr); return;
	default: signal_force(SIGSEGV, SEGV_MAPERR, addr);
	}
}
