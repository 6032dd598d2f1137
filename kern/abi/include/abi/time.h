/* Time layouts of the x86-64 Linux ABI.  Pure data. */
#pragma once

#include <base/types.h>

struct timespec_k { i64 sec, nsec; };
struct timeval_k { i64 sec, usec; };
struct timezone_k { i32 minuteswest, dsttime; };
struct itimerspec_k { struct timespec_k interval, value; };
struct itimerval_k { struct timeval_k interval, value; };
struct utimbuf_k { i64 actime, modtime; };
struct tms_k { i64 utime, stime, cutime, cstime; };
struct timex_k {
	u32 modes, pad0;
	i64 offset, freq, maxerror, esterror;
	i32 status, pad1;
	i64 constant, precision, tolerance;
	struct timeval_k time;
	i64 tick, ppsfreq, jitter;
	i32 shift, pad2;
	i64 stabil, jitcnt, calcnt, errcnt, stbcnt;
	i32 tai, pad3[11];
};
_Static_assert(sizeof(struct timex_k) == 208, "struct timex is 208 bytes");

#define CLOCK_REALTIME		 0
#define CLOCK_MONOTONIC		 1
#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID	 3
#define CLOCK_MONOTONIC_RAW	 4
#define CLOCK_REALTIME_COARSE	 5
#define CLOCK_MONOTONIC_COARSE	 6
#define CLOCK_BOOTTIME		 7
#define CLOCK_REALTIME_ALARM	 8
#define CLOCK_BOOTTIME_ALARM	 9
#define CLOCK_TAI		 11

#define UTIME_NOW  0x3fffffff
#define UTIME_OMIT 0x3ffffffe
#define USER_HZ	   100
