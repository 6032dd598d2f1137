/* mem/slab.h over malloc, so that AddressSanitizer sees every object; with failure injection. */
#include <stdlib.h>
#include <core/lock.h>
#include <mem/slab.h>
#include <test/test.h>

/* A header before each object keeps its size; 32 bytes keep the alignment of malloc. */
struct header {
	usize size;
	u64 magic;
	u64 pad[2];
};
#define MAGIC 0x5a4b45524f424aull

static void *object_alloc(usize size, usize align, bool zero)
{
	usize lead = MAX(align, sizeof(struct header));
	void *mem = NULL;
	char *raw;
	struct header *h;

	if (host_alloc_should_fail() || size > 4u << 20)
		return NULL;
	/* The exact size, so that one byte too far is an error. */
	if (posix_memalign(&mem, lead, lead + size))
		abort();
	raw = mem;
	h = (struct header *)(raw + lead) - 1;
	*h = (struct header){ .size = size, .magic = MAGIC, .pad = { lead } };
	memset(raw + lead, zero ? 0 : 0xcd, size);
	host_count_alloc(1, 0);
	return raw + lead;
}

void kfree(void *p)
{
	struct header *h;

	if (!p)
		return;
	h = (struct header *)p - 1;
	VERIFY(h->magic == MAGIC);
	h->magic = 0;
	host_count_alloc(-1, 0);
	free((char *)p - h->pad[0]);
}

/* As the kernel's: powers of two up to 64 naturally, more than 2048 bytes in whole pages. */
static usize natural_align(usize size)
{
	return size > 2048 ? PAGE_SIZE : IS_POW2(size) ? MIN(MAX(size, 16ul), 64ul) : 16;
}

void *kmalloc(usize size)
{
	assert_may_sleep();
	return object_alloc(size, natural_align(size), false);
}

void *kzalloc(usize size)
{
	assert_may_sleep();
	return object_alloc(size, natural_align(size), true);
}

void *kmalloc_atomic(usize size) { return object_alloc(size, natural_align(size), true); }
usize kmalloc_size(const void *p) { return ((const struct header *)p - 1)->size; }

void *kmemdup(const void *p, usize n)
{
	void *q = kmalloc(n);

	return q ? memcpy(q, p, n) : NULL;
}

char *kstrdup(const char *s) { return kmemdup(s, strlen(s) + 1); }

void *krealloc(void *p, usize old_size, usize new_size)
{
	void *q = kmalloc(new_size);

	if (!q || !p)
		return q;
	memcpy(q, p, MIN(old_size, new_size));
	kfree(p);
	return q;
}

struct slab_cache {
	const char *name;
	usize size, align;
	i64 active;
};

struct slab_cache *slab_cache_create(const char *name, usize size, usize align)
{
	struct slab_cache *c = calloc(1, sizeof(*c));

	*c = (struct slab_cache){ name, size, align, 0 };
	return c;
}

struct slab_cache *slab_cache_create_stable(const char *name, usize size, usize align)
{
	return slab_cache_create(name, size, align);
}

void *slab_alloc(struct slab_cache *c)
{
	void *p;

	assert_may_sleep();
	p = object_alloc(c->size, c->align, false);
	c->active += p != NULL;
	return p;
}

void *slab_zalloc(struct slab_cache *c)
{
	void *p = slab_alloc(c);

	return p ? memset(p, 0, c->size) : NULL;
}

void slab_free(struct slab_cache *c, void *obj)
{
	VERIFY_CMP(kmalloc_size(obj), ==, c->size);
	c->active--;
	kfree(obj);
}

bool slab_describe(u32 i, const char **name, u64 *active, u64 *total, u32 *size) { return false; }

void *vmalloc(usize size) { return size > 1u << 30 ? NULL : object_alloc(size, 64, true); }
void vfree(void *p) { kfree(p); }
