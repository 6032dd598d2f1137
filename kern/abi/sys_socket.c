/* Sockets: addresses, names, options. */
#include <core/uio.h>
#include <ipc/socket.h>
#include "abi.h"
#include "socket.h"

#define SOCK_TYPE_MASK 0xf
#define OPTION_MAX     PAGE_SIZE

static int type_flags(int type)
{
	return (type & ~SOCK_TYPE_MASK) & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) ? -EINVAL : 0;
}

i64 sys_socket(struct task *self, int family, int type, int protocol)
{
	struct file *f = NULL;
	int err = type_flags(type);

	if (!err)
		err = socket_create((u32)family, (u32)type & SOCK_TYPE_MASK, (u32)protocol, &f);
	if (err)
		return err;
	if (type & SOCK_NONBLOCK)
		f->flags |= O_NONBLOCK;		/* nobody else has it yet */
	return fd_install_new(self, f, type & SOCK_CLOEXEC);
}

i64 sys_socketpair(struct task *self, int family, int type, int protocol, uptr_t fds)
{
	struct file *a = NULL, *b = NULL;
	int err = type_flags(type);

	if (!err)
		err = socket_pair((u32)family, (u32)type & SOCK_TYPE_MASK, (u32)protocol, &a, &b);
	if (err)
		return err;
	if (type & SOCK_NONBLOCK) {
		a->flags |= O_NONBLOCK;
		b->flags |= O_NONBLOCK;
	}
	return fd_install_pair(self, a, b, type & SOCK_CLOEXEC, fds);
}

int socket_check(const struct fd_ref *r)
{
	if (!r->file)
		return -EBADF;
	return file_is_socket(r->file) ? 0 : -ENOTSOCK;
}

int sockaddr_in(struct sockaddr_k *sa, uptr_t addr, int len)
{
	if (len < 0 || (u32)len > sizeof(*sa))
		return -EINVAL;
	memset(sa, 0, sizeof(*sa));
	return len && user_copy_in(sa, addr, (u64)len) ? -EFAULT : 0;
}

int sockaddr_out(const struct sockaddr_k *sa, u32 len, uptr_t addr, uptr_t ulen)
{
	i32 room;

	if (user_get(&room, ulen))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (user_copy_out(addr, sa, MIN(MIN((u32)room, len), (u32)sizeof(*sa))))
		return -EFAULT;
	room = (i32)len;
	return user_put(ulen, &room);
}

i64 sys_bind(struct task *self, int fd, uptr_t addr, int len)
{
	AUTO_FD r = fd_use(self, fd);
	struct sockaddr_k sa;
	int err = socket_check(&r);

	if (!err)
		err = sockaddr_in(&sa, addr, len);
	return err ? err : socket_bind(r.file, &sa, (u32)len);
}

i64 sys_connect(struct task *self, int fd, uptr_t addr, int len)
{
	AUTO_FD r = fd_use(self, fd);
	struct sockaddr_k sa;
	int err = socket_check(&r);

	if (!err)
		err = sockaddr_in(&sa, addr, len);
	return err ? err : socket_connect(r.file, &sa, (u32)len);
}

i64 sys_listen(struct task *self, int fd, int backlog)
{
	AUTO_FD r = fd_use(self, fd);
	int err = socket_check(&r);

	return err ? err : socket_listen(r.file, backlog);
}

i64 sys_shutdown(struct task *self, int fd, int how)
{
	AUTO_FD r = fd_use(self, fd);
	int err = socket_check(&r);

	if (err)
		return err;
	return how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : socket_shutdown(r.file, how);
}

i64 sys_accept4(struct task *self, int fd, uptr_t addr, uptr_t len, int flags)
{
	struct sockaddr_k sa;
	struct file *f = NULL;
	u32 salen = sizeof(sa);
	int err, nfd;

	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	err = socket_check(&r);
	if (err)
		return err;
	nfd = fdtable_reserve(self->vfs.fds, 0, flags & SOCK_CLOEXEC, fd_limit(self));
	if (nfd < 0)
		return nfd;
	err = socket_accept(r.file, &sa, &salen, &f);
	if (!err && !uptr_is_null(addr)) {
		err = sockaddr_out(&sa, salen, addr, len);
		if (err)
			file_put(f);
	}
	if (err) {
		fdtable_unreserve(self->vfs.fds, nfd);
		return err;
	}
	if (flags & SOCK_NONBLOCK)
		f->flags |= O_NONBLOCK;
	fdtable_fill(self->vfs.fds, nfd, f);
	return nfd;
}

i64 sys_accept(struct task *self, int fd, uptr_t addr, uptr_t len)
{
	return sys_accept4(self, fd, addr, len, 0);
}

static i64 name_out(struct task *self, int fd, bool peer, uptr_t addr, uptr_t len)
{
	AUTO_FD r = fd_use(self, fd);
	struct sockaddr_k sa;
	u32 salen = sizeof(sa);
	int err = socket_check(&r);

	if (!err)
		err = socket_name(r.file, peer, &sa, &salen);
	return err ? err : sockaddr_out(&sa, salen, addr, len);
}

i64 sys_getsockname(struct task *self, int fd, uptr_t addr, uptr_t len)
{
	return name_out(self, fd, false, addr, len);
}

i64 sys_getpeername(struct task *self, int fd, uptr_t addr, uptr_t len)
{
	return name_out(self, fd, true, addr, len);
}

i64 sys_setsockopt(struct task *self, int fd, int level, int name, uptr_t val, int len)
{
	AUTO(kptr) buf = NULL;
	int err;

	if (len < 0)
		return -EINVAL;
	AUTO_FD r = fd_use(self, fd);
	err = socket_check(&r);
	if (err)
		return err;
	if ((u64)len > OPTION_MAX)
		return -EINVAL;
	buf = kzalloc((u64)len + sizeof(u64));
	if (!buf)
		return -ENOMEM;
	if (user_copy_in(buf, val, (u64)len))
		return -EFAULT;
	return socket_setsockopt(r.file, level, name, buf, (u32)len);
}

i64 sys_getsockopt(struct task *self, int fd, int level, int name, uptr_t val, uptr_t len)
{
	AUTO(kptr) buf = NULL;
	i32 size;
	i64 n;
	int err;

	AUTO_FD r = fd_use(self, fd);
	err = socket_check(&r);
	if (err)
		return err;
	if (user_get(&size, len))
		return -EFAULT;
	if (size < 0)
		return -EINVAL;
	size = MIN(size, (i32)OPTION_MAX);
	buf = kzalloc((u64)size + sizeof(u64));
	if (!buf)
		return -ENOMEM;
	n = socket_getsockopt(r.file, level, name, buf, (u32)size);
	if (n < 0)
		return n;
	size = (i32)n;
	if (user_copy_out(val, buf, (u64)n) || user_put(len, &size))
		return -EFAULT;
	return 0;
}
