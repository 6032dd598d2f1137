"""From records to spans: who ran where, what was open, how long, and whose time it was.

A thread's spans nest.  Two clocks run for each thread: the wall's, and its own, which stands while
the thread is off the CPU.  A span's duration is by the wall, its self time by the thread's own
clock, without its children: so the self times of all spans, user mode and idle time add up
to the time that the CPUs had.
"""
from .trace_read import BEGIN, END

WORKER = 0x40000000
IDLE = 0


class Span:
    __slots__ = ("name", "tid", "cpu", "start", "end", "args", "own_start", "own", "children",
                 "parent", "cut", "marks")

    def __init__(self, name, tid, cpu, start, args, own, parent):
        self.name, self.tid, self.cpu, self.start, self.args = name, tid, cpu, start, args
        self.own_start, self.own, self.children, self.parent = own, 0, 0, parent
        self.end, self.cut = None, False
        self.marks = 0         # events recorded while it was the innermost

    @property
    def self_time(self):
        return self.own - self.children

    def path(self):
        names, span = [], self
        while span:
            names.append(span.name)
            span = span.parent
        return names[::-1]


class Thread:
    def __init__(self, tid, pid, name):
        self.tid, self.pid, self.name = tid, pid, name
        self.open = []
        self.marks = 0
        self.own = 0           # its own clock, up to `since`
        self.since = None      # on a CPU since; None: off
        self.outside = {}      # name -> own time with no span open: user mode, or the worker's

    def clock(self, now):
        return self.own + (now - self.since if self.since is not None else 0)


class Timeline:
    def __init__(self, table, ncpus):
        self.table = table
        self.threads = {IDLE: Thread(IDLE, IDLE, "idle")}
        self.spans = []
        self.marks = []        # (tsc, cpu, tid, name, args)
        self.runs = []         # (cpu, tid, name, start, end)
        self.wakes = []        # (tsc, waker, cpu, woken)
        self.running = [(IDLE, None)] * ncpus
        self.first = self.last = None
        self._outside = {}     # tid -> own clock when its last span ended
        self._special = {table.number(name): handler for name, handler in (
            ("task.fork", self._fork), ("task.comm", self._comm), ("task.worker", self._worker),
            ("task.exit", self._exit), ("sched.switch", self._switch),
            ("sched.wake", self._wake))}

    def thread(self, tid):
        if tid not in self.threads:
            self.threads[tid] = Thread(tid, tid, "worker" if tid >= WORKER else f"thread {tid}")
        return self.threads[tid]

    # What records mean

    def _fork(self, now, cpu, tid, args):
        parent = self.thread(tid)
        self.threads[args["tid"]] = Thread(args["tid"], args["pid"], parent.name)

    def _comm(self, now, cpu, tid, args):
        self.thread(tid).name = args["name"]

    def _worker(self, now, cpu, tid, args):
        name = args["name"].to_bytes(8, "little").split(b"\0")[0].decode(errors="replace")
        self.threads[args["tid"]] = Thread(args["tid"], IDLE, name)

    def _exit(self, now, cpu, tid, args):
        self._close_all(self.thread(tid), now)

    def _wake(self, now, cpu, tid, args):
        self.wakes.append((now, tid, cpu, args["tid"]))

    def _switch(self, now, cpu, tid, args):
        self._leave(cpu, now)
        thread = self.thread(args["next"])
        self.running[cpu] = (args["next"], now)
        if thread.tid != IDLE:
            thread.since = now

    def _leave(self, cpu, now):
        tid, since = self.running[cpu]
        thread = self.thread(tid)
        if since is not None:
            self.runs.append((cpu, tid, thread.name, since, now))
        if thread.since is not None:
            thread.own += now - thread.since
            thread.since = None
        return tid

    # Spans

    def _begin(self, point, now, cpu, tid, args):
        thread = self.thread(tid)
        name = point["name"]
        if name == "syscall.call":
            name = f"syscall.{args['nr']}"
        own = thread.clock(now)
        if not thread.open:
            self._note_outside(thread, own)
        parent = thread.open[-1] if thread.open else None
        thread.open.append(Span(name, tid, cpu, now, args, own, parent))

    def _note_outside(self, thread, own):
        name = "user" if thread.tid < WORKER else "worker"
        spent = own - self._outside.get(thread.tid, 0)
        thread.outside[name] = thread.outside.get(name, 0) + spent

    def _close(self, thread, now, args, cut=False):
        span = thread.open.pop()
        span.end, span.cut = now, cut
        span.own = thread.clock(now) - span.own_start
        if args:
            span.args = {**span.args, **args}
        if thread.open:
            thread.open[-1].children += span.own
        else:
            self._outside[thread.tid] = thread.clock(now)
        self.spans.append(span)

    def _close_all(self, thread, now):
        while thread.open:
            self._close(thread, now, None, cut=True)

    def _end(self, point, now, tid, args):
        """The innermost open span of that name ends; what it held open was cut (records lost)."""
        thread = self.thread(tid)
        name = point["name"]
        for depth in range(len(thread.open) - 1, -1, -1):
            found = thread.open[depth].name
            if found == name or (name == "syscall.call" and found.startswith("syscall.")):
                while len(thread.open) > depth + 1:
                    self._close(thread, now, None, cut=True)
                self._close(thread, now, args)
                return

    def feed(self, events):
        points, values = self.table.points, self.table.values
        for now, cpu, _, tid, number, phase, first, second in events:
            if number >= len(points):
                continue
            if self.first is None:
                self.first = now
            self.last = now
            point = points[number]
            words = (first, second)
            if phase == BEGIN:
                self._begin(point, now, cpu, tid, values(point["args"], words))
            elif phase == END:
                self._end(point, now, tid, values(point["end"], words))
            else:
                args = values(point["args"], words)
                thread = self.thread(tid)
                (thread.open[-1] if thread.open else thread).marks += 1
                handler = self._special.get(number)
                if handler:
                    handler(now, cpu, tid, args)
                if point["name"] != "sched.switch":
                    self.marks.append((now, cpu, tid, point["name"], args))
        return self

    def finish(self):
        """The recording ends: what is open was cut short."""
        if self.last is None:
            return self
        for thread in self.threads.values():
            if not thread.open and thread.tid != IDLE:
                self._note_outside(thread, thread.clock(self.last))
            self._close_all(thread, self.last)
        for cpu in range(len(self.running)):
            self._leave(cpu, self.last)
        return self
