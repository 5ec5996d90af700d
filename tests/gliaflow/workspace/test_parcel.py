"""What travels to another host and what cannot, without any host: it is packed, sent and unpacked here."""

import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from gliaflow.errors import TransientError
from gliaflow.store.repository import REPAIR
from gliaflow.workspace import parcel
from tests.gliaflow.workspace.packing import packed, repository
from tests.support.repos import Project, copies, stock


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """With a remote, and with files that git ignores."""
    return repository(tmp_path)


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
