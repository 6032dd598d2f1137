/* Starting the command with the three streams that the host's user has. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* The child's ends. */
struct ends {
	int fd[3];
};

static int parse_strings(char ***out, uint32_t count, char **at, char *end)
{
	char **list;

	if (count > (uint32_t)(end - *at))
		return -1;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		char *nul = memchr(*at, 0, end - *at);

		if (!nul)
			return -1;
		list[i] = *at;
		*at = nul + 1;
	}
	*out = list;
	return 0;
}

/* Payload: u16 window[4], u32 argc, u32 envc, then cwd, argv and envp as NUL-ended strings. */
int start_parse(struct start *s, uint8_t flags, uint8_t *payload, size_t length)
{
	char *at = (char *)payload + 16, *end = (char *)payload + length;
	uint32_t argc, envc;
	char **cwd;

	if (length < 16)
		return -1;
	for (int i = 0; i < 4; i++)
		s->window[i] = payload[2 * i] | payload[2 * i + 1] << 8;
	argc = frame_u32(payload + 8);
	envc = frame_u32(payload + 12);
	s->flags = flags;
	if (!argc || parse_strings(&cwd, 1, &at, end) || parse_strings(&s->argv, argc, &at, end) ||
	    parse_strings(&s->envp, envc, &at, end))
		return -1;
	s->cwd = cwd[0];
	return 0;
}

static int open_pty(struct command *c, const struct start *s)
{
	struct winsize ws = { s->window[0], s->window[1], s->window[2], s->window[3] };
	struct termios tio;
	char name[32];
	int unlock = 0, number, slave;

	c->pty = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->pty < 0)
		return -errno;
	if (ioctl(c->pty, TIOCSPTLCK, &unlock) != 0 || ioctl(c->pty, TIOCGPTN, &number) != 0)
		return -errno;
	snprintf(name, sizeof(name), "/dev/pts/%d", number);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	if (ws.ws_row || ws.ws_col)
		ioctl(slave, TIOCSWINSZ, &ws);
	/*
	 * The host's own terminal echoes and adds carriage returns when its user's stdin is not
	 * that terminal (the launcher leaves it cooked then); doing it twice would show.
	 */
	if ((s->flags & START_COOKED) && tcgetattr(slave, &tio) == 0) {
		tio.c_oflag &= ~OPOST;
		tcsetattr(slave, TCSANOW, &tio);
	}
	return slave;
}

static int open_streams(struct command *c, const struct start *s, struct ends *e)
{
	int slave = -1;

	if (s->flags & (START_TTY0 | START_TTY1 | START_TTY2)) {
		slave = open_pty(c, s);
		if (slave < 0)
			return slave;
	}
	for (int i = 0; i < 3; i++) {
		int p[2];

		if (s->flags & START_TTY0 << i) {
			e->fd[i] = slave;
			if (i == 0)
				c->in = c->pty;
			continue;
		}
		if (pipe2(p, O_CLOEXEC) != 0)
			return -errno;
		e->fd[i] = i == 0 ? p[0] : p[1];
		if (i == 0)
			c->in = p[1];
		else
			c->out[i - 1] = p[0];
	}
	return 0;
}

/* execvpe() with the command's own PATH; returns the errno that says most. */
static int exec_path(const struct start *s)
{
	const char *name = s->argv[0], *path = NULL;
	int error = ENOENT;
	char full[PATH_MAX];

	if (!*name)
		return ENOENT;
	if (strchr(name, '/')) {
		execve(name, s->argv, s->envp);
		return errno;
	}
	for (char **e = s->envp; *e; e++) {
		if (!strncmp(*e, "PATH=", 5))
			path = *e + 5;
	}
	for (const char *p = path ? path : "/bin:/usr/bin"; *p || p == path;) {
		size_t n = strcspn(p, ":");

		if ((size_t)snprintf(full, sizeof(full), "%.*s%s%s", (int)n, p, n ? "/" : "", name) <
		    sizeof(full)) {
			execve(full, s->argv, s->envp);
			if (errno != ENOENT && errno != ENOTDIR) {
				error = errno;
				if (error != EACCES)
					return error;
			}
		}
		if (!p[n])
			break;
		p += n + 1;
	}
	return error;
}

static void child(const struct start *s, const struct ends *e, int report)
{
	int terminal = -1, error, copy[3];
	sigset_t none;

	sigemptyset(&none);
	setsid();
	for (int i = 0; i < 3; i++) {
		if (s->flags & START_TTY0 << i)
			terminal = e->fd[i];
	}
	if (terminal >= 0)
		ioctl(terminal, TIOCSCTTY, 0);
	/* Through high numbers first: an end may itself be 0, 1 or 2. */
	for (int i = 0; i < 3; i++)
		copy[i] = fcntl(e->fd[i], F_DUPFD_CLOEXEC, 10);
	for (int i = 0; i < 3; i++)
		dup2(copy[i], i);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	error = chdir(s->cwd) == 0 ? exec_path(s) : errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(125);
	_exit(127);
}

static void close_ends(struct ends *e)
{
	for (int i = 0; i < 3; i++) {
		int fd = e->fd[i];

		for (int j = i; j < 3; j++) {
			if (e->fd[j] == fd)
				e->fd[j] = -1;
		}
		if (fd >= 0)
			close(fd);
	}
}

void command_start(struct command *c, const struct start *s)
{
	struct ends e = { { -1, -1, -1 } };
	int report[2], status;

	*c = (struct command){ .pid = -1, .pty = -1, .in = -1, .out = { -1, -1 } };
	c->error = -open_streams(c, s, &e);
	if (!c->error && pipe2(report, O_CLOEXEC) != 0)
		c->error = errno;
	if (c->error)
		return;
	c->pid = fork();
	if (c->pid == 0)
		child(s, &e, report[1]);
	if (c->pid < 0)
		c->error = errno;
	close(report[1]);
	close_ends(&e);
	if (c->pid > 0 && read(report[0], &c->error, sizeof(c->error)) > 0) {
		waitpid(c->pid, &status, 0);
		c->pid = -1;
	}
	close(report[0]);
}
