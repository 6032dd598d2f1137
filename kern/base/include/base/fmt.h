/*
 * Formatted output into memory.  C99 conversions d i u x X o c s p % with
 * flags, width, precision and lengths hh h l ll z; no floating point.
 * Returns the length the whole text would have (as snprintf).  Context: any.
 */
#pragma once

#include <base/attrs.h>

int fmt_vsnprintf(char *buf, usize size, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
int fmt_snprintf(char *buf, usize size, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As fmt_snprintf, but returns what is in buf (at most size - 1). */
int fmt_scnprintf(char *buf, usize size, const char *fmt, ...) PRINTF_LIKE(3, 4);
