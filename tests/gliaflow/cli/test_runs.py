"""`gliaflow ui` and `gliaflow logs`: what runs of this machine have told."""

import json
import signal
import subprocess
import urllib.request
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gliaflow.cli.app import app
from gliaflow.core.report import Asked, Began, Line, Outcome, Report, StageEnded, StageResult, Summary, Used
from gliaflow.errors import UserError
from gliaflow.export.configured import Server
from gliaflow.flow import pages
from tests.support.journals import BEGAN, written
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, environment
from tests.support.web import FakePrefect, web

BAD = StageResult("two", Outcome.FAILED, "it broke")
EVENTS = (
    Began("one", [], when=BEGAN),
    Line("one", "hello", when=BEGAN),
    Line("two", "world", when=BEGAN),
    Line("one", "again", when=BEGAN),
    StageEnded(BAD, when=BEGAN + 2),
    Summary(Report((BAD,)), when=BEGAN + 2),
)


@pytest.mark.server
def test_the_server_of_this_machine_runs_until_ctrl_c(home: Path) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen([*GLIAFLOW, "ui"], stdout=pipe, stderr=pipe, text=True, env=environment(home))
    assert process.stdout
    url, _, hint = process.stdout.readline().partition(" ")
    assert hint == "(Ctrl-C ends it)\n"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        assert b"<html" in answer.read()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("browse", [False, True])
def test_a_configured_server_is_told_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, browse: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    prefect = FakePrefect()
    with web(prefect.answer) as server:
        found = Server(f"{server.url}/api", pages=server.url)
        monkeypatch.setattr(pages, "configured", lambda: found)
        written(tmp_path / "runs", tmp_path / "home", server=found.url)
        call("ui", *(["--open"] if browse else []))
    assert capsys.readouterr() == (f"{server.url}\n1 run brought in\n", "")
    assert opened == [server.url] * browse
    assert prefect.state == "COMPLETED"


def test_a_configured_server_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    found = Server("http://127.0.0.1:9/api", "PREFECT_API_URL in the environment", pages="http://127.0.0.1:9")
    monkeypatch.setattr(pages, "configured", lambda: found)
    written(tmp_path / "runs", tmp_path / "home", server=found.url)
    call("ui")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "http://127.0.0.1:9"
    assert said[1].startswith("not all runs are brought in yet: nobody answers at http://127.0.0.1:9/api")


def call(*line: str) -> None:
    app(line, exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture
def kept(tmp_path: Path) -> list[Path]:
    """The journals of two runs of a repository."""
    where = tmp_path / ".dvc/tmp/gliaflow/runs"
    paths = [written(where, tmp_path / "home", EVENTS) for _ in range(2)]
    return [path.rename(path.with_name(f"2026010{n}-000000-abcde{n}.jsonl")) for n, path in enumerate(sorted(paths), 1)]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["one | hello", "two | world", "one | again"]),
        (["one"], ["hello", "again"]),
        (["20260101", "two"], ["world"]),
        (["20260102-000000-abcde2"], ["one | hello", "two | world", "one | again"]),
        (["one", "two"], ["one | hello", "two | world", "one | again"]),
    ],
)
def test_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], lines: list[str]) -> None:
    call("logs", *words, "--repo", str(tmp_path))
    assert capsys.readouterr().out.splitlines() == lines


@pytest.mark.usefixtures("kept")
def test_lines_and_runs_for_a_program(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call("logs", "two", "--json", "--repo", str(tmp_path))
    assert json.loads(capsys.readouterr().out) == [{"stage": "two", "text": "world"}]
    call("logs", "--list", "--json", "--repo", str(tmp_path))
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert found[0] == {
        "run": "20260101-000000-abcde1",
        "state": "failed",
        "began": BEGAN,
        "seconds": 2.0,
        "stages": {"one": "running", "two": "failed"},
    }
    assert len(found) == 2


@pytest.mark.usefixtures("kept")
def test_runs_as_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call("logs", "--list", "--repo", str(tmp_path))
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[0] == "20260101-000000-abcde1"
    assert first.split()[3:] == ["failed", "2.0", "s", "1", "failed"]
    assert second.startswith("20260102-000000-abcde2")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["three"], "no run is called 'three', and no stage of the run 20260102-000000-abcde2 is called 'three'; its"),
        (
            ["20260101", "three"],
            "no stage of the run 20260101-000000-abcde1 is called 'three'; its stages",
        ),
    ],
)
@pytest.mark.usefixtures("kept")
def test_what_is_not_there(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match="^" + message):
        call("logs", *words, "--repo", str(tmp_path))


def test_no_run_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run has been kept here yet"):
        call("logs", "--repo", str(tmp_path))


def test_what_the_last_run_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / ".dvc").mkdir(parents=True)
    used, asked = Used(61.26, 95.0, 3 << 29, 5 << 20, 0), Asked(cpus=2, mem_bytes=2 << 30)
    one = StageResult("one", Outcome.RUN, seconds=62, used=used, asked=asked)
    events = (StageEnded(one, when=BEGAN + 62), StageEnded(StageResult("two", Outcome.UNCHANGED), when=BEGAN + 63))
    written(root / ".dvc/tmp/gliaflow/runs", tmp_path / "home", events)
    call("status", "--last", "--repo", str(root))
    assert capsys.readouterr().out.splitlines() == [
        "stage    wall              CPU         memory  read  written",
        "one    61.3 s  95.0 s (2 CPUs)  1.5 GB (2 GB)  5 MB      0 B",
    ]
    call("status", "--last", "--json", "--repo", str(root), "one")
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"stage": "one", "outcome": "run", "used": asdict(used), "asked": asdict(asked)}
    with pytest.raises(UserError, match=r"no stage of the run .* is called 'three'"):
        call("status", "--last", "--repo", str(root), "three")


def test_what_a_run_used_that_ran_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / ".dvc").mkdir(parents=True)
    written(root / ".dvc/tmp/gliaflow/runs", tmp_path / "home")
    call("status", "--last", "--repo", str(root))
    assert "ran commands" in capsys.readouterr().out


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("words", "run"),
    [([], "20260102-000000-abcde2"), (["2026"], "20260102-000000-abcde2"), (["20260101"], "20260101-000000-abcde1")],
)
def test_a_page_of_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], run: str) -> None:
    out = tmp_path / "page.html"
    call("report", *words, "-o", str(out), "--repo", str(tmp_path))
    assert capsys.readouterr().out == f"{out} tells of the run {run}, which failed\n"
    assert f"<h1>Run {run}</h1>" in out.read_text()


@pytest.mark.usefixtures("kept")
def test_a_page_for_a_program_and_in_a_browser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.chdir(tmp_path)
    call("report", "--json", "--open")
    told = json.loads(capsys.readouterr().out)
    size = (tmp_path / "run.html").stat().st_size
    assert told == {"run": "20260102-000000-abcde2", "state": "failed", "page": "run.html", "bytes": size}
    assert opened == [(tmp_path / "run.html").as_uri()]


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1999"], "no run is called '1999'; `gliaflow logs --list`"),
        ([""], "no run is called ''"),
        (["-o", "."], "-o . is a"),
    ],
)
def test_no_page(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match="^" + message):
        call("report", *words, "--repo", str(tmp_path))


def test_no_page_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run has been kept here yet"):
        call("report", "--repo", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
