"""A team's server: pools, and what is wrong with it."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvicorn
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_API_AUTH_STRING,
    temporary_settings,
)

from gliaflow.errors import UserError
from gliaflow.team.setup import make_pool, pools_of
from gliaflow.team.worker import work
from tests.support.team import unique


@pytest.mark.usefixtures("api")
def test_pools_are_made_once_and_limits_set() -> None:
    cpu, gpu = unique("cpu"), unique("gpu")
    with get_client(sync_client=True) as client:
        assert make_pool(cpu)
        assert make_pool(gpu)
        before = {pool.name: pool.id for pool in client.read_work_pools()}
        assert not make_pool(gpu, 4)
        after = {pool.name: pool for pool in client.read_work_pools()}
        assert {name: after[name].id for name in (cpu, gpu)} == {name: before[name] for name in (cpu, gpu)}
        assert (after[gpu].concurrency_limit, after[gpu].type) == (4, "process")
        assert not make_pool(gpu)
        assert client.read_work_pool(gpu).concurrency_limit == 4
        deployed = client.read_deployment_by_name(f"stage/{gpu}")
        assert (deployed.work_pool_name, deployed.entrypoint) == (gpu, "gliaflow.team.stage_flow.stage")


def test_a_server_that_wants_a_password_or_is_away_is_one_line(tmp_path: Path) -> None:
    from prefect.server.api.server import create_api_app  # five seconds, which only this test needs

    with socket.create_server(("127.0.0.1", 0)) as listening:
        with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "admin:right"}):
            app = create_api_app(ignore_cache=True)
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        there = {PREFECT_API_URL: f"http://127.0.0.1:{listening.getsockname()[1]}", PREFECT_HOME: tmp_path}
        actions: list[Callable[[], object]] = [lambda: make_pool("gpu"), lambda: work("gpu", tmp_path)]
        for given in ({}, {PREFECT_API_AUTH_STRING: "admin:wrong"}):
            for action in actions:
                with temporary_settings(there | given), pytest.raises(UserError) as caught:
                    action()
                said = "the server wants a password: set PREFECT_API_AUTH_STRING"
                assert str(caught.value) == f"{there[PREFECT_API_URL]}: {said}"
        server.should_exit = True
        thread.join()
    with temporary_settings(there), pytest.raises(UserError, match="is the server there"):
        work("gpu", tmp_path)


def test_the_pools_that_a_file_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prefect\.yaml: no such file"):
        pools_of(tmp_path)
    (tmp_path / "prefect.yaml").write_text("deployments: 3\n")
    with pytest.raises(UserError, match="not what `prefect deploy` takes"):
        pools_of(tmp_path)
    entries = "".join(f"- {{name: {n}, work_pool: {{name: {pool}}}}}\n" for n, pool in enumerate(["gpu", "cpu", "gpu"]))
    (tmp_path / "prefect.yaml").write_text(f"deployments:\n{entries}- {{name: served}}\n")
    assert pools_of(tmp_path) == ["cpu", "gpu"]
