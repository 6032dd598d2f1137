/*
 * Wall time is monotonic time plus one offset, a single word: readers take no
 * lock.  From vdso_attach on the word is in the page that programs read.
 */
#include <arch/machine.h>
#include <arch/vdso.h>
#include <base/atomic.h>
#include <core/clock.h>

static struct vdso_data early;
static struct vdso_data *page READ_MOSTLY = &early;	/* real_offset: atomic; 0: not asked yet */

u64 clock_mono_ns(void) { return arch_clock_ns(); }

static u64 offset(void)
{
	u64 o = load_acquire((u64 *)&page->real_offset), none = 0;

	if (likely(o))
		return o;
	o = arch_boot_wall_ns();
	o = o ? o : 1;
	/* clock_set_real() may have come first. */
	return __atomic_compare_exchange_n((u64 *)&page->real_offset, &none, o, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ?
		o : none;
}

u64 clock_real_ns(void) { return clock_mono_ns() + offset(); }
void clock_set_real(u64 ns) { store_release((u64 *)&page->real_offset, ns - clock_mono_ns()); }
u64 clock_boot_real_ns(void) { return offset(); }

void clock_vdso_attach(struct vdso_data *d)
{
	arch_vdso_scale(d);
	d->real_offset = offset();
	store_release(&page, d);
}
