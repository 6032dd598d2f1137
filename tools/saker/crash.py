"""Crash reports on the console: text for people, and the lines `crash-json: PIECE` for `--crash FILE`."""
import re

_LINE = re.compile(rb"(?m)^(?:\[ *[0-9.]+\] )?crash-json(-end)?(?:: (.*?))?\r*(?:\n|\Z)")


def without_json(log):
    """What a person is shown of a log."""
    return _LINE.sub(b"", log)


class Reports:
    """Puts the pieces on the console together: one report is one line of the file."""

    def __init__(self, file):
        self.file = file
        self.line = b""
        self.pieces = b""

    def feed(self, data):
        self.line += data
        *lines, self.line = self.line.split(b"\n")
        for line in lines:
            found = _LINE.match(line)
            if not found:
                continue
            if found.group(1):
                self.file.write(self.pieces + b"\n")
                self.file.flush()
                self.pieces = b""
            else:
                self.pieces += found.group(2) or b""
