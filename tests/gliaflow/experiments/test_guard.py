"""Sweeps beside sweeps, and gc beside neither."""

from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.experiments.guard import alone, shared


def test_who_may_work_beside_whom(tmp_path: Path) -> None:
    with (
        shared(tmp_path / "deep"),
        shared(tmp_path / "deep"),
        pytest.raises(UserError, match="a sweep or a search runs"),
        alone(tmp_path / "deep"),
    ):
        pytest.fail("gc worked beside a sweep")
    with alone(tmp_path / "deep"):
        for other in (alone, shared):
            with pytest.raises(UserError), other(tmp_path / "deep"):
                pytest.fail("something worked beside gc")
    with shared(tmp_path / "deep"):
        pass
