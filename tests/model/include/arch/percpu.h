/* Stand-in for arch/percpu.h with several CPUs: a variable is an array, model_cpu says who runs. */
#pragma once

#include <base/attrs.h>

#define MODEL_CPUS 4
extern u32 model_cpu;

#define DEFINE_PER_CPU(T, name)	 T name[MODEL_CPUS]
#define DECLARE_PER_CPU(T, name) extern T name[MODEL_CPUS]

#define arch_this_cpu_read(var)	    (var[model_cpu])
#define arch_this_cpu_write(var, x) ((void)(var[model_cpu] = (x)))
#define arch_this_cpu_add(var, x)   ((void)(var[model_cpu] += (x)))
#define arch_this_cpu_ptr(p)	    (&(*(p))[model_cpu])
#define arch_per_cpu_ptr(p, cpu)    (&(*(p))[cpu])
