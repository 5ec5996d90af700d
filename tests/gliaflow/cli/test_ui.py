"""`gliaflow ui`: the address of Prefect's pages, of a server that this command may have to start."""

import signal
import subprocess
import urllib.request
import webbrowser
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from gliaflow.cli.ui import ui
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, environment


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
    assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize("browse", [False, True])
def test_a_configured_server_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], browse: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with temporary_settings({PREFECT_API_URL: "http://prefect.example.org:4200/api"}):
        ui(browse=browse)
    assert capsys.readouterr() == ("http://prefect.example.org:4200\n", "")
    assert opened == ["http://prefect.example.org:4200"] * browse
