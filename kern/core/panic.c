/*
 * The end of the kernel.  Uses nothing that can be broken: no locks, no heap, no log; text goes
 * out by polled serial, from a stack that nothing else uses.  The first CPU here reports, the
 * others are stopped.  The report is a list of parts: one that faults is given up,
 * and the rest is made from the top of the stack again.
 */
#include <arch/context.h>
#include <arch/cpu.h>
#include <arch/machine.h>
#include <arch/smp.h>
#include <arch/trap.h>
#include <base/fmt.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/cmdline.h>
#include <core/crash.h>
#include <core/panic.h>
#include <core/percpu.h>

#include "crash_steps.h"

i32 panic_timeout;
u64 panic_fault_addr;
void (*panic_flush_hook)(void);
static u32 panic_cpu;			/* atomic: reporting CPU + 1, 0: none */

/* All of these: the reporting CPU. */
static struct crash_report report;
static u32 part;			/* of the report that is under way */
static bool reporting;			/* report is filled in: a fault from now on is one of its parts */
static u8 panic_stack[16384] ALIGNED(16);

void panic_read_cmdline(void)
{
	char text[16];

	if (!cmdline_get("panic", text, sizeof(text)))
		return;
	panic_timeout = text[0] == '-' ? -1 : (i32)cmdline_get_u64("panic", 0);
}

static void out(const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			arch_early_putc('\r');
		arch_early_putc(*s);
	}
}

static NORETURN void finish(void)
{
	if (panic_timeout > 0) {
		u64 end = clock_mono_ns() + panic_timeout * NSEC_PER_SEC;

		while (clock_mono_ns() < end)
			cpu_relax();
	}
	if (panic_timeout)
		machine_reboot();
	out("---[ end Kernel panic ]---\n");
	cpu_halt_forever();
}

/* --- the parts ------------------------------------------------------------- */

static void print_head(struct crash_report *r)
{
	out("\nKernel panic - not syncing: ");
	out(r->reason);
	out("\n");
}

static void print_text(struct crash_report *r)
{
	crash_print_text(r, out);
}

static void print_json(struct crash_report *r)
{
	crash_print_json(r, out);
}

static void walk_stack(struct crash_report *r)
{
	r->frames[r->nframes++] = r->regs.rip;
	crash_walk(r, r->regs.rbp, trapframe_is_user(&r->regs));
}

/* The reason is out before anything is gathered; what was gathered goes out in two forms. */
static bool run_part(u32 n)
{
	static const crash_step first[] = { print_head, walk_stack }, last[] = { print_text, print_json };

	if (n < ARRAY_LEN(first)) {
		first[n](&report);
		return true;
	}
	n -= ARRAY_LEN(first);
	if (n < CRASH_STEPS_MAX) {
		(void)crash_step_run(&report, n);
		return true;
	}
	n -= CRASH_STEPS_MAX;
	if (n >= ARRAY_LEN(last))
		return false;
	last[n](&report);
	return true;
}

static NORETURN void run_parts(void)
{
	while (run_part(part++))
		;
	finish();
}

static NORETURN void start_report(void)
{
	reporting = true;
	arch_call_on_stack(panic_stack + sizeof(panic_stack), run_parts);
}

/* A fault inside the report: that part is over. */
static NORETURN void next_part(void)
{
	static u32 faults;

	if (!reporting || ++faults > 16) {
		out("\nfault inside the panic report\n");
		finish();
	}
	report.nfailed++;
	arch_call_on_stack(panic_stack + sizeof(panic_stack), run_parts);
}

/* Returns on the first CPU that comes here, for the first time. */
static void claim(void)
{
	u32 none = 0, me = cpu_id() + 1;

	irq_disable();
	if (__atomic_compare_exchange_n(&panic_cpu, &none, me, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		arch_stop_others();
		if (panic_flush_hook)
			panic_flush_hook();
		report.cpu = cpu_id();
		return;
	}
	if (none == me)
		next_part();
	cpu_halt_forever();
}

static char notes[CRASH_NOTES];
static u32 notes_len;			/* of the CPU that is about to panic: others are late */

void panic_note(const char *fmt, ...)
{
	u32 room = sizeof(notes) - notes_len, n;
	va_list ap;

	va_start(ap, fmt);
	n = (u32)fmt_vsnprintf(notes + notes_len, room, fmt, ap);
	va_end(ap);
	if (n + 2 > room) {
		notes[notes_len] = 0;
		return;
	}
	notes_len += n;
	notes[notes_len++] = '\n';
	notes[notes_len] = 0;
}

static void note_reason(const char *kind, const char *fmt, va_list ap)
{
	report.kind = kind;
	fmt_vsnprintf(report.reason, sizeof(report.reason), fmt, ap);
	memcpy(report.notes, notes, sizeof(notes));
}

void panic(const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	note_reason("panic", fmt, ap);
	va_end(ap);
	report.regs.rip = (u64)__builtin_return_address(0);
	report.regs.rbp = *(u64 *)__builtin_frame_address(0);
	report.regs.rsp = (u64)__builtin_frame_address(0) + 16;
	report.regs.rflags = cpu_flags();
	start_report();
}

void panic_trap(struct trapframe *tf, const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	note_reason("panic", fmt, ap);
	va_end(ap);
	report.regs = *tf;
	report.pc_exact = true;
	report.fault_addr = panic_fault_addr;
	start_report();
}

void panic_stall(struct trapframe *tf, const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	note_reason("stall", fmt, ap);
	va_end(ap);
	report.regs = *tf;
	report.pc_exact = true;
	start_report();
}

void panic_boot(const char *fmt, ...)
{
	va_list ap;

	claim();
	va_start(ap, fmt);
	note_reason("panic", fmt, ap);
	va_end(ap);
	print_head(&report);
	finish();
}

NORETURN void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
	panic("stack protector: %p overran its frame", __builtin_return_address(0));
}
