/* Private to ipc: sockets of any family. */
#pragma once

#include <base/errno.h>
#include <base/refcount.h>
#include <ipc/socket.h>
#include <sched/mutex.h>

#define MSG_PEEK      0x2u
#define MSG_TRUNC     0x20u
#define MSG_CTRUNC    0x8u
#define MSG_DONTWAIT  0x40u
#define MSG_EOR	      0x80u
#define MSG_WAITALL   0x100u
#define MSG_NOSIGNAL  0x4000u
#define MSG_CMSG_CLOEXEC 0x40000000u
#define MSG_OOB	      0x1u
#define SOL_SOCKET    1
#define O_NONBLOCK    04000u
#define SHUT_RECV     1u
#define SHUT_SEND     2u

struct socket;
struct uio;

struct sock_ops {
	int (*bind)(struct socket *s, const struct sockaddr_k *sa, u32 len);
	int (*listen)(struct socket *s, u32 backlog);
	int (*connect)(struct socket *s, const struct sockaddr_k *sa, u32 len, bool nonblock);
	int (*accept)(struct socket *s, bool nonblock, struct socket **out);
	int (*name)(struct socket *s, bool peer, struct sockaddr_k *sa, u32 *len);
	int (*shutdown)(struct socket *s, u32 how);
	i64 (*sendmsg)(struct socket *s, struct msghdr_k *m, u32 flags);
	i64 (*recvmsg)(struct socket *s, struct msghdr_k *m, u32 flags, bool cloexec_fds);
	u32 (*poll)(struct socket *s, struct file *f, struct poll_table *pt);
	i64 (*getsockopt)(struct socket *s, int level, int name, void *val, u32 size);	/* after the generic ones */
	i64 (*ioctl)(struct socket *s, u32 cmd, u64 arg);
	void (*release)(struct socket *s);
};

struct socket {
	const struct sock_ops *ops;	/* const */
	u32 family, type, protocol;	/* const */
	u32 sndbuf, rcvbuf;		/* word writes */
	u64 snd_timeout_ns, rcv_timeout_ns;	/* 0: for ever */
	bool passcred, listening, broadcast, keepalive, reuseaddr, linger_on;
	u32 linger_s;
	struct fasync_list async;
	u64 ino;			/* of its file; 0: none yet.  Word writes */
	i32 error;			/* pending, taken by SO_ERROR; atomic exchange */
};

struct sock_family {
	u32 family;
	int (*create)(u32 type, u32 protocol, struct socket **out);
	int (*pair)(u32 type, u32 protocol, struct socket **a, struct socket **b);
};
void sock_family_register(const struct sock_family *f);
void sock_base_init(struct socket *s, const struct sock_ops *ops, u32 family, u32 type, u32 protocol);
u64 sock_deadline(u64 timeout_ns);		/* monotonic; ~0 for none */
int sock_take_error(struct socket *s);		/* 0 or -errno, cleared */
void unix_init(void);
