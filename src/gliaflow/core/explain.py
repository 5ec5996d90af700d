"""Why a stage runs, in words; and without running anything, what each stage would come to."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.ports import Foreseen, NotMade, Workspace
from gliaflow.core.report import Change, Outcome, StageResult
from gliaflow.core.settings import human
from gliaflow.errors import NotReproduced, one_line

ABSENT = object()
Shows = Callable[[Stage, str], str]
LONG_SECONDS = 10.0  # of a stage whose use of what it asked for is worth a word
NEARLY, FAR_LESS = 0.9, 0.25  # of what was asked for
SHOWN = 4  # changes of one stage
VERDICTS = {
    (Outcome.UNCHANGED, True): "unchanged",
    (Outcome.UNCHANGED, False): "unchanged if what it reads is pulled",
    (Outcome.RESTORED, True): "restorable",
    (Outcome.RESTORED, False): "restorable if what it reads is pulled",
    (Outcome.RUN, True): "to run",
    (Outcome.RUN, False): "may run",
    (Outcome.SAVED, True): "to verify",
    (Outcome.PULLED, True): "to pull",
    (Outcome.PULLED, False): "to pull if the remote has it",
    (Outcome.FAILED, True): "will fail",
    (Outcome.FAILED, False): "may fail",
    (Outcome.SKIPPED, True): "to skip",
    (Outcome.SKIPPED, False): "may be skipped",
}


@dataclass(frozen=True)
class Forecast:
    """What a stage would come to."""

    address: str
    """DVC's name of the stage."""
    outcome: Outcome
    """What a run would report, if the commands that it runs end well."""
    why: str = ""
    """What makes it run, fail or be skipped, as a phrase."""
    reproduced: bool = False
    """Whether `dvc repro --dry` names the stage: it knows neither the run-cache nor what is to come."""
    certain: bool = True
    """Whether that is known by now. If not, the stage is looked at again when what it reads is there.

    It may then turn out to be unchanged or restorable.
    """
    missing: bool = False
    """Whether it fails since its own data is not there."""
    script: str = ""
    """What an executor would submit for it, where one tells, and the stage may have to run."""

    def __str__(self) -> str:
        """As a line: `lgg-train: to run: lgg.train.epochs 12 → 20`."""
        if self.missing:
            return f"{self.address}: {self.why}"
        return f"{self.address}: {VERDICTS[self.outcome, self.certain]}{': ' if self.why else ''}{self.why}"


def advice(result: StageResult) -> str:
    """What a stage used far less of than it asked for, or nearly all, as a phrase; nothing of a short one."""
    asked, used = result.asked, result.used
    if not asked or not used or used.wall_seconds < LONG_SECONDS:
        return ""
    found = []
    if asked.mem_bytes:
        peak, wanted = human(used.peak_bytes), human(asked.mem_bytes)
        if used.peak_bytes > NEARLY * asked.mem_bytes:
            found.append(f"used {peak} of memory and asked for {wanted} (meta.mem)")
        elif used.peak_bytes < FAR_LESS * asked.mem_bytes:
            found.append(f"used {peak} of the {wanted} of memory that it asked for (meta.mem)")
    busy = used.cpu_seconds / used.wall_seconds
    if asked.cpus > 1 and busy < FAR_LESS * asked.cpus:
        found.append(f"kept {busy:.1f} of the {asked.cpus} CPUs busy that it asked for (meta.cpus)")
    return ", and ".join(found)


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
        states = {"modified": "changed", "deleted": "is missing", "update available": "has a newer version"}
        state = states.get(str(change.new), f"is {change.new}")
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


def forecast(workspace: Workspace, graph: Graph, shows: Shows = lambda _, __: "") -> list[Forecast]:
    """What each stage of the graph would come to, and why, in DVC's order; changes nothing.

    `shows` tells what would be submitted for a stage that runs in a folder.

    Raises:
        NotReproduced: a stage cannot be looked at.
    """
    found: dict[str, Forecast] = {}
    forced = {stage.address for stage in graph.stages if workspace.options.force}
    named = set(forced)  # by `dvc repro --dry` whatever it finds
    coming: dict[str, object] = {}  # what will lie at a path, where that is not what lies there now
    made: dict[str, str] = {}  # the stage that makes what will lie at a path
    for stage in graph.stages:
        address = stage.address
        try:
            seen = workspace.forecast(address, coming, address in forced)
        except Exception as error:
            raise NotReproduced([address], error) from error
        failed = [found[one] for one in stage.upstreams if found[one].outcome in (Outcome.FAILED, Outcome.SKIPPED)]
        reproduced = address in named or seen.changed
        if failed and workspace.options.on_error != "ignore":
            why, certain = _of_skipped(failed[0]), failed[0].certain
            found[address] = Forecast(address, Outcome.SKIPPED, why, reproduced, certain)
        else:
            makers = dict.fromkeys(found[made[path]] for path in sorted(seen.open))
            one = _of_stage(address, seen, makers, reproduced, any(map(_writes, found.values())))
            one = _doubted(one, map(found.__getitem__, stage.upstreams))
            found[address] = replace(one, script=shows(stage, seen.cwd)) if one.outcome is Outcome.RUN else one
            coming |= seen.coming
            made |= dict.fromkeys(seen.coming, address)
        downstreams = set(graph.downstreams[address]) if workspace.options.force_downstream else set()
        if found[address].certain and found[address].outcome.reproduced:
            forced |= downstreams
        if reproduced:
            named |= downstreams
    return list(found.values())


def _of_stage(address: str, seen: Foreseen, makers: Iterable[Forecast], reproduced: bool, written: bool) -> Forecast:
    """`written` tells whether a stage before it writes anything: it may make, undeclared, what this one misses."""
    if seen.error:
        missing = isinstance(seen.error, NotMade)
        certain = seen.certain and (missing or not written)
        return Forecast(address, seen.outcome, one_line(seen.error), reproduced, certain, missing)
    upstreams = [Change("upstream", f"upstream {one.address} {_verb(one)}") for one in makers]
    return Forecast(address, seen.outcome, sentence([*seen.why, *upstreams]), reproduced, seen.certain)


def _doubted(one: Forecast, upstreams: Iterable[Forecast]) -> Forecast:
    """As it is if all upstreams turn out to be pulled, of which nobody knows."""
    kept = (Outcome.UNCHANGED, Outcome.RESTORED, Outcome.PULLED)
    asked = any(upstream.outcome is not Outcome.RUN and not upstream.certain for upstream in upstreams)
    return replace(one, certain=False) if asked and one.outcome in kept else one


def _of_skipped(cause: Forecast) -> str:
    if cause.outcome is Outcome.SKIPPED:
        return cause.why
    return f"'{cause.address}' {'is missing' if cause.missing else 'will fail' if cause.certain else 'may fail'}"


def _verb(upstream: Forecast) -> str:
    if upstream.outcome is Outcome.RUN:
        return "will run" if upstream.certain else "may run"
    return "is not there yet"


def _writes(one: Forecast) -> bool:
    return one.outcome not in (Outcome.UNCHANGED, Outcome.SKIPPED, Outcome.FAILED)
