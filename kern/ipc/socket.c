/*
 * Sockets of any family: files, options that all share, the family table.
 * socket(2), socket(7).  The struct belongs to its file; families free it in
 * ops->release.
 */
#include <arch/usercopy.h>
#include <base/string.h>
#include <core/clock.h>
#include <core/uio.h>
#include <mem/slab.h>
#include "ipc_priv.h"
#include "sock_priv.h"

#define S_IFSOCK 0140000u
#define SOCK_BUF_DEFAULT 212992u
#define SOCK_BUF_MIN	 2304u
enum { SO_DEBUG = 1, SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE,
	SO_PRIORITY = 12, SO_LINGER = 13, SO_REUSEPORT = 15, SO_PASSCRED = 16, SO_PEERCRED, SO_RCVLOWAT, SO_SNDLOWAT, SO_RCVTIMEO,
	SO_SNDTIMEO, SO_ACCEPTCONN = 30, SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_PROTOCOL = 38, SO_DOMAIN = 39 };

static const struct sock_family *families[8];	/* const after boot */
static u32 nfamilies;
static struct superblock *sock_sb;		/* const after boot */
static const struct file_ops socket_fops;
static struct fs_type sockfs_type = { .name = "sockfs", .nodev = true };

void sock_family_register(const struct sock_family *f)
{
	VERIFY(nfamilies < ARRAY_LEN(families));
	families[nfamilies++] = f;
}

static const struct sock_family *family_find(u32 family)
{
	for (u32 i = 0; i < nfamilies; i++)
		if (families[i]->family == family)
			return families[i];
	return NULL;
}

void sock_base_init(struct socket *s, const struct sock_ops *ops, u32 family, u32 type, u32 protocol)
{
	s->ops = ops;
	s->family = family;
	s->type = type;
	s->protocol = protocol;
	s->sndbuf = s->rcvbuf = SOCK_BUF_DEFAULT;
	fasync_init(&s->async);
}

u64 sock_deadline(u64 timeout_ns)
{
	return timeout_ns ? clock_mono_ns() + timeout_ns : ~0ull;
}

int sock_take_error(struct socket *s)
{
	return -__atomic_exchange_n(&s->error, 0, __ATOMIC_SEQ_CST);
}

static struct socket *file_socket(struct file *f)
{
	return f->ops == &socket_fops ? f->priv : NULL;
}

bool file_is_socket(struct file *f)
{
	return file_socket(f);
}

/* --- as files ---------------------------------------------------------------- */

static i64 socket_read(struct file *f, struct uio *dst, u64 *pos)
{
	struct msghdr_k m = { .uio = dst };

	return socket_recvmsg(f, &m, 0, false);
}

static i64 socket_write(struct file *f, struct uio *src, u64 *pos)
{
	struct msghdr_k m = { .uio = src };

	return socket_sendmsg(f, &m, 0);
}

static u32 socket_poll(struct file *f, struct poll_table *pt)
{
	struct socket *s = f->priv;

	return s->ops->poll(s, f, pt);
}

static i64 socket_ioctl(struct file *f, u32 cmd, u64 arg)
{
	struct socket *s = f->priv;

	return s->ops->ioctl ? s->ops->ioctl(s, cmd, arg) : -ENOTTY;
}

static void socket_fasync(struct file *f, bool on)
{
	struct socket *s = f->priv;

	fasync_set(&s->async, f, on);
}

static void socket_release(struct file *f)
{
	struct socket *s = f->priv;

	s->ops->release(s);
}

static const struct file_ops socket_fops = {
	.read = socket_read, .write = socket_write, .poll = socket_poll, .ioctl = socket_ioctl, .fasync = socket_fasync, .release = socket_release,
};

/* Takes over s whatever the result. */
static int socket_file(struct socket *s, struct file **out)
{
	struct vnode *vn = vnode_create(sock_sb, 0, S_IFSOCK | 0777, NULL, NULL);	/* never opened by name: -ENXIO */

	if (vn) {
		s->ino = vn->ino;
		vn->uid = vfs_self()->cred->fsuid;
		vn->gid = vfs_self()->cred->fsgid;
		*out = file_create_vnode(vn, &socket_fops, "socket", FILE_READ | FILE_WRITE | FILE_STREAM, 2, s);
		if (*out)
			return 0;
	}
	s->ops->release(s);
	return -ENOMEM;
}

int socket_create(u32 family, u32 type, u32 protocol, struct file **out)
{
	const struct sock_family *fam = family_find(family);
	struct socket *s;
	int err;

	if (type > 10 || family >= 46)
		return type > 10 ? -EINVAL : -EAFNOSUPPORT;
	if (!fam)
		return -EAFNOSUPPORT;
	err = fam->create(type, protocol, &s);
	return err ? err : socket_file(s, out);
}

int socket_pair(u32 family, u32 type, u32 protocol, struct file **a, struct file **b)
{
	const struct sock_family *fam = family_find(family);
	struct socket *x, *y;
	int err;

	if (!fam)
		return -EAFNOSUPPORT;
	if (!fam->pair)
		return -EOPNOTSUPP;
	err = fam->pair(type, protocol, &x, &y);
	if (err)
		return err;
	err = socket_file(x, a);
	if (err) {
		y->ops->release(y);
		return err;
	}
	err = socket_file(y, b);
	if (err)
		file_put(*a);
	return err;
}

/* --- calls -------------------------------------------------------------------- */

#define SOCKET_OR_RETURN(s, f)			\
	struct socket *s = file_socket(f);	\
	if (!s)					\
		return -ENOTSOCK

int socket_bind(struct file *f, const struct sockaddr_k *sa, u32 len)
{
	SOCKET_OR_RETURN(s, f);
	return s->ops->bind(s, sa, len);
}

int socket_listen(struct file *f, int backlog)
{
	SOCKET_OR_RETURN(s, f);
	return s->ops->listen(s, backlog < 0 || backlog > 4096 ? 4096 : (u32)backlog);
}

int socket_connect(struct file *f, const struct sockaddr_k *sa, u32 len)
{
	SOCKET_OR_RETURN(s, f);
	return s->ops->connect(s, sa, len, f->flags & O_NONBLOCK);
}

int socket_accept(struct file *f, struct sockaddr_k *peer, u32 *len, struct file **out)
{
	SOCKET_OR_RETURN(s, f);
	struct socket *conn;
	int err = s->ops->accept(s, f->flags & O_NONBLOCK, &conn);

	if (err)
		return err;
	if (peer) {
		*len = 0;
		DISCARD(conn->ops->name(conn, true, peer, len));	/* a peer that is gone again has no name */
	}
	return socket_file(conn, out);
}

int socket_name(struct file *f, bool peer, struct sockaddr_k *sa, u32 *len)
{
	SOCKET_OR_RETURN(s, f);
	return s->ops->name(s, peer, sa, len);
}

int socket_shutdown(struct file *f, int how)
{
	SOCKET_OR_RETURN(s, f);
	if (how < 0 || how > 2)
		return -EINVAL;
	return s->ops->shutdown(s, (u32)how + 1);
}

i64 socket_sendmsg(struct file *f, struct msghdr_k *m, u32 flags)
{
	SOCKET_OR_RETURN(s, f);
	if (f->flags & O_NONBLOCK)
		flags |= MSG_DONTWAIT;
	i64 ret = s->ops->sendmsg(s, m, flags);

	if (ret == -EPIPE && !(flags & MSG_NOSIGNAL) && s->type == SOCK_STREAM && vfs_sigpipe_hook)
		vfs_sigpipe_hook();
	return ret;
}

i64 socket_recvmsg(struct file *f, struct msghdr_k *m, u32 flags, bool cloexec_fds)
{
	SOCKET_OR_RETURN(s, f);
	if (f->flags & O_NONBLOCK)
		flags |= MSG_DONTWAIT;
	return s->ops->recvmsg(s, m, flags, cloexec_fds || (flags & MSG_CMSG_CLOEXEC));
}

/* --- options ------------------------------------------------------------------- */

struct ktimeval { i64 sec, usec; };

static int set_timeout(u64 *field, const void *val, u32 len)
{
	struct ktimeval tv;

	if (len < sizeof(tv))
		return -EINVAL;
	memcpy(&tv, val, sizeof(tv));
	if (tv.usec < 0 || tv.usec >= 1000000)
		return -EDOM;
	*field = tv.sec < 0 ? 1 : (u64)MIN(tv.sec, 1ll << 33) * NSEC_PER_SEC + (u64)tv.usec * 1000;
	return 0;
}

static int set_buffer(u32 *field, u32 v)
{
	*field = MAX(MIN(v, SOCK_BUF_DEFAULT) * 2, SOCK_BUF_MIN * 2);
	return 0;
}

int socket_setsockopt(struct file *f, int level, int name, const void *val, u32 len)
{
	SOCKET_OR_RETURN(s, f);
	i32 v;

	if (level != SOL_SOCKET)
		return s->family == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
	if (name == SO_RCVTIMEO || name == SO_SNDTIMEO)
		return set_timeout(name == SO_RCVTIMEO ? &s->rcv_timeout_ns : &s->snd_timeout_ns, val, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, val, sizeof(v));
	switch (name) {
	case SO_REUSEADDR: s->reuseaddr = v; return 0;
	case SO_BROADCAST: s->broadcast = v; return 0;
	case SO_KEEPALIVE: s->keepalive = v; return 0;
	case SO_PASSCRED: s->passcred = v; return 0;
	case SO_LINGER:
		if (len < 8)
			return -EINVAL;
		s->linger_on = v;
		memcpy(&s->linger_s, (const u8 *)val + 4, 4);
		return 0;
	case SO_SNDBUF: return set_buffer(&s->sndbuf, (u32)v);
	case SO_RCVBUF: return set_buffer(&s->rcvbuf, (u32)v);
	case SO_SNDBUFFORCE: case SO_RCVBUFFORCE:
		if (!cred_can(vfs_self()->cred, CAP_NET_ADMIN))
			return -EPERM;
		*(name == SO_SNDBUFFORCE ? &s->sndbuf : &s->rcvbuf) = MAX((u32)v * 2, SOCK_BUF_MIN * 2);
		return 0;
	default: return -ENOPROTOOPT;
	}
}

static i64 give(void *val, u32 size, const void *src, u32 n)
{
	n = MIN(n, size);
	memcpy(val, src, n);
	return n;
}

static i64 give_timeout(void *val, u32 size, u64 ns)
{
	struct ktimeval tv = { (i64)(ns / NSEC_PER_SEC), (i64)(ns % NSEC_PER_SEC / 1000) };

	return give(val, size, &tv, sizeof(tv));
}

i64 socket_getsockopt(struct file *f, int level, int name, void *val, u32 size)
{
	SOCKET_OR_RETURN(s, f);
	i32 v, linger[2] = { s->linger_on, (i32)s->linger_s };

	if (level != SOL_SOCKET)
		return s->family == AF_UNIX ? -EOPNOTSUPP : -ENOPROTOOPT;
	switch (name) {
	case SO_TYPE: v = (i32)s->type; break;
	case SO_DOMAIN: v = (i32)s->family; break;
	case SO_PROTOCOL: v = (i32)s->protocol; break;
	case SO_ERROR: v = -sock_take_error(s); break;
	case SO_SNDBUF: v = (i32)s->sndbuf; break;
	case SO_RCVBUF: v = (i32)s->rcvbuf; break;
	case SO_ACCEPTCONN: v = s->listening; break;
	case SO_PASSCRED: v = s->passcred; break;
	case SO_REUSEADDR: v = s->reuseaddr; break;
	case SO_BROADCAST: v = s->broadcast; break;
	case SO_KEEPALIVE: v = s->keepalive; break;
	case SO_DEBUG: case SO_DONTROUTE: case SO_OOBINLINE: case SO_PRIORITY: case SO_REUSEPORT: v = 0; break;
	case SO_RCVLOWAT: case SO_SNDLOWAT: v = 1; break;
	case SO_LINGER: return give(val, size, linger, sizeof(linger));
	case SO_RCVTIMEO: return give_timeout(val, size, s->rcv_timeout_ns);
	case SO_SNDTIMEO: return give_timeout(val, size, s->snd_timeout_ns);
	default: return s->ops->getsockopt ? s->ops->getsockopt(s, level, name, val, size) : -ENOPROTOOPT;
	}
	return give(val, size, &v, sizeof(v));
}

void socket_init(void)
{
	sock_sb = superblock_create(&sockfs_type, 0);
	VERIFY(sock_sb);
	sock_sb->magic = 0x534F434B;
	unix_init();
}
