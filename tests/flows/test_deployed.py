"""What prefect.yaml deploys, by a real worker: the night's run, a data version, and the look for newer data."""

import shutil
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kagglesdk import kaggle_env
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)
from ruamel.yaml import YAML

from flows.check_data import check_data
from flows.nightly import nightly as nightly_flow
from flows.release import release
from gliaflow.team import watch
from tests.gliaflow.store.history import ran
from tests.stages.lgg.kaggle_server import TOKEN, Kaggle, serving
from tests.support.repos import ROOT, Project, soon
from tests.support.servers import postgres
from tests.support.team import Team, team

EVERY = timedelta(seconds=3)  # far less than the run takes
FORCE = {"force": True, "pull": False}
GRAPH: dict[str, Any] = {
    "one": {
        "cmd": "echo one >> ran.log; mkdir BUSY || exit 9; sleep 8; cp seed.txt one.txt; rmdir BUSY",
        "deps": ["seed.txt"],
        "outs": ["one.txt"],
    },
    "two": {
        "cmd": "echo two >> ran.log; cp one.txt two.txt",
        "deps": ["one.txt"],
        "outs": ["two.txt"],
        "meta": {"pool": "gpu"},
    },
}


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A team with a host for each pool."""
    folder = tmp_path_factory.mktemp("team")
    with postgres(folder) as database, team(folder, database, ROOT) as made:
        assert made.set_up("deploy", "--repository", str(made.origin)).startswith("deployed stage/cpu\n")
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `nohup make worker &` has it
        made.join("n", "cpu")
        made.join("g", "gpu")
        signal.signal(signal.SIGINT, before)
        yield made


@pytest.fixture(scope="module")
def pipeline(crew: Team, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The repository whose main branch the deployments name; nothing of it was ever computed."""
    made = crew.project(tmp_path_factory.mktemp("pipeline") / "project", crew.origin)
    made.write({
        "seed.txt": "1\n",
        ".gitignore": "ran.log\n",
        "data/README.md": "| Licence | CC0 |\n",
        "params.yaml": "lgg:\n  download:\n    source: kaggle\n    version: 2\n    sha256: null\n",
    })  # fmt: skip
    graph = {name: {**stage, "cmd": stage["cmd"].replace("BUSY", f"{made.root}/busy")} for name, stage in GRAPH.items()}
    made.pipeline(graph)
    made.commit()
    made.run("git", "push", "--quiet", "origin", "HEAD:main")
    return made


def runs(client: SyncPrefectClient, name: str) -> list[FlowRun]:
    """Those of a deployment that were not left in the future, the oldest first."""
    only = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[client.read_deployment_by_name(name).id]))
    found = client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.EXPECTED_START_TIME_ASC)
    return [run for run in found if run.state and not run.state.is_scheduled()]


def test_the_night_comes_by_its_schedule_and_one_run_at_a_time(crew: Team, pipeline: Project, tmp_path: Path) -> None:
    with crew.client() as client:
        nightly = client.read_deployment_by_name("nightly/nightly")
        (schedule,) = nightly.schedules
        assert (schedule.schedule.cron, schedule.schedule.timezone) == ("0 3 * * *", "UTC")  # type: ignore[union-attr]
        assert runs(client, "nightly/nightly") == []
        soon_and_often = IntervalSchedule(interval=EVERY, anchor_date=datetime.now(UTC) + timedelta(seconds=3))
        moved = DeploymentScheduleUpdate(schedule=soon_and_often)
        client.update_deployment(nightly.id, DeploymentUpdate(schedules=[moved]))

        def states() -> list[str | None]:
            return [run.state_name for run in runs(client, "nightly/nightly")]

        assert soon(lambda: "Completed" in states() and states().count("Cancelled") >= 2), states()
        client.update_deployment(nightly.id, DeploymentUpdate(paused=True))
        assert soon(lambda: set(states()) == {"Completed", "Cancelled"}), states()
        # Which of two that fall due together goes first is the worker's choice, so none is expected to be the one.
        found = [run for run in runs(client, "nightly/nightly") if run.state]
        whole = [run for run in found if run.state_name == "Completed"]
        spans = sorted((run.start_time, run.end_time) for run in whole if run.start_time and run.end_time)
        assert len(spans) == len(whole)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans
        why = {run.state.message for run in found if run.state and run.state_name == "Cancelled"}
        assert why == {"Deployment concurrency limit reached."}
    sent, *_ = crew.runs("two")
    assert (sent.work_pool_name, sent.state_name) == ("gpu", "Completed")
    mate = pipeline.copy(tmp_path / "mate")
    shutil.rmtree(mate.root / ".dvc/cache", ignore_errors=True)
    mate.flow("--pull")
    assert ran(mate) == []
    assert (mate.root / "two.txt").read_text() == "1\n"


def test_a_version_is_published_by_a_deployment(pipeline: Project) -> None:
    pipeline.flow("--pull")
    pipeline.commit()
    pipeline.run("git", "push", "--quiet", "origin", "HEAD:main")
    pipeline.gliaflow("push")
    line = [sys.executable, "-m", "prefect", "deployment", "run", "release/version", "--param", "name=v1", "--watch"]
    ended = pipeline.run(*line)
    assert "finished successfully" in ended.stdout, ended.stdout
    pipeline.run("git", "fetch", "--quiet", "--tags", "origin")
    assert "v1: " in pipeline.gliaflow("versions").stdout


def looked(crew: Team, origin: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """How the look for newer data ends."""
    monkeypatch.setenv("GLIAFLOW_WORKSPACES", str(home))
    with temporary_settings({PREFECT_API_URL: crew.server.url, PREFECT_HOME: home}):
        found: Any = check_data(repository=str(origin), return_state=True)
        APILogWorker.drain_all()
        EventsWorker.drain_all()
        return found


@pytest.mark.usefixtures("pipeline")
def test_newer_data_fails_loudly_and_changes_nothing(
    crew: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    with serving(Kaggle(b"")) as server:
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.api_url)
        same = looked(crew, crew.origin, tmp_path, monkeypatch)
        assert (same.is_completed(), same.message) == (True, "version 2 is the newest")
        server.version = 3
        newer = looked(crew, crew.origin, tmp_path, monkeypatch)
    assert (newer.is_failed(), newer.name) == (True, "NewData")
    assert str(newer.message).startswith("Kaggle has version 3 of lgg-mri-segmentation, and lgg.download.version is 2")


def test_every_deployment_of_the_file_is_there(crew: Team) -> None:
    names = {"stage/gpu", "stage/cpu", "nightly/nightly", "release/version", "check-data/weekly"}
    written = YAML(typ="safe", pure=True).load((ROOT / "prefect.yaml").read_text())["deployments"]
    with crew.client() as client:
        found = {name: client.read_deployment_by_name(name) for name in names}
        pools = {name: one.work_pool_name for name, one in found.items()}
        assert pools == {name: "gpu" if name == "stage/gpu" else "cpu" for name in names}
        deployed = {one.name for name, one in found.items() if not name.startswith("stage/")}
        assert deployed == {one["name"] for one in written}
        assert found["nightly/nightly"].concurrency_options.collision_strategy.value == "CANCEL_NEW"  # type: ignore[union-attr]
        assert {schedule.schedule.cron for schedule in found["check-data/weekly"].schedules} == {"0 5 * * 1"}  # type: ignore[union-attr]


def test_a_night_whose_host_is_lost_has_crashed_and_makes_way(crew: Team, pipeline: Project) -> None:
    with crew.client() as client:
        crew.set_up("deploy", "--repository", str(crew.origin))  # again, and there is still one of them
        (found,) = client.read_automations_by_name(watch.NAME)
        assert (found.trigger.within, found.enabled) == (watch.SILENCE, True)  # type: ignore[union-attr]
        client.update_automation(found.id, watch.automation(timedelta(seconds=10)))  # with no second sign until then
        nightly = client.read_deployment_by_name("nightly/nightly")
        night = client.create_flow_run_from_deployment(nightly.id, parameters=nightly.parameters | {"flags": FORCE})
        assert soon((pipeline.root / "busy").exists)
        crew.hosts["n"].kill()
        crew.join("m", "cpu")

        def state() -> tuple[str | None, str | None]:
            found = client.read_flow_run(night.id).state
            return (found.name, found.message) if found else (None, None)

        assert soon(lambda: state() == ("Crashed", "nothing was heard of its host for 10 s")), state()
        (pipeline.root / "busy").rmdir()
        following = client.create_flow_run_from_deployment(nightly.id)
        assert soon(lambda: client.read_flow_run(following.id).state_name == "Completed")


def test_what_the_user_must_mend_ends_a_deployed_flow_at_once(
    crew: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIAFLOW_WORKSPACES", str(tmp_path))
    what: dict[str, Any] = {"repository": str(tmp_path / "nowhere"), "return_state": True}
    with temporary_settings({PREFECT_API_URL: crew.server.url, PREFECT_HOME: tmp_path}), crew.client() as client:
        for found in (release(name="v9", **what), nightly_flow(**what)):
            assert (found.is_failed(), found.name) == (True, "Failed")
            assert "does not appear to be a git repository" in str(found.message)
            assert "\n" not in str(found.message)
            assert client.read_flow_run(found.state_details.flow_run_id).run_count == 1
        APILogWorker.drain_all()
        EventsWorker.drain_all()


def test_a_worker_that_was_started_in_the_background_ends_when_it_is_told(crew: Team) -> None:
    host = crew.hosts["g"]
    assert soon(lambda: "started!" in host.log()), host.log()
    host.worker.terminate()
    host.worker.wait(60)
