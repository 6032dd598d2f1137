/*
 * vmalloc: page-granular kernel memory, contiguous only virtually, with an
 * unmapped page after each piece.
 *
 * A varea is LIVE (tree, by address), LAZY (unmapped, but some CPU may still
 * hold its translation: neither its frames nor its addresses may be reused) or
 * FREE (tree of free ranges, coalesced).  LAZY ones become FREE in batches
 * after one flush on every CPU.  Frames are chained through page->link.next.
 */
#include <arch/smp.h>
#include <base/errno.h>
#include <base/rbtree.h>
#include "mem_internal.h"

#define VMALLOC_LAZY_MAX 256u		/* pages kept unflushed */

struct varea {
	struct rb_node node;		/* live or free tree */
	struct varea *next;		/* lazy list */
	u64 va, end;			/* the guard page included */
	u32 first;			/* frame chain */
};

static spinlock_t vmalloc_lock = SPINLOCK_INIT(LR_VMALLOC);
static struct rb_tree vmalloc_live, vmalloc_free;	/* vmalloc_lock */
static struct varea *vmalloc_lazy;			/* vmalloc_lock */
static u64 vmalloc_nlazy;				/* pages; vmalloc_lock */
static struct slab_cache *varea_cache;

static void varea_insert(struct rb_tree *t, struct varea *v)
{
	struct rb_node **link = &t->root;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		link = &parent->child[v->va > rb_entry(parent, struct varea, node)->va];
	}
	rb_insert(t, &v->node, parent, link);
}

static struct varea *varea_find(struct rb_tree *t, u64 va)
{
	struct rb_node *n = t->root;

	while (n) {
		struct varea *v = rb_entry(n, struct varea, node);

		if (v->va == va)
			return v;
		n = n->child[va > v->va];
	}
	return NULL;
}

/* Takes size bytes of addresses from the first free range that fits; false: none does. */
static bool varea_take(struct varea *v, u64 size)
{
	GUARD_SPIN(&vmalloc_lock);
	struct rb_node *n;

	for (n = rb_first(&vmalloc_free); n; n = rb_next(n)) {
		struct varea *f = rb_entry(n, struct varea, node);

		/* The last page of a range is never given out, so a range never vanishes here. */
		if (f->end - f->va <= size)
			continue;
		v->va = f->va;
		v->end = f->va += size;
		varea_insert(&vmalloc_live, v);
		return true;
	}
	return false;
}

/* Returns v's addresses, merged with a free neighbour; the structs left over are put on *dead. */
static void varea_release_locked(struct varea *v, struct varea **dead)
{
	struct rb_node *n;
	struct varea *f;

	varea_insert(&vmalloc_free, v);
	n = rb_next(&v->node);
	f = rb_entry(n, struct varea, node);
	if (f && f->va == v->end) {
		v->end = f->end;
		rb_remove(&vmalloc_free, &f->node);
		f->next = *dead;
		*dead = f;
	}
	n = rb_prev(&v->node);
	f = rb_entry(n, struct varea, node);
	if (f && f->end == v->va) {
		f->end = v->end;
		rb_remove(&vmalloc_free, &v->node);
		v->next = *dead;
		*dead = v;
	}
}

static void frames_put_chain(u32 first)
{
	while (first != BUDDY_NONE) {
		struct page *pg = pfn_to_page(PFN(first));

		first = pg->link.next;
		atomic64_add(&mem_counters.vmalloc_pages, -1);
		page_put(pg);
	}
}

/* Makes every lazy area free.  Interrupts on. */
static void vmalloc_purge(void)
{
	struct varea *list, *v, *dead = NULL;
	u64 lo = ~0ull, hi = 0;

	{
		GUARD_SPIN(&vmalloc_lock);
		list = vmalloc_lazy;
		vmalloc_lazy = NULL;
		vmalloc_nlazy = 0;
	}
	if (!list)
		return;
	for (v = list; v; v = v->next) {
		lo = MIN(lo, v->va);
		hi = MAX(hi, v->end);
	}
	smp_flush_kernel(lo, hi);
	while ((v = list)) {
		list = v->next;
		frames_put_chain(v->first);
		GUARD_SPIN(&vmalloc_lock);
		varea_release_locked(v, &dead);
	}
	while ((v = dead)) {
		dead = v->next;
		slab_free(varea_cache, v);
	}
}

/* Unmaps what was mapped of a live area and queues it for the next purge. */
static void varea_retire(struct varea *v, u64 mapped)
{
	bool purge;

	for (u64 o = 0; o < mapped; o += PAGE_SIZE)
		mmu_kernel_unmap(v->va + o);
	{
		GUARD_SPIN(&vmalloc_lock);
		rb_remove(&vmalloc_live, &v->node);
		v->next = vmalloc_lazy;
		vmalloc_lazy = v;
		vmalloc_nlazy += (v->end - v->va) >> PAGE_SHIFT;
		purge = vmalloc_nlazy > VMALLOC_LAZY_MAX;
	}
	if (purge)
		vmalloc_purge();
}

static int varea_populate(struct varea *v)
{
	for (u64 va = v->va; va < v->end - PAGE_SIZE; va += PAGE_SIZE) {
		struct page *pg = page_alloc(0, PAGE_KERNEL, ALLOC_ZERO);

		if (!pg || mmu_kernel_map(va, page_to_pfn(pg), KERNEL_PAGE_BITS)) {
			if (pg)
				page_put(pg);
			varea_retire(v, va - v->va);
			return -ENOMEM;
		}
		pg->link.next = v->first;
		v->first = (u32)page_to_pfn(pg).v;
		atomic64_inc(&mem_counters.vmalloc_pages);
	}
	return 0;
}

void *vmalloc(usize size)
{
	struct varea *v;

	size = ALIGN_UP(size, PAGE_SIZE);
	if (!size || size >> PAGE_SHIFT > mem_total_pages())
		return NULL;
	v = slab_alloc(varea_cache);
	if (!v)
		return NULL;
	v->first = BUDDY_NONE;
	if (!varea_take(v, size + PAGE_SIZE)) {
		vmalloc_purge();
		if (!varea_take(v, size + PAGE_SIZE)) {
			slab_free(varea_cache, v);
			return NULL;
		}
	}
	return varea_populate(v) ? NULL : (void *)v->va;
}

void vfree(void *p)
{
	struct varea *v;

	if (!p)
		return;
	{
		GUARD_SPIN(&vmalloc_lock);
		v = varea_find(&vmalloc_live, (u64)p);
	}
	VERIFY(v);
	varea_retire(v, v->end - v->va - PAGE_SIZE);
}

void vmalloc_init(void)
{
	struct varea *all;

	varea_cache = slab_cache_create("varea", sizeof(struct varea), 0);
	all = slab_alloc(varea_cache);
	VERIFY(all);
	all->va = VMALLOC_BASE;
	all->end = VMALLOC_END;
	varea_insert(&vmalloc_free, all);
}
