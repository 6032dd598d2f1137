/*
 * Spinlocks and the rank checker.
 *
 * The kernel is not preempted in kernel mode: a thread gives up its CPU only
 * where it sleeps, so a plain spin_lock() needs no further protection from
 * other threads of this CPU.  A lock that an interrupt handler takes is of
 * kind irq in spec/lockorder.tbl and is taken with spin_lock_irq().
 * Debug builds check ranks (generated enum lock_rank), sleeping while a
 * spinlock is held, a mixed interrupt state and unlock by another CPU.
 *
 * GUARD_SPIN(&l) / GUARD_IRQ(&l) hold the lock until the end of the scope.
 */
#pragma once

#include <arch/cpu.h>
#include <base/attrs.h>
#include <base/atomic.h>
#include <core/lockrank.h>	/* generated: enum lock_rank { LR_ZONE = 84, ... }, LOCK_RANK_NAMES */

/*
 * Test and set, not FIFO: in a virtual machine the next in line is often not running, and with tickets everybody
 * behind it would wait for the host to schedule it.
 */
typedef struct CAPABILITY("spinlock") spinlock {
	u32 locked;
	u16 rank;		/* const after init */
	u16 holder;		/* debug: cpu + 1 of the holder, 0: free */
} spinlock_t;

#define SPINLOCK_INIT(r) { .rank = (r) }

void spin_init(spinlock_t *l, enum lock_rank rank);
MUST_USE bool spin_try_lock(spinlock_t *l) TRY_ACQUIRES(true, *l);
bool spin_is_held(const spinlock_t *l);		/* by this CPU in debug builds; by anyone else */
#define assert_held(l) ASSERT(spin_is_held(l))
/* For the lock analysis: nobody else has the object yet, or any more, or runs; what the lock guards is the caller's without it. */
static inline void spin_unshared(const spinlock_t *l) ASSERTS_HELD(*l) {}

/* For sleeping locks (sched): rank bookkeeping of the current thread, no-ops in release builds.
 * sched sets lockrank_thread_held: the running thread's table (LOCKRANK_DEPTH entries) and its counter, NULL
 * before there are threads. */
#define LOCKRANK_DEPTH 12u
struct lockrank_held {
	const void *lock;
	u16 rank;
};
extern struct lockrank_held *(*lockrank_thread_held)(u32 **count);

/*
 * spin_lock_nested: two locks of one rank, the caller orders them by address.
 * spin_lock_irq: interrupts off, then lock; the returned state goes to the unlock.
 * Release builds have one atomic exchange where the caller stands, and check nothing.
 * assert_may_sleep: panics when the caller may not (spinlock held, interrupts off, in an interrupt).
 */
#ifdef SAKER_DEBUG
void spin_lock(spinlock_t *l) ACQUIRES(*l);
void spin_lock_nested(spinlock_t *l) ACQUIRES(*l);
void spin_unlock(spinlock_t *l) RELEASES(*l);
MUST_USE u64 spin_lock_irq(spinlock_t *l) ACQUIRES(*l);
void spin_unlock_irq(spinlock_t *l, u64 irq) RELEASES(*l);
void assert_may_sleep(void);
void lockrank_acquire(const void *lock, u16 rank, bool nested);
void lockrank_release(const void *lock, u16 rank);
/* The name of the spinlock that this CPU has held for longest and the number of its taking; NULL: none.  Context: any. */
const char *lockrank_oldest_spin(u64 *seq);
void lockrank_note_held(void);	/* notes for a panic: the spinlocks that this CPU holds, and where it took them */
#else
static inline const char *lockrank_oldest_spin(u64 *seq) { return NULL; }
static inline void lockrank_note_held(void) { }
#define FAST_PATH static ALWAYS_INLINE NO_LOCK_ANALYSIS

void spin_wait(spinlock_t *l);	/* the lock was taken: waits for it and takes it */

FAST_PATH void spin_lock(spinlock_t *l) ACQUIRES(*l)
{
	if (unlikely(__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE)))
		spin_wait(l);
}
FAST_PATH void spin_lock_nested(spinlock_t *l) ACQUIRES(*l) { spin_lock(l); }
FAST_PATH void spin_unlock(spinlock_t *l) RELEASES(*l) { __atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE); }
FAST_PATH u64 spin_lock_irq(spinlock_t *l) ACQUIRES(*l)
{
	u64 irq = irq_save();

	spin_lock(l);
	return irq;
}
FAST_PATH void spin_unlock_irq(spinlock_t *l, u64 irq) RELEASES(*l)
{
	spin_unlock(l);
	irq_restore(irq);
}
FAST_PATH void assert_may_sleep(void) { }
FAST_PATH void lockrank_acquire(const void *lock, u16 rank, bool nested) { }
FAST_PATH void lockrank_release(const void *lock, u16 rank) { }
#endif

struct guard_spin { spinlock_t *l; };
struct guard_irq { spinlock_t *l; u64 irq; };
static inline void guard_spin_drop(struct guard_spin *g) NO_LOCK_ANALYSIS { spin_unlock(g->l); }
static inline void guard_irq_drop(struct guard_irq *g) NO_LOCK_ANALYSIS { spin_unlock_irq(g->l, g->irq); }
static inline struct guard_spin guard_spin_take(spinlock_t *l) ACQUIRES(*l) NO_LOCK_ANALYSIS
{
	spin_lock(l);
	return (struct guard_spin){ l };
}
static inline struct guard_irq guard_irq_take(spinlock_t *l) ACQUIRES(*l) NO_LOCK_ANALYSIS
{
	return (struct guard_irq){ l, spin_lock_irq(l) };
}
/* The second variable is for the lock analysis, which follows a pointer but not a struct; it costs nothing. */
static inline void guard_spin_note(spinlock_t *const *l) RELEASES(**l) NO_LOCK_ANALYSIS {}
#define GUARD_SPIN(lp)										\
	struct guard_spin UNIQUE(guard_) __attribute__((cleanup(guard_spin_drop), unused)) = guard_spin_take(lp); \
	spinlock_t *const UNIQUE(noted_) __attribute__((cleanup(guard_spin_note), unused)) = (lp)
#define GUARD_IRQ(lp)										\
	struct guard_irq UNIQUE(guard_) __attribute__((cleanup(guard_irq_drop), unused)) = guard_irq_take(lp); \
	spinlock_t *const UNIQUE(noted_) __attribute__((cleanup(guard_spin_note), unused)) = (lp)
