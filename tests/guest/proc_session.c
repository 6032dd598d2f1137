/* Sessions and process groups; job control on a pty: foreground, background, stop, hang-up. */
#include "tap.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static void sleep_forever(void)
{
	for (;;)
		pause();
}

static void setsid_makes_a_leader(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		pid_t me = getpid();

		tap_eq(setsid(), me);
		tap_eq(getsid(0), me);
		tap_eq(getpgrp(), me);
		tap_err(setsid(), EPERM);
		tap_err(setpgid(0, 0), EPERM);		/* a session leader stays */
		tap_err(open("/dev/tty", O_RDWR), ENXIO);
		tap_leave();
	}
	tap_join(kid);
}

static void setpgid_rules(void)
{
	pid_t kid = tap_fork();
	if (kid == 0)
		sleep_forever();
	tap_eq(getpgid(kid), getpgrp());
	tap_eq(setpgid(kid, kid), 0);
	tap_eq(getpgid(kid), kid);
	tap_eq(setpgid(kid, getpgrp()), 0);
	tap_eq(getpgid(kid), getpgrp());
	tap_err(setpgid(kid, 4000000), EPERM);
	tap_err(setpgid(kid, -1), EINVAL);
	tap_err(setpgid(4000000, 0), ESRCH);
	tap_err(setpgid(1, 0), ESRCH);			/* not a child */
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
	tap_err(getpgid(4000000), ESRCH);
	tap_err(getsid(4000000), ESRCH);
	tap_eq(getpgid(0), getpgrp());
}

static void setpgid_after_exec_is_eacces(void)
{
	int p[2];
	char c;

	tap_must(pipe2(p, O_CLOEXEC));
	pid_t kid = tap_fork();
	if (kid == 0) {
		execl("/bin/sleep", "sleep", "100", NULL);
		_exit(9);
	}
	close(p[1]);
	tap_eq(read(p[0], &c, 1), 0);			/* closed by the exec */
	tap_err(setpgid(kid, kid), EACCES);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void a_child_in_another_session_cannot_be_moved(void)
{
	int p[2];
	char c;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		setsid();
		write(p[1], "s", 1);
		sleep_forever();
	}
	tap_eq(read(p[0], &c, 1), 1);
	tap_err(setpgid(kid, getpgrp()), EPERM);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

/* -- with a terminal -- */

static int master;

/* In a new session whose terminal is a new pty's slave; standard input is that slave. */
static void session_on_pty(void)
{
	int slave;

	tap_must(openpty(&master, &slave, NULL, NULL, NULL));
	tap_need(setsid() == getpid());
	tap_must(ioctl(slave, TIOCSCTTY, 0));
	tap_must(dup2(slave, 0));
	close(slave);
}

static void in_session(void (*fn)(void))
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		session_on_pty();
		fn();
		tap_leave();
	}
	tap_join(kid);
}

static void tty_basics(void)
{
	pid_t got = 0;

	tap_eq(tcgetpgrp(0), getpgrp());
	tap_must(ioctl(0, TIOCGSID, &got));
	tap_eq(got, getsid(0));
	int tty = tap_must(open("/dev/tty", O_RDWR));
	tap_eq(tcgetpgrp(tty), getpgrp());
	close(tty);
	tap_eq(ioctl(0, TIOCSCTTY, 0), 0);		/* ours already */
}

static void the_terminal_belongs_to_the_session(void)
{
	in_session(tty_basics);
}

static void tcsetpgrp_body(void)
{
	pid_t kid = tap_fork();

	if (kid == 0)
		sleep_forever();
	tap_must(setpgid(kid, kid));
	tap_eq(tcsetpgrp(0, kid), 0);
	tap_eq(tcgetpgrp(0), kid);
	/* from the background without blocking SIGTTOU one is stopped: block it */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	sigprocmask(SIG_BLOCK, &set, NULL);
	tap_eq(tcsetpgrp(0, getpgrp()), 0);
	tap_err(tcsetpgrp(0, 4000000), ESRCH);
	tap_err(tcsetpgrp(0, 1), EPERM);
	tap_err(tcsetpgrp(0, -1), EINVAL);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
	int f = tap_file("f", "");
	tap_err(tcsetpgrp(f, getpgrp()), ENOTTY);
	tap_err(tcgetpgrp(f), ENOTTY);
}

static void the_foreground_group_can_be_set(void)
{
	in_session(tcsetpgrp_body);
}

static void ctrl_c_body(void)
{
	static const struct { char key; int sig; } keys[] = { { 3, SIGINT }, { 28, SIGQUIT } };

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
		pid_t kid = tap_fork();
		if (kid == 0)
			sleep_forever();
		tap_must(setpgid(kid, kid));
		signal(SIGTTOU, SIG_IGN);
		tap_must(tcsetpgrp(0, kid));
		tap_eq(write(master, &keys[i].key, 1), 1);
		tap_killed(kid, keys[i].sig);
		tap_must(tcsetpgrp(0, getpgrp()));
	}
}

static void keys_signal_the_foreground_group(void)
{
	in_session(ctrl_c_body);
}

static void ctrl_z_body(void)
{
	int st;
	pid_t kid = tap_fork();

	if (kid == 0)
		sleep_forever();
	tap_must(setpgid(kid, kid));
	signal(SIGTTOU, SIG_IGN);
	tap_must(tcsetpgrp(0, kid));
	tap_eq(write(master, "\x1a", 1), 1);
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	tap_ok(WIFSTOPPED(st));
	tap_eq(WSTOPSIG(st), SIGTSTP);
	tap_must(tcsetpgrp(0, getpgrp()));
	kill(-kid, SIGCONT);
	tap_eq(waitpid(kid, &st, WCONTINUED), kid);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void ctrl_z_stops_and_cont_continues(void)
{
	in_session(ctrl_z_body);
}

static void background_read_body(void)
{
	int st;
	pid_t kid = tap_fork();

	if (kid == 0) {
		char c;

		setpgid(0, 0);
		tap_eq(read(0, &c, 1), 1);		/* stopped, then in the foreground */
		tap_eq(c, 'q');
		tap_leave();
	}
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	tap_ok(WIFSTOPPED(st));
	tap_eq(WSTOPSIG(st), SIGTTIN);
	tap_must(tcsetpgrp(0, kid));
	tap_eq(write(master, "q\n", 2), 2);
	kill(-kid, SIGCONT);
	tap_join(kid);
}

static void reading_in_the_background_stops(void)
{
	in_session(background_read_body);
}

static void background_read_ignored_body(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		char c;

		setpgid(0, 0);
		signal(SIGTTIN, SIG_IGN);
		tap_err(read(0, &c, 1), EIO);
		tap_leave();
	}
	tap_join(kid);
	kid = tap_fork();
	if (kid == 0) {
		char c;

		if (fork() == 0) {
			setpgid(0, 0);			/* orphaned as soon as the parent is gone */
			while (getppid() != 1)
				usleep(1000);
			tap_err(read(0, &c, 1), EIO);
			tap_leave();
		}
		_exit(0);
	}
	tap_join(kid);
}

static void reading_in_the_background_with_ttin_ignored(void)
{
	in_session(background_read_ignored_body);
}

static void background_write_body(void)
{
	struct termios t;
	int st;
	pid_t kid = tap_fork();

	if (kid == 0) {
		setpgid(0, 0);
		tap_eq(write(0, "ok", 2), 2);		/* allowed without TOSTOP */
		tap_leave();
	}
	tap_join(kid);
	tap_must(tcgetattr(0, &t));
	t.c_lflag |= TOSTOP;
	tap_must(tcsetattr(0, TCSANOW, &t));
	kid = tap_fork();
	if (kid == 0) {
		setpgid(0, 0);
		tap_eq(write(0, "ok", 2), 2);
		tap_leave();
	}
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	tap_ok(WIFSTOPPED(st));
	tap_eq(WSTOPSIG(st), SIGTTOU);
	tap_must(tcsetpgrp(0, kid));
	kill(-kid, SIGCONT);
	tap_join(kid);
	/* changing settings from the background stops whatever TOSTOP says */
	signal(SIGTTOU, SIG_IGN);
	tap_must(tcsetpgrp(0, getpgrp()));
	signal(SIGTTOU, SIG_DFL);
	kid = tap_fork();
	if (kid == 0) {
		setpgid(0, 0);
		tcsetattr(0, TCSANOW, &t);
		_exit(0);
	}
	tap_eq(waitpid(kid, &st, WUNTRACED), kid);
	tap_eq(WSTOPSIG(st), SIGTTOU);
	kill(kid, SIGKILL);
	tap_killed(kid, SIGKILL);
}

static void writing_in_the_background_and_tostop(void)
{
	in_session(background_write_body);
}

static void the_leaders_death_hangs_up(void)
{
	int p[2];
	pid_t inner = 0;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		session_on_pty();
		pid_t fg = fork();
		if (fg == 0) {
			dup2(p[1], 1);
			signal(SIGHUP, SIG_DFL);
			sleep_forever();
		}
		write(p[1], &fg, sizeof(fg));
		_exit(0);				/* the leader leaves */
	}
	close(p[1]);
	tap_join(kid);
	tap_eq(read(p[0], &inner, sizeof(inner)), 4);
	char c;
	tap_eq(read(p[0], &c, 1), 0);			/* the other one was killed by SIGHUP */

}

static void master_close_body(void)
{
	static volatile sig_atomic_t *hup;
	char c;

	hup = &tap_ticks;
	signal(SIGHUP, tap_tick);
	close(master);
	while (*hup == 0)
		usleep(1000);
	tap_eq(read(0, &c, 1), 0);
	tap_err(write(0, "x", 1), EIO);
	struct termios t;
	tap_err(tcgetattr(0, &t), EIO);
}

static void closing_the_master_hangs_up(void)
{
	in_session(master_close_body);
}

static void tiocnotty_body(void)
{
	signal(SIGHUP, SIG_IGN);
	tap_eq(ioctl(0, TIOCNOTTY), 0);
	tap_err(open("/dev/tty", O_RDWR), ENXIO);
	pid_t got;
	tap_err(ioctl(0, TIOCGPGRP, &got), ENOTTY);
}

static void a_terminal_can_be_given_up(void)
{
	in_session(tiocnotty_body);
}

static void first_open_body(void)
{
	char name[64];
	int m = tap_must(posix_openpt(O_RDWR | O_NOCTTY)), s;

	tap_must(grantpt(m));
	tap_must(unlockpt(m));
	tap_eq(ptsname_r(m, name, sizeof(name)), 0);
	tap_need(setsid() > 0);
	s = tap_must(open(name, O_RDWR | O_NOCTTY));
	tap_err(open("/dev/tty", O_RDWR), ENXIO);
	close(s);
	s = tap_must(open(name, O_RDWR));		/* without O_NOCTTY it becomes ours */
	tap_must(close(tap_must(open("/dev/tty", O_RDWR))));
}

static void opening_without_noctty_acquires(void)
{
	pid_t kid = tap_fork();

	if (kid == 0) {
		first_open_body();
		tap_leave();
	}
	tap_join(kid);
}

static void an_orphaned_stopped_group_gets_hup_and_cont(void)
{
	int p[2];
	char c;

	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		int st;

		setsid();
		pid_t inner = fork();
		if (inner == 0) {
			setpgid(0, 0);
			raise(SIGSTOP);
			sleep_forever();		/* SIGHUP ends it */
		}
		close(p[0]);
		waitpid(inner, &st, WUNTRACED);
		_exit(0);
	}
	close(p[1]);
	tap_join(kid);
	tap_eq(read(p[0], &c, 1), 0);
}

TAP_MAIN(
	CASE(setsid_makes_a_leader),
	CASE(setpgid_rules),
	CASE(setpgid_after_exec_is_eacces),
	CASE(a_child_in_another_session_cannot_be_moved),
	CASE(the_terminal_belongs_to_the_session),
	CASE(the_foreground_group_can_be_set),
	CASE(keys_signal_the_foreground_group),
	CASE(ctrl_z_stops_and_cont_continues),
	CASE(reading_in_the_background_stops),
	CASE(reading_in_the_background_with_ttin_ignored),
	CASE(writing_in_the_background_and_tostop),
	CASE(the_leaders_death_hangs_up),
	CASE(closing_the_master_hangs_up),
	CASE(a_terminal_can_be_given_up),
	CASE(opening_without_noctty_acquires),
	CASE(an_orphaned_stopped_group_gets_hup_and_cont),
)
