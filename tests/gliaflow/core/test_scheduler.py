"""Schedulers without Prefect: threads of the test's own do the work."""

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import gliaflow.workspace.workspace as workspace_module
from gliaflow.core.graph import Graph, Stage
from gliaflow.core.job import Job, Work
from gliaflow.core.options import Options
from gliaflow.core.ports import Ended, Lease
from gliaflow.core.report import Event, Outcome, Output, Recorded, StageEnded
from gliaflow.core.scheduler import Scheduler
from gliaflow.core.settings import Settings
from gliaflow.errors import Interrupted
from gliaflow.machine.local import LocalExecutor
from gliaflow.resources.slots import Slots
from gliaflow.workspace.workspace import Workspace
from tests.support.fakes import Ear, FakeExecutor, Fate, World
from tests.support.repos import Project, copies

CHAIN: dict[str, Any] = {
    "bad": {"cmd": "exit 1", "deps": ["seed.txt"], "outs": ["bad.txt"]},
    "after": {"cmd": "touch after.txt", "deps": ["bad.txt"], "outs": ["after.txt"]},
    "later": {"cmd": "touch later.txt", "deps": ["after.txt"], "outs": ["later.txt"]},
    "good": {"cmd": "touch good.txt", "deps": ["seed.txt"], "outs": ["good.txt"]},
}


def schedule(
    project: Project,
    options: Options,
    dispatch: Callable[[Scheduler, Stage, Work], None],
    jobs: int = 2,
    targets: Sequence[str] = (),
    planned: Callable[[Workspace], object] = lambda _: None,
) -> Scheduler:
    """Bring every stage of the project to its end; `planned` is called when the graph is known."""
    with Workspace(project.root, options, lambda _: None) as workspace:
        graph = workspace.plan(targets)
        planned(workspace)
        made = Scheduler(workspace, graph, [LocalExecutor(jobs, project.environment)], Deaf())
        made.run(lambda stage, work: dispatch(made, stage, work))
    return made


class Deaf:
    """A listener that hears nothing."""

    def hear(self, event: Event) -> None:
        """Hear nothing."""


def work(_: Scheduler, __: Stage, work: Work) -> None:
    """As Prefect does, without its states."""

    def tries() -> None:
        work(lambda _: None)
        while work.again:
            work(lambda _: None)

    threading.Thread(target=tries).start()


def test_every_stage_is_submitted_once_and_a_skipped_one_never_begins(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(CHAIN)
    submitted: list[str] = []

    def note(made: Scheduler, stage: Stage, job: Work) -> None:
        submitted.append(stage.address)
        work(made, stage, job)

    rows = schedule(project, Options(on_error="keep-going"), note).results
    assert sorted(submitted) == sorted(CHAIN)
    assert {address: result.outcome for address, result in rows.items()} == {
        "bad": Outcome.FAILED,
        "after": Outcome.SKIPPED,
        "later": Outcome.SKIPPED,
        "good": Outcome.RUN,
    }
    assert not (project.root / "later.txt").exists()


def test_work_that_nobody_does_fails_its_stage(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"good": CHAIN["good"]})
    ended = schedule(project, Options(), lambda made, stage, _: made.lost(stage.address))
    assert ended.failures == ["good"]
    assert str(ended.results["good"].error) == "Prefect did not run it; see its log"
    project.flow()
    project.clean()


def test_ignored_errors_let_dependents_run(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: CHAIN[name] for name in ("bad", "good")} | {"last": {"cmd": "touch l", "outs": ["l"]}})
    ended = schedule(project, Options(on_error="ignore"), work, jobs=1)
    assert ended.failures == ["bad"]
    assert set(ended.report.reproduced) == {"good", "last"}


def test_one_job_runs_one_stage_at_a_time(project: Project) -> None:
    command = "mkdir alone || touch twice; sleep 0.2; rmdir alone; touch $DVC_STAGE"
    project.write({"seed.txt": "1\n"})
    project.pipeline({n: {"cmd": command, "deps": ["seed.txt"], "outs": [n]} for n in ("a", "b", "c")})
    assert set(schedule(project, Options(), work, jobs=1).report.reproduced) == {"a", "b", "c"}
    assert not (project.root / "twice").exists()


def outcomes(made: Scheduler) -> dict[str, Outcome]:
    return {address: result.outcome for address, result in made.results.items()}


def test_a_stage_whose_dependency_changed_while_it_waited_for_slots_begins_anew(project: Project) -> None:
    project.write({"seed.txt": "1\n", "other.txt": "1\n"})
    slow = {"cmd": "sleep 1.5; cp seed.txt other.txt; cp seed.txt s.txt", "deps": ["seed.txt"], "outs": ["s.txt"]}
    both = {"meta": {"cpus": 2}}
    project.pipeline({"slow": {**slow, **both}, "waits": copies("other.txt", "w.txt", **both)})
    schedule(project, Options(), work)
    project.write({"seed.txt": "7\n", "other.txt": "9\n"})
    assert set(outcomes(schedule(project, Options(), work)).values()) == {Outcome.RUN}
    assert (project.root / "w.txt").read_text() == "7\n"
    project.clean()


def test_a_dependency_that_vanished_meanwhile_is_missed_before_the_command_runs(project: Project) -> None:
    project.write({"seed.txt": "1\n", "other.txt": "1\n"})
    slow = {"cmd": "sleep 1.5; rm other.txt; cp seed.txt s.txt", "deps": ["seed.txt"], "outs": ["s.txt"]}
    waits = {"cmd": "echo x > w.txt", "deps": ["other.txt"], "outs": ["w.txt"]}
    both = {"meta": {"cpus": 2}}
    project.pipeline({"slow": {**slow, **both}, "waits": {**waits, **both}})
    rows = schedule(project, Options(on_error="keep-going"), work).results
    assert "'other.txt', which is not there" in rows["waits"].why
    assert not (project.root / "w.txt").exists()


@pytest.mark.parametrize("restored", [False, True])
def test_a_stage_whose_output_another_process_reads_waits_and_then_runs(project: Project, restored: bool) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt")})
    for text in ("2\n", "1\n") if restored else ("1\n",):
        project.write({"seed.txt": text})
        schedule(project, Options(), work)
    project.write({"seed.txt": "2\n"})
    with subprocess.Popen(["sleep", "1.5"]) as reader:
        threading.Thread(target=reader.wait, daemon=True).start()
        made = schedule(project, Options(), work, planned=lambda _: reads(project, "o.txt", reader.pid))
    assert outcomes(made) == {"s": Outcome.RESTORED if restored else Outcome.RUN}
    assert (project.root / "o.txt").read_text() == "2\n"
    project.clean()


def reads(project: Project, path: str, pid: int) -> None:
    """Have DVC think that a process reads this path."""
    info = {"pid": pid, "cmd": "dvc repro reader"}
    noted = {"write": {}, "read": {str(project.root / path): [info]}}
    (project.root / ".dvc/tmp/rwlock").write_text(json.dumps(noted))


def test_one_by_one_means_in_order_even_if_one_has_to_wait(project: Project) -> None:
    project.write({"seed.txt": "1\n", "a.txt": "0\n"})
    project.pipeline({"a": copies("seed.txt", "a.txt"), "b": copies("a.txt", "b.txt")})
    with subprocess.Popen(["sleep", "1"]) as reader:
        threading.Thread(target=reader.wait, daemon=True).start()
        schedule(
            project,
            Options(single_item=True),
            work,
            targets=["a", "b"],
            planned=lambda _: reads(project, "a.txt", reader.pid),
        )
    assert (project.root / "b.txt").read_text() == "1\n"


def test_lost_work_gives_its_slots_back(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: copies("seed.txt", f"{name}.txt") for name in "ab"})

    def lose(made: Scheduler, stage: Stage, job: Work) -> None:
        made.lost(stage.address) if stage.address == "a" else work(made, stage, job)

    made = schedule(project, Options(on_error="keep-going"), lose, jobs=1)
    assert outcomes(made) == {"a": Outcome.FAILED, "b": Outcome.RUN}


def test_a_try_that_cannot_begin_gives_its_slots_back(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    again = {"cmd": "exit 75", "deps": ["seed.txt"], "outs": ["a.txt"], "meta": {"retries": 1, "retry_delay": 0}}
    project.pipeline({"a": again, "b": copies("seed.txt", "b.txt")})

    def deny(workspace: Workspace) -> None:
        workspace.clear = refuse  # type: ignore[method-assign, assignment]

    made = schedule(project, Options(on_error="keep-going"), work, jobs=1, planned=deny)
    assert outcomes(made) == {"a": Outcome.FAILED, "b": Outcome.RUN}
    assert made.results["a"].why == "[Errno 13] Permission denied: 'a.txt'"


def test_a_retry_draws_nothing_from_what_a_caller_has_seeded(project: Project) -> None:
    again = {"meta": {"retries": 1, "retry_delay": 0}}
    project.pipeline({"a": {"cmd": "mkdir a && exit 75; touch a/x", "outs": ["a/x"], **again}})
    before = random.getstate()
    made = schedule(project, Options(), work)
    assert outcomes(made) == {"a": Outcome.RUN}
    assert random.getstate() == before


def refuse(_: object) -> None:
    raise PermissionError(13, "Permission denied", "a.txt")


def test_outputs_that_cannot_be_removed_stay_nobodys(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write({"seed.txt": "1\n", "a.txt": "old"})
    project.pipeline({"a": copies("seed.txt", "a.txt"), "b": copies("a.txt", "b.txt")})
    real = workspace_module._remove_outs
    monkeypatch.setattr(workspace_module, "_remove_outs", lambda s: refuse(s) if s.name == "a" else real(s))
    made = schedule(project, Options(on_error="keep-going"), work)
    assert outcomes(made) == {"a": Outcome.FAILED, "b": Outcome.SKIPPED}
    held = json.loads((project.root / ".dvc/tmp/rwlock").read_text())
    assert not any(held.values())


def test_a_stage_that_cannot_be_submitted_ends_the_walk_at_once(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"a": copies("seed.txt", "a.txt"), "b": copies("seed.txt", "b.txt")})

    def fail(_: Scheduler, stage: Stage, __: Work) -> None:
        raise RuntimeError(f"no thread for {stage.address}")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="no thread for a"):
        schedule(project, Options(), fail, jobs=1)
    assert time.monotonic() - began < 10
    assert Slots(1, project.environment).acquire(Settings()) is not None


def test_what_was_skipped_is_told_the_failure_that_it_depends_on(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            "a": {"cmd": "sleep 1; exit 1", "deps": ["seed.txt"], "outs": ["a.txt"]},
            "b": {"cmd": "exit 1", "deps": ["seed.txt"], "outs": ["b.txt"]},
            "c": copies("a.txt", "c.txt"),
        }
    )
    assert schedule(project, Options(on_error="keep-going"), work).results["c"].why == "'a' failed"


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (KeyboardInterrupt(), signal.SIGINT),
        (Interrupted(signal.SIGHUP), signal.SIGHUP),
        (Interrupted(signal.SIGTERM), signal.SIGTERM),
        (Interrupted(signal.SIGQUIT), signal.SIGTERM),
        (InterruptedError("cancelled"), signal.SIGTERM),
    ],
)
def test_what_ends_the_run_is_passed_to_stages_and_told_what_they_left(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, number: signal.Signals
) -> None:
    world = World(1, Graph(tuple(Stage(name) for name in "abcdef")))
    executor, stopped = FakeExecutor(world, cpus=5), list[int]()
    reserve = executor.reserve

    def interrupted(stage: Stage) -> Lease | None:
        if stage.address == "f":
            raise error
        return reserve(stage)

    monkeypatch.setattr(executor, "reserve", interrupted)
    monkeypatch.setattr(Job, "stop", lambda _, number: stopped.append(number))
    with pytest.raises(type(error)) as caught:
        world.play(executor)
    running = [name for name in "abcde" if name in world.dispatched]
    assert stopped == [number] * len(running) == [number] * 5
    left = "what 'a', 'b', 'c' and 2 more wrote may be half-written; the next run makes it anew"
    assert caught.value.__notes__ == [left]


def test_nothing_is_told_of_stages_that_had_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(1, Graph((Stage("a"), Stage("b", ("a",)))))
    executor = FakeExecutor(world)
    reserve = executor.reserve

    def interrupted(stage: Stage) -> Lease | None:
        if stage.address == "b":
            raise Interrupted(signal.SIGHUP)
        return reserve(stage)

    monkeypatch.setattr(executor, "reserve", interrupted)
    with pytest.raises(Interrupted) as caught:
        world.play(executor)
    assert not hasattr(caught.value, "__notes__")


def test_no_more_jobs_than_threads_are_submitted(project: Project) -> None:
    """A retry that waits for slots keeps its thread; the slots must not lie with one that waits for a thread."""
    project.write({"seed.txt": "1\n"})
    again = {"deps": ["seed.txt"], "meta": {"retries": 1, "retry_delay": 0}}
    project.pipeline({name: {"cmd": f"mkdir {name} && exit 75; touch {name}/x", **again} for name in "abc"})
    lock, most = threading.Lock(), []

    def one_thread(made: Scheduler, _: Stage, job: Work) -> None:
        made.most = 1
        most.append(len(made.running))

        def run() -> None:
            with lock:
                job(lambda _: None)
                while job.again:
                    job(lambda _: None)

        threading.Thread(target=run).start()

    made = schedule(project, Options(), one_thread, jobs=2)
    assert set(outcomes(made).values()) == {Outcome.RUN}
    assert most == [0, 0, 0]


def test_what_is_known_of_a_stage_is_told_with_its_end() -> None:
    graph = Graph((Stage("a"), Stage("same"), Stage("b"), Stage("c", ("b",)), Stage("d")))
    fates = {
        "same": Fate(Outcome.UNCHANGED),
        "b": Fate(tries=[Ended(ValueError("it broke"))]),
        "d": Fate(broken=ValueError("no")),
    }
    world, ear = World(1, graph, Options(on_error="keep-going"), fates), Ear()
    world.play(FakeExecutor(world), listener=ear)
    found = {one.result.address: one.recorded for one in ear.events if isinstance(one, StageEnded)}
    made = {name: Recorded({"seed.txt": "hash"}, {}, [Output(f"{name}.txt", "hash")]) for name in ("a", "same")}
    assert found == {**made, "b": Recorded({"seed.txt": "hash"}), "c": None, "d": None}


def test_the_slots_of_a_stage_are_told_if_its_lease_has_any() -> None:
    world, ear = World(1, Graph((Stage("a"),))), Ear()
    world.play(FakeExecutor(world), listener=ear)
    assert ear.ended["a"].slots == ()
    named = FakeExecutor(world := World(1, Graph((Stage("a"),))))
    reserve = named.reserve

    def with_names(stage: Stage) -> Lease | None:
        lease = reserve(stage)
        vars(lease)["slots"] = ("cpu-7",)
        return lease

    named.reserve = with_names  # type: ignore[method-assign]
    ear = Ear()
    world.play(named, listener=ear)
    assert ear.ended["a"].slots == ("cpu-7",)
