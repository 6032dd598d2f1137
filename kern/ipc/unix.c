/*
 * Unix sockets: connections and their life, unix(7).
 *
 * States: NEW -> LISTENING, or NEW -> CONNECTED (stream, seqpacket), and
 * CLOSED when the file went.  A usock is referenced by its file, by its peer,
 * by messages it sent and by whoever looked it up.  connect() makes the
 * server's end itself and queues it on the listener; accept() picks it up.
 * Never two sockets' locks at once: each step changes one side, then tells the
 * other.
 */
#include <arch/usercopy.h>
#include <base/string.h>
#include <mem/slab.h>
#include "unix_priv.h"

#define FIONREAD  0x541bu
#define SIOCOUTQ  0x5411u
#define SO_PEERCRED 17

static const struct sock_ops unix_ops;

struct usock *usock_get(struct usock *u)
{
	ref_get(&u->refs);
	return u;
}

static spinlock_t all_lock = SPINLOCK_INIT(LR_FS_PRIV);
static struct list all_sockets GUARDED_BY(&all_lock) = LIST_INIT(all_sockets);

void usock_put(struct usock *u)
{
	if (!ref_put(&u->refs))
		return;
	spin_lock(&all_lock);
	list_remove(&u->all_link);
	spin_unlock(&all_lock);
	unix_addr_put(u->addr);
	kfree(u);
}

struct usock *unix_peer_get(struct usock *u)
{
	GUARD_SPIN(&u->lock);
	return u->peer ? usock_get(u->peer) : NULL;
}

struct ucred_k unix_self_cred(void)
{
	struct vfs_caller *c = vfs_self();

	return (struct ucred_k){ c->tgid, c->cred->euid, c->cred->egid };
}

struct usock *unix_create(u32 type)
{
	struct usock *u = kzalloc(sizeof(*u));

	if (!u)
		return NULL;
	sock_base_init(&u->base, &unix_ops, AF_UNIX, type, 0);
	ref_init(&u->refs);
	mutex_init(&u->rx_lock, LR_SOCK);
	spin_init(&u->lock, LR_SOCK_QUEUE);
	list_init(&u->rx);
	list_init(&u->pending);
	list_init(&u->pending_link);
	list_init(&u->abstract_link);
	waitq_init(&u->wait);
	waitq_init(&u->space_wait);
	GUARD_SPIN(&all_lock);
	list_push_back(&all_sockets, &u->all_link);
	return u;
}

/* Who is on the list may be on its way out; its address stays until it has left. */
void unix_for_each(void (*fn)(const struct unix_info *i, void *arg), void *arg)
{
	struct usock *u;

	GUARD_SPIN(&all_lock);
	list_for_each(u, &all_sockets, all_link) {
		const struct unix_addr *a = READ_ONCE(u->addr);
		struct unix_info i = {
			.refs = (u32)ref_read(&u->refs), .type = u->base.type, .ino = READ_ONCE(u->base.ino),
			.listening = u->state == UNIX_LISTENING, .connected = u->state == UNIX_CONNECTED,
			.path = a ? a->path : NULL, .path_len = a ? a->len - 2 : 0,
		};

		fn(&i, arg);
	}
}

static void wake_everyone(struct usock *u)
{
	waitq_wake_all(&u->wait);
	waitq_wake_all(&u->space_wait);
}

/* --- connecting ------------------------------------------------------------------ */

/* False: u is connected or listening already (another thread was first); nothing was changed. */
static bool link_peer(struct usock *u, struct usock *peer, struct ucred_k cred)
{
	GUARD_SPIN(&u->lock);
	if (u->state != UNIX_NEW)
		return false;
	u->peer = usock_get(peer);
	u->peercred = cred;
	u->state = UNIX_CONNECTED;
	return true;
}

/* Takes back what stream_connect() did with an end that no listener took; what another thread sent to it meanwhile is dropped. */
static void unlink_peer(struct usock *u, struct usock *end)
{
	struct list msgs = LIST_INIT(msgs);

	spin_lock(&u->lock);
	u->peer = NULL;
	u->state = UNIX_NEW;
	spin_unlock(&u->lock);
	spin_lock(&end->lock);
	end->state = UNIX_CLOSED;
	end->peer = NULL;
	list_splice_back(&msgs, &end->rx);
	spin_unlock(&end->lock);
	unix_msgs_discard(&msgs);
	usock_put(end);			/* u's reference as peer */
	usock_put(u);			/* end's reference to u */
}

static bool backlog_full(struct usock *l)
{
	return READ_ONCE(l->npending) > l->backlog;
}

/* Queues the server's end; consumes it whatever the result. */
static int offer(struct usock *l, struct usock *end)
{
	int err = 0;

	spin_lock(&l->lock);
	if (l->state != UNIX_LISTENING || (l->shutdown & SHUT_RECV)) {
		err = -ECONNREFUSED;
	} else if (backlog_full(l)) {
		err = -EAGAIN;
	} else {
		list_push_back(&l->pending, &end->pending_link);
		WRITE_ONCE(l->npending, l->npending + 1);
	}
	spin_unlock(&l->lock);
	return err;
}

static int stream_connect(struct usock *u, const struct sockaddr_k *sa, u32 len, bool nonblock)
{
	AUTO(usock) l = NULL;
	int err = unix_find(sa, len, u->base.type, &l);

	if (err)
		return err;
	if (u->state != UNIX_NEW)
		return u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
	struct usock *end = unix_create(u->base.type);

	if (!end)
		return -ENOMEM;
	if (l->addr) {
		ref_get(&l->addr->refs);
		end->addr = l->addr;
	}
	DISCARD(link_peer(end, u, unix_self_cred()));	/* new: cannot fail */
	if (!link_peer(u, end, l->peercred)) {
		end->peer = NULL;
		usock_put(u);
		usock_put(end);
		return READ_ONCE(u->state) == UNIX_CONNECTED ? -EISCONN : -EINVAL;
	}
	for (;;) {
		err = offer(l, end);
		if (err != -EAGAIN || nonblock)
			break;
		err = waitq_wait_intr_until(&l->space_wait, !backlog_full(l) || READ_ONCE(l->state) != UNIX_LISTENING,
					    sock_deadline(u->base.snd_timeout_ns));
		if (err) {
			err = err == -ETIMEDOUT ? -EAGAIN : err;
			break;
		}
	}
	if (!err) {
		waitq_wake(&l->wait, 1, POLLIN | POLLRDNORM);
		return 0;
	}
	unlink_peer(u, end);
	usock_put(end);			/* the creation's */
	return err;
}

static int dgram_connect(struct usock *u, const struct sockaddr_k *sa, u32 len)
{
	struct usock *to = NULL, *old;

	if (len >= 2 && sa->family == 0) {		/* AF_UNSPEC: disconnect */
		spin_lock(&u->lock);
		old = MOVE(u->peer);
		spin_unlock(&u->lock);
	} else {
		int err = unix_find(sa, len, u->base.type, &to);

		if (err)
			return err;
		if (READ_ONCE(to->peer) && READ_ONCE(to->peer) != u) {
			usock_put(to);
			return -EPERM;
		}
		spin_lock(&u->lock);
		old = u->peer;
		u->peer = to;
		spin_unlock(&u->lock);
	}
	if (old)
		usock_put(old);
	return 0;
}

static int unix_connect(struct socket *s, const struct sockaddr_k *sa, u32 len, bool nonblock)
{
	struct usock *u = unix_of(s);

	if (len < 2)
		return -EINVAL;
	if (s->passcred)
		DISCARD(unix_autobind(u));
	return s->type == SOCK_DGRAM ? dgram_connect(u, sa, len) : stream_connect(u, sa, len, nonblock);
}

static int unix_listen(struct socket *s, u32 backlog)
{
	struct usock *u = unix_of(s);

	if (s->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (!u->addr)
		return -EINVAL;
	GUARD_SPIN(&u->lock);
	if (u->state != UNIX_NEW && u->state != UNIX_LISTENING)
		return -EINVAL;
	u->state = UNIX_LISTENING;
	u->backlog = backlog;
	s->listening = true;
	u->peercred = unix_self_cred();
	return 0;
}

static struct usock *pending_take(struct usock *l)
{
	GUARD_SPIN(&l->lock);
	struct usock *end = list_first(&l->pending, struct usock, pending_link);

	if (end) {
		list_remove(&end->pending_link);
		WRITE_ONCE(l->npending, l->npending - 1);
	}
	return end;
}

static int unix_accept(struct socket *s, bool nonblock, struct socket **out)
{
	struct usock *l = unix_of(s), *end;

	if (s->type == SOCK_DGRAM)
		return -EOPNOTSUPP;
	if (l->state != UNIX_LISTENING)
		return -EINVAL;
	while (!(end = pending_take(l))) {
		if (READ_ONCE(l->shutdown) & SHUT_RECV)
			return -EINVAL;
		if (nonblock)
			return -EAGAIN;
		int err = WAIT_LOOP_(&l->wait, !list_empty(&l->pending) || (READ_ONCE(l->shutdown) & SHUT_RECV), THREAD_SLEEP_INTR, true,
				     sock_deadline(s->rcv_timeout_ns));

		if (err)
			return err == -ETIMEDOUT ? -EAGAIN : err;
	}
	waitq_wake_all(&l->space_wait);
	*out = &end->base;
	return 0;
}

/* --- ending ------------------------------------------------------------------------ */

static void shut(struct usock *u, u32 how)
{
	spin_lock(&u->lock);
	u->shutdown |= how;
	spin_unlock(&u->lock);
	wake_everyone(u);
}

static int unix_shutdown(struct socket *s, u32 how)
{
	struct usock *u = unix_of(s);

	shut(u, how);
	if (s->type == SOCK_DGRAM)
		return 0;
	AUTO(usock) peer = unix_peer_get(u);

	if (peer)
		shut(peer, (how & SHUT_SEND ? SHUT_RECV : 0) | (how & SHUT_RECV ? SHUT_SEND : 0));
	return 0;
}

/* The other end of a connection closed: no more of either direction; unread data there means a reset here. */
static void peer_closed(struct usock *u, bool reset)
{
	if (reset)
		WRITE_ONCE(u->base.error, ECONNRESET);
	shut(u, SHUT_RECV | SHUT_SEND);
}

static void unix_release(struct socket *s)
{
	struct usock *u = unix_of(s), *peer, *end;
	struct list msgs = LIST_INIT(msgs);

	unix_unbind(u);
	spin_lock(&u->lock);
	u->state = UNIX_CLOSED;
	peer = MOVE(u->peer);
	list_splice_back(&msgs, &u->rx);
	u->rx_count = 0;
	spin_unlock(&u->lock);
	wake_everyone(u);
	if (peer) {
		if (s->type != SOCK_DGRAM)
			peer_closed(peer, !list_empty(&msgs));
		else
			waitq_wake_all(&peer->space_wait);
		usock_put(peer);
	}
	while ((end = pending_take(u))) {
		WRITE_ONCE(end->base.error, 0);
		AUTO(usock) client = unix_peer_get(end);

		if (client)
			WRITE_ONCE(client->base.error, ECONNRESET);
		unix_release(&end->base);	/* an embryo has no embryos: one level deep */
	}
	unix_msgs_discard(&msgs);
	usock_put(u);
}

/* --- polling and the rest ------------------------------------------------------------ */

static u32 unix_poll(struct socket *s, struct file *f, struct poll_table *pt)
{
	struct usock *u = unix_of(s);
	u32 ev = 0, shut_now;

	poll_wait(pt, &u->wait);
	poll_wait(pt, &u->space_wait);
	shut_now = READ_ONCE(u->shutdown);
	if (READ_ONCE(s->error))
		ev |= POLLERR;
	if (shut_now == (SHUT_RECV | SHUT_SEND))
		ev |= POLLHUP;
	if (shut_now & SHUT_RECV)
		ev |= POLLRDHUP | POLLIN | POLLRDNORM;
	if (!list_empty(&u->rx) || !list_empty(&u->pending))
		ev |= POLLIN | POLLRDNORM;
	if (s->type != SOCK_DGRAM && u->state == UNIX_NEW)
		ev |= POLLHUP;
	bool room = unix_writable(u) && u->state != UNIX_LISTENING;

	if (room && s->type == SOCK_DGRAM) {
		AUTO(usock) peer = unix_peer_get(u);

		if (peer && peer != u)
			room = !unix_queue_full(peer);	/* its reader's progress wakes our space_wait: msg_free() */
	}
	if (room)
		ev |= POLLOUT | POLLWRNORM | POLLWRBAND;
	return ev;
}

static i64 unix_ioctl(struct socket *s, u32 cmd, u64 arg)
{
	struct usock *u = unix_of(s);
	i32 n;

	switch (cmd) {
	case FIONREAD:
		if (u->state == UNIX_LISTENING)
			return -EINVAL;
		n = (i32)unix_queued_bytes(u, s->type != SOCK_STREAM);
		break;
	case SIOCOUTQ:
		n = atomic_read(&u->wmem);
		break;
	default:
		return -ENOTTY;
	}
	return user_put(UPTR(arg), &n);
}

static i64 unix_getsockopt(struct socket *s, int level, int name, void *val, u32 size)
{
	struct usock *u = unix_of(s);
	struct ucred_k none = { 0, ~0u, ~0u };
	struct ucred_k *c = u->peercred.pid ? &u->peercred : &none;

	if (name != SO_PEERCRED)
		return -ENOPROTOOPT;
	size = MIN(size, (u32)sizeof(*c));
	memcpy(val, c, size);
	return size;
}

static const struct sock_ops unix_ops = {
	.bind = unix_bind, .listen = unix_listen, .connect = unix_connect, .accept = unix_accept, .name = unix_name,
	.shutdown = unix_shutdown, .sendmsg = unix_sendmsg, .recvmsg = unix_recvmsg, .poll = unix_poll,
	.getsockopt = unix_getsockopt, .ioctl = unix_ioctl, .release = unix_release,
};

static int check_type(u32 type, u32 protocol)
{
	if (protocol && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	return type == SOCK_STREAM || type == SOCK_DGRAM || type == SOCK_SEQPACKET ? 0 : -ESOCKTNOSUPPORT;
}

static int unix_create_socket(u32 type, u32 protocol, struct socket **out)
{
	if (type == 3)			/* SOCK_RAW means datagrams here, as on Linux */
		type = SOCK_DGRAM;
	int err = check_type(type, protocol);
	struct usock *u = err ? NULL : unix_create(type);

	if (err)
		return err;
	if (!u)
		return -ENOMEM;
	*out = &u->base;
	return 0;
}

static int unix_pair(u32 type, u32 protocol, struct socket **a, struct socket **b)
{
	int err = unix_create_socket(type, protocol, a);

	if (err)
		return err;
	err = unix_create_socket(type, protocol, b);
	if (err) {
		usock_put(unix_of(*a));
		return err;
	}
	DISCARD(link_peer(unix_of(*a), unix_of(*b), unix_self_cred()));	/* new: cannot fail */
	DISCARD(link_peer(unix_of(*b), unix_of(*a), unix_self_cred()));
	return 0;
}

static const struct sock_family unix_family = { .family = AF_UNIX, .create = unix_create_socket, .pair = unix_pair };

void unix_init(void)
{
	unix_addr_init();
	sock_family_register(&unix_family);
}
