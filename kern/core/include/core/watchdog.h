/*
 * The watchdog: a CPU that does not get on is reported as a stall (panic).
 *
 * A timer raises an NMI on every CPU some 18 times a second, so it is seen with interrupts off too.  Time is counted in
 * NMIs that this CPU itself took, not in seconds: a virtual CPU that the host does not run takes none, and
 * is not stalled for that.  watchdog=SECONDS on the command line switches it on; debug builds have 60.
 */
#pragma once

#include <arch/trap.h>
#include <base/attrs.h>

void watchdog_init(void);			/* command line, then the timer */
void watchdog_nmi(struct trapframe *tf);	/* on the NMI stack, in the middle of anything */
