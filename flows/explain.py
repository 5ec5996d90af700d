"""Why a stage runs, in words; and without running anything, what each stage would come to."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from flows.graph import Graph
from flows.options import Change, Outcome, not_reproduced
from flows.screen import Screen

if TYPE_CHECKING:
    from flows.workspace import Workspace

ABSENT = object()
SHOWN = 4  # changes of one stage
VERDICTS = {Outcome.UNCHANGED: "unchanged", Outcome.RESTORED: "restorable", Outcome.RUN: "to run"}


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
        state = {"modified": "changed", "deleted": "is missing"}.get(change.new, f"is {change.new}")
        yield f"{change.name} {state}"
    else:
        yield change.name


def differences(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two values of a parameter differ, by their full names."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(f"{name}.{key}", old.get(key, ABSENT), new.get(key, ABSENT))
    elif old != new:
        yield name, old, new


def _value(value: Any) -> str:
    text = "nothing" if value is ABSENT else "null" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def dry(workspace: "Workspace", graph: Graph, screen: Screen) -> list[str]:
    """Print what each stage would come to, and why; the stages that `dvc repro --dry` returns."""
    outcomes: dict[str, Outcome] = {}
    forced = {stage.address for stage in graph.stages if workspace.flags.force}
    coming: dict[str, Any] = {}  # what outputs that would be restored will be, by path
    reproduced = []
    for stage in graph.stages:
        address = stage.address
        running = [upstream for upstream in stage.upstreams if outcomes[upstream] is Outcome.RUN]
        try:
            changes, restored = workspace.foresee(address, coming)
            changed = not workspace.unchanged(address)
        except Exception as error:
            raise not_reproduced([address], error) from error
        made = {path for upstream in running for path in workspace.outputs(upstream)}
        why = [change for change in changes if not (change.what == "dependency" and _within(change.name, made))]
        why += [Change("upstream", f"upstream {name} will run") for name in running]
        if address in forced:
            why = [Change("force", "forced")]
        if running or address in forced or (changes and restored is None):
            outcomes[address] = Outcome.RUN
        else:
            outcomes[address] = Outcome.RESTORED if changes else Outcome.UNCHANGED
            coming |= restored or {} if changes else {}
        if address in forced or changed:
            reproduced.append(address)
            if workspace.flags.force_downstream:
                forced |= set(graph.downstreams[address])
        reason = f": {sentence(why)}" if why else ""
        screen.say(f"{address}: {VERDICTS[outcomes[address]]}{reason}")
    if workspace.flags.pull and Outcome.RUN in outcomes.values():
        screen.say("--dry did not look at the remote: --pull may fetch what is said here to run")
    return reproduced


def _within(path: str, paths: Iterable[str]) -> bool:
    """Whether it is one of the paths, or lies below one."""
    return any(path == one or path.startswith(f"{one}/") for one in paths)
