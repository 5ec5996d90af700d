"""Nothing reaches the terminal while the block runs, and all does afterwards."""

import os
from pathlib import Path

import pytest

from stages.quiet import silence

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@pytest.fixture(autouse=True)
def no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the block sets is taken back."""
    monkeypatch.setenv(LEVEL, "")
    monkeypatch.delenv(LEVEL)


def test_what_is_written_within_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with silence():
        os.write(2, b"chatter\n")
        os.write(1, b"a result\n")
    os.write(2, b"after\n")
    assert capfd.readouterr() == ("a result\n", "before\nafter\n")


def test_an_exception_comes_through_and_the_terminal_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError, match="no such library"), silence():
        raise ImportError("no such library")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_the_level_of_the_user_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with silence():
        assert os.environ[LEVEL] == "3"
    monkeypatch.setenv(LEVEL, "0")
    with silence():
        assert os.environ[LEVEL] == "0"


def test_no_descriptor_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with silence():
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
