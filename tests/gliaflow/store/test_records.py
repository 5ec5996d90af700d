"""A run-cache that is really shared: what one workspace computed, another one on the same remote never runs."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from gliaflow.cli.share import main
from gliaflow.core.options import Options
from gliaflow.errors import UserError
from gliaflow.store.records import MEND, Record, Remote, Sent, verify
from gliaflow.workspace.plan import planned
from tests.support.repos import Project, reproduce

GRAPH = {
    "one": {
        "cmd": "echo one >> ran.log; cp seed.txt one.txt",
        "deps": ["seed.txt"],
        "params": ["p"],
        "outs": ["one.txt"],
    },
    "two": {
        "cmd": "echo two >> ran.log; mkdir two; cp one.txt two/a; grep p params.yaml > two/b",
        "deps": ["one.txt"],
        "params": ["p"],
        "outs": ["two"],
    },
    "three": {"cmd": "echo three >> ran.log; cat two/a two/b > three.txt", "deps": ["two"], "outs": ["three.txt"]},
}


@contextmanager
def opened(project: Project) -> Iterator[Repo]:
    """The repository, from inside."""
    before = Path.cwd()
    os.chdir(project.root)
    try:
        with Repo() as repo:
            yield repo
    finally:
        os.chdir(before)


def compute(project: Project) -> Project:
    """Run with three values of the parameter, each a commit."""
    project.write({"seed.txt": "1\n", ".gitignore": "ran.log\n"})
    project.pipeline(GRAPH)
    for value in (1, 2, 3):
        project.write({"params.yaml": f"p: {value}\n"})
        reproduce(project.root)
        project.commit()
    return project


@pytest.fixture
def computed(project: Project, tmp_path: Path) -> Project:
    """A project with a folder as its remote that has run three times."""
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    return compute(project)


def teammate(project: Project, root: Path) -> Project:
    """The same commits elsewhere, with nothing in the cache."""
    other = project.copy(root)
    shutil.rmtree(root / ".dvc/cache")
    project.run("git", "-C", str(root), "clean", "-fdxq", "--exclude", ".dvc")
    return other


def holding(text: str, folder: Path) -> Path:
    """The object that holds this text."""
    return next(path for path in folder.rglob("*") if path.is_file() and path.read_text() == text)


def ran(project: Project) -> list[str]:
    """The commands that really ran."""
    log = project.root / "ran.log"
    return log.read_text().split() if log.exists() else []


def test_a_teammate_runs_nothing_even_of_old_parameters(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        sent = Remote(repo).push()
        assert (sent.records, sent.lacking) == (9, {})
        assert sent.objects >= 9
        assert Remote(repo).push().records == 0
    other = teammate(computed, tmp_path / "other" / "twin")
    for value in (3, 1, 2):
        other.write({"params.yaml": f"p: {value}\n"})
        reproduce(other.root, pull=True)
        assert (other.root / "three.txt").read_text() == f"1\np: {value}\n"
    assert ran(other) == []
    other.write({"params.yaml": "p: 3\n"})
    assert reproduce(other.root) != []
    assert other.left() == computed.left()


def test_with_stock_push_a_teammate_runs_it_all_again(computed: Project, tmp_path: Path) -> None:
    computed.dvc("push", "--run-cache")
    other = teammate(computed, tmp_path / "other" / "twin")
    other.write({"params.yaml": "p: 1\n"})
    reproduce(other.root, pull=True)
    assert ran(other) == ["one", "two", "three"] or ran(other) == ["two", "three"]


def test_a_record_whose_objects_are_nowhere_is_not_sent(computed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lost = next(
        path
        for path in (computed.root / ".dvc/cache/files/md5").rglob("*")
        if path.is_file() and path.read_text() == "1\np: 2\n"
    )
    lost.unlink()
    with opened(computed) as repo:
        sent = Remote(repo).push()
        assert sent.records == 8
        assert list(sent.lacking.values()) == [[lost.parent.name + lost.name]]
        assert len(Remote(repo).records()) == 8
    capsys.readouterr()
    main("push", repo=computed.root)  # as after `dvc gc`: nothing is wrong
    said = "pushed 0 runs, 0 objects\n1 runs were not sent: what they made is neither here nor there, as after dvc gc\n"
    assert capsys.readouterr().out == said


def test_a_damaged_record_or_object_is_noticed_and_never_restored(computed: Project, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with opened(computed) as repo:
        Remote(repo).push()
    records = sorted(path for path in (store / "runs").rglob("*") if path.is_file())
    records[0].write_bytes(records[0].read_bytes()[: records[0].stat().st_size // 2])  # half pushed
    damaged = holding("1\np: 3\n", store / "files/md5")
    damaged.chmod(0o644)
    damaged.write_text("1\np: 4\n")
    other = teammate(computed, tmp_path / "other" / "twin")
    with opened(other) as repo:
        remote = Remote(repo)
        found = remote.fetch()
        assert (found.records, list(found.lacking)) == (8, [Record(records[0].parent.name, records[0].name)])
        got = remote.fetch_objects(remote.records() - set(found.lacking))
        assert list(got.lacking.values()) == [[damaged.parent.name + damaged.name]]
    runs = other.root / ".dvc/cache/runs"
    assert all(any(key.iterdir()) for key in runs.glob("*/*"))  # on an empty one DVC fails
    said: list[str] = []
    with opened(other) as repo:
        planned(repo, (), Options(pull=True), said.append)
    assert f"run {records[0].name[:12]} is damaged on the remote; {MEND}" in said
    reproduce(other.root, pull=True)
    assert (other.root / "three.txt").read_text() == "1\np: 3\n"


def test_a_folder_whose_listing_is_damaged_is_named(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        Remote(repo).push()
    listing = next(path for path in (tmp_path / "store/files/md5").rglob("*.dir"))
    listing.chmod(0o644)
    listing.write_text("[]")
    name = listing.parent.name + listing.name
    other = teammate(computed, tmp_path / "other" / "twin")
    with opened(other) as repo:
        remote = Remote(repo)
        remote.fetch()
        assert list(remote.fetch_objects(remote.records()).lacking.values()) == [[name]]
        assert list(remote.push().lacking.values()) == []  # the record is there: whoever has the listing mends it
    with opened(computed) as repo:
        assert Remote(repo).push(every=True).objects == 1


def test_what_is_damaged_here_is_not_sent(computed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = holding("1\np: 2\n", computed.root / ".dvc/cache/files/md5")
    damaged.chmod(0o644)
    damaged.write_text("1\np: 4\n")
    damaged.chmod(0o444)  # so that DVC takes it for good
    changed = holding("p: 1\n", computed.root / ".dvc/cache/files/md5")
    changed.chmod(0o644)
    changed.write_text("p: 4\n")  # which DVC sees for itself
    of_three = hashlib.md5(b"1\np: 3\n").hexdigest()
    files = [path for path in (computed.root / ".dvc/cache/runs").rglob("*") if path.is_file()]
    cut = next(path for path in files if of_three in path.read_text())
    cut.write_text(cut.read_text().replace("echo three", "echo four"))
    with opened(computed) as repo:
        sent = Remote(repo).push()
    names = {path.parent.name + path.name for path in (damaged, changed)}
    assert (sent.records, sent.gone) == (6, set())
    assert {name for lacking in sent.lacking.values() for name in lacking} == {*names, cut.name}
    said = capsys.readouterr().out
    assert f"object {damaged.parent.name}{damaged.name} is damaged in this cache, and is not sent" in said
    assert f"object {changed.parent.name}{changed.name} was damaged in this cache, and is dropped" in said
    assert f"run {cut.name[:12]} is damaged in this cache, and is not sent: delete {cut}" in said


def test_what_is_private_stays_here(project: Project, tmp_path: Path) -> None:
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    outs = [{"kept.txt": {"push": False}}, "other.txt"]
    cmd = ["cp ../seed.txt kept.txt", "echo > other.txt"]
    for seed in "12":
        project.write({"seed.txt": seed, "sub/.gitignore": ""})
        project.pipeline({"keep": {"wdir": "sub", "cmd": cmd, "deps": ["../seed.txt"], "outs": outs}})
        reproduce(project.root)
    with opened(project) as repo:
        assert Remote(repo).push() == Sent()
        assert Remote(repo).push(every=True) == Sent(objects=1)  # what dvc.lock names besides
        other = tmp_path / "store/files/md5" / hashlib.md5(b"\n").hexdigest()[:2] / hashlib.md5(b"\n").hexdigest()[2:]
        assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == [other]
        path = next(path for path in (project.root / ".dvc/cache/runs").rglob("*") if path.is_file())
        record = Record(path.parent.name, path.name)
        with pytest.raises(UserError, match=f"run {record.value[:12]} has an output that says `push: false`"):
            Remote(repo).push([record])


def test_all_is_hashed_still_when_dvc_has_read_its_configuration_again(computed: Project) -> None:
    """dvc.repo.Repo._reset, which DVC calls whenever it looks at a stage."""
    with opened(computed) as repo:
        verify(repo)
        repo._reset()
        assert repo.cloud.get_remote_odb().verify
        assert all(info.remote.odb.verify for info in repo.index.data["repo"].storage_map.values())


def test_no_remote_is_said(project: Project) -> None:
    with opened(project) as repo, pytest.raises(UserError, match="no remote specified"):
        Remote(repo)
