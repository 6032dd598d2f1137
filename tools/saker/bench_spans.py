"""`saker bench --spans NAME`: where a row's instructions go, span by span.

The row runs twice under -icount, once as always and once with the tracer on; of the second run whole iterations
are cut out, from one fork of the benchmark to a later one.  The clock counts instructions, so a span's self time is
the instructions spent in it, with those that recording itself took: a record costs RECORD, of which
a span bears one (half at its beginning, half at its end) and leaves one to what encloses it.
"""
from . import bench_machine as machine, trace_read
from .error import Fatal
from .trace_spans import IDLE, Timeline

RECORD = 32             # trace_record() and its call: 31 or 32 instructions
BENCH = 1               # the benchmark is process 1
RING = "16M"


def traced(top, name):
    recorder = trace_read.Recorder()
    boot = machine.boot(top, "saker", [name], True, recorder=recorder, ring=RING)
    recorder.finish()
    if boot.failures or not recorder.rings or recorder.lost:
        raise Fatal(f"bench: {boot.failures or 'nothing recorded'}", 1)
    return recorder


def cut(events, table, count):
    """(what is known before, the events of `count` iterations)."""
    from .trace import known_before
    fork = table.number("fork.total")
    starts = [index for index, one in enumerate(events)
              if one[3] == BENCH and one[4] == fork and one[5] == trace_read.BEGIN]
    if len(starts) <= count:
        raise Fatal("bench: --spans is for rows that fork once in each iteration", 2)
    # A fork is inside its system call: the record before.
    first, last = starts[-1 - count] - 1, starts[-1] - 1
    return known_before(events, first, table), events[first:last + 1]


def spans(before, events, table):
    """({span: [how many, instructions, records borne]}, length of the window)."""
    # The last event only says when the window ends.
    timeline = Timeline(table, 1).feed(before).feed(events[:-1])
    timeline.last = events[-1][0]
    timeline.finish()
    found = {}

    def add(name, count, ticks, records):
        row = found.setdefault(name, [0, 0, 0])
        row[0] += count
        row[1] += ticks
        row[2] += records
    for span in timeline.spans:
        add(span.name, 1, span.self_time, 1 + span.marks)
        if span.parent:
            add(span.parent.name, 0, 0, 1)
    for thread in timeline.threads.values():
        roots = sum(1 for span in timeline.spans if span.tid == thread.tid and not span.parent)
        for name, ticks in thread.outside.items():
            add(name, 0, ticks, roots + thread.marks)
            roots = 0
    idle = sum(run[4] - run[3] for run in timeline.runs if run[1] == IDLE)
    add("idle", 0, idle, 0)
    return found, events[-1][0] - events[0][0]


def run(top, name, count=12):
    table = trace_read.Table(top)
    plain = machine.boot(top, "saker", [name], True)
    if plain.failures or name not in plain.rows:
        raise Fatal(f"bench: {plain.failures or name}", 1)
    figure = plain.rows[name][0]
    counted, counts = machine.count(top, "saker", [name], False)
    user = counts[0][0] / counted.order[0][1]
    recorder = traced(top, name)
    found, length = spans(*cut(recorder.events(), table, count), table)
    lines, total = [], 0.0
    for span, (times, ticks, records) in found.items():
        net = (ticks - RECORD * records) / count
        total += net
        if span == "user":
            lines.append(("user mode", 0, user))
            lines.append(("entry to and return from the kernel", 0, net - user))
        elif net > 0 or times:
            lines.append((span, times / count, net))
    print(f"{name}: {figure:.0f} instructions per iteration; traced {length / count:.0f}, of which "
          f"{sum(one[2] for one in found.values()) * RECORD / count:.0f} by recording")
    print(f"{'span':<36} {'times':>7} {'instructions':>13} {'share':>7}")
    for span, times, net in sorted(lines, key=lambda one: -one[2]):
        print(f"{span:<36} {f'{times:.1f}' if times else '-':>7} {net:>13.0f} {net / figure:>7.1%}")
    print(f"{'sum':<36} {'':>7} {total:>13.0f} {total / figure:>7.1%}")
    return 0
