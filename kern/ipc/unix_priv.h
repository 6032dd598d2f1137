/* Private to the unix socket code: unix.c (state), unix_msg.c (queues and messages), unix_addr.c (names). */
#pragma once

#include "sock_priv.h"

#define UNIX_PATH_MAX 108u
#define UNIX_MAX_FDS  253u

struct ucred_k { u32 pid, uid, gid; };

struct unix_addr {
	refcount_t refs;
	u32 len;			/* of the sockaddr: 2 + bytes of path */
	char path[UNIX_PATH_MAX + 1];
};

/* A message on its way; owned by the queue it is on. */
struct unix_msg {
	struct list link;
	struct usock *sender;		/* reference: its wmem is given back when the message goes */
	struct unix_addr *from;		/* reference or NULL */
	struct ucred_k cred;
	bool has_cred;
	u32 nfds;
	struct file **fds;		/* owned array of references */
	u32 off, len;			/* unread part of data */
	u32 charge;
	u8 data[];
};

enum unix_state { UNIX_NEW, UNIX_LISTENING, UNIX_CONNECTED, UNIX_CLOSED };

struct usock {
	struct socket base;		/* first */
	refcount_t refs;
	mutex_t rx_lock;		/* rank SOCK: one receiver copies at a time */
	spinlock_t lock;		/* rank SOCK_QUEUE: everything below; never two sockets' locks at once */
	u32 state;			/* enum unix_state */
	u32 shutdown;			/* SHUT_* */
	struct usock *peer;		/* reference */
	struct unix_addr *addr;		/* reference, set once */
	struct vnode *bound;		/* reference: pathname sockets */
	struct list rx;			/* unix_msg */
	u32 rx_count;
	struct list pending;		/* listener: embryos waiting for accept */
	struct list pending_link;
	u32 npending, backlog;
	struct ucred_k peercred;
	atomic_t wmem;			/* bytes of this socket's messages not yet read */
	struct waitq wait;		/* readers, pollers, accept */
	struct waitq space_wait;	/* own writers: wmem shrank; connectors and dgram senders to us: queue shrank */
	struct list all_link;		/* unix.c's list of all */
	struct list abstract_link;	/* unix_addr.c's table */
};

static inline struct usock *unix_of(struct socket *s) { return (struct usock *)s; }
struct usock *usock_get(struct usock *u);
void usock_put(struct usock *u);
DEFINE_AUTO(usock, struct usock *, usock_put)
struct usock *unix_peer_get(struct usock *u);		/* reference or NULL */
struct usock *unix_create(u32 type);
struct ucred_k unix_self_cred(void);

/* unix_addr.c */
void unix_addr_init(void);
void unix_addr_put(struct unix_addr *a);
int unix_bind(struct socket *s, const struct sockaddr_k *sa, u32 len);
int unix_autobind(struct usock *u);
void unix_unbind(struct usock *u);			/* at release */
MUST_USE int unix_find(const struct sockaddr_k *sa, u32 len, u32 type, struct usock **out);	/* -ECONNREFUSED -ENOENT -EPROTOTYPE -EACCES */
int unix_name(struct socket *s, bool peer, struct sockaddr_k *sa, u32 *len);
MUST_USE int unix_check_addr(const struct sockaddr_k *sa, u32 len);
void unix_addr_copy(const struct unix_addr *a, struct sockaddr_k *sa, u32 *len);

/* unix_msg.c */
i64 unix_sendmsg(struct socket *s, struct msghdr_k *m, u32 flags);
i64 unix_recvmsg(struct socket *s, struct msghdr_k *m, u32 flags, bool cloexec_fds);
void unix_msgs_discard(struct list *msgs);		/* frees; files inside are closed without recursion */
bool unix_writable(const struct usock *u);
bool unix_queue_full(const struct usock *u);
u32 unix_queued_bytes(struct usock *u, bool first_only);
