"""The initramfs writer, without a machine."""
import os
import subprocess

from tap import TOP, case, equal, holds, scratch

MKINITRAMFS = os.path.join(TOP, "tools/mkinitramfs")


def entries(data):
    """(name, fields, offset of the data) of every newc entry."""
    at = 0
    while True:
        equal(data[at:at + 6], b"070701", f"magic at {at}")
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        size, namesize = fields[6], fields[11]
        holds(1 < namesize <= 4096, f"namesize {namesize} at {at}")
        field = data[at + 110:at + 110 + namesize]
        equal(field[-1:], b"\0", "end of the name")
        body = (at + 110 + namesize + 3) & ~3
        name = field.split(b"\0")[0]
        if name == b"TRAILER!!!":
            return
        yield name, fields, body
        at = (body + size + 3) & ~3


def pack(source, target):
    subprocess.run([MKINITRAMFS, "-o", target, source], check=True)
    with open(target, "rb") as file:
        return file.read()


def make_tree(top):
    """Names of many lengths, so that every gap before a page boundary occurs."""
    for length in list(range(1, 120, 3)) + [200, 254]:
        with open(os.path.join(top, "n" * length), "wb") as file:
            file.write(os.urandom(length * 37 % 5000))
    deep = top
    for _ in range(12):
        deep = os.path.join(deep, "d" * 100)
        os.mkdir(deep)
    with open(os.path.join(deep, "leaf"), "wb") as file:
        file.write(b"leaf")
    os.link(os.path.join(top, "n"), os.path.join(top, "hard"))
    os.symlink("../odd name\n", os.path.join(top, "soft"))


@case("archive: file data starts on a page, names fit")
def aligned():
    with scratch() as top:
        os.mkdir(top + "/in")
        make_tree(top + "/in")
        data = pack(top + "/in", top + "/out.cpio")
        files = 0
        for name, fields, body in entries(data):
            if fields[1] & 0o170000 == 0o100000 and fields[6]:
                equal(body % 4096, 0, f"offset of {name[:40]}")
                files += 1
        holds(files > 40, f"only {files} files")
        equal(len(data) % 4096, 0, "length")


@case("archive: cpio(1) unpacks what was packed")
def unpacks():
    with scratch() as top:
        os.mkdir(top + "/in")
        os.mkdir(top + "/back")
        make_tree(top + "/in")
        pack(top + "/in", top + "/out.cpio")
        with open(top + "/out.cpio", "rb") as file:
            subprocess.run(["cpio", "-idm", "--quiet"], cwd=top + "/back", stdin=file, check=True)
        subprocess.run(["diff", "-r", "--no-dereference", top + "/in", top + "/back"], check=True)
        equal(os.stat(top + "/back/hard").st_nlink, 2, "links")


@case("archive: the same tree gives the same bytes")
def deterministic():
    with scratch() as top:
        os.mkdir(top + "/in")
        make_tree(top + "/in")
        holds(pack(top + "/in", top + "/a") == pack(top + "/in", top + "/b"), "they differ")
