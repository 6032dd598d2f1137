/*
 * kmalloc: size classes over slab caches up to KMALLOC_MAX_SLAB, whole blocks
 * above.  An address alone says which: its frame's use.
 */
#include <base/string.h>
#include "mem_internal.h"

#define KMALLOC_MAX_SLAB 2048u
#define KMALLOC_GRAIN	 16u

static const struct {
	const char *name;
	u32 size;
} kmalloc_class[] = {
	{ "kmalloc-16", 16 },	  { "kmalloc-32", 32 },	    { "kmalloc-48", 48 },     { "kmalloc-64", 64 },
	{ "kmalloc-96", 96 },	  { "kmalloc-128", 128 },   { "kmalloc-192", 192 },   { "kmalloc-256", 256 },
	{ "kmalloc-384", 384 },	  { "kmalloc-512", 512 },   { "kmalloc-768", 768 },   { "kmalloc-1024", 1024 },
	{ "kmalloc-1344", 1344 }, { "kmalloc-2048", 2048 },
};
static struct slab_cache *kmalloc_cache[ARRAY_LEN(kmalloc_class)];	/* const after kmalloc_init */
static u8 kmalloc_index[KMALLOC_MAX_SLAB / KMALLOC_GRAIN + 1];		/* by size rounded up to the grain */

void kmalloc_init(void)
{
	u32 k = 0;

	for (u32 i = 0; i < ARRAY_LEN(kmalloc_class); i++) {
		u32 size = kmalloc_class[i].size;

		kmalloc_cache[i] = slab_cache_create(kmalloc_class[i].name, size, IS_POW2(size) ? MIN(size, 64u) : 16);
		for (; k * KMALLOC_GRAIN <= size; k++)
			kmalloc_index[k] = (u8)i;
	}
}

static u32 kmalloc_order(usize size)
{
	usize pages = DIV_ROUND_UP(size, PAGE_SIZE);

	return pages <= 1 ? 0 : 64 - (u32)__builtin_clzl(pages - 1);
}

static inline void *kmalloc_flags(usize size, u32 flags)
{
	struct page *pg;

	if (likely(size <= KMALLOC_MAX_SLAB)) {
		void *p = slab_alloc_flags(kmalloc_cache[kmalloc_index[(size + KMALLOC_GRAIN - 1) / KMALLOC_GRAIN]], flags);

		return p && (flags & ALLOC_ZERO) ? memset(p, 0, size) : p;
	}
	if (size > PAGE_SIZE << PAGE_MAX_ORDER)
		return NULL;
	pg = page_alloc(kmalloc_order(size), PAGE_KERNEL, flags);
	return pg ? page_addr(pg) : NULL;
}

void *kmalloc(usize size)
{
	return kmalloc_flags(size, 0);
}

void *kzalloc(usize size)
{
	return kmalloc_flags(size, ALLOC_ZERO);
}

void *kmalloc_atomic(usize size)
{
	return kmalloc_flags(size, ALLOC_ZERO | ALLOC_ATOMIC);
}

void kfree(void *p)
{
	struct page *pg;

	if (!p)
		return;
	pg = page_of_addr(p);
	if (likely(pg->use == PAGE_SLAB)) {
		slab_free(pg->owner, p);
		return;
	}
	VERIFY(pg->use == PAGE_KERNEL && ((u64)p & (PAGE_SIZE - 1)) == 0);
	page_put(pg);
}

usize kmalloc_size(const void *p)
{
	const struct page *pg = page_of_addr(p);

	return pg->use == PAGE_SLAB ? slab_object_size(pg->owner) : PAGE_SIZE << pg->order;
}

char *kstrdup(const char *s)
{
	return kmemdup(s, strlen(s) + 1);
}

void *kmemdup(const void *p, usize n)
{
	void *copy = kmalloc(n);

	return copy ? memcpy(copy, p, n) : NULL;
}

void *krealloc(void *p, usize old_size, usize new_size)
{
	void *q;

	if (p && new_size <= kmalloc_size(p) && new_size >= old_size / 2)
		return p;
	q = kmalloc(new_size);
	if (!q || !p)
		return q;
	memcpy(q, p, MIN(old_size, new_size));
	kfree(p);
	return q;
}
