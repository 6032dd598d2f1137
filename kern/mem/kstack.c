/*
 * Kernel stacks: KSTACK_SIZE bytes of single frames in a slot of the kernel's
 * mapping space, with unmapped guard pages below.
 *
 * A freed stack stays mapped and goes to a small per-CPU cache, then to a
 * global list: reuse costs no page-table work and no flush.  Surplus stacks are
 * unmapped in batches (kstack_trim), one flush for all.  The lowest word of a
 * stack points to its kslot; a stack that overflowed down to it is caught when
 * it is freed, one that went further hits the guard page.
 */
#include <arch/context.h>
#include <arch/cpu.h>
#include <arch/smp.h>
#include <base/errno.h>
#include "mem_internal.h"

#define KSTACK_PAGES  (1u << KSTACK_ORDER)
#define KSTACK_STRIDE (2 * KSTACK_SIZE)		/* the lower half is the guard */
#define KSTACK_CPU_MAX 4u
#define KSTACK_KEEP   64u			/* free stacks kept mapped globally */

struct kslot {
	struct kslot *next;
	u64 base;				/* lowest address of the stack; const */
	struct page *page[KSTACK_PAGES];	/* set while mapped */
};

struct kstack_cpu {
	u32 n;
	struct kslot *slot[KSTACK_CPU_MAX];
};

static DEFINE_PER_CPU(struct kstack_cpu, kstack_cpu);
static spinlock_t kstack_lock = SPINLOCK_INIT(LR_KSTACK);
static struct kslot *kstack_mapped;	/* free, mapped; kstack_lock */
static u64 kstack_nmapped;		/* kstack_lock */
static struct kslot *kstack_bare;	/* free, no frames, flushed; kstack_lock */
static u64 kstack_next = KSTACK_BASE;	/* atomic */
static struct slab_cache *kslot_cache;

static struct kslot *slot_pop(struct kslot **list)
{
	struct kslot *s = *list;

	if (s)
		*list = s->next;
	return s;
}

static struct kslot *kstack_pop_cached(void)
{
	u64 irq = irq_save();
	struct kstack_cpu *kc = this_cpu_ptr(&kstack_cpu);
	struct kslot *s = NULL;

	if (kc->n) {
		s = kc->slot[--kc->n];
	} else {
		GUARD_SPIN(&kstack_lock);
		s = slot_pop(&kstack_mapped);
		if (s)
			kstack_nmapped--;
	}
	irq_restore(irq);
	return s;
}

/* A slot without frames: a used one, or the next address. */
static struct kslot *kslot_get(void)
{
	struct kslot *s;
	u64 irq = spin_lock_irq(&kstack_lock);

	s = slot_pop(&kstack_bare);
	spin_unlock_irq(&kstack_lock, irq);
	if (s)
		return s;
	s = slab_zalloc(kslot_cache);
	if (!s)
		return NULL;
	s->base = __atomic_fetch_add(&kstack_next, KSTACK_STRIDE, __ATOMIC_RELAXED) + KSTACK_SIZE;
	VERIFY(s->base < KSTACK_BASE + KSTACK_SPACE);	/* four million threads at once */
	return s;
}

/* Frees the frames of a list of unmapped and flushed slots; the slots become bare. */
static u64 kslots_bare(struct kslot *list)
{
	u64 freed = 0;
	struct kslot *s;

	while ((s = slot_pop(&list))) {
		for (u32 i = 0; i < KSTACK_PAGES; i++) {
			if (!s->page[i])
				continue;
			page_put(s->page[i]);
			s->page[i] = NULL;
			freed++;
		}
		GUARD_IRQ(&kstack_lock);
		s->next = kstack_bare;
		kstack_bare = s;
	}
	return freed;
}

static void kslot_unmap(struct kslot *s)
{
	for (u32 i = 0; i < KSTACK_PAGES; i++)
		if (s->page[i])
			mmu_kernel_unmap(s->base + i * PAGE_SIZE);
}

static int kslot_map(struct kslot *s)
{
	for (u32 i = 0; i < KSTACK_PAGES; i++) {
		struct page *pg = page_alloc(0, PAGE_KSTACK, 0);

		if (!pg)
			return -ENOMEM;
		if (mmu_kernel_map(s->base + i * PAGE_SIZE, page_to_pfn(pg), KERNEL_PAGE_BITS)) {
			page_put(pg);
			return -ENOMEM;
		}
		s->page[i] = pg;
	}
	return 0;
}

void *kstack_alloc(void)
{
	struct kslot *s = kstack_pop_cached();

	if (READ_ONCE(kstack_nmapped) > 2 * KSTACK_KEEP)
		kstack_trim(KSTACK_KEEP);
	if (s)
		return (void *)s->base;
	s = kslot_get();
	if (!s)
		return NULL;
	if (kslot_map(s)) {
		s->next = NULL;
		kslot_unmap(s);
		smp_flush_kernel(s->base, s->base + KSTACK_SIZE);
		kslots_bare(s);
		return NULL;
	}
	*(struct kslot **)s->base = s;
	return (void *)s->base;
}

void kstack_free(void *base)
{
	struct kslot *s = *(struct kslot **)base;
	struct kstack_cpu *kc;
	u64 irq;

	VERIFY(s && s->base == (u64)base);
	irq = irq_save();
	kc = this_cpu_ptr(&kstack_cpu);
	if (kc->n < KSTACK_CPU_MAX) {
		kc->slot[kc->n++] = s;
	} else {
		GUARD_SPIN(&kstack_lock);
		s->next = kstack_mapped;
		kstack_mapped = s;
		kstack_nmapped++;
	}
	irq_restore(irq);
}

u64 kstack_trim(u64 keep)
{
	struct kslot *list = NULL;
	struct kslot *s;
	u64 lo = ~0ull, hi = 0;

	{
		GUARD_IRQ(&kstack_lock);
		while (kstack_nmapped > keep) {
			s = slot_pop(&kstack_mapped);
			kstack_nmapped--;
			s->next = list;
			list = s;
		}
	}
	if (!list)
		return 0;
	for (s = list; s; s = s->next) {
		kslot_unmap(s);
		lo = MIN(lo, s->base);
		hi = MAX(hi, s->base + KSTACK_SIZE);
	}
	smp_flush_kernel(lo, hi);
	return kslots_bare(list);
}

void kstack_init(void)
{
	kslot_cache = slab_cache_create("kslot", sizeof(struct kslot), 0);
}
