/* BusyBox programs as a user starts them, without a shell where none is needed. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdio.h>
#include <unistd.h>

static void begin(void)
{
	if (access("/tmp/box/lines", R_OK) == 0)
		return;
	bench_shell("mkdir -p /tmp/box/tree/a/b /tmp/box/tree/c");
	bench_file("/tmp/box/lines", 28000, "word%03lu some apple text %lu\n");
	bench_file("/tmp/box/zeros", 1 << 20, 0);
	bench_shell("cd /tmp/box; for i in 1 2 3 4 5 6 7 8; do cp lines tree/a/$i; "
		    "echo $i >tree/a/b/$i; echo $i >tree/c/$i; done; "
		    "tar cf tree.tar tree; gzip -c lines >lines.gz; mkdir -p out");
}

#define SHELL(name, line) static void name(unsigned long n)	\
{								\
	while (n--)						\
		bench_shell(line);				\
}
#define SPAWN(name, ...) static void name(unsigned long n)	\
{								\
	while (n--)						\
		bench_spawn((char *[]){ __VA_ARGS__, NULL });	\
}

SPAWN(run_true, "/bin/true")
SHELL(run_echo, "/bin/echo hello >/dev/null")
SPAWN(run_cp, "/bin/cp", "/tmp/box/lines", "/tmp/box/copy")
SHELL(run_dd, "dd if=/tmp/box/zeros of=/tmp/box/copy bs=64k 2>/dev/null")
SHELL(run_find, "find /tmp/box/tree -type f >/dev/null")
SHELL(run_ls, "ls -l /tmp/box/tree/a >/dev/null")
SHELL(run_grep, "grep apple /tmp/box/lines >/dev/null")
SHELL(run_sed, "sed s/apple/pear/ /tmp/box/lines >/dev/null")
SHELL(run_awk, "awk '{ n += $5 } END { print n }' /tmp/box/lines >/dev/null")
SHELL(run_sort, "sort /tmp/box/lines >/dev/null")
SHELL(run_wc, "wc /tmp/box/lines >/dev/null")
SHELL(run_md5sum, "md5sum /tmp/box/lines >/dev/null")
SHELL(run_sha256sum, "sha256sum /tmp/box/lines >/dev/null")
SHELL(run_tar_create, "tar cf /tmp/box/new.tar -C /tmp/box tree")
SHELL(run_tar_extract, "tar xf /tmp/box/tree.tar -C /tmp/box/out")
SHELL(run_gzip, "gzip -c /tmp/box/lines >/dev/null")
SHELL(run_gunzip, "gunzip -c /tmp/box/lines.gz >/dev/null")
SHELL(run_loop, "i=0; while [ $i -lt 200 ]; do i=$((i + 1)); done")
SHELL(run_cat, "cat /tmp/box/zeros >/dev/null")

const struct row rows_busybox[] = {
	{ "bb_true", run_true, 8, begin, 0 },
	{ "bb_echo", run_echo, 8, begin, 0 },
	{ "bb_cp", run_cp, 8, begin, 0 },
	{ "bb_dd_1M", run_dd, 4, begin, 0 },
	{ "bb_find", run_find, 4, begin, 0 },
	{ "bb_ls", run_ls, 4, begin, 0 },
	{ "bb_grep", run_grep, 2, begin, 0 },
	{ "bb_sed", run_sed, 2, begin, 0 },
	{ "bb_awk", run_awk, 2, begin, 0 },
	{ "bb_sort", run_sort, 2, begin, 0 },
	{ "bb_wc", run_wc, 4, begin, 0 },
	{ "bb_md5sum", run_md5sum, 4, begin, 0 },
	{ "bb_sha256sum", run_sha256sum, 4, begin, 0 },
	{ "bb_tar_create", run_tar_create, 4, begin, 0 },
	{ "bb_tar_extract", run_tar_extract, 4, begin, 0 },
	{ "bb_gzip", run_gzip, 2, begin, 0 },
	{ "bb_gunzip", run_gunzip, 2, begin, 0 },
	{ "bb_shell_loop", run_loop, 2, begin, 0 },
	{ "bb_cat", run_cat, 4, begin, 0 },
	{ 0 },
};
