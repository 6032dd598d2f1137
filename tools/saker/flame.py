"""Flame graphs: a self-contained SVG from folded stacks, and the folded form itself.

stacks: {("process", "outer", ..., "inner"): value}.  Click a box to zoom, click the ground to go back.
"""
from xml.sax.saxutils import escape

WIDTH, ROW, TOP = 1200, 17, 40
LEAST = 0.15            # pixels: what is narrower is not drawn
_SCRIPT = """
function zoom(e){var b=e.currentTarget.querySelector('rect'),x=+b.dataset.x,w=+b.dataset.w,W=%d;
document.querySelectorAll('g.f').forEach(function(g){var r=g.querySelector('rect'),t=g.querySelector('text'),
a=(r.dataset.x-x)/w*W,n=r.dataset.w/w*W;if(a<0){n+=a;a=0}if(a+n>W)n=W-a;
if(n<=0.1){g.style.display='none';return}g.style.display='';r.setAttribute('x',a);r.setAttribute('width',n);
t.setAttribute('x',a+3);var k=Math.floor((n-6)/6.6),s=t.dataset.n;t.textContent=s.length<=k?s:k<3?'':s.slice(0,k)})}
"""


def fold(stacks):
    return "".join(f"{';'.join(stack)} {value}\n" for stack, value in sorted(stacks.items()) if value)


class Node:
    __slots__ = ("value", "children")

    def __init__(self):
        self.value = 0
        self.children = {}


def tree(stacks):
    root = Node()
    for stack, value in stacks.items():
        root.value += value
        node = root
        for name in stack:
            node = node.children.setdefault(name, Node())
            node.value += value
    return root


def colour(name):
    """Warm for the kernel, green for user mode, the same for a name everywhere."""
    mix = sum(ord(letter) * (index + 7) for index, letter in enumerate(name)) % 60
    if name == "user" or name.startswith("["):
        return f"rgb({100 + mix},{190 + mix // 2},{100 + mix})"
    return f"rgb({205 + mix % 50},{90 + mix * 2},{40 + mix // 2})"


def label(name, room):
    """A name in room letters: whole if it goes in, else its beginning if that says anything."""
    return name if len(name) <= room else name[:room] if room >= 3 else ""


def depth_of(node):
    return 1 + max((depth_of(child) for child in node.children.values()), default=0)


def boxes(node, name, left, width, level, total, unit):
    if width < LEAST:
        return
    share = f"{node.value / total:.1%}" if total else ""
    y = TOP + level * ROW
    shown = escape(label(name, int((width - 6) / 6.6)))
    full = escape(name, {'"': "&quot;"})
    yield (f'<g class="f" onclick="zoom(event)"><title>{full}: {node.value:.0f} {unit}, {share}'
           f'</title><rect x="{left:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" '
           f'data-x="{left:.2f}" data-w="{width:.2f}" fill="{colour(name)}"/>'
           f'<text x="{left + 3:.2f}" y="{y + 12}" data-n="{full}">{shown}</text></g>\n')
    for inner, child in sorted(node.children.items()):
        part = width * child.value / node.value if node.value else 0
        yield from boxes(child, inner, left, part, level + 1, total, unit)
        left += part


def svg(stacks, title, unit):
    root = tree(stacks)
    height = TOP + depth_of(root) * ROW + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">\n'
           f'<style>g.f{{cursor:pointer}}g.f:hover rect{{stroke:#000}}</style>\n'
           f"<script><![CDATA[{_SCRIPT % WIDTH}]]></script>\n"
           f'<rect width="100%" height="100%" fill="#fdfdf6"/>\n'
           f'<text x="{WIDTH / 2}" y="22" font-size="15" text-anchor="middle">{escape(title)}</text>\n']
    out += boxes(root, "all", 0, WIDTH, 0, root.value, unit)
    out.append("</svg>\n")
    return "".join(out)
