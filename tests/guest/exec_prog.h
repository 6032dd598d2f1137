#pragma once
/*
 * ELF programs made by a test: a position-independent piece of code that walks a table of checks (these
 * bytes are this, and are overwritten with that) and exits with a number, or stays (255).
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

extern char payload[], payload_syscall[], payload_end[], first[], first_end[];
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
	"payload_syscall:\n"
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

static inline void add_seg(struct prog *p, uint64_t vaddr, uint64_t off, uint64_t filesz, uint64_t memsz, int flags, int fill)
{
	p->seg[p->nseg++] = (struct seg){ vaddr, off, filesz, memsz, flags, fill };
}

/* Bytes at vaddr are expect; then they are overwritten, if value >= 0. */
static inline void add_check(struct prog *p, uint64_t vaddr, uint64_t n, uint32_t stride, int expect, int value)
{
	p->check[p->ncheck++] = (struct check){ (int64_t)(vaddr - p->seg[0].vaddr - CODE), n, expect, value >= 0, value, 0, stride };
}

static inline void fill_at(int fd, uint64_t off, uint64_t n, int byte)
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
static inline void put_prog(int fd, const struct prog *p, int status)
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

static inline void make_prog(const char *name, const struct prog *p, int status)
{
	int fd = tap_must(open(name, O_CREAT | O_TRUNC | O_RDWR, 0755));

	put_prog(fd, p, status);
	close(fd);
}

/* Runs it: exit status, or -signal; ru may be NULL. */
static inline int run_usage(const char *name, struct rusage *ru)
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

static inline int run(const char *name) { return run_usage(name, NULL); }

/* Five times the same: what one process writes the next does not see. */
static inline void runs_alike(const struct prog *p, const char *name)
{
	make_prog(name, p, 7);
	for (int i = 0; i < 5; i++)
		if (!tap_eq(run(name), 7))
			tap_note("%s, run %d", name, i);
}

/* Text, read-only data, data that starts and ends inside pages, zeroed memory: all in one 2 MiB. */
static inline struct prog usual(int type)
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
