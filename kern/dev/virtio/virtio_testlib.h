/*
 * For the tests of this directory: the kernel's allocations lie in simulated RAM, which the device's addresses are of.
 * Defines functions: one file of a program includes it.
 */
#pragma once

#include <base/string.h>
#include <mem/page.h>
#include <mem/slab.h>

void *kmalloc(usize size)
{
	u32 order = 0;

	while (PAGE_SIZE << order < size)
		order++;

	struct page *pg = page_alloc(order, PAGE_KERNEL, 0);

	return pg ? page_addr(pg) : NULL;
}

void *kzalloc(usize size)
{
	void *at = kmalloc(size);

	return at ? memset(at, 0, size) : NULL;
}

void kfree(void *at)
{
	if (at)
		page_put(page_of_addr(at));
}
