/*
 * PID 1 of a launcher's run: starts one command, carries its streams, reports its exit status.
 *
 * A plain Linux program, the same under Linux and Saker.  The kernel command line word
 * saker.agent=TTY names the serial port; without it this is an init that runs a shell on the
 * console.  saker.port=NAME names a port of a virtio console, which is used instead where the kernel
 * has it (port.c).  The frames and the two credits are in frame.h.
 *
 * The loop never blocks except in ppoll(): what does not fit on the wire waits in w.out, and
 * while anything waits there the command's output is left in its pipes.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CHUNK_SERIAL	2048	/* of the command's output in one frame */
#define CHUNK_PORT	32768	/* as much as the port takes in one write */
#define DRAIN_CHUNKS	((1 << 20) / CHUNK_SERIAL + 64)	/* the largest pipe, and the terminal */
#define LAUNCHER_MS	10000	/* that the launcher has to end the machine */

struct wire {
	int	 fd;
	uint32_t window;	/* what the launcher may have outstanding */
	size_t	 chunk;
	struct frame_reader in;
	uint8_t	*out;		/* bytes [out_done, out_used) wait to be written */
	size_t	 out_used, out_done, out_room;
	uint32_t owed;		/* wire credit to give back */
	bool	 dead;		/* the launcher's end is gone or makes no sense */
};

/* Standard input that the command has not read yet. */
struct input {
	uint8_t	 buf[FRAME_STDIN_WINDOW];
	size_t	 used, done;
	uint32_t owed;
	bool	 eof;
};

static struct wire w = { .fd = -1 };
static struct input input;
static struct command cmd = { .pid = -1, .pty = -1, .in = -1, .out = { -1, -1 } };
static struct start start;
static bool started, ended, bye;
static int end_status;

static void wire_queue(const void *data, size_t length)
{
	if (w.out_used + length > w.out_room) {
		size_t want = (w.out_used + length) * 2;
		uint8_t *out = realloc(w.out, want);

		if (!out) {
			w.dead = true;
			return;
		}
		w.out = out;
		w.out_room = want;
	}
	memcpy(w.out + w.out_used, data, length);
	w.out_used += length;
}

static void wire_flush(void)
{
	while (w.out_done < w.out_used && !w.dead) {
		ssize_t n = write(w.fd, w.out + w.out_done, w.out_used - w.out_done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			w.dead = true;
		else
			w.out_done += n;
	}
	w.out_done = w.out_used = 0;
}

static void wire_send(uint8_t type, uint8_t arg, const void *payload, uint32_t length)
{
	uint8_t header[FRAME_HEADER];

	frame_header(header, type, arg, payload, length);
	wire_queue(header, sizeof(header));
	wire_queue(payload, length);
	wire_flush();
}

static void wire_send_u32(uint8_t type, uint8_t arg, uint32_t value)
{
	uint8_t payload[4];

	frame_put_u32(payload, value);
	wire_send(type, arg, payload, sizeof(payload));
}

static int serial_open(const char *name)
{
	struct termios tio;
	char path[64];

	w.window = FRAME_WIRE_WINDOW;
	w.chunk = CHUNK_SERIAL;
	snprintf(path, sizeof(path), "/dev/%s", name);
	w.fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (w.fd < 0 || tcgetattr(w.fd, &tio) != 0) {
		kmsg("saker agent: %s: %s\n", path, strerror(errno));
		return -1;
	}
	cfmakeraw(&tio);
	tio.c_cflag |= CLOCAL | CREAD;
	tio.c_cflag &= ~CRTSCTS;
	cfsetspeed(&tio, B115200);
	if (tcsetattr(w.fd, TCSANOW, &tio) != 0) {
		kmsg("saker agent: %s: %s\n", path, strerror(errno));
		return -1;
	}
	return 0;
}

static int wire_open(void)
{
	const char *name = cmdline_value("saker.port");

	w.fd = name && *name ? port_open(name) : -1;
	if (w.fd < 0)
		return serial_open(cmdline_value("saker.agent"));
	w.window = FRAME_PORT_WINDOW;
	w.chunk = CHUNK_PORT;
	return 0;
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void input_close(void)
{
	if (cmd.in == cmd.pty)
		cmd.in = -1;
	fd_close(&cmd.in);
}

/* The terminal's foreground job, or the command's own group. */
static void signal_job(int sig)
{
	pid_t group = cmd.pty >= 0 ? tcgetpgrp(cmd.pty) : -1;

	if (group <= 0)
		group = cmd.pid;
	if (group > 0)
		kill(-group, sig);
}

/* Hands waiting input to the command as far as it takes it. */
static void input_pump(void)
{
	while (cmd.in >= 0 && input.done < input.used) {
		ssize_t n = write(cmd.in, input.buf + input.done, input.used - input.done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			input_close();
			wire_send(FRAME_STDIN_CLOSED, 0, NULL, 0);
			break;
		}
		input.done += n;
		input.owed += n;
	}
	if (cmd.in < 0) {
		input.owed += input.used - input.done;
		input.done = input.used;
	}
	if (input.done == input.used)
		input.done = input.used = 0;
	if (input.owed >= FRAME_STDIN_WINDOW / 4 || (input.owed && !input.used)) {
		wire_send_u32(FRAME_STDIN_CREDIT, 0, input.owed);
		input.owed = 0;
	}
	if (input.eof && !input.used && cmd.in >= 0) {
		/* A terminal has no end of file of its own: the host's went away. */
		if (cmd.in == cmd.pty)
			signal_job(SIGHUP);
		input_close();
	}
}

static void input_add(const struct frame *f)
{
	if (!f->length)
		input.eof = true;
	memmove(input.buf, input.buf + input.done, input.used - input.done);
	input.used -= input.done;
	input.done = 0;
	if (f->length > sizeof(input.buf) - input.used) {
		kmsg("saker agent: more standard input than credit\n");
		w.dead = true;
		return;
	}
	memcpy(input.buf + input.used, f->payload, f->length);
	input.used += f->length;
	input_pump();
}

static void stream_say(const char *text, int error)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "saker: %s: %s%s", text, strerror(error),
			 start.flags & START_TTY2 ? "\r\n" : "\n");

	wire_send(FRAME_OUT, start.flags & START_TTY2 ? 0 : 2, line,
		  n < (int)sizeof(line) ? n : (int)sizeof(line) - 1);
}

static void run_start(const struct frame *f)
{
	/* The strings live as long as the command is being started, beyond the next frame. */
	uint8_t *payload = malloc(f->length + 1);

	if (started || !payload)
		return;
	memcpy(payload, f->payload, f->length);
	if (start_parse(&start, f->arg, payload, f->length) != 0) {
		w.dead = true;
		return;
	}
	started = true;
	command_start(&cmd, &start);
	if (cmd.error) {
		stream_say(start.argv[0], cmd.error);
		ended = true;
		/* As a shell says it: 127 not found, 126 found but not executable. */
		end_status = cmd.error == ENOENT || cmd.error == ENOTDIR ? 127 : 126;
		return;
	}
	if (cmd.in >= 0)
		fcntl(cmd.in, F_SETFL, O_NONBLOCK);
	if (cmd.pty >= 0)
		fcntl(cmd.pty, F_SETFL, O_RDWR | O_NONBLOCK);
	for (int i = 0; i < 2; i++) {
		if (cmd.out[i] >= 0)
			fcntl(cmd.out[i], F_SETFL, O_NONBLOCK);
	}
	input_pump();
}

static void frame_handle(const struct frame *f)
{
	struct winsize ws = { 0 };

	switch (f->type) {
	case FRAME_START:
		run_start(f);
		break;
	case FRAME_STDIN:
		input_add(f);
		break;
	case FRAME_WINSIZE:
		if (f->length == 8 && cmd.pty >= 0) {
			ws.ws_row = f->payload[0] | f->payload[1] << 8;
			ws.ws_col = f->payload[2] | f->payload[3] << 8;
			ws.ws_xpixel = f->payload[4] | f->payload[5] << 8;
			ws.ws_ypixel = f->payload[6] | f->payload[7] << 8;
			ioctl(cmd.pty, TIOCSWINSZ, &ws);
		}
		break;
	case FRAME_SIGNAL:
		signal_job(f->arg);
		break;
	case FRAME_CLOSE:
		if (f->arg == 1 || f->arg == 2)
			fd_close(&cmd.out[f->arg - 1]);
		break;
	case FRAME_BYE:
		bye = true;
		break;
	default:
		break;		/* a newer launcher's: it learns from HELLO what to expect */
	}
}

static void wire_read(void)
{
	struct frame f;
	size_t room;
	int got;

	for (;;) {
		uint8_t *at = frame_room(&w.in, &room);
		ssize_t n = at ? read(w.fd, at, room) : -1;

		if (n < 0 && at && errno == EINTR)
			continue;
		if (n < 0 && at && errno == EAGAIN)
			break;
		if (n <= 0) {
			w.dead = true;
			break;
		}
		w.in.used += n;
		w.owed += n;
		while ((got = frame_next(&w.in, &f)) > 0)
			frame_handle(&f);
		if (got < 0) {
			kmsg("saker agent: bytes were lost or damaged on the way\n");
			w.dead = true;
			break;
		}
	}
	if (w.owed >= w.window / 3 && !w.dead) {
		wire_send_u32(FRAME_WIRE_CREDIT, 0, w.owed);
		w.owed = 0;
	}
}

/* Sends what the stream has.  false: nothing there now (or never again). */
static bool stream_pump(int *fd, uint8_t stream)
{
	static uint8_t buf[CHUNK_PORT];
	ssize_t n;

	if (*fd < 0)
		return false;
	do
		n = read(*fd, buf, w.chunk);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		wire_send(FRAME_OUT, stream, buf, n);
		return true;
	}
	/* A pty without an open slave says EIO; the command may open /dev/tty again. */
	if (n == 0 || (n < 0 && errno != EAGAIN && stream != 0))
		fd_close(fd);
	return false;
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != cmd.pid)
			continue;
		ended = true;
		end_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}

static void on_child(int sig)
{
	(void)sig;		/* its only work is to end ppoll() */
}

static void poll_once(const struct timespec *limit)
{
	bool busy = w.out_done < w.out_used;
	short out = started && !busy ? POLLIN : 0;
	struct pollfd p[] = {
		{ w.fd, POLLIN | (busy ? POLLOUT : 0), 0 },
		{ cmd.pty, 0, 0 },
		{ out ? cmd.out[0] : -1, out, 0 },
		{ out ? cmd.out[1] : -1, out, 0 },
		{ cmd.in != cmd.pty ? cmd.in : -1, input.used ? POLLOUT : 0, 0 },
	};
	sigset_t none;

	sigemptyset(&none);
	p[1].events = out | (cmd.in == cmd.pty && input.used ? POLLOUT : 0);
	if (!p[1].events)
		p[1].fd = -1;
	if (ppoll(p, sizeof(p) / sizeof(p[0]), limit, &none) <= 0)
		return;
	if (p[0].revents & POLLOUT)
		wire_flush();
	if (p[0].revents & (POLLIN | POLLERR | POLLHUP))
		wire_read();
	if ((p[4].revents & POLLERR) && cmd.in != cmd.pty && cmd.in >= 0) {
		input_close();
		wire_send(FRAME_STDIN_CLOSED, 0, NULL, 0);
	}
	if ((p[1].revents | p[4].revents) & (POLLOUT | POLLERR))
		input_pump();
	if (p[1].revents & (POLLIN | POLLHUP))
		stream_pump(&cmd.pty, 0);
	for (int i = 0; i < 2; i++) {
		if (p[2 + i].revents)
			stream_pump(&cmd.out[i], i + 1);
	}
	/* A master whose slaves are all closed is always ready: do not spin on it. */
	if ((p[1].revents & (POLLHUP | POLLIN)) == POLLHUP) {
		struct timespec pause_ns = { 0, 10000000 };

		ppoll(NULL, 0, &pause_ns, &none);
	}
}

/*
 * The command has ended.  What it wrote is all there: send it, then the status.  A process that
 * it left behind may go on writing, so there is a limit: more than pipes and a terminal hold.
 */
static void finish(void)
{
	const struct timespec limit = { 5, 0 };
	bool more = true;

	for (int i = 0; more && i < DRAIN_CHUNKS && !w.dead; i++) {
		while (w.out_done < w.out_used && !w.dead)
			poll_once(NULL);
		more = stream_pump(&cmd.pty, 0);
		more |= stream_pump(&cmd.out[0], 1);
		more |= stream_pump(&cmd.out[1], 2);
	}
	sync();
	wire_send(FRAME_EXIT, end_status, NULL, 0);
	while (w.out_done < w.out_used && !w.dead)
		poll_once(NULL);
	for (int i = 0; i < 100 && !bye && !w.dead; i++)
		poll_once(&limit);
}

static void signals_set_up(void)
{
	struct sigaction act = { .sa_handler = on_child };
	sigset_t child;

	sigaction(SIGCHLD, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
}

int main(int argc, char **argv)
{
	int fd;

	(void)argc;
	root_mount();
	/* Without /dev/console in the root, 0 to 2 are closed: keep them out of the way. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2);
	if (fd > 2)
		close(fd);
	if (!cmdline_value("saker.agent")) {
		console_shell();
		machine_off();
	}
	/* The copy that the launcher adds to a user's own root is not part of that root. */
	if (!strcmp(argv[0], "/.saker-agent"))
		unlink(argv[0]);
	if (wire_open() != 0)
		machine_off();
	signals_set_up();
	wire_send_u32(FRAME_HELLO, FRAME_VERSION, w.window);
	while (!w.dead && !ended) {
		poll_once(NULL);
		reap();
	}
	finish();
	/* The launcher has the status and ends the machine; with --core it saves the memory first. */
	if (!w.dead)
		poll(NULL, 0, LAUNCHER_MS);
	machine_off();
}
