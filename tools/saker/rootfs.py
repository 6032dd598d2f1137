"""The initramfs of a run: the default one, a directory packed now, or somebody's archive."""
import os
import stat

from .error import Fatal
from .qemu import INITRD_FD, PORT_MODULES

AGENT = "/.saker-agent"
MODULES = ".saker-modules"      # guest/port.c
# newc with and without checksums, and what Linux decompresses.
_MAGIC = (b"070701", b"070702", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\0\0", b"\x89LZO",
          b"\x02\x21\x4c\x18", b"\x28\xb5\x2f\xfd")


def _copy(path, target):
    with open(path, "rb") as source:
        while True:
            part = source.read(1 << 20)
            if not part:
                return
            target.write(part)


def _check_archive(path):
    with open(path, "rb") as file:
        head = file.read(6)
    if not head.startswith(_MAGIC):
        raise Fatal(f"--rootfs {path}: neither a directory nor a cpio archive; disk images need "
                    "a disk, and there is no such device yet", 2)


def modules(options):
    """Files with the drivers that the agent's port needs, in the order of loading.  A kernel that
    has some as modules has them in a directory beside it, as Debian's in build/linux."""
    top = os.path.join(os.path.dirname(options.kernel), "modules/kernel")
    paths = [os.path.join(top, name + ".ko") for name in PORT_MODULES[options.machine]] if options.port else []
    return [path for path in paths if os.path.exists(path)]


def add_modules(file, paths):
    from . import cpio
    file.write(b"\0" * (-file.tell() % 4096))
    archive = cpio.Archive(file)
    archive.add(MODULES, stat.S_IFDIR | 0o700, nlink=2)
    for number, path in enumerate(paths):
        archive.add(f"{MODULES}/{number:02}-{os.path.basename(path)}", stat.S_IFREG | 0o600, path)
    archive.finish()


def default_root(path, drivers):
    if not os.path.exists(path):
        raise Fatal("build/initramfs.cpio is missing; run make")
    if not drivers:
        return path, "/init", None
    fd = os.memfd_create("initramfs", 0)
    with open(fd, "wb", buffering=1 << 20, closefd=False) as file:
        _copy(path, file)
        add_modules(file, drivers)
    return f"/proc/self/fd/{INITRD_FD}", "/init", fd


def prepare(options):
    """(file for -initrd, init's path, descriptor that QEMU gets as INITRD_FD or None)."""
    top = options.top
    drivers = modules(options)
    if options.rootfs is None:
        return default_root(os.path.join(top, "build/initramfs.cpio"), drivers)
    agent = os.path.join(top, "build/agent.cpio")
    if not os.path.exists(agent):
        raise Fatal("build/agent.cpio is missing; run make")
    try:
        directory = stat.S_ISDIR(os.stat(options.rootfs).st_mode)
        if not directory:
            _check_archive(options.rootfs)
        fd = os.memfd_create("initramfs", 0)
        with open(fd, "wb", buffering=1 << 20, closefd=False) as file:
            if directory:
                from . import cpio
                archive = cpio.Archive(file)
                cpio.add_directory(archive, options.rootfs)
                archive.finish()
            else:
                _copy(options.rootfs, file)
                # Each archive starts on a page, which keeps its files' data there too.
                file.write(b"\0" * (-file.tell() % 4096))
            _copy(agent, file)
            if drivers:
                add_modules(file, drivers)
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else options.rootfs
        raise Fatal(f"--rootfs {name}: {error.strerror or error}", 2) from None
    return f"/proc/self/fd/{INITRD_FD}", AGENT, fd
