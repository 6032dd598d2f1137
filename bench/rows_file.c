/* Files, directories and descriptors, on a tmpfs. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLS(name, call) static void name(unsigned long n)	\
{								\
	while (n--)						\
		CHECK((call) >= 0);				\
}

#define FILE_PATH "/tmp/bench.d/file"
static char buffer[4096];
static struct stat status;
static struct iovec vector[2] = { { buffer, 64 }, { buffer + 64, 64 } };
static struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 64 };
static struct flock unrange = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
static int fd = -1, null_fd = -1, dir_fd = -1;

CALLS(run_read_null, read(null_fd, buffer, 1))
CALLS(run_write_null, write(null_fd, buffer, 1))
CALLS(run_pread, pread(fd, buffer, 64, 0))
CALLS(run_writev, writev(null_fd, vector, 2))
CALLS(run_lseek, lseek(fd, 64, SEEK_SET))
CALLS(run_stat, stat(FILE_PATH, &status))
CALLS(run_fstat, fstat(fd, &status))
CALLS(run_statx, syscall(SYS_statx, AT_FDCWD, FILE_PATH, 0, 0x7ff, buffer))
CALLS(run_access, access(FILE_PATH, R_OK))
CALLS(run_readlink, readlink("/tmp/bench.d/link", buffer, sizeof(buffer)))
CALLS(run_getcwd, syscall(SYS_getcwd, buffer, sizeof(buffer)))
CALLS(run_fcntl_getfl, fcntl(fd, F_GETFL))

static void run_open_close(unsigned long n)
{
	while (n--) {
		int one = open(FILE_PATH, O_RDONLY);

		CHECK(one >= 0);
		close(one);
	}
}

static void run_getdents64(unsigned long n)
{
	while (n--) {
		CHECK(lseek(dir_fd, 0, SEEK_SET) == 0);
		CHECK(syscall(SYS_getdents64, dir_fd, buffer, sizeof(buffer)) > 0);
	}
}

static void run_dup_close(unsigned long n)
{
	while (n--) {
		int one = dup(fd);

		CHECK(one >= 0);
		close(one);
	}
}

static void run_fcntl_lock(unsigned long n)
{
	while (n--) {
		CHECK(fcntl(fd, F_SETLK, &range) == 0);
		CHECK(fcntl(fd, F_SETLK, &unrange) == 0);
	}
}

static void run_flock(unsigned long n)
{
	while (n--) {
		CHECK(flock(fd, LOCK_EX) == 0);
		CHECK(flock(fd, LOCK_UN) == 0);
	}
}

/* 4 directories with 8 files each: made, written, looked at, removed. */
static void run_file_tree(unsigned long n)
{
	char path[64];

	for (; n--; )
		for (int d = 0; d < 4; d++) {
			snprintf(path, sizeof(path), "/tmp/tree%d", d);
			CHECK(mkdir(path, 0755) == 0);
			for (int i = 0; i < 8; i++) {
				snprintf(path, sizeof(path), "/tmp/tree%d/file%d", d, i);
				int one = open(path, O_CREAT | O_WRONLY, 0644);

				CHECK(one >= 0);
				CHECK(write(one, buffer, 100) == 100);
				close(one);
				CHECK(stat(path, &status) == 0 && status.st_size == 100);
			}
			for (int i = 0; i < 8; i++) {
				snprintf(path, sizeof(path), "/tmp/tree%d/file%d", d, i);
				CHECK(unlink(path) == 0);
			}
			snprintf(path, sizeof(path), "/tmp/tree%d", d);
			CHECK(rmdir(path) == 0);
		}
}

static void begin(void)
{
	if (fd >= 0)
		return;
	mkdir("/tmp/bench.d", 0755);
	bench_file(FILE_PATH, 4096, 0);
	(void)!symlink("file", "/tmp/bench.d/link");
	CHECK(chdir("/tmp/bench.d") == 0);
	null_fd = open("/dev/null", O_RDWR);
	dir_fd = open("/tmp/bench.d", O_RDONLY | O_DIRECTORY);
	fd = open(FILE_PATH, O_RDWR);
	CHECK(fd >= 0 && null_fd >= 0 && dir_fd >= 0);
}

const struct row rows_file[] = {
	{ "read_null", run_read_null, 2000, begin, 0 },
	{ "write_null", run_write_null, 2000, begin, 0 },
	{ "pread", run_pread, 1000, begin, 0 },
	{ "writev", run_writev, 1000, begin, 0 },
	{ "lseek", run_lseek, 1000, begin, 0 },
	{ "open_close", run_open_close, 500, begin, 0 },
	{ "stat", run_stat, 500, begin, 0 },
	{ "fstat", run_fstat, 1000, begin, 0 },
	{ "statx", run_statx, 500, begin, 0 },
	{ "access", run_access, 500, begin, 0 },
	{ "readlink", run_readlink, 500, begin, 0 },
	{ "getcwd", run_getcwd, 500, begin, 0 },
	{ "getdents64", run_getdents64, 500, begin, 0 },
	{ "dup_close", run_dup_close, 500, begin, 0 },
	{ "fcntl_getfl", run_fcntl_getfl, 1000, begin, 0 },
	{ "fcntl_lock", run_fcntl_lock, 500, begin, 0 },
	{ "flock", run_flock, 500, begin, 0 },
	{ "file_tree", run_file_tree, 20, begin, 0 },
	{ 0 },
};
