/* Growth curves: the same work at growing sizes. */
#define _GNU_SOURCE
#include "bench.h"

#include <elf.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB		(1ul << 20)
#define CHILDREN_MAX	1000
#define DEPTH_MAX	64

static char *memory;
static int children[CHILDREN_MAX];
static unsigned long size;
static char path[4096], buffer[65536];
static struct pollfd *polled;
static int epoll_fd, fd;


static void fork_exit(unsigned long n)
{
	while (n--) {
		int pid = fork();

		if (pid == 0)
			_exit(0);
		CHECK(pid > 0);
		bench_reap(pid);
	}
}

static void memory_make(unsigned long mib, int advice)
{
	size = mib * MIB;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	madvise(memory, size, advice);
	for (unsigned long i = 0; i < size; i += 4096)
		((volatile char *)memory)[i] = 1;
}

static void setup_small(unsigned long mib) { memory_make(mib, MADV_NOHUGEPAGE); }
static void setup_huge(unsigned long mib) { memory_make(mib, MADV_HUGEPAGE); }

static void done_memory(unsigned long x)
{
	(void)x;
	munmap(memory, size);
}

/* x separate areas: the rights alternate, so that neighbours do not merge. */
static void setup_areas(unsigned long x)
{
	size = x * 4096;
	memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(memory != MAP_FAILED);
	for (unsigned long i = 0; i < x; i += 2)
		CHECK(mprotect(memory + i * 4096, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void run_mmap(unsigned long n)
{
	while (n--) {
		void *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		CHECK(munmap(p, 4096) == 0);
	}
}

static int go[2], answered[2];

/* x bytes from the children: before the first round that they have begun, or their beginnings would be counted in it. */
static void answers(unsigned long x)
{
	while (x) {
		long got = read(answered[0], buffer + size, x);

		CHECK(got > 0);
		x -= (unsigned long)got;
	}
}

static void child_begin(void)
{
	if (write(answered[1], "", 1) != 1)
		_exit(1);
}

static void setup_children(unsigned long x)
{
	size = 0;
	CHECK(pipe(answered) == 0);
	for (unsigned long i = 0; i < x; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (children[i])
			continue;
		child_begin();
		for (;;)
			pause();
	}
	answers(x);
	close(answered[0]);
	close(answered[1]);
}

/* x processes that wait for a byte and answer with one: all of them are runnable at once in each round. */
static void setup_runnable(unsigned long x)
{
	char c;

	size = x;
	CHECK(pipe(go) == 0 && pipe(answered) == 0);
	for (unsigned long i = 0; i < x; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (children[i])
			continue;
		child_begin();
		while (read(go[0], &c, 1) == 1)
			if (write(answered[1], &c, 1) != 1)
				_exit(1);
	}
	answers(x);
}

static void done_children(unsigned long x)
{
	for (unsigned long i = 0; i < x; i++)
		kill(children[i], SIGKILL);
	for (unsigned long i = 0; i < x; i++)
		waitpid(children[i], NULL, 0);
}

static void run_kill(unsigned long n)
{
	while (n--)
		CHECK(kill(children[0], 0) == 0);
}

/* n switches to a process and its answer, whatever the number of processes: what grows is the queue. */
static void run_rounds(unsigned long n)
{
	for (unsigned long round = 0; round < n; round += size) {
		CHECK(write(go[1], buffer, size) == (long)size);
		answers(size);
	}
}

static void done_runnable(unsigned long x)
{
	done_children(x);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(answered[i]);
	}
}

/* A program of x KiB that leaves at its first instruction: ELF header, one segment, code. */
static void setup_program(unsigned long kib)
{
	static const unsigned char code[] = { 0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05 };	/* _exit(0) */
	Elf64_Ehdr eh = { .e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1,
			  .e_phoff = sizeof(eh), .e_ehsize = sizeof(eh), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 };
	Elf64_Phdr ph = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000, .p_align = 4096,
			  .p_filesz = kib * 1024, .p_memsz = kib * 1024 };

	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_ident[EI_DATA] = ELFDATA2LSB;
	eh.e_ident[EI_VERSION] = 1;
	eh.e_entry = ph.p_vaddr + sizeof(eh) + sizeof(ph);
	bench_file("/tmp/program", kib * 1024, NULL);
	fd = open("/tmp/program", O_WRONLY);
	CHECK(fd >= 0);
	CHECK(pwrite(fd, &eh, sizeof(eh), 0) == sizeof(eh));
	CHECK(pwrite(fd, &ph, sizeof(ph), sizeof(eh)) == sizeof(ph));
	CHECK(pwrite(fd, code, sizeof(code), sizeof(eh) + sizeof(ph)) == sizeof(code));
	CHECK(close(fd) == 0 && chmod("/tmp/program", 0755) == 0);
}

static void run_exec(unsigned long n)
{
	while (n--)
		bench_spawn((char *[]){ "/tmp/program", NULL });
}

static void done_program(unsigned long x)
{
	(void)x;
	unlink("/tmp/program");
}

const struct curve curves_process[] = {
	{ "fork_by_memory", setup_small, fork_exit, done_memory, 4,
	  { 1, 16, 64, 256, 1024 }, 5 },
	{ "fork_by_memory_huge", setup_huge, fork_exit, done_memory, 4,
	  { 1, 16, 64, 256, 1024 }, 5 },
	{ "exec_by_size", setup_program, run_exec, done_program, 8,
	  { 16, 256, 1024, 8192, 65536 }, 5 },
	{ "mmap_by_areas", setup_areas, run_mmap, done_memory, 100,
	  { 10, 100, 1000, 10000, 50000 }, 4 },
	{ "kill_by_children", setup_children, run_kill, done_children, 100,
	  { 1, 10, 100, 1000 }, 3 },
	{ "wait_by_children", setup_children, fork_exit, done_children, 8,
	  { 1, 10, 100, 1000 }, 3 },
	{ "switch_by_runnable", setup_runnable, run_rounds, done_runnable, 1024,
	  { 1, 4, 16, 64, 256 }, 5 },
	{ 0 },
};

/* A directory /tmp/dir with x entries. */
static void setup_entries(unsigned long x)
{
	CHECK(mkdir("/tmp/dir", 0755) == 0);
	for (unsigned long i = 0; i < x; i++) {
		snprintf(path, sizeof(path), "/tmp/dir/entry%lu", i);
		fd = open(path, O_CREAT | O_WRONLY, 0644);
		CHECK(fd >= 0);
		close(fd);
	}
	snprintf(path, sizeof(path), "/tmp/dir/entry%lu", x / 2);
}

static void done_entries(unsigned long x)
{
	for (unsigned long i = 0; i < x; i++) {
		snprintf(path, sizeof(path), "/tmp/dir/entry%lu", i);
		unlink(path);
	}
	CHECK(rmdir("/tmp/dir") == 0);
}

static void run_open(unsigned long n)
{
	while (n--) {
		fd = open(path, O_RDONLY);
		CHECK(fd >= 0);
		close(fd);
	}
}

static void setup_depth(unsigned long x)
{
	strcpy(path, "/tmp");
	for (unsigned long i = 0; i < x; i++) {
		strcat(path, "/deep");
		CHECK(mkdir(path, 0755) == 0);
	}
}

static void done_depth(unsigned long x)
{
	for (; x; x--) {
		path[4 + 5 * x] = 0;
		CHECK(rmdir(path) == 0);
	}
}

static void setup_file(unsigned long kib)
{
	bench_file("/tmp/sized", kib * 1024, NULL);
	fd = open("/tmp/sized", O_RDONLY);
	CHECK(fd >= 0);
}

static void run_read(unsigned long n)
{
	while (n--) {
		CHECK(lseek(fd, 0, SEEK_SET) == 0);
		while (read(fd, buffer, sizeof(buffer)) > 0)
			;
	}
}

static void done_file(unsigned long x)
{
	(void)x;
	close(fd);
	unlink("/tmp/sized");
}

/* x event counters, the last of them ready. */
static void setup_polled(unsigned long x)
{
	struct epoll_event event = { .events = EPOLLIN };

	size = x;
	polled = calloc(x, sizeof(*polled));
	epoll_fd = epoll_create1(0);
	CHECK(polled && epoll_fd >= 0);
	for (unsigned long i = 0; i < x; i++) {
		polled[i].fd = eventfd(i == x - 1, 0);
		polled[i].events = POLLIN;
		CHECK(polled[i].fd >= 0);
		CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, polled[i].fd, &event) == 0);
	}
}

static void run_poll(unsigned long n)
{
	while (n--)
		CHECK(poll(polled, size, 0) == 1);
}

static void run_epoll(unsigned long n)
{
	struct epoll_event event;

	while (n--)
		CHECK(epoll_wait(epoll_fd, &event, 1, 0) == 1);
}

static void done_polled(unsigned long x)
{
	for (unsigned long i = 0; i < x; i++)
		close(polled[i].fd);
	close(epoll_fd);
	free(polled);
}

const struct curve curves_file[] = {
	{ "open_by_entries", setup_entries, run_open, done_entries, 50,
	  { 10, 100, 1000, 10000, 100000 }, 5 },
	{ "open_by_depth", setup_depth, run_open, done_depth, 50,
	  { 1, 4, 16, DEPTH_MAX }, 4 },
	{ "read_by_size", setup_file, run_read, done_file, 4,
	  { 4, 64, 1024, 16384 }, 3 },
	{ "poll_by_descriptors", setup_polled, run_poll, done_polled, 20,
	  { 1, 10, 100, 900 }, 4 },
	{ "epoll_by_descriptors", setup_polled, run_epoll, done_polled, 20,
	  { 1, 10, 100, 900 }, 4 },
	{ 0 },
};
