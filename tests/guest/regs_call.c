/* The registers around a system call: what survives, what a tracer sees, what a new program starts with. */
#include "ptrace.h"

#include <elf.h>
#include <fcntl.h>

/* In the order in which the code below stores them. */
struct regs {
	unsigned long rbx, rbp, r12, r13, r14, r15, rdi, rsi, rdx, r10, r8, r9, rax;
};
#define FIRST 0x1111000000000000ul	/* what a register gets: FIRST + its index */
#define ARGS  6				/* rdi and those behind it */

/* Fills the registers, makes call nr with arguments rdi.. of *r, and stores what they are afterwards. */
void regs_call(struct regs *r, long nr);
__asm__(".pushsection .text\n"
	".globl regs_call\n"
	"regs_call:\n"
	"	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rdi\n"
	"	mov %rsi, %rax\n mov %rdi, %rcx\n"
	"	mov (%rcx), %rbx\n mov 8(%rcx), %rbp\n mov 16(%rcx), %r12\n mov 24(%rcx), %r13\n"
	"	mov 32(%rcx), %r14\n mov 40(%rcx), %r15\n mov 48(%rcx), %rdi\n mov 56(%rcx), %rsi\n"
	"	mov 64(%rcx), %rdx\n mov 72(%rcx), %r10\n mov 80(%rcx), %r8\n mov 88(%rcx), %r9\n"
	"	syscall\n"
	"	mov (%rsp), %rcx\n"
	"	mov %rbx, (%rcx)\n mov %rbp, 8(%rcx)\n mov %r12, 16(%rcx)\n mov %r13, 24(%rcx)\n"
	"	mov %r14, 32(%rcx)\n mov %r15, 40(%rcx)\n mov %rdi, 48(%rcx)\n mov %rsi, 56(%rcx)\n"
	"	mov %rdx, 64(%rcx)\n mov %r10, 72(%rcx)\n mov %r8, 80(%rcx)\n mov %r9, 88(%rcx)\n"
	"	mov %rax, 96(%rcx)\n"
	"	pop %rdi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"	ret\n"
	".popsection\n");

static struct regs filled(int args)
{
	struct regs r = { 0 };

	for (int i = 0; i < (args ? 12 : ARGS); i++)
		((unsigned long *)&r)[i] = FIRST + (unsigned long)i;
	return r;
}

static bool kept(const struct regs *r, int args)
{
	struct regs want = filled(args);

	return !memcmp(r, &want, offsetof(struct regs, rax));
}

static void calls_change_no_register_but_three(void)
{
	static const long nr[] = { SYS_getpid, SYS_gettid, SYS_getuid, SYS_sched_yield, SYS_rt_sigaction, 500, 5000 };

	for (unsigned i = 0; i < ARRAY_LEN(nr); i++) {
		struct regs r = filled(1);

		regs_call(&r, nr[i]);
		if (!tap_ok(kept(&r, 1)))
			tap_note("call %ld", nr[i]);
	}
}

static void both_sides_of_a_fork_have_them(void)
{
	static const long nr[] = { SYS_fork, SYS_clone };
	int st;

	for (unsigned i = 0; i < ARRAY_LEN(nr); i++) {
		struct regs r = filled(0);

		if (nr[i] == SYS_clone)
			r.rdi = SIGCHLD;
		regs_call(&r, nr[i]);
		r.rdi = 0;
		if (r.rax == 0)
			_exit(kept(&r, 0) ? 0 : 1);
		tap_ok(kept(&r, 0));
		tap_eq(waitpid((pid_t)r.rax, &st, 0), (pid_t)r.rax);
		tap_eq(st, 0);
	}
}

static void nothing(int sig)
{
	(void)sig;
}

static void they_survive_a_handler(void)
{
	struct regs r = filled(0);
	struct sigaction sa = { .sa_handler = nothing };

	tap_must(sigaction(SIGUSR1, &sa, NULL));
	r.rdi = (unsigned long)getpid();
	r.rsi = SIGUSR1;
	regs_call(&r, SYS_kill);
	tap_eq(r.rax, 0);
	r.rdi = r.rsi = 0;
	tap_ok(kept(&r, 0));
}

static void a_tracer_sees_and_changes_them_at_a_fork(void)
{
	struct user_regs_struct u;
	pid_t kid, grandchild = 0;
	int st;

	kid = fork();
	if (!kid) {
		struct regs r = filled(0);

		pt(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		regs_call(&r, SYS_fork);
		if (!r.rax)
			_exit(0);
		waitpid((pid_t)r.rax, NULL, 0);
		_exit(r.rbx == 77 && r.r15 == FIRST + 5 && r.rbp == FIRST + 1 ? 0 : 1);
	}
	tap_eq(waitpid(kid, &st, 0), kid);
	tap_must(pt(PTRACE_SETOPTIONS, kid, 0, OPT_FORK));
	tap_must(pt(PTRACE_CONT, kid, 0, 0));
	tap_eq(waitpid(kid, &st, 0), kid);
	tap_ok(STOP_AT(st, EVENT(1)));
	u = pt_regs(kid);
	tap_eq(u.orig_rax, SYS_fork);
	tap_eq(u.rbx, FIRST);
	tap_eq(u.r12, FIRST + 2);
	tap_eq(u.r15, FIRST + 5);
	u.rbx = 77;
	tap_must(pt(PTRACE_SETREGS, kid, 0, (unsigned long)&u));
	tap_must(pt(PTRACE_GETEVENTMSG, kid, 0, (unsigned long)&grandchild));
	tap_eq(waitpid(grandchild, &st, __WALL), grandchild);
	tap_must(pt(PTRACE_DETACH, grandchild, 0, 0));
	tap_must(pt(PTRACE_DETACH, kid, 0, 0));
	tap_eq(waitpid(kid, &st, 0), kid);
	tap_eq(st, 0);
}

/* Exits with 0 if the registers that hold no meaning at a program's start are zero. */
extern char start[], start_end[];
__asm__(".pushsection .text\n"
	"start:	mov %rbx, %rdi\n"
	"	or %rbp, %rdi\n or %r12, %rdi\n or %r13, %rdi\n or %r14, %rdi\n or %r15, %rdi\n"
	"	or %r8, %rdi\n or %r9, %rdi\n or %r10, %rdi\n or %rsi, %rdi\n or %rdx, %rdi\n"
	"	test %rdi, %rdi\n setnz %dil\n movzbl %dil, %edi\n"
	"	mov $60, %eax\n syscall\n"
	"start_end:\n"
	".popsection\n");

static void a_new_program_starts_with_zeros(void)
{
	static const char *name = "/tmp/regs_call.prog";
	char *argv[] = { (char *)name, NULL };
	Elf64_Ehdr eh = { .e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1,
			  .e_phoff = sizeof(eh), .e_ehsize = sizeof(eh), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 };
	Elf64_Phdr ph = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000, .p_align = 4096,
			  .p_filesz = 4096, .p_memsz = 4096 };
	int st, fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0755);
	pid_t kid;

	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = 1;
	eh.e_entry = ph.p_vaddr + sizeof(eh) + sizeof(ph);
	tap_eq(write(fd, &eh, sizeof(eh)), sizeof(eh));
	tap_eq(write(fd, &ph, sizeof(ph)), sizeof(ph));
	tap_eq(write(fd, start, (size_t)(start_end - start)), start_end - start);
	tap_must(ftruncate(fd, 4096));
	close(fd);
	kid = fork();
	if (!kid) {
		struct regs r = filled(1);

		r.rdi = (unsigned long)name;
		r.rsi = (unsigned long)argv;
		r.rdx = 0;
		regs_call(&r, SYS_execve);
		_exit(2);
	}
	tap_eq(waitpid(kid, &st, 0), kid);
	tap_eq(st, 0);
	unlink(name);
}

TAP_MAIN({ "calls change no register but three", calls_change_no_register_but_three },
	 { "both sides of a fork have them", both_sides_of_a_fork_have_them },
	 { "they survive a handler", they_survive_a_handler },
	 { "a tracer sees and changes them at a fork", a_tracer_sees_and_changes_them_at_a_fork },
	 { "a new program starts with zeros", a_new_program_starts_with_zeros })
