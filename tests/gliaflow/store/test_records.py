"""Records of runs: where they lie, which are whole, and what they name."""

import shutil
from pathlib import Path

from gliaflow.store import records
from gliaflow.store.objects import Objects
from gliaflow.store.records import Record
from gliaflow.store.remote import Remote
from tests.gliaflow.store.history import change, holding, opened
from tests.support.repos import Project


def test_they_lie_by_key_and_are_listed_by_it(computed: Project) -> None:
    runs = computed.root / ".dvc/cache/runs"
    expected = {Record(path.parent.name, path.name) for path in runs.rglob("*") if path.is_file()}
    one = min(expected)
    (runs / one.key[:2] / one.key / "unfinished").touch()  # another process writes it
    with opened(computed) as repo:
        cache = repo.cache.legacy
        assert set(records.listed(cache)) == expected
        assert one in records.listed(cache, one.key)
        assert all(record.key == one.key for record in records.listed(cache, one.key))
        assert Path(records.path_in(cache, one)) == runs / one.key[:2] / one.key / one.value
    assert one.short == one.value[:12]


def test_a_record_is_whole_if_its_content_hashes_to_its_name(computed: Project, tmp_path: Path) -> None:
    runs = computed.root / ".dvc/cache/runs"
    path = next(path for path in runs.rglob("*") if path.is_file())
    record = Record(path.parent.name, path.name)
    assert records.is_whole(record, path)
    assert not records.is_whole(Record(record.key, "0" * 64), path)
    assert not records.is_whole(Record("0" * 64, record.value), path)
    for text in ("", "a: [", "- 1\n", path.read_text().replace("md5: ", "md5: 0", 1)):
        (tmp_path / "bad").write_text(text)
        assert not records.is_whole(record, tmp_path / "bad")
    assert not records.is_whole(record, tmp_path / "none")


def test_only_whole_records_are_downloaded(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        Remote(repo).push()
        good, bad, *_ = sorted(Remote(repo).records())
    change(tmp_path / "store/runs" / bad.key[:2] / bad.key / bad.value, "cmd: x\n")
    runs = computed.root / ".dvc/cache/runs"
    shutil.rmtree(runs)
    with opened(computed) as repo:
        legacy = Objects(repo, None, None, print).legacy
        assert records.damaged(legacy.there, [good, bad], None) == {bad}
        assert [records.download(legacy, record) for record in (good, bad)] == [True, False]
    assert [path for path in runs.rglob("*") if path.is_file()] == [runs / good.key[:2] / good.key / good.value]


def test_a_record_names_outputs_and_all_that_lies_in_their_folders(computed: Project, tmp_path: Path) -> None:
    cache = computed.root / ".dvc/cache"
    with opened(computed) as repo:
        Remote(repo).push()
        runs = {str(records.outs(repo, run)[0]): run for run in records.listed(repo.cache.legacy)}
        assert sorted(runs) == ["one.txt", "three.txt", "two"]
        unreadable = Record("0" * 64, "1" * 64)
        assert records.outs(repo, unreadable) == []
        objects = Objects(repo, None, None, print)
        named = records.named(objects, [runs["one.txt"], runs["two"], unreadable])
        assert [len(named[run]) for run in (runs["one.txt"], runs["two"], unreadable)] == [1, 3, 0]
        assert records.unlisted(objects, named) == set()
    (listing,) = (one for one in named[runs["two"]] if one.isdir)
    path = cache / "files/md5" / listing.value[:2] / listing.value[2:]
    for fetched in (True, False):  # a listing that is not here is fetched, if it can be
        path.unlink()
        with opened(computed) as repo:
            objects = Objects(repo, None, None, print)
            named = records.named(objects, [runs["two"]])
            assert len(named[runs["two"]]) == (3 if fetched else 1)
            assert records.unlisted(objects, named) == (set() if fetched else {listing})
        shutil.rmtree(tmp_path / "store/files", ignore_errors=True)


def test_a_run_is_private_if_a_stage_keeps_what_it_makes(computed: Project) -> None:
    with opened(computed) as repo:
        assert records.private(repo, records.listed(repo.cache.legacy)) == set()
    path = computed.root / "dvc.yaml"
    path.write_text(path.read_text().replace("outs: [three.txt]", "outs: [{three.txt: {push: false}}]"))
    assert "push: false" in path.read_text()
    with opened(computed) as repo:
        found = records.private(repo, records.listed(repo.cache.legacy))
        assert {str(out) for run in found for out in records.outs(repo, run)} == {"three.txt"}
        assert len(found) == 3
        assert holding("1\np: 2\n", computed.root / ".dvc/cache").exists()
