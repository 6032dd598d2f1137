/* Extended attributes as tmpfs has them: trusted.* yes, user.* no. */
#include "tap.h"

#include <sys/xattr.h>

static void set_get_list_remove(void)
{
	char buf[64];

	tap_spit("f", "");
	tap_eq(setxattr("f", "trusted.a", "value", 5, 0), 0);
	tap_eq(getxattr("f", "trusted.a", buf, sizeof(buf)), 5);
	tap_eq(memcmp(buf, "value", 5), 0);
	tap_eq(getxattr("f", "trusted.a", NULL, 0), 5);
	tap_eq(setxattr("f", "trusted.b", "", 0, 0), 0);
	tap_eq(getxattr("f", "trusted.b", buf, sizeof(buf)), 0);
	tap_eq(listxattr("f", NULL, 0), 20);
	tap_eq(listxattr("f", buf, sizeof(buf)), 20);
	tap_eq(removexattr("f", "trusted.a"), 0);
	tap_err(getxattr("f", "trusted.a", buf, sizeof(buf)), ENODATA);
	tap_err(removexattr("f", "trusted.a"), ENODATA);
	tap_eq(listxattr("f", buf, sizeof(buf)), 10);
	tap_str(buf, "trusted.b");
}

static void create_and_replace(void)
{
	char buf[8];

	tap_spit("f", "");
	tap_err(setxattr("f", "trusted.a", "1", 1, XATTR_REPLACE), ENODATA);
	tap_eq(setxattr("f", "trusted.a", "1", 1, XATTR_CREATE), 0);
	tap_err(setxattr("f", "trusted.a", "2", 1, XATTR_CREATE), EEXIST);
	tap_eq(setxattr("f", "trusted.a", "22", 2, XATTR_REPLACE), 0);
	tap_eq(getxattr("f", "trusted.a", buf, 8), 2);
	tap_err(setxattr("f", "trusted.a", "2", 1, 4), EINVAL);
}

static void errors(void)
{
	char buf[8], name[300] = "trusted.";
	static char big[70000];

	memset(name + 8, 'n', 260);
	tap_spit("f", "");
	tap_eq(setxattr("f", "trusted.a", "12345", 5, 0), 0);
	tap_err(getxattr("f", "trusted.a", buf, 4), ERANGE);
	tap_err(listxattr("f", buf, 4), ERANGE);
	tap_err(setxattr("f", "nonsense.a", "1", 1, 0), EOPNOTSUPP);
	tap_err(setxattr("f", "noprefix", "1", 1, 0), EOPNOTSUPP);
	tap_err(setxattr("f", "", "1", 1, 0), ERANGE);
	tap_err(setxattr("f", name, "1", 1, 0), ERANGE);
	tap_err(setxattr("f", "trusted.big", big, 65537, 0), E2BIG);
	tap_err(getxattr("absent", "trusted.a", buf, 8), ENOENT);
	tap_err(fgetxattr(777, "trusted.a", buf, 8), EBADF);
	tap_err(flistxattr(777, buf, 8), EBADF);
	tap_err(fremovexattr(777, "trusted.a"), EBADF);
	tap_err(fsetxattr(777, "trusted.a", buf, 8, 0), EBADF);
	tap_efault_each(p, setxattr(p, "trusted.a", buf, 1, 0));
	tap_efault_each(p, setxattr("f", p, buf, 1, 0));
	tap_efault_each(p, setxattr("f", "trusted.a", p, 1, 0));
	tap_efault_each(p, getxattr("f", p, buf, 1));
	tap_efault_each(p, getxattr("f", "trusted.a", p, 8));
	tap_efault_each(p, listxattr("f", p, 64));
	tap_efault_each(p, removexattr("f", p));
}

static void user_attributes_are_not_supported_on_tmpfs(void)
{
	char buf[8];

	tap_spit("f", "");
	long r = setxattr("f", "user.a", "1", 1, 0);
	if (r == 0)
		tap_skip("this kernel has user.* on tmpfs");
	tap_err(setxattr("f", "user.a", "1", 1, 0), EOPNOTSUPP);
	tap_err(getxattr("f", "user.a", buf, 8), EOPNOTSUPP);
	tap_err(removexattr("f", "user.a"), EOPNOTSUPP);
}

static void trusted_is_for_root(void)
{
	char buf[32];

	tap_spit("f", "");
	tap_must(chmod("f", 0666));
	tap_must(setxattr("f", "trusted.a", "1", 1, 0));
	pid_t kid = tap_fork();
	if (kid == 0) {
		tap_become(1000, 1000);
		tap_err(getxattr("f", "trusted.a", buf, 8), ENODATA);
		tap_err(setxattr("f", "trusted.b", "1", 1, 0), EPERM);
		tap_err(removexattr("f", "trusted.a"), EPERM);
		tap_eq(listxattr("f", buf, sizeof(buf)), 0);
		tap_leave();
	}
	tap_join(kid);
}

static void links_and_descriptors(void)
{
	char buf[8];
	int fd = tap_file("f", "");

	tap_must(symlink("f", "l"));
	tap_eq(setxattr("l", "trusted.a", "1", 1, 0), 0);
	tap_eq(getxattr("f", "trusted.a", buf, 8), 1);
	tap_err(lgetxattr("l", "trusted.a", buf, 8), ENODATA);
	tap_eq(lsetxattr("l", "trusted.a", "22", 2, 0), 0);
	tap_eq(lgetxattr("l", "trusted.a", buf, 8), 2);
	tap_eq(fgetxattr(fd, "trusted.a", buf, 8), 1);
	tap_eq(fsetxattr(fd, "trusted.f", "333", 3, 0), 0);
	tap_eq(getxattr("f", "trusted.f", buf, 8), 3);
	tap_eq(fremovexattr(fd, "trusted.f"), 0);
	tap_eq(lremovexattr("l", "trusted.a"), 0);
	tap_eq(llistxattr("l", buf, 8), 0);
	tap_eq(flistxattr(fd, NULL, 0), 10);
}

static void values_of_up_to_64k(void)
{
	static char big[65536], back[65536];

	memset(big, 'v', sizeof(big));
	tap_must(mkdir("d", 0755));
	tap_eq(setxattr("d", "trusted.big", big, sizeof(big), 0), 0);
	tap_eq(getxattr("d", "trusted.big", back, sizeof(back)), 65536);
	tap_eq(memcmp(big, back, sizeof(big)), 0);
}

static void hard_links_share_attributes(void)
{
	char buf[8];

	tap_spit("a", "");
	tap_must(link("a", "b"));
	tap_must(setxattr("a", "trusted.x", "1", 1, 0));
	tap_eq(getxattr("b", "trusted.x", buf, 8), 1);
	tap_must(rename("b", "c"));
	tap_eq(getxattr("c", "trusted.x", buf, 8), 1);
}

TAP_MAIN(
	CASE(set_get_list_remove),
	CASE(create_and_replace),
	CASE(errors),
	CASE(user_attributes_are_not_supported_on_tmpfs),
	CASE(trusted_is_for_root),
	CASE(links_and_descriptors),
	CASE(values_of_up_to_64k),
	CASE(hard_links_share_attributes),
)
