/* Host stand-in for arch/percpu.h: the one CPU's copy is the variable itself. */
#pragma once

#include <base/attrs.h>

#define DEFINE_PER_CPU(T, name)	 T name
#define DECLARE_PER_CPU(T, name) extern T name

#define arch_this_cpu_read(var)	     (var)
#define arch_this_cpu_write(var, x)  ((void)((var) = (x)))
#define arch_this_cpu_add(var, x)    ((void)((var) += (__typeof__(var))(x)))
#define arch_this_cpu_ptr(p)	     (p)
#define arch_per_cpu_ptr(p, cpu)     ((void)(cpu), (p))
