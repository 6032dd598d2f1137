/* x86-64: per-CPU variables live in .percpu, linked at 0 and addressed through GS. */
#pragma once

#include <base/attrs.h>

#define DEFINE_PER_CPU(T, name)	 __attribute__((section(".percpu"))) T name
#define DECLARE_PER_CPU(T, name) extern __attribute__((section(".percpu"))) T name

DECLARE_PER_CPU(u32, cpu_number);	/* const after boot of the CPU */
extern u32 percpu_ncpus;		/* CPUs that have an area: const after arch_init_early() */

/* Added to a template address gives CPU c's copy.  const after boot of the CPU. */
extern u64 *percpu_offsets;
DECLARE_PER_CPU(u64, percpu_self_offset);

#define arch_this_cpu_read(var)								\
	({										\
		__typeof__(var) v_;							\
		switch (sizeof(v_)) {							\
		case 1: __asm__ volatile("movb %%gs:%1, %0" : "=q"(v_) : "m"(var)); break; \
		case 2: __asm__ volatile("movw %%gs:%1, %0" : "=r"(v_) : "m"(var)); break; \
		case 4: __asm__ volatile("movl %%gs:%1, %0" : "=r"(v_) : "m"(var)); break; \
		default: __asm__ volatile("movq %%gs:%1, %0" : "=r"(v_) : "m"(var)); break; \
		}									\
		v_;									\
	})
#define arch_this_cpu_write(var, x)							\
	do {										\
		__typeof__(var) v_ = (x);						\
		switch (sizeof(v_)) {							\
		case 1: __asm__ volatile("movb %1, %%gs:%0" : "=m"(var) : "q"(v_)); break; \
		case 2: __asm__ volatile("movw %1, %%gs:%0" : "=m"(var) : "r"(v_)); break; \
		case 4: __asm__ volatile("movl %1, %%gs:%0" : "=m"(var) : "r"(v_)); break; \
		default: __asm__ volatile("movq %1, %%gs:%0" : "=m"(var) : "r"(v_)); break; \
		}									\
	} while (0)
#define arch_this_cpu_add(var, x)							\
	do {										\
		__typeof__(var) v_ = (__typeof__(var))(x);				\
		switch (sizeof(v_)) {							\
		case 4: __asm__ volatile("addl %1, %%gs:%0" : "+m"(var) : "ir"(v_)); break; \
		default: __asm__ volatile("addq %1, %%gs:%0" : "+m"(var) : "er"(v_)); break; \
		}									\
	} while (0)
#define arch_this_cpu_ptr(p)	 ((__typeof__(p))((u64)(p) + arch_this_cpu_read(percpu_self_offset)))
#define arch_per_cpu_ptr(p, cpu) ((__typeof__(p))((u64)(p) + percpu_offsets[cpu]))
