/*
 * Runs rounds of the model, each in a process of its own, and makes a failing
 * one small.
 *
 *   model [--seed S] [--steps N] [--operations N] [--seconds N] [--rounds N] [--audit N] [--jobs N] [--verbose]
 *
 * Rounds S, S + 1, ... of N steps each, until operations are done or the time
 * is over.  A round counts every owner after each N-th step (--audit); one
 * that fails is run again with a count after each, cut behind the step that
 * fails, and then loses the steps it can fail without.
 * --seed S --rounds 1 repeats a round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <base/types.h>
#include "rounds.h"

#define STEPS_MAX 65536u
#define JOBS_MAX  16u
#define SHRINK_SECONDS 240
#define NOTE_EVERY 10000000u		/* operations between two words on how far it is */

static struct {
	u64 seed, steps, operations, seconds, rounds, audit, jobs;
} opt = { .seed = 1, .steps = 4000, .operations = ~0ul, .seconds = ~0ul, .rounds = ~0ul, .audit = 4, .jobs = 1 };

static bool keep[STEPS_MAX];		/* steps of the round that is made small */
static time_t started;

static u64 elapsed(void) { return (u64)(time(NULL) - started); }

/* One round: in the child it never returns. */
static void round_run(u64 seed, u64 steps, u64 audit)
{
	model_round_begin(seed);
	for (u64 i = 0; i < steps; i++)
		if (keep[i])
			model_round_step(i, i % audit == audit - 1);
	model_round_end();
	fflush(stdout);
	_exit(0);
}

static pid_t round_start(u64 seed, u64 steps, u64 audit, bool quiet)
{
	fflush(stdout);
	pid_t pid = fork();

	if (pid)
		return pid;
	if (quiet && (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)))
		_exit(3);
	round_run(seed, steps, audit);
	_exit(3);
}

static bool round_fails(u64 seed, u64 steps, bool quiet)
{
	int status;
	pid_t pid = round_start(seed, steps, 1, quiet);

	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

/* --- making a failure small -------------------------------------------------- */

/* The shortest prefix that fails. */
static u64 shrink_end(u64 seed, u64 steps)
{
	u64 good = 0, bad = steps;

	while (bad - good > 1) {
		u64 mid = good + (bad - good) / 2;

		if (round_fails(seed, mid, true))
			bad = mid;
		else
			good = mid;
	}
	return bad;
}

static void shrink(u64 seed)
{
	time_t end = time(NULL) + SHRINK_SECONDS;
	u64 steps = opt.steps, left = 0;

	if (!round_fails(seed, steps, true)) {
		printf("# it does not fail with a count after every step: --seed %lu --rounds 1 --audit %lu\n", seed, opt.audit);
		return;
	}
	steps = shrink_end(seed, steps);
	for (u64 size = steps / 2; size && time(NULL) < end; size /= 2)
		for (u64 at = 0; at < steps && time(NULL) < end; at += size) {
			bool saved[STEPS_MAX];
			u64 n = MIN(size, steps - at);

			memcpy(saved, keep, sizeof(saved));
			memset(keep + at, false, n);
			if (!memcmp(saved, keep, sizeof(saved)) || !round_fails(seed, steps, true))
				memcpy(keep, saved, sizeof(saved));
		}
	for (u64 i = 0; i < steps; i++)
		left += keep[i];
	printf("# seed %lu: it fails with %lu of its first %lu steps:\n", seed, left, steps);
	model_start(true);
	(void)round_fails(seed, steps, false);
}

/* --- all rounds ---------------------------------------------------------------- */

struct job {
	pid_t pid;
	u64 seed;
};

static int run_rounds(void)
{
	struct job job[JOBS_MAX] = { 0 };
	u64 next = opt.seed, done = 0, running = 0;

	for (;;) {
		bool more = next - opt.seed < opt.rounds && elapsed() < opt.seconds && (next - opt.seed) * opt.steps < opt.operations;

		for (u32 i = 0; more && i < opt.jobs; i++)
			if (!job[i].pid) {
				job[i] = (struct job){ round_start(next, opt.steps, opt.audit, false), next };
				next++;
				running++;
				break;
			}
		if (more && running < opt.jobs)
			continue;
		if (!running)
			break;
		int status;
		pid_t pid = wait(&status);

		for (u32 i = 0; i < opt.jobs; i++)
			if (job[i].pid == pid) {
				job[i].pid = 0;
				running--;
				if (status) {
					printf("not ok 1 - model: seed %lu\n", job[i].seed);
					shrink(job[i].seed);
					return 1;
				}
				done++;
				if (done * opt.steps % NOTE_EVERY < opt.steps)
					printf("# %lu operations, %lu s\n", done * opt.steps, elapsed());
			}
	}
	printf("ok 1 - model: %lu operations in %lu rounds\n", done * opt.steps, done);
	return 0;
}

static bool parse(int argc, char **argv, bool *verbose)
{
	static const struct { const char *name; u64 *to; } options[] = {
		{ "--seed", &opt.seed }, { "--steps", &opt.steps }, { "--operations", &opt.operations },
		{ "--seconds", &opt.seconds }, { "--rounds", &opt.rounds }, { "--audit", &opt.audit }, { "--jobs", &opt.jobs },
	};

	for (int i = 1; i < argc; i++) {
		u32 o;

		if (!strcmp(argv[i], "--verbose")) {
			*verbose = true;
			continue;
		}
		for (o = 0; o < ARRAY_LEN(options) && strcmp(argv[i], options[o].name); o++)
			;
		if (o == ARRAY_LEN(options) || i + 1 == argc)
			return false;
		*options[o].to = strtoul(argv[++i], NULL, 0);
	}
	return opt.steps && opt.steps <= STEPS_MAX && opt.audit && opt.jobs && opt.jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
	bool verbose = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	started = time(NULL);
	if (!parse(argc, argv, &verbose))
		return 2;
	printf("TAP version 13\n1..1\n# seeds from %lu\n", opt.seed);
	memset(keep, true, sizeof(keep));
	model_start(verbose);
	return run_rounds();
}
