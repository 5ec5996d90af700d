"""The order of the tests, and what each of them needs: it must be importable without the packages of the stages."""

import gc
import signal
from collections.abc import Callable

import pytest

from tests.support.clones import Clone

pytest_plugins = ["tests.support.fixtures"]

LONGEST = (
    "tests/stages/test_repro.py", "tests/gliaflow/hosts/test_pools.py", "tests/stages/test_kills.py",
    "tests/behaviour/test_repro.py", "tests/behaviour/test_servers.py", "tests/gliaflow/versioning/test_versions.py",
    "tests/gliaflow/flow/test_session.py", "tests/gliaflow/flow/test_tasks.py", "tests/behaviour/test_property.py",
    "tests/behaviour/test_kills.py", "tests/flows/test_deployed.py", "tests/behaviour/test_slurm.py",
)  # fmt: skip

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or no test could send it to a process that it starts

NEEDS_SERVER = {"server", "crew"}  # fixtures that start a Prefect server, and those that ask for them
STARTS_SERVER = (
    "tests/behaviour/test_bare_machine.py",
    "tests/behaviour/test_kills.py",
    "tests/behaviour/test_servers.py",
    "tests/flows/test_deployed.py",
    "tests/gliaflow/flow/test_server.py",
    "tests/gliaflow/flow/test_session.py",
    "tests/gliaflow/team/test_setup.py",
)
RUNS_A_PIPELINE = (
    "tests/behaviour/", "tests/flows/test_graph.py", "tests/gliaflow/workspace/test_fallback.py",
    "tests/house/test_add_a_stage.py",
)  # fmt: skip
TRAINS = (
    "tests/stages/test_repro.py", "tests/stages/test_kills.py", "tests/stages/mnist/", "tests/stages/regression/",
    "tests/stages/lgg/test_train.py", "tests/stages/lgg/test_evaluate.py", "tests/stages/lgg/unet/test_resume.py",
    "tests/stages/lgg/test_transfer.py", "tests/stages/lgg/pretrained/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out, and begin with the files that take longest."""
    places = {name: place for place, name in enumerate(LONGEST)}
    for item in items:
        path = item.location[0]
        if path.startswith(STARTS_SERVER) or NEEDS_SERVER.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("server")
        if path.startswith(RUNS_A_PIPELINE):
            item.add_marker("slow")
        if path.startswith(TRAINS):
            item.add_marker("training")
    items.sort(key=lambda item: places.get(item.location[0], len(LONGEST)))


def pytest_collection_finish() -> None:
    """Have the garbage collector look no more at what was imported."""
    gc.freeze()


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clone]:
    """Make another clone of the working tree."""
    return lambda: Clone(tmp_path_factory.mktemp("clone"))
