/* Prints the rate of this host's time-stamp counter in kHz; nothing where there is none. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* A pair of readings, taken when nothing interrupted them: the closest of a few tries. */
static void sample(uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 50; i++) {
		uint64_t before = __rdtsc(), t = now_ns(), after = __rdtsc();

		if (after - before < best) {
			best = after - before;
			*tsc = before + best / 2;
			*ns = t;
		}
	}
}

int main(void)
{
	struct timespec wait = { 0, 40000000 };
	uint64_t tsc0, tsc1, ns0, ns1;

	sample(&tsc0, &ns0);
	nanosleep(&wait, NULL);
	sample(&tsc1, &ns1);
	printf("%llu\n", (unsigned long long)((tsc1 - tsc0) * 1000000.0 / (ns1 - ns0)));
	return 0;
}
#else
int main(void)
{
	return 0;
}
#endif
