/* One CPU, its locks, its panics that are not bugs: what arch and core provide. */
#include <stdio.h>
#include <stdlib.h>
#include <arch/cpu.h>
#include <core/irq.h>
#include <core/lock.h>
#include <core/percpu.h>
#include <test/test.h>

bool host_irq_on = true;
static u32 spin_depth;

u32 cpu_id(void) { return 0; }
u32 cpu_count(void) { return 1; }
bool cpu_is_online(u32 cpu) { return cpu == 0; }
bool in_interrupt(void) { return false; }
void cpu_idle_wait(void) { panic("host test would idle for ever"); }
void cpu_halt_forever(void) { abort(); }

void spin_init(spinlock_t *l, enum lock_rank rank) { *l = (spinlock_t){ .rank = (u16)rank }; }

bool spin_try_lock(spinlock_t *l)
{
	if (l->holder)
		return false;
	l->holder = 1;
	spin_depth++;
	return true;
}

void spin_lock(spinlock_t *l)
{
	if (!spin_try_lock(l))
		panic("spinlock of rank %u taken twice", l->rank);
}

void spin_lock_nested(spinlock_t *l) { spin_lock(l); }

void spin_unlock(spinlock_t *l)
{
	if (!l->holder)
		panic("spinlock of rank %u is not held", l->rank);
	l->holder = 0;
	spin_depth--;
}

u64 spin_lock_irq(spinlock_t *l)
{
	u64 irq = irq_save();

	spin_lock(l);
	return irq;
}

void spin_unlock_irq(spinlock_t *l, u64 irq)
{
	spin_unlock(l);
	irq_restore(irq);
}

bool spin_is_held(const spinlock_t *l) { return l->holder; }
void lockrank_acquire(const void *lock, u16 rank, bool nested) {}
void lockrank_release(const void *lock, u16 rank) {}

void assert_may_sleep(void)
{
	if (spin_depth)
		panic("sleeps with %u spinlocks held", spin_depth);
	if (!host_irq_on)
		panic("sleeps with interrupts off");
}
