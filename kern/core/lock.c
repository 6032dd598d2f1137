/*
 * Spinlocks and, in debug builds, the rank checker.
 *
 * Rules checked (kinds and ranks from spec/lockorder.tbl):
 *  1. A lock's rank is above every lock held by the same flow of control
 *     (thread with its sleeping locks, or interrupt); equal only when nested.
 *  2. An irq lock is taken with interrupts off.  Under it only irq locks are
 *     taken: an interrupt on the holder of a spin lock could wait for us.
 *  3. An interrupt handler takes irq locks only.
 *  4. The CPU that took a spinlock gives it back, and does not sleep before.
 */
#include <arch/cpu.h>
#include <base/bug.h>
#include <core/irq.h>
#include <core/lock.h>
#include <core/panic.h>
#include <core/percpu.h>
#include <core/trace.h>

void spin_wait(spinlock_t *l);		/* for the inline form, which debug builds do not see */

#define CALLER ((u64)__builtin_return_address(0))

struct lockrank_held *(*lockrank_thread_held)(u32 **count);

void spin_wait(spinlock_t *l) NO_LOCK_ANALYSIS
{
	trace_lock_spin_begin(l->rank);
	do {
		for (u32 n = 1; __atomic_load_n(&l->locked, __ATOMIC_RELAXED); n++)
			cpu_spin(n);
	} while (__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE));
	trace_lock_spin_end();
}

#ifdef SAKER_DEBUG
#define HELD_MAX 24u

struct held_spin {
	spinlock_t *lock;
	u32 irq_depth;
	u64 seq;
	u64 where;		/* what called to take it */
};
struct held_spins {
	u32 n;
	u64 taken;		/* number of the last taking */
	struct held_spin h[HELD_MAX];
};
static DEFINE_PER_CPU(struct held_spins, held_spins);
DECLARE_PER_CPU(u32, irq_depth);

static const struct { const char *name, *kind; } ranks[LOCK_RANK_MAX + 1] = { LOCK_RANK_TABLE };

static const char *rank_name(u16 r) { return r <= LOCK_RANK_MAX && ranks[r].name ? ranks[r].name : "?"; }
static bool rank_is_irq(u16 r) { return r <= LOCK_RANK_MAX && ranks[r].kind && ranks[r].kind[0] == 'i'; }

static void note_lock(const char *what, u16 rank, const void *lock, u64 where)
{
	char at[PLACE_LEN], from[PLACE_LEN];

	panic_note("%s: %s, lock %s, taken at %s", what, rank_name(rank), place_name(at, (u64)lock), place_name(from, where));
}

void lockrank_note_held(void)
{
	struct held_spins *hs = this_cpu_ptr(&held_spins);

	for (u32 i = 0; i < hs->n && i < HELD_MAX; i++)
		note_lock("held", hs->h[i].lock->rank, hs->h[i].lock, hs->h[i].where);
}

static void check_against(const void *lock, u16 rank, u16 held, bool nested, u64 where)
{
	if (!held || !rank || held < rank || (held == rank && nested))
		return;
	note_lock("wanted", rank, lock, where);
	lockrank_note_held();
	panic("lock order: %s (%u) taken while %s (%u) is held", rank_name(rank), rank, rank_name(held), held);
}

static void check_thread_locks(const spinlock_t *l, bool nested, u64 where)
{
	u32 *n;
	struct lockrank_held *t;

	if (!lockrank_thread_held || in_interrupt())
		return;
	t = lockrank_thread_held(&n);
	for (u32 i = 0; t && i < *n && i < LOCKRANK_DEPTH; i++)
		check_against(l, l->rank, t[i].rank, nested, where);
}

/* Interrupts off: the per-CPU list is ours. */
static void held_check(spinlock_t *l, bool nested, u64 where)
{
	struct held_spins *hs = this_cpu_ptr(&held_spins);
	u32 depth = this_cpu_read(irq_depth);

	if (in_interrupt() && !rank_is_irq(l->rank))
		panic("lock kind: %s taken in an interrupt", rank_name(l->rank));
	for (u32 i = 0; i < hs->n && i < HELD_MAX; i++) {
		if (hs->h[i].irq_depth != depth)
			continue;
		if (hs->h[i].lock == l)
			panic("lock %s taken twice", rank_name(l->rank));
		check_against(l, l->rank, hs->h[i].lock->rank, nested, where);
		if (rank_is_irq(hs->h[i].lock->rank) && !rank_is_irq(l->rank))
			panic("lock kind: %s taken under %s", rank_name(l->rank), rank_name(hs->h[i].lock->rank));
	}
	check_thread_locks(l, nested, where);
}

static void held_before(spinlock_t *l, bool nested, u64 where)
{
	u64 irq;

	if (rank_is_irq(l->rank) && irq_enabled())
		panic("lock kind: irq lock %s taken with interrupts on", rank_name(l->rank));
	irq = irq_save();
	held_check(l, nested, where);
	irq_restore(irq);
}

static void held_push(spinlock_t *l, u64 where)
{
	u64 irq = irq_save();
	struct held_spins *hs = this_cpu_ptr(&held_spins);

	VERIFY(hs->n < HELD_MAX);
	hs->h[hs->n++] = (struct held_spin){ l, this_cpu_read(irq_depth), ++hs->taken, where };
	l->holder = cpu_id() + 1;
	irq_restore(irq);
}

static void held_pop(spinlock_t *l)
{
	u64 irq = irq_save();
	struct held_spins *hs = this_cpu_ptr(&held_spins);
	u32 i = hs->n;

	if (l->holder != cpu_id() + 1)
		panic("lock %s given back by CPU %u, held by %d", rank_name(l->rank), cpu_id(), l->holder - 1);
	while (i && hs->h[i - 1].lock != l)
		i--;
	VERIFY(i);
	for (; i < hs->n; i++)
		hs->h[i - 1] = hs->h[i];
	hs->n--;
	l->holder = 0;
	irq_restore(irq);
}

const char *lockrank_oldest_spin(u64 *seq)
{
	struct held_spins *hs = this_cpu_ptr(&held_spins);

	if (!hs->n)
		return NULL;
	*seq = hs->h[0].seq;
	return rank_name(hs->h[0].lock->rank);
}

void assert_may_sleep(void)
{
	static bool irqs_seen;		/* before the first thread runs everything has interrupts off */
	u32 n = this_cpu_ptr(&held_spins)->n;

	if (n)
		lockrank_note_held();
	if (n)
		panic("sleeping while %s is held", rank_name(this_cpu_ptr(&held_spins)->h[n - 1].lock->rank));
	if (in_interrupt())
		panic("sleeping in an interrupt");
	if (irq_enabled())
		irqs_seen = true;
	else if (irqs_seen)
		panic("sleeping with interrupts off");
}

void lockrank_acquire(const void *lock, u16 rank, bool nested)
{
	u32 *n;
	struct lockrank_held *t = lockrank_thread_held ? lockrank_thread_held(&n) : NULL;

	if (!t)
		return;
	for (u32 i = 0; i < *n && i < LOCKRANK_DEPTH; i++) {
		if (t[i].lock == lock)
			panic("lock %s taken twice", rank_name(rank));
		check_against(lock, rank, t[i].rank, nested, CALLER);
	}
	if (*n < LOCKRANK_DEPTH)
		t[*n] = (struct lockrank_held){ lock, rank };
	++*n;
}

void lockrank_release(const void *lock, u16 rank)
{
	u32 *n, i;
	struct lockrank_held *t = lockrank_thread_held ? lockrank_thread_held(&n) : NULL;

	if (!t || !*n)
		return;
	for (i = MIN(*n, LOCKRANK_DEPTH); i && t[i - 1].lock != lock; i--)
		;
	for (; i && i < MIN(*n, LOCKRANK_DEPTH); i++)
		t[i - 1] = t[i];
	--*n;
}

static void lock_checked(spinlock_t *l, bool nested, u64 where) NO_LOCK_ANALYSIS
{
	held_before(l, nested, where);
	if (__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE))
		spin_wait(l);
	held_push(l, where);
}

void spin_lock(spinlock_t *l) NO_LOCK_ANALYSIS { lock_checked(l, false, CALLER); }
void spin_lock_nested(spinlock_t *l) NO_LOCK_ANALYSIS { lock_checked(l, true, CALLER); }

void spin_unlock(spinlock_t *l) NO_LOCK_ANALYSIS
{
	held_pop(l);
	__atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
}

u64 spin_lock_irq(spinlock_t *l) NO_LOCK_ANALYSIS
{
	u64 irq = irq_save();

	lock_checked(l, false, CALLER);
	return irq;
}

void spin_unlock_irq(spinlock_t *l, u64 irq) NO_LOCK_ANALYSIS
{
	spin_unlock(l);
	irq_restore(irq);
}
#else
static inline void held_push(spinlock_t *l, u64 where) { }
#endif

void spin_init(spinlock_t *l, enum lock_rank rank) { *l = (spinlock_t)SPINLOCK_INIT(rank); }

bool spin_try_lock(spinlock_t *l) NO_LOCK_ANALYSIS
{
	if (__atomic_load_n(&l->locked, __ATOMIC_RELAXED) || __atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE))
		return false;
	held_push(l, CALLER);
	return true;
}

bool spin_is_held(const spinlock_t *l)
{
#ifdef SAKER_DEBUG
	return l->holder == cpu_id() + 1;
#else
	return __atomic_load_n(&l->locked, __ATOMIC_RELAXED);
#endif
}
