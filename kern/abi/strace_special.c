/*
 * strace: what the table cannot say in one word.  Arguments that depend on others,
 * calls that Linux's strace shows in its own way, results with an explanation.
 */
#include <arch/trap.h>
#include <abi/stat.h>
#include "abi.h"
#include "strace.h"

#define ULL(v) ((unsigned long long)(v))

static void put_number_at(struct strace_line *l, u64 at)
{
	i32 v;

	if (!at || user_copy_in(&v, UPTR(at), sizeof(v)))
		put_pointer(l, at);
	else
		put(l, "[%d]", v);
}

/* --- ioctl, fcntl, prctl, futex ----------------------------------------------------- */

static const char *baud_name(u32 cflag)
{
	static const char *const names[] = { "B0", "B50", "B75", "B110", "B134", "B150", "B200", "B300", "B600", "B1200", "B1800",
					     "B2400", "B4800", "B9600", "B19200", "B38400" };

	return (cflag & 0x100f) < ARRAY_LEN(names) ? names[cflag & 0xf] : (cflag & 0x100f) == 0x1002 ? "B115200" : "B???";
}

static void put_termios(struct strace_line *l, u64 at)
{
	u32 t[4];

	if (!at || user_copy_in(t, UPTR(at), sizeof(t))) {
		put_pointer(l, at);
		return;
	}
	put(l, "{%s %sopost %sisig %sicanon %secho ...}", baud_name(t[2]), t[1] & 1 ? "" : "-", t[3] & 1 ? "" : "-",
	    t[3] & 2 ? "" : "-", t[3] & 8 ? "" : "-");
}

static void put_winsize(struct strace_line *l, u64 at)
{
	u16 w[4];

	if (!at || user_copy_in(w, UPTR(at), sizeof(w)))
		put_pointer(l, at);
	else
		put(l, "{ws_row=%u, ws_col=%u, ws_xpixel=%u, ws_ypixel=%u}", w[0], w[1], w[2], w[3]);
}

static bool ioctl_reads(u64 cmd)
{
	switch (cmd) {
	case TCGETS: case TIOCGPGRP: case TIOCGWINSZ: case FIONREAD: case TIOCGSID: case TIOCOUTQ: case TIOCGPTN: return true;
	}
	return false;
}

void put_ioctl_arg(struct strace_line *l)
{
	u64 cmd = (u32)l->arg[1], arg = l->arg[2];

	if (l->failed && ioctl_reads(cmd)) {
		put_pointer(l, arg);
		return;
	}
	switch (cmd) {
	case TCGETS: case TCSETS: case TCSETSW: case TCSETSF: put_termios(l, arg); break;
	case TIOCGWINSZ: case TIOCSWINSZ: put_winsize(l, arg); break;
	case TIOCGPGRP: case TIOCSPGRP: case TIOCGSID: case FIONREAD: case FIONBIO: case TIOCOUTQ: case TIOCGPTN: case TIOCSPTLCK:
		put_number_at(l, arg);
		break;
	case TIOCSCTTY: case TCSBRK: put(l, "%d", (i32)arg); break;
	case TCFLSH: put(l, "%s", arg == 0 ? "TCIFLUSH" : arg == 1 ? "TCOFLUSH" : "TCIOFLUSH"); break;
	default: put(l, "%#llx", ULL(arg));
	}
}

static void put_flock(struct strace_line *l, u64 at, bool with_pid)
{
	struct flock_k f;

	if (!at || user_copy_in(&f, UPTR(at), sizeof(f))) {
		put_pointer(l, at);
		return;
	}
	put(l, "{l_type=");
	put_value(l, SYSCALL_SET_LOCK, (u64)(i64)f.type);
	put(l, ", l_whence=");
	put_value(l, SYSCALL_SET_SEEK, (u64)(i64)f.whence);
	put(l, ", l_start=%lld, l_len=%lld", (long long)f.start, (long long)f.len);
	if (with_pid)
		put(l, ", l_pid=%d", f.pid);
	put(l, "}");
}

void put_fcntl_arg(struct strace_line *l)
{
	u64 arg = l->arg[2];

	switch ((u32)l->arg[1]) {
	case F_SETFD: put_set(l, SYSCALL_SET_FDFLAGS, (u32)arg); break;
	case F_SETFL: put_set(l, SYSCALL_SET_OPEN, (u32)arg); break;
	case F_GETLK: case F_OFD_GETLK: put_flock(l, arg, !l->failed); break;
	case F_SETLK: case F_SETLKW: case F_OFD_SETLK: case F_OFD_SETLKW: put_flock(l, arg, false); break;
	default: put(l, "%d", (i32)arg);
	}
}

static const char *dumpable_name(u64 v) { return v == 1 ? "SUID_DUMP_USER" : v == 0 ? "SUID_DUMP_DISABLE" : "SUID_DUMP_ROOT"; }

void put_prctl_arg(struct strace_line *l)
{
	u64 arg = l->arg[1];

	switch ((u32)l->arg[0]) {
	case PR_SET_NAME: put_string(l, arg, 15); break;
	case PR_GET_NAME:
		if (l->failed)
			put_pointer(l, arg);
		else
			put_string(l, arg, 16);
		break;
	case PR_SET_PDEATHSIG: put_signal(l, (u32)arg); break;
	case PR_GET_PDEATHSIG: case PR_GET_CHILD_SUBREAPER: put_number_at(l, arg); break;
	case PR_SET_DUMPABLE: put(l, "%s", dumpable_name(arg)); break;
	case PR_SET_CHILD_SUBREAPER: case PR_SET_NO_NEW_PRIVS: case PR_SET_KEEPCAPS: case PR_CAPBSET_READ: case PR_CAPBSET_DROP:
		put(l, "%llu", ULL(arg));
		break;
	default: put(l, "%#llx", ULL(arg));
	}
}

/* Most options are a number; the length is the next argument, for getsockopt where it points to. */
void put_sockopt_arg(struct strace_line *l)
{
	u32 len = (u32)l->arg[4];

	if (l->leaving && user_copy_in(&len, UPTR(l->arg[4]), sizeof(len)))
		len = 0;
	if (l->failed)
		put_pointer(l, l->arg[3]);
	else if (len == sizeof(i32))
		put_number_at(l, l->arg[3]);
	else
		put_bytes(l, l->arg[3], len);
}

static void put_timespec_at(struct strace_line *l, u64 at)
{
	struct timespec_k ts;

	if (!at || user_copy_in(&ts, UPTR(at), sizeof(ts)))
		put_pointer(l, at);
	else
		put(l, "{tv_sec=%lld, tv_nsec=%lld}", (long long)ts.sec, (long long)ts.nsec);
}

#define FUTEX_OP(op) ((op) & 0x7f)
#define FUTEX_REALTIME 0x100u

void put_futex_arg(struct strace_line *l)
{
	u32 op = FUTEX_OP((u32)l->arg[1]);

	if (op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET)
		put_timespec_at(l, l->arg[3]);
	else
		put(l, "%llu", ULL((u32)l->arg[3]));
}

static void put_futex(struct strace_line *l)
{
	u32 op = (u32)l->arg[1], plain = FUTEX_OP(op);

	put_pointer(l, l->arg[0]);
	put(l, ", ");
	put_value(l, SYSCALL_SET_FUTEX, op & ~FUTEX_REALTIME);
	put(l, "%s, %u", op & FUTEX_REALTIME ? "|FUTEX_CLOCK_REALTIME" : "", (u32)l->arg[2]);
	if (plain == FUTEX_WAKE)
		return;
	if (plain != FUTEX_WAKE_BITSET) {
		put(l, ", ");
		put_futex_arg(l);
	}
	if (plain == FUTEX_REQUEUE || plain == FUTEX_CMP_REQUEUE || plain == FUTEX_WAKE_OP) {
		put(l, ", ");
		put_pointer(l, l->arg[4]);
	}
	if (plain == FUTEX_WAIT_BITSET || plain == FUTEX_WAKE_BITSET)
		put(l, (u32)l->arg[5] == ~0u ? ", FUTEX_BITSET_MATCH_ANY" : ", %#x", (u32)l->arg[5]);
	else if (plain == FUTEX_CMP_REQUEUE)
		put(l, ", %u", (u32)l->arg[5]);
}

/* --- calls shown in their own way ------------------------------------------------------- */

#define CLONE_MORE (CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_SETTLS)

static void put_clone(struct strace_line *l)
{
	u64 flags = l->arg[0] & ~0xffull;

	if (!l->leaving) {
		put(l, "child_stack=");
		put_pointer(l, l->arg[1]);
		put(l, ", flags=");
		if (flags)
			put_set(l, SYSCALL_SET_CLONE, flags);
		if (l->arg[0] & 0xff) {
			put(l, "%s", flags ? "|" : "");
			put_signal(l, (u32)l->arg[0] & 0xff);
		}
		if (flags & CLONE_MORE)
			put(l, ", ");
		return;
	}
	const char *between = "";
	i32 there;

	if (flags & CLONE_PARENT_SETTID) {
		put(l, "parent_tid=");
		/* What the call stored is its result; the child runs by now and may have stored something else since. */
		if (l->failed || user_copy_in(&there, UPTR(l->arg[2]), sizeof(there)))
			put_pointer(l, l->arg[2]);
		else
			put(l, "[%d]", (i32)l->ret);
		between = ", ";
	}
	if (flags & CLONE_SETTLS) {
		put(l, "%stls=%#llx", between, ULL(l->arg[4]));
		between = ", ";
	}
	if (flags & (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))
		put(l, "%schild_tidptr=%#llx", between, ULL(l->arg[3]));
}

#define FRAME_MASK 296u		/* of the signal frame, from the stack pointer that rt_sigreturn sees */

static void put_sigreturn(struct strace_line *l)
{
	u64 mask;

	if (l->leaving)
		return;
	if (user_copy_in(&mask, UPTR(task_frame(task_current())->rsp + FRAME_MASK), sizeof(mask))) {
		put(l, "NULL");
		return;
	}
	put(l, "{mask=");
	put_sigset(l, mask);
	put(l, "}");
}

/* Names in a buffer of directory entries: the length of each is at 16. */
static u32 count_entries(u64 at, u64 len)
{
	u32 n = 0;
	u16 size;

	for (u64 off = 0; off + 19 <= len; off += size, n++)
		if (user_copy_in(&size, UPTR(at + off + 16), 2) || !size)
			break;
	return n;
}

static void put_getdents(struct strace_line *l)
{
	if (!l->leaving) {
		put(l, "%d, ", (i32)l->arg[0]);
		return;
	}
	put_pointer(l, l->arg[1]);
	if (!l->failed)
		put(l, " /* %u entries */", count_entries(l->arg[1], (u64)l->ret));
	put(l, ", %u", (u32)l->arg[2]);
}

static void put_mknod(struct strace_line *l, u32 first)
{
	u32 mode = (u32)l->arg[first + 1];

	if (l->leaving)
		return;
	if (first)
		put(l, (i32)l->arg[0] == -100 ? "AT_FDCWD, " : "%d, ", (i32)l->arg[0]);
	put_string(l, l->arg[first], PAGE_SIZE);
	put(l, ", ");
	put_mode(l, mode);
	if ((mode & 0170000) == 0020000 || (mode & 0170000) == 0060000)
		put(l, ", makedev(%#llx, %#llx)", ULL(l->arg[first + 2] >> 8 & 0xfff), ULL(l->arg[first + 2] & 0xff));
}

bool own_way_has_more(const struct strace_line *l)
{
	return l->nr == SYSCALL_NR_GETDENTS64 || l->nr == SYSCALL_NR_SCHED_SETATTR || (l->nr == SYSCALL_NR_CLONE && (l->arg[0] & CLONE_MORE));
}

bool put_own_way(struct strace_line *l)
{
	switch (l->nr) {
	case SYSCALL_NR_CLONE: put_clone(l); return true;
	case SYSCALL_NR_RT_SIGRETURN: put_sigreturn(l); return true;
	case SYSCALL_NR_GETDENTS64: put_getdents(l); return true;
	case SYSCALL_NR_MKNOD: put_mknod(l, 0); return true;
	case SYSCALL_NR_MKNODAT: put_mknod(l, 1); return true;
	case SYSCALL_NR_SCHED_SETATTR: put_setattr(l); return true;
	case SYSCALL_NR_FUTEX:
		if (!l->leaving)
			put_futex(l);
		return true;
	}
	return false;
}

u32 args_shown(const struct strace_line *l)
{
	switch (l->nr) {
	case SYSCALL_NR_FCNTL:
		switch ((u32)l->arg[1]) {
		case F_GETFD: case F_GETFL: case F_GETOWN: case F_GETSIG: case F_GETPIPE_SZ: case F_GET_SEALS: return 2;
		}
		return 3;
	case SYSCALL_NR_PRCTL:
		switch ((u32)l->arg[0]) {
		case PR_GET_DUMPABLE: case PR_GET_KEEPCAPS: case PR_GET_SECCOMP: case PR_GET_TIMERSLACK: return 1;
		case PR_SET_NAME: case PR_GET_NAME: case PR_SET_PDEATHSIG: case PR_GET_PDEATHSIG: case PR_SET_DUMPABLE:
		case PR_SET_KEEPCAPS: case PR_CAPBSET_READ: case PR_CAPBSET_DROP: case PR_SET_CHILD_SUBREAPER:
		case PR_GET_CHILD_SUBREAPER: case PR_SET_TIMERSLACK: return 2;
		}
		return 5;
	case SYSCALL_NR_OPEN: return (u32)l->arg[1] & (O_CREAT | 020000000) ? 3 : 2;
	case SYSCALL_NR_OPENAT: return (u32)l->arg[2] & (O_CREAT | 020000000) ? 4 : 3;
	case SYSCALL_NR_MREMAP: return l->arg[3] & MREMAP_FIXED ? 5 : 4;
	case SYSCALL_NR_IOCTL:
		switch ((u32)l->arg[1]) {
		case FIOCLEX: case FIONCLEX: case TIOCNOTTY: case TIOCEXCL: case TIOCNXCL: return 2;
		}
		return 3;
	}
	return l->info->nargs;
}

bool arg_is_late(const struct strace_line *l, u32 i)
{
	const struct syscall_arg *a = &l->args[i];

	switch (a->kind) {
	case SYSCALL_ARG_OSTR:
	case SYSCALL_ARG_OSOCKADDR: return true;
	case SYSCALL_ARG_SOCKOPTARG: return l->nr == SYSCALL_NR_GETSOCKOPT;
	case SYSCALL_ARG_IOCTLARG: return ioctl_reads((u32)l->arg[1]);
	case SYSCALL_ARG_FCNTLARG: return (u32)l->arg[1] == F_GETLK || (u32)l->arg[1] == F_OFD_GETLK;
	case SYSCALL_ARG_PRCTLARG: return (u32)l->arg[0] == PR_GET_NAME || (u32)l->arg[0] == PR_GET_PDEATHSIG ||
					  (u32)l->arg[0] == PR_GET_CHILD_SUBREAPER;
	}
	if (l->nr == SYSCALL_NR_READV || l->nr == SYSCALL_NR_PREADV || l->nr == SYSCALL_NR_PREADV2)
		return i == 1;
	return a->dir == SYSCALL_DIR_OUT || (a->dir == SYSCALL_DIR_IO && struct_is_shown_late(a->detail));
}

/* --- results ----------------------------------------------------------------------------- */

static void put_poll_result(struct strace_line *l)
{
	const char *between = "";
	u64 n = MIN(l->arg[1], (u64)STRACE_STRING_MAX);
	struct pollfd_k f;

	if (!l->ret) {
		put(l, " (Timeout)");
		return;
	}
	put(l, " ([");
	for (u64 i = 0; i < n; i++) {
		if (user_copy_in(&f, UPTR(l->arg[0] + i * sizeof(f)), sizeof(f)) || !f.revents)
			continue;
		put(l, "%s{fd=%d, revents=", between, f.fd);
		put_set(l, SYSCALL_SET_POLL, (u16)f.revents);
		put(l, "}");
		between = ", ";
	}
	put(l, "]");
	if (l->nr == SYSCALL_NR_PPOLL && l->arg[2]) {
		put(l, ", left ");
		put_timespec_at(l, l->arg[2]);
	}
	put(l, ")");
}

static bool put_ready_set(struct strace_line *l, const char *name, u64 at, const char *between)
{
	u64 words[16], n = MIN(l->arg[0], 1024ull);
	const char *gap = "";
	bool any = false;

	if (!at || user_copy_in(words, UPTR(at), (n + 63) / 64 * 8))
		return false;
	for (u64 fd = 0; fd < n; fd++) {
		if (!(words[fd / 64] >> (fd % 64) & 1))
			continue;
		if (!any)
			put(l, "%s%s [", between, name);
		put(l, "%s%llu", gap, ULL(fd));
		gap = " ";
		any = true;
	}
	if (any)
		put(l, "]");
	return any;
}

static void put_select_result(struct strace_line *l)
{
	static const char *const names[] = { "in", "out", "except" };
	const char *between = "(";
	struct timeval_k left;

	put(l, " ");
	if (!l->ret) {
		put(l, "(Timeout)");
		return;
	}
	for (u32 i = 0; i < 3; i++)
		if (put_ready_set(l, names[i], l->arg[i + 1], between))
			between = ", ";
	if (l->arg[4] && !user_copy_in(&left, UPTR(l->arg[4]), sizeof(left)))
		put(l, "%sleft {tv_sec=%lld, tv_%csec=%lld}", between, (long long)left.sec, l->nr == SYSCALL_NR_SELECT ? 'u' : 'n',
		    (long long)left.usec);
	put(l, ")");
}

static void put_fcntl_result(struct strace_line *l)
{
	u32 cmd = (u32)l->arg[1];

	if ((cmd != F_GETFD && cmd != F_GETFL) || !l->ret) {
		put(l, cmd == F_GETFL ? "%#llx (flags O_RDONLY)" : "%lld", (long long)l->ret);
		return;
	}
	put(l, "%#llx (flags ", ULL(l->ret));
	put_set(l, cmd == F_GETFD ? SYSCALL_SET_FDFLAGS : SYSCALL_SET_OPEN, (u64)l->ret);
	put(l, ")");
}

/* Days since 1970 to year, month, day: the calendar repeats every 400 years of 146097 days, which begin in March. */
void put_date(struct strace_line *l, i64 t, i64 nsec)
{
	i64 day = t / 86400 + 719468, era = day / 146097, doe = day % 146097, sec = t % 86400;
	i64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	i64 m = (5 * doy + 2) / 153, month = m < 10 ? m + 3 : m - 9;

	put(l, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lld", (long long)(yoe + era * 400 + (month <= 2)), (long long)month,
	    (long long)(doy - (153 * m + 2) / 5 + 1), (long long)(sec / 3600), (long long)(sec / 60 % 60), (long long)(sec % 60));
	if (nsec)
		put(l, ".%09lld", (long long)nsec);
	put(l, "+0000");
}

static void put_explanation(struct strace_line *l)
{
	switch (l->nr) {
	case SYSCALL_NR_PRCTL:
		if (l->arg[0] == PR_GET_DUMPABLE)
			put(l, " (%s)", dumpable_name((u64)l->ret));
		break;
	case SYSCALL_NR_ADJTIMEX: case SYSCALL_NR_CLOCK_ADJTIME:
		put(l, " (");
		put_value(l, SYSCALL_SET_TIMEX_STATE, (u64)l->ret);
		put(l, ")");
		break;
	case SYSCALL_NR_RECVMMSG:
		if (!l->ret) {
			put(l, " (Timeout)");
		} else if (l->before.has_time) {
			put(l, " (left ");
			put_timespec_at(l, l->arg[4]);
			put(l, ")");
		}
		break;
	}
}

void put_result(struct strace_line *l)
{
	if (l->failed) {
		put_errno(l, -l->ret);
		return;
	}
	switch (l->info->result) {
	case SYSCALL_RET_ADDR: put(l, "%#llx", ULL(l->ret)); break;
	case SYSCALL_RET_OCTAL: put(l, "%#03llo", ULL(l->ret)); break;
	case SYSCALL_RET_FCNTL: put_fcntl_result(l); break;
	case SYSCALL_RET_TIME:
		put(l, "%lld (", (long long)l->ret);
		put_date(l, l->ret, 0);
		put(l, ")");
		break;
	case SYSCALL_RET_POLL:
		put(l, "%lld", (long long)l->ret);
		put_poll_result(l);
		break;
	case SYSCALL_RET_SELECT:
		put(l, "%lld", (long long)l->ret);
		put_select_result(l);
		break;
	default:
		put(l, "%lld", (long long)l->ret);
		put_explanation(l);
	}
}
