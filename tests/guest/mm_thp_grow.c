/* Transparent huge pages in what grows: the stack and the break, by big steps and page by page. */
#include "mm_thp.h"

#include <sys/resource.h>

#define MANY 6

static char was[128];

static void write_word(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY), n = strlen(word);

	tap_need(fd >= 0);
	tap_eq(write(fd, word, n), n);
	close(fd);
}

/* Advice is for mappings; here the kernel does it by itself.  A machine that is small may have no blocks for it. */
static void always(void)
{
	int fd = open(ENABLED, O_RDONLY);

	tap_need(fd >= 0 && read(fd, was, sizeof(was) - 1) > 0);
	close(fd);
	write_word(ENABLED, "always");
}

static void as_before(void)
{
	char *word = strchr(was, '[') + 1;

	word[strcspn(word, "]")] = 0;
	write_word(ENABLED, word);
}

static bool blocks_at_hand(void) { return number_in("/proc/meminfo", "MemFree") > 100000; }

#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"

/* Until the area at p has n of them from the background, or some seconds have gone by. */
static void wait_for_huge(const void *p, int n)
{
	write_word(KHUGEPAGED "scan_sleep_millisecs", "10");
	write_word(KHUGEPAGED "alloc_sleep_millisecs", "10");
	for (int i = 0; i < 500 && smaps_kb(p, "AnonHugePages") < n * 2048; i++)
		usleep(10000);
	write_word(KHUGEPAGED "scan_sleep_millisecs", "10000");
	write_word(KHUGEPAGED "alloc_sleep_millisecs", "60000");
}

static void more_stack(void)
{
	struct rlimit much = { 64 << 20, RLIM_INFINITY };

	tap_must(getrlimit(RLIMIT_STACK, &much));
	much.rlim_cur = 64 << 20;
	tap_must(setrlimit(RLIMIT_STACK, &much));
}

/* The room is there at once, and is used from below. */
static __attribute__((noinline)) void use_room(void)
{
	byte room[MANY * HUGE];

	__asm__ volatile("" : : "r"(room) : "memory");
	for (unsigned i = 0; i < MANY * PAGES; i++)
		put(room, i, 1);
	if (blocks_at_hand())
		tap_ok(smaps_kb(room, "AnonHugePages") >= (MANY - 1) * 2048);
	tap_ok(holds(room, 0, MANY * PAGES, 1));
	pid_t kid = tap_fork();

	for (unsigned i = kid == 0; i < MANY * PAGES; i += 2)
		put(room, i, kid ? 2 : 3);
	for (unsigned i = 0; i < MANY * PAGES; i++)
		tap_need(has(room, i, (i & 1) == (kid == 0) ? kid ? 2 : 3 : 1));
	if (kid == 0)
		tap_leave();
	tap_join(kid);
}

static void the_stack_takes_part(void)
{
	always();
	more_stack();
	use_room();
	as_before();
}

/* Below what calls made from here use, a page after the other, but for the one that would make 2 MiB whole. */
static bool steps_on(const byte *page) { return (uintptr_t)page % HUGE; }

static void a_stack_that_grew_page_by_page(void)
{
	byte *top = (byte *)((uintptr_t)__builtin_frame_address(0) & -PAGE) - 32 * PAGE;

	always();
	more_stack();
	for (unsigned i = 1; i <= MANY * PAGES; i++)
		if (steps_on(top - i * PAGE))
			put(top - i * PAGE, 0, i);
	if (blocks_at_hand()) {
		wait_for_huge(top, MANY - 1);
		tap_ok(smaps_kb(top, "AnonHugePages") >= (MANY - 1) * 2048);
	}
	for (unsigned i = 1; i <= MANY * PAGES; i++)
		tap_need(steps_on(top - i * PAGE) ? has(top - i * PAGE, 0, i) : is_zero(top - i * PAGE, 0));
	as_before();
}

static void a_break_that_grew_step_by_step(void)
{
	byte *old = (byte *)syscall(SYS_brk, 0), *end = old;

	always();
	for (unsigned i = 0; i < MANY * PAGES; i += 16) {
		end += 16 * PAGE;
		tap_need((byte *)syscall(SYS_brk, end) == end);
		fill(end - 16 * PAGE, 16, i);
	}
	if (blocks_at_hand()) {
		wait_for_huge(old, MANY - 1);
		tap_ok(smaps_kb(old, "AnonHugePages") >= (MANY - 1) * 2048);
	}
	for (unsigned i = 0; i < MANY * PAGES; i += 16)
		tap_ok(holds(old + i * PAGE, 0, 16, i));
	tap_ok((byte *)syscall(SYS_brk, old) == old);
	as_before();
}

TAP_MAIN(CASE(the_stack_takes_part), CASE(a_stack_that_grew_page_by_page), CASE(a_break_that_grew_step_by_step))
