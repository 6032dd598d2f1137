/*
 * See core/watchdog.h.  What counts as getting on, looked at in each NMI:
 *   locks     debug builds: the oldest spinlock held is not the one that was held at the last look
 *   interrupts  they were on at some look
 *   schedule    a thread was to give up the CPU (THREAD_WORK_MASK bit 0) and the flag went away, or user mode was
 *             interrupted.  A long stretch of kernel code alone is no stall: nobody waits.
 */
#include <arch/context.h>
#include <arch/watchdog.h>
#include <core/cmdline.h>
#include <core/lock.h>
#include <core/log.h>
#include <core/panic.h>
#include <core/percpu.h>
#include <core/watchdog.h>

#define RFLAGS_INTERRUPTS (1u << 9)
#define WORK_RESCHED	  (1u << 0)
#ifdef SAKER_DEBUG
#define DEFAULT_SECONDS 60u
#else
#define DEFAULT_SECONDS 0u
#endif

struct watch {
	u32 lock, off, late;		/* looks in a row that found no progress */
	u64 lock_seq;			/* of the lock seen last */
	const u32 *thread;		/* whose flag asked for a schedule */
};
static DEFINE_PER_CPU(struct watch, watch);
static u32 limit;			/* looks; const after watchdog_init(); 0: off */
static u32 seconds;			/* const after watchdog_init() */

void watchdog_init(void)
{
	seconds = (u32)cmdline_get_u64("watchdog", DEFAULT_SECONDS);
	if (!seconds)
		return;
	limit = MAX(seconds * ARCH_WATCHDOG_HZ, 2u);
	if (arch_watchdog_start()) {
		limit = 0;
		log_warn("watchdog: this machine has no timer for it");
	}
}

static void look_at_lock(struct watch *w, struct trapframe *tf)
{
	u64 seq;
	const char *name = lockrank_oldest_spin(&seq);

	if (!name || seq != w->lock_seq) {
		w->lock_seq = name ? seq : 0;
		w->lock = name != NULL;
	} else if (++w->lock >= limit) {
		lockrank_note_held();
		panic_stall(tf, "stall: CPU %u holds lock %s for %u s", cpu_id(), name, seconds);
	}
}

void watchdog_nmi(struct trapframe *tf)
{
	struct watch *w = this_cpu_ptr(&watch);
	const u32 *flags = arch_current_flags();
	bool asked = flags && READ_ONCE(*flags) & WORK_RESCHED;

	if (!limit)
		return;
	if (trapframe_is_user(tf)) {
		*w = (struct watch){ 0 };
		return;
	}
	look_at_lock(w, tf);
	w->off = tf->rflags & RFLAGS_INTERRUPTS ? 0 : w->off + 1;
	w->late = asked && flags == w->thread ? w->late + 1 : 0;
	w->thread = flags;
	if (w->off >= limit && !w->lock)	/* a lock says more, and is as old within a look */
		panic_stall(tf, "stall: CPU %u has had interrupts off for %u s", cpu_id(), seconds);
	if (w->late >= limit)
		panic_stall(tf, "stall: CPU %u has not scheduled for %u s", cpu_id(), seconds);
}
