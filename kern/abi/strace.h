/*
 * Private to abi: strace, the printers of system calls.
 *
 * A line is put together in two halves: what is known when the call is made, up to the
 * first argument that the kernel fills in, and the rest with the result.  Printers
 * append to a line; what does not fit is cut.  User memory is read with faults, as any
 * copy; what cannot be read is shown as its address.
 */
#pragma once

#include <abi/syscall_info.h>
#include <abi/time.h>
#include <base/attrs.h>

struct task;
struct siginfo_k;

#define STRACE_STRING_MAX 32u		/* bytes of a string, elements of an array */
#define STRACE_TEXT_MAX	  3072u

/* What the call will overwrite, read before it. */
struct strace_before {
	u32 room[STRACE_STRING_MAX];	/* for an address: one, or that of each message */
	struct timespec_k time;
	bool has_time;
};

struct strace_line {
	char *text;
	u32 len;
	u32 nr;
	const struct syscall_info *info;
	const struct syscall_arg *args;
	u64 arg[6];
	i64 ret;
	bool leaving;			/* the second half: ret is known */
	bool failed;
	u32 element;			/* of the array that is shown */
	u64 bytes_left;			/* for iovecs: what is not yet shown of what was read */
	struct strace_before before;
};

/* --- text (strace_text.c) --- */
void put(struct strace_line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
void put_pointer(struct strace_line *l, u64 v);			/* NULL or 0x... */
/* Bytes in C's notation, quoted, the first STRACE_STRING_MAX of them. */
void put_bytes(struct strace_line *l, u64 at, u64 len);
void put_quoted(struct strace_line *l, const char *bytes, u64 len);	/* in kernel memory, all of it */
void put_string(struct strace_line *l, u64 at, u64 max);	/* up to its NUL or max */
void put_set(struct strace_line *l, u32 set, u64 v);		/* a | b | 0x10 */
void put_value(struct strace_line *l, u32 set, u64 v);		/* one name */
bool put_name(struct strace_line *l, u32 set, u64 v);		/* one name, or nothing: false */
void put_signal(struct strace_line *l, u32 sig);
void put_sigset(struct strace_line *l, u64 bits);
void put_mode(struct strace_line *l, u32 mode);			/* S_IFREG|0644 */
void put_errno(struct strace_line *l, i64 err);			/* -1 ENOENT (No such file or directory) */
/* An array: fn shows one element that was read to buf. */
void put_array(struct strace_line *l, u64 at, u64 n, u32 size, void (*fn)(struct strace_line *l, const void *buf));

/* --- structures (strace_struct.c) --- */
/* The structure(s) of argument i at user address at. */
void put_struct(struct strace_line *l, u32 i, u64 at);
bool struct_is_shown_late(u32 kind);		/* of an in-and-out argument: only when the call is over */
void put_siginfo(struct strace_line *l, const struct siginfo_k *si);
void put_wait_status(struct strace_line *l, i32 status);
void put_date(struct strace_line *l, i64 sec, i64 nsec);		/* ISO 8601, nsec 0: without a fraction */

/* --- messages (strace_message.c) --- */
void put_sockaddr(struct strace_line *l, u64 at, u64 len);
void put_iovec(struct strace_line *l, const void *p);
void put_msghdr(struct strace_line *l, const void *p);
void put_mmsghdr(struct strace_line *l, const void *p);
void note_messages(struct strace_line *l);	/* fills in l->before */

/* --- structures with a size of their own (strace_sized.c) --- */
bool put_sized(struct strace_line *l, u32 i, u64 at);		/* argument i at user address at; false: not one of these */
void put_setattr(struct strace_line *l);

/* --- arguments whose sense depends on others, and results (strace_special.c) --- */
void put_ioctl_arg(struct strace_line *l);
void put_fcntl_arg(struct strace_line *l);
void put_prctl_arg(struct strace_line *l);
void put_futex_arg(struct strace_line *l);
void put_sockopt_arg(struct strace_line *l);
bool arg_is_late(const struct strace_line *l, u32 i);		/* known only when the call is over */
u32 args_shown(const struct strace_line *l);	/* how many arguments this very call has */
void put_result(struct strace_line *l);
/* Of a call that put_own_way() shows: something is left for the second half. */
bool own_way_has_more(const struct strace_line *l);
/* Calls whose arguments Linux's strace shows in an order or with names of their own.  True: done. */
bool put_own_way(struct strace_line *l);
