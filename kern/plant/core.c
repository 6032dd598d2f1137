/*
 * Faults of the kernel proper, planted where sync(2) is called: plant=NAME, then run `sync`.
 * Each function is the one that its report has to name.
 */
#include <abi/sys_protos.h>
#include <arch/cpu.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/cmdline.h>
#include <core/crash.h>
#include <core/lock.h>
#include <mem/slab.h>
#include <sched/mutex.h>

#include "plant.h"

#define NAME_MAX_LEN 32u

static bool planted;
static spinlock_t low = SPINLOCK_INIT(LR_PGTABLE), high = SPINLOCK_INIT(LR_PROC);
static struct waitq lonely = WAITQ_INIT(lonely);
static bool ready;

bool plant_is(const char *name)
{
	char word[NAME_MAX_LEN];

	return cmdline_get("plant", word, sizeof(word)) && !strcmp(word, name);
}

bool plant_once(const char *name)
{
	if (planted || !plant_is(name))
		return false;
	planted = true;
	return true;
}

static NOINLINE void plant_use_after_free(void)
{
	u64 *p = kmalloc(200);
	volatile u64 *gone;

	__asm__("" : "=r"(gone) : "0"(p));	/* the compiler would notice */
	kfree(p);
	gone[3] = 42;
	for (u32 i = 0; i < 1024; i++)
		DISCARD(kmalloc(200));
}

static NOINLINE u64 plant_stack_overflow(u64 depth)
{
	volatile u64 pad[64];

	pad[depth % 64] = depth;
	return pad[depth % 64] ? plant_stack_overflow(depth + 1) + pad[0] : 0;
}

static NOINLINE void plant_lock_held(void)
{
	GUARD_IRQ(&low);
	for (;;)
		cpu_relax();
}

static NOINLINE void plant_irq_off(void)
{
	irq_disable();
	for (;;)
		cpu_relax();
}

/* A list that a report walks leads nowhere. */
static void broken_step(struct crash_report *r)
{
	DISCARD(*(volatile u64 *)0xffffdead00000000ull);
}

static NOINLINE void plant_broken_report(void)
{
	crash_step_add(broken_step);
	panic("planted: the report's own parts are broken");
}

static NOINLINE void plant_lock_order(void)
{
	GUARD_SPIN(&high);
	GUARD_SPIN(&low);
}

static NOINLINE void plant_sleep_in_atomic(void)
{
	GUARD_SPIN(&low);
	DISCARD(sched_sleep_until(clock_mono_ns() + NSEC_PER_MSEC, false));
}

static void waker(void *arg)
{
	DISCARD(sched_sleep_until(clock_mono_ns() + 100 * NSEC_PER_MSEC, false));
	WRITE_ONCE(ready, true);		/* and nobody is told */
}

static NOINLINE void plant_lost_wakeup(void)
{
	if (thread_spawn_kernel("waker", waker, NULL))
		waitq_wait(&lonely, READ_ONCE(ready));
}

/* A pointer that was never one: into the kernel's own code. */
static NOINLINE void plant_wild_write(void)
{
	volatile u64 *p = (u64 *)(u64)plant_lock_order;

	*p = 42;
}

i64 __real_sys_sync(struct task *self);
i64 __wrap_sys_sync(struct task *self);
i64 __wrap_sys_sync(struct task *self)
{
	if (plant_once("use-after-free"))
		plant_use_after_free();
	if (plant_once("stack-overflow"))
		return (i64)plant_stack_overflow(1);
	if (plant_once("lock-held"))
		plant_lock_held();
	if (plant_once("irq-off"))
		plant_irq_off();
	if (plant_once("broken-report"))
		plant_broken_report();
	if (plant_once("lock-order"))
		plant_lock_order();
	if (plant_once("sleep-in-atomic"))
		plant_sleep_in_atomic();
	if (plant_once("lost-wakeup"))
		plant_lost_wakeup();
	if (plant_once("wild-write"))
		plant_wild_write();
	plant_broken(self);
	return __real_sys_sync(self);
}
