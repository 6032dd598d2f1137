/* flock, record locks (fcntl F_SETLK family) and open-file-description locks. */
#include "tap.h"

#include <sys/file.h>

#ifndef F_OFD_GETLK
#define F_OFD_GETLK	36
#define F_OFD_SETLK	37
#define F_OFD_SETLKW	38
#endif

static int lock(int fd, int cmd, int type, long start, long len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &fl);
}

/* What an attempt at this lock would meet: the type and owner of the first conflict. */
static struct flock probe(int fd, int cmd, int type, long start, long len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	tap_must(fcntl(fd, cmd, &fl));
	return fl;
}

static void flock_excludes_other_openers(void)
{
	int a = tap_file("f", ""), b = tap_must(open("f", O_RDONLY));

	tap_eq(flock(a, LOCK_EX), 0);
	tap_err(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	tap_err(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	tap_eq(flock(a, LOCK_SH), 0);
	tap_eq(flock(b, LOCK_SH | LOCK_NB), 0);
	tap_err(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	tap_eq(flock(b, LOCK_UN), 0);
	tap_eq(flock(a, LOCK_UN), 0);
	tap_eq(flock(b, LOCK_EX | LOCK_NB), 0);
	tap_err(flock(777, LOCK_SH), EBADF);
	tap_err(flock(a, 16), EINVAL);
	tap_err(flock(a, LOCK_NB), EINVAL);
}

static void flock_belongs_to_the_open_file(void)
{
	int a = tap_file("f", ""), b = tap_must(open("f", O_RDONLY));
	int d = tap_must(dup(a));

	tap_eq(flock(a, LOCK_EX), 0);
	tap_eq(flock(d, LOCK_EX | LOCK_NB), 0);		/* the same lock */
	close(a);
	tap_err(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(flock(d, LOCK_UN), 0);		/* shared over fork */
		tap_leave();
	}
	tap_join(kid);
	tap_eq(flock(b, LOCK_EX | LOCK_NB), 0);
	close(b);
	tap_eq(flock(d, LOCK_EX | LOCK_NB), 0);		/* released by the last close */
}

static void flock_waits(void)
{
	int a = tap_file("f", ""), p[2];
	char c;

	tap_must(pipe(p));
	tap_eq(flock(a, LOCK_EX), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		int b = tap_must(open("f", O_RDONLY));

		write(p[1], "r", 1);
		tap_eq(flock(b, LOCK_EX), 0);
		char v = 0;
		tap_eq(pread(b, &v, 1, 0), 1);
		tap_eq(v, 'd');				/* written before the unlock */
		tap_leave();
	}
	tap_eq(read(p[0], &c, 1), 1);
	tap_await_state(kid, 'S');
	tap_eq(pwrite(a, "d", 1, 0), 1);
	tap_eq(flock(a, LOCK_UN), 0);
	tap_join(kid);
}

static void flock_is_interrupted(void)
{
	int a = tap_file("f", ""), b = tap_must(open("f", O_RDONLY));

	tap_eq(flock(a, LOCK_EX), 0);
	tap_ticker(tap_tick, 0);
	tap_err(flock(b, LOCK_EX), EINTR);
	tap_ticker_stop();
	tap_ok(tap_ticks > 0);
}

static void record_locks_exclude_other_processes_only(void)
{
	int a = tap_file("f", "0123456789"), b = tap_must(open("f", O_RDWR));

	tap_eq(lock(a, F_SETLK, F_WRLCK, 2, 3), 0);
	tap_eq(lock(b, F_SETLK, F_WRLCK, 2, 3), 0);
	tap_eq(probe(a, F_GETLK, F_WRLCK, 0, 0).l_type, F_UNLCK);
	pid_t me = getpid(), kid = tap_fork();
	if (kid == 0) {
		struct flock fl = probe(a, F_GETLK, F_RDLCK, 0, 0);

		tap_eq(fl.l_type, F_WRLCK);
		tap_eq(fl.l_start, 2);
		tap_eq(fl.l_len, 3);
		tap_eq(fl.l_pid, me);
		tap_eq(fl.l_whence, SEEK_SET);
		tap_err(lock(a, F_SETLK, F_WRLCK, 4, 1), EAGAIN);
		tap_err(lock(a, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
		tap_eq(lock(a, F_SETLK, F_WRLCK, 5, 1), 0);
		tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 2), 0);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 0), 0);	/* the child's died with it */
}

static void ranges_split_and_merge(void)
{
	int a = tap_file("f", "");

	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 100), 0);
	tap_eq(lock(a, F_SETLK, F_UNLCK, 40, 20), 0);
	tap_eq(lock(a, F_SETLK, F_RDLCK, 10, 10), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(probe(a, F_GETLK, F_WRLCK, 40, 20).l_type, F_UNLCK);
		struct flock fl = probe(a, F_GETLK, F_WRLCK, 10, 5);
		tap_eq(fl.l_type, F_RDLCK);
		tap_eq(fl.l_start, 10);
		tap_eq(fl.l_len, 10);
		tap_eq(probe(a, F_GETLK, F_RDLCK, 10, 10).l_type, F_UNLCK);
		fl = probe(a, F_GETLK, F_RDLCK, 60, 100);
		tap_eq(fl.l_start, 60);
		tap_eq(fl.l_len, 40);
		tap_leave();
	}
	tap_join(kid);
	tap_eq(lock(a, F_SETLK, F_WRLCK, 10, 10), 0);
	kid = tap_fork();
	if (kid == 0) {
		struct flock fl = probe(a, F_GETLK, F_RDLCK, 0, 0);
		tap_eq(fl.l_start, 0);
		tap_eq(fl.l_len, 40);			/* merged again */
		tap_leave();
	}
	tap_join(kid);
}

static void any_close_drops_the_process_locks(void)
{
	int a = tap_file("f", "");

	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 0), 0);
	close(tap_must(open("f", O_RDONLY)));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 0), 0);
		tap_leave();
	}
	tap_join(kid);
}

static void locks_are_not_inherited(void)
{
	int a = tap_file("f", "");

	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 0), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_err(lock(a, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
		close(a);				/* closing in the child frees nothing */
		tap_leave();
	}
	tap_join(kid);
	kid = tap_fork();
	if (kid == 0) {
		tap_err(lock(a, F_SETLK, F_RDLCK, 0, 1), EAGAIN);
		tap_leave();
	}
	tap_join(kid);
}

static void setlkw_waits_for_the_holder(void)
{
	int a = tap_file("f", "."), p[2];
	char c;

	tap_must(pipe(p));
	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 1), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		write(p[1], "r", 1);
		tap_eq(lock(a, F_SETLKW, F_WRLCK, 0, 1), 0);
		tap_eq(pread(a, &c, 1, 0), 1);
		tap_eq(c, 'd');
		tap_leave();
	}
	tap_eq(read(p[0], &c, 1), 1);
	tap_await_state(kid, 'S');
	tap_eq(pwrite(a, "d", 1, 0), 1);
	tap_eq(lock(a, F_SETLK, F_UNLCK, 0, 1), 0);
	tap_join(kid);
}

static void setlkw_is_interrupted(void)
{
	int a = tap_file("f", "");

	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 1), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_ticker(tap_tick, 0);
		tap_err(lock(a, F_SETLKW, F_WRLCK, 0, 1), EINTR);
		tap_leave();
	}
	tap_join(kid);
}

static void a_deadlock_is_refused(void)
{
	int a = tap_file("f", ""), p[2];
	char c;

	tap_must(pipe(p));
	tap_eq(lock(a, F_SETLK, F_WRLCK, 0, 1), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(lock(a, F_SETLK, F_WRLCK, 1, 1), 0);
		write(p[1], "r", 1);
		tap_eq(lock(a, F_SETLKW, F_WRLCK, 0, 1), 0);
		tap_leave();
	}
	tap_eq(read(p[0], &c, 1), 1);
	tap_await_state(kid, 'S');
	tap_err(lock(a, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	tap_eq(lock(a, F_SETLK, F_UNLCK, 0, 1), 0);
	tap_join(kid);
}

static void whence_and_negative_lengths(void)
{
	struct flock fl = { F_WRLCK, SEEK_END, -4, 2, 0 };
	int a = tap_file("f", "0123456789");

	tap_eq(fcntl(a, F_SETLK, &fl), 0);		/* 6 and 7 */
	fl = (struct flock){ F_WRLCK, SEEK_SET, 5, -3, 0 };
	tap_eq(fcntl(a, F_SETLK, &fl), 0);		/* 2, 3, 4 */
	tap_must(lseek(a, 9, SEEK_SET));
	fl = (struct flock){ F_WRLCK, SEEK_CUR, 0, 1, 0 };
	tap_eq(fcntl(a, F_SETLK, &fl), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		for (int i = 0; i < 11; i++) {
			bool held = (i >= 2 && i <= 4) || i == 6 || i == 7 || i == 9;

			tap_eq(probe(a, F_GETLK, F_WRLCK, i, 1).l_type, held ? F_WRLCK : F_UNLCK);
		}
		tap_leave();
	}
	tap_join(kid);
}

static void record_lock_errors(void)
{
	struct flock fl = { F_WRLCK, 9, 0, 0, 0 };
	int a = tap_file("f", ""), r = tap_must(open("f", O_RDONLY));
	int w = tap_must(open("f", O_WRONLY));

	tap_err(fcntl(a, F_SETLK, &fl), EINVAL);
	tap_err(lock(a, F_SETLK, 9, 0, 0), EINVAL);
	tap_err(lock(a, F_SETLK, F_WRLCK, -1, 0), EINVAL);
	tap_err(lock(a, F_SETLK, F_WRLCK, 0, -1), EINVAL);
	tap_err(lock(a, F_GETLK, F_UNLCK, 0, 0), EINVAL);
	tap_err(lock(r, F_SETLK, F_WRLCK, 0, 0), EBADF);
	tap_err(lock(w, F_SETLK, F_RDLCK, 0, 0), EBADF);
	tap_err(lock(777, F_SETLK, F_WRLCK, 0, 0), EBADF);
	tap_efault_each(p, fcntl(a, F_SETLK, p));
	tap_efault_each(p, fcntl(a, F_GETLK, p));
}

static void ofd_locks_belong_to_the_open_file(void)
{
	int a = tap_file("f", ""), b = tap_must(open("f", O_RDWR));

	tap_eq(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
	tap_err(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	tap_err(lock(b, F_SETLK, F_WRLCK, 5, 1), EAGAIN);
	struct flock fl = probe(b, F_OFD_GETLK, F_WRLCK, 0, 0);
	tap_eq(fl.l_type, F_WRLCK);
	tap_eq(fl.l_pid, -1);
	int d = tap_must(dup(a));
	close(a);
	tap_err(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	close(d);
	tap_eq(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), 0);
	fl = (struct flock){ F_WRLCK, SEEK_SET, 0, 0, 1 };
	tap_err(fcntl(b, F_OFD_SETLK, &fl), EINVAL);	/* l_pid must be 0 */
}

static void flock_and_record_locks_do_not_meet(void)
{
	int a = tap_file("f", ""), b = tap_must(open("f", O_RDWR));

	tap_eq(flock(a, LOCK_EX), 0);
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(lock(b, F_SETLK, F_WRLCK, 0, 0), 0);
		tap_leave();
	}
	tap_join(kid);
}

TAP_MAIN(
	CASE(flock_excludes_other_openers),
	CASE(flock_belongs_to_the_open_file),
	CASE(flock_waits),
	CASE(flock_is_interrupted),
	CASE(record_locks_exclude_other_processes_only),
	CASE(ranges_split_and_merge),
	CASE(any_close_drops_the_process_locks),
	CASE(locks_are_not_inherited),
	CASE(setlkw_waits_for_the_holder),
	CASE(setlkw_is_interrupted),
	CASE(a_deadlock_is_refused),
	CASE(whence_and_negative_lengths),
	CASE(record_lock_errors),
	CASE(ofd_locks_belong_to_the_open_file),
	CASE(flock_and_record_locks_do_not_meet),
)
