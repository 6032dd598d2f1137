"""A recording as Chrome's trace format, which Perfetto and chrome://tracing load."""
import bisect
import json

from .trace_spans import IDLE

CPUS = 1 << 24          # "process" that holds a track per CPU, and the "thread" of the first: some viewers look at tid only


class Writer:
    def __init__(self, timeline, khz):
        self.timeline = timeline
        self.base = timeline.first or 0
        self.scale = 1000 / khz

    def time(self, tsc):
        return round((tsc - self.base) * self.scale, 3)

    def length(self, start, end, early=0):
        """
        The length of what was written to start there and ends `early` nanoseconds before the end.  Importers add it to the
        start as floating-point numbers, and take what then ends a last digit late for crossed: slices that would touch
        another's end are given room.
        """
        return max(0, round(self.time(end) - self.time(start) - early / 1000, 3))

    @staticmethod
    def about(what, pid, tid, **value):
        """Of a process or thread, in the form of Chrome's own recordings: Qt Creator needs the ts."""
        return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": value}

    def names(self):
        yield self.about("process_name", CPUS, CPUS, name="CPUs")
        yield self.about("process_sort_index", CPUS, CPUS, sort_index=-1)
        for cpu in range(len(self.timeline.running)):
            yield self.about("thread_name", CPUS, CPUS + cpu, name=f"CPU {cpu}")
        yield self.about("process_name", IDLE, IDLE, name="kernel")
        for thread in self.timeline.threads.values():
            if thread.tid == thread.pid != IDLE:
                yield self.about("process_name", thread.pid, thread.tid, name=thread.name)
            yield self.about("thread_name", thread.pid, thread.tid, name=thread.name)

    def spans(self):
        for span in self.timeline.spans:
            args, early = {**span.args, "cpu": span.cpu}, 0
            if span.cut:
                args["unfinished"] = True
                early = len(span.path()) - 1        # it ended with what it lies in
            yield {"ph": "X", "name": span.name, "cat": span.name.split(".")[0],
                   "pid": self.timeline.threads[span.tid].pid, "tid": span.tid,
                   "ts": self.time(span.start), "dur": self.length(span.start, span.end, early),
                   "args": args}

    def runs(self):
        for cpu, tid, name, start, end in self.timeline.runs:
            if tid != IDLE:
                yield {"ph": "X", "name": name, "cat": "running", "pid": CPUS, "tid": CPUS + cpu,
                       "ts": self.time(start), "dur": self.length(start, end, 1),
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
                yield {"ph": "X", "name": "wake", "cat": "wake", "pid": CPUS, "tid": CPUS + cpu, "ts": self.time(tsc), "dur": 0}
            yield {**common, "ph": "s", "tid": CPUS + cpu, "ts": self.time(tsc)}
            yield {**common, "ph": "f", "bp": "e", "tid": CPUS + target, "ts": self.time(start)}

    def events(self):
        """Names, and then all in order of time: Qt Creator's clock begins with what it reads first."""
        yield from self.names()
        yield from sorted((*self.runs(), *self.spans(), *self.marks(), *self.flows()), key=lambda event: event["ts"])


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
