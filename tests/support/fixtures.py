"""The fixtures of all tests of the engine."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gliaflow.flow.server import shared
from tests.support.forks import Forks
from tests.support.repos import GIT, Project, environment


@pytest.fixture(scope="session", autouse=True)
def git() -> Iterator[None]:
    """Have what tests call use git as the repositories do: this machine may know nobody's name."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in GIT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session", autouse=True)
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have all repositories run `dvc` and `gliaflow` by forks of a process that has imported them."""
    Project.forks = Forks(tmp_path_factory.mktemp("forks"), environment(Path()))
    yield
    Project.forks.close()
    Project.forks = None


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """End the connection over which Prefect reports events: to keep it alive, it draws from what tests may seed."""
    yield
    if "prefect.events.worker" in sys.modules:
        sys.modules["prefect.events.worker"].EventsWorker.drain_all(timeout=10)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's home, one for all workers of the test run."""
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prefect"
    made.mkdir(exist_ok=True)
    return made


@pytest.fixture(scope="session")
def server(home: Path) -> Iterator[str]:
    """A Prefect server on loopback."""
    with shared(home) as url:
        yield url


@pytest.fixture
def api(server: str, home: Path) -> Iterator[str]:
    """Have this test's runs be kept by that server, and all repositories that it makes use it."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings  # seconds, which few tests need

    with temporary_settings({PREFECT_API_URL: server, PREFECT_HOME: home}):
        yield server


@pytest.fixture
def new_project(
    tmp_path: Path, home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Project]:
    """Make a repository; its runs are kept by Prefect if the test asks for `api`."""
    url: str | None = request.getfixturevalue("api") if "api" in request.fixturenames else None
    monkeypatch.setenv("GLIAFLOW_SLOTS", str(tmp_path / "slots"))
    variables = environment(home, url) | {"GLIAFLOW_SLOTS": str(tmp_path / "slots")}
    return lambda name="project": Project(tmp_path / name, variables)


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Project:
    """One repository."""
    return new_project()
