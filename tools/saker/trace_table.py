"""The table of a recording, and the difference between two."""
import json

from .error import Fatal

COLUMNS = ("count", "total", "mean", "p50", "p99", "max", "self")


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rows(timeline, khz):
    """{name: {count, total, mean, p50, p99, max, self}} in microseconds."""
    lengths, own = {}, {}
    for span in timeline.spans:
        lengths.setdefault(span.name, []).append(span.end - span.start)
        own[span.name] = own.get(span.name, 0) + span.self_time
    out = {}
    scale = 1000 / khz
    for name, values in lengths.items():
        values.sort()
        total = sum(values)
        out[name] = {"count": len(values), "total": total * scale,
                     "mean": total / len(values) * scale, "p50": quantile(values, 0.5) * scale,
                     "p99": quantile(values, 0.99) * scale, "max": values[-1] * scale,
                     "self": own[name] * scale}
    for thread in timeline.threads.values():
        for name, ticks in thread.outside.items():
            row = out.setdefault(name, {"count": 0, "self": 0.0})
            row["self"] += ticks * scale
    return out


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def text(table):
    lines = [("span", *COLUMNS)]
    for name, row in sorted(table.items(), key=lambda one: -one[1]["self"]):
        lines.append((name, str(row["count"] or "-"),
                      *(number(row.get(column)) for column in COLUMNS[1:])))
    return layout(lines, "times in microseconds; self: on a CPU, without the spans inside")


def layout(lines, note):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        out.append("  ".join(cells).rstrip())
    return "\n".join([*out, f"({note})", ""])


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            recording = json.load(file)
        return recording["otherData"]["saker"]["rows"]
    except OSError as error:
        raise Fatal(f"{path}: {error.strerror}", 2) from None
    except (ValueError, KeyError, TypeError):
        raise Fatal(f"{path}: not a recording of saker trace", 2) from None


def diff(first, second):
    """Two recordings' tables side by side, the largest change of self time first."""
    before, after = load(first), load(second)
    lines = [("span", "count", "count", "mean", "mean", "change", "self", "self", "change")]

    def change(a, b):
        return f"{(b / a - 1) * 100:+.1f}%" if a and b is not None else "new" if b else "-"
    names = sorted(set(before) | set(after), key=lambda name: -abs(
        after.get(name, {}).get("self", 0) - before.get(name, {}).get("self", 0)))
    for name in names:
        a, b = before.get(name, {}), after.get(name, {})
        lines.append((name, str(a.get("count", 0)), str(b.get("count", 0)),
                      number(a.get("mean")), number(b.get("mean")),
                      change(a.get("mean"), b.get("mean")), number(a.get("self", 0)),
                      number(b.get("self", 0)), change(a.get("self", 0), b.get("self", 0))))
    return layout(lines, "first recording, second recording; times in microseconds")
