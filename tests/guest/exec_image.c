/*
 * What exec shows of a file is the file as it is now, whoever ran it before: odd layouts, pages that
 * two segments share, zeroed parts, files that are replaced, changed or mapped meanwhile.
 *
 * Most programs here are ELF files made by the test: a position-independent piece of code that walks
 * a table of checks (these bytes are this, and are overwritten with that) and exits with a number, or stays (255).
 */
#include "tap.h"

#include <elf.h>
#include <sched.h>
#include <sys/resource.h>

#define BASE	0x400000ul
#define MIB	(1ul << 20)
#define BAD	100			/* exit status of a program: BAD + index of the check that failed */

/* One check: n bytes, stride apart, from rel (to the code's start) on. */
struct check {
	int64_t rel;
	uint64_t n;
	uint8_t expect, write, value, pad;
	uint32_t stride;
};

extern char payload[], payload_end[], first[], first_end[];
__asm__(".pushsection .text\n"
	"payload:\n"
	"	xor	%r12d, %r12d\n"
	"	lea	payload(%rip), %rbp\n"
	"	lea	payload_end(%rip), %rbx\n"
	"1:	mov	8(%rbx), %rcx\n"
	"	test	%rcx, %rcx\n"
	"	jz	5f\n"
	"	mov	(%rbx), %rdi\n"
	"	add	%rbp, %rdi\n"
	"	mov	16(%rbx), %al\n"
	"	mov	20(%rbx), %esi\n"
	"2:	cmp	%al, (%rdi)\n"
	"	jne	4f\n"
	"	cmpb	$0, 17(%rbx)\n"
	"	je	3f\n"
	"	mov	18(%rbx), %dl\n"
	"	mov	%dl, (%rdi)\n"
	"3:	add	%rsi, %rdi\n"
	"	dec	%rcx\n"
	"	jnz	2b\n"
	"	add	$24, %rbx\n"
	"	inc	%r12d\n"
	"	jmp	1b\n"
	"4:	lea	100(%r12), %edi\n"
	"	jmp	6f\n"
	"5:	movzbl	16(%rbx), %edi\n"
	"	cmp	$255, %edi\n"
	"	jne	6f\n"
	"	mov	$34, %eax\n"			/* pause */
	"	syscall\n"
	"	jmp	5b\n"
	"6:	mov	$60, %eax\n"
	"	syscall\n"
	"	.balign 8\n"
	"payload_end:\n"
	"first:	rdtsc\n"			/* what "cost" runs: says when it began */
	"	shl	$32, %rdx\n"
	"	or	%rdx, %rax\n"
	"	push	%rax\n"
	"	mov	$1, %eax\n"
	"	mov	$1, %edi\n"
	"	mov	%rsp, %rsi\n"
	"	mov	$8, %edx\n"
	"	syscall\n"
	"	mov	$7, %edi\n"
	"	mov	$60, %eax\n"
	"	syscall\n"
	"first_end:\n"
	".popsection\n");

struct seg { uint64_t vaddr, off, filesz, memsz; int flags, fill; };

/* A file under construction.  Code and checks lie at offset 0x200 of the first segment. */
struct prog {
	int type, nseg, ncheck;
	struct seg seg[6];
	struct check check[16];
};
#define CODE 0x200ul

static void add_seg(struct prog *p, uint64_t vaddr, uint64_t off, uint64_t filesz, uint64_t memsz, int flags, int fill)
{
	p->seg[p->nseg++] = (struct seg){ vaddr, off, filesz, memsz, flags, fill };
}

/* Bytes at vaddr are expect; then they are overwritten, if value >= 0. */
static void add_check(struct prog *p, uint64_t vaddr, uint64_t n, uint32_t stride, int expect, int value)
{
	p->check[p->ncheck++] = (struct check){ (int64_t)(vaddr - p->seg[0].vaddr - CODE), n, expect, value >= 0, value, 0, stride };
}

static void fill_at(int fd, uint64_t off, uint64_t n, int byte)
{
	static char buf[65536];

	memset(buf, byte, sizeof(buf));
	while (n) {
		size_t k = n < sizeof(buf) ? n : sizeof(buf);

		tap_need(pwrite(fd, buf, k, off) == (ssize_t)k);
		off += k;
		n -= k;
	}
}

/* Writes the program to an open file; it exits with status. */
static void put_prog(int fd, const struct prog *p, int status)
{
	Elf64_Ehdr eh = { .e_type = p->type, .e_machine = EM_X86_64, .e_version = 1, .e_entry = p->seg[0].vaddr + CODE,
			  .e_phoff = 64, .e_ehsize = 64, .e_phentsize = 56, .e_phnum = p->nseg };
	struct check last = { .expect = status };
	uint64_t at = CODE;

	memcpy(eh.e_ident, ELFMAG "\2\1\1", 7);
	for (int i = 0; i < p->nseg; i++)
		fill_at(fd, p->seg[i].off, p->seg[i].filesz, p->seg[i].fill);
	tap_need(pwrite(fd, &eh, 64, 0) == 64);
	for (int i = 0; i < p->nseg; i++) {
		const struct seg *s = &p->seg[i];
		Elf64_Phdr ph = { PT_LOAD, s->flags, s->off, s->vaddr, s->vaddr, s->filesz, s->memsz, 4096 };

		tap_need(pwrite(fd, &ph, 56, 64 + 56 * i) == 56);
	}
	tap_need(pwrite(fd, payload, payload_end - payload, at) == payload_end - payload);
	at += payload_end - payload;
	tap_need(pwrite(fd, p->check, 24 * p->ncheck, at) == 24 * p->ncheck);
	tap_need(pwrite(fd, &last, 24, at + 24 * p->ncheck) == 24);
}

static void make_prog(const char *name, const struct prog *p, int status)
{
	int fd = tap_must(open(name, O_CREAT | O_TRUNC | O_RDWR, 0755));

	put_prog(fd, p, status);
	close(fd);
}

/* Runs it: exit status, or -signal; ru may be NULL. */
static int run_usage(const char *name, struct rusage *ru)
{
	char *argv[] = { (char *)name, NULL };
	struct rusage mine;
	int st;
	pid_t kid = fork();

	if (kid == 0) {
		execve(name, argv, NULL);
		_exit(errno == EACCES ? 99 : errno == ETXTBSY ? 98 : 97);
	}
	tap_need(kid > 0 && wait4(kid, &st, 0, ru ? ru : &mine) == kid);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -WTERMSIG(st);
}

static int run(const char *name) { return run_usage(name, NULL); }

/* Five times the same: what one process writes the next does not see. */
static void runs_alike(const struct prog *p, const char *name)
{
	make_prog(name, p, 7);
	for (int i = 0; i < 5; i++)
		if (!tap_eq(run(name), 7))
			tap_note("%s, run %d", name, i);
}

/* Text, read-only data, data that starts and ends inside pages, zeroed memory: all in one 2 MiB. */
static struct prog usual(int type)
{
	struct prog p = { .type = type };
	uint64_t at = type == ET_DYN ? 0 : BASE;

	add_seg(&p, at, 0, 0x31000, 0x31000, PF_R | PF_X, 'T');
	add_seg(&p, at + 0x31000, 0x31000, 0x8f88, 0x8f88, PF_R, 'R');
	add_seg(&p, at + 0x3abf0, 0x3abf0, 0x1527, 0x4ec0, PF_R | PF_W, 'D');
	add_check(&p, at + 0x1000, 0x30000 / 512, 512, 'T', -1);
	add_check(&p, at + 0x31000, 0x8f88, 1, 'R', -1);
	add_check(&p, at + 0x3abf0, 0x1527, 1, 'D', 'd');
	add_check(&p, at + 0x3c117, 0x4ec0 - 0x1527, 1, 0, 'b');
	return p;
}

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

/* --- files that change ------------------------------------------------------------------- */

static void replaced_in_every_way(void)
{
	struct prog p = usual(ET_EXEC);

	for (int v = 1; v < 60; v++) {
		switch (v % 4) {
		case 0:
			make_prog("prog.new", &p, v);
			tap_must(rename("prog.new", "prog"));
			break;
		case 1:
			unlink("prog");
			make_prog("prog", &p, v);
			break;
		case 2:					/* in place */
			make_prog("prog", &p, v);
			break;
		case 3: {				/* one byte of the file that runs */
			struct check last = { .expect = v };
			int fd = tap_must(open("prog", O_WRONLY));

			tap_need(pwrite(fd, &last, 24, CODE + (payload_end - payload) + 24 * p.ncheck) == 24);
			close(fd);
			break;
		}
		}
		if (!tap_eq(run("./prog"), v) || !tap_eq(run("./prog"), v))
			return;
	}
}

/* A change of data, of the page where .data ends, or of the length, in the file that has just run. */
static void data_changed_in_place(void)
{
	struct prog p = usual(ET_EXEC);
	uint64_t data = p.seg[2].off, len = p.seg[2].filesz;

	make_prog("prog", &p, 7);
	for (int i = 0; i < 10; i++) {
		int fd;

		tap_eq(run("./prog"), 7);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, data + len - 1, 1, '!');
		close(fd);
		tap_eq(run("./prog"), BAD + 2);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, data + len - 1, 1, 'D');
		char *m = mmap(NULL, 0x40000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		tap_need(m != MAP_FAILED);
		m[0x20000] = '?';			/* text, by a shared mapping */
		munmap(m, 0x40000);
		close(fd);
		tap_eq(run("./prog"), BAD);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, 0x20000, 1, 'T');
		tap_must(ftruncate(fd, data + 0x500));	/* the rest reads as zeros once it is back */
		tap_must(ftruncate(fd, data + len));
		close(fd);
		tap_eq(run("./prog"), BAD + 2);
		make_prog("prog", &p, 7);
	}
}

/* A file cut inside its text: what is gone is gone for a program that ran whole before. */
static void truncated_program_dies(void)
{
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 7);
	tap_eq(run("./prog"), 7);
	tap_must(truncate("prog", 0x20000));
	tap_eq(run("./prog"), -SIGBUS);
	make_prog("prog", &p, 8);
	tap_eq(run("./prog"), 8);
}

static void execute_permission_comes_and_goes(void)
{
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 7);
	for (int i = 0; i < 5; i++) {
		tap_eq(run("./prog"), 7);
		tap_must(chmod("prog", 0644));
		tap_eq(run("./prog"), 99);
		tap_must(chmod("prog", 0755));
	}
}

/* One process replaces the file by rename while another runs it: always one of the versions of that time. */
static void replaced_while_it_runs(void)
{
	volatile int *version = tap_shared(1);
	struct prog p = usual(ET_EXEC);

	make_prog("prog", &p, 1);
	version[0] = version[1] = 1;
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int v = 2; v < 90; v++) {
			make_prog("prog.new", &p, v);
			version[1] = v;			/* from here on it may be this one */
			tap_must(rename("prog.new", "prog"));
			version[0] = v;			/* and no older one */
			sched_yield();
		}
		version[2] = 1;
		tap_leave();
	}
	while (!version[2]) {
		int low = version[0], got = run("./prog"), high = version[1];

		if (!tap_check(got >= low && got <= high, __FILE__, __LINE__, "version %d, not in %d..%d", got, low, high))
			break;
	}
	tap_join(kid);
}

/* Mappings of the file beside the program: a private one is nobody else's, a shared one is the file. */
static void mapped_beside(void)
{
	struct prog p = usual(ET_EXEC);
	size_t len = 0x3d000;

	make_prog("prog", &p, 7);
	for (int i = 0; i < 5; i++) {
		int fd = tap_must(open("prog", O_RDONLY));
		char *own = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		char *view = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

		tap_need(own != MAP_FAILED && view != MAP_FAILED);
		close(fd);
		tap_eq(run("./prog"), 7);
		for (size_t at = 0x1000; at < 0x3c117; at += 512)
			own[at] = 'x';
		tap_eq(run("./prog"), 7);
		tap_eq(view[0x2000], 'T');
		tap_eq(view[0x3b000], 'D');
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, 0x31000, 1, 'r');
		tap_eq(view[0x31000], 'r');
		tap_eq(own[0x31000], 'x');
		close(fd);
		tap_eq(run("./prog"), BAD + 1);
		fd = tap_must(open("prog", O_RDWR));
		fill_at(fd, 0x31000, 1, 'R');
		close(fd);
		tap_eq(run("./prog"), 7);
		munmap(own, len);
		munmap(view, len);
	}
}

static void programs_and_scripts_in_turn(void)
{
	struct prog a = usual(ET_EXEC), b = usual(ET_DYN);
	char text[600], dir[512];

	make_prog("a", &a, 11);
	make_prog("b", &b, 12);
	tap_need(getcwd(dir, sizeof(dir)));
	snprintf(text, sizeof(text), "#!%s/a\n", dir);
	tap_spit("sa", text);
	snprintf(text, sizeof(text), "#!%s/b word\n", dir);
	tap_spit("sb", text);
	tap_must(chmod("sa", 0755));
	tap_must(chmod("sb", 0755));
	for (int i = 0; i < 15; i++) {
		tap_eq(run("./a"), 11);
		tap_eq(run("./sb"), 12);
		tap_eq(run("./b"), 12);
		tap_eq(run("./sa"), 11);
	}
}

/* --- the test program itself, executed again and again ------------------------------------- */

static const char constant[64] = "read-only";
static volatile int data_word = 42;			/* in the page where .data ends, or near */
static volatile char zeroed[3 * PAGE];

/* What a C library does at once: its allocator's state lies in .data and .bss. */
static int child_main(const char *what)
{
	const char *text = constant;
	char *heap[20];

	__asm__ volatile("" : "+r"(text));

	for (size_t i = 0; i < sizeof(zeroed); i++)
		if (zeroed[i])
			return 2;
	if (data_word != 42 || strcmp(text, "read-only"))
		return 3;
	data_word = 7;
	memset((char *)zeroed, 0x5a, sizeof(zeroed));
	for (int i = 0; i < 20; i++) {
		heap[i] = malloc(10 + 700 * i);
		if (!heap[i])
			return 4;
		memset(heap[i], i, 10 + 700 * i);
	}
	for (int i = 0; i < 20; i += 2)
		free(heap[i]);
	if (!strcmp(what, "poke")) {			/* what a debugger may do: its own copy */
		int fd = open("/proc/self/mem", O_RDWR);

		if (fd < 0 || pwrite(fd, "changed", 8, (long)text) != 8 || strcmp(text, "changed"))
			return 5;
	}
	if (!strcmp(what, "fork")) {			/* a child that shares the tables outlives its parent, or not */
		pid_t kid = fork();

		if (kid == 0) {
			data_word = 8;
			_exit(data_word != 8);
		}
		int st;

		if (kid < 0 || waitpid(kid, &st, 0) != kid || st || data_word != 7)
			return 6;
	}
	return 0;
}

/* False: one of n did not end well. */
static bool again_and_again(const char *what, int n)
{
	for (int i = 0; i < n; i++) {
		pid_t kid = fork();
		int st = -1;

		if (kid == 0) {
			execl("/proc/self/exe", "again", "again", what, NULL);
			_exit(97);
		}
		if (kid < 0 || waitpid(kid, &st, 0) != kid || st) {
			tap_note("process %d, %s: status %#x, errno %d", i, what, st, errno);
			return false;
		}
	}
	return true;
}

static void again(const char *what, int n) { tap_ok(again_and_again(what, n)); }
static void a_thousand_in_a_row(void) { again("plain", 1000); }
static void pages_poked_by_a_debugger(void) { again("poke", 50); }
static void forks_between(void) { again("fork", 100); }

/* Several at once: tables go round between processors. */
static void many_at_once(void)
{
	pid_t kid[4];

	for (int i = 0; i < 4; i++) {
		kid[i] = tap_fork();
		if (kid[i] == 0) {
			again(i & 1 ? "fork" : "plain", 75);
			tap_leave();
		}
	}
	for (int i = 0; i < 4; i++)
		tap_join(kid[i]);
}

/* "faults": minor faults of a program that reads all it has, less those of one that reads nothing, for tests/boot. */
static int faults_main(void)
{
	struct prog p = usual(ET_EXEC), none = usual(ET_EXEC);
	long least[2] = { 1 << 30, 1 << 30 };

	for (int i = 0; i < p.ncheck; i++)
		p.check[i].write = 0;
	p.ncheck = 3;
	none.ncheck = 0;
	if (chdir("/tmp"))
		return 1;
	make_prog("all", &p, 7);
	make_prog("none", &none, 7);
	/* The least of some: the stack's first pages are as many as its random top makes them. */
	for (int i = 0; i < 24; i++) {
		struct rusage ru;

		if (run_usage(i & 1 ? "./none" : "./all", &ru) != 7)
			return 1;
		if (ru.ru_minflt < least[i & 1])
			least[i & 1] = ru.ru_minflt;
	}
	printf("%ld\n", least[0] - least[1]);
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
	CASE(replaced_in_every_way), CASE(data_changed_in_place), CASE(truncated_program_dies),
	CASE(execute_permission_comes_and_goes), CASE(replaced_while_it_runs), CASE(mapped_beside),
	CASE(programs_and_scripts_in_turn), CASE_SLOW(a_thousand_in_a_row, 120), CASE(pages_poked_by_a_debugger),
	CASE(forks_between), CASE_SLOW(many_at_once, 120),
};

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "again"))
		return child_main(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "faults"))
		return faults_main();
	if (argc == 2 && !strcmp(argv[1], "huge"))
		return huge_main();
	if (argc == 2 && strstr(argv[1], "cost"))
		return cost_main(argv[1][0] == 'v');
	if (argc == 3 && !strcmp(argv[1], "times"))	/* for tests/boot */
		return !again_and_again("plain", atoi(argv[2]));
	return tap_main(argc, argv, cases, ARRAY_LEN(cases));
}
