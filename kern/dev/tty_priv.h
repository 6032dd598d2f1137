/* Private to the tty code: the terminal itself. */
#pragma once

#include <base/errno.h>
#include <base/refcount.h>
#include <dev/tty.h>
#include <sched/mutex.h>

/* termios(3) bits of the x86-64 ABI. */
enum { IGNBRK = 1, BRKINT = 2, IGNPAR = 4, PARMRK = 8, INPCK = 0x10, ISTRIP = 0x20, INLCR = 0x40, IGNCR = 0x80, ICRNL = 0x100,
	IUCLC = 0x200, IXON = 0x400, IXANY = 0x800, IXOFF = 0x1000, IMAXBEL = 0x2000, IUTF8 = 0x4000 };
enum { OPOST = 1, OLCUC = 2, ONLCR = 4, OCRNL = 8, ONOCR = 0x10, ONLRET = 0x20, TABDLY = 0x1800, XTABS = 0x1800 };
enum { ISIG = 1, ICANON = 2, XCASE = 4, ECHO = 8, ECHOE = 0x10, ECHOK = 0x20, ECHONL = 0x40, NOFLSH = 0x80, TOSTOP = 0x100,
	ECHOCTL = 0x200, ECHOPRT = 0x400, ECHOKE = 0x800, FLUSHO = 0x1000, PENDIN = 0x4000, IEXTEN = 0x8000, EXTPROC = 0x10000 };
enum { VINTR, VQUIT, VERASE, VKILL, VEOF, VTIME, VMIN, VSWTC, VSTART, VSTOP, VSUSP, VEOL, VREPRINT, VDISCARD, VWERASE, VLNEXT, VEOL2 };

#define TTY_BUF_SIZE 4096u		/* as Linux: a canonical line has at most 4095 bytes */
#define TTY_ECHO_SIZE 1024u

struct tty {
	refcount_t refs;
	const struct tty_driver_ops *ops;	/* const */
	void *priv;				/* driver's; const */
	u64 rdev;				/* const */
	char name[16];				/* const: "ttyS0", "pts/3" */
	u32 pty_index;				/* const */
	bool is_pty;				/* const */
	mutex_t read_lock, write_lock;		/* rank TTY: one reader, one writer at a time */
	spinlock_t lock;			/* rank TTY_BUF: everything below */
	struct ktermios termios;
	struct winsize_k winsize;
	u8 buf[TTY_BUF_SIZE];			/* ring: free-running positions */
	u64 eol[TTY_BUF_SIZE / 64];		/* positions that end a canonical line */
	u32 tail, canon_head, head;		/* read here; complete lines end here; write here */
	u32 erase_col;				/* column where the current line began on screen */
	u32 column;
	bool lnext, erasing;			/* ^V seen; inside ECHOPRT's \ ... / */
	bool stopped, hung_up, exclusive, input_refused;
	u8 echo[TTY_ECHO_SIZE];			/* echo that the driver had no room for */
	u32 echo_tail, echo_head;
	u32 opens;
	u32 session, pgrp;			/* 0: none */
	bool packet;				/* pty: TIOCPKT; flags to report */
	u8 packet_flags;
	struct waitq read_wait, write_wait;
	struct fasync_list async;
	struct chardev cdev;
};

#define TTY_FLAG(t, field, bit) ((t)->termios.field & (bit))

/* What has to be done after the lock was dropped. */
struct tty_effects {
	u32 signals[3];			/* each of INT, QUIT, TSTP at most once */
	u32 nsignals;
	u32 pgrp;
};

/* tty_ioctl(4), TIOCPKT: what the control byte of a pty master tells. */
enum { PKT_DATA = 0, PKT_FLUSHREAD = 1, PKT_FLUSHWRITE = 2, PKT_STOP = 4, PKT_START = 8, PKT_NOSTOP = 16, PKT_DOSTOP = 32 };

/* ldisc.c: all with t->lock held unless noted. */
void tty_packet_tell(struct tty *t, u8 set, u8 clear) MUST_HOLD(&t->lock);
extern const struct ktermios tty_default_termios;
void ldisc_receive(struct tty *t, u8 c, struct tty_effects *fx) MUST_HOLD(&t->lock);
bool ldisc_has_room(struct tty *t) MUST_HOLD(&t->lock);
bool ldisc_readable(struct tty *t, u32 min) MUST_HOLD(&t->lock);
u32 ldisc_count(struct tty *t) MUST_HOLD(&t->lock);		/* FIONREAD */
void ldisc_flush_input(struct tty *t) MUST_HOLD(&t->lock);
void ldisc_termios_changed(struct tty *t, const struct ktermios *old) MUST_HOLD(&t->lock);
void ldisc_echo_flush(struct tty *t) MUST_HOLD(&t->lock);
/* Post-processes and hands to the driver; bytes of buf consumed. */
u32 ldisc_output(struct tty *t, const u8 *buf, u32 n) MUST_HOLD(&t->lock);
void tty_effects_run(struct tty *t, struct tty_effects *fx);	/* no lock held */

/* tty_ioctl.c */
i64 tty_ioctl(struct file *f, u32 cmd, u64 arg);
i64 tty_ioctl_common(struct tty *t, struct file *f, u32 cmd, u64 arg, bool master);
/* tty.c */
extern const struct file_ops tty_fops;
int tty_open_tty(struct tty *t, struct file *f);
MUST_USE int tty_wait_drained(struct tty *t);	/* 0 or -ERESTARTSYS */
u32 tty_unsent(struct tty *t);
void ldisc_break(struct tty *t, struct tty_effects *fx) MUST_HOLD(&t->lock);
/* pty.c, devpts.c */
void pty_init(void);
void devpts_init(void);
MUST_USE int devpts_add(u32 index, u64 rdev);
void devpts_remove(u32 index);
