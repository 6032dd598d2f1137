/*
 * Programs and their files: whatever a kernel remembers about an executable, what runs is
 * what the file holds now, and no running program changes the file or another program.
 */
#include "tap.h"

#include <elf.h>

static char self[256];

/* Written by a child, read by the next one: must always begin as compiled. */
static volatile int data_word = 12345;
static volatile int bss_word;
static volatile char data_pages[3 * 4096] = { 'd', 'a', 't', 'a' };
static const char text_mark[] = "a constant in the text";

static int child_main(const char *what)
{
	if (strcmp(what, "fresh") == 0) {
		int good = data_word == 12345 && bss_word == 0 && data_pages[0] == 'd' &&
			   data_pages[5000] == 0 && memcmp(text_mark, "a constant", 10) == 0;

		data_word = 1;
		bss_word = 2;
		memset((char *)data_pages, 'x', sizeof(data_pages));
		return good ? 0 : 1;
	}
	if (strcmp(what, "sleep") == 0) {
		write(1, "up", 2);
		for (;;)
			pause();
	}
	return 2;
}

static int run(const char *prog, const char *what)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		execl(prog, "prog", "child", what, NULL);
		_exit(100 + errno);
	}
	return tap_status(kid);
}

static void copy(const char *from, const char *to)
{
	static char buf[1 << 16];
	int in = tap_must(open(from, O_RDONLY));
	int out = tap_must(open(to, O_CREAT | O_WRONLY | O_TRUNC, 0755));
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		tap_need(write(out, buf, n) == n);
	close(in);
	close(out);
}

static bool same(const char *a, const char *b)
{
	static char x[1 << 20], y[1 << 20];
	long n = tap_slurp(a, x, sizeof(x)), m = tap_slurp(b, y, sizeof(y));

	return n > 1000 && n == m && memcmp(x, y, n) == 0;
}

static void every_start_is_fresh(void)
{
	for (int i = 0; i < 30; i++)
		tap_need(run(self, "fresh") == 0);
	tap_eq(data_word, 12345);
}

static void running_does_not_change_the_file(void)
{
	copy(self, "a");
	copy(self, "b");
	for (int i = 0; i < 5; i++)
		tap_eq(run("./a", "fresh"), 0);
	tap_ok(same("a", "b"));
	char *m;
	int fd = tap_must(open("a", O_RDONLY));
	m = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	tap_need(m != MAP_FAILED);
	tap_eq(memcmp(m, ELFMAG, 4), 0);
}

static void many_at_once(void)
{
	enum { KIDS = 12 };
	pid_t kid[KIDS];

	copy(self, "a");
	for (int k = 0; k < KIDS; k++) {
		kid[k] = tap_fork();
		if (kid[k] == 0) {
			execl("./a", "prog", "child", "fresh", NULL);
			_exit(99);
		}
	}
	for (int k = 0; k < KIDS; k++)
		tap_join(kid[k]);
}

/* A tiny program that exits with this status. */
static void tiny(const char *name, int status)
{
	struct { Elf64_Ehdr eh; Elf64_Phdr ph; unsigned char code[16]; } im = {
		.eh = { .e_ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 }, .e_type = ET_EXEC,
			.e_machine = EM_X86_64, .e_version = 1, .e_entry = 0x400078, .e_phoff = 64,
			.e_ehsize = 64, .e_phentsize = 56, .e_phnum = 1 },
		.ph = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
			.p_filesz = 136, .p_memsz = 136, .p_align = PAGE },
		.code = { 0xbf, status, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05 },
	};
	int fd = tap_must(open(name, O_CREAT | O_WRONLY, 0755));

	tap_need(write(fd, &im, sizeof(im)) == sizeof(im));
	close(fd);
}

static void a_rewritten_file_runs_as_rewritten(void)
{
	for (int i = 1; i < 30; i++) {
		tiny("prog", i);			/* written over, in place */
		tap_eq(WEXITSTATUS(run("./prog", "x")), i);
		tap_eq(WEXITSTATUS(run("./prog", "x")), i);
	}
}

static void a_replaced_file_runs_as_replaced(void)
{
	for (int i = 1; i < 20; i++) {
		tiny("new", i);
		tap_must(rename("new", "prog"));
		tap_eq(WEXITSTATUS(run("./prog", "x")), i);
	}
}

static void one_byte_changed_in_every_way(void)
{
	unsigned char b = 7;
	int fd;

	tiny("prog", 1);
	tap_eq(WEXITSTATUS(run("./prog", "x")), 1);
	fd = tap_must(open("prog", O_RDWR));
	tap_eq(pwrite(fd, &b, 1, 0x79), 1);		/* the status, in the code */
	close(fd);
	tap_eq(WEXITSTATUS(run("./prog", "x")), 7);
	fd = tap_must(open("prog", O_RDWR));
	unsigned char *m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tap_need(m != MAP_FAILED);
	close(fd);
	m[0x79] = 9;					/* through a mapping, no call at all */
	tap_eq(munmap(m, PAGE), 0);
	tap_eq(WEXITSTATUS(run("./prog", "x")), 9);
	tap_must(truncate("prog", 0x7a));
	tap_must(truncate("prog", 136));
	/* cut behind the status byte: what follows is zeros now */
	tap_ok(WIFSIGNALED(run("./prog", "x")));
	tap_must(truncate("prog", 10));
	tap_eq(WEXITSTATUS(run("./prog", "x")), 100 + ENOEXEC);
	tiny("prog", 11);
	tap_eq(WEXITSTATUS(run("./prog", "x")), 11);
}

static void a_program_outlives_its_name(void)
{
	int p[2];
	char buf[8];

	copy(self, "a");
	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		dup2(p[1], 1);
		execl("./a", "prog", "child", "sleep", NULL);
		_exit(99);
	}
	tap_eq(read(p[0], buf, 2), 2);
	tap_err(open("a", O_WRONLY), ETXTBSY);
	tap_err(truncate("a", 0), ETXTBSY);
	tap_must(unlink("a"));
	char link[64], target[300];
	snprintf(link, sizeof(link), "/proc/%d/exe", kid);
	ssize_t n = tap_must(readlink(link, target, sizeof(target) - 1));
	target[n] = 0;
	tap_ok(strstr(target, "/a (deleted)") != NULL);
	tap_eq(run(link, "fresh"), 0);			/* it can be run through the link still */
	kill(kid, SIGTERM);
	tap_killed(kid, SIGTERM);
}

static void a_private_mapping_of_a_program_is_private(void)
{
	copy(self, "a");
	copy(self, "b");
	int fd = tap_must(open("a", O_RDONLY));
	struct stat st;
	tap_must(fstat(fd, &st));
	char *m = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	tap_need(m != MAP_FAILED);
	memset(m, 0xcc, st.st_size);
	tap_eq(run("./a", "fresh"), 0);
	tap_ok(same("a", "b"));
}

static void a_debugger_like_write_stays_in_its_process(void)
{
	static const unsigned char trap = 0xcc;
	int p[2];
	char buf[8], name[64];

	copy(self, "a");
	copy(self, "b");
	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		/* text of this very process, made writable, changed */
		char *page = (char *)((uintptr_t)text_mark & -PAGE);

		if (mprotect(page, PAGE, PROT_READ | PROT_WRITE))
			_exit(2);
		volatile char *mark = (volatile char *)text_mark;

		mark[0] = 'X';
		_exit(mark[0] == 'X' ? 0 : 3);
	}
	tap_join(kid);
	tap_eq(*(volatile const char *)text_mark, 'a');
	tap_eq(run(self, "fresh"), 0);
	kid = tap_fork();
	if (kid == 0) {
		dup2(p[1], 1);
		execl("./a", "prog", "child", "sleep", NULL);
		_exit(99);
	}
	tap_eq(read(p[0], buf, 2), 2);
	snprintf(name, sizeof(name), "/proc/%d/maps", kid);
	static char maps[8192];
	tap_slurp(name, maps, sizeof(maps));
	unsigned long lo = strtoul(maps, NULL, 16);
	snprintf(name, sizeof(name), "/proc/%d/mem", kid);
	int mem = tap_must(open(name, O_RDWR));
	tap_eq(pwrite(mem, &trap, 1, lo + 200), 1);	/* a read-only page: a copy is made */
	tap_ok(same("a", "b"));
	tap_eq(run("./a", "fresh"), 0);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void different_programs_in_turn(void)
{
	char name[16];

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "./p%d", i);
		tiny(name, i);
	}
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 40; i++) {
			snprintf(name, sizeof(name), "./p%d", (i * 17) % 40);
			tap_eq(WEXITSTATUS(run(name, "x")), (i * 17) % 40);
		}
	for (int i = 0; i < 40; i++) {			/* inode numbers may come back */
		snprintf(name, sizeof(name), "./p%d", i);
		tap_must(unlink(name));
	}
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "./p%d", i);
		tiny(name, 100 + i);
		tap_eq(WEXITSTATUS(run(name, "x")), 100 + i);
	}
}

static const struct tap_case all[] = {
	CASE(every_start_is_fresh),
	CASE(running_does_not_change_the_file),
	CASE(many_at_once),
	CASE(a_rewritten_file_runs_as_rewritten),
	CASE(a_replaced_file_runs_as_replaced),
	CASE(one_byte_changed_in_every_way),
	CASE(a_program_outlives_its_name),
	CASE(a_private_mapping_of_a_program_is_private),
	CASE(a_debugger_like_write_stays_in_its_process),
	CASE(different_programs_in_turn),
};

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "child") == 0)
		return child_main(argv[2]);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		snprintf(self, sizeof(self), "%s", argv[0]);
	return tap_main(argc, argv, all, ARRAY_LEN(all));
}
