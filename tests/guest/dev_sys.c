/*
 * Devices and system information: null zero full random urandom, getrandom, uname, sysinfo,
 * sysfs.
 */
#include "tap.h"

#include <poll.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/reboot.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

static char buf[70000];

static void node(const char *path, unsigned maj, unsigned min, mode_t mode)
{
	struct stat st;

	if (!tap_eq(stat(path, &st), 0))
		return;
	tap_ok(S_ISCHR(st.st_mode));
	tap_eq(major(st.st_rdev), maj);
	tap_eq(minor(st.st_rdev), min);
	tap_eq(st.st_mode & 0777, mode);
}

static void the_usual_nodes_exist(void)
{
	node("/dev/null", 1, 3, 0666);
	node("/dev/zero", 1, 5, 0666);
	node("/dev/full", 1, 7, 0666);
	node("/dev/random", 1, 8, 0666);
	node("/dev/urandom", 1, 9, 0666);
	node("/dev/tty", 5, 0, 0666);
	node("/dev/ptmx", 5, 2, 0666);
	struct stat st;
	tap_must(stat("/dev/pts", &st));
	tap_must(stat("/dev/shm", &st));
	tap_ok(S_ISDIR(st.st_mode));
}

static void console_and_kmsg_nodes(void)
{
	struct stat st;

	tap_must(stat("/dev/console", &st));
	tap_eq(st.st_rdev, makedev(5, 1));
	tap_must(stat("/dev/kmsg", &st));
	tap_eq(st.st_rdev, makedev(1, 11));
}

static void null(void)
{
	int fd = tap_must(open("/dev/null", O_RDWR));

	tap_eq(read(fd, buf, 100), 0);
	tap_eq(write(fd, buf, 50000), 50000);
	tap_eq(lseek(fd, 100, SEEK_SET), 0);
	tap_eq(ftruncate(fd, 0) == -1 ? errno : 0, EINVAL);
	tap_must(close(tap_must(open("/dev/null", O_WRONLY | O_TRUNC | O_CREAT, 0600))));
}

static void zero(void)
{
	int fd = tap_must(open("/dev/zero", O_RDWR));

	memset(buf, 'x', 70000);
	tap_eq(read(fd, buf, 60000), 60000);
	for (int i = 0; i < 60000; i++)
		tap_need(buf[i] == 0);
	tap_eq(buf[60000], 'x');
	tap_eq(write(fd, buf, 1234), 1234);
	tap_err(read(fd, tap_page_none(), 10), EFAULT);
	char *edge = tap_page_edge(100);
	tap_eq(read(fd, edge, 200), 100);
}

static void full(void)
{
	int fd = tap_must(open("/dev/full", O_RDWR));

	tap_eq(read(fd, buf, 100), 100);
	tap_eq(buf[99], 0);
	tap_err(write(fd, buf, 1), ENOSPC);
}

static void random_devices(void)
{
	static const char *const name[] = { "/dev/random", "/dev/urandom" };
	unsigned char a[64], b[64];

	for (int i = 0; i < 2; i++) {
		int fd = tap_must(open(name[i], O_RDWR));

		tap_eq(read(fd, a, 64), 64);
		tap_eq(read(fd, b, 64), 64);
		tap_ok(memcmp(a, b, 64) != 0);
		tap_eq(write(fd, a, 64), 64);
		struct pollfd p = { fd, POLLIN | POLLOUT, 0 };
		tap_eq(poll(&p, 1, 0), 1);
		int bits = -1;
		tap_must(ioctl(fd, RNDGETENTCNT, &bits));
		tap_ok(bits >= 0);
		tap_err(read(fd, tap_page_none(), 10), EFAULT);
	}
	int fd = tap_must(open("/dev/urandom", O_RDONLY));
	tap_eq(read(fd, buf, 70000), 70000);
	long ones = 0;
	for (int i = 0; i < 70000; i++)
		ones += __builtin_popcount((unsigned char)buf[i]);
	tap_ok(ones > 278000 && ones < 282000);		/* 280000 expected, 4 sigma is 1500 */
}

static void getrandom_call(void)
{
	unsigned char a[32], b[32];

	tap_eq(syscall(SYS_getrandom, a, 32, 0), 32);
	tap_eq(syscall(SYS_getrandom, b, 32, GRND_NONBLOCK), 32);
	tap_ok(memcmp(a, b, 32) != 0);
	tap_eq(syscall(SYS_getrandom, a, 32, GRND_RANDOM), 32);
	tap_eq(syscall(SYS_getrandom, buf, 70000, 0), 70000);
	tap_eq(syscall(SYS_getrandom, a, 0, 0), 0);
	tap_err(syscall(SYS_getrandom, a, 32, 0x100), EINVAL);
	tap_err(syscall(SYS_getrandom, a, 32, GRND_RANDOM | GRND_INSECURE), EINVAL);
	tap_efault_each(p, syscall(SYS_getrandom, p, 32, 0));
	char *edge = tap_page_edge(100);
	tap_eq(syscall(SYS_getrandom, edge, 200, 0), 100);
}

static void children_draw_different_numbers(void)
{
	unsigned long *v = tap_shared(1);

	for (int i = 0; i < 8; i++) {
		pid_t kid = tap_fork();
		if (kid == 0) {
			syscall(SYS_getrandom, &v[i], 8, 0);
			tap_leave();
		}
		tap_join(kid);
	}
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < i; j++)
			tap_ok(v[i] != v[j]);
}

static void uname_and_names(void)
{
	struct utsname u, old;

	tap_must(uname(&old));
	tap_str(old.sysname, "Linux");
	tap_str(old.machine, "x86_64");
	tap_ok(atoi(old.release) >= 4);
	tap_eq(sethostname("a-new-name", 10), 0);
	tap_must(uname(&u));
	tap_str(u.nodename, "a-new-name");
	tap_eq(syscall(SYS_setdomainname, "domain", 6), 0);
	tap_must(uname(&u));
	tap_str(u.domainname, "domain");
	tap_err(sethostname("x", -1), EINVAL);
	tap_err(sethostname(buf, 65), EINVAL);
	tap_efault_each(p, sethostname(p, 5));
	tap_efault_each(p, syscall(SYS_uname, p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(sethostname("x", 1), EPERM);
		tap_leave();
	}
	tap_join(kid);
	sethostname(old.nodename, strlen(old.nodename));
	syscall(SYS_setdomainname, old.domainname, strlen(old.domainname));
}

static void sysinfo_call(void)
{
	struct sysinfo si;

	memset(&si, 0, sizeof(si));
	tap_must(sysinfo(&si));
	tap_ok(si.totalram * si.mem_unit >= 16 << 20);
	tap_ok(si.freeram <= si.totalram);
	tap_ok(si.procs >= 1);
	tap_efault_each(p, syscall(SYS_sysinfo, p));
}

static void reboot_and_log_are_for_root(void)
{
	pid_t kid = tap_fork();

	tap_err(syscall(SYS_reboot, 1, 2, 0x1234567, 0), EINVAL);	/* wrong magic numbers */
	tap_err(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x99, 0), EINVAL);
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x4321fedc, 0), EPERM);
		tap_leave();
	}
	tap_join(kid);
	tap_ok(klogctl(10, NULL, 0) > 0);		/* the size of the log */
	tap_ok(klogctl(3, buf, sizeof(buf)) > 0);
	tap_err(klogctl(99, NULL, 0), EINVAL);
}

static void kmsg_records(void)
{
	int fd = tap_must(open("/dev/kmsg", O_RDWR | O_NONBLOCK));
	int found = 0;
	ssize_t n;

	tap_eq(write(fd, "<5>guest test says hello\n", 25), 25);
	while ((n = read(fd, buf, sizeof(buf) - 1)) > 0 || errno == EPIPE) {
		buf[n > 0 ? n : 0] = 0;
		found += strstr(buf, ";guest test says hello\n") != NULL;
	}
	tap_eq(errno, EAGAIN);
	tap_ok(found >= 1);
}

static void a_device_node_of_ones_own(void)
{
	tap_own_mount();
	tap_must(mknod("zero", S_IFCHR | 0600, makedev(1, 5)));
	int fd = tap_must(open("zero", O_RDONLY));
	buf[0] = 'x';
	tap_eq(read(fd, buf, 10), 10);
	tap_eq(buf[0], 0);
	tap_must(mknod("nothing", S_IFCHR | 0600, makedev(240, 99)));
	tap_err(open("nothing", O_RDONLY), ENXIO);
	tap_must(mknod("noblock", S_IFBLK | 0600, makedev(240, 99)));
	tap_err(open("noblock", O_RDONLY), ENXIO);
}

static void sysfs_skeleton(void)
{
	struct stat st;

	tap_must(stat("/sys/devices/system/cpu", &st));
	tap_need(tap_slurp("/sys/devices/system/cpu/online", buf, sizeof(buf)) > 0);
	tap_eq(buf[0], '0');
	tap_must(stat("/sys/kernel", &st));
	tap_must(stat("/sys/class", &st));
	tap_err(mkdir("/sys/x", 0755), EPERM);
	tap_eq(sysconf(_SC_NPROCESSORS_CONF), sysconf(_SC_NPROCESSORS_ONLN));
}

TAP_MAIN(
	CASE(the_usual_nodes_exist),
	CASE(console_and_kmsg_nodes),
	CASE(null),
	CASE(zero),
	CASE(full),
	CASE(random_devices),
	CASE(getrandom_call),
	CASE(children_draw_different_numbers),
	CASE(uname_and_names),
	CASE(sysinfo_call),
	CASE(reboot_and_log_are_for_root),
	CASE(kmsg_records),
	CASE(a_device_node_of_ones_own),
	CASE(sysfs_skeleton),
)
