"""Whether a stage can run on another host, and the one reason that keeps it here."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gliaflow.errors import UserError
from gliaflow.workspace import travel
from tests.gliaflow.workspace.packing import packed, repository
from tests.support.repos import Project, stock

LOG = {"deps": ["src"], "outs": ["o.txt"], "cmd": "cp src/seed.txt o.txt"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """With a remote, and with files that git ignores."""
    return repository(tmp_path)


CANNOT: dict[str, tuple[dict[str, Any], str]] = {
    "ignored": (
        LOG,
        "'src/x.log' is ignored by git, so it cannot travel to another host, and counts to 'src': list it",
    ),
    "new": ({**LOG, "deps": ["fresh"]}, "'fresh/new.txt' is new, and only what git knows travels"),
    "hidden": ({**LOG, "deps": ["skipped"]}, "'skipped' is ignored by git and no output of a stage"),
    "empty": ({**LOG, "deps": ["empty"]}, "git knows of nothing in 'empty'"),
    "outside": ({**LOG, "deps": ["../far.txt"]}, "far.txt' lies outside of the git repository"),
    "always": ({**LOG, "always_changed": True}, "it runs every time (always_changed), so what it makes could not come"),
    "persist": ({**LOG, "outs": [{"o.txt": {"persist": True}}]}, "its output 'o.txt' stays from run to run (persist)"),
    "uncached": ({**LOG, "outs": [{"o.txt": {"cache": False}}]}, "its output 'o.txt' is neither cached nor a metric"),
    "private": ({**LOG, "outs": [{"o.txt": {"push": False}}]}, "its output 'o.txt' is for no remote (push: false)"),
    "source": ({"cmd": "echo 1 > o.txt", "outs": ["o.txt"]}, "it has no dependency"),
    "sink": ({"cmd": "true", "deps": ["src"]}, "it has no output"),
}


def test_what_cannot_travel_is_named_with_its_one_reason(project: Project) -> None:
    project.write({"src/x.log": "", "fresh/new.txt": "", "skipped/a": "", "../far.txt": ""})
    (project.root / "empty").mkdir()
    for stage, words in CANNOT.values():
        with pytest.raises(UserError, match=re.escape(words)):
            packed(project, stage)
    project.write({".dvcignore": "*.log\n"})
    assert packed(project, LOG).needs == []
    made = {"cmd": "cp src/seed.txt src/y.txt", "deps": ["src/seed.txt"], "outs": ["src/y.txt"]}
    project.write({"src/y.txt": ""})  # of a stage, and ignored by git for that
    with pytest.raises(UserError, match=re.escape("'src/y.txt' was never recorded: run the stage that makes it")):
        packed(project, LOG, y=made)
    stock(project.root, ["y"])
    project.commit()
    assert [need["path"] for need in packed(project, LOG, y=made).needs] == ["src/y.txt"]
    config = project.root / ".dvc/config"
    config.write_text(re.sub("url = .*", "url = ../../store", config.read_text()))
    with pytest.raises(UserError, match=re.escape(f"dvc remote modify store url {project.root.parent / 'store'}, if")):
        packed(project, LOG, y=made)


def made_by_hand(**changes: Any) -> Any:
    """A stage that may travel, but for these changes to it or to its output."""
    dep = SimpleNamespace(fs=True, protocol="local", def_path="in")
    whole = {"protocol": "local", "is_in_repo": True, "persist": False, "use_cache": True, "can_push": True}
    out = Out(**whole | {"is_metric": False, "is_plot": False} | changes)
    stage = {"always_changed": False, "deps": [dep], "outs": [out], "addressing": "s"}
    return SimpleNamespace(**stage | {name: value for name, value in changes.items() if name in stage})


class Out(SimpleNamespace):
    """An output, shown by its path."""

    def __str__(self) -> str:
        return "o.txt"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"use_cache": False, "is_metric": True}, None),
        ({"use_cache": False, "is_plot": True}, None),
        ({"use_cache": False}, "its output 'o.txt' is neither cached nor a metric or plot"),
        ({"is_in_repo": False}, "its output 'o.txt' lies outside of the repository"),
        ({"protocol": "s3"}, "its output 'o.txt' lies outside of the repository"),
        ({"persist": True, "can_push": False}, "its output 'o.txt' stays from run to run (persist)"),
        ({"always_changed": True, "deps": []}, "it runs every time (always_changed)"),
        (
            {"deps": [SimpleNamespace(fs=True, protocol="s3", def_path="s3://x")]},
            "its dependency 's3://x' is no file of this machine",
        ),
    ],
)
def test_the_first_reason_is_told(changes: dict[str, Any], reason: str | None) -> None:
    assert travel.why_it_stays(made_by_hand(**changes)) == reason


def test_outputs_touch_a_path_at_it_below_it_and_above_it() -> None:
    outs = [SimpleNamespace(fs_path=path) for path in ("/r/a", "/r/a/b/c", "/r/a/bc", "/r/x", "/r/a/b")]
    assert [out.fs_path for out in travel.touching(["/r/a/b"], outs)] == ["/r/a", "/r/a/b/c", "/r/a/b"]


def test_a_path_lies_in_itself_and_in_what_is_above_it() -> None:
    assert [travel.lies_in(path, {"/r/a"}) for path in ("/r/a", "/r/a/b/c", "/r/ab", "/r")] == [
        True,
        True,
        False,
        False,
    ]
