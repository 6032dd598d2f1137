"""How a benchmark report is shown: a table, a comparison, a page with plots."""
import html as markup
import math
import os

WIDE = 0.10
NOISE = 0.03        # by which two boots may differ
COLOURS = {"saker": "#0b6e4f", "linux_mitigations_off": "#b5651d", "linux": "#777"}


def number(value):
    if value is None:
        return "-"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.4g}{unit}"
    return f"{value:.4g}"


def ratio(value):
    return "-" if value is None else f"{value:.3f}"


def mean(values):
    """The geometric mean."""
    values = [value for value in values if value]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def curve_points(curves, name):
    return [point for point in curves if point["name"] == name]


def steeper(curves):
    """
    Where a curve rises more than Linux's: {name: [[x, next x, Saker's rise, Linux's rise], ...]}, a list for each curve
    that has figures of both.  A rise within the noise of the two figures is none.
    """
    found = {}
    for name in dict.fromkeys(point["name"] for point in curves):
        points = [point for point in curve_points(curves, name)
                  if point.get("saker") and point.get("linux_mitigations_off")]
        if len(points) < 2:
            continue
        found[name] = []
        for low, high in zip(points, points[1:]):
            ours = high["saker"] - low["saker"]
            theirs = high["linux_mitigations_off"] - low["linux_mitigations_off"]
            if ours > NOISE * high["saker"] and ours > theirs:
                found[name].append([low["x"], high["x"], ours, theirs])
    return found


def verdicts(full):
    lines = []
    for name, stretches in full.get("steeper", {}).items():
        if not stretches:
            lines.append(f"{name}: no steeper than Linux's")
        for low, high, ours, theirs in stretches:
            lines.append(f"{name}: steeper than Linux's from {number(low)} to {number(high)}: "
                         f"+{number(ours)}, Linux {theirs:+.0f}")
    return lines


def table(full):
    head = ("row", "saker", "linux", "linux m=off", "ratio", "user floor", "kernel ratio", "")
    lines = [head]
    for row in full["rows"]:
        wide = [kernel for kernel, one in row.get("spread", {}).items() if one > WIDE]
        lines.append((row["name"], number(row["saker"]), number(row["linux"]),
                      number(row["linux_mitigations_off"]), ratio(row["ratio"]),
                      number(row["user_floor"]), ratio(row.get("kernel_ratio")),
                      "wide: " + ", ".join(f"{one} {row['spread'][one]:.0%}" for one in wide)
                      if wide else row.get("unit", "")))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = "\n".join("  ".join(cell.ljust(width) if i in (0, 7) else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)
    unit = "instructions" if "icount" in full["machine"]["accel"] else "ns"
    overall = ratio(mean([row["ratio"] for row in full["rows"]]))
    text = f"{unit} per iteration\n{text}\ngeometric mean of the ratios: {overall}"
    for point in full["curves"]:
        text += (f"\ncurve {point['name']} {point['x']}: saker {number(point.get('saker'))} "
                 f"linux m=off {number(point.get('linux_mitigations_off'))}")
    return "\n".join([text, *verdicts(full)])


def against(full, old):
    """Saker's figures now and then."""
    before = {row["name"]: row for row in old["rows"]}
    lines = ["against the earlier report (saker, now / then):"]
    for row in full["rows"]:
        then = before.get(row["name"], {}).get("saker")
        if not then or row["saker"] is None:
            lines.append(f"  {row['name']:20} only in one of the two")
        elif before[row["name"]]["measure"] != row["measure"]:
            lines.append(f"  {row['name']:20} another measure")
        else:
            lines.append(f"  {row['name']:20} {number(row['saker']):>8} {number(then):>8} "
                         f"{row['saker'] / then:.3f}")
    now = {row["name"] for row in full["rows"]}
    lines += [f"  {name:20} only in one of the two" for name in before if name not in now]
    return "\n".join(lines)


def text_svg(x, y, words, anchor="start", size=11):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-family="sans-serif">{markup.escape(words)}</text>')


def svg(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}">{"".join(parts)}</svg>')


def bars(rows):
    """One bar per row; the line is equality."""
    rows = [row for row in rows if row["ratio"]]
    if not rows:
        return svg(10, 10, [])
    high = max(1.0, *(row["ratio"] for row in rows))
    bottom = 24 + 16 * len(rows)

    def x_of(value):
        return 150 + 560 * value / high
    parts = []
    for tenth in range(0, math.floor(10 * high) + 1):
        x, one = x_of(tenth / 10), tenth == 10
        parts.append(f'<line x1="{x:.1f}" y1="12" x2="{x:.1f}" y2="{bottom}" '
                     f'stroke="{"#000" if one else "#ddd"}"{" stroke-dasharray=" + chr(34) + "3" + chr(34) if one else ""}/>')
        if tenth % 5 == 0:
            parts.append(text_svg(x, bottom + 14, "1 = Linux, mitigations=off" if one else f"{tenth / 10:g}", "middle"))
    for i, row in enumerate(rows):
        y = 20 + 16 * i
        colour = COLOURS["saker"] if row["ratio"] <= 1 else "#c0392b"
        end = x_of(row["ratio"])
        parts.append(text_svg(144, y + 10, row["name"], "end"))
        parts.append(f'<rect x="150" y="{y}" width="{max(1, end - 150):.1f}" height="12" fill="{colour}"/>')
        parts.append(f'<rect x="{end + 2:.1f}" y="{y}" width="34" height="12" fill="#fff"/>')
        parts.append(text_svg(end + 4, y + 10, ratio(row["ratio"])))
    return svg(800, bottom + 22, parts)


def curve(name, points, measure):
    """Both axes logarithmic."""
    kernels = [kernel for kernel in COLOURS if any(point.get(kernel) for point in points)]
    values = [point[kernel] for point in points for kernel in kernels if point.get(kernel)]
    if len(points) < 2 or not values:
        return ""
    x0, x1 = (math.log10(points[0]["x"]), math.log10(points[-1]["x"]))
    y0, y1 = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1
    parts = [text_svg(10, 16, f"{name} ({measure} per iteration)", size=13),
             '<rect x="70" y="26" width="330" height="180" fill="none" stroke="#ccc"/>']
    ends = []
    for kernel in kernels:
        marks = [(70 + 330 * (math.log10(point["x"]) - x0) / (x1 - x0),
                  206 - 180 * (math.log10(point[kernel]) - y0) / (y1 - y0))
                 for point in points if point.get(kernel)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in marks)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[kernel]}" '
                     'stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[kernel]}"/>'
                  for x, y in marks]
        ends.append((marks[-1][1] + 4, kernel))
    below = 0.0
    for y, kernel in sorted(ends):
        below = max(y, below + 11)
        parts.append(text_svg(410, below, kernel, size=10))
    for value in (min(values), max(values)):
        parts.append(text_svg(66, 210 - 180 * (math.log10(value) - y0) / (y1 - y0),
                              number(value), "end"))
    for point in points:
        parts.append(text_svg(70 + 330 * (math.log10(point["x"]) - x0) / (x1 - x0), 222,
                              number(point["x"]), "middle"))
    return svg(540, 230, parts)


def rows_html(full):
    cells = ["name", "saker", "linux", "linux_mitigations_off", "ratio", "user_floor",
             "kernel_ratio"]
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in cells) + "<th>events on Saker</th></tr>"]
    for row in full["rows"]:
        events = ", ".join(f"{name} {value:g}" for name, value in row.get("events", {}).items()
                           if value)
        shown = [row["name"]] + [number(row.get(cell)) if "ratio" not in cell
                                 else ratio(row.get(cell)) for cell in cells[1:]]
        lines.append("<tr>" + "".join(f"<td>{markup.escape(one)}</td>" for one in shown) +
                     f"<td>{events}</td></tr>")
    return "<table>" + "\n".join(lines) + "</table>"


def html(full, out):
    measure = "instructions" if "icount" in full["machine"]["accel"] else "time"
    plots = [("ratios", bars(full["rows"]))]
    for name in dict.fromkeys(point["name"] for point in full["curves"]):
        plots.append((name, curve(name, curve_points(full["curves"], name), measure)))
    for name, picture in plots:
        if picture:
            with open(os.path.join(out, f"{name}.svg"), "w", encoding="utf-8") as file:
                file.write(picture)
    facts = "".join(f"<li>{markup.escape(f'{key}: {value}')}</li>"
                    for part in ("machine", "kernels") for key, value in full[part].items())
    page = ("<!doctype html><meta charset=utf-8><title>Saker against Linux</title><style>"
            "body{font-family:sans-serif;margin:2em;color:#000;background:#fff}svg{max-width:100%;height:auto}"
            "table{border-collapse:collapse;font-size:13px}td,th{padding:2px 8px;text-align:right}"
            "tr:nth-child(even){background:#f2f2f2}td{white-space:nowrap}"
            "td:first-child,td:last-child{text-align:left}td:last-child{color:#555;white-space:normal}"
            "div{overflow-x:auto}</style>"
            f"<h1>Saker against Linux</h1><ul>{facts}</ul><p>{measure} per iteration; ratio = saker "
            "/ linux_mitigations_off</p>" + "".join(picture for _, picture in plots) +
            "<ul>" + "".join(f"<li>{markup.escape(line)}</li>" for line in verdicts(full)) + "</ul>" +
            "<div>" + rows_html(full) + "</div>")
    with open(os.path.join(out, "report.html"), "w", encoding="utf-8") as file:
        file.write(page)
