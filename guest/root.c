/* The agent's work as init: file systems, the kernel command line, the console, power-off. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

void kmsg(const char *format, ...)
{
	char line[512];
	va_list ap;
	int n, fd;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fd = open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return;
	if (write(fd, line, n < (int)sizeof(line) ? n : (int)sizeof(line) - 1) < 0)
		n = 0;		/* nobody is left to tell */
	close(fd);
}

static void mount_on(const char *type, const char *dir, unsigned long flags, const char *data)
{
	mkdir(dir, 0755);
	if (mount(type, dir, type, flags, data) != 0 && errno != EBUSY)
		kmsg("saker agent: mount %s on %s: %s\n", type, dir, strerror(errno));
}

/* Without devtmpfs these are what a command cannot do without. */
static void device_nodes(void)
{
	static const struct { const char *path; int major, minor; } nodes[] = {
		{ "/dev/null", 1, 3 }, { "/dev/zero", 1, 5 }, { "/dev/full", 1, 7 },
		{ "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
		{ "/dev/console", 5, 1 }, { "/dev/ptmx", 5, 2 }, { "/dev/ttyS1", 4, 65 },
	};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor));
}

void root_mount(void)
{
	umask(0);
	mount_on("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_on("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mkdir("/dev", 0755);
	/* CONFIG_DEVTMPFS_MOUNT does not apply to an initramfs; EBUSY covers kernels that do it. */
	if (mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") != 0 && errno != EBUSY)
		device_nodes();
	mount_on("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
	mount_on("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_on("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
	umask(022);
}

const char *cmdline_value(const char *name)
{
	static char line[8192];
	const char *value = NULL;
	size_t n = strlen(name);
	ssize_t got;
	int fd;

	/* Read anew each time: the words are cut apart in place. */
	fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	got = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (got < 0)
		return NULL;
	line[got] = 0;
	for (char *word = strtok(line, " \t\n"); word; word = strtok(NULL, " \t\n")) {
		if (!strncmp(word, name, n) && word[n] == '=')
			value = word + n + 1;
	}
	return value;
}

int console_shell(void)
{
	static char *const argv[] = { "-sh", NULL };
	static char *const envp[] = {
		"HOME=/root", "USER=root", "SHELL=/bin/sh", "TERM=vt100",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL,
	};
	pid_t pid = fork(), got;
	int status = 0;

	if (pid == 0) {
		int fd;

		setsid();
		fd = open("/dev/console", O_RDWR);
		if (fd < 0)
			_exit(126);
		/* A second controlling terminal is no error worth losing the shell for. */
		ioctl(fd, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
		if (fd > 2)
			close(fd);
		if (chdir("/root") != 0)
			kmsg("saker agent: /root: %s\n", strerror(errno));
		execve("/bin/sh", argv, envp);
		kmsg("saker agent: /bin/sh: %s\n", strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		return -1;
	do
		got = wait(&status);
	while (got != pid && (got > 0 || errno == EINTR));
	return status;
}

void machine_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	/* No power-off on this machine: a restart ends QEMU as well (-no-reboot). */
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
