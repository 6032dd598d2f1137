/*
 * Finding the launcher's port on a virtio console.
 *
 * Kernels whose drivers are modules get them from the launcher: /.saker-modules/NN-NAME.ko, loaded
 * in the order of their names and then removed, as they are not part of anybody's root.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MODULES	  "/.saker-modules"
#define CLASS	  "/sys/class/virtio-ports"
#define WAIT_MS	  2000		/* for a driver that is there to find its ports */
#define CONNECT_MS 2000		/* for the launcher's end, which was there before the machine */

static void module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
		kmsg("saker agent: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void modules_load(void)
{
	struct dirent **names;
	int n = scandir(MODULES, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[sizeof(MODULES) + 1 + sizeof(names[i]->d_name)];

		snprintf(path, sizeof(path), MODULES "/%s", names[i]->d_name);
		if (names[i]->d_name[0] != '.') {
			module_load(path);
			unlink(path);
		}
		free(names[i]);
	}
	if (n >= 0) {
		free(names);
		rmdir(MODULES);
	}
}

static bool named(const char *device, const char *name)
{
	char path[512], text[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), CLASS "/%s/name", device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	return n > 0 && (size_t)n == strlen(name) && !memcmp(text, name, n);
}

/* An open descriptor; -1: not there (yet). */
static int find(const char *name)
{
	DIR *dir = opendir(CLASS);
	struct dirent *e;
	char path[512];
	int fd = -1;

	while (dir && fd < 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || !named(e->d_name, name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", e->d_name);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* Reads of a port whose host has not been seen yet give 0, as those of one whose host has gone. */
static bool connected(int fd)
{
	for (int i = 0; i < CONNECT_MS; i++) {
		struct pollfd p = { fd, POLLOUT, 0 };
		struct timespec pause_ns = { 0, 1000000 };

		if (poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP))
			return true;
		nanosleep(&pause_ns, NULL);
	}
	return false;
}

int port_open(const char *name)
{
	int fd;

	modules_load();
	fd = find(name);
	/* The class comes with the driver: without one there is nothing to wait for. */
	for (int i = 0; fd < 0 && i < WAIT_MS && access(CLASS, F_OK) == 0; i++) {
		struct timespec pause_ns = { 0, 1000000 };

		nanosleep(&pause_ns, NULL);
		fd = find(name);
	}
	if (fd >= 0 && !connected(fd)) {
		kmsg("saker agent: nobody is at the other end of port %s\n", name);
		close(fd);
		fd = -1;
	}
	return fd;
}
