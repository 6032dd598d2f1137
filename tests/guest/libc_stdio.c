/* What the C libraries build on the calls: stdio, malloc, popen, system, qsort, locale, time. */
#include "tap.h"

#include <ctype.h>
#include <dirent.h>
#include <fnmatch.h>
#include <glob.h>
#include <grp.h>
#include <math.h>
#include <pwd.h>
#include <setjmp.h>
#include <spawn.h>
#include <time.h>

extern char **environ;

static void files_by_line(void)
{
	char line[64];
	int n = 0;
	FILE *f = fopen("f", "w+");

	tap_need(f != NULL);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "line %d of a thousand\n", i);
	tap_eq(fseek(f, 0, SEEK_SET), 0);
	while (fgets(line, sizeof(line), f)) {
		char want[64];

		snprintf(want, sizeof(want), "line %d of a thousand\n", n++);
		tap_need(strcmp(line, want) == 0);
	}
	tap_eq(n, 1000);
	tap_ok(feof(f));
	tap_eq(ungetc('x', f), 'x');
	tap_eq(fgetc(f), 'x');
	tap_eq(fclose(f), 0);
	f = fopen("f", "a");
	fputs("last\n", f);
	fclose(f);
	struct stat st;
	tap_must(stat("f", &st));
	tap_ok(st.st_size > 20000);
}

static void binary_blocks_and_positions(void)
{
	static int out[5000], in[5000];
	FILE *f = fopen("f", "wb+");

	for (int i = 0; i < 5000; i++)
		out[i] = i * i;
	tap_eq(fwrite(out, sizeof(int), 5000, f), 5000);
	rewind(f);
	tap_eq(fread(in, sizeof(int), 5000, f), 5000);
	tap_eq(memcmp(in, out, sizeof(in)), 0);
	fseek(f, 400, SEEK_SET);
	tap_eq(fread(in, sizeof(int), 1, f), 1);
	tap_eq(in[0], 10000);
	tap_eq(ftell(f), 404);
	fclose(f);
}

static void getline_and_scanf(void)
{
	char *line = NULL;
	size_t n = 0;
	int a;
	double x;
	char word[16];

	tap_spit("f", "42 3.25 word\n"
		 "a very much longer line that needs a larger buffer than the first\n");
	FILE *f = fopen("f", "r");
	tap_eq(fscanf(f, "%d %lf %15s\n", &a, &x, word), 3);
	tap_eq(a, 42);
	tap_ok(x == 3.25);
	tap_str(word, "word");
	tap_eq(getline(&line, &n, f), 66);
	free(line);
	fclose(f);
}

static void popen_and_system(void)
{
	char buf[64] = "";
	FILE *p = popen("echo from the shell", "r");

	tap_need(p != NULL);
	tap_ok(fgets(buf, sizeof(buf), p) != NULL);
	tap_str(buf, "from the shell\n");
	tap_eq(pclose(p), 0);
	tap_eq(WEXITSTATUS(system("exit 3")), 3);
	tap_ok(system(NULL) != 0);
	p = popen("cat > f", "w");
	fputs("to the shell", p);
	tap_eq(pclose(p), 0);
	tap_slurp("f", buf, sizeof(buf));
	tap_str(buf, "to the shell");
}

static void posix_spawn_runs(void)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	char *argv[] = { "sh", "-c", "echo spawned; exit 4", NULL }, buf[32];
	pid_t kid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "out", O_CREAT | O_WRONLY, 0600);
	posix_spawnattr_init(&at);
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETPGROUP);
	tap_eq(posix_spawn(&kid, "/bin/sh", &fa, &at, argv, environ), 0);
	tap_eq(WEXITSTATUS(tap_status(kid)), 4);
	tap_slurp("out", buf, sizeof(buf));
	tap_str(buf, "spawned\n");
	tap_eq(posix_spawn(&kid, "/no/such", NULL, NULL, argv, environ), ENOENT);
	tap_eq(posix_spawnp(&kid, "true", NULL, NULL, (char *[]){ "true", NULL }, environ), 0);
	tap_join(kid);
}

static void allocation_patterns(void)
{
	enum { N = 400 };
	static unsigned char *p[N];
	static size_t len[N];
	unsigned seed = 7;

	for (int round = 0; round < 4000; round++) {
		seed = seed * 1103515245 + 12345;
		int i = (seed >> 8) % N;
		size_t n = 1 + (seed >> 16) % (round % 50 == 0 ? 200000 : 2000);

		for (size_t k = 0; k < len[i]; k += 97)
			tap_need(p[i][k] == (unsigned char)i);
		if (seed & 64) {
			p[i] = realloc(p[i], n);
			tap_need(p[i] != NULL);
		} else {
			free(p[i]);
			p[i] = malloc(n);
			tap_need(p[i] != NULL);
		}
		memset(p[i], i, n);
		len[i] = n;
	}
	for (int i = 0; i < N; i++)
		free(p[i]);
	char *z = calloc(1, 1 << 20);
	for (int i = 0; i < 1 << 20; i += 100)
		tap_need(z[i] == 0);
	free(z);
	void *al = NULL;
	tap_eq(posix_memalign(&al, 4096, 10000), 0);
	tap_eq((uintptr_t)al % 4096, 0);
}

static void large_allocations_and_refusal(void)
{
	char *p = malloc(20 << 20);

	tap_need(p != NULL);
	p[0] = p[(20 << 20) - 1] = 1;
	p = realloc(p, 30 << 20);
	tap_need(p != NULL);
	tap_eq(p[0], 1);
	free(p);
	volatile size_t huge = (size_t)1 << 60;
	tap_ok(malloc(huge) == NULL);
	tap_eq(errno, ENOMEM);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void sorting_and_mathematics(void)
{
	static int v[3000];
	unsigned seed = 1;
	volatile double two = 2;

	for (int i = 0; i < 3000; i++)
		v[i] = (seed = seed * 1664525 + 1013904223) >> 4;
	qsort(v, 3000, sizeof(int), compare);
	for (int i = 1; i < 3000; i++)
		tap_need(v[i - 1] <= v[i]);
	tap_ok(sqrt(two) > 1.41421356 && sqrt(two) < 1.41421357);
	tap_eq(lround(pow(two, 40) / (1l << 38)), 4);
	char buf[64];
	snprintf(buf, sizeof(buf), "%.10f %g %e", 1 / 3.0, 1e100, -1.5);
	tap_str(buf, "0.3333333333 1e+100 -1.500000e+00");
}

static void users_groups_and_globbing(void)
{
	glob_t g;

	tap_spit("a.c", "");
	tap_spit("b.c", "");
	tap_spit("c.h", "");
	tap_eq(glob("*.c", 0, NULL, &g), 0);
	tap_eq(g.gl_pathc, 2);
	tap_str(g.gl_pathv[1], "b.c");
	globfree(&g);
	tap_eq(fnmatch("*.[ch]", "x.h", 0), 0);
	FILE *f = fopen("/etc/passwd", "r");
	if (!f)
		return;
	struct passwd *pw = fgetpwent(f);
	tap_ok(pw && strcmp(pw->pw_name, "root") == 0 && pw->pw_uid == 0);
	fclose(f);
}

static void temporary_files(void)
{
	char name[] = "tmp-XXXXXX", dir[] = "dir-XXXXXX", path[32];
	int fd = tap_must(mkstemp(name));

	tap_ok(tap_exists(name));
	close(fd);
	tap_ok(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/f", dir);
	tap_spit(path, "");
	tap_err(remove(dir), ENOTEMPTY);
	tap_eq(remove(path), 0);
	tap_eq(remove(dir), 0);
	FILE *f = tmpfile();
	tap_need(f != NULL);
	fputs("x", f);
	rewind(f);
	tap_eq(fgetc(f), 'x');
	fclose(f);
}

static void calendar_time(void)
{
	time_t t = 86400l * 365;
	struct tm tm;
	char buf[64];

	gmtime_r(&t, &tm);
	tap_eq(tm.tm_year, 71);
	tap_eq(timegm(&tm), t);
	strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm);
	tap_str(buf, "1971-01-01 00:00:00");
	tap_ok(time(NULL) > 1500000000);
}

static void realpath_and_environment(void)
{
	char buf[4096], cwd[256];

	tap_must(mkdir("d", 0755));
	tap_must(symlink("d", "l"));
	tap_need(getcwd(cwd, sizeof(cwd)) != NULL);
	tap_need(realpath("l/../l/.", buf) != NULL);
	strcat(cwd, "/d");
	tap_str(buf, cwd);
	setenv("A_NAME", "a value", 1);
	tap_str(getenv("A_NAME"), "a value");
	tap_eq(WEXITSTATUS(system("test \"$A_NAME\" = 'a value' && exit 8")), 8);
	unsetenv("A_NAME");
	tap_ok(getenv("A_NAME") == NULL);
}

TAP_MAIN(
	CASE(files_by_line),
	CASE(binary_blocks_and_positions),
	CASE(getline_and_scanf),
	CASE(popen_and_system),
	CASE(posix_spawn_runs),
	CASE(allocation_patterns),
	CASE(large_allocations_and_refusal),
	CASE(sorting_and_mathematics),
	CASE(users_groups_and_globbing),
	CASE(temporary_files),
	CASE(calendar_time),
	CASE(realpath_and_environment),
)
