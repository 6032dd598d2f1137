/* inotify: every event, masks, moves with cookies, queue behaviour, errors. */
#include "tap.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static char evbuf[8192];
static long evlen, evpos;

static struct inotify_event *next(int fd)
{
	if (evpos >= evlen) {
		evlen = read(fd, evbuf, sizeof(evbuf));
		evpos = 0;
		if (evlen <= 0)
			return NULL;
	}
	struct inotify_event *e = (void *)(evbuf + evpos);
	evpos += sizeof(*e) + e->len;
	return e;
}

static void expect_at(int fd, int wd, uint32_t mask, const char *name, int line)
{
	struct inotify_event *e = next(fd);

	if (!e) {
		tap_check(false, "file_inotify.c", line, "no event, wanted %#x %s", mask, name);
		return;
	}
	tap_check(e->wd == wd && e->mask == mask && strcmp(e->len ? e->name : "", name) == 0,
		  "file_inotify.c", line, "got wd %d mask %#x \"%s\", wanted wd %d %#x \"%s\"",
		  e->wd, e->mask, e->len ? e->name : "", wd, mask, name);
}
#define expect(fd, wd, mask, name) expect_at(fd, wd, mask, name, __LINE__)

static void expect_none(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	tap_ok(evpos >= evlen);
	tap_eq(poll(&p, 1, 0), 0);
}

static int start(const char *what, uint32_t mask, int *wd)
{
	int fd = tap_must(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));

	*wd = tap_must(inotify_add_watch(fd, what, mask));
	return fd;
}

static void the_life_of_a_file(void)
{
	int wd;

	tap_must(mkdir("d", 0755));
	int in = start("d", IN_ALL_EVENTS, &wd);
	int fd = tap_must(open("d/f", O_CREAT | O_RDWR, 0600));
	expect(in, wd, IN_CREATE, "f");
	expect(in, wd, IN_OPEN, "f");
	tap_eq(write(fd, "x", 1), 1);
	expect(in, wd, IN_MODIFY, "f");
	char c;
	tap_eq(pread(fd, &c, 1, 0), 1);
	expect(in, wd, IN_ACCESS, "f");
	tap_must(fchmod(fd, 0644));
	expect(in, wd, IN_ATTRIB, "f");
	close(fd);
	expect(in, wd, IN_CLOSE_WRITE, "f");
	close(tap_must(open("d/f", O_RDONLY)));
	expect(in, wd, IN_OPEN, "f");
	expect(in, wd, IN_CLOSE_NOWRITE, "f");
	tap_must(truncate("d/f", 0));
	expect(in, wd, IN_MODIFY, "f");
	tap_must(unlink("d/f"));
	expect(in, wd, IN_DELETE, "f");
	expect_none(in);
}

static void directories_are_marked(void)
{
	int wd;

	tap_must(mkdir("d", 0755));
	int in = start("d", IN_CREATE | IN_DELETE, &wd);
	tap_must(mkdir("d/sub", 0755));
	expect(in, wd, IN_CREATE | IN_ISDIR, "sub");
	tap_must(symlink("x", "d/l"));
	expect(in, wd, IN_CREATE, "l");
	tap_must(mknod("d/p", S_IFIFO | 0600, 0));
	expect(in, wd, IN_CREATE, "p");
	tap_must(link("d/p", "d/q"));
	expect(in, wd, IN_CREATE, "q");
	tap_must(rmdir("d/sub"));
	expect(in, wd, IN_DELETE | IN_ISDIR, "sub");
	expect_none(in);
}

static void moves_carry_a_cookie(void)
{
	int a, b;

	tap_must(mkdir("a", 0755));
	tap_must(mkdir("b", 0755));
	tap_spit("a/f", "");
	int in = start("a", IN_MOVE, &a);
	b = tap_must(inotify_add_watch(in, "b", IN_MOVE));
	tap_must(rename("a/f", "b/g"));
	struct inotify_event *e = next(in);
	tap_need(e != NULL);
	tap_eq(e->mask, IN_MOVED_FROM);
	tap_str(e->name, "f");
	tap_eq(e->wd, a);
	uint32_t cookie = e->cookie;
	tap_ok(cookie != 0);
	e = next(in);
	tap_need(e != NULL);
	tap_eq(e->mask, IN_MOVED_TO);
	tap_str(e->name, "g");
	tap_eq(e->wd, b);
	tap_eq(e->cookie, cookie);
	expect_none(in);
}

static void a_watched_file_reports_itself(void)
{
	int wd;

	tap_spit("f", "");
	int in = start("f", IN_ALL_EVENTS, &wd);
	tap_must(chmod("f", 0600));
	expect(in, wd, IN_ATTRIB, "");
	tap_must(rename("f", "g"));
	expect(in, wd, IN_MOVE_SELF, "");
	tap_must(unlink("g"));
	expect(in, wd, IN_ATTRIB, "");			/* the link count went to zero */
	expect(in, wd, IN_DELETE_SELF, "");
	expect(in, wd, IN_IGNORED, "");
	expect_none(in);
	tap_err(inotify_rm_watch(in, wd), EINVAL);
}

static void an_open_file_dies_at_its_last_close(void)
{
	int wd, fd = tap_file("f", "");
	int in = start("f", IN_DELETE_SELF, &wd);

	tap_must(unlink("f"));
	expect_none(in);
	close(fd);
	expect(in, wd, IN_DELETE_SELF, "");
	expect(in, wd, IN_IGNORED, "");
}

static void rm_watch_says_ignored(void)
{
	int wd;

	tap_must(mkdir("d", 0755));
	int in = start("d", IN_ALL_EVENTS, &wd);
	tap_eq(inotify_rm_watch(in, wd), 0);
	expect(in, wd, IN_IGNORED, "");
	tap_spit("d/f", "");
	expect_none(in);
	tap_err(inotify_rm_watch(in, wd), EINVAL);
	int again = tap_must(inotify_add_watch(in, "d", IN_ALL_EVENTS));
	tap_ok(again > wd);
}

static void adding_again_changes_or_extends_the_mask(void)
{
	int wd;

	tap_must(mkdir("d", 0755));
	int in = start("d", IN_CREATE, &wd);
	tap_eq(inotify_add_watch(in, "d", IN_DELETE), wd);
	tap_spit("d/f", "");
	expect_none(in);
	tap_eq(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_ADD), wd);
	tap_spit("d/g", "");
	expect(in, wd, IN_CREATE, "g");
	tap_must(unlink("d/g"));
	expect(in, wd, IN_DELETE, "g");
	tap_err(inotify_add_watch(in, "d", IN_CREATE | 0x10000000 /* IN_MASK_CREATE */), EEXIST);
}

static void oneshot_and_onlydir(void)
{
	int wd;

	tap_must(mkdir("d", 0755));
	tap_spit("f", "");
	int in = start("d", IN_CREATE | IN_ONESHOT, &wd);
	tap_spit("d/a", "");
	tap_spit("d/b", "");
	expect(in, wd, IN_CREATE, "a");
	expect(in, wd, IN_IGNORED, "");
	expect_none(in);
	tap_err(inotify_add_watch(in, "f", IN_CREATE | IN_ONLYDIR), ENOTDIR);
	tap_must(symlink("d", "l"));
	wd = tap_must(inotify_add_watch(in, "l", IN_ATTRIB | IN_DONT_FOLLOW));
	tap_must(chmod("d", 0700));
	expect_none(in);
}

static void equal_neighbours_are_merged(void)
{
	int wd, fd = tap_file("f", "");
	int in = start("f", IN_MODIFY | IN_ATTRIB, &wd);

	for (int i = 0; i < 5; i++)
		write(fd, "x", 1);
	tap_must(fchmod(fd, 0600));
	write(fd, "x", 1);
	expect(in, wd, IN_MODIFY, "");
	expect(in, wd, IN_ATTRIB, "");
	expect(in, wd, IN_MODIFY, "");
	expect_none(in);
}

static void reading(void)
{
	int wd, n = -1;
	char small[16];

	tap_must(mkdir("d", 0755));
	int in = start("d", IN_CREATE, &wd);
	tap_err(read(in, evbuf, sizeof(evbuf)), EAGAIN);
	tap_spit("d/0123456789", "");
	tap_must(ioctl(in, FIONREAD, &n));
	tap_eq(n, 32);
	tap_err(read(in, small, sizeof(small)), EINVAL);	/* does not fit */
	tap_spit("d/b", "");
	tap_eq(read(in, evbuf, 40), 32);		/* whole events only */
	tap_eq(read(in, evbuf, sizeof(evbuf)), 32);
	struct pollfd p = { in, POLLIN, 0 };
	tap_eq(poll(&p, 1, 0), 0);
	tap_spit("d/c", "");
	tap_eq(poll(&p, 1, 0), 1);
	tap_err(read(in, BAD_KERNEL, 64), EFAULT);
	tap_err(read(in, tap_page_none(), 64), EFAULT);
	tap_err(write(in, "x", 1), EBADF);
}

static void a_blocking_read_wakes(void)
{
	int fd = tap_must(inotify_init());
	tap_must(mkdir("d", 0755));
	tap_must(inotify_add_watch(fd, "d", IN_CREATE));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_eq(read(fd, evbuf, sizeof(evbuf)), 32);
		tap_leave();
	}
	tap_await_state(kid, 'S');
	tap_spit("d/f", "");
	tap_join(kid);
	tap_ticker(tap_tick, 0);
	tap_err(read(fd, evbuf, sizeof(evbuf)), EINTR);
	tap_ticker_stop();
}

static void add_watch_errors(void)
{
	int fd = tap_must(inotify_init1(0)), f = tap_file("f", "");

	tap_err(inotify_init1(0x1234), EINVAL);
	tap_err(inotify_add_watch(777, "f", IN_OPEN), EBADF);
	tap_err(inotify_add_watch(f, "f", IN_OPEN), EINVAL);
	tap_err(inotify_add_watch(fd, "absent", IN_OPEN), ENOENT);
	tap_err(inotify_add_watch(fd, "f", 0), EINVAL);
	tap_err(inotify_add_watch(fd, "f", IN_OPEN | IN_MASK_ADD | 0x10000000), EINVAL);
	tap_efault_each(p, inotify_add_watch(fd, p, IN_OPEN));
	tap_err(inotify_rm_watch(fd, 99), EINVAL);
	tap_err(inotify_rm_watch(777, 1), EBADF);
	tap_err(inotify_rm_watch(f, 1), EINVAL);
	tap_must(mkdir("shut", 0700));
	tap_must(chmod("f", 0));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(inotify_add_watch(fd, "f", IN_OPEN), EACCES);
		tap_err(inotify_add_watch(fd, "shut/x", IN_OPEN), EACCES);
		tap_leave();
	}
	tap_join(kid);
}

static void the_queue_overflows(void)
{
	static char name[32];
	char text[32];
	int wd, limit, events = 0, overflow = 0;

	tap_need(tap_slurp("/proc/sys/fs/inotify/max_queued_events", text, sizeof(text)) > 0);
	limit = atoi(text);
	tap_must(mkdir("d", 0755));
	tap_spit("d/a", "");
	int in = start("d", IN_ATTRIB | IN_OPEN, &wd);
	for (int i = 0; i < limit; i++) {		/* alternate, so that none merge */
		tap_must(chmod("d/a", 0600));
		close(tap_must(open("d/a", O_RDONLY)));
	}
	for (struct inotify_event *e; (e = next(in)); events++)
		if (e->mask == IN_Q_OVERFLOW) {
			tap_eq(e->wd, -1);
			overflow++;
		}
	tap_eq(overflow, 1);
	tap_eq(events, limit + 1);
	(void)name;
}

TAP_MAIN(
	CASE(the_life_of_a_file),
	CASE(directories_are_marked),
	CASE(moves_carry_a_cookie),
	CASE(a_watched_file_reports_itself),
	CASE(an_open_file_dies_at_its_last_close),
	CASE(rm_watch_says_ignored),
	CASE(adding_again_changes_or_extends_the_mask),
	CASE(oneshot_and_onlydir),
	CASE(equal_neighbours_are_merged),
	CASE(reading),
	CASE(a_blocking_read_wakes),
	CASE(add_watch_errors),
	CASE(the_queue_overflows),
)
