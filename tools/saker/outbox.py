"""The launcher's end of the outbox: kern/core/include/core/outbox.h.

The guest's RAM is a file that this process maps as well.  The kernel image is linked to its physical
address, so the symbol outbox_header in its ELF file says where to look; the magic there says that
this kernel runs.  What was written can be read while the guest runs and after it ended, however.

    options.outbox = "1M"                     the ring's size; None: no outbox, an ordinary machine
    options.on_record = {STRACE: function}    function(cpu, payload), called as records arrive
"""
import mmap
import os
import struct

from .error import Fatal

STRACE, SAMPLE, MAP = 1, 2, 3

MAGIC = 0x316F626F72656B53
VERSION = 1
KERNEL_OFFSET = 0xFFFFFFFF80000000
# Words of struct outbox_header.
_MAGIC, _VERSION, _KHZ, _MONO, _RING, _SIZE, _TRACE, _DROPPED, _HEAD = range(9)
_TAIL, _ATTACHED = 16, 17
_HEADER = 192
_SYMBOL = struct.Struct("<IBBHQQ")


def elf_table(elf):
    """(symbol table entries, string table) of an ELF file: ((name, info, other, shndx, value, size), ...)"""
    if elf[:6] != b"\x7fELF\x02\x01":
        return [], b""
    shoff, = struct.unpack_from("<Q", elf, 40)
    shentsize, shnum = struct.unpack_from("<HH", elf, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", elf, shoff + i * shentsize) for i in range(shnum)]
    for kind in 2, 11:          # SHT_SYMTAB; SHT_DYNSYM, which a library keeps when it is stripped
        for head in heads:
            if head[1] == kind:
                strings = heads[head[6]]
                return (list(_SYMBOL.iter_unpack(elf[head[4]:head[4] + head[5]])),
                        elf[strings[4]:strings[4] + strings[5]])
    return [], b""


def elf_of(kernel):
    """The ELF file of a kernel: itself, or the one that the bzImage beside it was made from."""
    if kernel.endswith(".bzImage"):
        kernel = kernel[:-len(".bzImage")] + ".elf"
    try:
        with open(kernel, "rb") as file:
            if file.read(4) == b"\x7fELF":
                return kernel
    except OSError as error:
        raise Fatal(f"{kernel}: {error.strerror}") from None
    raise Fatal(f"{kernel}: not a Saker kernel in ELF form: this command reads its symbols", 2)


def header_address(kernel):
    with open(elf_of(kernel), "rb") as file:
        symbols, strings = elf_table(file.read())
    at = strings.find(b"\0outbox_header\0") + 1
    for name, _, _, _, value, _ in symbols if at else ():
        if name == at:
            return value - KERNEL_OFFSET
    raise Fatal(f"{kernel}: has no outbox: not a Saker kernel, or an old one", 2)


def size_in_bytes(text):
    unit = "KMGT".find(text[-1:].upper())
    return int(text[:-1]) << 10 * (unit + 1) if unit >= 0 else int(text)


class Outbox:
    """The RAM of one machine, and the records in it."""

    def __init__(self, options):
        self.address = header_address(options.kernel)
        self.size = size_in_bytes(options.mem)
        if self.address + _HEADER > self.size:
            raise Fatal(f"--mem {options.mem}: the kernel itself does not fit", 2)
        self.fd = os.memfd_create("ram", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.size)
        self.ram = memoryview(mmap.mmap(self.fd, self.size))
        # Words are read and written whole: the guest runs meanwhile.
        self.header = self.ram[self.address:self.address + _HEADER].cast("Q")
        self.listeners = options.on_record
        self.ring = None
        self.tail = 0

    def ready(self):
        """The kernel runs and has a ring.  Attaches at the first yes."""
        if self.ring is None and self.header[_MAGIC] == MAGIC:
            if self.header[_VERSION] & 0xFFFFFFFF != VERSION:
                raise Fatal("the kernel's outbox is of another version; run make")
            start, size = self.header[_RING], self.header[_SIZE]
            if start + size <= self.size:
                self.ring = self.ram[start:start + size]
                self.header[_ATTACHED] = 1
        return self.ring is not None

    @property
    def dropped(self):
        return self.header[_DROPPED]

    @property
    def tsc_khz(self):
        return self.header[_KHZ]

    @property
    def mono_tsc(self):
        return self.header[_MONO]

    @property
    def ncpus(self):
        return self.header[_VERSION] >> 32

    @property
    def trace(self):
        """Physical address of the table of trace rings; 0: none."""
        return self.header[_TRACE]

    def bytes_at(self, at, length):
        """length bytes of the ring from count at on."""
        size = len(self.ring)
        at %= size
        first = min(length, size - at)
        return bytes(self.ring[at:at + first]) + bytes(self.ring[:length - first])

    def records(self):
        """Takes (type, cpu, payload) of every record that is there."""
        if not self.ready():
            return
        while self.tail != self.header[_HEAD]:
            length, kind, cpu = struct.unpack("<IHH", self.bytes_at(self.tail, 8))
            payload = self.bytes_at(self.tail + 8, length)
            self.tail += (8 + length + 7) & ~7
            self.header[_TAIL] = self.tail
            yield kind, cpu, payload

    def drain(self):
        for kind, cpu, payload in self.records():
            listener = self.listeners.get(kind)
            if listener:
                listener(cpu, payload)
