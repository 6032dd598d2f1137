"""`saker trace`: the recording, its table, its flame graph, and runs that end badly."""
import json
import os
import re
import subprocess
import sys

import trace_format
from tap import BOOT_LIMIT, SAKER, TOP, case, cpus, equal, holds, scratch


def trace(*words, top=None):
    done = subprocess.run([SAKER, "trace", "--timeout", str(BOOT_LIMIT), *words], cwd=top,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=BOOT_LIMIT + 30,
                          check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def table(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def check_nesting(events):
    """Spans of one thread lie in one another or apart, never across."""
    threads = {}
    for event in events:
        if event["ph"] == "X" and event["cat"] != "running":
            start = round(event["ts"] * 1000)
            threads.setdefault(event["tid"], []).append((start, -round(event["dur"] * 1000)))
    holds(threads, "no spans")
    for tid, spans in threads.items():
        ends = []
        for start, length in sorted(spans):
            while ends and ends[-1] <= start + 1:
                ends.pop()
            holds(not ends or start - length <= ends[-1] + 2, f"thread {tid}: a span crosses another")
            ends.append(start - length)


@case("trace: a recording has threads, CPUs, names, spans and arrows", only="saker")
def recording():
    with scratch() as top:
        status, out, err = trace(*cpus(2), "-o", "t.json", "--flame", "t.svg", "--svg", "p.svg", "--", "sh", "-c",
                                 "/bin/true; /bin/echo said | cat; exit 7", top=top)
        equal((status, out), (7, b"said\n"), "status and stdout")
        found = load(os.path.join(top, "t.json"))
        with open(os.path.join(top, "t.svg"), encoding="utf-8") as file:
            flame = file.read()
        with open(os.path.join(top, "p.svg"), encoding="utf-8") as file:
            picture = file.read()
    events = found["traceEvents"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M" and "name" in event["args"]}
    holds({"CPUs", "CPU 0", "CPU 1", "true", "echo", "cat", "sh"} <= names, f"tracks: {sorted(names)}")
    spans = {event["name"] for event in events if event["ph"] == "X"}
    wanted = {"exec.total", "exec.elf_parse", "exec.signal_reset", "exec.close_cloexec", "exec.image_map",
              "exec.stack", "exec.vm_switch", "fork.total", "fork.vm", "exit.total", "wait.total",
              "fault.user", "path.lookup", "syscall.execve", "syscall.write"}
    holds(wanted <= spans, f"missing: {sorted(wanted - spans)}")
    starts = {event["id"] for event in events if event["ph"] == "s"}
    holds(starts and starts == {event["id"] for event in events if event["ph"] == "f"}, "arrows")
    check_nesting(events)
    equal(found["otherData"]["saker"]["lost"], 0, "records lost")
    rows = table(err)
    equal(rows["exec.vm_switch"][0], "4", "programs that ran: sh, true, echo, cat")
    holds(flame.startswith("<svg") and "exec.total" in flame, "flame graph")
    holds(">sh</text>" in flame and ">sh</text>" in picture, "boxes of two letters have their names")
    ticks = re.findall(r'<text x="([0-9.]+)"( text-anchor="end")? y="40" fill="#666">([0-9.]+ us)<', picture)
    holds(len(ticks) >= 5, f"ticks: {ticks}")
    for left, ends, text in ticks:
        holds(ends or float(left) + 5.4 * len(text) <= 1200, f"a tick is cut: {left} {text}")


@case("trace: the file is well-formed by the Trace Event Format: of a run with sleeps on two CPUs, and of one that panics", only="saker")
def format_of_file():
    with scratch() as top:
        status, _, err = trace(*cpus(2), "-o", "t.json", "--", "sh", "-c",
                               "echo apple pie | grep apple >/dev/null; sleep 0.1; ls -lR /bin | sort >/dev/null", top=top)
        equal(status, 0, f"status; {err}")
        whole = load(os.path.join(top, "t.json"))
        trace("-o", "p.json", "--append", "rdinit=/bin/true", "--", "true", top=top)
        panicked = load(os.path.join(top, "p.json"))
    equal(trace_format.complaints(whole), [], "a pipeline")
    equal(trace_format.complaints(panicked), [], "a panic")
    events = whole["traceEvents"]

    def spoilt(**changes):
        """The complaints when the first event of each phase is another: {phase: [(field, value), ...]}"""
        copy = [dict(event) for event in events]
        for phase, fields in changes.items():
            next(event for event in copy if event["ph"] == phase).update(fields)
        return trace_format.complaints({"traceEvents": copy})
    for changes in ({"X": {"ph": "Y"}}, {"X": {"dur": -1}}, {"X": {"ts": "0"}}, {"i": {"s": "x"}}, {"M": {"args": {}}}, {"f": {"id": -5}},
                    {"s": {"ts": 10 ** 12}}, {"s": {"tid": 77}}, {"X": {"tid": 99}}):
        holds(spoilt(**changes), f"no complaint: {changes}")
    first = min((event for event in events if event["ph"] == "X"), key=lambda event: event["ts"])
    across = {**first, "ts": first["ts"] + first["dur"] / 2, "dur": first["dur"] + 10}
    holds(first["dur"] > 0.01 and trace_format.complaints({"traceEvents": [*events, across]}), "slices across each other")


@case("trace: self times of all spans add up to the time the CPU had", only="saker")
def sums():
    with scratch() as top:
        status, _, _ = trace("-o", "t.json", "--", "sh", "-c", "/bin/true; /bin/true", top=top)
        equal(status, 0, "status")
        found = load(os.path.join(top, "t.json"))
    runs = sum(event["dur"] for event in found["traceEvents"]
               if event["ph"] == "X" and event["cat"] == "running")
    rows = found["otherData"]["saker"]["rows"]
    own = sum(row["self"] for name, row in rows.items() if name != "idle")
    # An interrupt that finds the CPU idle is in a span but in no run.
    holds(0.98 * runs < own < 1.05 * runs + 2000, f"{own:.0f} us in spans, {runs:.0f} us run")


@case("trace: durations, quantiles and self times of a recording made by hand: a span across a sleep and to another CPU", only="saker")
def arithmetic():
    sys.path.insert(0, os.path.join(TOP, "tools"))
    from saker import trace_read, trace_spans, trace_table
    known = trace_read.Table(TOP)
    events = []

    def put(now, cpu, tid, name, phase=trace_read.INSTANT, first=0):
        events.append((now, cpu, 0, tid, known.number(name), phase, first, 0))

    def span(name, start, end, cpu):
        put(start, cpu, 5, name, trace_read.BEGIN)
        put(end, cpu, 5, name, trace_read.END)
    # One tick is a nanosecond.  A switch: previous thread in the lower half of the word, next in the upper.
    put(0, 0, 0, "sched.switch", first=5 << 32)
    put(1000, 0, 5, "wait.total", trace_read.BEGIN)
    put(2000, 0, 5, "sched.switch", first=5)
    put(5000, 1, 0, "sched.switch", first=5 << 32)
    span("fault.user", 5200, 5600, 1)
    put(6000, 1, 5, "wait.total", trace_read.END)
    for n in range(1, 101):
        span("path.lookup", 10000 * n, 10000 * n + 10 * n, 1)
    rows = trace_table.rows(trace_spans.Timeline(known, 2).feed(events).finish(), 1000000)
    exact = {name: {column: round(value, 6) for column, value in row.items()} for name, row in rows.items()}
    equal(exact["wait.total"], {"count": 1, "total": 5, "mean": 5, "p50": 5, "p99": 5, "max": 5, "self": 1.6}, "across a sleep and CPUs")
    equal(exact["fault.user"]["self"], 0.4, "the span inside")
    equal(exact["path.lookup"], {"count": 100, "total": 50.5, "mean": 0.505, "p50": 0.51, "p99": 1, "max": 1, "self": 50.5}, "a hundred spans")
    # On a CPU from 0 to 2000 and from 5000 to the last record, at 1001000.
    equal(exact["user"]["self"], 998 - 2 - 50.5, "the rest of the time that it ran")


@case("trace: -e records some groups only", only="saker")
def groups():
    with scratch() as top:
        status, _, _ = trace("-e", "exec,path", "-o", "t.json", "--", "true", top=top)
        equal(status, 0, "status")
        events = load(os.path.join(top, "t.json"))["traceEvents"]
    kinds = {event["cat"] for event in events if event["ph"] == "X"}
    equal(kinds, {"exec", "path"}, "groups")
    status, _, err = trace("-e", "nonsense", "--", "true")
    equal(status, 2, "unknown group")
    holds("nonsense" in err and "exec" in err, err)


@case("trace: virtio traffic, by device and queue", only="saker")
def virtio():
    with scratch() as top:
        done = subprocess.run([SAKER, "trace", "--timeout", str(BOOT_LIMIT), "-e", "virtio", "-o", "t.json", "--",
                               "sh", "-c", "cat; echo end"], cwd=top, input=b"x" * 300000, capture_output=True,
                              timeout=BOOT_LIMIT + 30, check=False)
        equal((done.returncode, len(done.stdout)), (0, 300004), "status and bytes of stdout")
        events = load(os.path.join(top, "t.json"))["traceEvents"]
    seen = [(event["name"], event["args"]) for event in events if event["ph"] == "i" and event["cat"] == "virtio"]
    # Port 1 of the console receives by queue 4 and sends by queue 5: virtio 1.2, 5.3.2.
    for name in ("add", "kick", "interrupt", "used"):
        queues = {args["queue"] for what, args in seen if what == "virtio." + name and args["dev"] == 0}
        holds({4} <= queues if name == "interrupt" else {4, 5} <= queues, f"virtio.{name}: queues {queues}")
    received = sum(args["bytes"] for what, args in seen if what == "virtio.used" and args["queue"] == 4)
    sent = sum(args["bytes"] for what, args in seen if what == "virtio.add" and args["queue"] == 5)
    holds(received >= 200000, f"{received} bytes received")
    holds(300000 <= sent <= 330000, f"{sent} bytes sent")


@case("trace: a run that ends in a panic is recorded up to it", only="saker")
def crash():
    with scratch() as top:
        status, _, err = trace("-o", "t.json", "--append", "rdinit=/bin/true", "--", "true", top=top)
        equal(status, 125, "status")
        holds("Attempted to kill init" in err, err[:500])
        holds(re.search(r"us cpu \d tid 1 exit.total begins", err), err[-3000:])
        events = load(os.path.join(top, "t.json"))["traceEvents"]
    cut = {event["name"] for event in events if event.get("args", {}).get("unfinished")}
    holds({"exit.total", "syscall.exit_group"} <= cut, f"open at the end: {sorted(cut)}")


@case("trace: a ring that goes round says how much was lost", only="saker")
def lost():
    with scratch() as top:
        status, _, err = trace("--ring", "16K", "-o", "t.json", "--", "sh", "-c",
                               "i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); [ -e /bin/sh ]; done",
                               top=top)
        equal(status, 0, "status")
        count = load(os.path.join(top, "t.json"))["otherData"]["saker"]["lost"]
    holds(count > 0 and f"{count} records" in err, err[-200:])


@case("trace: --diff compares two recordings", only="saker")
def diff():
    with scratch() as top:
        for name, count in (("a.json", 1), ("b.json", 3)):
            status, _, _ = trace("-o", name, "--", "sh", "-c", "/bin/true;" * count + ":", top=top)
            equal(status, 0, "status")
        status, out, _ = trace("--diff", "a.json", "b.json", top=top)
        equal(status, 0, "status")
        equal(table(out.decode())["fork.vm"][:2], ["1", "3"], "forks")
        status, _, err = trace("--diff", "a.json", "/dev/null", top=top)
        equal(status, 2, "not a recording")
        holds("not a recording" in err, err)


@case("trace: bench --spans accounts for at least 97 % of a row's instructions", only="saker")
def account():
    done = subprocess.run([SAKER, "bench", "--spans", "shell_noop"], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=240, check=False)
    equal(done.returncode, 0, f"status; {done.stderr[-500:]!r}")
    rows = {line.rsplit(None, 3)[0].strip(): line.split() for line in done.stdout.decode().splitlines()}
    share = float(rows["sum"][-1].rstrip("%"))
    holds(97 <= share <= 103, f"the spans add up to {share} %")
    holds(int(rows["user mode"][-2]) > 10000 and int(rows["fork.vm"][-2]) > 1000, "rows")


@case("trace: a record costs less than 40 instructions, with all that goes with it", only="saker")
def cost():
    sys.path.insert(0, os.path.join(TOP, "tools"))
    from saker import bench_machine, trace_read
    recorder = trace_read.Recorder()
    plain = bench_machine.boot(TOP, "saker", ["getpid"], True)
    traced = bench_machine.boot(TOP, "saker", ["getpid"], True, recorder=recorder, ring="16M")
    recorder.finish()
    equal((plain.failures, traced.failures, recorder.lost), ([], [], 0), "failures")
    more = traced.rows["getpid"][0] - plain.rows["getpid"][0]
    holds(20 < more / 2 < 40, f"two records: {more} instructions")
