/*
 * Terminals: struct tty joins a line discipline (termios(3), canonical and raw
 * input, echo, signals, flow control, window size, job control) with a driver
 * (serial port or pty master).  Input arrives by tty_input() in thread context;
 * lock rank TTY_BUF (irq).  Job control talks to proc through struct
 * tty_proc_ops, which proc sets at boot.
 */
#pragma once

#include <vfs/vfs.h>

struct tty;
struct ktermios { u32 iflag, oflag, cflag, lflag; u8 line; u8 cc[19]; u32 ispeed, ospeed; };
struct winsize_k { u16 row, col, xpixel, ypixel; };

struct tty_driver_ops {
	u32 (*write)(struct tty *t, const u8 *buf, u32 n);	/* accepts up to n bytes now; never sleeps */
	u32 (*room)(struct tty *t);
	u32 (*pending)(struct tty *t);				/* bytes accepted and not yet sent; NULL: none ever */
	void (*set_termios)(struct tty *t, const struct ktermios *old);
	void (*resume_input)(struct tty *t);			/* tty_input() refused bytes and has room again; may be called with no lock held */
	void (*hangup)(struct tty *t);
	i64 (*ioctl)(struct tty *t, u32 cmd, u64 arg);		/* -ENOTTY: not mine */
	void (*open)(struct tty *t);
	void (*close)(struct tty *t);				/* last close */
	void (*packet_event)(struct tty *t);			/* pty: packet_flags became non-zero; t->lock held */
	void (*destroy)(struct tty *t);				/* last reference: priv may go */
};
struct tty_proc_ops {		/* all in thread context, no tty lock held */
	void (*signal_pgrp)(u32 pgid, u32 sig);
	/* Job control of the current task against t's session and foreground group: 0 go on, -EIO, -ERESTARTSYS (signal sent). */
	int (*check_background)(struct tty *t, u32 sig);
	void *(*current_tty)(void);				/* controlling tty of the current session, referenced; NULL */
	u32 (*current_pgid)(void);
	u32 (*current_sid)(void);
	bool (*current_is_leader)(void);
	int (*set_session_tty)(struct tty *t, bool steal);	/* TIOCSCTTY: -EPERM */
	int (*clear_session_tty)(struct tty *t);		/* TIOCNOTTY, leader's exit */
	bool (*pgid_in_session)(u32 pgid, u32 sid);
	bool (*pgid_exists)(u32 pgid);				/* anything goes by that number */
	void (*session_hangup)(struct tty *t, u32 sid);		/* the line went down: leader is told, session has no tty any more */
};
extern const struct tty_proc_ops *tty_proc;

void tty_init(void);					/* /dev/tty, /dev/console, ptmx, devpts */
MUST_USE struct tty *tty_create(const struct tty_driver_ops *ops, const char *name, u64 rdev, void *priv);
struct tty *tty_get(struct tty *t);
void tty_put(struct tty *t);
void tty_register(struct tty *t);			/* chardev + devfs node */
void tty_set_console(struct tty *t);			/* /dev/console goes here */
struct tty *tty_console(void);				/* borrowed; NULL: none */
/* Bytes received, in thread context (drivers hand over from a worker).  Returns how many were taken: fewer when the
 * buffer is full; the driver keeps the rest until ops->resume_input(t). */
MUST_USE u32 tty_input(struct tty *t, const u8 *buf, u32 n);
/* The line was held in the break state: what BRKINT, IGNBRK and PARMRK say.  Thread context. */
void tty_input_break(struct tty *t);
void tty_output_ready(struct tty *t);			/* driver has room: wakes writers */
void tty_hangup(struct tty *t);
void tty_session_exit(struct tty *t, u32 sid);		/* session leader died: SIGHUP, SIGCONT to foreground, disassociate */
void tty_set_session(struct tty *t, u32 sid, u32 pgid);	/* by proc: t became the controlling terminal of sid */
u32 tty_foreground(struct tty *t);
u32 tty_session(struct tty *t);
u64 tty_rdev(struct tty *t);
const char *tty_name(struct tty *t);

void serial_init(void);					/* 16550 ports found: ttyS0.., by interrupts; console sink */
void memdev_init(void);					/* null zero full random urandom kmsg */
void dev_init(void);					/* everything above, in order */
