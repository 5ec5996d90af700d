"""The tries of a stage, and who waits for whom, on fakes; worked out by hand."""

import threading
from collections.abc import Callable
from itertools import pairwise

import pytest

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.job import Threads
from gliaflow.core.options import Options
from gliaflow.core.ports import Ended
from gliaflow.core.report import Event, Line, Message, Outcome, Undeclared
from gliaflow.core.settings import Settings
from tests.support.fakes import Ear, FakeExecutor, Fate, World

AGAIN = Ended(ValueError("not yet"), again=True, delay=4.0)


def graph(**settings: Settings) -> Graph:
    """Stages that wait for no one."""
    return Graph(tuple(Stage(name, (), one) for name, one in settings.items()))


@pytest.mark.parametrize(
    ("retries", "ends", "launched", "outcome"),
    [
        (0, [], 1, Outcome.RUN),
        (0, [AGAIN], 1, Outcome.FAILED),
        (2, [AGAIN], 2, Outcome.RUN),
        (2, [AGAIN, AGAIN], 3, Outcome.RUN),
        (2, [AGAIN] * 3, 3, Outcome.FAILED),
        (2, [Ended(ValueError("a bug"))], 1, Outcome.FAILED),
    ],
)
def test_a_stage_is_tried_as_often_as_it_may(retries: int, ends: list[Ended], launched: int, outcome: Outcome) -> None:
    world = World(1, graph(s=Settings(retries=retries)), fates={"s": Fate(tries=ends)})
    executor = FakeExecutor(world)
    world.play(executor)
    assert world.scheduler
    assert (executor.launched["s"], world.scheduler.results["s"].outcome) == (launched, outcome)


def test_it_waits_twice_as_long_before_each_further_try_within_a_half() -> None:
    ear = Ear()
    world = World(1, graph(s=Settings(retries=3)), fates={"s": Fate(tries=[AGAIN] * 3)})
    world.play(FakeExecutor(world), listener=ear)
    told = [event.text for event in ear.events if isinstance(event, Line) and event.text.startswith("try ")]
    assert [line.split(" in ")[0] for line in told] == ["try 2 of 4", "try 3 of 4", "try 4 of 4"]
    for line, usual in zip(told, (4, 8, 16), strict=True):
        assert usual / 2 <= float(line.split()[-2]) <= usual * 1.5
    assert 14 <= world.now <= 45


def test_the_last_lines_of_a_stage_that_failed_are_kept() -> None:
    world = World(1, graph(s=Settings()), fates={"s": Fate(tries=[Ended(ValueError("two\nlines"))])})
    world.play(FakeExecutor(world))
    assert world.scheduler
    result = world.scheduler.results["s"]
    assert (result.why, result.tail) == ("two lines", ("a line",))


def test_a_stage_that_lacks_cpus_bars_those_behind_it() -> None:
    world = World(1, graph(first=Settings(), wide=Settings(cpus=2), narrow=Settings()))
    world.play(FakeExecutor(world, cpus=2))
    assert world.dispatched == ["first", "wide", "narrow"]


def test_a_stage_that_lacks_a_gpu_bars_no_one() -> None:
    world = World(1, graph(first=Settings(gpus=1), second=Settings(gpus=1), narrow=Settings()))
    world.play(FakeExecutor(world, cpus=9, gpus=1))
    assert world.dispatched == ["first", "narrow", "second"]


def test_stages_run_one_by_one_in_order_if_asked_for() -> None:
    ear = Ear()
    options = Options(single_item=True)
    world = World(1, graph(a=Settings(), b=Settings(), c=Settings()), options, {"a": Fate(busy=2, held=1)})
    world.play(FakeExecutor(world, cpus=9), listener=ear)
    assert list(ear.began) == list(ear.ended) == ["a", "b", "c"]


def test_what_is_downstream_of_a_stage_that_ran_is_forced() -> None:
    stages = Graph((Stage("a"), Stage("b", ("a",)), Stage("c", ("b",)), Stage("d")))
    fates = {name: Fate(Outcome.UNCHANGED) for name in "bcd"}
    world = World(1, stages, Options(force_downstream=True), fates)
    world.play(FakeExecutor(world))
    assert world.scheduler
    assert world.scheduler.report.reproduced == ["a", "b", "c"]


def waiting(until: float, holders: Callable[[World], str] | None, **stages: Settings) -> list[tuple[float, str]]:
    """What a run tells, and when, whose executor gives nothing before `until`."""
    world = World(1, graph(**stages))
    executor, ear = FakeExecutor(world, gpus=9), Ear()
    reserve = executor.reserve
    executor.reserve = lambda stage: reserve(stage) if world.now > until else None  # type: ignore[method-assign]
    executor.holders = (lambda _: holders(world)) if holders else None  # type: ignore[method-assign, assignment]
    told: list[tuple[float, str]] = []
    hear = ear.hear

    def note(event: Event) -> None:
        told.extend([(world.now, event.text)] if isinstance(event, Message) else [])
        hear(event)

    ear.hear = note  # type: ignore[method-assign]
    world.play(executor, listener=ear)
    return told


def test_who_holds_what_a_stage_waits_for_is_told_once() -> None:
    ((when, text),) = waiting(20.0, lambda _: "a CPU that stage 'x' holds", a=Settings(), b=Settings())
    assert text == "a waits for a CPU that stage 'x' holds"
    assert 3 <= when <= 7


def test_a_short_wait_is_not_told_and_neither_is_what_anybody_expects() -> None:
    assert waiting(2.5, lambda _: "a CPU that stage 'x' holds", a=Settings()) == []
    assert waiting(20.0, lambda _: "", a=Settings()) == []


def test_what_is_waited_for_is_told_again_when_it_changes_but_not_all_the_time() -> None:
    told = waiting(20.0, lambda world: f"a CPU of {int(world.now / 0.4)}", a=Settings())
    times = [when for when, _ in told]
    assert 3 <= len(told) <= 7
    assert all(later - earlier >= 2.9 for earlier, later in pairwise(times))
    assert [text for _, text in waiting(20.0, lambda world: f"{int(world.now / 10)}", a=Settings())] == [
        "a waits for 0",
        "a waits for 1",
        "a waits for 2",
    ][: 2 + (times[-1] > 20)]


def test_each_stage_that_waits_for_a_gpu_is_told_of_and_of_the_others_the_first() -> None:
    gpu = Settings(gpus=1)
    told = waiting(30.0, lambda _: "something", a=gpu, b=gpu, c=Settings(), d=Settings())
    assert {text for _, text in told} == {f"{name} waits for something" for name in "ab"}


def test_an_executor_without_a_word_for_it_is_told_of_if_nothing_runs() -> None:
    told = [text for _, text in waiting(20.0, None, a=Settings(), b=Settings())]
    assert told == ["a waits for CPUs or GPUs that another run on this machine holds"]


def test_a_stage_that_another_process_blocks_for_long_is_told_of() -> None:
    for busy, expected in ((3, []), (100, ["a waits: another process works on it"])):
        world, ear = World(1, graph(a=Settings()), fates={"a": Fate(busy=busy)}), Ear()
        world.play(FakeExecutor(world), listener=ear)
        assert [event.text for event in ear.events if isinstance(event, Message)] == expected


def test_a_thread_without_work_is_used_again() -> None:
    threads, met, done = Threads(), list[tuple[int, str]](), threading.Semaphore(0)

    def work() -> None:
        met.append((threading.get_ident(), threading.current_thread().name))
        done.release()

    for name in "abc":
        threads.call(work, name)
        assert done.acquire(timeout=60)
        while not threads._idle:
            pass
    assert [name for _, name in met] == ["a", "b", "c"]
    assert len({ident for ident, _ in met}) == 1
    threads.close()


def test_work_that_waits_keeps_no_other_from_its_thread() -> None:
    threads, all_here = Threads(), threading.Barrier(4)

    def wait() -> None:
        all_here.wait(60)

    for name in "abc":
        threads.call(wait, name)
    all_here.wait(60)
    threads.close()


def test_a_thread_that_fails_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, done, failed, failures = Threads(), threading.Event(), threading.Event(), list[object]()

    def hear(failure: object) -> None:
        failures.append(failure)
        failed.set()

    def fail() -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(threading, "excepthook", hear)
    threads.call(fail, "a")
    assert failed.wait(60)
    assert len(failures) == 1
    assert not threads._idle
    threads.call(done.set, "b")
    assert done.wait(60)
    threads.close()


@pytest.mark.parametrize("error", [None, ValueError("it failed")])
def test_what_the_last_try_opened_is_in_the_result(error: Exception | None) -> None:
    found = Undeclared(("a",))
    ends = [Ended(ValueError("not yet"), again=True, undeclared=Undeclared(("b",))), Ended(error, undeclared=found)]
    world = World(1, graph(s=Settings(retries=1)), fates={"s": Fate(tries=ends)})
    world.play(FakeExecutor(world))
    assert world.scheduler
    assert world.scheduler.results["s"].undeclared == found
