/*
 * strace: structures.  A simple one is a row of fields; what needs more has a
 * function.  Long ones show what Linux's strace shows by default, and "...".
 */
#include <abi/stat.h>
#include "abi.h"
#include "strace.h"

#define CLD_EXITED_K 1
#define FAULT_SIGNALS (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGFPE) | SIGBIT(SIGTRAP))

enum field_kind { DEC, UDEC, HEX, STR, RLIM, LOADS, TIMEVAL, FLAGS, MORE };
struct field { const char *name; u16 off; u8 size, kind; u16 set; };
struct layout { u16 size; u8 nfields; const struct field *fields; };

#define F(T, member, label, kind)      { label, offsetof(T, member), sizeof(((T *)0)->member), kind, 0 }
#define FSET(T, member, label, set)    { label, offsetof(T, member), sizeof(((T *)0)->member), FLAGS, set }
#define LAYOUT(T, rows)		       { sizeof(T), ARRAY_LEN(rows), rows }

static const struct field timespec_rows[] = { F(struct timespec_k, sec, "tv_sec", DEC), F(struct timespec_k, nsec, "tv_nsec", UDEC) };
static const struct field timeval_rows[] = { F(struct timeval_k, sec, "tv_sec", DEC), F(struct timeval_k, usec, "tv_usec", UDEC) };
static const struct field timezone_rows[] = {
	F(struct timezone_k, minuteswest, "tz_minuteswest", DEC), F(struct timezone_k, dsttime, "tz_dsttime", DEC),
};
static const struct field tms_rows[] = {
	F(struct tms_k, utime, "tms_utime", DEC), F(struct tms_k, stime, "tms_stime", DEC),
	F(struct tms_k, cutime, "tms_cutime", DEC), F(struct tms_k, cstime, "tms_cstime", DEC),
};
static const struct field utimbuf_rows[] = { F(struct utimbuf_k, actime, "actime", DEC), F(struct utimbuf_k, modtime, "modtime", DEC) };
static const struct field rlimit_rows[] = { F(struct rlimit64, cur, "rlim_cur", RLIM), F(struct rlimit64, max, "rlim_max", RLIM) };
static const struct field utsname_rows[] = {
	F(struct utsname_k, sysname, "sysname", STR), F(struct utsname_k, nodename, "nodename", STR), { NULL, 0, 0, MORE, 0 },
};
static const struct field sysinfo_rows[] = {
	F(struct sysinfo_k, uptime, "uptime", DEC), F(struct sysinfo_k, loads, "loads", LOADS),
	F(struct sysinfo_k, totalram, "totalram", UDEC),
	F(struct sysinfo_k, freeram, "freeram", UDEC), F(struct sysinfo_k, sharedram, "sharedram", UDEC),
	F(struct sysinfo_k, bufferram, "bufferram", UDEC), F(struct sysinfo_k, totalswap, "totalswap", UDEC),
	F(struct sysinfo_k, freeswap, "freeswap", UDEC), F(struct sysinfo_k, procs, "procs", UDEC),
	F(struct sysinfo_k, totalhigh, "totalhigh", UDEC), F(struct sysinfo_k, freehigh, "freehigh", UDEC),
	F(struct sysinfo_k, mem_unit, "mem_unit", UDEC),
};
static const struct field sigaltstack_rows[] = {
	F(struct sigaltstack_k, sp, "ss_sp", HEX), FSET(struct sigaltstack_k, flags, "ss_flags", SYSCALL_SET_ALTSTACK),
	F(struct sigaltstack_k, size, "ss_size", UDEC),
};
static const struct field timex_rows[] = {
	FSET(struct timex_k, modes, "modes", SYSCALL_SET_TIMEX_MODES), F(struct timex_k, offset, "offset", DEC),
	F(struct timex_k, freq, "freq", DEC), F(struct timex_k, maxerror, "maxerror", UDEC),
	F(struct timex_k, esterror, "esterror", UDEC), FSET(struct timex_k, status, "status", SYSCALL_SET_TIMEX_STATUS),
	F(struct timex_k, constant, "constant", DEC), F(struct timex_k, precision, "precision", UDEC),
	F(struct timex_k, tolerance, "tolerance", DEC), F(struct timex_k, time, "time", TIMEVAL),
	F(struct timex_k, tick, "tick", DEC), F(struct timex_k, ppsfreq, "ppsfreq", DEC),
	F(struct timex_k, jitter, "jitter", DEC), F(struct timex_k, shift, "shift", DEC),
	F(struct timex_k, stabil, "stabil", DEC), F(struct timex_k, jitcnt, "jitcnt", DEC),
	F(struct timex_k, calcnt, "calcnt", DEC), F(struct timex_k, errcnt, "errcnt", DEC),
	F(struct timex_k, stbcnt, "stbcnt", DEC), F(struct timex_k, tai, "tai", DEC),
};

static const struct layout layouts[] = {
	[SYSCALL_STRUCT_TIMESPEC] = LAYOUT(struct timespec_k, timespec_rows),
	[SYSCALL_STRUCT_TIMESPEC2] = LAYOUT(struct timespec_k, timespec_rows),
	[SYSCALL_STRUCT_TIMEVAL] = LAYOUT(struct timeval_k, timeval_rows),
	[SYSCALL_STRUCT_TIMEVAL2] = LAYOUT(struct timeval_k, timeval_rows),
	[SYSCALL_STRUCT_TIMEZONE] = LAYOUT(struct timezone_k, timezone_rows),
	[SYSCALL_STRUCT_TMS] = LAYOUT(struct tms_k, tms_rows),
	[SYSCALL_STRUCT_UTIMBUF] = LAYOUT(struct utimbuf_k, utimbuf_rows),
	[SYSCALL_STRUCT_RLIMIT] = LAYOUT(struct rlimit64, rlimit_rows),
	[SYSCALL_STRUCT_UTSNAME] = LAYOUT(struct utsname_k, utsname_rows),
	[SYSCALL_STRUCT_SYSINFO] = LAYOUT(struct sysinfo_k, sysinfo_rows),
	[SYSCALL_STRUCT_SIGALTSTACK] = LAYOUT(struct sigaltstack_k, sigaltstack_rows),
	[SYSCALL_STRUCT_TIMEX] = LAYOUT(struct timex_k, timex_rows),
};

static u64 field_value(const void *p, const struct field *f)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)p + f->off, MIN(f->size, 8));
	if (f->kind == DEC && f->size < 8)
		v = (u64)((i64)(v << (64 - 8 * f->size)) >> (64 - 8 * f->size));
	return v;
}

static void put_limit(struct strace_line *l, u64 v)
{
	if (v == ~0ull)
		put(l, "RLIM64_INFINITY");
	else if (v > 1024 && !(v % 1024))
		put(l, "%llu*1024", (unsigned long long)v / 1024);
	else
		put(l, "%llu", (unsigned long long)v);
}

static void put_fields(struct strace_line *l, const void *p, const struct layout *y);

static void put_field(struct strace_line *l, const void *p, const struct field *f)
{
	u64 v = field_value(p, f);

	if (f->kind == MORE) {
		put(l, "...");
		return;
	}
	put(l, "%s=", f->name);
	switch (f->kind) {
	case DEC: put(l, "%lld", (long long)v); break;
	case UDEC: put(l, "%llu", (unsigned long long)v); break;
	case HEX: put_pointer(l, v); break;
	case STR: put_quoted(l, (const char *)p + f->off, strnlen((const char *)p + f->off, f->size)); break;
	case RLIM: put_limit(l, v); break;
	case LOADS: {
		const u64 *load = (const u64 *)((const u8 *)p + f->off);

		put(l, "[%llu, %llu, %llu]", (unsigned long long)load[0], (unsigned long long)load[1], (unsigned long long)load[2]);
		break;
	}
	case TIMEVAL: put_fields(l, (const u8 *)p + f->off, &layouts[SYSCALL_STRUCT_TIMEVAL]); break;
	case FLAGS: put_set(l, f->set, v); break;
	}
}

static void put_fields(struct strace_line *l, const void *p, const struct layout *y)
{
	put(l, "{");
	for (u32 i = 0; i < y->nfields; i++) {
		put(l, "%s", i ? ", " : "");
		put_field(l, p, &y->fields[i]);
	}
	put(l, "}");
}

static void put_timespec(struct strace_line *l, const void *p) { put_fields(l, p, &layouts[SYSCALL_STRUCT_TIMESPEC]); }
static void put_timeval(struct strace_line *l, const void *p) { put_fields(l, p, &layouts[SYSCALL_STRUCT_TIMEVAL]); }

/* --- each with its own --------------------------------------------------------------- */

static void put_itimerspec(struct strace_line *l, const void *p)
{
	put(l, "{it_interval=");
	put_timespec(l, p);
	put(l, ", it_value=");
	put_timespec(l, (const u8 *)p + 16);
	put(l, "}");
}

static void put_itimerval(struct strace_line *l, const void *p)
{
	put(l, "{it_interval=");
	put_timeval(l, p);
	put(l, ", it_value=");
	put_timeval(l, (const u8 *)p + 16);
	put(l, "}");
}

static void put_rusage(struct strace_line *l, const void *p)
{
	put(l, "{ru_utime=");
	put_timeval(l, p);
	put(l, ", ru_stime=");
	put_timeval(l, (const u8 *)p + 16);
	put(l, ", ...}");
}

static void put_dev(struct strace_line *l, u64 dev)
{
	put(l, "makedev(%#llx, %#llx)", (unsigned long long)((dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffull)),
	    (unsigned long long)((dev & 0xff) | (dev >> 12 & 0xffffff00)));
}

static void put_stat(struct strace_line *l, const void *p)
{
	const struct stat_k *st = p;
	u32 type = st->mode & 0170000;

	put(l, "{st_mode=");
	put_mode(l, st->mode);
	if (type == 0020000 || type == 0060000) {
		put(l, ", st_rdev=");
		put_dev(l, st->rdev);
	} else {
		put(l, ", st_size=%lld", (long long)st->size);
	}
	put(l, ", ...}");
}

static void put_statx(struct strace_line *l, const void *p)
{
	const struct statx_k *st = p;

	put(l, "{stx_mask=");
	put_set(l, SYSCALL_SET_STATX, st->mask);
	put(l, ", stx_attributes=%#llx, stx_mode=", (unsigned long long)st->attributes);
	put_mode(l, st->mode);
	put(l, ", stx_size=%llu, ...}", (unsigned long long)st->size);
}

static void put_statfs(struct strace_line *l, const void *p)
{
	const struct statfs_k *s = p;

	put(l, "{f_type=");
	put_value(l, SYSCALL_SET_FSTYPE, (u64)s->type);
	put(l, ", f_bsize=%lld, f_blocks=%llu, f_bfree=%llu, f_bavail=%llu, f_files=%llu, f_ffree=%llu", (long long)s->bsize,
	    (unsigned long long)s->blocks, (unsigned long long)s->bfree, (unsigned long long)s->bavail,
	    (unsigned long long)s->files, (unsigned long long)s->ffree);
	put(l, ", f_fsid={val=[%#x, %#x]}, f_namelen=%lld, f_frsize=%lld, f_flags=", (u32)s->fsid[0], (u32)s->fsid[1],
	    (long long)s->namelen, (long long)s->frsize);
	put_set(l, SYSCALL_SET_STATVFS, (u64)s->flags);
	put(l, "}");
}

static void put_sigaction(struct strace_line *l, const void *p)
{
	const struct sigaction_k *a = p;

	put(l, "{sa_handler=");
	if (a->handler <= 1)
		put(l, a->handler ? "SIG_IGN" : "SIG_DFL");
	else
		put_pointer(l, a->handler);
	put(l, ", sa_mask=");
	put_sigset(l, a->mask);
	put(l, ", sa_flags=");
	put_set(l, SYSCALL_SET_SA, a->flags);
	if (a->flags & SA_RESTORER_K) {
		put(l, ", sa_restorer=");
		put_pointer(l, a->restorer);
	}
	put(l, "}");
}

static void put_sigset_at(struct strace_line *l, const void *p) { put_sigset(l, *(const u64 *)p); }

static void put_pollfd(struct strace_line *l, const void *p)
{
	const struct pollfd_k *f = p;

	put(l, "{fd=%d", f->fd);
	if (f->fd >= 0) {
		put(l, ", events=");
		put_set(l, SYSCALL_SET_POLL, (u16)f->events);
	}
	put(l, "}");
}

static void put_epoll_event(struct strace_line *l, const void *p)
{
	u32 events;
	u64 data;

	memcpy(&events, p, 4);
	memcpy(&data, (const u8 *)p + 4, 8);
	put(l, "{events=");
	put_set(l, SYSCALL_SET_EPOLL, events);
	put(l, ", data={u32=%u, u64=%llu}}", (u32)data, (unsigned long long)data);
}

static void put_int(struct strace_line *l, const void *p) { put(l, "%d", *(const i32 *)p); }
static void put_uint(struct strace_line *l, const void *p) { put(l, "%u", *(const u32 *)p); }
static void put_long(struct strace_line *l, const void *p) { put(l, "%lld", *(const long long *)p); }
static void put_wstatus(struct strace_line *l, const void *p)
{
	put(l, "{");
	put_wait_status(l, *(const i32 *)p);
	put(l, "}");
}

static void put_siginfo_at(struct strace_line *l, const void *p) { put_siginfo(l, p); }
static void put_clone_args(struct strace_line *l, const void *p)
{
	const struct clone_args_user_k *a = p;

	put(l, "{flags=");
	put_set(l, SYSCALL_SET_CLONE, a->flags);
	if (a->flags & CLONE_CHILD_SETTID || a->flags & CLONE_CHILD_CLEARTID)
		put(l, ", child_tid=%#llx", (unsigned long long)a->child_tid);
	if (a->flags & CLONE_PARENT_SETTID)
		put(l, ", parent_tid=%#llx", (unsigned long long)a->parent_tid);
	put(l, ", exit_signal=");
	put_signal(l, (u32)a->exit_signal);
	put(l, ", stack=");
	put_pointer(l, a->stack);
	put(l, ", stack_size=%#llx", (unsigned long long)a->stack_size);
	if (a->flags & CLONE_SETTLS)
		put(l, ", tls=%#llx", (unsigned long long)a->tls);
	put(l, "}");
}

static void put_sigevent(struct strace_line *l, const void *p)
{
	const struct sigevent_user_k *ev = p;
	u64 called[2];			/* sigev_notify_function and its attributes, where the thread's number is too */

	put(l, "{sigev_value={sival_int=%d, sival_ptr=", (i32)ev->value);
	put_pointer(l, ev->value);
	put(l, "}, sigev_signo=");
	if (ev->notify == SIGEV_SIGNAL || ev->notify == SIGEV_THREAD || ev->notify == SIGEV_THREAD_ID)
		put_signal(l, (u32)ev->signo);
	else
		put(l, "%u", (u32)ev->signo);
	put(l, ", sigev_notify=");
	put_value(l, SYSCALL_SET_SIGEV, (u64)(i64)ev->notify);
	if (ev->notify == SIGEV_THREAD_ID) {
		put(l, ", sigev_notify_thread_id=%d", ev->tid);
	} else if (ev->notify == SIGEV_THREAD) {
		memcpy(called, &ev->tid, sizeof(called));
		put(l, ", sigev_notify_function=");
		put_pointer(l, called[0]);
		put(l, ", sigev_notify_attributes=");
		put_pointer(l, called[1]);
	}
	put(l, "}");
}

static void put_waitv(struct strace_line *l, const void *p)
{
	const struct futex_waitv_k *w = p;

	put(l, "{val=%#llx, uaddr=", (unsigned long long)w->val);
	put_pointer(l, w->uaddr);
	put(l, ", flags=");
	put_set(l, SYSCALL_SET_WAITV, w->flags);
	if (w->reserved)
		put(l, ", __reserved=%#x", w->reserved);
	put(l, "}");
}

/* brackets: a single one is shown as an array of one, as strace does with numbers. */
static const struct own { void (*fn)(struct strace_line *l, const void *p); u16 size; bool brackets; } owns[] = {
	[SYSCALL_STRUCT_ITIMERSPEC] = { put_itimerspec, 32, false },
	[SYSCALL_STRUCT_ITIMERVAL] = { put_itimerval, 32, false },
	[SYSCALL_STRUCT_RUSAGE] = { put_rusage, 144, false },
	[SYSCALL_STRUCT_STAT] = { put_stat, sizeof(struct stat_k), false },
	[SYSCALL_STRUCT_STATX] = { put_statx, sizeof(struct statx_k), false },
	[SYSCALL_STRUCT_STATFS] = { put_statfs, sizeof(struct statfs_k), false },
	[SYSCALL_STRUCT_SIGACTION] = { put_sigaction, sizeof(struct sigaction_k), false },
	[SYSCALL_STRUCT_SIGSET] = { put_sigset_at, 8, false },
	[SYSCALL_STRUCT_SIGINFO] = { put_siginfo_at, 128, false },
	[SYSCALL_STRUCT_POLLFD] = { put_pollfd, 8, false },
	[SYSCALL_STRUCT_EPOLL_EVENT] = { put_epoll_event, 12, false },
	[SYSCALL_STRUCT_IOVEC] = { put_iovec, 16, false },
	[SYSCALL_STRUCT_MSGHDR] = { put_msghdr, sizeof(struct msghdr_user_k), false },
	[SYSCALL_STRUCT_MMSGHDR] = { put_mmsghdr, sizeof(struct mmsghdr_user_k), false },
	[SYSCALL_STRUCT_SIGEVENT] = { put_sigevent, sizeof(struct sigevent_user_k), false },
	[SYSCALL_STRUCT_FUTEX_WAITV] = { put_waitv, sizeof(struct futex_waitv_k), false },
	[SYSCALL_STRUCT_INT] = { put_int, 4, true },
	[SYSCALL_STRUCT_INT1] = { put_int, 4, true },
	[SYSCALL_STRUCT_UINT] = { put_uint, 4, true },
	[SYSCALL_STRUCT_LONG] = { put_long, 8, true },
	[SYSCALL_STRUCT_ULONG] = { put_long, 8, true },
	[SYSCALL_STRUCT_WSTATUS] = { put_wstatus, 4, true },
	[SYSCALL_STRUCT_CLONE_ARGS] = { put_clone_args, 88, false },
};

bool struct_is_shown_late(u32 kind)
{
	return kind == SYSCALL_STRUCT_INT || kind == SYSCALL_STRUCT_MSGHDR || kind == SYSCALL_STRUCT_MMSGHDR ||
	       kind == SYSCALL_STRUCT_TIMEX;
}

static void put_dated(struct strace_line *l, const struct timespec_k *t)
{
	put_timespec(l, t);
	if (t->sec <= 0 && !t->nsec)
		return;
	put(l, " /* ");
	put_date(l, t->sec, t->nsec);
	put(l, " */");
}

static void put_timespec_or_word(struct strace_line *l, const void *p)
{
	const struct timespec_k *t = p;

	if (t->nsec == UTIME_NOW)
		put(l, "UTIME_NOW");
	else if (t->nsec == UTIME_OMIT)
		put(l, "UTIME_OMIT");
	else
		put_dated(l, t);
}

static void put_fdset(struct strace_line *l, u64 at, u64 n)
{
	u64 words[16];
	const char *between = "";

	n = MIN(n, 1024ull);
	if (!at || user_copy_in(words, UPTR(at), (n + 63) / 64 * 8)) {
		put_pointer(l, at);
		return;
	}
	put(l, "[");
	for (u64 fd = 0; fd < n; fd++)
		if (words[fd / 64] >> (fd % 64) & 1) {
			put(l, "%s%llu", between, (unsigned long long)fd);
			between = " ";
		}
	put(l, "]");
}

static bool is_pair(u32 kind)
{
	return kind == SYSCALL_STRUCT_TIMESPEC2 || kind == SYSCALL_STRUCT_TIMEVAL2 || kind == SYSCALL_STRUCT_INT2;
}

/* How many elements argument a has: for those that the kernel fills in, how many it filled. */
static u64 element_count(const struct strace_line *l, const struct syscall_arg *a)
{
	u64 n = l->arg[a->len - 1];
	bool filled = a->dir == SYSCALL_DIR_OUT || l->nr == SYSCALL_NR_RECVMMSG;

	return filled && l->leaving && (u64)l->ret < n ? (u64)l->ret : n;
}

void put_struct(struct strace_line *l, u32 i, u64 at)
{
	const struct syscall_arg *a = &l->args[i];
	const struct own *own = a->detail < ARRAY_LEN(owns) ? &owns[a->detail] : NULL;
	const struct layout *y = a->detail < ARRAY_LEN(layouts) ? &layouts[a->detail] : NULL;
	u64 buf[32];

	l->bytes_left = l->leaving && !l->failed ? (u64)l->ret : ~0ull;
	if (put_sized(l, i, at))
		return;
	if (l->nr == SYSCALL_NR_RECVMMSG && a->detail == SYSCALL_STRUCT_TIMESPEC && l->before.has_time)
		put_timespec(l, &l->before.time);	/* what was asked for: what is left goes with the result */
	else if (a->detail == SYSCALL_STRUCT_FDSET)
		put_fdset(l, at, l->arg[0]);
	else if (a->detail == SYSCALL_STRUCT_TIMESPEC2)
		put_array(l, at, 2, 16, put_timespec_or_word);
	else if (a->detail == SYSCALL_STRUCT_TIMEVAL2)
		put_array(l, at, 2, 16, put_timeval);
	else if (is_pair(a->detail))
		put_array(l, at, 2, 4, put_int);
	else if (own && own->fn && (a->len || own->brackets))
		put_array(l, at, a->len ? element_count(l, a) : 1, own->size, own->fn);
	else if (!at || (!(own && own->fn) && !(y && y->fields)) ||
		 user_copy_in(buf, UPTR(at), own && own->fn ? own->size : MIN(y->size, (u16)sizeof(buf))))
		put_pointer(l, at);
	else if (own && own->fn)
		own->fn(l, buf);
	else
		put_fields(l, buf, y);
}

/* --- siginfo, wait status ----------------------------------------------------- */

static const char *code_name(u32 sig, i32 code)
{
	static const char *const user[] = { "SI_USER", "SI_QUEUE", "SI_TIMER", "SI_MESGQ", "SI_ASYNCIO", "SI_SIGIO", "SI_TKILL" };
	static const char *const chld[] = { "CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED" };
	static const char *const segv[] = { "SEGV_MAPERR", "SEGV_ACCERR" }, *const bus[] = { "BUS_ADRALN", "BUS_ADRERR" };
	static const char *const trap[] = { "TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT" };
	static const char *const fpe[] = { "FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV" };
	static const char *const ill[] = { "ILL_ILLOPC", "ILL_ILLOPN" };
#define NAMED(sig_, table) if (sig == (sig_) && code >= 1 && code <= (i32)ARRAY_LEN(table)) return (table)[code - 1]
	if (code == SI_KERNEL)
		return "SI_KERNEL";
	if (code <= 0 && code > -(i32)ARRAY_LEN(user))
		return user[-code];
	NAMED(SIGCHLD, chld);
	NAMED(SIGSEGV, segv);
	NAMED(SIGBUS, bus);
	NAMED(SIGTRAP, trap);
	NAMED(SIGFPE, fpe);
	NAMED(SIGILL, ill);
#undef NAMED
	return NULL;
}

static void put_child(struct strace_line *l, const struct siginfo_k *si)
{
	put(l, ", si_pid=%d, si_uid=%u, si_status=", si->chld.pid, si->chld.uid);
	if (si->code == CLD_EXITED_K)
		put(l, "%d", si->chld.status);
	else
		put_signal(l, (u32)si->chld.status);
	put(l, ", si_utime=%lld, si_stime=%lld", (long long)si->chld.utime, (long long)si->chld.stime);
}

void put_siginfo(struct strace_line *l, const struct siginfo_k *si)
{
	const char *code = code_name((u32)si->signo, si->code);

	if (!si->signo) {
		put(l, "{}");
		return;
	}
	put(l, "{si_signo=");
	put_signal(l, (u32)si->signo);
	if (code)
		put(l, ", si_code=%s", code);
	else
		put(l, ", si_code=%#x", (u32)si->code);
	if (si->signo == SIGCHLD && si->code > 0)
		put_child(l, si);
	else if ((SIGBIT(si->signo) & FAULT_SIGNALS) && si->code > 0)
		put(l, si->fault.addr ? ", si_addr=%#llx" : ", si_addr=NULL", (unsigned long long)si->fault.addr);
	else if (si->code == SI_TIMER)
		put(l, ", si_timerid=%#x, si_overrun=%d", (u32)si->timer.tid, si->timer.overrun);
	else if (si->code <= 0)
		put(l, ", si_pid=%d, si_uid=%u", si->rt.pid, si->rt.uid);
	if (si->code == SI_TIMER || si->code == SI_QUEUE) {
		put(l, ", si_int=%d, si_ptr=", (i32)si->rt.value);
		put_pointer(l, si->rt.value);
	}
	put(l, "}");
}

void put_wait_status(struct strace_line *l, i32 status)
{
	u32 sig = (u32)status & 0x7f;

	if (status == 0xffff) {
		put(l, "WIFCONTINUED(s)");
	} else if (sig == 0x7f) {
		put(l, "WIFSTOPPED(s) && WSTOPSIG(s) == ");
		put_signal(l, (u32)status >> 8 & 0xff);
	} else if (sig) {
		put(l, "WIFSIGNALED(s) && WTERMSIG(s) == ");
		put_signal(l, sig);
		if (status & 0x80)
			put(l, " && WCOREDUMP(s)");
	} else {
		put(l, "WIFEXITED(s) && WEXITSTATUS(s) == %d", status >> 8 & 0xff);
	}
}
