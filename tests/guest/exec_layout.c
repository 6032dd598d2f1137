/*
 * exec of odd layouts: segments that share a page or a page table, gaps, zeroed parts over borders, large
 * segments, random places.  And, for tests/boot, what an exec costs.
 */
#include "exec_prog.h"
#include "ptrace.h"
#include <sys/mman.h>

static void text_and_data_in_one_table(void)
{
	struct prog p = usual(ET_EXEC);

	runs_alike(&p, "usual");
}

static void position_independent(void)
{
	struct prog p = usual(ET_DYN);

	runs_alike(&p, "pie");
	for (int i = 0; i < 30; i++)
		tap_eq(run("./pie"), 7);
}

/* The data segment begins in the page that the text ends in: one page, mapped by both, the second wins. */
static void two_segments_in_one_page(void)
{
	struct prog p = { .type = ET_EXEC };

	add_seg(&p, BASE, 0, 0x2a00, 0x2a00, PF_R | PF_X, 'T');
	add_seg(&p, BASE + 0x2bf0, 0x2bf0, 0x1810, 0x2000, PF_R | PF_W, 'D');
	add_check(&p, BASE + 0x1000, 0x1a00, 1, 'T', -1);
	add_check(&p, BASE + 0x2bf0, 0x1810, 1, 'D', 'd');
	add_check(&p, BASE + 0x4400, 0x7f0, 1, 0, 'b');
	add_check(&p, BASE + 0x2000, 0xa00, 1, 'T', 't');	/* writable now: the data's page */
	runs_alike(&p, "shared-page");
}

static void gaps_and_far_segments(void)
{
	struct prog p = { .type = ET_EXEC };

	add_seg(&p, BASE, 0, 0x1000, 0x1000, PF_R | PF_X, 'T');
	add_seg(&p, BASE + 0x5000, 0x1000, 0x1800, 0x1800, PF_R, 'R');
	add_seg(&p, BASE + 0x1234567, 0x3567, 0x2000, 0x2345, PF_R | PF_W, 'D');
	add_seg(&p, BASE + 0x40000000, 0x6000, 0x3000, 0x3000, PF_R | PF_W, 'E');
	add_check(&p, BASE + 0x5000, 0x1800, 1, 'R', -1);
	add_check(&p, BASE + 0x1234567, 0x2000, 1, 'D', 1);
	add_check(&p, BASE + 0x1236567, 0x345, 1, 0, 2);
	add_check(&p, BASE + 0x40000000, 0x3000, 1, 'E', 3);
	runs_alike(&p, "gaps");
}

/* Zeroed memory over several 2 MiB borders; a segment without a byte in the file. */
static void zeroed_memory_over_borders(void)
{
	struct prog p = { .type = ET_EXEC };

	add_seg(&p, BASE, 0, 0x2000, 0x2000, PF_R | PF_X, 'T');
	add_seg(&p, BASE + 0x1fe800, 0x2800, 0x1000, 5 * MIB, PF_R | PF_W, 'D');
	add_seg(&p, BASE + 0x1000000, 0, 0, 3 * MIB + 5, PF_R | PF_W, 0);
	add_check(&p, BASE + 0x1fe800, 0x1000, 1, 'D', 1);
	add_check(&p, BASE + 0x1ff800, 0x2000, 1, 0, 2);
	add_check(&p, BASE + 0x201800, (5 * MIB - 0x3000) / 512, 512, 0, 3);
	add_check(&p, BASE + 0x1000000, (3 * MIB) / 512, 512, 0, 4);
	runs_alike(&p, "bss");
}

static struct prog large(void)
{
	struct prog p = { .type = ET_EXEC };

	add_seg(&p, BASE, 0, 8 * MIB, 8 * MIB, PF_R | PF_X, 'T');
	add_seg(&p, BASE + 8 * MIB, 8 * MIB, 4 * MIB + 0x123, 4 * MIB + 0x123, PF_R, 'R');
	add_seg(&p, BASE + 13 * MIB + 0x123, 12 * MIB + 0x123, 8 * MIB, 8 * MIB + 0x10000, PF_R | PF_W, 'D');
	add_check(&p, BASE + 0x1000, (8 * MIB - 0x1000) / 1024, 1024, 'T', -1);
	add_check(&p, BASE + 8 * MIB, 4 * MIB / 1024, 1024, 'R', -1);
	add_check(&p, BASE + 13 * MIB + 0x123, 8 * MIB / 1024, 1024, 'D', 'd');
	add_check(&p, BASE + 21 * MIB + 0x123, 0x10000, 1, 0, 1);
	return p;
}

static void segments_of_8_mib(void)
{
	struct prog p = large();

	runs_alike(&p, "large");
}

/* A program that has done its checks and waits. */
static pid_t start_waiting(const char *name)
{
	char *argv[] = { (char *)name, NULL };
	char path[32];
	pid_t kid = tap_fork();

	if (kid == 0) {
		execve(name, argv, NULL);
		_exit(97);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", kid);
	for (char comm[32] = ""; strncmp(comm, name, strlen(name));)
		tap_need(tap_slurp(path, comm, sizeof(comm)) > 0);
	tap_await_state(kid, 'S');
	return kid;
}

/* A debugger changes one byte of a large text: in that process, there alone, and nothing else. */
static void one_page_of_8_mib_poked(void)
{
	struct prog p = large();
	uint64_t at = BASE + 0x345678;
	char path[32], byte;

	make_prog("large", &p, 255);
	for (int i = 0; i < 3; i++) {
		pid_t kid = start_waiting("large"), other = start_waiting("large");

		snprintf(path, sizeof(path), "/proc/%d/mem", kid);
		int fd = tap_must(open(path, O_RDWR));
		tap_need(pwrite(fd, "!", 1, at) == 1);
		for (uint64_t va = BASE + 0x1678; va < BASE + 8 * MIB; va += 0x1000)
			if (pread(fd, &byte, 1, va) != 1 || byte != (va == at ? '!' : 'T')) {
				tap_fail("at %#lx: %#x", (long)va, byte);
				break;
			}
		close(fd);
		snprintf(path, sizeof(path), "/proc/%d/mem", other);
		fd = tap_must(open(path, O_RDWR));
		tap_need(pread(fd, &byte, 1, at) == 1);
		tap_eq(byte, 'T');
		close(fd);
		kill(i & 1 ? kid : other, SIGKILL);
		tap_killed(i & 1 ? kid : other, SIGKILL);
		kill(i & 1 ? other : kid, SIGKILL);
		tap_killed(i & 1 ? other : kid, SIGKILL);
	}
	make_prog("large", &p, 7);
	tap_eq(run("./large"), 7);
}

/* One system call of a stopped program made by put_prog(). */
static long call(pid_t kid, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct user_regs_struct r = pt_regs(kid);

	r.rip = BASE + CODE + (uint64_t)(payload_syscall - payload);
	r.rax = (uint64_t)nr;
	r.orig_rax = ~0ull;
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	r.r10 = d;
	r.r8 = e;
	tap_must(pt(PTRACE_SETREGS, kid, 0, (unsigned long)&r));
	pt_go(kid, PTRACE_SINGLESTEP);
	pt_want(kid, SIGTRAP);
	return (long)pt_regs(kid).rax;
}

/* The byte at va in a process; -1: nothing there. */
static int byte_at(pid_t kid, uint64_t va)
{
	char path[32];
	unsigned char byte;

	snprintf(path, sizeof(path), "/proc/%d/mem", kid);
	int fd = tap_must(open(path, O_RDONLY));
	int got = pread(fd, &byte, 1, va) == 1 ? byte : -1;

	close(fd);
	return got;
}

/* What a program does to 2 MiB pieces of its text, and a child of its does, is seen by nobody else. */
static void pieces_of_8_mib_changed(void)
{
	const uint64_t two = 2 * MIB, page = BASE + two + 0x5000, away = 0x700000000000;
	struct prog p = large();

	make_prog("large", &p, 255);
	for (int i = 0; i < 3; i++) {
		pid_t kid = start_waiting("large"), other = start_waiting("large");

		tap_must(pt(PTRACE_ATTACH, kid, 0, 0));
		pt_want(kid, SIGSTOP);
		pid_t child = (pid_t)tap_must(call(kid, SYS_fork, 0, 0, 0, 0, 0));

		tap_eq(call(kid, SYS_mprotect, page, 0x1000, PROT_READ | PROT_WRITE, 0, 0), 0);
		tap_need(call(kid, SYS_getcwd, page, 0x1000, 0, 0, 0) > 1);
		tap_eq(call(kid, SYS_munmap, BASE + two * 2, two, 0, 0, 0), 0);
		tap_eq(call(kid, SYS_mremap, BASE + two * 3, two, two, MREMAP_MAYMOVE | MREMAP_FIXED, away), (long)away);
		for (int k = 0; k < 3; k++) {
			pid_t who = (pid_t[]){ kid, child, other }[k];
			bool mine = who == kid;

			tap_eq(byte_at(who, page), mine ? '/' : 'T');
			tap_eq(byte_at(who, page + 0x1000), 'T');
			tap_eq(byte_at(who, BASE + two * 2 + 0x1000), mine ? -1 : 'T');
			tap_eq(byte_at(who, BASE + two * 3 + 0x1000), mine ? -1 : 'T');
			tap_eq(byte_at(who, away + 0x1000), mine ? 'T' : -1);
		}
		kill(child, SIGKILL);
		kill(i & 1 ? kid : other, SIGKILL);
		tap_killed(i & 1 ? kid : other, SIGKILL);
		kill(i & 1 ? other : kid, SIGKILL);
		tap_killed(i & 1 ? other : kid, SIGKILL);
	}
	tap_need(unlink("large") == 0);
	make_prog("large", &p, 7);
	tap_eq(run("./large"), 7);
}

/* "huge": kB of the large program that 2 MiB entries map, for tests/boot. */
static int huge_main(void)
{
	static char text[1 << 16];
	struct prog p = large();
	char path[32];
	long sum = 0;
	pid_t kid;

	if (chdir("/tmp"))
		return 1;
	make_prog("large", &p, 7);
	if (run("./large") != 7)
		return 1;
	make_prog("large", &p, 255);
	kid = start_waiting("large");
	snprintf(path, sizeof(path), "/proc/%d/smaps", kid);
	tap_slurp(path, text, sizeof(text));
	for (char *at = text; (at = strstr(at, "FilePmdMapped:")) != NULL; at++)
		sum += strtol(at + 14, NULL, 10);
	kill(kid, SIGKILL);
	printf("%ld\n", sum);
	return 0;
}

/*
 * Minor faults of a program from its exec on; -1: it did not end with 7.  What the child has before depends on where the
 * parent's stack lies and on who of the two writes it first.
 */
static long faults_of(const char *name, volatile long *before)
{
	char *argv[] = { (char *)name, NULL };
	struct rusage ru;
	int st;
	pid_t kid = fork();

	if (kid == 0) {
		*before = 0;
		for (int i = 0; i < 2; i++)		/* the second time with all pages that this takes */
			getrusage(RUSAGE_SELF, &ru);
		*before = ru.ru_minflt;
		execve(name, argv, NULL);
		_exit(1);
	}
	if (kid < 0 || wait4(kid, &st, 0, &ru) != kid || !WIFEXITED(st) || WEXITSTATUS(st) != 7)
		return -1;
	return ru.ru_minflt - *before;
}

/* "faults": those of a program that reads all it has, less those of one that reads nothing, for tests/boot. */
static int faults_main(void)
{
	struct prog p = usual(ET_EXEC), none = usual(ET_EXEC);
	long n[24], least[2] = { 1 << 30, 1 << 30 };
	volatile long *before = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < p.ncheck; i++)
		p.check[i].write = 0;
	p.ncheck = 3;
	none.ncheck = 0;
	if (before == MAP_FAILED || chdir("/tmp"))
		return 1;
	make_prog("all", &p, 7);
	make_prog("none", &none, 7);
	/* The least of some: the stack's first pages are as many as its random top makes them. */
	for (int i = 0; i < 24; i++) {
		n[i] = faults_of(i & 1 ? "./none" : "./all", before);
		if (n[i] < 0)
			return 1;
		if (n[i] < least[i & 1])
			least[i & 1] = n[i];
	}
	printf("%ld\n", least[0] - least[1]);
	for (int i = 0; least[0] != least[1] && i < 24; i++)
		fprintf(stderr, "%s: %ld\n", i & 1 ? "none" : "all", n[i]);
	return 0;
}

/*
 * "cost" (after fork) and "vcost" (after vfork: no old memory to tear down): clock ticks from the call of execve to
 * the program's first instruction, for a static program of 1 MiB that ran before.  Under -icount shift=0 a tick is an
 * instruction.  The median of some, as the stack's top is random.
 */
static int by_size(const void *a, const void *b) { return *(const long *)a < *(const long *)b ? -1 : 1; }

static int cost_main(bool after_vfork)
{
	volatile uint64_t *start = tap_shared(1);
	char *argv[] = { "/tmp/mib", NULL };
	struct prog p = usual(ET_EXEC);
	long took[31];
	int fd[2];

	/* A parent that wakes from vfork does not push the child aside. */
	tap_must(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &(struct sched_param){ 0 }));
	p.seg[0].filesz = p.seg[0].memsz = 0xc5000;
	for (int i = 1; i < 3; i++) {
		p.seg[i].off += 0x94000;
		p.seg[i].vaddr += 0x94000;
	}
	p.ncheck = 0;
	make_prog(argv[0], &p, 7);
	fd[0] = tap_must(open(argv[0], O_WRONLY));
	tap_need(pwrite(fd[0], first, first_end - first, CODE) == first_end - first);
	close(fd[0]);
	tap_must(pipe2(fd, O_CLOEXEC));
	for (int i = -2; i < 31; i++) {
		uint64_t end;
		pid_t kid = after_vfork ? vfork() : fork();

		if (kid == 0) {
			dup2(fd[1], 1);
			*start = __builtin_ia32_rdtsc();
			execve(argv[0], argv, NULL);
			_exit(97);
		}
		if (read(fd[0], &end, 8) != 8 || waitpid(kid, NULL, 0) != kid)
			return 1;
		if (i >= 0)
			took[i] = (long)(end - *start);
	}
	qsort(took, 31, sizeof(took[0]), by_size);
	printf("%ld\n", took[15]);
	return 0;
}

static const struct tap_case cases[] = {
	CASE(text_and_data_in_one_table), CASE(position_independent), CASE(two_segments_in_one_page),
	CASE(gaps_and_far_segments), CASE(zeroed_memory_over_borders), CASE(segments_of_8_mib), CASE(one_page_of_8_mib_poked),
	CASE(pieces_of_8_mib_changed),
};

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "faults"))
		return faults_main();
	if (argc == 2 && !strcmp(argv[1], "huge"))
		return huge_main();
	if (argc == 2 && (!strcmp(argv[1], "cost") || !strcmp(argv[1], "vcost")))
		return cost_main(argv[1][0] == 'v');
	return tap_main(argc, argv, cases, ARRAY_LEN(cases));
}
