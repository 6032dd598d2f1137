"""`saker bench`: the same rows on Saker and on Linux, twice, and a report of both."""
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

from . import bench_machine as machine, bench_report as report, qemu
from .error import Fatal

USAGE = """\
usage: ./saker bench [options] [NAME...]
NAME is a row, a curve, `rows`, `curves` or `boot`; none: all rows and the curves' default points.

  --icount          count instructions (repeatable); without it, time
  --against FILE    compare with an earlier report.json
  --kernel LIST     only these of saker,linux,linux_mitigations_off (rows then have no ratio)
  --runs N          boots of each kernel (3 for time, 1 for instructions)
  --points all      every point of the curves
  --profile NAME    where a row's instructions go on Saker, by function; CURVE@X: those of a curve's point
  --spans NAME      the same by the tracer's spans (rows that fork in each iteration)
  --no-floor        leave out the count of user instructions and events
  --append STR      Saker's command line (exec_image=block)
  --list            the names
"""
WITH_VALUE = ("--against", "--kernel", "--runs", "--points", "--profile", "--spans", "--append")
RUNS_TIME = 3
SAMPLE_NS = 20_000_000  # what a sample of time takes at least: a few iterations are mostly chance
BOOT_ROWS = ("boot_to_init", "memory_after_boot")
# What is counted per iteration on Saker: the kernel functions that stand for it.
EVENTS = {"page_faults": r"vm_fault", "tlb_flushes": r"mmu_flush_(all|page|tag|kernel_local)",
          "context_switches": r"arch_switch_stack", "ipis": r"lapic_send_ipi"}


class Request:
    def __init__(self):
        self.icount = False
        self.against = None
        self.kernels = list(machine.KERNELS)
        self.runs = None
        self.points = False
        self.profile = None
        self.spans = None
        self.floor = True
        self.names = []


def names(top):
    """([row, ...], [curve, ...]) as the program itself lists them."""
    text = subprocess.run([os.path.join(top, "build/bench/bench"), "-l"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    pairs = [line.split() for line in text.splitlines()]
    return ([name for kind, name in pairs if kind == "row"] + list(BOOT_ROWS),
            [name for kind, name in pairs if kind == "curve"] + ["boot_by_memory"])


def repeated(option, name, rows, curves=()):
    """The name of a row with iterations, or CURVE@X, which is what can be taken apart."""
    curve, _, x = name.partition("@")
    if curve in curves and curve != "boot_by_memory" and x.isdigit() and int(x):
        return name
    if name in BOOT_ROWS:
        raise Fatal(f"bench: {option}: {name} is measured once, before the benchmark program runs: it has no "
                    "iterations to take apart", 2)
    if name not in rows:
        raise Fatal(f"bench: {option}: {name}: no such row (./saker bench --list)", 2)
    return name


def parse(top, args):
    request = Request()
    rows, curves = names(top)
    while args:
        word, args = args[0], args[1:]
        name, equals, value = word.partition("=")
        if name in WITH_VALUE and not equals:
            if not args:
                raise Fatal(f"bench: {name} needs a value", 2)
            value, args = args[0], args[1:]
        if word in ("-h", "--help"):
            print(USAGE, end="")
            return None
        if word == "--list":
            print("\n".join(rows + curves))
            return None
        if word == "--icount":
            request.icount = True
        elif word == "--no-floor":
            request.floor = False
        elif name == "--against":
            request.against = value
        elif name == "--kernel":
            request.kernels = value.split(",")
            if set(request.kernels) - set(machine.KERNELS):
                raise Fatal(f"bench: --kernel: one of {', '.join(machine.KERNELS)}", 2)
        elif name == "--runs":
            if not value.isdigit() or not int(value):
                raise Fatal("bench: --runs: a number above 0", 2)
            request.runs = int(value)
        elif name == "--points":
            if value != "all":
                raise Fatal(f"bench: --points: {value!r} is none of: all", 2)
            request.points = True
        elif name == "--profile":
            request.profile = repeated(name, value, rows, curves)
        elif name == "--spans":
            request.spans = repeated(name, value, rows)
        elif name == "--append":
            machine.KERNELS["saker"] = (machine.KERNELS["saker"][0], value)
        elif word in rows + curves + ["rows", "curves", "boot"]:
            request.names.append(word)
        else:
            raise Fatal(f"bench: {word}: no such row, curve or option\n{USAGE}", 2)
    request.runs = request.runs or (1 if request.icount else RUNS_TIME)
    wanted = request.names or ["rows", "curves"]
    request.rows = [row for row in rows if "rows" in wanted or row in wanted or
                    ("boot" in wanted and row in BOOT_ROWS)]
    request.curves = [one for one in curves if "curves" in wanted or one in wanted]
    return request


def words_of(top, request):
    words = []
    if not request.icount:
        words += ["repeat=3", f"ticks={SAMPLE_NS * machine.ticks_per_ns(top, False):.0f}"]
    words += ["points=all"] if request.points else []
    return words + [name for name in request.rows + request.curves
                    if name not in BOOT_ROWS and name != "boot_by_memory"]


def progress(total):
    state = {"n": 0}

    def show(kernel, line):
        state["n"] += 1
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K[{state['n']}/{total}] {kernel}: {' '.join(line.split()[:2])}")
            sys.stderr.flush()
    return show


def boots(top, request):
    """{kernel: [Boot, ...]}; the kernels take turns."""
    done = {kernel: [] for kernel in request.kernels}
    words = words_of(top, request)
    repeat = 1 if request.icount else 3
    show = progress(len(request.kernels) * request.runs * len(request.rows) * repeat)
    for run in range(request.runs):
        for kernel in request.kernels:
            one = machine.boot(top, kernel, words, request.icount, timeout=280 if request.icount else 1500,
                               progress=show)
            done[kernel].append(one)
            print(f"# run {run + 1}: {kernel}: {one.seconds:.0f} s", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
    return done


def samples(runs, name):
    if name == "boot_to_init":
        return [one.boot for one in runs if one.boot is not None]
    if name == "memory_after_boot":
        total = int(machine.MEM[:-1]) * 1024
        return [total - one.free_kib for one in runs if one.free_kib is not None]
    return [value for one in runs for value in one.rows.get(name, [])]


def spread(values):
    """Half the distance of the quartiles, relative to the median."""
    if len(values) < 3:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    middle = statistics.median(values)
    return (high - low) / 2 / middle if middle else 0.0


def user_counts(top, request, failures):
    """{row: {user_floor, events}} from one boot of Saker under the counting plugin."""
    wanted = [name for name in request.rows if name not in BOOT_ROWS]
    if not wanted or not request.floor:
        return {}
    elf = os.path.join(top, "build/kern/saker.elf")
    entries = {at: name for at, name in machine.symbols(elf)}
    boot, counts = machine.count(top, "saker", wanted, True)
    failures += [(f"floor: {name}", why) for name, why in boot.failures]
    if len(boot.order) != len(counts):
        failures.append(("floor", f"{len(counts)} counts of {len(boot.order)} rows"))
        return {}
    found = {}
    for (name, n), (user, kernel, blocks, (port, mmio)) in zip(boot.order, counts):
        events = {"port_accesses": round(port / n, 3), "mmio_accesses": round(mmio / n, 3)}
        for event, pattern in EVENTS.items():
            runs = sum(runs for pc, _, runs in blocks
                       if pc in entries and re.fullmatch(pattern, entries[pc]))
            events[event] = round(runs / n, 3)
        found[name] = {"user_floor": user / n, "kernel": kernel / n, "events": events}
    return found


def rows_of(request, done, floors, failures):
    rows = []
    for name in request.rows:
        row = {"name": name, "measure": "instructions" if request.icount else "time"}
        if name == "memory_after_boot":
            row["unit"] = "KiB"
        for kernel in machine.KERNELS:
            values = samples(done.get(kernel, []), name)
            row[kernel] = statistics.median(values) if values else None
            if kernel in done and not values:
                failures.append((name, f"no figure on {kernel}"))
            if kernel in done and len(values) >= 3:
                row.setdefault("spread", {})[kernel] = round(spread(values), 4)
        row["user_floor"] = floors.get(name, {}).get("user_floor")
        if name in floors:
            row["events"] = floors[name]["events"]
        base = row["linux_mitigations_off"]
        row["ratio"] = row["saker"] / base if base and row["saker"] is not None else None
        floor = row["user_floor"] or 0
        if request.icount and row["ratio"] and base > floor:
            row["kernel_ratio"] = (row["saker"] - floor) / (base - floor)
        rows.append(row)
    return rows


def curves_of(request, done, failures):
    points = []
    for name in request.curves:
        if name == "boot_by_memory":
            continue
        xs = sorted({x for runs in done.values() for one in runs for curve, x in one.points
                     if curve == name})
        for x in xs:
            point = {"name": name, "x": x}
            for kernel, runs in done.items():
                values = [one.points[name, x] for one in runs if (name, x) in one.points]
                point[kernel] = statistics.median(values) if values else None
                if not values:
                    failures.append((name, f"no figure on {kernel} at {x}"))
            points.append(point)
        if not xs:
            failures.append((name, "no figures"))
    return points


def boot_curve(top, request, failures):
    points = []
    for mib in (64, 256, 1024, 4096, 16384) if request.points else (64, 512, 2048, 8192):
        point = {"name": "boot_by_memory", "x": mib}
        for kernel in request.kernels:
            if kernel == "linux" or (kernel != "saker" and mib < 256):
                continue
            point[kernel] = machine.boot(top, kernel, [], request.icount, mem=f"{mib}M").boot
            if point[kernel] is None:
                failures.append(("boot_by_memory", f"no figure on {kernel} at {mib}"))
        points.append(point)
    return points


def version(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False)
    return done.stdout.split("\n")[0]


def description(top, request):
    cpu = ""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    linux = ""
    path = os.path.join(top, machine.LINUX)
    if os.path.exists(path):
        with open(path, "rb") as file:
            head = file.read(1 << 16)
        at = int.from_bytes(head[0x20e:0x210], "little") + 0x200
        linux = head[at:at + 200].split(b"\0")[0].decode(errors="replace")
    return ({"cpu": cpu, "cpus": os.cpu_count(), "host": platform.release(),
             "qemu": version(qemu.find_program("qemu-system-x86_64"), "--version"),
             "accel": "tcg, icount" if request.icount else qemu.accelerator("auto"),
             "mem": machine.MEM, "smp": 1, "date": time.strftime("%Y-%m-%d")},
            {"saker": version("git", "-C", top, "describe", "--always", "--dirty"),
             "linux": linux, "linux_mitigations_off": linux + " mitigations=off"})


def earlier(path):
    """The report that --against names."""
    try:
        with open(path, encoding="utf-8") as file:
            old = json.load(file)
        if all("name" in row for row in old["rows"]):
            return old
    except OSError as error:
        raise Fatal(f"bench: {path}: {error.strerror}", 2) from None
    except (ValueError, KeyError, TypeError):
        pass
    raise Fatal(f"bench: {path}: not a report.json", 2)


def write(top, full, request, old):
    out = os.path.join(top, "build/bench")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "report.json"), "w", encoding="utf-8") as file:
        json.dump(full, file, indent=1)
        file.write("\n")
    report.html(full, out)
    print(report.table(full))
    if old:
        print(report.against(full, old))
    print("build/bench/report.json, build/bench/report.html")


def profile(top, name, limit=25):
    """Prints which kernel functions a row's instructions are in."""
    import bisect
    syms = machine.symbols(os.path.join(top, "build/kern/saker.elf"))
    starts = [at for at, _ in syms]
    boot, counts = machine.count(top, "saker", [name], True)
    if boot.failures or not counts:
        raise Fatal("bench: " + "; ".join(f"{row}: {why}" for row, why in
                                          boot.failures or [(name, "was not counted")]), 1)
    (user, kernel, blocks, _), (_, n) = counts[0], boot.order[0]
    by, calls = {}, {}
    for pc, length, runs in blocks:
        at = bisect.bisect_right(starts, pc) - 1
        by[syms[at][1]] = by.get(syms[at][1], 0) + length * runs
        if starts[at] == pc:
            calls[syms[at][1]] = calls.get(syms[at][1], 0) + runs
    print(f"{name}: {user / n:.0f} user and {kernel / n:.0f} kernel instructions per iteration")
    for symbol, total in sorted(by.items(), key=lambda one: -one[1])[:limit]:
        print(f"{100 * total / kernel:6.1f} % {total / n:12.0f}  {symbol} "
              f"({calls.get(symbol, 0) / n:.1f} calls)")
    return 0


def run(top, args):
    built = subprocess.run(["make", "-s", "bench-programs"], cwd=top, check=False,
                           stdout=subprocess.DEVNULL)
    if built.returncode:
        raise Fatal("bench: the benchmark does not build", 1)
    request = parse(top, args)
    if request is None:
        return 0
    if request.profile:
        return profile(top, request.profile)
    if request.spans:
        from . import bench_spans
        return bench_spans.run(top, request.spans)
    old = earlier(request.against) if request.against else None
    failures = []
    done = boots(top, request)
    for kernel, runs in done.items():
        failures += [(name, f"{kernel}: {why}") for one in runs for name, why in one.failures]
    floors = user_counts(top, request, failures)
    rows = rows_of(request, done, floors, failures)
    curves = curves_of(request, done, failures)
    if "boot_by_memory" in request.curves:
        curves += boot_curve(top, request, failures)
    what, kernels = description(top, request)
    write(top, {"machine": what, "kernels": kernels, "rows": rows, "curves": curves,
                "steeper": report.steeper(curves)}, request, old)
    for name, why in sorted(set(failures)):
        print(f"saker: bench: {name}: {why}", file=sys.stderr)
    return 1 if failures else 0
