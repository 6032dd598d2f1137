#!/usr/bin/env python3
"""Makes a bzImage from the kernel ELF: mkbzimage.py KERNEL.ELF OUT.

The ELF carries the real-mode part (.bz_setup) and the protected-mode stub
(.bz_stub) as sections that are not loaded (kern/arch/x86_64/bzsetup.S).  Here
the loadable segments are flattened by physical address behind them and the
sizes are filled in.
"""
import struct
import sys

KERNEL_PHYS = 0x200000
STUB_BASE = 0x100000


def sections(elf):
    """name -> bytes of every section."""
    shoff, = struct.unpack_from("<Q", elf, 40)
    shentsize, shnum, shstrndx = struct.unpack_from("<HHH", elf, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", elf, shoff + i * shentsize) for i in range(shnum)]
    names = heads[shstrndx]
    out = {}
    for h in heads:
        start = names[4] + h[0]
        name = elf[start:elf.index(b"\0", start)].decode()
        if h[1] != 8:
            out[name] = elf[h[4]:h[4] + h[5]]
    return out


def flatten(elf):
    """(bytes from KERNEL_PHYS on, size in memory)."""
    phoff, = struct.unpack_from("<Q", elf, 32)
    phentsize, phnum = struct.unpack_from("<HH", elf, 54)
    image, mem_end = bytearray(), 0
    for i in range(phnum):
        p_type, _, off, _, paddr, filesz, memsz, _ = struct.unpack_from(
            "<IIQQQQQQ", elf, phoff + i * phentsize)
        if p_type != 1 or memsz == 0:
            continue
        at = paddr - KERNEL_PHYS
        if at < 0:
            sys.exit("mkbzimage: segment below %#x" % KERNEL_PHYS)
        if filesz:
            if len(image) < at + filesz:
                image.extend(bytes(at + filesz - len(image)))
            image[at:at + filesz] = elf[off:off + filesz]
        mem_end = max(mem_end, at + memsz)
    image.extend(bytes(-len(image) % 16))
    return bytes(image), max((mem_end + 15) & ~15, len(image))


def main():
    with open(sys.argv[1], "rb") as f:
        elf = f.read()
    if elf[:4] != b"\x7fELF":
        sys.exit("mkbzimage: not an ELF file")
    secs = sections(elf)
    setup, stub = bytearray(secs[".bz_setup"]), bytearray(secs[".bz_stub"])
    image, mem_size = flatten(elf)
    total = len(stub) + len(image)
    struct.pack_into("<II", stub, 0x300, len(image), mem_size)
    struct.pack_into("<I", setup, 0x1F4, (total + 15) // 16)
    struct.pack_into("<I", setup, 0x24C, len(image))
    struct.pack_into("<I", setup, 0x260, KERNEL_PHYS + mem_size - STUB_BASE)
    with open(sys.argv[2], "wb") as f:
        f.write(setup + stub + image + bytes(-total % 16))


if __name__ == "__main__":
    main()
