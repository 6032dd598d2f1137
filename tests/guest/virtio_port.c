/*
 * Ports of a virtio console.  tests/guest/run gives the machine two, `test.left` and `test.right`,
 * and connects them with each other: what is written to one is read from the other.
 */
#include "tap.h"

#include <dirent.h>
#include <poll.h>
#include <sys/sysmacros.h>

#define CLASS "/sys/class/virtio-ports"
#define BULK  300000

/* The device by the name that the host gave the port. */
static bool look(const char *wanted, char path[300])
{
	DIR *dir = opendir(CLASS);
	struct dirent *e;
	char name[64];
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		snprintf(path, 300, CLASS "/%s/name", e->d_name);
		found = tap_slurp(path, name, sizeof(name)) > 0 && !strncmp(name, wanted, strlen(wanted)) &&
			!strcmp(name + strlen(wanted), "\n");
		snprintf(path, 300, "/dev/%s", e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A driver finds its ports in its own time. */
static const char *path_of(const char *wanted, char path[300])
{
	bool found = look(wanted, path);

	for (int i = 0; i < 5000 && !found; i++) {
		usleep(1000);
		found = look(wanted, path);
	}
	tap_need(found);
	return path;
}

static short ready(int fd, short events, int ms)
{
	struct pollfd p = { fd, events, 0 };

	tap_must(poll(&p, 1, ms));
	return p.revents;
}

/* The port is opened, the host's end is there, and nothing is left of what was sent before. */
static int port(const char *name, int flags)
{
	char path[300], old[4096];
	int fd = tap_must(open(path_of(name, path), O_RDWR | O_NONBLOCK));

	while (ready(fd, POLLIN, 0) & POLLHUP)
		usleep(1000);
	while (ready(fd, POLLIN, 100) & POLLIN)
		read(fd, old, sizeof(old));
	tap_must(fcntl(fd, F_SETFL, flags));
	return fd;
}

static void node_is_a_character_device_of_the_number_in_sys(void)
{
	char path[300], text[64], name[300];
	struct stat st;
	unsigned major_no = 0, minor_no = 0;

	path_of("test.left", path);
	tap_must(stat(path, &st));
	tap_ok(S_ISCHR(st.st_mode));
	tap_eq(st.st_mode & 0777, 0600);
	snprintf(name, sizeof(name), CLASS "/%s/dev", path + 5);
	tap_ok(tap_slurp(name, text, sizeof(text)) > 0);
	tap_eq(sscanf(text, "%u:%u\n", &major_no, &minor_no), 2);
	tap_eq(st.st_rdev, makedev(major_no, minor_no));
	snprintf(name, sizeof(name), CLASS "/%s/uevent", path + 5);
	tap_ok(tap_slurp(name, text, sizeof(text)) > 0);
	tap_ok(strstr(text, path + 5) != NULL);
}

static void opens_once_at_a_time(void)
{
	char path[300];
	int fd = port("test.left", 0);

	tap_err(open(path_of("test.left", path), O_RDONLY), EBUSY);
	int extra = tap_must(dup(fd));
	close(fd);
	tap_err(open(path, O_RDONLY), EBUSY);
	close(extra);
	fd = tap_must(open(path, O_RDONLY));
	tap_err(write(fd, "x", 1), EBADF);
	close(fd);
}

static void carries_bytes_both_ways(void)
{
	int left = port("test.left", 0), right = port("test.right", 0);
	char buf[16] = "";

	tap_eq(write(left, "to the right", 12), 12);
	tap_eq(read(right, buf, sizeof(buf)), 12);
	tap_ok(!memcmp(buf, "to the right", 12));
	tap_eq(write(right, "to the left", 11), 11);
	tap_eq(read(left, buf, 2), 2);
	tap_eq(read(left, buf + 2, 14), 9);		/* what one read leaves, the next gets */
	tap_ok(!memcmp(buf, "to the left", 11));
}

static void says_again_when_nothing_is_there(void)
{
	int left = port("test.left", O_NONBLOCK), right = port("test.right", O_NONBLOCK);
	char c = 0;

	tap_eq(ready(left, POLLIN | POLLOUT, 0), POLLOUT);
	tap_err(read(left, &c, 1), EAGAIN);
	tap_eq(write(right, "x", 1), 1);
	tap_eq(ready(left, POLLIN, 5000), POLLIN);
	tap_eq(read(left, &c, 1), 1);
	tap_eq(c, 'x');
	tap_err(read(left, &c, 1), EAGAIN);
	tap_eq(ready(left, POLLIN, 0), 0);
}

static void waiting_read_is_interrupted_by_a_signal(void)
{
	int left = port("test.left", 0);
	char c;

	tap_ticker(tap_tick, 0);
	tap_err(read(left, &c, 1), EINTR);
	tap_ticker_stop();
}

static void waiting_read_gets_what_comes_later(void)
{
	int left = port("test.left", 0), right = port("test.right", 0);
	pid_t self = getpid(), kid = tap_fork();
	char c = 0;

	if (kid == 0) {
		tap_await_state(self, 'S');
		tap_eq(write(right, "l", 1), 1);
		tap_leave();
	}
	tap_eq(read(left, &c, 1), 1);
	tap_eq(c, 'l');
	tap_join(kid);
}

static void has_no_position(void)
{
	int left = port("test.left", O_NONBLOCK);
	char c;

	tap_err(lseek(left, 0, SEEK_CUR), ESPIPE);
	tap_err(pread(left, &c, 1, 0), ESPIPE);
	tap_err(pwrite(left, "x", 1, 0), ESPIPE);
}

static void bad_pointers_are_refused(void)
{
	int left = port("test.left", 0), right = port("test.right", 0);
	char c = 0;

	tap_efault_each(p, write(left, p, 5));
	tap_eq(write(left, "abc", 3), 3);
	tap_eq(ready(right, POLLIN, 5000), POLLIN);
	tap_err(read(right, BAD_KERNEL, 3), EFAULT);
	tap_eq(write(left, &c, 0), 0);
}

static void a_write_takes_no_more_than_32_KiB(void)
{
	int left = port("test.left", 0), right = port("test.right", 0);
	static char big[100000];
	long got = 0, n;

	tap_eq(write(left, big, sizeof(big)), 32768);
	while (got < 32768 && (n = read(right, big, sizeof(big))) > 0) {
		tap_ok(n <= 4096);			/* one buffer of the device's */
		got += n;
	}
	tap_eq(got, 32768);
}

static unsigned char pattern(long i) { return (unsigned char)(i * 7 ^ i >> 8 ^ i >> 16); }

static void send_all(int fd)
{
	static unsigned char buf[5003];
	long done = 0;

	while (done < BULK) {
		long n = BULK - done < (long)sizeof(buf) ? BULK - done : (long)sizeof(buf);

		for (long i = 0; i < n; i++)
			buf[i] = pattern(done + i);
		n = tap_must(write(fd, buf, n));
		done += n;
	}
}

static void receive_all(int fd)
{
	static unsigned char buf[3001];
	long done = 0, wrong = 0;

	while (done < BULK) {
		long n = tap_must(read(fd, buf, sizeof(buf)));

		tap_need(n > 0);
		for (long i = 0; i < n; i++)
			wrong += buf[i] != pattern(done + i);
		done += n;
	}
	tap_eq(done, BULK);
	tap_eq(wrong, 0);
}

/* Two senders and two receivers at once. */
static void much_arrives_whole_and_in_order(void)
{
	int left = port("test.left", 0), right = port("test.right", 0);
	pid_t kids[3];

	for (int i = 0; i < 3; i++) {
		kids[i] = tap_fork();
		if (kids[i] == 0) {
			i == 0 ? send_all(left) : i == 1 ? send_all(right) : receive_all(left);
			tap_leave();
		}
	}
	receive_all(right);
	for (int i = 0; i < 3; i++)
		tap_join(kids[i]);
}

static void a_writer_waits_until_there_is_room(void)
{
	int left = port("test.left", O_NONBLOCK), right = port("test.right", O_NONBLOCK);
	static char big[32768];
	long sent = 0, got = 0, n;

	while ((n = write(left, big, sizeof(big))) > 0)
		sent += n;
	tap_eq(errno, EAGAIN);
	/* The host may still be taking some. */
	while (ready(left, POLLOUT, 200) & POLLOUT) {
		n = write(left, big, sizeof(big));
		sent += n > 0 ? n : 0;
	}
	tap_eq(ready(left, POLLIN | POLLOUT, 0), 0);
	tap_err(write(left, "x", 1), EAGAIN);
	while (got < sent && ready(right, POLLIN, 5000) == POLLIN && (n = read(right, big, sizeof(big))) > 0)
		got += n;
	tap_eq(got, sent);
	tap_eq(ready(left, POLLOUT, 5000), POLLOUT);
	tap_note("%ld bytes were on the way", sent);
}

static volatile sig_atomic_t signals;

static void on_io(int sig)
{
	(void)sig;
	signals++;
}

static void arriving_bytes_send_SIGIO(void)
{
	int left = port("test.left", O_NONBLOCK), right = port("test.right", O_NONBLOCK);
	char c;

	signal(SIGIO, on_io);
	tap_must(fcntl(left, F_SETOWN, getpid()));
	tap_must(fcntl(left, F_SETFL, O_NONBLOCK | O_ASYNC));
	tap_err(read(left, &c, 1), EAGAIN);
	tap_eq(write(right, "s", 1), 1);
	for (int i = 0; i < 5000 && !signals; i++)
		usleep(1000);
	tap_ok(signals > 0);
	tap_eq(read(left, &c, 1), 1);
}

TAP_MAIN(CASE(node_is_a_character_device_of_the_number_in_sys), CASE(opens_once_at_a_time),
	 CASE(carries_bytes_both_ways), CASE(says_again_when_nothing_is_there),
	 CASE(waiting_read_is_interrupted_by_a_signal), CASE(waiting_read_gets_what_comes_later),
	 CASE(has_no_position), CASE(bad_pointers_are_refused), CASE(a_write_takes_no_more_than_32_KiB),
	 CASE(much_arrives_whole_and_in_order), CASE(a_writer_waits_until_there_is_room),
	 CASE(arriving_bytes_send_SIGIO))
