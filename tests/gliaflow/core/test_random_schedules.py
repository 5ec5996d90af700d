"""Thousands of random runs of the scheduler on fakes: failures, retries, cancellations, slots, hosts, lost threads.

`GLIAFLOW_SCHEDULES` is how many; a failing one is named by its seed, and `play(seed)` plays it again.
"""

import os
import random

import pytest

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.options import Options
from gliaflow.core.ports import Ended
from gliaflow.core.report import Outcome
from gliaflow.core.settings import Settings
from tests.support.fakes import Ear, FakeExecutor, FakeWorkspace, Fate, World, missing

SCHEDULES = int(os.environ.get("GLIAFLOW_SCHEDULES", "2500"))
BLOCKS = 10  # of them, each a test
OUTCOMES = [Outcome.RUN] * 5 + [Outcome.UNCHANGED, Outcome.RESTORED, Outcome.PULLED, Outcome.SAVED]
WELL = {Outcome.RUN, Outcome.UNCHANGED, Outcome.RESTORED, Outcome.PULLED, Outcome.SAVED}


def drawn(seed: int) -> World:
    """A world: up to 14 stages, each reading some of those before it."""
    draw = random.Random(seed)
    stages: list[Stage] = []
    for number in range(draw.randint(1, 14)):
        upstreams = draw.sample([one.address for one in stages], min(len(stages), draw.choice([0, 0, 1, 1, 2, 3])))
        settings = Settings(
            cpus=draw.choice([1, 1, 1, 2, 9]),
            gpus=draw.choice([0, 0, 0, 1, 3]),
            retries=draw.choice([0, 0, 1, 2]),
            retry_delay=1.0,
            pool=draw.choice([None, None, None, "gpu"]),
        )
        stages.append(Stage(f"s{number}", tuple(upstreams), settings))
    options = Options(
        on_error=draw.choice(["fail", "fail", "keep-going", "keep-going", "ignore"]),
        force=draw.random() < 0.1,
        force_downstream=draw.random() < 0.2,
        interactive=draw.random() < 0.1,
    )
    fates = {stage.address: fate(draw, stage, careful=draw.random() < 0.6) for stage in stages}
    cancel_after = draw.randint(1, 12) if draw.random() < 0.3 else None
    return World(seed, Graph(tuple(stages)), options, fates, cancel_after)


def fate(draw: random.Random, stage: Stage, careful: bool) -> Fate:
    """What becomes of a stage; of a `careful` one, nothing bad."""
    found = Fate(draw.choice(OUTCOMES), busy=draw.choice([0, 0, 0, 1, 3]), stale=draw.choice([0, 0, 0, 1]))
    found.held = draw.choice([0, 0, 0, 0, 2])
    if not careful:
        ends = [
            Ended(ValueError("it failed"), again=draw.random() < 0.7, delay=draw.choice([0.0, 1.0]))
        ] * draw.randint(1, 3)
        found.tries = ends if draw.random() < 0.6 else ()
        found.broken = draw.choice([None, None, None, ValueError("it is broken"), missing(stage.address)])
        found.unclear = draw.random() < 0.1
        found.thread_lost = draw.random() < 0.05
    return found


def play(seed: int) -> None:
    """Play a world to its end, and hold all that must be so."""
    world = drawn(seed)
    local, pool, ear = FakeExecutor(world, cpus=2, gpus=1), FakeExecutor(world, cpus=99, gpus=99, pool="gpu"), Ear()
    try:
        workspace = world.play(pool, local, listener=ear)
    except InterruptedError:
        assert world.cancel_after
        return
    assert world.scheduler
    results = {address: result.outcome for address, result in world.scheduler.results.items()}
    assert set(results) == {stage.address for stage in world.graph.stages}
    assert sorted(world.dispatched) == sorted(results), "each stage is dispatched once"
    assert ear.ended == world.scheduler.results
    holds(world, workspace, results)
    for address, outcome in results.items():
        launched = local.launched[address] + pool.launched[address]
        assert launched == ear.began[address]
        assert (outcome is Outcome.RUN) <= (launched > 0)
        if outcome is Outcome.RUN:
            assert address in workspace.finished


def holds(world: World, workspace: FakeWorkspace, results: dict[str, Outcome]) -> None:
    """What a failure means for the others."""
    failed = {address for address, outcome in results.items() if outcome is Outcome.FAILED}
    skipped = {address for address, outcome in results.items() if outcome is Outcome.SKIPPED}
    below = {dependent for address in failed for dependent in world.graph.dependents(address)}
    if world.options.on_error == "keep-going":
        assert skipped == below - failed
        assert not below & failed, "a stage failed of which an upstream had failed"
    elif world.options.on_error == "ignore":
        assert not skipped
    else:
        assert bool(skipped) <= bool(failed)
        assert below <= skipped
    if world.options.force_downstream:
        forced = {down for a, one in results.items() if one.reproduced for down in world.graph.downstreams[a]}
        assert {results[address] for address in forced} <= {Outcome.RUN, Outcome.FAILED, Outcome.SKIPPED}
    if not failed:
        assert set(results.values()) <= WELL
        assert set(workspace.settled) == set(results)
    complete = not failed or world.options.on_error == "ignore"
    assert workspace.closed == [(bool(failed) and world.options.on_error != "ignore", complete)]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_runs_end_as_they_must(block: int) -> None:
    for seed in range(block, SCHEDULES, BLOCKS):
        try:
            play(seed)
        except BaseException as error:
            error.add_note(f"play({seed})")
            raise


def test_the_worlds_are_of_all_kinds() -> None:
    """Of what is drawn every kind comes often enough to mean something."""
    outcomes, cancelled, retried, travelled = set[Outcome](), 0, 0, 0
    for seed in range(300):
        world = drawn(seed)
        local, pool = FakeExecutor(world, cpus=2, gpus=1), FakeExecutor(world, cpus=99, gpus=99, pool="gpu")
        try:
            world.play(pool, local)
        except InterruptedError:
            cancelled += 1
        assert world.scheduler
        outcomes |= {result.outcome for result in world.scheduler.results.values()}
        retried += any(count > 1 for count in local.launched.values())
        travelled += bool(pool.launched)
    assert outcomes == set(Outcome)
    assert min(cancelled, retried, travelled) >= 10, (cancelled, retried, travelled)
