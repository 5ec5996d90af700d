"""The program that tells Prefect of a run: at its end it leaves in time, whatever the server does."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gliaflow.export.keeping import LAST_SECONDS
from gliaflow.export.marks import read
from gliaflow.journal.writer import Journal
from tests.support.journals import WHOLE, journal, written
from tests.support.patience import PATIENCE
from tests.support.repos import soon
from tests.support.web import Answer, FakePrefect, web

PROGRAM = "from gliaflow.export.companion import main; main()"
Start = Callable[[str, Path], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the program for a server and a journal."""
    made = []

    def started(url: str, path: Path) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        program = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, text=True)
        made.append(program)
        assert program.stdin
        program.stdin.write(json.dumps({"server": {"url": url}, "key": url, "journal": str(path)}) + "\n")
        program.stdin.flush()
        return program

    yield started
    for program in made:
        program.kill()
        program.communicate()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Journal]:
    """The journal of a run that goes on."""
    made = journal(tmp_path, tmp_path, WHOLE[:1])
    yield made
    made.close()


def ended(program: "subprocess.Popen[str]") -> tuple[int, list[dict[str, Any]], float]:
    """Tell it that the run is over: how it ends, what it says, and the seconds that it takes."""
    began = time.monotonic()
    said, _ = program.communicate(timeout=PATIENCE)
    return program.returncode, [json.loads(line) for line in said.splitlines()], time.monotonic() - began


def test_it_follows_a_run_to_its_end(running: Journal, start: Start) -> None:
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        program = start(server.url, running.path)
        assert soon(lambda: len(prefect.events) == 1)
        for event in WHOLE[1:]:
            running.hear(event)
        assert soon(lambda: prefect.state == "COMPLETED")
        running.close()
        assert ended(program)[:2] == (0, [{"done": True}])


def test_a_killed_run_is_crashed(running: Journal, start: Start) -> None:
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        program = start(server.url, running.path)
        assert soon(lambda: prefect.events)
        running.close()
        assert ended(program)[:2] == (0, [{"done": True}])
    assert prefect.state == "CRASHED"


def test_a_run_that_is_cancelled_hears_of_it(running: Journal, start: Start) -> None:
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        program = start(server.url, running.path)
        assert soon(lambda: prefect.events)
        prefect.state = "CANCELLING"
        assert program.stdout
        assert json.loads(program.stdout.readline()) == {"cancel": True}
        running.close()
        ended(program)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(hang=True), "does not answer"),
        (Answer({}, 500), "answers 500"),
        (Answer({}, 401), "answers 401"),
        (Answer("<html>"), "is it one?"),
    ],
)
def test_a_server_that_does_not_help_holds_nobody(running: Journal, start: Start, answer: Answer, why: str) -> None:
    with web(lambda *_: answer) as server:
        program = start(server.url, running.path)
        assert soon(lambda: server.asked)
        running.close()
        code, said, seconds = ended(program)
    assert code == 1
    assert seconds < PATIENCE
    assert answer.hang or why in said[-1]["wrong"]
    assert not read(running.path, server.url).done


def test_a_server_that_comes_back_is_told_all(running: Journal, start: Start) -> None:
    prefect, away = FakePrefect(), True

    def answer(*request: Any) -> Answer:
        return Answer({}, 503) if away else prefect.answer(*request)

    with web(answer) as server:
        program = start(server.url, running.path)
        assert program.stdout
        assert "503" in json.loads(program.stdout.readline())["wrong"]
        away = False
        assert soon(lambda: prefect.events)
        running.close()
        assert ended(program)[0] == 0


def test_what_earlier_runs_have_left_is_sent_too(tmp_path: Path, start: Start) -> None:
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        meant = written(tmp_path, tmp_path, server=server.url)
        other = written(tmp_path, tmp_path, server="elsewhere")
        program = start(server.url, written(tmp_path, tmp_path))
        assert soon(lambda: read(meant, server.url).done)
        assert ended(program)[0] == 0
    assert not read(other, server.url).done


def test_an_address_that_is_none_is_told(running: Journal, start: Start) -> None:
    code, said, _ = ended(start("host:4200", running.path))
    assert code == 1
    assert "is no address of a server" in said[0]["wrong"]


def test_a_run_that_kept_nothing(tmp_path: Path, start: Start) -> None:
    assert ended(start("http://127.0.0.1:9", tmp_path / "none.jsonl"))[:2] == (0, [{"done": True}])


def test_it_leaves_before_the_run_would_end_it(running: Journal, start: Start) -> None:
    with web(lambda *_: Answer({}, 200, after=1.5)) as server:  # slow, and each answer useless
        program = start(server.url, running.path)
        assert soon(lambda: server.asked)
        running.close()
        assert ended(program)[0] == 1
    assert LAST_SECONDS == 5.0
