/* Private: what the socket glue files share. */
#pragma once

#include <ipc/socket.h>

struct fd_ref;

MUST_USE int socket_check(const struct fd_ref *r);		/* -EBADF, -ENOTSOCK */
MUST_USE int sockaddr_in(struct sockaddr_k *sa, uptr_t addr, int len);
/* Copies what fits of an address of len bytes, and its true length. */
MUST_USE int sockaddr_out(const struct sockaddr_k *sa, u32 len, uptr_t addr, uptr_t ulen);
