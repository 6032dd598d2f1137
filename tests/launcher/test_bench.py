"""`saker bench`: what it refuses, and that nothing that is missing goes unsaid."""
import os
import subprocess
import sys
import types

from tap import SAKER, TOP, case, equal, holds, scratch

sys.path.insert(0, os.path.join(TOP, "tools"))
from saker import bench, bench_machine, bench_report  # noqa: E402


def refused(*words):
    done = subprocess.run([SAKER, "bench", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
                          check=False)
    equal((done.returncode, done.stdout), (2, b""), f"{words}: {done.stderr!r}")
    return done.stderr.decode()


@case("bench: a row that does not exist, a report that is none: one line, before anything is booted", only="saker")
def wrong_words():
    holds("nosuchrow" in refused("nosuchrow"), "row")
    holds("No such file" in refused("--against", "/nonexistent/report.json", "getpid"), "file")
    with scratch() as top:
        with open(top + "/r.json", "w", encoding="ascii") as file:
            file.write('{"rows": [1]}')
        holds("not a report.json" in refused("--against", top + "/r.json", "getpid"), "report")


@case("bench: values that an option does not have are refused, not ignored", only="saker")
def wrong_values():
    holds("--points: 'some'" in refused("--points", "some", "open_by_depth"), "points")
    holds("--points: ''" in refused("--points=", "open_by_depth"), "no points")
    for option in ("--profile", "--spans"):
        for row in bench.BOOT_ROWS:
            holds("no iterations" in refused("--icount", option, row), f"{option} {row}")
        holds("no such row" in refused(option, "open_by_depth"), f"{option} of a curve")
        holds("no such row" in refused(option, "nosuchrow"), f"{option} of nothing")
        holds("no such row" in refused(option, "open_by_depth@0"), f"{option} of no point")
        holds("" != refused(option, "boot_by_memory@64"), f"{option} of a boot")
    holds("no such row" in refused("--spans", "open_by_depth@4"), "--spans of a point")


@case("bench: --points all is taken", only="saker")
def points():
    holds(bench.parse(TOP, ["--points", "all", "open_by_depth"]).points, "all")
    holds(not bench.parse(TOP, ["open_by_depth"]).points, "default")


def boot(rows=(), points=(), failures=()):
    return types.SimpleNamespace(rows=dict(rows), points=dict(points), failures=list(failures), boot=None)


@case("bench: a row, a point or a curve that one kernel has no figure for is named", only="saker")
def missing():
    failures = []
    done = {"saker": [boot({"getpid": [90.0]}, {("exec_by_size", 16): 5.0})],
            "linux_mitigations_off": [boot({"getpid": [340.0], "stat": [4000.0]}, {("exec_by_size", 16): 9.0,
                                                                                   ("exec_by_size", 256): 9.0})]}
    request = types.SimpleNamespace(rows=["getpid", "stat"], curves=["exec_by_size", "open_by_depth"], icount=True,
                                    points=False)
    rows = bench.rows_of(request, done, {}, failures)
    bench.curves_of(request, done, failures)
    equal([row["ratio"] for row in rows], [90.0 / 340.0, None], "ratios")
    equal(failures, [("stat", "no figure on saker"), ("exec_by_size", "no figure on saker at 256"),
                     ("open_by_depth", "no figures")], "failures")


@case("bench: a guest without the program that a row should time fails by the row's name, the others go on", only="saker")
def no_program():
    with open(TOP + "/build/bench/root.cpio", "rb") as file:
        archive = file.read()
    holds(b"bin/true\0" in archive, "the program has its usual name in the archive")
    with scratch() as top:
        os.makedirs(top + "/build/bench")
        for name in os.listdir(TOP + "/build"):
            if name != "bench":
                os.symlink(os.path.join(TOP, "build", name), os.path.join(top, "build", name))
        with open(top + "/build/bench/root.cpio", "wb") as file:
            file.write(archive.replace(b"bin/true\0", b"bin/trux\0"))
        found = bench_machine.boot(top, "saker", ["getpid", "bb_true", "getuid"], True)
    equal(sorted(found.rows), ["getpid", "getuid"], f"rows; {found.failures}")
    equal([name for name, _ in found.failures], ["bb_true"], "failures")


@case("bench: with fixed addresses two boots count the same", only="saker")
def fixed():
    one, two = (bench_machine.boot(TOP, "saker", ["fixed", "exec_true", "getpid"], True) for _ in range(2))
    equal((one.failures, two.failures), ([], []), "failures")
    holds(one.boot and one.free_kib, "boot")
    for row in ("exec_true", "getpid"):
        low, high = sorted([one.rows[row][0], two.rows[row][0]])
        holds(high < 1.002 * low, f"{row}: {low} and {high}")


@case("bench: a sample goes on for the ticks that are asked for, in whole rounds", only="saker")
def sample_length():
    short, long = (bench_machine.boot(TOP, "saker", [f"ticks={ticks}", "getpid"], True) for ticks in (0, 3000000))
    equal((short.failures, long.failures), ([], []), "failures")
    per_round, n = short.order[0][1], long.order[0][1]
    equal(n % per_round, 0, f"{n} in rounds of {per_round}")
    holds(3000000 <= n * long.rows["getpid"][0] < 3000000 + 2 * per_round * long.rows["getpid"][0], f"{n} iterations")


@case("bench: a stretch that is steeper than Linux's is named; a rise within the noise is not one", only="saker")
def slopes():
    def points(name, ours, theirs):
        return [{"name": name, "x": 10 ** i, "saker": a, "linux_mitigations_off": b}
                for i, (a, b) in enumerate(zip(ours, theirs))]
    found = bench_report.steeper(points("rises", (100, 110, 150), (500, 500, 560)) +
                                 points("flat", (100, 102, 104), (500, 500, 500)) +
                                 [{"name": "alone", "x": 1, "saker": 5.0}])
    equal(found, {"rises": [[1, 10, 10, 0]], "flat": []}, "steeper")
