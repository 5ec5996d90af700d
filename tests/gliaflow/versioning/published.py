"""A project that is ready to be published, and what the tests of data versions do with it."""

from pathlib import Path

import pytest

from gliaflow.store.remote import Remote
from gliaflow.versioning.publish import publish as publish_in
from gliaflow.versioning.versions import get as get_in
from tests.gliaflow.store.history import GRAPH, opened, shared
from tests.support.repos import Project, stock

LICENCE = "| Licence | CC0 |\n"


@pytest.fixture(scope="session")
def ready(once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project that `whole` copies."""
    made = once.copy(tmp_path_factory.mktemp("ready") / "project")
    score = {"cmd": "echo '{\"dice\": 0.9}' > m.json", "deps": ["three.txt"], "metrics": [{"m.json": {"cache": False}}]}
    made.pipeline(GRAPH | {"score": score})
    made.write({"data/README.md": LICENCE})
    stock(made.root)
    made.commit()
    return made


@pytest.fixture
def whole(ready: Project, tmp_path: Path) -> Project:
    """A project whose last commit is ready to be published, with the folder `store` as its remote, which is empty."""
    return shared(ready.copy(tmp_path / "project"), tmp_path / "store")


def push(project: Project) -> None:
    """Send all runs."""
    with opened(project) as repo:
        assert Remote(repo, say=lambda _: None).push().problems == {}


def publish(project: Project, name: str, licence: str | None = None) -> list[str]:
    """Publish a version; what is told."""
    told: list[str] = []
    with opened(project) as repo:
        publish_in(repo, name, licence, say=told.append)
    return told


def get(project: Project, name: str, target: Path, remote: str | None = None) -> list[str]:
    """Get a version; what is told."""
    told: list[str] = []
    with opened(project) as repo:
        get_in(repo, name, target, remote, say=told.append)
    return told
