/*
 * Kernel log: a ring of records in memory, read by /dev/kmsg and syslog(2),
 * copied to the console at or below its level (command line: loglevel=, quiet,
 * debug; default 4: warnings and worse, so that boot prints nothing).
 * Context: any, interrupts and NMI included; never sleeps, never allocates.
 */
#pragma once

#include <base/attrs.h>

enum log_level { LOG_EMERG, LOG_ALERT, LOG_CRIT, LOG_ERR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

void log_printf(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_err(...)   log_printf(LOG_ERR, __VA_ARGS__)
#define log_warn(...)  log_printf(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_printf(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_printf(LOG_DEBUG, __VA_ARGS__)

void log_set_console_level(u32 level);
u32 log_console_level(void);

/* Console sinks: dev registers one; before that arch's early console is used.  write must not sleep. */
struct log_sink {
	void (*write)(const char *text, usize len);
	struct log_sink *next;
};
void log_sink_add(struct log_sink *sink);

#define LOG_TEXT_MAX 256u

struct log_record {
	u64 seq;		/* consecutive from 0 */
	u64 time_ns;
	u32 level;
	u32 len;		/* bytes in text, no newline */
	char text[LOG_TEXT_MAX];
};
/* Copies record seq or the next that still exists.  0, or -ENOENT when there is none yet. */
MUST_USE int log_read(u64 seq, struct log_record *out);
u64 log_first_seq(void);
u64 log_next_seq(void);
/* waitq hook for readers: called after each record (set once by dev). */
extern void (*log_notify)(void);
