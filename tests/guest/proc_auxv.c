/* What a new program finds on its stack: auxv, argv and envp layout, randomness.  A static-PIE. */
#include "tap.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <time.h>

extern char **environ;
static char **args;

static Elf64_auxv_t *auxv(void)
{
	char **p = environ;

	while (*p)
		p++;
	return (Elf64_auxv_t *)(p + 1);
}

static int count(unsigned long type)
{
	int n = 0;

	for (Elf64_auxv_t *a = auxv(); a->a_type != AT_NULL; a++)
		n += a->a_type == type;
	return n;
}

static void the_usual_entries_come_once(void)
{
	static const unsigned long need[] = {
		AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY, AT_UID,
		AT_EUID, AT_GID, AT_EGID, AT_CLKTCK, AT_SECURE, AT_RANDOM, AT_EXECFN, AT_PLATFORM,
		AT_HWCAP,
	};

	for (unsigned i = 0; i < ARRAY_LEN(need); i++)
		if (!tap_eq(count(need[i]), 1))
			tap_note("entry %lu", need[i]);
}

static void their_values_are_right(void)
{
	tap_eq(getauxval(AT_PAGESZ), 4096);
	tap_eq(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	tap_eq(getauxval(AT_UID), 0);
	tap_eq(getauxval(AT_SECURE), 0);
	tap_eq(getauxval(AT_CLKTCK), 100);
	tap_eq(getauxval(AT_BASE), 0);			/* no interpreter */
	tap_str((char *)getauxval(AT_PLATFORM), "x86_64");
	char exe[512] = "";
	readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	tap_str(strrchr((char *)getauxval(AT_EXECFN), '/'), strrchr(exe, '/'));
	unsigned eax = 1, ebx, ecx, edx;
	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	tap_eq(getauxval(AT_HWCAP) & 0x7ffffff, edx & 0x7ffffff);
}

static void program_headers_are_in_memory(void)
{
	Elf64_Phdr *ph = (void *)getauxval(AT_PHDR);
	int loads = 0;

	tap_need(ph != NULL);
	for (unsigned i = 0; i < getauxval(AT_PHNUM); i++)
		loads += ph[i].p_type == PT_LOAD;
	tap_ok(loads >= 2);
	Elf64_Ehdr *eh = (void *)((uintptr_t)ph & -PAGE);
	tap_eq(memcmp(eh->e_ident, ELFMAG, 4), 0);
	tap_eq(eh->e_type, ET_DYN);
	tap_eq(getauxval(AT_ENTRY), (uintptr_t)eh + eh->e_entry);
}

static void strings_lie_above_the_vectors(void)
{
	char *low = (char *)auxv(), *end = NULL;

	for (char **p = args; *p; p++) {
		tap_ok(*p > low);
		if (end)
			tap_ok(*p == end);		/* one after the other */
		end = *p + strlen(*p) + 1;
	}
	for (char **p = environ; *p; p++) {
		tap_ok(*p == end);
		end = *p + strlen(*p) + 1;
	}
	tap_ok(args + 0 < environ);
	tap_eq((uintptr_t)(args - 1) % 16, 0);		/* argc lies 16-byte aligned */
}

static const char *run_self(void)
{
	static char out[256];
	int p[2];
	ssize_t n, have = 0;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		dup2(p[1], 1);
		execl("/proc/self/exe", args[0], "show", NULL);
		_exit(1);
	}
	close(p[1]);
	while ((n = read(p[0], out + have, sizeof(out) - 1 - have)) > 0)
		have += n;
	out[have] = 0;
	close(p[0]);
	tap_join(kid);
	return out;
}

static int show(void)
{
	int local;
	unsigned char *r = (void *)getauxval(AT_RANDOM);

	for (int i = 0; i < 16; i++)
		dprintf(1, "%02x", r[i]);
	void *m = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dprintf(1, " %p %p %p %#lx %#lx", (void *)(uintptr_t)show, (void *)&local, m,
		syscall(SYS_brk, 0), getauxval(AT_SYSINFO_EHDR));
	return 0;
}

#define FIELDS 6				/* random bytes, text, stack, mmap, brk, vdso */

static void run_and_split(char f[FIELDS][64])
{
	tap_eq(sscanf(run_self(), "%63s %63s %63s %63s %63s %63s", f[0], f[1], f[2], f[3], f[4], f[5]), FIELDS);
}

static void every_start_is_different(void)
{
	char a[FIELDS][64], b[FIELDS][64];
	int differ[FIELDS] = { 0 };

	for (int round = 0; round < 4; round++) {
		run_and_split(a);
		for (int i = 0; i < FIELDS && round; i++)
			differ[i] |= strcmp(a[i], b[i]) != 0;
		memcpy(b, a, sizeof(a));
	}
	for (int i = 0; i < FIELDS; i++)
		if (!tap_ok(differ[i]))
			tap_note("field %d: %s", i, a[i]);
}

static void without_randomization_it_is_not(void)
{
	char a[FIELDS][64], b[FIELDS][64];

	syscall(SYS_personality, 0x0040000);
	run_and_split(a);
	run_and_split(b);
	for (int i = 1; i < FIELDS; i++)
		tap_str(a[i], b[i]);
	tap_ok(strcmp(a[0], b[0]) != 0);
}

static void proc_self_auxv_agrees(void)
{
	static char buf[2048];
	Elf64_auxv_t *a = (void *)buf, *b = auxv();
	long n = tap_slurp("/proc/self/auxv", buf, sizeof(buf));

	tap_need(n > 0);
	tap_eq(n % 16, 0);
	do {
		tap_eq(a->a_type, b->a_type);
		tap_eq(a->a_un.a_val, b->a_un.a_val);
	} while (a++, b++->a_type != AT_NULL);
}

static void the_vdso_if_present_is_an_elf(void)
{
	Elf64_Ehdr *eh = (void *)getauxval(AT_SYSINFO_EHDR);

	if (!eh)
		tap_skip("no vdso");
	tap_eq(memcmp(eh->e_ident, ELFMAG, 4), 0);
	tap_eq(eh->e_type, ET_DYN);
}

static void descriptors_and_state_at_start(void)
{
	unsigned mx;
	unsigned short cw;

	asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mx), "=m"(cw));
	tap_eq(mx & 0xffc0, 0x1f80);
	tap_eq(cw, 0x37f);
	unsigned long fl;
	asm volatile("pushfq; pop %0" : "=r"(fl));
	tap_eq(fl & 0x200, 0x200);
	tap_eq(fl & 0x400, 0);
}

static const struct tap_case all[] = {
	CASE(the_usual_entries_come_once),
	CASE(their_values_are_right),
	CASE(program_headers_are_in_memory),
	CASE(strings_lie_above_the_vectors),
	CASE(every_start_is_different),
	CASE(without_randomization_it_is_not),
	CASE(proc_self_auxv_agrees),
	CASE(the_vdso_if_present_is_an_elf),
	CASE(descriptors_and_state_at_start),
};

int main(int argc, char **argv)
{
	args = argv;
	if (argc == 2 && strcmp(argv[1], "show") == 0)
		return show();
	return tap_main(argc, argv, all, ARRAY_LEN(all));
}
