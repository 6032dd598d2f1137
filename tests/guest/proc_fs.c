/* /proc: per-process files and system files, in the formats programs parse. */
#include "tap.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/sysinfo.h>

static char buf[65536];

static char *slurp(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *slurp(const char *fmt, ...)
{
	char name[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	if (tap_slurp(name, buf, sizeof(buf)) < 0) {
		tap_fail("cannot read %s: errno %d", name, errno);
		tap_leave();
	}
	return buf;
}

static const char *field(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0)
			return p + n + strspn(p + n, " \t");
	tap_fail("no line %s", key);
	return "0";
}

static void self_is_the_caller(void)
{
	char link[32] = "", want[32];

	tap_ok(readlink("/proc/self", link, sizeof(link) - 1) > 0);
	snprintf(want, sizeof(want), "%d", getpid());
	tap_str(link, want);
	memset(link, 0, sizeof(link));
	tap_ok(readlink("/proc/thread-self", link, sizeof(link) - 1) > 0);
	snprintf(want, sizeof(want), "%d/task/%d", getpid(), getpid());
	tap_str(link, want);
	struct stat st;
	tap_must(stat("/proc/self/task", &st));
	tap_ok(S_ISDIR(st.st_mode));
}

static void stat_fields(void)
{
	char comm[64], state;
	int pid, ppid, pgrp, sid, tty, tpgid;
	char *s;

	memset(tap_pages(300), 1, 300 * PAGE);
	s = slurp("/proc/self/stat");
	tap_eq(sscanf(s, "%d (%63[^)]) %c %d %d %d %d %d", &pid, comm, &state, &ppid, &pgrp, &sid,
		      &tty, &tpgid), 8);
	tap_eq(pid, getpid());
	tap_eq(state, 'R');
	tap_eq(ppid, getppid());
	tap_eq(pgrp, getpgrp());
	tap_eq(sid, getsid(0));
	int fields = 1;
	for (char *p = strrchr(s, ')'); *p; p++)
		fields += *p == ' ';
	tap_eq(fields + 1, 52);				/* pid and comm come before the ")" */
	long v[24];
	s = strrchr(s, ')') + 2;
	int n = 0;
	for (char *tok = strtok(s, " "); tok && n < 24; tok = strtok(NULL, " "))
		v[n++] = atol(tok);
	tap_eq(v[17], 1);				/* threads: field 20 */
	tap_ok(v[20] > (1 << 16));			/* vsize: field 23, bytes */
	tap_ok(v[21] > 100);				/* rss: pages; Linux counts in batches */
}

static void status_fields(void)
{
	char *s;
	char comm[64];

	slurp("/proc/self/comm");
	snprintf(comm, sizeof(comm), "%s", buf);
	s = slurp("/proc/self/status");
	tap_eq(strncmp(field(s, "Name:"), comm, strlen(comm)), 0);
	tap_eq(atoi(field(s, "Pid:")), getpid());
	tap_eq(atoi(field(s, "Tgid:")), getpid());
	tap_eq(atoi(field(s, "PPid:")), getppid());
	tap_eq(strncmp(field(s, "State:"), "R (running)", 11), 0);
	tap_eq(strncmp(field(s, "Uid:"), "0\t0\t0\t0", 7), 0);
	tap_eq(atoi(field(s, "Threads:")), 1);
	tap_ok(atol(field(s, "VmSize:")) > 10);
	tap_ok(atol(field(s, "VmRSS:")) > 10);
	tap_ok(strlen(field(s, "SigBlk:")) >= 16);
	tap_ok(strlen(field(s, "CapEff:")) >= 16);
	tap_eq(strtol(field(s, "Umask:"), NULL, 8), 022);
}

static void signal_masks_in_status(void)
{
	sigset_t set;
	char *s;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, tap_tick);
	raise(SIGUSR1);
	s = slurp("/proc/self/status");
	tap_eq(strtoul(field(s, "SigBlk:"), NULL, 16) & 0xa00, 0xa00);
	tap_eq(strtoul(field(s, "SigIgn:"), NULL, 16) & 1, 1);
	tap_eq(strtoul(field(s, "SigCgt:"), NULL, 16) & 0x4000, 0x4000);
	tap_eq((strtoul(field(s, "SigPnd:"), NULL, 16) | strtoul(field(s, "ShdPnd:"), NULL,
			16)) & 0x200,
	       0x200);
}

static bool in_maps(const void *p, const char *perms, const char *name)
{
	char *s = slurp("/proc/self/maps"), *line = strtok(s, "\n");

	for (; line; line = strtok(NULL, "\n")) {
		unsigned long lo, hi, off, ino;
		char pr[8], dev[16], path[256] = "";

		tap_need(sscanf(line, "%lx-%lx %7s %lx %15s %lu %255s", &lo, &hi, pr, &off, dev,
				&ino,
				path) >= 6);
		if ((unsigned long)p >= lo && (unsigned long)p < hi) {
			bool good = strcmp(pr, perms) == 0 && (!name || strstr(path, name));

			if (!good)
				tap_note("found: %s %s", pr, path);
			return good;
		}
	}
	tap_note("%p is in no line", p);
	return false;
}

static void maps_show_every_area(void)
{
	char local;
	static char data = 1;
	int fd = tap_file("mapped-file", "x");
	void *a = tap_pages(2), *f = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	tap_ok(in_maps(&local, "rw-p", "[stack]"));
	tap_ok(in_maps(&data, "rw-p", NULL));
	tap_ok(in_maps((void *)(uintptr_t)maps_show_every_area, "r-xp", "proc_fs"));
	tap_ok(in_maps(a, "rw-p", NULL));
	tap_ok(in_maps(f, "r--s", "mapped-file"));
	tap_must(mprotect(a, PAGE, PROT_NONE));
	tap_ok(in_maps(a, "---p", NULL));
	tap_ok(in_maps((char *)a + PAGE, "rw-p", NULL));
	tap_must(unlink("mapped-file"));
	slurp("/proc/self/maps");
	tap_ok(strstr(buf, "mapped-file (deleted)") != NULL);
	sbrk(8192);
	slurp("/proc/self/maps");
	tap_ok(strstr(buf, "[heap]") != NULL);
}

static void maps_are_sorted_and_disjoint(void)
{
	unsigned long last = 0, lo, hi;
	int lines = 0;

	slurp("/proc/self/maps");
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n")) {
		tap_eq(sscanf(line, "%lx-%lx", &lo, &hi), 2);
		tap_ok(lo >= last && hi > lo && lo % PAGE == 0 && hi % PAGE == 0);
		last = hi;
		lines++;
	}
	tap_ok(lines >= 5);
}

static void smaps_sum_up(void)
{
	char *p = tap_pages(32), key[32];
	long rss = 0;

	memset(p, 1, 20 * PAGE);
	slurp("/proc/self/smaps");
	snprintf(key, sizeof(key), "%lx-", (unsigned long)p);
	char *at = strstr(buf, key);
	if (!at)
		tap_skip("the area was merged with its neighbour");
	tap_eq(atol(field(at, "Size:")), 128);
	rss = atol(field(at, "Rss:"));
	tap_eq(rss, 80);
	tap_eq(atol(field(at, "Private_Dirty:")), 80);
	tap_ok(strstr(at, "VmFlags: rd wr") != NULL);
}

static void statm_counts_pages(void)
{
	long size, rss, shared, size2, rss2;

	tap_eq(sscanf(slurp("/proc/self/statm"), "%ld %ld %ld", &size, &rss, &shared), 3);
	char *p = tap_pages(200);
	memset(p, 1, 100 * PAGE);
	tap_eq(sscanf(slurp("/proc/self/statm"), "%ld %ld %ld", &size2, &rss2, &shared), 3);
	tap_eq(size2 - size, 200);
	tap_ok(rss2 - rss >= 30);			/* Linux counts in batches */
}

static void fd_directory(void)
{
	char link[256], path[64];
	int fd = tap_file("some-file", ""), p[2], n = 0;
	struct dirent *e;

	tap_must(pipe(p));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t len = tap_must(readlink(path, link, sizeof(link) - 1));
	link[len] = 0;
	tap_str(strrchr(link, '/'), "/some-file");
	tap_must(unlink("some-file"));
	len = tap_must(readlink(path, link, sizeof(link) - 1));
	link[len] = 0;
	tap_ok(strstr(link, "some-file (deleted)") != NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	len = tap_must(readlink(path, link, sizeof(link) - 1));
	link[len] = 0;
	tap_eq(strncmp(link, "pipe:[", 6), 0);
	DIR *d = opendir("/proc/self/fd");
	tap_need(d != NULL);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	/* 0 to 2, the file, the pipe, the directory */
	tap_ok(n >= 6);
	tap_err(open("/proc/self/fd/777", O_RDONLY), ENOENT);
	struct stat st;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	tap_must(lstat(path, &st));
	tap_ok(S_ISLNK(st.st_mode));
	tap_eq(st.st_mode & 0700, 0500);		/* what the descriptor allows */
}

static void fd_links_open_the_file_itself(void)
{
	char path[64], c = 0;
	int fd = tap_file("f", "text");

	tap_must(unlink("f"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = tap_must(open(path, O_RDONLY));
	tap_eq(read(again, &c, 1), 1);
	tap_eq(c, 't');
	tap_eq(lseek(fd, 0, SEEK_CUR), 0);		/* a new open file: its own offset */
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	struct stat st;
	if (stat("/dev/fd", &st) == 0)
		tap_must(close(tap_must(open(path, O_RDONLY))));
}

static void fdinfo(void)
{
	int fd = tap_must(open("/dev/zero", O_RDONLY | O_CLOEXEC)), f = tap_file("f", "12345");

	tap_must(lseek(f, 3, SEEK_SET));
	slurp("/proc/self/fdinfo/%d", f);
	tap_eq(atoi(field(buf, "pos:")), 3);
	tap_eq(strtol(field(buf, "flags:"), NULL, 8) & O_ACCMODE, O_RDWR);
	slurp("/proc/self/fdinfo/%d", fd);
	tap_eq(strtol(field(buf, "flags:"), NULL, 8) & O_CLOEXEC, O_CLOEXEC);
	tap_ok(atoi(field(buf, "mnt_id:")) > 0);
}

static void cmdline_environ_and_links(void)
{
	char link[512], cwd[256];
	int fd = tap_must(open("/proc/self/cmdline", O_RDONLY));
	ssize_t n = read(fd, buf, sizeof(buf));

	tap_ok(n > 0 && buf[n - 1] == 0);
	tap_ok(strstr(buf, "proc_fs") != NULL);
	tap_need(getcwd(cwd, sizeof(cwd)) != NULL);
	n = tap_must(readlink("/proc/self/cwd", link, sizeof(link) - 1));
	link[n] = 0;
	tap_str(link, cwd);
	n = tap_must(readlink("/proc/self/root", link, sizeof(link) - 1));
	link[n] = 0;
	tap_str(link, "/");
	n = tap_must(readlink("/proc/self/exe", link, sizeof(link) - 1));
	link[n] = 0;
	tap_ok(strstr(link, "proc_fs") != NULL);
	fd = tap_must(open("/proc/self/environ", O_RDONLY));
	n = read(fd, buf, sizeof(buf));
	tap_ok(n > 5 && memmem(buf, n, "PATH=", 5));
}

static void mem_reads_and_writes(void)
{
	static volatile long cell = 0x1234567890abcdef;
	long got = 0, put = 42;
	int fd = tap_must(open("/proc/self/mem", O_RDWR));

	tap_eq(pread(fd, &got, 8, (off_t)&cell), 8);
	tap_eq(got, cell);
	tap_eq(pwrite(fd, &put, 8, (off_t)&cell), 8);
	tap_eq(cell, 42);
	char *none = tap_page_edge(0);
	tap_err(pread(fd, &got, 8, (off_t)none), EIO);
}

static void other_processes(void)
{
	pid_t kid = tap_fork();

	if (kid == 0)
		for (;;)
			pause();
	tap_await_state(kid, 'S');
	tap_eq(atoi(slurp("/proc/%d/stat", kid)), kid);
	kill(kid, SIGSTOP);
	waitpid(kid, NULL, WUNTRACED);
	tap_eq(strncmp(field(slurp("/proc/%d/status", kid), "State:"), "T (stopped)", 11), 0);
	kill(kid, SIGKILL);
	siginfo_t si;
	tap_must(waitid(P_PID, kid, &si, WEXITED | WNOWAIT));
	tap_eq(strncmp(field(slurp("/proc/%d/status", kid), "State:"), "Z (zombie)", 10), 0);
	tap_eq(slurp("/proc/%d/cmdline", kid)[0], 0);
	tap_killed(kid, SIGKILL);
	char name[32];
	snprintf(name, sizeof(name), "/proc/%d", kid);
	tap_ok(!tap_exists(name));
	tap_ok(!tap_exists("/proc/4000000"));
	tap_ok(!tap_exists("/proc/0"));
}

static void a_file_of_a_dead_process_is_esrch(void)
{
	char name[48], c;
	pid_t kid = tap_fork();

	if (kid == 0)
		for (;;)
			pause();
	snprintf(name, sizeof(name), "/proc/%d/stat", kid);
	int fd = tap_must(open(name, O_RDONLY));
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
	tap_err(read(fd, &c, 1), ESRCH);
}

static void the_directory_lists_processes(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int me = 0, one = 0, numbers = 0, files = 0;

	tap_need(d != NULL);
	while ((e = readdir(d))) {
		int n = atoi(e->d_name);

		numbers += n > 0;
		me += n == getpid();
		one += n == 1;
		files += strcmp(e->d_name, "meminfo") == 0 || strcmp(e->d_name, "self") == 0;
	}
	closedir(d);
	tap_eq(me, 1);
	tap_eq(one, 1);
	tap_eq(files, 2);
	tap_ok(numbers >= 2);
}

static void meminfo_and_sysinfo_agree(void)
{
	struct sysinfo si;
	char *s = slurp("/proc/meminfo");
	long total = atol(field(s, "MemTotal:")), avail = atol(field(s, "MemAvailable:"));

	tap_must(sysinfo(&si));
	tap_eq(si.totalram * si.mem_unit / 1024, total);
	tap_ok(atol(field(s, "MemFree:")) > 0 && atol(field(s, "MemFree:")) < total);
	tap_ok(avail > 0 && avail <= total);
	tap_ok(atol(field(s, "Cached:")) >= 0);
	tap_ok(atol(field(s, "Buffers:")) >= 0);
	tap_ok(atol(field(s, "SwapTotal:")) == 0);
}

static void system_stat_uptime_loadavg(void)
{
	char *s = slurp("/proc/stat");
	long v[8];

	tap_ok(sscanf(s, "cpu %ld %ld %ld %ld", &v[0], &v[1], &v[2], &v[3]) == 4);
	tap_ok(strstr(s, "\ncpu0 ") != NULL);
	tap_ok(atol(field(s, "btime")) > 1000000000);
	tap_ok(atol(field(s, "ctxt")) > 0);
	tap_ok(atol(field(s, "processes")) > 0);
	double up, idle, a, b, c;
	tap_eq(sscanf(slurp("/proc/uptime"), "%lf %lf", &up, &idle), 2);
	tap_ok(up > 0);
	int run, all, last;
	tap_eq(sscanf(slurp("/proc/loadavg"), "%lf %lf %lf %d/%d %d", &a, &b, &c, &run, &all,
			&last), 6);
	tap_ok(run >= 1 && all >= run);
}

static void cpuinfo_has_every_cpu(void)
{
	char *s = slurp("/proc/cpuinfo");
	int n = 0;

	for (char *p = s; (p = strstr(p, "processor\t:")); p++)
		n++;
	tap_eq(n, sysconf(_SC_NPROCESSORS_ONLN));
	tap_ok(strstr(s, "vendor_id\t:") && strstr(s, "model name\t:") && strstr(s, "flags\t\t:"));
}

static void version_filesystems_mounts(void)
{
	tap_eq(strncmp(slurp("/proc/version"), "Linux version ", 14), 0);
	char *s = slurp("/proc/filesystems");
	tap_ok(strstr(s, "nodev\tproc\n") && strstr(s, "nodev\ttmpfs\n"));
	s = slurp("/proc/mounts");
	tap_ok(strstr(s, " /proc proc ") && strstr(s, " /tmp tmpfs "));
	s = slurp("/proc/self/mountinfo");
	tap_ok(strstr(s, " - tmpfs ") && strstr(s, " / /proc "));
	slurp("/proc/cmdline");
	slurp("/proc/self/limits");
	tap_ok(strstr(buf, "Max open files") != NULL);
	slurp("/proc/self/io");
	slurp("/proc/self/oom_score_adj");
	tap_str(buf, "0\n");
}

static void sysctl_files(void)
{
	tap_ok(atoi(slurp("/proc/sys/kernel/pid_max")) >= 32768);
	tap_str(slurp("/proc/sys/kernel/ostype"), "Linux\n");
	tap_ok(strlen(slurp("/proc/sys/kernel/osrelease")) > 3);
	tap_eq(strlen(slurp("/proc/sys/kernel/random/uuid")), 37);
	tap_eq(strlen(slurp("/proc/sys/kernel/random/boot_id")), 37);
	tap_ok(atol(slurp("/proc/sys/fs/file-max")) > 0);
	tap_ok(atoi(slurp("/proc/sys/fs/pipe-max-size")) == 1 << 20);
	slurp("/proc/sys/vm/overcommit_memory");
	tap_ok(buf[0] >= '0' && buf[0] <= '2');
}

static void comm_can_be_written_and_oom_adjusted(void)
{
	int fd = tap_must(open("/proc/self/comm", O_WRONLY));

	tap_eq(write(fd, "renamed", 7), 7);
	tap_str(slurp("/proc/self/comm"), "renamed\n");
	fd = tap_must(open("/proc/self/oom_score_adj", O_RDWR));
	tap_eq(write(fd, "500", 3), 3);
	tap_str(slurp("/proc/self/oom_score_adj"), "500\n");
	tap_err(write(fd, "2000", 4), EINVAL);
}

static void it_is_read_only_where_it_should_be(void)
{
	tap_err(open("/proc/newfile", O_CREAT | O_RDWR, 0600), ENOENT);
	tap_err(mkdir("/proc/newdir", 0755), ENOENT);
	tap_err(unlink("/proc/meminfo"), EPERM);
	tap_err(rmdir("/proc/self/fd"), EPERM);
	tap_ok(open("/proc/meminfo", O_WRONLY) < 0 || getuid() == 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(open("/proc/1/environ", O_RDONLY), EACCES);
		tap_err(open("/proc/meminfo", O_WRONLY), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void small_reads_give_the_same_text(void)
{
	static char one[4096], two[4096];
	size_t n = 0;
	int fd = tap_must(open("/proc/filesystems", O_RDONLY));

	while (n < sizeof(one) - 1 && read(fd, one + n, 1) == 1)
		n++;
	tap_slurp("/proc/filesystems", two, sizeof(two));
	tap_str(one, two);
	tap_eq(lseek(fd, 2, SEEK_SET), 2);
	tap_eq(read(fd, one, 5), 5);
	tap_eq(memcmp(one, two + 2, 5), 0);
}

TAP_MAIN(
	CASE(self_is_the_caller),
	CASE(stat_fields),
	CASE(status_fields),
	CASE(signal_masks_in_status),
	CASE(maps_show_every_area),
	CASE(maps_are_sorted_and_disjoint),
	CASE(smaps_sum_up),
	CASE(statm_counts_pages),
	CASE(fd_directory),
	CASE(fd_links_open_the_file_itself),
	CASE(fdinfo),
	CASE(cmdline_environ_and_links),
	CASE(mem_reads_and_writes),
	CASE(other_processes),
	CASE(a_file_of_a_dead_process_is_esrch),
	CASE(the_directory_lists_processes),
	CASE(meminfo_and_sysinfo_agree),
	CASE(system_stat_uptime_loadavg),
	CASE(cpuinfo_has_every_cpu),
	CASE(version_filesystems_mounts),
	CASE(sysctl_files),
	CASE(comm_can_be_written_and_oom_adjusted),
	CASE(it_is_read_only_where_it_should_be),
	CASE(small_reads_give_the_same_text),
)
