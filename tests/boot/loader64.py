"""Kernels that are entered by the Linux 64-bit boot protocol.

No machine monitor at hand goes there by itself: QEMU enters by PVH and by a bzImage's real-mode
part.  build() makes a PVH kernel of entry64.S and a kernel in its place in memory, so that
`saker run --kernel` of it goes PVH -> entry64.S -> the kernel's 64-bit entry.
"""
import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "gen"))

import mkbzimage  # noqa: E402

LOADER = 0x8000000		# above what the kernels use to unpack themselves, below 256 MiB
PROTECTED = 0x100000		# where the protocol puts a bzImage's protected-mode part
ENTRY64 = 0x200			# of it, by the protocol
RUBBISH = b"\xcc"


def elf_parts(data):
    """(address, bytes in memory, header, entry) of an ELF file, its .bss cleared as ELF asks."""
    image, size = mkbzimage.flatten(data)
    entry, = struct.unpack_from("<Q", data, 24)
    return mkbzimage.KERNEL_PHYS, image.ljust(size, b"\0"), b"", entry


def bzimage_parts(data):
    """The same of a bzImage.  The memory behind it is not cleared: that is the kernel's to do."""
    if data[0x202:0x206] != b"HdrS" or not struct.unpack_from("<H", data, 0x236)[0] & 1:
        raise ValueError("no bzImage with a 64-bit entry")
    size = 0x202 + data[0x201] - 0x1f1
    protected = data[((data[0x1f1] or 4) + 1) * 512:]
    return (PROTECTED, protected.ljust(len(protected) + 0x400000, RUBBISH),
            data[0x1f1:0x1f1 + size], PROTECTED + ENTRY64)


def build(kernel, out):
    """Makes the PVH kernel of the file `kernel` in the empty directory `out`; its path."""
    with open(kernel, "rb") as file:
        data = file.read()
    parts = elf_parts if data[:4] == b"\x7fELF" else bzimage_parts
    address, memory, header, entry = parts(data)
    for name, content in (("kernel.bin", memory), ("header.bin", header)):
        with open(os.path.join(out, name), "wb") as file:
            file.write(content)
    path = os.path.join(out, "kernel.elf")
    subprocess.run(
        ["gcc", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
         "-Wl,-z,max-page-size=4096", "-Wl,--no-warn-rwx-segments", f"-Wl,--defsym=entry={entry:#x}",
         f"-Wl,--section-start=.kernel={address:#x}", f"-Wl,--section-start=.loader={LOADER:#x}",
         f"-Wl,--section-start=.note.pvh={LOADER - 4096:#x}", "-Wl,-e,start", "-o", path,
         os.path.join(HERE, "entry64.S"), f"-Wa,-I{out}"], check=True)
    return path
