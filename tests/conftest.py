"""The order of the tests, and fixtures of the pipeline."""

from collections.abc import Callable

import pytest

from tests.support.clones import Clone

pytest_plugins = ["tests.support.fixtures"]

LONGEST = (
    "tests/stages/test_repro.py", "tests/gliaflow/hosts/test_pools.py", "tests/stages/test_kills.py",
    "tests/behaviour/test_repro.py", "tests/behaviour/test_servers.py", "tests/gliaflow/versioning/test_versions.py",
    "tests/gliaflow/flow/test_tasks.py", "tests/behaviour/test_property.py", "tests/behaviour/test_kills.py",
    "tests/flows/test_deployed.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, lest one process be left alone with them at the end."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.location[0], len(LONGEST)))


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clone]:
    """Make another clone of the working tree."""
    return lambda: Clone(tmp_path_factory.mktemp("clone"))
