/*
 * Random system calls from the table, in the guest: calls SECONDS SEED [ROUNDS].
 *
 * A round is a process of two threads that share everything and make random calls with arguments
 * of the right kind, most of them: descriptors of each type, paths, flags, addresses that hold
 * rubbish, end in the middle or are the kernel's.  Every other round is root's, in a chroot.
 * Whatever becomes of the process, the kernel and this program go on.  A round depends on
 * its seed, which is printed before it, and on what the scheduler makes of the threads.
 * calls.h has the table, made from build/gen/syscalls.json by the script beside this file.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Kinds as in spec/syscalls.tbl; what is not named here is K_ANY. */
enum kind { K_NONE, K_ANY, K_FD, K_DIRFD, K_SMALL, K_SIZE, K_PID, K_ID, K_MODE, K_SIG, K_ADDR, K_PATH,
	    K_STRING, K_VECTOR, K_POINTER, K_SET };
struct arg { unsigned char kind; unsigned char set; };
struct call { short nr; struct arg args[6]; };
struct set { const long *values; unsigned n; };
#include "calls.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define ROOM	     (64ul << 10)		/* rubbish that pointers go to; the page behind it is absent */
#define FIELD	     (8ul << 20)		/* what mmap and its kin are given */
#define ROUND_CALLS  400
#define ROUND_MS     1500
#define NOBODY	     65534
#define TOP	     "/fuzz"

static const char *const paths[] = {
	"a", "b", "dir", "dir/c", "dir/d", "link", "loop", "fifo", "sock", ".", "..", "", "dir/..", "/", "/a",
	"/proc/self/maps", "/proc/self/mem", "/proc/self/fd/3", "/proc/self/exe", "/proc/self/environ",
	"/proc/self/task", "/proc/self/smaps", "/proc/self/oom_score_adj", "/proc/meminfo", "/proc/sys/kernel",
	"/proc/sys/fs/pipe-max-size", "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/tty",
	"/dev/ptmx", "/dev/nothing", "/prog", "script",
};
static const long small[] = { 0, 1, 2, 3, 4, 7, 8, 16, 63, 64, 65, 100, 1000, 4095, 4096, 4097, 65536, -1, -2, -100 };
static const long large[] = {
	1l << 20, 2l << 20, (2l << 20) - 1, 1l << 31, (1l << 31) - 1, 1l << 32, (1l << 32) - 1, 1l << 40, 1l << 46,
	(1l << 47) - 4096, 1l << 47, 1l << 62, INT64_MAX, INT64_MAX - 4095, INT64_MIN, -4096, -4095,
};
static unsigned char *room, *field;

struct random { uint64_t state; };

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" */
static uint64_t next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

static unsigned below(struct random *r, unsigned n) { return (next(r) >> 33) % n; }
#define PICK(r, list) ((list)[below(r, ARRAY_LEN(list))])

static long number(struct random *r)
{
	unsigned what = below(r, 16);

	return what < 10 ? PICK(r, small) : what < 14 ? PICK(r, large) : (long)next(r);
}

static long pointer(struct random *r)
{
	switch (below(r, 16)) {
	case 0: return 0;
	case 1: return (long)PICK(r, large);
	case 2: return (long)(0xffff800000000000ul + below(r, 1u << 30));
	case 3: return (long)(0xffffffff80000000ul + below(r, 1u << 24));
	case 4: return (long)(room + ROOM - below(r, 64));		/* ends in the absent page */
	case 5: return (long)(room + below(r, ROOM));
	case 6: return (long)pointer;					/* text */
	default: return (long)(room + below(r, ROOM / 64) * 64);
	}
}

/* A piece of the room becomes what structures are made of: counts, descriptors, flags, pointers. */
static void litter(struct random *r)
{
	unsigned at = below(r, ROOM / 8 - 32), n = 1 + below(r, 32);

	for (unsigned i = at; i < at + n; i++) {
		long v = below(r, 3) ? number(r) : pointer(r);
		int pair[2] = { (int)PICK(r, small), (int)number(r) };

		memcpy(room + i * 8, below(r, 3) ? (void *)&v : (void *)pair, 8);
	}
	if (!below(r, 4))
		strcpy((char *)room + at * 8, PICK(r, paths));
}

static long path(struct random *r) { return below(r, 12) ? (long)PICK(r, paths) : pointer(r); }

static long vector(struct random *r)
{
	long *v = (long *)(room + below(r, ROOM / 64 - 2) * 64);

	for (unsigned i = 0; i < 4; i++)
		v[i] = path(r);
	v[below(r, 5)] = 0;
	return (long)v;
}

/* Own processes and none: a process of no rights may signal all of its user. */
static long process(struct random *r)
{
	static const int some[] = { 0, 0, 99999, INT32_MAX, INT32_MIN };
	unsigned what = below(r, 8);

	if (what == 0 && getuid())
		return -1;
	return what < 3 ? PICK(r, some) : what < 6 ? (long)getpid() : what == 6 ? syscall(SYS_gettid) : -getpid();
}

static long of_set(struct random *r, const struct set *set)
{
	long v = 0;

	if (!below(r, 16))
		return number(r);
	for (unsigned n = 1 + below(r, 3); n; n--)
		v |= set->values[below(r, set->n)];
	return v;
}

static long argument(struct random *r, struct arg a)
{
	if (!below(r, 64))
		return below(r, 2) ? number(r) : pointer(r);
	switch (a.kind) {
	case K_NONE: return (long)next(r);
	case K_FD: return below(r, 16) ? (long)below(r, 40) : number(r);
	case K_DIRFD: return below(r, 2) ? AT_FDCWD : (long)below(r, 40);
	case K_SMALL: return below(r, 8) ? PICK(r, small) : number(r);
	case K_SIZE: return below(r, 4) ? (long)below(r, 3 * 4096) : number(r);
	case K_PID: return process(r);
	case K_ID: return below(r, 2) ? NOBODY : PICK(r, small);
	case K_MODE: return (long)below(r, 010000) | (below(r, 4) ? 0 : (long)below(r, 16) << 12);
	case K_SIG: return (long)below(r, 66);
	case K_ADDR: return below(r, 16) ? (long)(field + below(r, FIELD / 4096) * 4096) : pointer(r);
	case K_PATH: return path(r);
	case K_STRING: return below(r, 2) ? path(r) : pointer(r);
	case K_VECTOR: return below(r, 4) ? vector(r) : pointer(r);
	case K_POINTER: return pointer(r);
	case K_SET: return of_set(r, &sets[a.set]);
	default: return number(r);
	}
}

/* Calls that stop the machine, or this program, as they should. */
static bool harmful(const struct call *c, const long *a)
{
	switch (c->nr) {
	case SYS_reboot: case SYS_kexec_load: case SYS_kexec_file_load: case SYS_init_module: case SYS_syslog:
		return true;
	case SYS_kill: case SYS_tkill: case SYS_tgkill: case SYS_rt_sigqueueinfo: case SYS_rt_tgsigqueueinfo:
		return (int)a[0] == -1 ? !getuid() : (int)a[0] > 0 && (int)a[0] < getpid();
	case SYS_setpriority: case SYS_ptrace: case SYS_process_vm_writev: case SYS_prlimit64:
		return (int)a[0] > 0 && (int)a[0] < getpid();
	}
	return false;
}

/* Calls that end the round, most of the time. */
static bool last(const struct call *c)
{
	switch (c->nr) {
	case SYS_exit: case SYS_exit_group: case SYS_rt_sigreturn: case SYS_execve: case SYS_execveat: case SYS_kill:
	case SYS_tkill: case SYS_tgkill: case SYS_rt_sigqueueinfo: case SYS_rt_tgsigqueueinfo: case SYS_prlimit64:
	case SYS_setrlimit: case SYS_close_range: case SYS_arch_prctl: case SYS_setitimer: case SYS_alarm:
		return true;
	}
	return false;
}

static void call_once(struct random *r)
{
	const struct call *c = &calls[below(r, ARRAY_LEN(calls))];
	long a[6], got;

	for (unsigned i = 0; i < 6; i++)
		a[i] = argument(r, c->args[i]);
	if (harmful(c, a) || (last(c) && below(r, 32)))
		return;
	/* As fork: a thread on the stack of its maker would end both at once. */
	if (c->nr == SYS_clone || c->nr == SYS_clone3 || c->nr == SYS_vfork) {
		got = syscall(SYS_clone, a[0] & 0xff, 0, 0, 0, 0);
		if (!got)
			for (;;)
				call_once(r);
		return;
	}
	got = syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (c->nr == SYS_fork && !got)
		_exit(0);
}

static void *caller(void *arg)
{
	struct random r = { (uint64_t)(uintptr_t)arg };

	for (int i = 0; i < ROUND_CALLS; i++) {
		if (!below(&r, 2))
			litter(&r);
		call_once(&r);
	}
	return NULL;
}

static void woken(int sig) { (void)sig; }
static void limit(int what, rlim_t to) { setrlimit(what, &(struct rlimit){ to, to }); }

/* One descriptor of each type, the same numbers every time. */
static void open_all(void)
{
	sigset_t set;
	int pair[2];

	sigfillset(&set);
	close(0);
	open("a", O_RDWR);
	open("dir", O_RDONLY | O_DIRECTORY);
	open("a", O_PATH);
	if (!pipe(pair) && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && !socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		(void)!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	socket(AF_UNIX, SOCK_STREAM, 0);
	epoll_create1(0);
	eventfd(0, 0);
	timerfd_create(CLOCK_MONOTONIC, 0);
	signalfd(-1, &set, 0);
	inotify_init1(0);
	memfd_create("m", 0);
	open("/dev/ptmx", O_RDWR | O_NOCTTY);
	open("/dev/null", O_RDWR);
	open("/proc/self/mem", O_RDWR);
	open("/proc/self", O_RDONLY | O_DIRECTORY);
	open("fifo", O_RDWR | O_NONBLOCK);
	syscall(SYS_pidfd_open, getpid(), 0);
	open(".", O_TMPFILE | O_RDWR, 0600);
}

static _Noreturn void round_of(uint64_t seed)
{
	int null = open("/dev/null", O_RDWR);
	pthread_t other;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	dup2(null, 1);
	dup2(null, 2);
	setsid();
	room = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(room + ROOM, 4096);
	field = mmap(NULL, FIELD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	limit(RLIMIT_NOFILE, 64);
	limit(RLIMIT_FSIZE, 1 << 20);
	limit(RLIMIT_AS, 256 << 20);
	limit(RLIMIT_NPROC, 40);
	limit(RLIMIT_CORE, 0);
	if (chroot(TOP) || chdir("/work"))
		_exit(1);
	if (seed & 1 && (setgid(NOBODY) || setuid(NOBODY)))
		_exit(1);
	open_all();
	/* What sleeps is woken, until a call takes the timer or the handler away. */
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = woken }, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 5000 }, { 0, 5000 } }, NULL);
	pthread_create(&other, NULL, caller, (void *)(uintptr_t)(seed * 0x9e3779b97f4a7c15ull | 1));
	caller((void *)(uintptr_t)(seed * 0xd1342543de82ef95ull | 1));
	pthread_join(other, NULL);
	_exit(0);
}

/* A tree of its own for the rounds, made anew for each: root's rounds unmount and delete what they find. */
static void make_tree(void)
{
	static const struct { const char *name; int minor; } nodes[] = {
		{ "null", 3 }, { "zero", 5 }, { "full", 7 }, { "urandom", 9 } };
	char name[64];

	while (!umount2(TOP, MNT_DETACH))
		;
	mkdir(TOP, 0755);
	if (mount("fuzz", TOP, "tmpfs", 0, "size=16m"))
		exit(3);
	mkdir(TOP "/proc", 0755);
	mkdir(TOP "/dev", 0755);
	mkdir(TOP "/work", 0777);
	chmod(TOP "/work", 0777);
	mount("proc", TOP "/proc", "proc", 0, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(nodes); i++) {
		snprintf(name, sizeof(name), TOP "/dev/%s", nodes[i].name);
		mknod(name, S_IFCHR | 0666, makedev(1, nodes[i].minor));
		chmod(name, 0666);
	}
	mknod(TOP "/dev/tty", S_IFCHR | 0666, makedev(5, 0));
	mknod(TOP "/dev/ptmx", S_IFCHR | 0666, makedev(5, 2));
	(void)!chdir(TOP "/work");
	close(open("a", O_CREAT | O_RDWR, 0666));
	mkdir("dir", 0777);
	(void)!symlink("dir/c", "link");
	(void)!symlink("loop", "loop");
	mkfifo("fifo", 0666);
	int fd = open("script", O_CREAT | O_WRONLY, 0777);
	(void)!write(fd, "#!/prog x\n", 10);
	close(fd);
	(void)!chdir("/");
}

/* Ends what a round left behind: everything younger than this program but the kernel's own threads. */
static bool others_live(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	bool found = false;

	if (!proc)
		exit(4);
	while ((e = readdir(proc))) {
		int pid = atoi(e->d_name);
		char name[64], exe[8];

		snprintf(name, sizeof(name), "/proc/%d/exe", pid);
		if (pid > getpid() && readlink(name, exe, sizeof(exe)) >= 0 && !kill(pid, SIGKILL))
			found = true;
	}
	closedir(proc);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return found;
}

static void one_round(uint64_t seed)
{
	struct timespec ms = { 0, 1000000 };
	int status, waited = 0;

	make_tree();
	printf("round %llu\n", (unsigned long long)seed);
	fflush(stdout);
	pid_t pid = fork();

	if (!pid)
		round_of(seed);
	while (waited < ROUND_MS && waitpid(pid, &status, WNOHANG) == 0) {
		nanosleep(&ms, NULL);
		waited++;
	}
	for (int i = 0; others_live(); i++) {
		nanosleep(&ms, NULL);
		if (i == 10000) {
			printf("processes that do not die\n");
			exit(5);
		}
	}
}

static time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

int main(int argc, char **argv)
{
	time_t end = seconds() + (argc > 1 ? atol(argv[1]) : 60);
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	long rounds = argc > 3 ? atol(argv[3]) : LONG_MAX;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int i = 1; i < NSIG; i++)
		if (i != SIGCHLD)
			signal(i, SIG_IGN);
	for (; rounds && seconds() < end; rounds--)
		one_round(seed++);
	printf("calm\n");
	return 0;
}
