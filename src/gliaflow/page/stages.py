"""The stages on a page: a table of all, what keeps a run from being whole, and what is known of each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from xml.etree.ElementTree import Element

from gliaflow.page.critical import Step, share
from gliaflow.page.drawing.looks import counts, look
from gliaflow.page.drawing.timeline import all_slots, slots
from gliaflow.page.facts import RunFacts, StageFacts
from gliaflow.page.markup import duration, number, put, rows_of, size, tag, written

MOST_ROWS = 600  # of the table
MOST_LETTERS = 4000  # of a command or a value
MOST_BYTES = 1_800_000  # of what is known of each stage
LINKS = {"reads": "its output is read", "slot": "its slot became free", "": "the run began"}


def anchors(run: RunFacts) -> dict[str, str]:
    """The place of each stage on the page."""
    return {name: f"stage-{number}" for number, name in enumerate(run.stages, 1)}


def failures(run: RunFacts) -> list[Element]:
    """The stages that failed or were cut off, each with its error and its last lines."""
    found = []
    for one in run.unfinished():
        if one.outcome or not run.seen.lives:
            shown = look(run, one)
            text = one.why or "The run ended before this stage did."
            lines = "\n".join(one.last)
            found.append(
                tag(
                    "article",
                    tag("h3", f"{shown.sign} {one.address} {shown.word}"),
                    tag("p", text, class_="why"),
                    [tag("p", f"The last of what it printed, {number(len(one.last), 'line')}:"), _code(lines)]
                    if lines
                    else tag("p", "It printed nothing."),
                    class_="failure",
                    data_failure=one.address,
                )
            )
    return found


def table(run: RunFacts, critical: Iterable[str], places: Mapping[str, str]) -> list[Element]:
    """A row for each stage; of very many the ones that took longest, and those that failed."""
    every = list(run.stages.values())
    order = sorted(every, key=lambda one: (one.outcome != "FAILED", -run.seconds_of(one)))[:MOST_ROWS]
    chosen = {one.address for one in order}
    rows = [one for one in every if one.address in chosen]
    columns = _columns(run, rows, set(critical), places)
    head = tag("tr", [tag("th", title, scope="col") for title, _ in columns])
    body = [
        tag(
            "tr",
            [_cell(title, cell[place]) for title, cell in columns],
            data_stage=one.address,
            data_outcome=one.outcome,
        )
        for place, one in enumerate(rows)
    ]
    found = [tag("div", tag("table", tag("thead", head), tag("tbody", body), class_="cards"), class_="wide")]
    if any(one.used for one in rows):
        text = "“took” is the last try with all that gliaflow did for it. Memory is the most at one moment; "
        found.append(tag("p", text, "what was asked for stands in brackets.", class_="note"))
    if left := [one for one in every if one.address not in chosen]:
        text = f"{len(left)} of {len(every)} stages are not in this table, which has those that took longest"
        text += f": {counts(run, left)}."
        found.append(tag("p", text, class_="note"))
    return found


Cell = tuple[object, str, str, object]  # what is shown, the name of the figure, the value, a class


def _columns(
    run: RunFacts, rows: Sequence[StageFacts], critical: set[str], places: Mapping[str, str]
) -> list[tuple[str, list[Element]]]:
    """The columns with their cells; what no stage has is left out."""
    every = all_slots(run)
    known = {
        "stage": [_name(one, places) for one in rows],
        "outcome": [_outcome(run, one) for one in rows],
        "why": [tag("span", one.why, class_="why") for one in rows],
        "began after": [_began(run, one) for one in rows],
        "took": [
            figure("seconds", one.seconds, duration(one.seconds) if one.well or one.began else "") for one in rows
        ],
        "critical": [tag("span", "● yes" if one.address in critical else "") for one in rows],
        "slots": [figure("slots", ",".join(one.slots), slots(one, every)) for one in rows],
        "CPU time": [_used(one, "cpu_seconds") for one in rows],
        "memory": [_used(one, "peak_bytes") for one in rows],
        "GPU memory": [_used(one, "gpu_bytes") for one in rows],
        "read": [_used(one, "read_bytes") for one in rows],
        "written": [_used(one, "written_bytes") for one in rows],
    }
    return [(title, cells) for title, cells in known.items() if any("".join(one.itertext()) for one in cells)]


def figure(name: str, value: object, text: str) -> Element:
    """A number of the journal as a person reads it, and beside it as it stands there."""
    return tag("data", text, value=value if isinstance(value, str) else json.dumps(value), data_figure=name)


def _cell(title: str, content: Element) -> Element:
    if title == "stage":
        return tag("th", content, scope="row")
    return tag("td", content, data_label=title, class_=None if "".join(content.itertext()) else "empty")


def _name(one: StageFacts, places: Mapping[str, str]) -> Element:
    return tag("a", one.address, href=f"#{places[one.address]}")


def _outcome(run: RunFacts, one: StageFacts) -> Element:
    shown = look(run, one)
    return tag("span", f"{shown.sign} {shown.word}", class_=f"outcome {shown.css}")


def _began(run: RunFacts, one: StageFacts) -> Element:
    if one.began is None:
        return tag("span")
    return figure("began", one.began, duration(max(one.began - run.seen.began, 0.0)))


def _used(one: StageFacts, name: str) -> Element:
    value = getattr(one.used, name) if one.used else None
    if value is None:
        return tag("span")
    asked = one.asked.mem_bytes if one.asked and name == "peak_bytes" else None
    text = duration(value) if name == "cpu_seconds" else size(value) + (f" ({size(asked)})" if asked else "")
    return figure(name, value, text)


def _asked(one: StageFacts) -> str:
    if not one.asked:
        return ""
    asked = one.asked
    parts = [
        number(asked.cpus, "CPU") if asked.cpus else "",
        number(asked.gpus, "GPU") if asked.gpus else "",
        size(asked.mem_bytes),
    ]
    return ", ".join(filter(None, parts))


def path_of(run: RunFacts, steps: Sequence[Step], places: Mapping[str, str]) -> list[Element]:
    """The critical path in words and as a table."""
    if not steps:
        return []
    taken, waited = sum(one.seconds for one in steps), sum(one.waited for one in steps)
    text = (
        f"The critical path is what made the run as long as it was: {number(len(steps), 'stage')}, one after another. "
        f"Its stages took {duration(taken)}, {share(run, steps):.0%} of the run, and waited {duration(waited)}. To "
        "make the run shorter, make one of these shorter."
    )
    rows = [
        tag(
            "tr",
            tag("th", _name(one.stage, places), scope="row"),
            tag("td", tag("data", duration(one.seconds), value=json.dumps(one.seconds)), data_label="took"),
            tag("td", duration(one.waited), data_label="waited before"),
            tag(
                "td",
                f"once {LINKS[one.link]}" if not one.link else f"once {_of(steps[place - 1], one.link)}",
                data_label="began",
            ),
            data_step=one.stage.address,
        )
        for place, one in enumerate(steps)
    ]
    head = tag("tr", [tag("th", title, scope="col") for title in ("stage", "took", "waited before", "began")])
    return [
        tag("p", text, data_share=json.dumps(share(run, steps))),
        tag("div", tag("table", tag("thead", head), tag("tbody", rows), class_="cards"), class_="wide"),
    ]


def _of(before: Step, link: str) -> str:
    name = before.stage.address
    return f"'{name}' had made what it reads" if link == "reads" else f"'{name}' had left its slot"


def each(run: RunFacts, places: Mapping[str, str]) -> list[Element]:
    """What is known of each stage, folded; of very many, of those first that failed or ran."""
    left, found, without = MOST_BYTES, dict[str, Element](), 0
    every = list(run.stages.values())
    for one in sorted(every, key=lambda one: (one.well, one.began is None)):
        made = _about(run, one, places)
        left -= len(written(made).encode())
        if left < 0:
            made, without = (
                tag("p", f"{one.address}: left out, since this page would be too large", class_="note"),
                without + 1,
            )
            made = made if without <= MOST_ROWS else tag("span")
        made.set("id", places[one.address])
        found[one.address] = made
    return [found[one.address] for one in every]


def _about(run: RunFacts, one: StageFacts, places: Mapping[str, str]) -> Element:
    shown = look(run, one)
    head = tag(
        "summary", tag("span", f"{shown.sign} {shown.word}", class_=f"outcome {shown.css}"), " ", tag("b", one.address)
    )
    put(head, f" {duration(one.seconds)}" if one.began and one.ended else None)
    made = tag("details", head, data_about=one.address)
    if one.why:
        put(made, tag("p", f"{'Why: ' if one.well else ''}{one.why}", class_="why"))
    if text := _asked(one):
        put(made, tag("p", f"Asked for {text}."))
    for why in one.retries:
        put(made, tag("p", f"Tried again, since it failed: {why}"))
    if one.commands:
        put(made, [tag("h3", "Commands"), _code("\n".join(one.commands))])
    if one.upstreams:
        names = [[tag("a", name, href=f"#{places[name]}") if name in places else name, " "] for name in one.upstreams]
        put(made, [tag("h3", "Reads what these stages make"), tag("p", names)])
    record = one.recorded
    parameters = [[name, _value(value)] for name, value in record.parameters.items()]
    put(made, _list("Parameters", ["name", "value"], parameters))
    put(made, _list("Reads", ["path", "hash"], [[path, hash] for path, hash in record.reads.items()]))
    made_rows = [
        [out.path, out.hash, size(out.size) + (f", {out.files} files" if out.files else "")] for out in record.outputs
    ]
    put(made, _list("Makes", ["path", "hash", "size"], made_rows))
    if one.lines:
        put(
            made,
            tag(
                "p",
                f"It printed {one.lines} line{'s' if one.lines > 1 else ''}: ",
                tag("code", f"gliaflow logs {run.name} {one.address}"),
            ),
        )
    return made


def _list(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Element | None:
    return rows_of(columns, rows, title) if rows else None


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"


def _code(text: str) -> Element:
    shown = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
    return tag("pre", tag("code", shown), tabindex=0)
