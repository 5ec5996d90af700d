"""Stages of this test, under a supervisor of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gliaflow.machine.processes import Stages


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    made = Stages(tmp_path)
    yield made
    made.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A short grace."""
    monkeypatch.setattr("gliaflow.machine.spawn.GRACE_SECONDS", 0.5)
    return 0.5
