"""A small TAP harness for tests of the launcher: cases are functions that raise when unhappy.

The launcher itself reads SAKER_TEST_SMP and SAKER_TEST_APPEND: every machine here has so many CPUs and these words,
but those of `saker bench`, which count instructions.  A case that is about one CPU says --smp 1.
"""
import os
import subprocess
import sys
import tempfile
import traceback

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SAKER = os.path.join(TOP, "saker")
KERNEL = os.environ.get("SAKER_TEST_KERNEL", "saker")
BOOT_LIMIT = 90
CASES = []


def case(name, only=None):
    """Registers a case.  only: the one kernel that it makes sense for."""
    def register(function):
        if only in (None, KERNEL):
            CASES.append((name, function))
        return function
    return register


def equal(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}"[:2000])


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def cpus(least):
    """Options for what needs more than one CPU; SAKER_TEST_SMP may ask for more."""
    return "--smp", str(max(least, int(os.environ.get("SAKER_TEST_SMP") or 1)))


def kernel_options():
    return ["--kernel", "linux"] if KERNEL == "linux" else []


def command(*options, cmd=()):
    options = list(options)
    if not any(word.startswith("--timeout") for word in options):
        options += ["--timeout", str(BOOT_LIMIT)]
    if not any(word.startswith("--kernel") for word in options):
        options += kernel_options()
    return [SAKER, "run", *options, "--", *cmd]


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def check(self, status=0, out=None, err=b""):
        if self.status != status:
            raise AssertionError(f"status: expected {status}, got {self.status}; "
                                 f"stderr ends: {self.err[-1500:]!r}")
        if out is not None:
            equal(self.out, out, "stdout")
        if err is not None:
            equal(self.err, err, "stderr")


def run(*cmd, options=(), stdin=b"", env=None):
    """Runs CMD in a machine with three pipes."""
    done = subprocess.run(command(*options, cmd=cmd), input=stdin, capture_output=True,
                          timeout=BOOT_LIMIT + 30, check=False,
                          env={**os.environ, **(env or {})})
    return Result(done.returncode, done.stdout, done.stderr)


def scratch():
    return tempfile.TemporaryDirectory(prefix="saker-test-")


def main():
    names = sys.argv[1:]
    chosen = [one for one in CASES if not names or any(name in one[0] for name in names)]
    failed = 0
    print("TAP version 13")
    for number, (name, function) in enumerate(chosen, 1):
        try:
            function()
        except Exception:  # noqa: BLE001: whatever went wrong, the case failed
            failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc(limit=-2).splitlines():
                print(f"  # {line}")
        else:
            print(f"ok {number} - {name}")
        sys.stdout.flush()
    print(f"1..{len(chosen)}")
    return 1 if failed else 0
