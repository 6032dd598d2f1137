/*
 * Calls on other CPUs.
 *
 * Each CPU has one outgoing slot (it waits for its call to finish, so one is
 * enough) and one incoming set: bit c says that CPU c's slot is to be run here.
 * The IPI is sent only when the set was empty.  The caller waits with interrupts
 * on, so two CPUs that call each other both make progress.
 */
#include <arch/smp.h>
#include <arch/upcall.h>
#include <base/bitmap.h>
#include <core/trace.h>
#include "sched_internal.h"

#define CALL_WORDS (SCHED_MAX_CPUS / 64)

struct call_slot {
	void (*fn)(void *arg);
	void *arg;
	atomic_t left;		/* CPUs that have not finished */
} ALIGNED(64);

static DEFINE_PER_CPU(struct call_slot, call_slot);
static DEFINE_PER_CPU(u64, call_incoming[CALL_WORDS]);

static inline u64 *incoming(u32 cpu) { return *per_cpu_ptr(&call_incoming, cpu); }

void smp_ipi_call(void)
{
	u64 *in = incoming(cpu_id());

	for (u32 w = 0; w < CALL_WORDS; w++) {
		u64 bits = READ_ONCE(in[w]) ? __atomic_exchange_n(&in[w], 0, __ATOMIC_SEQ_CST) : 0;

		for (; bits; bits &= bits - 1) {
			u32 caller = w * 64 + (u32)__builtin_ctzll(bits);
			struct call_slot *s = per_cpu_ptr(&call_slot, caller);

			s->fn(s->arg);
			if (!atomic_add(&s->left, -1))
				smp_wait_wake(caller);
		}
	}
}

static bool call_wanted(const u64 *mask, u32 cpu, u32 self)
{
	return cpu != self && cpu_rq(cpu)->online && (!mask || bitmap_test(mask, cpu));
}

/* mask NULL: all others. */
static void call_cpus(const u64 *mask, void (*fn)(void *arg), void *arg)
{
	u32 self = cpu_id();
	struct call_slot *s = this_cpu_ptr(&call_slot);
	i32 n = 0;

	ASSERT(irq_enabled());
	for_each_cpu(c)
		n += call_wanted(mask, c, self);
	if (!n)
		return;
	TRACE_SPAN(tlb_shootdown);
	s->fn = fn;
	s->arg = arg;
	/* One more than there are: a CPU that comes online meanwhile adds itself below. */
	atomic_set(&s->left, 1);
	for_each_cpu(c) {
		u64 *word = &incoming(c)[self / 64];
		bool empty;

		if (!call_wanted(mask, c, self))
			continue;
		atomic_inc(&s->left);
		empty = !__atomic_fetch_or(word, 1ull << (self % 64), __ATOMIC_SEQ_CST);
		if (empty)
			arch_ipi_call(c);
	}
	atomic_dec(&s->left);
	SMP_WAIT(!atomic_read(&s->left));
	memory_fence();
}

void smp_call_others(void (*fn)(void *arg), void *arg)
{
	call_cpus(NULL, fn, arg);
}

void smp_call_mask(const u64 *mask, void (*fn)(void *arg), void *arg)
{
	call_cpus(mask, fn, arg);
}
