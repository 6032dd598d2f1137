/* A program that makes the kernel pass every tracepoint of spec/trace.tbl once at least, on two CPUs: test_tracepoints.py. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE  4096
#define HUGE  (2ul << 20)
#define PAGES 512

static atomic_int arrived, leave;
static char *volatile shared;

static void need(int ok, const char *what)
{
	if (ok)
		return;
	write(2, what, strlen(what));
	write(2, "\n", 1);
	_exit(1);
}

static char *map(size_t length, int flags, int fd)
{
	char *p = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);

	need(p != MAP_FAILED, "mmap");
	return p;
}

static void on_signal(int sig) { (void)sig; }

/* zero_page, copy, anonymous, reuse, huge */
static void memory(void)
{
	char *p = map(2 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1), *q = map(4 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(p, 2 * HUGE, MADV_NOHUGEPAGE);
	need(*(volatile char *)p == 0, "not zero");
	for (int i = 0; i < PAGES; i++)
		p[i * PAGE] = 1;
	pid_t kid = fork();

	if (kid == 0)
		_exit(0);
	need(waitpid(kid, NULL, 0) == kid, "waitpid");
	for (int i = 0; i < PAGES; i++)
		p[i * PAGE] = 2;
	q = (char *)(((unsigned long)q + HUGE - 1) & -HUGE);
	madvise(q, HUGE, MADV_HUGEPAGE);
	*q = 1;
}

/* fill, file_map, file_copy, shared_write */
static void file(void)
{
	int fd = open("/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0 && write(fd, "text", 4) == 4 && ftruncate(fd, 256 * PAGE) == 0, "file");
	char *p = map(256 * PAGE, MAP_SHARED, fd), *q = map(256 * PAGE, MAP_PRIVATE, fd);

	need(*(volatile char *)p == 't' && ((volatile char *)p)[200 * PAGE] == 0, "what the file holds");
	p[0] = 'T';
	q[0] = 'q';
	need(p[0] == 'T' && q[1] == 'e', "shared and private");
}

static int grow(int depth)
{
	volatile char room[64 * 1024];

	room[0] = (char)depth;
	return depth ? grow(depth - 1) + room[0] : 0;
}

static void meet(int round)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2 * round && !atomic_load(&leave))
		;
}

/* Two threads write the same new page, and change their address space, at once: spurious, lock.*, tlb.shootdown */
static void *race(void *mine)
{
	struct timespec now, start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int round = 1; !atomic_load(&leave); round++) {
		char *p = shared;

		meet(2 * round - 1);
		p[round % PAGES * PAGE] = 1;
		munmap(map(PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1), PAGE);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= 3)
			atomic_store(&leave, 1);
		if (mine && round % PAGES == 0)
			madvise(p, PAGES * PAGE, MADV_DONTNEED);
		meet(2 * round);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 1)
		return write(1, "seen\n", 5) != 5;
	memory();
	file();
	need(grow(16) >= 0, "stack");
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	shared = map(PAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	madvise(shared, PAGES * PAGE, MADV_NOHUGEPAGE);
	need(pthread_create(&thread, NULL, race, argv) == 0, "pthread_create");
	race(NULL);
	pthread_join(thread, NULL);
	usleep(20000);
	execl(argv[0], argv[0], "again", NULL);
	return 1;
}
