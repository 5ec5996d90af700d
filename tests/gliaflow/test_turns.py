"""Threads of a process work in repositories one after another, and say so."""

import threading
from pathlib import Path

from gliaflow.turns import turn
from tests.support.patience import PATIENCE


def test_a_thread_waits_for_another_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    inside, told, order = threading.Event(), threading.Event(), list[str]()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    def second() -> None:
        assert inside.wait(PATIENCE)
        with turn(tmp_path / "b", say):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with turn(tmp_path / "a", said.append), turn(tmp_path / "a", said.append):  # its own thread may go in again
        inside.set()
        assert told.wait(PATIENCE)
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["first", "second"]
    (line,) = said
    assert line.startswith(f"waits: this process works in {tmp_path / 'a'}")
