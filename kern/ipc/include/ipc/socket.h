/*
 * Sockets: the layer that system calls use; families register themselves.
 * Unix sockets (stream, datagram, seqpacket; pathname and abstract names,
 * descriptor and credential passing) are in ipc/unix_*.c.
 */
#pragma once

#include <vfs/vfs.h>

#define AF_UNIX 1
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_SEQPACKET 5
struct sockaddr_k { u16 family; char data[126]; };	/* 128 bytes: sockaddr_storage */

struct msghdr_k {
	struct sockaddr_k name;
	u32 name_len;			/* in: bytes valid; out: true length */
	struct uio *uio;
	u8 *control;			/* kernel copy of the control data (send), or room for it (recv); cmsghdr format */
	u64 control_len;		/* in/out */
	u32 flags;			/* out: MSG_TRUNC, MSG_CTRUNC, ... */
};
MUST_USE int socket_create(u32 family, u32 type, u32 protocol, struct file **out);	/* type without SOCK_ flags; -EAFNOSUPPORT ... */
MUST_USE int socket_pair(u32 family, u32 type, u32 protocol, struct file **a, struct file **b);
/* For /proc/net/unix.  path: path_len bytes, abstract names start with a NUL; valid during the call. */
struct unix_info { u32 refs, type; u64 ino; bool listening, connected; const char *path; u32 path_len; };
void unix_for_each(void (*fn)(const struct unix_info *i, void *arg), void *arg);	/* fn under a spinlock: only formats */
extern u32 sysctl_unix_max_dgram_qlen;	/* datagrams that wait at a receiver */
bool file_is_socket(struct file *f);							/* else -ENOTSOCK by the caller */
MUST_USE int socket_bind(struct file *f, const struct sockaddr_k *sa, u32 len);
MUST_USE int socket_listen(struct file *f, int backlog);
MUST_USE int socket_connect(struct file *f, const struct sockaddr_k *sa, u32 len);
MUST_USE int socket_accept(struct file *f, struct sockaddr_k *peer, u32 *len, struct file **out);
MUST_USE int socket_name(struct file *f, bool peer, struct sockaddr_k *sa, u32 *len);
MUST_USE int socket_shutdown(struct file *f, int how);
MUST_USE i64 socket_sendmsg(struct file *f, struct msghdr_k *m, u32 flags);
MUST_USE i64 socket_recvmsg(struct file *f, struct msghdr_k *m, u32 flags, bool cloexec_fds);
MUST_USE int socket_setsockopt(struct file *f, int level, int name, const void *val, u32 len);
MUST_USE i64 socket_getsockopt(struct file *f, int level, int name, void *val, u32 size);	/* bytes */
