"""`saker profile`: runs a command, samples its stacks, and shows where the time was spent."""
import bisect
import os
import struct

from . import options as option_words
from .error import Fatal

HELP = """\
usage: ./saker profile [options] [options of run] -- CMD [ARG...]

Run CMD as `saker run` does; a timer in the guest samples what runs, kernel and user stacks.  Writes a
flame graph and prints the functions that were on top most often on stderr.

  -o FILE         the flame graph (profile.svg)
  --folded FILE   also the stacks as lines "process;outer;...;inner COUNT"
  --hz N          samples per second and CPU (997)
"""
VALUES = {"-o": "output", "--folded": "folded", "--hz": "hz"}
_SAMPLE = struct.Struct("<QIIHHI16s")
_MAP = struct.Struct("<IIQQQ")
MAPPED, EXECUTED, FORKED = 1, 2, 3
SHOWN = 15


class Wishes:
    def __init__(self):
        self.output, self.folded, self.hz = "profile.svg", None, "997"


def parse(top, args):
    wishes = Wishes()
    own, rest = option_words.take("profile", HELP, args, dict.fromkeys(VALUES, 1))
    for word, values in own:
        setattr(wishes, VALUES[word], values[0])
    if not wishes.hz.isdigit() or not 1 <= int(wishes.hz) <= 10000:
        raise Fatal(f"profile: --hz {wishes.hz}: not a number from 1 to 10000", 2)
    return wishes, option_words.parse(top, rest)


class Symbols:
    """The functions of an ELF file."""

    def __init__(self, data, name):
        from .outbox import elf_table
        self.name = name
        symbols, strings = elf_table(data)
        found = sorted((value, size, at) for at, info, _, shndx, value, size in symbols
                       if shndx and info & 15 in (0, 2) and value)
        self.starts = [one[0] for one in found]
        self.found, self.strings = found, strings
        self.segments = segments(data)

    def lookup_offset(self, offset):
        """The function that lies at an offset of the file."""
        for start, size, address in self.segments:
            if start <= offset < start + size:
                return self.lookup(offset - start + address)
        return f"[{self.name} at {offset:#x}]"

    def lookup(self, address):
        at = bisect.bisect_right(self.starts, address) - 1
        if at >= 0:
            start, size, name = self.found[at]
            if address < start + size or not size:
                return self.strings[name:self.strings.index(b"\0", name)].decode(errors="replace")
        return f"[{self.name}+{address:#x}]"


def segments(data):
    """(offset, size, address) of what an ELF file has loaded."""
    if data[:5] != b"\x7fELF\x02":
        return []
    phoff, = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    heads = [struct.unpack_from("<IIQQQQQQ", data, phoff + i * phentsize) for i in range(phnum)]
    return [(head[2], head[5], head[3]) for head in heads if head[0] == 1]


class Files:
    """The guest's files as the host has them: a directory, or an archive that is not compressed."""

    def __init__(self, options):
        root = options.rootfs or os.path.join(options.top, "build/initramfs.cpio")
        self.directory = root if os.path.isdir(root) else None
        self.archive = {}
        if not self.directory:
            with open(root, "rb") as file:
                data = file.read()
            if data[:6] in (b"070701", b"070702"):
                self.archive = dict(archive_files(data))

    def read(self, path):
        """The file's bytes; nothing when the host does not have it."""
        if not self.directory:
            return self.archive.get(path.strip("/"), b"")
        full = os.path.realpath(os.path.join(self.directory, path.strip("/")))
        if not full.startswith(os.path.realpath(self.directory) + os.sep) or not os.path.isfile(full):
            return b""
        with open(full, "rb") as file:
            return file.read()


def archive_files(data):
    """(name, bytes) of each file in a newc archive; several archives may follow one another."""
    at = 0
    while data[at:at + 5] == b"07070":
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        size, name_size = fields[6], fields[11]
        name = data[at + 110:at + 110 + name_size].split(b"\0")[0].decode(errors="replace")
        body = at + 110 + name_size
        body += -body % 4
        if size:
            yield name.removeprefix("./").strip("/"), data[body:body + size]
        at = body + size
        at += -at % 4
        if name == "TRAILER!!!":
            while data[at:at + 4] == b"\0\0\0\0":
                at += 4


class Profile:
    def __init__(self, options):
        from .outbox import elf_of
        with open(elf_of(options.kernel), "rb") as file:
            self.kernel = Symbols(file.read(), "kernel")
        self.files = Files(options)
        self.maps = {}          # pid: ((start, end, offset, path), ...), the newest first; never changed in place
        self.tables = {}
        self.samples = []

    def map(self, cpu, payload):
        pid, kind, start, end, offset = _MAP.unpack_from(payload)
        if kind == EXECUTED:
            self.maps[pid] = ()
        elif kind == FORKED:
            self.maps[pid] = self.maps.get(start, ())
        elif kind == MAPPED:
            path = payload[_MAP.size:].decode(errors="replace")
            self.maps[pid] = ((start, end, offset, path), *self.maps.get(pid, ()))

    def sample(self, cpu, payload):
        """Samples count from the first process on that is not the agent."""
        pid, = struct.unpack_from("<I", payload, 8)
        if self.samples or pid > 1:
            self.samples.append((payload, self.maps.get(pid, ())))

    def symbols(self, path):
        if path not in self.tables:
            self.tables[path] = Symbols(self.files.read(path), os.path.basename(path))
        return self.tables[path]

    def user_function(self, maps, address):
        """None: no file is mapped there."""
        for start, end, offset, path in maps:
            if start <= address < end:
                return self.symbols(path).lookup_offset(address - start + offset)
        return None

    def names(self, payload, maps):
        """(process, user functions outermost first, kernel functions outermost first)"""
        _, _, _, nkernel, nuser, _, comm = _SAMPLE.unpack_from(payload)
        addresses = struct.unpack_from(f"<{nkernel + nuser}Q", payload, _SAMPLE.size)
        process = comm.split(b"\0")[0].decode(errors="replace")

        def caller(position, address):
            return address if position == 0 else address - 1
        kernel = [self.kernel.lookup(caller(i, one)) for i, one in enumerate(addresses[:nkernel])]
        user = [self.user_function(maps, caller(i, one)) for i, one in enumerate(addresses[nkernel:])]
        if user and not user[0]:
            user[0] = "[no file]"
        # A caller outside all files is most often no caller: its frame pointer was data.
        return process, [name for name in user[::-1] if name], kernel[::-1]

    def stacks(self):
        """({folded stack: samples}, {innermost function: samples})"""
        stacks, tops = {}, {}
        for payload, maps in self.samples:
            process, user, kernel = self.names(payload, maps)
            stack = (process, *user, *kernel)
            stacks[stack] = stacks.get(stack, 0) + 1
            top = stack[-1] + (" (kernel)" if kernel else "")
            tops[top] = tops.get(top, 0) + 1
        return stacks, tops


def report(options, wishes, profile, dropped):
    from . import flame
    stacks, tops = profile.stacks()
    try:
        with open(wishes.output, "w", encoding="utf-8") as file:
            file.write(flame.svg(stacks, " ".join(options.command) or "shell", "samples"))
        if wishes.folded:
            with open(wishes.folded, "w", encoding="utf-8") as file:
                file.write(flame.fold(stacks))
    except OSError as error:
        raise Fatal(f"{error.filename}: {error.strerror}", 2) from None
    total = len(profile.samples)
    out = f"{total} samples at {wishes.hz} Hz" + (f", {dropped} dropped" if dropped else "") + "\n"
    for name, count in sorted(tops.items(), key=lambda one: (-one[1], one[0]))[:SHOWN]:
        out += f"{count / total:7.1%}  {name}\n"
    os.write(2, out.encode())


def run(top, args):
    from . import outbox, run as runner
    wishes, options = parse(top, args)
    profile = Profile(options)
    options.outbox = "1M"
    options.append = " ".join(filter(None, (options.append, f"profile={wishes.hz}")))
    options.on_record = {outbox.SAMPLE: profile.sample, outbox.MAP: profile.map}
    seen = []
    options.on_poll = lambda box: seen.__setitem__(slice(None), [box.dropped])
    status = runner.run(options)
    if not seen:
        raise Fatal("the kernel ended before it could record anything")
    report(options, wishes, profile, seen[0])
    return status
