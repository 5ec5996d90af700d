"""What Prefect shows of a run."""

import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from dvc.exceptions import ReproductionError
from prefect import tags
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterTags,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelling

from tests.behaviour.test_kills import mine
from tests.support.patience import PATIENCE
from tests.support.repos import Project, reproduce, soon

STAGES: dict[str, Any] = {
    "one": {"cmd": "echo hello from one; cp seed.txt one.txt", "deps": ["seed.txt"], "outs": ["one.txt"]},
    "two": {"cmd": "cp one.txt two.txt; echo '{\"score\": 0.5}' > m.json", "deps": ["one.txt"], "outs": ["two.txt"]},
    "bad": {"cmd": "echo the reason; exit 3", "deps": ["one.txt"], "outs": ["bad.txt"]},
    "after": {"cmd": "cp bad.txt after.txt", "deps": ["bad.txt"], "outs": ["after.txt"]},
}  # fmt: skip


def last_run(client: SyncPrefectClient, project: Project) -> FlowRun:
    """The newest flow run of the project; another worker of the tests may use the same server."""
    mine_only = FlowRunFilter(tags=FlowRunFilterTags(all_=[str(project.root)]))
    return client.read_flow_runs(flow_run_filter=mine_only, sort=FlowRunSort.START_TIME_DESC, limit=1)[0]


def tasks(client: SyncPrefectClient, run: FlowRun) -> dict[str, Any]:
    """Its task runs by name."""
    only = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    return {task.name: task for task in client.read_task_runs(flow_run_filter=only)}


def test_states_logs_and_artifacts(project: Project, client: SyncPrefectClient) -> None:
    project.write({"seed.txt": "1\n"})
    stages = STAGES | {"two": STAGES["two"] | {"metrics": [{"m.json": {"cache": False}}]}}
    project.pipeline({name: stages[name] for name in ("one", "two")})
    project.commit()
    assert reproduce(project.root) == ["one", "two"]
    (project.root / "two.txt").unlink()
    project.pipeline(stages)
    with tags(str(project.root)), pytest.raises(ReproductionError):
        reproduce(project.root, on_error="keep-going")
    run = last_run(client, project)
    assert run.state_name == "Failed"
    found = soon(lambda: len(all_ended := tasks(client, run)) == 4 and all_ended)
    assert {name: task.state_name for name, task in found.items()} == {
        "one": "Cached", "two": "Cached", "bad": "Failed", "after": "Skipped",
    }  # fmt: skip
    assert found["one"].state.message == "unchanged"
    assert found["two"].state.message == "restored from run-cache"
    assert "exited with 3\nthe reason" in found["bad"].state.message
    assert "'bad' failed" in found["after"].state.message
    inputs = {entry.id for entries in found["after"].task_inputs.values() for entry in entries}
    assert inputs == {found["bad"].id}
    logs = soon(lambda: client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))))
    assert [log.task_run_id for log in logs if log.message == "the reason"] == [found["bad"].id]
    kept = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])))
    by_key = {artifact.key: artifact.data for artifact in kept}
    assert "restored from run-cache" in str(by_key["stages"])
    assert '"metric": "score", "value": "0.5", "since HEAD": "new"' in str(by_key["metrics"])


def test_a_retry_is_one_task_run_with_two_tries(project: Project, client: SyncPrefectClient) -> None:
    project.write({"seed.txt": "1\n"})
    command = "test -e tried || { touch tried; exit 75; }; touch o.txt"
    meta = {"retries": 1, "retry_delay": 0}
    project.pipeline({"s": {"cmd": command, "deps": ["seed.txt"], "outs": ["o.txt"], "meta": meta}})
    with tags(str(project.root)):
        reproduce(project.root)
    run = last_run(client, project)
    task = soon(lambda: (found := tasks(client, run)) and found["s"].state_name == "Completed" and found["s"])
    assert task.run_count == 2


def test_a_run_in_which_nothing_changed_asks_no_server(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"one": STAGES["one"]})
    project.flow()
    project.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"  # nobody listens there
    ended = project.flow()
    assert ended.stdout.startswith("Data and pipelines are up to date.\n")
    assert ended.stderr == ""


SERVE = """
import sys
from prefect import flow
import gliaflow


@flow
def repro(root):
    gliaflow.reproduce(root).raise_if_failed()


if __name__ == "__main__":
    repro.serve(name="here", parameters={"root": sys.argv[1]})
"""


def test_cancelling_a_served_run_ends_every_process(project: Project, client: SyncPrefectClient) -> None:
    project.write({"seed.txt": "1\n"})
    command = "(setsid sleep 1296 &) ; test -e seed.txt && touch begun && sleep 1295"
    meta = {"pool": "gpu"}  # of no concern to a flow that is served where it runs
    project.pipeline({"long": {"cmd": command, "deps": ["seed.txt"], "outs": ["o.txt"], "meta": meta}})
    served = project.root.parent / "served.py"
    served.write_text(SERVE)
    line = [sys.executable, str(served), str(project.root)]
    with subprocess.Popen(
        line, cwd=served.parent, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as server:
        try:
            deployment = soon(lambda: found(client, "repro/here"))
            run = client.create_flow_run_from_deployment(deployment.id)
            assert soon(lambda: (project.root / "begun").exists())
            client.set_flow_run_state(run.id, Cancelling())
            assert soon(lambda: client.read_flow_run(run.id).state_name == "Cancelled")
            assert soon(lambda: not [p for p in mine(project) if p.name() == "sleep"])
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=PATIENCE)
    assert soon(lambda: not mine(project))
    project.pipeline({"long": {"cmd": "touch o.txt", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    project.flow()
    project.clean()


def found(client: SyncPrefectClient, name: str) -> Any:
    with suppress(Exception):
        return client.read_deployment_by_name(name)
    return None
