"""Records of the tracer: from the rings in the guest's memory to a list in order of time.

The rings (kern/core/include/core/trace.h) are read while the guest runs, without telling it, often
enough that they do not go round; what was overwritten all the same is counted as lost.
"""
import json
import os
import struct

from .error import Fatal

RECORD = struct.Struct("<QIHHQQ")     # tsc, tid, event << 2 | phase, lap, two words
LAP_SHIFT = 9
_HEAD = 64                            # struct trace_ring before its records
_UNSURE = 256                         # records at the head that may be half written
INSTANT, BEGIN, END = 0, 1, 2


class Ring:
    """One CPU's ring, and what has been copied of it."""

    def __init__(self, outbox, at, cpu):
        self.head = outbox.ram[at:at + 16].cast("Q")
        self.slots = self.head[1] + 1
        start = at + _HEAD
        self.memory = outbox.ram[start:start + self.slots * RECORD.size]
        self.cpu = cpu
        self.seen = 0
        self.lost = 0
        self.chunks = []

    def _lap(self, index):
        at = (index % self.slots) * RECORD.size + 14
        return self.memory[at] | self.memory[at + 1] << 8

    def _complete(self, start, head):
        """The end of what is whole: a slot may be taken and not filled yet."""
        for index in range(max(start, head - _UNSURE), head):
            if self._lap(index) != (index >> LAP_SHIFT) & 0xFFFF:
                return index
        return head

    def _copy(self, start, end):
        size = RECORD.size
        first, last = start % self.slots, end % self.slots
        if end - start == self.slots or last <= first:
            return bytes(self.memory[first * size:]) + bytes(self.memory[:last * size])
        return bytes(self.memory[first * size:last * size])

    def collect(self, final=False):
        head = self.head[0]
        start = max(self.seen, head - self.slots)
        end = head if final else self._complete(start, head)
        if end <= start:
            return
        data = self._copy(start, end)
        # What the guest wrote meanwhile may have replaced the oldest.
        spoilt = min(max(0, self.head[0] - self.slots - start), end - start)
        self.lost += start + spoilt - self.seen
        self.chunks.append((start + spoilt, data[spoilt * RECORD.size:]))
        self.seen = end

    def records(self):
        for first, data in self.chunks:
            for index, record in enumerate(RECORD.iter_unpack(data), first):
                if record[3] == (index >> LAP_SHIFT) & 0xFFFF:
                    yield record


class Recorder:
    """Collects the rings of a machine: options.on_poll."""

    def __init__(self):
        self.rings = None
        self.khz = 0
        self.outbox = None

    def poll(self, outbox):
        self.outbox = outbox
        if self.rings is None:
            if not outbox.ready() or not outbox.trace:
                return
            table = outbox.ram[outbox.trace:outbox.trace + 8 * outbox.ncpus].cast("Q")
            self.rings = [Ring(outbox, at, cpu) for cpu, at in enumerate(table)]
        self.khz = outbox.tsc_khz or self.khz
        for ring in self.rings:
            ring.collect()

    def finish(self):
        """After the machine's end: also what a crash left behind."""
        for ring in self.rings or ():
            ring.collect(final=True)

    @property
    def lost(self):
        return sum(ring.lost for ring in self.rings or ())

    def events(self):
        """[(tsc, cpu, number in its ring, tid, event, phase, word, word)] by time."""
        out = []
        for ring in self.rings or ():
            cpu = ring.cpu
            out += [(tsc, cpu, number, tid, event >> 2, event & 3, first, second)
                    for number, (tsc, tid, event, _, first, second) in enumerate(ring.records())]
        out.sort()
        return out


class Table:
    """spec/trace.tbl as the kernel was built with it, and the names of system calls."""

    def __init__(self, top):
        try:
            with open(os.path.join(top, "build/gen/trace.json"), encoding="ascii") as file:
                table = json.load(file)
            with open(os.path.join(top, "build/gen/syscalls.json"), encoding="ascii") as file:
                calls = json.load(file)
        except OSError as error:
            raise Fatal(f"{error.filename} is missing; run make") from None
        self.points = table["points"]
        self.enums = table["enums"]
        self.enums["sysno"] = {str(call["nr"]): call["name"] for call in calls["calls"]}

    def number(self, name):
        return next(i for i, point in enumerate(self.points) if point["name"] == name)

    def value(self, column, words):
        kind, word = column["type"], words[column["word"]]
        if kind == "str16":
            return struct.pack("<QQ", *words).split(b"\0")[0].decode(errors="replace")
        if column["half"] is not None:
            word = word >> 32 * column["half"] & 0xFFFFFFFF
        if kind in self.enums:
            return self.enums[kind].get(str(word), word)
        if kind == "hex":
            return hex(word)
        bits = 64 if kind == "i64" else 32 if kind in ("i32", "errno") else 0
        return word - (1 << bits) if bits and word >> (bits - 1) else word

    def values(self, columns, words):
        return {column["name"]: self.value(column, words) for column in columns}
