"""`saker test`: runs test groups and merges their TAP into one stream.

A group is an executable tests/GROUP/run that prints TAP; its arguments are names to filter by
(none: everything).  Environment: SAKER_TEST_KERNEL=linux|saker, SAKER_TEST_FULL=1 for the long
form, which also runs the groups PROVED again, in their short form, on a kernel that checks itself.
A group whose plan is missing or wrong, or that exits non-zero without a failed case, is a failure
of its own: a test that did not run has not passed.
"""
import os
import re
import subprocess
import sys

from .error import Fatal

GROUPS = ("host", "model", "fuzz", "boot", "launcher", "guest", "strace", "planted", "suite", "busybox",
          "budgets", "stress")
# What runs programs in a guest: {group: the part of it that does}.  Not the others: host and model have no guest (the
# model's test audits after each step by itself); planted boots kernels with faults in them, both checks on already;
# budgets, like the rows of `saker bench` in launcher, counts instructions, of which the checks would be most.
PROVED = {"fuzz": ["calls"], "boot": [], "launcher": [], "guest": [], "strace": [], "suite": [], "busybox": [],
          "stress": []}
PROVED_CPUS = ("1", "4")
PROVE = "debug=verify,audit loglevel=4"
USAGE = f"""\
usage: ./saker test [--full] [--kernel linux|saker] [GROUP|NAME...]
groups: {' '.join(GROUPS)}
A word that is no group selects cases by name, in the groups given or in all.
"""
_RESULT = re.compile(r"(not )?ok\b *(\d+)? *(?:- *)?(.*)")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    @property
    def count(self):
        return self.passed + self.failed + self.skipped

    def result(self, good, text):
        skip = good and re.search(r"# *skip\b", text, re.I)
        if skip:
            self.skipped += 1
        elif good:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {text}", flush=True)


def path_of(top, group):
    return os.path.join(top, "tests", group, "run")


def run_group(top, group, names, env, tally, form=""):
    """One group's TAP, its cases renumbered and prefixed with the group's name and form."""
    before = tally.count
    failed_before = tally.failed
    plan = None
    print(f"# group {group}{form}", flush=True)
    title = f"{group}{form}"
    child = subprocess.Popen([path_of(top, group), *names], cwd=top, env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    for raw in child.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        found = _RESULT.match(line)
        planned = re.match(r"1\.\.(\d+)", line)
        if found:
            tally.result(not found.group(1), f"{title}: {found.group(3)}")
        elif planned:
            plan = int(planned.group(1))
        elif line.startswith("Bail out!"):
            tally.result(False, f"{title}: {line}")
        elif not re.match(r"(K?TAP version)\b", line):
            print(line if line.startswith((" ", "#")) else f"# {line}", flush=True)
    status = child.wait()
    ran = tally.count - before
    if plan is None:
        tally.result(False, f"{title}: prints a plan (exit status {status})")
    elif plan != ran:
        tally.result(False, f"{title}: runs all of its plan ({ran} of {plan} cases)")
    elif status and tally.failed == failed_before:
        tally.result(False, f"{title}: exits with status 0 (was {status})")


def run_proved(top, groups, names, env, tally):
    """The groups once more under debug=verify,audit: a breach is a panic, which fails the case that ran.
    The launcher itself reads the two variables, so this holds for every machine that a group starts by it."""
    env = {name: value for name, value in env.items() if name != "SAKER_TEST_FULL"}
    for cpus in PROVED_CPUS:
        env |= {"SAKER_TEST_SMP": cpus, "SAKER_TEST_APPEND": PROVE}
        for group in groups:
            run_group(top, group, names or PROVED[group], env, tally, f" (proved, {cpus} CPUs)")


def parse(top, args):
    env = dict(os.environ)
    groups, names = [], []
    while args:
        word, args = args[0], args[1:]
        if word in ("-h", "--help"):
            print(USAGE, end="")
            return None
        if word == "--full":
            env["SAKER_TEST_FULL"] = "1"
        elif word.partition("=")[0] == "--kernel":
            value = word.partition("=")[2]
            if not value:
                value, args = (args[0], args[1:]) if args else ("", [])
            if value not in ("linux", "saker"):
                raise Fatal("test: --kernel is linux or saker", 2)
            env["SAKER_TEST_KERNEL"] = value
        elif word.startswith("-"):
            raise Fatal(f"test: {word}: no such option\n{USAGE}", 2)
        elif word in GROUPS:
            if not os.access(path_of(top, word), os.X_OK):
                raise Fatal(f"test: there is no group {word} yet (tests/{word}/run)", 2)
            groups.append(word)
        else:
            names.append(word)
    return groups, names, env


def run(top, args):
    parsed = parse(top, args)
    if parsed is None:
        return 0
    groups, names, env = parsed
    if not groups:
        groups = [group for group in GROUPS if os.access(path_of(top, group), os.X_OK)]
    tally = Tally()
    print("TAP version 13", flush=True)
    for group in groups:
        run_group(top, group, names, env, tally)
    if env.get("SAKER_TEST_FULL") and env.get("SAKER_TEST_KERNEL") != "linux":
        run_proved(top, [group for group in groups if group in PROVED], names, env, tally)
    print(f"1..{tally.count}")
    if tally.skipped:
        print(f"# {tally.skipped} skipped")
    print(f"{tally.passed} passed, {tally.failed} failed")
    sys.stdout.flush()
    return 1 if tally.failed or not tally.count else 0
