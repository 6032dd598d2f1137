"""`saker bisect -- CMD`: which page, mapped ahead of its first use, makes a boot fail?

exec maps pages of a program before it runs (docs/exec-image.md); prefault_limit=N limits how many of them
an image may bring, in ascending order of their addresses.  A boot fails when CMD does not end with
status 0.  The least N that fails is found by halving; a last boot with debug=verify has the kernel
name the N-th page, or verify's own report if the bytes are wrong.
"""
import os
import re
import subprocess
import tempfile

from .error import Fatal

USAGE = """\
usage: ./saker bisect [options of run] -- CMD [ARG...]

Boots CMD again and again with prefault_limit=N and names the first page that exec maps ahead of its use
and that makes CMD fail: end with a status other than 0, or the kernel panic.
Status 0: found.  1: CMD does not fail, or it fails with no page mapped ahead too.
"""
MOST = 16384            # IMAGE_MAX_PAGES of kern/vm/image.h
_LAST = re.compile(r"verify: (\S+): (\d+) pages mapped ahead, (the last at .*)")
_BREACH = re.compile(r"Kernel panic - not syncing: (verify at .*)")


class Search:
    def __init__(self, top, words):
        at = words.index("--")
        self.program = os.path.join(top, "saker")
        self.options, self.command = words[:at], words[at:]
        self.boots = 0

    def boot(self, limit, append="", log=None):
        """The status of one boot."""
        self.boots += 1
        words, given = [], ""
        options = iter(self.options)
        for word in options:
            if word == "--append":
                given = next(options, "")
            elif word.startswith("--append="):
                given = word[len("--append="):]
            else:
                words.append(word)
        words += ["--append", f"{given} prefault_limit={limit} {append}".strip()]
        if log:
            words += ["--log", log]
        done = subprocess.run([self.program, "run", *words, *self.command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        print(f"prefault_limit={limit}: status {done.returncode}", flush=True)
        if done.returncode == 2:
            raise Fatal("bisect: run does not take these options; try them with ./saker run", 2)
        return done.returncode

    def least(self):
        """The least limit that fails; None: none does, 0: it is not for a page mapped ahead."""
        if self.boot(MOST) == 0:
            return None
        if self.boot(0) != 0:
            return 0
        good, bad = 0, MOST
        while bad - good > 1:
            middle = (good + bad) // 2
            if self.boot(middle) == 0:
                good = middle
            else:
                bad = middle
        return bad

    def page(self, limit):
        """What the kernel says of the limit-th page."""
        with tempfile.NamedTemporaryFile(suffix=".log") as file:
            self.boot(limit, "debug=verify loglevel=6", file.name)
            log = file.read().decode(errors="replace")
        found = [match for match in _LAST.finditer(log) if int(match.group(2)) == limit]
        lines = [f"{found[-1].group(1)}: {found[-1].group(3).strip()}"] if found else []
        breach = _BREACH.search(log)
        if breach:
            lines.append(breach.group(1).strip())
        return lines


def run(top, words):
    if "--" not in words or words[-1] == "--" or "-h" in words or "--help" in words:
        print(USAGE, end="")
        return 0 if "-h" in words or "--help" in words else 2
    search = Search(top, words)
    limit = search.least()
    if limit is None:
        print("the command does not fail")
        return 1
    if limit == 0:
        print("the command fails with no page mapped ahead, too")
        return 1
    lines = search.page(limit)
    print(f"page {limit} of those mapped ahead makes it fail ({search.boots} boots)")
    for line in lines or ["the kernel did not name it: the program fails before its exec ends"]:
        print(f"  {line}")
    return 0
