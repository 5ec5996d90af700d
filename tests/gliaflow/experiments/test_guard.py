"""Sweeps beside sweeps, and gc beside neither."""

from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.experiments.guard import cleaning, making


def test_who_may_work_beside_whom(tmp_path: Path) -> None:
    with (
        making(tmp_path / "deep"),
        making(tmp_path / "deep"),
        pytest.raises(UserError, match="a sweep or a search runs"),
        cleaning(tmp_path / "deep"),
    ):
        pytest.fail("gc worked beside a sweep")
    with cleaning(tmp_path / "deep"):
        for other in (cleaning, making):
            with pytest.raises(UserError), other(tmp_path / "deep"):
                pytest.fail("something worked beside gc")
    with making(tmp_path / "deep"):
        pass


def test_an_interrupt_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as raised, making(tmp_path):
        raise KeyboardInterrupt
    assert raised.value.__notes__ == ["the same command goes on where this one ended"]
