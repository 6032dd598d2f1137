/* A clock that only the test moves. */
#include <core/clock.h>
#include <test/test.h>

u64 host_clock_ns = 1000000000ull;

__attribute__((weak)) void host_clock_changed(void) {}
void host_clock_advance(u64 ns)
{
	host_clock_ns += ns;
	host_clock_changed();
}

u64 clock_mono_ns(void) { return host_clock_ns; }
u64 clock_real_ns(void) { return 1700000000ull * NSEC_PER_SEC + host_clock_ns; }
u64 clock_boot_real_ns(void) { return 1700000000ull * NSEC_PER_SEC; }
void clock_set_real(u64 ns) {}
