"""A run is kept as a journal, and a server is told of it, without which the run goes on just the same."""

import threading
from pathlib import Path

import pytest

from gliaflow.core.options import Options
from gliaflow.core.report import Message, RunBegan
from gliaflow.errors import TransientError
from gliaflow.export import keeping
from gliaflow.export.configured import Server
from gliaflow.export.keeping import Several, kept
from gliaflow.journal.reader import RunSeen, seen
from tests.support.fakes import Ear
from tests.support.journals import GRAPH, WHOLE
from tests.support.repos import soon
from tests.support.web import Answer, FakePrefect, web


class Run:
    """A run that is kept, and what it hears."""

    def __init__(self, folder: Path, server: Server | None = None) -> None:
        self.folder, self.said = folder, list[str]()
        self.cancelled = threading.Event()
        named = ("key", server) if server else None
        self.kept = kept(folder, folder / "home", {}, ["tag"], named, self.said.append, self.cancelled.set)

    @property
    def seen(self) -> RunSeen:
        (path,) = self.folder.glob("*.jsonl")
        return seen(path)


BEGAN = RunBegan(GRAPH, [], Options())


def test_several_hear_the_same() -> None:
    first, second = Ear(), Ear()
    Several([first, second]).hear(Message("x"))
    assert [event.text for ear in (first, second) for event in ear.events if isinstance(event, Message)] == ["x", "x"]


def test_without_a_server_there_is_a_journal(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with run.kept as listener:
        for event in (BEGAN, *WHOLE):
            listener.hear(event)
    assert run.seen.state == "completed"
    assert run.said == []


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (KeyboardInterrupt(), "cancelled", "interrupted"),
        (InterruptedError("SIGTERM"), "cancelled", "SIGTERM"),
        (TransientError("cancelled in Prefect"), "cancelled", "cancelled in Prefect"),
        (ValueError("a bug"), "failed", "a bug"),
    ],
)
def test_how_a_run_ends_that_raises(tmp_path: Path, error: BaseException, state: str, why: str) -> None:
    run = Run(tmp_path)
    with pytest.raises(type(error)), run.kept as listener:
        listener.hear(BEGAN)
        raise error
    assert run.seen.state == state
    assert run.seen.end
    assert run.seen.end["why"] == why


def test_a_journal_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said: list[str] = []
    with kept(tmp_path / "file/runs", tmp_path, {}, [], None, said.append, print) as listener:
        listener.hear(BEGAN)
    (line,) = said
    assert line.startswith("the journal of this run is not complete")


def test_a_server_knows_all_when_the_run_ends(tmp_path: Path) -> None:
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        run = Run(tmp_path, Server(server.url, headers={"Authorization": "Basic secret"}))
        with run.kept as listener:
            for event in (BEGAN, *WHOLE):
                listener.hear(event)
        assert prefect.state == "COMPLETED"
        assert server.headers[0]["authorization"] == "Basic secret"
    assert run.said == []


def test_cancelling_arrives(tmp_path: Path) -> None:
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        run = Run(tmp_path, Server(server.url))
        with run.kept as listener:
            listener.hear(BEGAN)
            assert soon(lambda: prefect.state == "RUNNING")
            prefect.state = "CANCELLING"
            assert run.cancelled.wait(60)


@pytest.mark.parametrize("answer", [Answer({}, 500), Answer(hang=True)])
def test_one_line_says_that_a_server_does_not_know(tmp_path: Path, answer: Answer) -> None:
    with web(lambda *_: answer) as server:
        run = Run(tmp_path, Server(server.url, "PREFECT_API_URL in the environment"))
        with run.kept as listener:
            listener.hear(BEGAN)
    (line,) = run.said
    assert line.startswith(f"{keeping.UNTOLD}: {server.url}")
    assert line.endswith(keeping.LATER)
    assert run.seen.state == "crashed"  # it has no end of its own here


def test_a_program_that_cannot_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "gone"))
    run = Run(tmp_path, Server("http://127.0.0.1:9"))
    with run.kept as listener:
        listener.hear(BEGAN)
    (line,) = run.said
    assert "No such file" in line
