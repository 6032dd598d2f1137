/*
 * The end: one report on the console by polled output (works with broken
 * locks and heap), other CPUs stopped, then reset or halt as panic= says.
 * The first line is "Kernel panic - not syncing: REASON" as Linux prints it,
 * which the launcher looks for.  panic() itself is declared in base/bug.h.
 */
#pragma once

#include <base/bug.h>

struct trapframe;

NORETURN void panic_trap(struct trapframe *tf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As panic_trap(), for the watchdog: a CPU that does not get on was interrupted at tf. */
NORETURN void panic_stall(struct trapframe *tf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One clear line without a backtrace, then the same end: for boot failures that are not bugs. */
NORETURN void panic_boot(const char *fmt, ...) PRINTF_LIKE(1, 2);
extern u64 panic_fault_addr;	/* what panic_trap() reports as the fault address: set by the trap code of that CPU */
/* Before panic(): a line that its report shows below the reason.  Any context; what does not fit is left out. */
void panic_note(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Symbol that covers addr (table is embedded at link time); NULL outside the kernel's text. */
const char *symbol_lookup(u64 addr, u64 *offset);
/*
 * For notes: "0xADDRESS (SYMBOL+0xOFFSET)" with the function or, in debug builds, the variable of the kernel that addr is
 * in; the address alone elsewhere.  Returns buf.
 */
#define PLACE_LEN 96u
const char *place_name(char buf[PLACE_LEN], u64 addr);
void panic_read_cmdline(void);		/* panic=: the boot code calls it before anything can fail */
extern i32 panic_timeout;	/* panic=: 0 halts, <0 resets at once, >0 seconds */
/* Set once by the console driver: writes out what its ring still holds, by polling, without locks. */
extern void (*panic_flush_hook)(void);
/* Before the machine goes off: what the log has written reaches the port. */
static inline void log_flush_console(void)
{
	if (panic_flush_hook)
		panic_flush_hook();
}
