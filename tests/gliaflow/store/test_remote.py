"""A run-cache that is really shared: what one workspace computed, another one on the same remote never runs."""

import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gliaflow.core.options import Options
from gliaflow.errors import TransientError, UserError
from gliaflow.store.records import Record
from gliaflow.store.remote import Remote
from gliaflow.store.repository import REPAIR
from gliaflow.store.transfer import Transfer
from gliaflow.workspace.plan import planned
from tests.gliaflow.store.history import change, holding, opened, ran, teammate
from tests.support.repos import Project, reproduce, stock


def test_a_teammate_runs_nothing_even_of_old_parameters(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        sent = Remote(repo).push()
        assert (sent.records, sent.incomplete) == (9, {})
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


def test_push_and_fetch(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        assert "pushed 9 runs" in next(Remote(repo).push().lines("pushed"))
        assert list(Remote(repo).push().lines("pushed")) == ["pushed 0 runs, 0 objects"]
    other = teammate(computed, tmp_path / "other" / "twin")
    with opened(other) as repo:
        found = Remote(repo).fetch_runs()
    assert "fetched 9 runs" in next(found.lines("fetched"))
    assert found.incomplete == {}
    shutil.rmtree(tmp_path / "store")
    other.write({"params.yaml": "p: 1\n"})
    stock(other.root)
    assert ran(other) == []


def test_a_record_whose_objects_are_nowhere_is_not_sent(computed: Project) -> None:
    lost = holding("1\np: 2\n", computed.root / ".dvc/cache/files/md5")
    lost.unlink()
    with opened(computed) as repo:
        sent = Remote(repo).push()
        assert sent.records == 8
        assert list(sent.incomplete.values()) == [(lost.parent.name + lost.name,)]
        assert len(Remote(repo).records()) == 8
        again = Remote(repo).push()  # as after `dvc gc`: nothing is wrong
    assert again.problems == {}
    assert list(again.lines("pushed")) == [
        "pushed 0 runs, 0 objects",
        "1 runs were not sent: what they made is neither here nor there, as after dvc gc",
    ]


def test_a_damaged_record_or_object_is_noticed_and_never_restored(computed: Project, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with opened(computed) as repo:
        Remote(repo).push()
    records = sorted(path for path in (store / "runs").rglob("*") if path.is_file())
    records[0].write_bytes(records[0].read_bytes()[: records[0].stat().st_size // 2])  # half pushed
    damaged = change(holding("1\np: 3\n", store / "files/md5"), "1\np: 4\n")
    other = teammate(computed, tmp_path / "other" / "twin")
    with opened(other) as repo:
        remote = Remote(repo)
        found = remote.fetch()
        assert (found.records, list(found.incomplete)) == (8, [Record(records[0].parent.name, records[0].name)])
        got = remote.fetch_objects(remote.records() - set(found.incomplete))
        assert list(got.incomplete.values()) == [(damaged,)]
    runs = other.root / ".dvc/cache/runs"
    assert all(any(key.iterdir()) for key in runs.glob("*/*"))  # on an empty one DVC fails
    told: list[str] = []
    with opened(other) as repo:
        planned(repo, (), Options(pull=True), told.append)
    assert f"run {records[0].name[:12]} is damaged on the remote; {REPAIR}" in told
    reproduce(other.root, pull=True)
    assert (other.root / "three.txt").read_text() == "1\np: 3\n"


def test_a_folder_whose_listing_is_damaged_is_named(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        Remote(repo).push()
    name = change(next(path for path in (tmp_path / "store/files/md5").rglob("*.dir")), "[]")
    other = teammate(computed, tmp_path / "other" / "twin")
    with opened(other) as repo:
        remote = Remote(repo)
        remote.fetch()
        assert list(remote.fetch_objects(remote.records()).incomplete.values()) == [(name,)]
        assert remote.push().incomplete == {}  # the record is there: whoever has the listing repairs it
    with opened(computed) as repo:
        assert Remote(repo).push(verify=True).objects == 1


def test_what_is_damaged_here_is_not_sent(computed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    cache = computed.root / ".dvc/cache"
    damaged = change(holding("1\np: 2\n", cache / "files/md5"), "1\np: 4\n", 0o444)  # so DVC trusts it
    changed = change(holding("p: 1\n", cache / "files/md5"), "p: 4\n")  # which DVC sees for itself
    of_three = hashlib.md5(b"1\np: 3\n").hexdigest()
    files = [path for path in (cache / "runs").rglob("*") if path.is_file()]
    cut = next(path for path in files if of_three in path.read_text())
    cut.write_text(cut.read_text().replace("echo three", "echo four"))
    with opened(computed) as repo:
        sent = Remote(repo).push()
    assert (sent.records, sent.gone) == (6, frozenset())
    assert {name for names in sent.incomplete.values() for name in names} == {damaged, changed, cut.name}
    assert sent.problems == sent.incomplete
    told = capsys.readouterr().out
    assert f"object {damaged} is damaged in this cache, and is not sent" in told
    assert f"object {changed} was damaged in this cache, and is dropped" in told
    assert f"run {cut.name[:12]} is damaged in this cache, and is not sent: delete {cut}" in told


def test_what_is_private_stays_here(project: Project, tmp_path: Path) -> None:
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    outs = [{"kept.txt": {"push": False}}, "other.txt"]
    cmd = ["cp ../seed.txt kept.txt", "echo > other.txt"]
    for seed in "12":
        project.write({"seed.txt": seed, "sub/.gitignore": ""})
        project.pipeline({"keep": {"wdir": "sub", "cmd": cmd, "deps": ["../seed.txt"], "outs": outs}})
        stock(project.root)
    with opened(project) as repo:
        assert Remote(repo).push() == Transfer()
        assert Remote(repo).push(verify=True) == Transfer(objects=1)  # what dvc.lock names besides
        other = tmp_path / "store/files/md5" / hashlib.md5(b"\n").hexdigest()[:2] / hashlib.md5(b"\n").hexdigest()[2:]
        assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == [other]
        path = next(path for path in (project.root / ".dvc/cache/runs").rglob("*") if path.is_file())
        record = Record(path.parent.name, path.name)
        with pytest.raises(UserError, match=f"run {record.value[:12]} has an output that says `push: false`"):
            Remote(repo).push([record])


def test_what_no_run_made_is_repaired_as_well(computed: Project, tmp_path: Path) -> None:
    computed.write({"raw.txt": "raw\n"})
    computed.dvc("add", "raw.txt")
    computed.dvc("push")
    with opened(computed) as repo:
        Remote(repo).push()
        damaged = holding("raw\n", tmp_path / "store/files/md5")
        change(damaged, "war\n")
        assert "pushed 0 runs, 0 objects" in Remote(repo).push().lines("pushed")
        assert "pushed 0 runs, 1 objects" in Remote(repo).push(verify=True).lines("pushed")
    assert damaged.read_text() == "raw\n"


def test_records_of_one_key_alone(computed: Project) -> None:
    with opened(computed) as repo:
        Remote(repo).push()
        found = Remote(repo).records()
        one = min(found)
        assert len(found) == 9
        assert Remote(repo).records(one.key) == {record for record in found if record.key == one.key}


def test_objects_are_given_and_taken_by_name(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        paths = {one: str(out) for out in repo.index.outs for one in out.get_used_objs()[None]}
        assert Remote(repo).give(paths) == []
        assert Remote(repo).missing(paths) == set()
    damaged = holding("p: 3\n", computed.root / ".dvc/cache/files/md5")
    damaged.unlink()
    shutil.rmtree(tmp_path / "store")
    with opened(computed) as repo:
        assert Remote(repo).give(paths) == ["two"]
        assert not (tmp_path / "store").exists()  # nothing is sent while a stage has to run first
        left = {one for one in paths if one.value == damaged.parent.name + damaged.name}
        assert Remote(repo).take(left) == left


def test_objects_that_the_remote_does_not_take_may_be_sent_later(
    computed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(computed) as repo:
        paths = {one: str(out) for out in repo.index.outs for one in out.get_used_objs()[None]}
        monkeypatch.setattr("gliaflow.store.files.send", lambda *_: set())
        with pytest.raises(TransientError, match="the remote did not take all objects"):
            Remote(repo).give(paths)


def test_a_remote_over_http_keeps_no_runs(computed: Project, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "store"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        computed.dvc("remote", "add", "web", f"http://127.0.0.1:{server.server_port}")
        with opened(computed) as repo:
            remote = Remote(repo, "web")
            assert (remote.keeps_runs, Remote(repo).keeps_runs) == (False, True)
            for action in (remote.push, remote.fetch, remote.fetch_runs, remote.records):
                with pytest.raises(UserError, match="a remote over HTTP cannot be listed"):
                    action()
    finally:
        server.shutdown()
        server.server_close()


def test_no_remote_is_told(project: Project) -> None:
    with opened(project) as repo, pytest.raises(UserError, match="no remote specified"):
        Remote(repo)


def test_a_folder_that_is_not_there_is_told(
    computed: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = f"remote 'store': there is no {tmp_path / 'store'}"
    with opened(computed) as repo:
        with pytest.raises(UserError, match=f"^{absent}; `gliaflow push` makes it, or mend the url in .dvc/config$"):
            Remote(repo).fetch_runs()
        said = list[str]()
        planned(repo, ["one"], Options(pull=True), said.append)
        assert said == [f"{absent}, so nothing is pulled: mend the url in .dvc/config, if it should be there"]
        capsys.readouterr()
        Remote(repo).push()
        assert capsys.readouterr().out.splitlines()[0] == "remote 'store' is new: its folder is made"
        Remote(repo).push(verify=True)
        assert "is new" not in capsys.readouterr().out
        assert Remote(repo).fetch_runs().records == 0
