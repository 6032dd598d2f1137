/* The stack: growth on demand, its limit, MAP_GROWSDOWN, and process_vm_readv neighbours. */
#include "tap.h"

#include <setjmp.h>
#include <sys/resource.h>

#define RW	(PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static volatile int fault_code;
static void *volatile fault_addr;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	fault_code = si->si_code;
	fault_addr = si->si_addr;
	siglongjmp(back, sig);
}

static void catch_faults(void)
{
	static char alt[16384];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	struct sigaction sa = { .sa_sigaction = on_fault,
				.sa_flags = SA_NODEFER | SA_SIGINFO | SA_ONSTACK };

	tap_must(sigaltstack(&ss, NULL));
	tap_must(sigaction(SIGSEGV, &sa, NULL));
	tap_must(sigaction(SIGBUS, &sa, NULL));
}

static __attribute__((noinline)) long deep(long n)
{
	volatile char room[4000];

	room[0] = n;
	room[3999] = n;
	return n == 0 ? 0 : 1 + deep(n - 1) + (room[0] - room[3999]);
}

static void the_stack_grows_to_megabytes(void)
{
	tap_eq(deep(1000), 1000);			/* four megabytes of eight */
}

static void a_big_step_down_is_fine(void)
{
	volatile char big[1 << 20];

	big[0] = 1;
	big[sizeof(big) - 1] = 2;
	tap_eq(big[0] + big[sizeof(big) - 1], 3);
}

static void endless_recursion_is_sigsegv(void)
{
	catch_faults();
	int sig = sigsetjmp(back, 1);
	if (sig == 0)
		tap_note("%ld", deep(1000000));
	tap_eq(sig, SIGSEGV);
	tap_eq(fault_code, SEGV_MAPERR);
	tap_eq(deep(100), 100);				/* and life goes on */
}

static void without_an_altstack_overflow_kills(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

		sigaction(SIGSEGV, &sa, NULL);		/* there is no stack to run it on */
		deep(1000000);
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

static void the_limit_is_obeyed(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		struct rlimit rl = { 256 << 10, 256 << 10 };

		tap_must(setrlimit(RLIMIT_STACK, &rl));
		catch_faults();
		if (sigsetjmp(back, 1) == 0) {
			deep(500);
			tap_fail("the stack grew past its limit");
		}
		tap_eq(deep(20), 20);
		tap_leave();
	}
	tap_join(kid);
}

static void growsdown_areas_grow(void)
{
	char *hole = tap_pages(512);

	tap_must(munmap(hole, 512 * PAGE));
	char *p = mmap(hole + 500 * PAGE, 4 * PAGE, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	tap_need(p != MAP_FAILED);
	p[0] = 1;
	for (int i = 1; i < 20; i++)
		*(volatile char *)(p - i * PAGE) = i;
	for (int i = 1; i < 20; i++)
		tap_eq(p[-i * (long)PAGE], i);
}

static void growsdown_stops_near_a_neighbour(void)
{
	char *hole = tap_pages(512);

	tap_must(munmap(hole + PAGE, 511 * PAGE));	/* a page stays at the bottom */
	char *p = mmap(hole + 400 * PAGE, PAGE, RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	tap_need(p != MAP_FAILED);
	catch_faults();
	volatile int grown = 0;
	if (sigsetjmp(back, 1) == 0)
		for (volatile char *q = p - PAGE; q > hole; q -= PAGE) {
			*q = 1;
			grown++;
		}
	tap_ok(grown > 0);
	tap_eq(grown, 399 - 256);			/* the guard gap is 256 pages */
	hole[0] = 'k';
	tap_eq(hole[0], 'k');
}

static void fault_addresses_are_exact(void)
{
	char *p = tap_pages(2);

	tap_must(munmap(p + PAGE, PAGE));
	catch_faults();
	for (int off = 0; off < 4096; off += 1365) {
		if (sigsetjmp(back, 1) == 0) {
			*(volatile char *)(p + PAGE + off) = 1;
			tap_fail("no fault");
		}
		tap_ok(fault_addr == p + PAGE + off);
		tap_eq(fault_code, SEGV_MAPERR);
	}
	if (sigsetjmp(back, 1) == 0)
		*(volatile long *)(p + PAGE - 4) = 1;	/* across the end */
	tap_ok(fault_addr == p + PAGE);
}

static void arguments_and_environment_are_on_it(void)
{
	extern char **environ;
	char here;

	tap_ok((char *)environ > &here);
	tap_ok((uintptr_t)environ < 0x7ffffffff000ul);
}

TAP_MAIN(
	CASE(the_stack_grows_to_megabytes),
	CASE(a_big_step_down_is_fine),
	CASE(endless_recursion_is_sigsegv),
	CASE(without_an_altstack_overflow_kills),
	CASE(the_limit_is_obeyed),
	CASE(growsdown_areas_grow),
	CASE(growsdown_stops_near_a_neighbour),
	CASE(fault_addresses_are_exact),
	CASE(arguments_and_environment_are_on_it),
)
