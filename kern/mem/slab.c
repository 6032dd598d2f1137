/*
 * Slab caches: objects of one size in blocks of 2^order frames, with a magazine
 * of free objects per CPU in front.
 *
 * A slab's head frame holds its state in page->index (struct slab_state); free
 * objects in a slab are linked by index through their first two bytes.  Every
 * frame of a slab has use PAGE_SLAB and owner = cache, so that kfree() finds
 * the cache from any object address; the head is found by alignment.
 *
 * A slab is on the cache's partial list iff 0 < free objects; at most
 * SLAB_KEEP_EMPTY wholly free ones are kept.  Objects in magazines count as in
 * use.  Locks: interrupts off for the magazine, cache lock (SLAB) for slabs.
 *
 * A stable cache's memory stays what it is for readers under rcu: a freed object
 * is touched in its first SLAB_STABLE_HEAD bytes alone (so no poison), and the
 * frames of a surplus slab go past rcu.
 */
#include <arch/cpu.h>
#include <base/errno.h>
#include <base/string.h>
#include <core/panic.h>
#include <core/rcu.h>
#include "mem_internal.h"

#define SLAB_MAX_MAGAZINES 128u		/* caches beyond this work without magazines */
#define SLAB_KEEP_EMPTY	   2u
#define SLAB_MAX_ORDER	   3u
#define SLAB_NO_ID	   (~0u)
#define MAG_MAX		   62u
#define SLAB_END	   0xffffu

struct magazine {
	u64 n;
	void *obj[MAG_MAX];
	u64 pad;
};

struct slab_cache {
	const char *name;
	u32 size;			/* stride */
	u32 order;
	u32 per_slab;
	u32 id;				/* index into cpu_magazines, SLAB_NO_ID: none */
	u32 mag_high;
	bool stable;
	spinlock_t lock;
	u32 partial GUARDED_BY(&lock);	/* frame number of the first slab with free objects */
	u32 nempty GUARDED_BY(&lock);
	u64 nslabs GUARDED_BY(&lock);
	u64 nfree GUARDED_BY(&lock);	/* objects free in slabs */
	struct slab_cache *next;	/* slab_all_lock to add */
};

struct slab_state {
	u16 free;			/* first free object, SLAB_END: none */
	u16 inuse;
	u32 unused;
};
_Static_assert(sizeof(struct slab_state) == sizeof(((struct page *)NULL)->index), "fits the field");

static DEFINE_PER_CPU(struct magazine *, cpu_magazines[SLAB_MAX_MAGAZINES]);
static struct slab_cache slab_cache_cache, slab_magazine_cache;
static spinlock_t slab_all_lock = SPINLOCK_INIT(LR_SLAB);
static struct slab_cache *slab_all;
static u32 slab_count;

static inline struct slab_state *slab_state(struct page *head)
{
	return (struct slab_state *)&head->index;
}

static inline struct page *slab_head(const struct slab_cache *c, const void *obj)
{
	return page_of_addr((void *)ALIGN_DOWN((u64)obj, PAGE_SIZE << c->order));
}

static inline void *slab_object(const struct slab_cache *c, struct page *head, u32 i)
{
	return (char *)page_addr(head) + (u64)i * c->size;
}

static inline u16 *slab_link(void *obj)
{
	return obj;
}

/*
 * ---- poison (debug): all but the link in the first 8 bytes ----
 * Words 1 and 2 of an object of four words or more say who freed it, the second inverted; POISON_SLAB in both: nobody yet.
 */

#ifdef SAKER_DEBUG
#define FREED_BY   1u
#define FREER_SIZE 32u

static void slab_poison(const struct slab_cache *c, void *obj, u64 freer)
{
	u64 *w = obj;

	for (u32 i = 0; i < c->size / 8 && !c->stable; i++)
		w[i] = POISON_SLAB;
	if (freer && c->size >= FREER_SIZE && !c->stable) {
		w[FREED_BY] = freer;
		w[FREED_BY + 1] = ~freer;
	}
}

/* The first word that is not as slab_poison() left it; 0: none. */
static u32 slab_spoilt_word(const struct slab_cache *c, const void *obj)
{
	const u64 *w = obj;
	u32 i = 1;

	if (c->size >= FREER_SIZE && w[FREED_BY] == ~w[FREED_BY + 1])
		i = FREED_BY + 2;
	for (; i < c->size / 8; i++)
		if (w[i] != POISON_SLAB)
			return i;
	return 0;
}

static void slab_note_freer(const struct slab_cache *c, const void *obj)
{
	const u64 *w = obj;
	char at[PLACE_LEN];

	if (c->size >= FREER_SIZE && w[FREED_BY] == ~w[FREED_BY + 1])
		panic_note("object: %p, freed at %s", obj, place_name(at, w[FREED_BY]));
}

static void slab_check_alloc(const struct slab_cache *c, void *obj)
{
	u32 spoilt = c->stable ? 0 : slab_spoilt_word(c, obj);

	if (c->stable)
		return;
	if (spoilt) {
		slab_note_freer(c, obj);
		panic_note("written: offset %#x, now %#llx", spoilt * 8, (unsigned long long)((u64 *)obj)[spoilt]);
		panic("slab %s: free object %p was written", c->name, obj);
	}
	/* Another pattern: an object that is freed without having been written is not a double free. */
	memset(obj, POISON_FRESH, c->size);
}

static void slab_check_free(const struct slab_cache *c, void *obj, u64 caller)
{
	struct page *head = slab_head(c, obj);
	u64 off = (u64)obj - (u64)page_addr(head);

	if (head->use != PAGE_SLAB || head->owner != c || off % c->size || off / c->size >= c->per_slab)
		panic("slab %s: %p is not its object", c->name, obj);
	if (c->size > 8 && !c->stable && !slab_spoilt_word(c, obj)) {
		slab_note_freer(c, obj);
		panic("slab %s: %p freed twice", c->name, obj);
	}
	slab_poison(c, obj, caller);
}
#else
static inline void slab_poison(const struct slab_cache *c, void *obj, u64 freer) {}
static inline void slab_check_alloc(const struct slab_cache *c, void *obj) {}
static inline void slab_check_free(const struct slab_cache *c, void *obj, u64 caller) {}
#endif

/* ---- slabs: cache lock held ---- */

static void partial_push(struct slab_cache *c, struct page *head) MUST_HOLD(&c->lock)
{
	u32 f = (u32)page_to_pfn(head).v;

	head->link.prev = BUDDY_NONE;
	head->link.next = c->partial;
	if (c->partial != BUDDY_NONE)
		pfn_to_page(PFN(c->partial))->link.prev = f;
	c->partial = f;
}

static void partial_remove(struct slab_cache *c, struct page *head) MUST_HOLD(&c->lock)
{
	u32 next = head->link.next;
	u32 prev = head->link.prev;

	if (next != BUDDY_NONE)
		pfn_to_page(PFN(next))->link.prev = prev;
	if (prev != BUDDY_NONE)
		pfn_to_page(PFN(prev))->link.next = next;
	else
		c->partial = next;
}

static void *slab_take(struct slab_cache *c) MUST_HOLD(&c->lock)
{
	struct page *head;
	struct slab_state *s;
	void *obj;

	if (c->partial == BUDDY_NONE)
		return NULL;
	head = pfn_to_page(PFN(c->partial));
	s = slab_state(head);
	obj = slab_object(c, head, s->free);
	s->free = *slab_link(obj);
	if (s->inuse++ == 0)
		c->nempty--;
	c->nfree--;
	if (s->free == SLAB_END)
		partial_remove(c, head);
	return obj;
}

/* Puts one object back; returns a slab that became surplus, already off the list, or NULL. */
static struct page *slab_give(struct slab_cache *c, void *obj) MUST_HOLD(&c->lock)
{
	struct page *head = slab_head(c, obj);
	struct slab_state *s = slab_state(head);
	u64 off = (u64)obj - (u64)page_addr(head);

	if (s->free == SLAB_END)
		partial_push(c, head);
	*slab_link(obj) = s->free;
	s->free = (u16)(off / c->size);
	c->nfree++;
	ASSERT(s->inuse > 0);
	if (--s->inuse)
		return NULL;
	if (c->nempty < SLAB_KEEP_EMPTY) {
		c->nempty++;
		return NULL;
	}
	partial_remove(c, head);
	c->nslabs--;
	c->nfree -= c->per_slab;
	return head;
}

/* ---- frames of slabs: no lock held ---- */

static void slab_frames_free(const struct slab_cache *c, struct page *head)
{
	for (u32 i = 1; i < 1u << c->order; i++) {
		head[i].use = PAGE_FREE;
		head[i].order = 0;
		head[i].owner = NULL;
	}
	page_put(head);
}

static void slab_frames_free_rcu(struct rcu_head *h)
{
	struct page *head = page_of_addr(h);

	slab_frames_free(head->owner, head);
}

/* A surplus slab: all its objects are free. */
static void slab_retire(const struct slab_cache *c, struct page *head)
{
	if (unlikely(c->stable))
		rcu_defer(page_addr(head), slab_frames_free_rcu);	/* in the first object's head */
	else
		slab_frames_free(c, head);
}

static int slab_grow(struct slab_cache *c, u32 flags)
{
	struct page *head = page_alloc(c->order, PAGE_SLAB, flags & ALLOC_ATOMIC);

	if (!head)
		return -ENOMEM;
	head->owner = c;
	for (u32 i = 1; i < 1u << c->order; i++) {
		head[i].use = PAGE_SLAB;
		head[i].owner = c;
	}
	for (u32 i = 0; i < c->per_slab; i++) {
		void *obj = slab_object(c, head, i);

		slab_poison(c, obj, 0);
		*slab_link(obj) = (u16)(i + 1 < c->per_slab ? i + 1 : SLAB_END);
	}
	*slab_state(head) = (struct slab_state){ .free = 0 };
	GUARD_IRQ(&c->lock);
	partial_push(c, head);
	c->nslabs++;
	c->nempty++;
	c->nfree += c->per_slab;
	return 0;
}

/* ---- magazines: interrupts off ---- */

static struct magazine *magazine_get(struct slab_cache *c)
{
	struct magazine *m;

	if (c->id == SLAB_NO_ID)
		return NULL;
	m = this_cpu_read(cpu_magazines[c->id]);
	if (likely(m))
		return m;
	m = slab_alloc_flags(&slab_magazine_cache, ALLOC_ATOMIC);
	if (m)
		m->n = 0;
	this_cpu_write(cpu_magazines[c->id], m);
	return m;
}

/* Fills half of this CPU's magazine and returns one object more; NULL: the slabs are empty. */
static void *slab_refill(struct slab_cache *c)
{
	u64 irq = irq_save();
	struct magazine *m = magazine_get(c);
	void *obj = NULL;

	{
		GUARD_SPIN(&c->lock);
		obj = slab_take(c);
		while (obj && m && m->n < c->mag_high / 2) {
			void *more = slab_take(c);

			if (!more)
				break;
			m->obj[m->n++] = more;
		}
	}
	irq_restore(irq);
	return obj;
}

static NOINLINE void *slab_alloc_slow(struct slab_cache *c, u32 flags)
{
	void *obj;

	for (;;) {
		obj = slab_refill(c);
		if (obj || slab_grow(c, flags))
			return obj;
	}
}

void *slab_alloc_flags(struct slab_cache *c, u32 flags)
{
	void *obj = NULL;
	u64 irq;

	if (likely(c->id != SLAB_NO_ID)) {
		struct magazine *m;

		irq = irq_save();
		m = this_cpu_read(cpu_magazines[c->id]);
		if (likely(m && m->n))
			obj = m->obj[--m->n];
		irq_restore(irq);
	}
	if (unlikely(!obj)) {
		obj = slab_alloc_slow(c, flags);
		if (!obj)
			return NULL;
	}
	slab_check_alloc(c, obj);
	return obj;
}

/* Puts the older half of the magazine and obj back to the slabs. */
static NOINLINE void slab_flush(struct slab_cache *c, struct magazine *m, void *obj)
{
	struct page *dead = NULL;
	u64 half = m ? m->n / 2 : 0;

	{
		GUARD_SPIN(&c->lock);
		for (u64 i = 0; i <= half; i++) {
			struct page *pg = slab_give(c, i < half ? m->obj[i] : obj);

			if (pg) {
				pg->index = (u64)dead;
				dead = pg;
			}
		}
	}
	if (half) {
		m->n -= half;
		memmove(m->obj, m->obj + half, m->n * sizeof(m->obj[0]));
	}
	while (dead) {
		struct page *next = (struct page *)dead->index;

		slab_retire(c, dead);
		dead = next;
	}
}

/* This CPU has no magazine yet, or it is full. */
static NOINLINE void slab_free_slow(struct slab_cache *c, void *obj, u64 irq)
{
	struct magazine *m = magazine_get(c);

	if (m && m->n < c->mag_high)
		m->obj[m->n++] = obj;
	else
		slab_flush(c, m, obj);
	irq_restore(irq);
}

void slab_free(struct slab_cache *c, void *obj)
{
	struct magazine *m = NULL;
	u64 irq;

	/* kfree() ends in a jump to here: its caller it is. */
	slab_check_free(c, obj, (u64)__builtin_return_address(0));
	irq = irq_save();
	if (likely(c->id != SLAB_NO_ID))
		m = this_cpu_read(cpu_magazines[c->id]);
	if (unlikely(!m || m->n >= c->mag_high)) {
		slab_free_slow(c, obj, irq);		/* the end, and a function of its own: the rest saves no registers */
		return;
	}
	m->obj[m->n++] = obj;
	irq_restore(irq);
}

void *slab_alloc(struct slab_cache *c)
{
	return slab_alloc_flags(c, 0);
}

void *slab_zalloc(struct slab_cache *c)
{
	void *obj = slab_alloc_flags(c, 0);

	return obj ? memset(obj, 0, c->size) : NULL;
}

/* ---- caches ---- */

/* The smallest order that wastes at most an eighth of the block and holds eight objects where it can. */
static u32 slab_pick_order(u32 size)
{
	for (u32 o = 0; o < SLAB_MAX_ORDER; o++) {
		u64 bytes = PAGE_SIZE << o;

		if (bytes / size >= 8 && bytes % size <= bytes / 8)
			return o;
	}
	return SLAB_MAX_ORDER;
}

static void slab_cache_init(struct slab_cache *c, const char *name, usize size, usize align, bool magazines)
{
	align = MAX(align, 8ul);
	*c = (struct slab_cache){ .name = name, .size = (u32)ALIGN_UP(MAX(size, 8ul), align), .partial = BUDDY_NONE };
	c->order = slab_pick_order(c->size);
	c->per_slab = (u32)((PAGE_SIZE << c->order) / c->size);
	c->mag_high = c->size <= 128 ? 60 : c->size <= 512 ? 28 : 12;
	spin_init(&c->lock, LR_SLAB);
	VERIFY(c->per_slab > 0 && c->per_slab < SLAB_END);
	GUARD_IRQ(&slab_all_lock);
	c->id = magazines && slab_count < SLAB_MAX_MAGAZINES ? slab_count++ : SLAB_NO_ID;
	c->next = slab_all;
	store_release(&slab_all, c);
}

struct slab_cache *slab_cache_create(const char *name, usize size, usize align)
{
	struct slab_cache *c = slab_alloc(&slab_cache_cache);

	if (!c)
		panic("no memory for slab cache %s", name);
	slab_cache_init(c, name, size, align, true);
	return c;
}

struct slab_cache *slab_cache_create_stable(const char *name, usize size, usize align)
{
	struct slab_cache *c = slab_cache_create(name, size, align);

	VERIFY(size > SLAB_STABLE_HEAD);
	c->stable = true;
	return c;
}

bool slab_describe(u32 i, const char **name, u64 *active, u64 *total, u32 *size)
{
	struct slab_cache *c = load_acquire(&slab_all);

	for (; c && i; i--)
		c = c->next;
	if (!c)
		return false;
	GUARD_IRQ(&c->lock);
	*name = c->name;
	*total = c->nslabs * c->per_slab;
	*active = *total - c->nfree;
	*size = c->size;
	return true;
}

u32 slab_object_size(const struct slab_cache *c)
{
	return c->size;
}

void mem_init_slab(void)
{
	slab_cache_init(&slab_cache_cache, "slab_cache", sizeof(struct slab_cache), 64, false);
	slab_cache_init(&slab_magazine_cache, "slab_magazine", sizeof(struct magazine), 64, false);
	kmalloc_init();
	vmalloc_init();
	kstack_init();
}
