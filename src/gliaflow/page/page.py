"""One page that tells of a run: put together here, and written whole."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

from gliaflow.errors import UserError
from gliaflow.page import again, results, stages
from gliaflow.page.critical import critical_path, share
from gliaflow.page.drawing.graph import graph
from gliaflow.page.drawing.looks import counts
from gliaflow.page.drawing.timeline import MOST_BARS, timeline
from gliaflow.page.facts import RunFacts, facts
from gliaflow.page.markup import Child, duration, moment, number, tag, written

MOST_BYTES = 4_900_000  # of a page
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SIGNS = {"running": "▶", "completed": "✓", "failed": "✗", "cancelled": "⊘", "crashed": "✂"}
TELLS = {
    "running": "This run goes on. The page tells what was known when it was made.",
    "cancelled": "Somebody ended this run before its stages did.",
    "crashed": "This run was killed: its journal has no end. What it tells is whole up to there.",
}
LEGEND = "✓ ran · ↺ ↓ ☑ restored, pulled or verified · = unchanged · ✗ failed · ⊘ skipped · thick: on the critical path"


def write(journal: Path, out: Path) -> RunFacts:
    """Write the page of the run in `journal` to the file `out`, whole or not at all; what it tells.

    Raises:
        UserError: `out` is a folder, or lies in none that is there.
        FileNotFoundError: there is no such journal.
    """
    check(out)
    run = facts(journal)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.write_text(page(run), encoding="utf-8")
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return run


def check(out: Path) -> None:
    """Look whether a page can be written to `out`.

    Raises:
        UserError: it is a folder, or lies in none that is there.
    """
    if out.is_dir():
        raise UserError(f"-o {out} is a folder: name a file in it, such as {out / 'run.html'}")
    if not out.parent.is_dir():
        raise UserError(f"-o {out}: there is no folder {out.parent}; make it first")


def page(run: RunFacts) -> str:
    """The page, as HTML."""
    body = _body(run)
    room = MOST_BYTES - len(written(body).encode())
    found = results.pictures(run, max(room, 0))
    place = next(one for one in body.iter("section") if one.get("id") == "figures")
    if found.shown or found.left:
        place.extend([tag("div", found.shown, class_="grid"), *results.left_out(found.left)])
    else:
        place.append(tag("p", "The stages of this run made no pictures."))
    style = files("gliaflow.page").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{run.first.get('name') or 'Run'} {run.name}: {run.seen.state}"),
        tag("style", style),
    )
    return f"<!DOCTYPE html>\n{written(tag('html', head, body, lang='en'))}\n"


def _body(run: RunFacts) -> Element:
    steps = critical_path(run)
    critical = [one.stage.address for one in steps]
    places = stages.anchors(run)
    failed = stages.failures(run)
    drawn = graph(run, critical, places)
    parts = [
        ("failures", "What went wrong", failed),
        ("graph", "Graph", _graph(run, drawn)),
        ("timeline", "Timeline and critical path", [*_timeline(run, critical), *stages.path_of(run, steps, places)]),
        ("stages", "Stages", stages.table(run, critical, places)),
        ("metrics", "Metrics", results.metrics(run)),
        ("figures", "Figures", []),
        ("plots", "Plots", results.plots(run)),
        ("versions", "Versions of code, data and packages", again.versions(run)),
        ("again", "How to get the same again", again.again(run)),
        ("each", "Stage by stage", stages.each(run, places)),
        ("messages", "What gliaflow told", _messages(run)),
    ]
    shown = [(name, title, content) for name, title, content in parts if content or name == "figures"]
    links = tag("nav", [[tag("a", title, href=f"#{name}"), " "] for name, title, _ in shown], aria_label="On this page")
    sections = [tag("section", tag("h2", title), content, id=name) for name, title, content in shown]
    return tag("body", _header(run, len(critical), share(run, steps)), links, tag("main", sections), _footer(run))


def _header(run: RunFacts, steps: int, part: float) -> Element:
    seen, every = run.seen, list(run.stages.values())
    began = tag("data", moment(seen.began), value=repr(seen.began), data_figure="run-began")
    took = tag("data", duration(seen.seconds), value=repr(seen.seconds), data_figure="run-seconds")
    facts: list[tuple[str, Child]] = [
        ("began", began),
        ("took so far" if seen.state == "running" else "took", took),
        (f"{len(every)} stages", tag("span", counts(run, every), data_figure="counts")),
        ("critical path", f"{number(steps, 'stage')}, {part:.0%} of the run" if steps else "no stage ran"),
        ("code", _code(run)),
    ]
    why = str((seen.end or {}).get("why") or "")
    return tag(
        "header",
        tag("p", str(run.first.get("name") or ""), class_="over"),
        tag("h1", "Run ", run.name),
        tag("p", f"{SIGNS[seen.state]} {seen.state}", class_=f"state {seen.state}", data_state=seen.state),
        tag("p", TELLS[seen.state], class_="why") if seen.state in TELLS else None,
        tag("p", why, class_="why") if why else None,
        tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts], class_="tiles"),
    )


def _code(run: RunFacts) -> str:
    if not run.commit:
        return "no commit is known"
    if run.changed is None:
        return run.commit[:7]
    changed = len(run.changed) + run.more_changed
    return f"{run.commit[:7]}, " + (f"{number(changed, 'path')} not as committed" if changed else "all committed")


def _graph(run: RunFacts, drawn: Element | None) -> list[Element]:
    if drawn is None:
        return [
            tag("p", f"A graph of {len(run.stages)} stages is too large to be read. The table below has all of it.")
        ]
    boxes = sum("data-box" in one.attrib for one in drawn.iter())
    text = (
        "An arrow leads from a stage to one that reads what it makes. It is left out where a longer way says the same."
    )
    grouped = (
        f" The {len(run.stages)} stages are drawn as {boxes} groups, by the name before @."
        if boxes < len(run.stages)
        else ""
    )
    return [
        tag("p", text, grouped),
        tag("div", drawn, class_="scroll", tabindex=0, role="region", aria_label="Graph; it may be scrolled"),
        tag("p", LEGEND, class_="note"),
    ]


def _timeline(run: RunFacts, critical: Sequence[str]) -> list[Element]:
    drawn = timeline(run, critical)
    if not drawn:
        return [tag("p", "No stage ran a command.")]
    busy = sum(one.began is not None for one in run.stages.values())
    few = f"{busy} stages ran commands; those below are the {MOST_BARS} longest." if busy > MOST_BARS else ""
    parts = [
        tag("h3", "Slots"),
        drawn[0],
        tag("h3", "Stages, in the order in which they began"),
        tag("p", few) if few else None,
    ]
    return [one for one in [*parts, *drawn[1:]] if one is not None]


def _messages(run: RunFacts) -> list[Element]:
    told = [*run.messages]
    if run.dropped:
        told.append(f"{run.dropped} lines of stages are not in the journal, which had grown too large.")
    return [tag("ul", [tag("li", one) for one in told])] if told else []


def _footer(run: RunFacts) -> Element:
    text = (
        f"Made by gliaflow {version('gliaflow')} from the journal {run.name}. It needs no network and runs no program."
    )
    return tag("footer", tag("p", text))
