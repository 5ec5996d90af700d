"""Parts of the drawings in docs/img: SVG as text, the same bytes at each run."""

from collections.abc import Iterable

INK, PAPER, STRONG, WEAK, LIGHT = "#263238", "#ffffff", "#00796b", "#b0bec5", "#e0f2f1"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def picture(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    """A whole drawing on white paper, so that it can be read on a dark page too; sizes in px."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}" font-size="14">'
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>'
    )
    paper = f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>'
    return "\n".join([head, f"<title>{title}</title>", arrow, paper, *parts, "</svg>"]) + "\n"


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Words on one line; `anchor` tells whether it starts, ends or has its middle at x."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{INK}">{words}</text>'


def bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    """A filled rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'


def box(x: float, y: float, width: float, height: float, lines: Iterable[str]) -> list[str]:
    """A box with lines of words in its middle."""
    lines = list(lines)
    shape = f'rx="6" fill="{LIGHT}" stroke="{STRONG}"'
    first = y + height / 2 - 9 * (len(lines) - 1) + 5
    words = [text(x + width / 2, first + 18 * place, line, "middle") for place, line in enumerate(lines)]
    return [f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {shape}/>', *words]


def arrow(path: str, both: bool = False) -> str:
    """A line with a head at its end, or at `both` ends; `path` is in SVG's own language."""
    start = ' marker-start="url(#arrow)"' if both else ""
    return f'<path d="{path}" fill="none" stroke="{INK}" marker-end="url(#arrow)"{start}/>'
