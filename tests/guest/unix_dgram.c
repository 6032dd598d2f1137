/* Unix datagram and seqpacket sockets; SCM_RIGHTS and SCM_CREDENTIALS; sendmsg and recvmsg. */
#include "tap.h"

#include <poll.h>
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
	strcpy(a->sun_path, path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static int bound(const char *path)
{
	struct sockaddr_un a;
	int fd = tap_must(socket(AF_UNIX, SOCK_DGRAM, 0));

	tap_must(bind(fd, (void *)&a, name(&a, path)));
	return fd;
}

static void datagrams_keep_their_bounds(void)
{
	char buf[16] = "";

	pair(SOCK_DGRAM);
	send(sv[0], "one", 3, 0);
	send(sv[0], "", 0, 0);
	send(sv[0], "three", 5, 0);
	tap_eq(recv(sv[1], buf, 16, 0), 3);
	tap_eq(recv(sv[1], buf, 16, 0), 0);
	tap_eq(recv(sv[1], buf, 2, 0), 2);		/* the rest is dropped */
	tap_err(recv(sv[1], buf, 16, MSG_DONTWAIT), EAGAIN);
	send(sv[0], "12345", 5, 0);
	tap_eq(recv(sv[1], buf, 2, MSG_TRUNC), 5);	/* the true length */
}

static void addresses_travel(void)
{
	struct sockaddr_un a;
	socklen_t n = sizeof(a);
	char buf[8];
	int x = bound("x"), y = bound("y"), z = tap_must(socket(AF_UNIX, SOCK_DGRAM, 0));

	tap_eq(sendto(x, "hi", 2, 0, (void *)&a, name(&a, "y")), 2);
	tap_eq(recvfrom(y, buf, 8, 0, (void *)&a, &n), 2);
	tap_str(a.sun_path, "x");
	tap_eq(sendto(z, "anon", 4, 0, (void *)&a, name(&a, "y")), 4);
	n = sizeof(a);
	tap_eq(recvfrom(y, buf, 8, 0, (void *)&a, &n), 4);
	tap_eq(n, 0);					/* the sender has no name */
	tap_must(connect(z, (void *)&a, name(&a, "y")));
	tap_eq(send(z, "c", 1, 0), 1);
	tap_must(connect(z, (void *)&a, name(&a, "x")));	/* may change its mind */
	tap_eq(send(z, "d", 1, 0), 1);
	tap_eq(recv(x, buf, 8, 0), 1);
	tap_eq(buf[0], 'd');
	a.sun_family = AF_UNSPEC;
	tap_must(connect(z, (void *)&a, 2));
	tap_err(send(z, "e", 1, 0), ENOTCONN);
}

static void dgram_errors(void)
{
	struct sockaddr_un a;
	int x = bound("x");
	static char big[300000];

	tap_err(sendto(x, "a", 1, 0, (void *)&a, name(&a, "absent")), ENOENT);
	int y = bound("y");
	close(y);
	tap_err(sendto(x, "a", 1, 0, (void *)&a, name(&a, "y")), ECONNREFUSED);
	tap_err(send(x, "a", 1, 0), ENOTCONN);
	pair(SOCK_DGRAM);
	tap_err(send(sv[0], big, sizeof(big), 0), EMSGSIZE);
	close(sv[1]);
	tap_err(send(sv[0], "a", 1, 0), ECONNREFUSED);
	tap_efault_each(p, sendto(x, "a", 1, 0, p, 20));
	tap_efault_each(p, sendto(x, p, 1, 0, (void *)&a, name(&a, "x")));
}

static void a_full_receiver_blocks_the_sender(void)
{
	int sent = 0;

	pair(SOCK_DGRAM);
	while (send(sv[0], "x", 1, MSG_DONTWAIT) == 1)
		sent++;
	tap_eq(errno, EAGAIN);
	tap_ok(sent >= 10);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(send(sv[0], "y", 1, 0), 1);
		tap_leave();
	}
	tap_await_state(kid, 'S');
	char c;
	for (int i = 0; i < sent; i++)
		tap_need(recv(sv[1], &c, 1, 0) == 1);
	tap_join(kid);
	tap_eq(recv(sv[1], &c, 1, 0), 1);
	tap_eq(c, 'y');
}

static void seqpacket_is_connected_and_keeps_bounds(void)
{
	char buf[8];

	pair(SOCK_SEQPACKET);
	send(sv[0], "one", 3, 0);
	send(sv[0], "two", 3, 0);
	tap_eq(recv(sv[1], buf, 8, 0), 3);
	tap_eq(recv(sv[1], buf, 1, 0), 1);
	tap_err(recv(sv[1], buf, 8, MSG_DONTWAIT), EAGAIN);
	close(sv[0]);
	tap_eq(recv(sv[1], buf, 8, 0), 0);
	tap_err(send(sv[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	struct sockaddr_un a;
	int s = tap_must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	int c = tap_must(socket(AF_UNIX, SOCK_SEQPACKET, 0));
	tap_must(bind(s, (void *)&a, name(&a, "seq")));
	tap_must(listen(s, 1));
	tap_must(connect(c, (void *)&a, name(&a, "seq")));
	int t = tap_must(accept(s, NULL, NULL));
	send(c, "hi", 2, 0);
	tap_eq(recv(t, buf, 8, 0), 2);
}

/* -- messages -- */

static long send_fds(int sock, const int *fds, int n)
{
	union { char buf[CMSG_SPACE(sizeof(int) * 300)]; struct cmsghdr align; } u;
	struct iovec v = { "m", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.buf,
			    .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	memset(u.buf, 0, sizeof(u.buf));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	return syscall(SYS_sendmsg, sock, &m, 0);	/* the wrapper has limits of its own */
}

/* How many descriptors came; flags and the descriptors by pointer. */
static int recv_fds(int sock, int *fds, int room, int flags, int *msg_flags)
{
	union { char buf[CMSG_SPACE(sizeof(int) * 300)]; struct cmsghdr align; } u;
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.buf,
			    .msg_controllen = room ? CMSG_SPACE(sizeof(int) * room) : 0 };

	tap_eq(recvmsg(sock, &m, flags), 1);
	*msg_flags = m.msg_flags;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return 0;
	int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}

static void descriptors_can_be_passed(void)
{
	int fd[3], got[3], flags;
	char buf[8] = "";

	pair(SOCK_STREAM);
	fd[0] = tap_file("a", "first");
	fd[1] = tap_file("b", "second");
	pid_t kid = tap_fork();
	if (kid == 0) {
		close(fd[0]);
		close(fd[1]);
		tap_eq(recv_fds(sv[1], got, 3, MSG_CMSG_CLOEXEC, &flags), 2);
		tap_eq(fcntl(got[0], F_GETFD), FD_CLOEXEC);
		tap_eq(read(got[0], buf, 8), 5);
		tap_eq(memcmp(buf, "first", 5), 0);
		tap_eq(read(got[1], buf, 8), 6);
		tap_leave();
	}
	tap_eq(send_fds(sv[0], fd, 2), 1);
	tap_join(kid);
	tap_eq(lseek(fd[0], 0, SEEK_CUR), 5);		/* one open file: one offset */
}

static void a_passed_descriptor_outlives_its_sender(void)
{
	int p[2], got, flags;
	char c;

	pair(SOCK_DGRAM);
	tap_must(pipe(p));
	tap_eq(send_fds(sv[0], &p[1], 1), 1);
	close(p[1]);
	tap_eq(recv_fds(sv[1], &got, 1, 0, &flags), 1);
	tap_eq(write(got, "x", 1), 1);
	close(got);
	tap_eq(read(p[0], &c, 1), 1);
	tap_eq(read(p[0], &c, 1), 0);
}

static void descriptors_in_flight_are_freed(void)
{
	int p[2];
	char c;

	pair(SOCK_STREAM);
	tap_must(pipe(p));
	tap_eq(send_fds(sv[0], &p[1], 1), 1);
	close(p[1]);
	close(sv[0]);
	close(sv[1]);					/* never received */
	tap_eq(read(p[0], &c, 1), 0);
}

static void a_socket_passed_to_itself_is_collected(void)
{
	for (int i = 0; i < 50; i++) {
		pair(SOCK_STREAM);
		tap_eq(send_fds(sv[0], &sv[1], 1), 1);
		tap_eq(send_fds(sv[1], &sv[0], 1), 1);
		close(sv[0]);
		close(sv[1]);
	}
}

static void too_little_room_for_descriptors(void)
{
	int fd[3], got[3], flags, next;

	pair(SOCK_STREAM);
	fd[0] = fd[1] = fd[2] = tap_file("a", "");
	tap_eq(send_fds(sv[0], fd, 3), 1);
	tap_eq(recv_fds(sv[1], got, 0, 0, &flags), 0);
	tap_eq(flags & MSG_CTRUNC, MSG_CTRUNC);
	next = tap_must(dup(0));			/* none was installed */
	tap_eq(next, fd[0] + 1);
	tap_err(send_fds(sv[0], fd, 1) + send_fds(sv[0], (int[]){ 777 }, 1) - 1, EBADF);
	int many[254];
	for (int i = 0; i < 254; i++)
		many[i] = fd[0];
	tap_err(send_fds(sv[0], many, 254), EINVAL);
	tap_eq(send_fds(sv[0], many, 253), 1);
}

static void data_does_not_merge_over_descriptors(void)
{
	char buf[16];
	int fd = tap_file("a", ""), got, flags;

	pair(SOCK_STREAM);
	tap_eq(send_fds(sv[0], &fd, 1), 1);
	write(sv[0], "abc", 3);
	write(sv[0], "def", 3);
	tap_eq(recv_fds(sv[1], &got, 1, 0, &flags), 1);
	tap_eq(read(sv[1], buf, 16), 6);
	tap_eq(send_fds(sv[0], &fd, 1), 1);
	write(sv[0], "abc", 3);
	tap_eq(read(sv[1], buf, 16), 1);		/* stops behind the one with a passenger */
	tap_eq(read(sv[1], buf, 16), 3);
}

static void peeking_at_descriptors(void)
{
	int fd = tap_file("a", "x"), a, b, flags;
	char c;

	pair(SOCK_STREAM);
	tap_eq(send_fds(sv[0], &fd, 1), 1);
	tap_eq(recv_fds(sv[1], &a, 1, MSG_PEEK, &flags), 1);
	tap_eq(recv_fds(sv[1], &b, 1, 0, &flags), 1);
	tap_ok(a != b);
	tap_eq(read(a, &c, 1), 1);
	tap_eq(read(b, &c, 1), 0);
}

static void credentials_come_with_passcred(void)
{
	int on = 1;
	union { char buf[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr align; } u;
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.buf,
			    .msg_controllen = sizeof(u.buf) };

	pair(SOCK_STREAM);
	tap_must(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1001);
		write(sv[0], "x", 1);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(recvmsg(sv[1], &m, 0), 1);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	tap_need(c != NULL);
	tap_eq(c->cmsg_type, SCM_CREDENTIALS);
	struct ucred *cr = (void *)CMSG_DATA(c);
	tap_eq(cr->pid, kid);
	tap_eq(cr->uid, 1000);
	tap_eq(cr->gid, 1001);
}

static long send_cred(int sock, pid_t pid, uid_t uid)
{
	union { char buf[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr align; } u = { { 0 } };
	struct iovec v = { "m", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = u.buf,
			    .msg_controllen = sizeof(u.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct ucred cr = { pid, uid, getgid() };

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(cr));
	memcpy(CMSG_DATA(c), &cr, sizeof(cr));
	return sendmsg(sock, &m, 0);
}

static void credentials_cannot_be_forged_by_users(void)
{
	pair(SOCK_STREAM);
	tap_eq(send_cred(sv[0], getpid(), 55), 1);	/* root may claim what it likes */
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(send_cred(sv[0], getpid(), 0), EPERM);
		tap_err(send_cred(sv[0], 1, 1000), EPERM);
		tap_eq(send_cred(sv[0], getpid(), 1000), 1);
		tap_leave();
	}
	tap_join(kid);
}

static void vectors_and_multiple_messages(void)
{
	char a[4] = "", b[8] = "";
	struct iovec w[2] = { { "abc", 3 }, { "defg", 4 } }, r[2] = { { a, 3 }, { b, 8 } };
	struct msghdr m = { .msg_iov = w, .msg_iovlen = 2 };

	pair(SOCK_DGRAM);
	tap_eq(sendmsg(sv[0], &m, 0), 7);
	m.msg_iov = r;
	tap_eq(recvmsg(sv[1], &m, 0), 7);
	tap_str(a, "abc");
	tap_str(b, "defg");
	struct mmsghdr mm[3] = { { { .msg_iov = w, .msg_iovlen = 1 }, 0 },
				 { { .msg_iov = w + 1, .msg_iovlen = 1 }, 0 },
				 { { .msg_iov = w, .msg_iovlen = 2 }, 0 } };
	tap_eq(sendmmsg(sv[0], mm, 3, 0), 3);
	tap_eq(mm[2].msg_len, 7);
	struct mmsghdr rr[4] = { { { .msg_iov = r + 1, .msg_iovlen = 1 }, 0 },
				 { { .msg_iov = r + 1, .msg_iovlen = 1 }, 0 },
				 { { .msg_iov = r + 1, .msg_iovlen = 1 }, 0 },
				 { { .msg_iov = r + 1, .msg_iovlen = 1 }, 0 } };
	tap_eq(recvmmsg(sv[1], rr, 4, MSG_DONTWAIT, NULL), 3);
	tap_eq(rr[1].msg_len, 4);
	m.msg_iovlen = 2000;
	tap_err(sendmsg(sv[0], &m, 0), EMSGSIZE);
	tap_efault_each(p, syscall(SYS_sendmsg, sv[0], p, 0));
	tap_efault_each(p, syscall(SYS_recvmsg, sv[0], p, MSG_DONTWAIT));
}

TAP_MAIN(
	CASE(datagrams_keep_their_bounds),
	CASE(addresses_travel),
	CASE(dgram_errors),
	CASE(a_full_receiver_blocks_the_sender),
	CASE(seqpacket_is_connected_and_keeps_bounds),
	CASE(descriptors_can_be_passed),
	CASE(a_passed_descriptor_outlives_its_sender),
	CASE(descriptors_in_flight_are_freed),
	CASE(a_socket_passed_to_itself_is_collected),
	CASE(too_little_room_for_descriptors),
	CASE(data_does_not_merge_over_descriptors),
	CASE(peeking_at_descriptors),
	CASE(credentials_come_with_passcred),
	CASE(credentials_cannot_be_forged_by_users),
	CASE(vectors_and_multiple_messages),
)
