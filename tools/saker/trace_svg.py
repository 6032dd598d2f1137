"""A recording as a picture: a track per CPU and per thread, spans as boxes, wake-ups as arrows.

For documents; to look around in a recording, load the JSON file in Perfetto.
"""
from xml.sax.saxutils import escape

from .flame import WIDTH, colour, label
from .trace_spans import IDLE, WORKER

LEFT, ROW, TOP = 130, 13, 46
LEAST = 0.3             # pixels: what is narrower is not drawn
LETTER = 5.6


class Picture:
    def __init__(self, timeline, khz, title):
        self.timeline = timeline
        self.base, self.end = timeline.first, max(timeline.last, timeline.first + 1)
        self.khz = khz
        self.out = []
        self.y = TOP
        self.title = title
        self.tracks = {}        # CPU -> y

    def x(self, tsc):
        return LEFT + (tsc - self.base) * (WIDTH - LEFT - 10) / (self.end - self.base)

    def box(self, name, start, end, y):
        left, width = self.x(start), self.x(end) - self.x(start)
        if width < LEAST:
            return False
        micros = (end - start) * 1000 / self.khz
        shown = label(name, int((width - 4) / LETTER))
        text = f'<text x="{left + 2:.1f}" y="{y + 10}">{escape(shown)}</text>' if shown else ""
        self.out.append(
            f'<g><title>{escape(name)}: {micros:.1f} us</title><rect x="{left:.1f}" y="{y}" '
            f'width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>{text}</g>\n')
        return True

    def name(self, text, y):
        self.out.append(f'<text x="4" y="{y + 10}" font-weight="bold">{escape(text[:22])}</text>\n')

    def cpus(self):
        for cpu in range(len(self.timeline.running)):
            self.tracks[cpu] = self.y
            self.name(f"CPU {cpu}", self.y)
            for on, tid, name, start, end in self.timeline.runs:
                if on == cpu and tid != IDLE:
                    self.box(name, max(start, self.base), end, self.y)
            self.y += ROW + 4

    def threads(self):
        spans = {}
        for span in self.timeline.spans:
            spans.setdefault(span.tid, []).append(span)
        for thread in sorted(self.timeline.threads.values(), key=lambda one: (one.tid >= WORKER, one.tid)):
            mine = spans.get(thread.tid)
            if not mine or thread.tid == IDLE:
                continue
            self.name(f"{thread.name} {thread.tid if thread.tid < WORKER else ''}", self.y)
            deepest = 0
            for span in mine:
                depth = len(span.path()) - 1
                if self.box(span.name, span.start, span.end, self.y + depth * ROW):
                    deepest = max(deepest, depth)
            self.y += (deepest + 1) * ROW + 6

    def arrows(self):
        runs = sorted(run[:2] + run[3:4] for run in self.timeline.runs)
        for tsc, _, cpu, woken in self.timeline.wakes:
            later = min(((start, on) for on, tid, start in runs if tid == woken and start >= tsc),
                        default=None)
            if later and tsc >= self.base:
                self.out.append(f'<line x1="{self.x(tsc):.1f}" y1="{self.tracks[cpu] + ROW}" '
                                f'x2="{self.x(later[0]):.1f}" y2="{self.tracks[later[1]]}" '
                                'stroke="#224" stroke-width="0.7" marker-end="url(#tip)"/>\n')

    def ruler(self):
        length = (self.end - self.base) * 1000 / self.khz
        step = 10 ** (len(str(int(length))) - 1)
        while length / step < 5:
            step /= 2
        mark = 0
        while mark < length:
            x, text = self.x(self.base + mark * self.khz / 1000), f"{mark:g} us"
            # The last one has its place before its line, where there is none behind.
            side = 'x="{:.1f}" text-anchor="end"'.format(x - 2) if x + 2 + len(text) * LETTER > WIDTH else f'x="{x + 2:.1f}"'
            self.out.append(f'<line x1="{x:.1f}" y1="30" x2="{x:.1f}" y2="{self.y}" stroke="#ddd"/>'
                            f'<text {side} y="40" fill="#666">{text}</text>\n')
            mark += step

    def svg(self):
        self.cpus()
        self.threads()
        self.arrows()
        body, self.out = self.out, []
        self.ruler()
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.y + 6}" '
                f'font-family="monospace" font-size="9">\n'
                '<defs><marker id="tip" markerWidth="6" markerHeight="6" refX="5" refY="3" orient="auto">'
                '<path d="M0,0 L6,3 L0,6 z" fill="#224"/></marker></defs>\n'
                f'<rect width="100%" height="100%" fill="#fdfdf6"/>\n'
                f'<text x="4" y="18" font-size="14">{escape(self.title)}</text>\n'
                + "".join(self.out) + "".join(body) + "</svg>\n")


def svg(timeline, khz, title):
    return Picture(timeline, khz, title).svg()
