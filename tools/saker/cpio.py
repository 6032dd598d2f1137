"""Write newc cpio archives whose file data starts on 4 KiB boundaries.

Saker maps the pages of initramfs files straight from the archive, so data must be aligned.  newc
has no padding of its own before data; the name field is padded with NULs instead (namesize stays
within 4096, Linux's limit).  Where even that does not reach, a filler entry "." comes first: a
directory that exists anyway.  The same input gives the same bytes.
"""
import os
import stat

ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
PAGE = 4096
HEADER = 110
NAME_MAX = 4096


class Archive:
    """An archive being written to `file`, which must be at an offset that is a multiple of PAGE."""

    def __init__(self, file):
        self.file = file
        self.offset = 0
        self.inode = 0
        self.root_mode = stat.S_IFDIR | 0o755
        self.root_time = 0

    def _write(self, data):
        self.file.write(data)
        self.offset += len(data)

    def _entry(self, name, mode, size=0, namesize=0, uid=0, gid=0, mtime=0, nlink=1, rdev=0,
               inode=0):
        raw = os.fsencode(name)
        namesize = max(namesize, len(raw) + 1)
        fields = (inode, mode, uid, gid, nlink, max(0, mtime), size, 0, 0,
                  os.major(rdev), os.minor(rdev), namesize, 0)
        head = b"070701" + b"".join(b"%08x" % (field & 0xffffffff) for field in fields)
        data = head + raw.ljust(namesize, b"\0")
        self._write(data + b"\0" * (-len(data) % 4))

    def _namesize_for_page(self, name):
        """The name field's size that puts the data on a page, after a filler if one is needed."""
        least = len(os.fsencode(name)) + 1
        least += (2 - least) % 4
        size = -(self.offset + HEADER) % PAGE
        if size >= least:
            return size
        filler = (self.offset + HEADER + size) - self.offset - HEADER + PAGE - HEADER - least
        if not 2 <= filler <= NAME_MAX:
            return 0
        self._entry(".", self.root_mode, namesize=filler, nlink=2, mtime=self.root_time)
        return least

    def add(self, name, mode, source=None, data=b"", uid=0, gid=0, mtime=0, nlink=1, rdev=0,
            inode=None):
        """One entry.  A regular file's bytes come from the path `source` or from `data`; a
        symlink's target is `data`.  Entries with the same `inode` are one file; the last of them
        brings the bytes."""
        if inode is None:
            self.inode += 1
            inode = self.inode
        if name == ".":
            self.root_mode = mode
            self.root_time = mtime
        handle = open(source, "rb") if source is not None else None
        size = os.fstat(handle.fileno()).st_size if handle else len(data)
        if size >= 1 << 32:
            raise OSError(f"{source}: more than 4 GiB do not fit in a cpio archive")
        namesize = self._namesize_for_page(name) if stat.S_ISREG(mode) and size else 0
        self._entry(name, mode, size, namesize, uid, gid, mtime, nlink, rdev, inode)
        if handle:
            with handle:
                left = size
                while left:
                    part = handle.read(min(left, 1 << 20))
                    if not part:
                        raise OSError(f"{source}: shrank while it was being read")
                    self._write(part)
                    left -= len(part)
        else:
            self._write(data)
        self._write(b"\0" * (-self.offset % 4))

    def finish(self):
        self._entry("TRAILER!!!", 0)
        self._write(b"\0" * (-self.offset % PAGE))


def _owner(value, mine):
    """Files of an unprivileged user are root's in the guest, as everything there is."""
    return 0 if mine and value == mine else value


def _tree(top):
    """(name, path, lstat) of everything under top, parents first, in a fixed order."""
    stack = [(".", top)]
    while stack:
        name, path = stack.pop()
        info = os.lstat(path)
        yield name, path, info
        if stat.S_ISDIR(info.st_mode):
            prefix = "" if name == "." else name + "/"
            children = sorted(os.listdir(path), reverse=True)
            stack.extend((prefix + child, os.path.join(path, child)) for child in children)


def add_directory(archive, top):
    """Everything below the directory `top` becomes the root."""
    mine_uid, mine_gid = os.geteuid(), os.getegid()
    entries = list(_tree(top))
    links = {}
    for name, _, info in entries:
        if info.st_nlink > 1 and stat.S_ISREG(info.st_mode):
            links.setdefault((info.st_dev, info.st_ino), []).append(name)
    inodes = {}
    for name, path, info in entries:
        mode = info.st_mode
        common = {"uid": _owner(info.st_uid, mine_uid), "gid": _owner(info.st_gid, mine_gid),
                  "mtime": int(info.st_mtime)}
        names = links.get((info.st_dev, info.st_ino), ())
        if len(names) > 1 and stat.S_ISREG(mode):
            if name == names[0]:
                archive.inode += 1
                inodes[info.st_ino, info.st_dev] = archive.inode
            archive.add(name, mode, source=path if name == names[-1] else None,
                        nlink=len(names), inode=inodes[info.st_ino, info.st_dev], **common)
        elif stat.S_ISREG(mode):
            archive.add(name, mode, source=path, **common)
        elif stat.S_ISLNK(mode):
            archive.add(name, mode, data=os.fsencode(os.readlink(path)), **common)
        elif stat.S_ISDIR(mode):
            archive.add(name, mode, nlink=2, **common)
        else:
            archive.add(name, mode, rdev=info.st_rdev, **common)


def add_spec(archive, path, base, mtime=0):
    """A specification, one entry a line, paths relative to `base`:

        dir NAME MODE | file NAME MODE SOURCE | slink NAME TARGET | nod NAME MODE c|b MAJOR MINOR
        text NAME MODE REST-OF-LINE (with \\n, \\t and \\\\)
        applets LIST TARGET     a symlink to TARGET for each absolute path in the file LIST
    """
    import re  # only here: the launcher packs directories and should start at once
    seen = set()

    def add(name, mode, **rest):
        seen.add(name)
        archive.add(name, mode, mtime=mtime, **rest)

    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split("#")[0].split() if not line.startswith("text ") else line.split()
            if not words:
                continue
            kind, name = words[0], words[1].strip("/") or "."
            if kind == "dir":
                add(name, stat.S_IFDIR | int(words[2], 8), nlink=2)
            elif kind == "file":
                add(name, stat.S_IFREG | int(words[2], 8), source=os.path.join(base, words[3]))
            elif kind == "text":
                text = re.sub(r"\\(.)", lambda found: ESCAPES[found.group(1)],
                              line.rstrip("\n").split(" ", 3)[3])
                add(name, stat.S_IFREG | int(words[2], 8), data=text.encode())
            elif kind == "slink":
                add(name, stat.S_IFLNK | 0o777, data=words[2].encode())
            elif kind == "nod":
                kind_bit = stat.S_IFCHR if words[3] == "c" else stat.S_IFBLK
                add(name, kind_bit | int(words[2], 8),
                    rdev=os.makedev(int(words[4]), int(words[5])))
            elif kind == "applets":
                with open(os.path.join(base, words[1]), encoding="utf-8") as links:
                    for link in sorted(set(links.read().split())):
                        if link.strip("/") not in seen:
                            add(link.strip("/"), stat.S_IFLNK | 0o777, data=words[2].encode())
            else:
                raise ValueError(f"{path}:{number}: {kind}: not a kind of entry")
