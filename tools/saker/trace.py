"""`saker trace`: runs a command and shows where its time went, span by span."""
import os
import sys

from . import options as option_words
from .error import Fatal

HELP = """\
usage: ./saker trace [options] [options of run] -- CMD [ARG...]
       ./saker trace --diff A.json B.json

Run CMD as `saker run` does, with the kernel's tracepoints on.  Writes a file that Perfetto
(ui.perfetto.dev) and chrome://tracing load, and prints a table on stderr.

  -e GROUPS       only these groups of tracepoints, as exec,fault (docs/tracepoints.md)
  -o FILE         the recording (trace.json)
  --flame FILE    also a flame graph of the spans, as SVG
  --svg FILE      also a picture of the tracks
  --ring SIZE     memory for records per CPU (8M)
  --boot          from the start of the kernel, not only from CMD on
  --diff A B      compare two recordings

The status is CMD's.  A run that ends in a crash is shown up to its end.
"""
RING = "8M"
VALUES = {"-e": "groups", "-o": "output", "--flame": "flame", "--svg": "svg",
          "--ring": "ring"}
TAKES = {**dict.fromkeys(VALUES, 1), "--boot": 0, "--diff": 2}


class Wishes:
    def __init__(self):
        self.groups, self.output, self.flame, self.ring = None, "trace.json", None, RING
        self.svg = None
        self.boot, self.diff = False, None


def parse(top, args):
    """(our wishes, options of run)"""
    wishes = Wishes()
    own, rest = option_words.take("trace", HELP, args, TAKES)
    for word, values in own:
        if word == "--boot":
            wishes.boot = True
        elif word == "--diff":
            wishes.diff = values
        else:
            setattr(wishes, VALUES[word], values[0])
    return wishes, option_words.parse(top, rest)


def prepare(options, wishes, recorder):
    options.debug_quiet = not options.debug
    options.debug = ",".join(filter(None, ("trace", options.debug)))
    options.outbox = "64K"
    options.append = " ".join(filter(None, (
        options.append, f"trace_ring={wishes.ring}",
        f"trace={wishes.groups}" if wishes.groups else "")))
    options.on_poll = recorder.poll


def check_groups(table, groups):
    known = dict.fromkeys(point["name"].split(".")[0] for point in table.points)
    for group in groups.split(",") if groups else ():
        if group not in known:
            raise Fatal(f"trace: -e {group}: the groups are {', '.join(known)}", 2)


def from_command_on(events, table):
    """Splits where the agent, pid 1, made the process that becomes CMD: (what is still known then, the
    rest).  Known are names, and who runs where."""
    fork = table.number("task.fork")
    for index, event in enumerate(events):
        if event[4] == fork and event[3] == 1:
            return known_before(events, index, table), events[index:]
    return [], events


def known_before(events, index, table):
    """The events before that still matter: names, and the last switch of each CPU, as if it were now."""
    switch = table.number("sched.switch")
    names = {table.number(name) for name in ("task.fork", "task.comm", "task.worker")}
    early, running = [], {}
    for event in events[:index]:
        if event[4] in names:
            early.append(event)
        elif event[4] == switch:
            running[event[1]] = event
    return early + [(events[index][0], *one[1:]) for one in running.values()]


def flame_stacks(timeline, khz):
    """Self times in nanoseconds by process and open spans."""
    stacks = {}
    scale = 1e6 / khz

    def add(stack, ticks):
        stacks[stack] = stacks.get(stack, 0) + round(ticks * scale)
    for span in timeline.spans:
        thread = timeline.threads[span.tid]
        add((thread.name, *span.path()), span.self_time)
    for thread in timeline.threads.values():
        for name, ticks in thread.outside.items():
            add((thread.name, name), ticks)
    return {stack: value for stack, value in stacks.items() if value > 0}


def analyse(recorder, table, boot):
    from .trace_spans import Timeline
    events = recorder.events()
    timeline = Timeline(table, len(recorder.rings))
    if not boot:
        early, events = from_command_on(events, table)
        timeline.feed(early)
        timeline.first = timeline.last = None
        timeline.marks.clear()
    return timeline.feed(events).finish()


def report(options, wishes, recorder, table):
    from . import flame, trace_json, trace_svg, trace_table
    timeline = analyse(recorder, table, wishes.boot)
    khz = recorder.khz or 1000000
    rows = trace_table.rows(timeline, khz)
    about = {"command": options.command, "tsc_khz": khz, "lost": recorder.lost, "rows": rows}
    try:
        trace_json.write(wishes.output, timeline, khz, about)
        title = " ".join(options.command) or "shell"
        if wishes.flame:
            with open(wishes.flame, "w", encoding="utf-8") as file:
                file.write(flame.svg(flame_stacks(timeline, khz), title, "ns"))
        if wishes.svg:
            with open(wishes.svg, "w", encoding="utf-8") as file:
                file.write(trace_svg.svg(timeline, khz, title))
    except OSError as error:
        raise Fatal(f"{error.filename}: {error.strerror}", 2) from None
    out = trace_table.text(rows)
    if recorder.lost:
        out += f"{recorder.lost} records were overwritten before they were read: --ring SIZE, -e GROUPS\n"
    os.write(2, out.encode())


def run(top, args):
    from . import run as runner, trace_read, trace_table
    wishes, options = parse(top, args)
    if wishes.diff:
        sys.stdout.write(trace_table.diff(*wishes.diff))
        return 0
    table = trace_read.Table(top)
    check_groups(table, wishes.groups)
    recorder = trace_read.Recorder()
    prepare(options, wishes, recorder)
    status = runner.run(options)
    recorder.finish()
    if not recorder.rings:
        raise Fatal("the kernel ended before it could record anything")
    report(options, wishes, recorder, table)
    return status
