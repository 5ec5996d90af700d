"""Which packages a worker runs in."""

import re
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.team.packages import CHECKOUT, PACKAGES, apart_from_checkout, pinned, same_packages


def test_other_packages_than_the_pinned_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, commit = tmp_path / "checkout", tmp_path / "commit"
    for folder in (checkout, commit):
        folder.mkdir()
    (commit / "requirements.lock").write_text("numpy==1\n")
    monkeypatch.delenv(PACKAGES, raising=False)
    monkeypatch.delenv(CHECKOUT, raising=False)
    same_packages(commit)  # no worker's
    monkeypatch.setenv(CHECKOUT, str(checkout))
    same_packages(commit)  # a worker that pins nothing
    (checkout / "requirements.lock").write_text("numpy==2\n")
    with pytest.raises(UserError, match=re.escape("another requirements.lock: git pull and install there")):
        same_packages(commit)
    (commit / "requirements.lock").write_text("numpy==2\n")
    same_packages(commit)
    monkeypatch.setenv(PACKAGES, pinned(checkout))
    same_packages(commit)
    monkeypatch.setenv(PACKAGES, "of before a git pull")
    with pytest.raises(UserError, match=re.escape("requirements.lock has changed on the worker's host since")):
        same_packages(commit)


def test_commands_import_nothing_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKOUT, "/srv/checkout")
    monkeypatch.setenv("PYTHONPATH", "/srv/checkout:/opt/more::/srv/checkout")
    apart_from_checkout()
    import os

    assert os.environ["PYTHONPATH"] == "/opt/more"
