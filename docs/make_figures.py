"""Draw the figures of docs/img that no stage makes.

    python -m docs.make_figures

The seconds of `repro.svg` are the last that `python -m benchmarks.repro` printed; whoever measures again changes them
here. `graph.svg` is drawn from the graph in docs/reference-pipeline.md, which a test holds to dvc.yaml.
"""

import re
import sys
from pathlib import Path

from docs.drawing import STRONG, WEAK, arrow, bar, box, picture, text

DOCS = Path(__file__).parent
SECONDS = [("176 stages run", 2.7, 47.7), ("176 stages restored", 2.3, 46.2), ("nothing to do", 0.6, 1.9)]
NODE = re.compile(r'^[ \t]*(node\d+)\["(.+)"\]$', re.MULTILINE)
EDGE = re.compile(r"^[ \t]*(node\d+)-->(node\d+)$", re.MULTILINE)
WIDTH = 760  # px, of all figures, if they need no more
LEFT, STEP, STAGE = 170, 97, 80  # px: where the graph's first stages stand, to the next ones, and their width


def repro() -> str:
    """How long the same work takes with gliaflow and with DVC: two bars for each kind of work."""
    left, top, height, room = 190, 52, 18, 8.0  # px; room is px a second
    parts = [bar(left, 18, 14, 14, STRONG), text(left + 20, 30, "gliaflow repro")]
    parts += [bar(left + 150, 18, 14, 14, WEAK), text(left + 170, 30, "dvc repro")]
    for place, (what, ours, peer) in enumerate(SECONDS):
        y = top + place * 58
        parts.append(text(left - 12, y + height + 5, what, "end"))
        for line, (seconds, colour) in enumerate(((ours, STRONG), (peer, WEAK))):
            parts.append(bar(left, y + line * height, seconds * room, height - 2, colour))
            parts.append(text(left + seconds * room + 8, y + (line + 1) * height - 5, f"{seconds} s"))
    title = "; ".join(f"{what}: {ours} s against {peer} s" for what, ours, peer in SECONDS)
    return picture(WIDTH, top + len(SECONDS) * 58, title, parts)


def team() -> str:
    """Who talks to whom in a team."""
    places = {
        "laptop": (20, 105, ["laptop", "gliaflow repro --pools"]),
        "server": (280, 20, ["Prefect server", "which stage, where"]),
        "git": (280, 105, ["git remote", "code"]),
        "dvc": (280, 190, ["DVC remote", "data and results"]),
        "host": (540, 105, ["host with GPUs", "gliaflow worker gpu"]),
    }
    parts = [part for x, y, lines in places.values() for part in box(x, y, 200, 60, lines)]
    for y, at in ((50, 115), (135, 135), (220, 155)):
        parts += [arrow(f"M222,{at} L278,{y}", both=True), arrow(f"M482,{y} L538,{at}", both=True)]
    title = "A laptop and a host reach each other only through the Prefect server, the git remote and the DVC remote"
    return picture(WIDTH, 270, title, parts)


def graph() -> str:
    """The graph of the reference pipeline: from left to right, each stage after those whose outputs it reads."""
    source = (DOCS / "reference-pipeline.md").read_text()
    names, edges = dict(NODE.findall(source)), EDGE.findall(source)
    assert names, "docs/reference-pipeline.md holds no graph as `dvc dag --mermaid` prints it"
    depth = {node: _depth(node, edges) for node in names}
    rows = dict[str, list[str]]()
    for node, name in names.items():
        rows.setdefault(_pipeline(name), []).append(node)
    parts, places, y = list[str](), dict[str, tuple[float, float]](), 0.0
    for row, nodes in rows.items():
        y += 16 + 16 * max(depth[b] - depth[a] for a, b in edges if a in nodes)
        parts.append(text(20, y + 21, row))
        nodes.sort(key=lambda node: -sum(start == node for start, _ in edges))  # lines go out of the upper ones
        stacks = [[node for node in nodes if depth[node] == column] for column in range(max(depth.values()) + 1)]
        for column, stack in enumerate(stacks):
            places |= {node: (LEFT + column * STEP, y + 44 * place) for place, node in enumerate(stack)}
        y += 44 * max(map(len, stacks)) - 12
    parts += [_edge(places[a], places[b], depth[b] - depth[a]) for a, b in edges]
    for node, (x, top) in places.items():
        parts += box(x, top, STAGE, 32, [names[node].partition("-")[2].partition("@")[0]])
    width = max(WIDTH, max(x for x, _ in places.values()) + STAGE + 20)
    return picture(int(width), int(y) + 20, "The stages of the reference pipeline, and what each waits for", parts)


def _pipeline(name: str) -> str:
    """The part of the graph that a stage belongs to: "regression, growing" of regression-train@growing."""
    return ", ".join(filter(None, [name.partition("-")[0], name.partition("@")[2]]))


def _depth(node: str, edges: list[tuple[str, str]]) -> int:
    return max((_depth(a, edges) + 1 for a, b in edges if b == node), default=0)


def _edge(start: tuple[float, float], end: tuple[float, float], span: int) -> str:
    """Straight between neighbours; else above the stages between, or below them to a stage that stands lower."""
    (x, y), (to_x, to_y) = start, end
    if span == 1:
        return arrow(f"M{x + STAGE:g},{y + 16:g} L{to_x - 1:g},{to_y + 16:g}")
    if to_y > y:
        low = to_y + 25
        return arrow(f"M{x + 60:g},{y + 32:g} C{x + 80:g},{low:g} {to_x - STAGE:g},{low:g} {to_x - 1:g},{low:g}")
    high = min(y, to_y) - 22 * span
    return arrow(f"M{x + 60:g},{y:g} C{x + 80:g},{high:g} {to_x + 5:g},{high:g} {to_x + 25:g},{to_y - 1:g}")


FIGURES = {"repro.svg": repro, "team.svg": team, "graph.svg": graph}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        (DOCS / "img" / name).write_text(draw())
        print(f"wrote {DOCS / 'img' / name}", file=sys.stderr)
