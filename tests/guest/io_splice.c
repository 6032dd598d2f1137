/* sendfile, splice, tee, vmsplice, copy_file_range: bytes moved by the kernel. */
#include "tap.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char data[200000], back[200000];

static int source(size_t n)
{
	int fd = tap_file("src", "");

	for (size_t i = 0; i < n; i++)
		data[i] = i * 17 + (i >> 10);
	tap_need(write(fd, data, n) == (ssize_t)n);
	tap_must(lseek(fd, 0, SEEK_SET));
	return fd;
}

static long splice_(int in, off_t *io, int out, off_t *oo, size_t n, unsigned fl)
{
	return syscall(SYS_splice, in, io, out, oo, n, fl);
}

static void sendfile_between_files(void)
{
	int in = source(100000), out = tap_file("dst", "");
	off_t off = 1000;

	tap_eq(sendfile(out, in, NULL, 100000), 100000);
	tap_eq(lseek(in, 0, SEEK_CUR), 100000);
	tap_eq(pread(out, back, sizeof(back), 0), 100000);
	tap_eq(memcmp(data, back, 100000), 0);
	tap_eq(sendfile(out, in, &off, 50), 50);
	tap_eq(off, 1050);
	tap_eq(lseek(in, 0, SEEK_CUR), 100000);		/* with an offset the position stays */
	tap_eq(pread(out, back, 50, 100000), 50);
	tap_eq(memcmp(data + 1000, back, 50), 0);
	tap_eq(sendfile(out, in, NULL, 10), 0);
}

static void sendfile_to_pipe_and_socket(void)
{
	int in = source(30000), p[2], sv[2];

	tap_must(pipe(p));
	tap_eq(sendfile(p[1], in, NULL, 30000), 30000);
	tap_eq(read(p[0], back, 65536), 30000);
	tap_eq(memcmp(data, back, 30000), 0);
	tap_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	off_t off = 0;
	tap_eq(sendfile(sv[1], in, &off, 5000), 5000);
	tap_eq(recv(sv[0], back, 5000, MSG_WAITALL), 5000);
	tap_eq(memcmp(data, back, 5000), 0);
}

static void sendfile_errors(void)
{
	int in = source(100), out = tap_file("dst", "");
	off_t off = -1;

	tap_err(sendfile(777, in, NULL, 1), EBADF);
	tap_err(sendfile(out, 777, NULL, 1), EBADF);
	int ro = tap_must(open("dst", O_RDONLY)), wo = tap_must(open("src", O_WRONLY));
	tap_err(sendfile(ro, in, NULL, 1), EBADF);
	tap_err(sendfile(out, wo, NULL, 1), EBADF);
	tap_err(sendfile(out, in, &off, 1), EINVAL);
	int app = tap_must(open("dst", O_WRONLY | O_APPEND));
	tap_err(sendfile(app, in, NULL, 1), EINVAL);
	tap_efault_each(q, syscall(SYS_sendfile, out, in, q, 1));
}

static void splice_file_to_pipe_to_file(void)
{
	int in = source(50000), out = tap_file("dst", ""), p[2];
	off_t io = 123, oo = 77;

	tap_must(pipe(p));
	tap_eq(splice_(in, &io, p[1], NULL, 50000, 0), 49877);
	tap_eq(io, 50000);
	long got = 0, n;
	while (got < 49877 && (n = splice_(p[0], NULL, out, &oo, 50000, SPLICE_F_MOVE)) > 0)
		got += n;
	tap_eq(got, 49877);
	tap_eq(oo, 49877 + 77);
	tap_eq(pread(out, back, sizeof(back), 77), 49877);
	tap_eq(memcmp(data + 123, back, 49877), 0);
}

static void splice_pipe_to_pipe(void)
{
	int a[2], b[2];

	tap_must(pipe(a));
	tap_must(pipe(b));
	write(a[1], "hello world", 11);
	tap_eq(splice_(a[0], NULL, b[1], NULL, 5, 0), 5);
	tap_eq(read(b[0], back, 100), 5);
	tap_eq(memcmp(back, "hello", 5), 0);
	tap_eq(read(a[0], back, 100), 6);
}

static void splice_with_sockets(void)
{
	int p[2], sv[2];

	tap_must(pipe(p));
	tap_must(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	write(sv[0], "via socket", 10);
	tap_eq(splice_(sv[1], NULL, p[1], NULL, 100, 0), 10);
	tap_eq(splice_(p[0], NULL, sv[1], NULL, 10, 0), 10);
	tap_eq(read(sv[0], back, 100), 10);
	tap_eq(memcmp(back, "via socket", 10), 0);
}

static void splice_blocking_and_not(void)
{
	int a[2], b[2];

	tap_must(pipe(a));
	tap_must(pipe(b));
	tap_err(splice_(a[0], NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(splice_(a[0], NULL, b[1], NULL, 10, 0), 3);
		tap_leave();
	}
	tap_await_state(kid, 'S');
	write(a[1], "abc", 3);
	tap_join(kid);
	close(a[1]);
	tap_eq(splice_(a[0], NULL, b[1], NULL, 10, 0), 0);	/* end of file */
}

static void splice_errors(void)
{
	int in = source(100), out = tap_file("dst", ""), p[2];
	off_t off = 0;

	tap_must(pipe(p));
	tap_err(splice_(in, NULL, out, NULL, 10, 0), EINVAL);	/* no pipe at all */
	tap_err(splice_(p[0], NULL, p[1], NULL, 10, 0), EINVAL);	/* the same one */
	tap_err(splice_(p[0], &off, out, NULL, 10, 0), ESPIPE);
	tap_err(splice_(in, NULL, p[1], NULL, 10, 0x100), EINVAL);
	tap_err(splice_(777, NULL, p[1], NULL, 10, 0), EBADF);
	tap_eq(splice_(in, NULL, p[1], NULL, 0, 0), 0);
	tap_efault_each(q, splice_(in, q, p[1], NULL, 10, 0));
	int app = tap_must(open("dst", O_WRONLY | O_APPEND));
	write(p[1], "x", 1);
	tap_err(splice_(p[0], NULL, app, NULL, 1, 0), EINVAL);
}

static void tee_copies_without_taking(void)
{
	int a[2], b[2];

	tap_must(pipe(a));
	tap_must(pipe(b));
	write(a[1], "0123456789", 10);
	tap_eq(syscall(SYS_tee, a[0], b[1], 6, 0), 6);
	tap_eq(read(b[0], back, 100), 6);
	tap_eq(memcmp(back, "012345", 6), 0);
	tap_eq(read(a[0], back, 100), 10);
	tap_err(syscall(SYS_tee, a[0], b[1], 6, SPLICE_F_NONBLOCK), EAGAIN);
	int f = tap_file("f", "");
	tap_err(syscall(SYS_tee, a[0], f, 6, 0), EINVAL);
	tap_err(syscall(SYS_tee, a[0], a[1], 6, 0), EINVAL);
	tap_err(syscall(SYS_tee, 777, b[1], 6, 0), EBADF);
}

static void vmsplice_gives_and_takes(void)
{
	int p[2];
	struct iovec v[2] = { { data, 3000 }, { data + 10000, 2000 } };

	for (int i = 0; i < 20000; i++)
		data[i] = i * 3;
	tap_must(pipe(p));
	tap_eq(vmsplice(p[1], v, 2, 0), 5000);
	tap_eq(read(p[0], back, 10000), 5000);
	tap_eq(memcmp(back, data, 3000), 0);
	tap_eq(memcmp(back + 3000, data + 10000, 2000), 0);
	write(p[1], "from the pipe", 13);
	v[0] = (struct iovec){ back, 100 };
	tap_eq(vmsplice(p[0], v, 1, 0), 13);		/* the reading end: copied out */
	tap_eq(memcmp(back, "from the pipe", 13), 0);
	int f = tap_file("f", "");
	tap_err(vmsplice(f, v, 1, 0), EBADF);
	tap_err(vmsplice(p[1], v, 1, 0x100), EINVAL);
	tap_efault_each(q, vmsplice(p[1], q, 1, 0));
	tap_efault_each(q, vmsplice(p[1], ((struct iovec[]){ { q, 10 } }), 1, 0));
}

static void copy_file_range_copies(void)
{
	int in = source(60000), out = tap_file("dst", "");
	off_t io = 100, oo = 5;

	tap_eq(syscall(SYS_copy_file_range, in, &io, out, &oo, 1000, 0), 1000);
	tap_eq(io, 1100);
	tap_eq(oo, 1005);
	tap_eq(pread(out, back, 2000, 5), 1000);
	tap_eq(memcmp(back, data + 100, 1000), 0);
	long got = 0, n;
	while ((n = syscall(SYS_copy_file_range, in, NULL, out, NULL, 100000, 0)) > 0)
		got += n;
	tap_eq(got, 60000);
	tap_eq(pread(out, back, 60000, 0), 60000);
	tap_eq(memcmp(back, data, 60000), 0);
}

static void copy_file_range_errors(void)
{
	int in = source(60000), out = tap_file("dst", ""), p[2];
	off_t io = 0, oo = 100;

	tap_must(pipe(p));
	tap_err(syscall(SYS_copy_file_range, in, NULL, out, NULL, 10, 1), EINVAL);
	tap_err(syscall(SYS_copy_file_range, 777, NULL, out, NULL, 10, 0), EBADF);
	/* overlap */
	tap_err(syscall(SYS_copy_file_range, in, &io, in, &oo, 1000, 0), EINVAL);
	int ro = tap_must(open("dst", O_RDONLY));
	tap_err(syscall(SYS_copy_file_range, in, NULL, ro, NULL, 10, 0), EBADF);
	int app = tap_must(open("dst", O_WRONLY | O_APPEND));
	tap_err(syscall(SYS_copy_file_range, in, NULL, app, NULL, 10, 0), EBADF);
	int d = tap_must(open(".", O_RDONLY));
	tap_err(syscall(SYS_copy_file_range, d, NULL, out, NULL, 10, 0), EISDIR);
	tap_err(syscall(SYS_copy_file_range, p[0], NULL, out, NULL, 10, 0), EINVAL);
	tap_efault_each(q, syscall(SYS_copy_file_range, in, q, out, NULL, 10, 0));
	tap_efault_each(q, syscall(SYS_copy_file_range, in, NULL, out, q, 10, 0));
	oo = 30000;
	tap_eq(syscall(SYS_copy_file_range, in, &io, in, &oo, 1000, 0), 1000);	/* apart: fine */
}

TAP_MAIN(
	CASE(sendfile_between_files),
	CASE(sendfile_to_pipe_and_socket),
	CASE(sendfile_errors),
	CASE(splice_file_to_pipe_to_file),
	CASE(splice_pipe_to_pipe),
	CASE(splice_with_sockets),
	CASE(splice_blocking_and_not),
	CASE(splice_errors),
	CASE(tee_copies_without_taking),
	CASE(vmsplice_gives_and_takes),
	CASE(copy_file_range_copies),
	CASE(copy_file_range_errors),
)
