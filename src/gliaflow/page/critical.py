"""The critical path of a run: the stages, one after another, that made it as long as it was."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gliaflow.page.facts import RunFacts, StageFacts

LEEWAY_SECONDS = 0.25  # a stage may begin before the end of the one that it waited for is written down


@dataclass(frozen=True)
class Step:
    """A stage of the path."""

    stage: StageFacts
    seconds: float
    """From its begin to its end."""
    waited: float
    """Between the end of the step before it, or the begin of the run, and its begin."""
    link: str
    """What it waited for in the step before: `reads`, `slot`, or nothing of the first."""


def critical_path(run: RunFacts) -> list[Step]:
    """The steps, the first one first.

    From the stage that ended last, or still runs, it goes back to what that one waited for. Of the stages that it reads
    and those that held one of its slots, that is the one that ended last. Unchanged stages are passed over.
    """
    known = [one for one in run.stages.values() if one.start is not None and one.outcome != "SKIPPED"]
    busy = [one for one in known if one.outcome != "UNCHANGED"]
    if not busy:
        return []
    holders: defaultdict[str, list[StageFacts]] = defaultdict(list)
    for one in known:
        for slot in one.slots:
            holders[slot].append(one)
    path = [(max(busy, key=run.end_of), "")]
    while before := _before(run, path[-1][0], holders, {one.address for one, _ in path}):
        path[-1] = (path[-1][0], before[1])
        path.append((before[0], ""))
    return _steps(run, [(one, link) for one, link in reversed(path) if one.outcome != "UNCHANGED"])


def share(run: RunFacts, steps: Sequence[Step]) -> float:
    """What part of the time of the run its stages of the path took, from 0 to 1."""
    return min(sum(one.seconds for one in steps) / run.seen.seconds, 1.0) if run.seen.seconds else 0.0


def _before(
    run: RunFacts, stage: StageFacts, holders: dict[str, list[StageFacts]], met: set[str]
) -> tuple[StageFacts, str] | None:
    """The stage that this one waited for last, and why; None if it waited for none."""
    if stage.start is None:
        return None
    read = [run.stages[name] for name in stage.upstreams if name in run.stages]
    held = [one for slot in stage.slots for one in holders[slot]]
    found = [(one, link) for link, some in (("reads", read), ("slot", held)) for one in some if one.address not in met]
    found = [pair for pair in found if pair[0].ended is not None and pair[0].ended <= stage.start + LEEWAY_SECONDS]
    found = [pair for pair in found if pair[0].start is not None and pair[0].start <= stage.start]
    return max(found, key=lambda pair: run.end_of(pair[0]), default=None)


def _steps(run: RunFacts, path: list[tuple[StageFacts, str]]) -> list[Step]:
    steps, last = list[Step](), run.seen.began
    for place, (one, link) in enumerate(path):
        start = one.start if one.start is not None else last
        steps.append(Step(one, run.seconds_of(one), max(start - last, 0.0), link if place else ""))
        last = run.end_of(one)
    return steps
