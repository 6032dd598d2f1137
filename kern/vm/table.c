/*
 * Tables that were cleared entry by entry while they were dropped go back into
 * use without being zeroed again; roots keep their kernel half as well, which
 * never changes.  Per CPU; not touched by interrupts.
 */
#include "vm.h"

#define CACHE_TABLES 16u
#define CACHE_ROOTS  4u

struct table_cache {
	u32 ntables, nroots;
	struct page *table[CACHE_TABLES];
	struct page *root[CACHE_ROOTS];
};
static DEFINE_PER_CPU(struct table_cache, table_cache);

struct page *pgtable_table_alloc(void)
{
	struct table_cache *c = this_cpu_ptr(&table_cache);
	struct page *t;

	if (likely(c->ntables))
		return c->table[--c->ntables];
	t = page_alloc(0, PAGE_TABLE, ALLOC_ZERO | ALLOC_USER);
	if (t) {
		t->used = 0;
		t->private = 0;
		t->index = 0;
	}
	return t;
}

void pgtable_table_free(struct page *t)
{
	struct table_cache *c = this_cpu_ptr(&table_cache);

	if (t->flags & PAGE_F_READY)
		bits_clear(&t->flags, PAGE_F_READY);
	if (c->ntables == CACHE_TABLES) {
		page_put(t);
		return;
	}
	t->used = 0;
	t->private = 0;
	t->index = 0;
	c->table[c->ntables++] = t;
}

struct page *pgtable_root_alloc(void)
{
	struct table_cache *c = this_cpu_ptr(&table_cache);
	struct page *root;

	if (likely(c->nroots))
		return c->root[--c->nroots];
	root = pgtable_table_alloc();
	if (root)
		mmu_init_root(page_to_pfn(root));
	return root;
}

void pgtable_root_free(struct page *root)
{
	struct table_cache *c = this_cpu_ptr(&table_cache);

	if (c->nroots == CACHE_ROOTS) {
		page_put(root);
		return;
	}
	root->private = 0;
	c->root[c->nroots++] = root;
}

u64 pgtable_cached(void)
{
	u64 n = 0;

	for_each_cpu(cpu)
		n += per_cpu_ptr(&table_cache, cpu)->ntables + per_cpu_ptr(&table_cache, cpu)->nroots;
	return n;
}

void pgtable_cache_drain(void)
{
	struct table_cache *c = this_cpu_ptr(&table_cache);

	while (c->ntables)
		page_put(c->table[--c->ntables]);
	while (c->nroots)
		page_put(c->root[--c->nroots]);
}

void pgtable_for_each_spare(void (*fn)(struct page *t, void *arg), void *arg)
{
	for_each_cpu(cpu) {
		struct table_cache *c = per_cpu_ptr(&table_cache, cpu);

		for (u32 i = 0; i < c->ntables; i++)
			fn(c->table[i], arg);
		for (u32 i = 0; i < c->nroots; i++)
			fn(c->root[i], arg);
	}
}
