/* syslog(2): the kernel log for dmesg and klogd.  As on Debian, only for CAP_SYSLOG. */
#include <base/fmt.h>
#include <core/log.h>
#include "abi.h"

#define LINE_MAX	 320u
#define RING_BYTES	 (1u << 17)
#define READ_POLL_NS	 (100 * NSEC_PER_MSEC)

static spinlock_t state_lock = SPINLOCK_INIT(LR_FS_PRIV);
enum mark {
	MARK_READ,			/* next record for SYSLOG_ACTION_READ */
	MARK_CLEAR,			/* first record since the last clear */
	MARKS
};
static u64 marks[MARKS] GUARDED_BY(&state_lock);
static u32 saved_level GUARDED_BY(&state_lock);	/* console level before CONSOLE_OFF, + 1; 0: none */

/* One record as text: "<6>[    1.234567] message\n". */
static u32 line_format(const struct log_record *r, char line[LINE_MAX])
{
	u64 us = r->time_ns / NSEC_PER_USEC;

	return (u32)fmt_scnprintf(line, LINE_MAX, "<%u>[%5llu.%06llu] %.*s\n", r->level, (unsigned long long)(us / 1000000),
				  (unsigned long long)(us % 1000000), (int)r->len, r->text);
}

/* Copies whole lines from *seq on while they fit.  Bytes, or -EFAULT. */
static i64 lines_out(u64 *seq, uptr_t buf, u64 size)
{
	struct log_record r;
	char line[LINE_MAX];
	u64 done = 0;

	while (!log_read(*seq, &r)) {
		u32 n = line_format(&r, line);

		if (n > size - done)
			break;
		if (user_copy_out(uptr_add(buf, done), line, n))
			return -EFAULT;
		done += n;
		*seq = r.seq + 1;
	}
	return (i64)done;
}

static u64 lines_size(u64 seq)
{
	struct log_record r;
	char line[LINE_MAX];
	u64 total = 0;

	for (; !log_read(seq, &r); seq = r.seq + 1)
		total += line_format(&r, line);
	return total;
}

static u64 mark_get(enum mark m)
{
	GUARD_SPIN(&state_lock);
	return marks[m];
}

static void mark_advance(enum mark m, u64 to)
{
	GUARD_SPIN(&state_lock);
	marks[m] = MAX(marks[m], to);
}

/* The newest lines that fit. */
static i64 read_all(uptr_t buf, u64 size, bool clear)
{
	u64 seq = MAX(mark_get(MARK_CLEAR), log_first_seq());
	u64 total = lines_size(seq);
	struct log_record r;
	char line[LINE_MAX];
	i64 n;

	while (total > size && !log_read(seq, &r)) {
		total -= MIN(total, (u64)line_format(&r, line));
		seq = r.seq + 1;
	}
	n = lines_out(&seq, buf, size);
	if (n >= 0 && clear)
		mark_advance(MARK_CLEAR, seq);
	return n;
}

/* Takes what nobody read yet; waits for the first line. */
static i64 read_new(uptr_t buf, u64 size)
{
	u64 seq;
	i64 n;

	while ((seq = mark_get(MARK_READ)) >= log_next_seq())
		if (sched_sleep_until(deadline_after(READ_POLL_NS), true))
			return -ERESTARTSYS;
	n = lines_out(&seq, buf, size);
	if (n > 0)
		mark_advance(MARK_READ, seq);
	return n;
}

static i64 console_level(int type, int level)
{
	GUARD_SPIN(&state_lock);
	switch (type) {
	case SYSLOG_ACTION_CONSOLE_OFF:
		if (!saved_level)
			saved_level = log_console_level() + 1;
		log_set_console_level(LOG_ALERT);
		return 0;
	case SYSLOG_ACTION_CONSOLE_ON:
		if (saved_level)
			log_set_console_level(saved_level - 1);
		saved_level = 0;
		return 0;
	default:
		if (level < 1 || level > 8)
			return -EINVAL;
		log_set_console_level((u32)level);
		saved_level = 0;
		return 0;
	}
}

i64 sys_syslog(struct task *self, int type, uptr_t buf, int len)
{
	if (!is_cap(self, CAP_SYSLOG) && !is_cap(self, CAP_SYS_ADMIN))
		return -EPERM;
	switch (type) {
	case SYSLOG_ACTION_CLOSE:
	case SYSLOG_ACTION_OPEN:
		return 0;
	case SYSLOG_ACTION_READ:
	case SYSLOG_ACTION_READ_ALL:
	case SYSLOG_ACTION_READ_CLEAR:
		if (uptr_is_null(buf) || len < 0)
			return -EINVAL;
		if (!len)
			return 0;
		if (!user_range_ok(buf, (u64)len))
			return -EFAULT;
		if (type == SYSLOG_ACTION_READ)
			return read_new(buf, (u64)len);
		return read_all(buf, (u64)len, type == SYSLOG_ACTION_READ_CLEAR);
	case SYSLOG_ACTION_CLEAR:
		mark_advance(MARK_CLEAR, log_next_seq());
		return 0;
	case SYSLOG_ACTION_CONSOLE_OFF:
	case SYSLOG_ACTION_CONSOLE_ON:
	case SYSLOG_ACTION_CONSOLE_LEVEL:
		return console_level(type, len);
	case SYSLOG_ACTION_SIZE_UNREAD:
		return (i64)lines_size(mark_get(MARK_READ));
	case SYSLOG_ACTION_SIZE_BUFFER:
		return RING_BYTES;
	default:
		return -EINVAL;
	}
}
