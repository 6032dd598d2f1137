"""`saker crash`: reports that `run --crash FILE` kept, as text and as a picture.

One report is one JSON object on a line; docs/observability.md has its members.
"""
import json
import os
from xml.sax.saxutils import escape

from . import options as option_words
from .error import Fatal

HELP = """\
usage: ./saker crash [--svg FILE] FILE

Shows the crash reports in FILE, which `saker run --crash FILE` wrote.

  --svg FILE      also the first report as a picture
"""
LINE, CHAR, MARGIN, TOP = 17, 7.25, 18, 46
REGISTER_ROW = 2


def where(frame):
    """A frame in words: function and offset, or file and offset in it."""
    area = frame.get("area")
    if "function" in frame:
        return f"{frame['function']}+{frame['offset']:#x}"
    if area:
        at = int(frame["address"], 16) - int(area["start"], 16) + int(area["offset"], 16)
        return f"{area['name'] or 'anonymous'}+{at:#x}"
    return "?"


def who(report):
    name = report.get("thread") or "none"
    return f"CPU {report['cpu']}  thread {report['tid']} of process {report['pid']} ({name})" if report.get("pid") else \
        f"CPU {report['cpu']}  thread {name}"


def registers(report):
    cells = [f"{name:>6} {int(value, 16):016x}" for name, value in report["registers"].items()]
    return ["  ".join(cells[at:at + REGISTER_ROW]) for at in range(0, len(cells), REGISTER_ROW)]


def frames(report):
    return [f"{int(frame['address'], 16):016x}  {where(frame)}" for frame in report["frames"]]


def areas(report):
    fault = int(report.get("fault_address") or "0", 16)
    out = []
    for area in report["areas"]:
        start, end = int(area["start"], 16), int(area["end"], 16)
        mark = "  <- fault" if start <= fault < end else ""
        out.append(f"{start:012x}-{end:012x} {area['rights']} {area['name']}{mark}")
    return out


def calls(report):
    return [f"{call['name'] or '?'} ({call['number']}) " + (f"= {call['result']}" if "result" in call else "running")
            for call in report["calls"]]


def sections(report):
    """[(heading, lines)]: what there is, most telling first."""
    fault = report.get("fault_address")
    found = [("Notes", report.get("notes", "").splitlines()), ("Call trace, innermost first", frames(report)),
             ("Registers" + (f", fault address {fault}" if fault and int(fault, 16) else ""), registers(report)),
             ("Areas near the fault", areas(report)), ("Last system calls, the newest last", calls(report)),
             ("Trace", report.get("trace", "").splitlines())]
    if report.get("parts_missing"):
        found.append((f"{report['parts_missing']} parts of this report faulted and are missing", []))
    return [one for one in found if one[1] or one[0][0].isdigit()]


def text(report):
    out = [f"{report['kind']}: {report['reason']}", who(report)]
    for heading, lines in sections(report):
        out += ["", heading + (":" if lines else ""), *(f"  {line}" for line in lines)]
    return "\n".join(out) + "\n"


def columns(report):
    """The sections in two columns of about the same height."""
    found = sections(report)
    left = [one for one in found if one[0].split()[0] in ("Notes", "Call", "Registers")]
    return left, [one for one in found if one not in left]


def column_lines(column):
    for heading, lines in column:
        yield "head", heading
        for line in lines:
            yield "mark" if line.endswith(("<- fault", " running")) else "line", line
        yield "line", ""


def svg(report):
    """The report as a picture that needs nothing else."""
    parts = [list(column_lines(column)) for column in columns(report)]
    widths = [max((len(line) for _, line in part), default=0) * CHAR + 2 * MARGIN for part in parts]
    width = max(sum(widths), (len(report["reason"]) + len(report["kind"]) + 2) * CHAR * 1.25 + 2 * MARGIN)
    height = TOP + 24 + max(len(part) for part in parts) * LINE + MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
           f'viewBox="0 0 {width:.0f} {height}" font-family="monospace" font-size="12" xml:space="preserve">\n'
           '<style>text{white-space:pre}.head{fill:#a03020;font-weight:bold}.mark{fill:#c02010}</style>\n'
           f'<rect width="100%" height="100%" fill="#fdfdf6"/><rect width="100%" height="{TOP}" fill="#a03020"/>\n'
           f'<text x="{MARGIN}" y="29" font-size="15" fill="#fff">{escape(report["kind"] + ": " + report["reason"])}</text>\n'
           f'<text x="{MARGIN}" y="{TOP + 18}">{escape(who(report))}</text>\n']
    left = MARGIN
    for part, part_width in zip(parts, widths):
        for row, (style, line) in enumerate(part):
            if line:
                out.append(f'<text class="{style}" x="{left:.0f}" y="{TOP + 44 + row * LINE}">{escape(line)}</text>\n')
        left += part_width
    return "".join(out) + "</svg>\n"


def load(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        raise Fatal(f"crash: {path}: {error.strerror}", 2) from None
    except ValueError:
        raise Fatal(f"crash: {path}: not what run --crash writes", 2) from None


def run(_, args):
    own, rest = option_words.take("crash", HELP, args, {"--svg": 1})
    if len(rest) != 1 or rest[0].startswith("-"):
        raise Fatal("crash: needs one FILE\nTry './saker crash --help'.", 2)
    reports = load(rest[0])
    if not reports:
        raise Fatal(f"crash: {rest[0]}: no report in it", 1)
    for _, values in own:
        try:
            with open(values[0], "w", encoding="utf-8") as file:
                file.write(svg(reports[0]))
        except OSError as error:
            raise Fatal(f"crash: {values[0]}: {error.strerror}", 2) from None
    os.write(1, "\n".join(text(report) for report in reports).encode())
    return 0
