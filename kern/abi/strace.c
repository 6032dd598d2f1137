/*
 * debug=strace: system calls, signals and ends of user threads, as text in the outbox.
 *
 * Tracing starts with the first successful execve of a child of pid 1: the command
 * that the launcher's agent starts, not the agent.  Its threads and children are
 * followed when the command line says strace=follow.  A record is a header and a
 * piece of a line; tools/saker/strace.py puts the pieces of many threads together.
 * Calls that are made while nothing is traced pay nothing: TF_TRACE is not set.
 */
#include <abi/strace.h>
#include <abi/syscall.h>
#include <core/cmdline.h>
#include <core/debug.h>
#include <core/outbox.h>
#include "abi.h"
#include "strace.h"

/* Per thread: task.strace.  Only the thread itself looks at it. */
struct strace_state {
	bool armed;			/* its first execve is still to come, and is told only if it succeeds */
	bool inside;			/* a first half was told */
	bool whole;			/* with all arguments */
	u8 next;			/* argument with which the second half begins */
	u64 entered_ns;
	struct strace_line line;
	struct { struct strace_record head; char text[STRACE_TEXT_MAX]; } out;
};

static bool follow;

static void emit(struct task *self, enum strace_kind kind)
{
	struct strace_state *s = self->strace;

	s->out.head = (struct strace_record){ .ns = clock_mono_ns(), .tid = self->tid, .pid = self->proc->pid, .nr = (u16)s->line.nr,
					      .kind = (u8)kind };
	outbox_write(OUTBOX_STRACE, &s->out, (u32)sizeof(s->out.head) + s->line.len);
}

/* --- one argument ----------------------------------------------------------------------- */

static void put_strings(struct strace_line *l, u64 at)
{
	u64 p;

	if (!at) {
		put(l, "NULL");
		return;
	}
	put(l, "[");
	for (u32 i = 0;; i++) {
		if (user_copy_in(&p, UPTR(at + i * 8), 8)) {
			put(l, "%s... /* %#llx */", i ? ", " : "", (unsigned long long)(at + i * 8));
			break;
		}
		if (!p)
			break;
		put(l, "%s", i ? ", " : "");
		if (i >= STRACE_STRING_MAX) {
			put(l, "...");
			break;
		}
		put_string(l, p, STRACE_STRING_MAX);
	}
	put(l, "]");
}

static void put_environment(struct strace_line *l, u64 at)
{
	u64 p;
	u32 n = 0;

	put_pointer(l, at);
	while (at && !user_copy_in(&p, UPTR(at + n * 8), 8) && p)
		n++;
	if (at)
		put(l, " /* %u var%s */", n, n == 1 ? "" : "s");
}

static u64 filled_bytes(const struct strace_line *l, const struct syscall_arg *a)
{
	u64 n = a->len ? l->arg[a->len - 1] : 0;

	return a->dir == SYSCALL_DIR_OUT ? MIN(n, (u64)l->ret) : n;
}

static void put_out_sockaddr(struct strace_line *l, u32 i)
{
	u32 len;

	if (!l->arg[i] || !l->arg[i + 1] || user_copy_in(&len, UPTR(l->arg[i + 1]), sizeof(len)))
		put_pointer(l, l->arg[i]);
	else
		put_sockaddr(l, l->arg[i], len);
}

/* The length that goes with an address: before, and after if it is another. */
static void put_out_length(struct strace_line *l, u32 i)
{
	u32 before = l->before.room[0], after;

	if (!l->arg[i] || user_copy_in(&after, UPTR(l->arg[i]), sizeof(after)))
		put_pointer(l, l->arg[i]);
	else if (before == after)
		put(l, "[%d]", (i32)after);
	else
		put(l, "[%d => %d]", (i32)before, (i32)after);
}

/* Is argument i the length that goes with a buffer for an address or an option? */
static bool has_room(const struct strace_line *l, u32 i)
{
	return i && (l->args[i - 1].kind == SYSCALL_ARG_OSOCKADDR || l->args[i - 1].kind == SYSCALL_ARG_SOCKOPTARG);
}

static void put_scalar(struct strace_line *l, u32 kind, u64 v)
{
	switch (kind) {
	case SYSCALL_ARG_DIRFD:
		put(l, (i32)v == -100 ? "AT_FDCWD" : "%d", (i32)v);
		break;
	case SYSCALL_ARG_FD: case SYSCALL_ARG_INT: case SYSCALL_ARG_PID: case SYSCALL_ARG_CLOCK: put(l, "%d", (i32)v); break;
	case SYSCALL_ARG_UID: case SYSCALL_ARG_GID:
		put(l, (u32)v == ~0u ? "-1" : "%u", (u32)v);
		break;
	case SYSCALL_ARG_UINT: put(l, "%u", (u32)v); break;
	case SYSCALL_ARG_LONG: case SYSCALL_ARG_OFF: put(l, "%lld", (long long)v); break;
	case SYSCALL_ARG_MODE: case SYSCALL_ARG_CMODE: put(l, "%#03o", (u32)v); break;
	case SYSCALL_ARG_SIG: put_signal(l, (u32)v); break;
	case SYSCALL_ARG_HEX: put(l, "%#llx", (unsigned long long)v); break;
	case SYSCALL_ARG_HEX32: put(l, "%#x", (u32)v); break;
	case SYSCALL_ARG_PTR: case SYSCALL_ARG_ADDR: put_pointer(l, v); break;
	default: put(l, "%llu", (unsigned long long)v);
	}
}

/* Not filled in, or not to be trusted: shown as an address. */
static bool is_stale(const struct strace_line *l, u32 i)
{
	const struct syscall_arg *a = &l->args[i];

	if (!l->leaving || a->dir == SYSCALL_DIR_IN || a->dir == SYSCALL_DIR_NONE)
		return false;
	if (l->nr == SYSCALL_NR_NANOSLEEP || l->nr == SYSCALL_NR_CLOCK_NANOSLEEP)
		return !l->failed || (l->ret != -EINTR && l->ret != -ERESTART_RESTARTBLOCK);
	if (l->nr == SYSCALL_NR_SENDMMSG || (l->nr == SYSCALL_NR_RECVMMSG && a->detail == SYSCALL_STRUCT_TIMESPEC))
		return false;
	return l->failed || (!l->ret && l->nr == SYSCALL_NR_WAIT4);
}

static void put_arg(struct strace_line *l, u32 i)
{
	const struct syscall_arg *a = &l->args[i];
	u64 v = l->arg[i];

	if (is_stale(l, i)) {
		put_pointer(l, v);
		return;
	}
	switch (a->kind) {
	case SYSCALL_ARG_UPATH: put_string(l, v, PAGE_SIZE); break;
	case SYSCALL_ARG_USTR: put_string(l, v, PAGE_SIZE); break;
	case SYSCALL_ARG_OSTR:
		if (l->failed)
			put_pointer(l, v);
		else
			put_string(l, v, PAGE_SIZE);
		break;
	case SYSCALL_ARG_ARGV: put_strings(l, v); break;
	case SYSCALL_ARG_ENVP: put_environment(l, v); break;
	case SYSCALL_ARG_SOCKADDR: put_sockaddr(l, v, l->arg[i + 1]); break;
	case SYSCALL_ARG_OSOCKADDR:
		if (l->failed)
			put_pointer(l, v);
		else
			put_out_sockaddr(l, i);
		break;
	case SYSCALL_ARG_IOCTLARG: put_ioctl_arg(l); break;
	case SYSCALL_ARG_FCNTLARG: put_fcntl_arg(l); break;
	case SYSCALL_ARG_PRCTLARG: put_prctl_arg(l); break;
	case SYSCALL_ARG_SOCKOPTARG: put_sockopt_arg(l); break;
	case SYSCALL_ARG_FUTEXARG: put_futex_arg(l); break;
	case SYSCALL_ARG_BYTES: put_bytes(l, v, filled_bytes(l, a)); break;
	case SYSCALL_ARG_FLAGS: put_set(l, a->detail, a->width == 64 ? v : (u32)v); break;
	case SYSCALL_ARG_ENUM: put_value(l, a->detail, a->width == 64 ? v : a->width == 32 ? (u32)v : (u64)(i64)(i32)v); break;
	case SYSCALL_ARG_STRUCT:
		if (has_room(l, i))
			put_out_length(l, i);
		else
			put_struct(l, i, v);
		break;
	default: put_scalar(l, a->kind, v);
	}
}

/* Arguments from *next on: in the first half up to the first that is known later. */
static void put_args(struct strace_line *l, u8 *next)
{
	u32 n = args_shown(l);

	for (; *next < n; ++*next) {
		if (!l->leaving && arg_is_late(l, *next))
			return;
		put_arg(l, *next);
		put(l, "%s", *next + 1u < n ? ", " : "");
	}
}

/* --- calls --------------------------------------------------------------------------------- */

static void begin_line(struct strace_state *s)
{
	s->line = (struct strace_line){ .text = s->out.text };
}

static const struct syscall_info unknown_call = { .nargs = 6 };
static const struct syscall_arg unknown_args[6] = {
	{ .kind = SYSCALL_ARG_HEX }, { .kind = SYSCALL_ARG_HEX }, { .kind = SYSCALL_ARG_HEX },
	{ .kind = SYSCALL_ARG_HEX }, { .kind = SYSCALL_ARG_HEX }, { .kind = SYSCALL_ARG_HEX },
};

static void describe(struct strace_line *l, u32 nr)
{
	bool known = syscall_name(nr) != NULL;

	l->nr = nr;
	l->info = known ? &syscall_infos[nr] : &unknown_call;
	l->args = known ? &syscall_args[l->info->first_arg] : unknown_args;
}

void strace_enter(struct task *self, const struct trapframe *tf)
{
	struct strace_state *s = self->strace;
	u32 nr = (u32)tf->orig_rax;
	struct strace_line *l;

	if (!s || (s->armed && nr != SYSCALL_NR_EXECVE))
		return;
	l = &s->line;
	begin_line(s);
	describe(l, nr);
	memcpy(l->arg, (u64[]){ tf->rdi, tf->rsi, tf->rdx, tf->r10, tf->r8, tf->r9 }, sizeof(l->arg));
	if (l->info == &unknown_call)
		put(l, "syscall_%#x(", nr);
	else
		put(l, "%s(", syscall_name(nr));
	s->next = 0;
	for (u32 i = 1; i < l->info->nargs; i++)
		if (has_room(l, i) && l->args[i].kind == SYSCALL_ARG_STRUCT)
			DISCARD(user_copy_in(&l->before.room[0], UPTR(l->arg[i]), sizeof(l->before.room[0])));
	if (nr == SYSCALL_NR_RECVMSG || nr == SYSCALL_NR_RECVMMSG)
		note_messages(l);
	if (put_own_way(l))
		s->next = (u8)l->info->nargs;
	else
		put_args(l, &s->next);
	s->inside = true;
	s->entered_ns = clock_mono_ns();
	s->whole = s->next >= args_shown(l) && !own_way_has_more(l);
	if (!s->armed)
		emit(self, s->whole ? STRACE_ENTER : STRACE_ENTER_PART);
}

void strace_leave(struct task *self, const struct trapframe *tf)
{
	struct strace_state *s = self->strace;
	struct strace_line *l;

	if (!s || !s->inside || thread_fatal_pending())
		return;				/* killed in the call: there is no result */
	l = &s->line;
	s->inside = false;
	if (s->armed) {
		if (tf->rax)
			return;
		s->armed = false;
		emit(self, STRACE_ENTER);
	}
	l->len = 0;
	l->leaving = true;
	l->ret = (i64)tf->rax;
	l->failed = tf->rax >= (u64)-4095ll;
	if (!put_own_way(l))
		put_args(l, &s->next);
	put(l, ")");
	/* The launcher sets the column of the result. */
	put(l, "\t");
	put_result(l);
	emit(self, l->failed ? STRACE_FAILED : STRACE_LEAVE);
}

/* --- signals and ends ------------------------------------------------------------------------ */

static void tell_signal(struct task *self, u32 sig, const struct siginfo_k *info)
{
	struct strace_state *s = self->strace;

	if (!s || s->armed)
		return;
	begin_line(s);
	put(&s->line, "--- ");
	put_signal(&s->line, sig);
	put(&s->line, " ");
	put_siginfo(&s->line, info);
	put(&s->line, " ---");
	emit(self, STRACE_SIGNAL);
}

static void tell_stop(struct task *self, u32 sig)
{
	struct strace_state *s = self->strace;

	if (!s || s->armed)
		return;
	begin_line(s);
	put(&s->line, "--- stopped by ");
	put_signal(&s->line, sig);
	put(&s->line, " ---");
	emit(self, STRACE_SIGNAL);
}

static void tell_end(struct task *self, i32 code)
{
	struct strace_state *s = self->strace;

	if (!s || s->armed)
		return;
	begin_line(s);
	if (code & 0x7f) {
		put(&s->line, "+++ killed by ");
		put_signal(&s->line, (u32)code & 0x7f);
		put(&s->line, "%s +++", code & 0x80 ? " (core dumped)" : "");
	} else {
		put(&s->line, "+++ exited with %d +++", code >> 8 & 0xff);
	}
	emit(self, STRACE_END);
}

/* A thread is born.  -ENOMEM is not told: then it is not traced. */
static void adopt(struct task *child, const struct task *maker)
{
	bool first = maker->proc->pid == 1, told = maker->strace && !maker->strace->armed;

	if (!first && !(told && follow))
		return;
	child->strace = kzalloc(sizeof(*child->strace));
	if (!child->strace)
		return;
	child->strace->armed = first;
	task_watch(child, WATCH_STRACE, true);
}

static const struct task_watcher watcher = {
	.born = adopt, .signal = tell_signal, .stop = tell_stop, .end = tell_end,
};

void strace_init(void)
{
	char how[16];

	if (!debug_on(DEBUG_STRACE) || !outbox_active())
		return;
	follow = cmdline_get("strace", how, sizeof(how)) && !strcmp(how, "follow");
	task_watcher = &watcher;
}
