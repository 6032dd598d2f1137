/*
 * The vDSO: a shared object that exec maps into every program (proc/vdso.c),
 * with the clocks that need no system call.  Its code is x86_64/vdso/; it finds
 * its data in the page below itself.
 */
#pragma once

#include <arch/vdso_data.h>
#include <base/types.h>

extern const u8 vdso_image[], vdso_image_end[];	/* the ELF file, whole pages */

/* The clock's scale; tsc_mult stays 0 where the TSC alone does not tell the time. */
void arch_vdso_scale(struct vdso_data *d);
