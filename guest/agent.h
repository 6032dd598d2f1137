/* The agent: what its parts share.  One process, one thread; everything is owned by main(). */
#pragma once

#include "frame.h"

#include <stdbool.h>
#include <sys/types.h>

/* What FRAME_START says. */
struct start {
	uint8_t	 flags;		/* enum start_flags */
	uint16_t window[4];	/* rows, columns, x pixels, y pixels; all 0: unknown */
	char	*cwd;
	char   **argv;		/* NULL-terminated, at least one */
	char   **envp;
};

/* The command and the agent's ends of its three streams. */
struct command {
	pid_t	 pid;		/* also its session and first process group */
	int	 pty;		/* master side; -1: no stream is a terminal */
	int	 in;		/* where its stdin comes from, the pty or a pipe; -1: closed */
	int	 out[2];	/* its stdout and stderr; -1: closed, or the pty */
	int	 error;		/* errno of a failed exec; 0: it runs */
};

/* 0 or -1: malformed.  The strings stay in the payload, which must outlive s. */
int start_parse(struct start *s, uint8_t flags, uint8_t *payload, size_t length);

/* Starts the command; on failure c->error says why and no process is left. */
void command_start(struct command *c, const struct start *s);

/* Mounts what every root needs; failures are for whoever misses the file system. */
void root_mount(void);

/* The value of a word of the kernel's command line, the last one, in a static buffer; NULL: not there. */
const char *cmdline_value(const char *name);

/* The port of a virtio console that the host calls so; -1: there is none.  Loads modules that the launcher brought. */
int port_open(const char *name);

/* Runs a shell on the console until it ends.  Returns its wait status. */
int console_shell(void);

/* Turns the machine off; does not return. */
void machine_off(void) __attribute__((noreturn));

/* One line on the kernel's log. */
void kmsg(const char *format, ...) __attribute__((format(printf, 1, 2)));
