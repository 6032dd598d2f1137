/*
 * What a report stands on, broken before a panic: the heap, the stack, the locks.  plant=NAME, then run `sync`;
 * the report has to be whole all the same.
 */
#include <arch/cpu.h>
#include <base/bug.h>
#include <base/string.h>
#include <core/percpu.h>
#include <mem/page.h>
#include <mem/slab.h>
#include <proc/task.h>
#include <vm/aspace.h>

#include "plant.h"

#define GARBAGE 0x5a			/* as an address, 0x5a5a...: one that faults */
#define OBJECTS 64u
#define NOWHERE 0xffffdead00000000ull

/* Free objects of every cache of kmalloc, and free frames: their links lead nowhere. */
static NOINLINE void plant_heap_broken(void)
{
	void *volatile object[OBJECTS];		/* volatile: the compiler would see the writes to what is freed */

	irq_disable();
	for (usize size = 16; size <= 2048; size *= 2) {
		for (u32 i = 0; i < OBJECTS; i++)
			object[i] = kmalloc_atomic(size);
		for (u32 i = 0; i < OBJECTS; i++) {
			kfree(object[i]);
			memset(object[i], GARBAGE, size);
		}
	}
	for (u32 i = 0; i < OBJECTS; i++)
		object[i] = page_alloc(0, PAGE_KERNEL, 0);
	for (u32 i = 0; i < OBJECTS; i++) {
		if (!object[i])
			continue;
		page_put(object[i]);
		memset(object[i], GARBAGE, sizeof(struct page));
	}
	panic("planted: the heap is broken");
}

/* The next push faults, the page fault finds no stack either, and nobody knows who called. */
static NOINLINE void plant_stack_broken(void)
{
	__asm__ volatile("movq %0, %%rbp; movq %0, %%rsp; pushq %%rax" :: "r"(NOWHERE) : "memory");
}

/* Every lock near the report's path reads as taken by nobody who could give it back. */
static NOINLINE void plant_locks_broken(struct task *self)
{
	struct aspace *as = self->thread.aspace;

	irq_disable();
	memset(&as->lock, 0xff, sizeof(as->lock));
	memset(&as->pgt_lock, 0xff, sizeof(as->pgt_lock));
	memset(&self->proc->lock, 0xff, sizeof(self->proc->lock));
	memset(&self->proc->sig_lock, 0xff, sizeof(self->proc->sig_lock));
	panic("planted: the locks are broken");
}

/* Without an argument: the compiler would pass the number alone, to a copy with another name. */
static NOINLINE void plant_assert(void)
{
	ASSERT_CMP(task_current()->tid, ==, 0u);
}

void plant_broken(struct task *self)
{
	if (plant_once("heap-broken"))
		plant_heap_broken();
	if (plant_once("stack-broken"))
		plant_stack_broken();
	if (plant_once("locks-broken"))
		plant_locks_broken(self);
	if (plant_once("assert"))
		plant_assert();
}
