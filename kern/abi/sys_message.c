/* Messages of sockets: sendto, recvfrom, sendmsg, recvmsg and the many-message forms. */
#include <core/uio.h>
#include <ipc/socket.h>
#include "abi.h"
#include "socket.h"

#define CONTROL_MAX 4096u	/* more than 253 descriptors and credentials take */

i64 sys_sendto(struct task *self, int fd, uptr_t buf, u64 count, u32 flags, uptr_t addr, int len)
{
	struct uio u;
	struct msghdr_k m = { .uio = &u };
	int err;

	count = MIN(count, MAX_RW_COUNT);
	if (!user_range_ok(buf, count))
		return -EFAULT;
	AUTO_FD r = fd_use(self, fd);
	err = socket_check(&r);
	if (!err && !uptr_is_null(addr)) {
		err = sockaddr_in(&m.name, addr, len);
		m.name_len = (u32)len;
	}
	if (err)
		return err;
	uio_init_user(&u, buf, count);
	return socket_sendmsg(r.file, &m, flags & ~(u32)MSG_CMSG_CLOEXEC);
}

i64 sys_recvfrom(struct task *self, int fd, uptr_t buf, u64 count, u32 flags, uptr_t addr, uptr_t len)
{
	struct uio u;
	struct msghdr_k m = { .uio = &u };
	i64 n;

	count = MIN(count, MAX_RW_COUNT);
	if (!user_range_ok(buf, count))
		return -EFAULT;
	AUTO_FD r = fd_use(self, fd);
	n = socket_check(&r);
	if (n)
		return n;
	uio_init_user(&u, buf, count);
	n = socket_recvmsg(r.file, &m, flags, false);
	if (n >= 0 && !uptr_is_null(addr)) {
		int err = sockaddr_out(&m.name, m.name_len, addr, len);

		if (err)
			return err;
	}
	return n;
}

/* A message header read from the user, with its vector and control buffer. */
struct message {
	struct msghdr_user_k u;
	struct msghdr_k m;
	struct uio uio;
	struct iov_buf iov;
	u8 *control;
};

static void message_drop(struct message *msg)
{
	iov_free(&msg->iov);
	kfree(msg->control);
}
#define AUTO_MESSAGE struct message __attribute__((cleanup(message_drop)))

/* Header and vector: what both directions need.  Leaves msg droppable in every case. */
static int message_in(struct message *msg, uptr_t p)
{
	int err;

	msg->control = NULL;
	msg->iov.seg = msg->iov.fast;
	memset(&msg->m, 0, sizeof(msg->m));
	if (user_get(&msg->u, p))
		return -EFAULT;
	if (!msg->u.name)
		msg->u.namelen = 0;
	if (msg->u.namelen < 0)
		return -EINVAL;
	msg->u.namelen = MIN(msg->u.namelen, (i32)sizeof(struct sockaddr_k));
	if (msg->u.iovlen > UIO_MAXIOV)
		return -EMSGSIZE;
	err = iov_import(&msg->iov, UPTR(msg->u.iov), msg->u.iovlen);
	if (err)
		return err;
	uio_init_user_total(&msg->uio, msg->iov.seg, msg->iov.nseg, msg->iov.total);
	msg->m.uio = &msg->uio;
	return 0;
}

static i64 send_one(struct file *f, uptr_t p, u32 flags)
{
	AUTO_MESSAGE msg;
	int err = message_in(&msg, p);

	if (!err && msg.u.namelen) {
		err = sockaddr_in(&msg.m.name, UPTR(msg.u.name), msg.u.namelen);
		msg.m.name_len = (u32)msg.u.namelen;
	}
	if (err)
		return err;
	if (msg.u.controllen > CONTROL_MAX)
		return -ENOBUFS;
	if (msg.u.control && msg.u.controllen) {
		msg.control = kmalloc(msg.u.controllen);
		if (!msg.control)
			return -ENOBUFS;
		if (user_copy_in(msg.control, UPTR(msg.u.control), msg.u.controllen))
			return -EFAULT;
		msg.m.control = msg.control;
		msg.m.control_len = msg.u.controllen;
	}
	return socket_sendmsg(f, &msg.m, flags & ~(u32)MSG_CMSG_CLOEXEC);
}

/* Gives back name, control data, their lengths and the flags. */
static int message_out(struct message *msg, uptr_t p, u32 flags)
{
	struct msghdr_user_k *u = &msg->u;
	i32 namelen = (i32)msg->m.name_len;
	u64 controllen = msg->m.control_len;
	u32 out_flags = (msg->m.flags & ~(u32)MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC);

	if (u->name) {
		if (user_copy_out(UPTR(u->name), &msg->m.name, MIN((u32)u->namelen, msg->m.name_len)))
			return -EFAULT;
		if (user_put(uptr_add(p, offsetof(struct msghdr_user_k, namelen)), &namelen))
			return -EFAULT;
	}
	if (msg->control && user_copy_out(UPTR(u->control), msg->control, controllen))
		return -EFAULT;
	if (user_put(uptr_add(p, offsetof(struct msghdr_user_k, controllen)), &controllen))
		return -EFAULT;
	return user_put(uptr_add(p, offsetof(struct msghdr_user_k, flags)), &out_flags);
}

static i64 recv_one(struct file *f, uptr_t p, u32 flags)
{
	AUTO_MESSAGE msg;
	i64 n = message_in(&msg, p);

	if (n)
		return n;
	if (msg.u.control && msg.u.controllen) {
		msg.m.control_len = MIN(msg.u.controllen, (u64)CONTROL_MAX);
		msg.control = kzalloc(msg.m.control_len);
		if (!msg.control)
			return -ENOMEM;
		msg.m.control = msg.control;
	}
	n = socket_recvmsg(f, &msg.m, flags & ~(u32)MSG_CMSG_CLOEXEC, flags & MSG_CMSG_CLOEXEC);
	if (n >= 0) {
		int err = message_out(&msg, p, flags);

		if (err)
			return err;
	}
	return n;
}

i64 sys_sendmsg(struct task *self, int fd, uptr_t msg, u32 flags)
{
	AUTO_FD r = fd_use(self, fd);
	int err = socket_check(&r);

	return err ? err : send_one(r.file, msg, flags);
}

i64 sys_recvmsg(struct task *self, int fd, uptr_t msg, u32 flags)
{
	AUTO_FD r = fd_use(self, fd);
	int err = socket_check(&r);

	return err ? err : recv_one(r.file, msg, flags);
}

static i64 put_len(uptr_t at, i64 n)
{
	u32 len = (u32)n;

	return user_put(uptr_add(at, offsetof(struct mmsghdr_user_k, len)), &len);
}

i64 sys_sendmmsg(struct task *self, int fd, uptr_t msgs, u32 vlen, u32 flags)
{
	AUTO_FD r = fd_use(self, fd);
	i64 n = socket_check(&r);
	u32 done = 0;

	if (n)
		return n;
	vlen = MIN(vlen, UIO_MAXIOV);
	for (; done < vlen; done++) {
		uptr_t at = uptr_add(msgs, done * sizeof(struct mmsghdr_user_k));

		n = send_one(r.file, at, flags);
		if (n >= 0)
			n = put_len(at, n);
		if (n < 0)
			break;
	}
	return done ? (i64)done : n;
}

static i64 recv_many(struct file *f, uptr_t msgs, u32 vlen, u32 flags, u64 deadline)
{
	u32 done = 0;
	i64 n = 0;

	while (done < vlen) {
		uptr_t at = uptr_add(msgs, done * sizeof(struct mmsghdr_user_k));

		n = recv_one(f, at, flags & ~(u32)MSG_WAITFORONE);
		if (n >= 0)
			n = put_len(at, n);
		if (n < 0)
			break;
		done++;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		/* The time limit is looked at after each message only, as Linux does. */
		if (deadline != DEADLINE_NEVER && !deadline_left(deadline))
			break;
	}
	return done ? (i64)done : n;
}

i64 sys_recvmmsg(struct task *self, int fd, uptr_t msgs, u32 vlen, u32 flags, uptr_t timeout)
{
	u64 ns, deadline = DEADLINE_NEVER;
	i64 n;

	if (!uptr_is_null(timeout)) {
		int err = user_timespec(timeout, &ns);

		if (err)
			return err;
		deadline = deadline_after(ns);
	}
	AUTO_FD r = fd_use(self, fd);
	n = socket_check(&r);
	if (n)
		return n;
	n = recv_many(r.file, msgs, MIN(vlen, UIO_MAXIOV), flags, deadline);
	if (n > 0 && !uptr_is_null(timeout)) {
		struct timespec_k left = ns_to_timespec(deadline_left(deadline));

		if (user_put(timeout, &left))
			return -EFAULT;
	}
	return n;
}
