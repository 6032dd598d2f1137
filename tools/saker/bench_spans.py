"""`saker bench --spans NAME`: where a row's instructions go, span by span.

The row runs twice under -icount, once as always and once with the tracer on; of the second run whole iterations
are cut out, from one fork of the benchmark to a later one.  The clock counts instructions, so a span's self time is
the instructions spent in it, with those that recording itself took.  These are taken off: of the two
records of a span one is charged to it (half at its beginning, half at its end) and one to what encloses it.
A traced system call goes a longer way besides, how much longer is measured by getpid().
"""
from . import bench_machine as machine, trace_read
from .error import Fatal
from .trace_spans import IDLE, Timeline

RECORD = 27             # trace_record() and its call: 26 or 27 instructions
PROBE = "getpid"
BENCH = 1               # the benchmark is process 1
RING = "16M"
BOOTS = 7               # they differ by where address randomisation puts things
ITERATIONS = 6


def traced(top, name):
    recorder = trace_read.Recorder()
    boot = machine.boot(top, "saker", [PROBE, name], True, recorder=recorder, ring=RING)
    recorder.finish()
    if boot.failures or not recorder.rings or recorder.lost:
        raise Fatal(f"bench: {boot.failures or 'nothing recorded'}", 1)
    return recorder, boot.rows[PROBE][0]


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
    """({span: [how many, instructions, records borne, system calls below]}, length of the window)."""
    # The last event only says when the window ends.
    timeline = Timeline(table, 1).feed(before).feed(events[:-1])
    timeline.last = events[-1][0]
    timeline.finish()
    found = {}

    def add(name, count, ticks, records, calls=0):
        row = found.setdefault(name, [0, 0, 0, 0])
        for column, value in enumerate((count, ticks, records, calls)):
            row[column] += value
    for span in timeline.spans:
        call = span.name.startswith("syscall.")
        add(span.name, 1, span.self_time, 1 + span.marks)
        if span.parent:
            add(span.parent.name, 0, 0, 1, call)
    for thread in timeline.threads.values():
        roots = [span.name.startswith("syscall.") for span in timeline.spans
                 if span.tid == thread.tid and not span.parent]
        for name, ticks in thread.outside.items():
            add(name, 0, ticks, len(roots) + thread.marks, sum(roots))
            roots = []
    idle = sum(run[4] - run[3] for run in timeline.runs if run[1] == IDLE)
    add("idle", 0, idle, 0)
    return found, events[-1][0] - events[0][0]


def plain(top, name):
    """(instructions per iteration, the same of the probe) without the tracer."""
    boot = machine.boot(top, "saker", [PROBE, name], True)
    if boot.failures or name not in boot.rows:
        raise Fatal(f"bench: {boot.failures or name}", 1)
    return boot.rows[name][0], boot.rows[PROBE][0]


def user_instructions(top, name):
    boot, counts = machine.count(top, "saker", [name], False)
    return counts[0][0] / boot.order[0][1]


def average(top, name, table):
    """({span: [...]} per iteration, instructions per iteration, the probe's), mean of BOOTS traced boots."""
    total, length, probes = {}, 0, 0
    for _ in range(BOOTS):
        recorder, probe = traced(top, name)
        found, window = spans(*cut(recorder.events(), table, ITERATIONS), table)
        length += window / ITERATIONS / BOOTS
        probes += probe / BOOTS
        for span, row in found.items():
            mean = total.setdefault(span, [0, 0, 0, 0])
            for column, value in enumerate(row):
                mean[column] += value / ITERATIONS / BOOTS
    return total, length, probes


def lines_of(found, longer, user):
    """[(span, times, instructions of its own, without those of recording)]"""
    lines = []
    for span, (times, ticks, records, calls) in found.items():
        net = ticks - RECORD * records - longer * calls
        if span == "user":
            lines.append(("user mode", 0, user))
            lines.append(("entry to and return from the kernel", 0, net - user))
        elif net > 0 or times:
            lines.append((span, times, net))
    return sorted(lines, key=lambda one: -one[2])


def run(top, name):
    table = trace_read.Table(top)
    figures = [plain(top, name) for _ in range(BOOTS)]
    figure, probe = (sum(column) / BOOTS for column in zip(*figures))
    found, length, probe_traced = average(top, name, table)
    longer = max(0, probe_traced - probe - 2 * RECORD)
    lines = lines_of(found, longer, user_instructions(top, name))
    print(f"{name}: {figure:.0f} instructions per iteration, mean of {BOOTS} boots; traced {length:.0f}, with "
          f"{sum(one[2] for one in found.values()):.0f} records of {RECORD} instructions and {longer:.0f} more "
          f"for each of {sum(one[3] for one in found.values()):.0f} system calls")
    print(f"{'span':<36} {'times':>7} {'instructions':>13} {'share':>7}")
    for span, times, net in lines:
        print(f"{span:<36} {f'{times:.1f}' if times else '-':>7} {net:>13.0f} {net / figure:>7.1%}")
    total = sum(net for _, _, net in lines)
    print(f"{'sum':<36} {'':>7} {total:>13.0f} {total / figure:>7.1%}")
    return 0
