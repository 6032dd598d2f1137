/* Unix stream sockets: connect, accept, data, shutdown, names, options, errors. */
#include "tap.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static int sv[2];

static void pair(int type)
{
	tap_must(socketpair(AF_UNIX, type, 0, sv));
}

static socklen_t name(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (path[0] == '@') {
		memcpy(a->sun_path + 1, path + 1, strlen(path + 1));
		return offsetof(struct sockaddr_un, sun_path) + strlen(path);
	}
	strcpy(a->sun_path, path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int server(const char *path, int backlog)
{
	struct sockaddr_un a;
	int fd = tap_must(socket(AF_UNIX, SOCK_STREAM, 0));

	tap_must(bind(fd, (void *)&a, name(&a, path)));
	tap_must(listen(fd, backlog));
	return fd;
}

static int client(const char *path)
{
	struct sockaddr_un a;
	int fd = tap_must(socket(AF_UNIX, SOCK_STREAM, 0));
	socklen_t n = name(&a, path);

	if (connect(fd, (void *)&a, n) == 0)
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

static void a_pair_talks_both_ways(void)
{
	char buf[16] = "";

	pair(SOCK_STREAM);
	tap_eq(send(sv[0], "ping", 4, 0), 4);
	tap_eq(recv(sv[1], buf, 16, 0), 4);
	tap_str(buf, "ping");
	tap_eq(write(sv[1], "pong", 4), 4);
	tap_eq(read(sv[0], buf, 2), 2);			/* a stream has no bounds */
	tap_eq(read(sv[0], buf, 16), 2);
	tap_err(lseek(sv[0], 0, SEEK_SET), ESPIPE);
	tap_err(pread(sv[0], buf, 1, 0), ESPIPE);
}

static void connect_and_accept(void)
{
	struct sockaddr_un a;
	socklen_t n = sizeof(a);
	char buf[8] = "";
	int s = server("sock", 5), c = tap_must(client("sock"));
	int t = tap_must(accept(s, (void *)&a, &n));

	tap_eq(n, 2);					/* the client has no name */
	tap_eq(a.sun_family, AF_UNIX);
	write(c, "hi", 2);
	tap_eq(read(t, buf, 8), 2);
	n = sizeof(a);
	tap_must(getpeername(c, (void *)&a, &n));
	tap_str(a.sun_path, "sock");
	tap_eq(n, 2 + 5);
	n = sizeof(a);
	tap_must(getsockname(t, (void *)&a, &n));
	tap_str(a.sun_path, "sock");
	struct stat st;
	tap_must(stat("sock", &st));
	tap_ok(S_ISSOCK(st.st_mode));
	tap_err(open("sock", O_RDWR), ENXIO);
}

static void accept4_flags_and_waiting(void)
{
	int s = server("sock", 5);

	tap_must(fcntl(s, F_SETFL, O_NONBLOCK));
	tap_err(accept(s, NULL, NULL), EAGAIN);
	struct pollfd p = { s, POLLIN, 0 };
	tap_eq(poll(&p, 1, 0), 0);
	tap_must(client("sock"));
	tap_eq(poll(&p, 1, 0), 1);
	int t = tap_must(accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	tap_eq(fcntl(t, F_GETFD), FD_CLOEXEC);
	tap_eq(fcntl(t, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	tap_err(syscall(SYS_accept4, s, NULL, NULL, 0x1), EINVAL);
	tap_must(fcntl(s, F_SETFL, 0));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_must(accept(s, NULL, NULL));
		tap_leave();
	}
	tap_await_state(kid, 'S');
	tap_must(client("sock"));
	tap_join(kid);
}

static void connect_errors(void)
{
	struct sockaddr_un a;
	int fd = tap_must(socket(AF_UNIX, SOCK_STREAM, 0));

	tap_err(client("absent"), ENOENT);
	tap_spit("plain", "");
	tap_err(client("plain"), ECONNREFUSED);
	int s = server("sock", 5);
	close(s);
	tap_err(client("sock"), ECONNREFUSED);
	tap_err(client("@nobody"), ECONNREFUSED);
	a.sun_family = AF_INET;
	tap_err(connect(fd, (void *)&a, sizeof(a)), EINVAL);
	tap_err(connect(fd, (void *)&a, 1), EINVAL);
	tap_efault_each(p, connect(fd, p, 20));
	s = server("dgram-is-other", 5);
	int d = tap_must(socket(AF_UNIX, SOCK_DGRAM, 0));
	tap_err(connect(d, (void *)&a, name(&a, "dgram-is-other")), EPROTOTYPE);
	tap_must(connect(fd, (void *)&a, name(&a, "dgram-is-other")));
	tap_err(connect(fd, (void *)&a, name(&a, "dgram-is-other")), EISCONN);
	tap_must(chmod("dgram-is-other", 0700));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(client("dgram-is-other"), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void bind_errors(void)
{
	struct sockaddr_un a;
	int fd = tap_must(socket(AF_UNIX, SOCK_STREAM, 0)), other;

	tap_spit("f", "");
	tap_err(bind(fd, (void *)&a, name(&a, "f")), EADDRINUSE);
	tap_err(bind(fd, (void *)&a, name(&a, "absent/x")), ENOENT);
	tap_err(bind(fd, (void *)&a, 1), EINVAL);
	tap_err(bind(fd, (void *)&a, 200), EINVAL);
	tap_efault_each(p, bind(fd, p, 20));
	tap_must(bind(fd, (void *)&a, name(&a, "s")));
	tap_err(bind(fd, (void *)&a, name(&a, "t")), EINVAL);	/* has a name already */
	other = tap_must(socket(AF_UNIX, SOCK_STREAM, 0));
	tap_err(listen(other, 1), EINVAL);		/* has none */
	tap_err(accept(fd, NULL, NULL), EINVAL);	/* does not listen */
	tap_must(listen(fd, 1));
	pair(SOCK_DGRAM);
	tap_err(listen(sv[0], 1), EOPNOTSUPP);
	tap_err(accept(sv[0], NULL, NULL), EOPNOTSUPP);
}

static void abstract_names(void)
{
	struct sockaddr_un a;
	socklen_t n = sizeof(a);
	char unique[32];

	snprintf(unique, sizeof(unique), "@tap%d", getpid());
	int s = server(unique, 5), c = tap_must(client(unique));
	tap_must(accept(s, NULL, NULL));
	tap_must(getpeername(c, (void *)&a, &n));
	tap_eq(n, 2 + strlen(unique));
	tap_eq(a.sun_path[0], 0);
	tap_ok(!tap_exists(unique));
	int again = tap_must(socket(AF_UNIX, SOCK_STREAM, 0));
	tap_err(bind(again, (void *)&a, name(&a, unique)), EADDRINUSE);
	close(s);
	tap_must(bind(again, (void *)&a, name(&a, unique)));	/* free with its socket */
}

static void autobind(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t n = sizeof(a);
	int s = tap_must(socket(AF_UNIX, SOCK_STREAM, 0));

	tap_must(bind(s, (void *)&a, sizeof(sa_family_t)));
	tap_must(getsockname(s, (void *)&a, &n));
	tap_eq(n, 2 + 6);				/* NUL and five hexadecimal digits */
	tap_eq(a.sun_path[0], 0);
}

static void the_backlog_is_limited(void)
{
	int s = server("sock", 1), made = 0;
	struct sockaddr_un a;

	for (int i = 0; i < 10; i++) {
		int c = tap_must(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));

		if (connect(c, (void *)&a, name(&a, "sock")) < 0) {
			tap_eq(errno, EAGAIN);
			break;
		}
		made++;
	}
	tap_eq(made, 2);
	tap_must(accept(s, NULL, NULL));
	tap_must(client("sock"));
}

static void end_of_file_and_broken_pipe(void)
{
	char c;

	pair(SOCK_STREAM);
	write(sv[0], "x", 1);
	close(sv[0]);
	tap_eq(read(sv[1], &c, 1), 1);
	tap_eq(read(sv[1], &c, 1), 0);
	signal(SIGPIPE, tap_tick);
	tap_err(send(sv[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	tap_eq(tap_ticks, 0);
	tap_err(send(sv[1], "x", 1, 0), EPIPE);
	tap_eq(tap_ticks, 1);
	tap_err(write(sv[1], "x", 1), EPIPE);
	tap_eq(tap_ticks, 2);
}

static void unread_data_at_close_is_a_reset(void)
{
	char c;

	pair(SOCK_STREAM);
	write(sv[0], "unread", 6);
	close(sv[1]);
	tap_err(read(sv[0], &c, 1), ECONNRESET);
	tap_eq(read(sv[0], &c, 1), 0);
}

static void shutdown_each_way(void)
{
	char c;

	signal(SIGPIPE, SIG_IGN);
	pair(SOCK_STREAM);
	tap_eq(shutdown(sv[0], SHUT_WR), 0);
	tap_err(write(sv[0], "x", 1), EPIPE);
	tap_eq(read(sv[1], &c, 1), 0);
	tap_eq(write(sv[1], "y", 1), 1);		/* the other way still works */
	tap_eq(read(sv[0], &c, 1), 1);
	tap_eq(shutdown(sv[0], SHUT_RD), 0);
	tap_err(write(sv[1], "y", 1), EPIPE);
	tap_eq(read(sv[0], &c, 1), 0);
	tap_err(shutdown(sv[0], 9), EINVAL);
	tap_err(shutdown(777, SHUT_RD), EBADF);
	tap_err(shutdown(0 + tap_file("f", ""), SHUT_RD), ENOTSOCK);
}

static void peek_and_waitall(void)
{
	char buf[8] = "";

	pair(SOCK_STREAM);
	write(sv[0], "abc", 3);
	tap_eq(recv(sv[1], buf, 8, MSG_PEEK), 3);
	tap_eq(recv(sv[1], buf, 2, MSG_PEEK), 2);
	tap_eq(recv(sv[1], buf, 8, 0), 3);
	tap_err(recv(sv[1], buf, 8, MSG_DONTWAIT), EAGAIN);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(recv(sv[1], buf, 6, MSG_WAITALL), 6);
		tap_eq(memcmp(buf, "123456", 6), 0);
		tap_leave();
	}
	write(sv[0], "123", 3);
	tap_await_state(kid, 'S');
	write(sv[0], "456", 3);
	tap_join(kid);
}

static void flow_control(void)
{
	static char page[4096];
	long sent = 0, got = 0, n;

	pair(SOCK_STREAM);
	tap_must(fcntl(sv[0], F_SETFL, O_NONBLOCK));
	while ((n = write(sv[0], page, sizeof(page))) > 0)
		sent += n;
	tap_eq(errno, EAGAIN);
	tap_ok(sent >= 65536);
	struct pollfd p = { sv[0], POLLOUT, 0 };
	tap_eq(poll(&p, 1, 0), 0);
	while (got < sent && (n = read(sv[1], page, sizeof(page))) > 0)
		got += n;
	tap_eq(got, sent);
	tap_eq(poll(&p, 1, 0), 1);
}

static void a_lot_of_data_arrives_whole(void)
{
	static unsigned char out[400000], in[400000];
	size_t have = 0;

	pair(SOCK_STREAM);
	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = i * 11 + (i >> 9);
	pid_t kid = tap_fork();
	if (kid == 0) {
		size_t done = 0;

		while (done < sizeof(out))
			done += tap_must(write(sv[0], out + done, sizeof(out) - done));
		tap_leave();
	}
	close(sv[0]);
	for (ssize_t n; (n = read(sv[1], in + have, sizeof(in) - have)) > 0;)
		have += n;
	tap_eq(have, sizeof(out));
	tap_eq(memcmp(in, out, sizeof(out)), 0);
	tap_join(kid);
}

static void options(void)
{
	int v = -1;
	socklen_t n = sizeof(v);
	struct ucred cr;

	pair(SOCK_STREAM);
	tap_must(getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &v, &n));
	tap_eq(v, SOCK_STREAM);
	tap_must(getsockopt(sv[0], SOL_SOCKET, SO_DOMAIN, &v, &n));
	tap_eq(v, AF_UNIX);
	tap_must(getsockopt(sv[0], SOL_SOCKET, SO_ERROR, &v, &n));
	tap_eq(v, 0);
	tap_must(getsockopt(sv[0], SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
	tap_eq(v, 0);
	n = sizeof(cr);
	tap_must(getsockopt(sv[0], SOL_SOCKET, SO_PEERCRED, &cr, &n));
	tap_eq(cr.pid, getpid());
	tap_eq(cr.uid, 0);
	v = 8192;
	tap_must(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
	n = sizeof(v);
	tap_must(getsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &v, &n));
	tap_eq(v, 16384);				/* doubled, as documented */
	struct { long s, us; } tv = { 0, 30000 };
	tap_must(setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	char c;
	tap_err(recv(sv[0], &c, 1, 0), EAGAIN);
	tap_err(getsockopt(sv[0], SOL_SOCKET, 9999, &v, &n), ENOPROTOOPT);
	tap_err(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &v, 1), EINVAL);
	tap_efault_each(p, getsockopt(sv[0], SOL_SOCKET, SO_TYPE, p, &n));
	tap_efault_each(p, getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &v, p));
	tap_efault_each(p, setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, p, 4));
	write(sv[1], "12345", 5);
	tap_must(ioctl(sv[0], FIONREAD, &v));
	tap_eq(v, 5);
}

static void socket_errors(void)
{
	tap_err(socket(AF_UNIX, 99, 0), EINVAL);
	tap_err(socket(AF_UNIX, SOCK_STREAM, 99), EPROTONOSUPPORT);
	tap_err(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	tap_err(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
	tap_efault_each(p, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, p));
	int fd = tap_must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	tap_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	char c;
	tap_err(read(fd, &c, 1), EINVAL);		/* not connected */
	tap_err(send(fd, "x", 1, MSG_NOSIGNAL), ENOTCONN);
	tap_err(getpeername(fd, (void *)&(struct sockaddr_un){ 0 }, &(socklen_t){ 100 }), ENOTCONN);
	pair(SOCK_STREAM);
	tap_efault_each(p, send(sv[0], p, 10, 0));
	write(sv[0], "abc", 3);
	tap_err(recv(sv[1], tap_page_none(), 3, 0), EFAULT);
}

TAP_MAIN(
	CASE(a_pair_talks_both_ways),
	CASE(connect_and_accept),
	CASE(accept4_flags_and_waiting),
	CASE(connect_errors),
	CASE(bind_errors),
	CASE(abstract_names),
	CASE(autobind),
	CASE(the_backlog_is_limited),
	CASE(end_of_file_and_broken_pipe),
	CASE(unread_data_at_close_is_a_reset),
	CASE(shutdown_each_way),
	CASE(peek_and_waitall),
	CASE(flow_control),
	CASE(a_lot_of_data_arrives_whole),
	CASE(options),
	CASE(socket_errors),
)
