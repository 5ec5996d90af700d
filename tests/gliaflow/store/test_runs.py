"""DVC's run-cache: what it holds of a stage as it stands, and taking outputs from it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo

from gliaflow.store import runs
from tests.gliaflow.store.history import opened
from tests.support.repos import Project, environment, stock


@pytest.fixture
def repo(computed: Project) -> Iterator[Repo]:
    """Three stages, run with `p` of 1, 2 and 3; it stands at 3."""
    with opened(computed) as made, made.lock:
        yield made


def loaded(repo: Repo, name: str) -> Any:
    """The stage, its dependencies as dvc.lock says."""
    (found,) = repo.stage.collect(name)
    return found


def stage(repo: Repo, name: str) -> Any:
    """The stage, its dependencies hashed as they are."""
    found = loaded(repo, name)
    found.save_deps()
    return found


def test_a_run_goes_by_the_names_that_dvc_gave_its_record(repo: Repo, computed: Project) -> None:
    key, value = runs.names(stage(repo, "two"))
    assert (computed.root / ".dvc/cache/runs" / key[:2] / key / value).exists()
    assert runs.knows(stage(repo, "two"))
    assert runs.recorded(stage(repo, "two"))
    Path("seed.txt").write_text("2\n")
    assert runs.names(stage(repo, "one"))[0] != key
    assert not runs.knows(stage(repo, "one"))


def test_a_run_is_recorded_as_dvc_records_it(repo: Repo, computed: Project) -> None:
    folder = computed.root / ".dvc/cache/runs"
    for name in ("one", "two", "three"):
        (found,) = repo.stage.collect(name)
        found.save(run_cache=False)
        path = folder.joinpath(runs.names(found)[0][:2], *runs.names(found))
        before = path.read_bytes()
        runs.save(found)  # it is there
        assert path.read_bytes() == before
        path.unlink()
        path.parent.rmdir()
        repo.stage_cache.save(found)
        expected = path.read_bytes(), path.stat().st_mode, path.parent.stat().st_mode
        path.unlink()
        path.parent.rmdir()
        runs.save(found)
        assert (path.read_bytes(), path.stat().st_mode, path.parent.stat().st_mode) == expected
        assert list(path.parent.iterdir()) == [path]


def test_outputs_are_restored_and_cleared_only_if_they_are_in_the_cache(repo: Repo) -> None:
    cleared: list[str] = []

    def restored(name: str, **options: Any) -> bool:
        found = loaded(repo, name)

        def remove() -> None:
            cleared.append(name)
            found.remove_outs(ignore_remove=False, force=False)

        return runs.restore(found, remove, **{"run_cache": True, "pull": False, **options})

    Path("params.yaml").write_text("p: 1\n")
    assert restored("two")
    assert (Path("two/b").read_text(), cleared) == ("p: 1\n", ["two"])
    Path("params.yaml").write_text("p: 2\n")
    assert not restored("two", run_cache=False)
    Path("params.yaml").write_text("p: 4\n")
    assert not restored("two")
    assert (Path("two/b").read_text(), cleared) == ("p: 1\n", ["two"])
    Path("params.yaml").write_text("p: 2\n")
    shutil.rmtree(".dvc/cache/files")
    assert not restored("two")
    assert cleared == ["two"]


def test_what_dvc_would_not_record(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", environment(tmp_path, ""))
    project.write({"a": ""})
    always = {"cmd": "cp a b", "deps": ["a"], "outs": ["b"], "always_changed": True}
    project.pipeline({"always": always, "sink": {"cmd": "true", "deps": ["a"]}, "fine": {**always, "outs": ["c"]}})
    path = project.root / "dvc.yaml"
    stages = path.read_text()
    with opened(project) as repo:
        assert not any(runs.takes(stage(repo, name)) for name in ("always", "sink"))
    path.write_text(stages.replace("always_changed: true", "always_changed: false"))
    with opened(project) as repo:
        assert runs.takes(stage(repo, "fine"))


def test_a_parameter_that_dvcs_key_leaves_out_tells_runs_apart(tmp_path: Path) -> None:
    """Issue 10296 of DVC: parameters called `size` or `nfiles`."""
    project = Project(tmp_path / "project", environment(tmp_path, ""))
    project.pipeline({"s": {"cmd": "cat params.yaml > o", "params": ["pack"], "outs": ["o"]}})
    project.write({"params.yaml": "pack: {size: 30}\n"})
    assert stock(project.root) == ["s"]
    project.write({"params.yaml": "pack: {size: 40}\n"})
    with opened(project) as repo, repo.lock:
        found = stage(repo, "s")
        key, _ = runs.names(found)
        (record,) = (project.root / ".dvc/cache/runs" / key[:2] / key).iterdir()
        entry = repo.stage_cache._load_cache(key, record.name)
        assert (runs.fits(found, entry), runs.fits(found, None)) == (False, False)
        assert not runs.restore(loaded(repo, "s"), lambda: None, run_cache=True, pull=False)
        found.outs[0].save()  # so that its record would have the name of the other
        assert (runs.knows(found), runs.recorded(found)) == (True, False)
        project.write({"params.yaml": "pack: {size: 30}\n"})
        again = stage(repo, "s")
        assert runs.fits(again, entry)
        assert runs.restore(loaded(repo, "s"), lambda: Path("o").unlink(), run_cache=True, pull=False)


def test_outputs_are_foreseen_and_nothing_is_changed(repo: Repo) -> None:
    Path("params.yaml").write_text("p: 1\n")
    coming: dict[str, Any] = {}
    for name in ("one", "two", "three"):
        found = loaded(repo, name)
        before = runs.known(found)
        outputs = runs.foreseen(found, coming)
        assert outputs is not None
        assert list(outputs) == [out.fs_path for out in found.outs]
        assert runs.known(found) == before
        coming |= outputs
    three = loaded(repo, "three")
    assert coming[three.outs[0].fs_path][0] != three.outs[0].hash_info  # that of p: 3
    assert Path("three.txt").read_text() == "1\np: 3\n"
    two = loaded(repo, "two")
    Path("params.yaml").write_text("p: 4\n")
    assert runs.foreseen(two, coming) is None
    Path("one.txt").unlink()
    assert runs.foreseen(two, {}) is None


def test_a_run_may_be_restored_if_what_is_known_of_it_fits_a_record(repo: Repo) -> None:
    """The repository has runs of `p` 1, 2 and 3."""
    records = runs.Records(repo)
    two = stage(repo, "two")
    hashes = {dep.fs_path: dep.hash_info for dep in two.deps if dep.protocol == "local" and dep.hash_info.name == "md5"}
    assert hashes
    assert records.may_give(two, {}, same=False, run_cache=True, more=())
    assert records.may_give(two, hashes, same=False, run_cache=True, more=())
    assert not records.may_give(two, hashes, same=False, run_cache=False, more=())
    assert records.may_give(two, hashes, same=True, run_cache=False, more=())
    other = {path: HashInfo(one.name, "0" * 32) for path, one in hashes.items()}
    assert not records.may_give(two, other, same=False, run_cache=True, more=())
    two.cmd = "another"
    assert not records.may_give(two, hashes, same=False, run_cache=True, more=())
    shutil.rmtree(".dvc/cache/files")
    lost = stage(repo, "two")
    assert not records.may_give(lost, hashes, same=False, run_cache=True, more=())
    assert records.may_give(lost, hashes, same=False, run_cache=True, more={lost.outs[0].hash_info.value})


def test_dvc_lock_counts_for_a_stage_that_did_not_change_even_without_the_run_cache(repo: Repo) -> None:
    assert runs.foreseen(loaded(repo, "two"), {}, same=True, run_cache=False)
    assert runs.foreseen(loaded(repo, "two"), {}, same=False, run_cache=False) is None
    shutil.rmtree(".dvc/cache/runs")
    assert runs.foreseen(loaded(repo, "two"), {}, same=True)
    assert runs.foreseen(loaded(repo, "two"), {}) is None
    shutil.rmtree(".dvc/cache/files")
    assert runs.foreseen(loaded(repo, "two"), {}, same=True) is None
    assert runs.entry_for(loaded(repo, "two"), {}, same=True, run_cache=True)


def test_dependencies_are_set_back_to_what_the_lock_file_says(repo: Repo) -> None:
    one = loaded(repo, "one")
    before = runs.known(one)
    Path("seed.txt").write_text("changed\n")
    one.save_deps()
    assert runs.known(one) != before
    runs.put_back(before)
    assert runs.known(one) == before
