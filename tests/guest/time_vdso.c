/*
 * The vDSO: found by AT_SYSINFO_EHDR, called directly, compared with the system calls.
 * CPUs may differ in number; with one, the cases about several still run on it.
 */
#include "tap.h"

#include <elf.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

#define NSEC(ts)	((ts).tv_sec * 1000000000l + (ts).tv_nsec)
#define RECENT		1000000000l	/* ns that two looks at a clock may lie apart on a busy host */

static struct {
	long (*gettime)(long clock, struct timespec *ts);
	long (*getres)(long clock, struct timespec *ts);
	long (*timeofday)(struct timeval *tv, struct timezone *tz);
	long (*time)(long *out);
	long (*getcpu)(unsigned *cpu, unsigned *node, void *cache);
} vdso;

static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
				    CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID,
				    CLOCK_THREAD_CPUTIME_ID };

/* --- the object ---------------------------------------------------------------------------- */

struct object {
	char *base, *strings;
	Elf64_Sym *symbols;
	Elf64_Half *versions;
	Elf64_Verdef *definitions;
	Elf32_Word *hash;
};

static const void *segment(const char *base, unsigned type)
{
	const Elf64_Ehdr *eh = (const void *)base;
	const Elf64_Phdr *ph = (const void *)(base + eh->e_phoff);

	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == type)
			return base + ph[i].p_vaddr;
	return NULL;
}

static struct object open_object(char *base)
{
	struct object o = { .base = base };
	const Elf64_Dyn *d = segment(base, PT_DYNAMIC);

	tap_need(d != NULL);
	for (; d->d_tag != DT_NULL; d++) {
		char *p = base + d->d_un.d_ptr;

		switch (d->d_tag) {
		case DT_STRTAB: o.strings = p; break;
		case DT_SYMTAB: o.symbols = (void *)p; break;
		case DT_HASH: o.hash = (void *)p; break;
		case DT_VERSYM: o.versions = (void *)p; break;
		case DT_VERDEF: o.definitions = (void *)p; break;
		}
	}
	tap_need(o.strings && o.symbols && o.versions && o.definitions);
	return o;
}

static const char *version_name(const struct object *o, unsigned index)
{
	for (char *p = (char *)o->definitions;; p += ((Elf64_Verdef *)p)->vd_next) {
		Elf64_Verdef *vd = (void *)p;

		if (vd->vd_ndx == (index & 0x7fff))
			return o->strings + ((Elf64_Verdaux *)(p + vd->vd_aux))->vda_name;
		if (!vd->vd_next)
			return "";
	}
}

static Elf64_Sym *find(const struct object *o, const char *name)
{
	tap_need(o->hash != NULL);
	for (unsigned i = 1; i < o->hash[1]; i++) {
		Elf64_Sym *s = &o->symbols[i];

		if (!strcmp(o->strings + s->st_name, name) && s->st_shndx != SHN_UNDEF &&
		    !strcmp(version_name(o, o->versions[i]), "LINUX_2.6"))
			return s;
	}
	return NULL;
}

static void *function(const struct object *o, const char *name)
{
	Elf64_Sym *s = find(o, name);

	if (!s) {
		tap_fail("no symbol %s", name);
		tap_leave();
	}
	tap_eq(ELF64_ST_TYPE(s->st_info), STT_FUNC);
	return o->base + s->st_value;
}

static void look_up(char *base)
{
	struct object o = open_object(base);

	vdso.gettime = function(&o, "__vdso_clock_gettime");
	vdso.getres = function(&o, "__vdso_clock_getres");
	vdso.timeofday = function(&o, "__vdso_gettimeofday");
	vdso.time = function(&o, "__vdso_time");
	vdso.getcpu = function(&o, "__vdso_getcpu");
}

static char *header(void)
{
	char *base = (char *)getauxval(AT_SYSINFO_EHDR);

	tap_need(base != NULL);
	return base;
}

static void look_up_ours(void) { look_up(header()); }

static void it_is_a_shared_object(void)
{
	char *base = header();
	const Elf64_Ehdr *eh = (const void *)base;

	tap_eq((uintptr_t)base % PAGE, 0);
	tap_eq(memcmp(eh->e_ident, ELFMAG, 4), 0);
	tap_eq(eh->e_ident[EI_CLASS], ELFCLASS64);
	tap_eq(eh->e_type, ET_DYN);
	tap_eq(eh->e_machine, EM_X86_64);
	tap_ok(segment(base, PT_LOAD) == base);
	tap_ok(segment(base, PT_DYNAMIC) != NULL);
}

static unsigned long elf_hash(const char *s)
{
	unsigned long h = 0, g;

	while (*s) {
		h = (h << 4) + (unsigned char)*s++;
		g = h & 0xf0000000;
		h = (h ^ g >> 24) & ~g;
	}
	return h;
}

static void functions_are_in_the_hash_table(void)
{
	static const char *const names[] = { "__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu",
					     "__vdso_clock_getres", "clock_gettime", "gettimeofday", "time", "getcpu" };
	struct object o = open_object(header());

	tap_need(o.hash != NULL);
	for (unsigned n = 0; n < ARRAY_LEN(names); n++) {
		unsigned buckets = o.hash[0], i = o.hash[2 + elf_hash(names[n]) % buckets];

		while (i && strcmp(o.strings + o.symbols[i].st_name, names[n]))
			i = o.hash[2 + buckets + i];
		if (!tap_ok(i != 0))
			tap_note("%s", names[n]);
		tap_ok(find(&o, names[n]) != NULL);
	}
}

/* .eh_frame_hdr: the table of functions that unwinders search. */
static void every_function_can_be_unwound(void)
{
	const unsigned char *h = segment(header(), PT_GNU_EH_FRAME);
	int covered = 0;

	look_up_ours();
	tap_need(h != NULL);
	tap_eq(h[0], 1);
	tap_eq(h[3], 0x3b);			/* pairs of 32-bit numbers, relative to the table */
	const int *pair = (const int *)(h + 12);
	int n = *(const int *)(h + 8);
	void *want[] = { vdso.gettime, vdso.getres, vdso.timeofday, vdso.time, vdso.getcpu };

	for (int i = 0; i < n; i++)
		for (unsigned k = 0; k < ARRAY_LEN(want); k++)
			covered += (const char *)h + pair[2 * i] == want[k];
	tap_ok(covered >= 4);			/* Linux's getcpu may have no frame */
}

/* --- values -------------------------------------------------------------------------------- */

static void clocks_agree_with_the_system_calls(void)
{
	look_up_ours();
	for (unsigned i = 0; i < ARRAY_LEN(clocks); i++)
		for (int round = 0; round < 200; round++) {
			struct timespec a, b, c;

			tap_must(syscall(SYS_clock_gettime, clocks[i], &a));
			tap_eq(vdso.gettime(clocks[i], &b), 0);
			tap_must(syscall(SYS_clock_gettime, clocks[i], &c));
			tap_ok(b.tv_nsec >= 0 && b.tv_nsec < 1000000000);
			if (!tap_ok(NSEC(a) <= NSEC(b) && NSEC(b) <= NSEC(c))) {
				tap_note("clock %d: %ld %ld %ld", clocks[i], NSEC(a), NSEC(b), NSEC(c));
				break;
			}
		}
}

static void unknown_clocks_are_refused(void)
{
	static const long bad[] = { 10, 12, 16, 31, 32, 33, 64, 99, -1, 0x7fffffff };
	struct timespec ts;

	look_up_ours();
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		if (!tap_eq((int)vdso.gettime(bad[i], &ts), -EINVAL))
			tap_note("clock %ld", bad[i]);
		tap_eq((int)vdso.getres(bad[i], &ts), -EINVAL);
	}
}

static void resolutions_agree(void)
{
	struct timespec a, b;

	look_up_ours();
	for (unsigned i = 0; i < ARRAY_LEN(clocks); i++) {
		tap_must(syscall(SYS_clock_getres, clocks[i], &a));
		tap_eq(vdso.getres(clocks[i], &b), 0);
		if (!tap_eq(NSEC(a), NSEC(b)))
			tap_note("clock %d", clocks[i]);
		tap_eq(vdso.getres(clocks[i], NULL), 0);
	}
}

static void time_of_day(void)
{
	struct timeval a, b, c;
	struct timezone z = { -1, -1 }, zk = { -2, -2 };

	look_up_ours();
	for (int i = 0; i < 200; i++) {
		tap_must(syscall(SYS_gettimeofday, &a, NULL));
		tap_eq(vdso.timeofday(&b, NULL), 0);
		tap_must(syscall(SYS_gettimeofday, &c, NULL));
		tap_ok(b.tv_usec >= 0 && b.tv_usec < 1000000);
		tap_ok(!timercmp(&b, &a, <) && !timercmp(&c, &b, <));
	}
	tap_eq(vdso.timeofday(NULL, NULL), 0);
	tap_eq(vdso.timeofday(&b, &z), 0);
	tap_must(syscall(SYS_gettimeofday, NULL, &zk));
	tap_eq(z.tz_minuteswest, zk.tz_minuteswest);
	tap_eq(z.tz_dsttime, zk.tz_dsttime);
}

/* Linux's time() shows the second of its last tick: it may lag behind the fine clock. */
static void seconds(void)
{
	struct timespec ts;
	long stored = -1, got;

	look_up_ours();
	got = vdso.time(&stored);
	tap_eq(got, stored);
	tap_must(clock_gettime(CLOCK_REALTIME, &ts));
	tap_ok(ts.tv_sec - got >= 0 && ts.tv_sec - got <= 2);
	tap_ok(vdso.time(NULL) >= got);
}

static void a_clock_that_is_set_shows_at_once(void)
{
	struct timespec before, moved, seen;

	look_up_ours();
	tap_must(syscall(SYS_clock_gettime, CLOCK_REALTIME, &before));
	moved = (struct timespec){ before.tv_sec + 5000, before.tv_nsec };
	tap_must(syscall(SYS_clock_settime, CLOCK_REALTIME, &moved));
	tap_eq(vdso.gettime(CLOCK_REALTIME, &seen), 0);
	tap_ok(NSEC(seen) >= NSEC(moved) && NSEC(seen) - NSEC(moved) < 60 * RECENT);
	tap_must(syscall(SYS_clock_gettime, CLOCK_REALTIME, &seen));
	seen.tv_sec -= 5000;
	tap_must(syscall(SYS_clock_settime, CLOCK_REALTIME, &seen));
	tap_eq(vdso.gettime(CLOCK_REALTIME, &seen), 0);
	tap_ok(NSEC(seen) >= NSEC(before) && NSEC(seen) - NSEC(before) < 60 * RECENT);
}

/* --- CPUs and processes ---------------------------------------------------------------------- */

/* The i-th CPU that this process may use; false past the last. */
static bool run_on(int i)
{
	static cpu_set_t all;
	cpu_set_t one;
	int cpu;

	if (!CPU_COUNT(&all))
		tap_must(sched_getaffinity(0, sizeof(all), &all));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && !i--)
			break;
	if (cpu == CPU_SETSIZE)
		return false;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	tap_must(sched_setaffinity(0, sizeof(one), &one));
	return true;
}

static void getcpu_names_the_cpu(void)
{
	unsigned cpu, node, kcpu, knode;

	look_up_ours();
	for (int i = 0; run_on(i); i++) {
		cpu = node = kcpu = knode = ~0u;
		tap_eq(vdso.getcpu(&cpu, &node, NULL), 0);
		tap_must(syscall(SYS_getcpu, &kcpu, &knode, NULL));
		tap_eq(cpu, kcpu);
		tap_eq(node, knode);
		tap_eq(vdso.getcpu(NULL, NULL, NULL), 0);
	}
}

/* One process hands the time it saw to the other, which must never see less. */
static void hand_over(_Atomic long *box, int me, int rounds)
{
	struct timespec ts;
	long seen;

	for (int i = 0; i < rounds; i++) {
		while (((seen = *box) & 1) != me)
			sched_yield();
		tap_eq(vdso.gettime(CLOCK_MONOTONIC, &ts), 0);
		if (!tap_ok((NSEC(ts) & ~1l) >= (seen & ~1l)))
			tap_note("%ld after %ld", NSEC(ts), seen);
		*box = (NSEC(ts) & ~1l) | !me;
	}
}

static void monotonic_across_processes_and_cpus(void)
{
	_Atomic long *box = tap_shared(1);
	pid_t kid;

	look_up_ours();
	kid = tap_fork();
	if (kid == 0) {
		(void)run_on(1);
		hand_over(box, 1, 3000);
		tap_leave();
	}
	(void)run_on(0);
	hand_over(box, 0, 3000);
	tap_join(kid);
}

#define PROBE	"VDSO_PROBE"

/* The program started anew: prints nothing, exits 0 when its own vDSO is no earlier than its parent's. */
static int probe(void)
{
	struct timespec ts;

	look_up((char *)getauxval(AT_SYSINFO_EHDR));
	vdso.gettime(CLOCK_MONOTONIC, &ts);
	return NSEC(ts) >= atol(getenv(PROBE)) ? 0 : 1;
}

static void exec_gives_a_new_one(void)
{
	struct timespec ts;
	char text[64];

	look_up_ours();
	for (int i = 0; i < 5; i++) {
		pid_t kid;

		vdso.gettime(CLOCK_MONOTONIC, &ts);
		snprintf(text, sizeof(text), "%s=%ld", PROBE, NSEC(ts));
		kid = tap_fork();
		if (kid == 0) {
			execle("/proc/self/exe", "probe", NULL, (char *[]){ text, NULL });
			_exit(9);
		}
		tap_join(kid);
	}
}

/* --- as memory --------------------------------------------------------------------------------- */

struct place { char *start, *end; char perms[8]; unsigned long ino; };

static bool in_maps(const char *name, struct place *out)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], label[256];

	tap_need(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;

		label[0] = 0;
		sscanf(line, "%lx-%lx %7s %*s %*s %lu %255s", &start, &end, out->perms, &out->ino, label);
		if (strcmp(label, name))
			continue;
		out->start = (char *)start;
		out->end = (char *)end;
		fclose(f);
		return true;
	}
	fclose(f);
	return false;
}

static void maps_show_code_and_data(void)
{
	struct place code, data;

	tap_need(in_maps("[vdso]", &code));
	tap_need(in_maps("[vvar]", &data));
	tap_eq(code.start, header());
	tap_str(code.perms, "r-xp");
	tap_str(data.perms, "r--p");
	tap_eq(data.end, code.start);
	tap_eq(code.ino, 0);
	tap_eq(data.ino, 0);
}

static void the_data_cannot_be_written(void)
{
	struct place data;
	pid_t kid;

	tap_need(in_maps("[vvar]", &data));
	tap_err(mprotect(data.start, data.end - data.start, PROT_READ | PROT_WRITE), EACCES);
	tap_err(mprotect(data.start, data.end - data.start, PROT_READ | PROT_EXEC), EACCES);
	kid = tap_fork();
	if (kid == 0) {
		*(volatile char *)data.start = 1;
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

/* A breakpoint in one process's code stays its own. */
static void the_code_can_be_changed_in_private(void)
{
	struct place code;
	struct timespec ts;
	pid_t kid;

	look_up_ours();
	tap_need(in_maps("[vdso]", &code));
	kid = tap_fork();
	if (kid == 0) {
		tap_must(mprotect(code.start, code.end - code.start, PROT_READ | PROT_WRITE | PROT_EXEC));
		memcpy(vdso.gettime, "\xb8\x2a\x00\x00\x00\xc3", 6);		/* mov $42, %eax; ret */
		tap_eq(vdso.gettime(CLOCK_MONOTONIC, &ts), 42);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(vdso.gettime(CLOCK_MONOTONIC, &ts), 0);
}

static void both_can_move(void)
{
	struct place code, data;
	struct timespec a, b, c;
	char *to;

	tap_need(in_maps("[vdso]", &code));
	tap_need(in_maps("[vvar]", &data));
	to = mmap(NULL, code.end - data.start, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tap_need(to != MAP_FAILED);
	tap_eq(mremap(data.start, data.end - data.start, data.end - data.start, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	to += data.end - data.start;
	tap_eq(mremap(code.start, code.end - code.start, code.end - code.start, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	look_up(to);
	tap_must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &a));
	tap_eq(vdso.gettime(CLOCK_MONOTONIC, &b), 0);
	tap_must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &c));
	tap_ok(NSEC(a) <= NSEC(b) && NSEC(b) <= NSEC(c));
	tap_need(in_maps("[vdso]", &code));
	tap_eq(code.start, to);
}

static void it_can_be_unmapped(void)
{
	struct place code, data;
	struct timespec ts;

	tap_need(in_maps("[vdso]", &code));
	tap_need(in_maps("[vvar]", &data));
	tap_must(munmap(code.start, code.end - code.start));
	tap_must(munmap(data.start, data.end - data.start));
	tap_ok(!in_maps("[vdso]", &code));
	tap_must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts));
}

static void it_cannot_grow(void)
{
	struct place code;
	size_t len;

	tap_need(in_maps("[vdso]", &code));
	len = code.end - code.start;
	tap_err(mremap(code.start, len, 2 * len, MREMAP_MAYMOVE), EFAULT);
}

/* Without the code's pages the library's function crashes: so it did use them. */
static void the_c_library_uses_it(void)
{
	struct place code;
	struct timespec ts;
	pid_t kid;

	tap_must(clock_gettime(CLOCK_MONOTONIC, &ts));
	tap_need(in_maps("[vdso]", &code));
	kid = tap_fork();
	if (kid == 0) {
		tap_must(mprotect(code.start, code.end - code.start, PROT_NONE));
		clock_gettime(CLOCK_MONOTONIC, &ts);
		_exit(0);
	}
	tap_killed(kid, SIGSEGV);
}

static const struct tap_case cases[] = {
	CASE(it_is_a_shared_object),
	CASE(functions_are_in_the_hash_table),
	CASE(every_function_can_be_unwound),
	CASE(clocks_agree_with_the_system_calls),
	CASE(unknown_clocks_are_refused),
	CASE(resolutions_agree),
	CASE(time_of_day),
	CASE(seconds),
	CASE(a_clock_that_is_set_shows_at_once),
	CASE(getcpu_names_the_cpu),
	CASE(monotonic_across_processes_and_cpus),
	CASE(exec_gives_a_new_one),
	CASE(maps_show_code_and_data),
	CASE(the_data_cannot_be_written),
	CASE(the_code_can_be_changed_in_private),
	CASE(both_can_move),
	CASE(it_can_be_unmapped),
	CASE(it_cannot_grow),
	CASE(the_c_library_uses_it),
};

int main(int argc, char **argv)
{
	return getenv(PROBE) ? probe() : tap_main(argc, argv, cases, ARRAY_LEN(cases));
}
