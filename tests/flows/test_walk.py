"""Walks without Prefect: threads of the test's own do the work."""

import threading
from collections.abc import Callable
from typing import Any

from flows.devices import Slots
from flows.graph import Stage
from flows.options import Flags, Outcome
from flows.screen import Screen
from flows.walk import Walk, Work
from flows.workspace import Workspace
from tests.flows.repos import Project

CHAIN: dict[str, Any] = {
    "bad": {"cmd": "exit 1", "deps": ["seed.txt"], "outs": ["bad.txt"]},
    "after": {"cmd": "touch after.txt", "deps": ["bad.txt"], "outs": ["after.txt"]},
    "later": {"cmd": "touch later.txt", "deps": ["after.txt"], "outs": ["later.txt"]},
    "good": {"cmd": "touch good.txt", "deps": ["seed.txt"], "outs": ["good.txt"]},
}


def walk(project: Project, flags: Flags, submit: Callable[[Walk, Stage, Work], None], jobs: int = 2) -> Walk:
    """Bring every stage of the project to its end."""
    with Workspace(project.root, flags, lambda _: None) as workspace:
        made = Walk(workspace, workspace.plan(), Slots(jobs, project.environment), Screen(quiet=True))
        made.go(lambda stage, work: submit(made, stage, work))
    return made


def work(_: Walk, __: Stage, work: Work) -> None:
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

    def note(made: Walk, stage: Stage, job: Work) -> None:
        submitted.append(stage.address)
        work(made, stage, job)

    rows = walk(project, Flags(on_error="keep-going"), note).rows
    assert sorted(submitted) == sorted(CHAIN)
    assert {address: row.outcome for address, row in rows.items()} == {
        "bad": Outcome.FAILED,
        "after": Outcome.SKIPPED,
        "later": Outcome.SKIPPED,
        "good": Outcome.RUN,
    }
    assert not (project.root / "later.txt").exists()


def test_work_that_nobody_does_fails_its_stage(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"good": CHAIN["good"]})
    ended = walk(project, Flags(), lambda made, stage, _: made.lost(stage.address))
    assert ended.failures == ["good"]
    assert str(ended.rows["good"].error) == "Prefect did not run it; see its log"
    project.flow()
    project.clean()


def test_ignored_errors_let_dependents_run(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: CHAIN[name] for name in ("bad", "good")} | {"last": {"cmd": "touch l", "outs": ["l"]}})
    ended = walk(project, Flags(on_error="ignore"), work, jobs=1)
    assert ended.failures == ["bad"]
    assert set(ended.reproduced) == {"good", "last"}


def test_one_job_runs_one_stage_at_a_time(project: Project) -> None:
    command = "mkdir alone || touch twice; sleep 0.2; rmdir alone; touch $DVC_STAGE"
    project.write({"seed.txt": "1\n"})
    project.pipeline({n: {"cmd": command, "deps": ["seed.txt"], "outs": [n]} for n in ("a", "b", "c")})
    assert set(walk(project, Flags(), work, jobs=1).reproduced) == {"a", "b", "c"}
    assert not (project.root / "twice").exists()
