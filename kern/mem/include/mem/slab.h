/*
 * Kernel objects.  kmalloc serves any size (large ones from whole blocks);
 * slab caches serve one type with per-CPU magazines.  Context: any with
 * ALLOC_ATOMIC, else may sleep.  NULL means no memory and nothing else.
 * Debug builds poison freed objects and check the poison on allocation.
 */
#pragma once

#include <core/rcu.h>
#include <mem/page.h>

void kfree(void *p);
MUST_USE OWNED_BY(kfree, 1) void *kmalloc(usize size);	/* contents undefined */
MUST_USE OWNED_BY(kfree, 1) void *kzalloc(usize size);
MUST_USE OWNED_BY(kfree, 1) void *kmalloc_atomic(usize size);	/* zeroed, never sleeps */
MUST_USE OWNED_BY(kfree, 1) char *kstrdup(const char *s);
MUST_USE OWNED_BY(kfree, 1) void *kmemdup(const void *p, usize n);
MUST_USE void *krealloc(void *p, usize old_size, usize new_size);	/* NULL: p is untouched */
usize kmalloc_size(const void *p);			/* usable bytes */
DEFINE_AUTO(kptr, void *, kfree)

struct slab_cache;
/* Boot only or rare; panics when out of memory.  align 0: natural. */
struct slab_cache *slab_cache_create(const char *name, usize size, usize align);
/*
 * Objects may be freed while readers under rcu still look at them: until the reader is quiescent the memory holds an
 * object of this cache, freed, the same or another one.  What a reader looks at lies past the first SLAB_STABLE_HEAD
 * bytes, is as the last user left it while the object is free, and says whether it is; then the reader finds out which one it has.
 */
#define SLAB_STABLE_HEAD sizeof(struct rcu_head)
struct slab_cache *slab_cache_create_stable(const char *name, usize size, usize align);
void slab_free(struct slab_cache *c, void *obj);
MUST_USE void *slab_alloc(struct slab_cache *c);	/* contents undefined */
MUST_USE void *slab_zalloc(struct slab_cache *c);
/* /proc/slabinfo: i-th cache; false past the end. */
bool slab_describe(u32 i, const char **name, u64 *active, u64 *total, u32 *size);

/* Large, virtually contiguous, page-granular; kernel stacks with an unmapped guard page below.  Sleep. */
MUST_USE void *vmalloc(usize size);			/* zeroed */
void vfree(void *p);
MUST_USE void *kstack_alloc(void);			/* lowest address of KSTACK_SIZE bytes; recently freed ones are reused */
void kstack_free(void *base);				/* context: any but the stack itself */
