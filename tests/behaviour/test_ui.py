"""`gliaflow ui` after runs of every sort, on the server that it starts: all are there, each once, with true times."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from gliaflow.journal.folder import BELOW, journals
from gliaflow.journal.reader import seen
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, soon

pytestmark = pytest.mark.server
MANY = 30_000  # lines of a stage
LONG = "touch begun; while test ! -e go; do sleep 0.05; done; touch long.txt"


def stage(command: str, out: str, **more: Any) -> dict[str, Any]:
    return {"cmd": command, "deps": ["seed.txt"], "outs": [out], **more}


@contextmanager
def started(project: Project, *line: str) -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*GLIAFLOW, *line], cwd=project.root, env=project.environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def pages(project: Project) -> Iterator[str]:
    """The address of the API of the pages, as long as they are shown."""
    with started(project, "ui") as process:
        assert process.stdout
        yield f"{process.stdout.readline().split()[0]}/api"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def asked(api: str, what: str, **only: Any) -> list[dict[str, Any]]:
    answer = httpx.post(f"{api}/{what}/filter", json={"limit": 200, **only}, timeout=PATIENCE, trust_env=False)
    return answer.raise_for_status().json()  # type: ignore[no-any-return]


def run(project: Project, stages: dict[str, Any], seed: str, *arguments: str) -> None:
    """A run that ends by itself, well or not."""
    project.pipeline(stages)
    project.write({"seed.txt": f"{seed}\n"})
    project.gliaflow("repro", *arguments, expect=None)


def interrupted(project: Project, number: int, seed: str) -> None:
    """A run that a signal ends while its stage runs."""
    project.pipeline({"long": stage(LONG, "long.txt")})
    project.write({"seed.txt": f"{seed}\n"})
    (project.root / "begun").unlink(missing_ok=True)
    with started(project, "repro") as process:
        assert soon(lambda: (project.root / "begun").exists())
        os.kill(process.pid, number)
        process.communicate(timeout=PATIENCE)


def test_seven_runs(project: Project, tmp_path: Any) -> None:
    project.environment["PREFECT_HOME"] = str(tmp_path / "own")
    two = {"one": stage("echo hello; cp seed.txt one.txt", "one.txt"), "two": stage("cp seed.txt two.txt", "two.txt")}
    run(project, two, "1")
    run(project, {**two, "bad": stage("echo the reason; exit 3", "bad.txt")}, "2", "--keep-going")
    interrupted(project, signal.SIGINT, "3")
    interrupted(project, signal.SIGKILL, "4")
    run(project, {"many": stage(f"seq {MANY}; touch many.txt", "many.txt")}, "5")
    again = {"retries": 1, "retry_delay": 0}
    flaky = stage("test -e tried || { touch tried; exit 75; }; touch f.txt", "f.txt", meta=again)
    run(project, {"flaky": flaky}, "6")
    project.pipeline({"long": stage(LONG, "long.txt")})
    (project.root / "begun").unlink()
    with started(project, "repro") as going:
        assert soon(lambda: (project.root / "begun").exists())
        with pages(project) as api:
            complete = ["CANCELLED", "COMPLETED", "COMPLETED", "COMPLETED", "CRASHED", "FAILED", "RUNNING"]
            assert soon(lambda: states(api) == complete)
            check(project, api)
            (project.root / "go").touch()
            going.communicate(timeout=PATIENCE)
            assert soon(lambda: states(api) == sorted(["COMPLETED", *complete[:-1]]))
    with pages(project) as api:
        assert soon(lambda: len(asked(api, "flow_runs")) == 7)
        before = [len(asked(api, what)) for what in ("flow_runs", "task_runs", "artifacts")]
    with pages(project) as api:
        assert soon(lambda: len(asked(api, "flow_runs")) == 7)
        assert [len(asked(api, what)) for what in ("flow_runs", "task_runs", "artifacts")] == before


def states(api: str) -> list[str]:
    return sorted(one["state_type"] for one in asked(api, "flow_runs"))


def check(project: Project, api: str) -> None:
    """What the pages show of the seven."""
    expected = {
        "one": ["Completed", "Completed"],
        "two": ["Completed", "Completed"],
        "bad": ["Failed"],
        "long": ["Cancelled", "Crashed", "Running"],
        "many": ["Completed"],
        "flaky": ["Completed"],
    }
    assert soon(lambda: names(api) == expected), names(api)
    by_name = {one["name"]: [one] for one in asked(api, "task_runs")}
    assert "the reason" in by_name["bad"][0]["state"]["message"]
    assert [one["run_count"] for one in by_name["flaky"]] == [2]
    (many,) = by_name["many"]
    logs = asked(api, "logs", logs={"task_run_id": {"any_": [many["id"]]}}, sort="TIMESTAMP_DESC")
    assert logs[0]["message"] == str(MANY)
    (path,) = (one for one in journals(project.root / BELOW) if "many" in seen(one).stages)
    assert any(str(path) in one["message"] for one in logs)
    true = {iso(seen(one).began) for one in journals(project.root / BELOW)[:-1]}
    assert soon(lambda: true <= {one["start_time"][:19] for one in asked(api, "flow_runs")})


def names(api: str) -> dict[str, list[str]]:
    """The states of all task runs, by the names of the stages."""
    found: dict[str, list[str]] = {}
    for one in asked(api, "task_runs"):
        found.setdefault(one["name"], []).append(one["state_name"])
    return {name: sorted(states) for name, states in found.items()}


def iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat()[:19]
