"""Failures, retries and limits."""

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc.exceptions import ReproductionError

from tests.support.repos import Project, reproduce

COUNT = "echo x >> tries.log; n=$(wc -l < tries.log)"


def lock(project: Project) -> dict[str, Any]:
    from ruamel.yaml import YAML

    path = project.root / "dvc.lock"
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(path)["stages"] if path.exists() else {}
    return found


def test_a_retryable_exit_is_tried_again_and_recorded_once(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            "flaky": {
                "cmd": f"echo half > out.txt; {COUNT}; [ $n -ge 3 ] || exit 75; echo whole > out.txt",
                "deps": ["seed.txt"],
                "outs": ["out.txt"],
                "meta": {"retries": 3, "retry_delay": 0.1},
            }
        }
    )
    shown = project.flow().stdout
    assert (project.root / "tries.log").read_text() == "x\n" * 3
    assert (project.root / "out.txt").read_text() == "whole\n"
    assert list(lock(project)) == ["flaky"]
    assert len([path for path in (project.root / ".dvc/cache/runs").rglob("*") if path.is_file()]) == 1
    assert "try 2 of 4" in shown
    project.clean()


@pytest.mark.parametrize(("command", "meta", "tries"), [
    ("exit 1", {"retries": 3, "retry_delay": 0}, 1),
    ("exit 3", {"retries": 2, "retry_delay": 0, "retry_on": [3]}, 3),
    ("kill -9 $$", {"retries": 1, "retry_delay": 0}, 2),
    ("exit 75", {"retries": 1, "retry_delay": 0}, 2),
    ("exit 75", {}, 1),
])  # fmt: skip
def test_only_exits_worth_it_are_tried_again(project: Project, command: str, meta: Any, tries: int) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": f"{COUNT}; {command}", "deps": ["seed.txt"], "outs": ["o.txt"], "meta": meta}})
    with pytest.raises(ReproductionError, match="failed to reproduce 's'"):
        reproduce(project.root)
    assert (project.root / "tries.log").read_text() == "x\n" * tries
    assert lock(project) == {}


def test_outputs_are_cleared_between_tries(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    command = f"test ! -e o.txt || exit 1; echo half > o.txt; {COUNT}; [ $n -ge 2 ] || exit 75"
    meta = {"retries": 1, "retry_delay": 0}
    project.pipeline({"s": {"cmd": command, "deps": ["seed.txt"], "outs": ["o.txt"], "meta": meta}})
    assert reproduce(project.root) == ["s"]


def test_a_stage_over_its_time_ends_with_all_its_processes(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    command = "(setsid sleep 1297 &) ; sleep 1298"
    project.pipeline({"s": {"cmd": command, "deps": ["seed.txt"], "outs": ["o.txt"], "meta": {"timeout": 0.5}}})
    began = time.monotonic()
    with pytest.raises(ReproductionError) as caught:
        reproduce(project.root)
    assert "timeout of 0.5 s" in str(caught.value.__cause__)
    assert time.monotonic() - began < 20
    assert [
        p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] in (["sleep", "1297"], ["sleep", "1298"])
    ] == []


FAILING: dict[str, Any] = {
    "bad": {"cmd": "sleep 0.5; exit 1", "deps": ["seed.txt"], "outs": ["bad.txt"]},
    "sibling": {"cmd": "sleep 2; echo 1 > sibling.txt", "deps": ["seed.txt"], "outs": ["sibling.txt"]},
    "after-bad": {"cmd": "cp bad.txt after.txt", "deps": ["bad.txt"], "outs": ["after.txt"]},
    "later": {"cmd": "cp after.txt later.txt", "deps": ["after.txt"], "outs": ["later.txt"]},
    "after-sibling": {"cmd": "cp sibling.txt last.txt", "deps": ["sibling.txt"], "outs": ["last.txt"]},
}


def test_without_keep_going_siblings_finish_and_nothing_new_starts(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(FAILING)
    ended = project.flow("--jobs", "2", expect=1)
    assert (project.root / "sibling.txt").exists()
    assert lock(project) == {}  # as `dvc repro` leaves it, which had stopped before
    assert "after-bad: skipped: 'bad' failed" in ended.stdout
    assert "after-sibling: skipped: 'bad' failed" in ended.stdout
    assert ended.stderr == "error: failed to reproduce 'bad': exited with 1: sleep 0.5; exit 1\n"
    project.pipeline(FAILING | {"bad": FAILING["bad"] | {"cmd": "touch bad.txt"}})
    assert "sibling: restored from run-cache" in project.flow().stdout
    assert set(lock(project)) == set(FAILING)


def test_what_cannot_be_restored_is_recorded_after_a_failure_too(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    sibling = FAILING["sibling"] | {"outs": [{"sibling.txt": {"cache": False}}]}
    project.pipeline(FAILING | {"sibling": sibling})
    project.flow("--jobs", "2", expect=1)
    assert list(lock(project)) == ["sibling"]


def test_with_keep_going_all_else_runs(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(FAILING)
    ended = project.flow("--jobs", "2", "--keep-going", expect=1)
    assert list(lock(project)) == ["sibling", "after-sibling"]
    assert "after-bad: skipped: 'bad' failed" in ended.stdout
    assert "later: skipped: 'bad' failed" in ended.stdout
    assert "later >" not in ended.stdout
    ignored = (project.root / ".gitignore").read_text().splitlines()
    assert set(ignored) == {"/bad.txt", "/sibling.txt", "/after.txt", "/later.txt", "/last.txt"}


def test_a_dependency_edited_meanwhile_fails_the_stage_and_records_nothing(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": "cp seed.txt o.txt; echo 2 > seed.txt", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    ended = project.flow(expect=2)
    assert "'seed.txt' changed while it ran" in ended.stderr
    assert lock(project) == {}
    assert not (project.root / ".dvc/cache/runs").exists()
    assert "changed" in project.dvc("status").stdout


def test_an_undeclared_output_that_a_later_stage_reads_is_named(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            "maker": {"cmd": "sleep 1; tee o.txt secret.txt < seed.txt", "deps": ["seed.txt"], "outs": ["o.txt"]},
            "reader": {"cmd": "cp secret.txt p.txt", "deps": ["secret.txt"], "outs": ["p.txt"]},
        }
    )  # fmt: skip
    shown = project.flow("--jobs", "2").stdout
    assert "reader waits: stage 'reader' reads 'secret.txt', which is not there" in shown
    assert "'secret.txt', which stage 'reader' reads, changed since this run began" in shown
    project.clean()


def test_a_declared_output_that_is_not_made_is_named(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": "true", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    ended = project.flow(expect=1)
    assert "'o.txt' does not exist" in ended.stderr


GPU = ["echo $DVC_STAGE $CUDA_VISIBLE_DEVICES start >> gpus.log", "sleep 1"]
GPU += ["echo $DVC_STAGE $CUDA_VISIBLE_DEVICES end >> gpus.log", "touch $DVC_STAGE"]


@pytest.mark.parametrize("gpus", [2, 1])
def test_stages_get_gpus_of_their_own(project: Project, tmp_path: Path, gpus: int) -> None:
    project.write({"seed.txt": "1\n"})
    lines = "\n".join(f"echo '{n}, GPU-{n}{n}{n}{n}'" for n in range(gpus))
    fake = tmp_path / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{lines}\n")
    fake.chmod(0o755)
    project.environment["PATH"] = f"{fake.parent}:{project.environment['PATH']}"
    project.pipeline(
        {name: {"cmd": GPU, "deps": ["seed.txt"], "outs": [name], "meta": {"gpus": 1}} for name in ("one", "two")}
    )
    project.flow("--jobs", "4")
    said = [line.split() for line in (project.root / "gpus.log").read_text().splitlines()]
    if gpus == 2:
        assert [words[2] for words in said[:2]] == ["start", "start"]
        assert {words[1] for words in said} == {"0", "1"}
    else:
        assert [words[2] for words in said] == ["start", "end", "start", "end"]
        assert {words[1] for words in said} == {"0"}


def test_a_skipped_join_stops_nothing_else(project: Project) -> None:
    """It is skipped before the other stage that it reads from has begun."""
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            "bad": {"cmd": "exit 3", "deps": ["seed.txt"], "outs": ["bad.txt"]},
            "slow": {"cmd": "cp seed.txt slow.txt", "deps": ["seed.txt"], "outs": ["slow.txt"]},
            "join": {"cmd": "cat bad.txt slow.txt > j", "deps": ["bad.txt", "slow.txt"], "outs": ["j"]},
        }
    )
    with pytest.raises(ReproductionError, match="failed to reproduce 'bad'"):
        reproduce(project.root, on_error="keep-going", jobs=1)
    assert list(lock(project)) == ["slow"]
