/* The kernel log: to stdout as TAP comments when HOST_LOG is set. */
#include <stdio.h>
#include <stdlib.h>
#include <core/log.h>
#include <core/panic.h>

void log_printf(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!getenv("HOST_LOG"))
		return;
	printf("# log %d: ", level);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void panic_boot(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	panic("%s", text);
}
