/*
 * strace: messages of sockets, their addresses and vectors.
 */
#include "abi.h"
#include "strace.h"

void put_sockaddr(struct strace_line *l, u64 at, u64 len)
{
	struct { u16 family; char path[108]; } sa = { 0 };

	len = MIN(len, sizeof(sa));
	if (!at || len < 2 || user_copy_in(&sa, UPTR(at), len)) {
		put_pointer(l, at);
		return;
	}
	put(l, "{sa_family=");
	put_value(l, SYSCALL_SET_AF, sa.family);
	len -= 2;
	if (sa.family == AF_UNIX && len) {
		bool abstract = !sa.path[0];

		put(l, ", sun_path=%s", abstract ? "@" : "");
		put_quoted(l, sa.path + abstract, abstract ? len - 1 : strnlen(sa.path, len));
	} else if (len) {
		put(l, ", sa_data=");
		put_quoted(l, sa.path, MIN(len, 14ull));
	}
	put(l, "}");
}

void put_iovec(struct strace_line *l, const void *p)
{
	const u64 *v = p;
	u64 shown = MIN(v[1], l->bytes_left);		/* what was read, not what there is room for */

	l->bytes_left -= shown;
	put(l, "{iov_base=");
	if (l->failed && l->nr != SYSCALL_NR_SENDMMSG)
		put_pointer(l, v[0]);
	else
		put_bytes(l, v[0], shown);
	put(l, ", iov_len=%llu}", (unsigned long long)v[1]);
}

static void put_rights(struct strace_line *l, u64 at, u64 len)
{
	struct { u64 len; i32 level, type; } h;

	if (len < sizeof(h) || user_copy_in(&h, UPTR(at), sizeof(h))) {
		put_pointer(l, at);
		return;
	}
	put(l, "[{cmsg_len=%llu, cmsg_level=", (unsigned long long)h.len);
	put_value(l, SYSCALL_SET_SOL, (u64)(i64)h.level);
	put(l, ", cmsg_type=");
	put_value(l, SYSCALL_SET_SCM, (u64)(i64)h.type);
	if (h.type == 1 && h.len >= sizeof(h) && h.len <= len) {
		i32 fd[8];
		u64 n = MIN((h.len - sizeof(h)) / 4, ARRAY_LEN(fd));

		put(l, ", cmsg_data=[");
		if (!user_copy_in(fd, UPTR(at + sizeof(h)), n * 4))
			for (u64 i = 0; i < n; i++)
				put(l, "%s%d", i ? ", " : "", fd[i]);
		put(l, "]");
	}
	put(l, "}]");
}

static void put_header(struct strace_line *l, const struct msghdr_user_k *m, i32 room)
{
	put(l, "{msg_name=");
	put_sockaddr(l, m->name, (u64)m->namelen);
	put(l, room == m->namelen ? ", msg_namelen=%d" : ", msg_namelen=%d => %d", room, m->namelen);
	put(l, ", msg_iov=");
	put_array(l, m->iov, m->iovlen, 16, put_iovec);
	put(l, ", msg_iovlen=%llu", (unsigned long long)m->iovlen);
	if (m->controllen) {
		put(l, ", msg_control=");
		put_rights(l, m->control, m->controllen);
	}
	put(l, ", msg_controllen=%llu, msg_flags=", (unsigned long long)m->controllen);
	put_set(l, SYSCALL_SET_MSG, m->flags);
	put(l, "}");
}

/* Before: how much room there was for a name, if the call fills it in. */
void put_msghdr(struct strace_line *l, const void *p)
{
	const struct msghdr_user_k *m = p;

	put_header(l, m, l->leaving ? (i32)l->before.room[0] : m->namelen);
}

void put_mmsghdr(struct strace_line *l, const void *p)
{
	const struct mmsghdr_user_k *m = p;
	bool got = l->nr == SYSCALL_NR_RECVMMSG, done = !l->failed && l->element < (u64)l->ret;

	put(l, "{msg_hdr=");
	l->bytes_left = got ? m->len : ~0ull;
	put_header(l, &m->hdr, got ? (i32)l->before.room[l->element] : m->hdr.namelen);
	if (done)
		put(l, ", msg_len=%u", m->len);
	put(l, "}");
}

/* Room for a name in the first messages of recvmsg or recvmmsg, and recvmmsg's time. */
void note_messages(struct strace_line *l)
{
	bool many = l->nr == SYSCALL_NR_RECVMMSG;
	u64 step = many ? sizeof(struct mmsghdr_user_k) : 0, n = many ? MIN((u32)l->arg[2], STRACE_STRING_MAX) : 1;

	for (u64 i = 0; i < n; i++)
		DISCARD(user_copy_in(&l->before.room[i], UPTR(l->arg[1] + i * step + offsetof(struct msghdr_user_k, namelen)), 4));
	l->before.has_time = many && l->arg[4] && !user_copy_in(&l->before.time, UPTR(l->arg[4]), sizeof(l->before.time));
}
