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
/* One clear line without a backtrace, then the same end: for boot failures that are not bugs. */
NORETURN void panic_boot(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Prints up to depth frames of the stack at frame pointer fp, symbolised. */
void panic_backtrace(u64 fp, u32 depth);
/* Symbol that covers addr (table is embedded at link time); NULL outside the kernel's text. */
const char *symbol_lookup(u64 addr, u64 *offset);
void panic_read_cmdline(void);		/* panic=: the boot code calls it before anything can fail */
extern i32 panic_timeout;	/* panic=: 0 halts, <0 resets at once, >0 seconds */
/* Set once by the console driver: writes out what its ring still holds, by polling, without locks. */
extern void (*panic_flush_hook)(void);
