"""How far a stage is: a bar on a terminal, a line now and then in a log."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from stages import progress as module
from stages.progress import BYTES, EVERY_SECONDS, progress

SHOW = """
from stages.progress import progress
with progress("train", 4, "step") as bar:
    for step in range(4):
        bar.add(note=f"loss 0.{step}")
"""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands until it is moved: `clock.now` in seconds."""
    stands = SimpleNamespace(now=0.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: stands.now))
    return stands


def test_a_log_gets_a_line_now_and_then(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("train", 120, "step", done=60) as bar:
        for _ in range(50):
            clock.now += EVERY_SECONDS / 5
            bar.add(1, f"loss {clock.now:.0f}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "train: 65 of 120 steps (54 %), 00:10 gone, 01:50 to go, loss 10"
    assert lines[-1] == "train: 110 of 120 steps (92 %), 01:40 gone, 00:20 to go, loss 100"


def test_work_of_a_few_seconds_says_nothing(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("pack", 1000, "slice") as bar:
        for _ in range(1000):
            clock.now += (EVERY_SECONDS - 0.1) / 1000
            bar.add()
    assert capsys.readouterr() == ("", "")


def test_a_step_that_is_longer_than_the_time_between_lines_has_its_own(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("train", 3, "epoch") as bar:
        for _ in range(3):
            clock.now += 3600
            bar.add()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "train: 2 of 3 epochs (67 %), 2:00:00 gone, 1:00:00 to go",
        "train: 3 of 3 epochs (100 %), 3:00:00 gone, 00:00 to go",
    ]


@pytest.mark.parametrize(
    ("total", "line"),
    [
        (4_000_000, "download: 1.00MB of 4.00MB (25 %), 00:20 gone, 01:00 to go\n"),
        (None, "download: 1.00MB, 00:20 gone\n"),
        (0, "download: 1.00MB, 00:20 gone\n"),
        (500_000, "download: 1.00MB of 500kB (200 %), 00:20 gone, 00:00 to go\n"),  # more than was announced
    ],
)
def test_bytes_with_and_without_a_known_total(
    total: int | None, line: str, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("download", total, BYTES) as bar:
        clock.now += 20
        bar.add(1_000_000)
    assert capsys.readouterr().err == line


def test_nothing_new_has_no_time_to_go_that_is_made_up(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("train", 10, "step", done=5) as bar:
        clock.now += 20
        bar.add(0)
    assert capsys.readouterr().err == "train: 5 of 10 steps (50 %), 00:20 gone\n"


def test_threads_lose_no_count(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("pack", 4000, "slice") as bar:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: bar.add(), range(3999)))
        clock.now += EVERY_SECONDS
        bar.add()
    assert capsys.readouterr().err.startswith("pack: 4,000 of 4,000 slices (100 %)")


def on_a_terminal() -> Iterator[bytes]:
    """What a process writes to the terminal that is its standard error; its standard output is a pipe."""
    terminal, its_side = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "100"}
    command = [sys.executable, "-W", "error", "-c", SHOW]
    with subprocess.Popen(command, stderr=its_side, stdout=subprocess.PIPE, env=environment) as process:
        os.close(its_side)
        try:
            while part := os.read(terminal, 1024):
                yield part
        except OSError:  # Linux's word for the end of a terminal
            pass
        os.close(terminal)
        assert process.stdout is not None
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_terminal_gets_a_bar_that_moves_in_its_line() -> None:
    shown = b"".join(on_a_terminal()).decode()
    assert shown.count("\n") == 1
    assert "train:   0%|" in shown
    assert "4/4" in shown
    assert "loss 0.3" in shown
