/*
 * System-call dispatch.  The entry code calls through syscall_fast (declared in
 * arch/upcall.h), generated from spec/syscalls.tbl: stubs that pass the registers
 * on as typed arguments.  Watched calls and those that need a whole frame go
 * through syscall_dispatch() and syscall_table, which has the stubs of all.
 * Restart errors are results like others: proc_return_to_user() settles them.
 * Context: threads, interrupts on.
 */
#pragma once

#include <base/attrs.h>

struct task;
struct trapframe;

typedef i64 (*syscall_fn_t)(struct task *self, const struct trapframe *tf);
extern const syscall_fn_t syscall_table[];
i64 syscall_absent(struct task *self, const struct trapframe *tf);	/* counts, -ENOSYS */

/* How often number nr (~0u: all numbers past the table together) was refused with -ENOSYS. */
u64 syscall_absent_count(u32 nr);
/* debug=metrics: counts of a call by all CPUs; ns: time of those that ended.  False: not counted. */
bool syscall_totals(u32 nr, u64 *calls, u64 *ended, u64 *ns);
void syscall_metrics_init(void);		/* boot, after mem */
/* Around a call; the value of enter goes to exit. */
u64 syscall_metrics_enter(u32 nr);
void syscall_metrics_exit(u32 nr, u64 start);
struct crash_report;
void syscall_crash_step(struct crash_report *r);	/* core/crash.h */
const char *syscall_name(u32 nr);	/* NULL: no such number */
