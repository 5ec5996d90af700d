"""What ran when, and on which slots."""

from collections import defaultdict
from collections.abc import Sequence
from math import floor, log10
from xml.etree.ElementTree import Element

from gliaflow.page.drawing.looks import look
from gliaflow.page.facts import RunFacts, StageFacts
from gliaflow.page.markup import MINUTE, duration, put, shortened, tag

MOST_BARS = 60  # that have a row of their own
LETTERS = 34  # of a name
LANE_PX, BAR_PX, AXIS_PX = 20, 24, 22
TICKS = 6


def timeline(run: RunFacts, critical: Sequence[str]) -> list[Element]:
    """What ran when: a lane for each slot, then a row for each stage, as drawings that fit any width."""
    whole = run.seen.seconds
    busy = sorted((one for one in run.stages.values() if one.began), key=lambda one: one.began or 0)
    if not busy or whole <= 0:
        return []
    hot = set(critical)
    longest = sorted(busy, key=lambda one: (one.address not in hot, -run.seconds_of(one)))[:MOST_BARS]
    rows = [one for one in busy if one in longest] if len(busy) > MOST_BARS else busy
    return [_lanes(run, busy, hot), _bars(run, rows, hot)]


def lanes(run: RunFacts, busy: Sequence[StageFacts]) -> dict[str, list[StageFacts]]:
    """The stages by slot; of what was run without any that are known, as few further lanes as hold them."""
    found: defaultdict[str, list[StageFacts]] = defaultdict(list)
    for one in busy:
        for slot in one.slots:
            found[slot].append(one)
    named = {_slot(slot, sorted(found)): found[slot] for slot in sorted(found, key=_order)}
    free: list[tuple[float, list[StageFacts]]] = []
    for one in busy:
        if not one.slots:
            begin, end = one.began or 0.0, (one.began or 0.0) + run.seconds_of(one)
            place = next((number for number, (until, _) in enumerate(free) if until <= begin), len(free))
            held = free[place][1] if place < len(free) else []
            free[place : place + 1] = [(end, [*held, one])]
    return named | {f"lane {number}": held for number, (_, held) in enumerate(free, 1)}


def slots(stage: StageFacts, every: Sequence[str]) -> str:
    """The slots that a stage held, as a phrase."""
    cpus = sorted(number for one in stage.slots if (number := one.removeprefix("cpu-")) != one)
    others = [_slot(one, every) for one in sorted(stage.slots, key=_order) if not one.startswith("cpu-")]
    return ", ".join([*([f"CPU {'+'.join(cpus)}"] if cpus else []), *others])


def all_slots(run: RunFacts) -> list[str]:
    """The names of all slots that stages held."""
    return sorted({slot for one in run.stages.values() for slot in one.slots})


def _slot(name: str, every: Sequence[str]) -> str:
    kind, _, number = name.partition("-")
    if kind == "cpu":
        return f"CPU {number}"
    gpus = [one for one in every if one.startswith("gpu-")]
    return f"GPU {gpus.index(name)}" if name in gpus else "GPU (none here)" if name == "no-gpu" else name


def _order(slot: str) -> tuple[str, int, str]:
    kind, _, number = slot.partition("-")
    return kind, int(number) if number.isdigit() else 0, slot


def _lanes(run: RunFacts, busy: Sequence[StageFacts], hot: set[str]) -> Element:
    """A row for each slot, in which whatever held it is a bar."""
    drawn = []
    found = lanes(run, busy)
    for place, (name, held) in enumerate(found.items()):
        top = place * (LANE_PX + 18)
        whole = sum(run.seconds_of(one) for one in held)
        told = f"{name}: busy for {duration(whole)}, {whole / run.seen.seconds:.0%} of the run"
        drawn.append(tag("text", told, x=0, y=top + 11, class_="small"))
        drawn += [_bar(run, one, top + 17, LANE_PX - 5, hot) for one in held]
    height = len(found) * (LANE_PX + 18)
    return _drawing(run, drawn, height, f"When each of {len(found)} slots was busy", "lanes")


def _bars(run: RunFacts, rows: Sequence[StageFacts], hot: set[str]) -> Element:
    """A row for each stage, in the order in which they began."""
    every, drawn = all_slots(run), list[Element]()
    for place, one in enumerate(rows):
        top = place * BAR_PX
        begin, end = _at(run, one.began or 0), _at(run, (one.began or 0) + run.seconds_of(one))
        where = slots(one, every)
        text = f"{look(run, one).sign} {shortened(one.address, LETTERS)} {duration(run.seconds_of(one))}"
        drawn.append(_bar(run, one, top + 3, BAR_PX - 8, hot))
        place_of_text, anchor = _beside(begin, end)
        x = f"{place_of_text:.4%}"  # in the style too: where the page is narrow, some labels would be cut off there
        label = tag("text", text, x=x, y=top + 16, class_=f"label {anchor}", style=f"--x: {x}")
        put(label, tag("tspan", f"  {where}", class_="where") if where else None)
        drawn.append(label)
    return _drawing(run, drawn, len(rows) * BAR_PX, f"When each of {len(rows)} stages ran", "bars")


def _beside(begin: float, end: float) -> tuple[float, str]:
    """Where the text of a bar has most room: at which part of the width, and how it is anchored."""
    if end - begin > max(begin, 1 - end):
        return begin, "start inside"
    return (end, "start") if 1 - end >= begin else (begin, "end")


def _bar(run: RunFacts, one: StageFacts, y: float, height: float, hot: set[str]) -> Element:
    begin, seconds = one.began or 0.0, run.seconds_of(one)
    shown, after = look(run, one), duration(max(begin - run.seen.began, 0.0))
    left, right = _at(run, begin), _at(run, begin + seconds)
    return tag(
        "rect",
        tag("title", f"{one.address}: {shown.word}, began after {after}, took {duration(seconds)}"),
        x=f"{left:.4%}",
        y=y,
        width=f"{max(right - left, 0.0015):.4%}",
        height=height,
        rx=2,
        class_=f"bar {shown.css}{' critical' if one.address in hot else ''}",
        data_bar=one.address,
    )


def _at(run: RunFacts, when: float) -> float:
    """A moment as a part of the run, from 0 to 1."""
    return min(max((when - run.seen.began) / run.seen.seconds, 0.0), 1.0)


def _drawing(run: RunFacts, drawn: list[Element], height: float, about: str, css: str) -> Element:
    """With an axis of time below it. It has no view box, so that letters are of the same size on any screen."""
    axis = []
    for seconds in ticks(run.seen.seconds):
        x = f"{seconds / run.seen.seconds:.4%}"
        axis.append(tag("line", x1=x, x2=x, y1=0, y2=height + 4, class_="tick"))
        first, last = seconds == 0, seconds / run.seen.seconds > 0.93
        anchor = "start" if first else "end" if last else "mid"
        axis.append(tag("text", round_time(seconds), x=x, y=height + 17, class_=f"small {anchor}"))
    whole = height + AXIS_PX
    return tag(
        "svg", tag("title", about), axis, drawn, class_=f"timeline {css}", width="100%", height=whole, role="img"
    )


def ticks(whole: float) -> list[float]:
    """Round times from 0 on that divide the run."""
    steps = [10.0**power * one for power in range(-3, 1) for one in (1, 2, 5)]
    steps += [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]
    step = next((one for one in steps if whole / one <= TICKS), 86400.0 * 10 ** max(floor(log10(whole / 86400)), 0))
    return [number * step for number in range(int(whole / step) + 1)]


def round_time(seconds: float) -> str:
    """A round time, as short as can be: `0`, `0.5 s`, `15 s`, `2 min` or `1 h 30 min`."""
    if seconds < MINUTE:
        return f"{seconds:g} s" if seconds else "0"
    hours, minutes = divmod(seconds / MINUTE, 60)
    parts = [f"{hours:.0f} h" if hours else "", f"{minutes:g} min" if minutes else ""]
    return " ".join(filter(None, parts))
