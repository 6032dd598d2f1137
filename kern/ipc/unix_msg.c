/*
 * Messages of unix sockets: building, queueing, receiving, passing descriptors.
 * User memory is copied with no spinlock held: a message is complete before it
 * is queued, and a receiver holds rx_lock (sleeping) while it copies.
 */
#include <base/string.h>
#include <core/uio.h>
#include <mem/slab.h>
#include "unix_priv.h"

#define STREAM_CHUNK   16384u
#define SCM_RIGHTS	1
#define SCM_CREDENTIALS 2
#define CMSG_ALIGN(n)	ALIGN_UP((n), 8ul)

u32 sysctl_unix_max_dgram_qlen = 10;

struct cmsghdr_k { u64 len; i32 level, type; };

/* --- freeing --------------------------------------------------------------- */

static spinlock_t dead_lock = SPINLOCK_INIT(LR_FS_PRIV);
static struct list dead = LIST_INIT(dead);	/* dead_lock */
static bool draining;				/* dead_lock */

static void msg_free(struct unix_msg *m)
{
	for (u32 i = 0; i < m->nfds; i++)
		if (m->fds[i])
			file_put(m->fds[i]);
	kfree(m->fds);
	atomic_add(&m->sender->wmem, -(i32)m->charge);
	waitq_wake(&m->sender->space_wait, ~0u, POLLOUT | POLLWRNORM);
	usock_put(m->sender);
	unix_addr_put(m->from);
	kfree(m);
}

/*
 * A file in a message may be a socket whose queue holds messages with files,
 * and so on: whoever finds nobody draining frees in a loop, everyone further
 * down only adds to the list, so the stack stays flat.
 */
void unix_msgs_discard(struct list *msgs)
{
	spin_lock(&dead_lock);
	list_splice_back(&dead, msgs);
	if (draining) {
		spin_unlock(&dead_lock);
		return;
	}
	draining = true;
	for (;;) {
		struct unix_msg *m = list_first(&dead, struct unix_msg, link);

		if (!m)
			break;
		list_remove(&m->link);
		spin_unlock(&dead_lock);
		msg_free(m);
		spin_lock(&dead_lock);
	}
	draining = false;
	spin_unlock(&dead_lock);
}

static void msg_discard(struct unix_msg *m)
{
	struct list one = LIST_INIT(one);

	if (!m->nfds) {
		msg_free(m);
		return;
	}
	list_push_back(&one, &m->link);
	unix_msgs_discard(&one);
}

/* --- sending ----------------------------------------------------------------- */

bool unix_writable(const struct usock *u)
{
	return (u32)atomic_read(&u->wmem) * 4 <= u->base.sndbuf;
}

bool unix_queue_full(const struct usock *u)
{
	return READ_ONCE(u->rx_count) > READ_ONCE(sysctl_unix_max_dgram_qlen);
}

static int take_rights(struct unix_msg *msg, const struct cmsghdr_k *h, const u8 *data)
{
	u32 n = (u32)((h->len - sizeof(*h)) / 4);

	if (msg->nfds + n > UNIX_MAX_FDS)
		return -EINVAL;
	if (!msg->fds)
		msg->fds = kzalloc(UNIX_MAX_FDS * sizeof(*msg->fds));
	if (!msg->fds)
		return -ENOMEM;
	for (u32 i = 0; i < n; i++) {
		i32 fd;

		memcpy(&fd, data + 4 * i, 4);
		struct file *f = fdtable_file(vfs_self()->fds, fd, true);

		if (!f)
			return -EBADF;
		msg->fds[msg->nfds++] = f;
	}
	return 0;
}

static int take_cred(struct unix_msg *msg, const struct cmsghdr_k *h, const u8 *data)
{
	const struct cred *c = vfs_self()->cred;
	struct ucred_k uc;

	if (h->len != sizeof(*h) + sizeof(uc))
		return -EINVAL;
	memcpy(&uc, data, sizeof(uc));
	if ((uc.pid != vfs_self()->tgid && !cred_can(c, CAP_SYS_ADMIN)) ||
	    (uc.uid != c->uid && uc.uid != c->euid && uc.uid != c->suid && !cred_can(c, CAP_SETUID)) ||
	    (uc.gid != c->gid && uc.gid != c->egid && uc.gid != c->sgid && !cred_can(c, CAP_SETGID)))
		return -EPERM;
	msg->cred = uc;
	msg->has_cred = true;
	return 0;
}

static int take_control(struct unix_msg *msg, const struct msghdr_k *m)
{
	u64 at = 0;
	int err = 0;

	while (!err && at + sizeof(struct cmsghdr_k) <= m->control_len) {
		struct cmsghdr_k h;
		const u8 *data = m->control + at + sizeof(h);

		memcpy(&h, m->control + at, sizeof(h));
		if (h.len < sizeof(h) || h.len > m->control_len - at)
			return -EINVAL;
		if (h.level == SOL_SOCKET)
			err = h.type == SCM_RIGHTS ? take_rights(msg, &h, data) : h.type == SCM_CREDENTIALS ? take_cred(msg, &h, data) : -EINVAL;
		at += CMSG_ALIGN(h.len);
	}
	return err;
}

/* A complete message of n bytes from the caller's memory. */
static int msg_build(struct usock *u, struct msghdr_k *m, u32 n, bool with_control, struct unix_msg **out)
{
	struct unix_msg *msg = kmalloc(sizeof(*msg) + n);
	int err = 0;

	if (!msg)
		return -ENOMEM;
	memset(msg, 0, sizeof(*msg));
	list_init(&msg->link);
	msg->sender = usock_get(u);
	msg->len = n;
	msg->charge = n + 256;
	atomic_add(&u->wmem, (i32)msg->charge);
	msg->cred = unix_self_cred();
	if (u->addr) {
		ref_get(&u->addr->refs);
		msg->from = u->addr;
	}
	if (with_control)
		err = take_control(msg, m);
	if (!err) {
		u64 k = uio_copy_in(m->uio, msg->data, n);

		if (k < n) {
			uio_rewind(m->uio, k);
			err = -EFAULT;
		}
	}
	if (err)
		msg_discard(msg);
	else
		*out = msg;
	return err;
}

/* 0: queued; -EPIPE, -ECONNREFUSED: the receiver takes no more. Consumes msg in either case. */
static int deliver(struct usock *to, struct unix_msg *msg, bool stream)
{
	bool ok;

	spin_lock(&to->lock);
	ok = to->state != UNIX_CLOSED && !(to->shutdown & SHUT_RECV);
	if (ok) {
		list_push_back(&to->rx, &msg->link);
		WRITE_ONCE(to->rx_count, to->rx_count + 1);
	}
	spin_unlock(&to->lock);
	if (!ok) {
		bool closed = to->state == UNIX_CLOSED;

		msg_discard(msg);
		return stream || !closed ? -EPIPE : -ECONNREFUSED;
	}
	if (waitq_active(&to->wait))
		waitq_wake_handoff(&to->wait, POLLIN | POLLRDNORM);
	fasync_notify(&to->base.async, POLLIN | POLLRDNORM);
	return 0;
}

/* A sender may go on until its buffer is used up; poll says "writable" below a quarter (unix_writable). */
static bool has_space(const struct usock *u)
{
	return (u32)atomic_read(&u->wmem) < u->base.sndbuf;
}

static int wait_space(struct usock *u, struct usock *peer, u32 flags)
{
	if (has_space(u))
		return 0;
	if (flags & MSG_DONTWAIT)
		return -EAGAIN;
	int err = waitq_wait_intr_until(&u->space_wait, has_space(u) || (READ_ONCE(u->shutdown) & SHUT_SEND) ||
					READ_ONCE(peer->state) == UNIX_CLOSED, sock_deadline(u->base.snd_timeout_ns));

	return err == -ETIMEDOUT ? -EAGAIN : err;
}

static i64 stream_send(struct usock *u, struct msghdr_k *m, u32 flags)
{
	AUTO(usock) peer = unix_peer_get(u);
	i64 done = 0;
	int err = 0;

	if (m->name_len)
		return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	if (!peer)
		return -ENOTCONN;
	while (m->uio->resid && !err) {
		struct unix_msg *msg = NULL;

		if ((READ_ONCE(u->shutdown) & SHUT_SEND) || READ_ONCE(peer->state) == UNIX_CLOSED) {
			err = -EPIPE;
			break;
		}
		err = wait_space(u, peer, flags);
		u32 n = (u32)MIN(m->uio->resid, (u64)STREAM_CHUNK);

		if (!err)
			err = msg_build(u, m, n, !done, &msg);
		if (!err)
			err = deliver(peer, msg, true);
		if (!err)
			done += n;
	}
	return done ? done : err;
}

static int dgram_wait_queue(struct usock *u, struct usock *to, u32 flags)
{
	if (!unix_queue_full(to) || to == u)
		return 0;
	if (flags & MSG_DONTWAIT)
		return -EAGAIN;
	int err = waitq_wait_intr_until(&to->space_wait, !unix_queue_full(to) || READ_ONCE(to->state) == UNIX_CLOSED,
					sock_deadline(u->base.snd_timeout_ns));

	return err == -ETIMEDOUT ? -EAGAIN : err;
}

/* Where a datagram goes: the named socket or the connected one.  Reference in *out. */
static int dgram_target(struct usock *u, struct msghdr_k *m, struct usock **out)
{
	if (m->name_len)
		return unix_find(&m->name, m->name_len, u->base.type, out);
	*out = unix_peer_get(u);
	return *out ? 0 : -ENOTCONN;
}

static i64 dgram_send(struct usock *u, struct msghdr_k *m, u32 flags)
{
	AUTO(usock) to = NULL;
	struct unix_msg *msg;
	u64 n = m->uio->resid;
	bool seq = u->base.type == SOCK_SEQPACKET;
	int err;

	if (seq)
		m->name_len = 0;	/* a connection has one destination: any other is ignored, as on Linux */
	err = dgram_target(u, m, &to);
	if (err)
		return err;
	if (n > u->base.sndbuf - 32)
		return -EMSGSIZE;
	if (READ_ONCE(u->shutdown) & SHUT_SEND)
		return -EPIPE;
	if (READ_ONCE(to->state) == UNIX_CLOSED)
		return seq ? -EPIPE : -ECONNREFUSED;
	if (!seq && READ_ONCE(to->peer) && READ_ONCE(to->peer) != u)
		return -EPERM;
	if (u->base.passcred)
		DISCARD(unix_autobind(u));
	err = wait_space(u, to, flags);
	if (!err)
		err = dgram_wait_queue(u, to, flags);
	if (!err)
		err = msg_build(u, m, (u32)n, true, &msg);
	if (!err)
		err = deliver(to, msg, seq);
	return err ? err : (i64)n;
}

i64 unix_sendmsg(struct socket *s, struct msghdr_k *m, u32 flags)
{
	struct usock *u = unix_of(s);

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	int err = s->type == SOCK_STREAM ? 0 : sock_take_error(s);

	if (err)
		return err;
	return s->type == SOCK_STREAM ? stream_send(u, m, flags) : dgram_send(u, m, flags);
}

/* --- receiving ----------------------------------------------------------------- */

/* Adds one control message; false: no room (MSG_CTRUNC set). */
static bool put_control(struct msghdr_k *m, u64 *used, i32 type, const void *data, u32 n)
{
	struct cmsghdr_k h = { sizeof(h) + n, SOL_SOCKET, type };

	if (*used + h.len > m->control_len) {
		m->flags |= MSG_CTRUNC;
		return false;
	}
	memcpy(m->control + *used, &h, sizeof(h));
	memcpy(m->control + *used + sizeof(h), data, n);
	*used = MIN(*used + CMSG_ALIGN(h.len), m->control_len);
	return true;
}

/* References that recvmsg drops when rx_lock is free again: a last one closes the file, which may take any lock. */
struct spent {
	struct file **fds;
	u32 n;
};

static void spent_put(struct spent *s)
{
	for (u32 i = 0; i < s->n; i++)
		file_put(s->fds[i]);
	kfree(s->fds);
}

static void give_rights(struct unix_msg *msg, struct msghdr_k *m, u64 *used, bool cloexec, struct spent *spent)
{
	i32 fds[UNIX_MAX_FDS];
	u32 n = 0, room = *used + sizeof(struct cmsghdr_k) < m->control_len ?
			  (u32)((m->control_len - *used - sizeof(struct cmsghdr_k)) / 4) : 0;

	for (; n < msg->nfds && n < room; n++) {
		int fd = fdtable_install(vfs_self()->fds, file_get(msg->fds[n]), cloexec, (u32)vfs_self()->nofile_limit);

		if (fd < 0)
			break;
		fds[n] = fd;
	}
	if (n < msg->nfds)
		m->flags |= MSG_CTRUNC;
	if (n)
		put_control(m, used, SCM_RIGHTS, fds, n * 4);
	if (!spent)
		return;
	*spent = (struct spent){ MOVE(msg->fds), msg->nfds };
	msg->nfds = 0;
}

/* spent is NULL for MSG_PEEK: the message keeps its files. */
static void give_control(struct usock *u, struct unix_msg *msg, struct msghdr_k *m, bool cloexec, struct spent *spent)
{
	u64 used = 0;

	if (u->base.passcred)
		put_control(m, &used, SCM_CREDENTIALS, &msg->cred, sizeof(msg->cred));
	if (msg->nfds)
		give_rights(msg, m, &used, cloexec, spent);
	m->control_len = used;
}

static struct unix_msg *rx_first(struct usock *u)
{
	GUARD_SPIN(&u->lock);
	return list_first(&u->rx, struct unix_msg, link);
}

/* The message was read: off the queue and gone. */
static void rx_drop(struct usock *u, struct unix_msg *msg)
{
	spin_lock(&u->lock);
	list_remove(&msg->link);
	WRITE_ONCE(u->rx_count, u->rx_count - 1);
	spin_unlock(&u->lock);
	if (u->base.type != SOCK_STREAM && waitq_active(&u->space_wait))
		waitq_wake_all(&u->space_wait);
	msg_discard(msg);
}

static bool rx_over(struct usock *u)
{
	return (READ_ONCE(u->shutdown) & SHUT_RECV) || READ_ONCE(u->base.error) ||
	       (u->base.type != SOCK_DGRAM && READ_ONCE(u->state) == UNIX_CONNECTED && !READ_ONCE(u->peer));
}

/* 0: there is a message; 1: end of file; -errno.  rx_lock is dropped while asleep. */
static int rx_wait(struct usock *u, u32 flags, u64 deadline) MUST_HOLD(&u->rx_lock)
{
	while (list_empty(&u->rx)) {
		int err = sock_take_error(&u->base);

		if (err)
			return err;
		if (rx_over(u))
			return 1;
		if (flags & MSG_DONTWAIT)
			return -EAGAIN;
		mutex_unlock(&u->rx_lock);
		err = WAIT_LOOP_(&u->wait, !list_empty(&u->rx) || rx_over(u), THREAD_SLEEP_INTR, true, deadline);
		mutex_lock(&u->rx_lock);
		if (err && list_empty(&u->rx))
			return err == -ETIMEDOUT ? -EAGAIN : err;
	}
	return 0;
}

static void give_name(struct unix_msg *msg, struct msghdr_k *m)
{
	m->name_len = 0;
	if (msg->from)
		unix_addr_copy(msg->from, &m->name, &m->name_len);
}

static bool same_cred(const struct unix_msg *a, const struct ucred_k *b)
{
	return a->cred.pid == b->pid && a->cred.uid == b->uid && a->cred.gid == b->gid;
}

struct recv {
	u32 flags;
	bool cloexec;
	u64 deadline;
	struct spent spent;
};

static i64 stream_copy(struct usock *u, struct msghdr_k *m, struct recv *r) MUST_HOLD(&u->rx_lock)
{
	bool peek = r->flags & MSG_PEEK, first = true;
	struct ucred_k cred = { 0 };
	i64 done = 0;

	while (m->uio->resid) {
		int err = done && !(r->flags & MSG_WAITALL) ? rx_first(u) ? 0 : 1 : rx_wait(u, r->flags, r->deadline);

		if (err)
			return done ? done : err == 1 ? 0 : err;
		struct unix_msg *msg = rx_first(u);

		if (!first && (msg->nfds || (u->base.passcred && !same_cred(msg, &cred))))
			break;
		cred = msg->cred;
		u64 want = MIN((u64)msg->len, m->uio->resid);
		u64 k = uio_copy_out(m->uio, msg->data + msg->off, want);

		done += (i64)k;
		if (k < want)
			return done ? done : -EFAULT;
		bool had_fds = msg->nfds;

		if (first) {
			give_name(msg, m);
			give_control(u, msg, m, r->cloexec, peek ? NULL : &r->spent);
			first = false;
		}
		if (peek)
			break;
		msg->off += (u32)k;
		msg->len -= (u32)k;
		if (!msg->len)
			rx_drop(u, msg);
		if (had_fds)
			break;
	}
	return done;
}

static i64 dgram_copy(struct usock *u, struct msghdr_k *m, struct recv *r) MUST_HOLD(&u->rx_lock)
{
	int err = rx_wait(u, r->flags, r->deadline);

	if (err) {
		m->name_len = 0;
		m->control_len = 0;
		return err == 1 ? 0 : err;
	}
	struct unix_msg *msg = rx_first(u);
	u64 want = MIN((u64)msg->len, m->uio->resid);
	i64 ret = r->flags & MSG_TRUNC ? (i64)msg->len : (i64)want;

	if (want < msg->len)
		m->flags |= MSG_TRUNC;
	if (u->base.type == SOCK_SEQPACKET)
		m->flags |= MSG_EOR;
	if (uio_copy_out(m->uio, msg->data, want) != want)
		ret = -EFAULT;
	give_name(msg, m);
	give_control(u, msg, m, r->cloexec, r->flags & MSG_PEEK ? NULL : &r->spent);
	if (!(r->flags & MSG_PEEK))
		rx_drop(u, msg);
	return ret;
}

i64 unix_recvmsg(struct socket *s, struct msghdr_k *m, u32 flags, bool cloexec_fds)
{
	struct usock *u = unix_of(s);
	bool stream = s->type == SOCK_STREAM;
	struct recv r = { .flags = flags, .cloexec = cloexec_fds, .deadline = sock_deadline(s->rcv_timeout_ns) };

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (s->type != SOCK_DGRAM && u->state != UNIX_CONNECTED)
		return stream ? -EINVAL : -ENOTCONN;
	if (stream && !m->uio->resid)
		return 0;
	int err = mutex_lock_intr(&u->rx_lock);

	if (err)
		return err;
	i64 ret = stream ? stream_copy(u, m, &r) : dgram_copy(u, m, &r);

	mutex_unlock(&u->rx_lock);
	spent_put(&r.spent);
	if (stream && ret <= 0)
		m->control_len = 0;
	if (!list_empty(&u->rx) && waitq_active(&u->wait))
		waitq_wake(&u->wait, 1, POLLIN | POLLRDNORM);
	return ret;
}

u32 unix_queued_bytes(struct usock *u, bool first_only)
{
	struct unix_msg *msg;
	u32 n = 0;

	GUARD_SPIN(&u->lock);
	list_for_each(msg, &u->rx, link) {
		n += msg->len;
		if (first_only)
			break;
	}
	return n;
}
