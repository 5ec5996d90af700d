"""What the workspace takes for granted of DVC; each test names the function of DVC that it holds."""

import ast
import importlib
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dvc.rwlock
import pytest
from dvc import version_tuple
from dvc.dvcfile import Lockfile, ProjectFile
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.repo.scm_context import SCMContext
from dvc.stage.cache import RunCacheNotFoundError, StageCache, _get_cache_hash
from dvc.stage.run import _enforce_cmd_list, _make_cmd, prepare_kwargs
from dvc.stage.serialize import to_single_stage_lockfile

from tests.support.repos import SOURCE, Project

SOURCES = sorted((SOURCE / "gliaflow").rglob("*.py"))
ROOMS = {"audit", "experiments", "lockfiles", "memo", "store", "versioning", "words", "workspace"}
DVC = {"dvc", "dvc_data", "dvc_objects", "scmrepo"}
PUBLIC = {"dvc.exceptions", "dvc.repo", "dvc.stage.exceptions"}  # errors, and the class that users of DVC import


def imported(path: Path) -> set[str]:
    """The names that a module takes from DVC and what DVC is made of, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in DVC}


NAMES = sorted(set[str]().union(*map(imported, SOURCES)))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_rooms_of_dvc_alone_know_its_internals(path: Path) -> None:
    internals = {name for name in imported(path) if name.rpartition(".")[0] not in PUBLIC}
    assert not internals or path.relative_to(SOURCE / "gliaflow").parts[0] in ROOMS


def test_the_names_of_all_of_dvcs_parts_are_seen() -> None:
    assert {name.split(".")[0] for name in NAMES} == DVC
    assert len(NAMES) > 30


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert (module and hasattr(importlib.import_module(module), attribute)) or importlib.import_module(name)


def test_the_version_is_the_one_that_was_read() -> None:
    assert version_tuple[:2] >= (3, 67)
    assert version_tuple[0] == 3


@pytest.fixture
def repo(project: Project) -> Iterator[Repo]:
    """Two stages, the first of which has run."""
    project.write({"seed.txt": "1\n", "params.yaml": "a: 1\n"})
    project.pipeline(
        {
            "one": {"cmd": "cp seed.txt one.txt", "deps": ["seed.txt"], "params": ["a"], "outs": ["one.txt"]},
            "two": {
                "cmd": ["cp one.txt two.txt", "true"],
                "deps": ["one.txt"],
                "outs": ["two.txt"],
                "meta": {"gpus": 1},
            },
        }
    )
    project.dvc("repro", "one")
    before = Path.cwd()
    os.chdir(project.root)
    with Repo(_wait_for_lock=True) as made:
        yield made
    os.chdir(before)


def stage(repo: Repo, name: str) -> Any:
    (found,) = collect_stages(repo, [name])
    return found


def test_repo_lock_depth_keeps_locked_functions_from_locking_again(repo: Repo) -> None:
    """dvc.repo.lock_repo."""
    with repo.lock:
        repo._lock_depth += 1
        assert repo.status() != {}  # @locked; it would wait for ever
        repo._lock_depth -= 1


def test_a_lock_that_another_holds_is_refused_at_once(repo: Repo) -> None:
    """dvc.lock.Lock._do_lock."""
    with Repo() as other, other.lock, pytest.raises(LockError):
        repo.lock._do_lock()
    repo.lock._do_lock()
    repo.lock.unlock()


def test_plan_repro_puts_upstreams_first_and_edges_lead_to_them(repo: Repo) -> None:
    """dvc.repo.reproduce.plan_repro, get_active_graph."""
    graph = get_active_graph(repo.index.graph)
    order = plan_repro(graph, collect_stages(repo, ["dvc.yaml"]))
    assert [found.addressing for found in order] == ["one", "two"]
    assert [found.addressing for found in graph.successors(order[1])] == ["one"]


@pytest.mark.usefixtures("repo")
def test_the_index_has_the_plots_at_the_top_of_each_dvc_yaml() -> None:
    """dvc.repo.index.Index._plots; kept for the page of a run."""
    with Path("dvc.yaml").open("a") as file:
        file.write("plots:\n  - a.csv\n  - b: {x: step, y: {a.csv: [c]}}\n")
    with Repo() as other:
        assert other.index._plots == {
            str(Path("dvc.yaml").resolve()): ["a.csv", {"b": {"x": "step", "y": {"a.csv": ["c"]}}}]
        }


def test_changed_looks_at_command_dependencies_and_outputs(repo: Repo) -> None:
    """dvc.stage.Stage.changed."""
    with repo.lock:
        assert not stage(repo, "one").changed(False, [])
        assert stage(repo, "two").changed(False, [])
        Path("seed.txt").write_text("2\n")
        assert stage(repo, "one").changed(False, [])


def test_restore_takes_what_the_lock_file_names_or_else_the_run_cache(repo: Repo) -> None:
    """dvc.stage.cache.StageCache.restore."""
    with repo.lock:
        found = stage(repo, "one")
        found.remove_outs(ignore_remove=False, force=False)
        repo.stage_cache.restore(found, run_cache=True, pull=False)
        assert Path("one.txt").read_text() == "1\n"
        with pytest.raises(RunCacheNotFoundError):
            repo.stage_cache.restore(stage(repo, "two"), run_cache=True, pull=False)


@pytest.mark.parametrize(("name", "told"), [("size", False), ("nfiles", False), ("width", True)])
def test_get_cache_hash_leaves_parameters_out_that_are_called_as_what_dvc_notes_of_files(name: str, told: bool) -> None:
    """Issue 10296 of DVC; once it is mended, store.runs.fits has nothing left to do."""
    entries = [{"cmd": "c", "params": {"params.yaml": {"pack": {name: value}}}, "outs": []} for value in (30, 40)]
    one, other = (_get_cache_hash(entry, key=True) for entry in entries)
    assert (one != other) == told


def test_save_hashes_and_commit_caches_without_the_run_cache(repo: Repo) -> None:
    """dvc.stage.Stage.save, commit; StageCache.save."""
    Path("two.txt").write_text("1\n")
    with repo.lock:
        found = stage(repo, "two")
        found.save(allow_missing=False, run_cache=False)
        key = _get_cache_hash(to_single_stage_lockfile(found), key=True)
        folder = Path(repo.stage_cache._get_cache_dir(key))
        assert not folder.exists()
        repo.stage_cache.save(found)
        found.commit(allow_missing=False)
        (record,) = folder.iterdir()
        assert repo.stage_cache._load_cache(key, record.name)["cmd"] == ["cp one.txt two.txt", "true"]
        assert repo.stage_cache._create_stage(repo.stage_cache._load_cache(key, record.name)).outs_cached()


def test_outputs_are_fetched_and_checked_out_by_an_entry_alone(repo: Repo) -> None:
    """StageCache._create_stage with outputs alone, for workspace/parcel.py; dvc.stage.Stage.get_used_objs, checkout."""
    with repo.lock:
        out = stage(repo, "one").outs[0]
        entry = {"path": "one.txt", "hash": "md5", **out.hash_info.to_dict(), **out.meta.to_dict()}
        Path("one.txt").unlink()
        holder = repo.stage_cache._create_stage({"cmd": "true", "outs": [entry]}, wdir=repo.root_dir)
        assert set().union(*holder.get_used_objs().values()) == {out.hash_info}
        holder.checkout(force=True)
        assert Path("one.txt").read_text() == "1\n"
        assert [found.addressing for found in repo.stage.collect("one")] == ["one"]


def test_dependencies_carry_their_hashes(repo: Repo) -> None:
    """dvc.stage.Stage.save_deps, dvc.output.Output.get_hash, dvc.dependency.ParamsDependency.read_params."""
    with repo.lock:
        found = stage(repo, "one")
        before = [dep.hash_info for dep in found.deps]
        assert [dep.get_hash() for dep in found.deps] == before
        Path("seed.txt").write_text("2\n")
        found.save_deps()
        assert [dep.hash_info == old for dep, old in zip(found.deps, before, strict=True)] == [False, True]
        assert found.params[0].hash_info.value == {"a": 1} == found.params[0].read_params()


def test_the_lock_file_is_written_by_its_path(repo: Repo, tmp_path: Path) -> None:
    """dvc.dvcfile.Lockfile.dump_stages, ProjectFile._lockfile, lockfile_contents."""
    found = stage(repo, "one")
    assert isinstance(found.dvcfile, ProjectFile)
    assert list(found.dvcfile.lockfile_contents["stages"]) == ["one"]
    elsewhere = tmp_path / "dvc.lock"
    Lockfile(repo, str(elsewhere)).dump_stages([found])
    assert elsewhere.read_bytes() == Path(found.dvcfile._lockfile.path).read_bytes()


def test_what_git_ignores_goes_through_the_context(repo: Repo) -> None:
    """dvc.repo.scm_context.SCMContext.ignore; dvc.output.Output.ignore."""
    told: list[str] = []

    class Told(SCMContext):  # type: ignore[misc]
        def ignore(self, path: str) -> None:
            told.append(path)

    repo.__dict__["scm_context"] = Told(repo.scm)
    stage(repo, "two").ignore_outs()
    assert told == [str(Path("two.txt").resolve())]


def test_commands_are_made_for_a_shell(repo: Repo) -> None:
    """dvc.stage.run._enforce_cmd_list, _make_cmd, prepare_kwargs."""
    found = stage(repo, "two")
    assert _enforce_cmd_list(found.cmd) == ["cp one.txt two.txt", "true"]
    assert _enforce_cmd_list("a\nb") == ["a", "b"]
    assert _make_cmd("/bin/bash", "true") == ["/bin/bash", "--noprofile", "--norc", "-c", "true"]
    kwargs = prepare_kwargs(found)
    assert kwargs["cwd"] == str(Path.cwd())
    assert kwargs["env"]["DVC_STAGE"] == "two"
    assert found.meta == {"gpus": 1}


def test_rwlocked_looks_the_lock_up_when_it_is_called(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """dvc.stage.decorators.rwlocked, which workspace/locks.py has only look."""
    asked: list[tuple[list[str], list[str]]] = []
    real = dvc.rwlock.rwlock

    def spy(folder: str, fs: Any, cmd: str, read: list[str], write: list[str], hardlink: bool) -> Any:
        asked.append((read, write))
        return real(folder, fs, cmd, read, write, hardlink)

    monkeypatch.setattr(dvc.rwlock, "rwlock", spy)
    with repo.lock:
        stage(repo, "one").changed(False, [])
    here = Path.cwd()
    assert ([str(here / "seed.txt"), str(here / "params.yaml"), str(here / "one.txt")], []) in asked
    assert list(inspect.signature(real).parameters) == ["tmp_dir", "fs", "cmd", "read", "write", "hardlink"]


def test_the_rwlock_file_names_readers_and_writers_by_path(repo: Repo) -> None:
    """dvc.rwlock._edit_rwlock, _acquire_read, _release_read, _release_write, _check_blockers."""
    mine, other = {"pid": os.getpid(), "cmd": "mine"}, {"pid": os.getppid(), "cmd": "other"}
    with dvc.rwlock._edit_rwlock(repo.tmp_dir, repo.fs, False) as lock:
        dvc.rwlock._acquire_read(lock, mine, ["/a"])
        lock["write"] |= {"/b": mine}
    written = json.loads((Path(repo.tmp_dir) / dvc.rwlock.RWLOCK_FILE).read_text())
    assert written == {"read": {"/a": [mine]}, "write": {"/b": mine}}
    with dvc.rwlock._edit_rwlock(repo.tmp_dir, repo.fs, False) as lock:
        with pytest.raises(LockError, match="busy"):
            dvc.rwlock._check_blockers(repo.tmp_dir, lock, other, mode="write", waiters=["/b/inside"])
        dvc.rwlock._check_blockers(repo.tmp_dir, lock, mine, mode="write", waiters=["/b"])
        dvc.rwlock._release_write(lock, mine, ["/b"])
        dvc.rwlock._release_read(lock, mine, ["/a"])
    assert StageCache.__init__  # the cache is made with the repository
