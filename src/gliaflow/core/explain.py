"""Why a stage runs, in words; and without running anything, what each stage would come to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gliaflow.core.graph import Graph
from gliaflow.core.ports import Workspace
from gliaflow.core.report import Change, Outcome
from gliaflow.errors import NotReproduced, one_line

ABSENT = object()
SHOWN = 4  # changes of one stage
VERDICTS = {Outcome.UNCHANGED: "unchanged", Outcome.RESTORED: "restorable", Outcome.RUN: "to run"}


@dataclass(frozen=True)
class Forecast:
    """What a stage would come to."""

    address: str
    """DVC's name of the stage."""
    outcome: Outcome
    """`UNCHANGED`, `RESTORED` or `RUN`."""
    why: str = ""
    """What would make it run, as a phrase."""
    reproduced: bool = False
    """Whether `dvc repro --dry` names the stage: it knows neither the run-cache nor what is to come."""

    def __str__(self) -> str:
        """As a line: `lgg-train: to run: lgg.train.epochs 12 → 20`."""
        return f"{self.address}: {VERDICTS[self.outcome]}{': ' if self.why else ''}{self.why}"


def sentence(changes: Iterable[Change]) -> str:
    """The changes of a stage: `lgg.train.epochs 5 → 20, stages/lgg/unet.py changed`."""
    phrases = [phrase for change in changes for phrase in _phrases(change)]
    more = [f"{len(phrases) - SHOWN} more"] if len(phrases) > SHOWN else []
    return ", ".join([*phrases[:SHOWN], *more])


def _phrases(change: Change) -> Iterator[str]:
    if change.what == "parameter" and change.old is change.new is ABSENT:
        yield f"{change.name} is missing"
    elif change.what == "parameter":
        for name, old, new in differences(change.name, change.old, change.new):
            yield f"{name} {_value(old)} → {_value(new)}"
    elif change.what in ("dependency", "output"):
        state = {"modified": "changed", "deleted": "is missing"}.get(str(change.new), f"is {change.new}")
        yield f"{change.name} {state}"
    else:
        yield change.name


def differences(name: str, old: object, new: object) -> Iterator[tuple[str, object, object]]:
    """The leaves in which two values of a parameter differ, by their full names."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(f"{name}.{key}", old.get(key, ABSENT), new.get(key, ABSENT))
    elif old != new:
        yield name, old, new


def _value(value: object) -> str:
    text = "nothing" if value is ABSENT else "null" if value is None else one_line(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def forecast(workspace: Workspace, graph: Graph) -> list[Forecast]:
    """What each stage of the graph would come to, and why, in DVC's order; changes nothing.

    Raises:
        NotReproduced: a stage cannot be looked at.
    """
    found: dict[str, Forecast] = {}
    forced = {stage.address for stage in graph.stages if workspace.options.force}
    coming: dict[str, object] = {}  # what outputs that would be restored will be, by path
    made: dict[str, frozenset[str]] = {}  # the paths that a stage writes
    for stage in graph.stages:
        address = stage.address
        running = [upstream for upstream in stage.upstreams if found[upstream].outcome is Outcome.RUN]
        try:
            seen = workspace.forecast(address, coming)
        except Exception as error:
            raise NotReproduced([address], error) from error
        made[address] = seen.outputs
        written = frozenset().union(*(made[upstream] for upstream in running))
        why = [one for one in seen.why if not (one.what == "dependency" and _within(one.name, written))]
        why += [Change("upstream", f"upstream {name} will run") for name in running]
        if address in forced:
            why = [Change("force", "forced")]
        if running or address in forced or (seen.why and seen.restored is None):
            outcome = Outcome.RUN
        else:
            outcome = Outcome.RESTORED if seen.why else Outcome.UNCHANGED
            coming |= seen.restored or {} if seen.why else {}
        reproduced = address in forced or seen.changed
        if reproduced and workspace.options.force_downstream:
            forced |= set(graph.downstreams[address])
        found[address] = Forecast(address, outcome, sentence(why), reproduced)
    return list(found.values())


def _within(path: str, paths: Iterable[str]) -> bool:
    """Whether it is one of the paths, or lies below one."""
    return any(path == one or path.startswith(f"{one}/") for one in paths)
