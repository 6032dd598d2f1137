"""A recording as Chrome's trace format, which Perfetto and chrome://tracing load."""
import bisect
import json

from .trace_spans import IDLE

CPUS = 1 << 24          # "process" that holds a track per CPU


class Writer:
    def __init__(self, timeline, khz):
        self.timeline = timeline
        self.base = timeline.first or 0
        self.scale = 1000 / khz

    def time(self, tsc):
        return round((tsc - self.base) * self.scale, 3)

    def names(self):
        yield {"ph": "M", "name": "process_name", "pid": CPUS, "args": {"name": "CPUs"}}
        yield {"ph": "M", "name": "process_sort_index", "pid": CPUS, "args": {"sort_index": -1}}
        for cpu in range(len(self.timeline.running)):
            yield {"ph": "M", "name": "thread_name", "pid": CPUS, "tid": cpu,
                   "args": {"name": f"CPU {cpu}"}}
        for thread in self.timeline.threads.values():
            if thread.tid == thread.pid or thread.pid == IDLE:
                name = "kernel" if thread.pid == IDLE else thread.name
                yield {"ph": "M", "name": "process_name", "pid": thread.pid, "args": {"name": name}}
            yield {"ph": "M", "name": "thread_name", "pid": thread.pid, "tid": thread.tid,
                   "args": {"name": thread.name}}

    def spans(self):
        for span in self.timeline.spans:
            args = {**span.args, "cpu": span.cpu}
            if span.cut:
                args["unfinished"] = True
            yield {"ph": "X", "name": span.name, "cat": span.name.split(".")[0],
                   "pid": self.timeline.threads[span.tid].pid, "tid": span.tid,
                   "ts": self.time(span.start), "dur": round((span.end - span.start) * self.scale, 3),
                   "args": args}

    def runs(self):
        for cpu, tid, name, start, end in self.timeline.runs:
            if tid != IDLE:
                yield {"ph": "X", "name": name, "cat": "running", "pid": CPUS, "tid": cpu,
                       "ts": self.time(start), "dur": round((end - start) * self.scale, 3),
                       "args": {"tid": tid}}

    def marks(self):
        for tsc, cpu, tid, name, args in self.timeline.marks:
            yield {"ph": "i", "s": "t", "name": name, "cat": name.split(".")[0],
                   "pid": self.timeline.threads[tid].pid if tid in self.timeline.threads else tid,
                   "tid": tid, "ts": self.time(tsc), "args": {**args, "cpu": cpu}}

    def flows(self):
        """
        An arrow from the CPU track where a thread was woken to where it runs next.  Arrows bind to slices: an interrupt
        that wakes somebody on an idle CPU gets one.
        """
        runs, busy = {}, {}
        for cpu, tid, _, start, end in sorted(self.timeline.runs, key=lambda run: run[3]):
            runs.setdefault(tid, []).append((start, cpu))
            if tid != IDLE:
                busy.setdefault(cpu, []).append((start, end))
        at = dict.fromkeys(runs, 0)
        for number, (tsc, _, cpu, woken) in enumerate(self.timeline.wakes):
            mine = runs.get(woken, ())
            while at.get(woken, 0) < len(mine) and mine[at[woken]][0] < tsc:
                at[woken] += 1
            if not mine or at[woken] == len(mine):
                continue
            start, target = mine[at[woken]]
            common = {"name": "wake", "cat": "wake", "id": number, "pid": CPUS}
            last = bisect.bisect_right(busy.get(cpu, ()), (tsc, tsc)) - 1
            if last < 0 or busy[cpu][last][1] < tsc:
                yield {"ph": "X", "name": "wake", "cat": "wake", "pid": CPUS, "tid": cpu, "ts": self.time(tsc), "dur": 0}
            yield {**common, "ph": "s", "tid": cpu, "ts": self.time(tsc)}
            yield {**common, "ph": "f", "bp": "e", "tid": target, "ts": self.time(start)}

    def events(self):
        yield from self.names()
        yield from self.runs()
        yield from self.spans()
        yield from self.marks()
        yield from self.flows()


def write(path, timeline, khz, about):
    """about: goes into otherData.saker, where --diff finds the table."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit":"ns","otherData":{"saker":')
        file.write(encode(about))
        file.write('},"traceEvents":[')
        separator = "\n"
        for event in Writer(timeline, khz).events():
            file.write(separator + encode(event))
            separator = ",\n"
        file.write("\n]}\n")
