/* A timer that raises NMIs on every CPU, for core/watchdog.c. */
#pragma once

#include <base/attrs.h>

#define ARCH_WATCHDOG_HZ 18u		/* about */
MUST_USE int arch_watchdog_start(void);	/* -ENODEV */
