/* Kernel command line.  Words NAME or NAME=VALUE, double quotes group.  Read-only after boot; any length. */
#pragma once

#include <base/attrs.h>

void cmdline_init(const char *text);		/* text must stay (bootinfo.cmdline does) */
const char *cmdline_text(void);
/* Copies the value of the last NAME=VALUE into buf; false when absent.  A bare NAME gives "". */
bool cmdline_get(const char *name, char *buf, usize size);
/* Calls fn for each NAME=VALUE, first to last, with a copy (of at most 255 bytes) that fn may change. */
void cmdline_for_each(const char *name, void (*fn)(char *value));
bool cmdline_has(const char *name);
u64 cmdline_get_u64(const char *name, u64 fallback);
/* True when the comma list of NAME= holds word (debug=trace,audit). */
bool cmdline_list_has(const char *name, const char *word);
/* Everything after a lone "--" goes to init: calls fn for each word. */
void cmdline_for_each_init_arg(void (*fn)(const char *word, void *arg), void *arg);
