/* Credentials: real, effective, saved and file ids; groups; capabilities; setuid programs. */
#include "tap.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

static void ids(uid_t r, uid_t e, uid_t s)
{
	uid_t a, b, c;

	tap_must(getresuid(&a, &b, &c));
	tap_eq(a, r);
	tap_eq(b, e);
	tap_eq(c, s);
}

static void gids(gid_t r, gid_t e, gid_t s)
{
	gid_t a, b, c;

	tap_must(getresgid(&a, &b, &c));
	tap_eq(a, r);
	tap_eq(b, e);
	tap_eq(c, s);
}

static void setresuid_as_root(void)
{
	tap_must(syscall(SYS_setresuid, 1, 2, 3));
	ids(1, 2, 3);
	tap_eq(syscall(SYS_setresuid, 3, 1, 2), 0);	/* any of the three */
	ids(3, 1, 2);
	tap_err(syscall(SYS_setresuid, 4, -1, -1), EPERM);
	tap_err(syscall(SYS_setresuid, -1, 0, -1), EPERM);
	tap_eq(syscall(SYS_setresuid, -1, -1, -1), 0);
	ids(3, 1, 2);
}

static void setuid_as_root_and_not(void)
{
	tap_must(syscall(SYS_setuid, 1000));
	ids(1000, 1000, 1000);
	tap_err(syscall(SYS_setuid, 0), EPERM);
	tap_eq(syscall(SYS_setuid, 1000), 0);
}

static void setuid_of_the_unprivileged_sets_effective_only(void)
{
	tap_must(syscall(SYS_setresuid, 10, 20, 30));
	tap_eq(syscall(SYS_setuid, 30), 0);
	ids(10, 30, 30);
	tap_eq(syscall(SYS_setuid, 10), 0);
	ids(10, 10, 30);
	tap_err(syscall(SYS_setuid, 20), EPERM);
}

static void setreuid_rules(void)
{
	tap_must(syscall(SYS_setreuid, 5, 6));
	ids(5, 6, 6);
	tap_must(syscall(SYS_setreuid, 6, 5));
	ids(6, 5, 5);
	tap_must(syscall(SYS_setreuid, -1, 6));
	ids(6, 6, 5);					/* the saved id stays: 6 was the real one */
	tap_err(syscall(SYS_setreuid, 7, -1), EPERM);
	tap_err(syscall(SYS_setreuid, -1, 7), EPERM);
}

static void group_ids_follow_the_same_rules(void)
{
	tap_must(syscall(SYS_setresgid, 1, 2, 3));
	gids(1, 2, 3);
	tap_must(syscall(SYS_setregid, 4, 5));
	gids(4, 5, 5);
	tap_must(syscall(SYS_setgid, 9));
	gids(9, 9, 9);
	tap_must(syscall(SYS_setresgid, 1, 2, 3));
	tap_must(syscall(SYS_setresuid, 1000, 1000, 1000));
	tap_eq(syscall(SYS_setgid, 3), 0);
	gids(1, 3, 3);
	tap_err(syscall(SYS_setgid, 2), EPERM);
	tap_err(syscall(SYS_setresgid, 0, -1, -1), EPERM);
}

static void losing_root_drops_capabilities(void)
{
	tap_must(syscall(SYS_setresuid, -1, 1000, -1));
	tap_err(chroot("/"), EPERM);
	tap_must(syscall(SYS_setresuid, -1, 0, -1));	/* the saved root comes back */
	tap_eq(chroot("/"), 0);
}

static void groups_can_be_set_and_read(void)
{
	gid_t g[70], out[70];

	for (int i = 0; i < 70; i++)
		g[i] = 1000 + i;
	tap_must(setgroups(70, g));
	tap_eq(getgroups(0, NULL), 70);
	tap_eq(getgroups(70, out), 70);
	tap_eq(memcmp(g, out, sizeof(g)), 0);
	tap_err(getgroups(69, out), EINVAL);
	tap_err(getgroups(-1, out), EINVAL);
	tap_err(syscall(SYS_setgroups, 65537, g), EINVAL);
	tap_efault_each(p, syscall(SYS_setgroups, 2, p));
	tap_efault_each(p, syscall(SYS_getgroups, 70, p));
	tap_must(setgroups(0, NULL));
	tap_eq(getgroups(0, NULL), 0);
	tap_must(syscall(SYS_setresuid, 1000, 1000, 1000));
	tap_err(setgroups(1, g), EPERM);
}

static void bad_pointers(void)
{
	uid_t a;

	tap_efault_each(p, syscall(SYS_getresuid, p, &a, &a));
	tap_efault_each(p, syscall(SYS_getresuid, &a, p, &a));
	tap_efault_each(p, syscall(SYS_getresuid, &a, &a, p));
	tap_efault_each(p, syscall(SYS_getresgid, p, &a, &a));
	tap_efault_each(p, syscall(SYS_getresgid, &a, &a, p));
}

static void who_may_signal_whom(void)
{
	pid_t root = tap_fork();
	while (root == 0)
		pause();
	pid_t kid = tap_fork();
	if (kid == 0) {
		pid_t mine;

		tap_become(1000, 1000);
		tap_err(kill(root, SIGTERM), EPERM);
		tap_err(kill(root, 0), EPERM);
		mine = tap_fork();
		while (mine == 0)
			pause();
		tap_eq(kill(mine, SIGTERM), 0);
		tap_killed(mine, SIGTERM);
		tap_err(kill(1, SIGTERM), EPERM);
		tap_leave();
	}
	tap_join(kid);
	kill(root, SIGKILL);
	tap_killed(root, SIGKILL);
}

static void capget_and_capset(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	tap_eq(syscall(SYS_capget, &h, d), 0);
	tap_ok(d[0].effective & (1u << CAP_SETUID));
	tap_ok(d[0].permitted & (1u << CAP_CHOWN));
	h.version = 0;
	tap_err(syscall(SYS_capget, &h, d), EINVAL);
	tap_eq(h.version, _LINUX_CAPABILITY_VERSION_3);	/* the kernel's preference */
	h.pid = 4000000;
	tap_err(syscall(SYS_capget, &h, d), ESRCH);
	h.pid = 0;
	tap_efault_each(p, syscall(SYS_capget, p, d));
	tap_efault_each(p, syscall(SYS_capset, &h, p));
	tap_eq(syscall(SYS_capget, &h, d), 0);
	d[0].effective &= ~(1u << CAP_CHOWN);
	tap_eq(syscall(SYS_capset, &h, d), 0);
	tap_spit("f", "");
	tap_err(chown("f", 5, 5), EPERM);
	d[0].effective |= 1u << CAP_CHOWN;
	tap_eq(syscall(SYS_capset, &h, d), 0);
	tap_eq(chown("f", 5, 5), 0);
	d[0].effective &= ~(1u << CAP_CHOWN);
	d[0].permitted &= ~(1u << CAP_CHOWN);
	tap_eq(syscall(SYS_capset, &h, d), 0);
	d[0].permitted |= 1u << CAP_CHOWN;
	tap_err(syscall(SYS_capset, &h, d), EPERM);	/* what is given up is gone */
}

static void keepcaps_over_setuid(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	tap_must(prctl(PR_SET_KEEPCAPS, 1));
	tap_must(syscall(SYS_setresuid, 1000, 1000, 1000));
	tap_must(syscall(SYS_capget, &h, d));
	tap_ok(d[0].permitted & (1u << CAP_CHOWN));
	tap_eq(d[0].effective, 0);
	tap_err(chroot("/"), EPERM);
	d[0].effective = d[0].permitted;
	tap_eq(syscall(SYS_capset, &h, d), 0);
	tap_eq(chroot("/"), 0);
}

static void no_access_override_without_the_capability(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	tap_spit("f", "x");
	tap_must(chown("f", 1000, 1000));
	tap_must(chmod("f", 0600));
	tap_must(syscall(SYS_capget, &h, d));
	d[0].effective &= ~((1u << CAP_DAC_OVERRIDE) | (1u << CAP_DAC_READ_SEARCH));
	tap_must(syscall(SYS_capset, &h, d));
	tap_err(open("f", O_RDONLY), EACCES);
}

/* -- setuid programs: this one, copied, executed as "show" -- */

static void copy_self(const char *to, uid_t uid, gid_t gid, mode_t mode)
{
	static char buf[65536];
	int in = tap_must(open("/proc/self/exe", O_RDONLY));
	int out = tap_must(open(to, O_CREAT | O_WRONLY | O_TRUNC, 0755));
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		tap_need(write(out, buf, n) == n);
	close(in);
	close(out);
	tap_must(chown(to, uid, gid));
	tap_must(chmod(to, mode));
}

static const char *show_as(const char *prog, uid_t uid, gid_t gid, bool nnp)
{
	static char out[128];
	int p[2];

	memset(out, 0, sizeof(out));
	tap_must(pipe(p));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(uid, gid);
		if (nnp)
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		dup2(p[1], 1);
		execl(prog, "prog", "show", NULL);
		_exit(1);
	}
	tap_join(kid);
	read(p[0], out, sizeof(out) - 1);
	close(p[0]);
	close(p[1]);
	return out;
}

static int show(void)
{
	uid_t u[3];
	gid_t g[3];
	unsigned long getauxval(unsigned long);

	getresuid(&u[0], &u[1], &u[2]);
	getresgid(&g[0], &g[1], &g[2]);
	dprintf(1, "%d %d %d, %d %d %d, %lu %lu, secure %lu", u[0], u[1], u[2], g[0], g[1], g[2],
		getauxval(11), getauxval(12), getauxval(23));
	return 0;
}

static void setuid_programs_change_the_effective_user(void)
{
	tap_own_mount();
	copy_self("suid", 2000, 0, 04755);
	tap_str(show_as("./suid", 1000, 1000, false),
		"1000 2000 2000, 1000 1000 1000, 1000 2000, secure 1");
	copy_self("sgid", 0, 3000, 02755);
	tap_str(show_as("./sgid", 1000, 1000, false),
		"1000 1000 1000, 1000 3000 3000, 1000 1000, secure 1");
	copy_self("plain", 2000, 3000, 0755);
	tap_str(show_as("./plain", 1000, 1000, false),
		"1000 1000 1000, 1000 1000 1000, 1000 1000, secure 0");
	copy_self("sroot", 0, 0, 06755);
	tap_str(show_as("./sroot", 1000, 1000, false), "1000 0 0, 1000 0 0, 1000 0, secure 1");
}

static void setuid_is_not_honoured_when_it_should_not(void)
{
	tap_own_mount();
	copy_self("suid", 2000, 0, 04755);
	tap_str(show_as("./suid", 1000, 1000, true),
		"1000 1000 1000, 1000 1000 1000, 1000 1000, secure 0");
	/* setgid without group x: mandatory-lock mark */
	copy_self("nox", 0, 3000, 02745);
	tap_str(show_as("./nox", 1000, 1000, false),
		"1000 1000 1000, 1000 1000 1000, 1000 1000, secure 0");
	tap_spit("script", "#!/bin/sh\nid -u\n");
	tap_must(chown("script", 2000, 0));
	tap_must(chmod("script", 04755));
	tap_str(show_as("./script", 1000, 1000, false), "1000\n");
}

static const struct tap_case all[] = {
	CASE(setresuid_as_root),
	CASE(setuid_as_root_and_not),
	CASE(setuid_of_the_unprivileged_sets_effective_only),
	CASE(setreuid_rules),
	CASE(group_ids_follow_the_same_rules),
	CASE(losing_root_drops_capabilities),
	CASE(groups_can_be_set_and_read),
	CASE(bad_pointers),
	CASE(who_may_signal_whom),
	CASE(capget_and_capset),
	CASE(keepcaps_over_setuid),
	CASE(no_access_override_without_the_capability),
	CASE(setuid_programs_change_the_effective_user),
	CASE(setuid_is_not_honoured_when_it_should_not),
};

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "show") == 0)
		return show();
	return tap_main(argc, argv, all, ARRAY_LEN(all));
}
