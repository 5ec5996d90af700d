"""Odd cases in which the flow must do what `dvc repro` does, held against it where it can be had."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import ReproductionError

from gliaflow.core.options import Options
from tests.support.repos import Project, copies, ours, reproduce, stock


@pytest.fixture
def twins(new_project: Callable[..., Project]) -> tuple[Project, Project]:
    """Two repositories: one for the flow, one for DVC."""
    made = new_project("flow/twin"), new_project("dvc/twin")
    for project in made:
        project.write({"seed.txt": "1\n"})
    return made


def test_a_stage_that_only_waited_keeps_what_it_made_before(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    waits = copies("seed.txt", "kept.txt") | {"outs": [{"kept.txt": {"cache": False}}]}
    project.pipeline({"waits": waits})
    reproduce(project.root)
    bad = {"cmd": "sleep 1; exit 1", "deps": ["seed.txt"], "outs": ["bad.txt"], "meta": {"cpus": 2}}
    waits |= {"cmd": "true; cp seed.txt kept.txt", "meta": {"cpus": 2}}
    project.pipeline({"bad": bad, "waits": waits})
    with pytest.raises(ReproductionError, match="failed to reproduce 'bad'"):
        reproduce(project.root, jobs=2)
    assert (project.root / "kept.txt").read_text() == "1\n"


def test_a_folder_into_which_the_run_writes_is_read_when_it_is_complete(twins: tuple[Project, Project]) -> None:
    for project in twins:
        project.write({"sub/keep": ""})
        project.pipeline({"make": copies("../seed.txt", "o.txt")}, "sub/dvc.yaml")
        project.pipeline({"read": {"cmd": "ls sub > list.txt", "deps": ["sub"], "outs": ["list.txt"]}})
        project.pipeline(
            {"other": {"cmd": "sleep 1; touch p.txt", "deps": ["../seed.txt"], "outs": ["p.txt"]}}, "a/dvc.yaml"
        )
    flow, dvc = twins
    for text in ("1\n", "2\n"):
        for project in twins:
            project.write({"seed.txt": text})
        assert ours(flow.root, all_pipelines=True) == stock(dvc.root, all_pipelines=True)
        assert flow.left() == dvc.left()
    flow.clean()


def test_a_lock_that_cannot_be_written_fails_its_stages_and_loses_nothing(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"here": copies("seed.txt", "here.txt")})
    command = {"cmd": "cp ../here.txt there.txt; mkdir dvc.lock"}
    project.pipeline({"there": copies("../here.txt", "there.txt") | command}, "sub/dvc.yaml")
    ended = project.flow("--all-pipelines", expect=2)
    assert ended.stderr.startswith("error: failed to reproduce 'sub/dvc.yaml:there': ")
    assert "Is a directory" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "here:" in (project.root / "dvc.lock").read_text()
    (project.root / "sub/dvc.lock").rmdir()
    assert "there: restored from run-cache" in project.flow("--all-pipelines").stdout
    project.clean()


def test_dvcs_temporary_folder_may_lie_on_another_file_system(project: Project, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    own = elsewhere / f"gliaflow-test-{os.getpid()}"
    shutil.move(project.root / ".dvc/tmp", own)
    try:
        (project.root / ".dvc/tmp").symlink_to(own)
        project.write({"seed.txt": "1\n"})
        project.pipeline({"s": copies("seed.txt", "o.txt")})
        assert reproduce(project.root) == ["s"]
        project.clean()
        assert not list(project.root.glob("*.partial")) + list(project.root.glob(".*.partial"))
    finally:
        shutil.rmtree(own)


def test_an_output_behind_a_link_out_of_git_fails_its_stage(twins: tuple[Project, Project]) -> None:
    for project in twins:
        outside = project.root.parent / "outside"
        outside.mkdir()
        (project.root / "link").symlink_to(outside)
        project.pipeline({"s": copies("seed.txt", "link/o.txt")})
    flow, dvc = twins
    assert ours(flow.root) == stock(dvc.root) == "failed to reproduce 's'"
    assert flow.left() == dvc.left()


def test_broken_parameters_fail_the_stage_that_reads_them(twins: tuple[Project, Project]) -> None:
    for project in twins:
        project.write({"other.yaml": "a: [1\n"})
        project.pipeline(
            {"bad": copies("seed.txt", "b.txt", params=[{"other.yaml": ["a"]}]), "s": copies("seed.txt", "o.txt")}
        )
    flow, dvc = twins
    assert ours(flow.root, on_error="keep-going") == stock(dvc.root, on_error="keep-going")
    assert flow.left()["dvc.lock"] == dvc.left()["dvc.lock"]
    assert b"  s:" in flow.left()["dvc.lock"]
    flow.write({"seed.txt": "2\n", "other.yaml": "a: 1\n"})
    flow.flow()
    flow.write({"other.yaml": "a: [1\n"})
    refused = flow.flow("--dry", expect=2)
    assert refused.stderr.startswith("error: failed to reproduce 'bad': ")
    assert len(refused.stderr.splitlines()) == 1


def test_interactive_may_be_configured(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt")})
    project.dvc("config", "core.interactive", "true")
    assert "reproduction aborted by the user" in project.flow(expect=1).stderr
    assert not (project.root / "o.txt").exists()


def test_a_parameter_called_size_counts_which_dvcs_run_cache_does_not_see(twins: tuple[Project, Project]) -> None:
    stage = {"cmd": "grep size params.yaml > out.txt", "deps": ["a.txt"], "params": ["pack"], "outs": ["out.txt"]}
    results = []
    for project, run in zip(twins, (stock, ours), strict=True):
        project.write({"a.txt": "1\n"})
        project.pipeline({"pack": stage})
        for size in (30, 40, 30, 40):
            project.write({"params.yaml": f"pack:\n  size: {size}\n"})
            run(project.root)
            results.append((project.root / "out.txt").read_text())
    assert results == ["  size: 30\n"] * 4 + [f"  size: {size}\n" for size in (30, 40, 30, 40)]
    project = twins[1]
    for folder in {path.parent for path in (project.root / ".dvc/cache/runs").rglob("*") if path.is_file()}:
        (folder / ".killed.tmp").write_text("cmd: half of it\n")  # as one leaves it that was killed
    project.write({"params.yaml": "pack:\n  size: 50\n"})
    assert "pack: to run: pack.size 40 → 50" in project.flow("--dry").stdout
    project.write({"params.yaml": "pack:\n  size: 30\n"})
    assert "pack: restorable: pack.size 40 → 30" in project.flow("--dry").stdout


def test_a_run_that_dvcs_cache_cannot_tell_from_another_is_recorded_in_the_lock_file(project: Project) -> None:
    z = {"cmd": "echo x >> ran.log; sleep 1; cp a.txt z.txt", "deps": ["a.txt"], "params": ["pack"], "outs": ["z.txt"]}
    bad = {"cmd": "test -e ok && cp a.txt bad.txt", "deps": ["a.txt"], "outs": ["bad.txt"]}
    project.write({"a.txt": "1\n", "params.yaml": "pack:\n  size: 1\n"})
    project.pipeline({"z": z})
    ours(project.root)
    (project.root / "dvc.lock").unlink()
    project.write({"params.yaml": "pack:\n  size: 2\n"})
    project.pipeline({"bad": bad, "z": z})
    assert ours(project.root) == "failed to reproduce 'bad'"
    project.write({"ok": ""})
    assert ours(project.root) == ["bad"]
    assert (project.root / "ran.log").read_text() == "x\n" * 2


def test_names_may_hold_braces(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"a": {"foreach": ["{x}", "{"], "do": {"cmd": "true ${item}", "deps": ["seed.txt"]}}})
    assert set(reproduce(project.root)) == {"a@{x}", "a@{"}


@pytest.mark.parametrize("on_error", ["ignore", "keep-going"])
def test_what_depends_on_a_failure_is_not_forced(twins: tuple[Project, Project], on_error: str) -> None:
    for project in twins:
        project.pipeline(
            {"a": copies("seed.txt", "a.txt"), "b": copies("a.txt", "b.txt"), "c": copies("seed.txt", "c.txt")}
        )
        stock(project.root)
        bad = {"a": copies("seed.txt", "a.txt") | {"cmd": "cp seed.txt a.txt; exit 1"}}
        project.pipeline(bad | {"b": copies("a.txt", "b.txt"), "c": copies("seed.txt", "c.txt")})
    flow, dvc = twins
    flags: dict[str, Any] = {"on_error": on_error, "force_downstream": True}
    assert ours(flow.root, **flags) == stock(dvc.root, **flags)
    left, expected = flow.left(), dvc.left()
    if on_error == "keep-going":  # DVC loses lines here, its issue 11091
        assert left.pop(".gitignore") == b"/a.txt\n/b.txt\n/c.txt\n"
        expected.pop(".gitignore")
    assert left == expected


def test_a_forced_command_may_make_what_it_reads(twins: tuple[Project, Project]) -> None:
    for project in twins:
        project.pipeline({"s": {"cmd": "touch in.txt; cp in.txt o.txt", "deps": ["in.txt"], "outs": ["o.txt"]}})
    flow, dvc = twins
    assert ours(flow.root, force=True) == stock(dvc.root, force=True) == ["s"]
    assert flow.left() == dvc.left()


def test_errors_are_raised_as_dvc_raises_them(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"bad": {"cmd": "exit 3", "deps": ["seed.txt"]}, "worse": {"cmd": "exit 4", "deps": ["seed.txt"]}})
    with pytest.raises(ReproductionError) as caught:
        reproduce(project.root, on_error=None)  # DVC takes it for "fail"
    assert "exited with" in str(caught.value.__cause__)
    with pytest.raises(ReproductionError, match="failed to reproduce stages: 'bad' and 'worse'") as caught:
        reproduce(project.root, on_error="keep-going")
    assert caught.value.__cause__ is None
    with pytest.raises(AssertionError):
        Options(on_error="explode")  # type: ignore[arg-type]


def test_what_is_missing_is_named_by_who_makes_it(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"maker": copies("seed.txt", "m.txt"), "reader": copies("m.txt", "r.txt")})
    ended = project.flow("--single-item", "reader", expect=2)
    assert "'m.txt', which is not there; 'maker', which makes it, did not: run that" in ended.stderr


def test_a_missing_working_directory_is_named(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": "true", "wdir": "nowhere", "deps": ["../seed.txt"]}})
    ended = project.flow(expect=2)
    assert "nowhere', in which 'true' is to run, is not there; make it or change `wdir:`" in ended.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_staged_after_a_failure(project: Project, fails: bool) -> None:
    project.write({"seed.txt": "1\n"})
    project.dvc("config", "core.autostage", "true")
    project.commit()
    project.pipeline({"s": copies("seed.txt", "o.txt"), "t": {"cmd": f"exit {int(fails)}", "deps": ["seed.txt"]}})
    project.flow("--keep-going", expect=int(fails))
    staged = project.run("git", "diff", "--cached", "--name-only").stdout.split()
    assert staged == ([] if fails else [".gitignore", "dvc.lock"])


def test_what_a_frozen_stage_reads_is_hashed_after_it_was_made(twins: tuple[Project, Project]) -> None:
    for project in twins:
        slow = {"cmd": "sleep 0.5; cp seed.txt a.txt", "deps": ["seed.txt"], "outs": ["a.txt"]}
        project.pipeline({"a": slow, "b": copies("a.txt", "b.txt")})
        stock(project.root)
        project.pipeline({"a": slow, "b": copies("a.txt", "b.txt", frozen=True)})
        project.write({"seed.txt": "2\n"})
    flow, dvc = twins
    assert (
        ours(flow.root, force=True, all_pipelines=True) == stock(dvc.root, force=True, all_pipelines=True) == ["a", "b"]
    )
    assert flow.left() == dvc.left()


def test_a_repository_without_git(twins: tuple[Project, Project]) -> None:
    for project in twins:
        shutil.rmtree(project.root / ".git")
        with (project.root / ".dvc/config").open("a") as file:
            file.write("    no_scm = true\n")
        project.pipeline({"a": copies("seed.txt", "a.txt"), "b": copies("a.txt", "b.txt")})
    flow, dvc = twins
    for text in ("1\n", "2\n", "1\n"):
        for project in twins:
            project.write({"seed.txt": text})
        assert ours(flow.root) == stock(dvc.root) == ["a", "b"]
        assert flow.left() == dvc.left()
    flow.clean()


def test_a_file_that_the_command_leaves_in_a_folder_that_it_reads_is_named(project: Project) -> None:
    project.write({"lib/m.py": "A = 1\n"})
    line = "mkdir lib/__pycache__; touch lib/__pycache__/m.pyc; cp lib/m.py o.txt"
    project.pipeline({"s": {"cmd": line, "deps": ["lib"], "outs": ["o.txt"]}})
    hint = "'lib' (its newest file is 'lib/__pycache__/m.pyc', which .dvcignore could list) changed while it ran"
    assert hint in project.flow(expect=2).stderr
    shutil.rmtree(project.root / "lib/__pycache__")
    project.write({".dvcignore": "__pycache__\n"})
    project.flow()
    project.clean()


def test_ignored_errors_leave_no_old_outputs_to_what_depends_on_them(twins: tuple[Project, Project]) -> None:
    for project in twins:
        project.write({"other.txt": "1\n"})
        pair = {"cmd": "cat a.txt seed.txt > b.txt", "deps": ["a.txt", "seed.txt"], "outs": ["b.txt"]}
        project.pipeline({"a": copies("other.txt", "a.txt"), "b": pair})
        stock(project.root)
        (project.root / "other.txt").unlink()
        project.write({"seed.txt": "2\n"})
    flow, dvc = twins
    assert ours(flow.root, on_error="ignore") == stock(dvc.root, on_error="ignore") == []
    assert flow.left() == dvc.left()
    assert not (flow.root / "a.txt").exists()


def test_a_dvcignore_that_a_stage_writes_counts_at_once(twins: tuple[Project, Project]) -> None:
    line = "mkdir -p sub/d; cp seed.txt sub/.dvcignore; touch sub/d/one sub/d/two"
    for project in twins:
        project.pipeline({"a": {"cmd": line, "deps": ["seed.txt"], "outs": ["sub/d"]}})
    flow, dvc = twins
    for text in ("one\n", "two\n"):
        for project in twins:
            project.write({"seed.txt": text})
        assert ours(flow.root) == stock(dvc.root)
        assert flow.left() == dvc.left()


def test_an_import_from_a_database_is_left_alone(twins: tuple[Project, Project]) -> None:
    data = "outs: [{md5: c4ca4238a0b923820dcc509a6f75849b, size: 1, hash: md5, path: t.csv}]\n"
    database = "frozen: true\ndeps: [{db: {query: select 1, connection: c, file_format: csv}}]\n"
    for project in twins:
        project.write({"t.csv": "1", "t.csv.dvc": database + data})
        project.pipeline({"a": copies("t.csv", "a.txt")})
    flow, dvc = twins
    assert ours(flow.root) == stock(dvc.root)
    assert flow.left() == dvc.left()


def test_a_data_set_as_a_dependency(twins: tuple[Project, Project]) -> None:
    for project in twins:
        place = project.root.parent / "u"
        place.write_text("1")
        named = f"datasets:\n- name: d\n  type: url\n  url: file://{place}\n"
        stage = "stages:\n  a:\n    cmd: touch a.txt\n    deps:\n    - ds://d\n    - seed.txt\n    outs:\n    - a.txt\n"
        meta = "  meta:\n    isdir: false\n    size: 1\n"
        project.write({"dvc.yaml": named + stage, "dvc.lock": f"schema: '2.0'\n{named}{meta}stages: {{}}\n"})
    flow, dvc = twins
    assert ours(flow.root, dry=True) == stock(dvc.root, dry=True)
    assert ours(flow.root) == stock(dvc.root)
    assert ours(flow.root, force=True) == stock(dvc.root, force=True)
    left, expected = (
        {name: text.replace(b"/flow/u", b"/u").replace(b"/dvc/u", b"/u") for name, text in project.left().items()}
        for project in twins
    )
    assert left["dvc.lock"] == expected["dvc.lock"]


def test_what_an_old_output_holds_cannot_fail_a_stage(twins: tuple[Project, Project]) -> None:
    for project in twins:
        project.pipeline({"a": {"cmd": "mkdir d; touch d/x", "deps": ["seed.txt"], "outs": ["d"]}})
        stock(project.root)
        (project.root / "d/dangling").symlink_to("nowhere")
        project.pipeline({"a": {"cmd": "mkdir d; touch d/x; true", "deps": ["seed.txt"], "outs": ["d"]}})
    flow, dvc = twins
    assert ours(flow.root) == stock(dvc.root) == ["a"]
    assert flow.left() == dvc.left()


def test_a_folder_that_the_command_empties_is_named(project: Project) -> None:
    project.write({"lib/m.py": "1"})
    project.pipeline({"a": {"cmd": "rm lib/*; touch a.txt", "deps": ["lib"], "outs": ["a.txt"]}})
    assert "'lib' (which is empty now) changed while it ran" in project.flow(expect=2).stderr


def test_ignored_errors_remove_nothing_of_a_stage_that_may_still_run(twins: tuple[Project, Project]) -> None:
    slow = {"cmd": "sleep 1; touch und.txt; cp seed.txt a.txt", "deps": ["seed.txt"], "outs": ["a.txt"]}
    for project in twins:
        project.pipeline({"a": slow, "b": copies("und.txt", "b.txt")})
        stock(project.root)
        project.write({"seed.txt": "2\n"})
        (project.root / "und.txt").unlink()
    flow, dvc = twins
    assert ours(flow.root, on_error="ignore") == stock(dvc.root, on_error="ignore")
    assert flow.left() == dvc.left()


def test_a_stage_that_took_too_long_is_not_the_users_to_mend(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"a": {"cmd": "sleep 5", "deps": ["seed.txt"], "meta": {"timeout": 0.3}}})
    assert "longer than its timeout" in project.flow(expect=1).stderr


def test_notes_that_another_process_dropped_or_halved_are_not_missed(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            "a": {"cmd": "echo {} > .dvc/tmp/rwlock; cp seed.txt a.txt", "deps": ["seed.txt"], "outs": ["a.txt"]},
            "b": {"cmd": "printf '{' > .dvc/tmp/rwlock; cp a.txt b.txt", "deps": ["a.txt"], "outs": ["b.txt"]},
            "c": copies("b.txt", "c.txt"),
        }
    )
    assert reproduce(project.root) == ["a", "b", "c"]
    project.clean()
