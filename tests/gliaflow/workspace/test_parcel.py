"""What travels to another host and what cannot, without any host: it is packed, sent and unpacked here."""

import re
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.options import Options
from gliaflow.core.ports import Parcel
from gliaflow.errors import TransientError, UserError
from gliaflow.store.repository import REPAIR
from gliaflow.workspace import parcel
from gliaflow.workspace.workspace import Workspace
from tests.support.repos import Project, copies, environment, stock

LOG = {"deps": ["src"], "outs": ["o.txt"], "cmd": "cp src/seed.txt o.txt"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with a remote, and with files that git ignores."""
    made = Project(tmp_path / "project", environment(tmp_path))
    made.write({"src/seed.txt": "1\n", "src/a b[1].txt": "", ".gitignore": "*.log\n/skipped\n"})
    config = made.root / ".dvc/config"
    config.write_text(f"{config.read_text()}    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n")
    made.commit()
    return made


def packed(project: Project, stage: dict[str, Any], **others: Any) -> Parcel:
    """The stage `s`, prepared as one that is to run on another host."""
    project.pipeline({"s": stage, **others})
    with Workspace(project.root, Options(single_item=True)) as workspace:
        workspace.plan(["s"])
        found = workspace.prepare("s", force=True, travels=True).parcel
        assert found
        return found


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


def test_what_is_damaged_here_is_fetched_and_what_is_nowhere_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gliaflow.machine.retry.retry.__defaults__", ((), ()))  # no waits
    first = {"cmd": "mkdir d; cp src/seed.txt d/x", "deps": ["src/seed.txt"], "outs": ["d"]}
    second = copies("d/x", "o.txt")
    project.pipeline({"first": first, "s": second})
    assert stock(project.root) == ["first", "s"]
    project.commit()
    sent = packed(project, second, first=first)
    with chdir(project.root):
        parcel.send(sent)
    host = project.copy(tmp_path / "host")
    for path in (host.root / ".dvc/cache/files").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_text("damaged\n")
    with chdir(host.root):
        parcel.unpack(sent, run_cache=False)
    assert (host.root / "d/x").read_text() == "1\n"
    store = tmp_path / "store/files/md5"
    for words, listing in (("'d': the listing is missing", True), ("'d': object ", False)):
        shutil.rmtree(host.root / ".dvc/cache/files", ignore_errors=True)
        found = {path: path.read_bytes() for path in store.glob("*/*")}
        for path in found:
            if (path.suffix == ".dir") is listing:
                path.unlink()
        with chdir(host.root), pytest.raises(TransientError, match=re.escape(words)) as caught:
            parcel.unpack(sent, run_cache=False)
        assert str(caught.value).endswith(f"damaged on the remote {store}; {REPAIR}")
        for path, content in found.items():
            path.write_bytes(content)
